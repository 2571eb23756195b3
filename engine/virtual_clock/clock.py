"""Virtual time: a clock that jumps to the next deadline when nothing but time is waited for.

    working   decisions, commits, loads             time stands still
    attempts  a task runs, in real time             time advances as real time does
    outside   the next deadline is the timeout of   the same, for `outside_seconds`; then it is
              a task that an outside worker may     skipped to
              still answer
    waiting   an execution waits for a time         time jumps to the next alarm, and fires it
    idle      no execution waits                    time advances as real time does: `paced` all
                                                    along, else from one alarm to the next

    working --done--> quiet for ROUNDS rounds of the event loop --> one of the others --> working

A jump is never longer than to the next alarm, so schedules and delays fire on the way. Alarms
fire in the order of their deadlines, then in the order in which they were set, and all that follows
from one deadline is done before the next: the same program has the same histories.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Protocol

from stepwell.engine.clock import Alarm, ManualClock, SystemClock
from stepwell.engine.errors import EngineError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.virtual_clock.pace import Pace

# of the event loop without work: what continues in them was not waiting for time
ROUNDS: Final = 5
SPINS: Final = 50  # after which work is looked at every ms
_POLL_SECONDS: Final = 0.02  # of real time, where nothing announces the end of what is waited for
_FOREVER_SECONDS: Final = 10 * 365 * 24 * 3600


class Activity(Protocol):
    """What an engine does. See activity.py."""

    def working(self) -> asyncio.Future[Any] | bool:
        """Work that is to be done before time moves: something that ends with it, or whether there
        is some.
        """

    def attempts(self) -> Collection[asyncio.Future[Any]]:
        """The attempts of tasks that run, unless all of them wait for other work."""

    def outside(self) -> bool:
        """Whether other work runs in real time, such as a delivery over HTTP."""

    def next(self) -> tuple[int, object] | None:
        """When the next execution is due, ms, and None or what an outside worker may still answer:
        equal for the same task. None: no execution waits for a time.
        """


@lru_cache(maxsize=8)
def _endless(limits: Limits) -> Limits:
    """One object for all engines: what is cached by limits compares them by identity."""
    return replace(
        limits, timer_window_seconds=_FOREVER_SECONDS, retention_seconds=_FOREVER_SECONDS
    )


class VirtualClock:
    """start_ms  None: the time at which it is used first
    paced        whether time advances between two alarms while no execution waits
    outside_seconds  real time for which the timeout of a task that an outside worker may answer is
                 not skipped; None: limits.skip_outside_seconds
    """

    def __init__(
        self,
        start_ms: int | None = None,
        *,
        paced: bool = False,
        outside_seconds: float | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._limits, self._paced = limits, paced
        self._outside_seconds = (
            limits.skip_outside_seconds if outside_seconds is None else outside_seconds
        )
        self._real = SystemClock(limits)
        self._time = ManualClock(self._real.now() if start_ms is None else start_ms)
        self._activity: Activity | None = None
        self._pace: Pace | None = None
        self._quiet = 0  # rounds of the event loop without work
        self._busy_since: float | None = None
        self._spins = 0  # rounds with work
        self._held_until = 0.0  # real time: a client is in the middle of its requests
        self._outside: tuple[object, float] = (None, 0.0)  # what is waited for, and since when
        self._asked: list[tuple[int, asyncio.Future[None]]] = []  # see advance()
        self._seen = set[asyncio.Future[Any]]()  # that call _look() when they end
        self._round: asyncio.Handle | None = None  # the next look
        self._timer: asyncio.TimerHandle | None = None

    # --- the clock --------------------------------------------------------------------------------

    def now(self) -> int:
        return self._time.now() if self._pace is None else self._pace.now()

    def wall(self) -> int:
        return self._real.wall()

    def elapsed(self) -> float:
        return self._real.elapsed()

    def raise_to(self, ms: int) -> None:
        self._time.raise_to(ms)

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        alarm = self._time.call_at(ms, call)
        self.look()
        return alarm

    def call_client_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        seconds = max(0, ms - self.now()) / 1000
        return asyncio.get_running_loop().call_later(seconds, call)

    # --- what it follows --------------------------------------------------------------------------

    def limits(self, limits: Limits) -> Limits:
        """Those of an engine with this clock: all timers are in memory, and nothing is deleted
        while a year passes in a millisecond.
        """
        return _endless(limits)

    def follow(self, activity: Activity) -> None:
        """Skip the time that this engine waits for. Raises EngineError if the clock follows another
        one.
        """
        if self._activity is not None:
            raise EngineError("a VirtualClock serves one engine at a time")
        self._activity = activity
        self.look()

    def leave(self, activity: Activity) -> None:
        """This engine is closing."""
        if self._activity is activity:
            self._activity, self._outside = None, (None, 0.0)
            asked, self._asked = self._asked, []
            for _, done in asked:
                if not done.done():
                    done.set_exception(EngineError("the engine is closed"))
            self._stop()
            self._stand()

    def hold(self) -> None:
        """A client has changed something and may go on: time is not skipped for a moment."""
        self._held_until = self.elapsed() + self._limits.skip_client_seconds

    def release(self) -> None:
        """A client waits: time may be skipped."""
        self._held_until = 0.0
        self.look()

    async def advance(self, until: int) -> None:
        """Skip to that time, ms. Returns when all that was due is done. A client that is in the
        middle, and workers that may still answer, are not waited for. Raises EngineError if the
        engine is closed.
        """
        if self._activity is None:
            raise EngineError("the engine is closed")
        done = asyncio.get_running_loop().create_future()
        self._asked.append((until, done))
        self.look()
        await done

    def look(self) -> None:
        """Something may have changed: find out, soon, what is waited for."""
        self._quiet = 0
        if self._round is None and self._activity is not None:
            self._set(0.0)

    # --- finding out what is waited for -----------------------------------------------------------

    def _set(self, seconds: float) -> None:
        """Look again, now or after some real time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        if seconds > 0:
            self._timer = loop.call_later(seconds, self.look)
        elif self._round is None:
            self._round = loop.call_soon(self._look)

    def _stop(self) -> None:
        for handle in (self._round, self._timer):
            if handle is not None:
                handle.cancel()
        self._round = self._timer = None

    def _when_done(self, future: asyncio.Future[Any]) -> None:
        if future not in self._seen:
            self._seen.add(future)
            future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._seen.discard(future)
        if self._pace is not None and self._pace.ended():
            self._stand()
        self.look()

    def _look(self) -> None:
        self._round = None
        if self._activity is None:
            return
        if self._fire():
            return self.look()
        work = self._activity.working()
        if work:
            self._quiet = 0
            return self._work(work)
        self._busy_since, self._spins = None, 0
        self._quiet += 1
        if self._quiet < ROUNDS:
            return self._set(0.0)
        return self._wait(self._activity)

    def _work(self, work: asyncio.Future[Any] | bool) -> None:
        """Time stands still until it is done; but only so long, as it may never end."""
        real = self.elapsed()
        if self._busy_since is None:
            self._busy_since = real
        left = self._busy_since + self._limits.skip_busy_seconds - real
        if left <= 0:
            return self._real_time(0.0, _POLL_SECONDS)
        if not isinstance(work, bool):
            self._when_done(work)
            return self._set(left)
        self._spins += 1
        return self._set(0.0 if self._spins < SPINS else 0.001)

    def _wait(self, activity: Activity) -> None:
        """Nothing is left to do now."""
        held = self._held_until - self.elapsed()
        if (attempts := activity.attempts()) or activity.outside():
            for each in attempts:
                self._when_done(each)
            return self._real_time(self._limits.skip_instant_seconds, _POLL_SECONDS, attempts)
        if self._asked:
            self._stand()
            return self._advance()
        if held > 0:
            self._stand()
            return self._set(held)
        due = activity.next()
        if due is None:
            return self._real_time(0.0 if self._paced else None, None)
        patience = self._patience(due[1])
        if patience > 0:
            return self._real_time(0.0, patience)
        self._stand()
        at = self._time.next_alarm()
        if at is not None:
            self._time.advance(max(0, at - self._time.now()))
            self.look()
        return None

    def _advance(self) -> None:
        """Towards the earliest time that was asked for."""
        until = min(at for at, _ in self._asked)
        at = self._time.next_alarm()
        now = self._time.now()
        self._time.advance(max(0, (until if at is None else min(at, until)) - now))
        now, asked = self._time.now(), self._asked
        if at is None or at > now:  # nothing is due any more
            self._asked = [each for each in asked if each[0] > now]
            for until, done in asked:
                if until <= now and not done.done():
                    done.set_result(None)
        self.look()

    def _patience(self, outside: object) -> float:
        """Seconds for which an outside worker has time to answer the task that is due next."""
        if outside is None:
            return 0.0
        real = self.elapsed()
        if outside != self._outside[0]:
            self._outside = outside, real
        return self._outside[1] + self._outside_seconds - real

    # --- real time --------------------------------------------------------------------------------

    def _real_time(
        self,
        instant: float | None,
        look_again: float | None,
        attempts: Collection[asyncio.Future[Any]] = (),
    ) -> None:
        """Time advances as real time does, up to the next alarm, or until the next look.

        instant   if less real time than that passes, none has passed; None: between two alarms
                  none passes
        attempts  because of which it does
        """
        pace = self._pace
        if pace is None or pace.instant != instant or pace.over(attempts):
            self._stand()
            pace = self._pace = Pace(self._time.now(), self.elapsed, instant, frozenset(attempts))
        at = self._time.next_alarm()
        if at is not None:
            seconds = pace.seconds_until(at)
            look_again = seconds if look_again is None else min(seconds, look_again)
        if look_again is not None:
            self._set(max(look_again, 0.0005))

    def _stand(self) -> None:
        """Time stands still from here on."""
        if self._pace is not None:
            now, self._pace = self._pace.now(), None
            self._time.raise_to(now)

    def _fire(self) -> bool:
        """Fire the alarms that are due. Whether there were any."""
        at = self._time.next_alarm()
        if at is None:
            return False
        if self._pace is not None and self._pace.seconds_until(at) <= 0:
            self._pace.reach(at)
        now = self.now()
        if at > now:
            return False
        self._time.raise_to(now)
        self._time.advance(0)
        return True
