"""Replays of executions with timeouts, stops and redrives, and of one that still runs."""

import copy
import json
from typing import Any

import pytest
from tests.engine.replay.histories import FUNCTION, Recorded, count, ended, opened, record
from tests.engine.replay.test_planted import lines

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:desk"
Json = dict[str, Any]


def machine(**state: Any) -> Json:
    return {
        "StartAt": "Ask",
        "States": {
            "Ask": {"Type": "Task", "Resource": ACTIVITY, "TimeoutSeconds": 60, "Next": "Last"}
            | state,
            "Last": {"Type": "Pass", "End": True},
        },
    }


RETRIED = machine(
    Retry=[{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}],
    Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Last"}],
)
HEARTBEAT = machine(
    HeartbeatSeconds=20,
    Catch=[{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Last"}],
)


def edited(definition: Json, **fields: Any) -> Json:
    new = copy.deepcopy(definition)
    new["States"]["Ask"] |= fields
    return new


async def asked(definition: Json, answer: str = "", redrives: int = 0) -> Recorded:
    """Run a machine whose activity succeeds, fails or gets no answer; or stop the execution."""
    async with opened() as engine:
        await engine.create_activity("desk")
        name = f"m{await count(engine)}"
        arn = (await engine.create_state_machine(name, json.dumps(definition)))["stateMachineArn"]
        started = await engine.start_execution(arn, input='{"n": 1}')
        if answer:
            task = await engine.get_activity_task(ACTIVITY, "me", timeout=60)
            if answer == "succeed":
                await engine.send_task_success(task["taskToken"], '{"ok": true}')
            elif answer == "fail":
                await engine.send_task_failure(task["taskToken"], "No", "why")
            elif answer == "stop":
                await engine.stop_execution(started["executionArn"], error="E", cause="c")
        return await ended(engine, definition, started["executionArn"], redrives)


@pytest.mark.parametrize(
    ("definition", "answer", "redrives"),
    [
        (RETRIED, "", 0),
        (HEARTBEAT, "", 0),
        (machine(), "", 2),
        (machine(), "succeed", 0),
        (machine(), "fail", 1),
        (machine(), "stop", 0),
        ({**machine(TimeoutSeconds=500), "TimeoutSeconds": 100}, "", 0),
    ],
)
async def test_an_unchanged_definition_ends_as_it_was(
    definition: Json, answer: str, redrives: int
) -> None:
    found = (recorded := await asked(definition, answer, redrives)).replay()
    assert found.same and found.known and not found.unrepeatable, (found, recorded.events)


async def test_another_time_limit() -> None:
    recorded = await asked(RETRIED)
    found = recorded.replay(edited(RETRIED, TimeoutSeconds=90))
    assert not found.known
    assert lines(found)[:2] == [
        "time limit Ask 1: timeoutInSeconds: 60 -> 90",
        "not recorded Ask 1: how the task would end: MISSING -> MISSING",
    ]
    assert lines(recorded.replay(edited(RETRIED, Catch=[])))[-1] == (
        "status Ask 1: status: 'SUCCEEDED' -> 'FAILED: States.Timeout'"
    )
    whole = {**machine(TimeoutSeconds=500), "TimeoutSeconds": 100}
    longer = (await asked(whole)).replay({**whole, "TimeoutSeconds": 1000})
    assert not longer.known and lines(longer)[0].startswith("not recorded Ask 1")


async def test_a_task_that_took_longer_than_a_new_time_limit() -> None:
    definition = {
        "StartAt": "Slow",
        "States": {"Slow": {"Type": "Task", "Resource": FUNCTION + "work", "End": True}},
    }
    async with opened() as engine:
        recorded = await record(engine, definition, {"n": 1})
    late = [
        {**event, "timestamp": event["timestamp"] + (event["id"] > 4) * 45}
        for event in recorded.events
    ]
    new = copy.deepcopy(definition)
    new["States"]["Slow"]["TimeoutSeconds"] = 30
    assert lines(recorded.replay(new)) == ["time limit Slow 1: timeoutInSeconds: MISSING -> 30"]
    found = lines(recorded._replace(events=late).replay(new))
    assert found[1].endswith("'LambdaFunctionSucceeded' -> 'times out after 30 s'")
    assert found[-1] == "status Slow 1: status: 'SUCCEEDED' -> 'FAILED: States.Timeout'"


async def test_an_execution_that_still_runs_is_replayed_as_far_as_it_has_come() -> None:
    recorded = await asked(machine(), "succeed")
    for length in range(1, len(recorded.events)):
        part = recorded._replace(events=recorded.events[:length], description={"status": "RUNNING"})
        found = part.replay()
        assert found.same, (length, found)


async def test_a_history_without_its_data_is_refused() -> None:
    recorded = await asked(machine(), "succeed")
    bare = [
        {name: value for name, value in event.items() if not name.endswith("Details")}
        for event in recorded.events
    ]
    with pytest.raises(ValueError, match="export it with execution data"):
        recorded._replace(events=bare, description={}).replay()
    with pytest.raises(ValueError, match="ExecutionStarted"):
        recorded._replace(events=recorded.events[1:]).replay()
