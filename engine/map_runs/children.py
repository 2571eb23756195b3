"""The children of Map Runs: started, found started by an earlier process, or redriven."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.events import ChildClosed, Redrive, StartChild
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs.express import ExpressChildren
from stepwell.engine.map_runs.family import Family
from stepwell.engine.map_runs.inputs import Inputs
from stepwell.engine.operations.executions import shapes
from stepwell.engine.runtime.live import Live
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
        self._inputs = Inputs(store, worker)
        self._express = ExpressChildren(
            clock, limits, new_uuid, worker, self._inputs, self._begin_soon
        )
        self._waiting: deque[tuple[Live, StartChild, bool]] = deque()
        self._starting = 0

    def start(self, live: Live, command: StartChild) -> None:
        """Start child `slot` of a Map Run, find the one that an earlier process started (its name
        says which it is), or redrive it.
        """
        new = command.express and not (command.again or command.round)
        if not (new and self._express.start(live, command)):
            self._put(live, command, command.express)

    def _begin_soon(self, live: Live, command: StartChild) -> None:
        """As an execution, although it is an Express child."""
        self._put(live, command, False)

    def _put(self, live: Live, command: StartChild, express: bool) -> None:
        self._waiting.append((live, command, express))
        self._start_some()

    def _start_some(self) -> None:
        """Some at a time: a Map Run may start 10,000 at once."""
        most, life = self._limits.child_starts, self._worker.life
        while self._waiting and self._starting < most and life.working:
            self._starting += 1
            life.spawn(self._start_one(*self._waiting.popleft()))

    async def _start_one(self, live: Live, command: StartChild, express: bool) -> None:
        try:
            await self._start(live, command, express)
        finally:
            self._starting -= 1
            self._start_some()

    async def _start(self, live: Live, command: StartChild, express: bool) -> None:
        await self._worker.room(live.x.machine_arn)
        family, slot = Family(live.x, command, self._limits), command.slot
        found = await self._store.describe(family.arn(slot))
        if found is None and (command.again or command.round):  # named as 0.1 did before
            found = await self._store.describe(family.old_arn(slot))
        if found is not None:
            return await self._continue(found, family, command)
        payload = await self._inputs.read(live, command)
        awaited = self._worker.executions.awaited((*family.map_run, slot), command.round)
        if payload is None or not awaited:
            return None  # the Map Run, or its round, has ended
        if express and self._express.start(live, command):
            return None
        id, uuid, now = self._store.next_id(), self._new_uuid(), self._clock.now()
        child = family.child(id, uuid, command, payload, now)
        try:
            await self._worker.begin(child, live.program)
        except EngineError as error:
            if isinstance(error, StoreError):
                # else the child is parked, as the log says: its Map Run waits for it
                raise

    async def _continue(self, found: ExecutionRow, family: Family, command: StartChild) -> None:
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
                    deadline = family.deadline(self._clock.now())
                    event = Redrive(deadline, {"round": command.round}, command.express)
                    self._worker.submit(live, event)
                else:
                    self._worker.settle(live)
                return
        output = shapes.result_of_child(found)
        self._worker.send(
            family.map_run[0],
            ChildClosed(
                command.frame, command.seq, command.slot, found.status, output, command.round
            ),
        )
