"""compare(): two definitions as JSON -> Difference. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepwell.asl.diff.canonical import JSONPATH, Place, machine_fields, places
from stepwell.asl.diff.fields import differences, values
from stepwell.asl.diff.matching import match
from stepwell.asl.diff.shapes import (
    ADDED,
    CHANGED,
    MOVED,
    REMOVED,
    RENAMED,
    Change,
    Difference,
    StateChange,
)
from stepwell.asl.evaluation import MISSING


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """What differs between two valid definitions.

    Not a change: the order of keys and errors, white space, comments, a default that is written
    out, an older name of a field (Iterator, Parameters of a Map).
    """
    before, after = places(old), places(new)
    pairs = match(before, after)
    renamed = {name: other for name, other in pairs.items() if name != other}
    sides = _Sides(before, after, pairs, renamed)
    changed = {other: found for name, other in pairs.items() if (found := sides.state(name, other))}
    ordered: list[StateChange] = []
    known = set(pairs.values())
    for name, place in after.items():
        if name in changed:
            ordered.append(changed[name])
        elif name not in known:
            ordered.append(StateChange(name, None, place.path, None, ADDED, place.type))
    for name, place in before.items():
        if name not in pairs:
            dropped = StateChange(None, name, None, place.path, REMOVED, place.type)
            ordered.insert(sides.spot(name, ordered), dropped)
    return Difference(_machine(old, new, pairs), tuple(ordered), renamed, _dropped(before, after))


class _Sides:
    """Both definitions, and which states belong together."""

    def __init__(
        self,
        old: Mapping[str, Place],
        new: Mapping[str, Place],
        pairs: Mapping[str, str],
        renamed: Mapping[str, str],
    ) -> None:
        self.old, self.new, self.pairs, self.renamed = old, new, pairs, renamed
        self.branches = {
            name: self.match_branches(name, pairs[name])
            for name, place in old.items()
            if place.type == "Parallel" and name in pairs
        }

    def state(self, name: str, other: str) -> StateChange | None:
        """The changes of a state that is in both; None if there are none."""
        old, new = self.old[name], self.new[other]
        found = self.place(old, new)
        moved = bool(found)
        found += differences(old.fields, new.fields, self.renamed)
        if name in self.branches:
            found += self.parallel(name, other)
        elif old.type == new.type == "Map":
            found += self.start(name, other, 0, 0, "ItemProcessor · StartAt")
        if not found and name == other:
            return None
        kind = RENAMED if name != other else MOVED if moved else CHANGED
        return StateChange(other, name, new.path, old.path, kind, new.type, tuple(found))

    def place(self, old: Place, new: Place) -> list[Change]:
        """A change of the branch or Map that contains a state."""
        owner, branch = old.inside
        there = self.pairs.get(owner, owner)
        expected = (there, self.branches.get(owner, {}).get(branch, branch))
        if new.inside == expected:
            return []
        return [Change(MOVED, "place", _where(old.inside, self.old), _where(new.inside, self.new))]

    def match_branches(self, name: str, other: str) -> dict[int, int]:
        """Old branch -> new branch of a Parallel: those with the most states in common."""
        scores = sorted(
            (
                (-len({self.pairs.get(each) for each in mine} & set(theirs)), a != b, a, b)
                for a, mine in enumerate(self.old[name].blocks)
                for b, theirs in enumerate(self.new[other].blocks)
            ),
        )
        found: dict[int, int] = {}
        for score, _, mine, theirs in scores:
            if score and mine not in found and theirs not in found.values():
                found[mine] = theirs
        return found

    def parallel(self, name: str, other: str) -> list[Change]:
        """Branches added, removed or in another order, which is that of the output."""
        old, new, known = self.old[name].blocks, self.new[other].blocks, self.branches[name]
        found = [
            Change(MOVED, f"branch {b + 1}", f"branch {a + 1}", f"branch {b + 1}")
            for a, b in known.items()
            if a != b
        ]
        for a, b in sorted(known.items()):
            found += self.start(name, other, a, b, f"branch {b + 1} · StartAt")
        found += [
            Change(REMOVED, f"branch {a + 1}", ", ".join(names))
            for a, names in enumerate(old)
            if a not in known
        ]
        return found + [
            Change(ADDED, f"branch {b + 1}", MISSING, ", ".join(names))
            for b, names in enumerate(new)
            if b not in known.values()
        ]

    def start(self, name: str, other: str, a: int, b: int, what: str) -> list[Change]:
        old, new = _first(self.old, (name, a)), _first(self.new, (other, b))
        return [] if self.pairs.get(old, old) == new else [Change(CHANGED, what, old, new)]

    def spot(self, name: str, ordered: list[StateChange]) -> int:
        """Where a removed state is shown: after the states that were before it."""
        names = list(self.old)
        earlier = set(names[: names.index(name)])
        return max(
            (place + 1 for place, each in enumerate(ordered) if each.old_name in earlier),
            default=0,
        )


def _first(states: Mapping[str, Place], inside: tuple[str, int]) -> str:
    return next((each.name for each in states.values() if each.inside == inside and each.first), "")


def _where(inside: tuple[str, int], states: Mapping[str, Place]) -> str:
    name, branch = inside
    if not name:
        return "the top level"
    return f"branch {branch + 1} of {name}" if states[name].type == "Parallel" else name


def _machine(
    old: Mapping[str, Any], new: Mapping[str, Any], pairs: Mapping[str, str]
) -> tuple[Change, ...]:
    languages = (str(each.get("QueryLanguage", JSONPATH)) for each in (old, new))
    found = values("QueryLanguage", *languages)
    start = str(old.get("StartAt"))
    found += values("StartAt", pairs.get(start, start), new.get("StartAt"))
    before, after = machine_fields(old), machine_fields(new)
    for name in dict.fromkeys((*before, *after)):
        found += values(name, before.get(name, MISSING), after.get(name, MISSING))
    return tuple(found)


def _dropped(before: Mapping[str, Place], after: Mapping[str, Place]) -> dict[str, tuple[str, ...]]:
    """Resources that only the old definition calls -> the states that call them."""
    used = {_called(place) for place in after.values()}
    found: dict[str, tuple[str, ...]] = {}
    for name, place in before.items():
        resource = _called(place)
        if resource and resource not in used:
            found[resource] = (*found.get(resource, ()), name)
    return found


def _called(place: Place) -> str:
    """What a Task calls: its function, state machine or activity, else its Resource."""
    fields = place.fields
    resource = fields.get("Resource")
    if not isinstance(resource, str):
        return ""
    parameters = fields.get("Parameters", fields.get("Arguments"))
    named = parameters if isinstance(parameters, dict) else {}
    inner = (named.get(name) for name in ("FunctionName", "StateMachineArn"))
    return next((each for each in inner if isinstance(each, str)), resource)
