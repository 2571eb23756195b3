"""The Context object ($$ and $states.context) in each kind of state, and the members of $states."""

from typing import Any

import pytest
from tests.engine.core.driver import (
    ACTIVITY,
    CALLBACK,
    INVOKE,
    PASS,
    PLAIN,
    START_MS,
    STARTED,
    SYNC,
    TASK,
    Fails,
    Silent,
    Taken,
    begin,
    catch,
    distributed,
    each,
    in_state,
    jsonata,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

from stepwell.engine.core.environment import read_token, token

EXECUTION = {
    "Id": "arn:aws:states:us-east-1:123456789012:execution:M:E",
    "Input": {"x": 1},
    "StartTime": STARTED,
    "Name": "E",
    "RoleArn": "arn:aws:iam::123456789012:role/R",
    "RedriveCount": 0,
}
STATE_MACHINE = {"Id": "arn:aws:states:us-east-1:123456789012:stateMachine:M", "Name": "M"}
WHOLE = {"c.$": "$$"}


def expected(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Execution": EXECUTION,
        "StateMachine": STATE_MACHINE,
        "State": {"Name": "S", "EnteredTime": STARTED, **state},
        **more,
    }


def test_pass_has_no_retry_count() -> None:
    assert run(only({**PASS, "Parameters": WHOLE}), {"x": 1}).output == {"c": expected({})}
    assert run(jsonata({**PASS, "Output": "{% $states.context %}"}), {"x": 1}).output == expected(
        {}
    )


def test_order_of_members() -> None:
    context = run(only({**PASS, "Parameters": WHOLE}), {"x": 1}).output["c"]
    assert list(context) == ["Execution", "StateMachine", "State"]
    assert list(context["Execution"]) == list(EXECUTION)


def test_task_parallel_and_map_have_a_retry_count() -> None:
    task = {**PLAIN, "Parameters": WHOLE}
    assert run(only(task), {"x": 1}).tasks == [("S", {"c": expected({"RetryCount": 0})})]
    assert run(only(parallel(machine("A", A=PASS), Parameters=WHOLE)), {"x": 1}).output == [
        {"c": expected({"RetryCount": 0})}
    ]
    selected = run(
        only(each(machine("A", A=PASS), ItemsPath="$.l", ItemSelector=WHOLE)), {"l": [5]}
    ).output
    assert selected[0]["c"]["State"] == {"Name": "S", "EnteredTime": STARTED, "RetryCount": 0}


def test_retry_count_counts_the_attempts_of_a_visit() -> None:
    task = {
        **PLAIN,
        "Parameters": {"n.$": "$$.State.RetryCount"},
        "ResultSelector": {"n.$": "$$.State.RetryCount"},
        "Retry": retry("A"),
    }
    task["Retry"] += retry("B")
    trace = run(only(task), S=(Fails("A"), Fails("B"), Fails("A"), {}))
    assert [payload["n"] for _, payload in trace.tasks] == [0, 1, 2, 3]
    assert trace.output == {"n": 3}


def test_entered_time_is_that_of_the_visit_not_of_the_attempt() -> None:
    states = machine(
        "W",
        W=wait(5, Next="S"),
        S={
            **PLAIN,
            "Parameters": {"t.$": "$$.State.EnteredTime"},
            "Retry": retry(IntervalSeconds=9),
        },
    )
    trace = run(states, S=(Fails("E"), 1))
    assert [payload["t"] for _, payload in trace.tasks] == ["2023-11-14T22:13:25.000Z"] * 2


def test_times_have_milliseconds() -> None:
    trace = run(only({**PASS, "Parameters": {"t.$": "$$.Execution.StartTime"}}), now=START_MS + 7)
    assert trace.output == {"t": "2023-11-14T22:13:20.007Z"}


@pytest.mark.parametrize("resource", [CALLBACK, SYNC])
def test_task_token(resource: str) -> None:
    parameters = {
        "QueueUrl": "q",
        "MessageBody.$": "$$.Task.Token",
        "StateMachineArn": "a",
        "Input.$": "$$.Task.Token",
    }
    trace = begin(
        only({"Type": "Task", "Resource": resource, "Parameters": parameters, "Retry": retry()}),
        S=(Fails("E"), Silent),
    )
    trace.run(until=1)
    first, second = (payload["MessageBody"] for _, payload in trace.tasks)
    frame = trace.frame("S")
    assert first != second == token(trace.x, frame.id, frame.seq)
    assert read_token(second) == (trace.x.id, frame.id, frame.seq)


@pytest.mark.parametrize("state", [PASS, TASK, PLAIN])
def test_no_token_elsewhere(state: dict[str, Any]) -> None:
    trace = run(only({**state, "Parameters": {"FunctionName": "f", "t.$": "$$.Task.Token"}}))
    assert trace.failure[0] == "States.Runtime"
    assert (
        "The JSONPath '$$.Task.Token' specified for the field 't.$' could not be found in "
        "the input '{"
    ) in str(trace.failure[1])


@pytest.mark.parametrize("text", ["", "x", "MTo=", "MToxOjE6MTph", "ä", "Mjox" * 9])
def test_texts_that_are_no_token(text: str) -> None:
    assert read_token(text) is None


def item(**paths: str) -> dict[str, Any]:
    return machine(
        "A", A={**PASS, "Parameters": {f"{name}.$": path for name, path in paths.items()}}
    )


def test_map_item() -> None:
    state = each(
        item(i="$$.Map.Item.Index", v="$$.Map.Item.Value", input="$"),
        ItemSelector={"s.$": "$$.Map.Item.Value"},
    )
    assert run(only(state), ["a", "b"]).output == [
        {"i": 0, "v": "a", "input": {"s": "a"}},
        {"i": 1, "v": "b", "input": {"s": "b"}},
    ]
    assert run(only({**PASS, "Parameters": {"x.$": "$$.Map"}})).failure[0] == "States.Runtime"


def test_map_item_of_the_innermost_map() -> None:
    inner = {
        **each(item(i="$$.Map.Item.Index", v="$$.Map.Item.Value")),
        "ItemSelector": {"v.$": "$$.Map.Item.Value"},
    }
    after = {**PASS, "Parameters": {"inner.$": "$", "outer.$": "$$.Map.Item.Index"}}
    outer = each(machine("M", M={**inner, "Next": "R"}, R=after))
    trace = run(only(outer), [["a"], ["b", "c"]])
    assert trace.output == [
        {"inner": [{"i": 0, "v": "a"}], "outer": 0},
        {"inner": [{"i": 0, "v": "b"}, {"i": 1, "v": "c"}], "outer": 1},
    ]


def test_map_item_is_seen_through_a_parallel() -> None:
    state = each(machine("P", P=parallel(item(i="$$.Map.Item.Index"))))
    assert run(only(state), [7, 8]).output == [[{"i": 0}], [{"i": 1}]]


def test_item_selector_of_a_map_run() -> None:
    whole = distributed(machine("A", A=PASS), ItemSelector={"m.$": "$$.Map"})
    assert run(only(whole), [5]).output == [
        {"m": {"Item": {"Index": 0, "Value": 5, "Source": "STATE_DATA"}}}
    ]
    keyed = run(only(whole), {"k": 5, "l": None}).output
    assert [each["m"]["Item"] for each in keyed] == [
        {"Index": 0, "Key": "k", "Value": 5, "Source": "STATE_DATA"},
        {"Index": 1, "Key": "l", "Value": None, "Source": "STATE_DATA"},
    ]
    assert (
        run(only(distributed(item(m="$$.Map"))), [5]).failure[0]
        == "States.ExceedToleratedFailureThreshold"
    )


def test_synchronous_express_has_no_redrive_count() -> None:
    state = only({**PASS, "Parameters": {"e.$": "$$.Execution"}})
    assert "RedriveCount" in run(state, express=True).output["e"]
    assert "RedriveCount" not in run(state, express=True, extras={"sync": True}).output["e"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$$.Execution.Input.x", 1),
        ("$$['StateMachine'].Name", "M"),
        ("$$..EnteredTime", [STARTED]),
        ("$$.State", {"Name": "S", "EnteredTime": STARTED}),
    ],
)
def test_paths_into_the_context(path: str, value: Any) -> None:
    assert run(only({**PASS, "Parameters": {"v.$": path}}), {"x": 1}).output == {"v": value}
    assert run(only({**PASS, "InputPath": path}), {"x": 1}).output == value


def test_missing_path_into_the_context_shows_the_context() -> None:
    error, cause = run(only({**PASS, "Parameters": {"v.$": "$$.no"}}), {"x": 1}).failure
    shown = (
        '{"Execution":{"Id":"arn:aws:states:us-east-1:123456789012:execution:M:E","Input":{"x":1},'
    )
    assert error == "States.Runtime"
    assert str(cause).startswith(
        in_state(
            "The JSONPath '$$.no' specified for the field 'v.$' could not be found in the "
            f"input '{shown}"
        )
    )


# --- $states --------------------------------------------------------------------------------------
MEMBERS = "{% [$exists($states.input), $exists($states.context)] %}"


def test_states_members() -> None:
    task = {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {"FunctionName": "f", "m": MEMBERS},
        "Output": "{% $keys($states) %}",
    }
    trace = run(
        jsonata(
            {
                **task,
                "Assign": {"k": "{% $keys($states) %}"},
                "Catch": catch(Output="{% $keys($states) %}"),
            },
            C=PASS,
        ),
        S=1,
    )
    assert trace.tasks[0][1]["m"] == [True, True]
    assert set(trace.output) == {"input", "context", "result"}
    assert set(run(jsonata({**PASS, "Output": "{% $keys($states) %}"})).output) == {
        "input",
        "context",
    }
    caught = run(
        jsonata({**task, "Catch": catch(Output="{% $keys($states) %}")}, C=PASS), S=Fails("E")
    )
    assert set(caught.output) == {"input", "context", "errorOutput"}


def test_input_of_states_is_the_raw_input_everywhere() -> None:
    state = parallel(
        machine("A", A={**PASS, "Output": "{% $states.input.arg %}"}),
        Arguments={"arg": 1},
        Output=["{% $states.input.x %}", "{% $states.result %}"],
    )
    assert run(jsonata(state), {"x": "raw"}).output == ["raw", [1]]


def test_activity_gets_its_token_from_the_queue() -> None:
    trace = run(only({"Type": "Task", "Resource": ACTIVITY}), {"x": 1}, S=Taken("w", 2))
    assert trace.tasks == [("S", {"x": 1})]
    assert trace.output == 2
