"""Choice: the order of rules, every operator, paths without a result, JSONata conditions."""

from typing import Any

import pytest
from tests.engine.core.driver import PASS, catch, each, in_state, lines, machine, parallel, run

YES, NO = {**PASS, "Result": "yes"}, {**PASS, "Result": "no"}


def choose(
    *rules: dict[str, Any], default: str | None = "N", language: str | None = None, **fields: Any
) -> dict[str, Any]:
    state = {"Type": "Choice", "Choices": [{"Next": "Y", **rule} for rule in rules], **fields}
    if default is not None:
        state["Default"] = default
    result = (
        {"Y": {**PASS, "Output": "yes"}, "N": {**PASS, "Output": "no"}}
        if language
        else {"Y": YES, "N": NO}
    )
    if default is None:
        del result["N"]
    return machine("C", language, C=state, **result)


def holds(rule: dict[str, Any], value: Any) -> bool:
    return bool(run(choose(rule), value).output == "yes")


def test_history() -> None:
    trace = run(
        choose({"Variable": "$.x", "NumericEquals": 1}, InputPath="$.in", OutputPath="$.x"),
        {"in": {"x": 1}},
    )
    assert trace.lines == lines("""
        1<0 ExecutionStarted {"in":{"x":1}}
        2<0 ChoiceStateEntered C {"in":{"x":1}}
        3<2 ChoiceStateExited C 1
        4<3 PassStateEntered Y 1
        5<4 PassStateExited Y "yes"
        6<5 ExecutionSucceeded "yes"
    """)


def test_first_rule_that_holds_wins() -> None:
    rules = [
        {"Variable": "$", "NumericGreaterThan": limit, "Next": name}
        for limit, name in ((10, "A"), (5, "B"), (0, "C2"))
    ]
    states = {name: {**PASS, "Result": name} for name in ("A", "B", "C2", "D")}
    definition = machine("C", C={"Type": "Choice", "Choices": rules, "Default": "D"}, **states)
    assert [run(definition, value).output for value in (11, 10, 5, 0)] == ["A", "B", "C2", "D"]


@pytest.mark.parametrize(
    ("operator", "operand", "true", "false"),
    [
        ("StringEquals", "b", ["b"], ["B", "a", 1, None]),
        ("StringLessThan", "b", ["a", "B", ""], ["b", "c", 0]),
        ("StringGreaterThan", "b", ["c", "ba"], ["b", "a", 9]),
        ("StringLessThanEquals", "b", ["a", "b"], ["c"]),
        ("StringGreaterThanEquals", "b", ["c", "b"], ["a"]),
        ("StringMatches", "a*c\\*", ["ac*", "abbc*"], ["abc", "xac*", 1]),
        ("NumericEquals", 1, [1, 1.0], [2, "1", True, None]),
        ("NumericLessThan", 1, [0.5, -1], [1, "0"]),
        ("NumericGreaterThan", 1, [1.5], [1, True]),
        ("NumericLessThanEquals", 1, [1, 0], [1.1]),
        ("NumericGreaterThanEquals", 1, [1, 2], [0.9]),
        ("BooleanEquals", True, [True], [False, 1, "true"]),
        (
            "TimestampEquals",
            "2024-01-01T00:00:00Z",
            ["2024-01-01T01:00:00+01:00"],
            ["2024-01-01T00:00:01Z", "x", 1],
        ),
        (
            "TimestampLessThan",
            "2024-01-01T00:00:00Z",
            ["2023-12-31T23:59:59.9Z"],
            ["2024-01-01T00:00:00Z"],
        ),
        (
            "TimestampGreaterThan",
            "2024-01-01T00:00:00Z",
            ["2024-01-01T00:00:00.001Z"],
            ["2024-01-01T00:00:00Z"],
        ),
        (
            "TimestampLessThanEquals",
            "2024-01-01T00:00:00Z",
            ["2024-01-01T00:00:00Z"],
            ["2025-01-01T00:00:00Z"],
        ),
        (
            "TimestampGreaterThanEquals",
            "2024-01-01T00:00:00Z",
            ["2024-01-01T00:00:00Z"],
            ["2023-01-01T00:00:00Z"],
        ),
        ("IsNull", True, [None], [0, "", False]),
        ("IsString", True, [""], [0, None]),
        ("IsNumeric", True, [0, 0.5], ["0", True]),
        ("IsBoolean", True, [False], [0]),
        ("IsTimestamp", True, ["2024-01-01T00:00:00Z"], ["2024-01-01", 1]),
    ],
)
def test_operators(operator: str, operand: Any, true: list[Any], false: list[Any]) -> None:
    rule = {"Variable": "$.v", operator: operand}
    assert [holds(rule, {"v": value}) for value in true] == [True] * len(true)
    assert [holds(rule, {"v": value}) for value in false] == [False] * len(false)
    if operator.startswith("Is"):
        opposite = {"Variable": "$.v", operator: False}
        assert [holds(opposite, {"v": value}) for value in true + false] == [False] * len(true) + [
            True
        ] * len(false)
    elif operator != "StringMatches":
        twin = {"Variable": "$.v", operator + "Path": "$.o"}
        assert [holds(twin, {"v": value, "o": operand}) for value in true + false] == [True] * len(
            true
        ) + [False] * len(false)
        assert not holds(twin, {"v": true[0], "o": []})


def test_presence() -> None:
    there, absent = (
        {"Variable": "$.a.b", "IsPresent": True},
        {"Variable": "$.a.b", "IsPresent": False},
    )
    for value, present in (
        ({"a": {"b": None}}, True),
        ({"a": {}}, False),
        ({}, False),
        ({"a": 1}, False),
        ([], False),
    ):
        assert holds(there, value) is present
        assert holds(absent, value) is not present


def test_logic_stops_as_soon_as_the_result_is_certain() -> None:
    missing, one = {"Variable": "$.no", "IsNull": True}, {"Variable": "$.x", "NumericEquals": 1}
    assert holds({"Or": [one, missing]}, {"x": 1})
    assert not holds({"And": [{"Not": one}, missing]}, {"x": 1})
    assert holds(
        {"And": [{"Variable": "$.no", "IsPresent": False}, {"Not": {"Or": [{"Not": one}]}}]},
        {"x": 1},
    )
    assert run(choose({"Or": [missing, one]}), {"x": 1}).failure[0] == "States.Runtime"


@pytest.mark.parametrize(
    "rule",
    [{"Variable": "$.no", "NumericEquals": 1}, {"Variable": "$.x", "NumericEqualsPath": "$.no"}],
)
def test_missing_variable(rule: dict[str, Any]) -> None:
    trace = run(choose(rule), {"x": 1})
    cause = in_state(
        "Invalid path '$.no': The choice state's condition path references an invalid value.", "C"
    )
    assert trace.lines[2:] == [f"3<2 ExecutionFailed error=States.Runtime cause={cause}"]


def test_variable_of_any_root() -> None:
    assert holds({"Variable": "$$.State.Name", "StringEquals": "C"}, {})
    assert holds({"Variable": "$.x", "StringEqualsPath": "$$.Execution.Name"}, {"x": "E"})
    assert holds({"Variable": "$.l[-1]", "NumericEquals": 3}, {"l": [1, 2, 3]})


NO_MATCH = "Failed to transition out of the state. The state does not point to a next state."


def test_no_match() -> None:
    trace = run(choose({"Variable": "$.x", "NumericEquals": 1}, default=None), {"x": 2})
    assert trace.lines[2:] == [
        f"3<2 ExecutionFailed error=States.Runtime cause={in_state(NO_MATCH, 'C')}"
    ]


@pytest.mark.parametrize("around", [parallel, each])
def test_no_match_is_not_caught(around: Any) -> None:
    inner = choose({"Variable": "$", "IsNull": True}, default=None)
    trace = run(machine("S", S={**around(inner), "Catch": catch(next="D")}, D=PASS), [1])
    assert trace.failure[0] == "States.Runtime"
    assert trace.lines[-2].split()[1] == "ChoiceStateEntered"


# --- JSONata --------------------------------------------------------------------------------------
def test_conditions() -> None:
    assert (
        run(choose({"Condition": "{% $states.input.x > 1 %}"}, language="JSONata"), {"x": 2}).output
        == "yes"
    )
    assert (
        run(choose({"Condition": "{% $states.input.x > 1 %}"}, language="JSONata"), {"x": 1}).output
        == "no"
    )
    assert run(choose({"Condition": True}, language="JSONata")).output == "yes"
    assert run(choose({"Condition": False}, language="JSONata")).output == "no"
    assert run(choose({"Condition": False}, default=None, language="JSONata")).failure == (
        "States.Runtime",
        in_state(NO_MATCH, "C"),
    )


def test_condition_that_is_no_boolean() -> None:
    trace = run(choose({"Condition": "{% $states.input.x %}"}, language="JSONata"), {"x": 2})
    text = (
        "The JSONata expression '$states.input.x' specified for the field 'Condition' returned "
        "an unexpected result type. "
    )
    cause = in_state(text + "Expected 'boolean', but was 'number' for value: 2", "C")
    assert trace.lines[2:] == [
        (
            f"3<0 EvaluationFailed error=States.QueryEvaluationError cause={cause} "
            "location=Condition C"
        ),
        f"4<3 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]
