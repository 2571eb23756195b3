"""How wide the columns of a table are on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from rich.cells import cell_len

Cells: TypeAlias = Sequence[Sequence[str]]

GAP: Final = 2
BARS: Final = "0 …"
"""The start of the name of a column of bars. It is the last column."""
NUMBERS: Final = frozenset({"id", "after", "seconds", "try", "start", "took"})
"""Columns whose cells are not folded."""
WORD: Final = 32  # columns of a longer word may be narrower than it


def fitted(columns: Sequence[str], cells: Cells, room: int) -> tuple[list[str], list[int]] | None:
    """The columns that are shown, and their widths: without bars if there is no room for them. None
    if a column would be narrower than its words.
    """
    names = list(columns)
    if names[-1].startswith(BARS) and _total(_whole(names, cells)) > room:
        names.pop()
    naturals = _whole(names, cells)
    widths = [
        natural
        if name in NUMBERS or name.startswith(BARS)
        else _word([name, *(row[place] for row in cells)])
        for place, (name, natural) in enumerate(zip(names, naturals, strict=True))
    ]
    spare = room - _total(widths)
    if spare < 0:
        return None
    missing = [natural - width for natural, width in zip(naturals, widths, strict=True)]
    for left, place in enumerate(sorted(range(len(names)), key=missing.__getitem__)):
        more = min(missing[place], spare // (len(names) - left))
        widths[place] += more
        spare -= more
    return names, widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _whole(columns: Sequence[str], cells: Cells) -> list[int]:
    """The widths of columns without folds."""
    return [
        max(cell_len(text) for text in (name, *(row[place] for row in cells)))
        for place, name in enumerate(columns)
    ]


def _word(texts: Sequence[str]) -> int:
    """The width of the longest word."""
    return min(WORD, max(cell_len(word) for text in texts for word in text.split() or [""]))
