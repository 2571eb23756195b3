"""The words of the command's output: machines, labels, times, JSON. Pure.

    history events --Visits.feed--> visits --progress, outcome, tables--> Lines
    --screen.write--> stream

A Line is a list of (text, style): plain streams get the texts, terminals the styles too. Control
characters in texts of users are escaped, so that no payload can control the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from stepwell.asl import json_text
from stepwell.asl import state_visits as v
from stepwell.visualize.words import texts as words

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


def command(*words: str) -> str:
    return shlex.join(("stepwell", *words))


def ndjson(item: Mapping[str, Any]) -> str:
    """An event or another item of an answer as one line of JSON, times in ISO 8601."""
    return json_text.dumps(
        {
            key: iso(value) if _is_time(key) and isinstance(value, int | float) else value
            for key, value in item.items()
        }
    )


def _is_time(member: str) -> bool:
    return member == "timestamp" or member.endswith("Date")
