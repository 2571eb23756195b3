"""JSON values as the language sees them, and ANY for text that cannot be known in advance.

In an expected text, ANY matches any text of the engine: an id, a time, the undocumented text of a
failure. It may be copied and become part of longer texts. A function that would depend on its
content raises UndeterminedError, and the example is left out.
"""

import json
import re
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any  # None | bool | int | float | str | list[Json] | dict[str, Json]

ANY: Final = "\ue000any\ue001"


class Missing:
    """The type of MISSING: no value, where None would be JSON null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class UndeterminedError(Exception):
    """The definition of the language does not determine the result."""


class FieldError(Exception):
    """A field or expression fails the state. `cause` None: the error has none. `location`: the
    field, in JSONata. `bare`: the cause does not name the state.
    """

    def __init__(
        self, error: str | None, cause: str | None, location: str | None = None, bare: bool = False
    ) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.location, self.bare = error, cause, location, bare


def text(value: Json) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size(value: Json) -> int:
    """Bytes of the compact JSON text in UTF-8; ANY counts as a short text."""
    return len(text(value).encode())


def known(value: Json) -> Json:
    """The value. UndeterminedError if it holds ANY."""
    if ANY in text(value):
        raise UndeterminedError
    return value


def is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(left: Json, right: Json) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, but true is not 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def fits(expected: Json, actual: Json) -> bool:
    """Whether an actual value is the expected one, in which ANY matches any text."""
    if isinstance(expected, str) and ANY in expected:
        return (
            isinstance(actual, str)
            and re.fullmatch(".*".join(map(re.escape, expected.split(ANY))), actual, re.DOTALL)
            is not None
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(fits, expected, actual))
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(
            fits(expected[key], actual[key]) for key in expected
        )
    return isinstance(expected, bool) == isinstance(actual, bool) and bool(expected == actual)


def rounded(number: int | float) -> int:
    """To the nearest integer, halves upwards: 1.5 -> 2, -1.5 -> -1."""
    return int((Decimal(number) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def printed(value: Json) -> str:
    """A value as States.Format prints it: strings bare, objects like {a=1, b=[]}, null as null."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(map(printed, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={printed(each)}" for key, each in value.items()) + "}"
    return text(value)


def below(value: Json) -> Iterator[Json]:
    """The members of an object or the items of an array."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
