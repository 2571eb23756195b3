"""The scanner of json_text.py: the events of a JSON text with their offsets, and errors with the
messages of Jackson, which are AWS's.

It takes about 1 us per event, much longer than msgspec: it is used only for texts that msgspec
rejects, and to find the place of a value. It does not recurse.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.limits import DEFAULT_LIMITS

_SNIPPET_CHARS: Final = 500  # of the text, in messages; Jackson's default
_TOKEN_CHARS: Final = 256  # of an unknown word, in messages; Jackson's default

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = r'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
_BODY: Final = re.compile(_STRING)  # a string without its quotes
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN: Final = re.compile(r'"([^"\\\x00-\x1f]*)"')
# members and items without containers, each with its comma
_SIMPLE: Final = (
    rf'(?:"{_STRING}"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)[ '
    r"\t\n\r]*,[ \t\n\r]*"
)
_RUN: Final = {
    "[": re.compile(rf"(?:{_SIMPLE})+"),
    "{": re.compile(rf'(?:"{_STRING}"[ \t\n\r]*:[ \t\n\r]*{_SIMPLE})+'),
}
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_WORDS: Final = {"true": True, "false": False, "null": None}
_CLOSER: Final = {"{": "}", "[": "]"}
_KIND: Final = {"{": "Object", "[": "Array"}

KEY: Final = "key"
VALUE: Final = "value"


class JsonError(ValueError):
    """A text that is not JSON, or a value that has no JSON form.

    message       Jackson's, without the place
    line, column  from 1, as Jackson counts: the column after the unexpected text; of a value 0
    place         '[Source: (String)"<start of the text>"; line: 1, column: 4]'; of a value ""
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, place: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.place = message, line, column, place


class JsonDepthError(JsonError):
    """A text or value that is nested too deeply."""


class Lines:
    """Offsets in a text -> (line, column)."""

    def __init__(self, text: str) -> None:
        self.starts = [0, *(end.end() for end in _LINE_END.finditer(text))]

    def at(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1


def scan(
    text: str, depth: int = DEFAULT_LIMITS.payload_depth, quick: bool = False
) -> Iterator[tuple[str, Json, int]]:
    """Yields (event, value, offset) of a JSON text; the events are "{", "}", "[", "]", KEY, VALUE.
    Raises JsonError. quick: skip members and items without containers that precede a comma, for
    callers that only need the error.
    """
    stack: list[tuple[str, int]] = []  # the open containers: opener, offset
    # what comes next: "value", "first" (in a container), "key", "colon", "member" (the value after
    # a colon) or "more" (a comma or a closer)
    need = "value"
    end, skip, plain = len(text), _SPACE.match, _PLAIN.match
    offset = 0
    while True:
        if offset < end and text[offset] in " \t\n\r":
            offset = skip(text, offset).end()  # type: ignore[union-attr]  # matches the empty string at least
        if offset == end:
            if need == "more" and not stack:
                return
            raise _ended(text, stack, need)
        char = text[offset]
        if need == "more" and char == "," and stack:
            need, offset = "key" if stack[-1][0] == "{" else "value", offset + 1
            continue
        if char in "}]" and stack and need in ("more", "first"):
            if _CLOSER[stack[-1][0]] != char:
                raise _mismatch(text, offset, stack[-1])
            stack.pop()
            yield char, None, offset
            need, offset = "more", offset + 1
            continue
        if need == "more":
            raise _no_comma(text, offset, stack)
        if quick and stack and need not in ("colon", "member"):
            run = _RUN[stack[-1][0]].match(text, offset)
            if run:
                need, offset = "key" if stack[-1][0] == "{" else "value", run.end()
                continue
        if need == "key" or (need == "first" and stack[-1][0] == "{"):
            key, after = _key(text, offset)
            yield KEY, key, offset
            need, offset = "colon", after
        elif need == "colon":
            if char != ":":
                raise _unexpected(text, offset, messages.JSON_COLON)
            need, offset = "member", offset + 1
        elif char in "{[":
            if len(stack) >= depth:
                raise _deep(text, offset + 1, depth)
            stack.append((char, offset))
            yield char, None, offset
            need, offset = "first", offset + 1
        else:
            word = plain(text, offset)
            value, after = (word[1], word.end()) if word else _scalar(text, offset, bool(stack))
            yield VALUE, value, offset
            need, offset = "more", after


def _key(text: str, offset: int) -> tuple[str, int]:
    if text[offset] != '"':
        raise _unexpected(text, offset, messages.JSON_KEY)
    return _string(text, offset, " in field name")


def _scalar(text: str, offset: int, nested: bool) -> tuple[Json, int]:
    """A string, number, true, false or null, and the offset after it."""
    char = text[offset]
    if char == '"':
        return _string(text, offset, ": was expecting closing quote for a string value")
    if char == "-" or char in "0123456789":
        return _number(text, offset)
    word = _identifier(text, offset)
    if word in _WORDS:
        return _WORDS[word], offset + len(word)
    if word in ("NaN", "Infinity"):
        raise _fault(text, offset + len(word), messages.JSON_NOT_STANDARD.format(token=word))
    if word and not word[0].isdigit():
        shown = word if len(word) <= _TOKEN_CHARS else word[:_TOKEN_CHARS] + "..."
        raise _fault(
            text,
            offset + min(len(word), _TOKEN_CHARS),
            messages.UNRECOGNIZED_TOKEN.format(token=shown),
        )
    raise _unexpected(
        text, offset, messages.JSON_ANY_VALUE if char == "}" and nested else messages.JSON_VALUE
    )


def _identifier(text: str, offset: int) -> str:
    """The text at the offset that Java accepts as an identifier."""
    end = offset
    while (
        end < len(text)
        and end - offset <= _TOKEN_CHARS
        and (text[end] == "$" or ("a" + text[end]).isidentifier())
    ):
        end += 1
    return text[offset:end]


def _string(text: str, offset: int, unclosed: str) -> tuple[str, int]:
    end = _BODY.match(text, offset + 1).end()  # type: ignore[union-attr]  # matches the empty string at least
    if end == len(text):
        raise _fault(text, end, messages.JSON_END.format(where=unclosed))
    if text[end] == "\\":
        raise _escape(text, end)
    if text[end] != '"':
        raise _fault(text, end + 1, messages.JSON_CONTROL.format(char=_char(text[end])))
    raw = text[offset : end + 1]
    if "\\" not in raw:
        return raw[1:-1], end + 1
    value: str = json.loads(raw)
    if not paired(value):
        raise _fault(text, end + 1, messages.JSON_SURROGATE)
    return value, end + 1


def _escape(text: str, offset: int) -> JsonError:
    """The error of a backslash that starts no valid escape."""
    if offset + 1 == len(text):
        return _fault(
            text, offset + 1, messages.JSON_END.format(where=" in character escape sequence")
        )
    if text[offset + 1] != "u":
        return _fault(text, offset + 2, messages.JSON_ESCAPE.format(char=_char(text[offset + 1])))
    bad = offset + 2
    while bad < len(text) and text[bad] in "0123456789abcdefABCDEF":
        bad += 1
    if bad == len(text):
        return _fault(text, bad, messages.JSON_END.format(where=" in character escape sequence"))
    return _unexpected(text, bad, "expected a hex-digit for character escape sequence")


def _number(text: str, offset: int) -> tuple[int | float, int]:
    match = _NUMBER.match(text, offset)
    if match is None:  # only a minus sign
        if offset + 1 == len(text):
            raise _fault(text, offset + 1, messages.JSON_END.format(where=" in a numeric value"))
        raise _odd_number(
            text, offset + 1, "expected digit (0-9) to follow minus sign, for valid numeric value"
        )
    end, token, after = match.end(), match.group(), text[match.end() : match.end() + 1]
    if token in ("0", "-0") and after.isdigit():
        raise _fault(text, end, messages.JSON_LEADING_ZERO)
    if after == "." and not match[1] and not match[2]:
        raise _odd_number(text, end + 1, "Decimal point not followed by a digit")
    if after in ("e", "E") and not match[2]:
        raise _odd_number(text, end + 1, "Exponent indicator not followed by a digit")
    if len(token) > DEFAULT_LIMITS.json_number_chars:
        raise _fault(
            text,
            end,
            messages.JSON_NUMBER_LENGTH.format(
                length=len(token), limit=DEFAULT_LIMITS.json_number_chars
            ),
        )
    if not match[1] and not match[2]:
        return int(token), end
    value = float(token)
    if math.isinf(value):
        raise _fault(text, end, messages.JSON_RANGE.format(token=token))
    return value, end


def _odd_number(text: str, offset: int, expected: str) -> JsonError:
    if offset >= len(text):
        return _fault(text, offset, messages.JSON_END.format(where=" in a numeric value"))
    return _fault(
        text, offset + 1, messages.JSON_NUMBER.format(char=_char(text[offset]), expected=expected)
    )


def _unexpected(text: str, offset: int, expected: str) -> JsonError:
    return _fault(
        text,
        offset + 1,
        messages.JSON_CHARACTER.format(char=_char(text[offset]), expected=expected),
    )


def _no_comma(text: str, offset: int, stack: list[tuple[str, int]]) -> JsonError:
    """The error of a text in which a value is followed by neither a comma nor a closer."""
    kind = _KIND[stack[-1][0]] if stack else ""
    expected = messages.JSON_COMMA.format(kind=kind) if stack else messages.JSON_TRAILING
    return _unexpected(text, offset, expected)


def _mismatch(text: str, offset: int, opened: tuple[str, int]) -> JsonError:
    source = _source(text, *Lines(text).at(opened[1]))
    found, expected, kind = text[offset], _CLOSER[opened[0]], _KIND[opened[0]]
    return _fault(
        text,
        offset + 1,
        messages.JSON_CLOSER.format(found=found, expected=expected, kind=kind, source=source),
    )


def _ended(text: str, stack: list[tuple[str, int]], need: str) -> JsonError:
    """The error of a text that ends too early."""
    if not stack:
        return _fault(text, len(text), messages.JSON_EMPTY)
    kind = _KIND[stack[-1][0]]
    if need in ("first", "more"):  # only here does Jackson expect the closer
        where = (
            f": expected close marker for {kind} (start marker at "
            f"{_source(text, *Lines(text).at(stack[-1][1]))})"
        )
    else:
        where = f" within/between {kind} entries"
    return _fault(text, len(text), messages.JSON_END.format(where=where))


def _fault(text: str, offset: int, message: str) -> JsonError:
    line, column = Lines(text).at(offset)
    return JsonError(message, line, column, _source(text, line, column))


def _deep(text: str, offset: int, limit: int) -> JsonDepthError:
    line, column = Lines(text).at(offset)
    return JsonDepthError(
        messages.JSON_DEPTH.format(depth=limit + 1, limit=limit),
        line,
        column,
        _source(text, line, column),
    )


def _source(text: str, line: int, column: int) -> str:
    more = len(text) - _SNIPPET_CHARS
    start = re.sub(
        r"[\x00-\x09\x0b\x0c\x0e-\x1f]",
        lambda control: f"\\u{ord(control.group()):04X}",
        text[:_SNIPPET_CHARS],
    )
    snippet = f'{start}"[truncated {more} chars]' if more > 0 else f'{start}"'
    return messages.JSON_SOURCE.format(snippet=snippet, line=line, column=column)


def _char(char: str) -> str:
    code = ord(char)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{char}' (code {code})" if code <= 255 else f"'{char}' (code {code} / 0x{code:x})"


def paired(text: str) -> bool:
    """Whether a text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
