"""Where an execution stands, and how it ended: the lines below its progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Visit
from stepwell.integrations.cli.output.machine import where
from stepwell.integrations.cli.output.text import DIM, STATUS, Line, count, printable, reason, took
from stepwell.visualize.words import executions as words

if TYPE_CHECKING:
    from stepwell.asl.explain import Hint

_ROUTE_STATES: Final = 8


def conclusion(visits: Visits, now: float) -> Line:
    """✔ SUCCEEDED  1.24 s · 12 events · 4 transitions; with error and cause if it failed.

    now  epoch seconds, for a running execution
    """
    sign, style, _ = STATUS[visits.status]
    summary = summaries.execution(visits, now)
    line: Line = [(f"{sign} {summary.status.upper().replace(' ', '_')}", f"bold {style}")]
    if visits.error or visits.cause:
        line.append(("  " + reason(visits.error, visits.cause), ""))
    counts = [count(summary.events, "event"), count(summary.transitions, "transition")]
    counts += [count(summary.redrives, "redrive")] if summary.redrives else []
    line.append(("  " + " · ".join([took(summary.seconds), *counts]), DIM))
    return line


def waits(visits: Visits, now: float, most: int = 6) -> list[Line]:
    """Below the conclusion of a running execution: what it waits for, and the task tokens."""
    waiting = summaries.execution(visits, now).waiting
    lines: list[Line] = []
    for each in waiting[:most]:
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
    more = len(waiting) - most
    return lines + ([[(f"  …{more:,} more", DIM)]] if more > 0 else [])


def failure(
    visits: Visits,
    places: Mapping[str, str],
    commands: Sequence[str],
    why: tuple[Visit, Hint] | None = None,
) -> list[Line]:
    """Below the conclusion of a failed execution: the states that led to the failure, where the
    failing one is defined, the likely cause, what to try next.

    The console page and pictures name the same failing state. Caught errors are shown where the
    route passes them.

    places  state name -> "file:line"
    why     a visit and the hint about it
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
    if why is not None:
        visit, hint = why
        state = "" if visit is visits.culprit else f"{printable(visit.name)}: "
        lines.append([("  why: ", DIM), (f"{state}{printable(hint.text, 2_000)}", "yellow")])
    if commands:
        lines.append([("  next: ", DIM)])
        for command in commands:
            lines[-1] += [(" · ", DIM)] * (len(lines[-1]) > 1) + [(command, "")]
    return lines


def suspects(visits: Visits) -> list[str]:
    """The states to inspect after a failure: the one that failed, and the first one before it whose
    error was caught.
    """
    failed = summaries.failure(visits)
    if failed is None:
        return []
    caught = [each.innermost() for each in failed.caught[:1]]
    return list(dict.fromkeys(each.name for each in (failed.visit, *caught)))
