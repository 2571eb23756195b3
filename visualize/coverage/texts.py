"""The texts of coverage, for the command and for reports. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from stepwell.asl.histories.coverage import (
    BRANCH,
    CATCHER,
    KINDS,
    RETRIER,
    RULE,
    STATE,
    Coverage,
    Point,
    Tally,
)
from stepwell.asl.histories.reevaluation import DEFAULT
from stepwell.visualize.words.texts import columns, count, printable

COLUMNS: Final = {
    STATE: "States",
    RULE: "Rules",
    BRANCH: "Branches",
    CATCHER: "Catchers",
    RETRIER: "Retriers",
}


class Covered(NamedTuple):
    """A state machine and what was covered of it.

    title  for users: the file's name, or the machine's and that of its template
    line   JSON pointer -> line in its file, from 1
    file   that has the definition
    """

    title: str
    coverage: Coverage
    line: Callable[[str], int]
    file: str

    def place(self, point: Point) -> str:
        return f"{self.file}:{self.line(point.location)}"


def total(machines: Sequence[Covered]) -> Tally:
    """Of all points of all machines."""
    tallies = [each.coverage.total for each in machines]
    return Tally(sum(each.covered for each in tallies), sum(each.total for each in tallies))


def percent(tally: Tally) -> str:
    """Rounded down: 100 % only if nothing is missed."""
    return f"{int(tally.percent)} %"


def part(point: Point) -> str:
    """Within its state: "rule 2", "Default", "catcher 1 (States.ALL)"."""
    if point.kind == RULE and point.place == DEFAULT:
        return "Default"
    errors = f" ({', '.join(point.errors)})" if point.errors else ""
    return printable(f"{point.kind} {point.place + 1}{errors}")


def what(point: Point) -> str:
    """A point in one line: 'state "Ship"', 'catcher 1 (States.ALL) of "Ship"'."""
    name = f'"{printable(point.state)}"'
    if point.kind == STATE:
        return f"state {name}"
    target = f' at "{printable(point.target)}"' if point.kind == BRANCH else ""
    return f"{part(point)} of {name}{target}"


def listed(coverage: Coverage) -> list[Point]:
    """The points that were missed, without the parts of states that were never entered."""
    missed = coverage.missed()
    absent = {point.state for point in missed if point.kind == STATE}
    return [point for point in missed if point.kind == STATE or point.state not in absent]


def summary(machines: Sequence[Covered], width: int | None = None) -> list[str]:
    """The lines of the command: a table, and each point that was missed with its place.

    width  of the terminal: a table that does not fit is a list; None: it is none
    """
    rows = [_row(each.title, each.coverage.tally(), each.coverage.total) for each in machines]
    if len(machines) > 1:
        rows.append(["Total", *[""] * len(KINDS), percent(total(machines))])
    titles = ["Coverage of", *COLUMNS.values(), "Covered"]
    lines = columns([titles, *rows], numbers=True)
    if width is not None and max(map(len, lines)) > width:
        lines = [line for row in rows for line in _listed(titles, row)]
    for each in machines:
        lines += [
            f"{each.place(point)}: not covered: {what(point)}" for point in listed(each.coverage)
        ]
    return lines


def _listed(titles: Sequence[str], row: Sequence[str]) -> list[str]:
    name, *cells, whole = row
    parts = [f"  {title} {cell}" for title, cell in zip(titles[1:], cells) if cell not in ("", "-")]
    return [f"{name}: {whole}", *parts]


def _row(title: str, tally: dict[str, Tally], whole: Tally) -> list[str]:
    cells = ["{}/{}".format(*tally[kind]) if kind in tally else "-" for kind in KINDS]
    return [printable(title), *cells, percent(whole)]


def as_json(machines: Sequence[Covered]) -> dict[str, Any]:
    """{"covered", "total", "machines": [{"machine", "file", "executions", "covered", "total",
    "kinds", "points": [{"kind", "state", "location", "line", "hits"}]}]}
    """
    whole = total(machines)
    return {
        "covered": whole.covered,
        "total": whole.total,
        "machines": [_machine_json(each) for each in machines],
    }


def _machine_json(machine: Covered) -> dict[str, Any]:
    coverage = machine.coverage
    return {
        "machine": machine.title,
        "file": machine.file,
        "executions": coverage.executions,
        **coverage.total._asdict(),
        "kinds": {kind: tally._asdict() for kind, tally in coverage.tally().items()},
        "points": [
            {
                "kind": point.kind,
                "state": point.state,
                "location": point.location,
                "line": machine.line(point.location),
                "hits": coverage.hits(point),
            }
            for point in coverage.points
        ],
    }


def executed(coverage: Coverage) -> str:
    """ "12 executions"."""
    return count(coverage.executions, "execution")


def visits(coverage: Coverage, name: str) -> str:
    """The line below a state: "12 visits · missed: rule 2, Default"."""
    entered = coverage.passages.entered[name]
    if not entered:
        return "not covered"
    missed = [
        part(point) for point in coverage.missed() if point.state == name and point.kind != STATE
    ]
    return " · ".join(
        [count(entered, "visit"), *([f"missed: {', '.join(missed)}"] if missed else [])]
    )
