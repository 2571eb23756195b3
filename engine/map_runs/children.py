"""The children of Map Runs: started, found started by an earlier process, or redriven."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.asl.program import Program
from stepwell.engine import arns
from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.events import ChildClosed, Redrive, StartChild
from stepwell.engine.core.model import Execution, ExecutionExtras
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.ids import derived
from stepwell.engine.limits import Limits
from stepwell.engine.operations import shapes
from stepwell.engine.runtime.retention import Retention
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import ExecutionRow, Store


class Children:
    """Starts the children that the worker's decisions command."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        new_uuid: Callable[[], str],
        worker: Worker,
        retention: Retention,
    ) -> None:
        self._store, self._clock, self._limits, self._new_uuid = store, clock, limits, new_uuid
        self._worker, self._retention = worker, retention

    async def start(self, parent: Execution, command: StartChild, program: Program) -> None:
        """Start child `slot` of a Map Run, find the one that an earlier process started (its name
        says which it is), or redrive it.
        """
        await self._worker.room(parent.machine_arn)
        # one prefix: the children of a Map Run lie side by side on disk
        run = derived(parent.uuid, "child", command.frame, command.seq)
        name = f"{run}-{command.slot}"
        machine_arn = f"{parent.machine_arn}/{command.label}"
        arn = arns.execution_arn(machine_arn, name)
        found = await self._store.describe(arn)
        if found is None and (command.again or command.round):  # named as 0.1 did before
            found = await self._store.describe(
                arns.execution_arn(machine_arn, _old_name(parent, command))
            )
        if found is not None:
            return await self._continue(found, parent.id, command)
        family = (parent.id, command.frame, command.seq, command.slot)
        if not self._worker.executions.awaited(family, command.round):
            return None  # the Map Run, or its round, has ended
        extras: ExecutionExtras = {} if command.items == 1 else {"items": command.items}
        if command.round:
            extras["round"] = command.round
        spec = self._worker.live[parent.id].x.frames[command.frame].state.map
        if spec is not None and spec.transformation == "NONE":
            extras["whole"] = True
        if "logging" in parent.extras:
            extras["logging"] = parent.extras["logging"]
        now = self._clock.now()
        child = Execution(
            id=self._store.next_id(),
            uuid=self._new_uuid().replace("-", ""),
            arn=arn,
            name=name,
            machine_arn=machine_arn,
            machine_name=f"{parent.machine_name}/{command.label}",
            role_arn=parent.role_arn,
            express=False,
            input=command.payload,
            started=now,
            deadline=self._child_deadline(command),
            parent=family,
            definition=parent.definition,
            block=command.block.index,
            extras=extras,
        )
        try:
            await self._worker.begin(child, program)
        except EngineError as error:
            if isinstance(error, StoreError):
                # else the child is parked, as the log says: its Map Run waits for it
                raise

    def _child_deadline(self, command: StartChild) -> int:
        return (
            self._clock.now()
            + (self._limits.express_seconds if command.express else self._limits.standard_seconds)
            * 1000
        )

    async def _continue(self, found: ExecutionRow, parent: int, command: StartChild) -> None:
        """A child that was started before: it runs, has ended, or ended in an earlier round and is
        redriven now.
        """
        if found.status == model.RUNNING:
            # if it runs since an earlier round, this stops it, and its end leads here again
            live = await self._worker.load(found.id)
            if live is not None:
                self._worker.settle(live)  # it may have closed since it was found
            return
        if (
            found.status != model.SUCCEEDED
            and found.extras.get("round", 0) != command.round
            and not self._retention.deletes(found)
        ):
            live = await self._worker.load(found.id)
            if live is not None and found.parent is not None:
                if self._worker.executions.awaited(found.parent, command.round):
                    event = Redrive(
                        self._child_deadline(command), {"round": command.round}, command.express
                    )
                    self._worker.submit(live, event)
                else:
                    self._worker.settle(live)
                return
        output = shapes.result_of_child(found)
        self._worker.send(
            parent,
            ChildClosed(
                command.frame, command.seq, command.slot, found.status, output, command.round
            ),
        )


def _old_name(parent: Execution, command: StartChild) -> str:
    """It contains the uuid that task tokens are made from. Map Runs that began with such names
    still find their children by them.
    """
    return f"{parent.uuid}-{command.frame}-{command.seq}-{command.slot}"
