"""Which state of the old definition is which state of the new one: by name, else by content. Pure.

A state that is only in the old definition and one that is only in the new one are the same state
with another name if they do nearly the same: the same type, most fields equal, and neighbours that
are the same states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepwell.asl.diff.canonical import Place, same
from stepwell.asl.evaluation import Json

ENOUGH: Final = 0.6  # of all fields and neighbours, by weight
_UNWEIGHED: Final = frozenset({"Type", "QueryLanguage", "End", "Next", "Default"})
_HEAVY: Final = {"Resource": 3.0, "Choices": 2.0, "Parameters": 2.0, "Arguments": 2.0}


def match(old: Mapping[str, Place], new: Mapping[str, Place]) -> dict[str, str]:
    """Old name -> new name, of all states that are in both."""
    pairs = {name: name for name in old if name in new}
    dropped = [name for name in old if name not in new]
    fresh = [name for name in new if name not in old]
    before, after = _Links(old), _Links(new)
    while dropped and fresh:
        best, one, other = max(
            (_likeness(old[a], new[b], before, after, pairs), -place, -at)
            for place, a in enumerate(dropped)
            for at, b in enumerate(fresh)
        )
        if best < ENOUGH:
            break
        pairs[dropped.pop(-one)] = fresh.pop(-other)
    return pairs


class _Links:
    """The transitions of a definition: state -> its targets, and the states that lead to it."""

    def __init__(self, states: Mapping[str, Place]) -> None:
        self.targets = {name: set(targets(place.fields)) for name, place in states.items()}
        self.sources: dict[str, set[str]] = {name: set() for name in states}
        for name, some in self.targets.items():
            for target in some & self.sources.keys():
                self.sources[target].add(name)


def targets(fields: Mapping[str, Any]) -> Iterator[str]:
    """The names of the states that a state may lead to."""
    for name in ("Next", "Default"):
        if isinstance(fields.get(name), str):
            yield fields[name]
    for group in ("Choices", "Catch"):
        for each in fields.get(group, ()):
            if isinstance(each, dict) and isinstance(each.get("Next"), str):
                yield each["Next"]


def _likeness(
    old: Place, new: Place, before: _Links, after: _Links, pairs: Mapping[str, str]
) -> float:
    """0 to 1."""
    if old.type != new.type:
        return 0.0
    total = equal = 0.0
    for name in (old.fields.keys() | new.fields.keys()) - _UNWEIGHED:
        weight = _HEAVY.get(name, 1.0)
        total += weight
        equal += weight * _part(old.fields.get(name), new.fields.get(name), pairs)
    for known, there in (
        (before.targets[old.name], after.targets[new.name]),
        (before.sources[old.name], after.sources[new.name]),
        ({each for block in old.blocks for each in block}, {e for b in new.blocks for e in b}),
        ({"StartAt"} if old.first else set(), {"StartAt"} if new.first else set()),
        ({old.inside[0]} if old.inside[0] else set(), {new.inside[0]} if new.inside[0] else set()),
    ):
        # two neighbours that were both renamed say nothing about each other yet
        kept = {pairs.get(each, each) for each in known}
        if kept or there:
            total += 1.0
            equal += len(kept & there) / len(kept | there)
    return equal / total if total else 0.5


def _part(old: Json, new: Json, pairs: Mapping[str, str]) -> float:
    """How much of a field's value is equal, 0 to 1."""
    if isinstance(old, dict) and isinstance(new, dict) and (old or new):
        names = old.keys() | new.keys()
        return sum(_part(old.get(name), new.get(name), pairs) for name in names) / len(names)
    if isinstance(old, list) and isinstance(new, list) and (old or new):
        size = max(len(old), len(new))
        return sum(_part(*pair, pairs) for pair in zip(old, new, strict=False)) / size
    if isinstance(old, str):
        return float(new in (old, pairs.get(old)))
    return float(same(old, new))
