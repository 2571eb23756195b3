"""Values of search attributes as bytes, in whose order ranges are found.

    null z   false b0   true b1   string s + UTF-8   number n + 8 bytes in the order of numbers

Of a long string the first CHARS count. Integers of 54 to 64 bits, such as identifiers, which a
double cannot tell apart, have 2 bytes more: how far they are from their double.
"""

from __future__ import annotations

import struct
import sys
from typing import Final, NamedTuple

CHARS: Final = 256  # of a string; a search for more finds what begins so
_EXACT: Final = 1 << 53  # up to it, a double is the integer
_LARGEST: Final = 1 << 64
_MIDDLE: Final = 1 << 15
_SIGN: Final = 1 << 63
_ALL_BITS: Final = (1 << 64) - 1

Scalar = str | int | float | bool | None


class Range(NamedTuple):
    """Values from `low` to below `high`."""

    low: bytes
    high: bytes

    @property
    def single(self) -> bool:
        """Whether it is one value."""
        return self.high == after(self.low)


def encode(value: Scalar) -> bytes:
    if value is None:
        return b"z"
    if isinstance(value, bool):
        return b"b1" if value else b"b0"
    if isinstance(value, str):
        return b"s" + value[:CHARS].encode(errors="replace")
    return b"n" + _number(value)


def _number(value: int | float) -> bytes:
    try:
        double = float(value) + 0.0  # -0.0 is 0.0
    except OverflowError:
        double = float("inf") if value > 0 else float("-inf")
    (bits,) = struct.unpack(">Q", struct.pack(">d", double))
    ordered = bits ^ (_ALL_BITS if bits & _SIGN else _SIGN)
    encoded = struct.pack(">Q", ordered)
    if not _EXACT <= abs(double) <= _LARGEST:
        return encoded
    return encoded + struct.pack(">H", _MIDDLE + int(value) - int(double))


def decode(encoded: bytes) -> Scalar:
    """The value; a number without a fraction as an integer."""
    kind, rest = encoded[:1], encoded[1:]
    if kind == b"s":
        return rest.decode(errors="replace")
    if kind == b"b":
        return rest == b"1"
    return None if kind == b"z" else _decoded(rest)


def _decoded(number: bytes) -> int | float:
    (ordered,) = struct.unpack(">Q", number[:8])
    bits = ordered ^ (_SIGN if ordered & _SIGN else _ALL_BITS)
    double: float
    (double,) = struct.unpack(">d", struct.pack(">Q", bits))
    if len(number) > 8:
        return int(double) + int.from_bytes(number[8:]) - _MIDDLE
    if double.is_integer():
        return int(double)
    return max(-sys.float_info.max, min(double, sys.float_info.max))  # JSON has no infinity


def after(encoded: bytes) -> bytes:
    """The least value that is greater."""
    return encoded + b"\0"


def equal(value: Scalar) -> Range:
    encoded = encode(value)
    return Range(encoded, after(encoded))


def beginning(prefix: str) -> Range:
    """Strings that begin so."""
    encoded = encode(prefix)
    return Range(encoded, encoded + b"\xff")  # no UTF-8 has this byte


def compared(operator: str, value: str | int | float) -> Range:
    """Values of the same kind that are so. operator: <, <=, > or >="""
    encoded = encode(value)
    kind = encoded[:1]
    if operator.startswith("<"):
        return Range(kind, after(encoded) if operator == "<=" else encoded)
    return Range(encoded if operator == ">=" else after(encoded), bytes([kind[0] + 1]))
