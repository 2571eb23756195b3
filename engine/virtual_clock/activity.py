"""What an engine does, for a clock that skips the time in which it does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from stepwell.engine.core import model
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker


class WorkerActivity:
    """See clock.Activity.

    inside  short work of other parts, such as deliveries, that does not wait for time
    probes  whether other parts work in real time
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._transitions = 0  # at the last look: an Express execution proceeds without commits
        self._held = set[asyncio.Future[None]]()
        self.inside: list[Collection[asyncio.Future[Any]]] = [self._held]
        self.probes: list[Callable[[], bool]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Time is not skipped meanwhile: around the start of an execution by a task, which takes
        none, however slow the machine is.
        """
        done = asyncio.get_running_loop().create_future()
        self._held.add(done)
        try:
            yield
        finally:
            self._held.discard(done)
            done.set_result(None)

    def working(self) -> asyncio.Future[Any] | bool:
        worker, before = self._worker, self._transitions
        self._transitions = worker.counts.transitions
        if self._transitions != before:
            return True
        if worker.life.background:
            return next(iter(worker.life.background))
        if worker.writer.busy or worker.executions.loading:
            return True
        inside = next((each for part in self.inside for each in part), None)
        return inside if inside is not None and not self.outside() else False

    def attempts(self) -> Collection[asyncio.Future[Any]]:
        effects = self._worker.effects
        return effects.running if effects.working else ()

    def outside(self) -> bool:
        return any(probe() for probe in self.probes)

    def next(self) -> tuple[int, object] | None:
        due = self._worker.wakes.next()
        if due is None:
            return None
        at, live = due
        return at, None if live is None else _outside(live)


def _outside(live: Live) -> object:
    """What an outside worker may still answer before the next deadline of an execution passes: a
    task of an activity or a callback whose time limit, or that of the execution, is next.
    """
    x = live.x
    due = x.wake_at()
    for frame in x.frames.values():
        if frame.phase != model.Phase.TASK or (frame.id, frame.seq) in live.effects:
            continue
        if x.deadline == due or due in (frame.due, frame.heartbeat_due):
            return x.id, frame.id, frame.seq, due
    return None
