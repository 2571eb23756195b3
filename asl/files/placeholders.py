"""${Placeholders} in the text of a definition file: found, replaced by values, or kept as marks.

Names are those of AWS SAM and CDK (`${Queue}`, `${AWS::Region}`), the expressions of Terraform's
templatefile (`${aws_sqs_queue.q["a"].arn}`) and of Serverless (`${self:custom.${opt:stage}}`).
`${!Name}` (CloudFormation) and `$${Name}` (Terraform) are escapes of the text `${Name}`.

A placeholder without a value becomes a mark in the text: a number between two private characters.
So the text is JSON although the value is unknown; holes.py finds values that fit.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files import other_placeholders
from stepwell.asl.json_scanner import Lines

OPEN, CLOSE = "\ue000", "\ue001"  # around the number of a mark
MARK: Final = re.compile(f"{OPEN}(\\d+){CLOSE}")
NAME: Final = re.compile(r"[A-Za-z0-9_.:-]+")


def _pattern(blank: str) -> re.Pattern[str]:
    """A placeholder with pairs of braces up to three deep, and quotes only where an expression has
    them. Its quantifiers are possessive: it does not backtrack.
    """
    plain = rf"""[^{{}}"{blank}\\]|\\.|(?<=[\[(,=?:! ])"(?:[^"\\\n]|\\.)*+\""""
    body = rf"(?:{plain})++"
    for _ in range(3):
        body = rf"(?:{plain}|\{{{body}\}})++"
    return re.compile(rf"(\$?)(?:\$\{{(!?)({body})\}}|#\{{()(AWS::\w+)\}})", re.DOTALL)


PLACEHOLDER: Final = _pattern(r"\n")
_BARE: Final = _pattern("")
_STRING_TOKEN: Final = re.compile(r'\\.|"|[$#]', re.DOTALL)
_MEMBER: Final = re.compile(r'"(\w+)"\s*:\s*\Z')
_START: Final = re.compile(r"\\.|[$#]", re.DOTALL)
_STARTS: Final = re.compile(r"\\.|[$#{<@_%(\[]", re.DOTALL)
_OUTER_TOKEN: Final = re.compile(r'//[^\n]*|/\*.*?\*/|"|[$#{}\[\],:]|[^\s$#{}\[\],:"/]+', re.DOTALL)
_COLON: Final = re.compile(r"\s*:")


class Known(NamedTuple):
    """What a template says of a name. fixed: False if a deployment may say something else."""

    value: Json
    fixed: bool = True


class Found(NamedTuple):
    """A placeholder without a value. offset: in the file, -1 if it is written in another way;
    bare: outside of strings; other: of another tool, and perhaps plain text; known: its value by
    the template, if that is not the one of its name.
    """

    name: str
    written: str
    offset: int
    bare: bool = False
    other: bool = False
    known: Known | None = None


class Placeholders:
    """Replaces placeholders by values; those without a value become marks.

    values   of any JSON type: the text of a string stays text within a string
    escapes  replace ${!Name} and $${Name}, too; otherwise they are marked like placeholders
    others   also those of other tools
    find     what the template says of a name without a value
    """

    def __init__(
        self,
        values: Mapping[str, Json],
        source: str = "",
        escapes: bool = True,
        others: bool = False,
    ) -> None:
        self.values, self.source, self.escapes, self.others = values, source, escapes, others
        self.found: list[Found] = []
        # marks in a text of Fn::Sub -> whether that has a value of its own for the name
        self.substituted: dict[int, bool] = {}
        # by id: objects and lists of an Fn::If that may have another branch, the names that decide
        self.undecided: dict[int, tuple[Json, list[str]]] = {}
        self.find: Callable[[str], Known | None] = lambda name: None

    def mark(
        self,
        name: str,
        written: str,
        offset: int,
        bare: bool = False,
        other: bool = False,
        known: Known | None = None,
    ) -> str:
        """A mark for a placeholder at an offset in the source, or after it; -1: elsewhere."""
        at = self.source.find(written, offset) if offset >= 0 else -1
        self.found.append(Found(name, written, at, bare, other, known))
        return f"{OPEN}{len(self.found) - 1}{CLOSE}"

    def locate(self, first: int, offset: int) -> None:
        """Find the placeholders from the number `first` on in the source after an offset."""
        self.found[first:] = [
            each._replace(offset=self.source.find(each.written, offset))
            for each in self.found[first:]
        ]

    def fill(self, text: str, offset: int = 0, field: str | None = None) -> Json:
        """The value of a YAML scalar or of a string of a template: not a string if the text is one
        placeholder whose value is of another type. field: the name of the member.
        """
        if "{" not in text and not self.others:
            return text
        parts, end = [], 0
        for match in self.within(text, 0, len(text), field):
            name = self.name(match)
            if match[0] == text and not self.is_escape(match) and name in self.values:
                return self.values[name]
            parts += [text[end : match.start()], self.text_of(match, offset)]
            end = match.end()
        return "".join(parts) + text[end:]

    def within(self, text: str, start: int, end: int, field: str | None) -> Iterator[re.Match[str]]:
        """The placeholders in a string between two offsets. field: the name of the member."""
        others = None
        if self.others:
            if field == "Resource" and (
                match := other_placeholders.WORD.fullmatch(text, start, end)
            ):
                yield match
                return
            others = other_placeholders.pattern(text[start : start + 8])
        at = start
        while token := (_STARTS if others else _START).search(text, at, end):
            match = PLACEHOLDER.match(text, token.start(), end)
            if match is None and others:
                match = others.match(text, token.start(), end)
            if match:
                yield match
            at = match.end() if match else token.end()

    def name(self, match: re.Match[str]) -> str:
        if match.re not in (PLACEHOLDER, _BARE):
            return other_placeholders.name(match)
        text = match[3] if match[3] is not None else match[5]
        return text.replace('\\"', '"').strip()

    def is_escape(self, match: re.Match[str]) -> bool:
        """$${Name}, ${!Name}"""
        return match.re in (PLACEHOLDER, _BARE) and bool(match[1] or match[2])

    def named(self, name: str) -> Json:
        """The value of a name that is written in another way: {"Ref": "Name"}."""
        return self.values[name] if name in self.values else self.mark(name, f"${{{name}}}", -1)

    def text_of(self, match: re.Match[str], offset: int) -> str:
        """What replaces a placeholder within a string."""
        if self.escapes and self.is_escape(match):
            return f"${{{match[3]}}}" if match[3] is not None else match[0]
        name = self.name(match)
        if name not in self.values:
            other = match.re is not PLACEHOLDER
            return self.mark(name, match[0], offset + match.start(), other=other)
        return as_text(self.values[name])

    def known_of(self, number: int) -> Known | None:
        """What the template says of a mark."""
        found = self.found[number]
        return found.known or self.find(found.name)

    def known(self, value: Json) -> Known | None:
        """A value with marks, if the template says what all of them are."""
        if isinstance(value, str):
            numbers = [int(number) for number in MARK.findall(value)] if OPEN in value else []
            found = {number: self.known_of(number) for number in numbers}
            known = {number: each for number, each in found.items() if each is not None}
            if len(known) < len(found):
                return None
            fixed = all(each.fixed for each in known.values())
            if numbers and MARK.fullmatch(value):
                bare = self.found[numbers[0]].bare
                return _as_json(known[numbers[0]]) if bare else known[numbers[0]]
            return Known(MARK.sub(lambda mark: as_text(known[int(mark[1])].value), value), fixed)
        if isinstance(value, list):
            items = [self.known(each) for each in value]
            all_known = [each for each in items if each is not None]
            if len(all_known) < len(items):
                return None
            return Known([each.value for each in all_known], all(each.fixed for each in all_known))
        if isinstance(value, dict):
            inner = self.known(list(value.values()))
            return inner and inner._replace(value=dict(zip(value, inner.value)))
        return Known(value)

    def narrowed(self, text: str) -> str:
        """A text without the marks of which the template is certain."""

        def value(mark: re.Match[str]) -> str:
            known = self.known_of(int(mark[1]))
            return as_text(known.value) if known is not None and known.fixed else mark[0]

        return MARK.sub(value, text)

    def unmarked(self, text: str) -> str:
        """A text with its placeholders as they were written."""
        return MARK.sub(lambda mark: self.found[int(mark[1])].written, text)


def _as_json(known: Known) -> Known:
    """Outside of strings, a text is JSON: of jsonencode(...), or a number."""
    if isinstance(known.value, str):
        with suppress(json_text.JsonError):
            return known._replace(value=json_text.loads(known.value))
    return known


def as_text(value: Json) -> str:
    return value if isinstance(value, str) else json_text.dumps(value)


class MarkedJson:
    """The text of a JSON file with its placeholders replaced or marked.

    text   JSON, if the file is JSON as soon as its placeholders have values
    place  (line, column) in that text -> (line, column) in the file
    """

    def __init__(self, source: str, placeholders: Placeholders) -> None:
        self.source, self.placeholders = source, placeholders
        self.parts: list[str] = []
        self.length = 0  # of the parts
        self.starts: list[tuple[int, int, int]] = [(0, 0, 1)]  # offset here, in the file, step
        self.opened: list[str] = []  # the open containers
        self.copied = 0  # the part of the source that is read
        if "${" in source or "#{" in source or placeholders.others:
            self._read()
            self._copy(len(source))
            self.text = "".join(self.parts)
        else:
            self.text = source

    def place(self, line: int, column: int) -> tuple[int, int]:
        if len(self.starts) == 1:
            return line, column
        starts = Lines(self.text).starts
        offset = starts[min(line, len(starts)) - 1] + column - 1
        here, there, step = self.starts[
            bisect_right(self.starts, (offset, len(self.source), 1)) - 1
        ]
        return Lines(self.source).at(min(there + (offset - here) * step, len(self.source)))

    def _copy(self, end: int) -> None:
        self._put(self.source[self.copied : end], self.copied, 1)
        self.copied = end

    def _put(self, text: str, offset: int, step: int) -> None:
        self.parts.append(text)
        self.starts.append((self.length, offset, step))
        self.length += len(text)

    def _read(self) -> None:
        at, before = 0, ""  # what precedes a bare placeholder
        others = self.placeholders.others
        while token := _OUTER_TOKEN.search(self.source, at):
            at, text = token.end(), token[0]
            if text == '"':
                at = self._string(token.start())
            elif others and (
                match := other_placeholders.OUTSIDE_OF_STRINGS.match(self.source, token.start())
            ):
                at = self._bare(match, before)
                text = "value"
            elif text in ("{", "["):
                self.opened.append(text)
            elif text in ("}", "]"):
                self.opened = self.opened[:-1]
            elif text in ("$", "#") and (match := _BARE.match(self.source, token.start())):
                at = self._bare(match, before)
                text = "value"
            elif text[:2] in ("//", "/*"):
                continue
            before = text

    def _string(self, start: int) -> int:
        """Read a string, whose first quote is at `start`. Returns the offset after it."""
        if (end := self._end(start)) is None:
            return len(self.source)
        field = None
        before = self.source[max(0, start - 99) : start]
        if self.placeholders.others and (member := _MEMBER.search(before)):
            field = member[1]
        for match in self.placeholders.within(self.source, start + 1, end, field):
            name, value = self.placeholders.name(match), None
            if name in self.placeholders.values and not self.placeholders.is_escape(match):
                value = self.placeholders.values[name]
            whole = match.span() == (start + 1, end)
            if value is None or isinstance(value, str) or not whole or self._is_key(end + 1):
                filled = self.placeholders.text_of(match, 0)
                self._copy(match.start())
                self._put(json_text.dumps(filled)[1:-1], match.start(), 0)
                self.copied = match.end()
            else:  # a number, boolean, object or array instead of the string
                self._copy(start)
                self._put(json_text.dumps(value), start, 0)
                self.copied = end + 1
        return end + 1

    def _end(self, start: int) -> int | None:
        """The offset of the last quote of a string. Placeholders may have quotes, too."""
        at = start + 1
        while token := _STRING_TOKEN.search(self.source, at):
            at = token.end()
            if token[0] == '"':
                return token.start()
            if token[0] in ("$", "#") and (match := PLACEHOLDER.match(self.source, token.start())):
                at = match.end()
        return None

    def _is_key(self, offset: int) -> bool:
        return bool(_COLON.match(self.source, offset))

    def _bare(self, match: re.Match[str], before: str) -> int:
        """Read a placeholder outside of strings. Returns the offset after it."""
        start, end, name = match.start(), match.end(), self.placeholders.name(match)
        other = match.re is not _BARE
        self._copy(start)
        self.copied = end
        if self.placeholders.escapes and self.placeholders.is_escape(match):
            self._put(match[0], start, 0)
        elif name in self.placeholders.values:
            value = self.placeholders.values[name]
            self._put(value if isinstance(value, str) else json_text.dumps(value), start, 0)
        else:
            text = f'"{self.placeholders.mark(name, match[0], start, True, other)}"'
            if before in ("{", ",") and self.opened[-1:] == ["{"] and not self._is_key(end):
                # members of an object: one whose name and value are unknown
                text += f': "{self.placeholders.mark(name, match[0], start, True, other)}"'
            if self.parts[-1] == "" and self.parts[-2:][0].endswith(f'{CLOSE}"'):  # ${A}${B}
                self.parts[-2], text = self.parts[-2][:-1], text[1:]
                self.length -= 1
            self._put(text, start, 0)
        return end
