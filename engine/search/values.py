"""Values of search attributes as bytes, in whose order ranges are found.

    null z   false b0   true b1   string s + UTF-8   number n + 8 bytes in the order of numbers

Of a long string the first CHARS count. Integers that a double cannot tell apart have their digits
after it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

CHARS: Final = 256  # of a string; a search for more finds what begins so
_EXACT: Final = 1 << 53
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
    exact = b"" if isinstance(value, float) or abs(value) <= _EXACT else b"%d" % value
    return struct.pack(">Q", ordered) + exact


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
