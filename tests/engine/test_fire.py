"""Operations that AWS does not have: fire_timer and advance_time."""

import asyncio
from typing import Any

import pytest
from tests.engine.engine_fixture import DAY, RETRY, EngineFixture, Small, refused, task, wait

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.virtual_clock import VirtualClock

START, AT = 1_700_000_000_000, "2023-11-14T22:13:20.000Z"


@pytest.fixture
async def life(small: Small) -> EngineFixture:
    return await small()


async def test_a_wait_ends_now(life: EngineFixture) -> None:
    arn = await life.start({"W": wait(30 * DAY)})
    await life.after(60)
    answer = await life.engine.fire_timer(arn)
    due = (START + 30 * DAY * 1000) / 1000
    assert answer == {"fired": [{"stateName": "W", "enteredEventId": 2, "dueDate": due}]}
    await life.calm()
    events = await life.events(arn)
    assert [each["type"] for each in events][-2:] == ["WaitStateExited", "ExecutionSucceeded"]
    assert events[-1]["timestamp"] == START / 1000 + 60  # when it happened
    await refused(
        life.engine.fire_timer(arn),
        "ValidationException",
        "Execution is SUCCEEDED: it waits for no time",
    )


async def test_a_retry_happens_now_and_survives_a_restart(life: EngineFixture) -> None:
    arn = await life.start({"T": task("fail", Retry=[RETRY])})
    assert life.calls == ["fail"]
    await life.engine.fire_timer(arn, state_name="T")
    await life.restart()
    assert life.calls == ["fail", "fail"]


async def test_one_of_several_waits(life: EngineFixture) -> None:
    branches = [
        {"StartAt": name, "States": {name: wait(seconds)}}
        for name, seconds in (("A", 100), ("B", 200))
    ]
    arn = await life.start({"P": {"Type": "Parallel", "Branches": branches, "End": True}})
    text = "Several states wait for a time, so stateName is needed: A, B"
    await refused(life.engine.fire_timer(arn), "ValidationException", text)
    text = "The state 'C' does not wait for a time; these do: A, B"
    await refused(life.engine.fire_timer(arn, state_name="C"), "ValidationException", text)
    fired = (await life.engine.fire_timer(arn, state_name="B"))["fired"]
    assert [each["stateName"] for each in fired] == ["B"]
    entered = {"A": 4, "B": 5}["A"]
    fired = (await life.engine.fire_timer(arn, entered_event_id=entered))["fired"]
    assert [each["stateName"] for each in fired] == ["A"]
    await life.calm()
    assert await life.status(arn) == "SUCCEEDED"


async def test_what_waits_for_something_else_cannot_be_fired(life: EngineFixture) -> None:
    arn = await life.start({"T": task("hang", TimeoutSeconds=60)})
    text = "No state of the execution waits for a time"
    await refused(life.engine.fire_timer(arn), "ValidationException", text)
    with pytest.raises(ApiError, match="Does Not Exist"):
        await life.engine.fire_timer(arn + "x")


async def test_an_execution_that_left_memory(life: EngineFixture) -> None:
    arn = await life.start({"W": wait(30 * DAY)})
    await life.restart()
    assert not life.engine.worker.live
    await life.engine.fire_timer(arn)
    await life.calm()
    assert await life.status(arn) == "SUCCEEDED"


# --- advance_time ---------------------------------------------------------------------------------


async def test_time_is_advanced() -> None:
    async with Engine(clock=VirtualClock(START)) as engine:
        assert await engine.advance_time(seconds=30 * DAY) == {"now": START / 1000 + 30 * DAY}
        until = "2030-01-01T00:00:00Z"
        assert await engine.advance_time(until=until) == {"now": 1893456000}
        machine = await engine.create_state_machine("m", {"StartAt": "W", "States": {"W": wait(9)}})
        started = await engine.start_execution(machine["stateMachineArn"])
        await engine.advance_time(seconds=5)
        described = await engine.describe_execution(started["executionArn"])
        assert described["status"] == "RUNNING" and engine.clock.now() == 1893456005000
        await engine.wait(started["executionArn"], 60)
        assert engine.clock.now() == 1893456009000


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({}, "Either seconds or until is needed"),
        ({"seconds": -1}, "seconds must be between 0 and 315360000"),
        ({"until": "tomorrow"}, "until must be a timestamp such as 2030-01-31T12:00:00Z"),
        (
            {"until": "2020-01-01T00:00:00Z"},
            "Time does not go back: it is 2023-11-14T22:13:20.000Z",
        ),
    ],
)
async def test_a_time_that_cannot_be(asked: dict[str, Any], text: str) -> None:
    async with Engine(clock=VirtualClock(START)) as engine:
        await refused(engine.advance_time(**asked), "ValidationException", text)


async def test_real_time_is_not_advanced(life: EngineFixture) -> None:
    with pytest.raises(ApiError, match="--skip-time"):
        await life.engine.advance_time(seconds=1)


async def test_the_timeout_of_a_worker_fires_when_time_is_advanced() -> None:
    async with Engine(clock=VirtualClock(START, outside_seconds=60)) as engine:
        activity = (await engine.create_activity("hands"))["activityArn"]
        hand = {"Type": "Task", "Resource": activity, "TimeoutSeconds": DAY, "End": True}
        machine = await engine.create_state_machine("m", {"StartAt": "H", "States": {"H": hand}})
        arn = (await engine.start_execution(machine["stateMachineArn"]))["executionArn"]
        await asyncio.wait_for(engine.advance_time(seconds=2 * DAY), 60)
        described = await engine.describe_execution(arn)
        assert (described["status"], described["error"]) == ("FAILED", "States.Timeout")
        assert described["stopDate"] < START / 1000 + DAY + 30
