"""JSON values as Java compares, sorts and prints them: AWS's implementation is in Java.

The recursive functions raise RecursionError for values that are nested too deeply for Python; their
callers turn it into an error of the state.
"""

import math
from decimal import Decimal
from typing import Final, TypeGuard

from stepwell.asl.evaluation import Json

_JAVA_CLASSES: Final = {
    str: "java.lang.String",
    bool: "java.lang.Boolean",
    float: "java.lang.Double",
    list: "java.util.ArrayList",
}


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether a value is a JSON number; a bool, which is an int in Python, is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def identity(value: Json) -> object:
    """A hashable key of a value: two values are equal JSON if and only if their keys are equal (1
    equals 1.0, true does not equal 1).
    """
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return list, *map(identity, value)
    if isinstance(value, dict):
        return dict, frozenset((key, identity(item)) for key, item in value.items())
    return value


def collated(left: str, right: str) -> tuple[str, str] | tuple[bytes, bytes]:
    """Two strings as a pair that compares like Java's String.compareTo, by UTF-16 code unit."""
    # Python compares by code point, which differs only if both have characters outside ASCII
    if left.isascii() or right.isascii():
        return left, right
    return left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass")


def rounded(number: int | float) -> int:
    """Java's Math.round: to the nearest integer, halves upwards (-1.5 -> -1)."""
    return number if isinstance(number, int) else math.floor(Decimal(number) + Decimal("0.5"))


def java_text(value: Json) -> str:
    """The text of Java's Object.toString: strings without quotes, objects as {a=1, b=[]}, numbers
    as 1.0E10.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _java_double(value)
    if isinstance(value, list):
        return f"[{', '.join(map(java_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={java_text(item)}' for key, item in value.items())}}}"
    return str(value)


def java_class(value: Json) -> str:
    """The name of the value's class in Java, 'null' for null."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        bits = value.bit_length()
        return (
            "java.lang.Integer"
            if bits < 32
            else "java.lang.Long"
            if bits < 64
            else "java.math.BigInteger"
        )
    return _JAVA_CLASSES.get(type(value), "java.util.LinkedHashMap")


def _java_double(number: float) -> str:
    """Java's Double.toString: plain from 0.001 to ten million, else with an exponent."""
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}E{int(exponent) + len(digits) - 1}"
