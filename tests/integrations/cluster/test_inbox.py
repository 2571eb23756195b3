"""Status events of executions on another shard than home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.cluster.shards import Network, ShardEngine, task

from stepwell.integrations.host import UnreachableError
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.common.tables import pack

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
QUEUE = "http://localhost:8083/123456789012/q"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:q"
PATTERN = json.dumps({"source": ["aws.states"], "detail": {"status": ["RUNNING", "SUCCEEDED"]}})
SHORT = replace(DEFAULT_LIMITS, status_lease_seconds=0.3)


async def rule_to_queue(home: ShardEngine) -> None:
    events, sqs = await home.service("events"), await home.service("sqs")
    await sqs.create_queue(queue_name="q")
    await events.put_rule(name="r", event_pattern=PATTERN)
    await events.put_targets(rule="r", targets=[{"Id": "1", "Arn": QUEUE_ARN}])


async def statuses(home: ShardEngine, count: int) -> list[tuple[str, str]]:
    """(name of the execution, status) of the messages in the queue, when there are `count`."""
    sqs, got = await home.service("sqs"), list[tuple[str, str]]()
    async with asyncio.timeout(60):
        while len(got) < count:
            home.clock.advance(1)
            answer = await sqs.receive_message(
                queue_url=QUEUE, max_number_of_messages=10, visibility_timeout=600
            )
            for each in answer.get("Messages", []):
                detail = json.loads(each["Body"])["detail"]
                got.append((detail["name"], detail["status"]))
            await asyncio.sleep(0.002)
    return got


@asynccontextmanager
async def shards(folder: Path) -> AsyncIterator[tuple[Network, ShardEngine, ShardEngine]]:
    """Home and another shard, with databases of their own: see `moved`."""
    network = Network(2)
    async with (
        ShardEngine(folder / "0.db", network, 0, SHORT) as home,
        ShardEngine(folder / "1.db", network, 1, SHORT) as other,
    ):
        yield network, home, other


async def moved(other: ShardEngine, home: ShardEngine) -> list[str]:
    """The keys of the events that a shard has written, which home finds from now on, as in one
    database.
    """
    found = await other.engine.records.scan("inbox/0/")
    if found:
        await home.engine.records.write(dict(found))
        await other.engine.records.write(dict.fromkeys(key for key, _ in found))
    return [key for key, _ in found]


async def test_the_rules_of_home_get_the_events_of_other_shards(tmp_path: Path) -> None:
    async with shards(tmp_path) as (network, home, other):
        await rule_to_queue(home)
        ended = await other.run(PASS)
        assert len(await moved(other, home)) == 1, "one commit"
        assert sorted(await statuses(home, 2)) == [
            (ended["name"], "RUNNING"),
            (ended["name"], "SUCCEEDED"),
        ]
        assert await home.engine.records.scan("inbox/") == []
        await network.called("written", 1)


async def test_nothing_is_written_while_no_rule_wants_events(tmp_path: Path) -> None:
    """And a rule that is put later misses no execution that starts after it."""
    async with shards(tmp_path) as (network, home, other):
        await other.run(PASS)
        async with asyncio.timeout(60):
            while await moved(other, home):  # until home has answered, or after its lease
                await other.run(PASS)
            await network.services[0]["inbox"].apply()
            await rule_to_queue(home)
        ended = await other.run(PASS)
        assert len(await moved(other, home)) == 1, "one commit"
        assert [name for name, _ in await statuses(home, 2)] == [ended["name"]] * 2


async def test_events_are_written_while_home_cannot_be_reached(tmp_path: Path) -> None:
    network = Network(2)

    async def unreachable(call: Any) -> Any:
        raise UnreachableError("no home")

    network.fault = unreachable
    async with ShardEngine(tmp_path / "1.db", network, 1, SHORT) as other:
        for _ in range(3):
            await other.run(PASS)
        keys = [key for key, _ in await other.engine.records.scan("inbox/0/")]
        assert len(keys) == 3 and keys == sorted(keys)
    # a new owner of the shard goes on after them
    async with ShardEngine(tmp_path / "1.db", network, 1, SHORT) as other:
        await other.run(PASS)
        again = [key for key, _ in await other.engine.records.scan("inbox/0/")]
        assert again[:3] == keys and len(again) == 4


async def test_events_keep_the_order_of_their_shard(tmp_path: Path) -> None:
    async with shards(tmp_path) as (_, home, other):
        await rule_to_queue(home)
        applied: list[str] = []
        on_status = home.registry.host.on_status
        assert on_status is not None

        def noted(events: list[dict[str, Any]]) -> Any:
            applied.append(events[0]["detail"]["name"])
            return on_status(events)

        home.registry.host.on_status = noted
        names = [(await other.run(PASS))["name"] for _ in range(60)]
        assert len(await moved(other, home)) == 60
        assert len(await statuses(home, 120)) == 120
        assert applied == names


async def test_a_damaged_event_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with shards(tmp_path) as (_, home, other):
        await rule_to_queue(home)
        await home.engine.records.write({"inbox/0/001-0000000000000-000000000000": b"\x02damaged"})
        ended = await other.run(PASS)
        await moved(other, home)
        assert [name for name, _ in await statuses(home, 2)] == [ended["name"]] * 2
        bad = await home.engine.records.scan("inbox/")
        assert bad == [("inbox/bad/001-0000000000000-000000000000", b"\x02damaged")]
        assert "moved to inbox/bad/" in caplog.text
        assert home.engine.supervisor.loops["inbox"].faults == 1


async def test_a_shard_with_many_events_lets_others_through(tmp_path: Path) -> None:
    async with shards(tmp_path) as (_, home, _):
        applied = list[int]()
        home.registry.host.on_status = applied.extend  # type: ignore[assignment]
        many = {f"inbox/0/001-{0:013}-{n:012}": pack({"events": [1]}) for n in range(500)}
        one = {f"inbox/0/007-{0:013}-{0:012}": pack({"events": [7]})}
        await home.engine.records.write(many | one)
        async with asyncio.timeout(60):
            while len(applied) < 501:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert applied.index(7) == 100, "after one page"


async def test_a_task_of_another_shard_and_its_events(tmp_path: Path) -> None:
    """Both ways home at once."""
    async with shards(tmp_path) as (_, home, other):
        await rule_to_queue(home)
        machine = task("sqs:sendMessage", {"QueueUrl": QUEUE, "MessageBody": '{"detail":{"name":"own","status":""}}'})  # fmt: skip # noqa: E501
        ended = await other.run(machine)
        await moved(other, home)
        got = await statuses(home, 3)
        assert sorted(got) == sorted(
            [("own", ""), (ended["name"], "RUNNING"), (ended["name"], "SUCCEEDED")]
        )
