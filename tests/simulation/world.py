"""A world in which the real engine lives: virtual time, a disk that outlives processes, an outside
that is late, retries, repeats itself.

    World.run():  engine born -> serves -> dies (killed, failed or closed) -> born again on the same
                  file ... until all clients are content

One seed is one run. Every random choice comes from one generator, the loop is single-threaded, its
clock moves only when nothing is left to do, and the two threads of the store are replaced by queues
that do the same closures inline, some time later.

Each task and callback belongs to a process (process.py) and vanishes with it, or to the outside:
clients, activity workers, holders of task tokens.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from tests.simulation import disk, invariants
from tests.simulation.disk import Thread
from tests.simulation.functions import HANG
from tests.simulation.ledger import Ledger
from tests.simulation.meter import Meter
from tests.simulation.process import FATES, Process
from tests.simulation.virtual import Stuck, VirtualLoop, Wall, where

from stepwell.asl.evaluation import Json
from stepwell.engine import clock as clock_module
from stepwell.engine.core import model
from stepwell.engine.core.events import Event
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.runtime import worker as worker_module
from stepwell.engine.store.sqlite import database
from stepwell.engine.tasks import TaskError
from stepwell.integrations.limits import Limits

T = TypeVar("T")
LIMITS = Limits(
    batch_units=3,
    unit_transitions=8,
    queue_units=2,
    timer_window_seconds=10,
    timer_page=3,
    recovery_page=2,
    effects_in_flight=6,
    history_page=7,
    programs=2,
    recent_executions=1,
    jsonata_inline_steps=400,
    jsonata_inline_seconds=60,
    jsonata_seconds=60,
    redrive_token_seconds=86_400,  # longer than the clock jumps between two tries of a client
    unit_seconds=3_600,
)
REST_SECONDS = 70  # after which nothing that was repeated late is under way any more


@dataclass(frozen=True)
class Settings:
    """What may happen in a world.

    crashes  how many deaths there may be           fates    which ones (see process.FATES)
    jumps    whether the wall clock may be changed between processes
    full     synchronous=FULL                       pages    of the log, beyond which it is copied
             to the database
    status   whether a service stores each change of an execution's status
    steps    seconds by which the wall clock is set while a process runs, each for good; with 30
             days ahead in between, for moments
    retention  whether all is deleted in the end    damage  whether stored bytes of the victims are
               spoilt between processes
    services   embedded services that are there
    """

    crashes: int = 12
    jumps: bool = True
    fates: tuple[str, ...] = tuple(FATES)
    limits: Limits = LIMITS
    full: bool = True
    pages: int = database.CHECKPOINT_PAGES
    status: bool = False
    steps: tuple[float, ...] = ()
    retention: bool = False
    damage: bool = False
    services: tuple[str, ...] = ()


CALM = Settings(crashes=0, jumps=False)


class World:
    """One seed's run. `violations` is what went wrong, `trace` all that was committed, started and
    answered, with its time.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        answers: dict[str, Callable[[Json], Json]],
        settings: Settings = CALM,
    ) -> None:
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.wall = Wall(self.loop)
        self.path, self.answers, self.settings = folder / f"{seed}.db", answers, settings
        self.processes: list[Process] = []
        self.process: Process | None = None  # that serves
        self.violations: list[str] = []
        self.damaged: set[int] = set()  # ids of executions
        self.trace: list[tuple[Any, ...]] = []
        self.ledger, self.meter = Ledger(self), Meter()
        self._checked = False
        self._up = asyncio.Event()
        self._clients: list[asyncio.Task[Any]] = []
        self._zombies: set[asyncio.Task[None]] = set()

    # --- running ----------------------------------------------------------------------------------

    def run(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        """Until every client has ended. Raises Stuck."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(database, "Thread", Thread))
            stack.enter_context(patch.object(database, "CHECKPOINT_PAGES", self.settings.pages))
            stack.enter_context(patch.object(clock_module, "time", self.wall))
            stack.enter_context(patch.object(worker_module, "decide", self.meter.decide))
            stack.enter_context(patch.object(asyncio, "to_thread", self._to_thread))
            stack.callback(self._end)
            logging.disable(logging.CRITICAL)
            stack.callback(logging.disable, logging.NOTSET)
            asyncio.set_event_loop(self.loop)
            try:
                self.loop.run_until_complete(
                    self.loop.create_task(self._main(clients), name="world")
                )
            except Stuck as stuck:
                waits = [where(task) for task in self._clients if not task.done()]
                raise Stuck(f"{stuck}; clients wait: {waits}") from stuck

    def _end(self) -> None:
        while self.loop.alive:
            for task in list(self.loop.alive):
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        self.close_connections()
        asyncio.set_event_loop(None)
        self.loop.close()

    def close_connections(self) -> None:
        """Those of the dead."""
        for process in self.processes:
            if process is not self.process:
                for connection in process.connections:
                    connection.before = None
                    connection.close()

    async def _main(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        self._clients = [self.outside(client()) for client in clients]
        if self.settings.steps:
            self.outside(self._set_clock())
            self.outside(invariants.in_time(self))
        while not self._checked:
            await self._lifetime()
        while self._zombies:
            await asyncio.wait(self._zombies)

    async def _lifetime(self) -> None:
        """One process, from its birth to its end."""
        if (
            self.settings.damage
            and self.rng.random() < 0.5
            and (hit := disk.damage(self.path, self.rng)) is not None
        ):
            self.damaged.add(hit)
            self.note("damaged", hit)
        dies = len(self.processes) < self.settings.crashes
        fate = self.rng.choice(self.settings.fates) if dies else ""
        self.wall.bogus_seconds = 0  # the first reading of a process is believed
        process = Process(
            self, len(self.processes) + 1, fate, self.rng.randrange(1, self.rng.choice((4, 12, 30)))
        )
        self.processes.append(process)
        birth = process.run(self.loop.create_task, process.engine.open())
        death = self.loop.create_task(process.dead.wait())
        if fate == "kill":
            self.loop.call_later(self.rng.expovariate(self.rng.choice((0.05, 0.3, 3))), process.die)
        await asyncio.wait([birth, death], return_when=asyncio.FIRST_COMPLETED)
        if birth.done() and birth.exception() is None:
            self.ledger.owned(process)
            self.process = process
            self._up.set()
            ends = [
                death,
                *(
                    self.loop.create_task(each)
                    for each in (self._content(process), process.shut.wait())
                ),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends[1:]:
                end.cancel()
        elif birth.done() and not (fate and isinstance(birth.exception(), StoreError)):
            self.violated(f"it does not open: {birth.exception()!r}")
            raise Stuck(f"it does not open: {birth.exception()!r}")
        self._up.clear()
        self.process = None
        if process.dead.is_set() and not fate:
            self.violated(f"it dies of itself: {process.engine.worker.failed!r}")
            raise Stuck("it would die of itself again")
        if process.zombie:
            haunting = self.loop.create_task(self._haunt(process))
            self._zombies.add(haunting)
            haunting.add_done_callback(self._zombies.discard)
        else:
            if (
                birth.done()
                and not process.dying
                and (process.engine.worker.failed is not None or not death.done())
            ):
                await process.close()
            await process.bury()
        death.cancel()
        if self.settings.jumps and self.rng.random() < 0.3:
            self.wall.set(self.rng.choice((-900, -60, -3, 5, 30)))
        await asyncio.sleep(self.rng.choice((0, 0.2, 1.0)))

    async def _haunt(self, process: Process) -> None:
        """A process that has lost its ownership continues for a while, or until it notices."""
        for _ in range(self.rng.choice((1, 20, 200))):
            await asyncio.sleep(0.3)
            if process.engine.worker.failed is not None:
                await process.close()
                break
        await process.bury()

    async def _content(self, process: Process) -> None:
        """The clients have what they wanted. Then this process lives long enough to come to rest,
        and is looked at.
        """
        await asyncio.wait(self._clients)
        process.fate_of = ""
        await asyncio.sleep(REST_SECONDS)
        await invariants.at_rest(self, process)
        self._checked = True

    async def _set_clock(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / 60))
            if self.process is not None and self.rng.random() < 0.4:
                self.wall.bogus_seconds = 30 * 24 * 3600
                await asyncio.sleep(
                    self.rng.choice((0.1, 1, 10, 0.8 * self.settings.limits.clock_hold_seconds))
                )
                self.wall.bogus_seconds = 0
                await asyncio.sleep(20)  # else two of them could look like one that lasts
            else:
                self.wall.set(self.rng.choice(self.settings.steps))

    # --- what the process does --------------------------------------------------------------------

    async def pause(self) -> None:
        chance = self.rng.random()
        await asyncio.sleep(
            0 if chance < 0.7 else 0.001 if chance < 0.8 else 0.05 if chance < 0.98 else 1.0
        )

    async def _to_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        await self.pause()
        result = call(*arguments)
        await self.pause()
        return result

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def note(self, *what: Any) -> None:
        self.trace.append((round(self.loop.virtual, 6), len(self.processes), *what))

    def violated(self, what: str) -> None:
        self.loop.end = min(
            self.loop.end, self.loop.virtual + 900
        )  # it is lost: what else goes wrong shows soon, or does not matter
        self.violations.append(
            f"at {self.loop.virtual:.3f} s, process {len(self.processes)}: {what}"
        )

    def parked(self, execution: int, error: BaseException) -> None:
        if execution not in self.damaged:
            self.violated(f"an execution is parked: {error!r}")

    def repeat(self, execution: int, event: Event, only: Process | None) -> None:
        """A report comes again, perhaps to another process."""
        if self.process is not None and only in (None, self.process):
            self.process.run(self.process.engine.worker.send, execution, event)

    # --- the outside ------------------------------------------------------------------------------

    def outside(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that outlives processes. What it raises is a violation."""
        task = self.loop.create_task(coroutine, context=Context())
        task.add_done_callback(self._outside_ended, context=Context())
        return task

    def _outside_ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.violated(f"a client saw {error!r}")

    async def call(self, operation: Callable[[Engine], Awaitable[T]]) -> T:
        """Call the engine that lives until one of them answers. Raises ApiError as a client
        would.
        """
        while True:
            await self._up.wait()
            assert self.process is not None
            process = self.process
            task = process.run(self.loop.create_task, _ask(operation, process.engine))
            await asyncio.wait([task])
            if not task.cancelled():
                if process.fate("answer"):
                    process.die()
                try:
                    return task.result()
                except ApiError:
                    raise
                except EngineError:
                    # it failed or was closed: unknown whether it did what was asked
                    process.look_at_store()
            await asyncio.sleep(self.rng.choice((0, 0.01, 0.5)))

    async def first(self, *attempts: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make all of these calls at the same time and believe the first answer."""
        tasks = [self.outside(attempt()) for attempt in attempts]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def answer_token(self, token: str, payload: Json) -> None:
        """The holder of the task token reports, perhaps twice at a time, until it is answered or
        refused.
        """
        await asyncio.sleep(self.rng.choice((0, 0.5, 20.0)))
        answer = self.answers["@" + payload["FunctionName"]]

        async def report(engine: Engine) -> Json:
            try:
                result = answer(payload["Payload"])
            except TaskError as error:
                return await engine.send_task_failure(token, error.error, error.cause)
            return {} if result is HANG else await engine.send_task_success(token, _dumps(result))

        async def once() -> None:
            try:
                await self.call(report)
                self.note("answered", token)
            except ApiError as refused:
                assert refused.code == "TaskTimedOut", refused

        await self.first(*(once for _ in range(self.rng.choice((1, 2)))))


async def _ask(operation: Callable[[Engine], Awaitable[T]], engine: Engine) -> T:
    return await operation(engine)


def _dumps(value: Json) -> str:
    return model.encode_json(value).decode()
