"""Every text of the sections "running" of asl/messages.py and engine/messages.py has a machine that
ends with it.
"""

import ast
import inspect
import re
from typing import Any, NamedTuple

import pytest
from tests.engine.core.driver import (
    ACTIVITY,
    PASS,
    PLAIN,
    Fails,
    distributed,
    each,
    jsonata,
    machine,
    only,
    run,
)

from stepwell.asl import messages
from stepwell.asl.validate import validate
from stepwell.engine import messages as engine_messages
from stepwell.engine.limits import Limits

TABLES = (messages, engine_messages)
A = machine("A", A=PASS)
RUNTIME, QUERY, INTRINSIC = (
    messages.RUNTIME,
    messages.QUERY_EVALUATION_ERROR,
    messages.INTRINSIC_FAILURE,
)


class Case(NamedTuple):
    """A machine that ends with a text; `options` are run()'s."""

    definition: dict[str, Any]
    input: Any = None
    error: str = RUNTIME
    options: dict[str, Any] = {}  # noqa: RUF012


def path(text: str, input: Any = None) -> Case:
    return Case(only({**PASS, "InputPath": text}), input)


def call(text: str, input: Any = None, error: str = INTRINSIC) -> Case:
    return Case(only({**PASS, "Parameters": {"x.$": text}}), input, error)


def query(text: str, input: Any = None) -> Case:
    return Case(jsonata({**PASS, "Output": "{% " + text + " %}"}), input, QUERY)


def waiting(**fields: str) -> dict[str, Any]:
    return only({"Type": "Wait", **fields})


def mapping(input: Any, **fields: Any) -> Case:
    return Case(only(each(A, ItemsPath="$.l", **fields)), {"l": [1], "n": input})


DEEP: Any = 1
for _ in range(998):
    DEEP = [DEEP]

CASES: dict[str, Case] = {
    "IN_STATE": path("$.no"),
    "PATH_NOT_FOUND": call("$.no", error=RUNTIME),
    "INVALID_PATH": path("$.no"),
    "NO_RESULTS": path("$.no"),
    "MISSING_PROPERTY": path("$.no.such"),
    "ARRAYS_ONLY": path("$.a[0]", {"a": {}}),
    "PATH_IS_NULL": path("$.a[0]", {"a": None}),
    "OBJECT_EXPECTED": path("$.a.b", {"a": 1}),
    "NO_PRIMITIVES": path("$.a[?(@.b)].c", {"a": 1}),
    "NO_SUCH_VARIABLE": Case(
        machine(
            "C",
            C={
                "Type": "Choice",
                "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "V"}],
                "Default": "R",
            },
            V={**PASS, "Assign": {"v": 1}, "Next": "R"},
            R={**PASS, "InputPath": "$v"},
        )
    ),
    "INTRINSIC_FAILED": call("States.MathAdd('a', 1)"),
    "INTRINSIC_PATH": call("States.MathAdd($.no, 1)", {}, RUNTIME),
    "INTRINSIC_ARGUMENT": call("States.ArrayLength('a')"),
    "INTRINSIC_TEMPLATE": call("States.Format('{}{}', 1)"),
    "INTRINSIC_JSON": call("States.StringToJson('{')"),
    "INTRINSIC_BASE64": call("States.Base64Decode('!')"),
    "INTRINSIC_RANGE": call("States.ArrayRange(1, 1001, 1)"),
    "INTRINSIC_INDEX": call("States.ArrayGetItem(States.Array(1), 1)"),
    "INTRINSIC_DEPTH": call(
        "States.Hash(States.Array(States.Array(States.Array($))), 'MD5')", DEEP
    ),
    "EMPTY_AGGREGATE": path("$.a.max()", {"a": []}),
    "INDEX_BOUNDS": path("$.a.index(5)", {"a": [1]}),
    "INDEX_TOO_LARGE": path("$.a.index(-5)", {"a": [1]}),
    "NOT_A_VALUE": path("$[?(@.a contains 1)]", [{"a": [[]]}]),
    "NOT_A_COLLECTION": path("$[?(@.a empty true)]", [{"a": {}}]),
    "PATH_TOO_DEEP": path("$[0]", {"a": DEEP}),
    "PATH_TOO_MUCH": Case(
        only({**PASS, "InputPath": "$..a"}),
        {"b": {"c": 1}},
        options={"limits": Limits(jsonpath_nodes=3)},
    ),
    "CHOICE_VARIABLE": Case(
        only(
            {"Type": "Choice", "Choices": [{"Variable": "$.no", "IsNull": True, "Next": "N"}]},
            N=PASS,
        )
    ),
    "NO_NEXT_STATE": Case(
        only(
            {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "N"}]}, N=PASS
        )
    ),
    "HISTORY_LIMIT": Case(only(PASS), options={"limits": Limits(history_events=3)}),
    "RESULT_TOO_LARGE": Case(
        only({**PASS, "Result": "long"}),
        1,
        messages.DATA_LIMIT_EXCEEDED,
        {"limits": Limits(payload_bytes=5)},
    ),
    "ACTIVITY_GONE": Case(only({"Type": "Task", "Resource": ACTIVITY}), options={"activities": ()}),
    "TOLERATED_EXCEEDED": Case(
        only(distributed(machine("F", F={"Type": "Fail"}))), [1], messages.TOLERATED_FAILURE
    ),
    "MUST_POINT_TO_ARRAY": Case(only(each(A)), {}),
    "RESULT_PATH_MISMATCH": Case(
        only({**PASS, "ResultPath": "$.a.b"}), {"a": 1}, messages.RESULT_PATH_MATCH_FAILURE
    ),
    "SECONDS_PATH_MISSING": Case(waiting(SecondsPath="$.n"), {}),
    "SECONDS_PATH_NEGATIVE": Case(waiting(SecondsPath="$.n"), {"n": -1}),
    "SECONDS_PATH_TYPE": Case(waiting(SecondsPath="$.n"), {"n": "a"}),
    "TIMESTAMP_PATH_TYPE": Case(waiting(TimestampPath="$.n"), {"n": "a"}),
    "TIMESTAMP_TYPE": Case(jsonata({"Type": "Wait", "Timestamp": "{% 'a' %}"}), None, QUERY),
    "VARIABLES_TOO_LARGE": Case(
        only({**PASS, "Assign": {"v": "long"}}),
        1,
        messages.DATA_LIMIT_EXCEEDED,
        {"limits": Limits(variable_bytes=5)},
    ),
    "CONCURRENCY_NEGATIVE": mapping(-1, MaxConcurrencyPath="$.n"),
    "WAIT_TOO_LONG": Case(waiting(SecondsPath="$.n"), {"n": 100_000_000}),
    "NUMBER_RANGE": Case(only({**PLAIN, "TimeoutSecondsPath": "$.n"}), {"n": 0}),
    "PATH_NOT_INTEGER": mapping("a", MaxConcurrencyPath="$.n"),
    "PATH_NOT_FLOAT": mapping("a", ToleratedFailurePercentagePath="$.n"),
    "TOLERATED_COUNT_NEGATIVE": mapping(-1, ToleratedFailureCountPath="$.n"),
    "TOLERATED_PERCENTAGE_RANGE": mapping(101, ToleratedFailurePercentagePath="$.n"),
    "JSONATA": query("$no"),
    "JSONATA_UNDEFINED": query("$no"),
    "JSONATA_UNSUPPORTED": query("function($x){$x}"),
    "JSONATA_TYPE": Case(jsonata({"Type": "Wait", "Seconds": "{% 'a' %}"}), None, QUERY),
    "JSONATA_THREW": query("$error('own')"),
    "JSONATA_ARGUMENT": query("$partition([1], 0)"),
    "JSONATA_PARSE": query("$parse('{')"),
    "JSONATA_BUDGET": Case(
        jsonata({**PASS, "Output": "{% $partition([1..200], 1) %}"}),
        error=QUERY,
        options={"limits": Limits(jsonata_inline_steps=100, jsonata_steps=100)},
    ),
    "MAP_INPUT_TYPE": Case(jsonata(each(A)), 1, QUERY),
}
# Texts that an execution never ends with.
REFUSED = {
    "JSONATA_SYNTAX": "{% ( %}",
    "JSONATA_OPEN": "{% 1 }",
    "JSONATA_NEWER": "{% $a ?? 1 %}",
}  # such an expression makes no definition


def section(name: str) -> list[str]:
    """The names of the constants below the heading of a section."""
    found: list[str] = []
    for table in TABLES:
        body = re.split(r"^# --- ", inspect.getsource(table), flags=re.MULTILINE)
        (text,) = (part.partition("\n")[2] for part in body if part.startswith(name + " "))
        found += [
            node.target.id
            for node in ast.parse(text).body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        ]
    return found


def text_of(name: str) -> str:
    (text,) = (vars(table)[name] for table in TABLES if name in vars(table))
    return str(text)


def pattern(text: str) -> str:
    """A regular expression for a text with its placeholders filled."""
    parts = re.split(r"\{\w+\}", text.replace("{{", "\0").replace("}}", "\1"))
    return "(?s)" + ".*".join(
        re.escape(part.replace("\0", "{").replace("\1", "}")) for part in parts
    )


def test_every_text_has_a_machine() -> None:
    assert sorted(section("running")) == sorted({*CASES, *REFUSED})


@pytest.mark.parametrize("name", CASES)
def test_text(name: str) -> None:
    case = CASES[name]
    error, cause = run(case.definition, case.input, **case.options).failure
    assert error == case.error
    assert re.search(pattern(text_of(name)), str(cause)), cause


@pytest.mark.parametrize("name", REFUSED)
def test_text_of_a_refused_definition(name: str) -> None:
    found = validate(jsonata({**PASS, "Output": REFUSED[name]}))
    assert found.definition is None
    assert [
        re.search(pattern(text_of(name)), each.message) is not None for each in found.errors
    ] == [True]


def test_errors_of_tasks_are_shown_as_they_come() -> None:
    """Braces in the text of a task are not placeholders."""
    text = "{no} {} {{x}} %s"
    assert run(only(PLAIN), S=Fails("E{}", text)).failure == ("E{}", text)
    runtime = run(only(PLAIN), S=Fails("States.Runtime", text, runtime=True))
    assert str(runtime.failure[1]).endswith(text)


def test_patterns_can_fail() -> None:
    assert re.search(pattern(messages.NO_RESULTS), "No results for path: $['a']")
    assert not re.search(pattern(messages.NO_RESULTS), "No result for path: $['a']")
    assert re.search(
        pattern(messages.JSONATA_OPEN),
        "The JSONata expression '{% 1 }' is not closed: it must end with '%}'",
    )
