"""What a few executions say about a failure rate or a duration. Pure.

wilson       the interval of a rate           Wilson 1927, 95 %
fisher       whether two rates differ         Fisher's exact test, two-sided
rank_test    whether two durations differ     Mann-Whitney U, normal approximation
needed       how many executions show a rise  normal approximation, power 80 %
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_Z: Final = 1.959964  # 95 %, two-sided
_POWER: Final = 0.841621  # 80 %


def wilson(failed: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a failure rate; (0, 1) without an execution."""
    if not total:
        return 0.0, 1.0
    rate, square = failed / total, _Z * _Z
    middle = rate + square / (2 * total)
    spread = _Z * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total))
    whole = 1 + square / total
    low, high = (middle - spread) / whole, (middle + spread) / whole
    return (0.0 if not failed else low), (1.0 if failed == total else high)


def fisher(failed: int, total: int, other_failed: int, other_total: int) -> float:
    """The probability of failures as unequal as these if both rates are the same."""
    failures, everything = failed + other_failed, total + other_total

    def weight(number: int) -> float:
        """The logarithm of the probability that so many failures are of the first."""
        return (
            _choose(total, number)
            + _choose(other_total, failures - number)
            - _choose(everything, failures)
        )

    seen = weight(failed) + 1e-9
    possible = range(max(0, failures - other_total), min(total, failures) + 1)
    return min(1.0, sum(math.exp(each) for number in possible if (each := weight(number)) <= seen))


def _choose(total: int, number: int) -> float:
    """The logarithm of the number of ways."""
    return math.lgamma(total + 1) - math.lgamma(number + 1) - math.lgamma(total - number + 1)


def rank_test(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability of samples as unequal as these if both come from the same distribution; 1.0
    with fewer than eight values of one of them.
    """
    sizes = len(one), len(other)
    if min(sizes) < 8:
        return 1.0
    ordered = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = ties = 0.0
    place = 0
    while place < len(ordered):
        end = place
        while end < len(ordered) and ordered[end][0] == ordered[place][0]:
            end += 1
        equal = end - place
        ties += equal**3 - equal
        rank = (place + 1 + end) / 2
        ranks += rank * sum(1 for _, side in ordered[place:end] if side == 0)
        place = end
    every = sum(sizes)
    product = sizes[0] * sizes[1]
    spread = math.sqrt(product / 12 * ((every + 1) - ties / (every * (every - 1))))
    if not spread:
        return 1.0
    statistic = abs(ranks - sizes[0] * (sizes[0] + 1) / 2 - product / 2)
    return math.erfc(max(0.0, statistic - 0.5) / spread / math.sqrt(2))


def needed(rate: float, rise: float) -> int:
    """How many executions of each version show a rise of a failure rate."""
    new = min(1.0, rate + rise)
    spread = rate * (1 - rate) + new * (1 - new)
    return max(1, math.ceil((_Z + _POWER) ** 2 * spread / (new - rate) ** 2)) if new > rate else 1


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of a sorted sequence that is not empty: the nearest rank."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
