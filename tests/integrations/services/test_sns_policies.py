"""Filter policies against a small oracle, and properties of retry schedules."""

import dataclasses
import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.sns.attributes import (
    SUBSCRIPTION,
    TOPIC,
    AttributeValueError,
    checked,
    effective,
)
from stepwell.integrations.services.sns.delivery import retries
from stepwell.integrations.services.sns.filters import (
    ATTRIBUTES,
    BODY,
    FilterError,
    Filters,
    compile_filter,
)

ROOMY = dataclasses.replace(DEFAULT_LIMITS, filter_combinations=10**12)
NAMES = st.sampled_from("abc")
TEXTS = st.sampled_from(["", "x", "xy", "xyx", "Xy", "yx", "10.0.0.1"])
NUMBERS = st.sampled_from([-1, 0, 1, 1.5, 100])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())


def applied(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return operand.map(lambda value: {name: value})


RANGES = st.tuples(
    st.sampled_from([">", ">="]),
    st.integers(-2, 1),
    st.sampled_from(["<", "<="]),
    st.integers(2, 101),
).map(list)
BUT = st.one_of(
    TEXTS,
    NUMBERS,
    st.lists(TEXTS, min_size=1, max_size=3),
    applied("prefix", TEXTS),
    applied("suffix", TEXTS),
)
CONDITIONS = st.one_of(
    SCALARS,
    applied("prefix", TEXTS),
    applied("suffix", TEXTS),
    applied("equals-ignore-case", TEXTS),
    applied("wildcard", st.sampled_from(["*", "x*", "*x", "x*x", "*y*"])),
    applied("anything-but", BUT),
    applied("exists", st.booleans()),
    applied(
        "numeric",
        st.one_of(
            st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list), RANGES
        ),
    ),
    applied("cidr", st.just("10.0.0.0/8")),
)
FLAT = st.dictionaries(NAMES, st.lists(CONDITIONS, min_size=1, max_size=3), min_size=1, max_size=3)
POLICIES = st.one_of(
    FLAT,
    st.tuples(FLAT, st.lists(FLAT, min_size=2, max_size=2)).map(
        lambda pair: {**pair[0], "$or": pair[1]}
    ),
)
VALUES = st.one_of(SCALARS, st.lists(st.one_of(TEXTS, NUMBERS), min_size=1, max_size=3))
ATTRIBUTE_SETS = st.dictionaries(NAMES, VALUES, max_size=3)


# --- the oracle: what the documentation of each operator says, one line each ----------------------


def fits(policy: dict[str, Any], event: dict[str, Any]) -> bool:
    for name, inner in policy.items():
        if name == "$or":
            if not any(fits(each, event) for each in inner):
                return False
        elif isinstance(inner, dict):
            if not fits(inner, event.get(name) or {}):
                return False
        elif not any(holds(condition, name in event, event.get(name)) for condition in inner):
            return False
    return True


def holds(condition: Any, there: bool, value: Any) -> bool:
    if isinstance(condition, dict) and "exists" in condition:
        return bool(condition["exists"]) == there
    values = value if isinstance(value, list) else [value]
    return there and any(single(condition, each) for each in values)


def same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def compared(terms: list[Any], value: Any) -> bool:
    signs = {
        "=": operator.eq,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and all(
        signs[sign](value, bound) for sign, bound in zip(terms[::2], terms[1::2])
    )


def single(condition: Any, value: Any) -> bool:
    if not isinstance(condition, dict):
        return same(condition, value)
    ((name, operand),) = condition.items()
    text = isinstance(value, str)
    if name == "prefix":
        return text and value[: len(operand)] == operand
    if name == "suffix":
        return text and (operand == "" or value[-len(operand) :] == operand)
    if name == "equals-ignore-case":
        return text and value.lower() == operand.lower()
    if name == "wildcard":
        return text and any(
            all(value[at : at + len(piece)] == piece for at, piece in placed)
            for placed in placings(operand.split("*"), len(value))
        )
    if name == "cidr":
        return text and value.startswith("10.")
    if name == "numeric":
        return compared(operand, value)
    if isinstance(operand, dict):
        return not single(operand, value)
    return not any(
        same(each, value) for each in (operand if isinstance(operand, list) else [operand])
    )


def placings(pieces: list[str], length: int) -> list[list[tuple[int, str]]]:
    """All ways to lay the pieces between the stars over a text of that length."""
    first, *middle, last = pieces
    if len(first) + len(last) > length:
        return []
    ways = [[(0, first)]]
    for piece in middle:
        ways = [
            [*way, (at, piece)]
            for way in ways
            for at in range(way[-1][0] + len(way[-1][1]), length - len(last) + 1)
            if at + len(piece) <= length - len(last)
        ]
    return [[*way, (length - len(last), last)] for way in ways]


def as_attribute(value: Any) -> dict[str, str]:
    if isinstance(value, list):
        return {"Type": "String.Array", "Value": json.dumps(value)}
    if isinstance(value, str):
        return {"Type": "String", "Value": value}
    return {"Type": "Number", "Value": json.dumps(value)}


@given(POLICIES, ATTRIBUTE_SETS)
def test_attributes_fit_as_the_documentation_says(
    policy: dict[str, Any], attributes: dict[str, Any]
) -> None:
    attributes = {name: value for name, value in attributes.items() if not isinstance(value, bool)}
    found = compile_filter(json.dumps(policy), ATTRIBUTES, ROOMY)
    filters = Filters([("k", found, ATTRIBUTES), ("all", None, ATTRIBUTES)])
    sent = {name: as_attribute(value) for name, value in attributes.items()}
    assert filters.find(sent, "body") == (["all", "k"] if fits(policy, attributes) else ["all"])


@given(POLICIES, ATTRIBUTE_SETS, st.booleans())
def test_bodies_fit_as_the_documentation_says(
    policy: dict[str, Any], body: dict[str, Any], nested: bool
) -> None:
    wrapped, event = ({"d": policy}, {"d": body}) if nested else (policy, body)
    found = compile_filter(json.dumps(wrapped), BODY, ROOMY)
    assert Filters([("k", found, BODY)]).find({}, json.dumps(event)) == (
        ["k"] if fits(wrapped, event) else []
    )


@pytest.mark.parametrize("body", ["", "no JSON", "[1]", '"text"'])
def test_a_body_that_is_no_object_fits_nothing(body: str) -> None:
    found = compile_filter('{"a": [{"exists": false}]}', BODY, DEFAULT_LIMITS)
    assert Filters([("k", found, BODY)]).find({}, body) == []


def test_what_is_binary_is_not_looked_at() -> None:
    found = compile_filter('{"b": [{"exists": false}]}', ATTRIBUTES, DEFAULT_LIMITS)
    assert Filters([("k", found, ATTRIBUTES)]).find(
        {"b": {"Type": "Binary", "Value": "AA=="}}, "m"
    ) == ["k"]


@pytest.mark.parametrize(
    ("policy", "scope", "text"),
    [
        ("{", ATTRIBUTES, "FilterPolicy: failed to parse JSON."),
        ('{"a": "b"}', ATTRIBUTES, 'FilterPolicy: "a" must be an object or an array'),
        ('{"a": []}', ATTRIBUTES, "FilterPolicy: Empty arrays are not allowed"),
        ('{"a": [{"no": 1}]}', ATTRIBUTES, "FilterPolicy: Unrecognized match type no"),
        (
            '{"a": {"b": ["c"]}}',
            ATTRIBUTES,
            "Filter policy scope MessageAttributes does not support nested filter policy",
        ),
        (
            json.dumps({str(n): ["a"] for n in range(6)}),
            ATTRIBUTES,
            "FilterPolicy: Filter policy can not have more than 5 keys",
        ),
        (
            json.dumps({"a": list(range(151))}),
            ATTRIBUTES,
            "FilterPolicy: Filter policy is too complex",
        ),
        (
            json.dumps({"a": {"b": list(range(76))}}),
            BODY,
            "FilterPolicy: Filter policy is too complex",
        ),
        (
            json.dumps({"$or": [{"a": list(range(75))}, {"b": list(range(76))}]}),
            BODY,
            "FilterPolicy: Filter policy is too complex",
        ),
    ],
)
def test_policies_that_are_refused(policy: str, scope: str, text: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(policy, scope, DEFAULT_LIMITS)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("policy", "scope"),
    [
        (json.dumps({"a": list(range(150))}), ATTRIBUTES),
        (json.dumps({"a": {"b": list(range(75))}}), BODY),
        (json.dumps({"$or": [{"a": list(range(75))}, {"b": list(range(75))}]}), BODY),
        (json.dumps({str(n): ["a"] for n in range(5)}), ATTRIBUTES),
    ],
)
def test_policies_at_the_limits(policy: str, scope: str) -> None:
    assert compile_filter(policy, scope, DEFAULT_LIMITS) is not None


# --- retries --------------------------------------------------------------------------------------


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    counts = draw(st.tuples(*[st.integers(0, 25)] * 4))
    low = draw(st.integers(1, 60))
    return {
        "minDelayTarget": low,
        "maxDelayTarget": draw(st.integers(low, 3_600)),
        "numRetries": sum(counts),
        "numNoDelayRetries": counts[0],
        "numMinDelayRetries": counts[1],
        "numMaxDelayRetries": counts[2],
        "backoffFunction": draw(st.sampled_from(list(retries.BACKOFFS))),
    }


@given(schedules(), st.floats(0, 1))
def test_properties_of_a_schedule(policy: dict[str, Any], jitter: float) -> None:
    whole, at_once, first, last = (
        policy[f"num{each}Retries"] for each in ("", "NoDelay", "MinDelay", "MaxDelay")
    )
    pauses = [retries.pause(policy, retry, jitter) for retry in range(1, whole + 1)]
    low, high = policy["minDelayTarget"], policy["maxDelayTarget"]
    assert retries.pause(policy, whole + 1, jitter) is None
    assert pauses[:at_once] == [0] * at_once and pauses[at_once : at_once + first] == [low] * first
    assert pauses[whole - last :] == [high] * last
    middle = [each for each in pauses[at_once + first : whole - last] if each is not None]
    assert all(low <= each <= high for each in middle) and middle == sorted(middle)
    if middle and jitter == 0:
        assert middle[-1] == pytest.approx(high)


def test_the_steeper_a_function_the_later_it_grows() -> None:
    half = {
        name: retries.pause(
            {
                **retries.HTTP,
                "minDelayTarget": 1,
                "maxDelayTarget": 1000,
                "numRetries": 10,
                "backoffFunction": name,
            },
            5,
        )
        for name in retries.BACKOFFS
    }
    assert (
        half["linear"] > half["arithmetic"] > half["geometric"]
        and half["linear"] > half["exponential"]
    )  # type: ignore[operator]


def test_the_schedules_that_aws_names() -> None:
    managed = [retries.pause(retries.MANAGED, retry) for retry in (1, 3, 4, 5, 15, 16, 100_015)]
    assert managed == [0, 0, 1, 1, 20, 20, 20] and retries.pause(retries.MANAGED, 100_016) is None
    people = [retries.pause(retries.CUSTOMER, retry) or 0 for retry in range(1, 51)]
    assert people[:2] == [10, 10] and people[12:] == [600] * 38 and 6 <= sum(people) / 3600 < 7


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("[]", "DeliveryPolicy: failed to parse JSON."),
        (
            '{"healthyRetryPolicy": {"numRetries": 101}}',
            "DeliveryPolicy: numRetries must be between 0 and 100",
        ),
        ('{"healthyRetryPolicy": {"more": 1}}', "DeliveryPolicy: Unexpected JSON member: more"),
        ('{"more": {}}', "DeliveryPolicy: Unexpected JSON member: more"),
        (
            '{"healthyRetryPolicy": {"minDelayTarget": 21}}',
            "DeliveryPolicy: minDelayTarget must be less than or equal to maxDelayTarget",
        ),
        (
            '{"healthyRetryPolicy": {"numMaxDelayRetries": 4}}',
            "DeliveryPolicy: the retries of the phases are more than numRetries",
        ),
        (
            '{"healthyRetryPolicy": {"numRetries": 100, "maxDelayTarget": 3600}}',
            "DeliveryPolicy: the retries take more than 3600 seconds",
        ),
        (
            '{"throttlePolicy": {"maxReceivesPerSecond": 0}}',
            "DeliveryPolicy: maxReceivesPerSecond must be between 1 and any number",
        ),
    ],
)
def test_delivery_policies_that_are_refused(policy: str, text: str) -> None:
    with pytest.raises(AttributeValueError) as caught:
        checked(SUBSCRIPTION, {"DeliveryPolicy": policy}, DEFAULT_LIMITS)
    assert str(caught.value) == text


def test_a_subscription_takes_from_its_topic_what_it_may() -> None:
    above = {
        "http": {
            "defaultHealthyRetryPolicy": {"numRetries": 7},
            "defaultThrottlePolicy": {"maxReceivesPerSecond": 3},
        }
    }
    own = {"DeliveryPolicy": '{"healthyRetryPolicy": {"numRetries": 2}}'}
    topic = checked(TOPIC, {"DeliveryPolicy": json.dumps(above)}, DEFAULT_LIMITS)
    assert effective(topic, {})["healthyRetryPolicy"]["numRetries"] == 7
    assert effective(topic, own)["healthyRetryPolicy"]["numRetries"] == 2
    assert effective(topic, own)["throttlePolicy"] == {"maxReceivesPerSecond": 3}
    above["http"]["disableSubscriptionOverrides"] = True  # type: ignore[assignment]
    assert (
        effective({"DeliveryPolicy": json.dumps(above)}, own)["healthyRetryPolicy"]["numRetries"]
        == 7
    )
