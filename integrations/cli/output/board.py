"""The progress of one execution: a live board on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from stepwell.asl.histories.state_visits import RUNNING, Event
from stepwell.integrations.cli.output import machine, progress
from stepwell.integrations.cli.output.machine import Machine
from stepwell.integrations.cli.output.progress import Row
from stepwell.integrations.cli.output.screen import fancy, styled, write
from stepwell.integrations.cli.output.text import DIM, STATUS, Line, count, printable, took

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_AHEAD_ROWS: Final = 3


class Board:
    """The progress of one execution: rows that change in place on a terminal, plain lines
    elsewhere.

        with Board(about, run, hint, stream) as board:
            board.feed(event)           after each event
            board.refresh(now)          some ten times a second, for clocks and spinners

    hint    the command that resumes the execution later, or shows it again; "" if there is none
    here    this process runs it: it stops with the process
    quiet   show nothing
    skip    events up to this id were shown before: they get no plain lines
    prefix  of each plain line, where several executions share the stream without a live board
    """

    def __init__(
        self,
        about: Machine,
        run: str,
        hint: str,
        stream: TextIO,
        *,
        here: bool = True,
        quiet: bool = False,
        skip: int = 0,
        prefix: str = "",
    ) -> None:
        self.about, self.run, self.hint, self.stream = about, run, hint, stream
        self.here, self.quiet, self.skip, self.prefix = here, quiet, skip, prefix
        self.visits = about.visits()
        self._live: Any = None
        self._turn = 0

    def __enter__(self) -> Board:
        if not self.quiet:
            on: Line = [(f" · continues after event {self.skip}", DIM)] if self.skip else []
            write([[(self.prefix, ""), *self.about.line(self.run), *on]], self.stream)
        if not self.quiet and fancy(self.stream) and not self.prefix:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.stream, highlight=False)
            self._live = Live(
                "",
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.update("")
            live.stop()
            rows = progress.rows(self.visits, self.about, self.visits.last)
            live.console.print(self.grid(rows, live.console.width), end="")
        self.stream.flush()

    def feed(self, event: Event) -> None:
        visit = self.visits.feed(event)
        if self._live is None and not self.quiet and event["id"] > self.skip:
            line = progress.progress(event, visit, self.visits, self.about)
            if line is not None:
                self.stream.write(f"{self.prefix}{line}\n")

    def say(self, line: str) -> None:
        """Show a line that a function printed, above the live rows if there are any."""
        if self._live is not None:
            self._live.console.print(styled([(line, DIM)]))
        elif not self.quiet:
            self.stream.write(f"{self.prefix}{line}\n")

    def refresh(self, now: float) -> None:
        """Draw the board as of `now` (epoch seconds); plain streams are flushed."""
        if self._live is None:
            self.stream.flush()
            return
        self._turn += 1
        console = self._live.console
        self._live.update(self.frame(now, console.width, console.height), refresh=True)

    def frame(self, now: float, width: int, height: int) -> RenderableType:
        """The last rows that fit, then the states that come next, then a foot line."""
        from rich.console import Group

        rows = progress.rows(self.visits, self.about, now)
        room = max(3, height - 3)
        if len(rows) > room:
            hidden = len(rows) - room + 1
            rows = [_note(f"…{hidden} earlier"), *rows[hidden:]]
        else:
            names = progress.ahead(self.visits, self.about)
            shown = names[: min(_AHEAD_ROWS, room - len(rows))]
            for name in shown:
                label = machine.label(self.about.states.get(name, {}))
                rows.append(_note(printable(name), label))
            if len(names) > len(shown) and len(rows) < room:
                rows.append(_note(f"…{len(names) - len(shown)} more on the main path"))
        seconds = int(max(0, now - self.visits.start)) if self.visits.events else 0
        what, again = ("stops", "resume") if self.here else ("leaves it running", "again")
        later = f"{what} ({again}: {self.hint})" if self.hint else what
        events = count(self.visits.events, "event")
        foot = styled([(f"  running {_clock(seconds)} · {events} · Ctrl-C {later}", DIM)])
        foot.truncate(width, overflow="ellipsis")
        return Group(self.grid(rows, width), foot)

    def grid(self, rows: Sequence[Row], width: int) -> RenderableType:
        """One line for each row, each column within its share of the width."""
        from rich.table import Table
        from rich.text import Text

        names = max([len(row.name) + 2 * row.depth for row in rows], default=0)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for most, justify in (
            (1, "left"),
            (min(names, max(16, width * 2 // 5)), "left"),
            (max(12, width // 4), "left"),
            (10, "right"),
            (None, "left"),
        ):
            grid.add_column(no_wrap=True, overflow="ellipsis", max_width=most, justify=justify)  # type: ignore[arg-type]
        for row in rows:
            running = row.status == RUNNING
            sign, style = "·" if row.label else "", DIM
            if row.status:
                sign, style, _ = STATUS[row.status]
            if running:
                sign = _SPINNER[self._turn % len(_SPINNER)]
            dim = row.status is None or row.depth
            grid.add_row(
                Text("" if row.depth else sign, style),
                Text("  " * row.depth + row.name, DIM if dim else "bold" if running else ""),
                _bar(*row.bar) if row.bar else Text(row.label, DIM),
                Text("" if row.seconds is None else took(row.seconds)),
                _joined(row.notes),
            )
        return grid


def _note(name: str, label: str = "") -> Row:
    """A row for something that has not run."""
    return Row(None, 0, name, label, None, [])


def _clock(seconds: int) -> str:
    """05:09, 1:05:09."""
    hours, minutes = divmod(seconds // 60, 60)
    clock = f"{minutes:02d}:{seconds % 60:02d}"
    return f"{hours}:{clock}" if hours else clock


def _bar(done: int, failed: int, whole: int, width: int = 24) -> Text:
    good, bad = done * width // whole, -(-failed * width // whole)
    return styled(
        [("━" * good, "blue"), ("━" * bad, "red"), ("━" * max(0, width - good - bad), DIM)]
    )


def _joined(parts: Line) -> Text:
    line: Line = []
    for part in parts:
        line += [(" · ", DIM), part] if line else [part]
    return styled(line)
