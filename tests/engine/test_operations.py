"""The operations: starting, task tokens, activities, Express executions, watching, listing,
closing; much of it across a restart.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.engine_fixture import (
    ACTIVITY,
    ASK,
    DAY,
    HAND,
    RETRY,
    SPIN,
    EngineFixture,
    Shape,
    Small,
    refused,
    task,
    wait,
)

from stepwell.engine import Engine, messages
from stepwell.engine.errors import ApiError, StoreError

# --- starting -------------------------------------------------------------------------------------


async def test_start_is_idempotent(life: EngineFixture, restart: bool) -> None:
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
    assert len((await life.engine.list_all_executions())["executions"]) == 1


async def test_refusals(life: EngineFixture) -> None:
    machine = await life.machine({"W": wait(60)})
    unknown = machine + "x"
    await refused(
        life.engine.start_execution(unknown),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{unknown}'",
    )
    await refused(
        life.engine.start_execution(machine, name="a b"), "InvalidName", "Invalid Name: 'a b'"
    )
    with pytest.raises(ApiError) as error:
        await life.engine.start_execution(machine, input="{")
    assert error.value.code == "InvalidExecutionInput"
    arn = machine.replace(":stateMachine:", ":execution:") + ":none"
    for call in (
        life.engine.describe_execution,
        life.engine.get_execution_history,
        life.engine.stop_execution,
        life.engine.wait,
    ):
        await refused(call(arn), "ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


# --- tokens ---------------------------------------------------------------------------------------


async def test_callback(life: EngineFixture, restart: bool) -> None:
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
    for late in (
        life.engine.send_task_success(good, "1"),
        life.engine.send_task_failure(good),
        life.engine.send_task_heartbeat(bad),
    ):
        await refused(
            late, "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"
        )


async def test_callback_heartbeat(life: EngineFixture, restart: bool) -> None:
    arn = await life.start(
        {"A": {**ASK, "HeartbeatSeconds": 100, "Retry": [{**RETRY, "MaxAttempts": 1}]}}
    )
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


async def test_forged_tokens(life: EngineFixture) -> None:
    arn = await life.start({"A": ASK})
    token = life.tokens[0]
    middle = len(token) // 2
    swapped = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    forged = [
        "",
        "x",
        "ü",
        token[:-4],
        token + "AAAA",
        token[::-1],
        swapped,
        *(token[:place] + "*" + token[place:] for place in (0, 5)),
    ]
    before = await life.events(arn)
    for text in forged:
        with pytest.raises(ApiError) as error:
            await life.engine.send_task_success(text, "1")
        assert error.value.code in ("InvalidToken", "TaskTimedOut"), text
        assert error.value.code == "InvalidToken" or text == swapped, (
            text
        )  # that may name another execution
    with pytest.raises(ApiError) as error:
        await life.engine.send_task_success(token, "{")
    assert error.value.code == "InvalidOutput"
    assert await life.events(arn) == before and await life.status(arn) == "RUNNING"


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(
        *[
            st.integers()
            | st.sampled_from(
                [
                    "",
                    " 1",
                    "+1",
                    "1_0",
                    "٣",
                    "1e3",
                    2**63 - 1,
                    2**64,
                    2**46 - 1,
                    2**46,
                    10**14,
                    10**4000,
                    -1,
                    0,
                ]
            )
        ]
        * 3
    ),
    st.text(max_size=30),
)
async def test_no_number_in_a_token_is_a_fault(numbers: tuple[object, ...], proof: str) -> None:
    async with Engine() as engine:
        for last in (proof, "0" * 24):
            forged = base64.urlsafe_b64encode(
                ":".join(map(str, ("1", *numbers, last))).encode("utf-8", "replace")
            ).decode()
            with pytest.raises(ApiError) as error:
                await engine.send_task_success(forged, "1")
            assert error.value.code in ("InvalidToken", "TaskDoesNotExist")


async def test_each_attempt_has_its_token(life: EngineFixture) -> None:
    """A token of a running execution with another frame, attempt or proof in it is refused."""
    await life.start({"A": ASK})
    version, execution, frame, seq, proof = (
        base64.urlsafe_b64decode(life.tokens[0]).decode().split(":")
    )
    others = [
        (version, execution, frame, "2", proof),
        (version, execution, "2", seq, proof),
        (version, execution, frame, seq, "0" * 24),
    ]
    for parts in [*others, ("2", execution, frame, seq, proof), (version, execution, frame, seq)]:
        text = base64.urlsafe_b64encode(":".join(parts).encode()).decode()
        await refused(
            life.engine.send_task_success(text, "1"),
            "InvalidToken",
            "Invalid Token: 'Invalid token'",
        )
    assert await life.engine.send_task_success(life.tokens[0], "1") == {}


async def test_half_surrogates(life: EngineFixture) -> None:
    """Characters that UTF-8 cannot encode are replaced before the text is used, so a catcher gets
    the text that is stored.
    """
    caught = {"ErrorEquals": ["States.ALL"], "Next": "C"}
    first = await life.start({"A": {**ASK, "Catch": [caught]}, "C": {"Type": "Pass", "End": True}})
    second = await life.start({"W": wait(60)}, name="w")
    await life.engine.send_task_failure(life.tokens[0], "E", "a\ud800b")
    await life.engine.stop_execution(second, error="E", cause="a\ud800b")
    await life.calm()
    answers = [await life.engine.describe_execution(arn) for arn in (first, second)]
    assert (
        json.loads(answers[0]["output"]) == {"Error": "E", "Cause": "a\ufffdb"}
        and answers[1]["cause"] == "a\ufffdb"
    )
    await life.restart()
    assert answers == [await life.engine.describe_execution(arn) for arn in (first, second)]


async def test_the_token_is_checked_before_the_output(life: EngineFixture) -> None:
    await life.start({"A": ASK})
    (token,) = life.tokens
    for bad in ("{", "", "x" * (life.limits.payload_bytes + 1)):
        with pytest.raises(ApiError) as error:
            await life.engine.send_task_success("x" + token, bad)
        assert error.value.code == "InvalidToken"
        with pytest.raises(ApiError) as error:
            await life.engine.send_task_success(token, bad)
        assert error.value.code == "InvalidOutput"
    await life.engine.send_task_success(token, "1")
    with pytest.raises(ApiError) as error:
        await life.engine.send_task_success(token, "{")
    assert error.value.code == "TaskTimedOut"


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
async def test_no_input_is_not_the_same_as_an_empty_one(life: EngineFixture, text: str) -> None:
    machine = (
        await life.engine.create_state_machine(
            "m", '{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}'
        )
    )["stateMachineArn"]
    said = "Invalid State Machine Execution Input: 'Invalid execution input.'"
    await refused(life.engine.start_execution(machine, input=text), "InvalidExecutionInput", said)


async def test_what_a_worker_sends_is_kept_as_it_is(life: EngineFixture, restart: bool) -> None:
    """The text of an output, up to the limit in bytes; error and cause up to theirs in
    characters.
    """
    arn, other = [await life.start({"A": ASK}) for _ in range(2)]
    first, second = life.tokens
    limit = life.limits.payload_bytes
    text = '{ "b" : 1.0,\t"\u00fc":[ ] }'
    for bad, said in (
        ("{", None),
        ("\ud800", None),
        (json.dumps("\u00fc" * (limit // 6)) + " " * limit, "Output has more than 262144 bytes"),
    ):
        with pytest.raises(ApiError) as error:
            await life.engine.send_task_success(first, bad)
        assert error.value.code == "InvalidOutput" and (said is None or said in error.value.message)
    for options, member, most in (
        ({"error": "e" * 257}, "error", 256),
        ({"cause": "c" * 32_769}, "cause", 32_768),
    ):
        too_long = messages.MEMBER_TOO_LONG.format(member=member, limit=most)
        await refused(
            life.engine.send_task_failure(second, **options), "ValidationException", too_long
        )
        await refused(life.engine.stop_execution(other, **options), "ValidationException", too_long)
    await life.engine.send_task_success(first, text)
    await life.engine.send_task_failure(second, "e" * 256, "c" * 32_768)
    await life.calm()
    if restart:
        await life.restart()
    assert (await life.engine.describe_execution(arn))["output"] == text
    details = [event.get("taskSucceededEventDetails") for event in await life.events(arn)]
    assert text in [each["output"] for each in details if each]
    assert (await life.engine.describe_execution(other))["cause"] == "c" * 32_768


async def test_tokens_of_what_is_no_more(life: EngineFixture) -> None:
    """Of a closed execution: timed out; of one that the store does not know: no such task; not one
    of its tokens: invalid.
    """
    arn = await life.start({"A": ASK})
    await life.engine.stop_execution(arn)
    token = life.tokens[0]
    content = base64.urlsafe_b64decode(token).decode()
    version, _, *rest = content.split(":")
    unknown = base64.urlsafe_b64encode(":".join((version, "99", *rest)).encode()).decode()
    forged = base64.urlsafe_b64encode(
        (content[:-1] + ("0" if content[-1] != "0" else "1")).encode()
    ).decode()
    for report in (life.engine.send_task_heartbeat, life.engine.send_task_failure):
        await refused(report(token), "TaskTimedOut", messages.TASK_TIMED_OUT)
        await refused(report(unknown), "TaskDoesNotExist", messages.TASK_UNKNOWN)
        await refused(report(forged), "InvalidToken", "Invalid Token: 'Invalid token'")


# --- activities -----------------------------------------------------------------------------------


async def test_activity(life: EngineFixture, restart: bool) -> None:
    engine = life.engine
    created = await engine.create_activity("hands")
    assert created == await engine.create_activity("hands") and created["activityArn"] == ACTIVITY
    assert await engine.get_activity_task(ACTIVITY, timeout=0.01) == {}
    arn = await life.start({"A": HAND}, '{"job": 1}')
    await life.after(5, restart)
    given = await life.engine.get_activity_task(ACTIVITY, "worker 1", timeout=60)
    assert given["input"] == '{"job":1}' or given["input"] == '{"job": 1}'
    await life.after(5, restart)
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}, (
        "another worker has it"
    )
    await life.engine.send_task_success(given["taskToken"], '"done"')
    await life.calm()
    assert (await life.engine.describe_execution(arn))["output"] == '"done"'
    started = next(event for event in await life.events(arn) if event["type"] == "ActivityStarted")
    assert started["activityStartedEventDetails"] == {"workerName": "worker 1"}
    assert [each["name"] for each in (await life.engine.list_activities())["activities"]] == [
        "hands"
    ]


async def test_activity_in_order(life: EngineFixture) -> None:
    """Tasks come oldest first, each to one worker, also to those who asked before; who gave up
    asking takes none away.
    """
    await life.engine.create_activity("hands")
    asking = [
        asyncio.ensure_future(life.engine.get_activity_task(ACTIVITY, timeout=60)) for _ in range(4)
    ]
    await life.calm()
    asking.pop(0).cancel()
    for number in range(5):
        await life.start({"A": HAND}, str(number))
    got = [each["input"] for each in await asyncio.gather(*asking)]
    got += [(await life.engine.get_activity_task(ACTIVITY, timeout=60))["input"] for _ in range(2)]
    assert got == ["0", "1", "2", "3", "4"]


async def test_activity_timeout(life: EngineFixture, restart: bool) -> None:
    """A task that no worker takes in time fails, and no worker gets it afterwards."""
    await life.engine.create_activity("hands")
    arn = await life.start({"A": {**HAND, "TimeoutSeconds": 5}})
    await life.after(5, restart)
    assert await life.types(arn) == [
        "ExecutionStarted",
        "TaskStateEntered",
        "ActivityScheduled",
        "ActivityTimedOut",
        "ExecutionFailed",
    ]
    assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}


async def test_activity_deleted(life: EngineFixture, restart: bool) -> None:
    await life.engine.create_activity("hands")
    waiting, taken = [await life.start({"A": HAND}) for _ in range(2)]
    taken, waiting = waiting, taken  # the older one is taken first
    given = await life.engine.get_activity_task(ACTIVITY, timeout=60)
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


# --- watching and listing -------------------------------------------------------------------------


async def collect(life: EngineFixture, arn: str, after: int = 0) -> list[Shape]:
    return [event async for event in life.engine.watch(arn, after)]


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
async def test_watch(life: EngineFixture, type: str) -> None:
    states = {"W": {"Type": "Wait", "Seconds": 5, "Next": "T"}, "T": task("fail", Retry=[RETRY])}
    arn = await life.start(states, type=type)
    watching = [asyncio.ensure_future(collect(life, arn, after)) for after in (0, 0, 3)]
    await life.finish(arn)
    whole, other, rest = await asyncio.wait_for(asyncio.gather(*watching), 60)
    assert whole == other == await collect(life, arn) and rest == whole[3:]
    assert type == "EXPRESS" or whole == await life.events(arn)
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1)) and len(whole) > 10
    assert not life.engine.tracker.signals and not life.engine.tracker.waiters


async def test_watch_long_history(small: Small) -> None:
    """Page by page, while it is written."""
    life = await small(history_page=7, unit_transitions=9, history_events=600)
    arn = (await life.engine.start_execution(await life.machine(SPIN)))["executionArn"]
    assert [event["id"] for event in await asyncio.wait_for(collect(life, arn), 60)] == list(
        range(1, 601)
    )


async def test_wait_gives_up(life: EngineFixture) -> None:
    arn = await life.start({"W": wait(5)})
    with pytest.raises(TimeoutError):
        await life.engine.wait(arn, timeout=0.01)
    await life.after(5)
    assert (await life.engine.wait(arn, timeout=60))["status"] == "SUCCEEDED"


async def test_callers_that_leave_are_forgotten(life: EngineFixture) -> None:
    """Nothing is kept for watchers and callers that left, however long the execution waits; others
    are notified.
    """
    arn = await life.start({"W": wait(5)})
    express = await life.machine({"W": wait(5)}, "express", type="EXPRESS")
    stays = asyncio.ensure_future(life.engine.wait(arn))
    leave = [
        asyncio.ensure_future(call)
        for _ in range(3)
        for call in (collect(life, arn), life.engine.wait(arn))
    ]
    leave += [asyncio.ensure_future(life.engine.start_sync_execution(express)) for _ in range(3)]
    async for event in life.engine.watch(arn):
        assert event["id"] == 1
        break
    await life.calm()
    assert len(life.engine.tracker.signals) == 1 and len(life.engine.tracker.waiters) == 4
    for each in leave:
        each.cancel()
    await asyncio.gather(*leave, return_exceptions=True)
    assert not life.engine.tracker.signals and len(life.engine.tracker.waiters) == 1
    await life.after(5)
    assert (await asyncio.wait_for(stays, 60))["status"] == "SUCCEEDED"
    assert not life.engine.tracker.signals and not life.engine.tracker.waiters


async def pages(
    call: Callable[..., Awaitable[Shape]], member: str, **fields: Any
) -> list[list[Shape]]:
    read: list[list[Shape]] = []
    token: str | None = None
    while not read or token:
        answer = await call(max_results=4, next_token=token, **fields)
        read.append(answer[member])
        token = answer.get("nextToken")
        assert len(read) < 50
    return read


async def test_activities_are_created_once(small: Small, restart: bool) -> None:
    life = await small(activities=2)
    key = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
    made = await life.engine.create_activity("hands", tags=[{"key": "a", "value": "1"}])
    coded = await life.engine.create_activity("coded", encryption_configuration=key)
    life.clock.advance(1000)
    if restart:
        await life.restart()
    create = life.engine.create_activity
    assert (
        await create(
            "hands",
            tags=[{"key": "b", "value": "2"}],
            encryption_configuration={"type": "AWS_OWNED_KEY"},
        )
        == made
    )
    assert (await life.engine.list_tags_for_resource(ACTIVITY))["tags"] == [
        {"key": "a", "value": "1"}
    ]
    await refused(
        create("hands", encryption_configuration=key),
        "ActivityAlreadyExists",
        f"Activity Already Exists: '{ACTIVITY}'",
    )
    await refused(
        create("coded"),
        "ActivityAlreadyExists",
        f"Activity Already Exists: '{coded['activityArn']}'",
    )
    await refused(create("third"), "ActivityLimitExceeded", messages.ACTIVITY_LIMIT.format(limit=2))
    described = await life.engine.describe_activity(coded["activityArn"])
    assert described["encryptionConfiguration"] == key | {"kmsDataKeyReusePeriodSeconds": 300}
    assert (await life.engine.describe_activity(ACTIVITY))["encryptionConfiguration"] == {
        "type": "AWS_OWNED_KEY"
    }


async def test_lists_of_executions_that_are_refused(life: EngineFixture) -> None:
    machine = await life.machine({"W": wait(60)})
    express = await life.machine({"P": {"Type": "Pass", "End": True}}, name="e", type="EXPRESS")
    run = machine.replace(":stateMachine:", ":mapRun:") + "/label:none"
    both = messages.ONE_OF_MACHINE_AND_MAP_RUN
    listed = life.engine.list_executions
    await refused(listed(), "ValidationException", both)
    await refused(listed(machine, map_run_arn=run), "ValidationException", both)
    await refused(listed(express), "StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
    await refused(
        listed(f"{machine}x"),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{machine}x'",
    )
    await refused(listed("x"), "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'")
    for options, name in (
        ({"status_filter": "PENDING_REDRIVE"}, "PENDING_REDRIVE"),
        ({"redrive_filter": "REDRIVEN"}, "redriveFilter"),
    ):
        await refused(
            listed(machine, **options),
            "ValidationException",
            messages.FILTER_OF_MAP_RUN.format(filter=name),
        )
    for _ in range(3):
        await life.engine.start_execution(machine)
    token = (await listed(machine, max_results=1))["nextToken"]
    for call in (
        listed(machine, status_filter="RUNNING", next_token=token),
        life.engine.list_all_executions(next_token=token),
    ):
        await refused(call, "InvalidToken", "Invalid Token: 'Invalid token'")
    assert "nextToken" not in await listed(machine, max_results=2, next_token=token), (
        "the page is full, and nothing comes after it"
    )


async def test_validation_shows_what_is_asked_for(life: EngineFixture) -> None:
    state = {"Type": "Pass", "Parameters": {"a": "$.b"}, "Next": "gone"}
    definition = json.dumps({"StartAt": "P", "States": {"P": state, "Q": {**state, "Next": "Q"}}})

    async def codes(**options: Any) -> tuple[str, list[str], bool]:
        found = await life.engine.validate_state_machine_definition(definition, **options)
        return (
            found["result"],
            [each["severity"] for each in found["diagnostics"]],
            found["truncated"],
        )

    result, errors, truncated = await codes()
    assert (result, set(errors), truncated) == ("FAIL", {"ERROR"}, False) and len(errors) > 1
    result, every, truncated = await codes(severity="WARNING")
    assert every.count("ERROR") == len(errors) and set(every) == {"ERROR", "WARNING"}
    assert await codes(max_results=1) == (
        "FAIL",
        every[:1] if every[0] == "ERROR" else ["ERROR"],
        True,
    )
    assert await codes(max_results=0) == await codes() == await codes(max_results=100)
    definition = json.dumps(
        {"StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": {"a": "$.b"}, "End": True}}}
    )
    assert await codes() == ("OK", [], False) and (await codes(severity="WARNING"))[:2] == (
        "OK",
        ["WARNING"],
    )


async def test_pages(life: EngineFixture) -> None:
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
        method = (
            life.engine.list_executions
            if "state_machine_arn" in fields
            else life.engine.list_all_executions
        )
        found = await pages(method, "executions", **fields)
        assert all(len(page) <= 4 for page in found)
        return [item["executionArn"] for page in found for item in page]

    assert await listed(state_machine_arn=machine) == arns[::-1]
    assert await listed(state_machine_arn=machine, status_filter="ABORTED") == [arns[3]]
    assert await listed(state_machine_arn=machine, status_filter="RUNNING") == [
        arn for arn in arns[::-1] if arn != arns[3]
    ]
    assert (
        len(set(await listed())) == 20
        and await listed(state_machine_arn=machine, status_filter="FAILED") == []
    )
    arn = await life.start({"T": task("fail", Retry=[RETRY])}, name="retries")
    await life.finish(arn)
    events = await life.events(arn)
    for reverse in (False, True):
        found = await pages(
            life.engine.get_execution_history, "events", execution_arn=arn, reverse_order=reverse
        )
        assert [event for page in found for event in page] == (events[::-1] if reverse else events)
        assert [len(page) for page in found[:-1]] == [4] * (len(found) - 1)
    for call in (
        life.engine.list_all_executions(next_token="x"),
        life.engine.get_execution_history(arn, next_token="x"),
    ):
        with pytest.raises(ApiError) as error:
            await call
        assert error.value.code == "InvalidToken"


# --- closing --------------------------------------------------------------------------------------


async def test_close(life: EngineFixture) -> None:
    """Waiters get an error; acknowledged work is there afterwards; a task in flight is sent again,
    with its token.
    """
    await life.engine.create_activity("hands")
    engine, arn = life.engine, await life.start({"T": task("hang")})
    machine = await life.machine({"P": {"Type": "Pass", "End": True}}, name="p")
    pending = [
        asyncio.ensure_future(each)
        for each in (engine.wait(arn), collect(life, arn), engine.get_activity_task(ACTIVITY))
    ]
    starts = [
        asyncio.ensure_future(engine.start_execution(machine, name=f"n{number}"))
        for number in range(50)
    ]
    await asyncio.sleep(0.003)
    await engine.close()
    for answer in await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), 60):
        assert isinstance(answer, StoreError), answer
    answers = await asyncio.wait_for(asyncio.gather(*starts, return_exceptions=True), 60)
    assert all(isinstance(answer, dict | StoreError) for answer in answers), answers
    with pytest.raises(StoreError, match="the engine is closed"):
        await engine.start_execution(machine)
    await life.open()
    assert life.calls == ["hang", "cancelled", "hang"]
    for answer in answers:
        if isinstance(answer, dict):
            assert (await life.finish(answer["executionArn"]))["status"] == "SUCCEEDED"


async def test_cancelled_callers(life: EngineFixture) -> None:
    """A caller is cancelled: its start still happens once, and others may repeat it."""
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
    assert [each["status"] for each in (await life.engine.list_all_executions())["executions"]] == [
        "SUCCEEDED"
    ] * 12
    assert not life.engine.tracker.open and not life.engine.tracker.waiters
