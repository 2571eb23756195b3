"""A world in which the real engine lives: virtual time, a store that crashes, tasks that answer late, twice, or never in this life.

One seed is one run: every random choice comes from one generator, the event loop is single-threaded and its clock moves only when nothing
is left to do. What a task answers depends on its state and attempt alone, so the history of a crash-free run is the expectation.
"""

import asyncio
import random
import selectors
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.asl.limits import Limits
from stepwell.asl.resources import Resource
from stepwell.engine.clock import Alarm
from stepwell.engine.core.model import Execution
from stepwell.engine.core.states import read_token
from stepwell.engine.engine import Engine
from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Unit
from stepwell.engine.store.sqlite import SqliteStore
from stepwell.engine.tasks import TaskError, TaskRequest

START_MS = 1_700_000_000_000
LIMITS = Limits(batch_units=4, unit_transitions=8, timer_window_seconds=10, timer_page=3, recovery_page=2)


class Stuck(Exception):
    """Nothing will ever happen again, and the world is not finished."""


class _Selector(selectors.DefaultSelector):
    """Waiting for a time is moving the clock there; waiting for nothing at all is a bug of the engine."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck("no event is left and no timer is set")
            self._loop.virtual += max(timeout, 0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.virtual = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.virtual


class VirtualClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._least = loop, 0

    def now(self) -> int:
        return max(self._least, START_MS + round(self._loop.virtual * 1000))

    def raise_to(self, ms: int) -> None:
        self._least = max(self._least, ms)

    def call_at(self, ms: int, call: Callable[[], None]) -> Alarm:
        return self._loop.call_at((ms - START_MS) / 1000, call)


class Crash(StoreError):
    """The process dies here."""


class CrashingStore:
    """A store that ends the process before or after some commits; everything else is the real store's.

    `committed` is what a reader of the disk would see of each execution.
    """

    def __init__(self, inner: SqliteStore, rng: random.Random, odds: float) -> None:
        self.inner, self._rng, self._odds = inner, rng, odds
        self.committed: dict[int, Execution] = {}
        self.on_crash: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def open(self) -> None:
        """The disk outlives the process: it is open already."""

    async def close(self) -> None: ...

    async def commit(self, units: Sequence[Unit]) -> None:
        await asyncio.sleep(self._rng.choice((0, 0, 0.001, 0.05)))
        if self._rng.random() < self._odds:
            self._die("before a commit")
        await self.inner.commit(units)
        for unit in units:
            self.committed[unit.execution.id] = unit.execution
        if self._rng.random() < self._odds:
            self._die("after a commit")

    def _die(self, when: str) -> None:
        self.on_crash()
        raise Crash(when)


class Tasks:
    """The outside world. `answers` maps a function's name to (payload, attempt) -> result; it may raise TaskError."""

    def __init__(self, world: "World", answers: dict[str, Callable[[Json, int], Json]]) -> None:
        self._world, self._answers = world, answers

    def resolve(self, resource: Resource) -> Callable[[TaskRequest], Awaitable[Json]]:
        return self._run

    async def close(self) -> None: ...

    async def _run(self, request: TaskRequest) -> Json:
        world = self._world
        parts = read_token(request.token)
        assert parts is not None
        execution, frame, seq = parts
        durable = world.store.committed.get(execution)
        if durable is None or frame not in durable.frames or durable.frames[frame].seq < seq:
            world.broken.append(f"effect without its intent: {request.state_name} attempt {seq}")
        await asyncio.sleep(world.rng.choice((0, 0.01, 0.3, 2.0, 7.0)))
        try:
            return self._answers[request.resource.action](request.payload, seq)
        finally:
            world.repeat_later(request)


class World:
    """One seed's run: engines are born on the same disk until every execution has ended."""

    def __init__(self, seed: int, crashes: bool, answers: dict[str, Callable[[Json, int], Json]], engine: type[Engine] = Engine) -> None:
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.crashes, self.engine_type, self.answers = crashes, engine, answers
        self.inner = SyncStore()
        self.store = CrashingStore(self.inner, self.rng, 0.08 if crashes else 0.0)
        self.broken: list[str] = []
        self.deaths = 0
        self.engine: Engine | None = None
        self._answered: dict[str, tuple[str, str]] = {}

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.rng.getrandbits(128), version=4)
