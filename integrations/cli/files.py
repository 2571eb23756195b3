"""The files and options of the command: definitions with all their problems, inputs, parameters and
limits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text, messages
from stepwell.asl.blocks import located_states
from stepwell.asl.checks import ERROR
from stepwell.asl.explain.definitions import mend
from stepwell.asl.files.definition_files import DefinitionFileError, Source
from stepwell.engine import limits as engine
from stepwell.engine.arns import Home
from stepwell.integrations.cli.output.text import count, printable
from stepwell.integrations.cli.parsing.inputs import read
from stepwell.integrations.definitions import folders
from stepwell.integrations.definitions import parameters as placeholder_values
from stepwell.integrations.definitions import problems as definition_problems
from stepwell.integrations.definitions.folders import definitions, file_of, machines
from stepwell.integrations.definitions.problems import (
    INVALID_FILE,
    Problem,
    condensed,
    functions_beside,
    known_resource,
    placed,
    unreadable,
)
from stepwell.integrations.definitions.problems import read as source
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "HISTORY_BYTES", "INVALID_FILE", "UNREADABLE", "Problem", "condensed", "definition",
    "definitions", "functions_beside", "known_resource", "machine_name", "machines", "parameters",
    "placed", "places", "problems", "read_definition_file", "source", "type_of", "unreadable",
    "with_pseudo_parameters",
]  # fmt: skip

UNREADABLE: Final = (INVALID_FILE, messages.INVALID_JSON)
HISTORY_BYTES: Final = 1 << 30  # 25,000 events with their payloads


def parameters(
    options: Sequence[str], file: Path | None = None, limits: Limits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """The values of placeholders: of --params FILE, and of --param KEY=VALUE, which win. Raises
    UsageError.
    """
    if file is None:
        return placeholder_values.from_options(options)
    data = read(file, str(file), limits.definition_bytes)
    return {
        **placeholder_values.from_file(str(file), data, limits),
        **placeholder_values.from_options(options),
    }


def with_pseudo_parameters(file: Path, parameters: Mapping[str, Any], home: Home) -> dict[str, Any]:
    """The parameters, and those of ${AWS::Region} and the like if a file may use them."""
    data = read_definition_file(file)
    own = b"AWS::" in data or b"aws_" in data  # also names of Terraform, made of them
    return {**(placeholder_values.pseudo_parameters(home) if own else {}), **parameters}


def read_definition_file(file: Path, limits: engine.Limits = DEFAULT_LIMITS) -> bytes:
    """Also of a definition that is too large to be valid. template.yaml#Orders is one of the state
    machines of template.yaml. Raises UsageError.
    """
    file = file_of(file)
    return read(file, str(file), 4 * limits.definition_bytes)


# --- definitions ----------------------------------------------------------------------------------


def problems(
    file: Path,
    parameters: Mapping[str, Any],
    type: str,
    folder: Path | None,
    known: Callable[[str], str | None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    runs: bool = False,
) -> tuple[Source | None, list[Problem]]:
    """The definition in a file and its problems, in the order of the file; None instead of the
    definition if the file cannot be parsed.

    known  which Resources that are not AWS's can run; None: those in the folder
    runs   placeholders without a value are errors; otherwise one note names them, and the source
           has values in their place that are valid there
    Raises UsageError if the file cannot be read.
    """
    data, known = read_definition_file(file, limits), known or known_resource(folder)
    return definition_problems.problems(data, str(file), parameters, type, known, limits, runs)


def definition(
    file: Path,
    parameters: Mapping[str, Any],
    type: str,
    folder: Path | None,
    known: Callable[[str], str | None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    runs: bool = True,
) -> Source:
    """A valid definition. Prints its problems on standard error, with the mends that are known;
    raises UsageError if one of them is an error. The parameters are those of problems().
    """
    checked, found = problems(file, parameters, type, folder, known, limits, runs)
    errors = sum(problem.severity == ERROR for problem in found)
    machine = None if checked is None or checked.broken else json_text.loads(checked.text)
    for problem in found:
        print(problem.text(), file=sys.stderr)
        if definition_problems.says_what_to_do(problem):
            continue
        if text := mend(problem.message, problem.location, machine):
            place = f"{problem.file}:{problem.line}:{problem.column}"
            print(printable(f"{place}: mend: {text}"), file=sys.stderr)
    if checked is None or errors:
        raise UsageError(f"{file} is not a valid state machine: {count(errors, 'error')}")
    return checked


def type_of(
    file: Path,
    type: str | None,
    parameters: Mapping[str, Any],
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Of a workflow: as it is given, or that of the template."""
    found = None if type else folders.in_template(file, limits, parameters)
    return str(type or (found and found.type) or "STANDARD")


def machine_name(
    file: Path, type: str, parameters: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS
) -> str:
    """The name of the machine that a file defines: order.asl.json is "order", as an Express
    workflow "order-express". A template names its machine, or the resource does.
    """
    name = folders.machine_name(file, limits, parameters)
    found = folders.in_template(file, limits, parameters)
    suffix = "-express" if type == "EXPRESS" and (found is None or found.type != type) else ""
    return name[: limits.name_chars - len(suffix)] + suffix


def places(
    extras: Mapping[str, Any], text: str, limits: engine.Limits = DEFAULT_LIMITS
) -> dict[str, str]:
    """State name -> file:line; empty if the file that a machine came from has changed since.

    extras  what `run` stores with a machine: {"file": absolute path, "parameters": {name: value}}
    """
    file = extras.get("file")
    if not isinstance(file, str):
        return {}
    try:
        data = read_definition_file(Path(file), limits)
        found = source(data, file, extras.get("parameters") or {}, limits)
    except (DefinitionFileError, UsageError):
        return {}
    if found.text != text:
        return {}
    relative = os.path.relpath(found.filename)
    shown = found.filename if relative.startswith("..") else relative
    return {
        name: f"{shown}:{found.locate(location)[0]}"
        for name, _, location in located_states(json_text.loads(text))
    }
