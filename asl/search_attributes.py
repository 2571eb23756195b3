"""The search attributes of a state machine: values of inputs and outputs by which its executions
are found. Pure.

    stepwell:searchAttributes customer orderId=order.id total=output.total sku=lines.0.sku

is written in the Comment of the state machine, up to a semicolon, the end of the line or another
`stepwell:`; or what follows the marker is the value of its tag of that name. A name alone is the
member of the input that has this name; a path starts in the input, or in the output after
`output.`. A value is a string, a number, a boolean or null, or a list of these, each of which
counts. An execution without the value has no such attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json

MARKER: Final = "stepwell:searchAttributes"
ERROR: Final = "error"
"""The attribute that every failed execution has, without being named."""
FIELDS: Final = frozenset({ERROR, "machine", "status", "started", "stopped"})
"""Names that searches use for what each execution has."""
ATTRIBUTES: Final = 16  # of one state machine; further ones are ignored
VALUES: Final = 16  # of one attribute of an execution; further ones are not found

_TEXT: Final = re.compile(rf"{re.escape(MARKER)}[:=]?[ \t]+((?:(?!stepwell:)[^\r\n;])+)")
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
_ATTRIBUTE: Final = re.compile(rf"({_NAME})(?:=(?:\$\.)?([^=\s]+))?")
_OUTPUT, _INPUT = "output.", "input."


class Attribute(NamedTuple):
    """output: its value is in the output, else in the input. path: the members and indices."""

    name: str
    output: bool
    path: tuple[str, ...]


def is_name(text: str) -> bool:
    return re.fullmatch(_NAME, text) is not None


@lru_cache(maxsize=1_024)
def read(text: str) -> tuple[Attribute, ...]:
    """The attributes that a text names, each name once. What is not an attribute is left out:
    faults() tells.
    """
    found: dict[str, Attribute] = {}
    for word in _words(text):
        matched = _ATTRIBUTE.fullmatch(word)
        if matched and matched[1] not in FIELDS and len(found) < ATTRIBUTES:
            found.setdefault(matched[1], _attribute(matched[1], matched[2] or matched[1]))
    return tuple(found.values())


def in_comment(comment: Json) -> str:
    """The text that follows the marker in the Comment of a state machine; empty without it."""
    found = _TEXT.search(comment) if isinstance(comment, str) else None
    return "" if found is None else found[1]


def of_comment(comment: Json) -> tuple[Attribute, ...]:
    """Those that the Comment of a state machine names."""
    return read(in_comment(comment))


def faults(text: str) -> list[str]:
    """What is wrong with a text, for users: one line for each word that is not used."""
    lines, known = [], set[str]()
    for word in _words(text):
        matched = _ATTRIBUTE.fullmatch(word)
        if matched is None:
            lines.append(f"{word!r}: not NAME, NAME=path.in.the.input or NAME=output.path")
        elif matched[1] in FIELDS:
            lines.append(f"{word!r}: searches use {matched[1]!r} for what each execution has")
        elif matched[1] in known:
            lines.append(f"{word!r}: {matched[1]!r} is named before")
        elif len(known) == ATTRIBUTES:
            lines.append(f"{word!r}: more than {ATTRIBUTES} attributes")
        else:
            known.add(matched[1])
    return lines


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _attribute(name: str, path: str) -> Attribute:
    output = path.startswith(_OUTPUT)
    plain = path.removeprefix(_OUTPUT if output else _INPUT)
    return Attribute(name, output, tuple(filter(None, re.split(r"[.\[\]]+", plain))))


def values(attribute: Attribute, data: Json) -> Iterator[str | int | float | bool | None]:
    """Of an input or output: one, those of a list, or none."""
    for step in attribute.path:
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return
    for each in data[:VALUES] if isinstance(data, list) else [data]:
        if not isinstance(each, dict | list):
            yield each
