"""From stored rows to the API's answers: names and casing of AWS, times in epoch seconds, payloads as JSON text."""

from __future__ import annotations

import base64
from typing import Any

from stepwell.asl import messages
from stepwell.asl.limits import Limits
from stepwell.asl.validate import Validation
from stepwell.engine.core import model
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.store.base import ExecutionRow, MachineRow


def _text(payload: Payload | bytes | None) -> str:
    assert payload is not None
    return (payload.data if isinstance(payload, Payload) else payload).decode()


def execution(row: ExecutionRow | Execution) -> dict[str, Any]:
    """DescribeExecution."""
    answer: dict[str, Any] = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
        "input": _text(row.input),
        "inputDetails": {"included": True},
        "redriveCount": 0,
    }
    if row.stopped is not None:
        answer["stopDate"] = row.stopped / 1000
    if row.output is not None:
        answer |= {"output": _text(row.output), "outputDetails": {"included": True}}
    if row.status != model.TIMED_OUT:  # there the service tells the error in the history only
        answer |= {name: value for name, value in (("error", row.error), ("cause", row.cause)) if value is not None}
    if row.status in (model.FAILED, model.TIMED_OUT, model.ABORTED):
        answer["redriveStatus"] = "REDRIVABLE"
    else:
        answer |= {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": messages.NOT_REDRIVABLE.format(status=row.status)}
    return answer


def sync(described: dict[str, Any]) -> dict[str, Any]:
    """StartSyncExecution, from the description of the ended execution."""
    answer = {name: value for name, value in described.items() if not name.startswith("redrive")}
    elapsed = round((answer["stopDate"] - answer["startDate"]) * 1000)
    answer["billingDetails"] = {"billedDurationInMilliseconds": max(1, -(-elapsed // 100)) * 100, "billedMemoryUsedInMB": 64}
    return answer | {"outputDetails": {"included": True}}


def execution_item(row: ExecutionRow) -> dict[str, Any]:
    """An item of ListExecutions."""
    item: dict[str, Any] = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
        "redriveCount": 0,
    }
    return item if row.stopped is None else item | {"stopDate": row.stopped / 1000}


def machine(row: MachineRow) -> dict[str, Any]:
    """DescribeStateMachine; `extras` is ours: what the creator wanted kept with the machine."""
    return {
        "stateMachineArn": row.arn,
        "name": row.name,
        "status": "ACTIVE",
        "definition": row.definition,
        "roleArn": row.role_arn,
        "type": row.type,
        "creationDate": row.created / 1000,
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
        "extras": row.extras,
    }


def machine_item(row: MachineRow) -> dict[str, Any]:
    return {"stateMachineArn": row.arn, "name": row.name, "type": row.type, "creationDate": row.created / 1000}


def validation(found: Validation, limits: Limits) -> dict[str, Any]:
    """ValidateStateMachineDefinition."""
    shown = found.diagnostics[: limits.diagnostics]
    diagnostics = [
        {"severity": each.severity, "code": each.code, "message": each.message, **({"location": each.location} if each.location else {})}
        for each in shown
    ]
    failed = any(each.severity == "ERROR" for each in found.diagnostics)
    return {"result": "FAIL" if failed else "OK", "diagnostics": diagnostics, "truncated": len(found.diagnostics) > len(shown)}


def page(*key: int) -> str:
    """A nextToken: opaque to callers, the key of the last row shown."""
    return base64.urlsafe_b64encode(":".join(map(str, (1, *key))).encode()).decode()


def read_page(next_token: str | None, parts: int) -> Any:
    """The key in a nextToken, a tuple of that many numbers; None without a token."""
    if next_token is None:
        return None
    try:
        version, *key = map(int, base64.urlsafe_b64decode(next_token.encode()).split(b":"))
    except ValueError:
        version, key = 0, []
    if version != 1 or len(key) != parts:
        raise ApiError("InvalidToken", messages.INVALID_TOKEN)
    return tuple(key)
