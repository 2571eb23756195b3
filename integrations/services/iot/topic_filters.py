"""Topics and topic filters of MQTT. Pure.

filter   a/+/c   + is any one level        a/#   # is a level of any name and all below it, and `a`
         itself; at the end only
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

T = TypeVar("T")


def is_topic(topic: str, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether something may be published there."""
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
    """Topics that begin with $ want a filter that says so."""
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
    """Whether every topic of a filter is one of another."""
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
    """Those that no other one covers: what a broker has to be told, so that it sends nothing twice
    where filters lie in each other.
    """
    distinct = sorted(set(filters))
    return {
        each
        for each in distinct
        if not any(other != each and covers(other, each) for other in distinct)
    }


class Filters(Generic[T]):
    """Many filters, each with a value: what a topic finds costs as many steps as it has levels,
    however many there are.
    """

    def __init__(self, filters: Iterable[tuple[str, T]]) -> None:
        self._root: dict[
            str | None, Any
        ] = {}  # level -> the same below it; None -> the values of a filter that ends there
        for filter, value in filters:
            node = self._root
            for level in filter.split("/"):
                node = node.setdefault(level, {})
            node.setdefault(None, []).append(value)

    def find(self, topic: str) -> list[T]:
        found: list[T] = []
        nodes = [self._root]
        for at, level in enumerate(topic.split("/")):
            wild = at > 0 or not level.startswith("$")
            found += [value for node in nodes if wild and "#" in node for value in node["#"][None]]
            nodes = [
                node[each]
                for node in nodes
                for each in ((level, "+") if wild else (level,))
                if each in node
            ]
        return found + [
            value
            for node in nodes
            for end in (node, node.get("#", {}))
            for value in end.get(None, ())
        ]
