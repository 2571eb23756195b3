"""The simulation finds what it is there to find: each of these bugs, planted into the real engine, shows within a few seeds."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation import worlds
from tests.simulation.workloads import WORKLOADS

from stepwell.engine import activities, runtime, worker
from stepwell.engine.clock import SystemClock
from stepwell.engine.core import map_run
from stepwell.engine.core.decide import Run
from stepwell.engine.core.model import Frame, Phase
from stepwell.engine.live import Live
from stepwell.engine.worker import Worker

SEEDS = 20
Plant = Callable[[], AbstractContextManager[Any]]


class PublishBeforeCommit(Worker):
    async def _write(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake_writer.clear()
                await self._wake_writer.wait()
            batch, self._queue = self._queue, type(self._queue)()
            for each in batch:
                self._publish(*each)
            self._room.set()
            try:
                await self.store.commit([unit for _, unit, _, _ in batch if unit is not None])
            except BaseException as error:
                self.fail(error)
                raise


class AnswerBeforeCommit(Worker):
    def submit(self, live: Live, event: Any, answer: asyncio.Future[None] | None = None) -> None:
        super().submit(live, event)
        worker._resolve(answer)


class AnswerFromMemory(Worker):
    """Who finds his work done is told so at once, though what did it may not be durable yet."""

    def _accept(self, live: Live, decision: Any, now: int, answer: asyncio.Future[None] | None, also: Any = None) -> None:
        stale = not decision.history
        super()._accept(live, decision, now, None if stale else answer, also)
        if stale:
            worker._resolve(answer)


class NoWindowScan(Worker):
    async def _scan_window(self) -> None: ...


class NoTimeLimitsAfterRecovery(Worker):
    def _resume(self, live: Live) -> None:
        settle, self.settle = self.settle, lambda live: None  # type: ignore[method-assign]
        super()._resume(live)
        self.settle = settle  # type: ignore[method-assign]

    async def _scan_window(self) -> None:
        horizon = self.clock.now() + int(self.limits.timer_window_seconds * 1000)
        for wake, execution_id in await self.store.waking(horizon, limit=10_000):
            self.timers.set(wake, execution_id)
        self._window_alarm = self.clock.call_at(self.clock.now() + 5_000, lambda: self._spawn(self._scan_window()))


class ChildrenGoOn(Worker):
    def _cancel(self, live: Live, command: Any) -> None: ...


class OrphansGoOn(Worker):
    def awaited(self, parent: Any, round: object) -> bool:
        return True


class WorksOnAfterClose(Worker):
    def _carry_out(self, live: Live, command: Any) -> None:
        closing, self._closing = self._closing, False
        super()._carry_out(live, command)
        self._closing = closing


def _any_attempt(run: Run, frame_id: int, seq: int, *phases: Phase) -> Frame | None:
    frame = run.x.frames.get(frame_id)
    return run.touch(frame_id) if frame is not None and frame.phase in phases else None


def _as(kind: type[Worker]) -> Plant:
    return lambda: patch.object(runtime, "Worker", kind)


TASKS = ("callback", "timeouts", "stopped")
RUNS = ("map run", "map run stopped", "map run out of time")
PLANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "publish before commit": (_as(PublishBeforeCommit), ()),
    "answer before commit": (_as(AnswerBeforeCommit), ()),
    "answer from memory": (_as(AnswerFromMemory), TASKS),
    "no seq check": (lambda: patch.object(Run, "current", _any_attempt), ()),
    "no timer-window scan": (_as(NoWindowScan), ()),
    "no time limits after recovery": (_as(NoTimeLimitsAfterRecovery), ()),
    "effects are not sent again": (lambda: patch.object(worker, "recover", lambda program, execution: []), ()),
    "children are not sent again": (lambda: patch.object(map_run, "commands", lambda execution, frame: []), RUNS),
    "time goes back": (lambda: patch.object(SystemClock, "raise_to", lambda self, ms: None), ()),
    "children go on after their Map Run": (_as(ChildrenGoOn), RUNS),
    "orphans go on after a crash": (_as(OrphansGoOn), RUNS[1:]),
    "work begins after close": (_as(WorksOnAfterClose), ()),
    "a poller is not told of the end": (lambda: patch.object(activities.Activities, "fail", lambda self, error: None), ("activity",)),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted_bug_is_found(name: str) -> None:
    for workload in WORKLOADS:
        worlds.expected(workload)  # from the sound engine
    plant, among = PLANTS[name]
    with plant():
        found = next(filter(None, (worlds.faults(seed, among) for seed in range(SEEDS))), [])
    assert found, f"{SEEDS} seeds do not show it"
    assert "does not open" not in found[0], "the plant itself is broken"
