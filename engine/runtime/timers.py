"""The deadlines of the next window: a heap, and one alarm of the clock for the earliest of them.
Later ones are on disk only, until a scan of the store brings them here.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence

from stepwell.engine.clock import Alarm, Clock
from stepwell.engine.core.events import Event, Tick
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.lifecycle import Lifecycle
from stepwell.engine.runtime.live import Decider, Live
from stepwell.engine.store.base import LOADS_AT_ONCE, Store


class Timers:
    """Calls due(execution id) at the time that was set for it, or somewhat later; at most
    `timer_page` of them before others have a turn.

    free  how many may be due now, as each has to be loaded and committed. After it was less than 1,
          feed() continues
    at    execution id -> ms: its earliest entry of the heap. An entry that differs is out of date.
    moved  called when an execution may have a new deadline: a clock that skips time looks again
    """

    moved: Callable[[], None] | None = None

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
        """Call due() for an execution at that time, or earlier if that was set before."""
        known = self.at.get(execution_id)
        if known is None or at < known:
            self.at[execution_id] = at
            heapq.heappush(self._heap, (at, execution_id))
            self._arm()
            if self.moved is not None:
                self.moved()

    @property
    def earliest(self) -> int | None:
        """ms, in the past if it is due; None: there is none."""
        return self._heap[0][0] if self._heap else None

    def drop(self, execution_id: int) -> None:
        self.at.pop(execution_id, None)

    def first(self) -> tuple[int, int] | None:
        """(ms, execution id) of the earliest entry that is not out of date."""
        heap, old = self._heap, False
        while heap and self.at.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
            old = True
        if old and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = self._alarm_at = None
            self._arm()
        return heap[0] if heap else None

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
        """A transaction was committed: there may be room again."""
        if self.moved is not None:
            self.moved()
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


class Wakes:
    """Wakes the executions whose deadlines have come.

    live     the executions in memory, by id
    deliver  loads a few executions and hands them an event
    room     how many more events may be decided now: their units are queued for the writer
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        life: Lifecycle,
        live: dict[int, Live],
        decider: Decider,
        deliver: Callable[[Sequence[int], Event], Awaitable[None]],
        room: Callable[[], int],
    ) -> None:
        self._store, self._clock, self._limits, self._life = store, clock, limits, life
        self._live, self._decider, self._deliver = live, decider, deliver
        self._loading: set[int] = set()  # executions that are due and being loaded
        self._cold: list[int] = []  # those of them that no task has taken yet
        self.timers = Timers(clock, limits, self._due, lambda: room() - len(self._loading))
        self._scan_alarm: Alarm | None = None

    def close(self) -> None:
        self.timers.close()
        if self._scan_alarm is not None:
            self._scan_alarm.cancel()

    def _due(self, execution_id: int) -> None:
        live = self._live.get(execution_id)
        if live is None:
            if execution_id not in self._loading:
                self._loading.add(execution_id)
                if not self._cold:
                    self._life.spawn(self._wake())
                self._cold.append(execution_id)
            return
        wake = live.x.wake_at()
        if wake is not None and wake <= self._clock.now():
            self._decider.submit(live, Tick())
        else:
            self._decider.settle(live)

    async def _wake(self) -> None:
        """All that are due by now, a few at a time."""
        due, self._cold = self._cold, []
        for start in range(0, len(due), LOADS_AT_ONCE):
            few = due[start : start + LOADS_AT_ONCE]
            await self._deliver(few, Tick())
            self._loading.difference_update(few)
            self.timers.feed()

    def next(self) -> tuple[int, Live | None] | None:
        """When the next execution is due, ms, and that execution if it is in memory; None: no
        execution waits for a time.
        """
        timers = self.timers
        while (first := timers.first()) is not None:
            at, execution_id = first
            live = self._live.get(execution_id)
            wake = at if live is None else live.x.wake_at()
            if wake is not None and wake <= at:
                return at, live
            timers.drop(execution_id)
            if wake is not None:
                timers.set(wake, execution_id)
        return None

    async def scan(self) -> None:
        """Bring the deadlines of the next window into the heap, page by page; then again half a
        window later.
        """
        limits, now = self._limits, self._clock.now()
        horizon = now + int(limits.timer_window_seconds * 1000)
        for count, known in enumerate(list(self._live.values()), 1):
            if self._live.get(known.x.id) is known:
                self._decider.settle(known)
            if not count % limits.timer_page:
                await asyncio.sleep(0)
        after: tuple[int, int] = (0, 0)
        while page := await self._store.waking(horizon, after=after, limit=limits.timer_page):
            for wake, execution_id in page:
                self.timers.set(wake, execution_id)
            after = page[-1]
        half = int(limits.timer_window_seconds * 500)
        self._scan_alarm = self._clock.call_at(
            self._clock.now() + half, lambda: self._life.spawn(self.scan())
        )
