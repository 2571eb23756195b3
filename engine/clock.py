"""Time for the worker: epoch milliseconds that never go back, and one-shot alarms. The core has no
clock: `now` is an argument.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from stepwell.engine.limits import DEFAULT_LIMITS, Limits

log: Final = logging.getLogger("stepwell.clock")

# an alarm reads the clock at least this often: the wall clock may have jumped, or the machine slept
LONGEST_SLEEP_MS = 10_000
_SAME_JUMP_NS: Final = 1_000_000_000  # readings of one jump differ by less
_SAME_TIME_NS: Final = 1_000_000  # the clocks are read in turn, and now() returns whole ms


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> int:
        """Epoch ms, never less than any earlier result."""

    def wall(self) -> int:
        """Epoch ms by the machine's clock, which may go back: to compare with the clocks of other
        machines (signatures).
        """

    def elapsed(self) -> float:
        """Seconds of real time since an arbitrary moment, to measure how long the event loop is
        held.
        """

    def raise_to(self, ms: int) -> None:
        """now() returns at least this from now on: the high-water mark of an earlier process.
        Called before the first use.
        """

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        """Call once, at that time or somewhat later, from the event loop."""

    def call_client_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        """The same for the end of a client's long poll: a clock that skips time does not skip what
        a client waits for.
        """


class SystemClock:
    """Engine time = max(high-water mark + monotonic time elapsed, wall clock).

    A wall clock that was set back is ignored: time advances at the pace of the monotonic clock. A
    jump forward of more than `clock_jump_seconds` is accepted only after it has lasted for
    `clock_hold_seconds`: otherwise one wrong reading would be committed as the high-water mark and
    fire every timer. The monotonic clock stops while a machine is suspended, so a resume looks like
    such a jump and is accepted after that time.
    The first reading of a process is always accepted: nothing says how long no process ran.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._jump_ns = round(limits.clock_jump_seconds * 1e9)
        self._hold_ns = round(limits.clock_hold_seconds * 1e9)
        self._offset: int | None = None  # ns: engine time - monotonic time; it only grows
        # ns: how far ahead of engine time the wall clock was when a jump was first seen; 0: no jump
        self._jump = 0
        self._since = 0  # when that was, in monotonic time

    def now(self) -> int:
        # in this order: a pause between the two must not look like a jump
        wall, monotonic = time.time_ns(), time.monotonic_ns()
        if self._offset is None:
            self._offset = wall - monotonic
        ahead = wall - monotonic - self._offset
        if (ahead >= _SAME_TIME_NS or self._jump) and self._accept(ahead, monotonic):
            self._offset += ahead
        return (monotonic + self._offset) // 1_000_000

    def _accept(self, ahead: int, monotonic: int) -> bool:
        """Whether to follow a wall clock that is ahead."""
        if ahead <= self._jump_ns:
            self._jump = 0
            return ahead > 0
        if abs(ahead - self._jump) > _SAME_JUMP_NS:
            self._jump, self._since = ahead, monotonic
            log.warning(
                (
                    "the machine's clock jumped forward by %.0f s; timers go on as before unless "
                    "that lasts for %.0f s"
                ),
                ahead / 1e9,
                self._hold_ns / 1e9,
            )
        if monotonic - self._since < self._hold_ns:
            return False
        log.warning(
            "the machine's clock stays %.0f s ahead: believed, timers follow it", ahead / 1e9
        )
        self._jump = 0
        return True

    def wall(self) -> int:
        return time.time_ns() // 1_000_000

    def elapsed(self) -> float:
        return time.monotonic_ns() / 1e9

    def raise_to(self, ms: int) -> None:
        behind = ms - self.now()
        if behind > 0 and self._offset is not None:
            self._offset += behind * 1_000_000
        if behind * 1_000_000 > self._jump_ns:
            log.warning(
                "the database is %.0f s ahead of the machine's clock: time continues from there",
                behind / 1000,
            )

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        delay = min(ms - self.now(), LONGEST_SLEEP_MS)
        return asyncio.get_running_loop().call_later(max(delay, 0) / 1000, call)

    call_client_at = call_at


class ManualClock:
    """A clock that moves only by advance(): a year passes in a millisecond."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now = start_ms
        self._alarms: list[tuple[int, int, _ManualAlarm]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    def wall(self) -> int:
        return self._now

    def elapsed(self) -> float:
        """Always 0, so that tests do not depend on the machine's load."""
        return 0.0

    def raise_to(self, ms: int) -> None:
        self._now = max(self._now, ms)

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        alarm = _ManualAlarm(call)
        self._count += 1
        heapq.heappush(self._alarms, (ms, self._count, alarm))
        return alarm

    call_client_at = call_at

    def next_alarm(self) -> int | None:
        """When the earliest alarm is due, epoch ms; None if there is none."""
        while self._alarms and self._alarms[0][2].call is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def advance(self, ms: int) -> None:
        """Move forward by `ms` and fire the alarms that are due. Call it from the event loop, and
        let the loop run afterwards.
        """
        self._now += ms
        while (due := self.next_alarm()) is not None and due <= self._now:
            alarm = heapq.heappop(self._alarms)[2]
            if alarm.call is not None:
                alarm.call()


class _ManualAlarm:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


async def sleep_until(clock: Clock, ms: int) -> None:
    """Sleep by that clock. An alarm may fire early: SystemClock limits each sleep."""
    while clock.now() < ms:
        fired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = clock.call_at(ms, partial(_fire, fired))
        try:
            await fired
        finally:
            alarm.cancel()


def _fire(fired: asyncio.Future[None]) -> None:
    if not fired.done():
        fired.set_result(None)
