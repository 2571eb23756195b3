"""The models have every field with its default and range; they are frozen and quick to import."""

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from stepwell.asl import definition
from stepwell.asl.definition import (
    Catcher,
    ChoiceRule,
    FailState,
    ItemProcessor,
    MapState,
    PassState,
    Retrier,
    State,
    StateMachine,
    TaskState,
)
from stepwell.asl.limits import DEFAULT_LIMITS

COMMON = "Comment QueryLanguage Type"
STEP = f"{COMMON} InputPath OutputPath Next End Assign Output"
FAILING = f"{STEP} ResultSelector ResultPath Retry Catch"

# the fields of the language; source: the Amazon States Language and the Step Functions Developer
# Guide
FIELDS = {
    "StateMachine": "Comment States StartAt Version TimeoutSeconds QueryLanguage",
    "Branch": "Comment States StartAt",
    "ItemProcessor": "Comment States StartAt ProcessorConfig",
    "ProcessorConfig": "Comment Mode ExecutionType",
    "PassState": f"{STEP} Parameters Result ResultPath",
    "TaskState": f"{FAILING} Resource Parameters Arguments Credentials "
    "TimeoutSeconds TimeoutSecondsPath HeartbeatSeconds HeartbeatSecondsPath",
    "ChoiceState": f"{COMMON} InputPath OutputPath Choices Default Assign Output",
    "WaitState": f"{STEP} Seconds SecondsPath Timestamp TimestampPath",
    "SucceedState": f"{COMMON} InputPath OutputPath Output",
    "FailState": f"{COMMON} Error ErrorPath Cause CausePath",
    "ParallelState": f"{FAILING} Branches Parameters Arguments",
    "MapState": f"{FAILING} ItemProcessor Iterator ItemSelector Parameters ItemsPath Items "
    "ItemReader ItemBatcher ResultWriter Label MaxConcurrency MaxConcurrencyPath "
    "ToleratedFailureCount ToleratedFailureCountPath "
    "ToleratedFailurePercentage ToleratedFailurePercentagePath",
    "Retrier": (
        "Comment ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy"
    ),
    "Catcher": "Comment ErrorEquals Next ResultPath Output Assign",
    "ChoiceRule": "Comment Next Condition Output Assign",
    "Credentials": "RoleArn RoleArn.$",
    "ItemReader": "Comment Resource Parameters Arguments ReaderConfig",
    "ReaderConfig": "Comment InputType Transformation ManifestType CSVHeaderLocation CSVHeaders "
    "CSVDelimiter MaxItems MaxItemsPath ItemsPointer",
    "ItemBatcher": (
        "Comment MaxItemsPerBatch MaxItemsPerBatchPath MaxInputBytesPerBatch "
        "MaxInputBytesPerBatchPath BatchInput"
    ),
    "ResultWriter": "Comment Resource Parameters Arguments WriterConfig",
    "WriterConfig": "Comment Transformation OutputType",
}


def model(name: str) -> type[BaseModel]:
    found: type[BaseModel] = getattr(definition, name)
    found.model_rebuild()  # they are built on first use
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_the_language_and_no_other(name: str) -> None:
    assert {field.alias for field in model(name).model_fields.values()} == set(FIELDS[name].split())


def test_no_model_is_left_out() -> None:
    models = {
        name
        for name, each in vars(definition).items()
        if isinstance(each, type) and issubclass(each, BaseModel) and name[0] != "_"
    }
    assert models - {"BaseModel"} == set(FIELDS)
    assert {each.__name__ for each in get_args(get_args(State)[0])} == {
        name for name in FIELDS if name.endswith("State")
    }


def test_defaults() -> None:
    retrier = Retrier.model_validate({"ErrorEquals": ["A"]})
    assert (
        retrier.interval_seconds,
        retrier.max_attempts,
        retrier.backoff_rate,
        retrier.max_delay_seconds,
    ) == (1, 3, 2.0, None)
    assert retrier.jitter_strategy == "NONE"
    catcher = Catcher.model_validate({"ErrorEquals": ["A"], "Next": "B"})
    assert (catcher.result_path, catcher.assign, catcher.error_equals) == ("$", None, ("A",))
    processor = ItemProcessor.model_validate({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    assert (processor.processor_config.mode, processor.processor_config.execution_type) == (
        "INLINE",
        None,
    )
    state = MapState.model_validate(
        {"Type": "Map", "Iterator": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}
    )
    assert (
        state.max_concurrency,
        state.tolerated_failure_count,
        state.tolerated_failure_percentage,
    ) == (0, None, None)
    assert isinstance(state.iterator, ItemProcessor)


def test_null_is_not_the_same_as_absent() -> None:
    state = PassState.model_validate(
        {"Type": "Pass", "InputPath": None, "ResultPath": None, "Result": None, "End": True}
    )
    assert (state.input_path, state.result_path, state.output_path) == (None, None, "$")
    assert "result" in state.model_fields_set
    assert "output" not in state.model_fields_set


def test_a_rule_keeps_its_test_as_written() -> None:
    test = {"Not": {"Variable": "$.a", "IsNull": True}}
    rule = ChoiceRule.model_validate({**test, "Next": "A", "Comment": "c"})
    assert rule.test == test
    assert rule.model_dump(by_alias=True, exclude_unset=True) == {
        **test,
        "Next": "A",
        "Comment": "c",
    }


def test_models_are_frozen_and_hold_no_lists() -> None:
    machine = StateMachine.model_validate(
        {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "E"}}}
    )
    state = machine.states["A"]
    assert isinstance(state, FailState)
    with pytest.raises(ValidationError, match="frozen"):
        state.error = "F"
    assert Retrier.model_validate({"ErrorEquals": ["A", "B"]}).error_equals == ("A", "B")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("TimeoutSeconds", 0, "greater_than_equal"),
        ("TimeoutSeconds", 100_000_000, "less_than_equal"),
        ("TimeoutSeconds", 1.5, "int_type"),
        ("TimeoutSeconds", True, "int_type"),
        ("TimeoutSeconds", None, "int_type"),
        ("Resource", "", "string_too_short"),
        ("Resource", 1, "string_type"),
        ("Retry", {}, "tuple_type"),
        ("Retry", [{"ErrorEquals": []}], "too_short"),
        ("Retry", [{"ErrorEquals": ["A"], "BackoffRate": 0.5}], "greater_than_equal"),
        ("Retry", [{"ErrorEquals": ["A"], "MaxAttempts": "3"}], "int_type"),
        ("Retry", [{"ErrorEquals": ["A"], "MaxDelaySeconds": 31_622_401}], "less_than_equal"),
        ("Retry", [{"ErrorEquals": ["A"], "JitterStrategy": "HALF"}], "literal_error"),
        ("End", 1, "bool_type"),
        ("Choices", [], "extra_forbidden"),
        ("result_path", "$", "extra_forbidden"),  # the text is PascalCase only
        ("Assign", [], "dict_type"),
    ],
)
def test_types_and_ranges(field: str, value: Any, error: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TaskState.model_validate(
            {"Type": "Task", "Resource": "r", field: value}, context=DEFAULT_LIMITS
        )
    assert [each["type"] for each in caught.value.errors()] == [error]


def test_numbers_may_be_expressions() -> None:
    state = TaskState.model_validate(
        {"Type": "Task", "Resource": "r", "TimeoutSeconds": "{% 1 %}", "HeartbeatSeconds": 5}
    )
    assert (state.timeout_seconds, state.heartbeat_seconds) == ("{% 1 %}", 5)


def test_importing_the_models_starts_no_parser_and_builds_no_schema() -> None:
    code = (
        "import sys, stepwell.asl.definition as d; assert not {'lark', 'jlens', 'yaml', "
        "'jsonpath_ng'} & set(sys.modules); "
        "assert not d.StateMachine.__pydantic_complete__"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
