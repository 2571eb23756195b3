"""The data of the reference interpreter: a visit to a state, its end, the end of an execution."""

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
    """The result of a task: an output, an error or a timeout."""

    output: Json = MISSING
    error: str | None = None
    cause: str | None = None
    timed_out: bool = False


Tasks = Callable[[str, Json], TaskResult]  # (resource, input) -> result


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ends. `seconds`: the time that it waits. ANY in its texts matches any
    text.
    """

    status: str
    output: Json
    error: str | None
    cause: str | None
    events: list[Event]
    seconds: float
    expression_errors: int = 0  # of expressions and fields, caught ones included


class BlockError(Exception):
    """A state failed, and nothing in its block caught it. `at`: the events that the failure may
    follow from; `fatal`: no outer state can catch it.
    """

    def __init__(
        self, error: str | None, cause: str | None, at: Events, fatal: bool = False
    ) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.at, self.fatal = error, cause, at, fatal or error == RUNTIME


@dataclass(eq=False, slots=True)
class Visit:
    """One visit to a state. `tail`: the events that the next one may follow from."""

    name: str
    state: dict[str, Any]
    jsonata: bool
    value: Json
    variables: Variables
    item: Json  # of the innermost Map
    before: Events
    entered: Event
    tail: Events
    retries: list[int] = field(default_factory=list)
    children_done: bool = False  # all branches or iterations have succeeded


class StateExit(NamedTuple):
    """The end of a visit: the state's output, the variables from now on, the next state's name or
    None, the last event.
    """

    output: Json
    variables: Variables
    next: str | None
    tail: Events


class Child(NamedTuple):
    """A branch or iteration that was run; `start` and `end` delimit its events."""

    start: int
    end: int
    output: Json
    tail: Events
    failure: BlockError | None
    succeeded: Event | None = None
