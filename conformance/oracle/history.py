"""The events that a run must have, and those that it may have.

What branches and iterations do at the same time may be written in any order, so an expected history
is no list: an Event has candidates for its predecessor, and is optional if another branch may have
ended the run before it came.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stepwell.conformance.oracle.values import Json

# the details member of each family of events, and how it is found from a type's name
_DETAILS: Final = {
    "StateEntered": "stateEnteredEventDetails",
    "StateExited": "stateExitedEventDetails",
}
_WITHOUT: Final = (
    "ParallelStateStarted", "ParallelStateSucceeded", "ParallelStateFailed", "MapStateSucceeded",
    "MapStateFailed", "LambdaFunctionStarted",
)  # fmt: skip
ABORTED: Final = frozenset(
    {
        "TaskStateAborted",
        "WaitStateAborted",
        "ParallelStateAborted",
        "MapStateAborted",
        "MapIterationAborted",
        "MapRunAborted",
    }
)


def details_member(kind: str) -> str | None:
    """The member of a history event that holds its details; None for a type without any."""
    if kind in _WITHOUT or (kind in ABORTED and kind != "MapIterationAborted"):
        return None
    for ending, member in _DETAILS.items():
        if kind.endswith(ending):
            return member
    return kind[0].lower() + kind[1:] + "EventDetails"


@dataclass(eq=False, slots=True)
class Event:
    """`details` holds what the language determines; JSON texts are parsed. `after`: the events it
    may point to; none: id 0.
    """

    type: str
    details: dict[str, Json] = field(default_factory=dict)
    after: tuple["Event", ...] = ()
    optional: bool = False

    @property
    def key(self) -> tuple[Json, ...]:
        """What links compare: iterations over equal items cannot be told apart any further."""
        return key_of(self.type, self.details)


def key_of(kind: str, details: dict[str, Json]) -> tuple[Json, ...]:
    return kind, details.get("name"), details.get("index"), details.get("state")


class Recorder:
    """Collects the events of a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, after: Iterable[Event], **details: Json) -> Event:
        event = Event(kind, details, tuple(after))
        self.events.append(event)
        return event

    def excuse(self, start: int, end: int) -> None:
        """These may be missing: what they belong to was perhaps given up before."""
        for event in self.events[start:end]:
            event.optional = True
