"""The order in which Java's HashMap gives its keys, which shows wherever the service puts members
into one.
"""

from collections.abc import Iterable
from typing import Final

_CAPACITY: Final = 16  # of a new map's table
_LONG_CHAIN: Final = 9  # entries of one bucket that make a table grow ...
_TREES: Final = 64  # ... as long as it is smaller: then the bucket becomes a tree


def string_hash(text: str) -> int:
    """String.hashCode, as 32 bits without a sign: over UTF-16 code units."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFF_FFFF
    return value


def hash_order(keys: Iterable[str]) -> list[str]:
    """Distinct keys, put into a new HashMap one by one, in the order of its iteration: bucket by
    bucket, the oldest first.

    Buckets that became trees (nine keys of one bucket in a table of 64 or more) keep that order
    here; in Java it is another.
    """
    buckets: dict[int, list[str]] = {}
    hashes: dict[str, int] = {}
    capacity = _CAPACITY
    for key in keys:
        spread = string_hash(key)
        hashes[key] = spread ^ spread >> 16
        chain = buckets.setdefault(hashes[key] & capacity - 1, [])
        chain.append(key)
        grown = capacity * 2 if len(chain) >= _LONG_CHAIN and capacity < _TREES else capacity
        if len(hashes) > grown * 3 // 4:
            grown *= 2
        if grown != capacity:
            capacity, buckets = grown, {}
            for each, spread in hashes.items():
                buckets.setdefault(spread & capacity - 1, []).append(each)
    return [key for bucket in sorted(buckets) for key in buckets[bucket]]
