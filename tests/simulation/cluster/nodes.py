"""A process of the simulated cluster: a real Node with its Front, with real engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tests.simulation.cluster.server import Members, ShardDatabase
from tests.simulation.virtual import PROCESS, where

from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.engine.store.sql.store import SqlStore
from stepwell.integrations.cluster.shard_services import shard_services
from stepwell.integrations.nodes.front import Front
from stepwell.integrations.nodes.node import Node
from stepwell.integrations.nodes.peers import NodePeers
from stepwell.integrations.services.registry import TABLE, Services
from stepwell.integrations.stack import OPERATIONS, Surroundings
from stepwell.integrations.tasks.registry import Registry

if TYPE_CHECKING:
    from tests.simulation.cluster.world import World

T = TypeVar("T")
SERVICES = {"sqs": TABLE["sqs"]}


class Stack:
    """What Node and Front use of stack.Stack."""

    def __init__(self, engine: Engine, services: dict[str, Any]) -> None:
        self.engine, self.services = engine, services

    def check(self) -> None:
        self.engine.worker.check()
        self.engine.store.check()

    def drain(self) -> None: ...


class Process:
    """dead    nothing of it is left                frozen  it stands still; `held` is what waits
    cut     it cannot reach the database         up      clients may call it
    """

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number, self.address = world, number, f"node{number}:1"
        self.dead = self.frozen = self.cut = self.up = self.listening = self.closing = False
        self.held: list[asyncio.Handle] = []
        self._context = Context()
        self._context.run(PROCESS.set, self)
        self.skew_ms = world.rng.choice((0, 0, -700, 900))
        self.databases: list[ShardDatabase] = []
        self.run(self._make)

    def _make(self) -> None:
        world = self.world
        self.members = Members(world.server, self.address)
        limits = world.limits
        self.node = Node(self.members, self._open, b"", world.server.count, limits)
        nothing = cast(Any, None)
        around = Surroundings(
            settings=nothing,
            limits=limits,
            url="http://localhost:8083",
            home=Home(),
            printer=nothing,
            log_sink=None,
            telemetry=None,
            keys={},
            read=nothing,
        )
        self.front = Front(self.node, around)

    def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call something as this process: what it spawns is the process's own."""
        return self._context.copy().run(call, *arguments)

    def spawn(self, coroutine: Any) -> "asyncio.Task[Any]":
        return self.run(self.world.loop.create_task, coroutine)

    async def open(self) -> None:
        while True:
            try:
                await self.members.joined()
                break
            except Exception:
                await asyncio.sleep(1)
        await self.node.open(cast(Any, None))
        self.up = True

    async def close(self) -> None:
        """In good order."""
        self.up, self.closing = False, True
        await self.front.hand_over()
        await self.front.close()
        await self.node.close()
        await self.members.leave()

    async def bury(self) -> None:
        """Drop everything of a dead process at once."""
        world = self.world
        self.dead, self.up, self.listening, self.frozen = True, False, False, False
        self.held.clear()
        while rest := world.loop.tasks_of(self):
            for task in rest:
                task.cancel()
            await asyncio.sleep(0)
        world.loop.forget(self)
        world.server.end_all(self)

    def left(self) -> list[str]:
        return [where(task) for task in self.world.loop.tasks_of(self)]

    @asynccontextmanager
    async def _open(
        self, shard: int, on_failure: Callable[[BaseException], object]
    ) -> AsyncIterator[Stack]:
        """See Node.open and stack.opened()."""
        world = self.world
        services = Services(SERVICES)
        registry = Registry(functions=world.functions(self), limits=world.limits, services=services)
        host = registry.host
        host.peers, host.executions = NodePeers(self.node, shard), self.front.executions
        database = ShardDatabase(world.server, self, shard)
        self.databases = [*self.databases[-20:], database]
        engine = Engine(
            store=SqlStore(database, world.limits),
            tasks=registry,
            limits=world.limits,
            new_uuid=world.uuid,
        )
        services.connect(host)
        offered = shard_services(host, registry)
        if host.at_home:
            engine.on_open.append(services.open)
        else:
            services.elsewhere = self.front.services
        await engine.open()
        try:
            embedded = {name: await services.get(name) for name in SERVICES}
            stack = Stack(engine, {**embedded, OPERATIONS: engine, **offered})
            before = engine.worker.on_failure

            def failed(error: BaseException, execution_id: int | None) -> None:
                before(error, execution_id)
                if execution_id is None:
                    on_failure(error)
                else:
                    world.violated(f"an execution is parked: {error!r}")

            engine.worker.on_failure = failed
            stack.check()
            yield stack
        finally:
            await engine.close()
