"""Exactly once, on one PostgreSQL database: whatever is lost, late or killed, each task of another
shard has one effect at home, and home's rules get each status event once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.engine.store.conftest import own_schema
from tests.integrations.cluster.shards import ROLE, Call, Network, ShardEngine, task

from stepwell.engine.core.environment import token
from stepwell.engine.errors import EngineError
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import DEFAULT_LIMITS

COUNT = 2
LIMITS = replace(
    DEFAULT_LIMITS,
    peer_pause_seconds=0.01,
    peer_pause_most_seconds=0.05,
    status_lease_seconds=0.05,
)
URL = "http://localhost:8083/123456789012/"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:events"
RULE = json.dumps({"source": ["aws.states"], "detail": {"status": ["SUCCEEDED"]}})
SEND = task("sqs:sendMessage", {"QueueUrl": f"{URL}sent", "MessageBody.$": "$"})
FATES = [
    "answered",
    "refused",
    "lost",
    "late",
    "home dies before",
    "home dies after",
    "sender dies before",
    "sender dies after",
    "both die after",
]


class Cluster:
    """Home and another shard on one schema; fates: of the next calls that send a task home."""

    def __init__(self, url: str, fates: list[str]) -> None:
        self.url, self.fates = url, fates
        self.network = Network(COUNT)
        self.network.fault = self._fault
        self.engines = [
            ShardEngine(url, self.network, n, LIMITS, real_time=True) for n in range(COUNT)
        ]
        self.deaths: dict[int, asyncio.Task[None]] = {}
        self.late: list[Call] = []
        self.started = asyncio.Event()  # all executions are

    async def open(self) -> None:
        for each in self.engines:
            await each.open()
        home = self.engines[0]
        home.engine.on_definitions_changed = self._changed
        sqs, events = await home.service("sqs"), await home.service("events")
        await sqs.create_queue(queue_name="sent")
        await sqs.create_queue(queue_name="events")
        await events.put_rule(name="r", event_pattern=RULE)
        await events.put_targets(rule="r", targets=[{"Id": "1", "Arn": QUEUE_ARN}])

    async def close(self) -> None:
        for each in self.engines:
            await each.close()

    async def _changed(self, arn: str) -> None:
        await self.engines[1].engine.forget_definitions(arn)

    async def _fault(self, call: Call) -> Any:
        if call.method == "run":
            await self.started.wait()
        if call.method != "run" or not self.fates:
            return await call.run()
        fate = self.fates.pop(0)
        if fate == "refused":
            raise UnreachableError(fate)
        if fate == "late":
            self.late.append(call)
            raise LostAnswerError(fate)
        if fate.endswith("after") or fate in ("answered", "lost"):
            answer = await call.run()
        if fate == "answered":
            return answer
        if fate.startswith(("home", "both")):
            self._die(0)
        if fate.startswith(("sender", "both")):
            self._die(1)
        raise LostAnswerError(fate)

    def _die(self, shard: int) -> None:
        if shard not in self.deaths or self.deaths[shard].done():
            self.deaths[shard] = asyncio.create_task(self._died(shard))

    async def _died(self, shard: int) -> None:
        """The owner of a shard commits nothing more, and another takes the shard over."""
        self.network.services.pop(shard, None)
        connection = await asyncpg.connect(self.url)
        await connection.execute("UPDATE shard SET epoch = epoch + 1 WHERE number = $1", shard)
        await connection.close()
        await self.engines[shard].close()
        await self.engines[shard].open()
        if shard == 0:
            self.engines[0].engine.on_definitions_changed = self._changed

    async def calm(self) -> None:
        for death in list(self.deaths.values()):
            await death

    async def ended(self, arn: str) -> str:
        while True:
            await self.calm()
            try:
                row = await self.engines[1].engine.store.describe(arn)
            except EngineError:  # it dies
                row = None
            if row is not None and row.status != "RUNNING":
                return row.status
            await asyncio.sleep(0.01)

    async def messages(self, queue: str) -> list[Any]:
        sqs, got = await self.engines[0].service("sqs"), list[Any]()
        while answer := (
            await sqs.receive_message(
                queue_url=URL + queue, max_number_of_messages=10, visibility_timeout=600
            )
        ).get("Messages"):
            got += [json.loads(each["Body"]) for each in answer]
        return got

    async def all_messages(self, queue: str, count: int) -> list[Any]:
        got: list[Any] = []
        while len(got) < count:
            got += await self.messages(queue)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # for one too many
        return got + await self.messages(queue)


async def carried_out(url: str, fates: list[str]) -> None:
    cluster = Cluster(url, list(fates))
    await cluster.open()
    try:
        async with asyncio.timeout(60):
            await _carried_out(cluster)
    finally:
        await cluster.calm()
        await cluster.close()


async def _carried_out(cluster: Cluster) -> None:
    home, arns = cluster.engines[0].engine, list[str]()
    machine = await home.create_state_machine("m", json.dumps(SEND), role_arn=ROLE)
    for number in range(3):
        started = await cluster.engines[1].engine.start_execution(
            machine["stateMachineArn"], input=json.dumps({"n": number})
        )
        arns.append(started["executionArn"])
    cluster.started.set()
    assert [await cluster.ended(arn) for arn in arns] == ["SUCCEEDED"] * 3
    for call in cluster.late:
        with suppress(EngineError):  # its answer was taken
            await call.run()
    sent = await cluster.all_messages("sent", 3)
    assert Counter(each["n"] for each in sent) == Counter(range(3))
    events = await cluster.all_messages("events", 3)
    assert Counter(each["detail"]["executionArn"] for each in events) == Counter(arns)
    records = cluster.engines[0].engine.records
    assert await records.scan("inbox/") == []
    assert await records.scan("task/answer/") == [], "deleted by the commits of the successes"


async def test_undisturbed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    await carried_out(own_schema(request, tmp_path), [])


async def test_an_attempt_that_is_cancelled_in_its_commit_is_not_begun_again(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its shard moves: the old owner cancels it, the new one sends it again."""
    url, network = own_schema(request, tmp_path), Network(1)
    message: dict[str, Any] = {
        "token": token(cast(Any, SimpleNamespace(id=7, uuid="u")), 1, 1),
        "shard": 0,
        "opening": "o",
        "resource": "arn:aws:states:::sqs:sendMessage",
        "payload": json.dumps({"QueueUrl": f"{URL}sent", "MessageBody": "x"}).encode(),
        **dict.fromkeys(("timeout", "heartbeat")),
        **dict.fromkeys(("execution_arn", "machine_arn", "state_name", "role_arn"), ""),
        "known": "working",
    }
    async with ShardEngine(url, network, 0, LIMITS, real_time=True) as home:
        sqs, runs = await home.service("sqs"), network.services[0]["tasks"]
        await sqs.create_queue(queue_name="sent")
        home.registry.host.peers = None  # no caller is asked
        connection = await asyncpg.connect(url)
        async with connection.transaction():  # for which the commit waits
            await connection.execute("LOCK TABLE record IN EXCLUSIVE MODE")
            first = asyncio.create_task(runs.run(**message, caller="a", call="1", again=False))
            await blocked(connection)
            await runs.cancel(token=message["token"], caller="a")
            await asyncio.sleep(0.05)
            again = {**message, "caller": "b", "call": "2", "again": True}
            second = asyncio.create_task(runs.run(**again))
            await asyncio.sleep(0.2)
        await connection.close()
        await asyncio.gather(first, second, return_exceptions=True)
        assert (await runs.run(**again))["marked"]
        got = await sqs.receive_message(queue_url=f"{URL}sent", max_number_of_messages=10)
        assert len(got["Messages"]) == 1


async def blocked(connection: Any) -> None:
    """Return when a commit waits for a lock."""
    async with asyncio.timeout(60):
        while True:
            if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return
            await asyncio.sleep(0.01)


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=5))
@example(["home dies after", "sender dies after", "lost"])
@example(["late", "home dies after"])
@example(["both die after", "both die after", "late"])
def test_whatever_fails(request: pytest.FixtureRequest, tmp_path: Path, fates: list[str]) -> None:
    url = own_schema(request, tmp_path / "-".join(fates))
    asyncio.run(emptied(url))
    asyncio.run(carried_out(url, fates))


async def emptied(url: str) -> None:
    """hypothesis may run an example twice."""
    server, _, schema = url.partition("?search_path=")
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()
