"""TestState: one state through the public door, with mocks and with real tasks."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.engine.engine_fixture import ASK, HAND, LAMBDA, each, refused, task, wait

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.tasks import TaskError, TaskRequest
from stepwell.integrations.tasks.registry import Registry

Shape = dict[str, Any]
ROLE = "arn:aws:iam::123456789012:role/r"
JSONATA = {"QueryLanguage": "JSONata"}
SDK = "arn:aws:states:::aws-sdk:"


async def ok(payload: Any) -> Any:
    return payload


async def broken(payload: Any) -> Any:
    raise TaskError("Broken", "as always")


async def hang(payload: Any) -> Any:
    HUNG.append("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        HUNG.append("cancelled")
        raise


HUNG: list[str] = []


async def hung() -> None:
    """Until the function hangs."""
    async with asyncio.timeout(60):
        while HUNG != ["begun"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def engine(**options: Any) -> Engine:
    return Engine(tasks=Registry({"ok": ok, "broken": broken, "hang": hang}), **options)


async def state(definition: Shape, **request: Any) -> Shape:
    """The answer of TestState. Everything that is JSON text on the wire may be given as a value."""
    texts = {
        name: json.dumps(value) if not isinstance(value, str) else value
        for name, value in request.items()
        if name in TEXTS
    }
    mock = dict(request.pop("mock", None) or {})
    if "result" in mock and not isinstance(mock["result"], str):
        mock["result"] = json.dumps(mock["result"])
    under_test = request.pop("engine", None) or engine()
    answer: Shape = await under_test.test_state(
        json.dumps(definition), **{**request, **texts, **({"mock": mock} if mock else {})}
    )
    return answer


TEXTS = ("input", "context", "variables")


async def seen(definition: Shape, **request: Any) -> Shape:
    """inspectionData with its texts parsed."""
    data = (await state(definition, inspection_level="DEBUG", **request))["inspectionData"]
    return {
        name: json.loads(value) if isinstance(value, str) else value for name, value in data.items()
    }


def mocked(resource: str, **fields: Any) -> Shape:
    return {"Type": "Task", "Resource": resource, "End": True, **fields}


# --- statuses -------------------------------------------------------------------------------------


async def test_next_state_and_end() -> None:
    assert await state({"Type": "Pass", "Result": 1, "Next": "After"}) == {
        "status": "SUCCEEDED",
        "output": "1",
        "nextState": "After",
    }
    assert await state({"Type": "Pass", "End": True}, input='{"a":  1}') == {
        "status": "SUCCEEDED",
        "output": '{"a":1}',
    }
    assert await state({"Type": "Succeed", "OutputPath": "$.a"}, input={"a": [1]}) == {
        "status": "SUCCEEDED",
        "output": "[1]",
    }


async def test_a_state_that_goes_back_to_itself_is_entered_once() -> None:
    assert await state({"Type": "Pass", "Next": "StateName"}) == {
        "status": "SUCCEEDED",
        "output": "{}",
        "nextState": "StateName",
    }


async def test_fail() -> None:
    assert await state({"Type": "Fail", "Error": "E", "Cause": "C"}) == {
        "status": "FAILED",
        "error": "E",
        "cause": "C",
    }
    assert await state({"Type": "Fail"}) == {"status": "FAILED"}


async def test_choice_takes_a_rule_the_default_or_fails() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericGreaterThan": 1, "Next": "Many"}],
    }
    assert (await state(choice, input={"n": 2}))["nextState"] == "Many"
    failed = await state(choice, input={"n": 1})
    assert (
        failed["status"] == "FAILED"
        and failed["error"] == "States.Runtime"
        and "Failed to transition" in failed["cause"]
    )
    assert (await state({**choice, "Default": "Few"}, input={"n": 1}))["nextState"] == "Few"


async def test_an_expression_that_fails() -> None:
    answer = await state(
        {**JSONATA, "Type": "Pass", "Output": "{% $states.input.nothing %}", "End": True}
    )
    assert (
        answer["status"] == "FAILED"
        and answer["error"] == "States.QueryEvaluationError"
        and "'StateName'" in answer["cause"]
    )
    # one that Catch takes, of a task whose arguments fail
    catch = [{"ErrorEquals": ["Other"], "Next": "A"}, {"ErrorEquals": ["States.ALL"], "Next": "B"}]
    wrong = mocked(LAMBDA + "ok", **JSONATA, Arguments="{% $undefined.x %}", Catch=catch)
    answer = await state(wrong, mock={"result": 1}, inspection_level="DEBUG")
    assert (answer["status"], answer["nextState"], answer["error"]) == (
        "CAUGHT_ERROR",
        "B",
        "States.QueryEvaluationError",
    )
    assert answer["inspectionData"] == {"input": "{}", "errorDetails": {"catchIndex": 1}}


RETRY = [
    {"ErrorEquals": ["Other"]},
    {
        "ErrorEquals": ["E"],
        "IntervalSeconds": 2,
        "BackoffRate": 3,
        "MaxAttempts": 4,
        "MaxDelaySeconds": 50,
        "JitterStrategy": "FULL",
    },
]


@pytest.mark.parametrize(("used", "delay"), [(0, 2), (1, 6), (2, 18), (3, 50)])
async def test_retriable_until_the_attempts_are_used_up(used: int, delay: int) -> None:
    flaky = mocked(
        LAMBDA + "ok",
        Retry=RETRY,
        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.error"}],
    )
    request: Shape = {
        "mock": {"errorOutput": {"error": "E", "cause": "C"}},
        "inspection_level": "DEBUG",
        "input": {"a": 1},
    }
    answer = await state(flaky, state_configuration={"retrierRetryCount": used}, **request)
    details = answer.pop("inspectionData")["errorDetails"]
    assert answer == {"status": "RETRIABLE", "error": "E", "cause": "C"}
    assert details == {"retryIndex": 1, "retryBackoffIntervalSeconds": delay}
    spent = await state(flaky, state_configuration={"retrierRetryCount": 4 + used}, **request)
    assert (spent["status"], spent["nextState"], spent["error"], spent["cause"]) == (
        "CAUGHT_ERROR",
        "Caught",
        "E",
        "C",
    )
    assert json.loads(spent["output"]) == {"a": 1, "error": {"Error": "E", "Cause": "C"}}
    assert spent["inspectionData"]["errorDetails"] == {"retryIndex": 1, "catchIndex": 0}
    del flaky["Catch"]
    spent = await state(flaky, state_configuration={"retrierRetryCount": 4 + used}, **request)
    assert (spent["status"], spent["inspectionData"]["errorDetails"]) == (
        "FAILED",
        {"retryIndex": 1},
    )


async def test_a_huge_count_of_retries() -> None:
    endless = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99_999_999, "BackoffRate": 10}]
    answer = await state(
        mocked(LAMBDA + "ok", Retry=endless),
        mock={"errorOutput": {"error": "E"}},
        state_configuration={"retrierRetryCount": 99_999},
        inspection_level="DEBUG",
    )
    assert (
        answer["inspectionData"]["errorDetails"]["retryBackoffIntervalSeconds"]
        == DEFAULT_LIMITS.retry_delay_seconds
    )


async def test_the_retries_are_in_the_context_object() -> None:
    counting = mocked(LAMBDA + "ok", **JSONATA, Output="{% $states.context.State.RetryCount %}")
    used = {"retrierRetryCount": 2}
    assert (await state(counting, mock={"result": 0}, state_configuration=used))["output"] == "2"
    own = {"State": {"RetryCount": 7}}
    assert (await state(counting, mock={"result": 0}, state_configuration=used, context=own))[
        "output"
    ] == "7"


async def test_an_error_without_a_name_is_caught_by_all() -> None:
    caught = mocked(LAMBDA + "ok", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C"}])
    answer = await state(caught, mock={"errorOutput": {}})
    assert answer == {
        "status": "CAUGHT_ERROR",
        "output": '{"Error":null,"Cause":null}',
        "nextState": "C",
    }


# --- real tasks -----------------------------------------------------------------------------------


async def test_a_task_runs_for_real_and_leaves_no_execution() -> None:
    async with engine() as running:
        machine = await running.create_state_machine(
            "m", json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}), role_arn=ROLE
        )
        answer = await state(task("ok"), engine=running, role_arn=ROLE, input={"a": 1})
        assert answer == {"status": "SUCCEEDED", "output": '{"a":1}'}
        assert (await running.list_executions(machine["stateMachineArn"]))["executions"] == []
    failed = await state(task("broken", Retry=[{"ErrorEquals": ["Broken"]}]), role_arn=ROLE)
    assert failed == {"status": "RETRIABLE", "error": "Broken", "cause": "as always"}


async def alarm(clock: ManualClock) -> int:
    """When the clock is to ring, once it is set."""
    async with asyncio.timeout(60):
        while (due := clock.next_alarm()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return due


async def test_the_time_limits_of_a_task() -> None:
    clock = ManualClock()
    caught = task(
        "hang", TimeoutSeconds=10, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]
    )
    for definition, want in (
        (
            caught,
            {
                "status": "CAUGHT_ERROR",
                "output": '{"Error":"States.Timeout","Cause":""}',
                "nextState": "Late",
                "error": "States.Timeout",
            },
        ),
        (task("hang"), {"status": "FAILED", "error": "States.Timeout"}),
        (wait(100_000), {"status": "FAILED", "error": "States.Timeout"}),
    ):
        HUNG.clear()
        testing = asyncio.ensure_future(
            state(definition, engine=engine(clock=clock), role_arn=ROLE)
        )
        due = await alarm(clock)
        assert due - clock.now() == (
            10_000 if definition is caught else DEFAULT_LIMITS.test_state_seconds * 1000
        )
        calls = ["begun", "cancelled"] if definition["Type"] == "Task" else []
        if calls:
            await hung()
        clock.advance(due - clock.now())
        assert await testing == want
        assert calls == HUNG


async def test_wait_waits() -> None:
    clock = ManualClock()
    testing = asyncio.ensure_future(state(wait(7), engine=engine(clock=clock), input={"a": 1}))
    due = await alarm(clock)
    clock.advance(due - clock.now() - 1)
    await asyncio.sleep(0.01)
    assert not testing.done()
    clock.advance(1)
    assert await testing == {"status": "SUCCEEDED", "output": '{"a":1}'}


async def test_a_caller_that_goes_away_takes_the_task_with_it() -> None:
    HUNG.clear()
    testing = asyncio.ensure_future(state(task("hang"), role_arn=ROLE))
    await hung()
    testing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await testing
    assert HUNG == ["begun", "cancelled"]


async def test_trace_is_filled_in_by_the_handler() -> None:
    asked: list[TaskRequest] = []

    async def handler(request: TaskRequest) -> Any:
        asked.append(request)
        if request.trace is not None:
            request.trace.request["method"] = "secret" if request.trace.reveal else "GET"
            request.trace.response["statusCode"] = "200"
        return {"StatusCode": 200}

    class Http(Registry):
        def resolve(self, resource: Any) -> Any:
            return handler

    call = mocked("arn:aws:states:::http:invoke", Parameters={"Method": "GET"})
    for level, reveal, want in (
        ("TRACE", False, "GET"),
        ("TRACE", True, "secret"),
        ("DEBUG", True, None),
    ):
        answer = await state(
            call,
            engine=Engine(tasks=Http()),
            role_arn=ROLE,
            inspection_level=level,
            reveal_secrets=reveal,
        )
        assert answer["inspectionData"].get("request") == (want and {"method": want})
        assert answer["inspectionData"].get("response") == (want and {"statusCode": "200"})
    assert [request.role_arn for request in asked] == [ROLE] * 3


async def test_a_long_evaluation_leaves_the_loop() -> None:
    long = {**JSONATA, "Type": "Pass", "Output": "{% $sum([1..60000].($ * 2)) %}", "End": True}
    assert (await state(long))["output"] == "3600060000"


# --- inspection -----------------------------------------------------------------------------------


async def test_info_has_no_inspection() -> None:
    assert "inspectionData" not in await state({"Type": "Pass", "End": True})


async def test_the_stages_of_a_pass() -> None:
    stages = {
        "InputPath": "$.payload",
        "Parameters": {"data": 1},
        "ResultPath": "$.result",
        "OutputPath": "$.result.data",
        "End": True,
    }
    given = {"payload": {"foo": "bar"}}
    merged = {**given, "result": {"data": 1}}
    assert await seen({"Type": "Pass", **stages}, input=given) == {
        "input": given,
        "afterInputPath": {"foo": "bar"},
        "afterParameters": {"data": 1},
        "afterResultSelector": {"data": 1},
        "afterResultPath": merged,
    }
    constant = await seen({"Type": "Pass", **stages, "Result": {"data": 2}}, input=given)
    assert constant == {
        "input": given,
        "result": {"data": 2},
        "afterResultSelector": {"data": 2},
        "afterResultPath": {**given, "result": {"data": 2}},
    }


async def test_the_stages_of_a_task() -> None:
    shaped = mocked(
        LAMBDA + "ok", ResultSelector={"x.$": "$.a"}, ResultPath="$.r", OutputPath="$.r"
    )
    assert await seen(shaped, input={"i": 0}, mock={"result": {"a": 1, "b": 2}}) == {
        "input": {"i": 0},
        "afterInputPath": {"i": 0},
        "afterParameters": {"i": 0},
        "result": {"a": 1, "b": 2},
        "afterResultSelector": {"x": 1},
        "afterResultPath": {"i": 0, "r": {"x": 1}},
    }
    arguments = mocked(
        LAMBDA + "ok",
        **JSONATA,
        Arguments={"n": "{% $states.input.i + 1 %}"},
        Output="{% $states.result.a %}",
    )
    assert await seen(arguments, input={"i": 0}, mock={"result": {"a": 1}}) == {
        "input": {"i": 0},
        "afterArguments": {"n": 1},
        "result": {"a": 1},
    }


async def test_what_failed_has_the_stages_before_it() -> None:
    short = mocked(LAMBDA + "ok", ResultSelector={"x.$": "$.missing"})
    data = await seen(short, mock={"result": {"a": 1}})
    assert data == {"input": {}, "afterInputPath": {}, "afterParameters": {}, "result": {"a": 1}}


async def test_texts_are_passed_on_as_they_came() -> None:
    """Recorded: the text of a mock is not written anew; the input is shown as it was sent."""
    answer = await state(
        mocked(LAMBDA + "ok"), input="[1,  2]", mock={"result": "[3,  4]"}, inspection_level="DEBUG"
    )
    assert answer["output"] == "[3,  4]"
    data = answer["inspectionData"]
    assert (data["input"], data["afterInputPath"], data["result"], data["afterResultPath"]) == (
        "[1,  2]",
        "[1,2]",
        "[3,  4]",
        "[3,  4]",
    )


async def test_random_values_are_those_of_the_run() -> None:
    drawn = {"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": True}
    answer = await state(drawn, inspection_level="DEBUG")
    assert answer["inspectionData"]["afterParameters"] == answer["output"]


async def test_variables() -> None:
    assigning = {"Type": "Pass", "Assign": {"b.$": "$.n", "a": 2}, "End": True}
    assert (await seen(assigning, input={"n": 5}, variables={"a": 1, "c": [0]}))["variables"] == {
        "a": 2,
        "b": 5,
        "c": [0],
    }
    reading = {**JSONATA, "Type": "Pass", "Output": "{% $a + 1 %}", "End": True}
    assert (await state(reading, variables={"a": 1}))["output"] == "2"
    assert (await seen({"Type": "Fail", "Error": "E"}, variables={"a": 1}))["variables"] == {"a": 1}
    caught = mocked(
        LAMBDA + "ok",
        Catch=[{"ErrorEquals": ["States.ALL"], "Assign": {"e.$": "$.Error"}, "Next": "C"}],
    )
    assert (await seen(caught, mock={"errorOutput": {"error": "E"}}))["variables"] == {"e": "E"}


# of states without data-flow fields, in JSONPath: what inspectionData has beside the input
SHOWN = {
    "Pass": ["afterInputPath", "afterParameters", "afterResultPath", "afterResultSelector"],
    "Choice": ["afterInputPath"],
    "Succeed": ["afterInputPath"],
    "Fail": ["afterInputPath"],
    "Wait": ["afterInputPath", "afterParameters"],
    "Parallel": ["afterResultPath", "afterResultSelector"],
    "Map": [
        "afterInputPath",
        "afterItemsPath",
        "afterResultPath",
        "afterResultSelector",
        "maxConcurrency",
    ],
}


@pytest.mark.parametrize("kind", SHOWN)
@pytest.mark.parametrize("level", ["DEBUG", "TRACE"])
async def test_the_stages_of_each_type_of_state(kind: str, level: str) -> None:
    states: dict[str, Shape] = {
        "Choice": {
            "Type": "Choice",
            "Choices": [{"Variable": "$[0]", "IsPresent": True, "Next": "N"}],
            "Default": "D",
        },
        "Succeed": {"Type": "Succeed"},
        "Fail": {"Type": "Fail", "ErrorPath": "$[0]"},
        "Wait": {"Type": "Wait", "Seconds": 0, "End": True},
        "Pass": {"Type": "Pass", "End": True},
        "Parallel": PARALLEL,
        "Map": INLINE,
    }
    mock = {"mock": {"result": [1, 2]}} if kind in ("Parallel", "Map") else {}
    data = (await state(states[kind], input=["E"], inspection_level=level, **mock))[
        "inspectionData"
    ]
    assert sorted(data.keys() - {"input"}) == SHOWN[kind]
    if "afterInputPath" in data:
        assert data["afterInputPath"] == '["E"]'


async def test_what_a_mocked_parallel_does_not_show() -> None:
    assert "afterInputPath" not in await seen(
        {**PARALLEL, "InputPath": "$.a"}, input={"a": 1}, mock={"result": [1, 2]}
    )
    assert await seen({**PARALLEL, **JSONATA, "Arguments": {"a": 1}}, mock={"result": [1, 2]}) == {
        "input": {}
    }


# --- Map and Parallel -----------------------------------------------------------------------------

PARALLEL = {
    "Type": "Parallel",
    "Branches": [{"StartAt": name, "States": {name: {"Type": "Succeed"}}} for name in "AB"],
    "End": True,
}
INLINE = each({"Type": "Pass", "End": True})


def distributed(**fields: Any) -> Shape:
    config = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "I",
        "States": {"I": {"Type": "Succeed"}},
    }
    return {"Type": "Map", "ItemProcessor": config, "End": True, **fields}


async def test_parallel() -> None:
    shaped = {
        **PARALLEL,
        "Parameters": {"p": 1},
        "ResultSelector": {"first.$": "$[0]"},
        "ResultPath": "$.r",
    }
    data = await seen(shaped, input={"i": 0}, mock={"result": [1, 2]})
    after = {"i": 0, "r": {"first": 1}}
    assert data == {
        "input": {"i": 0},
        "afterParameters": {"p": 1},
        "afterResultSelector": {"first": 1},
        "afterResultPath": after,
    }
    caught = {**PARALLEL, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]}
    failing: Shape = {"mock": {"errorOutput": {"error": "E"}}}
    assert (await state(caught, state_configuration={"errorCausedByState": "B"}, **failing))[
        "status"
    ] == "CAUGHT_ERROR"
    with pytest.raises(ApiError, match="errorCausedByState"):
        await state(caught, state_configuration={"errorCausedByState": "Z"}, **failing)


async def test_the_stages_of_a_map() -> None:
    selecting = {
        **distributed(),
        "ItemsPath": "$.items",
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.n"},
        "ItemBatcher": {"MaxItemsPerBatch": 2},
        "MaxConcurrencyPath": "$.n",
        "ToleratedFailurePercentage": 12.5,
        "ToleratedFailureCount": 1,
    }
    given = {"items": ["a", "b", "c"], "n": 4}
    inputs = [{"i": index, "v": item, "all": 4} for index, item in enumerate("abc")]
    assert await seen(selecting, input=given, mock={"result": [0]}) == {
        "input": given,
        "afterInputPath": given,
        "afterItemsPath": ["a", "b", "c"],
        "afterItemSelector": inputs,
        "afterItemBatcher": [{"Items": inputs[:2]}, {"Items": inputs[2:]}],
        "maxConcurrency": 4,
        "toleratedFailureCount": 1,
        "toleratedFailurePercentage": 12.5,
        "afterResultSelector": [0],
        "afterResultPath": [0],
    }
    inline = await seen(
        {**INLINE, "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "MaxConcurrency": 1},
        input=[7, 8],
        mock={"result": [0, 0]},
    )
    assert (inline["afterItemSelector"], inline["maxConcurrency"]) == ([{"v": 7}, {"v": 8}], 1)


async def test_a_map_without_items_has_the_result_of_its_mock() -> None:
    for definition in (INLINE, distributed()):
        assert (await state(definition, input=[], mock={"result": [1]}))["output"] == "[1]"


async def test_a_map_whose_items_are_none() -> None:
    answer = await state(INLINE, input={"no": "array"}, mock={"result": []})
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(
    ("fields", "failures", "status"),
    [
        ({"ToleratedFailureCount": 1}, 1, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 2, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 50}, 3, "FAILED"),
        ({}, 4, "SUCCEEDED"),
    ],
)
async def test_iterations_that_failed(fields: Shape, failures: int, status: str) -> None:
    request: Shape = {
        "input": [1, 2, 3, 4],
        "mock": {"result": [0]},
        "state_configuration": {"mapIterationFailureCount": failures},
    }
    answer = await state(distributed(**fields), **request)
    assert answer["status"] == status
    assert answer.get("error") == (
        None if status == "SUCCEEDED" else "States.ExceedToleratedFailureThreshold"
    )


async def test_more_failures_than_iterations() -> None:
    text = "Map iteration failure count must be less than or equal to the number of Map iterations"
    for definition in (INLINE, distributed(ItemBatcher={"MaxItemsPerBatch": 2})):
        request: Shape = {
            "input": [1, 2],
            "mock": {"result": [0]},
            "state_configuration": {"mapIterationFailureCount": 3},
        }
        await refused(state(definition, **request), "ValidationException", text)


READER = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}


async def test_what_an_item_reader_would_have_read() -> None:
    pointed = {
        **READER,
        "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/a/0", "MaxItems": 2},
    }
    selecting = distributed(ItemReader=pointed, ItemSelector={"v.$": "$$.Map.Item.Value"})
    data = await seen(
        selecting,
        mock={"result": []},
        state_configuration={"mapItemReaderData": '{"a": [[5, 6, 7]]}'},
    )
    assert (data["afterItemsPointer"], data["afterItemSelector"]) == ([5, 6], [{"v": 5}, {"v": 6}])
    assert "afterItemsPath" not in data
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "C"}]
    answer = await state(
        distributed(ItemReader=READER, Catch=catch),
        mock={"result": []},
        state_configuration={"mapItemReaderData": "7"},
    )
    assert (answer["status"], answer["cause"]) == (
        "CAUGHT_ERROR",
        "Attempting to map over non-iterable node.",
    )
    unread = {"mock": {"result": [1]}, "state_configuration": {"mapIterationFailureCount": 9}}
    assert (await state(distributed(ItemReader=READER), **unread))["output"] == "[1]"


# --- a state of a whole machine -------------------------------------------------------------------

INNER = {
    "StartAt": "Deep",
    "States": {
        "Deep": {"Type": "Pass", "InputPath": "$$.State.Name", "Next": "End"},
        "End": {"Type": "Succeed"},
    },
}
NESTED = {
    "StartAt": "Fork",
    "States": {
        "Fork": {
            "Type": "Parallel",
            "End": True,
            "Branches": [
                {
                    "StartAt": "Each",
                    "States": {
                        "Each": {"Type": "Map", "ItemProcessor": INNER, "End": True},
                        "Ask": {**HAND, "Parameters": {"item.$": "$$.Map.Item.Value"}},
                    },
                }
            ],
        }
    },
}
NESTED["States"]["Fork"]["Branches"][0]["States"]["Each"].update(Next="Ask")  # type: ignore[index]
del NESTED["States"]["Fork"]["Branches"][0]["States"]["Each"]["End"]  # type: ignore[index]


async def test_a_state_at_any_depth() -> None:
    assert await state(NESTED, state_name="Deep") == {
        "status": "SUCCEEDED",
        "output": '"Deep"',
        "nextState": "End",
    }
    assert (await state(NESTED, state_name="Each", input=[], mock={"result": []}))[
        "nextState"
    ] == "Ask"
    assert (await state(NESTED, state_name="Fork", mock={"result": [1]}))["output"] == "[1]"
    await refused(
        state(NESTED, state_name="Nowhere"), "ValidationException", "State not found in definition"
    )


async def test_a_context_object_is_taken_as_it_is() -> None:
    whole = mocked(LAMBDA + "ok", **JSONATA, Output="{% $states.context %}")
    for context in (
        {},
        {"Execution": {"Name": "n"}},
        {"State": {"RetryCount": 3}, "StateMachine": {"Id": "i"}},
    ):
        answer = await state(
            whole, context=context, mock={"result": 1}, state_configuration={"retrierRetryCount": 1}
        )
        assert json.loads(answer["output"]) == context
    selecting = {**INLINE, "ItemSelector": {"v.$": "$$.Map.Item.Value", "c.$": "$$.Execution"}}
    data = await seen(
        selecting, context={"Execution": {"Name": "n"}}, input=[7], mock={"result": [0]}
    )
    assert data["afterItemSelector"] == [{"v": 7, "c": {"Name": "n"}}]


async def test_the_context_object_inside_a_map() -> None:
    inside = {
        "StartAt": "In",
        "States": {"In": task("ok", Parameters={"v.$": "$$.Map.Item.Value"})},
    }
    machine = {
        "StartAt": "M",
        "States": {"M": {"Type": "Map", "ItemProcessor": inside, "End": True}},
    }
    item = {"Map": {"Item": {"Index": 3, "Value": "x"}}}
    answer = await state(
        machine, state_name="In", context=item, mock={"result": 0}, inspection_level="DEBUG"
    )
    assert answer["inspectionData"]["afterParameters"] == '{"v":"x"}'
    await refused(
        state(machine, state_name="M", context=item, input=[], mock={"result": []}),
        "ValidationException",
        (
            "Invalid Context object provided: 'Map' field is not supported when mocking a "
            "Context object"
        ),
    )


# --- refusals -------------------------------------------------------------------------------------

RESULT = {"result": "{}"}
CONTEXT = "Invalid Context object provided: "
WRONG = [
    (
        {"Type": "Wait", "Seconds": 1, "End": True},
        {"mock": RESULT},
        "State type 'Wait' is not supported when a mock is specified",
    ),
    (
        {"Type": "Succeed"},
        {"mock": RESULT},
        "State type 'Succeed' is not supported when a mock is specified",
    ),
    (task("ok"), {}, "RoleArn must be specified when testing a Task state"),
    (
        task("ok"),
        {"mock": {"fieldValidationMode": "NONE"}},
        "A test mock should have only one of the following fields: [result, errorOutput].",
    ),
    (task("ok"), {"mock": {"result": "{"}}, "Mocked result must be valid JSON"),
    (
        task("ok"),
        {"mock": RESULT, "reveal_secrets": True},
        "TestState does not support RevealSecrets when a mock is specified.",
    ),
    (PARALLEL, {"mock": RESULT}, "Mocked result must be an array."),
    (INLINE, {"mock": RESULT}, "Mocked result must be an array."),
    (
        INLINE,
        {"state_configuration": {"mapIterationFailureCount": 1}},
        "TestState does not support MapIterationFailureCount when a mock is not specified.",
    ),
    (
        {"Type": "Succeed"},
        {"context": {}},
        "TestState does not support Context when a mock is not specified.",
    ),
    (
        {"Type": "Succeed"},
        {"variables": "[]"},
        "Invalid variables provided: they must be a JSON object",
    ),
    (task("ok"), {"mock": RESULT, "context": "[]"}, CONTEXT + "it must be a JSON object"),
    (
        task("ok"),
        {"mock": RESULT, "context": {"Execution": []}},
        CONTEXT + "Execution must be an object",
    ),
    (
        task("ok"),
        {"mock": RESULT, "context": {"State": {"RetryCount": "1"}}},
        CONTEXT + "State.RetryCount must be a number",
    ),
    (
        task("ok"),
        {"mock": RESULT, "context": {"StateMachine": {"Label": ""}}},
        CONTEXT + "Field 'Label' is not allowed",
    ),
]


@pytest.mark.parametrize(("definition", "request_", "text"), WRONG)
async def test_refusals(definition: Shape, request_: Shape, text: str) -> None:
    await refused(state(definition, **request_), "ValidationException", text)


async def test_what_needs_a_mock() -> None:
    for definition in (PARALLEL, INLINE):
        await refused(
            state(definition, role_arn=ROLE),
            "InvalidDefinition",
            "TestState API does not support Map or Parallel states. "
            "Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]",
        )
    job = mocked("arn:aws:states:::states:startExecution.sync")
    for definition in (HAND, ASK, job):
        with pytest.raises(ApiError, match="when a mock is not specified"):
            await state(definition, role_arn=ROLE)
        assert (await state(definition, mock={"result": {}, "fieldValidationMode": "NONE"}))[
            "output"
        ] == "{}"


async def test_the_task_token_of_a_callback() -> None:
    token = {"Task": {"Token": "t"}}
    assert (await seen(ASK, context=token, mock={"result": 1}))["afterParameters"]["Payload"] == {
        "token": "t"
    }
    assert (await seen(ASK, mock={"result": 1}))["afterParameters"]["Payload"]["token"]


async def test_bad_input_and_definitions() -> None:
    with pytest.raises(ApiError) as error:
        await state({"Type": "Succeed"}, input="{'a'")
    assert error.value.code == "InvalidExecutionInput"
    with pytest.raises(ApiError) as error:
        await state({"Type": "Succeed"}, role_arn="nobody")
    assert error.value.code == "InvalidArn"
    for definition in (
        {"Type": "Other"},
        {"Type": "Pass"},
        NESTED,
        {"Type": "Pass", "End": True, "Extra": 1},
    ):
        with pytest.raises(ApiError) as error:
            await state(definition)
        assert error.value.code == "InvalidDefinition"


async def test_the_default_context_object() -> None:
    whole = mocked(LAMBDA + "ok", **JSONATA, Output="{% $states.context %}")
    context = json.loads(
        (await state(whole, mock={"result": 1}, input={"a": 1}, role_arn=ROLE))["output"]
    )
    execution, machine = context["Execution"], context["StateMachine"]
    assert (
        execution["Id"]
        == f"arn:aws:states:us-east-1:123456789012:express:{machine['Name']}:{execution['Name']}"
    )
    assert (execution["Input"], execution["RoleArn"], sorted(execution)) == (
        {"a": 1},
        ROLE,
        ["Id", "Input", "Name", "RoleArn", "StartTime"],
    )
    assert (context["State"]["Name"], context["State"]["RetryCount"]) == ("StateName", 0)
    assert (
        "RoleArn" not in json.loads((await state(whole, mock={"result": 1}))["output"])["Execution"]
    )


async def test_results_that_are_too_large() -> None:
    small = engine(limits=replace(DEFAULT_LIMITS, payload_bytes=20))
    answer = await state(mocked(LAMBDA + "ok"), engine=small, mock={"result": json.dumps("x" * 30)})
    assert (answer["status"], answer["error"]) == ("FAILED", "States.DataLimitExceeded")


# --- properties -----------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "Execution", "Id", "Map", "Item"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
STATES = [
    {"Type": "Pass", "ResultPath": "$.a.b", "End": True},
    {"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "N"}]},
    {"Type": "Fail", "ErrorPath": "$.a"},
    task(
        "ok",
        ResultSelector={"x.$": "$.a"},
        Retry=RETRY,
        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "C", "ResultPath": "$.a"}],
    ),
    mocked(SDK + "sfn:describeExecution"),
    PARALLEL,
    INLINE,
    distributed(ToleratedFailurePercentagePath="$.a", ItemSelector={"v.$": "$.b"}),
    distributed(ItemReader=READER),
]
MOCKS = (
    st.none()
    | VALUES.map(lambda value: {"result": json.dumps(value)})
    | st.just({"errorOutput": {"error": "E", "cause": "C"}})
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(STATES),
    VALUES,
    MOCKS,
    st.none() | VALUES,
    st.integers(0, 5),
    st.none() | st.text(max_size=5),
)
async def test_every_request_is_answered_or_refused(
    definition: Shape, input: Any, mock: Any, context: Any, count: int, data: str | None
) -> None:
    configuration: Shape = {"retrierRetryCount": count} | (
        {"mapIterationFailureCount": count} if mock else {}
    )
    configuration |= {} if data is None else {"mapItemReaderData": data}
    request = {} if context is None else {"context": json.dumps(context)}
    try:
        answer = await state(
            definition,
            input=json.dumps(input),
            mock=mock,
            role_arn=ROLE,
            inspection_level="DEBUG",
            state_configuration=configuration,
            **request,
        )
    except ApiError as error:
        assert error.code in ("ValidationException", "InvalidDefinition") and error.message
        return
    assert answer["status"] in ("SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR")
    assert ("output" in answer) == (answer["status"] in ("SUCCEEDED", "CAUGHT_ERROR"))
    details, known = answer["inspectionData"].get("errorDetails", {}), {"retryIndex"}
    needed = {
        "RETRIABLE": {"retryIndex", "retryBackoffIntervalSeconds"},
        "CAUGHT_ERROR": {"catchIndex"},
    }.get(answer["status"], set())
    assert (
        needed <= details.keys() <= needed | (known if answer["status"] != "SUCCEEDED" else set())
    )
    assert json.loads(answer["inspectionData"]["input"]) == input


REAL = [
    {"Type": "Pass", "InputPath": "$.a", "ResultPath": "$.b.c", "OutputPath": "$.b"},
    {"Type": "Pass", "Parameters": {"x.$": "States.Array($.a, $$.State.Name)"}},
    {"Type": "Pass", **JSONATA, "Output": "{% $states.input.a + 1 %}"},
    {"Type": "Wait", "SecondsPath": "$.a"},
    {"Type": "Succeed", "OutputPath": "$.a"},
    {"Type": "Fail", "ErrorPath": "$.a", "Cause": "C"},
    {
        "Type": "Task",
        "Resource": LAMBDA + "ok",
        "ResultSelector": {"x.$": "$.a"},
        "ResultPath": "$.b",
    },
    {"Type": "Task", "Resource": LAMBDA + "broken", "Parameters": {"x.$": "$.a"}},
    {
        "Type": "Task",
        "Resource": LAMBDA + "ok",
        **JSONATA,
        "Arguments": "{% $states.input.a %}",
        "Output": "{% $states.result & 'x' %}",
    },
]
INPUTS = (
    st.fixed_dictionaries(
        {"a": st.just(0) | st.text(max_size=3) | st.just({"a": [None]}), "b": VALUES}
    )
    | VALUES
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(REAL), INPUTS)
async def test_a_state_does_what_it_does_in_an_execution(definition: Shape, input: Any) -> None:
    seconds = (
        str(input.get("a")) if definition["Type"] == "Wait" and isinstance(input, dict) else ""
    )
    assume(not (seconds.isdigit() and int(seconds) > 0))  # it would wait so long
    ends = {} if definition["Type"] in ("Succeed", "Fail") else {"End": True}
    machine = {"StartAt": "StateName", "States": {"StateName": {**definition, **ends}}}
    async with engine() as running:
        arn = (await running.create_state_machine("m", json.dumps(machine), role_arn=ROLE))[
            "stateMachineArn"
        ]
        execution = await running.start_execution(arn, input=json.dumps(input))
        want = await running.wait(execution["executionArn"], timeout=60)
        got = await state(
            {**definition, **ends}, engine=running, role_arn=ROLE, input=json.dumps(input)
        )
    members = ("status", "output", "error", "cause")
    assert {name: got.get(name) for name in members} == {name: want.get(name) for name in members}
