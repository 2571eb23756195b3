"""The counters of a worker since its start, for metrics: numbers that only grow. Counting must cost
next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCH_UNITS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """counts[i]: how many values were above bounds[i - 1] and at most bounds[i]; the last counts
    those above all bounds.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def merge(self, other: Histogram) -> None:
        """Add the values of another one with the same bounds."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts)]
        self.sum += other.sum


class Counts:
    """transitions are counted when decided, everything else when durable. ended: by status."""

    __slots__ = (
        "started",
        "ended",
        "transitions",
        "commit_seconds",
        "batch_units",
        "commit_errors",
    )

    def __init__(self) -> None:
        self.started = self.transitions = self.commit_errors = 0
        self.ended: Counter[str] = Counter()
        self.commit_seconds = Histogram(COMMIT_SECONDS)
        self.batch_units = Histogram(BATCH_UNITS)

    def committed(self, units: int, seconds: float) -> None:
        """A transaction."""
        self.batch_units.add(units)
        self.commit_seconds.add(seconds)
