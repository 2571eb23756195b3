"""Writes to a terminal with colours and a live board, or plain text to another stream. rich is
imported only for a terminal.

A stream is plain if it is not a terminal, if NO_COLOR is set (https://no-color.org), or if TERM is
dumb.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from stepwell.integrations.cli.output.text import DIM, STATUS, Line, ndjson
from stepwell.visualize.words import texts as words

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def fancy(stream: TextIO) -> bool:
    """Whether the stream gets colours and a live board."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def write(lines: Iterable[Line], stream: TextIO) -> None:
    """Lines with their styles on a terminal, without them elsewhere."""
    if fancy(stream):
        from rich.console import Console

        console = Console(file=stream, highlight=False, soft_wrap=True)
        for line in lines:
            console.print(styled(line))
    else:
        stream.writelines("".join(part for part, _ in line) + "\n" for line in lines)
    stream.flush()


def table(columns: Sequence[str], cells: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Aligned columns: as wide as their cells, but on a terminal folded to its width; if it is too
    narrow for that, a list of each row.
    """
    if not stream.isatty():
        stream.writelines(f"{line}\n" for line in words.columns([columns, *cells]))
        return
    from rich.console import Console

    from stepwell.integrations.cli.output import grids

    fits = grids.fitted(columns, cells, width())
    colours: Any = "auto" if fancy(stream) else None
    console = Console(file=stream, highlight=False, width=width(), color_system=colours)
    if fits is not None:
        console.print(_grid(*fits, cells))
        return
    margin = max(map(len, columns)) + grids.GAP
    for number, row in enumerate(cells):
        lines = [
            styled([(name.ljust(margin), DIM), (cell, _cell_style(name, cell))])
            for name, cell in zip(columns, row, strict=True)
            if cell and not name.startswith(grids.BARS)
        ]
        console.print(*([""] if number else []), *lines, sep="\n", soft_wrap=True)


def _grid(columns: Sequence[str], widths: Sequence[int], cells: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from stepwell.integrations.cli.output import grids

    grid = Table(box=None, padding=(0, grids.GAP, 0, 0), pad_edge=False, header_style=DIM)
    for name, size in zip(columns, widths, strict=True):
        grid.add_column(name, justify="right" if name in grids.NUMBERS else "left", width=size)
    for row in cells:
        shown = zip(columns, row, strict=False)  # the bars may be left out
        grid.add_row(
            *(Text(cell, _cell_style(name, cell), overflow="fold") for name, cell in shown)
        )
    return grid


def listing(
    items: Sequence[Mapping[str, Any]],
    json: bool,
    columns: Sequence[str],
    row: Callable[[Mapping[str, Any]], Sequence[str]],
) -> None:
    """What a command lists, on standard output: a table, or a line of JSON for each item."""
    if json:
        for each in items:
            print(ndjson(each))
    else:
        table(columns, [row(each) for each in items], sys.stdout)


def _cell_style(column: str, cell: str) -> str:
    if column == "status":
        word = cell.lower().replace("_", " ")
        return next(
            (style for status, (_, style, _) in STATUS.items() if word.startswith(status)), ""
        )
    return "green" if column.startswith("0 …") else ""


def styled(line: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*line)
