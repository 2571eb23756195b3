"""Retention: executions that have been closed for long enough are deleted, and definitions that
nothing uses any more.

    alarm of the clock --> round: small transactions, other commits between them --> alarm for when
    the next one is due

A closed execution may be redriven until `edge` passes its end; from then on it counts as gone,
whether or not its rows are gone yet. So nothing goes on from rows that are being deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepwell.engine.clock import Alarm
from stepwell.engine.core.model import Execution
from stepwell.engine.operations import machine_parts
from stepwell.engine.store.base import ExecutionRow

if TYPE_CHECKING:
    from stepwell.engine.operations.base import Runtime

SWEEP_PAGE: Final = 20_000  # executions looked at in one read


class Retention:
    """edge: ms; what closed before is deleted, or about to be."""

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine
        self.edge = 0
        self._alarm: Alarm | None = None
        self._closed = False
        self._sweep_at = 0
        self._suspects: set[int] = (
            set()
        )  # definitions that nothing used at the time of the last sweep

    async def open(self) -> None:
        self._sweep_at = self._engine.clock.now() + self._engine.limits.sweep_seconds * 1000
        self._set(await self._next())

    def close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()

    def deletes(self, x: Execution | ExecutionRow) -> bool:
        return x.stopped is not None and x.stopped < self.edge

    async def _next(self) -> int:
        """ms: when the execution is due that is the longest closed."""
        first = await self._engine.store.first_closed()
        return (
            self._engine.clock.now() if first is None else first + 1
        ) + self._engine.limits.retention_seconds * 1000

    def _set(self, at: int) -> None:
        if not self._closed:
            self._alarm = self._engine.clock.call_at(at, lambda: self._ring(at))

    def _ring(self, at: int) -> None:
        if self._engine.clock.now() < at:
            self._set(at)  # the clock looks up now and then
        elif not self._closed and self._engine.worker.failed is None:
            self._engine.supervisor.start("retention", self._round)

    async def _round(self) -> None:
        engine, limits = self._engine, self._engine.limits
        self.edge = max(self.edge, engine.clock.now() - limits.retention_seconds * 1000)
        engine.forget_closed(self.edge)
        while (
            await engine.store.delete_closed(self.edge, limits.retention_page, engine.worker.live)
            == limits.retention_page
        ):
            pass
        if self._sweep_at <= engine.clock.now():
            await self._sweep()
            self._sweep_at = engine.clock.now() + limits.sweep_seconds * 1000
        pause = round(limits.retention_pause_seconds * 1000)
        self._set(max(min(await self._next(), self._sweep_at), engine.clock.now() + pause))

    async def _sweep(self) -> None:
        """Delete definitions that neither machine, version nor execution uses, and that none used a
        sweep ago either.

        (A start may have looked one up that was replaced before the start was stored.)
        """
        engine, store = self._engine, self._engine.store
        unused, after = set(await store.definition_ids()), ""
        while page := await store.machines(after, engine.limits.list_page):
            for row in page:
                unused -= machine_parts.kept_definitions(row)
            after = page[-1].arn
        first, last = 0, store.next_id() if unused else 0
        while unused and first < last:
            unused -= await store.definitions_used(first, first + SWEEP_PAGE)
            first += SWEEP_PAGE
        unused -= {live.x.definition for live in engine.worker.live.values()}
        await store.delete_definitions(unused & self._suspects)
        self._suspects = unused - self._suspects
