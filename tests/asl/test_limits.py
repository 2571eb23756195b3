"""Limits of the language that are not AWS's reach the code that applies them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stepwell.asl.compiler import compile_machine
from stepwell.asl.evaluation import Env, Json, StateError
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.validate import validate

DEEP: Json = "x"
for _ in range(120):
    DEEP = [DEEP]
PROCESSOR = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}


def machine(**state: Any) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": {"Type": "Pass", "End": True, **state}}}


def call(text: str) -> dict[str, Any]:
    return machine(Parameters={"a.$": text})


def map_state(**fields: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return machine(Type="Map", ItemProcessor={**processor, **PROCESSOR}, **fields)


def retried(**fields: Any) -> dict[str, Any]:
    retrier = {"ErrorEquals": ["States.ALL"], **fields}
    return machine(Type="Task", Resource="arn:aws:states:::sqs:sendMessage", Retry=[retrier])


def nested(depth: int) -> str:
    return "States.Array(" * depth + "1" + ")" * depth


READER = {"Resource": "arn:aws:states:::s3:getObject"}
# limit, a value above AWS's, a definition that only the raised limit allows
DEFINITIONS: list[tuple[str, int, dict[str, Any]]] = [
    ("definition_bytes", 2_000_000, machine(Result="x" * 1_100_000)),
    ("definition_depth", 150, machine(Result=DEEP)),
    ("name_chars", 100, {"StartAt": "S" * 90, "States": {"S" * 90: {"Type": "Succeed"}}}),
    ("label_chars", 50, map_state(Label="L" * 45)),
    (
        "items_pointer_chars", 4_000,
        map_state(ItemReader={**READER, "ReaderConfig": {
            "InputType": "JSON", "ItemsPointer": "/" + "a" * 2_500,
        }}),
    ),
    ("retry_delay_seconds", 40_000_000, retried(MaxDelaySeconds=40_000_000)),
    ("timeout_seconds", 10**9, retried(IntervalSeconds=10**8)),
    ("timeout_seconds", 10**9, {**machine(), "TimeoutSeconds": 10**8}),
    ("wait_seconds", 10**9, machine(Type="Wait", Seconds=10**8)),
    ("payload_bytes", 10**6, map_state(ItemBatcher={"MaxInputBytesPerBatch": 300_000})),
    ("intrinsic_depth", 20, call(nested(15))),
    ("intrinsic_chars", 200_000, call(f"States.Format('{'x' * 150_000}')")),
    ("jsonpath_chars", 16_000, machine(InputPath="$." + "a" * 10_000)),
    ("jsonpath_chars", 16_000, machine(ResultPath="$." + "a" * 10_000)),
    ("jsonpath_chars", 16_000, machine(
        Type="Choice", End=None, Choices=[
            {"Variable": "$." + "a" * 10_000, "IsNull": True, "Next": "S"}
        ], Default="S",
    )),
    ("jsonpath_steps", 200, machine(OutputPath="$" + ".a" * 150)),
    ("jsonpath_steps", 200, call(f"States.Array($['{'a' * 3}']{'[0]' * 150})")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "raised", "definition"),
    DEFINITIONS,
    ids=[f"{number}-{limit}" for number, (limit, _, _) in enumerate(DEFINITIONS)],
)
def test_definitions(limit: str, raised: int, definition: dict[str, Any]) -> None:
    definition = json.loads(json.dumps(definition))
    for state in definition["States"].values():
        if state.get("End", True) is None:  # Choice: it loops, beside a Succeed
            del state["End"]
            state["Default"] = "E"
            definition["States"] = {**definition["States"], "E": {"Type": "Succeed"}}
    refused = validate(definition)
    assert refused.definition is None
    limits = replace(DEFAULT_LIMITS, **{limit: raised})
    allowed = validate(definition, limits=limits)
    assert allowed.definition is not None, allowed.diagnostics
    compile_machine(allowed.definition, limits)


def evaluated(state: dict[str, Any], limits: Limits, value: Json = None) -> Json:
    found = validate(state, limits=limits)
    assert found.definition is not None, found.diagnostics
    compiled = compile_machine(found.definition, limits).states()["S"]
    evaluate = compiled.parameters or compiled.output or compiled.input_path
    assert evaluate is not None
    return evaluate(value, Env(value, {}, dict, lambda: b"0" * 16, 0.0))


def jsonata(expression: str) -> dict[str, Any]:
    return {"QueryLanguage": "JSONata", **machine(Output="{%" + expression + "%}")}


FACTORIAL = "($f := function($n) {$n = 0 ? 0 : 1 + $f($n - 1)}; $f(%d))"
# limit, raised, lowered, a machine that works up to AWS's and not lowered, one that works raised
EVALUATIONS: list[tuple[str, float, float, dict[str, Any], dict[str, Any]]] = [
    ("array_range_items", 5_000, 10, call("States.ArrayRange(1, 1000, 1)"),
     call("States.ArrayRange(1, 5000, 1)")),
    ("intrinsic_string_chars", 30_000, 10, call(f"States.Hash('{'x' * 10_000}', 'MD5')"),
     call(f"States.Hash('{'x' * 20_000}', 'MD5')")),
    ("intrinsic_string_chars", 30_000, 10, call(f"States.Base64Encode('{'x' * 10_000}')"),
     call(f"States.Base64Encode('{'x' * 20_000}')")),
    ("jsonpath_nodes", 2_000_000, 1_000, machine(InputPath="$..a"), machine(InputPath="$..a")),
    ("jsonata_string_chars", 2_000_000, 1_000, jsonata("$pad('x', 500000)"),
     jsonata("$pad('x', 1000000)")),
    ("jsonata_array_items", 200_000, 1_000, jsonata("[1..100000]"), jsonata("[1..150000]")),
    ("jsonata_steps", 10_000_000, 30_000, jsonata("$sum([1..60000].($ * 2))"),
     jsonata("$sum([1..130000].($ * 2 + $ * 3 + $ * 4 + $ * 5))")),
    ("jsonata_depth", 1_000, 10, jsonata(FACTORIAL % 50), jsonata(FACTORIAL % 60)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "raised", "lowered", "usual", "large"),
    EVALUATIONS,
    ids=[f"{number}-{each[0]}" for number, each in enumerate(EVALUATIONS)],
)
def test_evaluations(
    limit: str, raised: float, lowered: float, usual: dict[str, Any], large: dict[str, Any]
) -> None:
    value = {"a": 1, "b": [{"a": 2}] * 20_000}
    plenty = replace(DEFAULT_LIMITS, jsonata_seconds=60.0)  # the machine may be busy
    more = replace(plenty, **{limit: raised})
    evaluated(usual, plenty, value)
    evaluated(large, more, value)
    with pytest.raises(StateError):
        evaluated(usual, replace(DEFAULT_LIMITS, **{limit: lowered}), value)
    if large is not usual and limit not in ("jsonpath_nodes", "jsonata_depth"):
        with pytest.raises(StateError):
            evaluated(large, DEFAULT_LIMITS, value)


def test_limits_are_cheap_keys() -> None:
    assert hash(DEFAULT_LIMITS) == hash(Limits()) and Limits() == DEFAULT_LIMITS
    assert Limits() != replace(DEFAULT_LIMITS, wait_seconds=1)
