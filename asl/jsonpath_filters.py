"""The operators of filters (`[?(@.a in ['x'])]`) and the functions at the end of a path
(`.length()`) of Jayway's JSONPath: the tables OPERATORS and FUNCTIONS.

Operands are JSON values, or MISSING for a path without a result.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias

from pydantic_core import SchemaError, SchemaValidator, core_schema

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.java_values import collated, identity, is_number, java_text
from stepwell.asl.meter import spend, weigh

_STEP_CHARS: Final = 64  # characters of a searched text that count as one step


class PathError(Exception):
    """A function or operator cannot be applied: the whole path fails. Its argument is the
    reason.
    """


class OperandError(Exception):
    """The operand of an operator is not an array: the item does not pass, whatever the rest of its
    test.
    """


class Regex:
    """The right or left side of `=~`. It uses Rust's engine, which takes linear time for every
    pattern. Java's lookaround and back references raise ExpressionSyntaxError.
    """

    __slots__ = ("_validator",)

    def __init__(self, pattern: str, flags: str) -> None:
        kept = "".join(sorted(set(flags) & set("imsx")))
        whole = rf"\A(?{kept}:{pattern})\z" if kept else rf"\A(?:{pattern})\z"
        try:
            self._validator = SchemaValidator(
                core_schema.str_schema(pattern=whole, regex_engine="rust-regex")
            )
        except SchemaError as error:
            raise ExpressionSyntaxError(messages.BAD_REGEX.format(pattern=pattern)) from error

    def matches(self, value: Json) -> bool:
        """Whether the whole text of a scalar matches. The text of null and MISSING is empty."""
        if isinstance(value, (list, dict)):
            return False
        text = "" if value is None or value is MISSING else java_text(value)
        spend(len(text) // _STEP_CHARS)
        return self._validator.isinstance_python(text)


def same(left: Json, right: Json) -> bool:
    """`==`: equality of JSON, but a number and a string are compared as the type of the left."""
    if left is MISSING or right is MISSING:
        return False
    if is_number(left) and isinstance(right, str):
        try:
            return Decimal(right) == Decimal(str(left))
        except InvalidOperation:
            return False
    if isinstance(left, str) and is_number(right):
        return left == java_text(right)
    return _identical(left, right)


def same_type(left: Json, right: Json) -> bool:
    """`===`"""
    return left is not MISSING and _identical(left, right)


def _identical(left: Json, right: Json) -> bool:
    weigh(left)
    weigh(right)
    return identity(left) == identity(right)


def _plain(items: list[Json]) -> list[Json]:
    """Returns the array that an operator searches. Raises PathError if it contains arrays or
    objects, as Jayway does.
    """
    if any(isinstance(item, (list, dict)) for item in items):
        raise PathError(messages.NOT_A_VALUE)
    return items


def _contained(item: Json, items: Json) -> bool:
    if not isinstance(items, list):
        return False
    spend(len(items))
    return any(same(item, other) for other in _plain(items))


def _among(item: Json, items: Json) -> bool:
    if not isinstance(items, (list, dict)):
        raise OperandError
    return _contained(item, items)


def _contains(left: Json, right: Json) -> bool:
    return (
        right in left
        if isinstance(left, str) and isinstance(right, str)
        else _contained(right, left)
    )


def _lists(test: Callable[[Iterator[bool]], bool], swapped: bool = False) -> "Operator":
    """An operator on two arrays: `test` gets whether each item of one is in the other."""

    def compare(left: Json, right: Json) -> bool:
        if not (isinstance(left, (list, dict)) and isinstance(right, (list, dict))):
            raise OperandError
        if isinstance(left, dict) or isinstance(right, dict):
            return False
        items, others = (_plain(right), left) if swapped else (_plain(left), right)
        return test(_contained(item, others) for item in items)

    return compare


def _ordered(compare: Callable[[Any, Any], bool]) -> "Operator":
    """Compares two numbers or two strings; False for other operands."""

    def test(left: Json, right: Json) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(*collated(left, right))
        return is_number(left) and is_number(right) and compare(left, right)

    return test


def _matches(left: Json, right: Json) -> bool:
    pattern, subject = (left, right) if isinstance(left, Regex) else (right, left)
    if not isinstance(pattern, Regex):
        return False
    return (
        any(map(pattern.matches, _plain(subject)))
        if isinstance(subject, list)
        else pattern.matches(subject)
    )


def _has_size(left: Json, right: Json) -> bool:
    return isinstance(left, (str, list)) and is_number(right) and len(left) == right


def _is_empty(left: Json, right: Json) -> bool:
    if isinstance(left, dict):
        raise PathError(messages.NOT_A_COLLECTION)  # as Jayway's cast does
    return isinstance(left, (str, list, dict)) and isinstance(right, bool) and (not left) is right


Operator: TypeAlias = Callable[[Json, Json], bool]

OPERATORS: Final[dict[str, Operator]] = {
    "==": same,
    "!=": lambda left, right: not same(left, right),
    "===": same_type,
    "!==": lambda left, right: not same_type(left, right),
    "<": _ordered(lt),
    "<=": _ordered(le),
    ">": _ordered(gt),
    ">=": _ordered(ge),
    "=~": _matches,
    "in": _among,
    "nin": lambda left, right: not _among(left, right),
    "contains": _contains,
    "subsetof": _lists(all),
    "anyof": _lists(any),
    "noneof": _lists(lambda found: not any(found)),
    "all": _lists(all, swapped=True),
    "size": _has_size,
    "empty": _is_empty,
}


# --- functions: (the value before the dot, the arguments) -> value --------------------------------
Function: TypeAlias = Callable[[Json, list[Json]], Json]


def _flat(value: Json, arguments: list[Json]) -> Iterable[Json]:
    """The items of the value, if it is an array, and of the arguments."""
    if isinstance(value, list):
        yield from value
    for argument in arguments:
        yield from argument if isinstance(argument, list) else (argument,)


def _statistic(compute: Callable[[list[float]], float]) -> Function:
    def function(value: Json, arguments: list[Json]) -> Json:
        numbers = [float(item) for item in _flat(value, arguments) if is_number(item)]
        if not numbers:
            raise PathError(messages.EMPTY_AGGREGATE)
        return compute(numbers)

    return function


def _deviation(numbers: list[float]) -> float:
    count, total = len(numbers), sum(numbers)
    return math.sqrt(
        max(0.0, sum(number * number for number in numbers) / count - total * total / count / count)
    )


def _length(value: Json, arguments: list[Json]) -> Json:
    subject = arguments[0] if arguments else value
    return len(subject) if isinstance(subject, (list, dict)) else None


def _item(value: Json, index: Json) -> Json:
    if isinstance(value, list) and isinstance(index, int) and -len(value) <= index < len(value):
        return value[index]
    if not isinstance(value, list):
        raise PathError(messages.EMPTY_AGGREGATE)
    text = (
        messages.INDEX_BOUNDS if isinstance(index, int) and index >= 0 else messages.INDEX_TOO_LARGE
    )
    raise PathError(text.format(index=java_text(index), length=len(value)))


def _concat(value: Json, arguments: list[Json]) -> Json:
    return "".join(
        java_text(item)
        for item in _flat(value, arguments)
        if isinstance(item, str) or is_number(item)
    )


FUNCTIONS: Final[dict[str, Function]] = {
    "length": _length,
    "size": _length,
    "min": _statistic(min),
    "max": _statistic(max),
    "sum": _statistic(sum),
    "avg": _statistic(lambda numbers: sum(numbers) / len(numbers)),
    "stddev": _statistic(_deviation),
    "first": lambda value, arguments: _item(value, 0),
    "last": lambda value, arguments: _item(value, -1),
    "index": lambda value, arguments: _item(value, arguments[0] if arguments else None),
    "keys": lambda value, arguments: list(value) if isinstance(value, dict) else None,
    "concat": _concat,
    "append": lambda value, arguments: [*value, *arguments] if isinstance(value, list) else value,
}
