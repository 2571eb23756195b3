"""What `stepwell lint` does."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.checks import Diagnostic
from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_files import DefinitionFileError, sampled
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint import NOTE, RULES, SEVERITIES, is_selected, lint
from stepwell.integrations.aws.task_shapes import parameter_faults
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.files import Problem
from stepwell.integrations.cli.output import lint_reports
from stepwell.integrations.cli.output.text import count
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.definitions.problems import (
    BYTE_ORDER_MARK,
    FILE_NOTES,
    UNFILLED,
    UNMATCHED,
    file_notes,
)
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.tasks.results import result_shape


class Options(NamedTuple):
    """Of the command. type: None: that of the template; notes: print them; strict: they count;
    select, ignore: codes, or beginnings of codes.
    """

    type: str | None
    inputs: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    notes: bool
    strict: bool
    format: str


@with_limits
def run(
    paths: Sequence[Path],
    param: Sequence[str],
    params: Path | None,
    chosen: Mapping[str, Any],
    limits: Limits,
) -> int:
    """Exit code 2 if a file cannot be read; else 1 if there is a finding of severity warning or
    error, with `strict` of any.

    chosen  the fields of Options
    """
    options = Options(**chosen)
    for code in (*options.select, *options.ignore):
        if not any(each.startswith(code) for each in (*(rule.code for rule in RULES), *FILE_NOTES)):
            raise UsageError(f"{code}: no rule has a code that begins so (stepwell lint --rules)")
    parameters = files.parameters(param, params, limits)
    examples = [
        json_text.loads(inputs.read_json(each, "--input", limits)) for each in options.inputs
    ]
    paths = files.definitions(paths, limits, once=True)
    of_each = (_problems(path, parameters, examples, options, limits) for path in paths)
    found = list(dict.fromkeys(chain.from_iterable(of_each)))  # templates may share a file
    shown = [each for each in found if _shown(each, options)]
    sys.stdout.write(lint_reports.FORMATS[options.format](shown))
    _summary(len(paths), found, shown)
    if any(each.code in files.UNREADABLE for each in found):
        return exit_codes.USAGE
    counts = [each for each in shown if _counts(each, options)]
    return exit_codes.FAILED if counts else exit_codes.SUCCEEDED


def rules() -> int:
    """Print the table of rules."""
    for rule in RULES:
        print(f"{rule.code}  {rule.severity:7}  {rule.name:26}  {rule.sentence}")
    return exit_codes.SUCCEEDED


def _problems(
    path: Path,
    parameters: Mapping[str, Any],
    inputs: Sequence[Json],
    options: Options,
    limits: Limits,
) -> list[Problem]:
    try:
        data = files.read_definition_file(path, limits)
        source = files.source(data, str(path), parameters, limits)
    except DefinitionFileError as fault:
        return [files.unreadable(fault)._replace(severity="error")]
    except UsageError as fault:  # the file cannot be read
        message = str(fault).removeprefix(f"{path}: ")
        return [Problem(str(path), 1, 1, "error", files.INVALID_FILE, message, "")]
    functions = files.known_resource(files.functions_beside(path))

    def known(resource: str) -> str | None:
        return resource if has_hole(resource) else functions(resource)

    kind = files.type_of(path, options.type, parameters, limits)
    filled = sampled(source, kind, limits, known)
    findings = lint(
        filled.uniform,
        kind,
        limits,
        known,
        sample=filled.text,
        inputs=inputs,
        results=result_shape,
        parameters=parameter_faults,
        select=options.select,
        ignore=options.ignore,
    )
    problems = [
        files.placed(filled, Diagnostic(each.code, each.message, each.location, each.severity))
        for each in findings
    ]
    found = files.condensed(problems, filled)
    if found is problems:
        found = problems + [
            each._replace(severity=NOTE)
            for each in file_notes(data, filled)
            if is_selected(each.code, options.select, options.ignore)
        ]
    return sorted(found, key=lambda each: (each.line, each.column))


def _shown(problem: Problem, options: Options) -> bool:
    """Notes are advice: they are shown on request, or if --select names their code. Those on the
    file are about mistakes, but for missing values.
    """
    return (
        problem.severity != NOTE
        or problem.code in (UNMATCHED, BYTE_ORDER_MARK)
        or options.notes
        or options.strict
        or problem.code.startswith(options.select or ("-",))
    )


def _counts(problem: Problem, options: Options) -> bool:
    """For the exit code. Values may be missing from any file before it is deployed."""
    return problem.severity != NOTE or (options.strict and problem.code != UNFILLED)


def _summary(number: int, found: Sequence[Problem], shown: Sequence[Problem]) -> None:
    parts = [
        count(total, severity)
        for severity in SEVERITIES
        if (total := sum(each.severity == severity for each in shown))
    ]
    hidden = len(found) - len(shown)
    more = f" ({count(hidden, 'note')}: --notes shows them)" if hidden else ""
    print(f"{count(number, 'file')}: {', '.join(parts) or 'no findings'}{more}", file=sys.stderr)
