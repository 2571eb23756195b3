"""The run of one state: from its entry to its end, or to the retry that would follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from time import thread_time
from typing import Final

from stepwell.asl.evaluation import InlineBudgetError, Json
from stepwell.asl.meter import Cancellation
from stepwell.asl.program import Program
from stepwell.engine import messages
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import (
    ChildrenMocked,
    Continue,
    Event,
    HistoryEvent,
    RunTask,
    TaskFailed,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.model import Execution, Frame, Payload, Phase
from stepwell.engine.core.probe import Probe
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.base import Base
from stepwell.engine.runtime.effects import perform
from stepwell.engine.runtime.records import Records
from stepwell.engine.tasks import Trace

FRAME: Final = 1  # the id of the frame that the state runs in


@dataclass(frozen=True, slots=True)
class Mock:
    """The replacement of the state's work: a result, or else a failure.

    failures  iterations of a Map that failed
    """

    result: Payload | None
    error: str | None = None
    cause: str | None = None
    failures: int = 0


class _Every:
    """All activities: a mock answers for them."""

    def __contains__(self, arn: object) -> bool:
        return True


class StateRun:
    """One state from its entry to its end, or to the retry that would follow."""

    def __init__(
        self,
        base: Base,
        records: Records,
        program: Program,
        probe: Probe,
        x: Execution,
        mock: Mock | None,
        trace: Trace | None,
    ) -> None:
        self.clock, self.limits, self.tasks, self.records = (
            base.clock,
            base.limits,
            base.tasks,
            records,
        )
        self.program, self.probe, self.x, self.mock, self.trace = program, probe, x, mock, trace
        self.result = None if mock is None else mock.result
        self.before = x.frames[FRAME].scope.payloads
        self.history: list[HistoryEvent] = []
        self.failure: tuple[str | None, str | None] | None = None
        self.effect: asyncio.Task[Event] | None = None
        self.now = x.started

    @property
    def frame(self) -> Frame | None:
        return self.x.frames.get(FRAME)

    async def run(self) -> None:
        try:
            event: Event | None = Continue()
            while event is not None:
                await self._decide(event)
                event = await self._next()
        finally:
            if self.effect is not None:
                self.effect.cancel()
                await asyncio.gather(self.effect, return_exceptions=True)

    async def _decide(self, event: Event) -> None:
        self.now = self.clock.now()
        step = partial(
            decide, self.program, self.x, event, self.now, self.limits, activities=_Every()
        )
        cancellation = Cancellation(thread_time)
        try:
            decision = step(in_thread=False, time=self.clock.elapsed)
        except InlineBudgetError:
            try:
                decision = await asyncio.to_thread(step, in_thread=cancellation)
            finally:
                cancellation.cancelled = True  # it has ended, or the caller was cancelled
        self.x = decision.execution
        self.history += decision.history
        self.failure = decision.failure or self.failure
        for command in decision.commands:
            if isinstance(command, RunTask) and self.mock is None:
                self.effect = asyncio.create_task(
                    perform(self.tasks, self.x, command, _submitted, self.trace)
                )

    async def _next(self) -> Event | None:
        """The next event of the state; None: it has ended, or waits for a retry."""
        frame = self.frame
        if frame is None or frame.phase == Phase.RETRY:
            return None
        if self.mock is not None:
            return self._mocked(frame, self.mock)
        time, due = asyncio.Event(), self.x.wake_at()
        assert due is not None
        alarm, waiting = self.clock.call_at(due, time.set), asyncio.ensure_future(time.wait())
        try:
            await asyncio.wait(
                [waiting] if self.effect is None else [waiting, self.effect],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            alarm.cancel()
            waiting.cancel()
        if self.effect is None or not self.effect.done():
            return Tick()
        event, self.effect = self.effect.result(), None
        also = getattr(event, "also", None)
        if also is not None and also.writes:  # the writes of a task under test are real
            await self.records.write(also.writes, also.then)
        return self._noted(event)

    def _noted(self, event: Event) -> Event:
        if isinstance(event, TaskSucceeded):
            self.result = event.output
            self.probe.seen["result"] = event.output.value
        return event

    def _mocked(self, frame: Frame, mock: Mock) -> Event:
        """The event by which the mock replaces the state's work."""
        output = mock.result
        if frame.phase != Phase.TASK:
            if frame.state.map is not None and _too_many(frame, mock.failures):
                raise ApiError("ValidationException", messages.ITERATION_FAILURES)
            return ChildrenMocked(FRAME, frame.seq, output, mock.error, mock.cause, mock.failures)
        if output is None:
            return TaskFailed(FRAME, frame.seq, mock.error, mock.cause)
        return self._noted(TaskSucceeded(FRAME, frame.seq, output))


def _too_many(frame: Frame, failures: int) -> bool:
    """Whether more iterations fail than there are. How many an ItemReader finds is not known
    without its data.
    """
    assert frame.state.map is not None
    items = frame.running_children.items
    read = frame.state.map.reader is not None and not items
    return not read and failures > len(items)


async def _submitted(answer: Json) -> None:
    """The answer of a call that starts a job: TestState waits for no job."""
