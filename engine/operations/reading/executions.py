"""The operations that describe and list executions."""

from __future__ import annotations

from typing import Any

from stepwell.engine import arns, messages
from stepwell.engine.core.model import Execution
from stepwell.engine.errors import ApiError
from stepwell.engine.machines import configuration, machine_parts
from stepwell.engine.operations import paging
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.machines import shapes as machine_shapes
from stepwell.engine.operations.reading.base import EXPRESS, ReadingBase, pinned
from stepwell.engine.operations.reading.map_runs import MapRuns
from stepwell.engine.operations.results import (
    DescribeExecutionOutput,
    DescribeStateMachineForExecutionOutput,
    ListExecutionsOutput,
    ListParkedExecutionsOutput,
)
from stepwell.engine.store.base import DefinitionRow, ExecutionRow


class Executions:
    """Describing and listing executions. Every operation with the ARN of one raises ApiError
    InvalidArn, ExecutionDoesNotExist.
    """

    def __init__(self, base: ReadingBase, map_runs: MapRuns) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._machines, self._pages, self._tracker = base.machines, base.pages, base.tracker
        self._map_runs = map_runs

    async def describe_execution(
        self, execution_arn: str, *, included_data: str = "ALL_DATA"
    ) -> DescribeExecutionOutput:
        """{"executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate"?, "input",
        "output"?, "error"?, "cause"? ...}
        """
        arns.kind(execution_arn, "execution")
        row = await self._tracker.row(execution_arn)
        if included_data != "ALL_DATA" and configuration.hides(
            (await pinned(self._store, row)).configuration, included_data
        ):
            return shapes.without_data(await self._described(row))
        return await self._described(row)

    async def inspect_execution(self, execution_arn: str) -> DescribeExecutionOutput:
        """describe_execution's answer, also for an Express execution that is watched."""
        return shapes.execution(await self._tracker.row(execution_arn), self._limits)

    async def _described(self, row: ExecutionRow | Execution) -> DescribeExecutionOutput:
        """With the members of its Map Run for a child of one; for others with the present
        redriveStatus.
        """
        answer = shapes.execution(row, self._limits)
        if row.parent is not None:
            await self._map_runs.describe_child(row, answer)
            return answer
        if answer["redriveStatus"] == "REDRIVABLE":
            reason = await self.not_redrivable(row)
            if reason is not None:
                answer["redriveStatus"], answer["redriveStatusReason"] = "NOT_REDRIVABLE", reason
        return answer

    async def describe_state_machine_for_execution(
        self, execution_arn: str, *, included_data: str = "ALL_DATA"
    ) -> DescribeStateMachineForExecutionOutput:
        """The revision that the execution started with, even if its state machine was updated or
        deleted since.
        """
        arns.kind(execution_arn, "execution")
        row = await self._tracker.row(execution_arn)
        answer, revision = await self._machine_of(row)
        return (
            machine_shapes.without_texts(answer)
            if configuration.hides(revision.configuration, included_data)
            else answer
        )

    async def _machine_of(
        self, row: ExecutionRow | Execution
    ) -> tuple[DescribeStateMachineForExecutionOutput, DefinitionRow]:
        revision = await pinned(self._store, row)
        answer = machine_shapes.machine_of_execution(row, revision)
        await self._map_runs.describe_machine_of_child(row, revision, answer)
        return answer, revision

    async def inspect_machine(
        self, execution_arn: str
    ) -> tuple[DescribeStateMachineForExecutionOutput, int]:
        """describe_state_machine_for_execution's answer, also for an Express execution that is
        watched, and the id of the definition, by which `program` finds it.
        """
        row = await self._tracker.row(execution_arn)
        return (await self._machine_of(row))[0], row.definition

    async def list_executions(
        self,
        state_machine_arn: str | None = None,
        *,
        status_filter: str | None = None,
        max_results: int = 0,
        next_token: str | None = None,
        map_run_arn: str | None = None,
        redrive_filter: str | None = None,
    ) -> ListExecutionsOutput:
        """{"executions": [...], "nextToken"?}, newest first: those of a state machine, a version,
        an alias or a Map Run.
        """
        if (state_machine_arn is None) == (map_run_arn is None):
            raise ApiError("ValidationException", messages.ONE_OF_MACHINE_AND_MAP_RUN)
        if map_run_arn is not None:
            return await self._map_runs.list_children(
                map_run_arn, status_filter, redrive_filter, max_results, next_token
            )
        assert state_machine_arn is not None
        if status_filter == "PENDING_REDRIVE" or redrive_filter is not None:
            member = "PENDING_REDRIVE" if status_filter == "PENDING_REDRIVE" else "redriveFilter"
            raise ApiError("ValidationException", messages.FILTER_OF_MAP_RUN.format(filter=member))
        machine_arn, qualifier = await self._listed(state_machine_arn)
        qualified = {} if qualifier is None else {"qualifier": qualifier}
        return await self._list(
            (state_machine_arn, status_filter),
            max_results,
            next_token,
            machine_arn=machine_arn,
            **qualified,
        )

    async def list_all_executions(
        self,
        *,
        status_filter: str | None = None,
        max_results: int = 0,
        next_token: str | None = None,
    ) -> ListExecutionsOutput:
        """list_executions' answer for all state machines and Map Runs. Not an operation of AWS,
        which lists those of one.
        """
        return await self._list((None, status_filter), max_results, next_token)

    async def _listed(self, arn: str) -> tuple[str, str | None]:
        """(the ARN of the machine to list, that of the version or alias, or None). MACHINE/LABEL,
        which AWS does not list, is the machine of the children of a Map Run.
        """
        parts = arns.read_machine(arn.partition("/")[0])
        row = await self._machines.get(
            arn if parts.qualifier is None and "/" not in arn else parts.machine
        )
        known = {**machine_parts.part(row, "versions"), **machine_parts.part(row, "aliases")}
        if parts.qualifier is not None and parts.qualifier not in known:
            raise ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
        if row.type == EXPRESS:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        return (arn, None) if parts.qualifier is None else (parts.machine, arn)

    async def _list(
        self,
        filter: tuple[str | None, str | None],
        max_results: int,
        next_token: str | None,
        **rows_of: Any,
    ) -> ListExecutionsOutput:
        """filter: (ARN, status). rows_of: parameters of Store.list_executions."""
        question = ["ListExecutions", *filter]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        after = self._pages.read(question, next_token)
        rows = await self._store.list_executions(
            status=filter[1], limit=size + 1, after=after, **rows_of
        )
        answer: ListExecutionsOutput = {
            "executions": [shapes.execution_item(row) for row in rows[:size]]
        }
        if len(rows) > size:
            answer["nextToken"] = self._pages.token(
                question, rows[size - 1].started, rows[size - 1].id
            )
        return answer

    async def parked_executions(self) -> dict[str, str]:
        """ARN -> reason, of the parked executions (see runtime/parking.py). They can be stopped.
        Not an operation of AWS, which knows no parked executions.
        """
        return {arn: reason for _, arn, reason in await self._store.parked()}

    async def list_parked_executions(self) -> ListParkedExecutionsOutput:
        """The same as an operation of the API: those with the first ARNs."""
        parked = sorted((await self.parked_executions()).items())[: self._limits.list_page]
        return {"executions": [{"executionArn": arn, "reason": why} for arn, why in parked]}

    async def not_redrivable(self, row: ExecutionRow | Execution) -> str | None:
        """Why the execution cannot be redriven now, in AWS's words; None: it can."""
        reason = shapes.not_redrivable(row, self._clock.now(), self._limits)
        if reason is not None:
            return reason
        if row.parent is not None:
            return messages.REDRIVE_BY_MAP_RUN
        try:
            await self._machines.active(row.machine_arn)
        except ApiError:
            return messages.REDRIVE_DELETING
        if row.extras.get("redrives", 0) >= self._limits.redrives:
            return messages.REDRIVE_LIMIT.format(limit=self._limits.redrives)
        return None
