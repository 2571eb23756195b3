"""JSON text to values and back, and where in a text a thing stands.

msgspec does the work; only a text that it refuses is read again, by a scanner that finds line,
column and the words that AWS (that is, Jackson) has for the fault. Both accept the same texts: RFC
8259, without NaN, Infinity and unpaired surrogates.
Integers are exact. Nothing here recurses, so no nesting of the input can end in a RecursionError.
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
    "loads", "locate", "member", "nearest", "place", "positions", "size", "value_size",
]  # fmt: skip

_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
_Place = TypeVar("_Place")


def loads(text: str | bytes, depth: int = DEFAULT_LIMITS.payload_depth) -> Json:
    """The value of a JSON text. Of duplicate keys the last wins. At most `depth` containers within
    each other. Raises JsonError.
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
        return _again(text, depth)  # raises, with the place
    return value


def dumps(value: Json) -> str:
    """Compact JSON text: keys in their order, letters outside ASCII as they are. Raises JsonError
    for NaN, Infinity and half surrogates.
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
    if b"null" in data:  # which is what msgspec makes of NaN and Infinity
        _refuse_not_finite(value)
    return data


def size(text: str | bytes) -> int:
    """UTF-8 bytes of a text."""
    return (
        len(text)
        if isinstance(text, bytes) or text.isascii()
        else len(text.encode("utf-8", "surrogatepass"))
    )


def value_size(value: Json) -> int:
    """UTF-8 bytes of the compact JSON text of a value."""
    return len(encode(value))


# --- where things stand ---------------------------------------------------------------------------


def positions(text: str) -> dict[str, tuple[int, int]]:
    """Location -> (line, column) of every member (where its key starts) and item of a JSON text, in
    the order of the text.

    Locations look like /States/M/ItemProcessor/States/Y/Retry[0]/ErrorEquals; "/" is the text
    itself. Lines and columns count from 1.
    Of a text that is not JSON: as far as it goes.
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
    """What is found for a location, or for the closest thing around it that is there; "/" must
    be.
    """
    while location not in found:
        location = location[: max(location.rfind("/"), location.rfind("["), 0)] or "/"
    return found[location]


def place(text: str, offset: int) -> tuple[int, int]:
    """(line, column) of an offset in a text."""
    return Lines(text).at(offset)


def locate(text: str, location: str) -> tuple[int, int]:
    """(line, column) of a location such as /States/X/Resource in a JSON text; of what holds it, if
    it is not there itself.
    """
    return nearest(positions(text), location)


def duplicates(text: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """(location, first place, second place) of every key that stands twice in one object of a JSON
    text.
    """
    lines = Lines(text)
    seen: dict[str, int] = {}
    inside = ""  # a duplicate's own members stand twice as well: that is the same mistake
    for location, offset in _places(text):
        if location in seen and not (inside and location.startswith((inside + "/", inside + "["))):
            inside = location
            yield location, lines.at(seen[location]), lines.at(offset)
        seen.setdefault(location, offset)


def has_duplicates(text: str) -> bool:
    """Whether any object of a JSON text (one that `loads` accepts) names a key twice: the quick
    question before `duplicates`.
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


# --- the slow way ---------------------------------------------------------------------------------


def _again(text: str | bytes, depth: int) -> Json:
    """`loads` by the scanner: for what msgspec refuses, and for what is nested deeper than its
    stack.
    """
    text = _text(text)
    for _ in scan(text, depth, quick=True):
        pass
    return _build(text, depth)  # what the quick look leaves out: half surrogates, huge numbers


def _build(text: str, depth: int) -> Json:
    holders: list[Json] = [[]]  # a root that takes the value as its only item
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
    """`dumps` of what is nested deeper than the stack of msgspec."""
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
    """The text of UTF-8 bytes; JsonError if they are none, or if a str holds half a surrogate
    pair.
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
    """Whether containers are nested more than `depth` deep; level by level, without recursion."""
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


def _refuse_not_finite(value: Json) -> None:
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
