"""Intrinsic functions: the table, results and failures, the syntax of calls, properties."""

import base64
import hashlib
import uuid
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.intrinsics import FUNCTIONS, TEXT_FUNCTIONS, compile_intrinsic, function_name
from stepwell.asl.java_values import identity

DATA = {
    "name": "Ada",
    "template": "Dear {}, \\{yes\\} or {}",
    "n": [3, 1, 2],
    "mixed": [
        None,
        None,
        True,
        1,
        1,
        1.0,
        "1",
        [],
        [],
        {"a": 1, "b": [2]},
        {"b": [2], "a": 1},
        {"a": 1, "b": [3]},
    ],
    "object": {"Arg1": 1, "Arg2": [], "Arg3": None},
    "float": 1e10,
}


def call(text: str, data: Any = DATA, entropy: bytes = bytes(range(16))) -> Any:
    env = Env({}, {"x": {"y": 40}}, lambda: {"Execution": {"Name": "run-1"}}, lambda: entropy, 0.0)
    return compile_intrinsic(text)(data, env)


def on(name: str, *arguments: Any) -> Any:
    """A function applied to values."""
    return call(
        f"States.{name}({', '.join(f'$[{index}]' for index in range(len(arguments)))})",
        list(arguments),
    )


def refusal(text: str, data: Any = DATA) -> str:
    """The reason why a call fails, without the text around it."""
    with pytest.raises(StateError) as raised:
        call(text, data)
    assert raised.value.error == "States.IntrinsicFailure"
    start, _, reason = str(raised.value.cause).partition(" had the following error: ")
    assert start == f"The function '{text}'"
    return reason


def test_the_table() -> None:
    assert len(FUNCTIONS) == 18
    assert TEXT_FUNCTIONS.issubset(FUNCTIONS)
    for name, function in FUNCTIONS.items():
        assert name.startswith("States.") and function.doc.startswith("(")
        assert function.most is None or function.least <= function.most
        for count in (
            {function.least - 1, (function.most or function.least) + 1}
            if function.most is not None
            else {function.least - 1}
        ):
            if count >= 0:
                with pytest.raises(
                    ExpressionSyntaxError, match=f"{name} does not take {count} arguments"
                ):
                    compile_intrinsic(f"{name}({', '.join(['1'] * count)})")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("States.Format('Hello {}, {}!', $.name, 'you')", "Hello Ada, you!"),
        ("States.Format('no slots')", "no slots"),
        ("States.Format('{}{}', 1, 1.5)", "11.5"),
        (
            "States.Format('{} {} {}', $.object, $.n, null)",
            "{Arg1=1, Arg2=[], Arg3=null} [3, 1, 2] null",
        ),
        ("States.Format('{} {}', true, $.float)", "true 1.0E10"),
        (r"States.Format('\{{}\} it\'s \\{}', 1, 2)", r"{1} it's \2"),
        ("States.Format('{ {} }', 1)", "{ 1 }"),
        ("States.Format($.template, $.name, 2)", "Dear Ada, {yes} or 2"),
        ("States.Format('{}', $x.y)", "40"),
        ("States.Format('{}', $$.Execution.Name)", "run-1"),
        (r"States.StringToJson('\{\"a\": [1, 2.50]\}')".replace('\\"', '"'), {"a": [1, 2.5]}),
        ("States.StringToJson('')", None),
        ("States.StringToJson(' ')", None),
        ("States.StringToJson('\t\n')", None),
        ("States.StringToJson('7')", 7),
        ("States.JsonToString($.object)", '{"Arg1":1,"Arg2":[],"Arg3":null}'),
        ("States.JsonToString('ü\"')", '"ü\\""'),
        ("States.Array()", []),
        (
            "States.Array( 1 ,-2.5e1, 'a b', null, true, false, $.name, States.Array($.n) )",
            [1, -25.0, "a b", None, True, False, "Ada", [[3, 1, 2]]],
        ),
        ("States.ArrayPartition(States.ArrayRange(1, 5, 1), 2)", [[1, 2], [3, 4], [5]]),
        ("States.ArrayPartition($.n, 1.5)", [[3, 1], [2]]),
        ("States.ArrayPartition(States.Array(), 3)", []),
        ("States.ArrayContains($.n, 2.0)", True),
        ("States.ArrayContains($.n, '2')", False),
        ('States.ArrayContains($.mixed, States.StringToJson(\'\\{"b": [2], "a": 1\\}\'))', True),
        ("States.ArrayContains(States.Array(1), true)", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(1, 8, 2)", [1, 3, 5, 7]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayRange(1, 3, -1)", []),
        ("States.ArrayLength(States.ArrayRange(1, 1000, 1))", 1000),
        ("States.ArrayGetItem($.n, 0)", 3),
        ("States.ArrayGetItem($.n, 1.6)", 2),
        ("States.ArrayLength($.mixed)", 12),
        (
            "States.ArrayUnique($.mixed)",
            [None, True, 1, "1", [], {"a": 1, "b": [2]}, {"a": 1, "b": [3]}],
        ),
        (
            "States.ArrayUnique(States.Array(3, 1, 3, 2, 1))",
            [3, 1, 2],
        ),  # the first of equal ones stays
        ("States.Base64Encode('Data to encode')", "RGF0YSB0byBlbmNvZGU="),
        ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "Data to encode"),
        ("States.Base64Decode('RGF0YSB0byBlbmNvZGU')", "Data to encode"),
        ("States.Base64Decode('')", ""),
        ("States.Base64Decode('/w==')", "\ufffd"),
        ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        (
            "States.Hash($.object, 'MD5')",
            hashlib.md5(b'{"Arg1":1,"Arg2":[],"Arg3":null}').hexdigest(),
        ),
        (
            (
                'States.JsonMerge($.object, States.StringToJson(\'\\{"Arg2": 2, "Arg4": 4\\}\'), '
                "false)"
            ),
            {"Arg1": 1, "Arg2": 2, "Arg3": None, "Arg4": 4},
        ),
        ("States.MathAdd($x.y, 2)", 42),
        ("States.MathAdd(9007199254740993, 1)", 9007199254740994),
        ("States.StringSplit('1.2.3,4 5', '., ')", ["1", "2", "3", "4", "5"]),
        ("States.StringSplit(',,,,', ',')", []),
        ("States.StringSplit('a]b^c-d', ']^-')", ["a", "b", "c", "d"]),
        ("States.StringSplit('abc', '')", ["abc"]),
        ("States.ArrayGetItem($.n[?(@ in [1, 2] && (@ > 1))], 0)", 2),
        ("States.ArrayLength($['n'][*])", 3),
    ],
)
def test_results(text: str, result: Any) -> None:
    found = call(text)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("number", "result"),
    [
        (1.49, 1),
        (1.5, 2),
        (1.51, 2),
        (-1.49, -1),
        (-1.5, -1),
        (-1.51, -2),
        (0.5, 1),
        (-0.5, 0),
        (2.5, 3),
        (-2.5, -2),
        (-3.5, -3),
        (0.49999999999999994, 0),
    ],
)
def test_numbers_are_rounded_half_up(number: float, result: int) -> None:
    assert on("MathAdd", number, 0) == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("States.Format('{} {}', 1)", "The template needs 2 values, but got 1"),
        ("States.Format('', 1)", "The template needs 0 values, but got 1"),
        ("States.Format($.n)", "Argument 1 must be a string"),
        ("States.StringToJson($.n)", "Argument 1 must be a string"),
        ("States.StringToJson('nope')", "Argument 1 is not valid JSON: "),
        ("States.StringToJson('\u2003')", "Argument 1 is not valid JSON: "),
        ("States.StringToJson('NaN')", "Argument 1 is not valid JSON: "),
        ("States.ArrayPartition($.n, 0.4)", "Argument 2 must be a positive number"),
        ("States.ArrayPartition($.name, 1)", "Argument 1 must be an array"),
        ("States.ArrayContains(null, 1)", "Argument 1 must be an array"),
        ("States.ArrayRange(1, 5, 0)", "Argument 3 must be other than zero"),
        ("States.ArrayRange(0, 1000, 1)", "The array would have more than 1000 items"),
        (
            "States.ArrayRange(-9223372036854775808, 9223372036854775807, 1)",
            "The array would have more than 1000 items",
        ),
        ("States.ArrayRange(0, 1e18, 1)", "The array would have more than 1000 items"),
        ("States.ArrayGetItem($.n, 3)", "The index 3 is out of the bounds of an array of 3 items"),
        (
            "States.ArrayGetItem($.n, -1)",
            "The index -1 is out of the bounds of an array of 3 items",
        ),
        ("States.ArrayLength($.object)", "Argument 1 must be an array"),
        ("States.ArrayUnique('a')", "Argument 1 must be an array"),
        ("States.Base64Encode(1)", "Argument 1 must be a string"),
        ("States.Base64Decode('a-b_')", "Argument 1 is not valid Base64: "),
        ("States.Base64Decode('YQ=')", "Argument 1 is not valid Base64: "),
        (
            "States.Hash('a', 'sha-1')",
            "Argument 2 must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512",
        ),
        (
            "States.JsonMerge($.object, $.object, true)",
            "Argument 3 must be false: a deep merge is not supported",
        ),
        (
            "States.JsonMerge($.object, $.object, 0)",
            "Argument 3 must be false: a deep merge is not supported",
        ),
        ("States.JsonMerge($.object, $.n, false)", "Argument 2 must be an object"),
        ("States.MathRandom(5, 5)", "Argument 2 must be greater than argument 1"),
        ("States.MathAdd('1', 1)", "Argument 1 must be a number"),
        ("States.MathAdd(1, true)", "Argument 2 must be a number"),
        ("States.MathAdd(1, 1e300)", "Argument 2 must be a number"),
        ("States.StringSplit('a', 1)", "Argument 2 must be a string"),
    ],
)
def test_failures(text: str, reason: str) -> None:
    assert refusal(text).startswith(reason)


def test_long_strings_are_rejected() -> None:
    for text in ("States.Base64Encode($)", "States.Base64Decode($)", "States.Hash($, 'MD5')"):
        assert call(text, "abcd" * 2_500)
        assert "of at most 10000 characters" in refusal(text, "abcd" * 2_500 + "e")


def test_an_inner_call_is_named_by_its_own_text() -> None:
    with pytest.raises(StateError) as raised:
        call("States.Format('{}', States.ArrayGetItem( $.n, 9 ))")
    assert str(raised.value.cause).startswith("The function 'States.ArrayGetItem( $.n, 9 )' had")


def test_a_path_without_result_is_a_runtime_error() -> None:
    with pytest.raises(StateError) as raised:
        call("States.Format('{}', $.absent)", {"a": [1]})
    assert (raised.value.error, raised.value.cause) == (
        "States.Runtime",
        "The function 'States.Format('{}', $.absent)' had the following error: "
        "The JsonPath argument for the field '$.absent' could not be found in the input "
        "'{\"a\":[1]}'",
    )


def test_values_of_any_depth() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert call("States.JsonToString($)", deep) == "[" * 901 + "]" * 901
    for _ in range(4_000):
        deep = [deep]
    for text in (
        "States.ArrayUnique($)",
        "States.JsonToString($)",
        "States.Format('{}', $)",
        "States.ArrayContains($, 1)",
    ):
        assert refusal(text, deep) == "An argument is nested too deeply"


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("Format('a')", 1),
        ("States.Format", 14),
        ("States.Format(", 15),
        ("States.Format('a'", 18),
        ("States.Format('a',)", 19),
        ("States.Format('a') b", 20),
        ("States.Nope()", 1),
        ("States.format('a')", 1),
        ('States.Format("a")', 15),
        ("States.Format(a)", 15),
        ("States.Format('a\\q')", 15),
        ('States.Format(\'{"a": \\"b\\"}\')', 15),
        ("States.Format('a' 'b')", 19),
        ("States.Array(nullx)", 14),
        ("States.Array($.a b)", 18),
        ("States.Array($.a[)", 17),
        ("States.Array($.)", 3),
        ("States.Array(01a)", 16),
        ("{% 1 %}", 1),
    ],
)
def test_syntax_errors_have_a_column(text: str, column: int) -> None:
    with pytest.raises(ExpressionSyntaxError) as raised:
        compile_intrinsic(text)
    assert raised.value.column == column
    assert "\n" not in raised.value.message


def test_nesting() -> None:
    def nested(depth: int) -> str:
        return "States.Array(" * depth + ")" * depth

    assert call(nested(10)) == [[[[[[[[[[]]]]]]]]]]
    with pytest.raises(ExpressionSyntaxError, match="nested too deeply"):
        compile_intrinsic(nested(11))
    with pytest.raises(ExpressionSyntaxError):
        compile_intrinsic(nested(5_000))
    assert function_name("States.Format('{}', States.UUID())") == "States.Format"


@pytest.mark.parametrize(
    "hard", ["['" + "''" * 40_000, "[" * 90_000, "[x" * 40_000, "[](" * 30_000, "(" * 90_000]
)
def test_unbalanced_paths_are_rejected_quickly(hard: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        compile_intrinsic(f"States.Array($.a{hard}")


# --- randomness -----------------------------------------------------------------------------------
@given(st.binary(min_size=16, max_size=16))
def test_uuid(entropy: bytes) -> None:
    made = uuid.UUID(call("States.UUID()", entropy=entropy))
    assert (made.version, made.variant, str(made)) == (
        4,
        uuid.RFC_4122,
        call("States.UUID()", entropy=entropy),
    )


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**40), st.integers(-(2**63), 2**63 - 1))
def test_random_stays_in_range(first: int, span: int, seed: int) -> None:
    entropy = seed.to_bytes(16, "big", signed=True)
    assert (
        first
        <= call("States.MathRandom($[0], $[1])", [first, first + span], entropy)
        < first + span
    )
    seeded = [on("MathRandom", first, first + span, seed) for _ in range(2)]
    assert first <= seeded[0] < first + span and seeded[0] == seeded[1]


# seed, bound -> new java.util.Random(seed).nextInt(bound), from a JDK 17
@pytest.mark.parametrize(
    ("seed", "bound", "result"),
    [
        (42, 100, 30),
        (0, 100, 60),
        (0, 64, 46),
        (1, 2147483647, 1569548985),
        (-7, 7, 4),
        (-7, 1500000000, 577934662),
        (1, 1500000000, 215764588),
    ],
)
def test_a_seed_gives_javas_numbers(seed: int, bound: int, result: int) -> None:
    assert on("MathRandom", 0, bound, seed) == result


# --- properties -----------------------------------------------------------------------------------
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abcde"), JSON, max_size=5)
NUMBERS = st.integers(-(2**60), 2**60)


@given(JSON)
def test_json_round_trip(value: Any) -> None:
    assert on("StringToJson", on("JsonToString", value)) == value


@given(st.text(max_size=200))
def test_base64_round_trip(text: str) -> None:
    encoded = on("Base64Encode", text)
    assert encoded == base64.b64encode(text.encode()).decode()
    assert on("Base64Decode", encoded) == text == on("Base64Decode", encoded.rstrip("="))


def quote(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "'\\{}" else letter for letter in text)


@given(st.text(max_size=20))
def test_an_escaped_text_is_itself(text: str) -> None:
    assert call(f"States.Format('{quote(text)}')") == text
    assert call(f"States.ArrayGetItem(States.Array('{quote(text)}'), 0)") == text


@given(
    st.lists(st.tuples(st.text("ab{}'\\ ", max_size=5), st.text(max_size=5)), max_size=4),
    st.text("ab{} ", max_size=5),
)
def test_format_joins_pieces_and_values(pairs: list[tuple[str, str]], end: str) -> None:
    template = "".join(quote(piece) + "{}" for piece, _ in pairs) + quote(end)
    arguments = "".join(f", $[{index}]" for index in range(len(pairs)))
    expected = "".join(piece + value for piece, value in pairs) + end
    assert (
        call(f"States.Format('{template}'{arguments})", [value for _, value in pairs]) == expected
    )


@given(OBJECTS, OBJECTS, OBJECTS)
def test_merge(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    def merge(left: Any, right: Any) -> Any:
        return on("JsonMerge", left, right, False)

    assert merge(a, {}) == a == merge({}, a) == merge(a, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert set(merge(a, b)) == set(a) | set(b)
    assert all(merge(a, b)[key] == value for key, value in b.items())


@given(st.lists(JSON, max_size=10), st.integers(1, 12))
def test_partitions_join_to_the_array(items: list[Any], size: int) -> None:
    chunks = on("ArrayPartition", items, size)
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) == size for chunk in chunks[:-1]) and all(
        0 < len(chunk) <= size for chunk in chunks
    )


@given(st.lists(JSON, max_size=8), JSON)
def test_unique_and_contains_agree(items: list[Any], other: Any) -> None:
    unique = on("ArrayUnique", items)
    assert on("ArrayUnique", unique) == unique == on("ArrayUnique", unique + items)
    assert len({identity(item) for item in unique}) == len(unique)
    assert all(on("ArrayContains", unique, item) for item in items)
    assert on("ArrayContains", items, other) == on("ArrayContains", unique, other)


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(-20, 20))
def test_range(first: int, last: int, step: int) -> None:
    assume(step != 0)
    items = on("ArrayRange", first, last, step)
    assert all(b - a == step for a, b in pairwise(items))
    assert all(min(first, last) <= item <= max(first, last) for item in items)
    assert (items[:1] == [first]) == ((last - first) * step >= 0)


@given(NUMBERS, NUMBERS)
def test_add(a: int, b: int) -> None:
    assert on("MathAdd", a, b) == a + b == on("MathAdd", b, a)


@given(st.text("ab,;] ", max_size=20), st.text(",;]", min_size=1, max_size=3))
def test_split_keeps_every_other_letter(text: str, delimiters: str) -> None:
    parts = on("StringSplit", text, delimiters)
    assert all(part and not set(part) & set(delimiters) for part in parts)
    assert "".join(parts) == "".join(letter for letter in text if letter not in delimiters)


@given(
    st.text("State.Format('{}$\\,)1 ", max_size=30).map(lambda text: "States." + text)
    | st.text(max_size=20)
)
def test_any_text_is_a_call_or_a_syntax_error(text: str) -> None:
    try:
        compile_intrinsic(text)
    except ExpressionSyntaxError as fault:
        assert fault.column >= 1
