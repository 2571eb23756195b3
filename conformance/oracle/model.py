"""What the reference interpreter passes around: a visit to a state, how it ends, how an execution
ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stepwell.conformance.oracle.history import Event
from stepwell.conformance.oracle.values import MISSING, Json

RUNTIME: Final = "States.Runtime"
TIMEOUT: Final = "States.Timeout"
QUERY: Final = "States.QueryEvaluationError"

Variables = dict[str, Json]
Events = tuple[Event, ...]


class TaskResult(NamedTuple):
    """What a task answers: an output, or an error. `seconds`: what it takes until it times out."""

    output: Json = MISSING
    error: str | None = None
    cause: str | None = None
    timed_out: bool = False


Tasks = Callable[[str, Json], TaskResult]  # (resource, input) -> result


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ends. `seconds` are those that it waits; in its texts ANY stands for what is
    not determined.
    """

    status: str
    output: Json
    error: str | None
    cause: str | None
    events: list[Event]
    seconds: float
    faults: int = 0  # failures of expressions and fields, caught ones too


class Broke(Exception):
    """A state failed and nothing in its block caught it. `at`: the event the failure follows from;
    `fatal`: nothing further up will.
    """

    def __init__(
        self, error: str | None, cause: str | None, at: Events, fatal: bool = False
    ) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.at, self.fatal = error, cause, at, fatal or error == RUNTIME


@dataclass(eq=False, slots=True)
class Visit:
    """One state being visited. `tail`: the events that what comes next may follow from."""

    name: str
    state: dict[str, Any]
    jsonata: bool
    value: Json
    variables: Variables
    item: Json  # of the innermost Map around
    before: Events
    entered: Event
    tail: Events
    retries: list[int] = field(default_factory=list)
    past: bool = False  # the work of a Parallel or Map was done


class Left(NamedTuple):
    """A state was left: its output, the variables from now on, the next state's name or None, its
    last event.
    """

    output: Json
    variables: Variables
    next: str | None
    tail: Events


class Child(NamedTuple):
    """A branch or iteration that was run; its events are those from `start` to `end`."""

    start: int
    end: int
    output: Json
    tail: Events
    broke: Broke | None
    succeeded: Event | None = None
