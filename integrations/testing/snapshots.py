"""Snapshots of histories: the events as readable JSON, without what differs from run to run."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.histories.state_visits import Event

_SHOWN_LINES: Final = 40
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_JSON: Final = frozenset({"input", "output", "parameters"})  # members that are JSON texts
_HIDDEN: Final = frozenset({"inputDetails", "outputDetails"})  # whether a payload is cut: never


def snapshot(history: Iterable[Event]) -> str:
    """The events as JSON text: times are seconds since the start, payloads are values, UUIDs are
    numbered in the order of their first occurrence.
    """
    events = list(history)
    began = events[0]["timestamp"] if events else 0
    text = json.dumps([_event(each, began) for each in events], indent=2, ensure_ascii=False)
    seen: dict[str, str] = {}
    return _UUID.sub(lambda match: seen.setdefault(match[0], f"uuid-{len(seen) + 1}"), text) + "\n"


def _event(event: Event, began: float) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": event["id"],
        "previous": event["previousEventId"],
        "seconds": round(event["timestamp"] - began, 3),
        "type": event["type"],
    }
    for name, value in event.items():
        if name.endswith("EventDetails"):
            shown |= _details(value)
    return shown


def _details(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _payload(value) if name in _JSON else value
        for name, value in details.items()
        if name not in _HIDDEN
    }


def _payload(text: str) -> Any:
    try:
        return json_text.loads(text)
    except json_text.JsonError:
        return text


def file_name(test: str) -> str:
    """A test's name as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", test).strip("-")


def compare(text: str, file: Path, update: bool) -> str | None:
    """How a snapshot differs from the one in a file; None: not at all. update: write the file."""
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return None
    if not file.is_file():
        return f"there is no snapshot {file}: `pytest --stepwell-update` writes it"
    kept = file.read_text(encoding="utf-8")
    if kept == text:
        return None
    lines = list(
        difflib.unified_diff(
            kept.splitlines(), text.splitlines(), str(file), "this run", lineterm="", n=2
        )
    )
    more = len(lines) - _SHOWN_LINES
    cut = [f"… {more} more lines"] if more > 0 else []
    hint = "the history differs from its snapshot; `pytest --stepwell-update` accepts it"
    return "\n".join([hint, *lines[:_SHOWN_LINES], *cut])
