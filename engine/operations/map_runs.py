"""Map Runs: what they are asked and told, and their children."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Program
from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.events import ChildClosed, Redrive, StartChild, UpdateMapRun
from stepwell.engine.core.model import ABORTED, FAILED, TIMED_OUT, Execution
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.ids import derived
from stepwell.engine.operations import map_run_shapes, paging, shapes
from stepwell.engine.operations.redrive import Redrives
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, MapRunRow

PENDING_REDRIVE: Final = "PENDING_REDRIVE"
_FELL: Final = (FAILED, TIMED_OUT, ABORTED)


class MapRuns(Redrives):
    """Map Runs."""

    # --- operations -------------------------------------------------------------------------------

    async def list_map_runs(
        self, execution_arn: str, *, max_results: int = 0, next_token: str | None = None
    ) -> dict[str, Any]:
        """{"mapRuns": [...], "nextToken"?}, in the order of their starts."""
        arns.kind(execution_arn, "execution")
        row = await self._row(execution_arn)
        question = ["ListMapRuns", execution_arn]
        size = paging.size(max_results, self.limits.list_page, self.limits)
        (after,) = self.pages.read(question, next_token) or (0,)
        rows = await self.store.map_runs(row.id, after, size + 1)
        answer: dict[str, Any] = {"mapRuns": [map_run_shapes.item(each) for each in rows[:size]]}
        if len(rows) > size:
            answer["nextToken"] = self.pages.token(question, rows[size - 1].run.bounds.event)
        return answer

    async def describe_map_run(self, map_run_arn: str) -> dict[str, Any]:
        """How many children and items are where, and the limits as they are now; as of the last
        commit.
        """
        return map_run_shapes.described(await self._map_run(map_run_arn), self.limits)

    async def update_map_run(
        self,
        map_run_arn: str,
        *,
        max_concurrency: int | None = None,
        tolerated_failure_percentage: float | None = None,
        tolerated_failure_count: int | None = None,
    ) -> dict[str, Any]:
        """{} once it is durable. Only of a Map Run that goes on. Less concurrency stops no child;
        too little tolerance fails it.
        """
        row = await self._map_run(map_run_arn)
        live = await self.worker.load(row.execution)
        frame = None if live is None else live.x.frames.get(row.run.frame)
        if live is None or frame is None or not frame.in_map_run or frame.seq != row.run.seq:
            if live is not None:
                self.worker.settle(live)
            completed = messages.MAP_RUN_COMPLETED.format(arn=map_run_arn)
            raise ApiError("ValidationException", completed, "CANNOT_UPDATE_COMPLETED_MAP_RUN")
        most = self.limits.map_run_concurrency
        concurrency = None if max_concurrency is None else min(max_concurrency or most, most)
        done = asyncio.get_running_loop().create_future()
        event = UpdateMapRun(
            frame.id, frame.seq, concurrency, tolerated_failure_count, tolerated_failure_percentage
        )
        self.worker.submit(live, event, done)
        await done
        return {}

    async def exported(self, execution_arn: str) -> dict[str, Any]:
        """An ended child as a ResultWriter shows it."""
        return shapes.exported(await self._row(execution_arn))

    async def _map_run(self, arn: str) -> MapRunRow:
        arns.kind(arn, "mapRun")
        try:
            row = await self.store.map_run(arn.rpartition(":")[2])
        except ValueError:
            row = None
        if row is None or map_run_shapes.arn(row) != arn:
            raise ApiError("ResourceNotFound", messages.REFERENCE_UNKNOWN)
        return row

    # --- what others say of children --------------------------------------------------------------

    async def _list_children(
        self,
        map_run_arn: str,
        status_filter: str | None,
        redrive_filter: str | None,
        max_results: int,
        next_token: str | None,
    ) -> dict[str, Any]:
        """A page may have fewer children than there are left: what waits for a redrive is told from
        what failed one by one.
        """
        row = await self._map_run(map_run_arn)
        question = ["ListExecutions", map_run_arn, status_filter, redrive_filter]
        size = paging.size(max_results, self.limits.list_page, self.limits)
        after = self.pages.read(question, next_token)
        parent = (row.execution, row.run.frame, row.run.seq)
        stored = None if status_filter == PENDING_REDRIVE else status_filter
        found = await self.store.list_executions(
            status=stored, limit=size + 1, after=after, parent=parent
        )
        items = []
        for child in found[:size]:
            item = map_run_shapes.child_item(child, row, _status(child, row))
            redriven = redrive_filter is None or (item["redriveCount"] > 0) == (
                redrive_filter == "REDRIVEN"
            )
            if redriven and status_filter in (None, item["status"]):
                items.append(item)
        answer: dict[str, Any] = {"executions": items}
        if len(found) > size:
            answer["nextToken"] = self.pages.token(
                question, found[size - 1].started, found[size - 1].id
            )
        return answer

    async def _described(self, row: ExecutionRow | Execution) -> dict[str, Any]:
        answer = shapes.execution(row)
        if row.parent is not None:
            found = await self.store.map_run_of(*row.parent[:3])
            return (
                answer
                if found is None
                else answer
                | {"mapRunArn": map_run_shapes.arn(found), "status": _status(row, found)}
            )
        if (
            answer["redriveStatus"] == "REDRIVABLE"
            and (reason := await self._not_redrivable(row)) is not None
        ):
            answer |= {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}
        return answer

    async def _map_run_of(
        self, row: ExecutionRow | Execution, pinned: DefinitionRow
    ) -> dict[str, Any]:
        found = None if row.parent is None else await self.store.map_run_of(*row.parent[:3])
        if found is None:
            return {}
        processor = next(islice(_blocks(json_text.loads(pinned.definition)), row.block, None))
        return {
            "mapRunArn": map_run_shapes.arn(found),
            "label": found.run.bounds.label,
            "definition": json_text.dumps(processor),
        }

    # --- children ---------------------------------------------------------------------------------

    async def _start_child(self, parent: Execution, command: StartChild, program: Program) -> None:
        """Start child `slot` of a Map Run, find the one that an earlier process started (its name
        says which it is), or redrive it.
        """
        await self.worker.room(parent.machine_arn)
        run = derived(
            parent.uuid, "child", command.frame, command.seq
        )  # one prefix: children lie side by side on disk
        name = f"{run}-{command.slot}"
        machine_arn = f"{parent.machine_arn}/{command.label}"
        arn = arns.execution_arn(machine_arn, name)
        found = await self.store.describe(arn)
        if found is None and (command.again or command.round):  # named as 0.1 did before
            found = await self.store.describe(
                arns.execution_arn(machine_arn, _old_name(parent, command))
            )
        if found is not None:
            return await self._go_on(found, parent.id, command)
        family = (parent.id, command.frame, command.seq, command.slot)
        if not self.worker.awaited(family, command.round):
            return None  # given up meanwhile
        extras: dict[str, Json] = {} if command.items == 1 else {"items": command.items}
        if command.round:
            extras["round"] = command.round
        spec = self.worker.live[parent.id].x.frames[command.frame].state.map
        if spec is not None and spec.transformation == "NONE":
            extras["whole"] = True
        if "logging" in parent.extras:
            extras["logging"] = parent.extras["logging"]
        now = self.clock.now()
        child = Execution(
            id=self.store.next_id(),
            uuid=self._new_uuid().replace("-", ""),
            arn=arn,
            name=name,
            machine_arn=machine_arn,
            machine_name=f"{parent.machine_name}/{command.label}",
            role_arn=parent.role_arn,
            express=False,
            input=command.payload,
            started=now,
            deadline=self._child_deadline(command),
            parent=family,
            definition=parent.definition,
            block=command.block.index,
            extras=extras,
        )
        try:
            await self._begin(child, program)
        except EngineError as error:
            if isinstance(error, StoreError):
                # else the child is parked, as the log tells: its Map Run waits, and everything else
                # goes on
                raise

    def _child_deadline(self, command: StartChild) -> int:
        return (
            self.clock.now()
            + (self.limits.express_seconds if command.express else self.limits.standard_seconds)
            * 1000
        )

    async def _go_on(self, found: ExecutionRow, parent: int, command: StartChild) -> None:
        """A child that was started before: it runs, has ended, or ended in an earlier round and is
        redriven now.
        """
        if found.status == model.RUNNING:
            live = await self.worker.load(
                found.id
            )  # if it runs since an earlier round, this stops it, and its end brings us here again
            if live is not None:
                self.worker.settle(live)  # it may have closed since it was found
            return
        if (
            found.status != model.SUCCEEDED
            and found.extras.get("round", 0) != command.round
            and not self.retention.deletes(found)
        ):
            live = await self.worker.load(found.id)
            if live is not None and found.parent is not None:
                if self.worker.awaited(found.parent, command.round):
                    event = Redrive(
                        self._child_deadline(command), {"round": command.round}, command.express
                    )
                    self.worker.submit(live, event)
                else:
                    self.worker.settle(live)
                return
        output = shapes.result_of_child(found)
        self.worker.send(
            parent,
            ChildClosed(
                command.frame, command.seq, command.slot, found.status, output, command.round
            ),
        )


def _old_name(parent: Execution, command: StartChild) -> str:
    """It showed the uuid that task tokens are made from: kept for Map Runs that began with such
    names.
    """
    return f"{parent.uuid}-{command.frame}-{command.seq}-{command.slot}"


def _status(child: ExecutionRow | Execution, row: MapRunRow) -> str:
    """A child's status as its Map Run sees it: one that failed in an earlier round waits for its
    redrive.
    """
    waits = (
        child.status in _FELL
        and row.run.status == model.RUNNING
        and child.extras.get("round", 0) != row.run.bounds.round
    )
    return PENDING_REDRIVE if waits else child.status


def _blocks(block: Any) -> Iterator[Any]:
    """The blocks of a definition in the order of their numbers, which is that of asl.program."""
    yield block
    for state in block["States"].values():
        processors = [state[name] for name in ("ItemProcessor", "Iterator") if name in state]
        for inner in (*state.get("Branches", ()), *processors):
            yield from _blocks(inner)
