"""State machines that are being deleted: they are removed as soon as none of their Standard
executions runs.

Each of those is aborted at its next transition, seen at the commit; an execution that waits is left
alone until then. The machine's row has the status DELETING, so that the next process continues.
Express executions run to their end.

Home removes the machine. The engine of another shard tells home when nothing seems to run any more.
Home then makes sure that every shard knows that the machine is being deleted, and has committed the
executions that it started before, and looks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.core.history import ENTERED, EXITED
from stepwell.engine.machines import machine_parts
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.sharding import HOME
from stepwell.engine.store.base import MachineRow, Unit
from stepwell.engine.supervisor import Supervisor

_TRANSITIONS: Final = frozenset((*ENTERED, *EXITED))


class Deletions:
    """Deletes state machines; until that is done their ARNs are in MachineRows.deleting.

    tell_home  see Engine.on_deletion
    """

    def __init__(
        self,
        machines: MachineRows,
        tracker: Tracker,
        worker: Worker,
        supervisor: Supervisor,
        tell_home: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store, self._clock, self._limits = worker.store, worker.clock, worker.limits
        self._machines, self._tracker, self._worker = machines, tracker, worker
        self._supervisor, self._tell_home = supervisor, tell_home

    async def open(self) -> None:
        """Find those that an earlier process, or home, began. Before executions are resumed."""
        found: set[str] = set()
        after = ""
        while page := await self._store.machines(
            after, self._limits.list_page, machine_parts.DELETING
        ):
            found.update(row.arn for row in page)
            after = page[-1].arn
        self._machines.deleting.clear()
        self._machines.deleting.update(found)

    async def reread(self, arn: str) -> None:
        """Whether home deletes that machine."""
        row = await self._worker.store.machine(arn)
        if row is not None and row.status == machine_parts.DELETING:
            self._machines.deleting.add(arn)
        else:
            self._machines.deleting.discard(arn)

    def resume(self) -> None:
        """Finish those that nothing runs on any more."""
        for arn in self._machines.deleting:
            self._try(arn)

    def _try(self, arn: str) -> None:
        self._supervisor.start("deletion", partial(self.finish, arn))

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
        if arn not in machines.deleting or await self._runs(arn):
            return
        if self._store.shard.number != HOME:
            return await self._tell_home(arn)
        async with machines.lock:
            if arn not in machines.deleting:
                return
            await machines.changed(arn)
            if await self._runs(arn):
                return
            await self._store.delete_machine(arn)
            machines.forget(arn)
            machines.deleting.discard(arn)
            await machines.changed(arn)

    async def _runs(self, arn: str) -> bool:
        """Whether any execution of a machine runs, or one of this engine was started and is not
        committed yet.
        """
        return bool(await self._store.list_executions(arn, model.RUNNING, 1)) or any(
            x.machine_arn == arn for x in self._tracker.open.values()
        )

    def committed(self, live: Live, unit: Unit) -> None:
        """Called after every commit while anything is being deleted."""
        x = unit.execution
        arn = x.machine_arn.partition("/")[0]  # the children of a Map Run belong to its machine
        if arn not in self._machines.deleting:
            return
        worker = self._worker
        if x.status != model.RUNNING and x.parent is None:
            self._try(arn)
        elif not x.express and not _TRANSITIONS.isdisjoint([event[0] for event in unit.history]):
            top = live.x
            while top.parent is not None and (above := worker.live.get(top.parent[0])) is not None:
                top = above.x
            worker.send(top.id, Stop(None, None))
