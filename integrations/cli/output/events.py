"""The lines of events that `history` and `tail` print, one by one: a history may be long."""

from __future__ import annotations

from typing import Final

from stepwell.asl import json_text
from stepwell.asl.histories.state_visits import Event, details
from stepwell.integrations.cli.output.text import compact, printable

_COLUMNS: Final = "{:>5}  {:>5}  {:>9}  {:<28}  {}"
_LEAST: Final = 25  # columns of the details; where there are fewer, they have a line of their own
_NARROW: Final = "{:>5}  {:>9}  {}"
_INDENT: Final = " " * 7


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


def history_head(width: int) -> str:
    if _details(width) < _LEAST:
        return _NARROW.format("id", "seconds", "type and details")
    return _COLUMNS.format("id", "after", "seconds", "type", "details")


def history_line(event: Event, start: float, width: int) -> str:
    """start: the time of the first event that is shown, in epoch seconds."""
    seconds, said = f"{abs(event['timestamp'] - start):.3f}", _details(width)
    if said < _LEAST:
        line = _NARROW.format(event["id"], seconds, event["type"])
        text = summary(event, max(_LEAST, width - len(_INDENT)))
        return f"{line}\n{_INDENT}{text}" if text else line
    places = event["id"], event["previousEventId"], seconds, event["type"]
    return _COLUMNS.format(*places, summary(event, said)).rstrip()


def _details(width: int) -> int:
    return width - len(_COLUMNS.format("", "", "", "", ""))
