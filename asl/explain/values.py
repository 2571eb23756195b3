"""JSON values in words, and the search of a value for a name."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.jsonpath_query import Escaped, Key, walker

PARSED: Final = "§parsed"  # a step of a trail: into the JSON text of a string
_NODES: Final = 2_000  # values that one search visits
_TEXT_CHARS: Final = 65_536  # of a string that is read as JSON
_SHOWN_CHARS: Final = 40
_NAMES: Final = 6  # members that are named
_CLOSE: Final = 0.8  # of difflib: "total" and "totals" are 0.91, "amount" and "account" 0.77
_NAME: Final = re.compile(r"[^\W\d]\w*")
# attribute values of DynamoDB: an object with one of these members
DYNAMODB: Final = ("S", "N", "BOOL", "M", "L", "SS", "NS", "B", "NULL")


class Found(NamedTuple):
    """trail: the steps to it; value: what is there."""

    trail: tuple[Key, ...]
    value: Json

    @property
    def in_text(self) -> bool:
        return PARSED in self.trail


def follow(value: Json, keys: Sequence[Key]) -> Json:
    """The value at the keys, MISSING if there is none."""
    return walker(tuple(keys))(value, None)


def parsed(value: Json) -> Json:
    """The object or array in a string of JSON, else MISSING."""
    if not isinstance(value, str) or len(value) > _TEXT_CHARS or value.strip()[:1] not in "{[":
        return MISSING
    try:
        found = json_text.loads(value) if value.strip() else MISSING
    except json_text.JsonError:
        return MISSING
    return found


def attribute_type(value: Json) -> str | None:
    """ "S" for DynamoDB's {"S": "text"}; None for other values."""
    if isinstance(value, dict) and len(value) == 1:
        (name,) = value
        return name if name in DYNAMODB else None
    return None


def near(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: it differs in case, in `_` and `-`, or by a letter."""
    known = {plain(each): each for each in names if each != name}
    if plain(name) in known:
        return known[plain(name)]
    matches = get_close_matches(plain(name), known, 1, _CLOSE)
    return known[matches[0]] if matches else None


def plain(name: str) -> str:
    """Its letters and digits, without case."""
    return re.sub(r"[\W_]", "", name).lower()


def search(value: Json, keys: Sequence[Key], exactly: bool = False) -> Found | None:
    """Where the keys lead from a value below the given one, the nearest first. exactly: case, `_`
    and `-` count in the first one.
    """
    first, seen = keys[0], 0
    waiting: deque[tuple[tuple[Key, ...], Json]] = deque(_below((), value))
    while waiting and seen < _NODES:
        trail, each = waiting.popleft()
        seen += 1
        spelled = first
        if not exactly and isinstance(each, dict) and isinstance(first, str) and first not in each:
            spelled = next((name for name in each if plain(name) == plain(first)), first)
        found = follow(each, (spelled, *keys[1:]))
        if found is not MISSING:
            return Found((*trail, spelled, *keys[1:]), found)
        waiting.extend(_below(trail, each))
    return None


def _below(trail: tuple[Key, ...], value: Json) -> Iterator[tuple[tuple[Key, ...], Json]]:
    """The members of an object, the first item of a list, the content of a string of JSON."""
    if isinstance(value, dict):
        yield from (((*trail, name), each) for name, each in value.items())
    elif isinstance(value, list):
        yield from (((*trail, index), each) for index, each in enumerate(value[:_NAMES]))
    elif (inner := parsed(value)) is not MISSING:
        yield (*trail, PARSED), inner


# --- words ----------------------------------------------------------------------------------------


def spelled(root: str, keys: Iterable[Key], jsonata: bool = False) -> str:
    """A path: `$.order.items[3]`."""
    text = root
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _NAME.fullmatch(key):
            text += f".{key}"
        elif jsonata:
            text += f".`{key}`"
        else:
            text += f"['{key.raw if isinstance(key, Escaped) else key}']"
    return text


def kind(value: Json) -> str:
    """ "a string", "a list of 2 items", "null"."""
    if isinstance(value, list):
        return "an empty list" if not value else f"a list of {counted(len(value), 'item')}"
    if isinstance(value, dict) and not value:
        return "an empty object"
    return next(word for types, word in _KINDS if isinstance(value, types))


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (dict, "an object"),
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "a string"),
    (type(None), "null"),
)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(value: Json) -> str:
    """A value, cut if it is long."""
    text = json_text.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def described(value: Json) -> str:
    """ "a list of 2 items", "null", `the string "abc"`, "an object with `a`, `b`"."""
    if isinstance(value, dict) and value:
        return f"an object with {members(value)}"
    if isinstance(value, str | bool | int | float):
        return f"{kind(value).replace('a ', 'the ', 1)} {shown(value)}"
    return kind(value)


def members(value: dict[str, Json]) -> str:
    listed = ", ".join(f"`{name}`" for name in list(value)[:_NAMES])
    return listed + (f" and {len(value) - _NAMES} more" if len(value) > _NAMES else "")
