"""A definition file with all its problems: AWS's, those of its text, and one note that names the
placeholders without a value.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text, messages
from stepwell.asl import limits as asl_limits
from stepwell.asl.checks import ERROR, Diagnostic
from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    Source,
    missing_values,
    read_definition,
    sampled,
)
from stepwell.asl.files.placeholders import PLACEHOLDER
from stepwell.asl.resources import local_resource
from stepwell.asl.validate import validate
from stepwell.integrations.definitions.folders import beside, opened
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.visualize.words.texts import printable

NOTE: Final = "NOTE"
INVALID_FILE: Final = "INVALID_FILE"
UNFILLED: Final = "UNFILLED"
UNMATCHED: Final = "UNMATCHED"
BYTE_ORDER_MARK: Final = "BYTE_ORDER_MARK"
FILE_NOTES: Final = (UNFILLED, UNMATCHED, BYTE_ORDER_MARK)
BOM: Final = "the file begins with a byte order mark, which AWS refuses: save it as UTF-8 without"
CALLS: Final = (
    "; functions such as !GetAtt and Fn::Sub have values in a template only: in a definition file, "
    "write ${Name} and give the value with DefinitionSubstitutions"
)


TEXT: Final = (
    ": the value of a --param in quotes is text; write ${{{name}}} without quotes, or give a value "
    "of this type with --params FILE"
)
_NO_FIELDS: Final = messages.REQUIRED_FIELDS.format(fields="States, StartAt")
_UNCLOSED: Final = " (a placeholder is not closed: add } after its name)"
_TYPE: Final = messages.EXPECTED_TYPE.partition("{")[0]


class Problem(NamedTuple):
    """One diagnostic of a definition file. severity: ERROR, WARNING or NOTE."""

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
    """The default folder of a definition's functions: functions/ beside it, if there is one."""
    folder = file.parent / "functions"
    return folder if folder.is_dir() else None


def known_resource(functions: Path | None) -> Callable[[str], str | None]:
    """For the validator: whether a Resource other than AWS's is a function.

    functions  their folder, or a template
    """

    def known(resource: str) -> str | None:
        from stepwell.integrations.definitions.template_functions import sources
        from stepwell.integrations.tasks.registry import Registry

        if functions is not None and functions.is_file():
            registry = Registry(sources=sources(functions, {}))
        else:
            registry = Registry(functions_folder=functions)
        return resource if registry.known(local_resource(resource)) else None

    return known


def problems(
    data: bytes | str,
    file: str,
    parameters: Mapping[str, Any],
    type: str,
    known: Callable[[str], str | None],
    limits: Limits = DEFAULT_LIMITS,
    runs: bool = False,
) -> tuple[Source | None, list[Problem]]:
    """The definition in the content of a file and its problems, in the order of the file; None
    instead of the definition if the file cannot be parsed.

    known  what runs a Resource that is not AWS's, or None
    runs   a placeholder without a value is an error, and not only named in a note
    """
    try:
        source = read(data, file, parameters, limits)
    except DefinitionFileError as fault:
        return None, [unreadable(fault)]
    source = sampled(source, type, limits, known, runs)
    checked = validate(source.text, type, limits, known)
    found = [placed(source, each) for each in checked.diagnostics]
    if parameters and any(each.severity == ERROR for each in found):
        found = _with_hints(found, read(data, file, {}, limits))
    only = condensed(found, source)
    if only is not found:
        return source, only
    found += _needed(source) if runs else []
    found += file_notes(data, source, runs)
    return source, sorted(found, key=lambda each: (each.line, each.column))


def file_notes(data: bytes | str, source: Source, runs: bool = False) -> list[Problem]:
    """What is not about the definition but about its file and its placeholders, after sampled()."""
    notes = [Problem(each, *at, NOTE, UNMATCHED, words, "") for each, at, words in source.unmatched]
    unfilled = [] if runs else _note(source)
    return [*unfilled, *notes, *_marked(data, source), *_instructed(source, runs)]


def read(
    data: bytes | str, file: str, parameters: Mapping[str, Any], limits: asl_limits.Limits
) -> Source:
    """The definition in the content of a file, or in the file that this template names. Raises
    DefinitionFileError.
    """
    return read_definition(
        data, file, parameters, limits, unfilled=True, open_file=opened, beside=beside
    )


def unreadable(fault: DefinitionFileError) -> Problem:
    """The problem of a file that is no definition."""
    place = fault.line, fault.column
    return Problem(fault.filename, *place, ERROR, INVALID_FILE, fault.message, "")


def condensed(found: list[Problem], source: Source) -> list[Problem]:
    """One error instead of one for each field, if the file has something else than a definition."""
    missing = next((each for each in found if each.message == _NO_FIELDS), None)
    if missing is None or missing.location != "/":
        return found
    value = json_text.loads(source.text)
    return [missing._replace(message=f"{missing.message}: {_instead(value)}")]


def _instead(value: dict[str, Any]) -> str:
    """What the file has instead of a definition."""
    if isinstance(value.get("Type"), str):
        return (
            "this is one state; a definition has it in States, as in "
            '{"StartAt": "NAME", "States": {"NAME": {...}}}'
        )
    if "MockedResponses" in value:
        return (
            "this is a mock file: `stepwell test` runs its test cases, --mocks of `run` one of them"
        )
    inner = [each for each in value.values() if isinstance(each, dict)]
    if inner and all("Type" in each for each in inner):
        return 'these are states; write {"StartAt": "NAME", "States": {...}} around them'
    if place := _place_within(value):
        return f"the definition is inside of {place}: save it in a file of its own"
    return "this is not the definition of a state machine"


def _place_within(value: Any, place: str = "") -> str | None:
    """Where a value has a definition, as an object or as text: resources.flow.definition"""
    if isinstance(value, str):
        return place if '"StartAt"' in value else None
    if not isinstance(value, dict | list):
        return None
    if place and "StartAt" in value:
        return place
    members = value.items() if isinstance(value, dict) else enumerate(value)
    inner = (_place_within(each, f"{place}.{key}".lstrip(".")) for key, each in members)
    return next(filter(None, inner), None)


def _with_hints(found: list[Problem], blank: Source) -> list[Problem]:
    """Say why a parameter is not a number: within quotes it is text.

    blank  the source without parameters
    """
    names = {each.location: each.name for each in blank.unfilled if each.whole}
    return [
        each._replace(message=each.message + TEXT.format(name=names[each.location]))
        if each.message.startswith(_TYPE) and each.location in names
        else each
        for each in found
    ]


def says_what_to_do(problem: Problem) -> bool:
    """Whether the message names the mend already."""
    return TEXT.partition("{")[0] in problem.message


def placed(source: Source, diagnostic: Diagnostic) -> Problem:
    """A diagnostic with its file, line and column."""
    file = source.filename
    severity, code, location = diagnostic.severity, diagnostic.code, diagnostic.location or ""
    if code == messages.INVALID_JSON:  # its location is the parser's text, not a JSON pointer
        try:
            json_text.loads(source.text)
        except json_text.JsonError as fault:
            (line, column), mend = source.broken or ((1, 1), "")
            message = f"{fault.message}: {mend}" if mend else fault.message
            return Problem(file, line, column, severity, code, message, "")
    line, column = source.locate(location or "/")
    message = diagnostic.message
    if "${" in message and not PLACEHOLDER.search(message):
        message += _UNCLOSED
    return Problem(file, line, column, severity, code, message, location)


def _note(source: Source) -> list[Problem]:
    if not source.unfilled:
        return []
    names = ", ".join(dict.fromkeys(each.shown for each in source.unfilled))
    message = (
        f"no value yet for {names}: a run needs --param NAME=VALUE or --params FILE"
        + CALLS * (source.calls and not source.embedded)
    )
    first = source.unfilled[0]
    return [Problem(source.filename, *first.place, NOTE, UNFILLED, message, "")]


def _marked(data: bytes | str, source: Source) -> list[Problem]:
    if isinstance(data, str) or not data.startswith(codecs.BOM_UTF8):
        return []
    return [Problem(source.filename, 1, 1, NOTE, BYTE_ORDER_MARK, BOM, "")]


def _instructed(source: Source, runs: bool) -> list[Problem]:
    """A run needs the text that the template gives."""
    if not source.instructions:
        return []
    place, written = source.instructions[0]
    others = len(source.instructions) - 1
    more = f" and {others} more" * bool(others)
    first = " ".join(written.split())
    severity, message = (
        (ERROR, f"{first}{more} is an instruction of a template: fill in the template first")
        if runs
        else (NOTE, f"one branch of {first}{more} is read, an instruction of a template")
    )
    return [Problem(source.filename, *place, severity, UNFILLED, message, "")]


def _needed(source: Source) -> list[Problem]:
    """An error for each name without a value, with all its places."""
    found = []
    needed = [each for each in source.unfilled if each.needed]
    for name in dict.fromkeys(each.name for each in needed):
        first, *others = (each for each in needed if each.name == name)
        places = ", ".join(f"{line}:{column}" for line, column in (each.place for each in others))
        message = (
            missing_values([name])
            + ", or --params FILE"
            + (f" (also at {places})" if places else "")
            + CALLS * (source.calls and not source.embedded)
        )
        found.append(Problem(source.filename, *first.place, ERROR, UNFILLED, message, ""))
    return found
