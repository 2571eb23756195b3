"""validate() answers any input without raising, and every valid definition compiles."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.asl import json_text
from stepwell.asl.compiler import compile_machine
from stepwell.asl.validate import ERROR, invalid_definition_text, validate, validate_state

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
RETRY = [
    {"ErrorEquals": ["A"], "MaxDelaySeconds": 9, "JitterStrategy": "FULL"},
    {"ErrorEquals": ["States.ALL"], "BackoffRate": 1.5},
]

# valid machines that use about every field
MACHINES: list[dict[str, Any]] = [
    {
        "Comment": "JSONPath",
        "Version": "1.0",
        "TimeoutSeconds": 60,
        "StartAt": "Pass",
        "States": {
            "Pass": {
                "Type": "Pass",
                "InputPath": "$.a",
                "Parameters": {
                    "x.$": "States.Format('{}', $.b[0])",
                    "y": [{"z.$": "$$.Execution.Id"}],
                },
                "ResultPath": None,
                "OutputPath": "$.c[?(@.d > 1)]",
                "Assign": {"v.$": "$.e"},
                "Next": "Choice",
            },
            "Choice": {
                "Type": "Choice",
                "Choices": [
                    {
                        "And": [
                            {"Variable": "$.a", "NumericEquals": 1},
                            {"Not": {"Variable": "$v", "IsNull": True}},
                        ],
                        "Next": "Task",
                    },
                    {
                        "Variable": "$.t",
                        "TimestampLessThan": "2024-01-01T00:00:00Z",
                        "Next": "Wait",
                        "Assign": {"w": 1},
                    },
                    {"Variable": "$.s", "StringEqualsPath": "$.u", "Next": "Fail"},
                ],
                "Default": "Map",
            },
            "Task": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {"MessageBody": {"Token.$": "$$.Task.Token"}},
                "ResultSelector": {"r.$": "$.x"},
                "TimeoutSecondsPath": "$.t",
                "HeartbeatSeconds": 5,
                "Credentials": {"RoleArn.$": "$.role"},
                "Retry": RETRY,
                "Catch": [
                    {
                        "ErrorEquals": ["States.Timeout"],
                        "ResultPath": "$.error",
                        "Assign": {"e.$": "$.Error"},
                        "Next": "Fail",
                    }
                ],
                "Next": "Parallel",
            },
            "Parallel": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "A",
                        "States": {"A": {"Type": "Pass", "Assign": {"i": 1}, "End": True}},
                    },
                    {
                        "StartAt": "B",
                        "States": {
                            "B": {"Type": "Wait", "SecondsPath": "$.s", "Next": "C"},
                            "C": {"Type": "Succeed"},
                        },
                    },
                ],
                "Next": "Map",
            },
            "Map": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemSelector": {"v.$": "$$.Map.Item.Value"},
                "MaxConcurrencyPath": "$.n",
                "ItemProcessor": {
                    "StartAt": "D",
                    "States": {"D": {"Type": "Fail", "ErrorPath": "$.e", "Cause": "c"}},
                },
                "End": True,
            },
            "Wait": {"Type": "Wait", "Timestamp": "2024-01-01T00:00:00Z", "End": True},
            "Fail": {"Type": "Fail", "Error": "E", "CausePath": "States.JsonToString($)"},
        },
    },
    {
        "QueryLanguage": "JSONata",
        "StartAt": "Distributed",
        "States": {
            "Distributed": {
                "Type": "Map",
                "Label": "L",
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "Arguments": {"Bucket": "b", "Key": "{% $states.input.key %}"},
                    "ReaderConfig": {
                        "InputType": "CSV",
                        "CSVHeaderLocation": "GIVEN",
                        "CSVHeaders": ["a"],
                        "MaxItems": "{% 5 %}",
                    },
                },
                "ItemBatcher": {"MaxItemsPerBatch": 5, "BatchInput": {"b": "{% 1 %}"}},
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Arguments": {"Bucket": "b"},
                    "WriterConfig": {},
                },
                "ToleratedFailurePercentage": 5.5,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                    "StartAt": "E",
                    "States": {"E": {"Type": "Task", "Resource": LAMBDA, "End": True}},
                },
                "Retry": RETRY,
                "Next": "Choice",
            },
            "Choice": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $states.input.a > 1 %}", "Next": "Task", "Output": "{% 1 %}"},
                    {"Condition": True, "Next": "Wait"},
                ],
                "Default": "Items",
                "Assign": {"x": "{% $states.input %}"},
            },
            "Task": {
                "Type": "Task",
                "Resource": LAMBDA,
                "Arguments": "{% $states.input %}",
                "TimeoutSeconds": "{% 5 %}",
                "Assign": {"r": "{% $states.result %}"},
                "Output": {"a": ["{% $states.result.b %}"]},
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Output": "{% $states.errorOutput %}",
                        "Next": "Wait",
                    }
                ],
                "Next": "Items",
            },
            "Items": {
                "Type": "Map",
                "Items": "{% [1, 2] %}",
                "ItemProcessor": {
                    "StartAt": "F",
                    "States": {"F": {"Type": "Succeed", "Output": 1}},
                },
                "Next": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": "{% 1 %}", "Next": "Old"},
            "Old": {"Type": "Fail", "Error": "{% 'E' %}", "Comment": ["any", "thing"]},
        },
    },
]

WORDS = sorted(
    {
        word
        for machine in MACHINES
        for word in json.dumps(machine).replace('"', " ").replace(",", " ").split()
        if len(word) < 40
    }
)
LEAVES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2.5,
    10**30,
    "",
    "$",
    "$.a",
    "$.a[*]",
    "$$.x",
    "$v",
    "{% 1 %}",
    "{% ( %}",
    "{%",
    "x.$",
    [],
    {},
    *WORDS,
]
RANDOM = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)
    ),
    max_leaves=25,
)


def containers(value: Any) -> list[Any]:
    """Every object and array in a value."""
    found, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            found.append(each)
            waiting += each.values() if isinstance(each, dict) else each
    return found


def mutated(machine: dict[str, Any], source: random.Random, changes: int) -> dict[str, Any]:
    """A copy with some members removed, renamed, replaced, or copied from elsewhere in it."""
    machine = copy.deepcopy(machine)
    for _ in range(changes):
        holder = source.choice(containers(machine))
        if not holder:
            continue
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = source.choice(keys)
        match source.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[source.choice(WORDS)] = holder.pop(key)
            case 2:
                holder[key] = copy.deepcopy(source.choice(containers(machine)))
            case _:
                holder[key] = copy.deepcopy(source.choice(LEAVES))
    return machine


def check(definition: Any) -> bool:
    """Checks an answer of validate(); returns whether the definition is valid."""
    text = json.dumps(definition) if not isinstance(definition, str | bytes) else definition
    validation = validate(text)
    assert (validation.definition is None) == any(
        each.severity == ERROR for each in validation.diagnostics
    )
    assert len(set(validation.diagnostics)) == len(validation.diagnostics)
    for code, message, location, severity in validation.diagnostics:
        assert code.isupper()
        assert message
        assert severity in ("ERROR", "WARNING")
        if isinstance(definition, dict):
            assert location is None or location.startswith("/")
    assert invalid_definition_text(validation.diagnostics).startswith(
        "Invalid State Machine Definition: '"
    )
    if validation.definition is not None:
        compile_machine(validation.definition)
    return validation.definition is not None


@pytest.mark.parametrize("machine", MACHINES)
def test_the_machines_are_valid(machine: dict[str, Any]) -> None:
    assert validate(machine).diagnostics == ()
    assert check(machine)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MACHINES), st.randoms(use_true_random=False), st.integers(1, 4))
def test_mutated_machines(machine: dict[str, Any], source: random.Random, changes: int) -> None:
    check(mutated(machine, source, changes))


@settings(max_examples=200, deadline=None)
@given(RANDOM)
def test_random_json(value: Any) -> None:
    check(value)
    check({"StartAt": "Pass", "States": value})
    check({"StartAt": "Pass", "States": {"Pass": value}})
    validate_state(value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_text(text: bytes | str) -> None:
    assert not check(text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MACHINES), st.randoms(use_true_random=False))
def test_broken_text(machine: dict[str, Any], source: random.Random) -> None:
    text = json.dumps(machine, indent=source.choice([None, 1]))
    place = source.randrange(len(text))
    check(
        text[:place]
        + source.choice(["", '"', "{", "}", "]", ",", "\\", "\x00", "\ud800", "é"])
        + text[place + source.randrange(3) :]
    )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MACHINES), st.randoms(use_true_random=False))
def test_every_finding_has_a_place_in_the_text(
    machine: dict[str, Any], source: random.Random
) -> None:
    text = json.dumps(mutated(machine, source, 3), indent=2)
    places = json_text.positions(text)
    for diagnostic in validate(text).diagnostics:
        assert json_text.nearest(places, diagnostic.location or "/") <= (
            text.count("\n") + 1,
            len(text),
        )
