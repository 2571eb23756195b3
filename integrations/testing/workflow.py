"""Tests of workflows: workflow("order.asl.json").mock("Charge", error="Declined").run({"id": 7}).

A Workflow is immutable: each method returns another one, so that tests can share a base.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import split
from stepwell.asl.validate import ERROR
from stepwell.engine.arns import Home
from stepwell.integrations.definitions import problems
from stepwell.integrations.definitions.folders import file_of
from stepwell.integrations.definitions.parameters import from_file, pseudo_parameters
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks import checks
from stepwell.integrations.mocks.cases import TestCase
from stepwell.integrations.mocks.files import MockFileError, read_mocks
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.testing import execution, mock_files, mocking
from stepwell.integrations.testing.background import background
from stepwell.integrations.testing.errors import (
    InvalidDefinitionError,
    WorkflowTestError,
    is_expected,
    suggestion,
)
from stepwell.integrations.testing.execution import Plan
from stepwell.integrations.testing.results import Result, observers
from stepwell.integrations.testing.state_tests import StateTest
from stepwell.integrations.testing.tasks import FOLDER

__tracebackhide__: Final = is_expected
Params: TypeAlias = Mapping[str, Json] | str | Path | None
Functions: TypeAlias = Mapping[str, Callable[..., Any]] | str | Path
TIMEOUT_SECONDS: Final = 60.0
_NO_FILE: Final = "definition"
_TYPES: Final = ("STANDARD", "EXPRESS")


def workflow(
    definition: str | Path | Mapping[str, Any],
    *,
    params: Params = None,
    functions: Functions | None = None,
    type: str = "STANDARD",
    start: datetime | str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Workflow:
    """A state machine under test.

    definition  a file (.asl.json, .asl.yaml), JSON text, or the same as a dict
    params      values of ${Placeholders}, or a file of them (JSON, YAML, .env). Those without a
                value are accepted, and named in Workflow.notes: tasks are mocked, not called
    functions   a folder of Lambda functions, or name -> callable: `f(event)`, `f(event, context)`.
                Default: the folder functions/ beside the file, if there is one
    start       time at the start of executions, ISO 8601; default 2026-01-01T00:00:00Z
    Raises WorkflowTestError.
    """
    kind = type.upper()
    if kind not in _TYPES:
        raise WorkflowTestError(f"type={type!r}: use 'STANDARD' or 'EXPRESS'")
    data, filename, file = _read(definition)
    parameters = {**pseudo_parameters(Home()), **_parameters(params, limits)}
    source, found = problems.problems(
        data, filename, parameters, kind, lambda resource: resource, limits
    )
    errors = [each.text() for each in found if each.severity == ERROR]
    if source is None or errors:
        raise InvalidDefinitionError(filename, errors)
    folder = None
    callables: Mapping[str, Callable[..., Any]] = {}
    if isinstance(functions, str | Path):
        folder = Path(functions)
        if not folder.is_dir():
            raise WorkflowTestError(f"functions={str(functions)!r}: there is no such folder")
    elif functions is not None:
        callables = functions
    if folder is None and file is not None and (file.parent / FOLDER).is_dir():
        folder = file.parent / FOLDER
    plan = Plan(
        name=_name(file),
        text=source.text,
        type=kind,
        file=file,
        parameters=parameters,
        functions=callables,
        folder=folder,
        start_ms=execution.START_MS if start is None else _epoch_ms(start),
        limits=limits,
    )
    notes = tuple(each.text() for each in found if each.severity == problems.NOTE)
    return Workflow(plan, dict(every_state(json_text.loads(source.text))), notes)


def _read(definition: str | Path | Mapping[str, Any]) -> tuple[bytes | str, str, Path | None]:
    """(content, name for texts, the file that it is in). Raises WorkflowTestError."""
    if isinstance(definition, Mapping):
        return json.dumps(definition), _NO_FILE, None
    if isinstance(definition, str) and definition.lstrip().startswith("{"):
        return definition, _NO_FILE, None
    file = Path(definition)
    return _bytes(file_of(file)), str(file), file


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise WorkflowTestError(file_fault(file, fault)) from None


def _parameters(params: Params, limits: Limits) -> Mapping[str, Json]:
    """Raises WorkflowTestError."""
    if not isinstance(params, str | Path):
        return params or {}
    try:
        return from_file(str(params), _bytes(Path(params)), limits)
    except UsageError as fault:
        raise WorkflowTestError(str(fault)) from None


def _epoch_ms(start: datetime | str) -> int:
    """A time without a zone is UTC."""
    try:
        when = datetime.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        raise WorkflowTestError(
            f"start={start!r}: not a time such as 2026-01-31T12:00:00Z"
        ) from None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _name(file: Path | None) -> str:
    """Of the machine: the file's name without its suffixes, or the name in a template."""
    name, machine = split("test" if file is None else file.name)
    stem = machine or name.split(".")[0]
    return "".join(each if each.isalnum() and each.isascii() else "-" for each in stem) or "test"


@dataclass(frozen=True, repr=False)
class Workflow:
    """A state machine with the mocks of its tasks. `workflow()` makes one.

    notes  on the definition: placeholders without a value
    """

    plan: Plan
    states: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, mocking.Answers] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<workflow {self.plan.name}>"

    def mock(
        self,
        state: str,
        *results: Json | Callable[[Json], Any],
        error: str | None = None,
        cause: str | None = None,
        times: int | None = None,
        item: int | str | None = None,
        after: float = 0.0,
    ) -> Workflow:
        """Another Workflow, in which a Task is answered instead of carried out. A Parallel or
        Map is answered with the array of its results, and what is in it does not run;
        "STATE.ItemReader" with the items, "STATE.ResultWriter" with its result.

        results  one: of every call (with `times`: of so many); several: one for each call, in
                 order. A callable gets the effective input and returns the result; what it raises
                 is the error. A result has the shape of the service's answer: that of
                 lambda:invoke is {"Payload": ...}
        error, cause  the failure in place of a result
        after    seconds that the task takes, in the time of the execution: its time limits work
        item     only in this iteration of the Map around it, from 0, or in several: "1-3"
        A mock of every call is replaced by the next mock of the state; one of some calls is
        followed by it. Raises WorkflowTestError.
        """
        return self.with_answers(state, mocking.answers(results, error, cause, times, item, after))

    def with_answers(self, state: str, new: mocking.Answers, instead: bool = False) -> Workflow:
        """Another Workflow, with more responses of a state. Raises WorkflowTestError.

        instead  of those that it has, of the same item
        """
        target = mocking.target(state, self.states)
        if target is None:
            kind = self.known(state).get("Type")
            raise WorkflowTestError(
                f"the state {state!r} is a {kind}: only a Task, a Parallel or a Map can be mocked"
            )
        for each in new:
            target.check(each)
        before = self.answers.get(state, ())
        added = mocking.added(before, new, instead)
        return replace(self, answers={**self.answers, state: added})

    def mocks(self, file: str | Path, case: str, machine: str | None = None) -> Workflow:
        """Another Workflow, with the mocks of a test case of a mock file (MockConfigFile.json).
        Mocks of states that mock() names go before.

        machine  its name in the file; None: that of the definition's file, or the only one
        """
        try:
            read = read_mocks(file)
        except OSError as fault:
            raise WorkflowTestError(file_fault(file, fault)) from None
        except MockFileError as fault:
            raise WorkflowTestError(str(fault)) from None
        return self.with_case(mock_files.case(read, machine or self.plan.name, case, bool(machine)))

    def with_case(self, case: TestCase) -> Workflow:
        """Another Workflow, with the mocks of a test case. Those that mock no task, or do not fit
        the model of their service, are named in Result.unused: Step Functions Local accepts both.
        """
        _, warnings = checks.against(case, self.states, checks.Validation.WARN)
        mocks = {**self.plan.mocks, **case.unchecked(checks.answerable(self.states)).states}
        warned = (*self.plan.warnings, *warnings)
        return replace(self, plan=replace(self.plan, mocks=mocks, warnings=warned, case=case.name))

    def state(self, name: str) -> StateTest:
        """One state, to be run alone."""
        self.known(name)
        return StateTest(self._planned(), name)

    def _planned(self) -> Plan:
        own = {state: mocking.plan(answers) for state, answers in self.answers.items()}
        return replace(self.plan, mocks={**self.plan.mocks, **own})

    def run(
        self,
        input: Json = None,
        *,
        name: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Result:
        """Run an execution to its end; waits and backoffs take no time.

        input    a Python value; {} if None
        name     of the execution
        timeout  seconds of real time, for functions that hang
        Raises UnansweredTaskError if a task is neither mocked nor a function.
        """
        try:
            return background.call(lambda pool: self._run(input, name, timeout, pool))
        except WorkflowTestError as fault:
            raise fault.with_traceback(None) from None

    async def run_async(
        self,
        input: Json = None,
        *,
        name: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Result:
        """run() on the event loop of the caller, where its async functions run too."""
        return await self._run(input, name, timeout, None)

    async def _run(
        self, input: Json, name: str | None, timeout: float, pool: Pool | None
    ) -> Result:
        text = "{}" if input is None else execution.text_of(input, "input")
        result = Result(await execution.run(self._planned(), text, name, timeout, pool))
        for observer in observers:
            observer(result)
        return result

    def known(self, state: str) -> Mapping[str, Any]:
        """A state of the definition. Raises WorkflowTestError."""
        if state not in self.states:
            raise WorkflowTestError(
                f"{self.plan.name} has no state {state!r}{suggestion(state, self.states)}"
            )
        return self.states[state]
