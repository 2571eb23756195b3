"""The attributes of spans, in the semantic conventions of OpenTelemetry 1.4x; what they do not name
is under `stepwell.`. Inputs, outputs and causes are never attributes: they may be sensitive.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/aws/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from stepwell.engine.core.model import Execution

INTERNAL, SERVER, CLIENT, PRODUCER = "INTERNAL", "SERVER", "CLIENT", "PRODUCER"
OTHER: Final = "_OTHER"  # error.type of an error without a name
STATE_MACHINE: Final = "aws.step_functions.state_machine.arn"

Attributes = dict[str, str | int | bool]


def of_execution(x: Execution) -> Attributes:
    found: Attributes = {
        STATE_MACHINE: x.machine_arn,
        "stepwell.execution.arn": x.arn,
        "stepwell.execution.name": x.name,
        "stepwell.execution.type": "EXPRESS" if x.express else "STANDARD",
    }
    for key, name in (("version", "version"), ("alias", "alias")):
        if key in x.extras:
            found[f"stepwell.state_machine.{name}.arn"] = str(x.extras.get(key))
    return found


def of_task(service: str, action: str, payload: Any) -> tuple[str, Attributes]:
    """(kind of span, attributes) of a call: the `resourceType` and `resource` of its TaskScheduled,
    and its parameters.
    """
    values: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    service = service.removeprefix("aws-sdk:")
    kind, attributes = _SERVICES.get(service, _call)(values, action.partition(".")[0])
    base: Attributes = {"stepwell.task.resource": f"{service}:{action}"}
    return kind, base | attributes


def of_function(resource: str) -> tuple[str, Attributes]:
    """resource: the ARN or the name of a function"""
    parts = resource.split(":")
    arn = parts[0] == "arn" and len(parts) > 6
    found: Attributes = {
        "faas.invoked_name": parts[6] if arn else resource,
        "faas.invoked_provider": "aws",
    }
    if arn:
        found |= {"faas.invoked_region": parts[3], "aws.lambda.invoked_arn": resource}
    return CLIENT, found


def of_activity(resource: str) -> tuple[str, Attributes]:
    return PRODUCER, {"aws.step_functions.activity.arn": resource}


def _text(values: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := values.get(name), str)), "")


def _function(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    name = _text(values, "FunctionName")
    return of_function(name) if name else _call(values, action)


def _queue(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    url = _text(values, "QueueUrl")
    return PRODUCER, {
        **_messaging("aws_sqs", action, url.rpartition("/")[2]),
        "aws.sqs.queue.url": url,
    }


def _topic(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    arn = _text(values, "TopicArn", "TargetArn")
    return PRODUCER, {
        **_messaging("aws.sns", action, arn.rpartition(":")[2]),
        "aws.sns.topic.arn": arn,
    }


def _messaging(system: str, action: str, destination: str) -> Attributes:
    return {
        "messaging.system": system,
        "messaging.operation.type": "send",
        "messaging.operation.name": action,
        "messaging.destination.name": destination,
    }


def _http(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    url = urlsplit(_text(values, "ApiEndpoint"))
    # without the query, which may hold secrets
    return CLIENT, {
        "http.request.method": _text(values, "Method") or OTHER,
        "url.full": f"{url.scheme}://{url.hostname or ''}{url.path}",
        "server.address": url.hostname or "",
    }


def _execution(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    kind, found = _call(values, action)
    return kind, found | {"stepwell.nested.state_machine.arn": _text(values, "StateMachineArn")}


def _call(values: Mapping[str, Any], action: str) -> tuple[str, Attributes]:
    return CLIENT, {"rpc.system": "aws-api", "rpc.method": action}


_SERVICES: Final[dict[str, Callable[[Mapping[str, Any], str], tuple[str, Attributes]]]] = {
    "lambda": _function,
    "sqs": _queue,
    "sns": _topic,
    "http": _http,
    "states": _execution,
    "sfn": _execution,
}
