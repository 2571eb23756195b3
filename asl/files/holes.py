"""Holes: the strings of a definition whose placeholders have no value.

`settle` gives each of them a value that the place allows. What the validator says about the result
is what AWS says for every value: an error that a value would avoid is not among it. The validator
itself does not know holes.

A hole keeps its own text, "${Name}", where that is valid, as in Parameters, Comment or the name of
a state. Otherwise the samples of hole_samples.py are tried, state by state, and the first with
fewer errors is taken.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.checks import Diagnostic, successors
from stepwell.asl.definition import JSONATA, JSONPATH
from stepwell.asl.evaluation import Json
from stepwell.asl.files import hole_samples
from stepwell.asl.files.placeholders import MARK, OPEN, Known, Placeholders, as_text
from stepwell.asl.json_text import item, member

_PASSES: Final = 2  # over the holes of a state, because one may depend on another
_STATE_CHECKS: Final = 500  # validations of one state, at most
_WHOLE_CHECKS: Final = 200  # validations of the whole definition in one file, at most
_STATES: Final = "/States/"
_TRANSITIONS: Final = ("Next", "Default", "StartAt")
_SAMPLED: Final = "Sampled"  # the name of a state that is validated alone

Check: TypeAlias = Callable[[Json], Sequence[Diagnostic]]  # definition -> its errors


@dataclass(slots=True)
class Hole:
    """A string of a definition with placeholders in it.

    marked    the string with marks
    narrowed  the same, with the values that are known for certain if others are not
    names     of its placeholders in `narrowed`
    location  in the marked definition
    field     the name of the innermost member around it
    key       whether it is the name of a member
    targets   the names of the states of its block
    taken     of a name: the other names in the object
    known     what a template says that it is; of no hole that lacks a value
    value     what takes its place: at first what is known, or its own text
    """

    marked: str
    narrowed: str
    names: tuple[str, ...]
    location: str
    field: str
    key: bool
    targets: tuple[str, ...]
    own: str
    value: Json
    taken: frozenset[str] = frozenset()
    known: Known | None = None

    @property
    def start(self) -> Json:
        return self.own if self.known is None else self.known.value

    @property
    def whole(self) -> bool:
        return not "".join(MARK.split(self.marked)[::2])

    def is_open(self, runs: bool) -> bool:
        """Whether it may have another value than at the start."""
        return self.known is None or not (runs or self.known.fixed)

    def samples(self, broad: bool) -> Iterator[Json]:
        """broad: also the names of states."""
        targets = self.targets if broad else ()
        if self.key:
            yield from (key for key in hole_samples.keys(targets) if key not in self.taken)
        elif self.whole:
            if self.field in _TRANSITIONS:
                yield from targets
            if targets and _STATES in self.location:  # others were tried with the state alone
                yield from hole_samples.structures(targets)
            else:
                yield from hole_samples.whole(self.field, self.names[0], targets)
        else:
            pieces = MARK.split(self.narrowed)[::2]
            yield from (
                each for each in targets if each.startswith(pieces[0]) and each.endswith(pieces[-1])
            )
            yield from hole_samples.parts(self.narrowed, self.names, self.field)


class Draft:
    """A definition with holes.

    text   its JSON text with marks
    holes  by their marked strings
    """

    def __init__(self, text: str, value: Json, placeholders: Placeholders) -> None:
        self.text, self.value, self.placeholders = text, value, placeholders
        self.holes: dict[str, Hole] = {}
        self._names: dict[str, Hole] = {}
        self.states: list[tuple[str, dict[str, Json]]] = []  # location, state; inner ones first
        self._walk(value, "/", "", ())
        self._spans = list(self._strings())

    def _walk(self, value: Json, location: str, name: str, targets: tuple[str, ...]) -> None:
        if isinstance(value, str):
            self._hole(value, location, name, False, targets)
        elif isinstance(value, list):
            for index, each in enumerate(value):
                self._walk(each, item(location, index), name, targets)
        elif isinstance(value, dict):
            states = value.get("States")
            if "States" in value:
                targets = _targets(value, states if isinstance(states, dict) else {})
            for key, each in value.items():
                here = member(location, key)
                self._hole(key, here, key, True, targets)
                if OPEN in key and key in self.holes:
                    self.holes[key].taken |= value.keys()
                self._walk(each, here, key, targets)
            if isinstance(states, dict):
                inside = member(location, "States")
                self.states += [
                    (member(inside, key), state)
                    for key, state in states.items()
                    if isinstance(state, dict)
                ]

    def _hole(
        self, text: str, location: str, name: str, key: bool, targets: tuple[str, ...]
    ) -> None:
        if OPEN in text and (numbers := MARK.findall(text)):
            found = self.placeholders.found
            if max(map(int, numbers)) >= len(found):
                return  # the file has escapes of the same characters
            known = self.placeholders.known(text)
            narrowed = text if known else self.placeholders.narrowed(text)
            names = tuple(found[int(number)].name for number in MARK.findall(narrowed))
            own = self.placeholders.unmarked(text)
            hole = Hole(text, narrowed, names, location, name, key, targets, own, own)
            hole.known = known
            if hole.known is not None and key:
                hole.known = Known(as_text(hole.known.value), hole.known.fixed)
            hole.value = hole.start
            if key or name in _TRANSITIONS:  # the names of a state are equal
                hole = self._names.setdefault(own, hole)
                hole.key = hole.key or key
            self.holes[text] = hole

    def _strings(self) -> Iterator[tuple[int, int, Hole]]:
        """(start, end, hole) of the strings with marks in the text."""
        end = 0
        while (at := self.text.find(OPEN, end)) >= 0:
            start = self.text.rfind('"', end, at)
            while start > 0 and self._escaped(start):
                start = self.text.rfind('"', end, start)
            end = self.text.index('"', at)
            while self._escaped(end):
                end = self.text.index('"', end + 1)
            end += 1
            hole = self.holes.get(str(json_text.loads(self.text[start:end])))
            if hole is not None:
                yield start, end, hole

    def _escaped(self, at: int) -> bool:
        """Whether a quote follows an odd number of backslashes."""
        before = at
        while self.text[before - 1] == "\\":
            before -= 1
        return (at - before) % 2 == 1

    def _text(self, value: Callable[[Hole], Json]) -> str:
        parts, end = [], 0
        for start, after, hole in self._spans:
            parts += [self.text[end:start], json_text.dumps(value(hole))]
            end = after
        return "".join(parts) + self.text[end:]

    @property
    def own(self) -> str:
        """The text with the placeholders as written."""
        return self._text(lambda hole: hole.own)

    def filled(self) -> str:
        """The text with the values of the holes."""
        return self._text(lambda hole: hole.value)

    def uniform(self) -> str:
        """The text with "${Name}" for each placeholder, also of other tools where it is one."""
        return self._text(self._uniform)

    def _uniform(self, hole: Hole) -> str:
        def spelled(mark: re.Match[str]) -> str:
            found = self.placeholders.found[int(mark[1])]
            plain = found.other and not found.bare and hole.value == hole.own
            return found.written if plain or not found.other else f"${{{found.name}}}"

        return MARK.sub(spelled, hole.marked)

    def fill(self, value: Json) -> Json:
        """A value of the marked definition, with the values of the holes."""
        if isinstance(value, str):
            hole = self.holes.get(value) if OPEN in value else None
            return hole.value if hole else value
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, dict):
            return {self.name(key): self.fill(each) for key, each in value.items()}
        return value

    def name(self, key: str) -> str:
        hole = self.holes.get(key) if OPEN in key else None
        return str(hole.value) if hole else key

    def named(self, location: str) -> str:
        """A location in the marked definition -> in the filled one."""
        if OPEN in location:
            for marked, hole in self.holes.items():
                if hole.key and marked in location:
                    location = location.replace(marked, str(hole.value))
        return location


def _targets(block: dict[str, Json], states: dict[str, Json]) -> tuple[str, ...]:
    """The names of the states of a block, and those that a transition names but that are missing:
    they may be behind a hole.
    """
    named = {each for state in states.values() for each in successors(state)}
    start = block.get("StartAt")
    named |= {start} if isinstance(start, str) else set()
    return tuple(dict.fromkeys(name for name in (*states, *sorted(named)) if not MARK.search(name)))


def settle(draft: Draft, check: Check, runs: bool = False) -> None:
    """Give the holes of a draft their values.

    runs  what is known of a hole is its value, also if a deployment may replace it
    """
    for hole in draft.holes.values():
        hole.value = hole.start
    if not check(draft.fill(draft.value)):
        return
    done: set[str] = set()
    language = draft.value.get("QueryLanguage") if isinstance(draft.value, dict) else None
    for location, state in draft.states:
        holes = [
            hole
            for text, hole in draft.holes.items()
            if text not in done
            and hole.is_open(runs)
            and hole.location != location
            and _below(hole.location, location)
        ]
        done |= {hole.marked for hole in holes}
        if holes:
            errors = partial(_alone, draft, state, location, language, check)
            _improve(holes, errors, draft, [_STATE_CHECKS])
    _improve(
        [hole for hole in draft.holes.values() if hole.is_open(runs)],
        lambda: check(draft.fill(draft.value)),
        draft,
        [_WHOLE_CHECKS],
        broad=True,
    )


def _alone(
    draft: Draft, state: dict[str, Json], location: str, language: Any, check: Check
) -> list[Diagnostic]:
    """The errors of a state, without those of the states around it."""
    filled = draft.fill(state)
    others = {target: {"Type": "Succeed"} for target in successors(filled)}
    machine: dict[str, Json] = {"StartAt": _SAMPLED, "States": {**others, _SAMPLED: filled}}
    if language in (JSONPATH, JSONATA):
        machine["QueryLanguage"] = language
    inside = member("/States", _SAMPLED)
    here = draft.named(location)
    return [
        each._replace(location=here + (each.location or "").removeprefix(inside))
        for each in check(machine)
        if _below(each.location or "", inside)
    ]


def _improve(
    holes: Sequence[Hole],
    errors: Callable[[], Sequence[Diagnostic]],
    draft: Draft,
    budget: list[int],
    broad: bool = False,
) -> None:
    """Try the samples of each hole that is near an error; keep those that leave fewer errors."""
    best = errors()
    for _ in range(_PASSES):
        before = len(best)
        for hole in holes:
            kept = hole.value
            for sample in _samples(hole, best, draft, broad):
                if budget[0] == 0:
                    break
                budget[0] -= 1
                hole.value = sample
                now = errors()
                if len(now) < len(best):
                    best, kept = now, sample
                    if not now or not (broad or any(_at(hole, each, draft) for each in now)):
                        break
            hole.value = kept
        if not best or len(best) == before:
            return


def _samples(hole: Hole, errors: Sequence[Diagnostic], draft: Draft, broad: bool) -> Iterable[Json]:
    """What is tried for a hole: all samples if an error is at its place, a few if one is at another
    member of the same object, such as HeartbeatSeconds beside TimeoutSeconds.
    """
    if hole.field == "Comment":
        return ()
    if hole.key or any(_at(hole, each, draft) for each in errors):
        return hole.samples(broad)
    here = _parent(draft.named(hole.location))
    beside = any(_parent(each.location or "/") == here for each in errors)
    return hole_samples.BESIDE if beside and hole.whole and not broad else ()


def _at(hole: Hole, error: Diagnostic, draft: Draft) -> bool:
    """Whether an error is at a hole, in its value, or at the object around it."""
    here, there = draft.named(hole.location), error.location or "/"
    return _below(there, here) or there == _parent(here)


def _parent(location: str) -> str:
    return location[: max(location.rfind("/"), location.rfind("["), 0)]


def _below(location: str, above: str) -> bool:
    """Whether a location is another one or inside of it."""
    return above in ("/", "", location) or location.startswith((f"{above}/", f"{above}["))
