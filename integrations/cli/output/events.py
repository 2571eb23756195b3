"""The lines of events that `history` and `tail` print, one by one: a history may be long."""

from __future__ import annotations

from typing import Final

from stepwell.asl import json_text
from stepwell.asl.histories.state_visits import Event, details
from stepwell.integrations.cli.output.text import compact, printable

_COLUMNS: Final = "{:>5}  {:>5}  {:>9}  {:<28}  {}"
HEAD: Final = _COLUMNS.format("id", "after", "seconds", "type", "details")
_DETAILS: Final = len(_COLUMNS.format("", "", "", "", ""))  # the column where they begin


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


def history_line(event: Event, start: float, width: int) -> str:
    """start: the time of the first event that is shown, in epoch seconds."""
    seconds = f"{abs(event['timestamp'] - start):.3f}"
    said = summary(event, max(40, width - _DETAILS))
    places = event["id"], event["previousEventId"], seconds, event["type"]
    return _COLUMNS.format(*places, said).rstrip()
