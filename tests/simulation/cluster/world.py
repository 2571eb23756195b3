"""A cluster in virtual time: nodes that die, freeze, are cut off, come and leave, on one database
server that loses sessions and fails over, with a network that loses calls and answers.

    World.run():  clients --> any node's Front --> Node --> Engine of a shard --> Server

One seed is one run. The troubles end after a while; then every client must get what it wanted.
"""

import asyncio
import heapq
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest.mock import patch
from weakref import WeakKeyDictionary

from tests.simulation.cluster.network import Link, Listener
from tests.simulation.cluster.nodes import Process
from tests.simulation.cluster.server import Server
from tests.simulation.virtual import PROCESS, START_MS, Stuck, VirtualLoop, where

from stepwell.asl.evaluation import Json
from stepwell.engine import clock as clock_module
from stepwell.engine.errors import ApiError, EngineError
from stepwell.integrations.cluster import inbox
from stepwell.integrations.limits import Limits
from stepwell.integrations.nodes import node as node_module
from stepwell.integrations.tasks import sent_home

T = TypeVar("T")
SHARDS = 4
LIMITS = Limits(
    look_seconds=0.8,
    recovery_page=2,
    batch_units=3,
    sweep_seconds=3600,
    task_answers_seconds=20,  # less than a node is frozen
)
END_SECONDS = 1500.0  # of virtual time
ANSWER_SECONDS = 40  # after which a client asks another node
TROUBLES = (
    *("kill", "kill", "freeze", "freeze", "cut", "leave", "join", "failover"),
    *("terminate", "terminate", "terminate one", "terminate one"),
)


@dataclass(frozen=True)
class Settings:
    """nodes     at first, and at least as many while there is trouble
    troubles  how many there are         pause  seconds between two of them, on average
    pooled, commits  see Server: `pooled`, `trouble`
    network   how likely a call to another node has a fault
    """

    nodes: int = 2
    troubles: int = 0
    pause: float = 8.0
    pooled: bool = False
    commits: tuple[float, float] = (0.0, 0.0)
    network: float = 0.0


def drawn(rng: random.Random) -> Settings:
    return Settings(
        nodes=rng.choice((2, 2, 3, 4)),
        troubles=rng.randrange(2, 9),
        pause=rng.choice((2.0, 8.0, 15.0)),
        pooled=rng.random() < 0.3,
        commits=rng.choice(((0.0, 0.0), (0.01, 0.01), (0.0, 0.03), (0.03, 0.0))),
        network=rng.choice((0.0, 0.05, 0.2)),
    )


class Loop(VirtualLoop):
    """Nothing of a frozen process runs."""

    def call_soon(self, callback: Any, *arguments: Any, context: Context | None = None) -> Any:
        handle = super().call_soon(callback, *arguments, context=context)
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is not None and process.frozen:
            self._ready.pop()  # type: ignore[attr-defined]
            process.held.append(handle)
        return handle

    def freeze(self, process: Process) -> None:
        process.frozen = True
        for queue in (self._ready, self._scheduled):  # type: ignore[attr-defined]
            own = [each for each in queue if each._context.get(PROCESS) is process]
            others = [each for each in queue if each._context.get(PROCESS) is not process]
            queue.clear()
            queue.extend(others)
            process.held.extend(own)
        heapq.heapify(self._scheduled)  # type: ignore[attr-defined]

    def thaw(self, process: Process) -> None:
        process.frozen = False
        held, process.held = process.held, []
        for handle in held:
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)  # type: ignore[attr-defined]
            else:
                self._ready.append(handle)  # type: ignore[attr-defined]


class OfProcess:
    """A set of a module, of which each process has its own."""

    def __init__(self) -> None:
        self._sets = WeakKeyDictionary[Process, set[str]]()

    def _own(self) -> set[str]:
        return self._sets.setdefault(PROCESS.get(), set())

    def add(self, each: str) -> None:
        self._own().add(each)

    def discard(self, each: str) -> None:
        self._own().discard(each)

    def __contains__(self, each: str) -> bool:
        return each in self._own()


class Clocks:
    """In place of the module `time` in engine/clock.py: each node has a clock of its own."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def time_ns(self) -> int:
        process = PROCESS.get()
        skew = 0 if process is None else process.skew_ms
        return (START_MS + skew + round(self._loop.virtual * 1000)) * 1_000_000

    def time(self) -> float:
        return self.time_ns() / 1e9

    def monotonic_ns(self) -> int:
        return round(self._loop.virtual * 1000) * 1_000_000

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9


class World:
    """One seed's run. `violations` is what went wrong, `trace` what happened, with its time."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self.rng, self.settings = random.Random(seed), settings
        self.loop = Loop(END_SECONDS)
        self.limits = LIMITS
        self.server = Server(self, SHARDS)
        self.processes: list[Process] = []
        self.addresses: dict[str, Process] = {}
        self.violations: list[str] = []
        self.trace: list[tuple[Any, ...]] = []
        self.calls: dict[str, int] = {}  # function's name -> how often it was called
        self._clients: list[asyncio.Task[Any]] = []

    # --- running ----------------------------------------------------------------------------------

    def run(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        """Until every client has ended. Raises Stuck."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(clock_module, "time", Clocks(self.loop)))
            stack.enter_context(patch.object(node_module, "Link", Link))
            stack.enter_context(patch.object(node_module, "Listener", Listener))
            stack.enter_context(patch.object(inbox, "_POLL_SECONDS", 4.0))
            stack.enter_context(patch.object(sent_home, "_waiting", OfProcess()))
            stack.enter_context(patch.object(asyncio, "to_thread", self._to_thread))
            logging.disable(logging.CRITICAL)
            stack.callback(logging.disable, logging.NOTSET)
            stack.callback(self._end)
            asyncio.set_event_loop(self.loop)
            try:
                self.loop.run_until_complete(self.loop.create_task(self._main(clients)))
            except Stuck as stuck:
                waits = [where(task) for task in self._clients if not task.done()]
                stuck.before = self.violations
                raise Stuck(f"{stuck}; clients wait: {waits}") from stuck

    def _end(self) -> None:
        for process in self.processes:
            process.dead = True
            if process.frozen:
                self.loop.thaw(process)
        while self.loop.alive:
            for task in list(self.loop.alive):
                task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        asyncio.set_event_loop(None)
        self.loop.close()
        self.server.connection.close()

    async def _main(self, clients: Sequence[Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        for _ in range(self.settings.nodes):
            self._join()
        self.server.pooled = self.settings.pooled
        self.server.trouble = self.settings.commits
        self._clients = [self.outside(client()) for client in clients]
        troubles = self.outside(self._trouble())
        await asyncio.wait(self._clients)
        await troubles

    async def _to_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        await self.pause()
        return call(*arguments)

    async def pause(self) -> None:
        chance = self.rng.random()
        await asyncio.sleep(
            0 if chance < 0.6 else 0.001 if chance < 0.8 else 0.05 if chance < 0.98 else 1.0
        )

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def note(self, *what: Any) -> None:
        self.trace.append((round(self.loop.virtual, 6), *what))

    def violated(self, what: str) -> None:
        self.loop.end = min(self.loop.end, self.loop.virtual + 300)
        self.violations.append(f"at {self.loop.virtual:.3f} s: {what}")

    # --- nodes and their troubles -----------------------------------------------------------------

    def _join(self) -> None:
        process = Process(self, len(self.processes) + 1)
        self.processes.append(process)
        self.addresses[process.address] = process
        process.spawn(process.open())

    def network_fault(self) -> str:
        if self.rng.random() >= self.settings.network or not self.settings.network:
            return ""
        return self.rng.choice(("unreachable", "late", "lost answer"))

    def _well(self) -> list[Process]:
        """The nodes that have no trouble."""
        return [
            each
            for each in self.processes
            if not (each.dead or each.frozen or each.cut or each.closing)
        ]

    async def _trouble(self) -> None:
        ends: list[asyncio.Task[Any]] = []
        for _ in range(self.settings.troubles):
            await asyncio.sleep(self.rng.expovariate(1 / self.settings.pause))
            trouble = self.rng.choice(TROUBLES)
            self.note(trouble)
            ends.append(self.outside(self._happen(trouble)))
        for end in ends:
            await end
        self.server.trouble = (0.0, 0.0)
        self.settings = Settings(nodes=self.settings.nodes)
        while len(self._well()) < 2:
            self._join()

    async def _happen(self, trouble: str) -> None:
        rng, well = self.rng, self._well()
        if trouble == "failover":
            self.server.down = True
            self.server.end_all()
            await asyncio.sleep(rng.choice((0.1, 2, 12)))
            self.server.down = False
        elif trouble == "terminate" and self.server.sessions:
            self.server.end(rng.choice(self.server.sessions))
        elif trouble == "terminate one" and well:
            self.server.end_all(rng.choice(well))
        elif trouble == "join" and len(well) < 4:
            self._join()
        elif trouble in ("kill", "freeze", "cut", "leave") and well:
            await getattr(self, f"_{trouble}")(rng.choice(well))
            while len(self._well()) < self.settings.nodes:
                self._join()

    async def _kill(self, process: Process) -> None:
        await process.bury()
        if self.rng.random() < 0.7:
            await asyncio.sleep(self.rng.choice((0, 3, 12)))

    async def _freeze(self, process: Process) -> None:
        self.loop.freeze(process)
        await asyncio.sleep(self.rng.choice((1, 8, 15, 40)))
        self.loop.thaw(process)

    async def _cut(self, process: Process) -> None:
        process.cut = True
        await asyncio.sleep(self.rng.choice((1, 8, 15, 40)))
        process.cut = False

    async def _leave(self, process: Process) -> None:
        task = process.spawn(process.close())
        await asyncio.wait([task], timeout=60)
        if not task.done():
            self.violated(f"a node does not close: {process.left()}")
        await process.bury()

    # --- the outside ------------------------------------------------------------------------------

    def outside(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that outlives processes. What it raises is a violation."""
        task = self.loop.create_task(coroutine, context=Context())
        task.add_done_callback(self._outside_ended, context=Context())
        return task

    def _outside_ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.violated(f"a client saw {error!r}")

    def functions(self, process: Process) -> dict[str, Callable[[Json], Awaitable[Json]]]:
        """What tasks call."""

        async def increment(payload: Any) -> Json:
            self.calls["increment"] = self.calls.get("increment", 0) + 1
            await asyncio.sleep(self.rng.choice((0, 0.01, 0.5, 4.0)))
            return {**payload, "n": payload["n"] + 1}

        return {"increment": increment}

    async def call(self, service: str, operation: Callable[[Any], Awaitable[T]]) -> T:
        """Call any node, until one of them answers. Raises ApiError as a client would."""
        while True:
            nodes = [each for each in self.processes if each.up and not each.dead]
            if nodes:
                process = self.rng.choice(nodes)
                task = process.spawn(_ask(operation, process.front.services[service]))
                await asyncio.wait([task], timeout=ANSWER_SECONDS)
                if task.done() and not task.cancelled():
                    try:
                        return task.result()
                    except ApiError as error:
                        if error.code != "ServiceUnavailable":
                            raise
                    except EngineError:
                        pass  # unknown whether it did what was asked
            await asyncio.sleep(self.rng.choice((0.1, 0.5)))


async def _ask(operation: Callable[[Any], Awaitable[T]], service: Any) -> T:
    return await operation(service)
