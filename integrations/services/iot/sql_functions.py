"""The functions of AWS IoT's SQL, in one table, and the conversions between its types.

https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-functions.html. Names are not case
sensitive. A function returns Undefined for an argument that it does not support. Functions that
take Java regular expressions or date patterns, or call other services, are not implemented.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.asl.evaluation import MISSING
from stepwell.asl.json_text import dumps
from stepwell.integrations.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.message import Message

UNDEFINED: Final = MISSING


# --- conversions ----------------------------------------------------------------------------------


def number(value: Any) -> Any:
    """A result as SQL's number: an integer of 64 bits or a finite decimal; else Undefined."""
    if type(value) is int:
        return (
            value
            if -(2**63) <= value < 2**63
            else number(float(value))
            if abs(value) < 2**1023
            else UNDEFINED
        )
    return value if type(value) is float and math.isfinite(value) else UNDEFINED


def as_number(value: Any) -> Any:
    """A number, or the number that a string contains; else Undefined."""
    if type(value) in (int, float):
        return number(value)
    if type(value) is str and len(value) < 400:
        try:
            return number(
                int(value) if value.lstrip("+-").isdigit() and value.isascii() else float(value)
            )
        except ValueError:
            return UNDEFINED
    return UNDEFINED


def as_bool(value: Any) -> Any:
    """A Boolean, or the strings "true" and "false" in any case; else Undefined."""
    if type(value) is bool:
        return value
    return (
        {"true": True, "false": False}.get(value.lower(), UNDEFINED)
        if type(value) is str
        else UNDEFINED
    )


def to_text(value: Any) -> Any:
    """A string; numbers, Booleans, arrays and objects as JSON; null and bytes are Undefined."""
    if type(value) is str:
        return value
    return (
        UNDEFINED if value is None or value is UNDEFINED or type(value) is bytes else dumps(value)
    )


def equal(left: Any, right: Any) -> Any:
    """Undefined if a side is Undefined. A number equals a string that contains it."""
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    kinds = {type(left), type(right)}
    if kinds <= {int, float, str} and kinds != {str}:
        left, right = as_number(left), as_number(right)
        return left is not UNDEFINED and right is not UNDEFINED and left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(a, b) is True for a, b in zip(left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal(left[name], right[name]) is True for name in left
        )
    return type(left) is type(right) and left == right


# --- kinds of functions ---------------------------------------------------------------------------


class Function(NamedTuple):
    """call: (message, *values of the arguments) -> value; minimum, maximum: number of arguments."""

    call: Callable[..., Any]
    minimum: int
    maximum: int


def _values(compute: Callable[..., Any], minimum: int, maximum: int | None = None) -> Function:
    """A function of values of any type; Undefined if one is Undefined."""

    def call(message: Message, *values: Any) -> Any:
        return UNDEFINED if any(value is UNDEFINED for value in values) else compute(*values)

    return Function(call, minimum, minimum if maximum is None else maximum)


def _texts(compute: Callable[..., Any], count: int) -> Function:
    """A function of strings: arguments are converted."""

    def call(message: Message, *values: Any) -> Any:
        texts = [to_text(value) for value in values]
        return UNDEFINED if UNDEFINED in texts else compute(*texts)

    return Function(call, count, count)


def _numbers(compute: Callable[..., Any], minimum: int, maximum: int | None = None) -> Function:
    """A function of numbers: arguments are converted."""

    def call(message: Message, *values: Any) -> Any:
        numbers = [as_number(value) for value in values]
        if UNDEFINED in numbers:
            return UNDEFINED
        try:
            return number(compute(*numbers))
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            return UNDEFINED

    return Function(call, minimum, minimum if maximum is None else maximum)


def _of_message(read: Callable[..., Any], maximum: int = 0) -> Function:
    """A function of the message."""
    return Function(read, 0, maximum)


def _topic(message: Message, *values: Any) -> Any:
    if not values:
        return message.topic
    levels, at = message.topic.split("/"), values[0]
    return levels[at - 1] if type(at) is int and 0 < at <= len(levels) else UNDEFINED


def _concat(*values: Any) -> Any:
    if len(values) == 1:
        return values[0]
    if any(isinstance(value, list) for value in values):
        return [
            item for value in values for item in (value if isinstance(value, list) else [value])
        ]
    texts = [to_text(value) for value in values]
    if UNDEFINED in texts or sum(map(len, texts)) > DEFAULT_LIMITS.sql_text_chars:
        return UNDEFINED
    return "".join(texts)


def _replace(text: str, old: str, new: str) -> Any:
    size = len(text) + text.count(old) * (len(new) - len(old))
    return text.replace(old, new) if size <= DEFAULT_LIMITS.sql_text_chars else UNDEFINED


def _substring(value: Any, start: Any, end: Any = None) -> Any:
    text = to_text(value)
    if text is UNDEFINED or type(start) is not int or type(end) not in (int, type(None)):
        return UNDEFINED
    return text[start:end] if start >= 0 and (end is None or end >= start) else UNDEFINED


def _encode(value: Any, scheme: Any) -> Any:
    if scheme != "base64":
        return UNDEFINED
    data = (
        value
        if type(value) is bytes
        else None
        if (text := to_text(value)) is UNDEFINED
        else text.encode()
    )
    return UNDEFINED if data is None else base64.b64encode(data).decode()


def _decode(value: Any, scheme: Any) -> Any:
    if scheme != "base64" or type(value) is not str:
        return UNDEFINED
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return UNDEFINED


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key, UNDEFINED)
    return (
        value[key]
        if isinstance(value, (list, str)) and type(key) is int and 0 <= key < len(value)
        else UNDEFINED
    )


def _round(value: Any) -> Any:
    """Halves are rounded away from zero."""
    return (
        value
        if type(value) is int
        else math.floor(value + 0.5)
        if value >= 0
        else math.ceil(value - 0.5)
    )


def _trunc(value: Any, digits: Any = 0) -> Any:
    scale = 10.0 ** int(digits)
    return math.trunc(value) if digits == 0 else math.trunc(value * scale) / scale


def _power(base: Any, exponent: Any) -> Any:
    exact = (
        type(base) is int
        and type(exponent) is int
        and exponent >= 0
        and (abs(base) < 2 or exponent < 64)
    )
    return base**exponent if exact and abs(exponent) < 64 else math.pow(base, exponent)


def _modulo(left: Any, right: Any) -> Any:
    return (
        math.fmod(left, right)
        if type(left) is float or type(right) is float
        else int(math.copysign(abs(left) % abs(right), left))
    )


def _bits(compute: Callable[[int, int], int]) -> Function:
    return _values(
        lambda left, right: (
            compute(left, right) if type(left) is int and type(right) is int else UNDEFINED
        ),
        2,
    )


def _hash(name: str) -> Function:
    return _texts(
        lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest(), 1
    )


def _coalesce(message: Message, *values: Any) -> Any:
    return next(
        (value for value in values if value is not UNDEFINED and value is not None), UNDEFINED
    )


_MAX_ARGUMENTS: Final = 64

# --- the table ------------------------------------------------------------------------------------

FUNCTIONS: Final[Mapping[str, Function]] = {
    # of the message
    "accountid": _of_message(lambda message: message.account),
    "clientid": _of_message(lambda message: "N/A" if message.client is None else message.client),
    "newuuid": _of_message(lambda message: message.id),
    "principal": _of_message(lambda message: UNDEFINED),
    "rand": _of_message(lambda message: message.random),
    "timestamp": _of_message(lambda message: message.time),
    "topic": _of_message(_topic, 1),
    "traceid": _of_message(lambda message: message.id),
    # of any values
    "coalesce": Function(_coalesce, 1, _MAX_ARGUMENTS),
    "concat": _values(_concat, 1, _MAX_ARGUMENTS),
    "decode": _values(_decode, 2),
    "encode": _values(_encode, 2),
    "get": _values(_get, 2),
    "isnull": Function(lambda message, value: value is None, 1, 1),
    "isundefined": Function(lambda message, value: value is UNDEFINED, 1, 1),
    "substring": _values(_substring, 2, 3),
    # of strings
    "endswith": _texts(lambda text, end: text.endswith(end), 2),
    "indexof": _texts(lambda text, part: text.find(part), 2),
    "length": _texts(len, 1),
    "lower": _texts(str.lower, 1),
    "ltrim": _texts(str.lstrip, 1),
    "md5": _hash("md5"),
    "numbytes": _texts(lambda text: len(text.encode()), 1),
    "replace": _texts(_replace, 3),
    "rtrim": _texts(str.rstrip, 1),
    "sha1": _hash("sha1"),
    "sha224": _hash("sha224"),
    "sha256": _hash("sha256"),
    "sha384": _hash("sha384"),
    "sha512": _hash("sha512"),
    "startswith": _texts(lambda text, begin: text.startswith(begin), 2),
    "trim": _texts(str.strip, 1),
    "upper": _texts(str.upper, 1),
    # of numbers
    "abs": _numbers(abs, 1),
    "acos": _numbers(math.acos, 1),
    "asin": _numbers(math.asin, 1),
    "atan": _numbers(math.atan, 1),
    "atan2": _numbers(math.atan2, 2),
    "bitand": _bits(lambda left, right: left & right),
    "bitor": _bits(lambda left, right: left | right),
    "bitxor": _bits(lambda left, right: left ^ right),
    "bitnot": _values(lambda value: ~value if type(value) is int else UNDEFINED, 1),
    "ceil": _numbers(math.ceil, 1),
    "cos": _numbers(math.cos, 1),
    "cosh": _numbers(math.cosh, 1),
    "exp": _numbers(math.exp, 1),
    "floor": _numbers(math.floor, 1),
    "ln": _numbers(math.log, 1),
    "log": _numbers(math.log10, 1),
    "mod": _numbers(_modulo, 2),
    "nanvl": Function(
        lambda message, value, other: other if as_number(value) is UNDEFINED else value, 2, 2
    ),
    "power": _numbers(_power, 2),
    "remainder": _numbers(_modulo, 2),
    "round": _numbers(_round, 1),
    "sign": _numbers(lambda value: (value > 0) - (value < 0), 1),
    "sin": _numbers(math.sin, 1),
    "sinh": _numbers(math.sinh, 1),
    "sqrt": _numbers(math.sqrt, 1),
    "tan": _numbers(math.tan, 1),
    "tanh": _numbers(math.tanh, 1),
    "trunc": _numbers(_trunc, 1, 2),
}
