"""From stored executions to the answers of the API (results.py)."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

from stepwell.asl import json_text
from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.operations.results import (
    DescribeExecutionOutput,
    ExecutionListItem,
    StartSyncExecutionOutput,
)
from stepwell.engine.store.base import ExecutionRow

_BILLED_MS: Final = 100
_BILLED_MB: Final = 64


def _text(payload: Payload | bytes | None) -> str:
    assert payload is not None
    return (payload.data if isinstance(payload, Payload) else payload).decode()


def execution(
    row: ExecutionRow | Execution, limits: Limits = DEFAULT_LIMITS
) -> DescribeExecutionOutput:
    """DescribeExecution."""
    answer = _begun(row)
    _add_extras(answer, row)
    _add_end(answer, row)
    reason = not_redrivable(row, limits=limits)
    if reason is not None:
        answer["redriveStatus"], answer["redriveStatusReason"] = "NOT_REDRIVABLE", reason
    else:
        answer["redriveStatus"] = "REDRIVABLE" if row.parent is None else "REDRIVABLE_BY_MAP_RUN"
    return answer


def _begun(row: ExecutionRow | Execution) -> DescribeExecutionOutput:
    answer: DescribeExecutionOutput = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
    }
    if row.input is not None:
        answer["input"] = _text(row.input)
    answer["inputDetails"] = {"included": row.input is not None}
    return answer


def _add_end(answer: DescribeExecutionOutput, row: ExecutionRow | Execution) -> None:
    if "trace" in row.extras:
        answer["traceHeader"] = row.extras["trace"]
    if row.stopped is not None:
        answer["stopDate"] = row.stopped / 1000
    if row.output is not None:
        answer["output"], answer["outputDetails"] = _text(row.output), {"included": True}
    if row.status != model.TIMED_OUT:  # there the service shows the error in the history only
        if row.error is not None:
            answer["error"] = row.error
        if row.cause is not None:
            answer["cause"] = row.cause


def _add_extras(
    answer: DescribeExecutionOutput | ExecutionListItem, row: ExecutionRow | Execution
) -> None:
    """The members of an execution that was redriven, or started by a version or alias."""
    extras = row.extras
    answer["redriveCount"] = extras.get("redrives", 0)
    if "redrives" in extras:
        answer["redriveDate"] = extras["redriven"] / 1000
    if "version" in extras:
        answer["stateMachineVersionArn"] = extras["version"]
    if "alias" in extras:
        answer["stateMachineAliasArn"] = extras["alias"]


def not_redrivable(
    row: ExecutionRow | Execution, now: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> str | None:
    """Why an execution cannot be redriven, as far as its row says; None: it can.

    now  ms; None: ignore the limits of time
    """
    if row.status in (model.RUNNING, model.SUCCEEDED):
        return messages.NOT_REDRIVABLE.format(status=row.status)
    if row.events >= limits.history_events - 1:
        return messages.REDRIVE_HISTORY_FULL
    if now is not None and now - row.started >= limits.standard_seconds * 1000:
        return messages.REDRIVE_OPEN_TOO_LONG
    if now is not None and now - (row.stopped or now) > limits.redrive_seconds * 1000:
        return messages.REDRIVE_TOO_LATE
    return None


def sync(x: Execution) -> StartSyncExecutionOutput:
    """StartSyncExecution, of an execution that has ended.

    Billed: the time, rounded up to 100 ms, and 64 MB, the least that AWS bills; how it measures
    more is not known.
    """
    described = _begun(x)
    _add_end(described, x)
    answer = cast(StartSyncExecutionOutput, described)
    assert x.stopped is not None
    steps = max(1, -(-(x.stopped - x.started) // _BILLED_MS))
    answer["billingDetails"] = {
        "billedDurationInMilliseconds": steps * _BILLED_MS,
        "billedMemoryUsedInMB": _BILLED_MB,
    }
    answer["outputDetails"] = {"included": True}
    return answer


Described = TypeVar("Described", DescribeExecutionOutput, StartSyncExecutionOutput)


def without_data(answer: Described) -> Described:
    """A description of an execution for callers that do not want data decrypted."""
    hidden = {"input", "output", "error", "cause"}
    shown = {name: value for name, value in answer.items() if name not in hidden}
    for name in ("inputDetails", "outputDetails"):
        if name in shown:
            shown[name] = {"included": False}
    return cast(Described, shown)


def result_of_child(x: ExecutionRow | Execution) -> Payload | None:
    """The result of a child for its Map Run: its output, or its description if the ResultWriter
    writes executions (Transformation NONE).
    """
    if x.output is None:
        return None
    if "whole" not in x.extras:
        return (
            x.output
            if isinstance(x.output, Payload)
            else Payload(json_text.loads(x.output), x.output)
        )
    return Payload(exported(x))


def exported(x: ExecutionRow | Execution) -> dict[str, Any]:
    """An ended child as a ResultWriter writes it: DescribeExecution's members, capitalized."""
    described: dict[str, Any] = {**execution(x)}
    for name in ("inputDetails", "outputDetails"):
        described[name] = {"Included": True}
    described |= {
        "startDate": iso_milliseconds(x.started / 1000),
        "stopDate": iso_milliseconds((x.stopped or x.started) / 1000),
    }
    return {name[0].upper() + name[1:]: described[name] for name in sorted(described)}


def execution_item(row: ExecutionRow | Execution) -> ExecutionListItem:
    """An item of ListExecutions."""
    item: ExecutionListItem = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
    }
    _add_extras(item, row)
    if row.stopped is not None:
        item["stopDate"] = row.stopped / 1000
    return item
