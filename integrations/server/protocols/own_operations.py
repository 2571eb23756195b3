"""The operations of the API that AWS does not have, in the form of botocore's models: they are
called, signed and checked as the others of their service (docs/reference/own-operations.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OF_MACHINES: Final = (
    "InvalidArn", "StateMachineDeleting", "StateMachineDoesNotExist",
    "StateMachineTypeNotSupported",
)  # fmt: skip
_ERRORS: Final[Mapping[str, tuple[str, ...]]] = {
    "FireTimer": ("InvalidArn", "ExecutionDoesNotExist"),
    "SearchExecutions": ("InvalidArn", "InvalidToken"),
    "IndexExecutions": _OF_MACHINES,
    "DescribeExecutionIndex": _OF_MACHINES,
}
"""Of an operation, besides ValidationException."""


def _operation(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": f"{name}Input"},
        "output": {"shape": f"{name}Output"},
        "errors": [{"shape": each} for each in (*_ERRORS.get(name, ()), "ValidationException")],
    }


def _structure(required: tuple[str, ...], **members: str) -> dict[str, Any]:
    return {
        "type": "structure",
        "required": list(required),
        "members": {name: {"shape": shape} for name, shape in members.items()},
    }


_INDEX: Final = _structure(
    ("stateMachineArn", "status", "attributes", "partialAttributes", "executionsIndexed"),
    stateMachineArn="Arn",
    status="OwnText",
    attributes="AttributeNameList",
    partialAttributes="PartialAttributeList",
    executionsIndexed="OwnCount",
    startDate="Timestamp",
)

_STEP_FUNCTIONS: Final[Mapping[str, Any]] = {
    "FireTimerInput": _structure(
        ("executionArn",), executionArn="Arn", stateName="Name", enteredEventId="EventId"
    ),
    "FireTimerOutput": _structure(("fired",), fired="FiredTimerList"),
    "FiredTimerList": {"type": "list", "member": {"shape": "FiredTimer"}},
    "FiredTimer": _structure(
        ("stateName", "enteredEventId", "dueDate"),
        stateName="Name",
        enteredEventId="EventId",
        dueDate="Timestamp",
    ),
    "SearchExecutionsInput": _structure(
        (),
        query="SearchQuery",
        attributes="AttributeNameList",
        maxResults="PageSize",
        nextToken="PageToken",
    ),
    "SearchExecutionsOutput": _structure(
        ("executions",),
        executions="FoundExecutionList",
        nextToken="PageToken",
        partialAttributes="PartialAttributeList",
        unknownAttributes="AttributeNameList",
    ),
    "SearchQuery": {"type": "string", "max": 4096},
    "AttributeNameList": {"type": "list", "member": {"shape": "Name"}},
    "IndexExecutionsInput": _structure(("stateMachineArn",), stateMachineArn="Arn"),
    "IndexExecutionsOutput": _INDEX,
    "DescribeExecutionIndexInput": _structure(("stateMachineArn",), stateMachineArn="Arn"),
    "DescribeExecutionIndexOutput": _INDEX,
    "PartialAttributeList": {"type": "list", "member": {"shape": "PartialAttribute"}},
    "PartialAttribute": _structure(
        ("stateMachineArn", "name", "since", "change"),
        stateMachineArn="Arn",
        name="Name",
        since="Timestamp",
        change="OwnText",
    ),
    "ListParkedExecutionsInput": _structure(()),
    "ListParkedExecutionsOutput": _structure(("executions",), executions="ParkedExecutionList"),
    "ParkedExecutionList": {"type": "list", "member": {"shape": "ParkedExecution"}},
    "ParkedExecution": _structure(
        ("executionArn", "reason"), executionArn="Arn", reason="SensitiveCause"
    ),
    "AdvanceTimeInput": _structure((), seconds="OwnSeconds", until="OwnText"),
    "AdvanceTimeOutput": _structure(("now",), now="Timestamp"),
    "FoundExecutionList": {"type": "list", "member": {"shape": "FoundExecution"}},
    "SearchAttributes": {
        "type": "map",
        "key": {"shape": "Name"},
        "value": {"shape": "AttributeValueList"},
    },
    "AttributeValueList": {"type": "list", "member": {"shape": "AttributeValue"}},
    "AttributeValue": {"type": "structure", "members": {}, "document": True},
    "OwnSeconds": {"type": "double"},
    "OwnCount": {"type": "long"},
    "OwnText": {"type": "string", "max": 64},
}

OWN: Final[Mapping[str, Mapping[str, Any]]] = {"stepfunctions": _STEP_FUNCTIONS}
"""botocore's name of a service -> its own shapes; NAMEInput is that of the operation NAME."""

_EXTENDED: Final = {
    "FoundExecution": ("ExecutionListItem", {"searchAttributes": {"shape": "SearchAttributes"}})
}
"""Own shape -> AWS's shape, and further members."""


def with_own(description: dict[str, Any], service: str) -> dict[str, Any]:
    """A service's model with our operations."""
    shapes = OWN.get(service)
    if shapes is None:
        return description
    known = description["shapes"]
    extended = {
        name: {**known[base], "members": {**known[base]["members"], **members}}
        for name, (base, members) in _EXTENDED.items()
    }
    names = [name.removesuffix("Input") for name in shapes if name.endswith("Input")]
    return {
        **description,
        "operations": {**description["operations"], **{each: _operation(each) for each in names}},
        "shapes": {**known, **shapes, **extended},
    }
