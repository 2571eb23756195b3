"""What the executions of a state machine have covered of it: states, rules of Choices, branches,
catchers and retriers. Pure.

    coverage = Coverage(definition)
    for history in histories:
        coverage.add(history)
    coverage.tally()[RULE]      Tally(covered=2, total=3)
    coverage.missed()           the points that no execution has reached

A retrier is covered when it has caused a retry, a catcher when it has caught an error, a rule when
it has decided, a branch (of a Map: its ItemProcessor) when one of its iterations has begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from stepwell.asl.definition import (
    Branch,
    Catcher,
    ChoiceState,
    MapState,
    ParallelState,
    Retrier,
    State,
    StateMachine,
    TaskState,
)
from stepwell.asl.error_matching import matches
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.passages import Passages
from stepwell.asl.histories.reevaluation import DEFAULT, Reevaluation
from stepwell.asl.histories.state_visits import CAUGHT, Event, Visit
from stepwell.asl.json_text import item, member
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.messages import HEARTBEAT_TIMEOUT, TIMEOUT

STATE: Final = "state"
RULE: Final = "rule"
BRANCH: Final = "branch"
CATCHER: Final = "catcher"
RETRIER: Final = "retrier"
KINDS: Final = (STATE, RULE, BRANCH, CATCHER, RETRIER)


class Point(NamedTuple):
    """kind      one of KINDS
    state     the state that it is, or belongs to
    place     of the rule, branch, catcher or retrier, from 0; of Default: reevaluation.DEFAULT
    location  JSON pointer, as of diagnostics
    errors    of a catcher or retrier: its ErrorEquals
    target    of a branch: its first state; of a catcher: its Next
    """

    kind: str
    state: str
    place: int
    location: str
    errors: tuple[str, ...] = ()
    target: str = ""


class Tally(NamedTuple):
    """covered of total points"""

    covered: int
    total: int

    @property
    def percent(self) -> float:
        """100 if there is nothing to cover."""
        return 100 * self.covered / self.total if self.total else 100.0


class Coverage:
    """executions  how many were added
    passages    of all of them
    """

    def __init__(self, definition: StateMachine, limits: Limits = DEFAULT_LIMITS) -> None:
        self.definition, self._limits = definition, limits
        self.executions, self.passages = 0, Passages()
        self.points = tuple(_points(definition, ""))
        self._handlers: dict[tuple[str, str], list[Point]] = {}
        for point in self.points:
            self._handlers.setdefault((point.kind, point.state), []).append(point)
        self._handled: Counter[Point] = Counter()  # retries and caught errors

    def add(self, events: Iterable[Event], source: Reevaluation | None = None) -> None:
        """The history of one execution, also of one that a distributed Map has started: AWS's
        shape with times in epoch seconds, in any order.
        """
        self.executions += 1
        source = source or Reevaluation(self.definition, self._limits)
        visits, retries = Visits(source=source), Counter[Visit]()
        for event in sorted(events, key=lambda each: each["id"]):
            visit = visits.feed(event)
            if visit is None:
                continue
            self.passages.see(event, visit, source)
            if visit.retries > retries[visit]:
                retries[visit] = visit.retries
                self._handle(RETRIER, visit, "")
            before = visit.before
            if event["id"] == visit.entered and before is not None and before.status == CAUGHT:
                self._handle(CATCHER, before, visit.name)

    def _handle(self, kind: str, visit: Visit, target: str) -> None:
        """Count the first retrier or catcher of a visit's state that covers its error."""
        errors = [visit.error, *([HEARTBEAT_TIMEOUT] if visit.error == TIMEOUT else [])]
        for point in self._handlers.get((kind, visit.name), ()):
            if any(matches(point.errors, error) for error in errors) and target in (
                "",
                point.target,
            ):
                self._handled[point] += 1
                return

    def merge(self, other: Coverage) -> None:
        """Add what was counted of the same definition elsewhere."""
        self.executions += other.executions
        self._handled += other._handled
        for name in Passages.__slots__:
            getattr(self.passages, name).update(getattr(other.passages, name))

    def hits(self, point: Point) -> int:
        """How often it was reached."""
        match point.kind:
            case "state":
                return self.passages.entered[point.state]
            case "rule":
                return self.passages.rules[point.state, point.place]
            case "branch":
                return self.passages.first[point.target]
            case _:
                return self._handled[point]

    def missed(self) -> list[Point]:
        """In the order of the definition."""
        return [point for point in self.points if not self.hits(point)]

    def tally(self) -> dict[str, Tally]:
        """Of each kind that the definition has."""
        totals = Counter(point.kind for point in self.points)
        missed = Counter(point.kind for point in self.missed())
        return {
            kind: Tally(totals[kind] - missed[kind], totals[kind]) for kind in KINDS if totals[kind]
        }

    @property
    def total(self) -> Tally:
        return Tally(len(self.points) - len(self.missed()), len(self.points))


def _points(block: Branch | StateMachine, at: str) -> Iterator[Point]:
    for name, state in block.states.items():
        here = member(f"{at}/States", name)
        yield Point(STATE, name, 0, here)
        if isinstance(state, ChoiceState):
            for index in range(len(state.choices)):
                yield Point(RULE, name, index, item(f"{here}/Choices", index))
            if state.default is not None:
                yield Point(RULE, name, DEFAULT, f"{here}/Default")
        if isinstance(state, TaskState | ParallelState | MapState):
            yield from _handlers(RETRIER, name, f"{here}/Retry", state.retry or ())
            yield from _handlers(CATCHER, name, f"{here}/Catch", state.catch or ())
        for index, (branch, place) in enumerate(_branches(state, here)):
            yield Point(BRANCH, name, index, place, target=branch.start_at)
            yield from _points(branch, place)


def _handlers(
    kind: str, state: str, at: str, handlers: Iterable[Retrier | Catcher]
) -> Iterator[Point]:
    for index, each in enumerate(handlers):
        target = each.next if isinstance(each, Catcher) else ""
        yield Point(kind, state, index, item(at, index), tuple(each.error_equals), target)


def _branches(state: State, at: str) -> Iterator[tuple[Branch, str]]:
    if isinstance(state, ParallelState):
        for index, branch in enumerate(state.branches):
            yield branch, item(f"{at}/Branches", index)
    elif isinstance(state, MapState):
        for field, block in (("ItemProcessor", state.item_processor), ("Iterator", state.iterator)):
            if block is not None:
                yield block, f"{at}/{field}"
