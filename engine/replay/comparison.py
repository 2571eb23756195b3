"""What differs between a recorded visit and the same visit of a replay. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.diff.fields import values
from stepwell.asl.diff.shapes import CHANGED, Change
from stepwell.asl.evaluation import MISSING, Json
from stepwell.engine.core import model
from stepwell.engine.replay import shapes as s
from stepwell.engine.replay.recording import Place, RecordedVisit, Recording

MOST: Final = 100  # divergences of an execution that are kept


@dataclass(slots=True, eq=False)
class Tracked:
    """A visit of a replay.

    recorded  the same visit of the recording; None: it was not visited
    frame, parent  ids of its frame and of the one around it
    attempts  so far; read: reports of the last one that were delivered
    left      it ended with StateExited
    """

    place: Place
    recorded: RecordedVisit | None
    frame: int
    parent: int
    attempts: int = 0
    read: int = 0
    left: bool = False

    @property
    def name(self) -> str:
        return self.place[-1][1]

    @property
    def number(self) -> int:
        return self.place[-1][2]


class Trail:
    """The divergences of one replay, and facts that a recording does not show: the same replay with
    the old definition has them too.

    facts  (kind, place, number) -> (value, order)
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, s.Divergence]] = []
        self.facts: dict[tuple[str, Place, int], tuple[Json, int]] = {}
        self.order = 0

    def add(self, kind: str, at: Tracked | None, change: Change) -> None:
        if len(self.found) < MOST:
            name, number = ("", 0) if at is None else (at.name, at.number)
            self.found.append((self.order, s.Divergence(kind, name, number, change)))

    def fact(self, kind: str, at: Tracked, number: int, value: Json) -> None:
        self.facts[kind, at.place, number] = value, self.order

    def compare(self, kind: str, at: Tracked | None, what: str, old: Json, new: Json) -> None:
        for change in values(what, old, new):
            self.add(kind, at, change)

    # --- visits ---

    def scheduled(self, at: Tracked, details: Mapping[str, Any]) -> None:
        """An attempt of a Task is scheduled."""
        if at.recorded is None or at.attempts > len(at.recorded.attempts):
            return
        known = at.recorded.attempts[at.attempts - 1].scheduled.details
        for name in ("resourceType", "resource"):
            self.compare(s.RESOURCE, at, name, known.get(name, MISSING), details.get(name, MISSING))
        for name in ("parameters", "input"):
            if name in known:
                old, new = json_text.loads(known[name]), json_text.loads(details.get(name, "null"))
                self.compare(s.INPUT, at, name, old, new)
        for name in ("timeoutInSeconds", "heartbeatInSeconds", "taskCredentials"):
            old, new = known.get(name), details.get(name)
            if old != new:
                change = Change(CHANGED, name, *(MISSING if x is None else x for x in (old, new)))
                self.add(s.TIME_LIMIT, at, change)

    def started(self, at: Tracked, length: int | None) -> None:
        """A Map starts."""
        if at.recorded is None or at.attempts > len(at.recorded.attempts):
            return
        known = at.recorded.attempts[at.attempts - 1].scheduled.details.get("length")
        if known is not None and length is not None and known != length:
            self.add(s.ITEMS, at, Change(CHANGED, "number of items", known, length))

    def left(self, at: Tracked, details: Mapping[str, Any]) -> None:
        """A state is left."""
        at.left = True
        if at.recorded is None or at.recorded.left is None:
            return
        known = at.recorded.left.details
        if "output" in known:
            old, new = json_text.loads(known["output"]), json_text.loads(details["output"])
            self.compare(s.OUTPUT, at, "output", old, new)
        old, new = (
            {
                name: json_text.loads(text)
                for name, text in each.get("assignedVariables", {}).items()
            }
            for each in (known, details)
        )
        for name in dict.fromkeys((*old, *new)):
            self.compare(
                s.VARIABLES, at, f"${name}", old.get(name, MISSING), new.get(name, MISSING)
            )

    def ended(self, x: model.Execution, recording: Recording, last: Tracked | None) -> None:
        """Both have ended. last: the visit with which the replay ended."""
        if x.status != recording.status:
            failed = last if x.status == model.FAILED else None
            self.add(s.STATUS, failed, Change(CHANGED, "status", recording.status, _status(x)))
            return
        if x.output is not None and recording.output is not None:
            self.compare(
                s.OUTPUT, None, "output", json_text.loads(recording.output), x.output.value
            )
        for name, old, new in (
            ("error", recording.error, x.error),
            ("cause", recording.cause, x.cause),
        ):
            if old != new:
                change = Change(CHANGED, name, *(MISSING if x is None else x for x in (old, new)))
                self.add(s.ERROR, None, change)


def _status(x: model.Execution) -> str:
    return x.status if x.error is None else f"{x.status}: {x.error}"
