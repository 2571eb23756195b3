"""What tests cover of their state machines: counted by definition, over all executions of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from stepwell.asl.files.definition_files import DefinitionFileError
from stepwell.asl.histories.coverage import Coverage
from stepwell.integrations.definitions.folders import file_of, template_machines
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
        self._by_file: dict[str, tuple[str, Coverage]] = {}

    def add(self, result: Result) -> None:
        """An execution; one of a definition without a file is not counted."""
        if result.run.file is not None:
            key = str(Path(result.run.file).resolve())
            self._merge(key, result.run.machine, of(result))

    def _merge(self, key: str, name: str, coverage: Coverage) -> None:
        if key in self._by_file:
            self._by_file[key][1].merge(coverage)
        else:
            self._by_file[key] = name, coverage

    def merge_all(self, other: Coverages) -> None:
        for key, (name, coverage) in other._by_file.items():
            self._merge(key, name, coverage)

    def machines(self) -> list[Covered]:
        """In the order of their files' names."""
        return [
            _covered(Path(file), name, each)
            for file, (name, each) in sorted(self._by_file.items(), key=lambda pair: pair[0])
        ]


def of(result: Result) -> Coverage:
    """What one execution has covered, with the executions of its Map Runs."""
    coverage = Coverage(result.machine)
    for history in result.histories:
        coverage.add(history, result.source())
    return coverage


def _covered(path: Path, name: str, coverage: Coverage) -> Covered:
    file, shown, line = path, _shown(path), lambda location: 1
    try:
        source = read(file_of(path).read_bytes(), str(path), {}, DEFAULT_LIMITS)
        file, line = Path(source.filename), lambda location: source.locate(location)[0]
    except (OSError, DefinitionFileError):  # changed since it was run
        pass
    title = f"{name} ({_shown(file_of(path))})" if template_machines(path) else shown
    return Covered(title, coverage, line, _shown(file_of(file)))


def _shown(file: Path) -> str:
    """Relative to the current folder, if it is in it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


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
