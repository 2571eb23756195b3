"""Filter policies of subscriptions: event patterns over the attributes or the body of a message,
within SNS's own limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from stepwell.asl.json_text import JsonError, loads
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.event_patterns import (
    Index,
    Match,
    PatternError,
    compile_pattern,
    is_or,
)
from stepwell.integrations.services.sns import messages

ATTRIBUTES: Final = "MessageAttributes"
BODY: Final = "MessageBody"
SCOPES: Final = (ATTRIBUTES, BODY)


class FilterError(ValueError):
    """A filter policy is invalid; the text says why."""


class Filter(NamedTuple):
    pattern: Mapping[str, Any]
    matches: Match


def compile_filter(text: str, scope: str, limits: Limits) -> Filter | None:
    """None for a policy without conditions, which all messages match. Raises FilterError."""
    if len(text.encode()) > limits.filter_bytes:
        raise FilterError(messages.SNS_FILTER_LARGE.format(limit=limits.filter_bytes))
    try:
        policy: Any = loads(text or "{}")
    except JsonError:
        raise FilterError(messages.SNS_NOT_JSON.format(name="FilterPolicy")) from None
    if policy == {}:
        return None
    try:
        matches = compile_pattern(policy, limits)
    except PatternError as error:
        raise FilterError(messages.SNS_FILTER.format(text=error)) from None
    if scope == ATTRIBUTES and any(_nests(each) for each in _alternatives(policy)):
        raise FilterError(messages.SNS_FILTER_NESTED)
    if (
        len(
            {name for each in _alternatives(policy) for name in each if not is_or(name, each[name])}
        )
        > limits.filter_keys
    ):
        raise FilterError(
            messages.SNS_FILTER.format(
                text=messages.SNS_FILTER_KEYS.format(limit=limits.filter_keys)
            )
        )
    if _combinations(policy, 1) > limits.filter_combinations:
        raise FilterError(messages.SNS_FILTER.format(text=messages.SNS_FILTER_COMPLEX))
    return Filter(policy, matches)


def _alternatives(policy: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The policy, and the policies in its `$or`."""
    yield policy
    for name, inner in policy.items():
        if is_or(name, inner):
            for each in inner:
                yield from _alternatives(each)


def _nests(policy: Mapping[str, Any]) -> bool:
    return any(isinstance(inner, dict) for inner in policy.values())


def _combinations(policy: Mapping[str, Any], depth: int) -> int:
    """The product over all fields of their conditions times their depth; alternatives add up."""
    total = 1
    for name, inner in policy.items():
        if is_or(name, inner):
            total *= sum(_combinations(each, depth) for each in inner)
        elif isinstance(inner, dict):
            total *= _combinations(inner, depth + 1)
        else:
            total *= len(inner) * depth
    return total


def attribute_event(attributes: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Message attributes as the matcher sees them, without the binary ones."""
    return {
        name: value
        for name, each in attributes.items()
        if (value := _value(each["Type"], each["Value"])) is not None
    }


def _value(type: str, text: str) -> Any:
    kind = type.partition(".")[0]
    if kind == "Binary":
        return None
    if kind == "Number" or type == "String.Array":
        try:
            return loads(text)
        except JsonError:  # not a number of JSON: 007
            return _number(text) if kind == "Number" else text
    return text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def body_event(text: str) -> dict[str, Any] | None:
    """A body as the matcher sees it; None if it is no JSON object, which matches nothing."""
    try:
        body: Any = loads(text)
    except JsonError:
        return None
    return body if isinstance(body, dict) else None


class Filters:
    """Which subscriptions of a topic get a message.

    subscriptions  (key, filter or None, scope of the filter)
    """

    def __init__(self, subscriptions: Iterable[tuple[str, Filter | None, str]]) -> None:
        by_scope: dict[str, list[tuple[str, Mapping[str, Any], Match]]] = {ATTRIBUTES: [], BODY: []}
        self._always: list[str] = []
        for key, policy, scope in subscriptions:
            if policy is None:
                self._always.append(key)
            else:
                by_scope[scope].append((key, *policy))
        self._indexes = {scope: Index(found) for scope, found in by_scope.items() if found}

    def find(self, attributes: Mapping[str, Mapping[str, str]], body: str) -> list[str]:
        """The keys of the subscriptions that match a message."""
        found = list(self._always)
        for scope, index in self._indexes.items():
            event = _EVENTS[scope](attributes, body)
            if event is not None:
                found += index.find(event)
        return found


_EVENTS: Final[
    Mapping[str, Callable[[Mapping[str, Mapping[str, str]], str], dict[str, Any] | None]]
] = {
    ATTRIBUTES: lambda attributes, body: attribute_event(attributes),
    BODY: lambda attributes, body: body_event(body),
}
