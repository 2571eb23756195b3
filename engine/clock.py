"""Time for the worker: epoch milliseconds that never go back, and one-shot alarms. The core never sees this; it is handed `now`."""

import asyncio
import heapq
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

LONGEST_SLEEP_MS = 60_000  # look again at least this often: the wall clock may have jumped, or the machine slept


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> int:
        """Epoch ms, never less than any value given before."""

    def raise_to(self, ms: int) -> None:
        """Never give less than this from now on: the high-water mark of an earlier process."""

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        """Call once, at that time or somewhat later, from the event loop."""


class SystemClock:
    """The wall clock, held at its high-water mark while it is set back. A jump forward is honoured."""

    def __init__(self) -> None:
        self._high = 0

    def now(self) -> int:
        self._high = max(self._high, time.time_ns() // 1_000_000)
        return self._high

    def raise_to(self, ms: int) -> None:
        self._high = max(self._high, ms)

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        delay = min(ms - self.now(), LONGEST_SLEEP_MS)
        return asyncio.get_running_loop().call_later(max(delay, 0) / 1000, call)


class ManualClock:
    """A clock that moves only when told to: a year passes in a millisecond."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now = start_ms
        self._alarms: list[tuple[int, int, _ManualAlarm]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    def raise_to(self, ms: int) -> None:
        self._now = max(self._now, ms)

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        alarm = _ManualAlarm(call)
        self._count += 1
        heapq.heappush(self._alarms, (ms, self._count, alarm))
        return alarm

    def next_alarm(self) -> int | None:
        """When the earliest alarm is due, ms."""
        while self._alarms and self._alarms[0][2].call is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def advance(self, ms: int) -> None:
        """Move on by `ms` and ring what is due by then. Call it from the event loop, and let the loop run afterwards."""
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
    """By that clock. An alarm may ring early, when the system's clock is looked at again."""
    while clock.now() < ms:
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = clock.call_at(ms, partial(_ring, rung))
        try:
            await rung
        finally:
            alarm.cancel()


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)
