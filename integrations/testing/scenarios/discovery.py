"""What `stepwell test` runs: scenario files, and the test cases of mock files of which no scenario
file tests the state machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stepwell.integrations.definitions.folders import (
    DEFINITIONS,
    SCENARIOS,
    content,
    files_below,
    is_definition,
)
from stepwell.integrations.mocks.files import MockFileError, read_mocks
from stepwell.integrations.testing import mock_files
from stepwell.integrations.testing.mock_files import plain
from stepwell.integrations.testing.scenarios.files import (
    ScenarioFileError,
    Suite,
    read_suite,
)

_MOCKS: Final = (b'"StateMachines"', b'"TestCases"')  # every mock file has both


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A mock file whose test cases are run as they are.

    machines  (name of a state machine in it, its definition)
    """

    file: Path
    machines: tuple[tuple[str, Path], ...]


@dataclass(slots=True)
class Found:
    """problems, warnings: one line each, with its place."""

    suites: list[Suite] = field(default_factory=list)
    cases: list[CaseFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find(paths: Sequence[Path]) -> Found:
    """Files that are named are taken as they are; folders are searched, without hidden ones and
    those of tools. A definition stands for the scenario files beside it that test it.
    """
    found = Found()
    files = list(dict.fromkeys(_files(paths, found)))
    for file in files:
        if file.name.endswith(SCENARIOS):
            try:
                found.suites.append(read_suite(file))
            except ScenarioFileError as fault:
                found.problems += fault.problems
    used = {
        (suite.path(suite.content.mock_file).resolve(), suite.machine.name.split(".")[0])
        for suite in found.suites
        if suite.content.mock_file
    }
    jsons = {file: content(file) for file in files if file.suffix == ".json"}
    definitions = [file for file in files if is_definition(file, jsons.get(file, b""))]
    for file, data in jsons.items():
        if all(key in data for key in _MOCKS) and not file.name.endswith(SCENARIOS):
            names = {name for mocks, name in used if mocks == file.resolve()}
            _add_cases(found, file, definitions, names)
    return found


def _files(paths: Iterable[Path], found: Found) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from files_below(path)
        elif not path.exists():
            found.problems.append(f"{path}: there is no such file or folder")
        elif path.name.endswith(SCENARIOS) or not path.name.endswith(DEFINITIONS):
            yield path
            if path.suffix == ".json":  # a mock file: its definitions are near
                yield from _near(path)
        else:
            yield path
            stem = path.name.split(".")[0]
            beside = sorted(path.parent.glob(f"{stem}*"))
            yield from (each for each in beside if each.name.endswith(SCENARIOS))


def _near(file: Path) -> Iterator[Path]:
    for each in sorted(file.parent.iterdir()):
        if each.name.endswith(DEFINITIONS):
            yield each


def _add_cases(found: Found, file: Path, definitions: Sequence[Path], names: Iterable[str]) -> None:
    """names: of the definitions of which a scenario file uses the mock file."""
    try:
        mocks = read_mocks(file)
    except MockFileError as fault:
        found.problems += fault.faults
        return
    found.warnings += mocks.warnings
    machines = []
    tested = {mock_files.find(mocks, name) for name in names}
    for name, cases in mocks.machines.items():
        if name in tested:
            continue
        definition = _definition(name, len(mocks.machines), file, definitions)
        if definition is None:
            at = next((case.place for case in cases.values()), f"{file}:1:1")
            found.problems.append(
                f"{at}: there is no definition of the state machine {name!r}: call its file "
                f"{name}.asl.json, or name it in a scenario file with machine and mock_file"
            )
        else:
            machines.append((name, definition))
    found.cases.append(CaseFile(file, tuple(machines)))


def _definition(name: str, machines: int, file: Path, definitions: Sequence[Path]) -> Path | None:
    """The definition of the same name, whatever the case of its letters, "-" and "_"; else the only
    one, if the mock file has one machine. The nearest goes before.
    """
    same = [each for each in definitions if plain(each.name.split(".")[0]) == plain(name)]
    beside = [each for each in definitions if each.parent == file.parent]
    chosen = same or (
        (beside if len(beside) == 1 else definitions if len(definitions) == 1 else [])
        if machines == 1
        else []
    )
    return min(chosen, key=lambda each: len(os.path.relpath(each, file.parent)), default=None)
