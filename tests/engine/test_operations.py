"""The operations: starting, task tokens, activities, Express executions, watching, listing, closing; much of it across a restart."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.engine.life import ACTIVITY, ASK, DAY, HAND, RETRY, SPIN, Life, Shape, Small, refused, task, wait

from stepwell.asl import messages
from stepwell.engine.errors import ApiError, StoreError

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


async def test_half_surrogates(life: Life) -> None:
    """What no UTF-8 text can hold is replaced before anybody sees it, so a catcher gets what is stored."""
    caught = {"ErrorEquals": ["States.ALL"], "Next": "C"}
    first = await life.start({"A": {**ASK, "Catch": [caught]}, "C": {"Type": "Pass", "End": True}})
    second = await life.start({"W": wait(60)}, name="w")
    await life.engine.send_task_failure(life.tokens[0], "E", "a\ud800b")
    await life.engine.stop_execution(second, error="E", cause="a\ud800b")
    await life.calm()
    answers = [await life.engine.describe_execution(arn) for arn in (first, second)]
    assert json.loads(answers[0]["output"]) == {"Error": "E", "Cause": "a\ufffdb"} and answers[1]["cause"] == "a\ufffdb"
    await life.restart()
    assert answers == [await life.engine.describe_execution(arn) for arn in (first, second)]


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
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert f"The activity {ACTIVITY} does not exist." in ended["cause"]
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
    family = [f"LambdaFunction{step}" for step in ("Scheduled", "Started", "Succeeded")]
    assert await life.types(arn) == ["ExecutionStarted", "TaskStateEntered", *family, "TaskStateExited", "ExecutionSucceeded"]
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


# --- closing ---------------------------------------------------------------------------------------------------------------------------


async def test_close(life: Life) -> None:
    """Who waits is told; what was acknowledged is there afterwards; a task in flight is sent again, with its token."""
    await life.engine.create_activity("hands")
    engine, arn = life.engine, await life.start({"T": task("hang")})
    machine = await life.machine({"P": {"Type": "Pass", "End": True}}, name="p")
    pending = [asyncio.ensure_future(each) for each in (engine.wait(arn), collect(life, arn), engine.get_activity_task(ACTIVITY))]
    starts = [asyncio.ensure_future(engine.start_execution(machine, name=f"n{number}")) for number in range(50)]
    await asyncio.sleep(0.003)
    await engine.close()
    for answer in await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), 5):
        assert isinstance(answer, StoreError), answer
    answers = await asyncio.wait_for(asyncio.gather(*starts, return_exceptions=True), 5)
    assert all(isinstance(answer, dict | StoreError) for answer in answers), answers
    with pytest.raises(StoreError, match="the engine is closed"):
        await engine.start_execution(machine)
    await life.open()
    assert life.calls == ["hang", "cancelled", "hang"]
    for answer in answers:
        if isinstance(answer, dict):
            assert (await life.finish(answer["executionArn"]))["status"] == "SUCCEEDED"


async def test_cancelled_callers(life: Life) -> None:
    """A caller who goes away takes nothing with him: the start he asked for happens once, and others may ask for it."""
    machine = await life.machine({"W": wait(60)})
    for steps in range(12):
        asked = asyncio.ensure_future(life.engine.start_execution(machine, name=f"n{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked.cancel()
        arn = (await life.engine.start_execution(machine, name=f"n{steps}"))["executionArn"]
        waiting = asyncio.ensure_future(life.engine.wait(arn))
        await asyncio.sleep(0)
        waiting.cancel()
    await life.restart(60)
    assert [each["status"] for each in (await life.engine.list_executions())["executions"]] == ["SUCCEEDED"] * 12
    assert not life.engine._names and not life.engine._waiters
