"""Asynchronous invocation in virtual time: retries, expiry, destinations, durability."""

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.bench import until

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.common.tables import unpack
from stepwell.integrations.tasks.registry import Registry

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


class World:
    """An engine on a database file, with callables as functions."""

    def __init__(self, db: Path, functions: dict[str, Callable[..., Any]], **limits: Any) -> None:
        self.clock, self.limits = ManualClock(), dataclasses.replace(DEFAULT_LIMITS, **limits)
        self.registry = Registry(functions, limits=self.limits)
        self.engine = Engine(db, tasks=self.registry, clock=self.clock, limits=self.limits)

    async def lambda_(self) -> Any:
        return await self.registry.host.services.get("lambda")

    async def send(self, name: str, event: Any = None) -> None:
        answer = await (await self.lambda_()).invoke(
            name, "Event", payload=json.dumps(event).encode()
        )
        assert answer["StatusCode"] == 202

    async def left(self) -> list[dict[str, Any]]:
        """The events that are still stored."""
        return [unpack(blob) async for _, blob in self.engine.records.all("lambda/event/")]

    async def settled(self, count: int = 0) -> list[dict[str, Any]]:
        """Wait until so many events are stored, and all of them wait for a later attempt."""
        events, end = (await self.lambda_()).events, time.monotonic() + 60
        while (
            len(left := await self.left()) != count
            or any(each["due"] <= self.clock.now() for each in left)
            or events._busy
        ):
            assert time.monotonic() < end, "it did not come true"
            await asyncio.sleep(0.005)
        return left


@asynccontextmanager
async def world(
    db: Path, functions: dict[str, Callable[..., Any]], **limits: Any
) -> AsyncIterator[World]:
    opened = World(db, functions, **limits)
    async with opened.engine:
        yield opened


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


async def test_an_event_has_three_attempts_with_the_pauses_of_lambda(db: Path) -> None:
    seen: list[tuple[Any, str]] = []

    def fails(payload: Any, context: Any) -> None:
        seen.append((payload, context.aws_request_id))
        raise ValueError("no")

    async with world(db, {"f": fails}) as w:
        await w.send("f", {"n": 1})
        for attempt, pause in ((1, 60), (2, 120)):
            (left,) = await w.settled(1)
            assert (left["failures"], left["due"] - w.clock.now()) == (attempt, pause * 1000)
            w.clock.advance(pause * 1000 - 1)
            await asyncio.sleep(0.02)
            assert len(seen) == attempt
            w.clock.advance(1)
            await until(lambda attempt=attempt: len(seen) == attempt + 1)
        await w.settled()
    assert seen == [({"n": 1}, seen[0][1])] * 3


async def test_success_deletes_the_event(db: Path) -> None:
    seen: list[Any] = []
    async with world(db, {"f": seen.append}) as w:
        await w.send("f", 7)
        await w.settled()
        w.clock.advance(10_000_000)
        await asyncio.sleep(0.02)
    assert seen == [7]


async def test_destinations_get_the_record_of_the_invocation(db: Path) -> None:
    records: list[dict[str, Any]] = []

    async with world(db, {"told": records.append}) as w:
        lambda_ = await w.lambda_()
        folder = db.parent / "code"
        folder.mkdir()
        (folder / "f.py").write_text(
            "def handler(event, context):\n    if event == 'bad': raise KeyError('k')\n    "
            "return {'done': event}\n"
        )
        role = "arn:aws:iam::123456789012:role/any"
        code = {"S3Bucket": "hot-reload", "S3Key": str(folder)}
        await lambda_.create_function(
            function_name="f", role=role, code=code, runtime="python3.12", handler="f.handler"
        )
        destination = {"Destination": ARN + "told"}
        config = {"OnSuccess": destination, "OnFailure": destination}
        await lambda_.put_function_event_invoke_config(
            function_name="f", maximum_retry_attempts=0, destination_config=config
        )
        await w.send("f", "good")
        await until(lambda: len(records) == 1)
        await w.send("f", "bad")
        await until(lambda: len(records) == 2)
        await w.settled()
    good, bad = records
    assert good["requestContext"] | {"requestId": ""} == {
        "requestId": "",
        "functionArn": ARN + "f:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert (good["requestPayload"], good["responsePayload"]) == ("good", {"done": "good"})
    assert good["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert (bad["requestContext"]["condition"], bad["responseContext"]["functionError"]) == (
        "RetriesExhausted",
        "Unhandled",
    )
    assert bad["responsePayload"]["errorType"] == "KeyError"


async def test_events_outlive_the_process(db: Path) -> None:
    """The next process delivers accepted events and those that wait for their next attempt."""

    def fails(payload: Any) -> None:
        raise TaskError("Later", "please")

    async with world(db, {"f": fails}) as w:
        for number in range(3):
            await w.send("f", number)
        await w.settled(3)
    seen: list[Any] = []
    async with world(db, {"f": seen.append}) as w:
        await w.lambda_()
        await asyncio.sleep(0.02)
        assert seen == [], "their time has not come"
        w.clock.advance(60_000)
        await w.settled()
    assert sorted(seen) == [0, 1, 2]


async def test_more_events_than_the_limit_in_memory(db: Path) -> None:
    seen: list[Any] = []
    gate = asyncio.Event()

    async def slow(payload: Any) -> None:
        await gate.wait()
        seen.append(payload)

    async with world(db, {"f": slow}, function_events=10, function_workers=4, recovery_page=5) as w:
        for number in range(60):
            await w.send("f", number)
        assert len((await w.lambda_()).events._known) <= 10
        gate.set()
        await w.settled()
    assert sorted(seen) == list(range(60))


async def test_an_event_that_is_too_old_is_discarded(db: Path) -> None:
    async with world(db, {}) as w:
        lambda_ = await w.lambda_()
        folder = db.parent / "code"
        folder.mkdir()
        (folder / "f.py").write_text("def handler(event, context): return 1\n")
        role = "arn:aws:iam::123456789012:role/any"
        code = {"S3Bucket": "hot-reload", "S3Key": str(folder)}
        await lambda_.create_function(
            function_name="f", role=role, code=code, runtime="python3.12", handler="f.handler"
        )
        await lambda_.put_function_concurrency(function_name="f", reserved_concurrent_executions=0)
        await lambda_.put_function_event_invoke_config(
            function_name="f", maximum_event_age_in_seconds=60
        )
        await w.send("f")
        for pause in (1, 2, 4, 8, 16, 32):
            (left,) = await w.settled(1)
            assert left["due"] - w.clock.now() == pause * 1000, (
                "a function that cannot be called is asked less and less often"
            )
            w.clock.advance(pause * 1000)
            await asyncio.sleep(0.02)
        await w.settled()


async def test_a_task_stores_its_event_with_its_success(db: Path) -> None:
    seen: list[Any] = []
    async with world(db, {"f": seen.append}) as w:
        parameters = {"FunctionName": "f", "InvocationType": "Event", "Payload": {"a": 1}}
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": parameters,
            "End": True,
        }
        machine = await w.engine.create_state_machine(
            "m", json.dumps({"StartAt": "S", "States": {"S": state}})
        )
        started = await w.engine.start_execution(machine["stateMachineArn"])
        assert (
            json.loads((await w.engine.wait(started["executionArn"]))["output"])["StatusCode"]
            == 202
        )
        await w.settled()
    assert seen == [{"a": 1}]


async def test_an_unknown_function_is_refused_at_once(db: Path) -> None:
    async with world(db, {}) as w:
        with pytest.raises(ApiError, match="ResourceNotFoundException"):
            await w.send("nope")
