"""JSON values for inputs, literals and items, with many edge cases."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from stepwell.conformance.oracle.values import Json

NUMBERS: Final[tuple[int | float, ...]] = (
    0,
    1,
    2,
    3,
    -1,
    7,
    10,
    0.5,
    1.5,
    -1.5,
    2.25,
    -0.25,
    100.125,
    2**31 - 1,
    -(2**31),
    2**53 + 1,
)
SMALL: Final = (0, 1, 2, 3, 4, 5, -1, -2)
STRINGS: Final = (
    "", "a", "b", "abc", "A", "é", "𝄞", "\uffee", "x y", " ", "0", "1", "true", "null", "a,b;c",
    "foo*bar", "a\\b", "it's", '"', "{}",
    "$.n", "\n", "\u2028", "zebra", "[1]", '{"k":1}',
)  # fmt: skip
INSTANTS: Final = (
    "2001-02-03T04:05:06Z", "2001-02-03T04:05:06.5Z", "2001-02-03T06:05:06+02:00",
    "2001-02-02T20:05:06-08:00", "2016-12-31T23:59:59-08:00",
    "1970-01-01T00:00:00Z",
)  # fmt: skip
NO_INSTANTS: Final = (
    "2001-02-03",
    "2001-02-03 04:05:06Z",
    "2001-13-03T04:05:06Z",
    "2001-02-03T04:05:06",
    "now",
)
NAMES: Final = ("a", "b", "c", "n", "s", "l", "o", "k_1", "x y", "é", "a.b", "0")


def chance(r: Random, probability: float) -> bool:
    return r.random() < probability


def number(r: Random) -> int | float:
    return r.choice(NUMBERS) if chance(r, 0.4) else r.choice(SMALL)


def string(r: Random) -> str:
    return r.choice(INSTANTS) if chance(r, 0.1) else r.choice(STRINGS)


def scalar(r: Random) -> Json:
    draw: Callable[[], Json] = r.choice(
        (lambda: number(r), lambda: string(r), lambda: r.choice((True, False)), lambda: None)
    )
    return draw()


def value(r: Random, depth: int = 2) -> Json:
    kind = r.randrange(8) if depth else 0
    if kind < 4:
        return scalar(r)
    if kind < 6:
        return array(r, depth - 1)
    return {r.choice(NAMES): value(r, depth - 1) for _ in range(r.randrange(4))}


def array(r: Random, depth: int = 1) -> list[Json]:
    if chance(r, 0.15):
        return []
    if chance(r, 0.5):
        return [number(r) for _ in range(r.randrange(1, 5))]
    if chance(r, 0.4):
        return [{"a": value(r, 0), "n": number(r)} for _ in range(r.randrange(1, 4))]
    return [value(r, depth) for _ in range(r.randrange(1, 4))]


def state_input(r: Random) -> Json:
    """Mostly an object with a member of each type under a known name, sometimes any value."""
    if chance(r, 0.04):
        return value(r)
    members: dict[str, Any] = {
        "n": number(r),
        "s": string(r),
        "l": array(r),
        "o": {"a": value(r, 1), "b": {"c": scalar(r)}},
        "t": r.choice(INSTANTS),
        "b": r.choice((True, False)),
        "z": None,
        "w": 0,
    }
    for name in list(members):
        if chance(r, 0.1):
            del members[name]
    for _ in range(r.randrange(3)):
        members[r.choice(NAMES)] = value(r)
    return members


def kind_of(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    kinds: dict[type, str] = {dict: "object", list: "array", str: "string"}
    return kinds.get(type(value), "number")


def nodes(value: Json, depth: int = 3) -> Iterator[tuple[tuple[str | int, ...], Json]]:
    """(keys, value) of a value and everything inside it, down to a depth."""
    yield (), value
    if depth and isinstance(value, dict):
        for name, each in value.items():
            for keys, found in nodes(each, depth - 1):
                yield (name, *keys), found
    elif depth and isinstance(value, list):
        for index, each in enumerate(value[:3]):
            for keys, found in nodes(each, depth - 1):
                yield (index, *keys), found
