"""From the state input to the output, stage by stage, for each kind of state that has the stage.

JSONPath: InputPath, Parameters, work, ResultSelector, ResultPath (into the RAW input), OutputPath.
JSONata: Arguments, work, Output.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    PLAIN,
    TASK,
    Fails,
    catch,
    distributed,
    each,
    in_state,
    jsonata,
    machine,
    only,
    parallel,
    run,
    wait,
)

INPUT = {"a": {"b": 1}, "list": [10, 20, 30], "text": "t"}
RAW = dict(INPUT)


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, INPUT),
        ({"InputPath": "$.a"}, {"b": 1}),
        ({"InputPath": None}, {}),
        ({"InputPath": "$$.State.Name"}, "S"),
        ({"InputPath": "$.list[*]"}, [10, 20, 30]),
        ({"InputPath": "$.list[-1]"}, 30),
        ({"InputPath": "$..b"}, [1]),
        ({"InputPath": "$.list[?(@ > 10)]"}, [20, 30]),
        ({"OutputPath": "$.a.b"}, 1),
        ({"OutputPath": None}, {}),
        ({"OutputPath": "$$.State.Name"}, "S"),
        ({"InputPath": "$.a", "OutputPath": "$.b"}, 1),
        (
            {"Parameters": {"x.$": "$.a.b", "y": [1, {"z.$": "$.text"}], "$": "$.a"}},
            {"x": 1, "y": [1, {"z": "t"}], "$": "$.a"},
        ),
        (
            {
                "InputPath": "$.a",
                "Parameters": {"x.$": "$.b", "whole.$": "$$.Execution.Input.text"},
            },
            {"x": 1, "whole": "t"},
        ),
        ({"Parameters": None}, None),
        ({"Parameters": 7}, 7),
        ({"Result": 5, "ResultPath": "$.r"}, {**RAW, "r": 5}),
        ({"InputPath": "$.a", "ResultPath": "$.copy"}, {**RAW, "copy": {"b": 1}}),
        ({"Result": 5, "ResultPath": None}, RAW),
        ({"Result": 5, "ResultPath": "$.a"}, {**RAW, "a": 5}),
        ({"Result": 5, "ResultPath": "$.a.c.d"}, {**RAW, "a": {"b": 1, "c": {"d": 5}}}),
        ({"Result": 5, "ResultPath": "$.list[1]"}, {**RAW, "list": [10, 5, 30]}),
        ({"Result": 5, "ResultPath": "$['new name']"}, {**RAW, "new name": 5}),
        ({"Result": 5, "ResultPath": "$.r", "OutputPath": "$.r"}, 5),
        ({"Result": 5, "ResultPath": None, "OutputPath": "$.a"}, {"b": 1}),
    ],
    ids=str,
)
def test_pass(fields: dict[str, Any], output: Any) -> None:
    assert run(only({**PASS, **fields}), INPUT).output == output


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, {"r": [1, 2]}),
        ({"ResultSelector": {"first.$": "$.r[0]"}}, {"first": 1}),
        (
            {"ResultSelector": {"x.$": "$..r", "c.$": "$$.State.Name", "k": 0}},
            {"x": [[1, 2]], "c": "S", "k": 0},
        ),
        (
            {"ResultSelector": {"n.$": "States.ArrayLength($.r)"}, "ResultPath": "$.n"},
            {**RAW, "n": {"n": 2}},
        ),
        ({"ResultPath": "$.t", "OutputPath": "$.t.r[1]"}, 2),
        ({"ResultPath": None}, RAW),
        ({"ResultPath": None, "OutputPath": None}, {}),
        ({"InputPath": "$.a", "ResultPath": "$.t"}, {**RAW, "t": {"r": [1, 2]}}),
        ({"ResultSelector": None}, None),
    ],
    ids=str,
)
def test_task_result(fields: dict[str, Any], output: Any) -> None:
    trace = run(only({**PLAIN, **fields}), INPUT, S={"r": [1, 2]})
    assert trace.output == output


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({}, INPUT),
        ({"InputPath": "$.a"}, {"b": 1}),
        ({"InputPath": None}, {}),
        ({"Parameters": {"x.$": "$.text"}}, {"x": "t"}),
        ({"InputPath": "$.a", "Parameters": {"x.$": "$.b"}}, {"x": 1}),
    ],
    ids=str,
)
def test_task_payload(fields: dict[str, Any], payload: Any) -> None:
    assert run(only({**PLAIN, **fields}), INPUT).tasks == [("S", payload)]


def test_parallel() -> None:
    branches = machine("A", A=PASS), machine("B", B={**PASS, "Result": 2})
    assert run(only(parallel(*branches)), INPUT).output == [INPUT, 2]
    assert run(
        only(parallel(*branches, InputPath="$.a", Parameters={"x.$": "$.b"})), INPUT
    ).output == [{"x": 1}, 2]
    shaped = parallel(*branches, ResultSelector={"b.$": "$[1]"}, ResultPath="$.p", OutputPath="$.p")
    assert run(only(shaped), INPUT).output == {"b": 2}
    assert run(only(parallel(*branches, ResultPath=None)), INPUT).output == INPUT


@pytest.mark.parametrize("kind", [each, distributed])
def test_map(kind: Any) -> None:
    item = machine("A", A=PASS)
    assert run(only(kind(item)), [1, 2]).output == [1, 2]
    assert run(only(kind(item, ItemsPath="$.list")), INPUT).output == [10, 20, 30]
    assert run(only(kind(item, InputPath="$.a", ItemsPath="$.l")), {"a": {"l": [3]}}).output == [3]
    assert run(only(kind(item, ItemsPath="$$.Execution.Input.list")), INPUT).output == [10, 20, 30]
    selected = kind(
        item,
        ItemsPath="$.list",
        ItemSelector={
            "v.$": "$$.Map.Item.Value",
            "i.$": "$$.Map.Item.Index",
            "t.$": "$.text",
            "k": 1,
        },
        ResultSelector={"last.$": "$[2]"},
        ResultPath="$.m",
        OutputPath="$.m.last",
    )
    assert run(only(selected), INPUT).output == {"v": 30, "i": 2, "t": "t", "k": 1}


def test_item_selector_reads_the_effective_input() -> None:
    state = each(
        machine("A", A=PASS), InputPath="$.a", ItemsPath="$.l", ItemSelector={"x.$": "$.k"}
    )
    assert run(only(state), {"a": {"l": [1, 2], "k": "eff"}, "k": "raw"}).output == [
        {"x": "eff"},
        {"x": "eff"},
    ]


def test_wait_choice_and_succeed() -> None:
    paths = {"InputPath": "$.a", "OutputPath": "$.b"}
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.b", "NumericEquals": 1, "Next": "E"}],
        **paths,
    }
    assert run(only(wait(1, **paths)), INPUT).output == 1
    assert run(only({"Type": "Succeed", **paths}), INPUT).output == 1
    assert run(only(choice, E=PASS), INPUT).output == 1


@pytest.mark.parametrize(
    ("state", "output"),
    [
        ({**PASS, "InputPath": "$.none"}, "Invalid path '$.none' : No results for path: $['none']"),
        (
            {**PASS, "OutputPath": "$.none"},
            "Invalid path '$.none' : No results for path: $['none']",
        ),
        (
            {**PASS, "InputPath": "$.no.such"},
            "Invalid path '$.no.such' : Missing property in path $['no']",
        ),
        (
            {**PASS, "Parameters": {"deep": [{"x.$": "$.none"}]}},
            (
                "The JSONPath '$.none' specified for the field 'x.$' could not be found in the "
                "input '{\"a\":1}'"
            ),
        ),
    ],
)
def test_missing_paths(state: dict[str, Any], output: str) -> None:
    trace = run(only(state), {"a": 1})
    assert trace.failure == ("States.Runtime", in_state(output))
    assert [line.split()[1] for line in trace.lines[1:]] == ["PassStateEntered", "ExecutionFailed"]


@pytest.mark.parametrize("path", ["$.text.x", "$.a[0]", "$.list.x", "$.list[3]", "$.a.b.c"])
def test_result_path_that_does_not_fit(path: str) -> None:
    trace = run(only({**TASK, "ResultPath": path}), INPUT, S=1)
    assert trace.failure[0] == "States.ResultPathMatchFailure"
    assert f"Unable to apply ReferencePath {path} to input " in str(trace.failure[1])
    assert trace.lines[-1].startswith("6<5 ExecutionFailed error=States.ResultPathMatchFailure")
    caught = run(
        only({**TASK, "ResultPath": path, "Catch": catch("States.ResultPathMatchFailure")}, C=PASS),
        INPUT,
        S=1,
    )
    assert caught.lines[5].startswith("6<5 TaskStateExited S")


@pytest.mark.parametrize(
    ("catcher", "output"),
    [
        ({}, {"Error": "E", "Cause": "why"}),
        ({"ResultPath": "$.e"}, {**RAW, "e": {"Error": "E", "Cause": "why"}}),
        ({"ResultPath": "$.a.e"}, {**RAW, "a": {"b": 1, "e": {"Error": "E", "Cause": "why"}}}),
        ({"ResultPath": None}, RAW),
    ],
)
@pytest.mark.parametrize("kind", ["task", "parallel", "map"])
def test_catch(kind: str, catcher: dict[str, Any], output: Any) -> None:
    """The Error Output goes into the raw input by the catcher's own ResultPath; the state's other
    paths do not apply.
    """
    inner = machine("T", T=PLAIN)
    state = {"task": PLAIN, "parallel": parallel(inner), "map": each(inner, ItemsPath="$.list")}[
        kind
    ]
    others = {"ResultSelector": {"x.$": "$.no"}, "ResultPath": "$.no", "OutputPath": "$.no.such"}
    trace = run(
        machine("S", S={**state, **others, "Catch": catch("E", **catcher)}, C=PASS),
        INPUT,
        S=Fails("E", "why"),
        T=Fails("E", "why"),
    )
    assert trace.output == output


@pytest.mark.parametrize(
    ("failure", "caught"),
    [
        (Fails(), {"Error": None, "Cause": None}),
        (Fails("E"), {"Error": "E", "Cause": None}),
        (Fails(None, "why"), {"Error": None, "Cause": "why"}),
        (Fails("States.Timeout"), {"Error": "States.Timeout", "Cause": ""}),
    ],
)
def test_error_output_without_error_or_cause(failure: Fails, caught: dict[str, Any]) -> None:
    assert run(only({**TASK, "Catch": catch()}, C=PASS), S=failure).output == caught


# --- JSONata --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("state", "output"),
    [
        (PASS, INPUT),
        ({**PASS, "Output": "{% $states.input.a.b + 1 %}"}, 2),
        (
            {**PASS, "Output": {"x": ["{% $states.input.text %}", "plain", " {% 1 %}"]}},
            {"x": ["t", "plain", " {% 1 %}"]},
        ),
        ({"Type": "Task", "Resource": PLAIN["Resource"]}, {"r": 1}),
        ({"Type": "Task", "Resource": PLAIN["Resource"], "Output": "{% $states.result.r %}"}, 1),
        (
            {"Type": "Task", "Resource": PLAIN["Resource"], "Output": "{% $states.input.text %}"},
            "t",
        ),
        (wait(0, Output="{% $states.input.a %}"), {"b": 1}),
        (wait(0), INPUT),
        ({"Type": "Succeed", "Output": "{% $states.context.State.Name %}"}, "S"),
        (parallel(machine("A", A=PASS), Arguments="{% $states.input.a %}"), [{"b": 1}]),
        (parallel(machine("A", A=PASS), Output="{% $states.result[0].text %}"), "t"),
        (
            each(
                machine("A", A=PASS),
                Items="{% $states.input.list %}",
                Output="{% $sum($states.result) %}",
            ),
            60,
        ),
        (each(machine("A", A=PASS), Items=[1, "{% $states.input.text %}"]), [1, "t"]),
        (
            each(
                machine("A", A=PASS),
                Items="{% $states.input.list %}",
                ItemSelector={"v": "{% $states.context.Map.Item.Value %}"},
            ),
            [{"v": 10}, {"v": 20}, {"v": 30}],
        ),
    ],
    ids=lambda value: value["Type"] if isinstance(value, dict) and "Type" in value else None,
)
def test_jsonata(state: dict[str, Any], output: Any) -> None:
    assert run(jsonata(state), INPUT, S={"r": 1}).output == output


def test_jsonata_arguments() -> None:
    state = {
        "Type": "Task",
        "Resource": PLAIN["Resource"],
        "Arguments": {"x": "{% $states.input.a.b %}", "y": [1]},
    }
    assert run(jsonata(state), INPUT).tasks == [("S", {"x": 1, "y": [1]})]
    assert run(jsonata({**state, "Arguments": "{% $states.input.a %}"}), INPUT).tasks == [
        ("S", {"b": 1})
    ]


def test_jsonata_catch() -> None:
    state = {"Type": "Task", "Resource": PLAIN["Resource"], "Output": "{% $no %}"}
    answers: dict[str, Any] = {"S": Fails("E", "why")}
    assert run(jsonata({**state, "Catch": catch("E")}, C=PASS), INPUT, **answers).output == {
        "Error": "E",
        "Cause": "why",
    }
    both = {"e": "{% $states.errorOutput.Error %}", "i": "{% $states.input.text %}"}
    assert run(
        jsonata({**state, "Catch": catch("E", Output=both)}, C=PASS), INPUT, **answers
    ).output == {"e": "E", "i": "t"}


def test_mixed_languages() -> None:
    definition = machine(
        "A",
        A={**PASS, "Parameters": {"x.$": "$.list[0]"}, "Next": "B"},
        B={
            **PASS,
            "QueryLanguage": "JSONata",
            "Output": {"y": "{% $states.input.x + 1 %}"},
            "Next": "C",
        },
        C={**PASS, "OutputPath": "$.y"},
    )
    assert run(definition, INPUT).output == 11
