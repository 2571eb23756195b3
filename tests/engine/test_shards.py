"""Engines of several shards on one PostgreSQL schema: names, definitions, deletions, take-over."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.engine.engine_fixture import refused
from tests.engine.store.conftest import own_schema

from stepwell.asl.evaluation import Json
from stepwell.engine.arns import execution_arn
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, WrongShardError
from stepwell.engine.limits import Limits
from stepwell.engine.sharding import Shard, shard_of, shard_of_id
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.engine.store.sql.copying import copy
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.integrations.requests import request_id, request_ids
from stepwell.integrations.tasks.registry import Registry

COUNT = 3
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:"
HAND = {
    "StartAt": "H",
    "States": {
        "H": {"Type": "Task", "Resource": ACTIVITY, "Next": "P"},
        "P": {"Type": "Pass", "End": True},
    },
}
NEST = {
    "StartAt": "N",
    "States": {
        "N": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": f"{MACHINE}inner", "Input.$": "$"},
            "ResultSelector": {"arn.$": "$.ExecutionArn"},
            "End": True,
        }
    },
}


class Shards:
    """The engines of all shards of a schema, each of which tells the others what it must."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engines: list[Engine] = []

    async def open(self) -> None:
        self.engines = [await self.engine(number) for number in range(COUNT)]

    async def engine(self, number: int, **limits: Any) -> Engine:
        engine = Engine(
            self.url,
            shard=Shard(number, COUNT),
            tasks=Registry({"echo": echo}),
            limits=Limits(**limits),
        )
        if number:
            engine.on_deletion = self.told
        else:
            engine.on_definitions_changed = self.changed
        return await engine.open()

    async def told(self, arn: str) -> None:
        await self.engines[0].finish_deletion(arn)

    async def changed(self, arn: str) -> None:
        await asyncio.gather(*(engine.forget_definitions(arn) for engine in self.engines[1:]))

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()

    async def machine(self, definition: Json, name: str = "m", **fields: Any) -> str:
        made = await self.engines[0].create_state_machine(name, json.dumps(definition), **fields)
        return made["stateMachineArn"]


async def echo(payload: Json) -> Json:
    return payload


@pytest.fixture
async def shards(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shards]:
    made = Shards(own_schema(request, tmp_path))
    await made.open()
    yield made
    await made.close()


def elsewhere(machine: str, shard: int) -> str:
    """A name of an execution that belongs to another shard."""
    head = machine.replace(":stateMachine:", ":execution:")
    return next(
        f"n{number}" for number in range(99) if shard_of(f"{head}:n{number}", COUNT) != shard
    )


# --- names ----------------------------------------------------------------------------------------


async def test_executions_without_a_name_live_where_they_are_started(shards: Shards) -> None:
    machine = await shards.machine(PASS)
    for number, engine in enumerate(shards.engines):
        for _ in range(5):
            arn = (await engine.start_execution(machine))["executionArn"]
            assert shard_of(arn, COUNT) == number
            row = await engine.store.describe(arn)
            assert row is not None and shard_of_id(row.id) == number


async def test_a_name_of_another_shard_is_refused_here(shards: Shards) -> None:
    machine = await shards.machine(PASS)
    name = elsewhere(machine, 0)
    with pytest.raises(WrongShardError, match="belongs to shard"):
        await shards.engines[0].start_execution(machine, name=name)
    for engine in shards.engines[1:]:
        if engine.shard.owns(machine.replace(":stateMachine:", ":execution:") + f":{name}"):
            await engine.start_execution(machine, name=name)
    # its committed row answers everywhere
    await refused(
        shards.engines[0].start_execution(machine, name=name, input="[1]"),
        "ExecutionAlreadyExists",
        f"Execution Already Exists: '{machine.replace('stateMachine', 'execution')}:{name}'",
    )


async def test_executions_of_another_shard_can_only_be_read(shards: Shards) -> None:
    await shards.engines[0].create_activity("work")
    machine = await shards.machine(HAND)
    home, other = shards.engines[:2]
    arn = (await other.start_execution(machine))["executionArn"]
    assert (await home.describe_execution(arn))["status"] == "RUNNING"
    for call in (home.stop_execution, home.wait):
        with pytest.raises(WrongShardError):
            await call(arn)
    with pytest.raises(WrongShardError):
        async for _ in home.watch(arn):
            pass
    task = await other.get_activity_task(ACTIVITY)
    with pytest.raises(WrongShardError):
        await home.send_task_success(task["taskToken"], output="1")
    await other.send_task_success(task["taskToken"], output="1")
    assert (await other.wait(arn))["status"] == "SUCCEEDED"
    assert (await home.wait(arn))["status"] == "SUCCEEDED"  # from its row


async def test_nested_executions_live_with_their_parents(shards: Shards) -> None:
    inner, outer = await shards.machine(PASS, "inner"), await shards.machine(NEST, "outer")
    for number, engine in enumerate(shards.engines):
        parent = (await engine.start_execution(outer, input="[5]"))["executionArn"]
        ended = await engine.wait(parent, 60)
        child = json.loads(ended["output"])["arn"]
        assert shard_of(child, COUNT) == number and child.startswith(
            inner.replace("stateMachine", "execution")
        )
        page = await engine.list_executions(inner)
        assert page["executions"][0]["executionArn"] == child


@pytest.mark.parametrize("number", range(COUNT))
def test_a_nested_start_that_is_repeated_has_the_same_name(number: int) -> None:
    of_name, shard = partial(execution_arn, f"{MACHINE}inner"), Shard(number, COUNT)
    name, arn = shard.draw(of_name, request_ids("token"))
    assert shard.owns(arn) and (name, arn) == shard.draw(of_name, request_ids("token"))
    assert Shard().draw(of_name, request_ids("token"))[0] == request_id("token")


async def test_names_of_a_copied_database_are_found_where_their_rows_are(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """They all have ids of shard 0, whatever their names."""
    file, url = tmp_path / "one.db", own_schema(request, tmp_path)
    async with Engine(file) as engine:
        await engine.create_activity("work")
        made = await engine.create_state_machine("m", json.dumps(HAND))
        machine = made["stateMachineArn"]
        for number in range(6):
            await engine.start_execution(machine, name=f"n{number}", input=f"{number}")
    source, target = SqliteStore(file, read_only=True), PostgresStore(url, shard=Shard(0, COUNT))
    await source.open()
    await target.open()
    await copy(source, target)
    await source.close()
    await target.close()
    shards = Shards(url)
    await shards.open()
    home = shards.engines[0]
    arns = []
    for number in range(6):
        for engine in shards.engines:  # the same start again
            again = await engine.start_execution(machine, name=f"n{number}", input=f"{number}")
            with pytest.raises(ApiError, match="ExecutionAlreadyExists"):
                await engine.start_execution(machine, name=f"n{number}", input="{}")
        arns.append(again["executionArn"])
    assert {shard_of(arn, COUNT) for arn in arns} == set(range(COUNT))
    for _ in arns:
        task = await home.get_activity_task(ACTIVITY)
        await home.send_task_success(task["taskToken"], output="1")
    for arn in arns:
        assert (await home.wait(arn, 60))["status"] == "SUCCEEDED"
    await shards.close()


# --- definitions ----------------------------------------------------------------------------------


async def test_every_shard_follows_the_writes_of_home_at_once(shards: Shards) -> None:
    home, *others = shards.engines
    machine = await shards.machine(PASS, publish=True)
    alias = await home.create_state_machine_alias(
        "live", [{"stateMachineVersionArn": f"{machine}:1", "weight": 100}]
    )
    for engine in shards.engines:
        arn = (await engine.start_execution(alias["stateMachineAliasArn"]))["executionArn"]
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
    broken = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "New"}}}
    await home.update_state_machine(machine, definition=json.dumps(broken), publish=True)
    for engine in others:
        arn = (await engine.start_execution(machine))["executionArn"]
        assert (await engine.wait(arn, 60))["error"] == "New"
        arn = (await engine.start_execution(alias["stateMachineAliasArn"]))["executionArn"]
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
    await home.update_state_machine_alias(
        alias["stateMachineAliasArn"],
        routing_configuration=[{"stateMachineVersionArn": f"{machine}:2", "weight": 100}],
    )
    for engine in others:
        arn = (await engine.start_execution(alias["stateMachineAliasArn"]))["executionArn"]
        assert (await engine.wait(arn, 60))["error"] == "New"
    await home.delete_state_machine_alias(alias["stateMachineAliasArn"])
    for engine in others:
        with pytest.raises(ApiError, match="StateMachineDoesNotExist"):
            await engine.start_execution(alias["stateMachineAliasArn"])


async def test_activities_are_everywhere_and_keep_their_tasks(shards: Shards) -> None:
    home, other, _ = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arn = (await other.start_execution(machine))["executionArn"]
    await home.tag_resource(ACTIVITY, [{"key": "k", "value": "v"}])
    assert (await other.list_tags_for_resource(ACTIVITY))["tags"] == [{"key": "k", "value": "v"}]
    poller = asyncio.create_task(other.get_activity_task(ACTIVITY))
    task = await poller  # queued before the tags were written
    second = asyncio.create_task(other.get_activity_task(ACTIVITY))
    await asyncio.sleep(0)
    await home.create_activity("more")
    later = (await other.start_execution(machine))["executionArn"]
    assert (await second)["input"] == "{}"  # a poller that waited meanwhile
    third = (await other.start_execution(machine))["executionArn"]
    await home.delete_activity(ACTIVITY)
    assert (await other.wait(third, 60))["error"] == "States.Runtime"
    with pytest.raises(ApiError, match="ActivityDoesNotExist"):
        await other.get_activity_task(ACTIVITY)
    await other.send_task_success(task["taskToken"], output="1")
    assert (await other.wait(arn, 60))["status"] == "SUCCEEDED"
    await other.stop_execution(later)


# --- deletions ------------------------------------------------------------------------------------


async def gone(engine: Engine, machine: str) -> bool:
    """Whether the machine is removed; waits a little for it."""
    end = asyncio.get_running_loop().time() + 60
    while await engine.store.machine(machine) is not None:
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_a_machine_is_removed_when_its_last_execution_ends_on_any_shard(
    shards: Shards,
) -> None:
    home, other, third = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arns = [(await engine.start_execution(machine))["executionArn"] for engine in (other, third)]
    await home.delete_state_machine(machine)
    for engine in shards.engines:
        with pytest.raises(ApiError, match="StateMachineDeleting"):
            await engine.start_execution(machine)
    for engine, arn in zip((other, third), arns, strict=True):
        assert await home.store.machine(machine) is not None
        task = await engine.get_activity_task(ACTIVITY)
        await engine.send_task_success(task["taskToken"], output="1")
        assert (await engine.wait(arn, 60))["status"] != "RUNNING"
    assert await gone(home, machine)
    for engine in shards.engines:
        with pytest.raises(ApiError, match="StateMachineDoesNotExist"):
            await engine.start_execution(machine)
    assert await shards.machine(PASS) == machine  # the name is free
    ended = await third.wait((await third.start_execution(machine))["executionArn"], 20)
    assert ended["status"] == "SUCCEEDED"


@pytest.mark.parametrize("ahead", range(4))
async def test_a_start_beside_a_deletion_is_refused_or_kept(shards: Shards, ahead: int) -> None:
    home, *others = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    for engine in others:
        arn = (await engine.start_execution(machine))["executionArn"]
        await engine.stop_execution(arn)  # the machine is in their memory

    async def start(engine: Engine, turns: int) -> str | None:
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            return (await engine.start_execution(machine))["executionArn"]
        except ApiError as error:
            assert error.code in ("StateMachineDeleting", "StateMachineDoesNotExist")
            return None

    starts = [start(engine, turns) for engine in others for turns in range(0, 60, 6)]
    running = [asyncio.create_task(each) for each in starts]
    for _ in range(ahead * 3):
        await asyncio.sleep(0)
    await home.delete_state_machine(machine)
    started = [arn for arn in await asyncio.gather(*running) if arn is not None]
    removed = await home.store.machine(machine) is None
    for arn in started:
        engine = next(engine for engine in others if engine.shard.owns(arn))
        if not removed:  # else none may run for longer than its next transition
            await engine.stop_execution(arn)
        assert (await engine.wait(arn, 60))["status"] == "ABORTED"
    assert await gone(home, machine)


async def test_a_deletion_waits_for_starts_that_are_not_durable_yet(shards: Shards) -> None:
    home, other, _ = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arn = (await other.start_execution(machine))["executionArn"]
    await other.stop_execution(arn)
    connection = await asyncpg.connect(shards.url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT 1 FROM shard WHERE number = 1 FOR UPDATE")  # commits wait
    start = asyncio.create_task(other.start_execution(machine))
    async with asyncio.timeout(60):
        while not other.tracker.open:  # noqa: ASYNC110  # it is decided, and waits for its commit
            await asyncio.sleep(0.01)
        deletion = asyncio.create_task(home.delete_state_machine(machine))
        while machine not in other.deletions._machines.deleting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert not start.done() and not deletion.done()
    assert await home.store.machine(machine) is not None
    await transaction.rollback()
    await connection.close()
    arn = (await start)["executionArn"]
    await deletion
    assert (await other.wait(arn, 60))["status"] == "ABORTED"
    assert await gone(home, machine)


async def test_what_a_shard_reads_afresh_says_that_a_machine_is_being_deleted(
    shards: Shards,
) -> None:
    """As when it is taken over amid the deletion, before home can tell it."""
    home, other, third = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arn = (await other.start_execution(machine))["executionArn"]
    shards.engines = [home, other]
    await home.delete_state_machine(machine)
    with pytest.raises(ApiError, match="StateMachineDeleting"):
        await third.start_execution(machine)
    shards.engines = [home, other, third]
    await other.stop_execution(arn)
    assert await gone(home, machine)


async def test_a_deletion_that_a_crash_left_is_finished(shards: Shards) -> None:
    """The shard of the last execution dies before it could tell home."""
    home, other, _ = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arn = (await other.start_execution(machine))["executionArn"]
    await home.delete_state_machine(machine)
    told = asyncio.Event()

    async def never(arn: str) -> None:
        told.set()
        await asyncio.Event().wait()

    other.on_deletion = never
    await other.stop_execution(arn)
    await told.wait()
    await other.close()
    assert await home.store.machine(machine) is not None
    shards.engines[1] = await shards.engine(1)
    assert await gone(home, machine)


async def test_home_keeps_the_definitions_of_all_shards(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shards = Shards(own_schema(request, tmp_path))
    limits = {"sweep_seconds": 0, "retention_pause_seconds": 0.05, "retention_seconds": 1}
    shards.engines = [await shards.engine(number, **limits) for number in range(COUNT)]
    home, other, _ = shards.engines
    await home.create_activity("work")
    machine = await shards.machine(HAND)
    arn = (await other.start_execution(machine))["executionArn"]
    await home.update_state_machine(machine, definition=json.dumps(PASS))
    await home.update_state_machine(machine, definition=json.dumps({**PASS, "Comment": "last"}))
    async with asyncio.timeout(60):
        while len(await home.store.definition_ids()) > 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert len(await home.store.definition_ids()) == 2  # the last one, and that of the execution
    task = await other.get_activity_task(ACTIVITY)
    await other.send_task_success(task["taskToken"], output="1")
    assert (await other.wait(arn, 60))["status"] == "SUCCEEDED"
    await shards.close()
