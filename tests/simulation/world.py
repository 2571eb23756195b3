"""A world in which the real engine lives: virtual time, a disk that outlives processes, an outside that is late, retries, repeats itself.

    World.run():  engine born -> serves -> dies (killed, failed or closed) -> born again on the same file ... until all clients are content

One seed is one run. Every random choice comes from one generator, the loop is single-threaded, its clock moves only when nothing is left
to do, and the two threads of the store are replaced by queues that do the same closures inline, some time later.

Tasks named "world..." are the outside: clients, activity workers, whoever answers task tokens. Everything else belongs to the process that
lives at the moment and vanishes with it.
"""

import asyncio
import logging
import random
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from tests.simulation.virtual import Stuck, VirtualLoop, Wall, where

from stepwell.asl.evaluation import Json
from stepwell.asl.limits import Limits
from stepwell.asl.resources import Resource
from stepwell.engine import clock as clock_module
from stepwell.engine.core import model
from stepwell.engine.core.environment import read_token
from stepwell.engine.core.history import CODES
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.store import sqlite
from stepwell.engine.store.base import Unit
from stepwell.engine.tasks import TaskError, TaskRequest

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
)
HANG = object()
REDRIVEN = CODES["ExecutionRedriven"]
FATES = ("kill", "kill before", "kill during", "kill after", "kill at an answer", "error before", "error after", "close during")


class Thread(sqlite._Thread):
    """The store's thread as a queue: closures are done one by one, some time after they were handed in, and answered some time later."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world, self._life = world, world.life
        self._turn = asyncio.Lock()
        self._connection: sqlite3.Connection | None = None

    async def start(self, path: str, prepare: Callable[[sqlite3.Connection], T]) -> T:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._world.connections.append(self._connection)
        return await self.run(prepare)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreError("the store is not open")
        return await asyncio.shield(asyncio.create_task(self._do(work, self._connection)))

    async def _do(self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        async with self._turn:
            await self._world.pause()
            if self._world.life != self._life:
                raise asyncio.CancelledError  # this process is dead
            try:
                result = work(connection)
            except sqlite3.Error as error:
                raise StoreError(f"{type(error).__name__}: {error}") from error
            await self._world.pause()
            return result

    async def stop(self) -> None:
        if self._connection is not None:
            async with self._turn:
                self._connection = None


class Store(sqlite.SqliteStore):
    """The real store, in a process that may die around a commit."""

    def __init__(self, world: "World", path: Path) -> None:
        super().__init__(path, full=False, limits=LIMITS)
        self._world, self._life = world, world.life
        self._units: Sequence[Unit] = ()

    async def commit(self, units: Sequence[Unit]) -> None:
        fate = self._world.fate("commit")
        if fate == "error before":
            raise StoreError("no space left on this disk")
        if fate == "kill before":
            await self._world.kill()
        if fate == "kill during":
            self._world.die()
        if fate == "close during":
            self._world.shut.set()
        self._units = units
        await super().commit(units)
        if fate == "kill after":
            await self._world.kill()
        if fate == "error after":
            raise StoreError("the connection was lost during COMMIT")
        self._world.published(units)

    def _in_transaction(self, work: Any, connection: sqlite3.Connection) -> Any:
        result = super()._in_transaction(work, connection)
        if getattr(work, "func", None) is sqlite._write:
            self._world.durable(self._units)
        return result

    def drop(self) -> None:
        """What the system does with a dead process's lock."""
        if self._lock is not None:
            self._lock.close()


class Tasks:
    """What the engine's tasks do. `answers` maps a function's name to (payload) -> result, HANG, or raises TaskError."""

    on_status = None

    def __init__(self, world: "World") -> None:
        self._world, self._life = world, world.life

    def connect(self, engine: Engine) -> None: ...

    def known_text(self, text: str) -> str | None:
        return None

    def resolve(self, resource: Resource) -> Callable[[TaskRequest], Awaitable[Json]]:
        return self._run

    async def close(self) -> None: ...

    async def _run(self, request: TaskRequest) -> Json:
        attempt, name = self._world.began(request)
        self._world.running[attempt] = request.state_name
        try:
            return await self._answer(request, attempt[0], name)
        finally:
            self._world.running.pop(attempt, None)

    async def _answer(self, request: TaskRequest, execution: int, name: str) -> Json:
        world = self._world
        await asyncio.sleep(world.rng.choice((0, 0.01, 0.3, 2.0, 7.0)))
        payload = request.payload
        if request.resource.pattern == ".sync":
            await request.submitted({"JobName": name})
            await asyncio.sleep(world.rng.choice((0, 1.0, 5.0)))
        if request.resource.callback:
            world.outside(world.answer_token(request.token, payload))
        if request.resource.kind == "service":
            payload = payload["Payload"]
        answer = world.answers[name](payload)
        if answer is HANG:
            await asyncio.Future()
        if execution in world.closed and world.life == self._life:
            world.violated(f"the effect of {request.state_name} goes on after its execution has closed")
        return answer


class World:
    """One seed's run. `violations` is what went wrong, `trace` all that was committed, started and answered, with its time.

    crashes  how many deaths there may be         jumps  whether the wall clock may be changed meanwhile
    """

    def __init__(self, seed: int, folder: Path, answers: dict[str, Callable[[Json], Json]], crashes: int = 12, jumps: bool = True) -> None:
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.wall = Wall(self.loop)
        self.path, self.answers, self.crashes, self.jumps = folder / f"{seed}.db", answers, crashes, jumps
        self.life = 0
        self.engine: Engine | None = None
        self.store: Store | None = None
        self.connections: list[sqlite3.Connection] = []
        self.violations: list[str] = []
        self.trace: list[tuple[Any, ...]] = []
        self.intents: set[tuple[int, int, int]] = set()
        self.closed: set[int] = set()
        self.running: dict[tuple[int, int, int], str] = {}  # effects of the process that lives
        self.reported: set[tuple[int, int, int]] = set()  # attempts whose outcome has come, from wherever
        self._left = 0
        self._closing = False
        self._fate = ""
        self._sent: dict[str, int] = {}  # token -> the life that sent it last
        self._up = asyncio.Event()
        self._dead = asyncio.Event()
        self.shut = asyncio.Event()
        self._clients: list[asyncio.Task[Any]] = []

    # --- running -----------------------------------------------------------------------------------------------------------

    def run(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        """Until every client has ended. Raises Stuck."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(sqlite, "_Thread", lambda: Thread(self)))
            stack.enter_context(patch.object(clock_module, "time", self.wall))
            stack.enter_context(patch.object(asyncio, "to_thread", self._to_thread))
            stack.callback(self._end)
            logging.disable(logging.CRITICAL)
            stack.callback(logging.disable, logging.NOTSET)
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self.loop.create_task(self._main(clients), name="world"))

    def _end(self) -> None:
        while self.loop.alive:
            for task in list(self.loop.alive):
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for connection in self.connections:
            connection.close()
        asyncio.set_event_loop(None)
        self.loop.close()

    async def _main(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        self._clients = [self.outside(client()) for client in clients]
        while not all(task.done() for task in self._clients):
            await self._lifetime()

    async def _lifetime(self) -> None:
        """One process, from its birth to its end."""
        self.life += 1  # odd: it lives
        dies = self.life < 2 * self.crashes
        self._fate = self.rng.choice(FATES) if dies else ""
        self._left = self.rng.randrange(1, self.rng.choice((4, 12, 30)))
        self._dead.clear()
        self.shut.clear()
        self.store = Store(self, self.path)
        engine = Engine(store=self.store, tasks=Tasks(self), limits=LIMITS, new_uuid=self._uuid)
        self._listen(engine)
        birth = self.loop.create_task(engine.open())
        death = self.loop.create_task(self._dead.wait(), name="world: death")
        if self._fate == "kill":
            self.loop.call_later(self.rng.expovariate(self.rng.choice((0.05, 0.3, 3))), self._kill_if, self.life)
        await asyncio.wait([birth, death], return_when=asyncio.FIRST_COMPLETED)
        if birth.done() and birth.exception() is None:
            self.engine = engine
            self._up.set()
            ends = [death, self.loop.create_task(self._content(), name="world: content")]
            ends.append(self.loop.create_task(self.shut.wait(), name="world: closing"))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends[1:]:
                end.cancel()
        elif birth.done() and not isinstance(birth.exception(), StoreError):
            self.violated(f"it does not open: {birth.exception()!r}")
            raise Stuck("it does not open")
        self._up.clear()
        self.engine = None
        if birth.done() and (engine.worker.failed is not None or not death.done()):
            self._closing = True
            await engine.close()
            await self._alone()
            self._closing = False
        death.cancel()
        await self._bury(engine)
        if self.jumps and self.rng.random() < 0.3:
            self.wall.skew_seconds += self.rng.choice((-900, -60, -3, 5, 30))
        await asyncio.sleep(self.rng.choice((0, 0.2, 1.0)))

    async def _content(self) -> None:
        await asyncio.wait(self._clients)

    async def _alone(self) -> None:
        """After an orderly end no call may be left without its answer."""
        left = [task for task in self.loop.alive if not task.get_name().startswith("world")]
        if left:
            _, pending = await asyncio.wait(left, timeout=30)
            for task in pending:
                self.violated(f"it goes on after close(): {where(task)}")

    async def _bury(self, engine: Engine) -> None:
        """All that a dead process was is gone, at once."""
        self.life += 1
        worker = engine.worker
        worker._closing = True
        worker.timers.close()
        engine.retention.close()
        if worker._window_alarm is not None:
            worker._window_alarm.cancel()
        rest = [task for task in self.loop.alive if not task.get_name().startswith("world")]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        assert self.store is not None
        self.store.drop()
        self.running.clear()

    # --- dying -------------------------------------------------------------------------------------------------------------

    def fate(self, now: str) -> str:
        """What happens to the process at this point: of a "commit", or at an "answer" to a client."""
        if (self._fate == "kill at an answer") != (now == "answer"):
            return ""
        self._left -= 1
        return self._fate if not self._left else ""

    def _kill_if(self, life: int) -> None:
        if life == self.life:
            self.die()

    def die(self) -> None:
        """It has little time left."""
        self._dead.set()

    async def kill(self) -> None:
        """Called by the process itself: it does not come back from here."""
        self.die()
        await asyncio.Future()

    # --- what the process does -----------------------------------------------------------------------------------------------

    async def pause(self) -> None:
        chance = self.rng.random()
        await asyncio.sleep(0 if chance < 0.7 else 0.001 if chance < 0.8 else 0.05 if chance < 0.98 else 1.0)

    async def _to_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        await self.pause()
        result = call(*arguments)
        await self.pause()
        return result

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def note(self, *what: Any) -> None:
        self.trace.append((round(self.loop.virtual, 6), self.life, *what))

    def violated(self, what: str) -> None:
        self.violations.append(f"at {self.loop.virtual:.3f} s, life {self.life}: {what}")

    def durable(self, units: Sequence[Unit]) -> None:
        """A commit has reached the disk; nobody knows yet."""
        for unit in units:
            x = unit.execution
            if unit.history and unit.history[0][0] == REDRIVEN:
                self.closed.discard(x.id)
            self.note("commit", x.id, unit.first, len(unit.history), unit.at, x.status)
            self.intents.update((x.id, frame.id, frame.seq) for frame in x.frames.values() if frame.phase == model.Phase.TASK)

    def published(self, units: Sequence[Unit]) -> None:
        """A commit has come back."""
        for unit in units:
            x = unit.execution
            if x.status != model.RUNNING:
                self.closed.add(x.id)
            current = {(x.id, frame.id, frame.seq) for frame in x.frames.values() if frame.phase == model.Phase.TASK}
            given_up = [attempt for attempt in self.running if attempt[0] == x.id and attempt not in current | self.reported]
            self.loop.call_later(0.01, self._all_cancelled, self.life, given_up)

    def _all_cancelled(self, life: int, attempts: list[tuple[int, int, int]]) -> None:
        """Nobody waits for these any more: time out, a sibling failed, the execution was stopped."""
        for attempt in attempts if life == self.life else ():
            if attempt in self.running:
                self.violated(f"the effect of {self.running[attempt]} goes on after it was given up: {attempt}")

    def began(self, request: TaskRequest) -> tuple[tuple[int, int, int], str]:
        """An effect starts: (its attempt, its function)."""
        attempt = read_token(request.token)
        assert attempt is not None
        name = request.resource.action if request.resource.kind == "lambda" else request.payload["FunctionName"]
        self.note("effect", *attempt, name, request.again)
        if attempt not in self.intents:
            self.violated(f"effect without its intent: {request.state_name} {attempt}")
        if attempt[0] in self.closed:
            self.violated(f"the effect of {request.state_name} begins after its execution has closed")
        if self._closing:
            self.violated(f"the effect of {request.state_name} begins after close()")
        before = self._sent.get(request.token)
        if before == self.life or (before is not None and not request.again):
            self.violated(f"{request.state_name} {attempt} was sent twice, again={request.again}")
        self._sent[request.token] = self.life
        return attempt, name

    def _listen(self, engine: Engine) -> None:
        """What reports on an attempt comes again sometimes: soon, late, or in another life. A host ends what has failed."""
        submit, on_failure = engine.worker.submit, engine.worker.on_failure
        kinds = (model.TaskSubmitted, model.TaskSucceeded, model.TaskFailed, model.TaskStarted, model.ChildClosed)

        def submit_and_repeat(live: Any, event: model.Event, answer: asyncio.Future[None] | None = None) -> None:
            if isinstance(event, model.TaskSucceeded | model.TaskFailed):
                self.reported.add((live.x.id, event.frame, event.seq))
            submit(live, event, answer)
            if isinstance(event, kinds) and self.rng.random() < 0.3:
                self.loop.call_later(self.rng.choice((0, 0.02, 3.0, 60.0)), self._repeat, live.x.id, event)

        def failed(error: BaseException, execution: int | None) -> None:
            on_failure(error, execution)
            if engine.worker.failed is not None:
                self._dead.set()
            elif execution is not None:
                self.violated(f"an execution is parked: {error!r}")

        engine.worker.submit = submit_and_repeat  # type: ignore[method-assign]
        engine.worker.on_failure = failed

    def _repeat(self, execution: int, event: model.Event) -> None:
        if self.engine is not None:
            self.engine.worker.send(execution, event)

    # --- the outside ---------------------------------------------------------------------------------------------------------

    def outside(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that outlives processes. What it raises is a violation."""
        task = self.loop.create_task(coroutine, name="world: client")
        task.add_done_callback(self._outside_ended)
        return task

    def _outside_ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.violated(f"a client saw {error!r}")

    async def call(self, operation: Callable[[Engine], Awaitable[T]]) -> T:
        """Call the engine that lives until one of them answers. Raises ApiError as a client would."""
        while True:
            await self._up.wait()
            assert self.engine is not None
            engine = self.engine
            task = self.loop.create_task(_ask(operation, engine))
            await asyncio.wait([task])
            if not task.cancelled():
                if self.fate("answer"):
                    self._dead.set()
                try:
                    return task.result()
                except ApiError:
                    raise
                except EngineError:
                    pass  # it failed or was closed: nobody knows whether it did what was asked
            await asyncio.sleep(self.rng.choice((0, 0.01, 0.5)))

    async def first(self, *attempts: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make all of these calls at the same time and believe the first answer."""
        tasks = [self.outside(attempt()) for attempt in attempts]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def answer_token(self, token: str, payload: Json) -> None:
        """Whoever got the task token reports, perhaps twice at a time, until he gets an answer, be it a refusal."""
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
