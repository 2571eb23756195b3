"""Executions whose tasks a test case answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.integrations.mocks.samples import MOCKS, RETRY, invoke, lambda_and_sqs, machine

from stepwell import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.mocks.cases import Items, Pending
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile, Return, TestCase, Throw, parse_mocks
from stepwell.integrations.mocks.tasks import MockedTasks
from stepwell.integrations.tasks.registry import Registry


def mock_file(value: Mapping[str, Any]) -> MockFile:
    return parse_mocks(json.dumps(value).encode(), "mocks.json")


class Ran:
    """An execution to its end."""

    def __init__(self, ended: Any, events: list[Any], tasks: MockedTasks) -> None:
        self.status, self.error, self.cause = (
            ended["status"],
            ended.get("error"),
            ended.get("cause"),
        )
        if self.error == "States.Runtime":  # "An error occurred while executing the state ..."
            self.cause = self.cause.partition("). ")[2]
        self.output = json.loads(ended["output"]) if "output" in ended else None
        self.types = [event["type"] for event in events]
        self.events, self.tasks = events, tasks


async def run(
    definition: Mapping[str, Any],
    mocks: MockFile | TestCase,
    case: str | None = None,
    name: str = "machine",
    input: Any = None,
    functions: Mapping[str, Any] | None = None,
    validation: Validation = Validation.PRESENT,
) -> Ran:
    tasks = MockedTasks(Registry(functions=functions or {}), mocks, validation)
    async with Engine(tasks=tasks, clock=VirtualClock()) as engine:
        arn = (await engine.create_state_machine(name, json.dumps(definition)))["stateMachineArn"]
        target = arn if case is None else f"{arn}#{case}"
        started = await engine.start_execution(target, input={} if input is None else input)
        ended = await engine.wait(started["executionArn"], 60)
        assert ended["stateMachineArn"] == arn
        history = await engine.get_execution_history(started["executionArn"], max_results=1000)
        return Ran(ended, history["events"], tasks)


async def run_sample(case: str | None, **more: Any) -> Ran:
    mocks = mock_file(MOCKS)
    return await run(lambda_and_sqs(), mocks, case, "LambdaSQSIntegration", **more)


async def test_mocked_responses_are_the_results_of_tasks() -> None:
    ran = await run_sample("HappyPath")
    assert ran.output == {"MD5OfMessageBody": "3bcb6e8e-7h85", "MessageId": "3bcb6e8e-8b51"}
    assert ran.types == [
        "ExecutionStarted",
        *("TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"),
        *("TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"),
        "ExecutionSucceeded",
    ]
    assert ran.tasks.unused() == []


async def test_retries_take_the_next_response() -> None:
    ran = await run_sample("RetryPath")
    errors = [
        event["taskFailedEventDetails"]["error"]
        for event in ran.events
        if event["type"] == "TaskFailed"
    ]
    assert errors == ["Lambda.ResourceNotReadyException", *["Lambda.TimeoutException"] * 2]
    assert ran.status == "SUCCEEDED"


async def test_state_that_is_not_mocked_runs_as_without_mocks() -> None:
    ran = await run_sample("HybridPath")
    assert (ran.status, ran.error) == ("FAILED", "SQS.AmazonSQSException")


async def test_an_execution_without_a_test_case_calls_the_services() -> None:
    ran = await run_sample(None)
    assert (ran.status, ran.error) == ("FAILED", "Lambda.ResourceNotFoundException")


async def test_an_unknown_test_case_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ApiError) as refused:
        await run_sample("Happy")
    assert refused.value.code == "InvalidName"
    assert "'Happy'" in refused.value.message
    assert "HappyPath, RetryPath, HybridPath" in refused.value.message


async def test_a_test_case_is_refused_without_a_mock_file() -> None:
    async with Engine(tasks=Registry()) as engine:
        made = await engine.create_state_machine("m", machine({"A": {"Type": "Pass"}}))
        with pytest.raises(ApiError, match="No mock file is loaded") as refused:
            await engine.start_execution(f"{made['stateMachineArn']}#Case")
        assert refused.value.code == "InvalidArn"


async def test_loop_takes_the_next_response() -> None:
    states = {
        "Poll": invoke(ResultPath="$.job", Next="Done?"),
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.job.Payload", "StringEquals": "DONE", "Next": "End"}],
            "Default": "Poll",
        },
        "End": {"Type": "Pass"},
    }
    waiting, done = Return({"Payload": "BUSY"}), Return({"Payload": "DONE"})
    ran = await run(machine(states), TestCase({"Poll": [waiting, waiting, done]}))
    assert ran.output["job"] == {"Payload": "DONE"}
    assert ran.types.count("TaskSucceeded") == 3
    assert ran.tasks.unused() == []


async def test_an_attempt_without_a_response_fails_the_execution() -> None:
    ran = await run(
        machine({"A": invoke(Retry=RETRY, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "A"}])}),
        TestCase({"A": [Throw("Busy")]}),
    )
    assert (ran.status, ran.error) == ("FAILED", "States.Runtime")
    assert ran.cause == (
        "State 'A' has no mocked response for attempt 1: the response of test case 'mocks' has 0"
    )


async def test_response_that_does_not_exist() -> None:
    mocks = {"StateMachines": {"machine": {"TestCases": {"C": {"A": "R"}}}}}
    ran = await run(machine({"A": invoke()}), mock_file(mocks), "C")
    assert ran.error == "States.Runtime"
    assert ran.cause.startswith(
        "State 'A' of test case 'C' has the response 'R', which MockedResponses does not have ("
    )


async def test_callable_sees_the_payload() -> None:
    async def later(payload: Any) -> Any:
        return {"Payload": payload["Payload"]["n"] + 1}

    def fail(payload: Any) -> Any:
        raise ValueError("no")

    states = {"A": invoke(OutputPath="$.Payload"), "B": invoke(Retry=RETRY)}
    ran = await run(
        machine(states), TestCase({"A": later, "B": [fail, Return({})]}), input={"n": 1}
    )
    assert (ran.status, ran.types.count("TaskFailed")) == ("SUCCEEDED", 1)
    scheduled = [e for e in ran.events if e["type"] == "TaskScheduled"][1]
    assert json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["Payload"] == 2


async def test_function_by_its_arn_returns_what_the_response_has() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    definition = machine({"A": {"Type": "Task", "Resource": function}})
    ran = await run(definition, TestCase({"A": Return({"StatusCode": 200, "Payload": 1})}))
    assert ran.output == {"StatusCode": 200, "Payload": 1}
    assert "LambdaFunctionSucceeded" in ran.types


async def test_job_and_callback_end_with_the_response() -> None:
    callback = invoke()
    callback["Resource"] += ".waitForTaskToken"
    callback["Parameters"]["Payload"] = {"token.$": "$$.Task.Token"}
    del callback["Parameters"]["Payload.$"]
    job = {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": "j"},
    }
    mocks = TestCase(
        {"Job": Return({"JobRunState": "SUCCEEDED"}), "Callback": Return({"ok": True})}
    )
    ran = await run(machine({"Job": job, "Callback": callback}), mocks)
    assert ran.output == {"ok": True}
    steps = ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    assert [each for each in ran.types if each in steps] == steps * 2
    # recorded: what fails after the call has been accepted has a TaskSubmitted event
    for error, submitted in (
        ("Rejected", True),
        ("States.Timeout", True),
        ("States.TaskFailed", True),
        ("Lambda.ResourceNotFoundException", False),
    ):
        failing = {"Job": Return({}), "Callback": Throw(error)}
        ran = await run(machine({"Job": job, "Callback": callback}), TestCase(failing))
        assert ran.types.count("TaskSubmitted") == 1 + submitted


async def test_activity_that_does_not_exist() -> None:
    activity = "arn:aws:states:us-east-1:123456789012:activity:ship"
    definition = machine({"A": {"Type": "Task", "Resource": activity, "Retry": RETRY}})
    ran = await run(definition, TestCase({"A": [Throw("Late", "why"), Return([1])]}))
    assert ran.output == [1]
    assert [each for each in ran.types if each.startswith("Activity")] == [
        *("ActivityScheduled", "ActivityStarted", "ActivityFailed"),
        *("ActivityScheduled", "ActivityStarted", "ActivitySucceeded"),
    ]
    other = await run(definition, TestCase({}))
    assert (other.error, "does not exist" in other.cause) == ("States.Runtime", True)


@pytest.mark.parametrize(
    ("error", "caught"),
    [
        ("States.Timeout", "Timeout"),
        ("States.HeartbeatTimeout", "Heartbeat"),
        ("Mine", "TaskFailed"),
    ],
)
async def test_thrown_time_limits_are_caught_as_real_ones(error: str, caught: str) -> None:
    names = {
        "Heartbeat": "States.HeartbeatTimeout",
        "Timeout": "States.Timeout",
        "TaskFailed": "States.TaskFailed",
    }
    catchers = [{"ErrorEquals": [each], "Next": name} for name, each in names.items()]
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in names}
    ran = await run(
        machine({"A": invoke(Catch=catchers, End=True), **ends}), TestCase({"A": Throw(error)})
    )
    assert ran.output == caught
    assert ("TaskTimedOut" in ran.types) == (caught != "TaskFailed")


def map_over(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"StartAt": "Ship", "States": {"Ship": {**state, "End": True}}, **fields}
    return machine({"Each": {"Type": "Map", "ItemProcessor": processor}})


async def test_iterations_take_the_next_response() -> None:
    numbered = [Return({"Payload": n}) for n in range(3)]
    ran = await run(map_over(invoke()), TestCase({"Ship": numbered}), input=[7, 8, 9])
    assert sorted(each["Payload"] for each in ran.output) == [0, 1, 2]


async def test_iterations_share_a_single_response() -> None:
    mocks = TestCase({"Ship": [Return({"Payload": 5})]})
    ran = await run(map_over(invoke()), mocks, input=[7, 8, 9])
    assert ran.output == [{"Payload": 5}] * 3


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
async def test_iterations_have_responses_by_their_index(mode: str) -> None:
    config: dict[str, Any] = {"Mode": mode}
    if mode == "DISTRIBUTED":
        config["ExecutionType"] = "STANDARD"
    definition = map_over(invoke(Retry=RETRY), ProcessorConfig=config)
    late = [Throw("Late"), Throw("Late"), Return({"Payload": "late"})]
    mocks = TestCase(
        {"Ship": Items({0: Return({"Payload": 0}), range(1, 3): late}, Return({"Payload": "x"}))}
    )
    ran = await run(definition, mocks, input=[7, 8, 9, 10])
    assert [each["Payload"] for each in ran.output] == [0, "late", "late", "x"]


async def test_responses_by_nested_iteration() -> None:
    inner = {
        "Type": "Map",
        "ItemProcessor": {"StartAt": "Ship", "States": {"Ship": {**invoke(), "End": True}}},
    }
    states = {"Outer": {"Type": "Map", "ItemProcessor": machine({"Inner": inner})}}
    shown: dict[int | range | str, Any] = {
        1: Return({"Payload": "1"}),
        "1.0": Return({"Payload": "1.0"}),
        "1.0@0": Return({"Payload": "1.0@0"}),
        "0@1.0": Return({"Payload": "never"}),
    }
    mocks = TestCase({"Ship": Items(shown, Return({"Payload": "x"}))})
    ran = await run(machine(states), mocks, input=[[1, 2], [3, 4]])
    assert [[each["Payload"] for each in row] for row in ran.output] == [["x", "1"], ["1.0@0", "1"]]


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
async def test_runs_of_a_map(mode: str) -> None:
    config = {"Mode": mode, **({"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {})}
    each = map_over(invoke(), ProcessorConfig=config)["States"]["Each"]
    states = {
        "Each": {**each, "ItemsPath": "$.items", "ResultPath": "$.got", "Next": "Again?"},
        "Again?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.got[0].Payload", "NumericEquals": 1, "Next": "End"}],
            "Default": "Each",
        },
        "End": {"Type": "Pass", "OutputPath": "$.got"},
    }
    del states["Each"]["End"]
    shown: dict[int | range | str, Any] = {
        "0-9@1": Return({"Payload": 1}),
        "0-9": Return({"Payload": 0}),
    }
    mocks = TestCase({"Ship": Items(shown)})
    ran = await run(machine(states), mocks, input={"items": [7, 8]})
    assert ran.output == [{"Payload": 1}] * 2
    assert ran.tasks.unused() == []


async def test_a_pending_task_ends_by_its_time_limit_or_its_siblings() -> None:
    states = {
        "A": {
            **invoke(TimeoutSeconds=60),
            "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}],
        },
        "B": {"Type": "Parallel", "Branches": [machine({"C": invoke()}), machine({"D": invoke()})]},
    }
    states["A"]["End"] = True
    mocks = TestCase({"A": Pending(), "C": Pending(), "D": Throw("Mine")})
    ran = await run(machine(states), mocks)
    assert (ran.error, "TaskTimedOut" in ran.types) == ("Mine", True)


async def test_a_result_that_the_model_refuses_fails_the_execution(
    caplog: pytest.LogCaptureFixture,
) -> None:
    definition = machine({"A": invoke()})
    bad = {"StatusCode": "200", "Payload": 1}
    case = {"A": "R"}
    mocks = {
        "StateMachines": {"machine": {"TestCases": {"C": case}}},
        "MockedResponses": {"R": {"0": {"Return": bad}}},
    }
    ran = await run(definition, mock_file(mocks), "C")
    assert (ran.status, ran.error) == ("FAILED", "States.Runtime")
    assert ran.cause.startswith("mocks.json:1:")
    assert ran.cause.endswith(
        "response 'R' of state 'A': Mock result schema validation error: "
        "Field 'StatusCode' must be a number"
    )
    ran = await run(definition, mock_file(mocks), "C", validation=Validation.NONE)
    assert (ran.output, caplog.messages) == (bad, [])
    ran = await run(definition, mock_file(mocks), "C", validation=Validation.WARN)
    assert ran.output == bad
    (text,) = caplog.messages
    assert ": response 'R' of state 'A': Mock result schema validation" in text


async def test_responses_that_were_not_used_are_listed() -> None:
    others = [f"Other {number}" for number in range(9)]  # in the order of the file
    ran = await run(
        machine({"A": invoke(), "B": {"Type": "Pass"}}),
        TestCase({"A": [Return({}), Return({})], **dict.fromkeys(others, Return({}))}),
    )
    assert ran.tasks.unused() == [
        *(f"state {other!r} of test case 'mocks' was not run" for other in others),
        "response 1 of state 'A' in test case 'mocks' was not used",
    ]
