"""Sets of slots as the bits of an integer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def bits(slots: Sequence[int]) -> int:
    """A bit set."""
    if not slots:
        return 0
    least, places = min(slots), 0
    for slot in slots:  # relative to the least: each step copies the set
        places |= 1 << slot - least
    return places << least


def first_missing(places: int) -> int:
    """The least slot that is not in a set."""
    return (~places & (places + 1)).bit_length() - 1


def from_runs(runs: Iterable[tuple[int, int]]) -> int:
    """The set of the slots in runs (first slot, how many)."""
    data = bytearray()
    for first, count in runs:
        end = first + count
        if len(data) < (end + 7) // 8:
            data.extend(bytes(max(len(data), (end + 7) // 8 - len(data))))
        full = -(-first // 8) * 8, end // 8 * 8  # whole bytes
        if full[0] < full[1]:
            data[full[0] // 8 : full[1] // 8] = b"\xff" * ((full[1] - full[0]) // 8)
            parts = (range(first, full[0]), range(full[1], end))
        else:
            parts = (range(first, end), range(0))
        for part in parts:
            for slot in part:
                data[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(data, "little")


def runs(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending slots as runs (first slot, how many)."""
    found: list[tuple[int, int]] = []
    first = end = -1
    for slot in slots:
        if slot != end:
            if end > first:
                found.append((first, end - first))
            first = slot
        end = slot + 1
    if end > first:
        found.append((first, end - first))
    return found


def slots_in(runs: Iterable[tuple[int, int]]) -> frozenset[int]:
    """The slots of runs (first slot, how many)."""
    return frozenset(slot for first, count in runs for slot in range(first, first + count))


def zeros(bits: int, count: int, start: int = 0) -> Iterator[int]:
    """The places of a bit set, from `start` and below `count`, whose bit is 0. It reads bytes: to
    test a bit of an integer takes time in proportion to its length.
    """
    data = bits.to_bytes(max(count, bits.bit_length()) // 8 + 1, "little")
    for place in range(start // 8, count // 8 + 1):
        if data[place] != 255:
            first = place * 8
            yield from (
                index
                for index in range(max(start, first), min(first + 8, count))
                if not data[place] >> (index & 7) & 1
            )
