"""The words of the command's output: machines, labels, times, JSON. Pure.

    history events --Visits.feed--> visits --progress, outcome, tables--> Lines
    --screen.write--> stream

A Line is a list of (text, style): plain streams get the texts, terminals the styles too. Control
characters in texts of users are escaped, so that no payload can control the terminal.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from stepwell.asl import json_text
from stepwell.asl.histories import state_visits as v
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


# an escape of JSON: of a pair of surrogates, of one character, or another
_ESCAPE: Final = re.compile(
    r"\\u(?P<high>d[89ab][0-9a-f]{2})\\u(?P<low>d[c-f][0-9a-f]{2})|\\u(?P<one>[0-9a-f]{4})|\\.",
    re.IGNORECASE,
)


def compact(text: str) -> str:
    """JSON text without white space, with every digit kept, and with letters in place of the
    escapes that json.dumps writes for them; other text as it is.
    """
    try:
        return _ESCAPE.sub(_letter, msgspec.json.format(text, indent=-1))
    except msgspec.DecodeError:
        return text


def _letter(escape: re.Match[str]) -> str:
    if escape["high"]:
        code = (
            0x10000 + (int(escape["high"], 16) - 0xD800) * 0x400 + int(escape["low"], 16) - 0xDC00
        )
        return chr(code)
    letter = chr(int(escape["one"], 16)) if escape["one"] else ""
    return letter if letter > "\x7f" and letter.isprintable() else escape[0]


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
    return member in ("timestamp", "since") or member.endswith("Date")


# --- JSON ----------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[-+0-9.eE]+|true|false|null|[{}\[\],:]')
_BRACKETS: Final = "{}[]"


def json_parts(text: str) -> Line:
    """JSON text with the styles of its tokens."""
    parts: Line = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            parts.append((text[end : match.start()], ""))
        parts.append((match[0], _style(match[0], is_key=bool(match[1]))))
        end = match.end()
    return [*parts, (text[end:], "")] if end < len(text) else parts


def _style(token: str, is_key: bool) -> str:
    if is_key:
        return "bold blue"
    if token[0] == '"':
        return "green"
    if token in _BRACKETS:
        return "bold"
    return "" if token in ",:" else "cyan"
