"""Test cases: the responses that stand in for the services of tasks.

    TestCase({
        "Charge": [Throw("Declined", "no funds"), Return({"id": 1})],  # one for each attempt
        "Ship": Return({"ok": True}),  # for every attempt
        "Price": lambda payload: {"total": 3 * payload["count"]},
        "Notify": Items({0: Return("sent")}, default=Throw("Offline")),  # by Map iteration
    })

Attempts of a state are counted in the execution, from 0: retries, loops and the iterations of a Map
take the next response, as in Step Functions Local. Where a Map iteration finds no response by that
count, its retries count, as in LocalStack. With Items, each iteration counts by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl.evaluation import Json
from stepwell.engine.tasks import MockedAttempt


@dataclass(frozen=True, slots=True)
class Return:
    """The result of a task: of `.sync` and `.waitForTaskToken`, too, its final one."""

    value: Json


@dataclass(frozen=True, slots=True)
class Throw:
    """The failure of a task. States.Timeout and States.HeartbeatTimeout are its time limits."""

    error: str | None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """No answer: the task runs until a time limit, a stop or the failure of a sibling ends it."""


Response: TypeAlias = Return | Throw | Pending | Callable[[Json], Any]
"""A callable gets the task's payload. It may be async; what it raises is the task's failure."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A response of the attempts `first` to `last`; None: of all further ones.

    place    in the mock file: "file:line:column"
    checked  against the model of the service, when it is used
    after    seconds, in the time of the engine's clock, that the task takes
    """

    first: int
    last: int | None
    response: Response
    place: str = ""
    checked: bool = True
    after: float = 0.0

    @property
    def numbers(self) -> str:
        if self.last is None:
            return f"{self.first} and later"
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def covers(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """The responses to a state, or to one of its iterations.

    name   in the mock file
    place  of the reference to it: "file:line:column"
    """

    steps: tuple[Step, ...]
    name: str = ""
    place: str = ""

    @property
    def undefined(self) -> bool:
        """The mock file has no response of this name."""
        return bool(self.name) and not self.steps

    def at(self, number: int) -> Step | None:
        return next((step for step in self.steps if step.covers(number)), None)


def whole_results(mock: Responses) -> list[dict[str, Json]] | None:
    """For Mocks.whole; None: a response is neither Return nor Throw."""
    results: list[dict[str, Json]] = []
    for step in mock.steps:
        match step.response:
            case Return(value):
                results.append({"last": step.last, "output": value})
            case Throw(error, cause):
                results.append({"last": step.last, "error": error, "cause": cause})
            case _:
                return None
    return results


Plan: TypeAlias = Response | Sequence[Response] | Responses
"""One response for every attempt, or one for each."""


def responses(plan: Plan) -> Responses:
    if isinstance(plan, Responses):
        return plan
    if isinstance(plan, Sequence):
        return Responses(tuple(Step(number, number, each) for number, each in enumerate(plan)))
    return Responses((Step(0, None, plan),))


class Iterations(NamedTuple):
    """Which iterations of a Map, or children of a Map Run, are meant: "2", "1-3"; "4.2" is number 2
    of the inner Map in number 4 of the outer one; "2@1" is number 2 when the Map starts for the
    second time.

    outer    (indexes, run) of the Maps around the innermost one; run: None: any
    indexes  of the innermost Map
    """

    outer: tuple[tuple[range, int | None], ...]
    indexes: range
    run: int | None

    def match(self, path: Sequence[tuple[int, int]]) -> bool:
        parts = (*self.outer, (self.indexes, self.run))
        return len(path) >= len(parts) and all(
            index in indexes and wanted in (None, run)
            for (indexes, wanted), (index, run) in zip(parts, path[-len(parts) :])
        )

    @property
    def exactness(self) -> int:
        """Of several that match, the most exact one counts."""
        runs = (run for _, run in (*self.outer, (self.indexes, self.run)))
        return 2 * len(self.outer) + sum(run is not None for run in runs)

    def overlaps(self, other: Iterations) -> bool:
        """Whether both are equally exact, and match one path."""
        same = (self.outer, self.run) == (other.outer, other.run)
        mine, its = self.indexes, other.indexes
        return same and mine[0] <= its[-1] and its[0] <= mine[-1]


ItemKey: TypeAlias = int | range | str | Iterations
_PART: Final = re.compile(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?(?:@(\d{1,9}))?\s*", re.ASCII)


def iterations(key: ItemKey) -> Iterations | None:
    """None: the text is none of iterations."""
    if isinstance(key, Iterations):
        return key
    if not isinstance(key, str):
        return Iterations((), range(key, key + 1) if isinstance(key, int) else key, None)
    parts: list[tuple[range, int | None]] = []
    for text in key.split("."):
        match = _PART.fullmatch(text)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return None
        indexes = range(int(match[1]), int(match[2] or match[1]) + 1)
        parts.append((indexes, None if match[3] is None else int(match[3])))
    return Iterations(tuple(parts[:-1]), *parts[-1])


class Items:
    """Responses by the iteration of a Map, or by the child of a Map Run.

    by_item  an index, a range of them, or a text (see Iterations) -> the responses
    default  of the other iterations
    Raises ValueError.
    """

    def __init__(self, by_item: Mapping[ItemKey, Plan], default: Plan | None = None) -> None:
        found: list[tuple[Iterations, Responses]] = []
        for key, plan in by_item.items():
            parsed = iterations(key)
            if parsed is None:
                raise ValueError(f"{key!r} is not the index of an iteration")
            found.append((parsed, responses(plan)))
        found.sort(key=lambda each: -each[0].exactness)
        self.by_item: Final = tuple(found)
        self.default: Final = None if default is None else responses(default)

    def of(self, path: Sequence[tuple[int, int]]) -> Responses | None:
        found = (each for where, each in self.by_item if where.match(path))
        return next(found, self.default)

    def map(self, change: Callable[[Responses], Responses]) -> Items:
        default = None if self.default is None else change(self.default)
        return Items({where: change(each) for where, each in self.by_item}, default)


class TestCase:
    """The mocked states of one state machine: other states call what they would call without it.

    states   name -> responses, or Items
    place    in the mock file: "file:line:column"
    machine  what texts write before the names of its states: "Child" for "Child/Charge"
    """

    __test__ = False  # it is not a class of tests

    def __init__(
        self,
        states: Mapping[str, Plan | Items],
        name: str = "mocks",
        place: str = "",
        machine: str = "",
    ) -> None:
        self.name, self.place, self.machine = name, place, machine
        self.states: Final[dict[str, Responses | Items]] = {
            state: plan if isinstance(plan, Items) else responses(plan)
            for state, plan in states.items()
        }

    def unchecked(self, states: Container[str]) -> TestCase:
        """With these states alone, and results that are not checked when they are used."""
        plain: Callable[[Responses], Responses] = lambda each: replace(
            each, steps=tuple(replace(step, checked=False) for step in each.steps)
        )
        chosen: dict[str, Plan | Items] = {}
        for state, mock in self.states.items():
            if state in states:
                chosen[state] = plain(mock) if isinstance(mock, Responses) else mock.map(plain)
        return TestCase(chosen, self.name, self.place)

    def shown(self, state: str) -> str:
        """A state, as texts name it."""
        return f"{self.machine}/{state}" if self.machine else state

    def responses(self, attempt: MockedAttempt) -> Responses | None:
        """Of the state or its part, in the iteration that the attempt is in."""
        mock = self.states[attempt.key]
        return mock.of(attempt.iteration) if isinstance(mock, Items) else mock

    def step(self, attempt: MockedAttempt) -> Step | None:
        """The response to an attempt; None: there is none left."""
        found = self.responses(attempt)
        if found is None:
            return None
        if isinstance(self.states[attempt.key], Items):
            return found.at(attempt.iteration_number)
        step = found.at(attempt.number)
        if step is None and attempt.iteration:
            return found.at(attempt.retries)
        return step

    def all(self) -> Iterator[tuple[str, Responses]]:
        """(state, responses) of every state and iteration."""
        for state, mock in self.states.items():
            if isinstance(mock, Responses):
                yield state, mock
            else:
                default = () if mock.default is None else (mock.default,)
                yield from ((state, each) for each in (*(r for _, r in mock.by_item), *default))
