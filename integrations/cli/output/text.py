"""The words of the command's output: machines, labels, times, JSON. Pure.

    history events --Visits.feed--> visits --progress, outcome, tables--> Lines
    --screen.write--> stream

A Line is a list of (text, style): plain streams get the texts, terminals the styles too. Control
characters in texts of users are escaped, so that no payload can control the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from stepwell.asl import json_text
from stepwell.asl import state_visits as v
from stepwell.asl.blocks import every_state
from stepwell.asl.definition import StateMachine
from stepwell.asl.history_visits import Visits
from stepwell.asl.reevaluation import Reevaluation
from stepwell.asl.state_visits import Event, Visit
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

# --- words ----------------------------------------------------------------------------------------

printable, took, count = words.printable, words.took, words.count


def when(seconds: float, exact: bool = False, utc: bool = False) -> str:
    """An instant, in epoch seconds: 2026-11-28 12:24:08 +01:00 in the zone of this machine, or
    2026-11-28 11:24:08 UTC. exact: with milliseconds.
    """
    milliseconds = round(seconds * 1000)
    local = datetime.fromtimestamp(milliseconds // 1000).astimezone()
    if utc or local.tzname() == "UTC":
        return words.when(seconds, exact)
    offset = f"{local:%z}"
    fraction = f".{milliseconds % 1000:03d}" if exact else ""
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {offset[:3]}:{offset[3:5]}"


def iso(timestamp: float) -> str:
    """ISO 8601 with milliseconds, in UTC: for programs. People get `when`."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")


def compact(text: str) -> str:
    """JSON text without white space, with every digit kept; other text as it is."""
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        return text


def reason(error: str | None, cause: str | None) -> str:
    """Error and cause in one line; of the JSON that Lambda makes of an exception, the message."""
    if cause and cause.startswith("{"):
        with suppress(json_text.JsonError):
            value = json_text.loads(cause)
            message = value.get("errorMessage") if isinstance(value, dict) else None
            cause = message if isinstance(message, str) else cause
    return ": ".join(printable(part, 1_000) for part in (error, cause) if part)


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
    """What the output shows of a state machine besides the events."""

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
        """The visits of an execution, with the data that follows from the definition."""
        return Visits(events, Reevaluation(StateMachine.model_validate(self.definition)))

    def line(self, run: str) -> Line:
        """The first line of an execution: machine, name, type, language, number of states."""
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
    return Machine(name, type, definition, dict(every_state(definition)))


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


def command(*words: str) -> str:
    return shlex.join(("stepwell", *words))


_TIMES: Final = frozenset({"timestamp", "startDate", "stopDate", "creationDate"})


def ndjson(item: Mapping[str, Any]) -> str:
    """An event or another item of an answer as one line of JSON, times in ISO 8601."""
    return json_text.dumps(
        {
            key: iso(value) if key in _TIMES and isinstance(value, int | float) else value
            for key, value in item.items()
        }
    )
