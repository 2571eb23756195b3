"""HCL, the language of Terraform's files: a body of blocks and attributes, whose values are read as
far as they are written out. Expressions are placeholders: `var.queue` is like `${var.queue}`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import PLACEHOLDER, Placeholders
from stepwell.asl.files.yaml_values import DefinitionFileError, Place
from stepwell.asl.json_scanner import Lines

_SPACE: Final = re.compile(r"(?:\s|#[^\n]*|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BLANKS: Final = re.compile(r"(?:[ \t]|/\*.*?\*/)*", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\(")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
_WORDS: Final = {"true": True, "false": False, "null": None}
_HEREDOC: Final = re.compile(r"<<(-?)(\w+)[^\n]*\n")
# what makes an expression of the value before it
_AFTER: Final = re.compile(r"\s*(?:[?%*/+<>]|[-!=&|]{2}|[.\[])")
_TOKEN: Final = re.compile(r'"|<<-?\w+|[(\[{]|[)\]}]|[,\n]|#|//|.', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_DEPTH: Final = 100  # of values in values


@dataclass(slots=True)
class Call:
    """A function whose arguments matter: jsonencode, templatefile, file."""

    name: str
    arguments: list["Value"]
    places: list[dict[str, Place]] = field(default_factory=list)


@dataclass(slots=True)
class Text:
    """A heredoc: its place in the file."""

    start: int
    end: int


Value = Json | Call | Text


@dataclass(slots=True)
class Body:
    """attributes: name -> (its offset, value, places of the members of the value)"""

    attributes: dict[str, tuple[int, Value, dict[str, Place]]] = field(default_factory=dict)
    blocks: list[tuple[str, tuple[str, ...], "Body"]] = field(default_factory=list)


class HclReader:
    def __init__(self, filename: str, text: str, placeholders: Placeholders) -> None:
        self.filename, self.text, self.placeholders = filename, text, placeholders
        self.at, self.lines, self.depth = 0, Lines(text), 0
        self.places: dict[str, Place] = {}

    def read(self) -> Body:
        body = self._body("")
        if self.at < len(self.text):
            raise self._fault("a name of an attribute or block is expected")
        return body

    def _fault(self, message: str) -> DefinitionFileError:
        place = self.lines.at(min(self.at, len(self.text)))
        return DefinitionFileError(self.filename, place, f"invalid Terraform: {message}")

    def _skip(self, space: re.Pattern[str] = _SPACE) -> str:
        """Skip blanks and comments. Returns the next character, "" at the end."""
        match = space.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def _body(self, closer: str) -> Body:
        body = Body()
        while (char := self._skip()) and char != closer:
            name = self._match(_NAME, "a name of an attribute or block is expected")
            start = self.at - len(name[0])
            if self._skip() == "=":
                self.at += 1
                self.places = {}
                body.attributes[name[0]] = start, self._value("/"), self.places
                continue
            labels = []
            while (char := self._skip()) and char != "{":
                if char == '"':
                    labels.append(str(self._string()))
                else:
                    labels.append(self._match(_NAME, "{ is expected")[0])
            self.at += 1
            body.blocks.append((name[0], tuple(labels), self._body("}")))
            if self._skip() != "}":
                raise self._fault(f"the block {name[0]} is not closed")
            self.at += 1
        return body

    def _match(self, pattern: re.Pattern[str], message: str) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self._fault(message)
        self.at = match.end()
        return match

    def _value(self, location: str) -> Value:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self._fault(f"more than {_DEPTH} values inside of each other")
        try:
            return self._read(location)
        finally:
            self.depth -= 1

    def _read(self, location: str) -> Value:
        char, start = self._skip(), self.at
        found = len(self.placeholders.found)
        value: Value
        if heredoc := _HEREDOC.match(self.text, start):
            return self._heredoc(heredoc)
        if (call := _CALL.match(self.text, start)) and call[1] in (
            "jsonencode",
            "jsondecode",
            "yamldecode",
            "templatefile",
            "file",
        ):
            self.at = call.end()
            value = Call(call[1], list(self._items(")", location)))
        elif char == "{" and not re.match(r"\{\s*for\b", self.text[start : start + 99]):
            self.at += 1
            value = self._object(location)
        elif char == "[" and not re.match(r"\[\s*for\b", self.text[start : start + 99]):
            self.at += 1
            value = list(self._items("]", location))
        elif char == '"':
            value = self._string()
        elif number := _NUMBER.match(self.text, start):
            self.at, value = number.end(), json_text.loads(number[0])
        elif (word := _NAME.match(self.text, start)) and word[0] in _WORDS:
            self.at, value = word.end(), _WORDS[word[0]]
        else:
            return self._expression(start)
        if _AFTER.match(self.text, self.at) and not self._ends():
            del self.placeholders.found[found:]
            return self._expression(start)
        return value

    def _ends(self) -> bool:
        """Whether a line break or comment ends the value here."""
        char = self._skip(_BLANKS)
        return char in ("\n", "#", "") or self.text.startswith("//", self.at)

    def _expression(self, start: int) -> Json:
        """Anything else, up to the end of the value."""
        self.at, open_brackets = start, 0
        while token := _TOKEN.match(self.text, self.at):
            text = token[0]
            if text == '"':
                self._string(marks=False)
                continue
            if heredoc := _HEREDOC.match(self.text, self.at):
                self._heredoc(heredoc)
                continue
            if text in ("#", "//") or (not open_brackets and text in ("\n", ",", ")", "]", "}")):
                break
            open_brackets += (text in "([{") - (text in ")]}")
            self.at = token.end()
        name = " ".join(self.text[start : self.at].split())
        if not name:
            raise self._fault("a value is expected")
        return self.placeholders.named(name)

    def _items(self, closer: str, location: str) -> list[Value]:
        items: list[Value] = []
        while (char := self._skip()) != closer:
            if not char:
                raise self._fault(f"{closer} is expected")
            here = location if closer == ")" else json_text.item(location, len(items))
            if closer == "]":
                self.places[here] = self.lines.at(self.at)
            items.append(self._value(here))
            if self._skip() == ",":
                self.at += 1
        self.at += 1
        return items

    def _object(self, location: str) -> Json:
        members: dict[str, Json] = {}
        while (char := self._skip()) != "}":
            place = self.lines.at(self.at)
            if char == '"':
                key = str(self._string())
            elif char == "(":
                self.at += 1
                key = str(self._expression(self.at))
                self.at += 1
            else:
                key = self._match(_NAME, "the name of a member, or } is expected")[0]
            if self._skip() not in ("=", ":"):
                raise self._fault("= is expected")
            self.at += 1
            here = json_text.member(location, key)
            self.places[here] = place
            self._skip()
            start, value = self.at, self._value(here)
            members[key] = self._json(value, start)
            if self._skip() == ",":
                self.at += 1
        self.at += 1
        return members

    def _json(self, value: Value, start: int) -> Json:
        """Within a value: a heredoc is its text, a call an expression, which starts there."""
        if isinstance(value, Text):
            return self.placeholders.fill(self.text[value.start : value.end], value.start)
        if isinstance(value, Call):
            if value.name in ("jsonencode", "jsondecode"):
                return self.placeholders.named(" ".join(self.text[start : self.at].split()))
            return self.placeholders.named(f"{value.name}(...)")
        return value

    def _heredoc(self, match: re.Match[str]) -> Text:
        end = re.compile(rf"^[ \t]*{match[2]}[ \t]*$", re.MULTILINE).search(self.text, match.end())
        if end is None:
            raise self._fault(f"the text is not closed: a line {match[2]} is missing")
        self.at = end.end()
        return Text(match.end(), end.start())

    def _string(self, marks: bool = True) -> Json:
        start = at = self.at + 1
        parts: list[str] = []
        while (char := self.text[at : at + 1]) != '"':
            if char in ("", "\n"):
                self.at = start - 1
                raise self._fault("the string is not closed")
            match = PLACEHOLDER.match(self.text, at) if char in "$#" else None
            if match and marks:
                whole = at == start and self.text[match.end() : match.end() + 1] == '"'
                name = self.placeholders.name(match)
                if whole and name in self.placeholders.values:
                    self.at = match.end() + 1
                    return self.placeholders.values[name]
                parts.append(self.placeholders.text_of(match, 0))
            elif escape := _ESCAPE.match(self.text, at):
                parts.append(_unescaped(escape))
                at = escape.end()
                continue
            else:
                parts.append(match[0] if match else char)
            at = match.end() if match else at + 1
        self.at = at + 1
        return "".join(parts)


def _unescaped(match: re.Match[str]) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r"}
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else plain.get(code, code)
