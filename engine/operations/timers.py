"""Operations on time, which AWS does not have: FireTimer, AdvanceTime."""

from __future__ import annotations

import asyncio

from stepwell.asl.timestamps import iso_milliseconds, parse_instant
from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.events import Fire
from stepwell.engine.core.model import Execution, Frame
from stepwell.engine.errors import ApiError, ExecutionParkedError
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.results import AdvanceTimeOutput, FireTimerOutput
from stepwell.engine.runtime.live import Live
from stepwell.engine.virtual_clock.clock import VirtualClock

_INVALID = "ValidationException"


class Timers:
    def __init__(self, base: Base) -> None:
        self._worker, self._tracker, self._limits = base.worker, base.tracker, base.limits
        self._clock = base.clock

    async def fire_timer(
        self,
        execution_arn: str,
        *,
        state_name: str | None = None,
        entered_event_id: int | None = None,
    ) -> FireTimerOutput:
        """End a wait now: that of a Wait state, or the delay before a retry. {"fired":
        [{"stateName", "enteredEventId", "dueDate"}]} once that is durable.

        state_name        needed if several states wait. A state that waits more than once, in
                          iterations of a Map, ends all of its waits
        entered_event_id  only the wait whose StateEntered event has this id

        Raises ApiError ValidationException, ExecutionDoesNotExist.
        """
        arns.kind(execution_arn, "execution")
        live = await self._loaded(execution_arn)
        try:
            frames = _chosen(live.x, state_name, entered_event_id)
        except ApiError:
            self._worker.settle(live)
            raise
        fired = []
        for frame in frames:
            assert frame.due is not None
            done = asyncio.get_running_loop().create_future()
            self._worker.submit(live, Fire(frame.id, frame.due), done)
            fired.append((frame, frame.due, done))
        await asyncio.gather(*(done for _, _, done in fired))
        return {
            "fired": [
                {
                    "stateName": frame.state.name,
                    "enteredEventId": frame.entered,
                    "dueDate": due / 1000,
                }
                for frame, due, _ in fired
            ]
        }

    async def _loaded(self, arn: str) -> Live:
        self._worker.check()
        row = await self._tracker.row(arn)
        if row.status == model.RUNNING:
            try:
                live = await self._worker.load(row.id)
            except ExecutionParkedError as error:
                text = messages.FIRE_PARKED.format(reason=error)
                raise ApiError(_INVALID, text) from None
            if live is not None and live.x.status == model.RUNNING:
                return live
            row = await self._tracker.row(arn)
        raise ApiError(_INVALID, messages.FIRE_CLOSED.format(status=row.status))

    async def advance_time(
        self, *, seconds: float | None = None, until: str | None = None
    ) -> AdvanceTimeOutput:
        """Skip so many seconds, or to a time in the form of a Timestamp: {"now"} once all that was
        due is done. Timeouts of tasks that wait for a worker fire on the way; running tasks end
        first. Raises ApiError ValidationException without a virtual clock.
        """
        clock = self._clock
        if not isinstance(clock, VirtualClock):
            raise ApiError(_INVALID, messages.TIME_REAL)
        if (seconds is None) == (until is None):
            raise ApiError(_INVALID, messages.TIME_ONE)
        most = self._limits.skip_most_seconds
        if until is not None:
            instant = parse_instant(until)
            if instant is None:
                raise ApiError(_INVALID, messages.TIME_FORMAT)
            seconds = instant / 1e9 - clock.now() / 1000
            if seconds < 0:
                now = iso_milliseconds(clock.now() / 1000)
                raise ApiError(_INVALID, messages.TIME_PAST.format(now=now))
        assert seconds is not None
        if not 0 <= seconds <= most:
            raise ApiError(_INVALID, messages.TIME_SECONDS.format(most=most))
        await clock.advance(clock.now() + round(seconds * 1000))
        return {"now": clock.now() / 1000}


def _chosen(x: Execution, state: str | None, entered: int | None) -> list[Frame]:
    """The frames whose waits end. Raises ApiError."""
    waiting = [frame for frame in x.frames.values() if frame.phase in model.SLEEPING]
    names = sorted({frame.state.name for frame in waiting})
    if not names:
        raise ApiError(_INVALID, messages.FIRE_NOTHING)
    chosen = [
        frame
        for frame in waiting
        if state in (None, frame.state.name) and entered in (None, frame.entered)
    ]
    if not chosen:
        named = entered if state is None else state
        raise ApiError(_INVALID, messages.FIRE_STATE.format(state=named, states=", ".join(names)))
    if state is None and entered is None and len(names) > 1:
        raise ApiError(_INVALID, messages.FIRE_WHICH.format(states=", ".join(names)))
    return chosen
