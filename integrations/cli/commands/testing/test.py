"""What `stepwell test` does: find scenarios, run them and report what differs."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output import scenario_report, screen
from stepwell.integrations.cli.output.text import printable
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.definitions.folders import (
    DEFINITIONS,
    content,
    file_of,
    files_below,
    template_machines,
)
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.runtime.folder import RUNTIMES
from stepwell.integrations.testing import coverage
from stepwell.integrations.testing.scenarios import discovery, junit, processes, runs, watching
from stepwell.integrations.testing.scenarios.discovery import Found
from stepwell.integrations.testing.scenarios.runs import FAILED, Job, Outcome, Settings
from stepwell.visualize.coverage import texts

_STARTS: Final = (b"startExecution", b"startSyncExecution")


@dataclass(frozen=True, slots=True)
class Options:
    """Of the command line; see declarations/testing.py."""

    paths: tuple[Path, ...]
    keyword: str | None
    fail_fast: bool
    jobs: int | None
    junit: Path | None
    json: bool
    quiet: bool
    cov_report: Path | None
    cov_min: float | None


@with_limits
def test(
    paths: Sequence[Path],
    keyword: str | None,
    fail_fast: bool,
    jobs: int | None,
    junit_file: Path | None,
    json: bool,
    quiet: bool,
    watch: bool,
    cov: bool,
    cov_report: Path | None,
    cov_min: float | None,
    param: Sequence[str],
    params: Path | None,
    input: str,
    limits: Limits,
) -> int:
    options = Options(
        *(tuple(paths or [Path()]), keyword, fail_fast, jobs, junit_file, json, quiet),
        *(cov_report, cov_min),
    )
    counted = cov or cov_report is not None or cov_min is not None
    if cov_report is not None:
        coverage.check(cov_report)
    settings = Settings(
        tuple(files.parameters(param, params, limits).items()),
        limits,
        counted,
        inputs.read_json(input, "--input", limits),
    )
    if not watch:
        return _run(options, settings, None)
    seen = watching.stamps(_watched(options))  # first: a file may be changed while it runs
    _run(options, settings, None)
    try:
        _watch(options, settings, seen)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return exit_codes.SUCCEEDED


def _run(options: Options, settings: Settings, only: set[Path] | None) -> int:
    """Run what was found once; the exit code.

    only  the files whose change made it run again; None: everything
    """
    found = discovery.find(options.paths)
    jobs = [
        job
        for job in runs.jobs(found.suites, found.cases)
        if (options.keyword is None or options.keyword.lower() in job.title.lower())
        and (only is None or only & set(_files_of(job, found)))
    ]
    broken = runs.broken(jobs, settings)
    problems = list(dict.fromkeys([*found.problems, *chain.from_iterable(broken.values())]))
    for line in (*found.warnings, *problems):
        print(printable(line), file=sys.stderr)
    jobs = [job for job in jobs if job.machine not in broken]
    if not jobs and not problems and only is None:
        raise UsageError(_nothing(options))
    outcomes = _outcomes(jobs, options, settings) if jobs or not problems else []
    if options.junit is not None:
        try:
            options.junit.write_text(junit.report(outcomes, problems), encoding="utf-8")
        except OSError as fault:
            raise UsageError(f"--junit {file_fault(options.junit, fault)}") from None
    enough = not settings.coverage or not jobs or _covered(outcomes, options)
    if problems:
        return exit_codes.USAGE
    failed = any(each.status == FAILED for each in outcomes)
    return exit_codes.FAILED if failed or not enough else exit_codes.SUCCEEDED


def _covered(outcomes: Iterable[Outcome], options: Options) -> bool:
    """Report the coverage; whether it is enough. Raises UsageError."""
    counts = coverage.Coverages()
    for outcome in outcomes:
        if outcome.coverage is not None:
            counts.merge_all(outcome.coverage)
    machines = counts.machines()
    if machines and not options.json:
        width = screen.width() if sys.stderr.isatty() else None
        print("\n".join(texts.summary(machines, width)), file=sys.stderr)
    if options.cov_report is not None:
        coverage.write(options.cov_report, machines)
    whole = texts.total(machines)
    if options.cov_min is None or whole.percent >= options.cov_min:
        return True
    print(
        f"stepwell: {texts.percent(whole)} are covered, less than the {options.cov_min:g} % of "
        "--cov-min",
        file=sys.stderr,
    )
    return False


def _outcomes(jobs: Sequence[Job], options: Options, settings: Settings) -> list[Outcome]:
    """Run the jobs, and show their outcomes as they come."""
    began, outcomes = time.perf_counter(), list[Outcome]()
    report = scenario_report.Report(len(jobs), options.quiet or options.json)
    with report, closing(processes.run(jobs, settings, options.jobs)) as running:
        for outcome in running:
            outcomes.append(outcome)
            if options.json:
                print(json_module.dumps(_as_json(outcome), ensure_ascii=False), flush=True)
            report.show(outcome)
            if options.fail_fast and outcome.status == FAILED:
                break
    if not options.json:
        left = len(jobs) - len(outcomes)
        report.summarise(outcomes, left, time.perf_counter() - began)
    return outcomes


def _nothing(options: Options) -> str:
    where = ", ".join(map(str, options.paths))
    if options.keyword is not None:
        return f"no scenario in {where} has {options.keyword!r} in its name (-k)"
    templates = (file_of(each) for each in options.paths if template_machines(each))
    template = next(templates, None)
    scenario = f"with machine: {template}#NAME" if template else "beside NAME.asl.json"
    return (
        f"no scenarios in {where}: write NAME.test.yaml {scenario}, or keep a MockConfigFile.json "
        "there"
    )


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "file": str(outcome.job.file),
        "machine": outcome.job.called,
        "name": outcome.job.name,
        "place": outcome.job.place,
        "status": outcome.status,
        "seconds": round(outcome.seconds, 4),
        "simulatedSeconds": outcome.simulated,
        "failures": outcome.failures,
        "warnings": outcome.warnings,
        **({"result": outcome.result} if outcome.result else {}),
    }


# --- --watch --------------------------------------------------------------------------------------


def _watch(options: Options, settings: Settings, seen: watching.Stamps) -> None:
    """Run again what changed, until Ctrl-C."""
    while True:
        print("waiting for changes (Ctrl-C ends)", file=sys.stderr)
        changed, seen = watching.changed(seen, lambda: _watched(options))
        runs.forget()
        _run(options, settings, changed)


def _watched(options: Options) -> list[Path]:
    """The files that scenarios are made of, and the folders in which new ones may appear."""
    found = discovery.find(options.paths)
    jobs = runs.jobs(found.suites, found.cases)
    return [*{file for job in jobs for file in _files_of(job, found)}, *_broken(options)]


def _broken(options: Options) -> Iterable[Path]:
    """Scenario files that cannot be read now: they may be mended."""
    for path in options.paths:
        yield from path.rglob("*.test.*") if path.is_dir() else [path]


def _definitions(machine: Path) -> list[Path]:
    """The file of a state machine; those that its template, or a task that starts an execution, may
    mean.
    """
    file = file_of(machine)
    if template_machines(machine):
        near = files_below(file.parent)
        return [file, *(each for each in near if _is_part(each) or each.suffix in RUNTIMES)]
    if not any(each in content(file) for each in _STARTS):
        return [file]
    return [file, *(each for each in sorted(file.parent.iterdir()) if _is_part(each))]


def _is_part(file: Path) -> bool:
    return file.name.endswith(DEFINITIONS)


def _files_of(job: Job, found: Found) -> list[Path]:
    """The files that a scenario depends on."""
    parts = [job.file, *_definitions(job.machine), *(file_of(each) for _, each in job.others)]
    suite = next((each for each in found.suites if each.file == job.file), None)
    if suite is not None:
        named = [suite.content.mock_file, *(each.input_file for each in suite.content.scenarios)]
        parts += [suite.path(each) for each in named if each]
    folder = job.machine.parent / "functions"
    if suite is not None and suite.content.functions:
        folder = suite.path(suite.content.functions)
    code = folder.rglob("*") if folder.is_dir() else ()
    return [*parts, *(file for file in code if file.suffix in RUNTIMES)]
