"""State machines that are being deleted: they are removed as soon as none of their Standard
executions runs.

Each of those is aborted at its next transition, seen at the commit; an execution that waits is left
alone until then. The machine's row has the status DELETING, so that the next process continues.
Express executions run to their end.
"""

from __future__ import annotations

from typing import Final

from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.core.history import ENTERED, EXITED
from stepwell.engine.limits import Limits
from stepwell.engine.machines import machine_parts
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import MachineRow, Store, Unit

_TRANSITIONS: Final = frozenset((*ENTERED, *EXITED))


class Deletions:
    """Deletes state machines; until that is done their ARNs are in MachineRows.deleting."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        machines: MachineRows,
        tracker: Tracker,
        worker: Worker,
    ) -> None:
        self._store, self._clock, self._limits = store, clock, limits
        self._machines, self._tracker, self._worker = machines, tracker, worker

    async def open(self) -> None:
        """Find those that an earlier process began. Before executions are resumed."""
        after = ""
        while page := await self._store.machines(
            after, self._limits.list_page, machine_parts.DELETING
        ):
            self._machines.deleting.update(row.arn for row in page)
            after = page[-1].arn

    async def resume(self) -> None:
        """Finish those that nothing runs on any more."""
        for arn in list(self._machines.deleting):
            await self.finish(arn)

    async def begin(self, row: MachineRow) -> None:
        """From here on the machine is DELETING, without versions and aliases. The caller has the
        lock on machines.
        """
        self._machines.deleting.add(row.arn)
        row = machine_parts.changed(row, versions=None, aliases=None)
        await self._machines.put(
            row._replace(status=machine_parts.DELETING, updated=self._clock.now())
        )

    async def finish(self, arn: str) -> None:
        """Remove a machine whose executions have ended."""
        machines = self._machines
        async with machines.lock:
            if arn not in machines.deleting:
                return
            if await self._store.list_executions(arn, model.RUNNING, 1):
                return
            if any(x.machine_arn == arn for x in self._tracker.open.values()):
                return  # its start is not committed yet
            await self._store.delete_machine(arn)
            machines.forget(arn)
            machines.deleting.discard(arn)

    def committed(self, live: Live, unit: Unit) -> None:
        """Called after every commit while anything is being deleted."""
        x = unit.execution
        arn = x.machine_arn.partition("/")[0]  # the children of a Map Run belong to its machine
        if arn not in self._machines.deleting:
            return
        worker = self._worker
        if x.status != model.RUNNING and x.parent is None:
            worker.spawn(self.finish(arn))
        elif not x.express and not _TRANSITIONS.isdisjoint([event[0] for event in unit.history]):
            top = live.x
            while top.parent is not None and (above := worker.live.get(top.parent[0])) is not None:
                top = above.x
            worker.send(top.id, Stop(None, None))
