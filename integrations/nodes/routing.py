"""Which shard carries out an operation; and the operations of all shards as one object.

    App, tasks, targets --> ClusterEngine.stop_execution(...) --rule--> shard --> Operations.call()

An operation that only reads committed rows is carried out by any shard of this node.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, Protocol

from stepwell.engine.arns import execution_arn, read_machine, split_case
from stepwell.engine.core.environment import read_token
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, WrongShardError
from stepwell.engine.limits import Limits
from stepwell.engine.sharding import HOME, shard_of, shard_of_id
from stepwell.integrations.stack import OPERATIONS


class Operations(Protocol):
    """What routing needs of a node."""

    count: int

    def near(self, shard: int | None = None) -> Engine | None:
        """The engine of a shard if it is here, else any engine that is; None if none is."""

    async def call(
        self, shard: int | None, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """Carry it out on the owner of a shard, or where it is nearest: None."""


Rule = Callable[[Operations, Mapping[str, Any]], Awaitable[int | None]]


async def _home(node: Operations, arguments: Mapping[str, Any]) -> int:
    return HOME


async def of_execution(node: Operations, arguments: Mapping[str, Any]) -> int | None:
    """The shard that runs an execution: its committed row says so. One that is not stored yet is
    where its ARN belongs.
    """
    arn = arguments["execution_arn"]
    engine = node.near()
    row = None if engine is None else await engine.store.describe(arn)
    return shard_of(arn, node.count) if row is None else shard_of_id(row.id)


async def _named(node: Operations, arguments: Mapping[str, Any]) -> int | None:
    """A name belongs to one shard. What has none starts at this node."""
    name = arguments.get("name")
    if name is None:
        return None
    try:
        machine = read_machine(split_case(arguments["state_machine_arn"])[0]).machine
    except ApiError:
        return None  # the engine says what is wrong with it
    return shard_of(execution_arn(machine, name), node.count)


async def _of_token(node: Operations, arguments: Mapping[str, Any]) -> int | None:
    token = read_token(arguments["task_token"])
    shard = None if token is None else shard_of_id(token[0])
    return shard if shard is not None and shard < node.count else None


async def _of_map_run(node: Operations, arguments: Mapping[str, Any]) -> int | None:
    engine = node.near()
    try:
        uuid = arguments["map_run_arn"].rpartition(":")[2]
        row = None if engine is None else await engine.store.map_run(uuid)
    except ValueError:
        return None  # the engine says what is wrong with it
    return None if row is None else shard_of_id(row.execution)


async def _described(node: Operations, arguments: Mapping[str, Any]) -> int | None:
    """The owner, if it is here: it has what closed last in memory."""
    shard = shard_of(arguments["execution_arn"], node.count)
    engine = node.near(shard)
    return shard if engine is not None and engine.shard.number == shard else None


RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(
        (
            "create_state_machine",
            "update_state_machine",
            "delete_state_machine",
            "publish_state_machine_version",
            "delete_state_machine_version",
            "create_state_machine_alias",
            "update_state_machine_alias",
            "delete_state_machine_alias",
            "tag_resource",
            "untag_resource",
            "index_executions",
            "create_activity",
            "delete_activity",
            # they ask the embedded services
            "validate_state_machine_definition",
            "test_state",
        ),
        _home,
    ),
    **dict.fromkeys(("stop_execution", "redrive_execution", "fire_timer", "wait"), of_execution),
    **dict.fromkeys(("send_task_success", "send_task_failure", "send_task_heartbeat"), _of_token),
    **dict.fromkeys(("start_execution", "start_nested_execution"), _named),
    "update_map_run": _of_map_run,
    "describe_execution": _described,
}
"""The operations that one shard must carry out; any shard can do the others."""


async def _anywhere(node: Operations, arguments: Mapping[str, Any]) -> None:
    return None


@cache
def _signature(method: str) -> inspect.Signature:
    return inspect.signature(getattr(Engine, method))


Call = Callable[[int | None, str, str, Mapping[str, Any]], Awaitable[Any]]
"""Operations.call, or one that tries once."""


class ClusterEngine:
    """The operations of the Engine, carried out on whichever node has the shard."""

    def __init__(
        self,
        node: Operations,
        limits: Limits,
        own: Mapping[str, Callable[..., Awaitable[Any]]],
        call: Call | None = None,
    ) -> None:
        """own   operations that the node itself carries out, over all shards
        call  in place of node.call
        """
        self._node, self.limits, self._own, self._call = node, limits, own, call or node.call

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method in self._own:
            return self._own[method]
        if not inspect.iscoroutinefunction(getattr(Engine, method)):
            raise AttributeError(f"{method} is not an operation")
        node, rule = self._node, RULES.get(method, _anywhere)

        async def operation(*positional: Any, **arguments: Any) -> Any:
            if positional:
                bound = _signature(method).bind(None, *positional, **arguments).arguments
                arguments = dict(list(bound.items())[1:])
            shard = await rule(node, arguments)
            try:
                return await self._call(shard, OPERATIONS, method, arguments)
            except WrongShardError as elsewhere:  # a name belongs to one shard
                return await self._call(elsewhere.shard, OPERATIONS, method, arguments)

        return operation


class HomeService:
    """The operations of an embedded service, carried out at home."""

    def __init__(self, node: Operations, name: str, kind: type) -> None:
        self._node, self._name, self._kind = node, name, kind

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if not inspect.iscoroutinefunction(getattr(self._kind, method)):
            raise AttributeError(f"{method} is not an operation of {self._name}")

        async def operation(**arguments: Any) -> Any:
            return await self._node.call(HOME, self._name, method, arguments)

        return operation
