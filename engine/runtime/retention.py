"""Retention: executions that closed long enough ago are deleted, and definitions that nothing uses.

    alarm of the clock --> round: small transactions, other commits between them --> alarm for when
    the next one is due

A closed execution may be redriven until `edge` passes its end; from then on it counts as deleted,
whether or not its rows still exist. So nothing resumes from rows that are being deleted.
"""

from __future__ import annotations

from typing import Final

from stepwell.engine.clock import Alarm, Clock
from stepwell.engine.core.model import Execution
from stepwell.engine.limits import Limits
from stepwell.engine.machines import machine_parts
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.sharding import HOME
from stepwell.engine.store.base import ExecutionRow, Store
from stepwell.engine.supervisor import Supervisor

SWEEP_PAGE: Final = 20_000  # executions looked at in one read


class Retention:
    """edge: ms; executions that closed before are deleted, or about to be."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        supervisor: Supervisor,
        tracker: Tracker,
        worker: Worker,
    ) -> None:
        self._store, self._clock, self._limits = store, clock, limits
        self._supervisor, self._tracker, self._worker = supervisor, tracker, worker
        self.edge = 0
        self._alarm: Alarm | None = None
        self._closed = False
        self._sweep_at = 0
        self._unused: set[int] = set()  # definitions that nothing used at the last sweep

    async def open(self) -> None:
        self._sweep_at = self._clock.now() + self._limits.sweep_seconds * 1000
        self._set(await self._next())

    def close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()

    def deletes(self, x: Execution | ExecutionRow) -> bool:
        return x.stopped is not None and x.stopped < self.edge

    async def _next(self) -> int:
        """ms: when the execution is due that has been closed longest."""
        first = await self._store.first_closed()
        closed = self._clock.now() if first is None else first + 1
        return closed + self._limits.retention_seconds * 1000

    def _set(self, at: int) -> None:
        if not self._closed:
            self._alarm = self._clock.call_at(at, lambda: self._ring(at))

    def _ring(self, at: int) -> None:
        if self._clock.now() < at:
            self._set(at)  # an alarm may ring early
        elif not self._closed and self._worker.failed is None:
            self._supervisor.start("retention", self._round)

    async def _round(self) -> None:
        now, limits = self._clock.now, self._limits
        self.edge = max(self.edge, now() - limits.retention_seconds * 1000)
        self._tracker.forget_closed(self.edge)
        page = limits.retention_page
        while await self._store.delete_closed(self.edge, page, self._worker.live):
            pass
        if self._sweep_at <= now():
            if self._store.shard.number == HOME:
                await self._sweep()
            self._sweep_at = now() + limits.sweep_seconds * 1000
        pause = round(limits.retention_pause_seconds * 1000)
        self._set(max(min(await self._next(), self._sweep_at), now() + pause))

    async def _sweep(self) -> None:
        """Delete definitions that neither machine, version nor execution uses, and that none used
        at the last sweep either.

        (A start may have looked one up that was replaced before the start was stored.)
        """
        store = self._store
        unused, after = set(await store.definition_ids()), ""
        while page := await store.machines(after, self._limits.list_page):
            for row in page:
                unused -= machine_parts.kept_definitions(row)
            after = page[-1].arn
        last: int | None = -1
        while unused and last is not None:
            used, last = await store.definitions_used(last, SWEEP_PAGE)
            unused -= used
        unused -= {live.x.definition for live in self._worker.live.values()}
        await store.delete_definitions(unused & self._unused)
        self._unused = unused - self._unused
