"""JSON text to values and back; errors with the messages and places of Jackson; locations."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl import json_text
from stepwell.asl.json_scanner import scan
from stepwell.asl.json_text import JsonError, dumps, loads

TOKENS = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=30,
)


def fault(text: str | bytes) -> JsonError:
    with pytest.raises(JsonError) as caught:
        loads(text)
    return caught.value


def test_invalid_json_has_aws_message() -> None:
    found = fault("not a definition")
    assert found.message == f"Unrecognized token 'not': was expecting {TOKENS}"
    assert (found.line, found.column) == (1, 4)
    assert found.place == '[Source: (String)"not a definition"; line: 1, column: 4]'
    assert (
        fault("{'a': 1}").message
        == "Unexpected character (''' (code 39)): was expecting double-quote to start field name"
    )


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("", "No content to map due to end-of-input", 1, 1),
        (
            "{x",
            "Unexpected character ('x' (code 120)): was expecting double-quote to start field name",
            1,
            3,
        ),
        (
            '{"a" 1}',
            (
                "Unexpected character ('1' (code 49)): was expecting a colon to separate field "
                "name and value"
            ),
            1,
            7,
        ),
        (
            '{"a": 1\n "b": 2}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            2,
            3,
        ),
        (
            "[1 2]",
            "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries",
            1,
            5,
        ),
        (
            '{"a": 1,}',
            "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
            1,
            10,
        ),
        ("[1,]", f"Unexpected character (']' (code 93)): expected a valid value {TOKENS}", 1, 5),
        ('{"a": 1,', "Unexpected end-of-input within/between Object entries", 1, 9),
        ('{"a', "Unexpected end-of-input in field name", 1, 4),
        ('"abc', "Unexpected end-of-input: was expecting closing quote for a string value", 1, 5),
        ('["\\q"]', "Unrecognized character escape 'q' (code 113)", 1, 5),
        (
            '["\\u12x4"]',
            (
                "Unexpected character ('x' (code 120)): expected a hex-digit for character "
                "escape sequence"
            ),
            1,
            8,
        ),
        ("[01]", "Invalid numeric value: Leading zeroes not allowed", 1, 3),
        (
            "[1.]",
            (
                "Unexpected character (']' (code 93)) in numeric value: Decimal point not "
                "followed by a digit"
            ),
            1,
            5,
        ),
        (
            "[1e+]",
            (
                "Unexpected character ('+' (code 43)) in numeric value: Exponent indicator not "
                "followed by a digit"
            ),
            1,
            5,
        ),
        (
            "NaN",
            "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
            1,
            4,
        ),
        ("[nulls]", f"Unrecognized token 'nulls': was expecting {TOKENS}", 1, 7),
        (
            "€",
            f"Unexpected character ('€' (code 8364 / 0x20ac)): expected a valid value {TOKENS}",
            1,
            2,
        ),
        ("[1e999]", "Numeric value (1e999) out of range", 1, 7),
        ('["\\ud83d"]', "Unpaired surrogate in a string", 1, 10),
        ("{} {}", "Unexpected character ('{' (code 123)): was expecting the end of the text", 1, 5),
    ],
)
def test_errors_have_jacksons_messages(text: str, message: str, line: int, column: int) -> None:
    found = fault(text)
    assert (found.message, found.line, found.column) == (message, line, column)


def test_an_unclosed_container_is_named_with_its_start() -> None:
    source = '[Source: (String)"{\n "a": [1, 2"; line: 2, column: 7]'
    assert (
        fault('{\n "a": [1, 2').message
        == f"Unexpected end-of-input: expected close marker for Array (start marker at {source})"
    )
    assert fault("[1}").message.startswith(
        "Unexpected close marker '}': expected ']' (for Array starting at [Source: "
    )


def test_a_long_text_is_shown_only_at_its_start() -> None:
    assert fault("x " + "y" * 598).place.endswith('yyy"[truncated 100 chars]; line: 1, column: 2]')


def test_invalid_utf8() -> None:
    assert fault(b'{"a": "\xff"}').message == "Invalid UTF-8 byte 0xff at offset 7"
    with pytest.raises(JsonError):
        loads('"\ud800"')


def test_integers_are_exact_and_the_last_of_two_keys_wins() -> None:
    assert loads("123456789012345678901234567890") == 123456789012345678901234567890
    assert dumps(2**200) == str(2**200)
    assert loads('{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


def test_text_is_compact_keeps_the_order_of_keys_and_escapes_no_letters() -> None:
    assert dumps({"b": [1, 2.5, None], "a": "Grüße 🎈\n"}) == '{"b":[1,2.5,null],"a":"Grüße 🎈\\n"}'
    assert json_text.size("ü") == 2
    assert json_text.size(b"ab") == 2
    assert json_text.value_size({"a": "ü"}) == 10


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, [1, {"a": -math.inf}], "\ud800", {"\udfff": 1}]
)
def test_values_without_a_json_form_are_rejected(value: Any) -> None:
    with pytest.raises(JsonError):
        dumps(value)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value, indent=1)) == value


def refused(name: str) -> None:
    raise ValueError(name)


@given(st.one_of(st.text(), st.text('{}[]",:\\ 019.e-tfn\n')))
def test_any_text_is_a_value_or_an_error_and_the_scanner_agrees(text: str) -> None:
    try:
        value = loads(text)
    except JsonError as found:
        assert found.message
        try:
            value = json.loads(text, parse_constant=refused)
        except ValueError:
            return
        with pytest.raises(
            JsonError
        ):  # the standard library lets through what cannot be written again
            dumps(value)
    else:
        assert value == json.loads(text)
        assert [event for event, _, _ in scan(text)]


@pytest.mark.parametrize("opener", ["[", '{"a":', '[{"a":'])
def test_no_nesting_ends_in_a_recursion_error(opener: str) -> None:
    assert "nesting depth" in fault(opener * 100_000).message


def test_the_depth_limit_is_exact_however_deep_the_stack_of_the_caller() -> None:
    deep = "[" * 1_000 + "]" * 1_000
    assert dumps(loads(deep)) == deep
    assert "nesting depth" in fault("[" + deep + "]").message
    assert loads("[" * 20 + "]" * 20, depth=20)
    with pytest.raises(JsonError, match=r"depth \(21\) exceeds the maximum allowed \(20\)"):
        loads("[" * 21 + "]" * 21, depth=20)
    with pytest.raises(JsonError):
        dumps([loads(deep)])


def test_many_containers_side_by_side_are_not_deep() -> None:
    assert len(loads("[" + "{}," * 5_000 + "1]")) == 5_001


# --- locations ------------------------------------------------------------------------------------

MACHINE = """{
  "StartAt": "M",
  "States": {
    "M": {"Type": "Map", "Retry": [{"ErrorEquals": ["A", "B"]}],
      "ItemProcessor": {"States": {"Y": {"Type": "Pass"}}}}
  }
}"""


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/", (1, 1)),
        ("/StartAt", (2, 3)),
        ("/States/M", (4, 5)),
        ("/States/M/Retry[0]", (4, 36)),
        ("/States/M/Retry[0]/ErrorEquals[1]", (4, 58)),
        ("/States/M/ItemProcessor/States/Y/Type", (5, 42)),
        ("/States/M/Retry[7]/ErrorEquals", (4, 26)),
        ("/States/M/ItemProcessor/StartAt", (5, 7)),
        ("/Nothing/Here", (1, 1)),
    ],
)
def test_locate(location: str, place: tuple[int, int]) -> None:
    assert json_text.locate(MACHINE, location) == place


def test_an_incomplete_text_has_locations_up_to_its_end() -> None:
    assert json_text.locate(MACHINE[:60], "/States/M/Type") == (4, 11)


def test_duplicate_keys_are_found_with_both_places() -> None:
    text = '{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": {"x": 1}, "a": {"x": 2}}'
    assert json_text.has_duplicates(text)
    assert list(json_text.duplicates(text)) == [
        ("/b/c", (2, 8), (2, 16)),
        ("/a", (1, 2), (3, 2)),
        ("/a", (1, 2), (3, 17)),
    ]
    assert not json_text.has_duplicates(MACHINE)
