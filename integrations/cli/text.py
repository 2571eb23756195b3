"""What the command shows of executions, in words: rows, lines, tables. Pure, from history events.

    history events --Visits.feed--> visits --rows, progress, conclusion, failure, trace--> Lines
    --screen.write--> a stream

A Line is a list of (text, style): plain streams get the texts, terminals the styles too (screen.py,
which also has the live board).
Texts of users are shown with their control characters escaped, so that no payload can command the
terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from stepwell.asl import json_text, summaries
from stepwell.asl import state_visits as v
from stepwell.asl.definition import StateMachine
from stepwell.asl.history_visits import Visits
from stepwell.asl.reevaluation import Reevaluation
from stepwell.asl.state_visits import Event, Visit, details
from stepwell.visualize import words
from stepwell.visualize.words import task_label, wait_label

Line: TypeAlias = list[tuple[str, str]]

# status -> (sign, style, word of the plain lines)
STATUS: Final = {
    v.RUNNING: ("·", "bold blue", "started"),
    v.SUCCEEDED: ("✔", "green", "ok"),
    v.CAUGHT: ("↷", "yellow", "caught"),
    v.FAILED: ("✘", "red", "failed"),
    v.ABORTED: ("■", "dim", "aborted"),
    v.TIMED_OUT: ("✘", "red", "timed out"),
}
DIM: Final = "dim"
_SLOW: Final = frozenset(
    {"Task", "Wait", "Parallel", "Map"}
)  # states that can take time: their start is worth a line
_ROUTE_STATES: Final = 8
_CHILD_ROWS: Final = 6
_TRACE_ROWS: Final = 200

# --- words ----------------------------------------------------------------------------------------

printable, took, count, when = words.printable, words.took, words.count, words.when


def iso(timestamp: float) -> str:
    """ISO 8601 with milliseconds, in UTC: for programs. People get `when`."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")


def compact(text: str) -> str:
    """JSON text without white space, every digit as it was; as it is, if it is none."""
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        return text


def reason(error: str | None, cause: str | None) -> str:
    """Error and cause in one line; of what Lambda makes of an exception, only the message."""
    if cause and cause.startswith("{"):
        with suppress(json_text.JsonError):
            value = json_text.loads(cause)
            message = value.get("errorMessage") if isinstance(value, dict) else None
            cause = message if isinstance(message, str) else cause
    return ": ".join(printable(part, 1_000) for part in (error, cause) if part)


def every_state(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All states of a definition by name, those inside Parallel and Map too."""
    found: dict[str, Mapping[str, Any]] = {}
    blocks = [definition]
    while blocks:
        for name, state in blocks.pop()["States"].items():
            found[name] = state
            blocks += state.get("Branches", ())
            blocks += [state[field] for field in ("ItemProcessor", "Iterator") if field in state]
    return found


def label(state: Mapping[str, Any]) -> str:
    """What a state does in a few words, from its definition: "Lambda: charge-card", "Wait 10 s",
    "Map".
    """
    kind = str(state.get("Type", ""))
    if kind == "Task":
        return task_label(
            str(state.get("Resource", "")), state.get("Parameters", state.get("Arguments"))
        )
    if kind == "Wait":
        seconds, timestamp = (
            state.get(field, state.get(f"{field}Path")) for field in ("Seconds", "Timestamp")
        )
        return wait_label(seconds, timestamp)
    if kind == "Parallel":
        return f"Parallel · {count(len(state.get('Branches', ())), 'branch')}"
    return kind


class Machine(NamedTuple):
    """What the views need to know of a state machine besides the events."""

    name: str
    type: str  # STANDARD, EXPRESS
    definition: Mapping[str, Any]
    states: Mapping[str, Mapping[str, Any]]

    def label(self, visit: Visit) -> str:
        text = (
            label(self.states[visit.name])
            if visit.name in self.states
            else visit.resource or visit.type
        )
        if visit.type == "Choice" and visit.after is not None:
            return f"{text} → {printable(visit.after.name, 40)}"
        return text

    def visits(self, events: Iterable[Event] = ()) -> Visits:
        """The visits of an execution of it, with what its definition tells."""
        return Visits(events, Reevaluation(StateMachine.model_validate(self.definition)))

    def line(self, run: str) -> Line:
        """The head of a run: name, execution, type, language, number of states."""
        about = (
            f"{self.type.lower()} · {self.definition.get('QueryLanguage', 'JSONPath')} · "
            f"{count(len(self.states), 'state')}"
        )
        return [
            (printable(self.name), "bold"),
            ("  run ", DIM),
            (printable(run), ""),
            (f"  {about}", DIM),
        ]


def machine(name: str, type: str, definition: Mapping[str, Any]) -> Machine:
    return Machine(name, type, definition, every_state(definition))


# --- rows: one a state of the top level -----------------------------------------------------------


class Row(NamedTuple):
    """One line of the board. seconds None: not run yet. bar: (done, failed, all items) of a running
    Map.
    """

    status: str | None
    depth: int
    name: str
    label: str
    seconds: float | None
    notes: Line
    bar: tuple[int, int, int] | None = None


def where(visit: Visit, top: Visit | None = None) -> str:
    """A visit's name with those of the Parallels and Maps around it (inside `top` only): "Ship ›
    Pack", "Resize[3] › Convert".
    """
    path = [*visit.around(), visit]
    if top is not None:
        path = path[path.index(top) + 1 :]
    names = []
    for each, inner in zip(path, [*path[1:], None], strict=True):
        place = (
            f"[{inner.index}]"
            if inner is not None and each.type == "Map" and inner.index is not None
            else ""
        )
        names.append(printable(each.name, 80) + place)
    prefix = (
        f"#{path[0].index} "
        if top is not None and top.type == "Map" and path[0].index is not None
        else ""
    )
    return prefix + " › ".join(names)


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


def notes(state: summaries.State, now: float) -> Line:
    """What is remarkable about a state: its items, retries, what it waits for, what was caught."""
    return [
        (text, _STYLES.get(kind, STATUS.get(state.status, STATUS[v.FAILED])[1]))
        for kind, text in words.remarks(state, now)
    ]


def rows(visits: Visits, about: Machine, now: float) -> list[Row]:
    """The board: a row for each state of the top level, in order of the first visit, with what runs
    or failed inside below it.
    """
    board: list[Row] = []
    for name, last in visits.tops.items():
        state = summaries.of_state(visits, name, now)
        items = (
            state.items
            if state.status == v.RUNNING and state.items is not None and state.items.total
            else None
        )
        bar = (
            None
            if items is None
            else (items.succeeded, items.failed + items.timed_out + items.aborted, items.total)
        )
        board.append(
            Row(
                state.status,
                0,
                printable(name),
                about.label(last),
                state.seconds,
                notes(state, now),
                bar,
            )
        )
        board += _inside(last, visits, about, now)
    return board


def _leaves(visits: Visits) -> list[Visit]:
    """What runs, without the Parallels and Maps around it."""
    around = {each.parent for each in visits.open.values()}
    return [each for each in visits.open.values() if each not in around]


def here(visits: Visits, most: int = 3) -> str:
    """Where an execution stands: the innermost states that run."""
    names = list(dict.fromkeys(map(where, _leaves(visits))))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _inside(top: Visit, visits: Visits, about: Machine, now: float) -> list[Row]:
    if top.status == v.RUNNING:
        leaves = [each for each in _leaves(visits) if top in each.around()]
    else:
        leaves = [top.innermost()] if top.culprit is not None else []
    shown = [
        Row(
            each.status,
            1,
            where(each, top),
            about.label(each),
            each.seconds(now),
            notes(summaries.of_visit(each, now), now),
        )
        for each in leaves[:_CHILD_ROWS]
    ]
    if len(leaves) > _CHILD_ROWS:
        shown.append(Row(None, 1, f"…{len(leaves) - _CHILD_ROWS} more", "", None, []))
    return shown


def ahead(visits: Visits, about: Machine) -> list[str]:
    """Names of the states that come next on the main path: Next after Next, up to a Choice or a
    state that was seen.
    """
    running = [visit for visit in visits.open.values() if visit.parent is None]
    if not running:
        return []
    seen, found = set(visits.tops), []
    name = about.states.get(running[-1].name, {}).get("Next")
    while name is not None and name not in seen:
        found.append(name)
        seen.add(name)
        name = about.states.get(name, {}).get("Next")
    return found


# --- lines ----------------------------------------------------------------------------------------


def progress(event: Event, visit: Visit | None, visits: Visits, about: Machine) -> str | None:
    """The plain line of an event that was just fed to `visits`, None if it is not worth one.

    Of the iterations of a Map, only failures have lines of their own; the Map itself reports each
    tenth of its items.
    """
    if visit is None:
        return None
    kind: str = event["type"]
    text, word = about.label(visit), ""
    if kind.endswith("StateEntered"):
        word = (
            "started"
            if visit.type in _SLOW
            else STATUS[v.FAILED][2]
            if visit.type == "Fail"
            else ""
        )
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
        word, text = "waiting", f"for a worker: {command('activity', 'poll', name)}"
    elif visit.waiting == v.CALLBACK:
        word, text = (
            "waiting",
            f"for a callback: {command('task', 'succeed', visit.token or 'TOKEN')}",
        )
    elif (
        kind == "MapIterationSucceeded"
        and visit.items is not None
        and visit.items.succeeded % -(-visit.items.total // 10) == 0
    ):
        word, text = "running", f"{visit.items.succeeded}/{visit.items.total} items"
    quiet = any(each.type == "Map" for each in visit.around()) and word not in (
        "error",
        "retry",
        "failed",
        "caught",
    )
    if not word or quiet:
        return None
    return f"{event['timestamp'] - visits.start:9.3f} s  {word:<9} {where(visit)}  ({text})"


def conclusion(visits: Visits, now: float) -> Line:
    """✔ SUCCEEDED  1.24 s · 12 events · 4 transitions; with error and cause when it failed. now:
    epoch seconds, for one that runs.
    """
    sign, style, _ = STATUS[visits.status]
    stands = summaries.execution(visits, now)
    line: Line = [(f"{sign} {stands.status.upper().replace(' ', '_')}", f"bold {style}")]
    if visits.error or visits.cause:
        line.append(("  " + reason(visits.error, visits.cause), ""))
    counts = [count(stands.events, "event"), count(stands.transitions, "transition")]
    counts += [count(stands.redrives, "redrive")] if stands.redrives else []
    line.append(("  " + " · ".join([took(stands.seconds), *counts]), DIM))
    return line


def waits(visits: Visits, now: float, most: int = 6) -> list[Line]:
    """Below the conclusion of one that runs: what it waits for, and the task tokens."""
    found = summaries.execution(visits, now).waiting
    lines: list[Line] = []
    for each in found[:most]:
        lines.append(
            [
                ("  at ", DIM),
                (where(each.visit), "bold"),
                (": ", DIM),
                (words.awaited(each, now), "blue"),
            ]
        )
        if each.token is not None:
            lines.append([("  task token ", DIM), (printable(each.token), "")])
    return lines + ([[(f"  …{len(found) - most:,} more", DIM)]] if len(found) > most else [])


def failure(visits: Visits, places: Mapping[str, str], commands: Sequence[str]) -> list[Line]:
    """Below the conclusion of a failed execution: the states that led to the failure, where the
    failing one is defined, what to try next.

    The failing state is the same on the page, in a picture and in `commands`; what was caught on
    the way to it stands on the way.

    places  state name -> "file:line"
    """
    lines: list[Line] = []
    if visits.culprit is not None:
        path = v.route(visits.culprit)
        line: Line = [("  at ", DIM)]
        if len(path) > _ROUTE_STATES:
            line.append((f"…{len(path) - _ROUTE_STATES} more → ", DIM))
        for visit in path[-_ROUTE_STATES:]:
            line.append((printable(visit.name), "red" if visit is visits.culprit else ""))
            if visit.status == v.CAUGHT:
                line.append((f" (caught {printable(visit.error or 'an error', 80)})", DIM))
            inside = visit is not visits.culprit and visit.after is None
            line.append((" › " if inside else " → ", DIM))
        lines.append(line[:-1])
        place = places.get(visits.culprit.name)
        if place:
            lines.append([(f"  {place}", DIM)])
    if commands:
        lines.append([("  next: ", DIM)])
        for command in commands:
            lines[-1] += [(" · ", DIM)] * (len(lines[-1]) > 1) + [(command, "")]
    return lines


def suspects(visits: Visits) -> list[str]:
    """The states worth looking at after a failure: the one that failed, and the first that was
    caught on the way to it.
    """
    found = summaries.failure(visits)
    if found is None:
        return []
    return list(
        dict.fromkeys(
            each.name
            for each in (found.visit, *(caught.innermost() for caught in found.caught[:1]))
        )
    )


def command(*words: str) -> str:
    return shlex.join(("stepwell", *words))


# --- events and tables ----------------------------------------------------------------------------


def ndjson(event: Mapping[str, Any]) -> str:
    """An event or an answer as one line of JSON, times in ISO 8601."""
    return json_text.dumps(
        {
            key: iso(value) if key in _TIMES and isinstance(value, int | float) else value
            for key, value in event.items()
        }
    )


_TIMES: Final = frozenset({"timestamp", "startDate", "stopDate", "creationDate"})


def summary(event: Event, limit: int = 100) -> str:
    """The details of an event in one line: name, resource, error, data."""
    parts = []
    for name, value in details(event).items():
        if name.endswith("Details") or value is None:
            continue
        text = compact(value) if isinstance(value, str) else json_text.dumps(value)
        parts.append(
            text
            if name in ("name", "error", "cause", "input", "output", "parameters")
            else f"{name}={text}"
        )
    return printable("  ".join(parts), limit)


def history(events: Iterable[Event], width: int = 150) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of `executions history`."""
    found: list[list[str]] = []
    start: float | None = None
    for event in events:
        start = event["timestamp"] if start is None or event["id"] == 1 else start
        offset = f"{abs(event['timestamp'] - start):.3f}"
        found.append(
            [
                str(event["id"]),
                str(event["previousEventId"]),
                offset,
                event["type"],
                summary(event, max(40, width - 50)),
            ]
        )
    return ["id", "after", "seconds", "type", "details"], found


def trace(
    visits: Visits, about: Machine, now: float, bar: int = 24
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of states: status, tries, start, time taken, and where that
    lies in the whole.
    """
    whole = summaries.execution(visits, now).seconds
    span = max(whole, 0.001)
    inside: dict[Visit, list[Visit]] = {}
    for visit in visits.all:
        if visit.parent is not None:
            inside.setdefault(visit.parent, []).append(visit)
    tops = [visit for visit in visits.all if visit.parent is None]
    shown = tops[-_TRACE_ROWS:]
    table = [[f"…{len(tops) - len(shown):,} earlier", *[""] * 6]] if len(tops) > len(shown) else []
    for visit in shown:
        left = min(bar - 1, int((visit.start - visits.start) / span * bar))
        line = " " * left + "█" * max(1, min(bar - left, round(visit.seconds(now) / span * bar)))
        remarks = words.remarks(summaries.of_visit(visit, now), now)
        status = " · ".join(
            [
                visit.status,
                *(
                    each.text
                    for each in remarks
                    if each.kind in (words.WAITS, words.AGAIN, words.ERROR)
                ),
            ]
        )
        times = [f"{visit.start - visits.start:.3f}", took(visit.seconds(now))]
        table.append(
            [
                printable(visit.name),
                about.label(visit),
                status,
                str(max(1, visit.attempts)),
                *times,
                line,
            ]
        )
        if visit.items is not None:
            table.append(
                [
                    "  └ items",
                    "",
                    " · ".join(each.text for each in words.counted(visit.items)),
                    "",
                    "",
                    "",
                    "",
                ]
            )
        elif visit in inside:
            ended = sum(each.status == v.SUCCEEDED for each in inside[visit])
            table.append(
                [
                    f"  └ {count(len(inside[visit]), 'state')}",
                    "",
                    f"{ended}/{len(inside[visit])}",
                    "",
                    "",
                    "",
                    "",
                ]
            )
    return ["state", "what", "status", "try", "start", "took", f"0 … {took(whole)}"], table
