"""The table of `show`: columns and rows of text."""

from __future__ import annotations

from typing import Final, TypeAlias

from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Visit
from stepwell.integrations.cli.output.machine import Machine
from stepwell.integrations.cli.output.text import count, printable, took
from stepwell.visualize.words import executions as words

Table: TypeAlias = tuple[list[str], list[list[str]]]  # columns, rows

_TRACE_ROWS: Final = 200
_STATUS_REMARKS: Final = (words.WAITS, words.AGAIN, words.ERROR)


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
