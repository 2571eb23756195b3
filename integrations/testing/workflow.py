"""Tests of workflows: workflow("order.asl.json").mock("Charge", error="Declined").run({"id": 7}).

A Workflow is immutable: each method returns another one, so that tests can share a base.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import Embedded, split
from stepwell.asl.validate import ERROR
from stepwell.engine.arns import Home
from stepwell.integrations.definitions import other_machines, problems
from stepwell.integrations.definitions.folders import file_of, machine_name
from stepwell.integrations.definitions.other_machines import plain
from stepwell.integrations.definitions.parameters import from_file, pseudo_parameters
from stepwell.integrations.definitions.template_functions import sources
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks import checks
from stepwell.integrations.mocks.cases import TestCase
from stepwell.integrations.mocks.files import MockFile, MockFileError, read_mocks
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.testing import execution, mock_files, mocking, plans
from stepwell.integrations.testing.background import background
from stepwell.integrations.testing.errors import (
    InvalidDefinitionError,
    WorkflowTestError,
    is_expected,
    suggestion,
)
from stepwell.integrations.testing.plans import Plan
from stepwell.integrations.testing.results import Result, observers
from stepwell.integrations.testing.state_tests import StateTest
from stepwell.integrations.testing.tasks import FOLDER

__tracebackhide__: Final = is_expected
Params: TypeAlias = Mapping[str, Json] | str | Path | None
Functions: TypeAlias = Mapping[str, Callable[..., Any]] | str | Path
Definition: TypeAlias = str | Path | Mapping[str, Any]
TIMEOUT_SECONDS: Final = 60.0
_NO_FILE: Final = "definition"
_TYPES: Final = ("STANDARD", "EXPRESS")


def workflow(
    definition: Definition,
    *,
    params: Params = None,
    functions: Functions | None = None,
    machines: Mapping[str, Definition | Workflow] | None = None,
    type: str | None = None,
    start: datetime | str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Workflow:
    """A state machine under test.

    definition  a file (.asl.json, .asl.yaml, template.yaml#Name), JSON text, or the same as a dict
    params      values of ${Placeholders}, or a file of them (JSON, YAML, .env). Those without a
                value are accepted, and named in Workflow.notes: tasks are mocked, not called
    functions   a folder of Lambda functions, a template that has some, or name -> callable:
                `f(event)`, `f(event, context)`. Default: the folder functions/ beside the file, if
                there is one. Functions of a template that has the definition need not be named
    machines    the state machines that its tasks start: name -> definition, or a Workflow. Those of
                the same template, and NAME.asl.json beside the file, are found
    type        default: that of the template, else "STANDARD"
    start       time at the start of executions, ISO 8601; default 2026-01-01T00:00:00Z
    Raises WorkflowTestError.
    """
    if type is not None and type.upper() not in _TYPES:
        raise WorkflowTestError(f"type={type!r}: use 'STANDARD' or 'EXPRESS'")
    data, filename, file = _read(definition)
    siblings = other_machines.in_template(file)
    kind = type.upper() if type else _type(siblings, filename)
    given = _parameters(params, limits)
    parameters = {**pseudo_parameters(Home()), **given}
    source, found = problems.problems(
        data, filename, parameters, kind, lambda resource: resource, limits
    )
    errors = [each.text() for each in found if each.severity == ERROR]
    if source is None or errors:
        raise InvalidDefinitionError(filename, errors)
    callables, folder, template = _functions(functions, file)
    templates = [each for each in (template, file) if each is not None]
    plan = Plan(
        name="test" if file is None else machine_name(file, limits, parameters),
        text=source.text,
        type=kind,
        file=file,
        parameters=parameters,
        functions=callables,
        folder=folder,
        sources=tuple(source for each in templates for source in sources(each, parameters, limits)),
        start_ms=plans.START_MS if start is None else _epoch_ms(start),
        limits=limits,
    )
    notes = tuple(each.text() for each in found if each.severity == problems.NOTE)
    states = dict(every_state(json_text.loads(source.text)))
    load = partial(workflow, params=given, functions=functions, start=start, limits=limits)
    return Workflow(plan, states, load, notes, machines=_others(machines or {}, load))


def _others(
    machines: Mapping[str, Definition | Workflow], load: Callable[[Definition], Workflow]
) -> dict[str, Workflow]:
    """By name, with those that they know themselves."""
    found: dict[str, Workflow] = {}
    for name, each in machines.items():
        other = each if isinstance(each, Workflow) else load(each)
        other = replace(other, plan=replace(other.plan, name=name))
        found = {**other.machines, **found, name: other}
    return found


def _type(siblings: Sequence[Embedded], filename: str) -> str:
    """That of the machine in its template."""
    _, name = split(filename)
    kinds = [each.type for each in siblings if name in (None, each.name)]
    return kinds[0] if len(kinds) == 1 else _TYPES[0]


def _functions(
    functions: Functions | None, file: Path | None
) -> tuple[Mapping[str, Callable[..., Any]], Path | None, Path | None]:
    """(callables, folder, template). Raises WorkflowTestError."""
    if isinstance(functions, str | Path):
        named = Path(functions)
        if not named.exists():
            raise WorkflowTestError(f"functions={str(functions)!r}: there is no such folder")
        return {}, None if named.is_file() else named, named if named.is_file() else None
    beside = None if file is None else file_of(file).parent / FOLDER
    return functions or {}, beside if beside is not None and beside.is_dir() else None, None


def _read(definition: Definition) -> tuple[bytes | str, str, Path | None]:
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


@dataclass(frozen=True, repr=False)
class Workflow:
    """A state machine with the mocks of its tasks. `workflow()` makes one.

    load       makes one of a definition, with the same parameters and functions
    notes      on the definition: placeholders without a value
    machines   other state machines, by name, with their mocks
    elsewhere  definitions in which the others are looked for first, by name
    mock_file  a mock file, and the test case of all machines
    folders    in which mock files are looked for first
    """

    plan: Plan
    states: Mapping[str, Mapping[str, Any]]
    load: Callable[[Definition], Workflow]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, mocking.Answers] = field(default_factory=dict)
    machines: Mapping[str, Workflow] = field(default_factory=dict)
    elsewhere: Mapping[str, Path] = field(default_factory=dict)
    mock_file: tuple[MockFile, str] | None = None
    folders: Sequence[Path] = ()
    _found: dict[str, Workflow | None] = field(default_factory=dict, compare=False)

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
        "STATE.ItemReader" with the items, "STATE.ResultWriter" with its result. "MACHINE/STATE" is
        a state of another state machine, which a task starts.

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
        if (inside := self._inside(state)) is not None:
            other, inner = inside
            mocked = other.with_answers(inner, new, instead)
            return replace(self, machines={**self.machines, other.plan.name: mocked})
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

        file     where it is not in the current folder: beside the definition
        machine  its name in the file; None: that of the definition's file, or the only one
        """
        beside = [] if self.plan.file is None else [file_of(self.plan.file).parent]
        places = [folder / file for folder in (*self.folders, Path(), *beside)]
        try:
            read = read_mocks(next((each for each in places if each.exists()), file))
        except OSError as fault:
            raise WorkflowTestError(file_fault(file, fault)) from None
        except MockFileError as fault:
            raise WorkflowTestError(str(fault)) from None
        found = mock_files.case(read, machine or self.plan.name, case, bool(machine))
        return self.with_case(found, read)

    def with_case(self, case: TestCase, file: MockFile) -> Workflow:
        """Another Workflow, with the mocks of a test case. Those that mock no task, or do not fit
        the model of their service, are named in Result.unused: Step Functions Local accepts both.
        The machines that tasks start have the test case of the same name, if the file has it.
        """
        _, warnings = checks.against(case, self.states, checks.Validation.WARN)
        mocks = {**self.plan.mocks, **case.unchecked(checks.answerable(self.states)).states}
        warned = (*self.plan.warnings, *warnings)
        plan = replace(self.plan, mocks=mocks, warnings=warned, case=case.name)
        return replace(self, plan=plan, mock_file=(file, case.name))

    # --- other state machines ---

    def other(self, name: str) -> Workflow | None:
        """The state machine of this name, which a task starts; None: its definition is not known.
        Raises WorkflowTestError if that is not valid.
        """
        known = {plain(each): each for each in self.machines}
        if name in self.machines or plain(name) in known:
            return self.machines[name if name in self.machines else known[plain(name)]]
        if plain(name) == plain(self.plan.name):
            return self
        if name not in self._found:
            named = (file for key, file in self.elsewhere.items() if plain(key) == plain(name))
            beside = self.plan.file, self.plan.parameters
            file = next(named, None) or other_machines.nearby(name, *beside)
            self._found[name] = None if file is None else self.load(file)
        return self._found[name]

    def _inside(self, state: str) -> tuple[Workflow, str] | None:
        """Of "MACHINE/STATE", another state machine and its state."""
        machine, sign, inner = state.partition("/")
        if not sign or state in self.states or mocking.target(state, self.states) is not None:
            return None
        other = self.other(machine)
        return None if other is None or other is self else (other, inner)

    def target(self, state: str) -> mocking.Target | None:
        """What a mock of this name answers for; None: nothing."""
        if (inside := self._inside(state)) is not None:
            return inside[0].target(inside[1])
        return mocking.target(state, self.states)

    def _started(self, name: str) -> Plan | None:
        """See Plan.find."""
        found = self.other(name)
        if found is None or self.mock_file is None:
            return None if found is None else self._shared(found)
        file, case = self.mock_file
        own = mock_files.find(file, found.plan.name, exact=True)
        cases = {} if own is None else file.machines[own]
        if case in cases:
            found = found.with_case(cases[case], file)
        shared = self._shared(found)
        tasks = checks.answerable(found.states)
        others = {name: each.unchecked(tasks) for name, each in cases.items()}
        return replace(shared, cases=others)

    def _shared(self, other: Workflow) -> Plan:
        machines = {**other.machines, **self.machines}
        shared = replace(other, machines=machines, mock_file=self.mock_file)
        return replace(shared, elsewhere=self.elsewhere)._planned()

    def state(self, name: str) -> StateTest:
        """One state, to be run alone."""
        self.known(name)
        return StateTest(self._planned(), name)

    def _planned(self) -> Plan:
        own = {state: mocking.plan(answers) for state, answers in self.answers.items()}
        mocked = tuple(name for name, each in self.machines.items() if each.answers)
        mocks = {**self.plan.mocks, **own}
        return replace(self.plan, mocks=mocks, find=self._started, mocked=mocked)

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
            for each in (result, *result.executions):
                observer(each)
        return result

    def known(self, state: str) -> Mapping[str, Any]:
        """A state of the definition. Raises WorkflowTestError."""
        if state not in self.states:
            inner = [
                f"{name}/{each}" for name, other in self.machines.items() for each in other.states
            ]
            hint = suggestion(state, [*self.states, *inner])
            raise WorkflowTestError(f"{self.plan.name} has no state {state!r}{hint}")
        return self.states[state]
