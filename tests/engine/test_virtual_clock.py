"""Virtual time: what is waited for is skipped, and histories have the modelled times."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.engine.engine_fixture import (
    CALLBACK,
    DAY,
    HAND,
    YEAR,
    Shape,
    Small,
    each,
    every_event,
    task,
    wait,
)

from stepwell.engine import Engine
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.sync import SyncEngine
from stepwell.engine.tasks import TaskError
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.tasks.registry import Registry

START = 1_700_000_000_000
# what a task or a client does at once may take a busy machine long
PATIENT = replace(DEFAULT_LIMITS, skip_instant_seconds=60, skip_client_seconds=60)
ROLE = "arn:aws:iam::123456789012:role/any"


@asynccontextmanager
async def opened(
    functions: dict[str, Callable[..., Any]] | None = None, **options: Any
) -> AsyncIterator[Engine]:
    draw = random.Random(7)
    options.setdefault("clock", VirtualClock(START))
    async with Engine(
        tasks=Registry(functions or {}),
        new_uuid=lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        **options,
    ) as engine:
        yield engine


async def start(engine: Engine, states: Shape, name: str = "m", **fields: Any) -> str:
    definition = {"StartAt": next(iter(states)), "States": states, **fields}
    machine = await engine.create_state_machine(name, definition)
    return (await engine.start_execution(machine["stateMachineArn"]))["executionArn"]


async def ended(engine: Engine, states: Shape, **fields: Any) -> list[tuple[str, float]]:
    """The history of an execution: types, and seconds since its start."""
    arn = await start(engine, states, **fields)
    await engine.wait(arn, 60)
    return await times(engine, arn)


async def times(engine: Engine, arn: str) -> list[tuple[str, float]]:
    events = await every_event(engine, arn)
    first = events[0]["timestamp"]
    return [(event["type"], round(event["timestamp"] - first, 3)) for event in events]


async def fail(payload: Any) -> Any:
    raise TaskError("Busy", "later")


async def test_a_month_of_waiting_and_ten_retries_take_no_time() -> None:
    retry = {"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 10, "BackoffRate": 2}
    states = {
        "Sleep": {"Type": "Wait", "Seconds": 30 * DAY, "Next": "Try"},
        "Try": {
            **task("fail", Retry=[retry]),
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Late"}],
        },
        "Late": wait(DAY),
    }
    async with opened({"fail": fail}) as engine:
        began = time.process_time()
        history = await ended(engine, states)
        assert time.process_time() - began < 0.5
    tries = [at for type, at in history if type == "LambdaFunctionStarted"]
    assert tries == [30 * DAY + 2**n - 1 for n in range(11)]
    assert history[-1] == ("ExecutionSucceeded", 31 * DAY + 2**10 - 1)


async def test_schedules_start_executions_at_their_times() -> None:
    """Although an execution waits for a day that is later, and deliveries take their time."""
    registry = Registry({})
    async with Engine(tasks=registry, clock=VirtualClock(START)) as engine:
        scheduler = await registry.host.services.get("scheduler")
        machine = await engine.create_state_machine("m", {"StartAt": "W", "States": {"W": wait(1)}})
        due = [START / 1000 + 500 + hours * 3600 for hours in (1, 2, 30, 100)]
        for number, at in enumerate(due):
            await scheduler.create_schedule(
                f"s{number}",
                schedule_expression=f"at({datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S})",
                target={"Arn": machine["stateMachineArn"], "RoleArn": ROLE, "Input": "{}"},
                flexible_time_window={"Mode": "OFF"},
            )
        await ended(engine, {"W": wait(30 * DAY)}, name="waits")
        started = await engine.list_executions(machine["stateMachineArn"])
        assert sorted(each["startDate"] for each in started["executions"]) == due


async def test_executions_end_in_the_order_of_their_deadlines() -> None:
    async with opened() as engine:
        machine = await engine.create_state_machine(
            "m",
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$", "End": True}}},
        )
        seconds = [300 * DAY + n * 7919 % 200 for n in range(200)]
        arns = [
            (await engine.start_execution(machine["stateMachineArn"], input=each))["executionArn"]
            for each in seconds
        ]
        ends = await asyncio.gather(*(engine.wait(arn, 60) for arn in arns))
        assert [end["stopDate"] - end["startDate"] for end in ends] == seconds
        assert {end["startDate"] for end in ends} == {START / 1000}


async def test_the_same_program_has_the_same_histories() -> None:
    states: Shape = {
        "Each": {
            **each({**task("fail", Retry=[{"ErrorEquals": ["Busy"], "JitterStrategy": "FULL"}])}),
            "ItemsPath": "$$.Execution.Input.items",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Nested"}],
        },
        "Nested": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {
                "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:n"
            },
            "End": True,
        },
    }

    async def run() -> list[Shape]:
        async with opened({"fail": fail}) as engine:
            await engine.create_state_machine("n", {"StartAt": "W", "States": {"W": wait(60)}})
            machine = await engine.create_state_machine("m", {"StartAt": "Each", "States": states})
            started = await engine.start_execution(
                machine["stateMachineArn"], name="x", input={"items": list(range(20))}
            )
            await engine.wait(started["executionArn"], 60)
            return await every_event(engine, started["executionArn"])

    first = await run()
    assert first[-1]["type"] == "ExecutionSucceeded"
    for _ in range(4):
        assert await run() == first


async def test_a_real_task_takes_its_real_time() -> None:
    async def slow(payload: Any) -> Any:
        await asyncio.sleep(0.2)

    async with opened({"slow": slow}) as engine:
        done = await ended(engine, {"S": task("slow", TimeoutSeconds=60)})
        assert done[-1][0] == "ExecutionSucceeded"
        assert 0.19 <= done[-1][1] < 60


async def test_a_task_that_hangs_times_out_in_real_time() -> None:
    async def hang(payload: Any) -> Any:
        await asyncio.Event().wait()

    began = time.monotonic()
    async with opened({"hang": hang}) as engine:
        history = await ended(engine, {"S": task("hang", TimeoutSeconds=1)})
    assert history[-1][0] == "ExecutionFailed" and 1 <= history[-1][1] < 60
    assert time.monotonic() - began > 0.9


async def test_a_quick_task_takes_no_time() -> None:
    def quick(payload: Any) -> Any:
        return payload

    async with opened({"quick": quick}, clock=VirtualClock(START, limits=PATIENT)) as engine:
        history = await ended(engine, {"B": task("quick")})
    assert {at for _, at in history} == {0}


async def test_a_callback_is_answered_before_its_timeout_is_skipped_to() -> None:
    tokens = asyncio.Queue[str]()

    async def keep(payload: Any) -> Any:
        tokens.put_nowait(payload["token"])

    ask: Shape = {
        "Type": "Task",
        "Resource": CALLBACK,
        "Parameters": {"FunctionName": "keep", "Payload": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": YEAR // 2,
        "Next": "W",
    }
    async with opened({"keep": keep}, clock=VirtualClock(START, outside_seconds=30)) as engine:
        arn = await start(engine, {"Ask": ask, "W": wait(DAY)})
        token = await tokens.get()
        await asyncio.sleep(0.05)
        await engine.send_task_success(token, "{}")
        history = await asyncio.wait_for(_history(engine, arn), 60)
    assert history[-1][0] == "ExecutionSucceeded"
    assert DAY <= history[-1][1] < DAY + 30


async def _history(engine: Engine, arn: str) -> list[tuple[str, float]]:
    await engine.wait(arn)
    return await times(engine, arn)


@pytest.mark.parametrize(("limits", "at"), [({"TimeoutSeconds": DAY}, DAY), ({}, YEAR)])
async def test_a_task_that_nobody_answers_times_out(limits: Shape, at: int) -> None:
    async with opened(clock=VirtualClock(START, outside_seconds=0)) as engine:
        await engine.create_activity("hands")
        history = await ended(engine, {"Hand": {**HAND, **limits}})
    assert history[-1][1] == at
    assert history[-1][0] in ("ExecutionFailed", "ExecutionTimedOut")


async def test_a_heartbeat_is_missed_in_virtual_time() -> None:
    async with opened(clock=VirtualClock(START, outside_seconds=0)) as engine:
        await engine.create_activity("hands")
        arn = await start(engine, {"Hand": {**HAND, "HeartbeatSeconds": 600}})
        taken = await engine.get_activity_task(HAND["Resource"], "w")
        assert taken["taskToken"]
        history = await asyncio.wait_for(_history(engine, arn), 60)
    assert history[-1] == ("ExecutionFailed", 600)


async def test_time_stands_still_between_the_calls_of_a_client() -> None:
    async with opened() as engine:
        arn = await start(engine, {"W": wait(DAY)})
        assert (await engine.describe_execution(arn))["status"] == "RUNNING"
        await engine.stop_execution(arn)
        assert [at for _, at in await times(engine, arn)] == [0, 0, 0]


async def test_time_continues_where_the_database_was_left(tmp_path: Any) -> None:
    path = tmp_path / "x.db"
    async with Engine(path, clock=VirtualClock(START)) as engine:
        await ended(engine, {"W": wait(30 * DAY)})
    async with Engine(path, clock=VirtualClock(START)) as engine:
        assert engine.clock.now() == START + 30 * DAY * 1000


async def test_one_clock_serves_one_engine() -> None:
    clock = VirtualClock(START)
    async with Engine(clock=clock):
        with pytest.raises(EngineError, match="one engine at a time"):
            await Engine(clock=clock).open()
    async with Engine(clock=clock):
        pass


def test_a_postgres_database_is_refused() -> None:
    with pytest.raises(StoreError, match="SQLite databases only"):
        Engine("postgresql://user:secret@nowhere/db", clock=VirtualClock())


def test_a_synchronous_engine_skips_time_too() -> None:
    with SyncEngine(clock=VirtualClock(START, limits=PATIENT)) as engine:
        machine = engine.create_state_machine("m", {"StartAt": "W", "States": {"W": wait(DAY)}})
        started = []
        for _ in range(3):
            started.append(engine.start_execution(machine["stateMachineArn"]))
            time.sleep(0.02)
        ends = [engine.wait(each["executionArn"], 60) for each in started]
    assert [end["stopDate"] for end in ends] == [START / 1000 + DAY] * 3


async def test_histories_equal_those_of_a_clock_that_is_moved_by_hand(small: Small) -> None:
    retry = {"ErrorEquals": ["Broken"], "JitterStrategy": "FULL"}
    states: Shape = {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "A", "States": {"A": wait(3600)}},
                {"StartAt": "B", "States": {"B": task("fail", Retry=[retry])}},
            ],
            "Retry": [{"ErrorEquals": ["Broken"], "IntervalSeconds": 100}],
            "End": True,
        }
    }
    fixture = await small()
    arn = await fixture.start(states)
    await fixture.finish(arn)
    async with opened({"fail": fixture.fail}) as engine:
        virtual = await start(engine, states)
        await engine.wait(virtual, 60)
        assert await every_event(engine, virtual) == await fixture.events(arn)
