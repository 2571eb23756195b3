"""The worker and the engine around it under a clock that the test moves: time limits, stops, restarts, failures of the disk, tokens."""

import asyncio
import base64
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.resources import Resource
from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.engine import NoTasks
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.store.base import Unit
from stepwell.engine.store.sqlite import SqliteStore
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations.service import Registry

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
CALLBACK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:hands"
DAY = 24 * 3600
YEAR = 365 * DAY
Shape = dict[str, Any]


class Store(SqliteStore):
    """Counts, and fails once if told to: "before" or "after" the transaction was made."""

    fails = ""
    units = 0

    async def commit(self, units: Sequence[Unit]) -> None:
        self.units += len(units)
        when, self.fails = self.fails, ""
        if when == "before":
            raise StoreError("no space left on device")
        await super().commit(units)
        if when == "after":
            raise StoreError("no answer from the disk")


class Life:
    """An engine on a file, at a time of its own, that can be closed and opened again."""

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path, self.limits, self.clock = path, limits, ManualClock()
        self.calls: list[str] = []  # what the functions saw
        self.tokens: list[str] = []
        draw = random.Random(7)
        self._uuid = lambda: uuid.UUID(int=draw.getrandbits(128), version=4)

    async def open(self) -> None:
        registry = Registry({"ok": self.ok, "hang": self.hang, "fail": self.fail, "big": self.big, "keep": self.keep})
        self.store = Store(self.path, limits=self.limits)
        self.engine = Engine(store=self.store, tasks=registry, clock=self.clock, limits=self.limits, new_uuid=self._uuid)
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
            self.clock.advance(0)
            deciding = any(live.pending or live.backlog is not None for live in worker.live.values())
            quiet = 0 if deciding or worker._queue or worker._loads or worker._background else quiet + 1

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
            described = await self.engine.describe_execution(arn)
            if described["status"] != "RUNNING":
                return described
            due = self.clock.next_alarm()
            assert due is not None, "it will never end"
            self.clock.advance(max(0, due - self.clock.now()))
        raise AssertionError("it does not end")

    async def machine(self, states: Shape, name: str = "m", type: str = "STANDARD", **fields: Any) -> str:
        definition = json.dumps({"StartAt": next(iter(states)), "States": states, **fields})
        arn: str = (await self.engine.create_state_machine(name, definition, type=type))["stateMachineArn"]
        return arn

    async def start(self, states: Shape, input: str = "{}", **fields: Any) -> str:
        arn: str = (await self.engine.start_execution(await self.machine(states, **fields), input=input))["executionArn"]
        await self.calm()
        return arn

    async def status(self, arn: str) -> str:
        status: str = (await self.engine.describe_execution(arn))["status"]
        return status

    async def events(self, arn: str) -> list[Shape]:
        events: list[Shape] = (await self.engine.get_execution_history(arn))["events"]
        return events

    async def types(self, arn: str) -> list[str]:
        return [event["type"] for event in await self.events(arn)]

    # functions

    async def ok(self, payload: Json) -> Json:
        self.calls.append("ok")
        return payload

    async def fail(self, payload: Json) -> Json:
        self.calls.append("fail")
        raise TaskError("Broken", "as always")

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


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    made = Life(tmp_path / "stepwell.db")
    await made.open()
    yield made
    await made.engine.close()


@pytest.fixture(params=[False, True], ids=["", "restart"])
def restart(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def task(function: str, **fields: Any) -> Shape:
    return {"Type": "Task", "Resource": LAMBDA + function, "End": True, **fields}


def wait(seconds: int) -> Shape:
    return {"Type": "Wait", "Seconds": seconds, "End": True}


def each(state: Shape, **fields: Any) -> Shape:
    processor = {**fields, "StartAt": "I", "States": {"I": state}}
    return {"Type": "Map", "ItemsPath": "$", "ItemProcessor": processor, "MaxConcurrency": 3, "End": True}


HAND: Shape = {"Type": "Task", "Resource": ACTIVITY, "End": True}
ASK: Shape = {
    "Type": "Task",
    "Resource": CALLBACK,
    "Parameters": {"FunctionName": "keep", "Payload": {"token.$": "$$.Task.Token"}},
    "End": True,
}
RETRY = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 4, "MaxDelaySeconds": 10}


async def refused(call: Awaitable[Any], code: str, message: str) -> None:
    with pytest.raises(ApiError) as error:
        await call
    assert (error.value.code, error.value.message) == (code, message)


# --- time --------------------------------------------------------------------------------------------------------------------


async def test_year(life: Life, restart: bool) -> None:
    arn = await life.start({"W": wait(YEAR - 1)})
    assert not life.engine.worker.live
    began = time.perf_counter()
    await life.after(YEAR - 2, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    ended = await life.engine.wait(arn, timeout=5)
    assert time.perf_counter() - began < 2
    assert ended["status"] == "SUCCEEDED" and ended["stopDate"] - ended["startDate"] == YEAR - 1


async def test_execution_timeout(life: Life, restart: bool) -> None:
    arn = await life.start({"W": wait(1000)}, TimeoutSeconds=100)
    await life.after(99, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert await life.types(arn) == ["ExecutionStarted", "WaitStateEntered", "ExecutionTimedOut"]
    assert (await life.events(arn))[-1]["executionTimedOutEventDetails"] == {"error": "States.Timeout"}
    assert not life.engine.worker.live


async def test_task_timeout(life: Life, restart: bool) -> None:
    arn = await life.start({"T": task("hang", TimeoutSeconds=30)})
    await life.after(29, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]
    assert life.calls.count("hang") == life.calls.count("cancelled") >= 1
    assert not life.engine.worker.live and not life.engine.worker._effects


async def test_heartbeat(life: Life, restart: bool) -> None:
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "HeartbeatSeconds": 10, "TimeoutSeconds": 100}})
    given = await life.engine.get_activity_task(ACTIVITY, "w", timeout=1)
    for _ in range(3):
        await life.after(9, restart)
        await life.engine.send_task_heartbeat(given["taskToken"])
    await life.after(9, restart)
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["ActivityTimedOut", "ExecutionFailed"]
    await refused(life.engine.send_task_heartbeat(given["taskToken"]), "TaskTimedOut", messages.TASK_TIMED_OUT)


async def test_task_timeout_despite_heartbeats(life: Life, restart: bool) -> None:
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "HeartbeatSeconds": 10, "TimeoutSeconds": 25}})
    given = await life.engine.get_activity_task(ACTIVITY, timeout=1)
    for seconds in (9, 9, 6):
        await life.after(seconds, restart)
        await life.engine.send_task_heartbeat(given["taskToken"])
    assert await life.status(arn) == "RUNNING"
    await life.after(1, restart)
    assert (await life.types(arn))[-2:] == ["ActivityTimedOut", "ExecutionFailed"]


async def delays(life: Life, arn: str) -> list[float]:
    """Seconds between each failure and the attempt after it."""
    events = await life.events(arn)
    pairs = zip(events, events[1:])
    return [round(b["timestamp"] - a["timestamp"], 3) for a, b in pairs if b["type"] == "LambdaFunctionScheduled" and a["id"] > 2]


async def test_retry_delays(life: Life) -> None:
    arn = await life.start({"T": task("fail", Retry=[RETRY])})
    assert (await life.finish(arn))["error"] == "Broken"
    assert await delays(life, arn) == [2, 6, 10, 10]
    assert life.calls == ["fail"] * 5


async def test_retry_delay_survives(life: Life) -> None:
    arn = await life.start({"T": task("fail", Retry=[{**RETRY, "IntervalSeconds": 5, "MaxAttempts": 1}])})
    for seconds in (1, 1, 2, 0.999):
        await life.restart(seconds)
        assert life.calls == ["fail"]
    await life.restart(0.001)
    assert life.calls == ["fail", "fail"] and await life.status(arn) == "FAILED"
    assert await delays(life, arn) == [5]


async def test_retry_jitter(life: Life) -> None:
    states = {"T": task("fail", Retry=[{**RETRY, "JitterStrategy": "FULL"}])}
    found = []
    for _ in range(12):
        arn = await life.start(states)
        await life.finish(arn)
        found.append(await delays(life, arn))
    for most, drawn in zip((2, 6, 10, 10), zip(*found), strict=True):
        assert all(0 <= delay <= most for delay in drawn)
        assert len(set(drawn)) > 6 and min(drawn) < most / 2 < max(drawn)


# --- stop --------------------------------------------------------------------------------------------------------------------

DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
PHASES: dict[str, tuple[Shape, int]] = {  # the state, and how many functions hang in it
    "task": (task("hang"), 1),
    "wait": (wait(50), 0),
    "long wait": (wait(DAY), 0),
    "retry": (task("fail", Retry=[RETRY]), 0),
    "activity": (HAND, 0),
    "callback": (ASK, 0),
    "parallel": ({"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": task("hang")}}], "End": True}, 1),
    "map": (each(task("hang")), 3),
    "map of waits": (each(wait(50)), 0),
    "map run": (each(task("hang"), **DISTRIBUTED), 3),
    "map run of waits": (each(wait(DAY), **DISTRIBUTED), 0),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_stop(life: Life, phase: str, restart: bool) -> None:
    await life.engine.create_activity("hands")
    state, hanging = PHASES[phase]
    arn = await life.start({"S": state}, "[1, 2, 3, 4, 5]")
    await life.after(1, restart)
    assert await life.status(arn) == "RUNNING"
    life.calls.clear()
    stopped = await life.engine.stop_execution(arn, error="Enough", cause="for today")
    await life.calm()
    described = await life.engine.describe_execution(arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "for today")
    assert (await life.events(arn))[-1]["executionAbortedEventDetails"] == {"error": "Enough", "cause": "for today"}
    assert life.calls == ["cancelled"] * hanging
    assert not life.engine.worker.live and not life.engine.worker._effects
    every = (await life.engine.list_executions())["executions"]
    assert {each["status"] for each in every} == {"ABORTED"} and len(every) == (4 if "run" in phase else 1)
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}
    before = await life.events(arn)
    await life.after(2 * DAY, restart)
    assert await life.engine.stop_execution(arn, error="Again") == stopped
    assert await life.events(arn) == before and life.calls == ["cancelled"] * hanging


# --- starting ----------------------------------------------------------------------------------------------------------------


async def test_start_is_idempotent(life: Life, restart: bool) -> None:
    machine = await life.machine({"W": wait(60)})

    def start(input: str = "{}") -> Awaitable[Shape]:
        return life.engine.start_execution(machine, name="n", input=input)

    first, *others = await asyncio.gather(*(start() for _ in range(5)))
    await life.after(1, restart)
    assert all(other == first for other in others) and await start() == first
    exists = f"Execution Already Exists: '{first['executionArn']}'"
    await refused(start('{"other": 1}'), "ExecutionAlreadyExists", exists)
    await refused(start("{ }"), "ExecutionAlreadyExists", exists)
    await life.after(59, restart)
    assert await life.status(first["executionArn"]) == "SUCCEEDED"
    await refused(start(), "ExecutionAlreadyExists", exists)
    assert len((await life.engine.list_executions())["executions"]) == 1


async def test_refusals(life: Life) -> None:
    machine = await life.machine({"W": wait(60)})
    unknown = machine + "x"
    await refused(life.engine.start_execution(unknown), "StateMachineDoesNotExist", f"State Machine Does Not Exist: '{unknown}'")
    await refused(life.engine.start_execution(machine, name="a b"), "InvalidName", "Invalid Name: 'a b'")
    with pytest.raises(ApiError) as error:
        await life.engine.start_execution(machine, input="{")
    assert error.value.code == "InvalidExecutionInput"
    arn = machine.replace(":stateMachine:", ":execution:") + ":none"
    for call in (life.engine.describe_execution, life.engine.get_execution_history, life.engine.stop_execution, life.engine.wait):
        await refused(call(arn), "ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


# --- limits ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Life]]]:
    lives: list[Life] = []

    async def make(**limits: Any) -> Life:
        made = Life(tmp_path / f"{len(lives)}.db", Limits(**limits))
        lives.append(made)
        await made.open()
        return made

    yield make
    for each in lives:
        await each.engine.close()


Small = Callable[..., Awaitable[Life]]
NEVER = [{"Variable": "$.never", "IsPresent": True, "Next": "End"}]
SPIN = {
    "Spin": {"Type": "Pass", "Next": "More"},
    "More": {"Type": "Choice", "Choices": NEVER, "Default": "Spin"},
    "End": {"Type": "Succeed"},
}


async def test_payload_limit(small: Small) -> None:
    life = await small(payload_bytes=200)
    arn = await life.start({"T": task("big", Retry=[RETRY])})
    ended = await life.finish(arn)
    text = "The state/task 'T' returned a result with a size exceeding the maximum number of bytes service limit."
    assert (ended["error"], ended["cause"]) == ("States.DataLimitExceeded", text.replace("'T'", f"'{LAMBDA}big'"))
    machine = await life.machine({"P": {"Type": "Pass", "End": True}}, name="p")
    await life.engine.start_execution(machine, input=json.dumps("x" * 198))
    await refused(
        life.engine.start_execution(machine, input=json.dumps("x" * 199)),
        "ValidationException",
        "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to 200",
    )


async def test_history_limit(small: Small) -> None:
    life = await small(history_events=20, unit_transitions=3)
    ended = await life.finish(await life.start(SPIN))
    assert ended["status"] == "FAILED"
    assert len(await life.events(ended["executionArn"])) == 20
    assert ended["cause"] == "The execution reached the maximum number of history events (20)."


async def test_unit_budget(small: Small) -> None:
    """A long run of transitions is cut into units, others have their turn in between, and the history is the same."""
    histories = []
    for budget in (5, 256):
        life = await small(unit_transitions=budget, history_events=1000)
        spinning = await life.start(SPIN)
        assert life.store.units >= 499 // budget
        histories.append(await life.types(spinning))
    assert histories[0] == histories[1] and len(histories[0]) == 1000
    life = await small(unit_transitions=5, batch_units=1)
    spinning = (await life.engine.start_execution(await life.machine(SPIN)))["executionArn"]
    other = await life.engine.start_execution(await life.machine({"P": {"Type": "Pass", "End": True}}, name="p"))
    assert (await life.engine.wait(other["executionArn"], timeout=5))["status"] == "SUCCEEDED"
    assert await life.status(spinning) == "RUNNING"
    await life.engine.stop_execution(spinning)
    assert await life.status(spinning) == "ABORTED"


# --- memory ------------------------------------------------------------------------------------------------------------------


async def test_sleepers_leave_memory(life: Life) -> None:
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
    assert not life.engine.worker.live and not life.engine.worker._alarms


async def test_many_sleepers(life: Life) -> None:
    machine = await life.machine({"W": wait(10 * DAY)})
    started = await asyncio.gather(*(life.engine.start_execution(machine) for _ in range(2000)))
    await life.engine.close()
    began = time.perf_counter()
    await life.open()
    assert time.perf_counter() - began < 1
    assert not life.engine.worker.live
    await life.restart(10 * DAY)
    ended = await asyncio.gather(*(life.engine.wait(each["executionArn"], timeout=30) for each in started))
    assert {each["status"] for each in ended} == {"SUCCEEDED"}
    assert {each["stopDate"] - each["startDate"] for each in ended} == {10 * DAY}


# --- the disk fails ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_store_fails(life: Life, when: str) -> None:
    await life.engine.create_activity("hands")
    machine = await life.machine({"W": wait(10)})
    kept = (await life.engine.start_execution(machine, name="kept"))["executionArn"]
    working = await life.start({"T": task("hang")}, name="t")
    engine = life.engine

    async def watched() -> None:
        async for _ in engine.watch(kept):
            pass

    pending = [asyncio.ensure_future(each) for each in (engine.wait(kept), watched(), engine.get_activity_task(ACTIVITY))]
    await life.calm()
    life.store.fails = when
    pending += [asyncio.ensure_future(each) for each in (engine.start_execution(machine, name="lost"), engine.stop_execution(working))]
    for answer in await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), 5):
        assert isinstance(answer, StoreError) and "open it again" in str(answer), answer
    for call in (engine.start_execution(machine), engine.wait(kept), engine.stop_execution(kept), engine.get_activity_task(ACTIVITY)):
        with pytest.raises(StoreError):
            await asyncio.wait_for(call, 5)
    await asyncio.sleep(0)
    assert life.calls == ["hang", "cancelled"]
    await life.restart()
    applied = when == "after"
    assert {each["name"] for each in (await life.engine.list_executions(machine))["executions"]} == {"kept", *["lost"] * applied}
    assert await life.status(working) == "RUNNING"  # the stop was to be in the next transaction
    again = await life.engine.start_execution(machine, name="lost")
    await life.after(10)
    assert await life.status(kept) == await life.status(again["executionArn"]) == "SUCCEEDED"


# --- tasks that misbehave ------------------------------------------------------------------------------------------------------


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
    "bytes": (returning({"a": b"b"}), None),
    "key": (returning({1: 2, (3,): 4}), None),
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_task(case: str, tmp_path: Path) -> None:
    """Whatever a handler does, its task fails, the history can be read, and others are not disturbed."""
    handler, error = ODD[case]
    definition = {"StartAt": "T", "States": {"T": task("x")}}
    quiet = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    async with Engine(tmp_path / "stepwell.db", tasks=Direct(handler)) as engine:
        machine = await engine.create_state_machine("m", json.dumps(definition))
        arn = (await engine.start_execution(machine["stateMachineArn"]))["executionArn"]
        ended = await engine.wait(arn, timeout=5)
        assert ended["status"] == "FAILED" and (error is None or ended["error"] == error), ended
        assert json.dumps(ended, ensure_ascii=False).encode()
        last = (await engine.get_execution_history(arn))["events"][-2:]
        assert [event["type"] for event in last] == ["LambdaFunctionFailed", "ExecutionFailed"], last
        other = await engine.create_state_machine("p", json.dumps(quiet))
        arn = (await engine.start_execution(other["stateMachineArn"]))["executionArn"]
        assert (await engine.wait(arn, timeout=5))["status"] == "SUCCEEDED"


# --- tokens ----------------------------------------------------------------------------------------------------------------------


async def test_callback(life: Life, restart: bool) -> None:
    arns = [await life.start({"A": ASK}) for _ in range(2)]
    await life.after(DAY, restart)
    good, bad = life.tokens
    assert await life.engine.send_task_success(good, '{"a":1}') == {}
    assert await life.engine.send_task_failure(bad, "No", "not today") == {}
    await life.calm()
    first, second = [await life.engine.describe_execution(arn) for arn in arns]
    assert (first["status"], first["output"]) == ("SUCCEEDED", '{"a":1}')
    assert (second["status"], second["error"], second["cause"]) == ("FAILED", "No", "not today")
    assert "TaskSubmitted" in await life.types(arns[0])
    for late in (life.engine.send_task_success(good, "1"), life.engine.send_task_failure(good), life.engine.send_task_heartbeat(bad)):
        await refused(late, "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")


async def test_callback_heartbeat(life: Life, restart: bool) -> None:
    arn = await life.start({"A": {**ASK, "HeartbeatSeconds": 100, "Retry": [{**RETRY, "MaxAttempts": 1}]}})
    for _ in range(3):
        await life.after(99, restart)
        await life.engine.send_task_heartbeat(life.tokens[0])
    await life.after(100, restart)
    assert (await life.types(arn))[-1] == "TaskTimedOut"
    await life.after(2, restart)
    old, new = life.tokens
    assert old != new
    await refused(life.engine.send_task_success(old, "1"), "TaskTimedOut", messages.TASK_TIMED_OUT)
    await life.engine.send_task_success(new, "2")
    assert (await life.finish(arn))["output"] == "2"


async def test_forged_tokens(life: Life) -> None:
    arn = await life.start({"A": ASK})
    token = life.tokens[0]
    middle = len(token) // 2
    swapped = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    forged = ["", "x", "ü", token[:-4], token + "AAAA", token[::-1], swapped, *(token[:place] + "*" + token[place:] for place in (0, 5))]
    before = await life.events(arn)
    for text in forged:
        with pytest.raises(ApiError) as error:
            await life.engine.send_task_success(text, "1")
        assert error.value.code in ("InvalidToken", "TaskTimedOut"), text
        assert error.value.code == "InvalidToken" or text == swapped, text  # that may name another execution
    with pytest.raises(ApiError) as error:
        await life.engine.send_task_success(token, "{")
    assert error.value.code == "InvalidOutput"
    assert await life.events(arn) == before and await life.status(arn) == "RUNNING"


async def test_each_attempt_has_its_token(life: Life) -> None:
    """A token of a running execution with another frame, attempt or proof in it is refused."""
    await life.start({"A": ASK})
    version, execution, frame, seq, proof = base64.urlsafe_b64decode(life.tokens[0]).decode().split(":")
    others = [(version, execution, frame, "2", proof), (version, execution, "2", seq, proof), (version, execution, frame, seq, "0" * 24)]
    for parts in [*others, ("2", execution, frame, seq, proof), (version, execution, frame, seq)]:
        text = base64.urlsafe_b64encode(":".join(parts).encode()).decode()
        await refused(life.engine.send_task_success(text, "1"), "InvalidToken", "Invalid Token: 'Invalid token'")
    assert await life.engine.send_task_success(life.tokens[0], "1") == {}


# --- activities --------------------------------------------------------------------------------------------------------------------


async def test_activity(life: Life, restart: bool) -> None:
    engine = life.engine
    created = await engine.create_activity("hands")
    assert created == await engine.create_activity("hands") and created["activityArn"] == ACTIVITY
    assert await engine.get_activity_task(ACTIVITY, timeout=0.01) == {}
    arn = await life.start({"A": HAND}, '{"job": 1}')
    await life.after(5, restart)
    given = await life.engine.get_activity_task(ACTIVITY, "worker 1", timeout=1)
    assert given["input"] == '{"job":1}' or given["input"] == '{"job": 1}'
    await life.after(5, restart)
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}, "it was given away before"
    await life.engine.send_task_success(given["taskToken"], '"done"')
    await life.calm()
    assert (await life.engine.describe_execution(arn))["output"] == '"done"'
    started = next(event for event in await life.events(arn) if event["type"] == "ActivityStarted")
    assert started["activityStartedEventDetails"] == {"workerName": "worker 1"}
    assert [each["name"] for each in (await life.engine.list_activities())["activities"]] == ["hands"]


async def test_activity_in_order(life: Life) -> None:
    """Tasks come oldest first, each to one worker, also to those who asked before; who gave up asking takes none away."""
    await life.engine.create_activity("hands")
    asking = [asyncio.ensure_future(life.engine.get_activity_task(ACTIVITY, timeout=5)) for _ in range(4)]
    await life.calm()
    asking.pop(0).cancel()
    for number in range(5):
        await life.start({"A": HAND}, str(number))
    got = [each["input"] for each in await asyncio.gather(*asking)]
    got += [(await life.engine.get_activity_task(ACTIVITY, timeout=1))["input"] for _ in range(2)]
    assert got == ["0", "1", "2", "3", "4"]


async def test_activity_timeout(life: Life, restart: bool) -> None:
    """A task that nobody takes in time fails, and is not given to anybody afterwards."""
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "TimeoutSeconds": 5}})
    await life.after(5, restart)
    assert await life.types(arn) == ["ExecutionStarted", "TaskStateEntered", "ActivityScheduled", "ActivityTimedOut", "ExecutionFailed"]
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}


async def test_activity_deleted(life: Life, restart: bool) -> None:
    await life.engine.create_activity("hands")
    waiting, taken = [await life.start({"A": HAND}) for _ in range(2)]
    taken, waiting = waiting, taken  # the older one is given first
    given = await life.engine.get_activity_task(ACTIVITY, timeout=1)
    await life.after(1, restart)
    await life.engine.delete_activity(ACTIVITY)
    await life.calm()
    ended = await life.engine.describe_execution(waiting)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime") and f"The activity {ACTIVITY} does not exist." in ended["cause"]
    unknown = f"Activity Does Not Exist: '{ACTIVITY}'"
    await refused(life.engine.get_activity_task(ACTIVITY), "ActivityDoesNotExist", unknown)
    await refused(life.engine.describe_activity(ACTIVITY), "ActivityDoesNotExist", unknown)
    await life.engine.send_task_success(given["taskToken"], "1")
    assert (await life.finish(taken))["status"] == "SUCCEEDED"


# --- Express ---------------------------------------------------------------------------------------------------------------------


async def test_express(life: Life) -> None:
    states = {"T": task("ok")}
    arn = await life.start(states, '{"a":1}', type="EXPRESS")
    assert ":express:" in arn
    ended = await life.engine.wait(arn, timeout=5)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", '{"a":1}')
    assert (await life.types(arn))[::5] == ["ExecutionStarted", "ExecutionSucceeded"][:1] + ["TaskStateExited"] or len(await life.types(arn)) > 5
    machine = await life.machine(states, type="EXPRESS")
    twice = [await life.engine.start_execution(machine, name="same") for _ in range(2)]
    assert twice[0]["executionArn"] != twice[1]["executionArn"]
    answer = await life.engine.start_sync_execution(machine, input="[2]")
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", "[2]")
    standard = await life.machine({"P": {"Type": "Pass", "End": True}}, name="standard")
    await refused(life.engine.start_sync_execution(standard), "StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
    assert life.store.units == 0 and not life.engine.worker.live
    await life.restart()
    await refused(life.engine.describe_execution(arn), "ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


async def test_express_ends_after_five_minutes(life: Life) -> None:
    arn = await life.start({"W": wait(301)}, type="EXPRESS")
    await life.after(299)
    assert await life.status(arn) == "RUNNING"
    await life.after(1)
    assert await life.status(arn) == "TIMED_OUT" and not life.engine.worker.live


# --- watching and listing -------------------------------------------------------------------------------------------------------------


async def collect(life: Life, arn: str, after: int = 0) -> list[Shape]:
    return [event async for event in life.engine.watch(arn, after)]


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
async def test_watch(life: Life, type: str) -> None:
    states = {"W": {"Type": "Wait", "Seconds": 5, "Next": "T"}, "T": task("fail", Retry=[RETRY])}
    arn = await life.start(states, type=type)
    watching = [asyncio.ensure_future(collect(life, arn, after)) for after in (0, 0, 3)]
    await life.finish(arn)
    whole, other, rest = await asyncio.wait_for(asyncio.gather(*watching), 5)
    assert whole == other == await life.events(arn) == await collect(life, arn) and rest == whole[3:]
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1)) and len(whole) > 10
    assert not life.engine._signals and not life.engine._waiters


async def test_watch_long_history(small: Small) -> None:
    """Page by page, while it is written."""
    life = await small(history_page=7, unit_transitions=9, history_events=600)
    arn = (await life.engine.start_execution(await life.machine(SPIN)))["executionArn"]
    assert [event["id"] for event in await asyncio.wait_for(collect(life, arn), 20)] == list(range(1, 601))


async def test_wait_gives_up(life: Life) -> None:
    arn = await life.start({"W": wait(5)})
    with pytest.raises(TimeoutError):
        await life.engine.wait(arn, timeout=0.01)
    await life.after(5)
    assert (await life.engine.wait(arn, timeout=1))["status"] == "SUCCEEDED"


async def pages(call: Callable[..., Awaitable[Shape]], member: str, **fields: Any) -> list[list[Shape]]:
    found: list[list[Shape]] = []
    given: str | None = None
    while not found or given:
        answer = await call(max_results=4, next_token=given, **fields)
        found.append(answer[member])
        given = answer.get("nextToken")
        assert len(found) < 50
    return found


async def test_pages(life: Life) -> None:
    machine = await life.machine({"W": wait(60)})
    other = await life.machine({"P": {"Type": "Pass", "End": True}}, name="other")
    arns = []
    for number in range(10):
        arns.append((await life.engine.start_execution(machine, name=f"n{number}"))["executionArn"])
        await life.engine.start_execution(other)
        life.clock.advance(number % 2 * 1000)  # some of them start in the same millisecond
    await life.calm()
    await life.engine.stop_execution(arns[3])

    async def listed(**fields: Any) -> list[str]:
        found = await pages(life.engine.list_executions, "executions", **fields)
        assert all(len(page) <= 4 for page in found)
        return [item["executionArn"] for page in found for item in page]

    assert await listed(machine_arn=machine) == arns[::-1]
    assert await listed(machine_arn=machine, status="ABORTED") == [arns[3]]
    assert await listed(machine_arn=machine, status="RUNNING") == [arn for arn in arns[::-1] if arn != arns[3]]
    assert len(set(await listed())) == 20 and await listed(machine_arn=machine, status="FAILED") == []
    arn = await life.start({"T": task("fail", Retry=[RETRY])}, name="retries")
    await life.finish(arn)
    events = await life.events(arn)
    for reverse in (False, True):
        found = await pages(life.engine.get_execution_history, "events", arn=arn, reverse=reverse)
        assert [event for page in found for event in page] == (events[::-1] if reverse else events)
        assert [len(page) for page in found[:-1]] == [4] * (len(found) - 1)
    for call in (life.engine.list_executions(next_token="x"), life.engine.get_execution_history(arn, next_token="x")):
        with pytest.raises(ApiError) as error:
            await call
        assert error.value.code == "InvalidToken"
