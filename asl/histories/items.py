"""Counts of the items of a Map by status: of a Map Run, and of an inline Map's iterations. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class Items(NamedTuple):
    """Numbers of items by status, as in DescribeMapRun's itemCounts."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0
    running: int = 0
    pending: int = 0
    pending_redrive: int = 0

    @classmethod
    def of_map_run(cls, answer: Mapping[str, Any]) -> Items:
        """From DescribeMapRun's answer."""
        counts = answer["itemCounts"]
        return cls(*(counts.get(_camel(name), 0) for name in cls._fields))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


class Iterations:
    """The started iterations of a Map: index -> status, and status -> number."""

    __slots__ = ("statuses", "tally")

    def __init__(self) -> None:
        self.statuses: dict[int, str] = {}
        self.tally = Counter[str]()

    def set(self, index: int, status: str) -> None:
        if (before := self.statuses.get(index)) is not None:
            self.tally[before] -= 1
        self.statuses[index] = status
        self.tally[status] += 1

    def with_status(self, statuses: tuple[str, ...]) -> list[int]:
        """The indices of the iterations with one of the statuses."""
        return [index for index, each in self.statuses.items() if each in statuses]
