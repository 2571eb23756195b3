"""What `stepwell validate` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from stepwell.asl.checks import ERROR
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output.text import count, ndjson
from stepwell.integrations.definitions.problems import INVALID_FILE, Problem
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits


@with_limits
def validate(
    paths: Sequence[Path],
    param: Sequence[str],
    params: Path | None,
    type: str | None,
    json: bool,
    limits: Limits,
) -> int:
    parameters, errors = files.parameters(param, params, limits), 0
    paths = files.definitions(paths, limits, once=True)
    seen: set[Problem] = set()
    for path in paths:
        try:
            folder = files.functions_beside(path)
            kind = files.type_of(path, type, parameters, limits)
            _, problems = files.problems(path, parameters, kind, folder, limits=limits)
        except UsageError as fault:  # the file cannot be read
            message = str(fault).removeprefix(f"{path}: ")
            problems = [Problem(str(path), 1, 1, ERROR, INVALID_FILE, message, "")]
        for problem in problems:
            if problem in seen:  # of a file that several templates name
                continue
            seen.add(problem)
            errors += problem.severity == ERROR
            print(ndjson(problem._asdict()) if json else problem.text())
    if not json:
        result = count(errors, "error") if errors else "valid"
        print(f"{count(len(paths), 'file')}: {result}", file=sys.stderr)
    return exit_codes.USAGE if errors else exit_codes.SUCCEEDED
