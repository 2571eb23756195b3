"""What the command shows of executions, in words: rows, lines, tables. Pure, from history events.

    history events --Visits.feed--> visits --rows, progress, conclusion, failure, trace--> Lines --screen.write--> a stream

A Line is a list of (text, style): plain streams get the texts, terminals the styles too (screen.py, which also has the live board).
Texts of users are shown with their control characters escaped, so that no payload can command the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from stepwell.asl import jsontext
from stepwell.asl import visits as v
from stepwell.asl.visits import Event, Visit, Visits, details
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
_SLOW: Final = frozenset({"Task", "Wait", "Parallel", "Map"})  # states that can take time: their start is worth a line
_ROUTE_STATES: Final = 8
_CHILD_ROWS: Final = 6
_TRACE_ROWS: Final = 200

# --- words ---------------------------------------------------------------------------------------------------------------

printable, took, count = words.printable, words.took, words.count


def when(timestamp: float) -> str:
    """ISO 8601 with milliseconds, in UTC."""
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
        with suppress(jsontext.JsonFault):
            value = jsontext.loads(cause)
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
    """What a state does in a few words, from its definition: "Lambda: charge-card", "Wait 10 s", "Map"."""
    kind = str(state.get("Type", ""))
    if kind == "Task":
        return task_label(str(state.get("Resource", "")), state.get("Parameters", state.get("Arguments")))
    if kind == "Wait":
        seconds, timestamp = (state.get(field, state.get(f"{field}Path")) for field in ("Seconds", "Timestamp"))
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
        text = label(self.states[visit.name]) if visit.name in self.states else visit.resource or visit.type
        if visit.type == "Choice" and visit.after is not None:
            return f"{text} → {printable(visit.after.name, 40)}"
        return text

    def line(self, run: str) -> Line:
        """The head of a run: name, execution, type, language, number of states."""
        about = f"{self.type.lower()} · {self.definition.get('QueryLanguage', 'JSONPath')} · {count(len(self.states), 'state')}"
        return [(printable(self.name), "bold"), ("  run ", DIM), (printable(run), ""), (f"  {about}", DIM)]


def machine(name: str, type: str, definition: Mapping[str, Any]) -> Machine:
    return Machine(name, type, definition, every_state(definition))


# --- rows: one a state of the top level ------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One line of the board. seconds None: not run yet. bar: (done, failed, all items) of a running Map."""

    status: str | None
    depth: int
    name: str
    label: str
    seconds: float | None
    notes: Line
    bar: tuple[int, int, int] | None = None


def where(visit: Visit, top: Visit | None = None) -> str:
    """A visit's name with those of the Parallels and Maps around it (inside `top` only): "Ship › Pack", "Resize[3] › Convert"."""
    path = [*visit.around(), visit]
    if top is not None:
        path = path[path.index(top) + 1 :]
    names = []
    for each, inner in zip(path, [*path[1:], None], strict=True):
        place = f"[{inner.index}]" if inner is not None and each.type == "Map" and inner.index is not None else ""
        names.append(printable(each.name, 80) + place)
    prefix = f"#{path[0].index} " if top is not None and top.type == "Map" and path[0].index is not None else ""
    return prefix + " › ".join(names)


def notes(visit: Visit, state: Mapping[str, Any], now: float) -> Line:
    """What is remarkable about a visit: retries, items, what it waits for, what was caught."""
    found: Line = []
    if visit.retries:
        found.append((f"{visit.retries} {'retry' if visit.retries == 1 else 'retries'}", "yellow"))
    if visit.type == "Map" and visit.length is not None:
        if visit.status == v.RUNNING:
            found.append((f"{visit.done}/{visit.length}", ""))
            found += [(f"{visit.failed} failed", "red")] * bool(visit.failed) + [(f"{visit.live} running", "blue")] * bool(visit.live)
        else:
            found.append((count(visit.length, "item"), DIM))
    if visit.status == v.RUNNING:
        found += _awaited(visit, state, now)
    elif visit.status in (v.CAUGHT, v.FAILED) and visit.error:
        found.append((printable(visit.error, 60), STATUS[visit.status][1]))
    return found


def _awaited(visit: Visit, state: Mapping[str, Any], now: float) -> Line:
    if visit.failing:
        return [(f"{printable(visit.error or 'failed', 60)}, to be tried again", "yellow")]
    seconds = state.get("Seconds")
    if visit.type == "Wait" and isinstance(seconds, int):
        return [(f"{took(visit.start + seconds - now)} left", DIM)]
    if visit.step == "ActivityScheduled":
        return [("waits for a worker", "blue")]
    if visit.step == "ActivityStarted":
        return [("a worker has it", "blue")]
    if visit.step == "TaskSubmitted" and str(visit.scheduled.get("resource", "")).endswith(".waitForTaskToken"):
        return [("waits for an answer with its token", "blue")]
    return []


def rows(visits: Visits, about: Machine, now: float) -> list[Row]:
    """The board: a row for each state of the top level, in order of the first visit, with what runs or failed inside below it."""
    board: list[Row] = []
    for top in visits.tops.values():
        last = top.last
        seconds = top.seconds + (now - last.start if last.status == v.RUNNING else 0)
        times: Line = [(f"×{top.count:,}", DIM)] if top.count > 1 else []
        bar = (last.done, last.failed, last.length) if last.type == "Map" and last.length and last.status == v.RUNNING else None
        remarks = times + notes(last, about.states.get(last.name, {}), now)
        board.append(Row(last.status, 0, printable(last.name), about.label(last), seconds, remarks, bar))
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
        culprit = top
        while culprit.culprit is not None:
            culprit = culprit.culprit
        leaves = [culprit] if culprit is not top else []
    shown = [
        Row(
            each.status,
            1,
            where(each, top),
            about.label(each),
            (each.end or now) - each.start,
            notes(each, about.states.get(each.name, {}), now),
        )
        for each in leaves[:_CHILD_ROWS]
    ]
    if len(leaves) > _CHILD_ROWS:
        shown.append(Row(None, 1, f"…{len(leaves) - _CHILD_ROWS} more", "", None, []))
    return shown


def ahead(visits: Visits, about: Machine) -> list[str]:
    """Names of the states that come next on the main path: Next after Next, up to a Choice or a state that was seen."""
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


# --- lines ---------------------------------------------------------------------------------------------------------------


def progress(event: Event, visit: Visit | None, visits: Visits, about: Machine) -> str | None:
    """The plain line of an event that was just fed to `visits`, None if it is not worth one.

    Of the iterations of a Map, only failures have lines of their own; the Map itself reports each tenth of its items.
    """
    if visit is None:
        return None
    kind: str = event["type"]
    text, word = about.label(visit), ""
    if kind.endswith("StateEntered"):
        word = "started" if visit.type in _SLOW else STATUS[v.FAILED][2] if visit.type == "Fail" else ""
    elif kind.endswith("StateExited"):
        word = STATUS[visit.status][2]
        text = ", ".join([text, took((visit.end or 0) - visit.start), *(note for note, _ in notes(visit, {}, visits.last))])
    elif visit.failing and kind.endswith(("Failed", "TimedOut")) and not kind.startswith("Map"):
        word, text = "error", reason(visit.error, visit.cause) or "no error name"
    elif kind.endswith("Scheduled") and visit.attempts > 1:
        word, text = "retry", f"attempt {visit.attempts}"
    elif kind == "ActivityScheduled":
        name = str(details(event).get("resource")).rpartition(":")[2]
        word, text = "waiting", f"for a worker: {command('activity', 'poll', name)}"
    elif kind == "MapIterationSucceeded" and visit.length and visit.done % -(-visit.length // 10) == 0:
        word, text = "running", f"{visit.done}/{visit.length} items"
    quiet = any(each.type == "Map" for each in visit.around()) and word not in ("error", "retry", "failed", "caught")
    if not word or quiet:
        return None
    return f"{event['timestamp'] - visits.start:9.3f} s  {word:<9} {where(visit)}  ({text})"


def conclusion(visits: Visits) -> Line:
    """✔ SUCCEEDED  1.24 s · 12 events · 4 transitions; with error and cause when it failed."""
    sign, style, _ = STATUS[visits.status]
    line: Line = [(f"{sign} {visits.status.upper().replace(' ', '_')}", f"bold {style}")]
    if visits.error or visits.cause:
        line.append(("  " + reason(visits.error, visits.cause), ""))
    seconds = (visits.end if visits.end is not None else visits.last) - visits.start
    line.append((f"  {took(seconds)} · {count(visits.events, 'event')} · {count(visits.transitions, 'transition')}", DIM))
    return line


def failure(visits: Visits, places: Mapping[str, str], commands: Sequence[str]) -> list[Line]:
    """Below the conclusion of a failed execution: the states that led to the failure, where the failing one is defined, what to try next.

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


def suspect(visits: Visits) -> Visit | None:
    """The visit worth looking at after a failure: the last one that was caught on the way, else the one that failed."""
    if visits.culprit is None:
        return None
    caught = [visit for visit in v.route(visits.culprit) if visit.status == v.CAUGHT]
    return caught[-1] if caught else visits.culprit


def command(*words: str) -> str:
    return shlex.join(("stepwell", *words))


# --- events and tables --------------------------------------------------------------------------------------------------


def ndjson(event: Mapping[str, Any]) -> str:
    """An event or an answer as one line of JSON, times in ISO 8601."""
    return jsontext.dumps({key: when(value) if key in _TIMES and isinstance(value, int | float) else value for key, value in event.items()})


_TIMES: Final = frozenset({"timestamp", "startDate", "stopDate", "creationDate"})


def summary(event: Event, limit: int = 100) -> str:
    """The details of an event in one line: name, resource, error, data."""
    parts = []
    for name, value in details(event).items():
        if name.endswith("Details") or value is None:
            continue
        text = compact(value) if isinstance(value, str) else jsontext.dumps(value)
        parts.append(text if name in ("name", "error", "cause", "input", "output", "parameters") else f"{name}={text}")
    return printable("  ".join(parts), limit)


def history(events: Iterable[Event], width: int = 150) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of `executions history`."""
    found: list[list[str]] = []
    start: float | None = None
    for event in events:
        start = event["timestamp"] if start is None or event["id"] == 1 else start
        offset = f"{abs(event['timestamp'] - start):.3f}"
        found.append([str(event["id"]), str(event["previousEventId"]), offset, event["type"], summary(event, max(40, width - 50))])
    return ["id", "after", "seconds", "type", "details"], found


def trace(visits: Visits, about: Machine, bar: int = 24) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of states: status, tries, start, time taken, and where that lies in the whole."""
    end = visits.end if visits.end is not None else visits.last
    span = max(end - visits.start, 0.001)
    inside: dict[Visit, list[Visit]] = {}
    for visit in visits.all:
        if visit.parent is not None:
            inside.setdefault(visit.parent, []).append(visit)
    tops = [visit for visit in visits.all if visit.parent is None]
    shown = tops[-_TRACE_ROWS:]
    table = [[f"…{len(tops) - len(shown):,} earlier", *[""] * 6]] if len(tops) > len(shown) else []
    for visit in shown:
        stop = visit.end if visit.end is not None else end
        left = min(bar - 1, int((visit.start - visits.start) / span * bar))
        line = " " * left + "█" * max(1, min(bar - left, round((stop - visit.start) / span * bar)))
        status = visit.status + (f" {printable(visit.error, 40)}" if visit.status in (v.CAUGHT, v.FAILED) and visit.error else "")
        times = [f"{visit.start - visits.start:.3f}", took(stop - visit.start)]
        table.append([printable(visit.name), about.label(visit), status, str(max(1, visit.attempts)), *times, line])
        if visit in inside:
            what = count(visit.length, "item") if visit.length is not None else f"{len(inside[visit])} states"
            ended = sum(each.status == v.SUCCEEDED for each in inside[visit])
            table.append([f"  └ {what}", "", f"{ended} of {len(inside[visit])} succeeded", "", "", "", ""])
    return ["state", "what", "status", "try", "start", "took", f"0 … {took(span)}"], table
