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
from stepwell.engine.core.events import ChildClosed, ChildrenClosed, Start, StartChild
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


class _Ended:
    """Children that succeeded and are reported together.

    watched  the units of those whose history is logged or traced
    """

    def __init__(self) -> None:
        self.reports: list[ChildClosed] = []
        self.watched: list[Unit] = []
        self.transitions = self._bytes = 0

    def add(self, unit: Unit, watched: bool) -> None:
        report = report_of(unit.execution)
        self.reports.append(report)
        self.transitions += unit.execution.transitions
        self._bytes += 0 if report.output is None else len(report.output.data)
        if watched:
            self.watched.append(unit)

    def full(self, limits: Limits) -> bool:
        return len(self.reports) >= limits.child_reports or self._bytes >= limits.chunk_bytes


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
        family, elapsed, limits = (
            Family(live.x, queue[0], self._limits),
            self._clock.elapsed,
            self._limits,
        )
        ended = _Ended()
        while queue and queue[0].round == family.round and not ended.full(limits):
            payload = await self._inputs.read(live, queue[0])
            if payload is None:
                queue.clear()
            until = elapsed() + limits.unit_seconds
            while payload is not None and not ended.full(limits):
                command = queue.popleft()
                unit = self._child(family, command, payload, live)
                if unit is None:
                    self._begin(live, command)
                else:
                    ended.add(unit, self._watched(unit))
                if not queue or queue[0].round != family.round or elapsed() >= until:
                    break
                payload = self._inputs.known(live, queue[0])
            await asyncio.sleep(0)  # others have their turn
        if ended.reports:
            self._submit(live, ended)

    def _watched(self, unit: Unit) -> bool:
        """Whether its history is logged or traced when it is durable."""
        return "logging" in unit.execution.extras or self._worker.attempts.context is not None

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

    def _submit(self, live: Live, ended: _Ended) -> None:
        durable = asyncio.get_running_loop().create_future()
        durable.add_done_callback(partial(self._durable, live.program, ended))
        frame, seq = ended.reports[0][:2]
        self._worker.submit(live, ChildrenClosed(frame, seq, ended.reports), durable)

    def _durable(self, program: Program, ended: _Ended, durable: asyncio.Future[None]) -> None:
        if durable.cancelled() or durable.exception() is not None:
            return
        counts = self._worker.counts
        counts.started += len(ended.reports)
        counts.ended[model.SUCCEEDED] += len(ended.reports)
        counts.transitions += ended.transitions
        for unit in ended.watched:
            self._worker.on_commit(Live(unit.execution, program), unit)
