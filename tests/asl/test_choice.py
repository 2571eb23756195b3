"""Choice rules: the table of operators, types, missing values, And, Or, Not, errors, properties."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl import messages
from stepwell.asl.choice import OPERATORS, ExpressionError, compile_rule
from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.expression_errors import Fault
from stepwell.asl.timestamps import parse_instant

ORDERS = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
LATE, EARLY = "2016-03-14T01:59:00Z", "2016-03-14T01:59:00+01:00"
OF_EACH_TYPE = [None, True, False, 0, 1.5, "", "text", LATE, [], [1], {}, {"a": 1}]
SAMPLES = {"String": "text", "Numeric": 1, "Boolean": True, "Timestamp": LATE}


def decide(
    rule: dict[str, Any], value: Any = None, variables: dict[str, Any] | None = None
) -> bool:
    return compile_rule(rule)(
        value,
        Env(value, variables or {}, lambda: {"State": {"RetryCount": 2}}, lambda: bytes(16), 0.0),
    )


def compare(left: Any, operator: str, right: Any) -> bool:
    """With a literal operand, after checking that a path to it decides the same."""
    literal = decide({"Variable": "$.left", operator: right}, {"left": left})
    assert (
        decide({"Variable": "$.left", operator + "Path": "$.right"}, {"left": left, "right": right})
        is literal
    )
    return literal


def test_the_table() -> None:
    ordered = [kind + order for kind in ("String", "Numeric", "Timestamp") for order in ORDERS]
    with_paths = [name + end for name in [*ordered, "BooleanEquals"] for end in ("", "Path")]
    kinds = ["IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"]
    assert sorted(OPERATORS) == sorted([*with_paths, *kinds, "StringMatches"])
    assert len(OPERATORS) == 39


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [
        (0, "NumericEquals", 0.0, True),
        (1, "NumericEquals", 2, False),
        (2**53 + 1, "NumericEquals", 2**53, True),  # double precision
        (10**400, "NumericGreaterThan", 1e308, True),
        (-(10**400), "NumericLessThan", -1e308, True),
        (1, "NumericGreaterThan", 0, True),
        (1, "NumericGreaterThan", 1, False),
        (1, "NumericGreaterThanEquals", 1, True),
        (0.5, "NumericLessThan", 1, True),
        (1, "NumericLessThanEquals", 0.5, False),
        ("HelloWorld", "StringEquals", "HelloWorld", True),
        ("\t\n", "StringEquals", "\t\r\n", False),
        ("é", "StringEquals", "e\u0301", False),
        ("A", "StringLessThan", "AB", True),
        ("AB", "StringGreaterThanEquals", "A", True),
        ("", "StringGreaterThanEquals", "", True),
        ("Z", "StringLessThan", "a", True),
        ("z", "StringLessThan", "ä", True),
        ("\U0001f600", "StringLessThan", "\uff5e", True),  # by UTF-16 unit, not by code point
        (True, "BooleanEquals", True, True),
        (False, "BooleanEquals", True, False),
        (LATE, "TimestampGreaterThan", EARLY, True),
        (EARLY, "TimestampEquals", "2016-03-14T00:59:00.000Z", True),
        (LATE, "TimestampLessThan", "2016-03-14T01:59:00.000000001Z", True),
        (LATE, "TimestampLessThanEquals", LATE, True),
        (LATE, "TimestampGreaterThanEquals", EARLY, True),
    ],
)
def test_comparisons(left: Any, operator: str, right: Any, result: bool) -> None:
    assert compare(left, operator, right) is result


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("value", OF_EACH_TYPE)
def test_another_type_is_false_and_no_error(kind: str, value: Any) -> None:
    right = SAMPLES[kind]
    if kind == "Timestamp":
        fits = parse_instant(value) is not None
    else:
        fits = type(value) in {"String": (str,), "Numeric": (int, float), "Boolean": (bool,)}[kind]
    for order in ORDERS if kind != "Boolean" else ORDERS[:1]:
        result = compare(value, kind + order, right)
        assert fits or not result
        assert (
            not decide({"Variable": "$.l", f"{kind}{order}Path": "$.r"}, {"l": right, "r": value})
            or fits
        )
    assert compare(right, kind + "Equals", right)


@pytest.mark.parametrize(
    ("operator", "which"),
    [
        ("IsNull", [None]),
        ("IsBoolean", [True, False]),
        ("IsNumeric", [0, 1.5]),
        ("IsString", ["", "text", LATE]),
        ("IsTimestamp", [LATE]),
        ("IsPresent", OF_EACH_TYPE),
    ],
)
def test_types(operator: str, which: list[Any]) -> None:
    for value in OF_EACH_TYPE:
        belongs = any(value is each for each in which)
        assert decide({"Variable": "$.x", operator: True}, {"x": value}) is belongs
        assert decide({"Variable": "$.x", operator: False}, {"x": value}) is not belongs


def test_presence() -> None:
    for path in ("$.x", "$.a.b", "$.n[3]", "$$.Task.Token", "$unset", "$set.x"):
        assert decide({"Variable": path, "IsPresent": False}, {"a": 1, "n": []}, {"set": {}})
        assert not decide({"Variable": path, "IsPresent": True}, {"a": 1, "n": []}, {"set": {}})
    assert decide({"Variable": "$$.State.RetryCount", "IsPresent": True})
    assert decide({"Variable": "$set", "IsPresent": True}, None, {"set": None})


@pytest.mark.parametrize(
    "rule",
    [
        {"Variable": "$.x", "NumericEquals": 1},
        {"Variable": "$.x", "StringMatches": "*"},
        {"Variable": "$.x", "IsNull": True},
        {"Variable": "$.a", "NumericEqualsPath": "$.x"},
        {"Not": {"Variable": "$.x", "IsString": True}},
        {"Or": [{"Variable": "$.a", "IsString": True}, {"Variable": "$.x", "BooleanEquals": True}]},
    ],
)
def test_a_missing_value_is_an_error(rule: dict[str, Any]) -> None:
    with pytest.raises(StateError) as raised:
        decide(rule, {"a": 1})
    assert (raised.value.error, raised.value.cause) == (
        "States.Runtime",
        "Invalid path '$.x': The choice state's condition path references an invalid value.",
    )


def test_roots_and_rich_paths() -> None:
    assert decide({"Variable": "$$.State.RetryCount", "NumericEqualsPath": "$n"}, {}, {"n": 2})
    assert decide({"Variable": "$.list.length()", "NumericGreaterThan": 2}, {"list": [1, 2, 3]})


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "log-*.txt",
            ["log-.txt", "log-a.txt", "log-.txt.txt"],
            ["log-.tx", "alog-.txt", "log-.txt "],
        ),
        ("*", ["", "a", "\n"], []),
        ("**", ["", "a"], []),
        ("", [""], ["a"]),
        ("a", ["a"], ["", "aa", "A"]),
        ("*a*b*", ["ab", "xaxbx", "aab"], ["ba", "a", "b", ""]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*ab*ab", ["abab", "xabxab"], ["ab", "abxabx"]),
        (r"\*", ["*"], ["", "a", "\\*"]),
        (r"\\*", ["\\", "\\x"], ["*", ""]),
        (r"a\b\*", [r"a\b*"], ["ab*", r"a\bx"]),
        ("[x].?", ["[x].?"], ["x.?"]),
    ],
)
def test_wildcards(pattern: str, yes: list[str], no: list[str]) -> None:
    for text in (*yes, *no):
        assert decide({"Variable": "$", "StringMatches": pattern}, text) is (text in yes)
    assert not decide({"Variable": "$", "StringMatches": pattern}, 5)


def test_no_pattern_is_slow() -> None:
    assert not decide({"Variable": "$", "StringMatches": "*a" * 2_000 + "b"}, "a" * 100_000)


def test_and_and_or_stop_early() -> None:
    true, false, error = (
        {"Variable": "$.t", "BooleanEquals": True},
        {"Variable": "$.f", "BooleanEquals": True},
        {"Variable": "$.x", "IsNull": True},
    )
    value = {"t": True, "f": False}
    assert not decide({"And": [true, false, error]}, value)
    assert decide({"Or": [false, true, error]}, value)
    assert decide({"Not": {"And": [true, {"Or": [false, {"Not": true}]}]}}, value)
    assert decide(
        {"And": [{"Comment": "why", **true}], "Next": "N", "Comment": "c", "Assign": {}}, value
    )


EXPECTED = "Expected value of type [{}]"


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        ({}, [("", messages.ONE_OPERATOR)]),
        ({"Variable": "$.x"}, [("", messages.ONE_OPERATOR)]),
        ({"Variable": "$", "IsNull": True, "IsString": True}, [("", messages.ONE_OPERATOR)]),
        (
            {"Variable": "$", "NumericIs": 1, "IsNull": True},
            [("/NumericIs", "Field is not supported")],
        ),
        ({"IsNull": True}, [("", "The field 'Variable' is required but was missing")]),
        (
            {"Variable": 5, "IsNull": 1},
            [("/Variable", EXPECTED.format("String")), ("/IsNull", EXPECTED.format("Boolean"))],
        ),
        (
            {"Variable": "x", "IsPresent": "true"},
            [("/Variable", None), ("/IsPresent", EXPECTED.format("Boolean"))],
        ),
        ({"Variable": "$", "NumericEquals": "1"}, [("/NumericEquals", EXPECTED.format("Number"))]),
        ({"Variable": "$", "NumericEquals": True}, [("/NumericEquals", EXPECTED.format("Number"))]),
        ({"Variable": "$", "StringEquals": None}, [("/StringEquals", EXPECTED.format("String"))]),
        ({"Variable": "$", "StringMatches": 1}, [("/StringMatches", EXPECTED.format("String"))]),
        ({"Variable": "$", "BooleanEquals": 0}, [("/BooleanEquals", EXPECTED.format("Boolean"))]),
        (
            {"Variable": "$", "TimestampEquals": "today"},
            [("/TimestampEquals", "String does not match RFC3339 timestamp")],
        ),
        (
            {"Variable": "$", "StringEqualsPath": 1},
            [("/StringEqualsPath", EXPECTED.format("String"))],
        ),
        ({"Variable": "$", "StringEqualsPath": "$["}, [("/StringEqualsPath", None)]),
        ({"And": []}, [("/And", "Value cannot be empty")]),
        ({"Or": {"IsNull": True}}, [("/Or", EXPECTED.format("Array"))]),
        ({"Not": []}, [("/Not", EXPECTED.format("Object"))]),
        (
            {"And": [{"Variable": "$", "IsNull": True}], "Variable": "$"},
            [("/Variable", "Field is not supported")],
        ),
        (
            {
                "And": [
                    {"Variable": "$", "IsNull": True, "Next": "X"},
                    {"Not": {"Variable": "$", "IsNull": 0}},
                    5,
                ]
            },
            [
                ("/And[0]/Next", "Field is not supported"),
                ("/And[1]/Not/IsNull", EXPECTED.format("Boolean")),
                ("/And[2]", EXPECTED.format("Object")),
            ],
        ),
    ],
)
def test_mistakes(rule: dict[str, Any], faults: list[tuple[str, str | None]]) -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_rule(rule)
    found = raised.value.faults
    assert [fault.location for fault in found] == [location for location, _ in faults]
    assert all(
        message is None or fault.message == message for fault, (_, message) in zip(found, faults)
    )
    assert all(isinstance(fault, Fault) and "\n" not in fault.message for fault in found)


# --- properties -----------------------------------------------------------------------------------
MOMENTS = (
    st.datetimes()
    .map(lambda moment: moment.isoformat() + "Z")
    .filter(lambda text: parse_instant(text) is not None)
)
PAIRS = {
    "Numeric": st.integers() | st.floats(allow_nan=False) | st.integers(-2, 2),
    "String": st.text(max_size=3) | st.text("aZ\uff5e\U0001f600", max_size=3),
    "Timestamp": MOMENTS | st.sampled_from([LATE, EARLY]),
}


@pytest.mark.parametrize("kind", PAIRS)
@given(data=st.data())
def test_a_total_order(kind: str, data: st.DataObject) -> None:
    a, b, c = (data.draw(PAIRS[kind]) for _ in range(3))
    less, same, more = (
        compare(a, kind + order, b) for order in ("LessThan", "Equals", "GreaterThan")
    )
    assert less + same + more == 1
    assert compare(a, kind + "LessThanEquals", b) is (less or same)
    assert compare(a, kind + "GreaterThanEquals", b) is (more or same)
    assert compare(b, kind + "GreaterThan", a) is less
    if less and compare(b, kind + "LessThan", c):
        assert compare(a, kind + "LessThan", c)


RULES = st.recursive(
    st.sampled_from([{"Variable": f"$.{name}", "BooleanEquals": True} for name in "pqr"]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda rules: st.sampled_from([{"And": rules}, {"Or": rules}, {"Not": rules[0]}])
    ),
    max_leaves=8,
)


@given(RULES, RULES, st.fixed_dictionaries({name: st.booleans() for name in "pqr"}))
def test_boolean_laws(a: dict[str, Any], b: dict[str, Any], value: dict[str, bool]) -> None:
    left, right = decide(a, value), decide(b, value)
    assert decide({"And": [a, b]}, value) is (left and right)
    assert decide({"Or": [a, b]}, value) is (left or right)
    assert decide({"Not": a}, value) is not left
    assert decide({"Not": {"And": [a, b]}}, value) is decide(
        {"Or": [{"Not": a}, {"Not": b}]}, value
    )
    assert decide({"Not": {"Not": a}}, value) is left


@given(st.text("ab*\\", max_size=8), st.text("ab*\\", max_size=8))
def test_wildcards_are_a_regular_expression(pattern: str, text: str) -> None:
    parts = re.findall(r"\\[*\\]|.", pattern)
    regex = "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)
    assert decide({"Variable": "$", "StringMatches": pattern}, text) is (
        re.fullmatch(regex, text) is not None
    )


@given(st.text(max_size=20))
def test_an_escaped_pattern_matches_itself(text: str) -> None:
    pattern = text.replace("\\", "\\\\").replace("*", "\\*")
    assert decide({"Variable": "$", "StringMatches": pattern}, text)
    assert not decide({"Variable": "$", "StringMatches": pattern}, text + "x")
