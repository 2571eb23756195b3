"""Map Runs as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stepwell.engine.core import model
from stepwell.engine.limits import Limits
from stepwell.engine.operations import shapes
from stepwell.engine.store.base import ExecutionRow, MapRunRow

_COUNTS: Final = {
    "pending": "PENDING",
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "timedOut": "TIMED_OUT",
    "aborted": "ABORTED",
    "resultsWritten": "SUCCEEDED",  # recorded: without a ResultWriter, too
    "pendingRedrive": "PENDING_REDRIVE",
}


def arn(row: MapRunRow) -> str:
    return row.run.state.arn(row.machine_arn)


def described(row: MapRunRow, limits: Limits) -> dict[str, Any]:
    """DescribeMapRun."""
    run, state = row.run, row.run.state
    answer: dict[str, Any] = {
        "mapRunArn": arn(row),
        "executionArn": row.execution_arn,
        "status": run.status,
        "startDate": state.started / 1000,
        "maxConcurrency": 0
        if state.concurrency == limits.map_run_concurrency
        else state.concurrency,
        "toleratedFailurePercentage": float(state.tolerated_percentage or 0),
        "toleratedFailureCount": state.tolerated_count or 0,
        "itemCounts": _counts(state.items),
        "executionCounts": _counts(state.children),
        "redriveCount": state.round,
    }
    if state.redriven is not None:
        answer["redriveDate"] = state.redriven / 1000
    return answer if run.stopped is None else answer | {"stopDate": run.stopped / 1000}


def _counts(tally: Sequence[int]) -> dict[str, int]:
    """What failed and cannot be redriven is not told apart: that happens to children with a full
    history only.
    """
    counts = dict(zip(model.CHILD_STATUSES, tally, strict=True))
    return {name: counts[state] for name, state in _COUNTS.items()} | {
        "failuresNotRedrivable": 0,
        "total": sum(tally),
    }


def item(row: MapRunRow) -> dict[str, Any]:
    """An item of ListMapRuns."""
    shown: dict[str, Any] = {
        "executionArn": row.execution_arn,
        "mapRunArn": arn(row),
        "stateMachineArn": f"{row.machine_arn}/{row.run.state.label}",
        "startDate": row.run.state.started / 1000,
    }
    return shown if row.run.stopped is None else shown | {"stopDate": row.run.stopped / 1000}


def child_item(child: ExecutionRow, row: MapRunRow, status: str) -> dict[str, Any]:
    """An item of ListExecutions, of the child of a Map Run."""
    return shapes.execution_item(child) | {
        "mapRunArn": arn(row),
        "itemCount": child.extras.get("items", 1),
        "status": status,
    }
