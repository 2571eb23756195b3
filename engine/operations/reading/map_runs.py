"""The operations that describe Map Runs, and the parts of others that concern their children."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import inner_blocks
from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.model import ABORTED, FAILED, TIMED_OUT, Execution
from stepwell.engine.errors import ApiError
from stepwell.engine.operations import map_run_shapes, paging
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.operations.results import (
    DescribeExecutionOutput,
    DescribeMapRunOutput,
    DescribeStateMachineForExecutionOutput,
    ExecutionListItem,
    ListExecutionsOutput,
    ListMapRunsOutput,
)
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, MapRunRow

PENDING_REDRIVE: Final = "PENDING_REDRIVE"
_UNSUCCESSFUL: Final = (FAILED, TIMED_OUT, ABORTED)


class MapRuns:
    """Map Runs and their children. Raises ApiError ResourceNotFound for an unknown Map Run."""

    def __init__(self, base: ReadingBase) -> None:
        self._store, self._limits, self._pages = base.store, base.limits, base.pages
        self._tracker = base.tracker

    async def list_map_runs(
        self, execution_arn: str, *, max_results: int = 0, next_token: str | None = None
    ) -> ListMapRunsOutput:
        """{"mapRuns": [...], "nextToken"?}, in the order of their starts."""
        arns.kind(execution_arn, "execution")
        row = await self._tracker.row(execution_arn)
        question = ["ListMapRuns", execution_arn]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        (after,) = self._pages.read(question, next_token) or (0,)
        rows = await self._store.map_runs(row.id, after, size + 1)
        answer: ListMapRunsOutput = {"mapRuns": [map_run_shapes.item(each) for each in rows[:size]]}
        if len(rows) > size:
            answer["nextToken"] = self._pages.token(question, rows[size - 1].run.state.event)
        return answer

    async def describe_map_run(self, map_run_arn: str) -> DescribeMapRunOutput:
        """The counts of children and items by status, and the present limits, as of the last
        commit.
        """
        return map_run_shapes.described(await self.row(map_run_arn), self._limits)

    async def exported_execution(self, execution_arn: str) -> dict[str, Any]:
        """A child that has ended, as a ResultWriter writes it."""
        return shapes.exported(await self._tracker.row(execution_arn))

    async def failed_children(self, map_run_arn: str) -> AsyncIterator[dict[str, Any]]:
        """The children that failed, as exported_execution() shows them."""
        for status in _UNSUCCESSFUL:
            token: str | None = None
            while True:
                page = await self.list_children(map_run_arn, status, None, 0, token)
                for each in page["executions"]:
                    yield await self.exported_execution(each["executionArn"])
                token = page.get("nextToken")
                if token is None:
                    break

    async def row(self, arn: str) -> MapRunRow:
        arns.kind(arn, "mapRun")
        try:
            row = await self._store.map_run(arn.rpartition(":")[2])
        except ValueError:
            row = None
        if row is None or map_run_shapes.arn(row) != arn:
            raise ApiError("ResourceNotFound", messages.REFERENCE_UNKNOWN)
        return row

    # --- children ---------------------------------------------------------------------------------

    async def list_children(
        self,
        map_run_arn: str,
        status_filter: str | None,
        redrive_filter: str | None,
        max_results: int,
        next_token: str | None,
    ) -> ListExecutionsOutput:
        """list_executions' answer for a Map Run. A page may be shorter than asked for: whether a
        failed child waits for a redrive is known only when it is read.
        """
        row = await self.row(map_run_arn)
        question = ["ListExecutions", map_run_arn, status_filter, redrive_filter]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        after = self._pages.read(question, next_token)
        parent = (row.execution, row.run.frame, row.run.seq)
        stored = None if status_filter == PENDING_REDRIVE else status_filter
        rows = await self._store.list_executions(
            status=stored, limit=size + 1, after=after, parent=parent
        )
        children = [
            map_run_shapes.child_item(child, row, _status(child, row)) for child in rows[:size]
        ]
        answer: ListExecutionsOutput = {
            "executions": [
                child
                for child in children
                if status_filter in (None, child["status"])
                and redrive_filter in (None, _redriven(child))
            ]
        }
        if len(rows) > size:
            last = rows[size - 1]
            answer["nextToken"] = self._pages.token(question, last.started, last.id)
        return answer

    async def describe_child(
        self, row: ExecutionRow | Execution, answer: DescribeExecutionOutput
    ) -> None:
        """Add the Map Run's members to DescribeExecution of a child."""
        found = None if row.parent is None else await self._store.map_run_of(*row.parent[:3])
        if found is not None:
            answer["mapRunArn"], answer["status"] = map_run_shapes.arn(found), _status(row, found)

    async def describe_machine_of_child(
        self,
        row: ExecutionRow | Execution,
        pinned: DefinitionRow,
        answer: DescribeStateMachineForExecutionOutput,
    ) -> None:
        """Add the Map Run's members to DescribeStateMachineForExecution of a child; none to that of
        other executions.
        """
        found = None if row.parent is None else await self._store.map_run_of(*row.parent[:3])
        if found is None:
            return
        processor = next(islice(_blocks(json_text.loads(pinned.definition)), row.block, None))
        answer["mapRunArn"], answer["label"] = map_run_shapes.arn(found), found.run.state.label
        answer["definition"] = json_text.dumps(processor)


def _redriven(child: ExecutionListItem) -> str:
    """The redriveFilter that selects a child."""
    return "REDRIVEN" if child["redriveCount"] else "NOT_REDRIVEN"


def _status(child: ExecutionRow | Execution, row: MapRunRow) -> str:
    """A child's status as its Map Run sees it: one that failed in an earlier round is
    PENDING_REDRIVE.
    """
    waits = (
        child.status in _UNSUCCESSFUL
        and row.run.status == model.RUNNING
        and child.extras.get("round", 0) != row.run.state.round
    )
    return PENDING_REDRIVE if waits else child.status


def _blocks(block: Any) -> Iterator[Any]:
    """The blocks of a definition in the order of their numbers: that of asl/compiler.py."""
    yield block
    for state in block["States"].values():
        for inner in inner_blocks(state):
            yield from _blocks(inner)
