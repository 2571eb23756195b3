"""Executions that cannot go on: what is stored of them cannot be read, compiled, decided upon or
encoded.

Such an execution stands still as it is on the disk, with a mark in the database that tells why;
everything else goes on. Each process tries again once, so one that can read it (a version without
the bug, a repaired row) resumes it. Or it is stopped: abort() works whatever can be read.
DescribeExecution says RUNNING, as AWS knows nothing else; `executions show`, the console, the log
and a metric tell more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from stepwell.asl.program import Program
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import CancelTask, Decision, Stop
from stepwell.engine.core.model import Execution, MapRun, Payload
from stepwell.engine.errors import ExecutionParked
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.orphans import end_children
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.blobs import scrub

if TYPE_CHECKING:
    from stepwell.engine.runtime.worker import Worker

log: Final = logging.getLogger("stepwell.worker")

_NO_PROGRAM: Final = cast(Program, None)  # of what is aborted nothing is run any more


class Parking:
    """found: the parked executions that this process has met, by id"""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.found: dict[int, ExecutionParked] = {}
        self._marked: set[int] = set()  # in the database, by an earlier process too

    async def open(self) -> None:
        self._marked = {execution_id for execution_id, _, _ in await self._worker.store.parked()}

    def __len__(self) -> int:
        """How many there are, as far as is known."""
        return len(self._marked | self.found.keys())

    def park(self, execution_id: int, error: Exception, name: str = "") -> ExecutionParked:
        """Let it stand still. `name`: its ARN, if that is known."""
        worker = self._worker
        name = name or f"number {execution_id}"
        log.error(
            "execution %s is parked: %r; everything else goes on", name, error, exc_info=error
        )
        parked = self.found[execution_id] = ExecutionParked(
            f"execution {name} is parked: {error!r}"
        )
        parked.__cause__ = error
        self._marked.add(execution_id)
        worker._spawn(worker.store.park(execution_id, worker.clock.now(), scrub(repr(error)) or ""))
        worker.on_failure(parked, execution_id)
        return parked

    def check(self, execution_id: int) -> None:
        """Raises ExecutionParked if this process has tried in vain."""
        parked = self.found.get(execution_id)
        if parked is not None:
            raise parked.with_traceback(None)

    def goes_on(self, execution_id: int) -> None:
        """It was read, or it has closed."""
        self.found.pop(execution_id, None)
        if execution_id in self._marked:
            self._marked.discard(execution_id)
            self._worker._spawn(self._worker.store.unpark(execution_id))

    async def abort(self, row: ExecutionRow | Execution, stop: Stop) -> None:
        """Close a parked execution: durable when this returns. Redrivable, if its frames can be
        read.
        """
        worker = self._worker
        known = worker.live.get(row.id)
        running = [
            each.run
            for each in await worker.store.map_runs(row.id)
            if each.run.status == model.RUNNING
        ]
        live = worker.live.get(row.id) or worker.adopt(_without_frames(row), _NO_PROGRAM)
        if known is not live and known is not None:
            return  # somebody else was faster
        parked = live.broken = (
            live.broken
            or self.found.get(row.id)
            or ExecutionParked(f"execution {row.arn} is parked")
        )
        if live.x.status != model.RUNNING:
            return
        decision = self._last(live, stop, running)
        live.backlog = live.patience = None
        live.more = False
        done = asyncio.get_running_loop().create_future()
        worker.close_parked(live, decision, done)
        await done
        log.warning(
            "execution %s was stopped; it was parked: %s", row.arn, parked.__cause__ or parked
        )
        self.goes_on(row.id)
        for run in running:
            worker._spawn(end_children(worker, row.id, run.frame, run.seq))

    def _last(self, live: Live, stop: Stop, runs: list[MapRun]) -> Decision:
        """What ends it: as any stop does, or, if that cannot be decided, one event."""
        now, limits = self._worker.clock.now(), self._worker.limits
        if live.program is not _NO_PROGRAM:
            try:
                return decide(live.program, live.x, stop, now, limits, False)
            except Exception:
                log.exception("execution %s cannot be stopped in order", live.x.arn)
        commands = [CancelTask(frame.id, frame.seq) for frame in live.x.frames.values()]
        bare = model.copy_execution(live.x)
        bare.frames, bare.index, bare.surveyed = {}, None, None
        ended = [run._replace(status=model.ABORTED, stopped=now) for run in runs]
        return decide(_NO_PROGRAM, bare, stop, now, limits, False)._replace(
            commands=[*commands], map_runs=ended
        )


def _without_frames(row: ExecutionRow | Execution) -> Execution:
    """What its row tells, which is enough for its last event."""
    if isinstance(row, Execution):
        return row
    return Execution(
        *(
            row.id,
            row.uuid,
            row.arn,
            row.name,
            row.machine_arn,
            row.machine_name,
            row.role_arn,
            row.express,
        ),
        input=Payload({}),  # not stored again
        started=row.started,
        deadline=None,
        events=max(1, row.events),
        parent=row.parent,
        definition=row.definition,
        block=row.block,
        extras=dict(row.extras),
    )
