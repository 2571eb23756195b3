"""Shrinks a failing case: parts are removed or simplified as long as the case still fails."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from stepwell.asl.validate import validate
from stepwell.conformance.run.case import EXPRESS, Case, blocks_of, states_of

Json = Any
Steps = tuple[str | int, ...]

_KEPT: Final = frozenset({"StartAt", "States", "Type", "Resource"})
_SIMPLER: Final[dict[type, tuple[Json, ...]]] = {
    str: ("", "a"),
    int: (0, 1),
    float: (0, 0.5),
    list: ([],),
    dict: ({},),
    bool: (False,),
}


def shrink(case: Case, fails: Callable[[Case], bool], seconds: float = 20.0) -> Case:
    """The smallest failing case found within `seconds`. `fails` is called for valid definitions
    only.
    """
    until = time.monotonic() + seconds
    tried = {_key(case)}
    again = True
    while again:
        again = False
        for candidate in _smaller(case):
            if time.monotonic() > until:
                return case
            key = _key(candidate)
            if key in tried or not _valid(candidate):
                continue
            tried.add(key)
            if fails(candidate):
                case, again = candidate, True
                break
    return case


def _key(case: Case) -> str:
    return json.dumps([case.definition, case.input, case.kind])


def _valid(case: Case) -> bool:
    return validate(json.dumps(case.definition), case.kind).definition is not None


def _smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, the largest steps first."""
    if case.kind != EXPRESS and not any(
        "Resource" in state for _, state in states_of(case.definition)
    ):
        yield replace(case, kind=EXPRESS)
    for definition in _fewer_states(case.definition):
        yield replace(case, definition=definition)
    for definition in _edited(case.definition, _KEPT):
        try:
            tidy(definition)
        except (AttributeError, KeyError, TypeError):
            continue  # no longer a machine
        yield replace(case, definition=definition)
    for value in _edited({"input": case.input}, frozenset({"input"})):
        yield replace(case, input=value["input"])


def _fewer_states(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Machines that start later, end earlier, lack a state, or have a Pass state instead of it."""
    for name, _ in list(states_of(definition)):
        for edit in (_start_at, _end_at, _left_out, _plain):
            candidate = copy.deepcopy(definition)
            block = next(each for each in _blocks(candidate) if name in each["States"])
            if edit(block, name):
                tidy(candidate)
                yield candidate


def _blocks(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield block
    for state in block["States"].values():
        for inner in blocks_of(state):
            yield from _blocks(inner)


def _start_at(block: dict[str, Any], name: str) -> bool:
    if block["StartAt"] == name:
        return False
    block["StartAt"] = name
    return True


def _end_at(block: dict[str, Any], name: str) -> bool:
    state = block["States"][name]
    if "Next" not in state:
        return False
    del state["Next"]
    state["End"] = True
    state.pop("Catch", None)
    return True


def _left_out(block: dict[str, Any], name: str) -> bool:
    following = block["States"][name].get("Next")
    if following is None:
        return False
    if block["StartAt"] == name:
        block["StartAt"] = following
    for state in block["States"].values():
        for holder in (state, *state.get("Choices", ()), *state.get("Catch", ())):
            for member in ("Next", "Default"):
                if holder.get(member) == name:
                    holder[member] = following
    return True


def _plain(block: dict[str, Any], name: str) -> bool:
    state = block["States"][name]
    if state["Type"] in ("Pass", "Fail", "Choice"):
        return False
    kept = {
        member: state[member] for member in ("Next", "End", "QueryLanguage") if member in state
    } or {"End": True}
    block["States"][name] = {"Type": "Pass", **kept}
    return True


def tidy(block: dict[str, Any]) -> None:
    """Drop the states that cannot be reached."""
    states, waiting, reached = block["States"], [block["StartAt"]], set()
    while waiting:
        name = waiting.pop()
        if name in reached or name not in states:
            continue
        reached.add(name)
        state = states[name]
        for holder in (state, *state.get("Choices", ()), *state.get("Catch", ())):
            waiting += [holder[member] for member in ("Next", "Default") if member in holder]
    for name in list(states):
        if name not in reached:
            del states[name]
        else:
            for inner in blocks_of(states[name]):
                tidy(inner)


def _edited(value: Json, kept: frozenset[str]) -> Iterator[Json]:
    """Copies of a value with one member or item removed, then with one replaced by a simpler
    value.
    """
    places = sorted(_places(value), key=len)
    for steps in places:
        if not (isinstance(steps[-1], str) and steps[-1] in kept):
            candidate = copy.deepcopy(value)
            holder = _holder(candidate, steps)
            del holder[steps[-1]]
            yield candidate
    for steps in places:
        old = _holder(value, steps)[steps[-1]]
        hoisted: list[Json] = list(
            old.values() if isinstance(old, dict) else old if isinstance(old, list) else ()
        )
        if steps[-1] in kept and steps[-1] != "input":
            continue
        # in a definition, null has another meaning in each place
        nothing = (None,) if steps[0] == "input" else ()
        for new in (*_SIMPLER.get(type(old), ()), *nothing, *hoisted[:3]):
            if not _simpler(new, old):
                continue
            candidate = copy.deepcopy(value)
            _holder(candidate, steps)[steps[-1]] = copy.deepcopy(new)
            yield candidate


def _simpler(new: Json, old: Json) -> bool:
    return _weight(new) < _weight(old)


def _weight(value: Json) -> tuple[int, int]:
    """The order of simplicity: a few simple values first, the others by the length of their
    text.
    """
    text = json.dumps(value)
    ranks = ["None", "False", "0", "''", "[]", "{}", "1", "0.5", "'a'"]
    return (ranks.index(repr(value)), 0) if repr(value) in ranks else (len(ranks), len(text))


def _places(value: Json, steps: Steps = ()) -> Iterator[Steps]:
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in entries:
        yield (*steps, key)
        yield from _places(each, (*steps, key))


def _holder(value: Json, steps: Steps) -> Json:
    for step in steps[:-1]:
        value = value[step]
    return value
