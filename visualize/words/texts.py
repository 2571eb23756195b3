"""Durations, instants, counts, and escaped, wrapped or aligned text. Imports little, since every
command reads it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r"}


def printable(text: str, limit: int = 0) -> str:
    """The text with control characters escaped; cut to `limit` characters, 0: not cut."""
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _CONTROL.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


_SOFT: Final = (
    re.compile(r"(?<=[-_./:,])(?=\S)"),
    re.compile(r"(?<=[a-z0-9])(?=[A-Z])"),
)  # where a long word may be broken, the best places first


def wrap(text: str, width: int, most: int = 0) -> list[str]:
    """The text in lines of at most `width` characters, broken at spaces; long words after
    punctuation, before capitals, or anywhere. At least one line. Control characters are escaped.

    most  the number of lines, 0: no limit. If lines are cut off, the last one ends with an ellipsis
    """
    lines = [""]
    for word in printable(text).split(" "):
        gap = " " if lines[-1] else ""
        if len(lines[-1]) + len(gap) + len(word) <= width:
            lines[-1] += gap + word
            continue
        for piece in _pieces(word, width):
            if lines[-1] and len(lines[-1]) + len(gap) + len(piece) > width:
                lines.append(piece)
            else:
                lines[-1] += gap + piece
            gap = ""
    if most and len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: width - 1] + "…"]
    return lines


def _pieces(word: str, width: int, places: Sequence[re.Pattern[str]] = _SOFT) -> Iterable[str]:
    if len(word) <= width:
        yield word
    elif places:
        for piece in places[0].split(word):
            yield from _pieces(piece, width, places[1:])
    else:
        yield from (word[at : at + width] for at in range(0, len(word), width))


def columns(rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Rows of cells as lines with aligned columns. numbers: all but the first column hold numbers,
    which are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = str.rjust if numbers else str.ljust
    return [
        "  ".join([row[0].ljust(widths[0]), *map(align, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def took(seconds: float) -> str:
    """2 ms, 1.24 s, 41.0 s, 2 min 05 s, 3 h 20 min, 12 d 4 h, 30 d."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole >= 86400 and whole % 86400 < 3600:
        return f"{whole // 86400} d"
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return (
                f"{whole // size} {unit} {whole % size // small:0{1 if unit == 'd' else 2}d} "
                f"{small_unit}"
            )
    return f"{whole} s"


def lasting(seconds: float) -> str:
    """A duration that the user has chosen, exactly: 10 s, 1 min 30 s, 36 h is 1 d 12 h, 0.5 s."""
    if seconds != int(seconds) or seconds < 60:
        return f"{seconds:,.15g} s"
    parts, left = [], int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number:,} {unit}")
    return " ".join(parts)


def when(seconds: float, exact: bool = False) -> str:
    """An instant, in epoch seconds, as the command and the page write it: 2026-11-28 11:24:08 UTC.
    exact: with milliseconds.
    """
    milliseconds = round(seconds * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}{f'.{milliseconds % 1000:03d}' if exact else ''} UTC"


def count(number: int, thing: str) -> str:
    """1 branch, 2 branches, 3 retries, 4 keys, 5 children, 1,000 items."""
    if number != 1 and thing == "child":
        thing = "children"
    elif number != 1:
        thing = re.sub(r"(ch|s)$", r"\1e", re.sub(r"(?<![aeiou])y$", "ie", thing)) + "s"
    return f"{number:,} {thing}"
