"""What `stepwell test` runs: scenario files, and the test cases of mock files of which no scenario
file tests the state machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stepwell.asl.files.definition_templates import TemplateError, choose, split
from stepwell.integrations.definitions.folders import (
    SCENARIOS,
    TEXTS,
    content,
    file_of,
    files_below,
    is_definition,
    machine_name,
    template_machines,
)
from stepwell.integrations.definitions.other_machines import plain
from stepwell.integrations.mocks.files import MockFile, MockFileError, read_mocks
from stepwell.integrations.testing import mock_files
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
    mocks: MockFile


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
        (suite.path(suite.content.mock_file).resolve(), machine_name(suite.machine))
        for suite in found.suites
        if suite.content.mock_file
    }
    jsons = {file: content(file) for file in files if file.suffix == ".json"}
    mocks = [file for file, data in jsons.items() if _is_mock_file(file, data, file in paths)]
    definitions = _definitions(files, jsons) if mocks else {}
    for file in mocks:
        names = {name for each, name in used if each == file.resolve()}
        _add_cases(found, file, definitions, names)
    return found


def _is_mock_file(file: Path, data: bytes, named: bool) -> bool:
    """named: also one that has no test cases, or is not JSON."""
    keys = _MOCKS[:1] if named else _MOCKS
    return all(key in data for key in keys) and not file.name.endswith(SCENARIOS)


def _definitions(files: Iterable[Path], jsons: Mapping[Path, bytes]) -> dict[Path, set[str]]:
    """The definitions in files, and the plain names of each. A file that a template names is that
    of the template.
    """
    found: dict[Path, set[str]] = {}
    named: dict[Path, Path] = {}
    for file in files:
        if is_definition(file, jsons.get(file, b"")):
            found[file] = {plain(machine_name(file)), plain(file.name.split(".")[0])}
        elif file.suffix in TEXTS and not file.name.endswith(SCENARIOS):
            for each in template_machines(file):
                path = Path(f"{file}#{each.name}")
                found[path] = {plain(each.name), plain(each.called)}
                if each.file and isinstance(each.definition, str):
                    named[(file.parent / each.definition).resolve()] = path
    for file in [each for each in found if each.resolve() in named]:
        found[named[file.resolve()]] |= found.pop(file)
    return found


def _files(paths: Iterable[Path], found: Found) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from files_below(path)
        elif not file_of(path).exists():
            found.problems.append(f"{path}: there is no such file or folder")
        elif path != file_of(path) and (problem := _lost(path)):
            found.problems.append(problem)
        elif path.name.endswith(SCENARIOS):
            yield path
        elif path.suffix == ".json" and _MOCKS[0] in content(path):
            yield path
            yield from _near(path)
        else:
            yield file_of(path)
            yield from _beside(path)


def _lost(path: Path) -> str | None:
    """Why template.yaml#Name is no state machine."""
    try:
        choose(template_machines(path), split(path.name)[1], str(file_of(path)))
    except TemplateError as fault:
        return f"{path}: {fault.message}"
    return None


def _near(file: Path) -> Iterator[Path]:
    """The definitions of a mock file: beside it, or in the folder around."""
    for folder in (file.parent, file.parent / ".."):
        near = [each for each in sorted(folder.iterdir()) if each.suffix in (*TEXTS, ".asl")]
        jsons = {each: content(each) for each in near if each.suffix == ".json"}
        if definitions := _definitions(near, jsons):
            yield from dict.fromkeys(map(file_of, definitions))
            return


def _beside(definition: Path) -> Iterator[Path]:
    """The scenario files beside a definition, or a template, that test it."""
    stem = definition.name.split(".")[0]
    for each in sorted(file_of(definition).parent.glob("*")):
        if not each.name.endswith(SCENARIOS):
            continue
        try:
            tests = _same(read_suite(each).machine, definition)
        except ScenarioFileError:  # it is read again, and its faults are reported
            tests = each.name.startswith(stem)
        if tests:
            yield each


def _same(tested: Path, definition: Path) -> bool:
    """definition: a template stands for all of its state machines."""
    if definition == file_of(definition):
        tested = file_of(tested)
    return tested.resolve() == definition.resolve()


def _add_cases(
    found: Found, file: Path, definitions: Mapping[Path, set[str]], names: Iterable[str]
) -> None:
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
        if name in tested or not cases:
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
    found.cases.append(CaseFile(file, tuple(machines), mocks))


def _definition(
    name: str, machines: int, file: Path, definitions: Mapping[Path, set[str]]
) -> Path | None:
    """The definition of the same name, whatever the case of its letters, "-" and "_"; else the only
    one, if the mock file has one machine. The nearest goes before.
    """
    same = [each for each, names in definitions.items() if plain(name) in names]
    beside = [each for each in definitions if each.parent == file.parent]
    chosen = same or (
        (beside if len(beside) == 1 else list(definitions) if len(definitions) == 1 else [])
        if machines == 1
        else []
    )
    return min(chosen, key=lambda each: len(os.path.relpath(each, file.parent)), default=None)
