"""Replays recordings of one definition with another one, and keeps what the change is the cause of.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from stepwell.asl.compiler import compile_machine
from stepwell.asl.diff import compare
from stepwell.asl.diff.canonical import places
from stepwell.asl.diff.shapes import CHANGED, Change
from stepwell.asl.histories.state_visits import Event
from stepwell.asl.json_text import dumps
from stepwell.asl.program import Program
from stepwell.asl.validate import validate
from stepwell.engine.core.model import Payload
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.replay import shapes as s
from stepwell.engine.replay.comparison import Trail
from stepwell.engine.replay.driver import Driver
from stepwell.engine.replay.recording import Place, Recording, read_recording

Machine = Mapping[str, Any]
_UNITS: Final = {s.WAIT: " s", s.DELAY: " s", s.CONCURRENCY: ""}


class Replayer:
    """Replays executions of definition `old` (None: it is not known) with the definition `new`.

    Without the old definition, renamed states are not found, and waits, retry delays and
    concurrency are not compared: a history does not have them. Raises ValueError if a definition is
    invalid.
    """

    def __init__(self, old: Machine | None, new: Machine, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.new = _compiled(new, limits)
        self.old = None if old is None else _compiled(old, limits)
        known = old if old is not None else new
        self.renamed = {} if old is None else dict(compare(old, new).renamed)
        maps = {name: each.fields for name, each in places(known).items() if each.type == "Map"}
        self.old_maps = maps
        self.maps = {self.renamed.get(name, name): fields for name, fields in maps.items()}

    def replay(
        self,
        description: Mapping[str, Any],
        events: Iterable[Event],
        id: int = 0,
        uuid: str = "",
        map_results: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> s.Replayed:
        """Replay one execution: DescribeExecution's answer and its history, and of one of this
        engine its id and uuid in the store, which random values depend on.

        map_results  ARN of a Map Run -> outputs of its children, where they are known

        Raises ValueError, whose text is for people.
        """
        history = list(events)
        recording = read_recording(description, history, self.renamed, id, uuid, map_results)
        driver = Driver(self.new, recording, self.renamed, self.maps, self.limits)
        trail = driver.run()
        found = [*trail.found]
        if self.old is None or not (trail.found or trail.facts):
            return _result(recording, found, driver.known)
        same = recording
        if self.renamed:
            same = read_recording(description, history, {}, id, uuid, map_results)
        before = Driver(self.old, same, {}, self.old_maps, self.limits).run()
        found += self._facts(before, trail)
        noise = {_key(self._named(each)) for _, each in before.found}
        return _result(
            recording,
            [pair for pair in found if _key(pair[1]) not in noise],
            driver.known,
            tuple(each for _, each in found if _key(each) in noise),
        )

    def _named(self, each: s.Divergence) -> s.Divergence:
        """With the new name of its state."""
        return each._replace(state=self.renamed.get(each.state, each.state))

    def _facts(self, before: Trail, after: Trail) -> list[tuple[int, s.Divergence]]:
        """What a history does not show, but the two definitions do: waits, delays, concurrency."""
        known = {
            (kind, self._place(place), number): value
            for (kind, place, number), (value, _) in before.facts.items()
        }
        found = []
        for (kind, place, number), (value, order) in after.facts.items():
            old = known.get((kind, place, number), value)
            if old != value:
                what = f"after attempt {number}" if kind == s.DELAY else kind
                sides = (f"{each:g}{_UNITS[kind]}" for each in (old, value))
                change = Change(CHANGED, what, *sides)
                found.append((order, s.Divergence(kind, place[-1][1], place[-1][2], change)))
        return found

    def _place(self, place: Place) -> Place:
        return tuple((index, self.renamed.get(name, name), number) for index, name, number in place)


def _compiled(definition: Machine, limits: Limits) -> Program:
    checked = validate(dict(definition), limits=limits, known_resource=lambda resource: resource)
    if checked.definition is None:
        raise ValueError("; ".join(f"{each.message} at {each.location}" for each in checked.errors))
    return compile_machine(checked.definition, limits, Payload)


def _key(each: s.Divergence) -> str:
    return dumps([each.kind, each.state, each.visit, each.change.what, repr(each.change.new)])


def _result(
    recording: Recording,
    found: list[tuple[int, s.Divergence]],
    known: bool,
    unrepeatable: tuple[s.Divergence, ...] = (),
) -> s.Replayed:
    ordered = tuple(each for _, each in sorted(found, key=lambda pair: pair[0]))
    return s.Replayed(recording.arn, ordered, known, unrepeatable)
