"""Engines of several shards in one process, which call each other through a network that a test can
break.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock, SystemClock
from stepwell.engine.sharding import Shard
from stepwell.engine.store.opening import is_postgres
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.cluster.shard_services import shard_services
from stepwell.integrations.host import UnreachableError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.tasks.iam_policies import Policies
from stepwell.integrations.tasks.registry import Registry

ROLE = "arn:aws:iam::123456789012:role/any"
Fault = Callable[["Call"], Awaitable[Any]]


class Call:
    """One call on its way. run(): its answer from the engine that owns the shard."""

    def __init__(
        self,
        service: str,
        method: str,
        arguments: Mapping[str, Any],
        run: Callable[[], Awaitable[Any]],
    ) -> None:
        self.service, self.method, self.arguments, self.run = service, method, arguments, run


class Network:
    """services  shard -> name -> service of the engine that owns it; missing: unreachable
    fault     carries out each call; by default undisturbed
    calls     how many of each method
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.services: dict[int, Mapping[str, Any]] = {}
        self.calls = Counter[str]()
        self._changed = asyncio.Condition()
        self.fault: Fault = lambda call: call.run()

    async def called(self, method: str, times: int) -> None:
        """Return when a method was called that often."""
        async with asyncio.timeout(60):
            async with self._changed:
                await self._changed.wait_for(lambda: self.calls[method] >= times)

    async def note(self, method: str) -> None:
        async with self._changed:
            self.calls[method] += 1
            self._changed.notify_all()

    def peers(self, shard: int) -> NetworkPeers:
        return NetworkPeers(self, shard)


class NetworkPeers:
    def __init__(self, network: Network, shard: int) -> None:
        self._network, self.shard, self.count = network, shard, network.count
        self.opening = secrets.token_hex(8)

    async def call(
        self, shard: int, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """By way of msgpack, as between two processes."""
        network, sent = self._network, msgspec.msgpack.encode(arguments)
        await network.note(method)

        async def run() -> Any:
            if shard not in network.services:
                raise UnreachableError(f"shard {shard} has no owner")
            found = getattr(network.services[shard][service], method)
            answer = await found(**msgspec.msgpack.decode(sent))
            return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))

        return await network.fault(Call(service, method, arguments, run))


class ShardEngine:
    """The engine of one shard. open() and close() it as often as wanted."""

    def __init__(
        self,
        db: Path | str,
        network: Network | None = None,
        shard: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        policies: Mapping[str, Any] | None = None,
        functions: Path | None = None,
        real_time: bool = False,
        **settings: Any,
    ) -> None:
        self.db, self.network, self.shard, self.limits = db, network, shard, limits
        self.policies, self.functions, self.settings = policies, functions, settings
        self.real_time, self.clock = real_time, ManualClock()

    async def open(self) -> ShardEngine:
        outside = Outside({}, allow_private=True, limits=self.limits)
        policies = Policies(self.policies) if self.policies is not None else None
        self.registry = registry = Registry(
            None, self.functions, limits=self.limits, outside=outside, policies=policies
        )
        if self.network is not None:
            registry.host.peers = self.network.peers(self.shard)
        settings = {"clock": SystemClock() if self.real_time else self.clock, **self.settings}
        if is_postgres(str(self.db)) and self.network is not None:
            settings["shard"] = Shard(self.shard, self.network.count)
        self.engine = Engine(self.db, tasks=registry, limits=self.limits, **settings)
        services: dict[str, Any] = {}
        if self.network is not None:
            services = shard_services(registry.host, registry)
        await self.engine.open()
        if self.network is not None:
            self.network.services[self.shard] = services
        return self

    async def close(self) -> None:
        if self.network is not None:
            self.network.services.pop(self.shard, None)
        await self.engine.close()

    async def __aenter__(self) -> ShardEngine:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def service(self, name: str) -> Any:
        return await self.registry.host.services.get(name)

    async def run(self, definition: Mapping[str, Any], input: Any = None) -> dict[str, Any]:
        """The description of an execution at its end."""
        text = msgspec.json.encode(definition).decode()
        machine = await self.engine.create_state_machine("m", text, role_arn=ROLE)
        started = await self.engine.start_execution(machine["stateMachineArn"], input=input or {})
        return await self.ended(started["executionArn"])

    async def ended(self, arn: str) -> dict[str, Any]:
        """The description of an execution at its end. Time passes, so that calls are repeated."""
        running = asyncio.ensure_future(self.engine.wait(arn, timeout=60))
        await self.until(running.done)
        return dict(running.result())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.002)
                self.clock.advance(2)

    async def history(self, arn: str) -> list[dict[str, Any]]:
        return list((await self.engine.get_execution_history(arn, max_results=1000))["events"])


def task(resource: str, parameters: Any, **rest: Any) -> dict[str, Any]:
    """A machine of one task."""
    name = resource if resource.startswith("arn:") else f"arn:aws:states:::{resource}"
    state = {"Type": "Task", "Resource": name, "Parameters": parameters, "End": True, **rest}
    return {"StartAt": "T", "States": {"T": state}}
