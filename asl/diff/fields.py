"""Which fields of a state differ, and how. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.diff.canonical import DEFAULTS, RETRY_DEFAULTS, same
from stepwell.asl.diff.shapes import ADDED, CHANGED, MOVED, REMOVED, Change
from stepwell.asl.evaluation import MISSING, Json

_ERRORS: Final = "ErrorEquals"
_TARGETS: Final = ("Next", "Default")
CHOICE: Final = ("Next", "Assign", "Output")  # the fields of a rule that are not its condition


def differences(
    old: Mapping[str, Json], new: Mapping[str, Json], renamed: Mapping[str, str]
) -> list[Change]:
    """Between the canonical fields of two states. Transitions to a renamed state are the same."""
    found: list[Change] = []
    kind, language = str(new.get("Type", "")), str(new.get("QueryLanguage", ""))
    defaults: dict[str, Json] = {}
    for group in (kind, language, f"{kind} {language}"):
        defaults |= DEFAULTS.get(group, {})
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name, MISSING), new.get(name, MISSING)
        if name in ENTRIES:
            found += ENTRIES[name](_entries(before, renamed), _entries(after, {}))
        elif name == "End" or (name in _TARGETS and renamed.get(before, before) == after):
            continue  # Next says where a block ends
        else:
            shown = defaults.get(name, MISSING)
            found += values(name, before, after, shown)
    if ("Next" in old or "End" in old) and ("Next" in new or "End" in new):
        found = [_ending(each, old, new) for each in found]
    return found


def _ending(change: Change, old: Mapping[str, Json], new: Mapping[str, Json]) -> Change:
    """A state that ends its block goes to "End"."""
    if change.what != "Next":
        return change
    return Change(CHANGED, "Next", old.get("Next", "End"), new.get("Next", "End"))


def values(what: str, old: Json, new: Json, default: Json = MISSING) -> list[Change]:
    """Between two values, member by member. default: what holds where one is MISSING."""
    if old is MISSING and new is MISSING:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for name in dict.fromkeys((*old, *new))
            for change in values(f"{what}.{name}", old.get(name, MISSING), new.get(name, MISSING))
        ]
    if isinstance(old, list) and isinstance(new, list):
        return list(_items(what, old, new))
    if old is not MISSING and new is not MISSING and same(old, new):
        return []
    if (old is MISSING or new is MISSING) and default is not MISSING:
        return [
            Change(
                CHANGED,
                what,
                default if old is MISSING else old,
                default if new is MISSING else new,
            )
        ]
    kind = ADDED if old is MISSING else REMOVED if new is MISSING else CHANGED
    return [Change(kind, what, old, new)]


def _items(what: str, old: Sequence[Json], new: Sequence[Json]) -> Iterator[Change]:
    """Between two arrays: items added and removed anywhere, others changed in place."""
    before, after = ([json_text.dumps(each) for each in side] for side in (old, new))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for step, first, last, start, end in matcher.get_opcodes():
        if step == "equal":
            continue
        both = min(last - first, end - start)
        for place in range(both):
            yield from values(f"{what}[{start + place}]", old[first + place], new[start + place])
        for place in range(first + both, last):
            yield Change(REMOVED, f"{what}[{place}]", old[place])
        for place in range(start + both, end):
            yield Change(ADDED, f"{what}[{place}]", MISSING, new[place])


# --- retriers, catchers, rules --------------------------------------------------------------------


def _entries(value: Json, renamed: Mapping[str, str]) -> list[dict[str, Any]]:
    """The objects of an array, with the new names of their targets."""
    if not isinstance(value, list):
        return []
    return [
        {**each, "Next": renamed.get(each["Next"], each["Next"])} if "Next" in each else each
        for each in value
        if isinstance(each, dict)
    ]


def _handlers(
    field: str, defaults: Mapping[str, Json]
) -> Callable[[list[dict[str, Any]], list[dict[str, Any]]], list[Change]]:
    """Of retriers or catchers, which are known by their errors; their order counts."""

    def compare(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[Change]:
        found: list[Change] = []
        pairs, dropped, fresh = _pair(old, new, lambda each: each.get(_ERRORS, []))
        for before, after in pairs:
            found += _entry(
                f"{field} {_errors(old[before], new[after])}", old[before], new[after], defaults
            )
        found += [
            Change(REMOVED, f"{field} {_errors(old[place])}", old[place]) for place in dropped
        ]
        found += [
            Change(ADDED, f"{field} {_errors(new[place])}", MISSING, new[place]) for place in fresh
        ]
        order = [after for _, after in sorted(pairs)]
        if order != sorted(order):
            errors = [[_errors(each) for each in side] for side in (old, new)]
            found.append(Change(MOVED, f"{field} · order", *errors))
        return found

    return compare


def _errors(old: Mapping[str, Any], new: Mapping[str, Any] | None = None) -> str:
    """The errors of a retrier or catcher: those that both have, if they differ."""
    names = [str(each) for each in old.get(_ERRORS, ())]
    if new is not None:
        names = [each for each in names if each in new.get(_ERRORS, ())] or names
    return ", ".join(names) or "(no errors)"


def _pair(
    old: list[dict[str, Any]],
    new: list[dict[str, Any]],
    key: Callable[[dict[str, Any]], Json],
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """([(old, new)] of entries that belong together, old ones alone, new ones alone): equal keys
    first, then keys that share a part, then the same place with the same rest.
    """
    pairs: list[tuple[int, int]] = []
    dropped, fresh = list(range(len(old))), list(range(len(new)))

    def fits(test: Callable[[dict[str, Any], dict[str, Any]], bool]) -> None:
        for before in list(dropped):
            after = next((each for each in fresh if test(old[before], new[each])), None)
            if after is not None:
                pairs.append((before, after))
                dropped.remove(before)
                fresh.remove(after)

    fits(same)
    fits(lambda one, other: same(key(one), key(other)))
    fits(lambda one, other: _overlap(key(one), key(other)))
    return pairs, dropped, fresh


def _overlap(old: Json, new: Json) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return any(each in new for each in old)
    return False


def _entry(
    what: str, old: Mapping[str, Json], new: Mapping[str, Json], defaults: Mapping[str, Json]
) -> list[Change]:
    return [
        change
        for name in dict.fromkeys((*old, *new))
        for change in values(
            f"{what} · {name}",
            old.get(name, MISSING),
            new.get(name, MISSING),
            defaults.get(name, MISSING),
        )
    ]


def condition(rule: Mapping[str, Json]) -> Json:
    """The test of a rule, without what follows from it."""
    return {name: value for name, value in rule.items() if name not in CHOICE}


def _narrowed(old: Json, new: Json) -> tuple[Json, Json]:
    """Of two conditions that differ in one part of an And, Or or Not only that part."""
    while isinstance(old, dict) and old.keys() == new.keys():
        word = next((each for each in ("And", "Or", "Not") if each in old), None)
        sides = [] if word is None else [old[word], new[word]]
        if word != "Not" and sides and len(sides[0]) == len(sides[1]):
            parts = [pair for pair in zip(*sides, strict=True) if not same(*pair)]
            sides = list(parts[0]) if len(parts) == 1 else []
        elif word != "Not":
            sides = []
        if not sides:
            break
        old, new = sides
    return old, new


def _rules(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[Change]:
    """Of Choices: rules are known by their conditions, else by their target; the first that is
    true decides, so their order counts.
    """
    found: list[Change] = []
    pairs, dropped, fresh = _pair(old, new, condition)
    for before in list(dropped):  # another condition that leads to the same state
        after = next((e for e in fresh if new[e].get("Next") == old[before].get("Next")), None)
        after = before if after is None and before in fresh else after
        if after is not None:
            pairs.append((before, after))
            dropped.remove(before)
            fresh.remove(after)
    for before, after in sorted(pairs, key=lambda pair: pair[1]):
        rule = f"rule {after + 1}"
        tests = condition(old[before]), condition(new[after])
        if not same(*tests):
            found.append(Change(CHANGED, rule, *_narrowed(*tests)))
        for name in CHOICE:
            found += values(
                f"{rule} · {name}", old[before].get(name, MISSING), new[after].get(name, MISSING)
            )
    found += [Change(REMOVED, f"rule {place + 1}", old[place]) for place in dropped]
    found += [Change(ADDED, f"rule {place + 1}", MISSING, new[place]) for place in fresh]
    order = [after for _, after in sorted(pairs)]
    if order != sorted(order):
        moved = {before + 1: after + 1 for before, after in sorted(pairs)}
        found.append(Change(MOVED, "rules · order", list(moved), list(moved.values())))
    return found


ENTRIES: Final = {
    "Retry": _handlers("Retry", RETRY_DEFAULTS),
    "Catch": _handlers("Catch", {"ResultPath": "$"}),
    "Choices": _rules,
}
