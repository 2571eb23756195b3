"""What `stepwell run` and `stepwell resume` do: drive executions and show them until they close."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.explain import Hint
from stepwell.asl.history_visits import Visits
from stepwell.asl.state_visits import Visit
from stepwell.engine.arns import Home, execution_arn
from stepwell.engine.engine import Engine
from stepwell.engine.operations.results import DescribeExecutionOutput, HistoryEvent
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations import database, loop, machine_tasks
from stepwell.integrations.cli import exit_codes, files, lookup
from stepwell.integrations.cli.causes import likely_cause
from stepwell.integrations.cli.commands import mocks as mock_options
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.cli.output import outcome, progress, screen
from stepwell.integrations.cli.output.text import Line, command, every_state, ndjson, printable
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.machine_tasks import MachineTasks

FRAME_SECONDS: Final = 0.1
MAP_RUN_ENDS: Final = ("MapRunSucceeded", "MapRunFailed", "MapRunAborted")
COUNTED_FRAMES: Final = 10  # the items of Map Runs are counted once in so many frames
WORST_FIRST: Final = (
    exit_codes.INTERRUPTED,
    exit_codes.FAILED,
    exit_codes.TIMED_OUT,
    exit_codes.ABORTED,
)


@with_limits
def run(
    file: Path,
    input: str,
    name: str | None,
    type: str,
    functions: Path | None,
    param: Sequence[str],
    params: Path | None,
    db: str | None,
    json: bool,
    quiet: bool,
    timeout: float | None,
    mocks: tuple[Path | None, str | None, str],
    skip_time: bool,
    limits: Limits,
) -> int:
    named = files.parameters(param, params, limits)
    folder = _folder(functions) or files.functions_beside(file)

    def definition(home: Home) -> tuple[str, dict[str, Any]]:
        """The text, and what is stored with the machine."""
        parameters = files.with_pseudo_parameters(file, named, home)
        source = files.definition(file, parameters, type, folder, limits=limits)
        return source.text, {
            "file": str(file.resolve()),
            "functions": str(folder.resolve()) if folder else None,
            "parameters": parameters,
        }

    checked = definition(Home())
    text = files.read_json(input, "--input", limits)
    machine = files.machine_name(file, type, limits)
    states = every_state(json_text.loads(checked[0]))
    mocking = mock_options.chosen(mock_options.read(*mocks), machine, states)
    path, db_words = lookup.database_options(db)

    async def work() -> int:
        follower = Follower(json, quiet, timeout, db_words, kept=db is not None or not skip_time)
        opened = _opened(path if db or not skip_time else None, follower, limits, skip_time)
        async with opened as (engine, tasks):
            mocking.use(tasks)
            machine_arn = await _put_machine(
                engine,
                machine,
                type,
                *(checked if engine.home == Home() else definition(engine.home)),
            )
            earlier = await machine_tasks.running(engine)
            start = engine.watch_express_execution if type == "EXPRESS" else engine.start_execution
            target = mocking.target(machine_arn)
            started = await start(target, name=name or _name(engine, machine_arn), input=text)
            arn = started["executionArn"]
            tasks.begin(earlier, {arn})
            code = await follower.follow(engine, arn)
            mocking.report(tasks, code)
            return code

    return loop.run(work())


def _opened(
    path: database.Database | None, follower: Follower, limits: Limits, skip_time: bool
) -> AbstractAsyncContextManager[tuple[Engine, MachineTasks]]:
    """The database. None: one that ends with the process, for skipped time, since the clock of a
    database never goes back.
    """
    if not skip_time:
        assert path is not None
        return database.owned(path, None, follower.print_output, limits)
    # no worker outside can answer a task of `run` that waits for its token
    clock = VirtualClock(outside_seconds=0, limits=limits)
    if path is None:
        return database.temporary(None, follower.print_output, limits, clock)
    if path.file is None:
        raise UsageError(f"--skip-time: {path} is shared with other nodes; use a SQLite file")
    return database.owned(path, None, follower.print_output, limits, clock=clock)


def _name(engine: Engine, machine_arn: str) -> str:
    """A short name for an execution that this process may start."""
    name, _ = engine.shard.draw(partial(execution_arn, machine_arn), partial(secrets.token_hex, 6))
    return name


@with_limits
def resume(
    execution: str | None,
    all: bool,
    functions: Path | None,
    db: str | None,
    json: bool,
    quiet: bool,
    timeout: float | None,
    mocks: tuple[Path | None, str | None, str],
    limits: Limits,
) -> int:
    if execution is not None and all:
        raise UsageError("use either an execution's name or --all, not both")
    path, db_words = lookup.database_options(db)
    folder, mocking = _folder(functions), mock_options.read(*mocks)
    database.existing(path)

    async def work() -> int:
        follower = Follower(json, quiet, timeout, db_words)
        own = folder and folder.resolve()
        async with database.owned(path, own, follower.print_output, limits) as (engine, tasks):
            mocking.use(tasks)
            running = await machine_tasks.running(engine)
            chosen = await _chosen(engine, running, execution, all)
            tasks.begin(running, None if all else {each["executionArn"] for each in chosen})
            if not chosen:
                print("nothing to resume: no execution is running", file=sys.stderr)
            following: list[Coroutine[Any, Any, int]] = []
            for each in chosen:
                prefix = f"{printable(each['name'])}  " if len(chosen) > 1 else ""
                skip = await _last_event(engine, each) if each["status"] == "RUNNING" else 0
                following.append(follower.follow(engine, each["executionArn"], skip, prefix))
            codes = await asyncio.gather(*following)
            return next((code for code in WORST_FIRST if code in codes), exit_codes.SUCCEEDED)

    return loop.run(work())


def _folder(functions: Path | None) -> Path | None:
    if functions is not None and not functions.is_dir():
        raise UsageError(f"--functions {functions}: no such folder")
    return functions


async def _put_machine(
    engine: Engine, name: str, type: str, definition: str, extras: dict[str, Any]
) -> str:
    """Create or update the machine, and create the activities that its definition names. Returns
    its ARN.
    """
    arn = engine.home.arn("stateMachine", name)
    if arn in await lookup.machine_arns(engine):
        described = await engine.describe_state_machine(arn)
        if (described["definition"], described["extras"]) != (definition, extras):
            await engine.update_state_machine(arn, definition=definition, extras=extras)
    else:
        await engine.create_state_machine(name, definition, type=type, extras=extras)
    prefix = engine.home.arn("activity", "")
    for state in every_state(json_text.loads(definition)).values():
        resource = str(state.get("Resource", ""))
        if resource.startswith(prefix):
            await engine.create_activity(resource.removeprefix(prefix))
    return arn


async def _chosen(
    engine: Engine, running: Sequence[ExecutionRow], execution: str | None, all: bool
) -> list[DescribeExecutionOutput]:
    """DescribeExecution's answers for the executions to resume, oldest first. Nested executions and
    those of Map Runs resume with the execution that waits for them.
    """
    if execution is not None:
        return [await lookup.find(engine, execution)]
    nested = machine_tasks.awaited(engine)
    roots = [
        await engine.describe_execution(row.arn)
        for row in running
        if not (row.parent or row.express or row.arn in nested)
    ]
    if len(roots) > 1 and not all:
        names = ", ".join(map(lookup.full_name, roots[:20]))
        raise UsageError(f"several executions are running: name one, or use --all ({names})")
    return roots[::-1]


async def _last_event(engine: Engine, execution: Mapping[str, Any]) -> int:
    """The id of the last event, 0 without events."""
    page = await engine.get_execution_history(
        execution["executionArn"], max_results=1, reverse_order=True
    )
    return page["events"][0]["id"] if page["events"] else 0


# --- showing executions ---------------------------------------------------------------------------


class InterruptedByUserError(Exception):
    """Ctrl-C: the execution stays in the database as it is."""


def _on_interrupt() -> asyncio.Event:
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
    """Shows executions of one engine until they close.

    json     print their events on standard output, and nothing else
    timeout  seconds to wait for each
    db       words that name the database in the commands that the output proposes
    kept     whether the database is, so that there are such commands
    """

    def __init__(
        self, json: bool, quiet: bool, timeout: float | None, db: list[str], kept: bool = True
    ) -> None:
        self.json, self.timeout, self.db, self.kept = json, timeout, db, kept
        self.quiet = quiet or json
        self.stopped = _on_interrupt()
        self.boards: list[screen.Board] = []
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

    async def follow(self, engine: Engine, arn: str, skip: int = 0, prefix: str = "") -> int:
        """Show an execution until it closes, then its output or error. The exit code.

        skip    events up to this id are not shown
        prefix  of each line, where several executions are shown
        """
        described = await engine.inspect_execution(arn)
        machine, places = await lookup.machine_of(engine, described)
        stored = machine.type != "EXPRESS" and self.kept
        hint = command("resume", described["name"], *self.db) if stored else ""
        board = screen.Board(
            machine,
            described["name"],
            hint,
            sys.stderr,
            quiet=self.quiet,
            skip=skip,
            prefix=prefix,
        )
        self.boards.append(board)
        try:
            with board:
                await self._until_closed(engine, arn, board)
        except (InterruptedByUserError, TimeoutError) as reason:
            interrupted = isinstance(reason, InterruptedByUserError)
            what = "interrupted" if interrupted else f"still running after {self.timeout:g} s"
            at = progress.current_states(board.visits) or "its start"
            why = "an Express execution" if self.kept else "without --db, one in skipped time"
            later = f"continue with: {hint}" if hint else f"{why} cannot be resumed"
            print(f"{prefix}{what} at {at}; {later}", file=sys.stderr)
            return exit_codes.INTERRUPTED if interrupted else exit_codes.TIMED_OUT
        finally:
            self.boards.remove(board)
        closed = await engine.inspect_execution(arn)
        if closed["status"] == "SUCCEEDED":
            self._show_success(closed, board.visits, prefix)
        else:
            cause = await likely_cause(engine, closed, board.visits)
            self._show_failure(closed, board.visits, places, prefix, stored, cause)
        return exit_codes.BY_STATUS[closed["status"]]

    async def _until_closed(self, engine: Engine, arn: str, board: screen.Board) -> None:
        """Feed the board with every event. Raises InterruptedByUserError, TimeoutError."""

        shown = 0

        async def show(event: HistoryEvent) -> None:
            nonlocal shown
            if event["type"] in MAP_RUN_ENDS and not board.quiet:
                await lookup.count_map_runs(engine, board.visits)
            board.feed(event)
            shown = event["id"]
            if self.json and shown > board.skip:
                print(ndjson(event))

        async def watch() -> None:
            async for event in engine.watch(arn):
                await show(event)

        async def draw() -> None:
            for frame in count():
                if frame % COUNTED_FRAMES == 0 and not board.quiet:
                    await lookup.count_map_runs(engine, board.visits)
                board.refresh(engine.clock.now() / 1000)
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
            async for event in engine.inspect_history(arn):  # the watcher may lag behind
                if event["id"] > shown:
                    await show(event)
            raise InterruptedByUserError if stopping in done else TimeoutError

    def _show_success(self, closed: Mapping[str, Any], visits: Visits, prefix: str) -> None:
        if not self.quiet:
            screen.write([_conclusion(visits, prefix)], sys.stderr)
        if not self.json:
            _print_json(closed["output"])

    def _show_failure(
        self,
        closed: Mapping[str, Any],
        visits: Visits,
        places: Mapping[str, str],
        prefix: str,
        stored: bool,
        why: tuple[Visit, Hint] | None,
    ) -> None:
        name, commands = closed["name"], []
        if stored:
            suspects = outcome.suspects(visits)
            picture = ("render", "--execution", name, "-o", f"{name}.svg")
            commands = [command("inspect", name, state, *self.db) for state in suspects]
            commands.append(command("executions", "history", name, *self.db))
            commands.append(command(*picture, *self.db))
        lines = [_conclusion(visits, prefix), *outcome.failure(visits, places, commands, why)]
        screen.write(lines, sys.stderr)


def _conclusion(visits: Visits, prefix: str) -> Line:
    return [(prefix, ""), *outcome.conclusion(visits, visits.last)]


def _print_json(text: str) -> None:
    """JSON as it is; indented on a terminal, with every digit kept."""
    if sys.stdout.isatty():
        import msgspec

        text = msgspec.json.format(text, indent=2)
    print(text, flush=True)
