"""An engine under a clock that the test moves, what its functions do, and the states that the tests
are made of.
"""

import asyncio
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl.evaluation import Json
from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.base import Unit
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.engine.tasks import TaskError
from stepwell.integrations.tasks.registry import Registry

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:hands"
DAY = 24 * 3600
YEAR = 365 * DAY
Shape = dict[str, Any]


class Store(SqliteStore):
    """Counts units. `fails`: "before" or "after" makes the next commit fail at that point, once."""

    fails = ""
    units = 0

    async def commit(self, units: Sequence[Unit]) -> Any:
        self.units += len(units)
        when, self.fails = self.fails, ""
        if when == "before":
            raise StoreError("no space left on device")
        refused = await super().commit(units)
        if when == "after":
            raise StoreError("no answer from the disk")
        return refused


class EngineFixture:
    """An engine on a file, at a time of its own, that can be closed and opened again."""

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path, self.limits, self.clock = path, limits, ManualClock()
        self.calls: list[str] = []  # what the functions saw
        self.tokens: list[str] = []
        self.bad: Callable[[Json], bool] = lambda payload: (
            False
        )  # of which payloads "sometimes" fails
        draw = random.Random(7)
        self._uuid = lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4))

    async def open(self) -> None:
        registry = Registry(
            {
                "ok": self.ok,
                "hang": self.hang,
                "fail": self.fail,
                "big": self.big,
                "keep": self.keep,
                "sometimes": self.sometimes,
            }
        )
        self.store = Store(self.path, limits=self.limits)
        self.engine = Engine(
            store=self.store,
            tasks=registry,
            clock=self.clock,
            limits=self.limits,
            new_uuid=self._uuid,
        )
        await self.engine.open()
        await self.calm()

    async def restart(self, seconds: float = 0) -> None:
        """Close, let time pass, open."""
        await self.engine.close()
        self.clock.advance(round(seconds * 1000))
        await self.open()

    async def calm(self) -> None:
        """Let the loop run until nothing happens by itself any more."""
        quiet, worker = 0, self.engine.worker
        while quiet < 3:
            await asyncio.sleep(0.0005)
            for _ in range(8):  # however long each of them takes: a task takes some to answer
                await asyncio.sleep(0)
            self.clock.advance(0)
            deciding = any(
                live.pending or live.backlog is not None for live in worker.live.values()
            )
            busy = (
                deciding
                or worker.queued
                or worker.executions.loading
                or worker.life.background
                or self.engine.supervisor.busy()
            )
            quiet = 0 if busy else quiet + 1

    async def after(self, seconds: float, restart: bool = False) -> None:
        """Time passes, in one jump."""
        if restart:
            return await self.restart(seconds)
        self.clock.advance(round(seconds * 1000))
        return await self.calm()

    async def finish(self, arn: str) -> Shape:
        """From one alarm to the next until the execution has ended."""
        for _ in range(10_000):
            await self.calm()
            described = await self.engine.inspect_execution(arn)
            if described["status"] != "RUNNING":
                return described
            due = self.clock.next_alarm()
            assert due is not None, "it will never end"
            self.clock.advance(max(0, due - self.clock.now()))
        raise AssertionError("it does not end")

    async def machine(
        self, states: Shape, name: str = "m", type: str = "STANDARD", **fields: Any
    ) -> str:
        definition = json.dumps({"StartAt": next(iter(states)), "States": states, **fields})
        arn: str = (await self.engine.create_state_machine(name, definition, type=type))[
            "stateMachineArn"
        ]
        return arn

    async def start(self, states: Shape, input: str = "{}", **fields: Any) -> str:
        """An execution of a new machine; an Express one is watched."""
        start = (
            self.engine.watch_express_execution
            if fields.get("type") == "EXPRESS"
            else self.engine.start_execution
        )
        arn: str = (await start(await self.machine(states, **fields), input=input))["executionArn"]
        await self.calm()
        return arn

    async def status(self, arn: str) -> str:
        status: str = (await self.engine.inspect_execution(arn))["status"]
        return status

    async def events(self, arn: str) -> list[Shape]:
        return await every_event(self.engine, arn)

    async def types(self, arn: str) -> list[str]:
        return [event["type"] for event in await self.events(arn)]

    # functions

    async def ok(self, payload: Json) -> Json:
        self.calls.append("ok")
        return payload

    async def fail(self, payload: Json) -> Json:
        self.calls.append("fail")
        raise TaskError("Broken", "as always")

    async def sometimes(self, payload: Json) -> Json:
        self.calls.append(f"sometimes {payload}")
        if self.bad(payload):
            raise TaskError("Broken", "this time")
        return payload

    async def big(self, payload: Json) -> Json:
        return "x" * 300

    async def hang(self, payload: Json) -> Json:
        self.calls.append("hang")
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.calls.append("cancelled")
            raise

    async def keep(self, payload: Any) -> Json:
        self.tokens.append(payload["token"])
        return None


async def every_event(engine: Engine, arn: str) -> list[Shape]:
    """The whole history, page by page."""
    events: list[Shape] = []
    token = None
    while True:
        page = await engine.get_execution_history(arn, max_results=1000, next_token=token)
        events += page["events"]
        token = page.get("nextToken")
        if token is None:
            return events


def task(function: str, **fields: Any) -> Shape:
    return {"Type": "Task", "Resource": LAMBDA + function, "End": True, **fields}


def wait(seconds: int) -> Shape:
    return {"Type": "Wait", "Seconds": seconds, "End": True}


def each(state: Shape, **fields: Any) -> Shape:
    processor = {**fields, "StartAt": "I", "States": {"I": state}}
    return {
        "Type": "Map",
        "ItemsPath": "$",
        "ItemProcessor": processor,
        "MaxConcurrency": 3,
        "End": True,
    }


HAND: Shape = {"Type": "Task", "Resource": ACTIVITY, "End": True}
ASK: Shape = {
    "Type": "Task",
    "Resource": CALLBACK,
    "Parameters": {"FunctionName": "keep", "Payload": {"token.$": "$$.Task.Token"}},
    "End": True,
}
RETRY = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 2,
    "BackoffRate": 3,
    "MaxAttempts": 4,
    "MaxDelaySeconds": 10,
}


async def refused(call: Awaitable[Any], code: str, message: str) -> None:
    with pytest.raises(ApiError) as error:
        await call
    assert (error.value.code, error.value.message) == (code, message)


Small = Callable[..., Awaitable[EngineFixture]]
NEVER = [{"Variable": "$.never", "IsPresent": True, "Next": "End"}]
SPIN = {
    "Spin": {"Type": "Pass", "Next": "More"},
    "More": {"Type": "Choice", "Choices": NEVER, "Default": "Spin"},
    "End": {"Type": "Succeed"},
}
