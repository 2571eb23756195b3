"""The integrations that call a service: a table from the subtype to the operation.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Parameters = dict[str, Any]


class Subtype(NamedTuple):
    """service, operation: as botocore names them; required, optional: request parameters of the
    integration; to_input: (request parameters) -> the operation's input.
    """

    service: str
    operation: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    to_input: Callable[[Parameters], Parameters] = lambda parameters: parameters


def _lower_first(parameters: Parameters) -> Parameters:
    return {name[0].lower() + name[1:]: value for name, value in parameters.items()}


def _event_entry(parameters: Parameters) -> Parameters:
    resources = parameters.get("Resources")
    return {"Entries": [parameters | ({"Resources": resources.split(",")} if resources else {})]}


SUBTYPES: Final[Mapping[str, Subtype]] = {
    "StepFunctions-StartExecution": Subtype(
        "stepfunctions", "StartExecution", ("StateMachineArn",), ("Name", "Input"), _lower_first
    ),
    "StepFunctions-StartSyncExecution": Subtype(
        "stepfunctions",
        "StartSyncExecution",
        ("StateMachineArn",),
        ("Name", "Input", "TraceHeader"),
        _lower_first,
    ),
    "StepFunctions-StopExecution": Subtype(
        "stepfunctions", "StopExecution", ("ExecutionArn",), ("Cause", "Error"), _lower_first
    ),
    "EventBridge-PutEvents": Subtype(
        "events",
        "PutEvents",
        ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", "TraceHeader"),
        _event_entry,
    ),
    "SQS-SendMessage": Subtype(
        "sqs",
        "SendMessage",
        ("QueueUrl", "MessageBody"),
        ("DelaySeconds", "MessageDeduplicationId", "MessageGroupId"),
    ),
}
