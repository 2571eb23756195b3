"""lint() answers for any definition, within bounds."""

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.asl.test_fuzz_definitions import MACHINES, mutated

from stepwell.asl.lint import lint

VALID = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(MACHINES), st.randoms(use_true_random=False), st.integers(0, 4))
def test_rules_answer_for_any_definition(
    machine: dict[str, Any], source: random.Random, changes: int
) -> None:
    """A definition with placeholders may have any form while its sample is valid."""
    text = json.dumps(mutated(machine, source, changes))
    lint(text, sample=VALID)
    lint(text)


def row(states: list[dict[str, Any]]) -> dict[str, Any]:
    last = len(states) - 1
    following = [{"Next": f"S{i + 1}"} if i < last else {"End": True} for i in range(len(states))]
    named = {
        f"S{i}": {**state, **next_}
        for i, (state, next_) in enumerate(zip(states, following, strict=True))
    }
    return {"StartAt": "S0", "States": named}


TRIPLES = {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$", "c.$": "$"}}
GREATER = [{"Variable": "$.n", "NumericGreaterThan": 4000 - i, "Next": "D"} for i in range(600)]
LARGE = {f"k{i}": {"a": {"b": [i] * 9}} for i in range(1000)}
HEAVY = {
    "values that triple": row([TRIPLES] * 100),
    "a large constant": row([{"Type": "Pass", "Result": LARGE}, *[{"Type": "Pass"}] * 500]),
    "many rules": {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": GREATER, "Default": "D"},
            "D": {"Type": "Succeed"},
        },
    },
}


@pytest.mark.parametrize("definition", HEAVY.values(), ids=HEAVY)
def test_work_is_bounded(definition: dict[str, Any]) -> None:
    before = time.process_time()
    lint(json.dumps(definition))
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ({"NumericGreaterThan": 5}, {"NumericGreaterThan": 6}, True),
        ({"NumericGreaterThan": 5}, {"NumericGreaterThan": 4}, False),
        ({"NumericGreaterThanEquals": 5}, {"NumericEquals": 5}, True),
        ({"NumericGreaterThan": 5}, {"NumericEquals": 5}, False),
        ({"StringLessThan": "b"}, {"StringEquals": "a"}, True),
        ({"StringLessThan": "b"}, {"StringLessThan": "bb"}, False),
        ({"StringMatches": "a*"}, {"StringEquals": "abc"}, True),
        ({"StringMatches": "a*"}, {"StringMatches": "ab*"}, False),
        ({"StringMatches": "a*"}, {"StringEquals": "b"}, False),
        ({"TimestampLessThan": "2024-01-02T00:00:00Z"}, {"TimestampEquals": "2024-01-01T00:00:00Z"},
         True),
        ({"TimestampLessThan": "2024-01-02T00:00:00Z"}, {"StringEquals": "2024-01-01T00:00:00Z"},
         False),  # true, but texts and times are not compared
        ({"IsNumeric": True}, {"NumericLessThan": 3}, True),
        ({"IsString": True}, {"NumericLessThan": 3}, False),
        ({"IsPresent": True}, {"StringEquals": "x"}, True),
        ({"IsNull": True}, {"IsPresent": True}, False),
        ({"BooleanEquals": True}, {"BooleanEquals": False}, False),
        ({"StringEqualsPath": "$.b"}, {"StringEquals": "x"}, False),
    ],
)  # fmt: skip
def test_what_a_rule_takes(earlier: dict[str, Any], later: dict[str, Any], shadowed: bool) -> None:
    rules = [{"Variable": "$.a", **each, "Next": "D"} for each in (earlier, later)]
    states = {
        "C": {"Type": "Choice", "Choices": rules, "Default": "D"},
        "D": {"Type": "Succeed"},
    }
    codes = [each.code for each in lint(json.dumps({"StartAt": "C", "States": states}))]
    assert ("W001" in codes) is shadowed


@pytest.mark.parametrize(
    ("conditions", "codes"),
    [
        (["$states.input.n > 5", "$states.input.n > 10"], ["W001"]),
        (["$states.input.n > 10", "$states.input.n > 5"], []),
        (["$states.input.n < 0 and $states.input.n > 9"], ["W002"]),
        (["$states.input.n >= 1 and $states.input.n < 9", "$states.input.n = 2"], ["W001"]),
        (["5 < $states.input.n", "$states.input.n = 6"], ["W001"]),
        (["$states.input.s != 'a'", "$states.input.s = 'b'"], ["W001"]),
        (["$not($states.input.s = 'a')", "$states.input.s = 'a'"], []),
        (["$states.input.s = 'a' or $states.input.s = 'b'", "$states.input.s = 'b'"], ["W001"]),
        (["$states.input.a.s = 'a'", "$states.input.b.s = 'a'"], []),
        (["$states.input.ok = true", "$states.input.ok = false"], []),
        (["$count($states.input.l) > 5", "$count($states.input.l) > 9"], []),  # not known
        (["$states.input.l[0] = 5", "$states.input.l[0] = 5 and $states.input.n = 1"], []),
    ],
)
def test_what_a_condition_takes(conditions: list[str], codes: list[str]) -> None:
    rules = [{"Condition": f"{{% {each} %}}", "Next": "D"} for each in conditions]
    states = {
        "C": {"Type": "Choice", "Choices": rules, "Default": "D"},
        "D": {"Type": "Succeed"},
    }
    machine = {"QueryLanguage": "JSONata", "StartAt": "C", "States": states}
    found = lint(json.dumps(machine))
    assert [each.code for each in found if each.code in ("W001", "W002")] == codes


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Result": {"InputPath": "$.detail", "jsonPointer": "$.a"}},
        {"Type": "Pass", "Parameters": {"ItemsPath": "$.detail"}},
        {"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"path": "$.detail"}},
    ],
)
def test_a_member_may_be_a_path_by_purpose(state: dict[str, Any]) -> None:
    definition = json.dumps(row([state]))
    assert [each for each in lint(definition) if each.code.startswith("W")] == []


def test_a_variable_may_have_the_name_of_a_function() -> None:
    read = {"Type": "Pass", "Output": "{% $count + 1 %}"}
    definition = row([{"Type": "Pass", "Assign": {"count": 1}}, read])
    found = lint(json.dumps({"QueryLanguage": "JSONata", **definition}))
    assert "N403" not in {each.code for each in found}


READ = {"Type": "Pass", "InputPath": "$n", "End": True}
ASSIGN = {"Type": "Pass", "Assign": {"n": 1}, "Next": "M"}


def unassigned(states: dict[str, Any]) -> str:
    machine = {"StartAt": next(iter(states)), "States": states}
    (found,) = [each for each in lint(json.dumps(machine)) if each.code == "E402"]
    return found.message


def test_why_a_variable_has_no_value() -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    inner = {"StartAt": "R", "States": {"R": READ}}
    each = {"Type": "Map", "ItemProcessor": {**inner, "ProcessorConfig": config}, "End": True}
    assert "Pass the value in ItemSelector" in unassigned({"A": ASSIGN, "M": each})
    block = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"n": 1}, "End": True}}}
    both = {"P": {"Type": "Parallel", "Branches": [block], "Next": "R"}, "R": READ}
    assert "'A' assigns it in another scope" in unassigned(both)
    assert "'S' itself assigns it" in unassigned({"S": {**READ, "Assign": {"n": 1}}})


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        ({"Parameters": {"FunctionName": "f", "Payload": {"id.$": "$.id"}}}, True),
        (
            {"Parameters": {"FunctionName": "f", "Payload": {"n.$": "States.MathAdd($n[0], 1)"}}},
            True,
        ),
        ({"Parameters": {"FunctionName": "f"}, "OutputPath": "$.Payload"}, True),
        ({"Parameters": {"FunctionName": "f", "Payload.$": "$"}}, False),
        ({"Parameters": {"FunctionName": "f", "Payload": {"id.$": "$$.Execution.Id"}}}, False),
        ({"Parameters": {"FunctionName": "f", "Payload": {"id": "$.id"}}}, False),
        ({"Parameters": {"FunctionName": "f"}, "InputPath": "$", "OutputPath": None}, False),
    ],
)
def test_which_paths_may_find_nothing(fields: dict[str, Any], noted: bool) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F"}],
        **fields,
    }
    first = {"Type": "Pass", "Assign": {"n": [1]}, "Next": "T"}
    states = {"P": first, "T": {**task, "End": True}, "F": {"Type": "Fail"}}
    codes = [each.code for each in lint(json.dumps({"StartAt": "P", "States": states}))]
    assert ("N205" in codes) is noted


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("{% $uuid %}", True),
        ("{% {'at': $now, 'n': 1} %}", True),
        ("{% [1, $sum] %}", True),
        ("{% ($f := function($x){$x}; {'f': $f}) %}", True),
        ("{% $map($states.input.l, $string) %}", False),
        ("{% $reduce($states.input.l, $append) %}", False),
        ("{% $map($states.input.l, function($now){{'at': $now}}) %}", False),
        ("{% ($sum := 1; [$sum]) %}", False),
        ("{% {'total': $total} %}", False),
        ("{% $count %}", False),
    ],
)
def test_functions_that_are_not_called(output: str, found: bool) -> None:
    first = {"Type": "Pass", "Assign": {"total": 1, "count": 2}, "Next": "S"}
    states = {"P": first, "S": {"Type": "Pass", "Output": output, "End": True}}
    machine = {"QueryLanguage": "JSONata", "StartAt": "P", "States": states}
    codes = [each.code for each in lint(json.dumps(machine))]
    assert ("W419" in codes) is found
