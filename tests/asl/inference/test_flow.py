"""The abstract interpretation covers every execution: of generated machines, each value that the
reference interpreter sees is in its Shape.
"""

import contextlib
import json
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.asl.evaluation import MISSING
from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.flow import infer
from stepwell.asl.inference.machine import Machine
from stepwell.asl.inference.shapes import Shape
from stepwell.asl.lint import lint
from stepwell.conformance.generate import case_of, cases
from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.oracle import UndeterminedError
from stepwell.conformance.run.case import EXPRESS, Case


def contains(shape: Shape, value: Any) -> bool:
    kind = next(iter(s.of(value).kinds))
    if kind not in shape.kinds:
        return False
    if kind == s.OBJECT:
        known = all(
            contains(member, value[name]) if name in value else s.LACK in member.kinds
            for name, member in shape.members.items()
        )
        return known and (shape.open or value.keys() <= shape.members.keys())
    if kind == s.ARRAY:
        fits = shape.length is None or shape.length == len(value)
        return fits and (shape.items is None or all(contains(shape.items, v) for v in value))
    return shape.value is MISSING or bool(shape.value == value)


def check(case: Case, shape: Shape) -> None:
    """Every state that is entered, and the output, is in its Shape."""
    facts = infer(Machine(case.definition, case.kind == EXPRESS), shape)
    block = next(iter(facts.outputs), None)
    for outcome in expected(case):
        for event in outcome.events:
            if event.type.endswith("StateEntered"):
                name, value = event.details["name"], event.details["input"]
                assert contains(facts.inputs.get(name, s.NOTHING), value), name
        if outcome.status == "SUCCEEDED":
            outputs = [each for part, each in facts.outputs.items() if part.owner is None]
            assert block is not None and contains(outputs[0], outcome.output)


SHAPES = {"any": lambda value: s.ANY, "the input": s.of, "inputs like it": s.like}


@settings(max_examples=50)
@given(cases(), st.sampled_from(list(SHAPES)))
def test_what_flows_in_an_execution_is_in_its_shape(case: Case, known: str) -> None:
    with contextlib.suppress(UndeterminedError):
        check(case, SHAPES[known](case.input))


@settings(max_examples=25)
@given(cases(), st.randoms(use_true_random=False))
def test_placeholders_may_be_anywhere(case: Case, random: Random) -> None:
    """Any texts and members of a definition may be placeholders: lint() ends, and reports no
    failure that a value could prevent.
    """
    definition = json.loads(json.dumps(case.definition))
    lint(json.dumps(_holed(definition, random)))


def _holed(value: Any, random: Random) -> Any:
    if isinstance(value, dict):
        return {key: _holed(each, random) for key, each in value.items()}
    if isinstance(value, list):
        return [_holed(each, random) for each in value]
    if random.random() < 0.2 and value not in ("Pass", "Task", "Choice", "Map", "Parallel"):
        return "${Name}" if random.random() < 0.5 else f"{value}-${{Name}}"
    return value


def states(*chain: dict[str, Any]) -> str:
    """A machine of states in a row: S0, S1 ..."""
    last = len(chain) - 1
    each = {
        f"S{index}": {**state, **({"End": True} if index == last else {"Next": f"S{index + 1}"})}
        for index, state in enumerate(chain)
    }
    return json.dumps({"StartAt": "S0", "States": each})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"Parameters": {"v.$": "$.a.b"}}, "'a' is a number"),
        ({"Parameters": {"v.$": "$.l[5]"}}, "'l' has 2 items, and no [5]"),
        ({"Parameters": {"v.$": "$.x"}}, "the value has the members a, l, and no 'x'"),
        ({"InputPath": "$.x"}, "no 'x'"),
        ({"OutputPath": "$.x"}, "no 'x'"),
        ({"Parameters": {"v.$": "$$.Execution.Nme"}}, "and no 'Nme'"),
        ({"Parameters": {"v.$": "$$.Task.Token"}}, "the Context object has"),
    ],
)
def test_a_path_that_fails_says_where_it_ends(state: dict[str, Any], message: str) -> None:
    first = {"Type": "Pass", "Result": {"a": 1, "l": [1, 2]}}
    (found,) = lint(states(first, {"Type": "Pass", **state}))
    assert found.code == "E101" and message in found.message, found


def test_placeholders_are_not_reported() -> None:
    first = {"Type": "Pass", "Result": {"a": "${Value}", "${Key}": 1}}
    for path in ("$.a.b", "$.c", "$.${Name}"):
        second = {"Type": "Pass", "Parameters": {"v.$": path}}
        assert [e for e in lint(states(first, second)) if e.code[0] in "EW"] == []


def test_a_state_that_always_fails_is_reported_once() -> None:
    """What follows it is never entered, so its failures are none."""
    wrong = {"Type": "Pass", "Parameters": {"v.$": "$.x"}}
    found = lint(states({"Type": "Pass", "Result": {}}, wrong, wrong, wrong))
    assert [each.location for each in found] == ["/States/S1/Parameters/v.$"]


def test_a_loop_that_grows_ends() -> None:
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Parameters": {"n.$": "$", "v.$": "$.v"}, "Next": "B"},
            "B": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.v", "BooleanEquals": True, "Next": "A"}],
                "Default": "C",
            },
            "C": {"Type": "Succeed"},
        },
    }
    assert "C" in infer(Machine(definition)).inputs


def test_a_hundred_states_take_little_time() -> None:
    """An editor lints at every pause: some 15 ms on a machine of 2020, bounded widely here."""
    random, chain = Random(1), []
    for index in range(100):
        chain.append(random.choice(CHAIN) | {"Comment": f"{index}"})
    text = states(*chain)
    lint(text)  # paths and expressions are compiled once
    before = time.process_time()
    lint(text)
    assert time.process_time() - before < 0.25


CHAIN: list[dict[str, Any]] = [
    {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "States.Format('{}', $)"}},
    {"Type": "Wait", "Seconds": 1},
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f", "Payload.$": "$"},
        "ResultPath": "$.r",
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
    },
    {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"x": "{% $states.input.a + 1 %}"}},
]


def test_the_law_finds_a_wrong_shape() -> None:
    case = case_of(Random(3))
    with pytest.raises(AssertionError):
        check(case, s.of("another input"))
