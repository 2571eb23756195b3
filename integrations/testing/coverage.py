"""What tests cover of their state machines: counted by definition, over all executions of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stepwell.asl.files.definition_files import DefinitionFileError
from stepwell.asl.histories.coverage import Coverage
from stepwell.integrations.definitions.folders import file_of
from stepwell.integrations.definitions.problems import read
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.testing.results import Result
from stepwell.visualize.coverage import report, texts
from stepwell.visualize.coverage.texts import Covered

_SUFFIXES: Final = (".html", ".json")


class Coverages:
    """Of state machines in files. A definition of which tests use other parameters counts once."""

    def __init__(self) -> None:
        self._by_file: dict[str, Coverage] = {}

    def add(self, result: Result) -> None:
        """An execution; one of a definition without a file is not counted."""
        if result.run.file is not None:
            self.merge(result.run.file, of(result))

    def merge(self, file: str, coverage: Coverage) -> None:
        key = str(Path(file).resolve())
        if key in self._by_file:
            self._by_file[key].merge(coverage)
        else:
            self._by_file[key] = coverage

    def merge_all(self, other: Coverages) -> None:
        for file, coverage in other._by_file.items():
            self.merge(file, coverage)

    def machines(self) -> list[Covered]:
        """In the order of their files' names."""
        return [
            Covered(_shown(file), each, _lines(file))
            for file, each in sorted(self._by_file.items())
        ]


def of(result: Result) -> Coverage:
    """What one execution has covered, with the executions of its Map Runs."""
    coverage = Coverage(result.machine)
    for history in result.histories:
        coverage.add(history, result.source())
    return coverage


def _shown(file: str) -> str:
    """Relative to the current folder, if it is in it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _lines(file: str) -> Callable[[str], int]:
    """JSON pointer -> line."""
    try:
        source = read(file_of(Path(file)).read_bytes(), file, {}, DEFAULT_LIMITS)
    except (OSError, DefinitionFileError):  # changed since it was run
        return lambda location: 1
    return lambda location: source.locate(location)[0]


def write(file: Path, machines: list[Covered]) -> None:
    """A report: .html or .json. Raises UsageError."""
    check(file)
    try:
        if file.suffix == ".json":
            text = json.dumps(texts.as_json(machines), indent=2) + "\n"
        else:
            text = report.page(machines)
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(file_fault(file, fault)) from None


def check(file: Path) -> None:
    """Raises UsageError unless a report can be written there."""
    if file.suffix not in _SUFFIXES:
        raise UsageError(f"{file}: a report of coverage is .html or .json")
