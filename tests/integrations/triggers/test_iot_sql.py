"""The SQL of topic rules, and topics: examples from AWS's documentation, and properties."""

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepwell.integrations.services.iot import topic_filters
from stepwell.integrations.services.iot.message import Message
from stepwell.integrations.services.iot.sql import SqlError, compile_sql, compile_template
from stepwell.integrations.services.iot.sql_functions import FUNCTIONS

ID = "11111111-2222-4333-8444-555555555555"
PAYLOAD = {
    "t": 31,
    "f": 2.5,
    "s": "it",
    "b": True,
    "n": None,
    "a": {"b": [1, {"c": "x"}]},
    "e": [],
    "value": 5,
}


def message(payload: Any = PAYLOAD, topic: str = "dev/d1/up") -> Message:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic, data, ID, 1_700_000_000_123, "123456789012", random=0.25)


def selected(sql: str, payload: Any = PAYLOAD) -> Any:
    found = compile_sql(sql).apply(message(payload))
    return None if found is None else json.loads(found)


NOTHING = object()


def value(expression: str, payload: Any = PAYLOAD) -> Any:
    return selected(f"SELECT {expression} AS v FROM 'x'", payload).get("v", NOTHING)


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM 'x'", PAYLOAD),
        ("select t from 'x'", {"t": 31}),
        ("SELECT value, nothing FROM 'x'", {"value": 5}),
        ("SELECT VALUE value FROM 'x'", 5),
        ("SELECT VALUE * FROM 'x'", PAYLOAD),
        ("SELECT value * 2 AS d FROM 'x'", {"d": 10}),
        ("SELECT a.b[1].c AS k.z, a.b[0] AS k.y FROM 'x'", {"k": {"z": "x", "y": 1}}),
        ("SELECT *, 1 AS a.q FROM 'x'", {**PAYLOAD, "a": {**PAYLOAD["a"], "q": 1}}),
        # type: ignore[dict-item]
        ("SELECT topic(2), timestamp() FROM 'x'", {"topic": "d1", "timestamp": 1_700_000_000_123}),
        ("SELECT s FROM 'x' WHERE t > 30 AND s = 'it'", {"s": "it"}),
        ("SELECT s FROM 'x' WHERE t > 31", None),
        ("SELECT s FROM 'x' WHERE nothing > 1", None),
        ("SELECT s FROM 'x' WHERE NOT (nothing = 1)", None),
        ("SELECT s FROM 'x' WHERE 'TRUE'", {"s": "it"}),
        ("SELECT s WHERE b", {"s": "it"}),
        ("SELECT s FROM 'x' WHERE t IN [30, 31]", {"s": "it"}),
    ],
)
def test_statements(sql: str, expected: Any) -> None:
    assert selected(sql) == expected


def test_the_payload_is_not_changed() -> None:
    original = message()
    compile_sql("SELECT *, 1 AS a.b FROM 'x'").apply(original)
    assert original.value == PAYLOAD


def test_a_payload_that_is_not_json() -> None:
    raw = message(b"\xffraw")
    assert compile_sql("SELECT * FROM 'x'").apply(raw) == b"\xffraw"
    assert compile_sql("SELECT t FROM 'x'").apply(raw) == b"{}"
    assert (
        compile_sql("SELECT encode(*, 'base64') AS v FROM 'x'").apply(raw)
        == b'{"v":"' + base64.b64encode(b"\xffraw") + b'"}'
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 - 3", -5),
        ("7 / 2", 3.5),
        ("8 / 2", 4),
        ("-7 % 3", -1),
        ("1 / 0", NOTHING),
        ("t % 0", NOTHING),
        ("'7' * 2", 14),
        ("'a' * 2", NOTHING),
        ("s + 1", "it1"),
        ("1 + s", "1it"),
        ("s + n", NOTHING),
        ("'it''s'", "it's"),
        ("t > '30'", True),
        ("'b' > 'a'", True),
        ("t > 'a'", NOTHING),
        ("t = '31'", True),
        ("t = 31.0", True),
        ("t <> s", True),
        ("b = 'true'", False),
        ("n = null", True),
        ("a.b[0]", 1),
        ("a.b[9]", NOTHING),
        ("a['b']", [1, {"c": "x"}]),
        ("TRUE AND 'false'", False),
        ("true OR nothing", NOTHING),
        ("[1, s, nothing]", [1, "it"]),
        ("{'k': t, 'l': nothing}", {"k": 31}),
        ("CASE t WHEN 30 THEN 'a' WHEN 31 THEN 'b' ELSE 'c' END", "b"),
        ("CASE t WHEN 30 THEN 'a' END", NOTHING),
        ("cast('12' AS Int)", 12),
        ("cast(2.9 AS Int)", 2),
        ("cast(t AS String)", "31"),
        ("cast(s AS Decimal)", NOTHING),
        ("cast('true' AS Boolean)", True),
        ("9223372036854775807 + 1", 9.223372036854775807e18),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    found = value(expression)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT",
        "SELECT FROM 'x'",
        "SELECT a.b[0] FROM 'x'",
        "SELECT 1 FROM 'x'",
        "SELECT * FROM x",
        "SELECT no(1) AS a FROM 'x'",
        "SELECT lower() AS a FROM 'x'",
        "SELECT cast(1 AS Thing) AS a FROM 'x'",
        "SELECT " + "(" * 300 + "1" + ")" * 300 + " AS a FROM",
        "SELECT " + "-" * 300 + "1 AS a FROM 'x'",
        "SELECT " + "1+" * 3000 + "1 AS a FROM 'x'",
        "SELECT " + " " * 9000 + "* FROM 'x'",
    ],
)
def test_invalid_statements(sql: str) -> None:
    with pytest.raises(SqlError):
        compile_sql(sql)


# --- functions: each has an example ---------------------------------------------------------------

EXAMPLES: dict[str, list[tuple[str, Any]]] = {
    "accountid": [("accountid()", "123456789012")],
    "clientid": [("clientid()", "N/A")],
    "newuuid": [("newuuid()", ID)],
    "principal": [("principal()", NOTHING)],
    "rand": [("rand()", 0.25)],
    "timestamp": [("timestamp()", 1_700_000_000_123)],
    "topic": [
        ("topic()", "dev/d1/up"),
        ("topic(1)", "dev"),
        ("topic(0)", NOTHING),
        ("topic(4)", NOTHING),
    ],
    "traceid": [("traceid()", ID)],
    "coalesce": [("coalesce(nothing, n, s)", "it"), ("coalesce(nothing)", NOTHING)],
    "concat": [
        ("concat(s, 1, true)", "it1true"),
        ("concat(e, 1, a.b[0])", [1, 1]),
        ("concat(t)", 31),
    ],
    "decode": [("decode('aGk=', 'base64')", "hi"), ("decode('!', 'base64')", NOTHING)],
    "encode": [("encode('hi', 'base64')", "aGk="), ("encode(t, 'x')", NOTHING)],
    "get": [
        ("get(a, 'b')", [1, {"c": "x"}]),
        ("get(a.b, 0)", 1),
        ("get(s, 1)", "t"),
        ("get(s, 2)", NOTHING),
    ],
    "isnull": [("isNull(n)", True), ("isNull(nothing)", False)],
    "isundefined": [("isUndefined(nothing)", True), ("isUndefined(n)", False)],
    "substring": [
        ("substring('012345', 2)", "2345"),
        ("substring('012345', 2, 4)", "23"),
        ("substring(123, 3)", ""),
    ],
    "endswith": [("endswith('cat', 'at')", True)],
    "indexof": [("indexof('abcd', 'bc')", 1), ("indexof('abcd', 'x')", -1)],
    "length": [("length('hi')", 2), ("length(false)", 5)],
    "lower": [("lower('HELLO')", "hello")],
    "ltrim": [("ltrim(' h i ')", "h i ")],
    "md5": [("md5('hello')", "5d41402abc4b2a76b9719d911017c592")],
    "numbytes": [("numbytes('é')", 2)],
    "replace": [("replace('abra', 'a', 'x')", "xbrx")],
    "rtrim": [("rtrim(' h i ')", " h i")],
    "sha1": [("sha1('hello')", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")],
    "sha224": [("length(sha224('hello'))", 56)],
    "sha256": [("substring(sha256('hello'), 0, 8)", "2cf24dba")],
    "sha384": [("length(sha384('hello'))", 96)],
    "sha512": [("length(sha512('hello'))", 128)],
    "startswith": [("startswith('ranger', 'ran')", True)],
    "trim": [("trim(' h i ')", "h i")],
    "upper": [("upper('hello')", "HELLO")],
    "abs": [("abs(-5)", 5), ("abs('x')", NOTHING)],
    "acos": [("acos(1)", 0.0), ("acos(2)", NOTHING)],
    "asin": [("asin(0)", 0.0)],
    "atan": [("atan(0)", 0.0)],
    "atan2": [("atan2(0, 1)", 0.0)],
    "bitand": [("bitand(13, 5)", 5), ("bitand(13, 'a')", NOTHING)],
    "bitor": [("bitor(8, 5)", 13)],
    "bitxor": [("bitxor(13, 5)", 8)],
    "bitnot": [("bitnot(13)", -14)],
    "ceil": [("ceil(1.2)", 2), ("ceil(-1.2)", -1)],
    "cos": [("cos(0)", 1.0)],
    "cosh": [("cosh(0)", 1.0)],
    "exp": [("exp(0)", 1.0), ("exp(10000)", NOTHING)],
    "floor": [("floor(1.2)", 1), ("floor('-1.2')", -2)],
    "ln": [("ln(1)", 0.0), ("ln(0)", NOTHING)],
    "log": [("log(100)", 2.0)],
    "mod": [("mod(8, 3)", 2), ("mod(-8, 3)", -2), ("mod(8, 0)", NOTHING)],
    "nanvl": [("nanvl(8, 3)", 8), ("nanvl(s, 3)", 3)],
    "power": [("power(2, 5)", 32), ("power(2, 0.5)", 2**0.5), ("power(10, 1000)", NOTHING)],
    "remainder": [("remainder(8, 3)", 2)],
    "round": [("round(1.2)", 1), ("round(1.5)", 2), ("round(-1.5)", -2), ("round(2)", 2)],
    "sign": [("sign(-7)", -1), ("sign(0)", 0)],
    "sin": [("sin(0)", 0.0)],
    "sinh": [("sinh(0)", 0.0)],
    "sqrt": [("sqrt(9)", 3.0), ("sqrt(-1)", NOTHING)],
    "tan": [("tan(0)", 0.0)],
    "tanh": [("tanh(0)", 0.0)],
    "trunc": [("trunc(2.3)", 2), ("trunc(2.375, 2)", 2.37)],
}


def test_every_function_has_an_example() -> None:
    assert EXAMPLES.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_functions(name: str) -> None:
    for expression, expected in EXAMPLES[name]:
        found = value(expression)
        assert found == expected and type(found) is type(expected), expression


def test_templates() -> None:
    assert compile_template("a/${topic(2)}/${ s }/$x")(message()) == "a/d1/it/$x"
    assert compile_template("${nothing}-${a.b[0]}")(message()) == "-1"
    with pytest.raises(SqlError):
        compile_template("${1 +}")


# --- properties -----------------------------------------------------------------------------------

LEAVES = st.one_of(
    st.integers(-9, 99).map(lambda n: f"({n})"),
    st.sampled_from(
        [
            "t",
            "f",
            "s",
            "b",
            "n",
            "a",
            "e",
            "nothing",
            "a.b[1].c",
            "true",
            "false",
            "null",
            "'7'",
            "'it''s'",
            "*",
        ]
    ),
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    part = inner.map(lambda text: "t" if text == "*" else text)
    signs = st.sampled_from(["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "AND", "or", "IN"])
    return st.one_of(
        st.tuples(part, signs, part).map(lambda parts: f"({' '.join(parts)})"),
        part.map(lambda text: f"(NOT {text})"),
        st.lists(part, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(part, part, part).map(
            lambda parts: "(CASE {} WHEN {} THEN {} END)".format(*parts)
        ),
        st.sampled_from(sorted(FUNCTIONS)).flatmap(
            lambda name: st.lists(
                inner, min_size=FUNCTIONS[name].minimum, max_size=min(FUNCTIONS[name].maximum, 4)
            ).map(lambda parts: f"{name}({', '.join(parts)})")
        ),
    )


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["t", "s", "a", "b", "c"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(
    st.recursive(LEAVES, _grown, max_leaves=12),
    st.one_of(JSON.map(lambda v: json.dumps(v).encode()), st.binary(max_size=8)),
)
def test_any_expression_of_any_payload_is_json(expression: str, payload: bytes) -> None:
    assume(expression != "*")
    found = compile_sql(f"SELECT {expression} AS v FROM 'x'").apply(message(payload))
    assert found is not None and json.loads(found).keys() <= {"v"}
    compile_sql(f"SELECT * FROM 'x' WHERE {expression}").apply(message(payload))


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "SELECT",
                "*",
                "FROM",
                "'x'",
                "WHERE",
                "a",
                ".",
                "(",
                ")",
                "[",
                "]",
                ",",
                "AND",
                "1",
                "+",
                "topic",
                "CASE",
                "END",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_a_statement_or_rejected(text: str) -> None:
    try:
        compile_sql(text)
    except SqlError as fault:
        assert str(fault)


@given(JSON)
def test_star_is_the_payload(payload: Any) -> None:
    assert selected("SELECT * FROM 'x'", payload) == json.loads(json.dumps(payload))


NUMBERS = st.recursive(
    st.integers(0, 99).map(lambda n: (str(n), n)),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda parts: (
            f"({parts[0][0]} {parts[1]} {parts[2][0]})",
            {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[parts[1]](
                parts[0][1], parts[2][1]
            ),
        )
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(NUMBERS, st.sampled_from("+-*")), min_size=1, max_size=5), NUMBERS)
def test_precedence_and_associativity_of_arithmetic(
    terms: list[tuple[tuple[str, int], str]], last: tuple[str, int]
) -> None:
    text = " ".join(f"{term[0]} {sign}" for term, sign in terms) + f" {last[0]}"
    expected = eval(text)
    assume(abs(expected) < 2**63)
    assert value(text) == expected


BOOLS = st.sampled_from(["true", "false", "nothing", "1", "'true'"])


@given(BOOLS, BOOLS, BOOLS)
def test_de_morgan_and_precedence(a: str, b: str, c: str) -> None:
    assert value(f"NOT ({a} AND {b})") == value(f"(NOT {a}) OR (NOT {b})")
    assert value(f"{a} OR {b} AND {c}") == value(f"{a} OR ({b} AND {c})")
    assert value(f"NOT {a} AND {b}") == value(f"(NOT {a}) AND {b}")


@given(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    st.integers() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_numbers_are_ordered(a: float, b: float) -> None:
    assume(abs(a) < 2**63 and abs(b) < 2**63)
    payload = {"x": a, "y": b}
    assert [value(f"x {sign} y", payload) for sign in ("<", "=", ">")].count(True) == 1
    assert value("x <= y", payload) == (not value("x > y", payload))


# --- topics ---------------------------------------------------------------------------------------

LEVEL = st.sampled_from(["a", "b", "", "$s"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(LEVEL | st.just("+"), max_size=3), st.sampled_from([[], ["#"]]))
    .map(lambda two: "/".join(two[0] + two[1]))
    .filter(bool)
)


def pattern(filter: str) -> str:
    """The filter as a regular expression, for topics that do not begin with $."""
    text = "/".join(
        "[^/]*" if level == "+" else re.escape(level) for level in filter.split("/") if level != "#"
    )
    if not filter.endswith("#"):
        return text
    return ".*" if filter == "#" else f"{text}(/.*)?"


@given(FILTERS, TOPICS)
def test_matching(filter: str, topic: str) -> None:
    assert topic_filters.is_filter(filter) and topic_filters.is_topic(topic)
    hidden = topic.startswith("$") and filter[0] in "+#"
    assert topic_filters.matches(filter, topic) == (
        re.fullmatch(pattern(filter), topic) is not None and not hidden
    )


@given(st.lists(FILTERS, max_size=6), TOPICS)
def test_many_filters_at_once(filters: list[str], topic: str) -> None:
    found = topic_filters.FilterIndex(enumerate_by(filters)).find(topic)
    assert sorted(found) == [
        at for at, each in enumerate(filters) if topic_filters.matches(each, topic)
    ]


def enumerate_by(filters: list[str]) -> list[tuple[str, int]]:
    return [(each, at) for at, each in enumerate(filters)]


@given(FILTERS, FILTERS, TOPICS)
def test_covering(wide: str, narrow: str, topic: str) -> None:
    if topic_filters.covers(wide, narrow) and topic_filters.matches(narrow, topic):
        assert topic_filters.matches(wide, topic)


@given(st.lists(FILTERS, max_size=5), TOPICS)
def test_the_fewest_filters_match_the_same_topics(filters: list[str], topic: str) -> None:
    few = topic_filters.fewest(filters)
    assert few <= set(filters)
    assert any(topic_filters.matches(each, topic) for each in few) == any(
        topic_filters.matches(each, topic) for each in filters
    )
    assert not any(topic_filters.covers(one, other) for one in few for other in few if one != other)


@pytest.mark.parametrize("text", ["", "a/#/b", "a+/b", "a/b#", "a\0", "a/" * 8, "x" * 257])
def test_invalid_filters_and_topics(text: str) -> None:
    assert not topic_filters.is_filter(text) and not topic_filters.is_topic(text)
