"""One scenario from its file to its Outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.integrations.definitions.folders import machine_name
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks.answers import Unused, summary
from stepwell.integrations.mocks.cases import iterations
from stepwell.integrations.mocks.files import MockFile, MockFileError, read_mocks
from stepwell.integrations.testing import coverage, mock_files
from stepwell.integrations.testing.errors import (
    InvalidDefinitionError,
    PlacedError,
    UnansweredTaskError,
    WorkflowTestError,
)
from stepwell.integrations.testing.results import Result, shorten
from stepwell.integrations.testing.scenarios.expectations import Mismatch, mismatches
from stepwell.integrations.testing.scenarios.files import Scenario, Suite, answers_of, read_suite
from stepwell.integrations.testing.workflow import Workflow, workflow

PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
RUNTIME: Final = "States.Runtime"  # what fails with it reads data that is not there


@dataclass(frozen=True, slots=True)
class Job:
    """A scenario to run.

    file     scenario file, or mock file
    name     of the scenario, or MACHINE#CASE
    place    "order.test.yaml:12:5"
    machine  definition
    called   name of the state machine
    index    in the scenario file; None: a test case of a mock file
    others   definitions of other state machines by name: of the scenario file, or of the mock file
    """

    file: Path
    name: str
    place: str
    machine: Path
    called: str
    index: int | None = None
    others: tuple[tuple[str, Path], ...] = ()

    @property
    def title(self) -> str:
        return f"{self.file} {self.name}"


@dataclass(slots=True)
class Outcome:
    """status    PASSED, FAILED or SKIPPED
    failures  what differs: each a list of lines, the first with its place
    context   lines on what happened: error, state, path
    warnings  on mocks
    notes     on the definition
    seconds   of real time; simulated: of the execution
    """

    job: Job
    status: str
    failures: list[list[str]] = field(default_factory=list)
    context: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    simulated: float = 0.0
    result: dict[str, Json] = field(default_factory=dict)
    coverage: coverage.Coverages | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Of all scenarios.

    params   values of ${Placeholders}; those of a file go before
    coverage  whether it is counted
    input    JSON text: of the test cases of mock files
    """

    params: tuple[tuple[str, Json], ...] = ()
    limits: Limits = DEFAULT_LIMITS
    coverage: bool = False
    input: str = "{}"


def run(job: Job, settings: Settings) -> Outcome:
    """Run one scenario; its failure is part of the Outcome."""
    began = time.perf_counter()
    try:
        outcome = _scenario(job, settings) if job.index is not None else _case(job, settings)
    except PlacedError as fault:
        outcome = Outcome(job, FAILED, [str(fault).splitlines()])
    except (WorkflowTestError, UsageError) as fault:
        text = fault.in_scenario if isinstance(fault, UnansweredTaskError) else str(fault)
        has_place = text.startswith(f"{job.file}:")
        outcome = Outcome(
            job, FAILED, [(text if has_place else f"{job.place}: {text}").splitlines()]
        )
    outcome.seconds = time.perf_counter() - began
    return outcome


def _scenario(job: Job, settings: Settings) -> Outcome:
    assert job.index is not None
    suite = suite_of(job.file)
    scenario = suite.content.scenarios[job.index]
    if scenario.skip is not None:
        return Outcome(job, SKIPPED, context=[scenario.skip])
    at = json_text.item("/scenarios", job.index)
    tested = _tested(job, suite, scenario, at, settings)
    result = tested.run(_input(suite, scenario, at))
    outcome = _outcome(job, result, settings)
    outcome.notes = tested.notes
    for mismatch in mismatches(scenario.expect, result):
        outcome.failures.append(_located(suite, f"{at}/expect", mismatch))
    # mocks of all scenarios, which have no place, need not be used in each
    return _judged(outcome, result, [each for each in result.run.unused if each.place])


def _judged(outcome: Outcome, result: Result, unused: Sequence[Unused]) -> Outcome:
    """What a scenario that failed did not use is in one line: the failure is of interest."""
    outcome.status = FAILED if outcome.failures else PASSED
    lines = summary(unused) if outcome.failures else [each.text for each in unused]
    outcome.warnings = [*result.run.warnings, *lines]
    return outcome


def _located(suite: Suite, at: str, mismatch: Mismatch) -> list[str]:
    first, *rest = mismatch.lines
    return [f"{suite.at(at + mismatch.location)}: {first}", *rest]


def _outcome(job: Job, result: Result, settings: Settings) -> Outcome:
    outcome = Outcome(job, PASSED, context=result.explanation(), simulated=result.duration)
    outcome.result = _ending(result)
    if result.executions:
        others = [{"machine": each.run.machine, **_ending(each)} for each in result.executions]
        outcome.result["executions"] = others
    if settings.coverage:
        outcome.coverage = coverage.Coverages()
        for each in (result, *result.executions):
            outcome.coverage.add(each)
    return outcome


def _ending(result: Result) -> dict[str, Json]:
    return {
        "status": str(result.status),
        "output": result.output,
        "error": result.error,
        "cause": result.cause,
        "visited": list(result.visited),
    }


def _tested(job: Job, suite: Suite, scenario: Scenario, at: str, settings: Settings) -> Workflow:
    """The machine with the mocks of a scenario. Raises WorkflowTestError."""
    content = suite.content
    params = {**dict(settings.params), **content.params, **scenario.params}
    functions = None if content.functions is None else str(suite.path(content.functions))
    start = scenario.start or content.start
    tested = machine(
        suite.machine,
        content.type,
        json_text.dumps(params),
        functions,
        None if start is None else start.isoformat(),
        settings.limits,
        job.others,
    )
    if scenario.case is not None:
        if content.mock_file is None:
            text = "case needs mock_file, the file that has the test case"
            raise PlacedError(f"{suite.at(at + '/case')}: {text}")
        mocks = mocks_of(suite.path(content.mock_file))
        try:
            case = mock_files.case(mocks, tested.plan.name, scenario.case)
        except WorkflowTestError as fault:
            raise PlacedError(f"{suite.at(at + '/case')}: {fault}") from None
        tested = tested.with_case(case, mocks)
    else:
        tested = replace(tested, plan=replace(tested.plan, case=scenario.name))
    for where, mocked in (("", content.mocks), (at, scenario.mocks)):
        for key, value in mocked.items():
            place = suite.at(json_text.member(f"{where}/mocks", key))
            try:
                tested = _mocked(tested, key, value, place if where else "")
            except WorkflowTestError as fault:
                raise PlacedError(f"{place}: {fault}") from None
    return tested


def _mocked(tested: Workflow, key: str, value: Json, place: str) -> Workflow:
    """Add a mock in short form: of STATE, or of STATE[INDEX] in one Map iteration."""
    state, item = key, None
    if key not in tested.states and key.endswith("]"):
        outer, _, index = key[:-1].rpartition("[")
        if iterations(index) is not None:
            state, item = outer, index
    target = tested.target(state)
    is_list = target is not None and target.is_list
    return tested.with_answers(state, answers_of(value, item, place, is_list), instead=True)


def _input(suite: Suite, scenario: Scenario, at: str) -> Json:
    if scenario.input_file is None:
        return scenario.input
    file = suite.path(scenario.input_file)
    try:
        return json_text.loads(file.read_bytes())
    except OSError as fault:
        reason = file_fault(file, fault)
    except json_text.JsonError as fault:
        reason = f"{file}:{fault.line or 1}:{fault.column or 1}: not JSON: {fault.message}"
    raise PlacedError(f"{suite.at(at + '/input_file')}: {reason}")


# --- test cases of mock files ---------------------------------------------------------------------


def _case(job: Job, settings: Settings) -> Outcome:
    """A test case runs with the input of the settings. It passes if the execution ends by itself,
    and not because it reads what that input does not have.
    """
    name, _, case = job.name.rpartition("#")
    params = json_text.dumps(dict(settings.params))
    tested = machine(job.machine, None, params, None, None, settings.limits)
    mocks = mocks_of(job.file)
    tested = replace(tested, elsewhere=dict(job.others))
    tested = tested.with_case(mock_files.case(mocks, name, case, exact=True), mocks)
    result = tested.run(json_text.loads(settings.input))
    outcome = _outcome(job, result, settings)
    outcome.notes = tested.notes
    if result.status not in ("SUCCEEDED", "FAILED") or result.error == RUNTIME:
        outcome.failures.append(
            [
                f"{job.place}: it ended with {result.error or result.status}",
                f"it ran with the input {shorten(settings.input)}; for another one, use --input, "
                f"or write {_scenario_file(job, case)}",
            ]
        )
    return _judged(outcome, result, result.run.unused)


def _scenario_file(job: Job, case: str) -> str:
    """A scenario file for a test case: "NAME: CONTENT"."""
    folder, stem = job.machine.parent, job.machine.name.split(".")[0]
    content = {
        "mock_file": os.path.relpath(job.file, folder),
        "scenarios": [{"name": case, "case": case, "input": {}}],
    }
    return f"{folder / f'{stem}.test.json'}: {json_text.dumps(content)}"


# --- what several scenarios share -----------------------------------------------------------------

suite_of = cache(read_suite)


@cache
def mocks_of(file: Path) -> MockFile:
    """Raises WorkflowTestError."""
    try:
        return read_mocks(file)
    except OSError as fault:
        raise WorkflowTestError(file_fault(file, fault)) from None
    except MockFileError as fault:
        raise WorkflowTestError(str(fault)) from None


@lru_cache(maxsize=64)
def machine(
    file: Path,
    type: str | None,
    params: str,
    functions: str | None,
    start: str | None,
    limits: Limits,
    others: tuple[tuple[str, Path], ...] = (),
) -> Workflow:
    """A definition without mocks. params: JSON text. Raises WorkflowTestError."""
    return workflow(
        file,
        params=json_text.loads(params),
        functions=functions,
        machines=dict(others),
        type=type,
        start=start,
        limits=limits,
    )


def broken(jobs: Sequence[Job], settings: Settings) -> dict[Path, list[str]]:
    """The definitions that are not valid -> their problems, one line each. The others are known
    from then on, also in other processes.
    """
    found: dict[Path, list[str]] = {}
    for job in jobs:
        content = None if job.index is None else suite_of(job.file).content
        params = {**dict(settings.params), **(content.params if content else {})}
        given = json_text.dumps(params), None, None, settings.limits
        if job.machine not in found:
            try:
                if content is None:
                    machine(job.machine, None, *given)
                else:
                    machine(job.machine, content.type, *given, job.others)
            except InvalidDefinitionError as fault:
                found[job.machine] = fault.problems
    return found


def forget() -> None:
    """Files may have changed: read them again."""
    for each in (suite_of, mocks_of, machine):
        each.cache_clear()


def jobs(suites: list[Suite], cases: list[Any]) -> Iterator[Job]:
    """In the order of the files."""
    for suite in suites:
        others, called = tuple(suite.others.items()), machine_name(suite.machine)
        for index, scenario in enumerate(suite.content.scenarios):
            place = suite.at(json_text.item("/scenarios", index))
            yield Job(suite.file, scenario.name, place, suite.machine, called, index, others)
    for each in cases:
        for name, definition in each.machines:
            for case, mocked in each.mocks.machines[name].items():
                place, title = mocked.place or f"{each.file}:1:1", f"{name}#{case}"
                yield Job(each.file, title, place, definition, name, others=each.machines)
