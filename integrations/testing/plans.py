"""What a test runs: a state machine, its mocks, and how others are found that its tasks start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks.cases import Items, TestCase
from stepwell.integrations.mocks.cases import Plan as MockPlan
from stepwell.integrations.services.runtime.folder import Source

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
