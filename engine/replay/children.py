"""The children of Map Runs: which machine they run, and what all of them show together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from stepwell.asl.blocks import PROCESSORS, Block, every_state, inner_blocks
from stepwell.asl.definition import DISTRIBUTED
from stepwell.asl.evaluation import Json
from stepwell.engine.replay.comparison import MOST
from stepwell.engine.replay.shapes import Divergence, Replayed

_CONFIG: Final = "ProcessorConfig"


def processor(definition: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The machine that the children of a distributed Map run; None without such a Map."""
    return _processors(definition).get(name)


def most_alike(
    definition: Mapping[str, Any], states: Collection[str], label: str | None
) -> dict[str, Any] | None:
    """The machine of the Map with that label, else of the one whose children have most of these
    states; None if none has any.
    """
    found = _processors(definition)
    for name, state in every_state(definition):
        if label is not None and name in found and state.get("Label") == label:
            return found[name]

    def common(machine: Block) -> int:
        return len(dict(every_state(machine)).keys() & set(states))

    best = max(found.values(), key=common, default=None)
    return best if best is not None and common(best) else None


def plain(child: Mapping[str, Any]) -> dict[str, Any]:
    """The definition of a child, without what only its Map needs."""
    return {name: value for name, value in child.items() if name != _CONFIG}


def _processors(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The name of a distributed Map -> the machine of its children."""
    language = {name: definition[name] for name in ("QueryLanguage",) if name in definition}
    found = {}
    for name, state in every_state(definition):
        if any(each in state for each in PROCESSORS):
            (block,) = inner_blocks(state)
            if block.get(_CONFIG, {}).get("Mode") == DISTRIBUTED:
                found[name] = {**language, **plain(block)}
    return found


class Family:
    """What replays of the children of one execution have found, in bounded memory.

    replayed, differ, unknown  how many children
    not_compared  why not -> (Map Runs, children as far as they are known)
    """

    def __init__(self) -> None:
        self.replayed = self.differ = self.unknown = 0
        self.not_compared: dict[str, tuple[int, int]] = {}
        self._groups: Counter[tuple[str, str, str, str]] = Counter()
        self._examples: dict[tuple[str, str, str, str], tuple[str, Divergence]] = {}

    def add(self, state: str, name: str, result: Replayed) -> None:
        """A child of the Map `state`."""
        self.replayed += 1
        self.differ += not result.same
        self.unknown += not result.known
        if not result.same:
            first = result.divergences[0]
            group = (state, first.kind, first.state, first.change.what)
            if group in self._groups or len(self._groups) < MOST:
                self._groups[group] += 1
                self._examples.setdefault(group, (name, first))

    def skip(self, reason: str, children: int = 0) -> None:
        """A Map Run whose children are not compared."""
        runs, known = self.not_compared.get(reason, (0, 0))
        self.not_compared[reason] = runs + 1, known + children

    def count(self, other: Family) -> None:
        """The numbers of the children of another execution."""
        self.replayed += other.replayed
        self.differ += other.differ
        self.unknown += other.unknown
        self.join(other)

    def join(self, other: Family) -> None:
        """What was not compared of the children of a child."""
        for reason, (runs, children) in other.not_compared.items():
            before = self.not_compared.get(reason, (0, 0))
            self.not_compared[reason] = before[0] + runs, before[1] + children

    def divergences(self) -> list[Divergence]:
        """The first difference of the children, those of one kind together."""
        found = []
        for group, number in self._groups.most_common():
            example, first = self._examples[group]
            found.append(first._replace(map=group[0], children=number, child=example))
        return found

    def as_json(self) -> dict[str, Json]:
        return {
            "replayed": self.replayed,
            "differ": self.differ,
            "notCompared": [
                {"reason": reason, "mapRuns": runs, "children": children or None}
                for reason, (runs, children) in self.not_compared.items()
            ],
        }


def with_children(own: Replayed, family: Family) -> Replayed:
    """The result of an execution with those of its children."""
    return own._replace(
        divergences=(*own.divergences, *family.divergences()),
        known=own.known and not family.unknown,
    )
