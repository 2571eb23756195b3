"""The tables of `executions history` and `executions show`: columns and rows of text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from stepwell.asl import json_text, summaries
from stepwell.asl import state_visits as v
from stepwell.asl.history_visits import Visits
from stepwell.asl.state_visits import Event, Visit, details
from stepwell.integrations.cli.output.text import Machine, compact, count, printable, took
from stepwell.visualize import words

Table: TypeAlias = tuple[list[str], list[list[str]]]  # columns, rows

_TRACE_ROWS: Final = 200
_STATUS_REMARKS: Final = (words.WAITS, words.AGAIN, words.ERROR)


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


def history(events: Iterable[Event], width: int = 150) -> Table:
    """The table of `executions history`."""
    rows: list[list[str]] = []
    start: float | None = None
    for event in events:
        start = event["timestamp"] if start is None or event["id"] == 1 else start
        rows.append(
            [
                str(event["id"]),
                str(event["previousEventId"]),
                f"{abs(event['timestamp'] - start):.3f}",
                event["type"],
                summary(event, max(40, width - 50)),
            ]
        )
    return ["id", "after", "seconds", "type", "details"], rows


def trace(visits: Visits, about: Machine, now: float, bar: int = 24) -> Table:
    """The table of states: status, attempts, start, duration, and a bar of `bar` characters that
    shows when in the whole execution a state ran.
    """
    whole = summaries.execution(visits, now).seconds
    inside: dict[Visit, list[Visit]] = {}
    for visit in visits.all:
        if visit.parent is not None:
            inside.setdefault(visit.parent, []).append(visit)
    tops = [visit for visit in visits.all if visit.parent is None]
    shown = tops[-_TRACE_ROWS:]
    rows = [_row(f"…{len(tops) - len(shown):,} earlier")] if len(tops) > len(shown) else []
    for visit in shown:
        rows.append(
            [
                printable(visit.name),
                about.label(visit),
                _status(visit, now),
                str(max(1, visit.attempts)),
                f"{visit.start - visits.start:.3f}",
                took(visit.seconds(now)),
                _bar(visit.start - visits.start, visit.seconds(now), max(whole, 0.001), bar),
            ]
        )
        if visit.items is not None:
            items = " · ".join(each.text for each in words.counted(visit.items))
            rows.append(_row("  └ items", items))
        elif visit in inside:
            states = inside[visit]
            succeeded = sum(each.status == v.SUCCEEDED for each in states)
            rows.append(_row(f"  └ {count(len(states), 'state')}", f"{succeeded}/{len(states)}"))
    return ["state", "what", "status", "try", "start", "took", f"0 … {took(whole)}"], rows


def _row(name: str, status: str = "") -> list[str]:
    return [name, "", status, "", "", "", ""]


def _status(visit: Visit, now: float) -> str:
    remarks = words.remarks(summaries.of_visit(visit, now), now)
    shown = [each.text for each in remarks if each.kind in _STATUS_REMARKS]
    return " · ".join([visit.status, *shown])


def _bar(start: float, seconds: float, whole: float, width: int) -> str:
    left = min(width - 1, int(start / whole * width))
    return " " * left + "█" * max(1, min(width - left, round(seconds / whole * width)))
