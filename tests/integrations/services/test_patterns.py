"""Patterns: each operator, properties of the index, and its speed."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.integrations.services.common.event_patterns import (
    Index,
    PatternError,
    compile_pattern,
)


@pytest.mark.parametrize(
    ("conditions", "fits", "fits_not"),
    [
        (["x", "y"], ["x", ["z", "y"], [["x"]]], ["z", 1, None, [], {"a": "x"}]),
        ([1], [1, 1.0], ["1", True, 2]),
        ([300], [300.0], []),
        ([True], [True, [False, True]], [1, "true", False]),
        ([None], [None], ["", 0, False]),
        ([""], [""], [None, "x"]),
        ([{"prefix": "ab"}], ["ab", "abc"], ["a", "AB", 5]),
        ([{"prefix": {"equals-ignore-case": "aB"}}], ["Abc"], ["xAb"]),
        ([{"suffix": ".png"}], ["a.png"], [".png.", "a.PNG"]),
        ([{"suffix": {"equals-ignore-case": ".png"}}], ["a.PNG"], ["png"]),
        ([{"equals-ignore-case": "Ab"}], ["aB"], ["abc"]),
        ([{"wildcard": "a*b*c"}], ["abc", "axxbyyc"], ["acb", "ab"]),
        ([{"wildcard": "a*a"}], ["aa", "aba"], ["a"]),
        ([{"wildcard": r"a\*\\*"}], [r"a*\x", "a*\\"], ["ab\\"]),
        ([{"anything-but": "x"}], ["y", 5, ["x", "y"]], ["x", ["x"]]),
        ([{"anything-but": [1, 2]}], [3, "1"], [1, 2.0]),
        ([{"anything-but": {"prefix": "a"}}], ["ba", 5], ["ab"]),
        ([{"anything-but": {"suffix": ["a", "b"]}}], ["c"], ["xa", "xb"]),
        ([{"anything-but": {"wildcard": "*/x/*"}}], ["a/y/b"], ["a/x/b"]),
        ([{"anything-but": {"equals-ignore-case": ["a", "b"]}}], ["c"], ["A", "B"]),
        ([{"numeric": [">", 0, "<=", 5]}], [5, 0.1], [0, 5.1, "3", True]),
        ([{"numeric": ["=", 3]}], [3, 3.0], [4]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.255"], ["10.0.1.0", "x", 10]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
        ([{"exists": True}], ["x", None, 0, ["x"]], [{"a": 1}, []]),
        ([{"exists": False}], [{"a": 1}, []], ["x", None]),
        (["x", {"prefix": "y"}, {"numeric": [">", 5]}], ["x", "yz", 6], ["z", 5]),
    ],
)
def test_operators(conditions: list[Any], fits: list[Any], fits_not: list[Any]) -> None:
    matches = compile_pattern({"detail": {"f": conditions}})
    assert [value for value in fits if not matches({"detail": {"f": value}})] == []
    assert [value for value in fits_not if matches({"detail": {"f": value}})] == []
    absent = {"exists": False} in conditions
    assert [matches(event) for event in ({}, {"detail": {}}, {"detail": 5})] == [absent] * 3


def test_all_fields_must_match_and_one_alternative() -> None:
    matches = compile_pattern({"a": ["x"], "$or": [{"b": [1]}, {"c": {"d": [2]}}]})
    assert matches({"a": "x", "b": 1}) and matches({"a": "x", "c": {"d": 2}})
    assert not matches({"a": "x"}) and not matches({"b": 1})


def test_one_object_of_an_array_must_match_the_whole_pattern() -> None:
    matches = compile_pattern({"items": {"a": [1], "b": [2]}})
    assert matches({"items": [{"a": 0}, {"a": 1, "b": 2}]})
    assert not matches({"items": [{"a": 1}, {"b": 2}]})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ([], "Filter is not an object"),
        ({}, "Empty objects are not allowed"),
        ({"a": "x"}, '"a" must be an object or an array'),
        ({"a": []}, "Empty arrays are not allowed"),
        ({"a": [["x"]]}, "Match value must be String, number, true, false, or null"),
        ({"a": [{"like": "x"}]}, "Unrecognized match type like"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "Only one key allowed in match expression"),
        ({"a": [{"prefix": 5}]}, "prefix match pattern must be a string"),
        ({"a": [{"exists": "true"}]}, "exists match pattern must be either true or false."),
        ({"a": [{"wildcard": "a**"}]}, "Consecutive wildcard characters at pos 1"),
        ({"a": [{"wildcard": "a\\b"}]}, "Invalid escape character at pos 1"),
        ({"a": [{"numeric": 5}]}, "Value of numeric must be an array."),
        ({"a": [{"numeric": [">", 5, "<", 5]}]}, "Bottom must be less than top"),
        ({"a": [{"numeric": ["!", 5]}]}, "Unrecognized numeric range operator: !"),
        ({"a": [{"cidr": "10"}]}, "Malformed CIDR: 10"),
        ({"a": [{"anything-but": []}]}, "Empty arrays are not allowed"),
        (
            {"$or": [{f"f{n}": [1]} for n in range(1001)]},
            "The pattern stands for more than 1000 combinations",
        ),
    ],
)
def test_invalid_patterns(pattern: Any, reason: str) -> None:
    with pytest.raises(PatternError, match=re.escape(reason)):
        compile_pattern(pattern)


@given(st.text("ab*", max_size=8).filter(lambda text: "**" not in text), st.text("ab", max_size=8))
def test_wildcards_are_those_of_a_regular_expression(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert compile_pattern({"f": [{"wildcard": pattern}]})({"f": text}) is expected


VALUES = st.recursive(
    st.sampled_from(["a", "b", "ab", "", 1, 2, None, True]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
EVENTS = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from("xyz"), VALUES | inner | st.lists(inner, max_size=2), max_size=3
    ),
    max_leaves=4,
)
CONDITIONS = st.lists(
    st.sampled_from(
        [
            "a",
            "ab",
            1,
            True,
            {"prefix": "a"},
            {"prefix": "ab"},
            {"suffix": "b"},
            {"exists": False},
            {"anything-but": "a"},
        ]
    ),
    min_size=1,
    max_size=2,
)
PATTERNS = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), CONDITIONS, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from("xyz"), CONDITIONS | inner, min_size=1, max_size=3
    ),
    max_leaves=4,
)


@given(st.lists(PATTERNS, max_size=6), EVENTS)
def test_the_index_finds_all_matches(patterns: list[Any], event: Any) -> None:
    compiled = [
        (number, pattern, compile_pattern(pattern)) for number, pattern in enumerate(patterns)
    ]
    expected = [number for number, _, matches in compiled if matches(event)]
    assert sorted(Index(compiled).find(event)) == expected


def test_fifty_thousand_events_a_second_against_a_hundred_rules() -> None:
    patterns: list[Any] = [
        {
            "source": [f"shop.{number % 10}"],
            "detail-type": ["Order"],
            "detail": {"status": [f"s{number}"], "total": [{"numeric": [">", 9]}]},
        }
        for number in range(100)
    ]
    index = Index(
        (number, pattern, compile_pattern(pattern)) for number, pattern in enumerate(patterns)
    )
    events: list[Any] = [
        {
            "source": f"shop.{number % 10}",
            "detail-type": "Order",
            "detail": {"status": f"s{number % 200}", "total": number % 100},
        }
        for number in range(10_000)
    ]
    rates: list[float] = []
    while (
        len(rates) < 10 and max(rates, default=0) <= 50_000
    ):  # other processes may slow it down: the best round is the most accurate
        began = time.process_time()
        assert sum(len(index.find(event)) for event in events) == 4_500
        rates.append(len(events) / (time.process_time() - began))
    assert max(rates) > 50_000
