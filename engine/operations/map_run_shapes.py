"""Map Runs as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.core import model
from stepwell.engine.limits import Limits
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.results import (
    DescribeMapRunOutput,
    ExecutionListItem,
    MapRunItemCounts,
    MapRunListItem,
)
from stepwell.engine.store.base import ExecutionRow, MapRunRow


def arn(row: MapRunRow) -> str:
    return row.run.state.arn(row.machine_arn)


def described(row: MapRunRow, limits: Limits) -> DescribeMapRunOutput:
    """DescribeMapRun."""
    run, state = row.run, row.run.state
    answer: DescribeMapRunOutput = {
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
    if run.stopped is not None:
        answer["stopDate"] = run.stopped / 1000
    return answer


def _counts(tally: Sequence[int]) -> MapRunItemCounts:
    """Children that failed and cannot be redriven are not counted apart: only those with a full
    history are such.
    """
    counts = dict(zip(model.CHILD_STATUSES, tally, strict=True))
    return {
        "pending": counts["PENDING"],
        "running": counts["RUNNING"],
        "succeeded": counts["SUCCEEDED"],
        "failed": counts["FAILED"],
        "timedOut": counts["TIMED_OUT"],
        "aborted": counts["ABORTED"],
        "total": sum(tally),
        "resultsWritten": counts["SUCCEEDED"],  # recorded: without a ResultWriter, too
        "failuresNotRedrivable": 0,
        "pendingRedrive": counts["PENDING_REDRIVE"],
    }


def item(row: MapRunRow) -> MapRunListItem:
    """An item of ListMapRuns."""
    shown: MapRunListItem = {
        "executionArn": row.execution_arn,
        "mapRunArn": arn(row),
        "stateMachineArn": f"{row.machine_arn}/{row.run.state.label}",
        "startDate": row.run.state.started / 1000,
    }
    if row.run.stopped is not None:
        shown["stopDate"] = row.run.stopped / 1000
    return shown


def child_item(child: ExecutionRow, row: MapRunRow, status: str) -> ExecutionListItem:
    """An item of ListExecutions, of the child of a Map Run. `status`: as its Map Run sees it."""
    shown = shapes.execution_item(child)
    shown["mapRunArn"], shown["status"] = arn(row), status
    shown["itemCount"] = child.extras.get("items", 1)
    return shown
