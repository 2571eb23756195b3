"""YAML text -> a JSON value, and the place of each of its members.

The core schema of YAML 1.2: `yes`, `on` and 2024-01-01 are strings; values without a JSON form are
rejected. The text is read event by event, so that deep nesting and aliases of aliases stay within
the limits. The tags of CloudFormation (`!GetAtt`) become its intrinsic functions.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import Placeholders
from stepwell.asl.files.templates.intrinsic_functions import function_of
from stepwell.asl.json_scanner import Lines
from stepwell.asl.limits import Limits

Place = tuple[int, int]  # line, column, both from 1

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# the core schema's plain scalars, in the order in which they are tried
_CORE: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Json]], ...]] = (
    ("null", re.compile(r"null|Null|NULL|~|"), lambda text: None),
    (
        "bool",
        re.compile(r"true|True|TRUE|false|False|FALSE"),
        lambda text: text in ("true", "True", "TRUE"),
    ),
    ("int", re.compile(r"[-+]?[0-9]+"), int),
    ("int", re.compile(r"0o[0-7]+"), lambda text: int(text, 8)),
    ("int", re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        "float",
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.lower().replace(".", "")),
    ),
)
# what the text has at an error, and what to do
_MENDS: Final = (
    ("\t", ": indent with blanks, not with tabs"),
    ("`", ": remove the fence of Markdown, or write the value in quotes"),
    ("@", ": write the value in quotes"),
    ("%", ": write the value in quotes"),
    ("{%", ": write the value in quotes"),
)
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"  # of YAML 1.1, which SAM and Serverless read


class DefinitionFileError(ValueError):
    """A file cannot be read as a definition. As text: "order.asl.yaml:3:7: message"."""

    def __init__(self, filename: str, place: Place, message: str) -> None:
        super().__init__(f"{filename}:{place[0]}:{place[1]}: {message}")
        self.filename, self.message = filename, message
        self.line, self.column = place


class _Holder:
    """An open mapping or sequence. `size`: the approximate bytes of its JSON text."""

    __slots__ = ("value", "location", "anchor", "key", "size", "merges")

    def __init__(self, value: Json, location: str, anchor: str | None) -> None:
        self.value, self.location, self.anchor = value, location, anchor
        self.key: str | None = None
        self.size = 2
        self.merges = False  # whether a key is <<


class YamlReader:
    """YAML events -> a JSON value, and the place of each of its members."""

    def __init__(self, filename: str, placeholders: Placeholders, limits: Limits) -> None:
        self.filename, self.placeholders, self.limits = filename, placeholders, limits
        self.places: dict[str, Place] = {"/": (1, 1)}
        self.blocks: dict[str, Place] = {}  # of literal texts: the line before them, their indent
        self.holders: list[_Holder] = []
        self.anchors: dict[str, tuple[Json, int]] = {}  # name -> value, size
        self.root: Json = None
        self.documents = 0
        self.starts, self.lines = [0], [""]

    def read(self, text: str) -> Json:
        self.starts = Lines(self.placeholders.source or text).starts
        self.lines = text.splitlines()
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self.take(event)
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            words = [getattr(fault, name, None) for name in ("context", "problem")]
            message = ", ".join(word for word in words if word) or str(fault).splitlines()[0]
            mend = next((words for begin, words in _MENDS if _at(text, mark).startswith(begin)), "")
            raise DefinitionFileError(
                self.filename, place, f"invalid YAML: {message}{mend}"
            ) from None
        return self.root

    def take(self, event: yaml.Event) -> None:
        holder = self.holders[-1] if self.holders else None
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.fault(event, "a definition is one document: remove the second '---'")
        elif isinstance(event, yaml.CollectionEndEvent):
            self.close()
        elif isinstance(event, yaml.NodeEvent):
            if holder is not None and holder.key is None and isinstance(holder.value, dict):
                self.name(event, holder)
            elif isinstance(event, yaml.AliasEvent):
                self.add(event, *self.alias(event))
            elif isinstance(event, yaml.ScalarEvent):
                value = self.scalar(event, holder.key if holder else None)
                location = self.add(event, value, len(event.value) + 3)
                if event.style == "|":
                    self.blocks[location] = _place(event)[0], self.indent(event)
                if event.anchor:
                    self.anchors[event.anchor] = value, len(event.value) + 3
            elif isinstance(event, yaml.CollectionStartEvent):
                self.open(event)

    def name(self, event: yaml.NodeEvent, holder: _Holder) -> None:
        """Take a key: any scalar, as written."""
        if not isinstance(event, yaml.ScalarEvent):
            raise self.fault(event, "a key must be a string")
        filled = self.placeholders.fill(event.value, self.offset(event))
        key = filled if isinstance(filled, str) else json_text.dumps(filled)
        location, place = json_text.member(holder.location, key), _place(event)
        if key in holder.value:
            line, column = self.places[location]
            raise DefinitionFileError(
                self.filename, place, f"duplicate key '{key}', also at {line}:{column}"
            )
        self.places[location] = place
        holder.key, holder.size = key, holder.size + len(key) + 3
        holder.merges |= event.value == _MERGE and event.implicit[0]
        holder.value[key] = None

    def add(self, event: yaml.NodeEvent, value: Json, size: int) -> str:
        """Add a value to the open mapping or sequence. Returns its location."""
        if not self.holders:
            self.root = value
            return "/"
        holder = self.holders[-1]
        holder.size += size + 1
        if sum(each.size for each in self.holders) > self.limits.definition_bytes:
            raise self.fault(
                event,
                f"the definition is larger than {self.limits.definition_bytes} bytes, with the "
                "values of its aliases",
            )
        if holder.key is not None:
            location = json_text.member(holder.location, holder.key)
            holder.value[holder.key], holder.key = value, None
            return location
        location = json_text.item(holder.location, len(holder.value))
        self.places[location] = _place(event)
        holder.value.append(value)
        return location

    def open(self, event: yaml.CollectionStartEvent) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        function = function_of(event.tag)
        if not function and event.tag not in (None, "!", _TAG + ("map" if mapping else "seq")):
            raise self.fault(event, f"the tag {_short(event.tag)} has no meaning in a definition")
        if len(self.holders) >= self.limits.definition_depth:
            raise self.fault(event, f"nested deeper than {self.limits.definition_depth} levels")
        value: Json = {} if mapping else []
        wrapped = {function: value} if function else value
        location = self.add(event, wrapped, 0)
        self.holders.append(_Holder(value, location, event.anchor))

    def close(self) -> None:
        holder = self.holders.pop()
        if holder.merges:
            self.merge(holder)
        if self.holders:
            self.holders[-1].size += holder.size
        if holder.anchor:
            self.anchors[holder.anchor] = holder.value, holder.size

    def merge(self, holder: _Holder) -> None:
        """Add the members of the mappings that << names; own members and earlier mappings win."""
        named = holder.value.pop(_MERGE)
        for each in named if isinstance(named, list) else [named]:
            if not isinstance(each, dict):
                place = self.places[json_text.member(holder.location, _MERGE)]
                message = "<< merges a mapping or a sequence of mappings: name one, as in <<: *name"
                raise DefinitionFileError(self.filename, place, message)
            for key, value in each.items():
                holder.value.setdefault(key, value)

    def alias(self, event: yaml.AliasEvent) -> tuple[Json, int]:
        if event.anchor not in self.anchors:
            raise self.fault(
                event, f"the alias *{event.anchor} must follow the end of the value that it names"
            )
        return self.anchors[event.anchor]

    def scalar(self, event: yaml.ScalarEvent, field: str | None) -> Json:
        tag = event.tag
        if function := function_of(tag):
            return {function: self.placeholders.fill(event.value, self.offset(event))}
        if tag not in (None, "!") and not (
            tag.startswith(_TAG) and tag[len(_TAG) :] in ("str", "null", "bool", "int", "float")
        ):
            raise self.fault(event, f"the tag {_short(tag)} has no meaning in a definition")
        text = self.placeholders.fill(event.value, self.offset(event), field)
        kind = tag[len(_TAG) :] if tag not in (None, "!") else None
        plain = kind is None and event.implicit[0]
        if text != event.value:  # with placeholders
            return text
        if kind == "str" or not (plain or kind):
            return text
        for name, pattern, convert in _CORE:
            if kind in (None, name) and pattern.fullmatch(text):
                return self.number(event, convert, text)
        if kind is not None:
            raise self.fault(event, f"'{text}' is not of type {kind}")
        return text

    def number(self, event: yaml.ScalarEvent, convert: Callable[[str], Json], text: str) -> Json:
        if len(text) > self.limits.json_number_chars:
            raise self.fault(
                event, f"a number of more than {self.limits.json_number_chars} characters"
            )
        value = convert(text)
        if isinstance(value, float) and value - value != 0:  # infinite, or not a number
            raise self.fault(event, f"{text} has no JSON form")
        return value

    def indent(self, event: yaml.Event) -> int:
        """Of the text of a block, by its first line that is not blank."""
        lines = self.lines[_place(event)[0] :]
        first = next((line for line in lines if line.strip()), "")
        return len(first) - len(first.lstrip(" "))

    def offset(self, event: yaml.Event) -> int:
        """In the file, whose lines may have more quotes here."""
        line, column = _place(event)
        return self.starts[min(line, len(self.starts)) - 1] + column - 1

    def fault(self, event: yaml.Event, message: str) -> DefinitionFileError:
        return DefinitionFileError(self.filename, _place(event), message)


def _place(event: yaml.Event) -> Place:
    mark: Any = event.start_mark
    return mark.line + 1, mark.column + 1


def _at(text: str, mark: Any) -> str:
    """The text at a place of an error."""
    return text[mark.index : mark.index + 4] if mark else ""


def _short(tag: str) -> str:
    return "!!" + tag[len(_TAG) :] if tag.startswith(_TAG) else tag
