"""What people are shown of an execution and of each of its states: ONE derivation for page,
pictures and command. Pure.

    visits = Visits(events, Reevaluation(definition))
    of_state(visits, "Ship", now) -> State           execution(visits, now) -> Execution

A state that was visited often is shown by its last visit; inside a Map, by the last visit of each
iteration: one that runs makes it running, then one that failed makes it failed, and so on. A state
that most iterations have passed and that was aborted in others has succeeded: how many were aborted
is told beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Final, NamedTuple

from stepwell.asl import state_visits as v
from stepwell.asl.history_visits import Visits
from stepwell.asl.items import Items
from stepwell.asl.state_visits import Visit

NOT_RUN: Final = "not run"
RANKS: Final = (
    v.RUNNING,
    v.FAILED,
    v.TIMED_OUT,
    v.CAUGHT,
    v.SUCCEEDED,
    v.ABORTED,
)  # the first that any iteration has is the state's


class Waiting(NamedTuple):
    """What an open visit waits for (visits.CALLBACK, WORKER, ...), since when, until when if that
    is known, and with which task token.
    """

    visit: Visit
    kind: str
    until: float | None
    token: str | None


class State(NamedTuple):
    """How a state stands.

    status    one of RANKS, or NOT_RUN               visits   how often it was entered
    active    visits that run                        aborted  iterations in which it was aborted, if
              it has another status
    seconds   how long its last visit took, or has taken; of several iterations the median of those
              that ended, or the longest of those that run; None if nothing tells
    several   it is shown by more than one visit     retries, redrives   of all of its visits
    items     of a Map, None for others              error, cause        of a failure that made the
              status
    waiting   what the first of its open visits waits for
    """

    status: str
    visits: int = 0
    active: int = 0
    aborted: int = 0
    seconds: float | None = None
    several: bool = False
    retries: int = 0
    redrives: int = 0
    items: Items | None = None
    error: str | None = None
    cause: str | None = None
    waiting: Waiting | None = None


class Failure(NamedTuple):
    """Which state made an execution fail, with which error (None: it has no name), and on which
    way.

    caught  the visits on the way to it whose failure was caught: a saga fails by a Fail state, and
            what went wrong is the first of these
    """

    visit: Visit
    error: str | None
    cause: str | None
    caught: tuple[Visit, ...]


class Execution(NamedTuple):
    """How an execution stands. seconds: up to its end, or to now."""

    status: str
    start: float
    end: float | None
    seconds: float
    events: int
    transitions: int
    redrives: int
    failure: Failure | None
    waiting: tuple[Waiting, ...]


def current(visits: Visits, name: str) -> list[Visit]:
    """The visits by which a state is shown: the last one of each iteration, in the last visit of
    the state of the top level around it.
    """
    every = visits.named.get(name, [])
    if every and every[-1].parent is None:
        return every[-1:]
    top = next((each.around()[:1] for each in reversed(every)), [])
    last: dict[tuple[int | None, ...], Visit] = {}
    for visit in every:
        around = visit.around()
        if around[:1] == top:
            last[(*(each.index for each in around), visit.index)] = visit
    return list(last.values())


def of_state(visits: Visits, name: str, now: float) -> State:
    """How a state stands; now: epoch seconds."""
    return _stands(visits.named.get(name, []), current(visits, name), now)


def of_visit(visit: Visit, now: float) -> State:
    """The same of one visit."""
    return _stands([visit], [visit], now)


def _stands(every: list[Visit], shown: list[Visit], now: float) -> State:
    """every: whose retries count; shown: those that count otherwise."""
    if not shown:
        return State(NOT_RUN)
    tally = Counter(each.status for each in shown)
    status = next(each for each in RANKS if tally[each])
    blamed = next(
        (
            each
            for each in reversed(shown)
            if each.status == status and (each.error is not None or each.cause is not None)
        ),
        None,
    )
    told = blamed if blamed is not None and status in (v.FAILED, v.CAUGHT, v.TIMED_OUT) else None
    return State(
        status,
        len(every),
        tally[v.RUNNING],
        tally[v.ABORTED] if status != v.ABORTED else 0,
        _seconds(shown, status, now),
        len(shown) > 1,
        sum(each.retries for each in every),
        sum(each.redrives for each in every),
        _items(shown),
        None if told is None else told.error,
        None if told is None else told.cause,
        next((waiting(each) for each in shown if each.waiting), None),
    )


def _seconds(shown: list[Visit], status: str, now: float) -> float | None:
    if status == v.RUNNING:  # the longest of those that run
        return max(each.seconds(now) for each in shown if each.status == status)
    took = [each.seconds(now) for each in shown if each.end is not None and each.type != "Fail"]
    return median(took) if took else None


def _items(shown: Iterable[Visit]) -> Items | None:
    found = [each.items for each in shown if each.items is not None]
    return Items(*map(sum, zip(*found, strict=True))) if found else None


def waiting(visit: Visit) -> Waiting | None:
    """What an open visit waits for, None if it waits for nothing that is known."""
    kind = visit.waiting
    if kind is None:
        return None
    return Waiting(
        visit,
        kind,
        visit.due if kind == v.TIMER else None,
        visit.token if kind == v.CALLBACK else None,
    )


def execution(visits: Visits, now: float) -> Execution:
    """How the execution stands; now: epoch seconds, for one that runs."""
    found = tuple(each for visit in visits.open.values() if (each := waiting(visit)) is not None)
    end = visits.end
    seconds = max(0.0, (now if end is None else end) - visits.start) if visits.events else 0.0
    return Execution(
        visits.status,
        visits.start,
        end,
        seconds,
        visits.events,
        visits.transitions,
        visits.redrives,
        failure(visits),
        found,
    )


def failure(visits: Visits) -> Failure | None:
    """What made the execution fail; None if it did not fail, or before any state."""
    if visits.culprit is None:
        return None
    caught = tuple(each for each in v.route(visits.culprit) if each.status == v.CAUGHT)
    return Failure(visits.culprit, visits.error, visits.cause, caught)
