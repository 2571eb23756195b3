"""Executions of before a change of search attributes: what a search says of them, and how they are
indexed; on SQLite, in memory and in a file, and on PostgreSQL.
"""

import asyncio
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_search import COMMENT, definition, engine, found, machine, run
from tests.engine.test_shards import Shards, shards

from stepwell import ApiError, Engine, SyncEngine
from stepwell.engine.clock import ManualClock

__all__ = ["engine", "shards"]

TAG = "stepwell:searchAttributes"


def tag(engine: SyncEngine, arn: str, text: str) -> None:
    engine.tag_resource(arn, tags=[{"key": TAG, "value": text}])


def index(engine: SyncEngine, arn: str) -> Any:
    answer: Any = engine.index_executions(arn)
    while answer["status"] == "INDEXING":
        answer = engine.describe_execution_index(arn)
    return answer


def partial(engine: SyncEngine, query: str) -> list[str]:
    answer: Any = engine.search_executions(query)
    return [each["name"] for each in answer.get("partialAttributes", ())]


def test_earlier_executions_are_indexed(engine: SyncEngine) -> None:
    arn = machine(engine, comment=None)
    run(engine, arn, "before", customer="ada", total=5)
    run(engine, arn, "failed", customer="ada", error="Busy")
    tag(engine, arn, "customer total=output.total")
    run(engine, arn, "after", customer="ada", total=5)
    assert found(engine, "customer=ada") == ["after"]
    assert partial(engine, "customer=ada error=Busy") == ["customer"]
    assert partial(engine, f"total=5 machine={arn}") == ["total"]
    assert partial(engine, "total=5 machine=other") == partial(engine, "error=Busy") == []
    since = engine.describe_execution_index(arn)["partialAttributes"][0]["since"]
    assert partial(engine, f'total=5 started>="{_iso(since)}"') == []
    answer = index(engine, arn)
    assert (answer["status"], answer["executionsIndexed"]) == ("COMPLETE", 3)
    assert answer["attributes"] == ["customer", "total"]
    assert found(engine, "customer=ada") == ["after", "failed", "before"]
    assert found(engine, "total=5") == ["after", "before"]
    assert found(engine, "error=Busy") == ["failed"]
    assert partial(engine, "customer=ada") == []


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds + 0.0005, UTC).isoformat(timespec="milliseconds")


def test_changes_and_indexing_within_one_millisecond_have_their_order() -> None:
    with SyncEngine(clock=ManualClock()) as engine:
        arn = machine(engine, comment=None)
        run(engine, arn, "before", customer="ada")
        started: Any = engine.search_executions(f"machine={arn}")["executions"][0]["startDate"]
        tag(engine, arn, "customer")
        assert partial(engine, f'customer=ada started>="{_iso(started)}"') == ["customer"]
        for attribute in ("total", "vip"):
            tag(engine, arn, f"customer {attribute}")
            assert index(engine, arn)["status"] == "COMPLETE"
            assert partial(engine, "customer=ada") == []


def test_a_changed_and_a_removed_attribute_say_so(engine: SyncEngine) -> None:
    arn = machine(engine)
    run(engine, arn, "one", customer="ada", who="grace", order={"id": 1}, total=1)
    engine.update_state_machine(
        arn, definition=definition("stepwell:searchAttributes customer=who total=output.total")
    )
    run(engine, arn, "two", customer="ada", who="grace", order={"id": 1}, total=1)
    assert found(engine, "customer=ada") == ["one"]
    assert found(engine, "customer=grace") == ["two"]
    assert found(engine, "orderId=1") == ["one"]
    assert partial(engine, "customer=ada orderId=1 total=1") == ["customer", "orderId"]
    index(engine, arn)
    assert found(engine, "customer=ada") == found(engine, "orderId=1") == []
    assert found(engine, "customer=grace total=1") == ["two", "one"]
    answer: Any = engine.search_executions("orderId=1")
    assert answer["unknownAttributes"] == ["orderId"]


def test_all_versions_are_indexed_by_what_the_machine_names_now(engine: SyncEngine) -> None:
    arn = machine(engine, publish=True)
    engine.update_state_machine(
        arn, definition=definition("stepwell:searchAttributes client=customer")
    )
    run(engine, f"{arn}:1", "old", customer="ada")
    assert found(engine, "customer=ada") == []
    assert found(engine, "client=ada") == ["old"]


def test_a_running_execution_ends_by_the_new_attributes(engine: SyncEngine) -> None:
    wait = {
        "Comment": "stepwell:searchAttributes customer",
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 3600, "Next": "P"}, "P": {"Type": "Succeed"}},
    }
    arn = str(engine.create_state_machine("waits", wait)["stateMachineArn"])
    name, _ = engine.engine.shard.draw(
        lambda each: f"{arn.replace('stateMachine', 'execution')}:{each}",
        map("w{}".format, range(99)).__next__,
    )
    started = engine.start_execution(arn, name=name, input={"customer": "ada", "n": 7})
    tag(engine, arn, "n m=output.n")
    index(engine, arn)
    assert found(engine, "n=7 customer=ada") == [name]
    assert found(engine, "m=7") == []
    engine.fire_timer(started["executionArn"])
    engine.wait(started["executionArn"])
    assert found(engine, "m=7 n=7 customer=ada") == [name]


def test_an_attribute_that_nothing_has_is_unknown(engine: SyncEngine) -> None:
    arn = machine(engine)
    run(engine, arn, "a", customer="ada")
    answer: Any = engine.search_executions("customr=ada error=Nothing")
    assert answer == {"executions": [], "unknownAttributes": ["customr"]}


def test_values_are_answered(engine: SyncEngine) -> None:
    arn = machine(engine)
    run(engine, arn, "a", customer="ada", order={"id": 2**60 + 1}, skus=["b", "a"], total=-2.5)
    run(engine, arn, "b", customer="bob", order={"id": 3.0}, vip=None, error="Busy")

    def values(query: str, **asked: Any) -> list[Any]:
        answer: Any = engine.search_executions(query, **asked)
        return [each.get("searchAttributes") for each in answer["executions"]]

    assert values("customer=ada orderId>5") == [{"customer": ["ada"], "orderId": [2**60 + 1]}]
    assert values("status=SUCCEEDED", attributes=["skus", "total"]) == [
        {"skus": ["a", "b"], "total": [-2.5]}
    ]
    assert values("customer=bob", attributes=["orderId", "vip", "error"]) == [
        {"orderId": [3], "vip": [None], "error": ["Busy"]}
    ]
    assert values("status=FAILED") == [None]
    with pytest.raises(ApiError, match="More than 16 attributes"):
        values("", attributes=[f"a{number}" for number in range(17)])


def test_what_cannot_be_indexed_is_refused(engine: SyncEngine) -> None:
    express = machine(engine, "express", type="EXPRESS")
    versioned = machine(engine, publish=True)
    for arn, code in (
        (express, "StateMachineTypeNotSupported"),
        (f"{versioned}:1", "ValidationException"),
        (f"{versioned}x", "StateMachineDoesNotExist"),
        ("sell", "InvalidArn"),
    ):
        with pytest.raises(ApiError) as caught:
            engine.index_executions(arn)
        assert caught.value.code == code
    assert engine.describe_execution_index(versioned) == {
        "stateMachineArn": versioned,
        "status": "COMPLETE",
        "attributes": ["customer", "orderId", "skus", "total", "vip"],
        "partialAttributes": [],
        "executionsIndexed": 0,
    }
    assert COMMENT.endswith("vip")


# --- crashes --------------------------------------------------------------------------------------

INDEX = """
import sys
from stepwell import SyncEngine
from stepwell.engine.limits import Limits
with SyncEngine(sys.argv[1], limits=Limits(index_page=1, index_report_seconds=0)) as engine:
    answer = engine.index_executions(sys.argv[2])
    while answer["status"] == "INDEXING":
        answer = engine.describe_execution_index(sys.argv[2])
        print(answer["executionsIndexed"], flush=True)
"""


def test_indexing_continues_after_kill_9(tmp_path: Path) -> None:
    db = tmp_path / "killed.db"
    passing = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    with SyncEngine(db) as engine:
        arn = str(engine.create_state_machine("m", passing)["stateMachineArn"])
        for number in range(200):
            engine.start_execution(arn, input={"n": number})
        tag(engine, arn, "n")
    command = [sys.executable, "-c", INDEX, str(db), arn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 50:
                process.kill()
                break
    with SyncEngine(db) as engine:
        answer = engine.describe_execution_index(arn)
        while answer["status"] == "INDEXING":  # no other request has started it again
            answer = engine.describe_execution_index(arn)
        assert (answer["status"], answer["executionsIndexed"]) == ("COMPLETE", 200)
        for number in (0, 75, 199):
            assert len(engine.search_executions(f"n={number}")["executions"]) == 1


# --- several shards -------------------------------------------------------------------------------


async def indexed(engine: Engine, arn: str) -> None:
    async with asyncio.timeout(60):
        while (await engine.describe_execution_index(arn))["status"] == "INDEXING":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_home_indexes_the_executions_of_all_shards(shards: Shards) -> None:
    wait = {
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 3600, "Next": "P"}, "P": {"Type": "Succeed"}},
    }
    arn = await shards.machine(wait)
    home = shards.engines[0]
    ends = []
    for number in range(12):
        own = shards.engines[number % 3]
        started = await own.start_execution(arn, input={"n": number})
        if number % 2:
            await own.fire_timer(started["executionArn"])
            await own.wait(started["executionArn"])
        else:
            ends.append((own, started["executionArn"]))
    await home.tag_resource(arn, [{"key": TAG, "value": "n m=output.n"}])

    async def fire() -> None:
        for own, execution in ends[:3]:
            await own.fire_timer(execution)

    await asyncio.gather(home.index_executions(arn), fire())
    await indexed(shards.engines[1], arn)
    for own, execution in ends[3:]:
        await own.fire_timer(execution)
    for own, execution in ends:
        await own.wait(execution)
    for query in ("n>=0", "m>=0"):
        answer: Any = await shards.engines[2].search_executions(query)
        (name,) = {key for each in answer["executions"] for key in each["searchAttributes"]}
        numbers = sorted(each["searchAttributes"][name] for each in answer["executions"])
        assert numbers == [[number] for number in range(12)]
        # several shards may have started executions in one millisecond
        dates = [each["startDate"] for each in answer["executions"]]
        assert dates == sorted(dates, reverse=True)
        assert "partialAttributes" not in answer


async def test_indexing_and_redrives_do_not_wait_for_each_other(shards: Shards) -> None:
    fails = {"Type": "Fail", "ErrorPath": "$.e"}
    arn = await shards.machine({"StartAt": "F", "States": {"F": fails}})
    home, other = shards.engines[:2]
    started = [
        (await other.start_execution(arn, input={"e": "Busy", "n": number}))["executionArn"]
        for number in range(20)
    ]
    await home.tag_resource(arn, [{"key": TAG, "value": "n"}])

    async def redrive(seed: int) -> None:
        drawn = random.Random(seed)
        for _ in range(20):
            execution = drawn.choice(started)
            await other.wait(execution)
            try:
                await other.redrive_execution(execution)
            except ApiError as error:  # another one has done so
                assert error.code == "ExecutionNotRedrivable"

    async def index() -> None:
        for _ in range(20):
            await home.index_executions(arn)
            await indexed(home, arn)

    await asyncio.gather(index(), redrive(1), redrive(2))
    for execution in started:
        await other.wait(execution)
    for query in ("n>=0", "error=Busy n>=0"):
        assert len((await home.search_executions(query))["executions"]) == 20


async def test_pages_of_a_search_go_on_at_any_shard_and_after_a_take_over(shards: Shards) -> None:
    passing = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    arn = await shards.machine({**passing, "Comment": "stepwell:searchAttributes n all"})
    started = await asyncio.gather(  # many of them at the same millisecond
        *(
            shards.engines[number % 3].start_execution(arn, input={"n": number, "all": True})
            for number in range(30)
        )
    )
    for query in ("all=true", "n>=0 all=true", "machine=m status=SUCCEEDED,RUNNING"):
        seen: list[str] = []
        times: list[float] = []
        token: dict[str, Any] = {}
        for page in range(31):
            own = shards.engines[page % 3]
            answer: Any = await own.search_executions(query, max_results=4, **token)
            seen += [each["executionArn"] for each in answer["executions"]]
            times += [each["startDate"] for each in answer["executions"]]
            if "nextToken" not in answer:
                break
            token = {"next_token": answer["nextToken"]}
            if page == 2:
                await own.close()
                shards.engines[2] = await shards.engine(2)
        assert sorted(seen) == sorted(each["executionArn"] for each in started)
        assert times == sorted(times, reverse=True)
