"""The iteration order of Java's HashMap, which is visible where AWS stores members in one."""

from collections.abc import Iterable
from typing import Final

_CAPACITY: Final = 16  # buckets of a new map
_LONG_CHAIN: Final = 9  # entries of one bucket that make the map grow
_TREES: Final = 64  # buckets of a map that does not grow for a long chain: it becomes a tree


def string_hash(text: str) -> int:
    """Java's String.hashCode as an unsigned number of 32 bits."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFF_FFFF
    return value


def hash_order(keys: Iterable[str]) -> list[str]:
    """The iteration order of distinct keys that are added to a new HashMap one by one: by bucket,
    then by age.

    Not implemented: the order within a bucket that is a tree (nine keys of one bucket in a map of
    64 or more buckets).
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
