"""One process of the simulated world: an engine and its store, from birth to death."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.simulation.disk import Store, read_files, write_files
from tests.simulation.functions import Tasks
from tests.simulation.virtual import PROCESS, where

from stepwell.engine.core import model
from stepwell.engine.core.events import (
    ChildClosed,
    ChildrenClosed,
    Event,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
)
from stepwell.engine.engine import Engine
from stepwell.engine.errors import StoreError

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
FATES: Final = {
    "kill": "",
    "kill before": "commit",
    "kill during": "commit",
    "kill after": "commit",
    "kill at an answer": "answer",
    "error before": "commit",
    "error after": "commit",
    "close during": "commit",
    "usurped": "commit",
    "kill within": "transaction",
    "error within": "transaction",
    "file full": "transaction",
    "power cut": "transaction",
}
"""How a process may end -> the point at which it does so: the n-th of a life."""

_REPORTS: Final = (
    TaskSubmitted,
    TaskSucceeded,
    TaskFailed,
    TaskStarted,
    ChildClosed,
    ChildrenClosed,
)


class Process:
    """fate, left   how it ends, and at the how-manieth of the points that belong to that
    dying       it executes nothing more of its own accord        buried   nothing of it is left
    dead        set when it has come to its end                   shut     set when it is to be
                closed in good order
    running     its effects: attempt -> name of the state         born_with    the files as it found
                them
    owed, told  keys of records that are durable, and those of which their service was told
    left_behind     the files as a power cut leaves them
    """

    def __init__(self, world: "World", number: int, fate: str, left: int) -> None:
        self.world, self.number, self.fate_of, self._left = world, number, fate, left
        self.dead, self.shut = asyncio.Event(), asyncio.Event()
        self.dying = self.buried = self.closing = self.zombie = False
        self.connections: list[Any] = []
        self.running: dict[tuple[int, int, int], str] = {}
        self.told: set[str] = set()
        self.owed: set[str] = set()
        self.born_at = world.loop.virtual
        self.born_with = read_files(str(world.path)) if fate == "power cut" else {}
        self.left_behind: dict[str, bytes] | None = None
        self._context = Context()
        self._context.run(PROCESS.set, self)
        self.run(self._make)

    def _make(self) -> None:
        world = self.world
        self.store = Store(self, world.path)
        self.tasks = Tasks(self)
        self.engine = Engine(
            store=self.store, tasks=self.tasks, limits=world.settings.limits, new_uuid=world.uuid
        )
        self._listen()

    def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call something as this process: what it spawns is the process's own."""
        return self._context.copy().run(call, *arguments)

    # --- its end ----------------------------------------------------------------------------------

    def fate(self, point: str) -> str:
        """What happens to the process at this point."""
        if self.buried or FATES.get(self.fate_of) != point:
            return ""
        self._left -= 1
        return self.fate_of if not self._left else ""

    def die(self) -> None:
        """It has little time left."""
        self.dying = self.dying or self.fate_of == "kill within"
        self.dead.set()

    def usurp(self) -> None:
        """It is taken for dead, and lives: another one takes its place."""
        self.zombie = True
        self.store.drop()
        self.dead.set()

    async def kill(self) -> None:
        """Called by the process itself: it does not come back from here."""
        self.dead.set()
        await asyncio.Future()

    def look_at_store(self) -> None:
        """What a host does after a fault: what is written outside of the worker, such as a state
        machine, may fail first.
        """
        try:
            self.store.check()
        except StoreError:
            self.dead.set()

    async def close(self) -> None:
        """In good order; no call may be left without its answer."""
        await self.run(self.world.loop.create_task, self._close())
        if left := self.world.loop.tasks_of(self):
            _, pending = await asyncio.wait(left, timeout=30)
            for task in pending:
                self.world.violated(f"it continues after close(): {where(task)}")
        self.closing = False

    async def _close(self) -> None:
        self.closing = True
        await self.engine.close()

    async def bury(self) -> None:
        """Drop everything of a dead process at once."""
        self.buried = True
        while rest := self.world.loop.tasks_of(self):
            for task in rest:
                task.cancel()
            await asyncio.sleep(0)
        self.world.loop.forget(self)
        self.store.drop()
        self.running.clear()
        for connection in self.connections:
            connection.before = None
            if connection.in_transaction:
                sqlite3.Connection.rollback(connection)
            if self.left_behind is not None:
                connection.close()
        if self.left_behind is not None:
            self.world.close_connections()
            write_files(str(self.world.path), self.left_behind)

    # --- what reaches it --------------------------------------------------------------------------

    def _listen(self) -> None:
        """What reports on an attempt comes again sometimes: soon, late, or in another life. A host
        ends what has failed.
        """
        worker, world = self.engine.worker, self.world
        submit, on_failure, adopt = worker.submit, worker.on_failure, worker.executions.adopt

        def submit_and_repeat(
            live: Any, event: Event, answer: asyncio.Future[None] | None = None
        ) -> None:
            if isinstance(event, TaskSucceeded | TaskFailed):
                world.ledger.reported.add((live.x.id, event.frame, event.seq))
            submit(live, event, answer)
            if isinstance(event, _REPORTS) and world.rng.random() < 0.3:
                delay = world.rng.choice((0, 0.02, 3.0, 60.0))
                bound = live.x.express or getattr(event, "also", None) is not None
                # the id of what was not stored is used again, and a service tells its own process
                only = self if bound else None
                world.loop.call_later(
                    delay, world.repeat, live.x.id, event, only, context=Context()
                )

        def adopt_and_count(execution: model.Execution, program: Any) -> Any:
            world.meter.adopted(execution)
            return adopt(execution, program)

        def failed(error: BaseException, execution: int | None) -> None:
            on_failure(error, execution)
            if worker.failed is not None:
                self.dead.set()
            elif execution is not None:
                world.parked(execution, error)

        worker.submit = submit_and_repeat  # type: ignore[method-assign]
        worker.executions.adopt = adopt_and_count  # type: ignore[method-assign]
        worker.on_failure = failed
