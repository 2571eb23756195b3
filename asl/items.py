"""How the items of a Map stand: those of a Map Run, and the iterations of an inline one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class Items(NamedTuple):
    """How the items of a Map stand; those of a Map Run as DescribeMapRun counts them."""

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
    """Those of a Map that have started: how each stands, and how many stand so."""

    __slots__ = ("statuses", "tally")

    def __init__(self) -> None:
        self.statuses: dict[int, str] = {}
        self.tally = Counter[str]()

    def set(self, index: int, status: str) -> None:
        if (before := self.statuses.get(index)) is not None:
            self.tally[before] -= 1
        self.statuses[index] = status
        self.tally[status] += 1

    def that_stand(self, statuses: tuple[str, ...]) -> list[int]:
        """The indices."""
        return [index for index, each in self.statuses.items() if each in statuses]
