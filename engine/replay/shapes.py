"""What a replay reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stepwell.asl.diff.shapes import Change
from stepwell.asl.evaluation import MISSING, Json

# kinds of divergences, as people read them
NEXT = "next state"
INPUT = "task input"
RESOURCE = "task resource"
TIME_LIMIT = "time limit"
RETRY = "retry"
DELAY = "retry delay"
WAIT = "wait"
CONCURRENCY = "concurrency"
ITEMS = "items"
OUTPUT = "output"
VARIABLES = "variables"
ERROR = "error"
STATUS = "status"
UNKNOWN = "not recorded"
KINDS: Final = (
    NEXT, INPUT, RESOURCE, TIME_LIMIT, RETRY, DELAY, WAIT, CONCURRENCY, ITEMS, OUTPUT, VARIABLES,
    ERROR, STATUS, UNKNOWN,
)  # fmt: skip


class Divergence(NamedTuple):
    """Where a run with another definition differs from the recording.

    kind      one of KINDS
    state     name in the new definition; "" for the execution itself
    visit     of the state, from 1
    change    what differs: `old` is recorded, `new` is what would be

    Of children of a Map Run, whose first difference is of this kind:

    map       the name of the Map
    children  how many
    child     the name of one
    """

    kind: str
    state: str
    visit: int
    change: Change
    map: str = ""
    children: int = 0
    child: str = ""


class Replayed(NamedTuple):
    """The result of a replay of one execution.

    arn           of the execution
    divergences   in the order in which they happen; empty: the same
    known         whether the end is known: False if a result was needed that is not recorded
    unrepeatable  divergences that the old definition has too: random values of another engine, or
                  facts that a history lacks. They are no effect of the change
    """

    arn: str
    divergences: tuple[Divergence, ...]
    known: bool
    unrepeatable: tuple[Divergence, ...] = ()

    @property
    def same(self) -> bool:
        return not self.divergences


def as_json(replayed: Replayed) -> Mapping[str, Json]:
    """A Replayed as JSON."""

    def shown(each: Divergence) -> dict[str, Json]:
        sides = {"recorded": each.change.old, "new": each.change.new}
        present = {name: value for name, value in sides.items() if value is not MISSING}
        found = {
            "kind": each.kind,
            "state": each.state or None,
            "visit": each.visit or None,
            "what": each.change.what,
            **present,
        }
        if each.children:
            found |= {"map": each.map, "children": each.children, "child": each.child}
        return found

    return {
        "executionArn": replayed.arn,
        "same": replayed.same,
        "known": replayed.known,
        "differences": [shown(each) for each in replayed.divergences],
        "unrepeatable": len(replayed.unrepeatable),
    }
