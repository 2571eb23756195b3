"""Express children that never wait: many run one after the other from start to end, and leave
nothing but their results, which their Map Run gets in one event.

    StartChild --queue--> decide() to the end --up to child_reports--> ChildrenClosed

A child that fails, waits or computes for long is started as an execution of its own, as if it had
not been tried. After a crash, those whose results are not stored run again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from stepwell.asl.evaluation import InlineBudgetError
from stepwell.asl.program import CHOICE, FAIL, MAP, PARALLEL, PASS, SUCCEED, Block, Program
from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import ChildrenClosed, Start, StartChild
from stepwell.engine.core.model import Payload
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs.child_reports import report_of
from stepwell.engine.map_runs.family import Family
from stepwell.engine.map_runs.inputs import Inputs
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import Unit

log: Final = logging.getLogger("stepwell.worker")

MapRunKey: TypeAlias = tuple[int, int, int]
"""execution id, frame, seq"""

_QUICK: Final = (PASS, CHOICE, SUCCEED, FAIL, PARALLEL, MAP)


def never_waits(block: Block) -> bool:
    """Whether nothing in a block, and in those inside of it, waits other than to retry."""
    return all(
        state.type in _QUICK
        and all(never_waits(branch) for branch in state.branches)
        and (state.map is None or never_waits(state.map.block))
        for state in block.states.values()
    )


class ExpressChildren:
    """begin  starts a child as an execution of its own"""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        new_uuid: Callable[[], str],
        worker: Worker,
        inputs: Inputs,
        begin: Callable[[Live, StartChild], None],
    ) -> None:
        self._clock, self._limits, self._new_uuid = clock, limits, new_uuid
        self._worker, self._inputs, self._begin = worker, inputs, begin
        self._queues: dict[MapRunKey, deque[StartChild]] = {}

    def start(self, live: Live, command: StartChild) -> bool:
        """Whether the child runs here: nothing in it waits."""
        key = (live.x.id, command.frame, command.seq)
        queue = self._queues.get(key)
        if queue is None:
            if not never_waits(command.block):
                return False
            queue = self._queues[key] = deque()
            self._worker.spawn(self._run(key, live, queue))
        queue.append(command)
        return True

    async def _run(self, key: MapRunKey, live: Live, queue: deque[StartChild]) -> None:
        """Run the children of a Map Run until none is left."""
        awaited = self._worker.executions.awaited
        try:
            while queue:
                await self._worker.room(live.x.machine_arn)
                if awaited((*key, queue[0].slot), queue[0].round):
                    await self._report(live, queue)
                else:
                    queue.popleft()  # the Map Run, or its round, has ended
        finally:
            del self._queues[key]

    async def _report(self, live: Live, queue: deque[StartChild]) -> None:
        """Run the next children of one round, and report those that succeeded."""
        family, elapsed, most = (
            Family(live.x, queue[0], self._limits),
            self._clock.elapsed,
            self._limits.child_reports,
        )
        closed: list[Unit] = []
        while queue and queue[0].round == family.round and len(closed) < most:
            payload = await self._inputs.read(live, queue[0])
            if payload is None:
                queue.clear()
            until = elapsed() + self._limits.unit_seconds
            while payload is not None and len(closed) < most:
                command = queue.popleft()
                unit = self._child(family, command, payload, live)
                if unit is None:
                    self._begin(live, command)
                else:
                    closed.append(unit)
                if not queue or queue[0].round != family.round or elapsed() >= until:
                    break
                payload = self._inputs.known(live, queue[0])
            await asyncio.sleep(0)  # others have their turn
        if closed:
            self._submit(live, closed)

    def _child(
        self, family: Family, command: StartChild, payload: Payload, live: Live
    ) -> Unit | None:
        """Run a child from start to end; None: it does not succeed, or not at once."""
        worker, now = self._worker, self._clock.now()
        x = family.child(0, self._new_uuid(), command, payload, now)
        try:
            decision = decide(
                live.program,
                x,
                Start(),
                now,
                self._limits,
                False,
                worker.activities.known,
                self._clock.elapsed,
            )
        except InlineBudgetError:
            return None
        except Exception:  # as an execution, it is parked
            log.exception("child %s cannot run", x.arn)
            return None
        if decision.execution.status != model.SUCCEEDED:
            return None
        return Unit(decision.execution, decision.first, decision.history, now, created=True)

    def _submit(self, live: Live, closed: list[Unit]) -> None:
        reports = [report_of(unit.execution) for unit in closed]
        durable = asyncio.get_running_loop().create_future()
        durable.add_done_callback(partial(self._ended, live.program, closed))
        event = ChildrenClosed(reports[0].frame, reports[0].seq, reports)
        self._worker.submit(live, event, durable)

    def _ended(self, program: Program, closed: list[Unit], durable: asyncio.Future[None]) -> None:
        if durable.cancelled() or durable.exception() is not None:
            return
        counts = self._worker.counts
        counts.started += len(closed)
        counts.ended[model.SUCCEEDED] += len(closed)
        for unit in closed:
            counts.transitions += unit.execution.transitions
            if "logging" in unit.execution.extras or self._worker.attempts.context is not None:
                self._worker.on_commit(Live(unit.execution, program), unit)
