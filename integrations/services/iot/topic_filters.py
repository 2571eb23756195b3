"""Topics and topic filters of MQTT. Pure.

a/+/c    + matches exactly one level
a/#      # matches `a` itself and every level below it; only at the end of a filter

Source: MQTT 3.1.1, section 4.7; the limits are those of AWS IoT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

T = TypeVar("T")


def is_topic(topic: str, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether messages can be published to it."""
    return bool(topic) and not set("+#\0") & set(topic) and _fits(topic, limits)


def is_filter(filter: str, limits: Limits = DEFAULT_LIMITS) -> bool:
    levels = filter.split("/")
    good = all(level in ("+", "#") or not set("+#\0") & set(level) for level in levels)
    return bool(filter) and good and "#" not in levels[:-1] and _fits(filter, limits)


def _fits(text: str, limits: Limits) -> bool:
    return (
        len(text.encode("utf-8", "replace")) <= limits.topic_bytes
        and text.count("/") < limits.topic_levels
    )


def matches(filter: str, topic: str) -> bool:
    """A topic that begins with $ matches only filters whose first level is not a wildcard."""
    if topic.startswith("$") and filter[0] in "+#":
        return False
    wanted, levels = filter.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at == len(levels) or level not in ("+", levels[at]):
            return len(levels) == at and wanted[at:] == ["#"]
    return len(wanted) == len(levels)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches also matches `wide`."""
    if narrow.startswith("$") and wide[0] in "+#":
        return False
    outer, inner = wide.split("/"), narrow.split("/")
    for at, level in enumerate(outer):
        if level == "#":
            return True
        if at == len(inner):
            return False
        if inner[at] == "#" or level not in ("+", inner[at]):
            return False
    return len(outer) == len(inner)


def fewest(filters: Iterable[str]) -> set[str]:
    """Those that no other one covers: with these subscriptions, a broker sends a message once even
    if the filters of several rules match it.
    """
    distinct = sorted(set(filters))
    return {
        each
        for each in distinct
        if not any(other != each and covers(other, each) for other in distinct)
    }


class FilterIndex(Generic[T]):
    """Filters, each with a value. A search takes time by the levels of the topic, not by the number
    of filters.
    """

    def __init__(self, filters: Iterable[tuple[str, T]]) -> None:
        # a tree: level -> the levels below it; None -> the values of filters that end there
        self._root: dict[str | None, Any] = {}
        for filter, value in filters:
            node = self._root
            for level in filter.split("/"):
                node = node.setdefault(level, {})
            node.setdefault(None, []).append(value)

    def find(self, topic: str) -> list[T]:
        """The values of the filters that match a topic."""
        values: list[T] = []
        nodes = [self._root]
        for at, level in enumerate(topic.split("/")):
            wild = at > 0 or not level.startswith("$")
            values += [value for node in nodes if wild and "#" in node for value in node["#"][None]]
            nodes = [
                node[each]
                for node in nodes
                for each in ((level, "+") if wild else (level,))
                if each in node
            ]
        return values + [
            value
            for node in nodes
            for end in (node, node.get("#", {}))
            for value in end.get(None, ())
        ]
