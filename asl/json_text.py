"""JSON text -> values and back, and the line and column of values in a text.

msgspec does the work. A text that it rejects is read again by a scanner, which finds line and
column and Jackson's message, which is AWS's. Both accept the same texts: RFC 8259, without NaN,
Infinity and unpaired surrogates.
Integers are exact. No function here recurses: no nesting of the input raises RecursionError.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_scanner import KEY, VALUE, JsonDepthError, JsonError, Lines, paired, scan
from stepwell.asl.limits import DEFAULT_LIMITS

__all__ = [
    "JsonDepthError", "JsonError", "dumps", "duplicates", "encode", "has_duplicates", "item",
    "loads", "locate", "member", "nearest", "offset", "place", "positions", "size", "value_size",
]  # fmt: skip

_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
_Place = TypeVar("_Place")


def loads(text: str | bytes, depth: int = DEFAULT_LIMITS.payload_depth) -> Json:
    """The value of a JSON text. The last of duplicate keys wins. depth: the limit of nested
    containers. Raises JsonError.
    """
    try:
        value = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _again(text, depth)
    openers = (
        text.count("{") + text.count("[")
        if isinstance(text, str)
        else text.count(b"{") + text.count(b"[")
    )
    if openers > depth and _deeper(value, depth):
        return _again(text, depth)  # raises JsonDepthError, with the place
    return value


def dumps(value: Json) -> str:
    """Compact JSON text: keys in their order, characters outside ASCII not escaped. Raises
    JsonError for NaN, Infinity and unpaired surrogates.
    """
    return encode(value).decode()


def encode(value: Json) -> bytes:
    """`dumps` as UTF-8 bytes."""
    try:
        data = _ENCODER.encode(value)
    except RecursionError:
        data = _write(value).encode()
    except UnicodeEncodeError:
        raise JsonError(messages.JSON_SURROGATE) from None
    if b"null" in data:  # msgspec writes NaN and Infinity as null
        _check_finite(value)
    return data


def size(text: str | bytes) -> int:
    """The number of UTF-8 bytes of a text."""
    return (
        len(text)
        if isinstance(text, bytes) or text.isascii()
        else len(text.encode("utf-8", "surrogatepass"))
    )


def value_size(value: Json) -> int:
    """The number of UTF-8 bytes of the compact JSON text of a value."""
    return len(encode(value))


# --- lines and columns ----------------------------------------------------------------------------


def positions(text: str) -> dict[str, tuple[int, int]]:
    """Location -> (line, column), from 1, of every member (the start of its key) and item of a JSON
    text, in the order of the text. Of a text that is not JSON: those before the error.

    A location is /States/M/ItemProcessor/States/Y/Retry[0]/ErrorEquals; "/" is the whole text.
    """
    lines = Lines(text)
    found: dict[str, tuple[int, int]] = {"/": (1, 1)}
    try:
        for location, offset in _places(text):
            found.setdefault(location, lines.at(offset))
    except JsonError:
        return found
    return found


def nearest(found: Mapping[str, _Place], location: str) -> _Place:
    """The entry for a location, or for the innermost container of it that has one; "/" must have
    one.
    """
    while location not in found:
        location = location[: max(location.rfind("/"), location.rfind("["), 0)] or "/"
    return found[location]


def place(text: str, offset: int) -> tuple[int, int]:
    """(line, column) of an offset in a text."""
    return Lines(text).at(offset)


def offset(text: str, line: int, column: int) -> int:
    """The offset of the character that Jackson's place of an error means: the one before it."""
    starts = Lines(text).starts
    return min(starts[min(line, len(starts)) - 1] + max(column - 2, 0), len(text))


def locate(text: str, location: str) -> tuple[int, int]:
    """(line, column) of a location such as /States/X/Resource in a JSON text; if it does not exist,
    those of the innermost container of it.
    """
    return nearest(positions(text), location)


def duplicates(text: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """(location, first place, second place) of every key that an object of a JSON text has
    twice.
    """
    lines = Lines(text)
    seen: dict[str, int] = {}
    inside = ""  # a duplicate, whose own members are not reported
    for location, offset in _places(text):
        if location in seen and not (inside and location.startswith((inside + "/", inside + "["))):
            inside = location
            yield location, lines.at(seen[location]), lines.at(offset)
        seen.setdefault(location, offset)


def has_duplicates(text: str) -> bool:
    """Whether any object of a JSON text has a key twice: a quick check before `duplicates`. The
    text must be one that `loads` accepts.
    """
    unequal = False

    def count(pairs: list[tuple[str, Json]]) -> None:
        nonlocal unequal
        unequal = unequal or len({key for key, _ in pairs}) != len(pairs)

    json.loads(text, object_pairs_hook=count, parse_int=str, parse_float=str)
    return unequal


def member(parent: str, key: str) -> str:
    """The location of a member of an object at `parent`."""
    return f"/{key}" if parent == "/" else f"{parent}/{key}"


def item(parent: str, index: int) -> str:
    """The location of an item of an array at `parent`."""
    return f"{parent}[{index}]"


def _places(text: str) -> Iterator[tuple[str, int]]:
    """(location, offset) of each member and item, parents first."""
    parents: list[str] = []  # of the open containers
    counts: list[int] = []  # items so far; -1 in an object
    location = "/"
    for event, value, offset in scan(text):
        if event == KEY:
            location = member(parents[-1], value)
            yield location, offset
            continue
        if event in ("}", "]"):
            parents.pop()
            counts.pop()
            continue
        if counts and counts[-1] >= 0:
            location = item(parents[-1], counts[-1])
            counts[-1] += 1
            yield location, offset
        if event != VALUE:
            parents.append(location)
            counts.append(0 if event == "[" else -1)


# --- without msgspec ------------------------------------------------------------------------------


def _again(text: str | bytes, depth: int) -> Json:
    """`loads` by the scanner: for texts that msgspec rejects, or that are nested deeper than its
    stack.
    """
    text = _text(text)
    for _ in scan(text, depth, quick=True):
        pass
    return _build(text, depth)  # finds the errors that `quick` skips: surrogates, huge numbers


def _build(text: str, depth: int) -> Json:
    holders: list[Json] = [[]]  # the open containers; the first one gets the value as its item
    keys: list[str] = [""]
    for event, value, _ in scan(text, depth):
        if event == KEY:
            keys[-1] = value
            continue
        if event in ("}", "]"):
            holders.pop()
            keys.pop()
            continue
        new: Json = {} if event == "{" else [] if event == "[" else value
        holder = holders[-1]
        if isinstance(holder, dict):
            holder[keys[-1]] = new
        else:
            holder.append(new)
        if event != VALUE:
            holders.append(new)
            keys.append("")
    return holders[0][0]


def _write(value: Json, depth: int = DEFAULT_LIMITS.payload_depth) -> str:
    """`dumps` of a value that is nested deeper than the stack of msgspec."""
    parts: list[str] = []
    holders: list[tuple[Iterator[Json], str, bool]] = [(iter([value]), "", False)]
    first = True
    while holders:
        entries, closer, keyed = holders[-1]
        try:
            entry = next(entries)
        except StopIteration:
            parts.append(closer)
            holders.pop()
            first = False
            continue
        parts.append("" if first else ",")
        if keyed:
            parts.append(encode(entry[0]).decode() + ":")
            entry = entry[1]
        first = isinstance(entry, dict | list)
        if not first:
            parts.append(encode(entry).decode())
            continue
        if len(holders) > depth:
            raise JsonDepthError(messages.JSON_DEPTH.format(depth=depth + 1, limit=depth))
        keyed = isinstance(entry, dict)
        parts.append("{" if keyed else "[")
        holders.append((iter(entry.items() if keyed else entry), "}" if keyed else "]", keyed))
    return "".join(parts)


def _text(text: str | bytes) -> str:
    """The text of UTF-8 bytes. Raises JsonError for bytes that are not UTF-8, and for unpaired
    surrogates.
    """
    if isinstance(text, bytes):
        try:
            return text.decode()
        except UnicodeDecodeError as fault:
            raise JsonError(
                messages.JSON_ENCODING.format(byte=text[fault.start], offset=fault.start),
                1,
                fault.start + 1,
            ) from None
    if not paired(text):
        raise JsonError(messages.JSON_SURROGATE)
    return text


def _deeper(value: Json, depth: int) -> bool:
    """Whether more than `depth` containers are nested."""
    level = [value] if isinstance(value, dict | list) else []
    while level and depth >= 0:
        depth -= 1
        level = [
            child
            for holder in level
            for child in (holder.values() if type(holder) is dict else holder)
            if type(child) is dict or type(child) is list
        ]
    return depth < 0


def _check_finite(value: Json) -> None:
    """Raises JsonError for NaN and Infinity."""
    level = [value]
    while level:
        for number in level:
            if type(number) is float and not math.isfinite(number):
                raise JsonError(messages.JSON_NOT_FINITE.format(value=number))
        holders = (holder for holder in level if type(holder) is dict or type(holder) is list)
        level = [
            child
            for holder in holders
            for child in (holder.values() if type(holder) is dict else holder)
        ]
