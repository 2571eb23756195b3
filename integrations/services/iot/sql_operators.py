"""The operators and casts of AWS IoT's SQL: a table each, from the text to the function. Pure.

https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-operators.html. An operand that an
operator cannot use makes the result Undefined.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.iot.sql_functions import (
    UNDEFINED,
    as_bool,
    as_number,
    equal,
    number,
    to_text,
)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def test(left: Any, right: Any) -> Any:
        if not (isinstance(left, str) and isinstance(right, str)):
            left, right = as_number(left), as_number(right)
            if left is UNDEFINED or right is UNDEFINED:
                return UNDEFINED
        return compare(left, right)

    return test


def _unequal(left: Any, right: Any) -> Any:
    same = equal(left, right)
    return same if same is UNDEFINED else not same


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": equal,
    "<>": _unequal,
    "!=": _unequal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}


def _plus(left: Any, right: Any) -> Any:
    """The sum of two numbers; if either side is a string, both are concatenated."""
    if isinstance(left, str) or isinstance(right, str):
        left, right = to_text(left), to_text(right)
        fits = (
            left is not UNDEFINED
            and right is not UNDEFINED
            and len(left) + len(right) <= DEFAULT_LIMITS.sql_text_chars
        )
        return left + right if fits else UNDEFINED
    return _numeric(operator.add)(left, right)


def _numeric(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        left, right = as_number(left), as_number(right)
        if left is UNDEFINED or right is UNDEFINED:
            return UNDEFINED
        try:
            return number(compute(left, right))
        except (ZeroDivisionError, OverflowError, ValueError):
            return UNDEFINED

    return apply


def _divide(left: Any, right: Any) -> Any:
    """Integers give an integer if there is no remainder, else a decimal."""
    return (
        left // right
        if type(left) is int and type(right) is int and left % right == 0
        else left / right
    )


def _remainder(left: Any, right: Any) -> Any:
    """The result has the sign of the dividend."""
    if type(left) is int and type(right) is int:
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return math.fmod(left, right)


ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": _plus,
    "-": _numeric(operator.sub),
    "*": _numeric(operator.mul),
    "/": _numeric(_divide),
    "%": _numeric(_remainder),
}


def _as_int(value: Any) -> Any:
    converted = as_number(value)
    return converted if converted is UNDEFINED else int(converted)


def _as_decimal(value: Any) -> Any:
    converted = as_number(value)
    return converted if converted is UNDEFINED else float(converted)


CASTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("string", "varchar"), to_text),
    **dict.fromkeys(("boolean", "bool"), as_bool),
    **dict.fromkeys(("decimal", "double", "float"), _as_decimal),
    **dict.fromkeys(("int", "integer"), _as_int),
}


def member_of(value: Any, key: Any) -> Any:
    """A member of an object, or an item of an array (the first is 0); Undefined without one."""
    if isinstance(value, dict):
        return value.get(key, UNDEFINED) if isinstance(key, str) else UNDEFINED
    return (
        value[key]
        if isinstance(value, list) and type(key) is int and 0 <= key < len(value)
        else UNDEFINED
    )
