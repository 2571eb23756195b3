"""Diagnostics of validate(): AWS's recorded texts, and for every rule an example that breaks it."""

import copy
import json
from typing import Any

import pytest

from stepwell.asl import messages
from stepwell.asl.limits import Limits
from stepwell.asl.validate import (
    Diagnostic,
    Validation,
    invalid_definition_text,
    validate,
    validate_state,
)

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
SERVICE = "arn:aws:states:::"
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
    return {
        "Type": "Map",
        "End": True,
        "ItemProcessor": {**config, **(processor or inner())},
        **fields,
    }


def found(definition: Any, type: str = "STANDARD", severity: str = "ERROR") -> Found:
    validation = validate(definition, type)
    return [
        (each.code, each.message, each.location)
        for each in validation.diagnostics
        if each.severity == severity
    ]


def errors(definition: Any, type: str = "STANDARD") -> list[str]:
    """The errors as CreateStateMachine writes them, without SCHEMA_VALIDATION_FAILED."""
    lines = [
        f"{code}: {message} at {location}" for code, message, location in found(definition, type)
    ]
    return [line.removeprefix(f"{SCHEMA}: ") for line in lines]


# --- recorded from the service --------------------------------------------------------------------


def test_invalid_definitions() -> None:
    assert validate("") == Validation(
        None, (Diagnostic(SCHEMA, "Definition must be a valid JSON object", None, "ERROR"),)
    )
    source = '[Source: (String)"not a definition"; line: 1, column: 4]'
    token = (
        "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token "
        "'null', 'true' or 'false')"
    )
    assert found("not a definition") == [
        ("INVALID_JSON_DESCRIPTION", f"{token}\n at {source}", source)
    ]
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
            "The resource provided arn:aws:states:::dynamodb:query is not recognized. The "
            "value is not a valid resource ARN, "
            "or the resource is not available in this region. at /States/X/Resource",
        ),
        (
            one(Parameters={"parsed.$": "States.StringToJson('{')'"}),
            "STANDARD",
            (
                "The value for the field 'parsed.$' must be a valid JSONPath or a valid "
                "intrinsic function call at /States/X/Parameters"
            ),
        ),
        (
            task(Resource="arn:aws:states:::states:startExecution.sync"),
            "EXPRESS",
            (
                "Express state machine does not support '.sync' service integration at "
                "/States/X/Resource"
            ),
        ),
        (
            task(Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            "EXPRESS",
            (
                "Express state machine does not support '.waitForTaskToken' service integration  "
                "at /States/X/Resource"
            ),
        ),
        (
            task(Resource=ACTIVITY),
            "EXPRESS",
            "Express state machine does not support Activity ARN at /States/X/Resource",
        ),
        (
            task(Credentials={}),
            "STANDARD",
            "The field 'RoleArn' is required but was missing at /States/X/Credentials",
        ),
        (
            task(Credentials={"InvalidField": "x"}),
            "STANDARD",
            "The field 'RoleArn' is required but was missing at /States/X/Credentials",
        ),
        (
            one(Type="TypeThatDoesNotExist"),
            "STANDARD",
            (
                "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, "
                "Fail, Choice, Parallel, Map] at /States/X/Type"
            ),
        ),
        (
            one(Type="Parallel", Branches=[]),
            "STANDARD",
            "Value cannot be empty at /States/X/Branches",
        ),
        (
            jsonata(X={"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}),
            "STANDARD",
            (
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state "
                "machine at /States/X"
            ),
        ),
    ],
)
def test_recorded_errors(definition: Any, type: str, text: str) -> None:
    wanted = f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {text}'"
    assert invalid_definition_text(validate(json.dumps(definition), type).diagnostics) == wanted


def test_several_errors_are_joined_in_the_order_of_the_text() -> None:
    definition = machine(
        A={"Type": "Pass", "Next": "Z"},
        B={"Type": "Wait", "Seconds": -1, "Extra": 1, "End": True},
        C={"Type": "Task"},
    )
    text = invalid_definition_text(validate(definition).diagnostics)
    assert text == (
        "Invalid State Machine Definition: "
        "'MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/A/Next, "
        'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B, '
        "SCHEMA_VALIDATION_FAILED: Value must be at least 0 at /States/B/Seconds, "
        "SCHEMA_VALIDATION_FAILED: Field is not supported at /States/B/Extra, "
        "SCHEMA_VALIDATION_FAILED: These fields are required: [Resource] at /States/C, "
        'MISSING_TRANSITION_TARGET: State "C" is not reachable. at /States/C, '
        "SCHEMA_VALIDATION_FAILED: Exactly one of these fields is required: [Next, End] at "
        "/States/C'"
    )


# --- types and ranges: pydantic's errors with AWS's messages --------------------------------------


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        (task(Foo=1), "Field is not supported at /States/X/Foo"),
        ({**one(), "Foo": 1}, "Field is not supported at /Foo"),
        (one(Type="Succeed"), "Field is not supported at /States/X/End"),
        (
            {**one(), "Version": "2.0"},
            "The field 'Version' should have one of these values: [1.0] at /Version",
        ),
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
        (
            task(Retry=[{"ErrorEquals": ["A"], "BackoffRate": "2"}]),
            "Expected value of type [Number] at /States/X/Retry[0]/BackoffRate",
        ),
        (
            task(Retry=[{"ErrorEquals": ["A"], "JitterStrategy": "SOME"}]),
            (
                "The field 'JitterStrategy' should have one of these values: [FULL, NONE] at "
                "/States/X/Retry[0]/JitterStrategy"
            ),
        ),
        (task(End="true"), "Expected value of type [Boolean] at /States/X/End"),
        (
            machine(
                P={
                    "Type": "Parallel",
                    "End": True,
                    "Branches": [inner(), inner(J={"Type": "Fail", "Error": 1})],
                }
            ),
            "Expected value of type [String] at /States/P/Branches[1]/States/J/Error",
        ),
        (
            machine(
                M=distributed(
                    ItemReader={
                        "Resource": "arn:aws:states:::s3:getObject",
                        "ReaderConfig": {"InputType": "XML"},
                    }
                )
            ),
            "The field 'InputType' should have one of these values: [CSV, JSON, JSONL, "
            "PARQUET, MANIFEST] "
            "at /States/M/ItemReader/ReaderConfig/InputType",
        ),
        (
            machine(States={"Type": "Pass", "End": True, "Pass": 1}),
            "Field is not supported at /States/States/Pass",
        ),
    ],
)
def test_types_and_ranges(definition: Any, error: str) -> None:
    assert errors(definition) == [error]


# --- between states -------------------------------------------------------------------------------

PASS = {"Type": "Pass", "End": True}
CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "A"}]}


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        (
            {"StartAt": "Y", "States": {"X": PASS}},
            f"{TARGET}: Missing 'StartAt' target: Y at /StartAt",
        ),
        (
            machine(X={**CHOICE, "Default": "B"}, A=PASS),
            f"{TARGET}: Missing 'Default' target: B at /States/X/Default",
        ),
        (
            machine(X={**CHOICE, "Default": "B"}, B=PASS),
            f"{TARGET}: Missing 'Next' target: A at /States/X/Choices[0]/Next",
        ),
        (
            task(Catch=[{"ErrorEquals": ["A"], "Next": "B"}]),
            f"{TARGET}: Missing 'Next' target: B at /States/X/Catch[0]/Next",
        ),
        (machine(A=PASS, B=PASS), f'{TARGET}: State "B" is not reachable. at /States/B'),
        (
            machine(
                M={
                    "Type": "Map",
                    "End": True,
                    "ItemProcessor": inner(A={"Type": "Pass", "Next": "Z"}, Z=PASS, B=PASS),
                }
            ),
            f'{TARGET}: State "B" is not reachable. at /States/M/ItemProcessor/States/B',
        ),
        (
            machine(
                A={
                    "Type": "Parallel",
                    "Branches": [inner(I={"Type": "Pass", "Next": "B"})],
                    "Next": "B",
                },
                B=PASS,
            ),
            f"{TARGET}: Missing 'Next' target: B at /States/A/Branches[0]/States/I/Next",
        ),
        (
            machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"}),
            "MISSING_END_STATE: No terminal state can be reached from 'A' at /StartAt",
        ),
        (
            machine(A={"Type": "Map", "ItemProcessor": inner(B=PASS), "Next": "B"}, B=PASS),
            (
                "DUPLICATE_STATE_NAME: State name 'B' is already used at /States/B at "
                "/States/A/ItemProcessor/States/B"
            ),
        ),
        (one(Next="X"), "Exactly one of these fields is required: [Next, End] at /States/X"),
        (
            machine(**{"n" * 81: PASS}),
            f"INVALID_STATE_NAME: State names must have 1 to 80 characters at /States/{'n' * 81}",
        ),
    ],
)
def test_transitions_and_names(definition: Any, error: str) -> None:
    assert errors(definition) == [error]


def test_a_state_of_unknown_type_causes_no_other_diagnostics() -> None:
    definition = machine(A={"Type": "Foo", "Next": "B", "End": 5}, B={"Type": "Bar"})
    assert [line.split(" at ")[-1] for line in errors(definition)] == [
        "/States/A/Type",
        "/States/B/Type",
    ]


# --- between fields -------------------------------------------------------------------------------

WAIT = {"Type": "Wait", "End": True}
MAP = {"Type": "Map", "End": True, "ItemProcessor": inner()}
READER = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}
S3 = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}
ONLY = messages.DISTRIBUTED_ONLY


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"Type": "Pass"}, "Exactly one of these fields is required: [Next, End] at /States/X"),
        (
            {"Type": "Pass", "End": False},
            "Exactly one of these fields is required: [Next, End] at /States/X",
        ),
        (
            WAIT,
            (
                "Exactly one of these fields is required: [Seconds, Timestamp, SecondsPath, "
                "TimestampPath] at /States/X"
            ),
        ),
        (
            {**WAIT, "Seconds": 1, "SecondsPath": "$.a"},
            "Exactly one of these fields is required: [Seconds, Timestamp, SecondsPath, ",
        ),
        (
            {"Type": "Fail", "Error": "A", "ErrorPath": "$.a"},
            "At most one of these fields is allowed: [Error, ErrorPath] at /States/X",
        ),
        (
            {"Type": "Map", "End": True},
            "Exactly one of these fields is required: [ItemProcessor, Iterator] at /States/X",
        ),
        (
            {**MAP, "Iterator": inner(J={"Type": "Succeed"})},
            "Exactly one of these fields is required: [ItemProcessor, Iterator] at /States/X",
        ),
        (
            {**MAP, "ItemSelector": {}, "Parameters": {}},
            "At most one of these fields is allowed: [ItemSelector, Parameters] at /States/X",
        ),
        (
            {**MAP, "MaxConcurrency": 1, "MaxConcurrencyPath": "$.a"},
            "At most one of these fields is allowed: [MaxConcurrency, MaxConcurrencyPath]",
        ),
        ({**MAP, "ItemReader": READER}, f"{ONLY} at /States/X/ItemReader"),
        ({**MAP, "Label": "L"}, f"{ONLY} at /States/X/Label"),
        (distributed(Label="a b"), "Label must have 1 to 40 characters"),
        (distributed(Label="a" * 41), "Label must have 1 to 40 characters"),
        (distributed(Label=""), "Label must have 1 to 40 characters"),
        (distributed(Label="a\u0080"), "Label must have 1 to 40 characters"),
        (
            distributed(ItemReader={**READER, "Resource": INVOKE}),
            f"The resource provided {INVOKE} is not recognized.",
        ),
        (
            distributed(ItemReader={**READER, "ReaderConfig": {"CSVHeaderLocation": "GIVEN"}}),
            "CSVHeaders is required if",
        ),
        (
            distributed(ItemReader={**READER, "ReaderConfig": {"CSVHeaders": ["a"]}}),
            "CSVHeaders is required if",
        ),
        (
            distributed(
                ItemReader={**READER, "ReaderConfig": {"MaxItems": 1, "MaxItemsPath": "$.a"}}
            ),
            (
                "At most one of these fields is allowed: [MaxItems, MaxItemsPath] at "
                "/States/X/ItemReader/ReaderConfig"
            ),
        ),
        (
            distributed(ItemBatcher={"BatchInput": {}}),
            "At least one of these fields is required: [MaxItemsPerBatch, MaxItemsPerBatchPath, ",
        ),
        (
            distributed(ResultWriter={"Resource": S3["Resource"]}),
            "These fields are required: [Parameters] at /States/X/ResultWriter",
        ),
        (
            distributed(ResultWriter={"Parameters": {}}),
            "These fields are required: [Resource] at /States/X/ResultWriter",
        ),
        (
            distributed(ResultWriter={}),
            (
                "At least one of these fields is required: [Resource, WriterConfig] at "
                "/States/X/ResultWriter"
            ),
        ),
        (
            {**MAP, "ItemProcessor": {**inner(), "ProcessorConfig": {"Mode": "DISTRIBUTED"}}},
            "These fields are required: [ExecutionType] at /States/X/ItemProcessor/ProcessorConfig",
        ),
        (
            {"Type": "Task", "Resource": "my-function", "End": True},
            "The resource provided my-function is not recognized.",
        ),
        (
            {"Type": "Task", "Resource": SERVICE + "aws-sdk:dynamodb:GetItem", "End": True},
            f"The resource provided {SERVICE}aws-sdk:dynamodb:GetItem is not recognized. The value "
            "is not a valid resource ARN, or the resource is not available in this region. "
            "at /States/X/Resource",
        ),
        (
            {
                "Type": "Task",
                "Resource": ACTIVITY,
                "End": True,
                "TimeoutSeconds": 5,
                "HeartbeatSeconds": 5,
            },
            "HeartbeatSeconds must be smaller than TimeoutSeconds at /States/X/HeartbeatSeconds",
        ),
    ],
)
def test_fields_of_a_state(state: dict[str, Any], error: str) -> None:
    got = errors(machine(X=state))
    assert len(got) == 1
    assert got[0].startswith(error)


@pytest.mark.parametrize(
    "state",
    [
        {**WAIT, "Seconds": 0},
        {**WAIT, "Timestamp": "2016-03-05T21:29:29.243167252Z"},
        {**WAIT, "TimestampPath": "$$.Execution.StartTime"},
        {"Type": "Pass", "End": True, "Next": None},
        {"Type": "Fail"},
        {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}', $.c)"},
        {
            "Type": "Map",
            "End": True,
            "Iterator": inner(),
            "Parameters": {"a.$": "$$.Map.Item.Value"},
        },
        {**MAP, "ToleratedFailureCount": 1, "ToleratedFailurePercentage": 12.5},
        distributed(
            ItemReader=READER, ItemBatcher={"MaxItemsPerBatch": 2}, ResultWriter=S3, Label="L"
        ),
        distributed(
            ItemReader={
                **READER,
                "ReaderConfig": {
                    "InputType": "CSV",
                    "CSVHeaderLocation": "GIVEN",
                    "CSVHeaders": ["a"],
                },
            }
        ),
        distributed(ResultWriter={"WriterConfig": {"OutputType": "JSONL"}}),
        {
            "Type": "Task",
            "Resource": INVOKE + ".waitForTaskToken",
            "End": True,
            "Credentials": {"RoleArn.$": "$.role"},
        },
        {
            "Type": "Task",
            "Resource": "arn:aws-cn:states:::aws-sdk:s3:listBuckets",
            "End": True,
            "HeartbeatSeconds": 5,
        },
        {"Type": "Task", "Resource": LAMBDA + ":live", "End": True, "Comment": {"any": "thing"}},
    ],
)
def test_valid_fields(state: dict[str, Any]) -> None:
    assert errors(machine(X=state)) == []


def test_known_resource_is_called_for_names_that_are_not_arns() -> None:
    definition = task(Resource="my-function")
    assert (
        validate(
            definition, known_resource=lambda name: "local" if name == "my-function" else None
        ).definition
        is not None
    )
    assert validate(definition, known_resource=lambda name: None).definition is None


def test_labels_are_unique() -> None:
    definition = machine(
        A={**distributed(Label="L"), "Next": "B"},
        B=distributed(inner(J={"Type": "Succeed"}), Label="L"),
    )
    del definition["States"]["A"]["End"]
    assert found(definition) == [
        ("DUPLICATE_LABEL_NAME", "Label 'L' is already used at /States/A/Label", "/States/B/Label")
    ]


RETRIER = {"ErrorEquals": ["A"]}
ALL = {"ErrorEquals": ["States.ALL"]}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (
            {"Retry": [ALL, RETRIER]},
            (
                "'States.ALL' must be the only entry of the last Retrier at "
                "/States/X/Retry[0]/ErrorEquals"
            ),
        ),
        (
            {"Retry": [{"ErrorEquals": ["A", "States.ALL"]}]},
            "'States.ALL' must be the only entry of the last Retrier at /States/X/Retry[0]",
        ),
        (
            {"Catch": [{**ALL, "Next": "X"}, {**RETRIER, "Next": "X"}]},
            "'States.ALL' must be the only entry of the last Catcher",
        ),
        (
            {"Retry": [{**RETRIER, "IntervalSeconds": 5, "MaxDelaySeconds": 5}]},
            "MaxDelaySeconds must be greater than IntervalSeconds",
        ),
        (
            {"Retry": [{**RETRIER, "MaxDelaySeconds": 1}]},
            "MaxDelaySeconds must be greater than IntervalSeconds",
        ),
        (
            {"Retry": [RETRIER, ALL], "Catch": [{**RETRIER, "Next": "X"}, {**ALL, "Next": "X"}]},
            None,
        ),
        (
            {"Retry": [{**RETRIER, "IntervalSeconds": 5, "MaxDelaySeconds": 6, "BackoffRate": 1}]},
            None,
        ),
    ],
)
def test_retriers_and_catchers(fields: dict[str, Any], error: str | None) -> None:
    got = errors(task(**fields))
    assert [each[: len(error or "")] for each in got] == ([error] if error else [])


# --- Express --------------------------------------------------------------------------------------


def test_express_has_no_distributed_maps() -> None:
    assert errors(machine(M=distributed()), "EXPRESS") == [
        f"{messages.EXPRESS_DISTRIBUTED} at /States/M/ItemProcessor/ProcessorConfig"
    ]


def test_children_of_a_map_may_be_express() -> None:
    definition = machine(
        M=distributed(inner(J={"Type": "Task", "Resource": ACTIVITY, "End": True}))
    )
    assert errors(definition) == []
    definition["States"]["M"]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "EXPRESS"
    assert errors(definition) == [
        (
            "Express state machine does not support Activity ARN at "
            "/States/M/ItemProcessor/States/J/Resource"
        )
    ]


# --- languages and expressions --------------------------------------------------------------------

NO_PATHS = "Field is not supported in a state whose 'QueryLanguage' is 'JSONata'"
NO_EXPRESSIONS = "Field is not supported in a state whose 'QueryLanguage' is 'JSONPath'"
CATCH = {"ErrorEquals": ["A"], "Next": "X"}


@pytest.mark.parametrize("field", ["InputPath", "OutputPath", "ResultPath", "Parameters", "Result"])
def test_paths_in_a_jsonata_state(field: str) -> None:
    definition = jsonata(X={"Type": "Pass", "End": True, field: "$.a"})
    assert errors(definition) == [f"{NO_PATHS} at /States/X/{field}"]


def test_other_fields_of_jsonpath_in_a_jsonata_state() -> None:
    rules = [{"Variable": "$.a", "IsNull": True, "Next": "X"}, {"Condition": True, "Next": "X"}]
    definition = jsonata(
        C={"Type": "Choice", "Choices": rules},
        X=task(Catch=[{**CATCH, "ResultPath": "$.a"}])["States"]["X"],
    )
    assert errors(definition) == [
        "These fields are required: [Condition] at /States/C/Choices[0]",
        f"{NO_PATHS} at /States/C/Choices[0]/Variable",
        f"{NO_PATHS} at /States/C/Choices[0]/IsNull",
        f"{NO_PATHS} at /States/X/Catch[0]/ResultPath",
    ]


def test_expressions_in_a_jsonpath_state() -> None:
    rule = {"Variable": "$.a", "IsNull": True, "Next": "X", "Condition": "{% true %}", "Output": 1}
    definition = machine(
        C={"Type": "Choice", "Choices": [rule]},
        X=task(Arguments={}, Output=1, Catch=[{**CATCH, "Output": 1}], TimeoutSeconds="{% 1 %}")[
            "States"
        ]["X"],
    )
    assert errors(definition) == [
        f"{NO_EXPRESSIONS} at /States/C/Choices[0]/Condition",
        f"{NO_EXPRESSIONS} at /States/C/Choices[0]/Output",
        f"{NO_EXPRESSIONS} at /States/X/Arguments",
        f"{NO_EXPRESSIONS} at /States/X/Output",
        f"{NO_EXPRESSIONS} at /States/X/Catch[0]/Output",
        "Expected value of type [Integer] at /States/X/TimeoutSeconds",
    ]
    assert errors(machine(X={**MAP, "Items": [1]})) == [f"{NO_EXPRESSIONS} at /States/X/Items"]


def test_a_state_may_go_up_to_jsonata_and_its_inner_states_stay_with_the_machine() -> None:
    state = {
        **MAP,
        "QueryLanguage": "JSONata",
        "Items": "{% $states.input.a %}",
        "ItemProcessor": inner(I={**PASS, "InputPath": "$.a"}),
    }
    assert errors(machine(X=state)) == []


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"InputPath": "$.a["}, "InputPath"),
        ({"OutputPath": "a"}, "OutputPath"),
        ({"ResultPath": "$$.a"}, "ResultPath"),
        ({"ResultPath": "$v.a"}, "ResultPath"),
        ({"ResultPath": "$.a[*]"}, "ResultPath"),
        ({"TimeoutSecondsPath": "$..a"}, "TimeoutSecondsPath"),
        ({"Parameters": {"a": {"b": [{"c.$": "nonsense("}]}}}, "Parameters/a/b[0]"),
        ({"ResultSelector": {"a.$": 1}}, "ResultSelector"),
        ({"Parameters": {"a": 1, "a.$": "$.b"}}, "Parameters"),
        ({"Assign": {"a.$": "States.Nothing()"}}, "Assign"),
        ({"Credentials": {"RoleArn.$": "$["}}, "Credentials"),
        ({"Catch": [{**CATCH, "ResultPath": "$["}]}, "Catch[0]/ResultPath"),
        ({"Catch": [{**CATCH, "Assign": {"a.$": "$["}}]}, "Catch[0]/Assign"),
        ({"Type": "Map", **MAP, "Resource": None, "ItemsPath": "$.a[*]"}, "ItemsPath"),
        ({"Type": "Fail", "CausePath": "States.Array()"}, "CausePath"),
        ({"Type": "Wait", "SecondsPath": "$.a[?(@.b)]"}, "SecondsPath"),
    ],
)
def test_expressions_of_jsonpath_are_parsed(fields: dict[str, Any], location: str) -> None:
    state = {"Type": "Task", "Resource": LAMBDA, "End": True, **fields}
    if state["Type"] != "Task":
        del state["Resource"]
    if state["Type"] == "Fail":
        del state["End"]
    got = found(machine(X=state))
    assert [(code, where) for code, _, where in got] == [(SCHEMA, f"/States/X/{location}")]


def test_choice_rules_are_parsed() -> None:
    rules = [
        {"Variable": "$.a", "Next": "A"},
        {
            "And": [{"Variable": "$.a", "StringEquals": 1}, {"Variable": "$[", "IsNull": True}],
            "Next": "A",
        },
        {"Variable": "$.a", "NumericIsh": 1, "Next": "A"},
        {"Not": {"Variable": "$.a", "IsNull": True, "Next": "A"}, "Next": "A"},
        {"Variable": "$.a", "IsNull": True},
        {"Variable": "$.t", "TimestampEquals": "yesterday", "Next": "A"},
    ]
    places = {
        where for _, _, where in found(machine(X={"Type": "Choice", "Choices": rules}, A=PASS))
    }
    start = "/States/X/Choices"
    assert places == {
        f"{start}[0]", f"{start}[1]/And[0]/StringEquals", f"{start}[1]/And[1]/Variable",
        f"{start}[2]", f"{start}[2]/NumericIsh",
        f"{start}[3]/Not/Next", f"{start}[4]", f"{start}[5]/TimestampEquals",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"Arguments": {"a": ["{% $x( %}"]}}, "Arguments/a[0]"),
        ({"Output": "{% 1 + %}"}, "Output"),
        ({"Output": "{% not closed"}, "Output"),
        ({"Assign": {"a": "{% ) %}"}}, "Assign/a"),
        ({"TimeoutSeconds": "{% ( %}"}, "TimeoutSeconds"),
        ({"TimeoutSeconds": "5"}, "TimeoutSeconds"),
        ({"Catch": [{**CATCH, "Output": {"a": "{% ( %}"}}]}, "Catch[0]/Output/a"),
        ({"Type": "Wait", "Timestamp": "noon"}, "Timestamp"),
        ({"Type": "Wait", "Seconds": "soon"}, "Seconds"),
        ({"Type": "Fail", "Error": "{% ( %}"}, "Error"),
        ({**MAP, "Items": "no expression"}, "Items"),
    ],
)
def test_expressions_of_jsonata_are_parsed(fields: dict[str, Any], location: str) -> None:
    state = {"Type": "Task", "Resource": LAMBDA, "End": True, **fields}
    if state["Type"] != "Task":
        del state["Resource"]
    if state["Type"] == "Fail":
        del state["End"]
    got = found(jsonata(X=state))
    assert [(code, where) for code, _, where in got] == [(SCHEMA, f"/States/X/{location}")]


@pytest.mark.parametrize(
    ("state", "location"),
    [
        (task(Output="{% $states.result %}", Assign={"a": "{% $states.result.b %}"}), None),
        (
            task(
                Catch=[
                    {
                        **CATCH,
                        "Output": "{% $states.errorOutput %}",
                        "Assign": {"e": "{% $states.errorOutput.Error %}"},
                    }
                ]
            ),
            None,
        ),
        (task(Output="{% $states %}", Arguments="{% 'result' %}"), None),
        (task(Arguments="{% $states.result %}"), "Arguments"),
        (task(Output={"a": ["{% $states.errorOutput %}"]}), "Output/a[0]"),
        (task(Catch=[{**CATCH, "Output": "{% $states.result %}"}]), "Catch[0]/Output"),
        (one(Output="{% $states.result %}"), "Output"),
    ],
)
def test_members_of_states_in_fields_without_them(
    state: dict[str, Any], location: str | None
) -> None:
    got = found({"QueryLanguage": "JSONata", **state})
    assert [where for _, _, where in got] == ([f"/States/X/{location}"] if location else [])


# --- variables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.b", "1a", "a b", "", "_a", "a-b", "x" * 81, "states"])
def test_invalid_names_of_variables(name: str) -> None:
    assert [where for _, _, where in found(one(Assign={name: 1}))] == ["/States/X/Assign"]
    assert [where for _, _, where in found(one(Assign={name + ".$": "$.a"}))] == [
        "/States/X/Assign"
    ]


def test_valid_names_of_variables() -> None:
    assert errors(one(Assign={"a": 1, "größe_2": 2, "名前.$": "$.a"})) == []


def scopes(*outer: str, own: str = "", mode: str = "INLINE") -> Found:
    """A Map whose inner state assigns `v`; states before it assign `outer`, the Map itself assigns
    `own`.
    """
    config = {
        "ProcessorConfig": {
            "Mode": mode,
            **({"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {}),
        }
    }
    state = {
        "Type": "Map",
        "End": True,
        "ItemProcessor": {**inner(I={**PASS, "Assign": {"v.$": "$"}}), **config},
    }
    if own:
        state["Assign"] = {own: 1}
    return found(
        machine(A={"Type": "Pass", "Next": "M", "Assign": dict.fromkeys(outer, 1)}, M=state)
    )


def test_inner_scopes_do_not_assign_outer_variables() -> None:
    assert scopes("v") == [
        (
            SCHEMA,
            "The variable 'v' is assigned in an outer scope",
            "/States/M/ItemProcessor/States/I/Assign",
        )
    ]
    assert scopes("w") == []
    assert scopes("v", own="v") != []
    assert scopes(own="v") == []  # as recorded: the Map assigns after its inner scope has ended
    assert scopes("v", mode="DISTRIBUTED") == []  # children are executions of their own


def test_sibling_scopes_are_independent() -> None:
    branches = [inner(**{name: {**PASS, "Assign": {"v": 1}}}) for name in ("I", "J")]
    assert errors(machine(P={"Type": "Parallel", "End": True, "Branches": branches})) == []


# --- warnings -------------------------------------------------------------------------------------


def test_warnings_do_not_fail_a_definition() -> None:
    definition = one(
        Parameters={
            "a": "$.b",
            "c": "$5",
            "d.$": "$.e",
            "f": ["{% 1 %}"],
            "g": [{"h": "$$.Execution"}, "$.i"],
        },
        Result={"j": {"k.$": "$.l"}},
    )
    validation = validate(definition)
    assert validation.definition is not None
    assert validation.errors == ()
    assert [(code, where) for code, _, where in found(definition, severity="WARNING")] == [
        ("NO_DOLLAR", "/States/X/Parameters/a"),
        ("NO_DOLLAR", "/States/X/Parameters/g[0]/h"),
        ("PASS_RESULT_IS_STATIC", "/States/X/Result/j/k.$"),
    ]


# --- texts, limits, states alone ------------------------------------------------------------------


def test_duplicate_keys_are_errors_with_both_places() -> None:
    text = (
        '{"StartAt": "X",\n "States": {"X": {"Type": "Pass", "End": true, "End": true},\n  "X": '
        '{"Type": "Succeed"}}}'
    )
    assert [(code, where) for code, _, where in found(text)] == [
        (SCHEMA, "/States/X/End"),
        ("DUPLICATE_STATE_NAME", "/States/X"),
    ]
    assert "line 2, column 13 and at line 3, column 3" in found(text)[1][1]
    assert found(text.encode()) == found(text)


def test_the_rest_of_a_definition_with_duplicate_keys_is_checked_too() -> None:
    text = '{"StartAt": "X", "States": {"X": {"Type": "Pass", "Foo": 1, "Foo": 2, "Next": "Y"}}}'
    assert [where for _, _, where in found(text)] == [
        "/States/X/Foo",
        "/States/X/Foo",
        "/States/X/Next",
    ]


@pytest.mark.parametrize(
    ("definition", "code", "message"),
    [
        ("[]", SCHEMA, "Definition must be a valid JSON object"),
        ("null", SCHEMA, "Definition must be a valid JSON object"),
        (" \n", SCHEMA, "Definition must be a valid JSON object"),
        (b"", SCHEMA, "Definition must be a valid JSON object"),
        (None, SCHEMA, "Definition must be a valid JSON object"),
        ('{"StartAt": NaN}', "INVALID_JSON_DESCRIPTION", "Non-standard token 'NaN'"),
        ({"StartAt": float("nan")}, "INVALID_JSON_DESCRIPTION", "nan has no JSON form"),
        (
            b'{"StartAt": "\xff"}',
            "INVALID_JSON_DESCRIPTION",
            "Invalid UTF-8 byte 0xff at offset 13",
        ),
        ('{"StartAt": "\ud800"}', "INVALID_JSON_DESCRIPTION", "Unpaired surrogate in a string"),
        ("\ufeff{}", "INVALID_JSON_DESCRIPTION", "Unexpected character"),
        (
            json.dumps(one())[:-1],
            "INVALID_JSON_DESCRIPTION",
            "Unexpected end-of-input: expected close marker for Object",
        ),
        ("[" * 100_000, "TOO_DEEPLY_NESTED", "Definition is nested deeper than 100 levels"),
        (
            '{"a":' * 100_000 + "1" + "}" * 100_000,
            "TOO_DEEPLY_NESTED",
            "Definition is nested deeper than 100 levels",
        ),
        ('{"a": "' + "x" * 10_000_000 + '"}', SCHEMA, "Definition must have at most 1048576 bytes"),
    ],
)
def test_broken_texts(definition: Any, code: str, message: str) -> None:
    got = found(definition)
    assert len(got) == 1
    assert got[0][0] == code
    assert got[0][1].startswith(message)


def test_a_broken_text_of_the_largest_size_is_checked_quickly() -> None:
    text = json.dumps(
        machine(**{f"S{index}": {**PASS, "Result": list(range(100))} for index in range(2_200)})
    )
    assert 900_000 < len(text) < 1024 * 1024
    (diagnostic,) = validate(text[:-1]).diagnostics
    assert diagnostic.code == "INVALID_JSON_DESCRIPTION"
    assert len(validate(text).diagnostics) == 2_199  # all but the first are not reachable


def test_limits_are_arguments() -> None:
    tiny = Limits(definition_bytes=200, definition_depth=3, name_chars=1)
    assert validate(one(Result=[]), limits=tiny).diagnostics[0].code == "TOO_DEEPLY_NESTED"
    assert (
        validate(one(Comment="x" * 200), limits=tiny).diagnostics[0].message
        == "Definition must have at most 200 bytes"
    )
    assert validate(machine(XY=PASS), limits=tiny).diagnostics[0].code == "INVALID_STATE_NAME"


def test_a_definition_is_not_changed() -> None:
    definition = machine(X={**MAP, "Retry": [RETRIER]})
    before = copy.deepcopy(definition)
    validate(definition)
    assert definition == before


def test_a_state_alone() -> None:
    validation = validate_state(
        json.dumps(
            {
                "Type": "Task",
                "Resource": INVOKE,
                "Next": "There",
                "Catch": [{**CATCH, "Next": "Here"}],
            }
        )
    )
    assert validation.diagnostics == ()
    assert validation.definition is not None
    assert list(validation.definition.states) == ["StateName", "Here", "There"]
    assert validate_state({"Type": "Pass", "Next": "StateName"}).definition is not None
    assert [
        each.location
        for each in validate_state({"Type": "Wait", "Seconds": -1, "End": True}).diagnostics
    ] == ["/States/StateName/Seconds"]
    assert validate_state("[1]").diagnostics[0].message == "Definition must be a valid JSON object"
    assert validate_state("x").diagnostics[0].code == "INVALID_JSON_DESCRIPTION"
