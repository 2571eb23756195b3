"""What users give in files and options: definitions, with everything that is wrong with them,
inputs and parameters.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from stepwell.asl import json_text, messages
from stepwell.asl.checks import Diagnostic
from stepwell.asl.definition_files import PLACEHOLDER, DefinitionFileError, Source, read_definition
from stepwell.asl.resources import local_resource
from stepwell.asl.validate import validate
from stepwell.integrations.cli.text import count, printable
from stepwell.integrations.errors import Refused
from stepwell.integrations.limits import DEFAULT_LIMITS

_READ_BYTES: Final = 4 * DEFAULT_LIMITS.definition_bytes
HISTORY_BYTES: Final = 1 << 30  # 25,000 events with what they carry
INVALID_FILE: Final = "INVALID_FILE"
ERROR: Final = "ERROR"


def read(source: IO[bytes] | Path, what: str, most: int = _READ_BYTES) -> bytes:
    """The bytes of a file, pipe or stream; refused if there are more than `most`, too many for a
    definition or an input.
    """
    try:
        if isinstance(source, Path):
            with source.open("rb") as stream:
                data = stream.read(most + 1)
        else:
            data = source.read(most + 1)
    except OSError as fault:
        raise Refused(f"{what}: {fault.strerror or fault}") from None
    except ValueError as fault:  # a NUL in the name
        raise Refused(f"{what}: {fault}") from None
    if len(data) > most:
        raise Refused(f"{what}: larger than {most:,} bytes")
    return data


def parameters(given: Sequence[str]) -> dict[str, str]:
    """--param KEY=VALUE ..."""
    pairs = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise Refused(f"--param {text}: give it as KEY=VALUE")
        pairs[key] = value
    return pairs


class Unfilled(dict[str, str]):
    """Parameters for reading a definition that is only looked at: what is not given stands for
    itself, ${Name} for ${Name}.
    """

    def __contains__(self, name: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"${{{name}}}"


def read_json(option: str, name: str = "--input", most: int = DEFAULT_LIMITS.payload_bytes) -> str:
    """The JSON text behind JSON|@FILE|-: the text itself, standard input, or a file (also without
    the @, if the text is no JSON).
    """
    where = option
    try:
        if option == "-":
            where, data = "standard input", read(sys.stdin.buffer, "standard input")
        elif option.startswith("@"):
            where, data = option[1:], read(Path(option[1:]), option[1:])
        elif not _is_json(option) and os.path.exists(option):
            data = read(Path(option), option)
        else:
            where, data = name, os.fsencode(option)
        text = data.decode()
        json_text.loads(text)
    except UnicodeError:
        raise Refused(f"{where}: not UTF-8 text") from None
    except json_text.JsonError as fault:
        hint = (
            f" (nor is there a file {option!r})"
            if where == name and option.lstrip()[:1] not in ("{", "[", '"')
            else ""
        )
        place = f":{fault.line}:{fault.column}" if fault.line and where != name else ""
        raise Refused(f"{where}{place}: not JSON: {fault.message}{hint}") from None
    if len(data) > most:
        raise Refused(f"{where}: {len(data):,} bytes of JSON, where at most {most:,} are allowed")
    return text


def _is_json(text: str) -> bool:
    try:
        json_text.loads(text)
    except (json_text.JsonError, UnicodeError):
        return False
    return True


# --- definitions ----------------------------------------------------------------------------------


class Problem(NamedTuple):
    """One diagnostic of a definition file."""

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    location: str

    def text(self) -> str:
        at = f" at {self.location}" if self.location else ""
        return printable(
            f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {self.message}{at}"
        )


def functions_beside(file: Path) -> Path | None:
    """The folder with the functions of a definition, if none is named: functions/ beside it."""
    folder = file.parent / "functions"
    return folder if folder.is_dir() else None


def known_resource(folder: Path | None) -> Callable[[str], str | None]:
    """For the validator: whether a Resource that is none of AWS's is a function of the folder."""

    def known(resource: str) -> str | None:
        from stepwell.integrations.tasks.registry import Registry

        return (
            resource if Registry(functions_folder=folder).known(local_resource(resource)) else None
        )

    return known


def problems(
    file: Path,
    given: Mapping[str, str],
    type: str,
    folder: Path | None,
    known: Callable[[str], str | None] | None = None,
) -> tuple[Source | None, list[Problem]]:
    """The definition in a file and everything that is wrong with it, in the order of the file; None
    if it is no definition at all.

    known  which Resources of others than AWS can run; None: those in the folder
    Raises Refused if the file cannot be read.
    """
    data = read(file, str(file))
    try:
        source = read_definition(data, str(file), given)
    except DefinitionFileError as fault:
        return None, [
            Problem(str(file), fault.line, fault.column, ERROR, INVALID_FILE, fault.message, "")
        ]
    checked = validate(source.text, type, DEFAULT_LIMITS, known or known_resource(folder))
    found = [_problem(str(file), source, each) for each in checked.diagnostics]
    return source, sorted(found, key=lambda each: (each.line, each.column))


def _problem(file: str, source: Source, found: Diagnostic) -> Problem:
    if (
        found.code == messages.INVALID_JSON
    ):  # its location is a place in the text, in the parser's words
        try:
            json_text.loads(source.text)
        except json_text.JsonError as fault:
            return Problem(
                file,
                max(fault.line, 1),
                max(fault.column, 1),
                found.severity,
                found.code,
                fault.message,
                "",
            )
    line, column = source.locate(found.location or "/")
    return Problem(
        file, line, column, found.severity, found.code, found.message, found.location or ""
    )


def definition(
    file: Path,
    given: Mapping[str, str],
    type: str,
    folder: Path | None,
    known: Callable[[str], str | None] | None = None,
    excused: Callable[[Source], Collection[str]] = lambda source: (),
) -> Source:
    """A valid definition. Otherwise its problems are on standard error, and it is refused. excused:
    locations where nothing counts.
    """
    source, found = problems(file, given, type, folder, known)
    if source is not None and found:
        allowed = excused(source)
        found = [problem for problem in found if problem.location not in allowed]
    errors = sum(problem.severity == ERROR for problem in found)
    for problem in found:
        print(problem.text(), file=sys.stderr)
    if source is None or errors:
        raise Refused(f"{file} is no valid state machine: {count(errors, 'error')}")
    return source


def unfilled(source: Source) -> set[str]:
    """Where texts still have a placeholder: what they will say nobody can know yet."""
    try:
        waiting = [("", json_text.loads(source.text))]
    except json_text.JsonError:
        return set()
    found = set()
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(json_text.member(at, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [(json_text.item(at, index), each) for index, each in enumerate(value)]
        elif isinstance(value, str) and PLACEHOLDER.search(value):
            found.add(at)
    return found


def machine_name(file: Path, type: str) -> str:
    """The name of the machine that a file defines: order.asl.json is "order", as an Express
    workflow "order-express".
    """
    stem = re.sub(r"(\.asl)?\.(json|ya?ml)$|\.asl$", "", file.name, flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "machine"
    suffix = "-express" if type == "EXPRESS" else ""
    return name[: DEFAULT_LIMITS.name_chars - len(suffix)] + suffix


def places(extras: Mapping[str, Any], text: str) -> dict[str, str]:
    """State name -> file:line, if the file that a machine came from still holds the same
    definition.

    extras  what `run` keeps with a machine: {"file": absolute path, "parameters": {name: value}}
    """
    file = extras.get("file")
    if not isinstance(file, str):
        return {}
    try:
        source = read_definition(read(Path(file), file), file, extras.get("parameters") or {})
    except (DefinitionFileError, Refused):
        return {}
    if source.text != text:
        return {}
    relative = os.path.relpath(file)
    shown = file if relative.startswith("..") else relative
    return {
        name: f"{shown}:{source.locate(location)[0]}"
        for name, location in _locations(json_text.loads(text), "")
    }


def _locations(block: Mapping[str, Any], at: str) -> list[tuple[str, str]]:
    found = []
    for name, state in block["States"].items():
        here = json_text.member(f"{at}/States", name)
        found.append((name, here))
        for index, branch in enumerate(state.get("Branches", ())):
            found += _locations(branch, json_text.item(f"{here}/Branches", index))
        for field in ("ItemProcessor", "Iterator"):
            if field in state:
                found += _locations(state[field], f"{here}/{field}")
    return found
