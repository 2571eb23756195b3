"""The events that an execution must have, and those that it may have.

Events of concurrent branches and iterations may be in any order, so an expected history is no list:
an Event has candidates for its predecessor, and is optional if another branch may have ended the
execution before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stepwell.conformance.oracle.values import Json

# end of an event type -> its details member
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
    """`details` holds what the language determines, with JSON texts parsed. `after`: the possible
    predecessors; empty: id 0.
    """

    type: str
    details: dict[str, Json] = field(default_factory=dict)
    after: tuple["Event", ...] = ()
    optional: bool = False

    @property
    def key(self) -> tuple[Json, ...]:
        """What links compare. Iterations over equal items have the same key."""
        return key_of(self.type, self.details)


def key_of(kind: str, details: dict[str, Json]) -> tuple[Json, ...]:
    return kind, details.get("name"), details.get("index"), details.get("state")


class Recorder:
    """Collects the events of an execution."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, after: Iterable[Event], **details: Json) -> Event:
        event = Event(kind, details, tuple(after))
        self.events.append(event)
        return event

    def make_optional(self, start: int, end: int) -> None:
        """These events may be missing: their branch may have been aborted before."""
        for event in self.events[start:end]:
            event.optional = True
