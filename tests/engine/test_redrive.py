"""RedriveExecution through the engine: restarts, refusals, client tokens, races."""

import asyncio
from typing import Any

import pytest
from tests.engine.engine_fixture import DAY, YEAR, EngineFixture, Small, refused, task, wait

from stepwell.asl.histories.history_visits import Visits
from stepwell.engine.errors import ApiError

PASS = {"Type": "Pass"}
CHAIN = {"P": PASS | {"Next": "T"}, "T": task("sometimes")}
REDRIVEN = ["ExecutionFailed", "ExecutionRedriven"]
DONE = [
    "LambdaFunctionScheduled",
    "LambdaFunctionStarted",
    "LambdaFunctionSucceeded",
    "TaskStateExited",
    "ExecutionSucceeded",
]


def always(payload: Any) -> bool:
    return True


def never(payload: Any) -> bool:
    return False


async def failed(life: EngineFixture, states: Any = CHAIN, **fields: Any) -> str:
    life.bad = always
    arn = await life.start(states, **fields)
    assert (await life.finish(arn))["status"] == "FAILED"
    life.bad = never
    return arn


async def not_redrivable(life: EngineFixture, arn: str, reason: str) -> None:
    """What Describe says is what a redrive is refused with."""
    described = await life.engine.describe_execution(arn)
    assert (described["redriveStatus"], described["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        reason,
    )
    await refused(life.engine.redrive_execution(arn), "ExecutionNotRedrivable", reason)


async def test_it_goes_on_where_it_failed(life: EngineFixture, restart: bool) -> None:
    arn = await failed(life)
    described = await life.engine.describe_execution(arn)
    assert (described["redriveStatus"], described["redriveCount"]) == ("REDRIVABLE", 0)
    await life.after(60, restart)
    answer = await life.engine.redrive_execution(arn)
    assert answer == {"redriveDate": life.clock.now() / 1000}
    ended = await life.finish(arn)
    assert (ended["status"], ended["redriveCount"], ended["redriveDate"]) == (
        "SUCCEEDED",
        1,
        answer["redriveDate"],
    )
    assert (ended["redriveStatus"], ended["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        "Execution is SUCCEEDED and cannot be redriven",
    )
    assert "error" not in ended and ended["startDate"] < answer["redriveDate"] <= ended["stopDate"]
    types = await life.types(arn)
    assert types[-7:] == REDRIVEN + DONE
    assert types.count("PassStateEntered") == types.count("TaskStateEntered") == 1
    (listed,) = (await life.engine.list_executions(described["stateMachineArn"]))["executions"]
    assert (listed["redriveCount"], listed["redriveDate"], listed["status"]) == (
        1,
        answer["redriveDate"],
        "SUCCEEDED",
    )
    assert not life.engine.worker.live and not life.store._batcher.continuations.live


async def test_what_was_stopped_goes_on(life: EngineFixture, restart: bool) -> None:
    """A Wait starts again in full."""
    arn = await life.start({"W": wait(100)})
    await life.after(50)
    await life.engine.stop_execution(arn, error="E")
    assert (await life.engine.describe_execution(arn))["redriveStatus"] == "REDRIVABLE"
    await life.after(1, restart)
    await life.engine.redrive_execution(arn)
    await life.after(99, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(2)
    assert await life.status(arn) == "SUCCEEDED"


async def test_the_time_limit_starts_again(life: EngineFixture, restart: bool) -> None:
    arn = await life.start(
        {"W": {"Type": "Wait", "Seconds": 50, "Next": "X"}, "X": wait(20)}, TimeoutSeconds=60
    )
    await life.after(61)
    assert await life.status(arn) == "TIMED_OUT"
    await life.after(1, restart)
    await life.engine.redrive_execution(arn)
    ended = await life.finish(arn)
    assert (ended["status"], ended["redriveCount"]) == ("SUCCEEDED", 1)
    assert (await life.types(arn)).count("WaitStateExited") == 2


async def test_context_object(life: EngineFixture) -> None:
    states = {
        "T": task(
            "sometimes",
            Parameters={"n.$": "$$.Execution.RedriveCount", "all.$": "$$.Execution"},
            ResultSelector={"r.$": "$"},
        )
    }
    arn = await failed(life, states)
    for count in (1, 2):
        life.bad = always if count == 1 else never
        await life.after(5)
        at = await life.engine.redrive_execution(arn)
        await life.finish(arn)
    seen = [
        call.startswith("sometimes {'n': " + str(number)) for number, call in enumerate(life.calls)
    ]
    assert seen == [True] * 3
    assert "RedriveTime" not in life.calls[0] and "'RedriveTime': '2023-" in life.calls[2]
    assert (await life.engine.describe_execution(arn))["redriveDate"] == at["redriveDate"]


async def test_refusals(life: EngineFixture, small: Small) -> None:
    running = await life.start({"W": wait(10)})
    await not_redrivable(life, running, "Execution is RUNNING and cannot be redriven")
    await life.after(11)
    await not_redrivable(life, running, "Execution is SUCCEEDED and cannot be redriven")
    arn = await failed(life, name="late")
    await life.after(14 * DAY)
    assert (await life.engine.describe_execution(arn))["redriveStatus"] == "REDRIVABLE"
    await life.after(1)
    await not_redrivable(life, arn, "Execution redrivable period exceeded")
    gone = running.replace(":m:", ":other:")
    await refused(
        life.engine.redrive_execution(gone),
        "ExecutionDoesNotExist",
        f"Execution Does Not Exist: '{gone}'",
    )
    express = running.replace(":execution:", ":express:") + ":1"
    await refused(
        life.engine.redrive_execution(express),
        "InvalidArn",
        "Invalid Arn: 'Resource type not valid in this context: express'",
    )


async def test_a_full_history_and_a_long_life_end_redriving(small: Small) -> None:
    life = await small(history_events=8, redrives=2)
    arn = await failed(life, {"T": task("sometimes")})
    life.bad = always
    await life.engine.redrive_execution(arn)
    assert (await life.finish(arn))["status"] == "FAILED"
    await not_redrivable(life, arn, "Execution history event limit exceeded")
    aged = await small()
    arn = await aged.start({"T": task("hang")})
    await aged.after(YEAR)
    assert await aged.status(arn) == "TIMED_OUT"
    await not_redrivable(aged, arn, "Execution has exceeded the max execution time")


async def test_a_deleted_machine_cannot_be_redriven(life: EngineFixture) -> None:
    arn = await failed(life)
    await life.engine.delete_state_machine(
        (await life.engine.describe_execution(arn))["stateMachineArn"]
    )
    await life.calm()
    await not_redrivable(life, arn, "State machine is in DELETING status")


async def test_a_client_token_redrives_once(life: EngineFixture, restart: bool) -> None:
    arn = await failed(life)
    life.bad = always
    first = await life.engine.redrive_execution(arn, client_token="t")
    await life.finish(arn)
    await life.after(15 * 60 - 1, restart)
    assert await life.engine.redrive_execution(arn, client_token="t") == first
    assert (await life.engine.describe_execution(arn))["redriveCount"] == 1
    await life.after(2)
    assert await life.engine.redrive_execution(arn, client_token="t") != first
    await life.finish(arn)
    assert (await life.engine.describe_execution(arn))["redriveCount"] == 2


async def test_redrives_at_the_same_time(life: EngineFixture, restart: bool) -> None:
    """One of them redrives; calls with its token get its answer, the others an error that it
    runs.
    """
    arn = await failed(life)
    await life.after(1, restart)
    calls = [
        life.engine.redrive_execution(arn, client_token=token) for token in ("a", "a", "b", "a")
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, ApiError) for answer in answers] == [False, False, True, False]
    assert answers[0] == answers[1] == answers[3]
    assert (await life.finish(arn))["redriveCount"] == 1


async def test_waiting_and_watching_go_on_with_it(life: EngineFixture) -> None:
    arn = await failed(life)
    assert (await life.engine.wait(arn))["status"] == "FAILED"
    before = len(await life.events(arn))
    life.bad = never
    await life.engine.redrive_execution(arn)
    assert (await life.engine.wait(arn, 60))["status"] == "SUCCEEDED"
    assert [event["type"] async for event in life.engine.watch(arn, before)] == [
        "ExecutionRedriven",
        *DONE,
    ]
    again = await life.engine.describe_execution(arn)
    await refused(
        life.engine.start_execution(again["stateMachineArn"], name=again["name"]),
        "ExecutionAlreadyExists",
        f"Execution Already Exists: '{arn}'",
    )


async def test_visits_of_a_redriven_execution(life: EngineFixture) -> None:
    """What began again is the same visit, open again, and so is what lies around it."""
    branches = [
        {"StartAt": "T", "States": {"T": task("sometimes")}},
        {"StartAt": "Q", "States": {"Q": PASS | {"End": True}}},
    ]
    arn = await failed(
        life,
        {"P": PASS | {"Next": "B"}, "B": {"Type": "Parallel", "Branches": branches, "End": True}},
    )
    await life.after(30)
    await life.engine.redrive_execution(arn)
    await life.finish(arn)
    events = await life.events(arn)
    at = [event["type"] for event in events].index("ExecutionRedriven")
    before, after = Visits(events[:at]), Visits(events)
    assert [(visit.name, visit.status) for visit in before.all] == [
        ("P", "succeeded"),
        ("B", "failed"),
        ("T", "failed"),
        ("Q", "succeeded"),
    ]
    assert [(visit.name, visit.status) for visit in after.all] == [
        (name, "succeeded") for name in "PBTQ"
    ]
    assert (before.status, after.status, after.open, after.error) == (
        "failed",
        "succeeded",
        {},
        None,
    )
    again = next(visit for visit in after.all if visit.name == "T")
    assert after.tops["B"].seconds(0) == pytest.approx(30) and (
        again.attempts,
        again.retries,
        again.redrives,
    ) == (2, 0, 1)


async def test_visits_of_an_expression_that_fails_at_each_redrive(life: EngineFixture) -> None:
    """The state of a Task is not entered again: what fails is found without such an event."""
    language = {"QueryLanguage": "JSONata"}
    bad = {**task("ok"), **language, "Arguments": "{% $states.input.none %}"}
    block = {"StartAt": "T", "States": {"T": bad}}
    around = {"Type": "Map", **language, "Items": [0, 1], "ItemProcessor": block, "End": True}
    arn = await failed(life, {"Each": around})
    for _ in range(2):
        await life.engine.redrive_execution(arn)
        assert (await life.engine.wait(arn, 60))["status"] == "FAILED"
    visits = Visits(await life.events(arn))
    assert (visits.status, visits.redrives) == ("failed", 2)
    assert visits.culprit is not None
    assert (visits.culprit.name, visits.culprit.error) == ("T", "States.QueryEvaluationError")
