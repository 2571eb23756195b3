"""What `stepwell test` shows: a line for each scenario, what differs in those that failed, and a
summary. On a terminal the last line shows how far it is.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import DIM, Line, printable, took
from stepwell.integrations.testing.scenarios.runs import FAILED, PASSED, SKIPPED, Outcome

# status -> (sign, word of the plain lines, style)
_STATUS: Final = {
    PASSED: ("✔", "ok", "green"),
    FAILED: ("✘", "FAILED", "bold red"),
    SKIPPED: ("-", "skipped", "yellow"),
}
_SIGNS: Final = {"-": "red", "+": "green"}


class Report:
    """total  scenarios; quiet: only those that failed are shown"""

    def __init__(self, total: int, quiet: bool) -> None:
        self._total, self._quiet = total, quiet
        self._done = self._failed = 0
        self._fancy, self._notes = screen.fancy(sys.stderr), set[str]()

    def __enter__(self) -> Report:
        self._progress()
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def show(self, outcome: Outcome) -> None:
        self._done += 1
        self._failed += outcome.status == FAILED
        self._clear()
        new = [note for note in outcome.notes if note not in self._notes]
        self._notes.update(new)
        screen.write([[(printable(note), "yellow")] for note in new], sys.stderr)
        if not self._quiet or outcome.status == FAILED:
            lines = list(_lines(outcome, self._fancy))
            screen.write(lines, sys.stderr)
        self._progress()

    def _progress(self) -> None:
        if self._fancy and self._done < self._total:
            failed = f", {self._failed} failed" if self._failed else ""
            sys.stderr.write(f"{self._done}/{self._total}{failed}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._fancy:
            sys.stderr.write("\r\x1b[2K")

    def summarise(self, outcomes: Sequence[Outcome], left: int, seconds: float) -> None:
        """left: scenarios that were not run"""
        counts = Counter(each.status for each in outcomes)
        warned = sum(bool(each.warnings) for each in outcomes)
        parts = [f"{counts[each]} {each}" for each in (FAILED, PASSED, SKIPPED) if counts[each]]
        parts += [f"{left} not run"] * bool(left)
        parts += [f"{warned} with warnings"] * bool(warned)
        simulated = sum(each.simulated for each in outcomes)
        style = "bold red" if counts[FAILED] else "bold green"
        text = f"  in {took(seconds)}"
        if simulated >= 1:
            text += f", {took(simulated)} of workflow time"
        screen.write([[(", ".join(parts) or "nothing to run", style), (text, DIM)]], sys.stderr)


def _lines(outcome: Outcome, fancy: bool) -> Iterator[Line]:
    sign, word, style = _STATUS[outcome.status]
    job, times = outcome.job, took(outcome.seconds)
    if outcome.simulated >= 1:
        times = f"{took(outcome.simulated)} in {times}"
    place = job.place.rsplit(":", 1)[0]
    yield [
        (sign if fancy else word, style),
        (f" {printable(place)} ", DIM),
        (printable(job.name), ""),
        (f"  {times}" if outcome.status != SKIPPED else f"  {outcome.context[0]}", DIM),
    ]
    for first, *rest in outcome.failures:
        yield [("    ", ""), (printable(first), "red")]
        for line in rest:
            yield [("      ", ""), (printable(line), _SIGNS.get(line[:1], ""))]
    if outcome.failures:
        for line in outcome.context:
            yield [("    ", ""), (printable(line), DIM)]
    for line in outcome.warnings:
        yield [("    ", ""), (printable(line), "yellow")]
