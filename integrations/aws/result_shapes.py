"""What tasks that call AWS may return, for the linter: Shapes from botocore's models.

Every member is optional; what is in a member is known by its type only, as the SDK for Java renames
some of the members within.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from botocore.model import Shape as Model

from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.shapes import ANY, MAYBE, Shape, optional, record
from stepwell.asl.resources import REQUEST_RESPONSE, Resource
from stepwell.integrations.aws.models import java_name, operation_of, upper

_SDK: Final = "aws-sdk:"
_METADATA: Final = {"SdkHttpMetadata": MAYBE, "SdkResponseMetadata": MAYBE}
_HTTP: Final = ("Headers", "ResponseBody", "StatusCode", "StatusText")
# optimised integrations whose results have the names of the API
_AS_THE_API: Final = ("dynamodb", "sns", "sqs", "events")
# results that are not those of the API: the names of the members
_OWN: Final = {
    ("lambda", "invoke"): (
        *("ExecutedVersion", "FunctionError", "LogResult", "Payload", "StatusCode"),
        *_METADATA,
    ),
    ("states", "startExecution"): ("ExecutionArn", "StartDate", *_METADATA),
    ("apigateway", "invoke"): (*_HTTP, *_METADATA),
    ("http", "invoke"): _HTTP,
}
_KINDS: Final = {
    "string": s.TEXT,
    "list": s.LIST,
    "structure": record({}, open=True),
    "map": record({}, open=True),
    "boolean": s.FLAG,
}


@lru_cache(256)
def result_shape(resource: Resource) -> Shape | None:
    """What a task with this resource may return; None if it is not known."""
    if resource.kind != "service" or resource.pattern != REQUEST_RESPONSE:
        return None
    service, action = resource.service, resource.action
    origin = f"the result of {service}:{action}"
    if names := _OWN.get((service, action)):
        return record(dict.fromkeys(names, MAYBE), origin=origin)
    sdk = service.startswith(_SDK)
    if not sdk and service not in _AS_THE_API:
        return None
    operation = operation_of(service.removeprefix(_SDK), action)
    if operation is None or operation.output_shape is None:
        return None
    named = java_name if sdk else upper
    members = {named(n): _member(each) for n, each in operation.output_shape.members.items()}
    return record({**members, **_METADATA}, origin=origin)


def _member(model: Model) -> Shape:
    known = ANY if getattr(model, "is_document_type", False) else _KINDS.get(model.type_name, ANY)
    return optional(known)
