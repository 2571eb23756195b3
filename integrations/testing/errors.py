"""The errors of tests of workflows.

WorkflowTestError          a test cannot run: its text says what to change
├── InvalidDefinitionError the definition, with all of its problems
├── UnansweredTaskError    a task was called that nothing answers
├── PlacedError            a mistake in a scenario file; its text begins with the place
└── UnfinishedError        an execution did not end
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class WorkflowTestError(Exception):
    """Base of all errors here."""


def is_expected(failure: Any) -> bool:
    """A module whose `__tracebackhide__` this is has no lines in pytest's text of such a failure
    (pytest.ExceptionInfo): the line of the test and the message say all.
    """
    return bool(failure.errisinstance((WorkflowTestError, AssertionError, LookupError)))


class InvalidDefinitionError(WorkflowTestError):
    """problems: one line each, "order.asl.json:3:7: ERROR CODE message"."""

    def __init__(self, name: str, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([f"{name} is not a valid state machine", *self.problems]))


class UnansweredTaskError(WorkflowTestError):
    """state        its name
    in_scenario  the text for scenario files, where mocks are written in YAML
    """

    def __init__(
        self,
        state: str,
        problem: str,
        function: str | None = None,
        result: str = "RESULT",
        machine: str = "",
    ) -> None:
        """
        state     or the part of it
        function  the name of the function that nothing answers; "" for another task; None: the
                  problem says all
        result    what a mock returns
        machine   the name of the state machine that it starts
        """
        python, yaml = [], []
        if function is not None:
            python.append(f"mock it with .mock({state!r}, {result})")
            yaml.append(f"add it to mocks, as in {{{state}: {result}}}")
        if machine:
            python.append(f"pass machines={{{machine!r}: FILE}}")
            yaml.append(f"name its definition in machines, as in {{{machine}: FILE}}")
        if function:
            python.append(f"pass functions={{{function!r}: CALLABLE}}")
            for mends in (python, yaml):
                mends.append(f"write functions/{function}.py")
        super().__init__(problem + _either(python))
        self.state, self.in_scenario = state, problem + _either(yaml)


def _either(mends: list[str]) -> str:
    """ ": a, b or c"; "" for none"""
    *most, last = mends or [""]
    return ": " * bool(last) + " or ".join(filter(None, (", ".join(most), last)))


class PlacedError(WorkflowTestError):
    """See above."""


class UnfinishedError(WorkflowTestError):
    """An execution still waits, and nothing that is simulated will end that."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'Charge'?", or the names if there are few, or ""."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f"; there are {', '.join(map(repr, names))}" if 0 < len(names) <= 12 else ""
