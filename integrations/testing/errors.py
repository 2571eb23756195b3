"""The errors of tests of workflows.

WorkflowTestError          a test cannot run: its text says what to change
├── InvalidDefinitionError the definition, with all of its problems
├── UnansweredTaskError    a task was called that nothing answers
└── UnfinishedError        an execution did not end
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkflowTestError(Exception):
    """Base of all errors here."""


class InvalidDefinitionError(WorkflowTestError):
    """problems: one line each, "order.asl.json:3:7: ERROR CODE message"."""

    def __init__(self, name: str, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([f"{name} is not a valid state machine", *self.problems]))


class UnansweredTaskError(WorkflowTestError):
    """state: its name."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class UnfinishedError(WorkflowTestError):
    """An execution still waits, and nothing that is simulated will end that."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'Charge'?", or the names if there are few, or ""."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f"; there are {', '.join(map(repr, names))}" if 0 < len(names) <= 12 else ""
