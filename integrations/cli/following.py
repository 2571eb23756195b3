"""Shows executions until they close: their states as they run, then the output or the error."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Visit
from stepwell.integrations.cli import exit_codes, visited
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.output import outcome, progress, screen
from stepwell.integrations.cli.output.board import Board
from stepwell.integrations.cli.output.text import Line, command, ndjson, printable

if TYPE_CHECKING:
    from stepwell.asl.explain import Hint

FRAME_SECONDS: Final = 0.1
MAP_RUN_ENDS: Final = ("MapRunSucceeded", "MapRunFailed", "MapRunAborted")
COUNTED_FRAMES: Final = 10  # the items of Map Runs are counted once in so many frames


class InterruptedByUserError(Exception):
    """Ctrl-C: the execution stays in the database as it is."""


def on_interrupt() -> asyncio.Event:
    """Set by the first Ctrl-C (or SIGTERM); the second one ends the process at once."""
    stopped = asyncio.Event()

    def interrupt() -> None:
        if stopped.is_set():
            if sys.stderr.isatty():  # show the cursor, which the board has hidden
                os.write(sys.stderr.fileno(), b"\x1b[?25h\r\n")
            os._exit(exit_codes.INTERRUPTED)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return stopped


class Follower:
    """Shows executions of one place until they close.

    json     print their events on standard output, and nothing else
    timeout  seconds to wait for each
    here     this process runs the executions: they stop with it
    kept     whether the database is, so that there are commands to propose
    """

    def __init__(
        self,
        json: bool,
        quiet: bool,
        timeout: float | None,
        *,
        here: bool = True,
        kept: bool = True,
    ) -> None:
        self.json, self.timeout, self.here, self.kept = json, timeout, here, kept
        self.quiet = quiet or json
        self.stopped = on_interrupt()
        self.boards: list[Board] = []
        self.incomplete: dict[str, str] = {}  # function -> the line that it has not ended yet

    def print_output(self, function: str, text: str) -> None:
        """Show what a function prints, line by line."""
        *lines, self.incomplete[function] = (self.incomplete.get(function, "") + text).split("\n")
        if self.quiet:
            return
        for line in lines:
            shown = f"{printable(function)} | {printable(line)}"
            if len(self.boards) == 1:
                self.boards[0].say(shown)
            else:
                print(shown, file=sys.stderr)

    async def follow(self, client: Client, arn: str, skip: int = 0, prefix: str = "") -> int:
        """Show an execution until it closes, then its output or error. The exit code.

        skip    events up to this id are not shown
        prefix  of each line, where several executions are shown
        """
        described = await client.describe(arn)
        machine = await visited.machine_of(client, described)
        stored, words = machine.type != "EXPRESS" and self.kept, [described["name"], *client.words]
        later = ("resume",) if self.here else ("tail", "-f")
        hint = command(*later, *words) if stored else ""
        board = Board(
            machine,
            described["name"],
            hint,
            sys.stderr,
            here=self.here,
            quiet=self.quiet,
            skip=skip,
            prefix=prefix,
        )
        self.boards.append(board)
        try:
            with board:
                await self._until_closed(client, arn, board)
        except (InterruptedByUserError, TimeoutError) as reason:
            interrupted = isinstance(reason, InterruptedByUserError)
            what = "interrupted" if interrupted else f"still running after {self.timeout:g} s"
            what = what if self.here or not interrupted else "it continues"
            at = progress.current_states(board.visits) or "its start"
            go_on = "continue with" if self.here else "follow it with"
            what_kind = "an Express execution" if self.kept else "without --db, one in skipped time"
            next = f"{go_on}: {hint}" if hint else f"{what_kind} cannot be resumed"
            print(f"{prefix}{what} at {at}; {next}", file=sys.stderr)
            return exit_codes.INTERRUPTED if interrupted else exit_codes.TIMED_OUT
        finally:
            self.boards.remove(board)
        closed = await client.describe(arn)
        if closed["status"] == "SUCCEEDED":
            self._show_success(closed, board.visits, prefix)
        else:
            why = await visited.likely_cause(client, closed, board.visits)
            places = await visited.places(client, closed)
            shown = words if stored else []
            self._show_failure(board.visits, places, prefix, shown, why)
        return exit_codes.BY_STATUS[closed["status"]]

    async def _until_closed(self, client: Client, arn: str, board: Board) -> None:
        """Feed the board with every event. Raises InterruptedByUserError, TimeoutError."""

        shown = 0

        async def show(event: Mapping[str, Any]) -> None:
            nonlocal shown
            if event["type"] in MAP_RUN_ENDS and not board.quiet:
                await visited.count_map_runs(client, board.visits)
            board.feed(event)
            shown = event["id"]
            if self.json and shown > board.skip:
                print(ndjson(event))

        async def watch() -> None:
            async for event in client.watch(arn):
                await show(event)

        async def draw() -> None:
            for frame in count():
                if frame % COUNTED_FRAMES == 0 and not board.quiet:
                    await visited.count_map_runs(client, board.visits)
                board.refresh(client.now())
                sys.stdout.flush()
                await asyncio.sleep(FRAME_SECONDS)

        watching, drawing, stopping = tasks = [
            asyncio.ensure_future(each) for each in (watch(), draw(), self.stopped.wait())
        ]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if watching in done or drawing in done:
            (watching if watching in done else drawing).result()
        else:
            async for event in client.history(arn):  # the watcher may lag behind
                if event["id"] > shown:
                    await show(event)
            raise InterruptedByUserError if stopping in done else TimeoutError

    def _show_success(self, closed: Mapping[str, Any], visits: Visits, prefix: str) -> None:
        if not self.quiet:
            screen.write([_conclusion(visits, prefix)], sys.stderr)
        if not self.json:
            print_json(closed["output"])

    def _show_failure(
        self,
        visits: Visits,
        places: Mapping[str, str],
        prefix: str,
        words: list[str],
        why: tuple[Visit, Hint] | None,
    ) -> None:
        """words: the name of the execution and what leads to it; empty if it is not stored."""
        commands = []
        if words:
            name, *place = words
            picture = ("render", "--execution", name, "-o", f"{name}.svg")
            commands = [
                command("inspect", name, state, *place) for state in outcome.suspects(visits)
            ]
            commands.append(command("history", *words))
            commands.append(command(*picture, *place))
        lines = [_conclusion(visits, prefix), *outcome.failure(visits, places, commands, why)]
        screen.write(lines, sys.stderr)


def _conclusion(visits: Visits, prefix: str) -> Line:
    return [(prefix, ""), *outcome.conclusion(visits, visits.last)]


def print_json(text: str) -> None:
    """JSON as it is; indented on a terminal, with every digit kept."""
    if sys.stdout.isatty():
        import msgspec

        text = msgspec.json.format(text, indent=2)
    print(text, flush=True)
