"""Summaries of an execution and of its states, for the page, the pictures and the command. Pure.

    visits = Visits(events, Reevaluation(definition))
    of_state(visits, "Ship", now) -> State           execution(visits, now) -> Execution

The summary of a state is that of its last visit; inside a Map, that of the last visit of each
iteration, whose statuses are combined by RANKS: one running visit makes the state running, else one
failed visit makes it failed, and so on. A state that succeeded in some iterations and was aborted
in others has succeeded; the number of aborted ones is a field of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Final, NamedTuple

from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.state_visits import Visit

NOT_RUN: Final = "not run"
RANKS: Final = (
    v.RUNNING,
    v.FAILED,
    v.TIMED_OUT,
    v.CAUGHT,
    v.SUCCEEDED,
    v.ABORTED,
)  # the state has the first of these that any iteration has


class Waiting(NamedTuple):
    """What an open visit waits for. kind: CALLBACK, WORKER, ... of state_visits; until: epoch
    seconds, if known; token: the task token of a callback.
    """

    visit: Visit
    kind: str
    until: float | None
    token: str | None


class State(NamedTuple):
    """The summary of a state.

    status             one of RANKS, or NOT_RUN
    visits             how often it was entered
    active             number of running visits
    aborted            number of iterations in which it was aborted, if it has another status
    seconds            duration of its last visit; of several iterations the median of those that
                       ended, or the longest of those that run; None if unknown
    several            whether it summarizes more than one visit
    retries, redrives  of all its visits
    items              of a Map, else None
    error, cause       of the failure that determined the status
    waiting            of the first of its open visits that waits
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
    """The failure of an execution.

    visit         of the state that made it fail
    error, cause  of the execution; error: None if it has no name
    caught        the earlier visits on its route whose failure was caught: in a saga, which ends in
                  a Fail state, the first of them is the origin
    """

    visit: Visit
    error: str | None
    cause: str | None
    caught: tuple[Visit, ...]


class Execution(NamedTuple):
    """The summary of an execution. start, end: epoch seconds; seconds: until its end, or now."""

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
    """The visits that a state's summary is made from: the last one of each iteration, within the
    last visit of the top-level state around it.
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
    """The summary of a state. now: epoch seconds, for running visits."""
    return _summary(visits.named.get(name, []), current(visits, name), now)


def of_visit(visit: Visit, now: float) -> State:
    """The summary of one visit."""
    return _summary([visit], [visit], now)


def _summary(every: list[Visit], shown: list[Visit], now: float) -> State:
    """every: counted in visits, retries and redrives; shown: in all other figures."""
    if not shown:
        return State(NOT_RUN)
    tally = Counter(each.status for each in shown)
    status = next(each for each in RANKS if tally[each])
    failed = next(
        (
            each
            for each in reversed(shown)
            if each.status == status and (each.error is not None or each.cause is not None)
        ),
        None,
    )
    if status not in (v.FAILED, v.CAUGHT, v.TIMED_OUT):
        failed = None
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
        None if failed is None else failed.error,
        None if failed is None else failed.cause,
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
    """What an open visit waits for, None if it is being processed."""
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
    """The summary of the execution. now: epoch seconds, if it runs."""
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
    """The failure of the execution; None if it did not fail, or failed before its first state."""
    if visits.culprit is None:
        return None
    caught = tuple(each for each in v.route(visits.culprit) if each.status == v.CAUGHT)
    return Failure(visits.culprit, visits.error, visits.cause, caught)
