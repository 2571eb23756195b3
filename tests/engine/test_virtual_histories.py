"""What virtual time does to executions of every kind: the histories are those of a clock that is
moved by hand, and the same each time.
"""

import json
import random
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.engine_fixture import (
    DAY,
    SPIN,
    EngineFixture,
    Shape,
    each,
    every_event,
    task,
    wait,
)
from tests.engine.replay.histories import generated, work

from stepwell.engine import Engine
from stepwell.engine.clock import Clock
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.tasks.registry import Registry

START = 1_700_000_000_000
HISTORY = tuple[Shape, list[Shape]]
SEEDS = range(26)


def engine_with(clock: Clock) -> Engine:
    draw = random.Random(7)
    return Engine(
        tasks=Registry({"work": work}),
        clock=clock,
        new_uuid=lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    )


async def start(engine: Engine, definition: Shape, input: Any = None, **fields: Any) -> str:
    machine = await engine.create_state_machine("m", json.dumps(definition), **fields)
    started = await engine.start_execution(
        machine["stateMachineArn"], name="x", input=json.dumps(input)
    )
    return started["executionArn"]


async def skipped(definition: Shape, input: Any = None) -> HISTORY:
    async with engine_with(VirtualClock(START)) as engine:
        arn = await start(engine, definition, input)
        described = await engine.wait(arn, 60)
        return dict(described), await every_event(engine, arn)


async def moved_by_hand(definition: Shape, input: Any) -> HISTORY:
    life = EngineFixture(":memory:")  # type: ignore[arg-type]
    async with engine_with(life.clock) as engine:
        life.engine = engine
        arn = await start(engine, definition, input)
        await life.finish(arn)
        return dict(await engine.describe_execution(arn)), await every_event(engine, arn)


@pytest.mark.parametrize("seed", SEEDS)
async def test_generated_machines_have_the_same_histories(seed: int) -> None:
    case = generated(seed)
    first = await skipped(case.definition, case.input)
    assert await skipped(case.definition, case.input) == first
    assert await moved_by_hand(case.definition, case.input) == first


def machine(state: Shape, **fields: Any) -> Shape:
    return {"StartAt": "S", "States": {"S": state}, **fields}


EACH = each(wait(DAY), ProcessorConfig={"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"})
LATE = {"Type": "Wait", "Timestamp": "2023-12-24T18:00:00Z", "End": True}
PAST = {"Type": "Wait", "Timestamp": "2001-01-01T00:00:00Z", "End": True}


@pytest.mark.parametrize(
    ("definition", "status", "seconds"),
    [
        (machine(wait(DAY), TimeoutSeconds=3600), "TIMED_OUT", 3600),
        (machine(wait(400 * DAY)), "TIMED_OUT", 365 * DAY),
        (machine(LATE), "SUCCEEDED", 1_703_440_800 - START / 1000),
        (machine(PAST), "SUCCEEDED", 0),
        (machine(EACH), "SUCCEEDED", 3 * DAY),  # 3 at a time
    ],
)
async def test_how_long_an_execution_takes(definition: Shape, status: str, seconds: float) -> None:
    described, _ = await skipped(definition, list(range(9)))
    assert described["status"] == status
    assert described["stopDate"] - described["startDate"] == seconds


async def test_an_express_execution_takes_five_minutes_at_most() -> None:
    async with engine_with(VirtualClock(START)) as engine:
        definition = json.dumps(machine(wait(400)))
        created = await engine.create_state_machine("m", definition, type="EXPRESS")
        answer = await engine.start_sync_execution(created["stateMachineArn"])
        assert answer["status"] == "TIMED_OUT"
        assert answer["stopDate"] - answer["startDate"] == 300


async def test_a_long_express_execution_is_not_overtaken_by_its_timeout() -> None:
    async with engine_with(VirtualClock(START)) as engine:
        passes = each({"Type": "Pass", "End": True})
        definition = json.dumps(machine({**passes, "MaxConcurrency": 1}, TimeoutSeconds=60))
        created = await engine.create_state_machine("m", definition, type="EXPRESS")
        items = json.dumps(list(range(3000)))
        answer = await engine.start_sync_execution(created["stateMachineArn"], input=items)
        assert answer["status"] == "SUCCEEDED", answer
        assert answer["stopDate"] == START / 1000


async def test_work_without_an_end_times_out_in_real_time() -> None:
    limits = replace(DEFAULT_LIMITS, skip_busy_seconds=0.1)
    async with Engine(clock=VirtualClock(START, limits=limits)) as engine:
        definition = json.dumps({"StartAt": "Spin", "States": SPIN, "TimeoutSeconds": 1})
        created = await engine.create_state_machine("m", definition, type="EXPRESS")
        began = time.monotonic()
        answer = await engine.start_sync_execution(created["stateMachineArn"])
        assert answer["status"] == "TIMED_OUT" and time.monotonic() - began > 1


async def test_a_redrive_after_two_weeks_is_too_late() -> None:
    async with engine_with(VirtualClock(START)) as engine:
        failing = machine({"Type": "Fail", "Error": "No"})
        arn = await start(engine, failing)
        await engine.wait(arn, 60)
        await engine.advance_time(seconds=13 * DAY)
        await engine.redrive_execution(arn)
        assert (await engine.wait(arn, 60))["stopDate"] == START / 1000 + 13 * DAY
        await engine.advance_time(seconds=100 * DAY)
        described = await engine.describe_execution(arn)  # although 90 days have passed
        assert described["redriveStatus"] == "NOT_REDRIVABLE"


async def test_a_nested_execution_is_waited_for() -> None:
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:n"},
        "TimeoutSeconds": 2 * DAY,
        "End": True,
    }
    async with engine_with(VirtualClock(START)) as engine:
        await engine.create_state_machine("n", json.dumps(machine(wait(DAY))))
        arn = await start(engine, machine(nested))
        described = await engine.wait(arn, 60)
    assert described["status"] == "SUCCEEDED"
    assert described["stopDate"] - described["startDate"] == DAY


async def test_a_synchronous_function_takes_no_time() -> None:
    states = {str(n): {**task("work"), "Next": str(n + 1)} for n in range(5)}
    for state in states.values():
        del state["End"]
    states["5"] = wait(60)
    described, events = await skipped({"StartAt": "0", "States": states}, {})
    assert described["stopDate"] - described["startDate"] == 60
    assert {each["timestamp"] for each in events} == {START / 1000, START / 1000 + 60}


async def test_the_wait_of_a_task_for_a_message_takes_real_time() -> None:
    sqs = "arn:aws:states:::aws-sdk:sqs:"
    url = "http://localhost:8083/123456789012/empty"
    asked = {"QueueUrl": url, "WaitTimeSeconds": 1}
    states = {
        "Create": {
            "Type": "Task",
            "Resource": f"{sqs}createQueue",
            "Parameters": {"QueueName": "empty"},
            "Next": "Ask",
        },
        "Ask": {
            "Type": "Task",
            "Resource": f"{sqs}receiveMessage",
            "Parameters": asked,
            "TimeoutSeconds": 60,
            "End": True,
        },
    }
    described, _ = await skipped({"StartAt": "Create", "States": states}, {})
    assert described["status"] == "SUCCEEDED", described
    assert 0.9 < described["stopDate"] - described["startDate"] < 30
