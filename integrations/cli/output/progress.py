"""What an execution does while the command waits for it: the rows of the live board, and the plain
lines of other streams.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event, Visit, details
from stepwell.integrations.cli.output.machine import Machine, where
from stepwell.integrations.cli.output.text import (
    DIM,
    STATUS,
    Line,
    command,
    printable,
    reason,
    took,
)
from stepwell.visualize.words import executions as words

_SLOW: Final = frozenset({"Task", "Wait", "Parallel", "Map"})  # types whose start gets a line
_IN_MAP: Final = ("error", "retry", "failed", "caught")  # words of lines that iterations get
_CHILD_ROWS: Final = 6

# --- rows of the board: one for each state of the top level ---------------------------------------


class Row(NamedTuple):
    """One line of the board.

    seconds  None: it has not run yet
    bar      of a running Map: items (succeeded, failed, all)
    """

    status: str | None
    depth: int
    name: str
    label: str
    seconds: float | None
    notes: Line
    bar: tuple[int, int, int] | None = None


# the styles of remarks
_STYLES: Final = {
    words.ITEMS: "",
    words.FAILED: "red",
    words.ABORTED: DIM,
    words.RUNNING: "blue",
    words.AGAIN: "yellow",
    words.TIMES: DIM,
    words.WAITS: "blue",
}


def rows(visits: Visits, about: Machine, now: float) -> list[Row]:
    """A row for each state of the top level, in the order of their first visits; below it, the
    states inside that run or failed.
    """
    board: list[Row] = []
    for name, last in visits.tops.items():
        state = summaries.of_state(visits, name, now)
        label, notes = about.label(last), _notes(state, now)
        board.append(
            Row(state.status, 0, printable(name), label, state.seconds, notes, _bar(state))
        )
        board += _inside(last, visits, about, now)
    return board


def _bar(state: summaries.State) -> tuple[int, int, int] | None:
    items = state.items
    if state.status != v.RUNNING or items is None or not items.total:
        return None
    return items.succeeded, items.failed + items.timed_out + items.aborted, items.total


def _notes(state: summaries.State, now: float) -> Line:
    """The remarks on a state: its items, retries, what it waits for, what was caught."""
    return [
        (text, _STYLES.get(kind, STATUS.get(state.status, STATUS[v.FAILED])[1]))
        for kind, text in words.remarks(state, now)
    ]


def _inside(top: Visit, visits: Visits, about: Machine, now: float) -> list[Row]:
    if top.status == v.RUNNING:
        leaves = [each for each in _leaves(visits) if top in each.around()]
    else:
        leaves = [top.innermost()] if top.culprit is not None else []
    shown = []
    for each in leaves[:_CHILD_ROWS]:
        notes = _notes(summaries.of_visit(each, now), now)
        shown.append(
            Row(each.status, 1, where(each, top), about.label(each), each.seconds(now), notes)
        )
    if len(leaves) > _CHILD_ROWS:
        shown.append(Row(None, 1, f"…{len(leaves) - _CHILD_ROWS} more", "", None, []))
    return shown


def _leaves(visits: Visits) -> list[Visit]:
    """The running states, without the Parallels and Maps around them."""
    around = {each.parent for each in visits.open.values()}
    return [each for each in visits.open.values() if each not in around]


def current_states(visits: Visits, most: int = 3) -> str:
    """The names of the innermost running states, as text."""
    names = list(dict.fromkeys(map(where, _leaves(visits))))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def ahead(visits: Visits, about: Machine) -> list[str]:
    """Names of the states that come next on the main path: Next after Next, up to a Choice or a
    state that was visited.
    """
    running = [visit for visit in visits.open.values() if visit.parent is None]
    if not running:
        return []
    seen, names = set(visits.tops), []
    name = about.states.get(running[-1].name, {}).get("Next")
    while name is not None and name not in seen:
        names.append(name)
        seen.add(name)
        name = about.states.get(name, {}).get("Next")
    return names


# --- plain lines ----------------------------------------------------------------------------------


def progress(event: Event, visit: Visit | None, visits: Visits, about: Machine) -> str | None:
    """The plain line of an event that was just fed to `visits`; None for most kinds of events.

    In the iterations of a Map, only failures get lines; the Map itself gets one for each tenth of
    its items.
    """
    if visit is None:
        return None
    kind: str = event["type"]
    text, word, slow = about.label(visit), "", visit.type in _SLOW
    if kind.endswith("StateEntered"):
        word = {"Fail": STATUS[v.FAILED][2]}.get(visit.type, "started" if slow else "")
    elif kind.endswith("StateExited"):
        word = STATUS[visit.status][2]
        remarks = words.remarks(summaries.of_visit(visit, visits.last), visits.last)
        text = ", ".join([text, took(visit.seconds(visits.last)), *(each.text for each in remarks)])
    elif visit.failing and kind.endswith(("Failed", "TimedOut")) and not kind.startswith("Map"):
        word, text = "error", reason(visit.error, visit.cause) or words.NO_ERROR_NAME
    elif kind.endswith("Scheduled") and visit.attempts > 1:
        word, text = "retry" if visit.retries else "redrive", f"attempt {visit.attempts}"
    elif kind == "ActivityScheduled":
        name = str(details(event).get("resource")).rpartition(":")[2]
        word, text = "waiting", f"for a worker: {command('activity', 'poll', name, *about.place)}"
    elif visit.waiting == v.CALLBACK:
        word = "waiting"
        succeed = command("task", "succeed", visit.token or "TOKEN", *about.place)
        text = f"for a callback: {succeed}"
    elif (
        kind == "MapIterationSucceeded"
        and visit.items is not None
        and visit.items.succeeded % -(-visit.items.total // 10) == 0
    ):
        word, text = "running", f"{visit.items.succeeded}/{visit.items.total} items"
    in_map = any(each.type == "Map" for each in visit.around())
    if not word or (in_map and word not in _IN_MAP):
        return None
    after = event["timestamp"] - visits.start
    clock = f"{after:9.3f} s" if after < 99_999.9995 else f"{took(after):>11}"
    return f"{clock}  {word:<9} {where(visit)}  ({text})"
