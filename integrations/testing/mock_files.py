"""The machine and the test case of a mock file that belong to a definition."""

from __future__ import annotations

from typing import Final

from stepwell.integrations.definitions.other_machines import plain
from stepwell.integrations.mocks.cases import TestCase
from stepwell.integrations.mocks.files import MockFile
from stepwell.integrations.testing.errors import WorkflowTestError, is_expected, suggestion

__tracebackhide__: Final = is_expected


def machine(file: MockFile, name: str, exact: bool = False) -> str:
    """The name in the file of the machine that a definition defines: its own, whatever the case of
    its letters, "-" and "_", or else the only one. Raises WorkflowTestError.

    exact  only its own
    """
    found = find(file, name, exact)
    if found is None:
        raise WorkflowTestError(
            f"{file.filename} has no state machine {name!r}{suggestion(name, file.machines)}"
        )
    return found


def find(file: MockFile, name: str, exact: bool = False) -> str | None:
    """The same; None: there is none."""
    known = list(file.machines)
    same = [each for each in known if plain(each) == plain(name)]
    if name in known:
        return name
    return (same or known)[0] if not exact and len(same or known) == 1 else None


def case(file: MockFile, name: str, case: str, exact: bool = False) -> TestCase:
    """Raises WorkflowTestError."""
    own = machine(file, name, exact)
    found = file.find(own, case)
    if found is None:
        raise WorkflowTestError(
            f"{file.filename} has no test case {case!r} of the state machine {own!r}"
            f"{suggestion(case, file.machines[own])}"
        )
    return found
