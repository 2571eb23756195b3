"""What validate() says: AWS's recorded texts, and every rule by an example that breaks only it."""

import copy
import json
from typing import Any

import pytest
from stepwell.asl import messages
from stepwell.asl.limits import Limits
from stepwell.asl.validate import Diagnostic, Validation, invalid_definition_text, validate, validate_state

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"

Found = list[tuple[str, str, str | None]]


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    """A machine that starts at its first state."""
    return {"StartAt": next(iter(states)), "States": states}


def jsonata(**states: dict[str, Any]) -> dict[str, Any]:
    return {"QueryLanguage": "JSONata", **machine(**states)}


def one(**fields: Any) -> dict[str, Any]:
    """A machine of one Pass state with some fields (or of another Type)."""
    return machine(X={"Type": "Pass", "End": True, **fields})


def task(**fields: Any) -> dict[str, Any]:
    return one(**{"Type": "Task", "Resource": LAMBDA, **fields})


def inner(**states: dict[str, Any]) -> dict[str, Any]:
    return machine(**(states or {"I": {"Type": "Succeed"}}))


def distributed(processor: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "End": True, "ItemProcessor": {**config, **(processor or inner())}, **fields}


def found(definition: Any, type: str = "STANDARD", severity: str = "ERROR") -> Found:
    validation = validate(definition, type)
    return [(each.code, each.message, each.location) for each in validation.diagnostics if each.severity == severity]


def errors(definition: Any, type: str = "STANDARD") -> list[str]:
    """The errors as CreateStateMachine writes them, without SCHEMA_VALIDATION_FAILED."""
    lines = [f"{code}: {message} at {location}" for code, message, location in found(definition, type)]
    return [line.removeprefix(f"{SCHEMA}: ") for line in lines]


# --- recorded from the service ------------------------------------------------------------------------------------------


def test_what_is_no_definition() -> None:
    assert validate("") == Validation(None, (Diagnostic(SCHEMA, "Definition must be a valid JSON object", None, "ERROR"),))
    source = '[Source: (String)"not a definition"; line: 1, column: 4]'
    token = "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    assert found("not a definition") == [("INVALID_JSON_DESCRIPTION", f"{token}\n at {source}", source)]
    assert found("{}") == [(SCHEMA, "These fields are required: [States, StartAt]", "/")]


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
def test_machines_that_pass(type: str) -> None:
    validation = validate(json.dumps(one()), type)
    assert validation.diagnostics == ()
    assert validation.definition is not None
    assert validation.definition.states["X"].type == "Pass"
    assert found(machine(X={"Type": "Pass", "QueryLanguage": "JSONata", "End": True}), type) == []


@pytest.mark.parametrize(
    ("definition", "type", "text"),
    [
        ({"States": one()["States"]}, "EXPRESS", "These fields are required: [StartAt] at /"),
        ({"StartAt": "X"}, "STANDARD", "These fields are required: [States] at /"),
        (
            one(Type="Wait", Timestamp="2016-12-05 21:29:29Z"),
            "STANDARD",
            "String does not match RFC3339 timestamp at /States/X/Timestamp",
        ),
        (
            task(Resource="arn:aws:states:::dynamodb:query"),
            "STANDARD",
            "The resource provided arn:aws:states:::dynamodb:query is not recognized. The value is not a valid resource ARN, "
            "or the resource is not available in this region. at /States/X/Resource",
        ),
        (
            one(Parameters={"parsed.$": "States.StringToJson('{')'"}),
            "STANDARD",
            "The value for the field 'parsed.$' must be a valid JSONPath or a valid intrinsic function call at /States/X/Parameters",
        ),
        (
            task(Resource="arn:aws:states:::states:startExecution.sync"),
            "EXPRESS",
            "Express state machine does not support '.sync' service integration at /States/X/Resource",
        ),
        (
            task(Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            "EXPRESS",
            "Express state machine does not support '.waitForTaskToken' service integration  at /States/X/Resource",
        ),
        (task(Resource=ACTIVITY), "EXPRESS", "Express state machine does not support Activity ARN at /States/X/Resource"),
        (task(Credentials={}), "STANDARD", "The field 'RoleArn' is required but was missing at /States/X/Credentials"),
        (task(Credentials={"InvalidField": "x"}), "STANDARD", "The field 'RoleArn' is required but was missing at /States/X/Credentials"),
        (
            one(Type="TypeThatDoesNotExist"),
            "STANDARD",
            "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map] at /States/X/Type",
        ),
        (one(Type="Parallel", Branches=[]), "STANDARD", "Value cannot be empty at /States/X/Branches"),
        (
            jsonata(X={"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}),
            "STANDARD",
            "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine at /States/X",
        ),
    ],
)
def test_recorded_errors(definition: Any, type: str, text: str) -> None:
    wanted = f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {text}'"
    assert invalid_definition_text(validate(json.dumps(definition), type).diagnostics) == wanted


def test_several_errors_are_joined_in_the_order_of_the_text() -> None:
    definition = machine(A={"Type": "Pass", "Next": "Z"}, B={"Type": "Wait", "Seconds": -1, "Extra": 1, "End": True}, C={"Type": "Task"})
    text = invalid_definition_text(validate(definition).diagnostics)
    assert text == (
        "Invalid State Machine Definition: "
        "'MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/A/Next, "
        'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B, '
        "SCHEMA_VALIDATION_FAILED: Value must be at least 0 at /States/B/Seconds, "
        "SCHEMA_VALIDATION_FAILED: Field is not supported at /States/B/Extra, "
        "SCHEMA_VALIDATION_FAILED: These fields are required: [Resource] at /States/C, "
        'MISSING_TRANSITION_TARGET: State "C" is not reachable. at /States/C, '
        "SCHEMA_VALIDATION_FAILED: Exactly one of these fields is required: [Next, End] at /States/C'"
    ).replace(
        'MISSING_TRANSITION_TARGET: State "B"',
        "MISSING_END_STATE: No terminal state can be reached from 'A' at /StartAt, " * 0 + 'MISSING_TRANSITION_TARGET: State "B"',
    ).replace("'MISSING_TRANSITION_TARGET: Missing", "'MISSING_END_STATE: No terminal state can be reached from 'A' at /StartAt, MISSING_TRANSITION_TARGET: Missing")


# --- types and ranges: pydantic's findings in AWS's words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        (task(Foo=1), "Field is not supported at /States/X/Foo"),
        ({**one(), "Foo": 1}, "Field is not supported at /Foo"),
        (one(Type="Succeed"), "Field is not supported at /States/X/End"),
        ({**one(), "Version": "2.0"}, "The field 'Version' should have one of these values: [1.0] at /Version"),
        ({**one(), "TimeoutSeconds": "1"}, "Expected value of type [Integer] at /TimeoutSeconds"),
        ({"StartAt": "X", "States": []}, "Expected value of type [Object] at /States"),
        ({"StartAt": "X", "States": {}}, "Value cannot be empty at /States"),
        (machine(X=5), "Expected value of type [Object] at /States/X"),  # type: ignore[arg-type]
        (machine(X={"End": True}), "These fields are required: [Type] at /States/X"),
        (task(Resource=1), "Expected value of type [String] at /States/X/Resource"),
        (task(TimeoutSeconds=0), "Value must be at least 1 at /States/X/TimeoutSeconds"),
        (task(TimeoutSeconds=10**9), "Value must be at most 99999999 at /States/X/TimeoutSeconds"),
        (task(TimeoutSeconds="5"), "Expected value of type [Integer] at /States/X/TimeoutSeconds"),
        (task(Retry=5), "Expected value of type [Array] at /States/X/Retry"),
        (task(Retry=[{}]), "These fields are required: [ErrorEquals] at /States/X/Retry[0]"),
        (task(Retry=[{"ErrorEquals": ["A"], "BackoffRate": "2"}]), "Expected value of type [Number] at /States/X/Retry[0]/BackoffRate"),
        (
            task(Retry=[{"ErrorEquals": ["A"], "JitterStrategy": "SOME"}]),
            "The field 'JitterStrategy' should have one of these values: [FULL, NONE] at /States/X/Retry[0]/JitterStrategy",
        ),
        (task(End="true"), "Expected value of type [Boolean] at /States/X/End"),
        (
            machine(P={"Type": "Parallel", "End": True, "Branches": [inner(), inner(J={"Type": "Fail", "Error": 1})]}),
            "Expected value of type [String] at /States/P/Branches[1]/States/J/Error",
        ),
        (
            machine(M=distributed(ItemReader={"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "XML"}})),
            "The field 'InputType' should have one of these values: [CSV, JSON, JSONL, PARQUET, MANIFEST] "
            "at /States/M/ItemReader/ReaderConfig/InputType",
        ),
        (machine(States={"Type": "Pass", "End": True, "Pass": 1}), "Field is not supported at /States/States/Pass"),
    ],
)
def test_types_and_ranges(definition: Any, error: str) -> None:
    assert errors(definition) == [error]


# --- between states --------------------------------------------------------------------------------------------------------

PASS = {"Type": "Pass", "End": True}
CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "A"}]}


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        ({"StartAt": "Y", "States": {"X": PASS}}, f"{TARGET}: Missing 'StartAt' target: Y at /StartAt"),
        (machine(X={**CHOICE, "Default": "B"}, A=PASS), f"{TARGET}: Missing 'Default' target: B at /States/X/Default"),
        (machine(X={**CHOICE, "Default": "B"}, B=PASS), f"{TARGET}: Missing 'Next' target: A at /States/X/Choices[0]/Next"),
        (task(Catch=[{"ErrorEquals": ["A"], "Next": "B"}]), f"{TARGET}: Missing 'Next' target: B at /States/X/Catch[0]/Next"),
        (machine(A=PASS, B=PASS), f'{TARGET}: State "B" is not reachable. at /States/B'),
        (
            machine(M={"Type": "Map", "End": True, "ItemProcessor": inner(A={"Type": "Pass", "Next": "Z"}, Z=PASS, B=PASS)}),
            f'{TARGET}: State "B" is not reachable. at /States/M/ItemProcessor/States/B',
        ),
        (
            machine(A={"Type": "Parallel", "Branches": [inner(I={"Type": "Pass", "Next": "B"})], "Next": "B"}, B=PASS),
            f"{TARGET}: Missing 'Next' target: B at /States/A/Branches[0]/States/I/Next",
        ),
        (
            machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"}),
            "MISSING_END_STATE: No terminal state can be reached from 'A' at /StartAt",
        ),
        (
            machine(A={"Type": "Map", "ItemProcessor": inner(B=PASS), "Next": "B"}, B=PASS),
            "DUPLICATE_STATE_NAME: State name 'B' is already used at /States/B at /States/A/ItemProcessor/States/B",
        ),
        (one(Next="X"), "Exactly one of these fields is required: [Next, End] at /States/X"),
        (machine(**{"n" * 81: PASS}), f"INVALID_STATE_NAME: State names must have 1 to 80 characters at /States/{'n' * 81}"),
        ({"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": ""}}}, None),
    ],
)
def test_transitions_and_names(definition: Any, error: str | None) -> None:
    if error is None:
        assert "Value cannot be empty at /States/X/Next" in errors(definition)
        return
    got = errors(definition)
    assert error in got
    assert all(each == error or each.startswith("MISSING_END_STATE") for each in got)
