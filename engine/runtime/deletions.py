"""State machines that are being deleted: they go as soon as none of their Standard executions runs
any more.

Each of those is aborted at its next transition, seen at the commit; an execution that waits is left
alone until then. What is being deleted stands in the machine's row (status DELETING), so that the
next process goes on with it. Express executions run to their end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.core.history import ENTERED, EXITED
from stepwell.engine.operations import machine_parts
from stepwell.engine.store.base import MachineRow, Unit

if TYPE_CHECKING:
    from stepwell.engine.operations.base import Runtime
    from stepwell.engine.runtime.live import Live

_TRANSITIONS: Final = frozenset((*ENTERED, *EXITED))


class Deletions:
    """arns: of the machines that are being deleted; nothing may be started on them."""

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine
        self.arns: set[str] = set()

    async def open(self) -> None:
        """Find those that an earlier process began. Before executions are resumed."""
        after = ""
        while page := await self._engine.store.machines(
            after, self._engine.limits.list_page, machine_parts.DELETING
        ):
            self.arns.update(row.arn for row in page)
            after = page[-1].arn

    async def begin(self, row: MachineRow) -> None:
        """From here on the machine is DELETING, without versions and aliases. The caller has the
        lock on machines.
        """
        self.arns.add(row.arn)
        row = machine_parts.changed(row, versions=None, aliases=None)
        await self._engine.store.put_machine(
            row._replace(status=machine_parts.DELETING, updated=self._engine.clock.now())
        )

    async def finish(self, arn: str) -> None:
        """Forget a machine whose executions are over."""
        engine = self._engine
        async with engine.machine_lock:
            if arn not in self.arns or await engine.store.list_executions(arn, model.RUNNING, 1):
                return
            if any(x.machine_arn == arn for x in engine.started()):
                return  # its start is not committed yet
            await engine.store.delete_machine(arn)
            engine.forget_machine(arn)
            self.arns.discard(arn)

    def committed(self, live: Live, unit: Unit) -> None:
        """Called after every commit while anything is being deleted."""
        x = unit.execution
        arn = x.machine_arn.partition("/")[0]  # the children of a Map Run belong to its machine
        if arn not in self.arns:
            return
        worker = self._engine.worker
        if x.status != model.RUNNING and x.parent is None:
            worker._spawn(self.finish(arn))
        elif not x.express and not _TRANSITIONS.isdisjoint([event[0] for event in unit.history]):
            top = live.x
            while top.parent is not None and (above := worker.live.get(top.parent[0])) is not None:
                top = above.x
            worker.send(top.id, Stop(None, None))
