"""What tasks that call AWS may return and need, for the linter: from botocore's models.

Every member is optional; what is in a member is known by its type only, as the SDK for Java renames
some of the members within.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from botocore.model import OperationModel
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
    return structure(operation.output_shape, origin, java_name if sdk else upper)


def structure(model: Model, origin: str, named: Callable[[str], str] = upper) -> Shape:
    """The members of a result. named: converts their names."""
    members = {named(n): _member(each) for n, each in model.members.items()}
    return record({**members, **_METADATA}, origin=origin)


def parameter_faults(resource: Resource, names: frozenset[str]) -> Iterator[str]:
    """What is wrong with the names of a task's parameters. A name that the model lacks may be newer
    than the model: it is reported only if it resembles one that the model has.
    """
    operation = _operation(resource)
    if operation is None or operation.input_shape is None:
        return
    model = operation.input_shape
    sdk = resource.service.startswith(_SDK)
    named = java_name if sdk else upper
    known = {spelled.lower(): named(name) for name in model.members
             for spelled in (name, java_name(name))}  # fmt: skip
    given = {name.lower() for name in names}
    what = f"{resource.service}:{resource.action}"
    for name in sorted(names):
        close = difflib.get_close_matches(name.lower(), list(known), 1, 0.8)
        meant = known.get(name.lower())
        # how the SDK for Java writes abbreviations is known for most words only
        odd = meant not in (None, name) and (not sdk or name[:1].islower())
        if odd or (meant is None and close):
            yield f"{what} has no parameter {name}. Did you mean {meant or known[close[0]]}?"
    required = [
        name
        for name in model.required_members
        if not model.members[name].metadata.get("idempotencyToken")
        and given.isdisjoint({name.lower(), java_name(name).lower()})
    ]
    if required:
        yield f"{what} needs {', '.join(map(upper, required))}. Add what is missing"


def _operation(resource: Resource) -> OperationModel | None:
    """The operation of the API that a task calls with its parameters as they are."""
    service, action = resource.service, resource.action
    if resource.kind != "service" or (service, action) in _OWN or service == "eks":
        return None
    return operation_of(service.removeprefix(_SDK), action)


def _member(model: Model) -> Shape:
    known = ANY if getattr(model, "is_document_type", False) else _KINDS.get(model.type_name, ANY)
    return optional(known)
