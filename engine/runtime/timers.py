"""The deadlines of the next window: a heap, and one alarm of the clock for the earliest of them.
Farther ones are on disk only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from stepwell.engine.clock import Alarm, Clock
from stepwell.engine.limits import Limits


class Timers:
    """Calls due(execution id) at the time that was set for it, or somewhat later; at most
    `timer_page` of them before others have a turn.

    free  how many may be due now: what follows from them has to be loaded and committed. If none,
          feed() goes on when that changes
    at    execution id -> ms: its earliest entry of the heap. An entry that differs is out of date.
    """

    def __init__(
        self, clock: Clock, limits: Limits, due: Callable[[int], None], free: Callable[[], int]
    ) -> None:
        self.at: dict[int, int] = {}
        self._clock, self._limits, self._due, self._free = clock, limits, due, free
        self._held = False  # until there is room again
        self._heap: list[tuple[int, int]] = []
        self._alarm: Alarm | None = None
        self._alarm_at: int | None = None
        self._closed = False

    def set(self, at: int, execution_id: int) -> None:
        """Look at an execution at that time, or earlier if that was asked for before."""
        known = self.at.get(execution_id)
        if known is None or at < known:
            self.at[execution_id] = at
            heapq.heappush(self._heap, (at, execution_id))
            self._arm()

    def drop(self, execution_id: int) -> None:
        self.at.pop(execution_id, None)

    def close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()

    def _arm(self) -> None:
        if (
            self._closed
            or self._held
            or not self._heap
            or (self._alarm_at is not None and self._alarm_at <= self._heap[0][0])
        ):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._heap[0][0]
        self._alarm = self._clock.call_at(self._alarm_at, self._ring)

    def feed(self) -> None:
        """There may be room again."""
        if self._held and self._free() > 0:
            self._held = False
            self._arm()

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        now, room = self._clock.now(), self._free()
        self._held = room <= 0
        for _ in range(min(self._limits.timer_page, room)):
            if not self._heap or self._heap[0][0] > now:
                break
            at, execution_id = heapq.heappop(self._heap)
            if self.at.get(execution_id) == at:
                del self.at[execution_id]
                self._due(execution_id)
        self._arm()
