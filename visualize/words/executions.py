"""Remarks on executions and their states: counts, retries, what is waited for, how long it took."""

from typing import Final, NamedTuple

from stepwell.asl.histories import state_visits
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.summaries import State, Waiting
from stepwell.visualize.words.texts import count, printable, took

# the kinds of remarks
ITEMS, SUCCEEDED, FAILED, ABORTED, RUNNING, AGAIN, TIMES, WAITS, ERROR = (
    "items", "succeeded", "failed", "aborted", "running", "again", "times", "waits", "error",
)  # fmt: skip
NO_ERROR_NAME: Final = "no error name"
_COUNTS: Final = (
    ("failed", FAILED),
    ("timed_out", FAILED),
    ("aborted", ABORTED),
    ("pending_redrive", AGAIN),
    ("running", RUNNING),
)
_WAITS: Final = {
    state_visits.CALLBACK: "waiting for a callback",
    state_visits.WORKER: "waiting for a worker",
    state_visits.ACTIVITY: "running on a worker",
    state_visits.JOB: "waiting for its job",
    state_visits.TIMER: "waiting",
    state_visits.RETRY: "waiting to retry",
}
_ERROR_CHARS: Final = 40


class Remark(NamedTuple):
    """A remark on a state: 12/40, 3 failed, 1 retry, ×2, waiting for a callback, an error. The
    kind decides its colour.
    """

    kind: str
    text: str


def counted(items: Items) -> list[Remark]:
    """Remarks on the items of a Map: 38/47, 5 failed, 4 aborted."""
    found = [Remark(ITEMS, f"{items.succeeded:,}/{items.total:,}")] if items.total else []
    numbers = ((name, kind, getattr(items, name)) for name, kind in _COUNTS)
    return found + [
        Remark(kind, f"{number:,} {name.replace('_', ' ')}")
        for name, kind, number in numbers
        if number
    ]


def remarks(state: State, now: float | None) -> list[Remark]:
    """All remarks on a state, without its status and its duration. now: epoch seconds; None leaves
    out what changes as time passes.
    """
    found = counted(state.items) if state.items is not None else []
    found += (
        [Remark(ABORTED, f"{state.aborted:,} aborted")]
        if state.aborted and state.items is None
        else []
    )
    found += [
        Remark(AGAIN, count(number, thing))
        for number, thing in ((state.retries, "retry"), (state.redrives, "redrive"))
        if number
    ]
    found += [Remark(TIMES, f"×{state.visits:,}")] if state.visits > 1 else []
    found += [Remark(WAITS, awaited(state.waiting, now))] if state.waiting is not None else []
    return found + ([Remark(ERROR, printable(state.error, _ERROR_CHARS))] if state.error else [])


def parked(reason: str) -> str:
    """The remark on a parked execution: the API shows it as RUNNING, but it cannot continue."""
    return f"parked: it cannot continue and must be stopped ({printable(reason, 300)})"


def awaited(waiting: Waiting, now: float | None) -> str:
    """What an open visit waits for: "waiting for a callback", "41.0 s left", "waiting to retry:
    Busy".
    """
    if waiting.until is not None and now is not None:
        return f"{took(waiting.until - now)} left"
    error = waiting.visit.error if waiting.kind == state_visits.RETRY else None
    worker = waiting.visit.worker if waiting.kind == state_visits.ACTIVITY else None
    if worker:
        return f"running on worker {printable(worker, _ERROR_CHARS)}"
    return (
        f"{_WAITS[waiting.kind]}: {printable(error, _ERROR_CHARS)}"
        if error
        else _WAITS[waiting.kind]
    )


def lasted(state: State) -> str:
    """A state's duration: "1.24 s", "p50 1.24 s" of several iterations, "3 active · 41.0 s" of
    several that run; "" if it is unknown.
    """
    if state.seconds is None:
        return ""
    if state.status == state_visits.RUNNING:
        return (
            f"{state.active:,} active · {took(state.seconds)}"
            if state.active > 1
            else took(state.seconds)
        )
    return f"p50 {took(state.seconds)}" if state.several else took(state.seconds)
