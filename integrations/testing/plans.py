"""What a test runs: a state machine, and where the others are that its tasks start.

name in `machines` -> the same template -> NAME.asl.json beside the definition
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import Embedded, split
from stepwell.engine.arns import split_case
from stepwell.integrations.definitions import folders
from stepwell.integrations.definitions.folders import DEFINITIONS, file_of
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks.cases import Items, TestCase
from stepwell.integrations.mocks.cases import Plan as MockPlan
from stepwell.integrations.services.runtime.folder import Source
from stepwell.integrations.testing.mock_files import plain

_NAME: Final = re.compile(r":stateMachine:((?:\$\{[^}]*\}|[^:])+)")
_HOLE: Final = re.compile(r"\$\{([^}]+)\}")
START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def _none(name: str) -> Plan | None:
    """The default of Plan.find."""
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    name        of the state machine
    text        the definition with its parameters filled in
    functions   name, ARN or Resource -> callable
    folder      of functions; None: there is none
    sources     functions of a template
    mocks       state -> its responses
    cases       other test cases of its mock file, for a start of ARN#CASE
    warnings    sentences on mocks of a mock file
    case        what texts call the mocks
    start_ms    epoch ms at the start
    find        the state machine of this name, which a task starts. Raises WorkflowTestError
    mocked      names of the other state machines that have mocks of this test
    """

    name: str
    text: str
    type: str = "STANDARD"
    file: Path | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    folder: Path | None = None
    sources: tuple[Source, ...] = ()
    mocks: Mapping[str, MockPlan | Items] = field(default_factory=dict)
    cases: Mapping[str, TestCase] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    case: str = "mocks"
    start_ms: int = START_MS
    limits: Limits = DEFAULT_LIMITS
    find: Callable[[str], Plan | None] = _none
    mocked: tuple[str, ...] = ()


# --- other state machines -------------------------------------------------------------------------


def started(reference: str) -> tuple[str, str | None]:
    """The name and the test case of the machine that a task starts: by its ARN, also that of a
    version or an alias; of ${Placeholder}, which has no value, that name.
    """
    arn, case = split_case(reference)
    match = _NAME.search(arn)
    name = match[1] if match else arn
    hole = _HOLE.fullmatch(name)
    return hole[1] if hole else name, case


def valid_name(reference: str) -> str:
    """The name of a state machine, of what started() returned."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", reference).strip("-") or "machine"


def in_template(file: Path | None) -> list[Embedded]:
    """The state machines of the template that a definition is in."""
    return [] if file is None else folders.template_machines(file)


def nearby(name: str, file: Path | None) -> Path | None:
    """The definition of the state machine of this name: in the same template, or beside it."""
    for each in in_template(file):
        if plain(name) in (plain(each.called), plain(each.name)):
            return Path(f"{split(str(file))[0]}#{each.name}")
    if file is None:
        return None
    for other in sorted(file_of(file).parent.iterdir()):
        if other.name.endswith(DEFINITIONS) and plain(folders.machine_name(other)) == plain(name):
            return other
    return None
