"""The worker under a clock that the test moves: time limits, retries, stops, limits, sleepers,
failures of disk and tasks, restarts.
"""

import asyncio
import itertools
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import (
    ACTIVITY,
    ASK,
    DAY,
    HAND,
    LAMBDA,
    RETRY,
    SPIN,
    YEAR,
    EngineFixture,
    Shape,
    Small,
    each,
    refused,
    task,
    wait,
)

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine import Engine, messages
from stepwell.engine.clock import ManualClock
from stepwell.engine.core import decide as core
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.operations.base import NoTasks
from stepwell.engine.runtime import worker
from stepwell.engine.tasks import Handler, TaskError, TaskRequest

# --- time -----------------------------------------------------------------------------------------


async def test_year(life: EngineFixture, restart: bool) -> None:
    arn = await life.start({"W": wait(YEAR - 1)})
    assert not life.engine.worker.live
    began = time.process_time()
    await life.after(YEAR - 2, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    ended = await life.engine.wait(arn, timeout=60)
    assert time.process_time() - began < 2
    assert ended["status"] == "SUCCEEDED" and ended["stopDate"] - ended["startDate"] == YEAR - 1


async def test_execution_timeout(life: EngineFixture, restart: bool) -> None:
    arn = await life.start({"W": wait(1000)}, TimeoutSeconds=100)
    await life.after(99, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert await life.types(arn) == ["ExecutionStarted", "WaitStateEntered", "ExecutionTimedOut"]
    assert (await life.events(arn))[-1]["executionTimedOutEventDetails"] == {
        "error": "States.Timeout"
    }
    assert not life.engine.worker.live


async def test_task_timeout(life: EngineFixture, restart: bool) -> None:
    arn = await life.start({"T": task("hang", TimeoutSeconds=30)})
    await life.after(29, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]
    assert life.calls.count("hang") == life.calls.count("cancelled") >= 1
    assert not life.engine.worker.live and not life.engine.worker.effects


async def test_heartbeat(life: EngineFixture, restart: bool) -> None:
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "HeartbeatSeconds": 10, "TimeoutSeconds": 100}})
    given = await life.engine.get_activity_task(ACTIVITY, "w", timeout=60)
    for _ in range(3):
        await life.after(9, restart)
        await life.engine.send_task_heartbeat(given["taskToken"])
    await life.after(9, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["ActivityTimedOut", "ExecutionFailed"]
    await refused(
        life.engine.send_task_heartbeat(given["taskToken"]), "TaskTimedOut", messages.TASK_TIMED_OUT
    )


async def test_task_timeout_despite_heartbeats(life: EngineFixture, restart: bool) -> None:
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "HeartbeatSeconds": 10, "TimeoutSeconds": 25}})
    given = await life.engine.get_activity_task(ACTIVITY, timeout=60)
    for seconds in (9, 9, 6):
        await life.after(seconds, restart)
        await life.engine.send_task_heartbeat(given["taskToken"])
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["ActivityTimedOut", "ExecutionFailed"]


async def delays(life: EngineFixture, arn: str) -> list[float]:
    """Seconds between each failure and the attempt after it."""
    events = await life.events(arn)
    pairs = itertools.pairwise(events)
    return [
        round(b["timestamp"] - a["timestamp"], 3)
        for a, b in pairs
        if b["type"] == "LambdaFunctionScheduled" and a["id"] > 2
    ]


async def test_retry_delays(life: EngineFixture) -> None:
    arn = await life.start({"T": task("fail", Retry=[RETRY])})
    assert (await life.finish(arn))["error"] == "Broken"
    assert await delays(life, arn) == [2, 6, 10, 10]
    assert life.calls == ["fail"] * 5


async def test_retry_delay_survives(life: EngineFixture) -> None:
    arn = await life.start(
        {"T": task("fail", Retry=[{**RETRY, "IntervalSeconds": 5, "MaxAttempts": 1}])}
    )
    for seconds in (1, 1, 2, 0.999):
        await life.restart(seconds)
        assert life.calls == ["fail"]
    await life.restart(0.001)
    assert life.calls == ["fail", "fail"] and await life.status(arn) == "FAILED"
    assert await delays(life, arn) == [5]


async def test_retry_jitter(life: EngineFixture) -> None:
    states = {"T": task("fail", Retry=[{**RETRY, "JitterStrategy": "FULL"}])}
    found = []
    for _ in range(12):
        arn = await life.start(states)
        await life.finish(arn)
        found.append(await delays(life, arn))
    for most, drawn in zip((2, 6, 10, 10), zip(*found), strict=True):
        assert all(0 <= delay <= most for delay in drawn)
        assert len(set(drawn)) > 6 and min(drawn) < most / 2 < max(drawn)


# --- stop -----------------------------------------------------------------------------------------

DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
PHASES: dict[str, tuple[Shape, int]] = {  # the state, and how many functions hang in it
    "task": (task("hang"), 1),
    "wait": (wait(50), 0),
    "long wait": (wait(DAY), 0),
    "retry": (task("fail", Retry=[RETRY]), 0),
    "activity": (HAND, 0),
    "callback": (ASK, 0),
    "parallel": (
        {
            "Type": "Parallel",
            "Branches": [{"StartAt": "B", "States": {"B": task("hang")}}],
            "End": True,
        },
        1,
    ),
    "map": (each(task("hang")), 3),
    "map of waits": (each(wait(50)), 0),
    "map run": (each(task("hang"), **DISTRIBUTED), 3),
    "map run of waits": (each(wait(DAY), **DISTRIBUTED), 0),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_stop(life: EngineFixture, phase: str, restart: bool) -> None:
    await life.engine.create_activity("hands")
    state, hanging = PHASES[phase]
    arn = await life.start({"S": state}, "[1, 2, 3, 4, 5]")
    await life.after(1, restart)
    assert await life.status(arn) == "RUNNING"
    life.calls.clear()
    stopped = await life.engine.stop_execution(arn, error="Enough", cause="for today")
    await life.calm()
    described = await life.engine.describe_execution(arn)
    assert (described["status"], described["error"], described["cause"]) == (
        "ABORTED",
        "Enough",
        "for today",
    )
    assert (await life.events(arn))[-1]["executionAbortedEventDetails"] == {
        "error": "Enough",
        "cause": "for today",
    }
    assert life.calls == ["cancelled"] * hanging
    assert not life.engine.worker.live and not life.engine.worker.effects
    every = (await life.engine.list_all_executions())["executions"]
    assert {each["status"] for each in every} == {"ABORTED"} and len(every) == (
        4 if "run" in phase else 1
    )
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}
    before = await life.events(arn)
    await life.after(2 * DAY, restart)
    assert await life.engine.stop_execution(arn, error="Again") == stopped
    assert await life.events(arn) == before and life.calls == ["cancelled"] * hanging


# --- limits ---------------------------------------------------------------------------------------


async def test_payload_limit(small: Small) -> None:
    life = await small(payload_bytes=200)
    arn = await life.start({"T": task("big", Retry=[RETRY])})
    ended = await life.finish(arn)
    text = (
        "The state/task 'T' returned a result with a size exceeding the maximum number of bytes "
        "service limit."
    )
    assert (ended["error"], ended["cause"]) == (
        "States.DataLimitExceeded",
        text.replace("'T'", f"'{LAMBDA}big'"),
    )
    machine = await life.machine({"P": {"Type": "Pass", "End": True}}, name="p")
    await life.engine.start_execution(machine, input=json.dumps("x" * 198))
    await refused(
        life.engine.start_execution(machine, input=json.dumps("x" * 199)),
        "ValidationException",
        (
            "1 validation error detected: Value at 'input' failed to satisfy constraint: Member "
            "must have length less than or equal to 200"
        ),
    )


async def test_history_limit(small: Small) -> None:
    life = await small(history_events=20, unit_transitions=3)
    ended = await life.finish(await life.start(SPIN))
    assert ended["status"] == "FAILED"
    assert len(await life.events(ended["executionArn"])) == 20
    assert ended["cause"] == "The execution reached the maximum number of history events (20)."


async def test_unit_budget(small: Small) -> None:
    """A long run of transitions is cut into units, others have their turn in between, and the
    history is the same.
    """
    histories = []
    for budget in (5, 256):
        life = await small(unit_transitions=budget, history_events=1000)
        spinning = await life.start(SPIN)
        assert life.store.units >= 499 // budget
        histories.append(await life.types(spinning))
    assert histories[0] == histories[1] and len(histories[0]) == 1000
    life = await small(unit_transitions=2)
    quick = await life.machine({"P": {"Type": "Pass", "End": True}}, name="quick")
    spinning = (await life.engine.start_execution(await life.machine(SPIN)))["executionArn"]
    other = await life.engine.start_execution(quick)
    assert (await life.engine.wait(other["executionArn"], timeout=60))["status"] == "SUCCEEDED"
    assert await life.status(spinning) == "RUNNING"


# --- memory ---------------------------------------------------------------------------------------


async def test_sleepers_leave_memory(life: EngineFixture) -> None:
    sleepers = [await life.start({"W": wait(DAY)}) for _ in range(20)]
    asking = await life.start({"A": ASK}, name="ask")
    await life.calm()
    assert not life.engine.worker.live
    await life.engine.send_task_success(life.tokens[0], '{"back":true}')
    await life.calm()
    assert (await life.engine.describe_execution(asking))["output"] == '{"back":true}'
    await life.after(DAY - 10)
    assert {await life.status(arn) for arn in sleepers} == {"RUNNING"}
    await life.after(10)
    assert {await life.status(arn) for arn in sleepers} == {"SUCCEEDED"}
    assert not life.engine.worker.live and not life.engine.worker.timers.at


async def test_many_sleepers(life: EngineFixture) -> None:
    machine = await life.machine({"W": wait(10 * DAY)})
    started = await asyncio.gather(*(life.engine.start_execution(machine) for _ in range(2000)))
    await life.engine.close()
    began = time.process_time()
    await life.open()
    assert time.process_time() - began < 1
    assert not life.engine.worker.live
    await life.restart(10 * DAY)
    ended = await asyncio.gather(
        *(life.engine.wait(each["executionArn"], timeout=60) for each in started)
    )
    assert {each["status"] for each in ended} == {"SUCCEEDED"}
    assert {each["stopDate"] - each["startDate"] for each in ended} == {10 * DAY}


# --- crowds ---------------------------------------------------------------------------------------


async def test_effects_wait_their_turn(small: Small) -> None:
    """No more effects at once than allowed; the others follow, and who is stopped while waiting is
    never called.
    """
    life = await small(effects_in_flight=3)
    arns = [await life.start({"T": task("hang")}) for _ in range(8)]
    assert life.calls == ["hang"] * 3
    await life.engine.stop_execution(arns[4])
    await life.engine.stop_execution(arns[0])
    await life.calm()
    assert sorted(life.calls) == ["cancelled"] + ["hang"] * 4
    for arn in arns:
        await life.engine.stop_execution(arn)
    await life.calm()
    assert (
        life.calls.count("hang") == life.calls.count("cancelled") <= 7
        and not life.engine.worker.effects.waiting
    )


@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_pages_of_sleepers(small: Small, page: int) -> None:
    """With any size of pages, every execution wakes at the right time."""
    life = await small(
        timer_page=page, recovery_page=page, batch_units=page, timer_window_seconds=20
    )
    seconds = [5, 5, 19, 20, 21, 40, 40, 40, 75]
    arns = [await life.start({"W": wait(each)}, name=f"w{each}") for each in seconds]
    await life.restart()
    while any([await life.status(arn) == "RUNNING" for arn in arns]):
        due = life.clock.next_alarm()
        assert due is not None
        life.clock.advance(due - life.clock.now())
        await life.calm()
    for arn in arns:
        ended = await life.engine.describe_execution(arn)
        assert ended["stopDate"] - ended["startDate"] == int(
            ended["stateMachineArn"].rpartition(":w")[2]
        )


async def test_back_pressure(small: Small) -> None:
    """More starts at once than the queue takes: some wait, all are answered."""
    life = await small(queue_units=4, batch_units=2)
    machine = await life.machine({"P": {"Type": "Pass", "End": True}})
    starts = [asyncio.ensure_future(life.engine.start_execution(machine)) for _ in range(100)]
    arns = [each["executionArn"] for each in await asyncio.wait_for(asyncio.gather(*starts), 60)]
    await life.calm()
    assert {await life.status(arn) for arn in arns} == {"SUCCEEDED"} and len(set(arns)) == 100


async def test_when_many_starts_wait_others_are_refused(small: Small) -> None:
    life = await small(queue_units=2, queue_callers=3, batch_units=1)
    machine = await life.machine({"P": {"Type": "Pass", "End": True}})
    starts = [asyncio.ensure_future(life.engine.start_execution(machine)) for _ in range(100)]
    answers = await asyncio.wait_for(asyncio.gather(*starts, return_exceptions=True), 60)
    full = [each for each in answers if isinstance(each, ApiError)]
    assert 0 < len(full) < 100 and {each.code for each in full} == {"ThrottlingException"}
    await life.calm()
    counts = life.engine.worker.counts
    assert counts.started == counts.ended["SUCCEEDED"] == counts.transitions == 100 - len(full)
    assert (
        sum(counts.batch_units.counts)
        == sum(counts.commit_seconds.counts)
        <= counts.batch_units.sum
    )
    assert life.engine.worker.queued == life.engine.worker.in_flight == 0
    await life.engine.start_execution(machine)  # there is room again


async def test_map_run_goes_on(life: EngineFixture) -> None:
    """Children that ended before a restart are not started again, those in flight are sent again,
    the rest follow.
    """
    hold = {**ASK, "HeartbeatSeconds": 1000}
    arn = await life.start({"M": each(hold, **DISTRIBUTED)}, "[1, 2, 3, 4, 5]")
    for number in range(5):
        assert len(life.tokens) == min(5, 3 + number)
        await life.restart(1)
        await life.engine.send_task_success(life.tokens[number], str(number))
        await life.calm()
    ended = await life.finish(arn)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", "[0,1,2,3,4]")
    assert len(life.tokens) == len(set(life.tokens)) == 5
    assert len((await life.engine.list_all_executions())["executions"]) == 6


async def test_map_run_tolerates_no_failure(life: EngineFixture, restart: bool) -> None:
    """A child fails: its siblings are aborted, also those that hang."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Fail"}],
        "Default": "Hang",
    }
    states = {
        "I": choice,
        "Fail": {**task("ok"), "Next": "F"},
        "F": {"Type": "Fail", "Error": "E"},
        "Hang": task("hang"),
    }
    del states["Fail"]["End"]
    processor = {"StartAt": "I", "States": states, **DISTRIBUTED}
    arn = await life.start(
        {"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}, "[1, 2, 3]"
    )
    await life.after(1, restart)
    assert (await life.engine.describe_execution(arn))[
        "error"
    ] == "States.ExceedToleratedFailureThreshold"
    every = (await life.engine.list_all_executions())["executions"]
    assert sorted(each["status"] for each in every) == ["ABORTED", "ABORTED", "FAILED", "FAILED"]
    assert (
        life.calls.count("hang") == life.calls.count("cancelled") == 2
        and not life.engine.worker.live
    )


async def test_time_never_goes_back(life: EngineFixture) -> None:
    await life.start({"W": wait(DAY)})
    await life.after(DAY)
    latest = life.clock.now()
    life.clock = ManualClock(latest - 5 * DAY * 1000)
    await life.restart()
    assert life.clock.now() == latest
    arn = await life.start({"P": {"Type": "Pass", "End": True}}, name="p")
    assert (await life.events(arn))[0]["timestamp"] * 1000 >= latest


# --- decisions that take long, or fail ------------------------------------------------------------

LONG = {
    "Type": "Pass",
    "QueryLanguage": "JSONata",
    "Output": "{% $sum([1..40000].($ * 2)) + $count($states.context.none) %}",
    "End": True,
}
# (it reads something: the value of an expression that reads nothing is kept, and another test may
# have asked for it)


async def test_long_evaluation(life: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in a thread, once the start is durable; events of the execution wait for it, and
    others continue.
    """
    threads: list[bool] = []

    def decide(*arguments: Any) -> Any:
        threads.append(threading.current_thread() is not threading.main_thread())
        return core.decide(*arguments)

    monkeypatch.setattr(worker, "decide", decide)
    arn = await life.start({"L": LONG})
    assert threads == [
        False,
        False,
        False,
        True,
    ]  # at the start; only to note that it has started; then going on
    assert (await life.finish(arn))["output"] == "1600040000"
    machine = await life.machine({"L": LONG}, name="l")
    started = await life.engine.start_execution(machine, name="n")
    assert await life.engine.stop_execution(started["executionArn"])  # which waits for nothing
    await life.calm()
    assert await life.status(started["executionArn"]) in ("ABORTED", "SUCCEEDED")
    states = {"T": {**task("ok"), "Next": "L"}, "L": LONG}
    del states["T"]["End"]
    arn = await life.start(states, name="both")
    await life.calm()
    assert (await life.finish(arn))["output"] == "1600040000" and not life.engine.worker.live


async def test_parked(life: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in decide(): that execution is left as it is on disk, its callers get an error, others
    continue.
    """
    broken = await life.start({"A": ASK})
    other = await life.start({"A": ASK})
    waiting = asyncio.ensure_future(life.engine.wait(broken))
    await life.calm()
    name = broken.rpartition(":")[2]

    def decide(program: Any, x: Any, *rest: Any) -> Any:
        if x.name == name:
            raise ZeroDivisionError("planted")
        return core.decide(program, x, *rest)

    monkeypatch.setattr(worker, "decide", decide)
    for call in (
        life.engine.send_task_success(life.tokens[0], "1"),
        waiting,
        life.engine.wait(broken),
    ):
        with pytest.raises(EngineError, match="is parked"):
            await asyncio.wait_for(call, 60)
    await life.engine.send_task_success(life.tokens[1], "2")
    assert (await life.finish(other))["output"] == "2"
    assert await life.status(broken) == "RUNNING"
    monkeypatch.undo()
    await life.restart()
    await life.engine.send_task_success(life.tokens[0], "1")
    assert (await life.finish(broken))["output"] == "1"


# --- the disk fails -------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_store_fails(life: EngineFixture, when: str) -> None:
    await life.engine.create_activity("hands")
    machine = await life.machine({"W": wait(10)})
    kept = (await life.engine.start_execution(machine, name="kept"))["executionArn"]
    working = await life.start({"T": task("hang")}, name="t")
    engine = life.engine

    async def watched() -> None:
        async for _ in engine.watch(kept):
            pass

    pending = [
        asyncio.ensure_future(each)
        for each in (engine.wait(kept), watched(), engine.get_activity_task(ACTIVITY))
    ]
    await life.calm()
    life.store.fails = when
    pending += [asyncio.ensure_future(engine.start_execution(machine, name="lost"))]
    for answer in await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), 60):
        assert isinstance(answer, StoreError) and "open it again" in str(answer), answer
    for call in (
        engine.start_execution(machine),
        engine.wait(kept),
        engine.stop_execution(kept),
        engine.get_activity_task(ACTIVITY),
    ):
        with pytest.raises(StoreError):
            await asyncio.wait_for(call, 60)
    await asyncio.sleep(0)
    assert life.calls == ["hang", "cancelled"]
    await life.restart()
    applied = when == "after"
    assert {
        each["name"] for each in (await life.engine.list_executions(machine))["executions"]
    } == {"kept", *["lost"] * applied}
    assert await life.status(working) == "RUNNING"
    again = await life.engine.start_execution(machine, name="lost")
    await life.after(10)
    assert await life.status(kept) == await life.status(again["executionArn"]) == "SUCCEEDED"


# --- tasks that misbehave -------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Rare(BaseException):
    """Neither an Exception nor one of those that end a process."""


class Direct(NoTasks):
    """Every Task runs one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def resolve(self, resource: Resource) -> Any:
        return self._handler

    def known_text(self, text: str) -> Any:
        return text


def raising(error: BaseException) -> Handler:
    async def handler(request: TaskRequest) -> Json:
        raise error

    return handler


def returning(value: Any) -> Handler:
    async def handler(request: TaskRequest) -> Json:
        return value

    return handler


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP
ODD = {
    "exception": (raising(Unprintable()), "Unprintable"),
    "base exception": (raising(Rare("x")), "Rare"),
    "cancelled": (raising(asyncio.CancelledError()), "CancelledError"),
    "group": (raising(ExceptionGroup("two", [ValueError(), OSError()])), "ExceptionGroup"),
    "surrogate": (raising(ValueError("\ud800")), "ValueError"),
    "task error": (raising(TaskError(None, None)), None),
    "object": (returning(object()), None),
    "nan": (returning(float("nan")), None),
    "text": (returning("\ud800"), None),
    "deep": (returning(deep()), None),
    "cycle": (returning(LOOP), None),
    "key": (returning({1: 2, (3,): 4}), None),
    "number as a key": (returning([{"a": {1: 2}}]), "TypeError"),
    "bytes": (returning({"a": [b"x"]}), "TypeError"),
    "tuple": (returning((1, 2)), "TypeError"),
    "date": (returning(datetime(2024, 1, 1, tzinfo=UTC)), "TypeError"),
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_task(case: str, tmp_path: Path) -> None:
    """Whatever a handler does, its task fails, the history can be read, and others are not
    disturbed.
    """
    handler, error = ODD[case]
    definition = {"StartAt": "T", "States": {"T": task("x")}}
    quiet = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    async with Engine(tmp_path / "stepwell.db", tasks=Direct(handler)) as engine:
        machine = await engine.create_state_machine("m", json.dumps(definition))
        arn = (await engine.start_execution(machine["stateMachineArn"]))["executionArn"]
        ended = await engine.wait(arn, timeout=60)
        assert ended["status"] == "FAILED" and (error is None or ended["error"] == error), ended
        assert json.dumps(ended, ensure_ascii=False).encode()
        last = (await engine.get_execution_history(arn, max_results=1000))["events"][-2:]
        shown = last[-1]["executionFailedEventDetails"]
        assert shown == {name: ended[name] for name in ("error", "cause") if name in ended}, (
            "what was answered is not what was stored"
        )
        assert [event["type"] for event in last] == ["LambdaFunctionFailed", "ExecutionFailed"], (
            last
        )
        other = await engine.create_state_machine("p", json.dumps(quiet))
        arn = (await engine.start_execution(other["stateMachineArn"]))["executionArn"]
        assert (await engine.wait(arn, timeout=60))["status"] == "SUCCEEDED"


async def test_a_store_that_fails_within_a_task_is_not_the_tasks_failure(tmp_path: Path) -> None:
    """Memory is dropped, and the next life carries the task out; Retry and Catch see nothing of
    it.
    """
    states = {
        "T": {
            "Type": "Task",
            "Resource": "any",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T"}],
            "End": True,
        }
    }
    async with Engine(
        tmp_path / "x.db", tasks=Direct(raising(StoreError("the disk does not answer")))
    ) as engine:
        machine = await engine.create_state_machine(
            "m", json.dumps({"StartAt": "T", "States": states})
        )
        started = await engine.start_execution(machine["stateMachineArn"])
        with pytest.raises(StoreError, match="the disk does not answer; open it again"):
            await engine.wait(started["executionArn"], timeout=60)
    async with Engine(tmp_path / "x.db", tasks=Direct(returning(7))) as engine:
        assert (await engine.wait(started["executionArn"], timeout=60))["output"] == "7"
        types = [
            event["type"]
            for event in (await engine.get_execution_history(started["executionArn"]))["events"]
        ]
        assert not any("Failed" in each for each in types)
