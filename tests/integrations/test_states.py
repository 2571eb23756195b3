"""Nested executions, on a real engine: results, causes, refusals, and what happens to the child
when the parent's attempt is over.
"""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl.resources import parse_resource
from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.tasks import TaskError, TaskRequest, Tasks
from stepwell.integrations.requests import request_id
from stepwell.integrations.tasks.registry import Registry

START = "arn:aws:states:::states:startExecution"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:"
ECHO = {"Type": "Pass", "End": True}
WAIT = {"Type": "Wait", "Seconds": 60, "End": True}
FAIL = {
    "Type": "Fail",
    "Error": "SomeFailure",
    "Cause": "This state machines raises a 'SomeFailure' failure.",
}


def machine(*states: dict[str, Any], **rest: Any) -> str:
    return json.dumps(
        {
            "StartAt": "S0",
            "States": {f"S{number}": state for number, state in enumerate(states)},
            **rest,
        }
    )


def start(pattern: str = "", **parameters: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": START + pattern,
        "Parameters": {"StateMachineArn": MACHINE + "child", **parameters},
        "End": True,
    }


class Bench:
    """An engine with a machine called "child"."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def child(self, definition: str, type: str = "STANDARD") -> None:
        await self.engine.create_state_machine("child", definition, type=type)

    async def parent(self, *states: dict[str, Any], input: Any = None, **rest: Any) -> str:
        made = await self.engine.create_state_machine("parent", machine(*states, **rest))
        started = await self.engine.start_execution(
            made["stateMachineArn"], input=json.dumps(input or {})
        )
        return str(started["executionArn"])

    async def run(self, *states: dict[str, Any], input: Any = None, **rest: Any) -> dict[str, Any]:
        return await self.engine.wait(await self.parent(*states, input=input, **rest), timeout=60)

    async def events(self, arn: str) -> list[dict[str, Any]]:
        return list((await self.engine.get_execution_history(arn, max_results=1000))["events"])

    async def children(self) -> list[dict[str, Any]]:
        return list((await self.engine.list_executions(MACHINE + "child"))["executions"])

    async def only_child(self, status: str) -> dict[str, Any]:
        """The one child there is, as soon as it has that status."""
        arn = await self.some_child(status)
        assert len(await self.children()) == 1
        return await self.engine.describe_execution(arn)

    async def some_child(self, status: str) -> str:
        async with asyncio.timeout(60):
            while True:
                found = [each for each in await self.children() if each["status"] == status]
                if found:
                    return str(found[0]["executionArn"])
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Engine(tasks=Registry()) as engine:
        yield Bench(engine)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


# --- results --------------------------------------------------------------------------------------


async def test_request_response(bench: Bench) -> None:
    await bench.child(machine(WAIT))
    ended = await bench.run(start(Name="named", Input={"a": 1}))
    child = await bench.only_child("RUNNING")
    output = json.loads(ended["output"])
    metadata = output.pop("SdkHttpMetadata")
    identity = output.pop("SdkResponseMetadata")["RequestId"]
    assert output == {
        "ExecutionArn": EXECUTION + "child:named",
        "StartDate": milliseconds(child["startDate"]),
    }
    assert child["input"] == '{"a":1}'
    assert metadata["HttpStatusCode"] == 200
    assert list(metadata["AllHttpHeaders"]) == [
        "x-amzn-RequestId",
        "connection",
        "Content-Length",
        "Date",
        "Content-Type",
    ]
    assert list(metadata["HttpHeaders"]) == [
        "connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "x-amzn-RequestId",
    ]
    assert metadata["AllHttpHeaders"]["x-amzn-RequestId"] == [identity]
    assert metadata["HttpHeaders"]["Content-Type"] == "application/x-amz-json-1.0"
    assert list(json.loads(ended["output"])) == [
        "ExecutionArn",
        "SdkHttpMetadata",
        "SdkResponseMetadata",
        "StartDate",
    ]


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
async def test_sync(bench: Bench, pattern: str) -> None:
    await bench.child(machine(ECHO))
    ended = await bench.run(start(pattern, **{"Name": "named", "Input": {"ö": [1, 2**60]}}))
    child = await bench.only_child("SUCCEEDED")
    output = json.loads(ended["output"])
    assert output == {
        "ExecutionArn": EXECUTION + "child:named",
        "Input": '{"ö":[1,1152921504606846976]}',
        "InputDetails": {"Included": True},
        "Name": "named",
        "Output": '{"ö":[1,1152921504606846976]}' if pattern == ".sync" else {"ö": [1, 2**60]},
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        "StartDate": milliseconds(child["startDate"]),
        "StateMachineArn": MACHINE + "child",
        "Status": "SUCCEEDED",
        "StopDate": milliseconds(child["stopDate"]),
    }
    assert list(output) == sorted(output)


async def test_sync_tells_when_it_is_submitted(bench: Bench) -> None:
    await bench.child(machine(ECHO))
    arn = await bench.parent(start(".sync", Name="named"))
    await bench.engine.wait(arn)
    events = await bench.events(arn)
    assert [event["type"] for event in events] == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted",
        "TaskSucceeded", "TaskStateExited",
        "ExecutionSucceeded",
    ]  # fmt: skip
    details = events[4]["taskSubmittedEventDetails"]
    assert (details["resource"], details["resourceType"]) == ("startExecution.sync", "states")
    submitted = json.loads(details["output"])
    assert list(submitted) == [
        "ExecutionArn",
        "SdkHttpMetadata",
        "SdkResponseMetadata",
        "StartDate",
    ]
    assert submitted["ExecutionArn"] == EXECUTION + "child:named"


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ({}, "{}"),
        ({"Input": None}, "{}"),
        ({"Input": '{"as":  "it is"}'}, '{"as":  "it is"}'),
        ({"Input": [1, "ö"]}, '[1,"ö"]'),
        ({"Input": 0}, "0"),
        ({"Input": False}, "false"),
    ],
)
async def test_input(bench: Bench, given: dict[str, Any], received: str) -> None:
    await bench.child(machine(ECHO))
    ended = await bench.run(start(".sync", **given))
    assert json.loads(ended["output"])["Input"] == received


async def test_without_a_name_the_token_gives_one(bench: Bench) -> None:
    await bench.child(machine(ECHO))
    await bench.run(start(".sync", **{"Input": {"token.$": "$$.Task.Token"}}))
    child = await bench.only_child("SUCCEEDED")
    assert child["name"] == request_id(json.loads(child["input"])["token"])


async def test_callback(bench: Bench) -> None:
    await bench.child(machine(ECHO))
    arn = await bench.parent(start(".waitForTaskToken", **{"Input": {"token.$": "$$.Task.Token"}}))
    child = await bench.only_child("SUCCEEDED")
    assert (await bench.engine.describe_execution(arn))["status"] == "RUNNING"
    await bench.engine.send_task_success(json.loads(child["input"])["token"], '"thanks"')
    assert (await bench.engine.wait(arn))["output"] == '"thanks"'
    submitted = next(
        event for event in await bench.events(arn) if event["type"] == "TaskSubmitted"
    )["taskSubmittedEventDetails"]
    assert json.loads(submitted["output"])["ExecutionArn"] == child["executionArn"]


async def test_an_express_child_is_started_and_not_awaited(bench: Bench) -> None:
    await bench.child(machine(ECHO), "EXPRESS")
    ended = await bench.run(start(Name="named"))
    assert json.loads(ended["output"])["ExecutionArn"].startswith(
        "arn:aws:states:us-east-1:123456789012:express:child:named:"
    )


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
async def test_a_failed_child(bench: Bench, pattern: str) -> None:
    await bench.child(machine(FAIL))
    ended = await bench.run(start(pattern, Name="named"))
    child = await bench.only_child("FAILED")
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    cause = {
        "Cause": "This state machines raises a 'SomeFailure' failure.",
        "Error": "SomeFailure",
        "ExecutionArn": EXECUTION + "child:named",
        "Input": "{}",
        "InputDetails": {"Included": True},
        "Name": "named",
        "StartDate": milliseconds(child["startDate"]),
        "StateMachineArn": MACHINE + "child",
        "Status": "FAILED",
        "StopDate": milliseconds(child["stopDate"]),
    }
    assert ended["cause"] == json.dumps(cause, separators=(",", ":"))


async def test_a_child_that_timed_out_or_was_stopped(bench: Bench) -> None:
    await bench.child(machine(WAIT, TimeoutSeconds=1))
    ended = await bench.run(start(".sync"))
    assert (ended["error"], json.loads(ended["cause"])["Status"]) == (
        "States.TaskFailed",
        "TIMED_OUT",
    )
    arn = (await bench.engine.start_execution(MACHINE + "parent"))["executionArn"]
    await bench.engine.stop_execution(
        await bench.some_child("RUNNING"), error="Enough", cause="of it"
    )
    ended = await bench.engine.wait(arn)
    cause = json.loads(ended["cause"])
    assert (ended["error"], cause["Status"], cause["Error"], cause["Cause"]) == (
        "States.TaskFailed",
        "ABORTED",
        "Enough",
        "of it",
    )


async def test_refusals(bench: Bench) -> None:
    tail = (
        r" (Service: AWSStepFunctions; Status Code: 400; Error Code: {}; Request ID: {}; Proxy: "
        r"null)"
    )
    await bench.child(machine(WAIT))
    await bench.engine.start_execution(MACHINE + "child", name="taken", input="1")
    for parameters, code, name, message in (
        (
            {"StateMachineArn": MACHINE + "none"},
            "StateMachineDoesNotExist",
            "StateMachineDoesNotExistException",
            f"State Machine Does Not Exist: '{MACHINE}none'",
        ),
        (
            {"StateMachineArn": MACHINE + "child", "Name": "taken"},
            "ExecutionAlreadyExists",
            "ExecutionAlreadyExistsException",
            f"Execution Already Exists: '{EXECUTION}child:taken'",
        ),
        (
            {"StateMachineArn": MACHINE + "child", "Name": "a b"},
            "InvalidName",
            "InvalidNameException",
            "Invalid Name: 'a b'",
        ),
        (
            {"StateMachineArn": "none"},
            "InvalidArn",
            "InvalidArnException",
            "Invalid Arn: 'Invalid ARN prefix: none'",
        ),
    ):
        ended = await bench.run({**start(), "Parameters": parameters})
        assert ended["error"] == f"StepFunctions.{name}"
        identity = ended["cause"].partition("Request ID: ")[2].partition(";")[0]
        assert ended["cause"] == message + tail.format(code, identity)
        await bench.engine.delete_state_machine(MACHINE + "parent")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"Input": {}}, "The field 'StateMachineArn' is required but was missing"),
        ({"StateMachineArn": 5}, "The value of the field 'StateMachineArn' has an invalid format"),
        (
            {"StateMachineArn": MACHINE + "child", "Name": 5},
            "The value of the field 'Name' has an invalid format",
        ),
        (
            {"StateMachineArn": MACHINE + "child", "Colour": 5},
            "The field 'Colour' is not supported by Step Functions",
        ),
    ],
)
async def test_parameters_that_start_nothing(
    bench: Bench, parameters: dict[str, Any], problem: str
) -> None:
    await bench.child(machine(ECHO))
    ended = await bench.run({**start(), "Parameters": parameters})
    shown = json.dumps(parameters, separators=(",", ":"))
    assert ended["error"] == "States.Runtime"
    assert ended["cause"].endswith(
        f"The Parameters '{shown}' could not be used to start the Task: [{problem}]"
    )


async def test_without_an_engine() -> None:
    with pytest.raises(TaskError) as refused:
        await send_again(Registry(), False)
    assert (refused.value.error, refused.value.cause, refused.value.runtime) == (
        "States.Runtime",
        "Nested executions need an engine, and none is connected.",
        True,
    )


# --- when the attempt is over ---------------------------------------------------------------------


async def test_stopping_the_parent_stops_the_child(bench: Bench) -> None:
    await bench.child(machine(WAIT))
    arn = await bench.parent(start(".sync"))
    await bench.only_child("RUNNING")
    await bench.engine.stop_execution(arn)
    await bench.only_child("ABORTED")


async def stops(state: dict[str, Any], error: str) -> None:
    """The state starts the child, and fails after a second."""
    clock = ManualClock()
    async with Engine(tasks=Registry(), clock=clock) as engine:
        bench = Bench(engine)
        await bench.child(machine(WAIT))
        arn = await bench.parent(state)
        await bench.only_child("RUNNING")
        clock.advance(1000)
        assert (await engine.wait(arn, timeout=60))["error"] == error
        await bench.only_child("ABORTED")


async def test_the_time_limit_of_the_task_stops_the_child() -> None:
    await stops({**start(".sync"), "TimeoutSeconds": 1}, "States.Timeout")


async def test_a_failing_sibling_stops_the_child() -> None:
    states = {"A": {"Type": "Wait", "Seconds": 1, "Next": "B"}, "B": FAIL}
    nested = {"StartAt": "C", "States": {"C": start(".sync")}}
    branches = [{"StartAt": "A", "States": states}, nested]
    await stops({"Type": "Parallel", "Branches": branches, "End": True}, "SomeFailure")


async def test_stopping_the_parent_leaves_a_child_that_it_does_not_await(bench: Bench) -> None:
    await bench.child(machine(WAIT))
    arn = await bench.parent({**start(), "End": False, "Next": "S1"}, WAIT)
    await bench.only_child("RUNNING")
    await bench.engine.stop_execution(arn)
    assert (await bench.only_child("RUNNING"))["status"] == "RUNNING"


# --- starting again after a crash -----------------------------------------------------------------


async def send_again(registry: Tasks, again: bool, **parameters: Any) -> tuple[Any, list[Any]]:
    """One sending of a `.sync` task with a fixed token, straight to the handler."""
    resource = parse_resource(START + ".sync")
    assert resource is not None
    told: list[Any] = []

    async def submitted(answer: Any) -> None:
        told.append(answer)

    payload = {"StateMachineArn": MACHINE + "child", "Input": {"n": 1}, **parameters}
    handler = registry.resolve(resource)
    assert handler is not None
    request = TaskRequest(
        resource=resource,
        payload=payload,
        new_token=lambda: "the token",
        timeout=None,
        heartbeat=None,
        again=again,
        execution_arn="execution",
        machine_arn="machine",
        state_name="State",
        role_arn="role",
        submitted=submitted,
    )
    return await handler(request), told


@pytest.mark.parametrize("parameters", [{}, {"Name": "named"}])
async def test_a_second_sending_finds_the_first_execution(
    bench: Bench, parameters: dict[str, Any]
) -> None:
    registry = bench.engine.tasks
    await bench.child(machine(ECHO))
    first = await send_again(registry, False, **parameters)
    assert await send_again(registry, True, **parameters) == first, (
        "it has ended meanwhile, and is adopted"
    )
    assert len(await bench.children()) == 1
    with pytest.raises(TaskError) as refused:
        await send_again(registry, False, **parameters)
    assert refused.value.error == "StepFunctions.ExecutionAlreadyExistsException"


async def test_closing_the_engine_leaves_the_child_running(tmp_path: Path) -> None:
    db = tmp_path / "nested.db"
    async with Engine(db, tasks=Registry()) as engine:
        bench = Bench(engine)
        await bench.child(machine({**WAIT, "Seconds": 2}))
        arn = await bench.parent(start(".sync:2", Input={"n": 1}))
        await bench.only_child("RUNNING")
    async with Engine(db, tasks=Registry()) as engine:
        bench = Bench(engine)
        ended = await engine.wait(arn, timeout=60)
        assert json.loads(ended["output"])["Output"] == {"n": 1}
        await bench.only_child("SUCCEEDED")
        assert [event["type"] for event in await bench.events(arn)].count("TaskSubmitted") == 1


async def test_a_killed_process_is_followed_by_one_that_finds_the_child(tmp_path: Path) -> None:
    """A real kill between the start of the child and its end; afterwards there is one child, and
    the parent has its output.
    """
    db = tmp_path / "nested.db"
    child, parent = machine({**WAIT, "Seconds": 3}), machine(start(".sync:2", Input={"n": 1}))
    program = f"""
        import asyncio
        from stepwell.engine import Engine
        from stepwell.integrations.tasks.registry import Registry

        async def main():
            async with Engine({str(db)!r}, tasks=Registry()) as engine:
                await engine.create_state_machine("child", {child!r})
                await engine.create_state_machine("parent", {parent!r})
                started = await engine.start_execution("{MACHINE}parent", name="p")
                while not (await engine.list_executions("{MACHINE}child"))["executions"]:
                    await asyncio.sleep(0.01)
                print("started", flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"started\n"
    process.kill()
    await process.communicate()
    async with Engine(db, tasks=Registry()) as engine:
        bench = Bench(engine)
        ended = await engine.wait(EXECUTION + "parent:p", timeout=60)
        assert (ended["status"], json.loads(ended["output"])["Output"]) == ("SUCCEEDED", {"n": 1})
        await bench.only_child("SUCCEEDED")
