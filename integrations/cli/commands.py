"""What the commands of cli.py do. A command is a function that gets the options, talks to the
engine, shows, and gives the exit code.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.history_visits import Visits
from stepwell.asl.items import Items
from stepwell.engine import arns, loop
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.operations.data_flow import as_json, data_flow
from stepwell.engine.store.base import StoreFormat, StoreInUse
from stepwell.integrations import database
from stepwell.integrations.cli import data_flow as flow
from stepwell.integrations.cli import files, screen
from stepwell.integrations.cli import text as terminal
from stepwell.integrations.errors import Refused
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.visualize import words as texts

USAGE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130
INTERNAL: Final = 70
EXIT: Final = {"SUCCEEDED": 0, "FAILED": 1, "TIMED_OUT": TIMED_OUT, "ABORTED": 4}
FRAME_SECONDS: Final = 0.1
MAP_RUN_ENDS: Final = ("MapRunSucceeded", "MapRunFailed", "MapRunAborted")
COUNTED_FRAMES: Final = 10  # from one look at the counts of Map Runs to the next


class Show(NamedTuple):
    """How `run` and `resume` show an execution, and how long they wait for it. json: events on
    standard output, nothing else.
    """

    json: bool = False
    quiet: bool = False
    timeout: float | None = None


def refusing(command: Callable[..., int]) -> Callable[..., int]:
    """A refusal is one line on standard error and exit code 2; the failure of the store while it is
    used is exit code 70.
    """

    def run(*arguments: Any) -> int:
        code = USAGE
        try:
            return command(*arguments)
        except Refused as fault:
            words = str(fault)
        except ApiError as fault:
            words = fault.message
        except StoreInUse as fault:
            words = f"{fault}; wait until it ends, or take another database with --db"
        except StoreError as fault:
            # a full disk, for instance: what was committed is there, and `resume` goes on from it
            words, code = str(fault), INTERNAL
        print(f"stepwell: {terminal.printable(words)}", file=sys.stderr)
        return code

    return run


# --- names ----------------------------------------------------------------------------------------


async def machine_arns(engine: Engine) -> list[str]:
    return [
        each["stateMachineArn"] for each in (await engine.list_state_machines())["stateMachines"]
    ]


async def find(engine: Engine, text: str) -> dict[str, Any]:
    """describe_execution's answer for a name, MACHINE/NAME or ARN."""
    if text.startswith("arn:"):
        return await engine.describe_execution(text)
    machine, _, name = text.rpartition("/")
    found = []
    for machine_arn in await machine_arns(engine):
        if machine in ("", arns.machine_name(machine_arn)):
            with suppress(ApiError):  # no execution of that name there
                found.append(await engine.describe_execution(arns.execution_arn(machine_arn, name)))
    if not found:
        raise Refused(
            f"there is no execution called {text} "
            f"(`{terminal.command('executions', 'list')}` shows all)"
        )
    if len(found) > 1:
        raise Refused(f"several executions are called {text}: {', '.join(map(_full_name, found))}")
    return found[0]


def _full_name(execution: Mapping[str, Any]) -> str:
    return f"{arns.machine_name(execution['stateMachineArn'])}/{execution['name']}"


async def all_events(
    engine: Engine, arn: str, reverse: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """Page after page."""
    token = None
    while True:
        page = await engine.get_execution_history(arn, reverse_order=reverse, next_token=token)
        for each in page["events"]:
            yield each
        token = page.get("nextToken")
        if token is None:
            return


async def pinned(engine: Engine, execution: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """Definition, type and the store's number of the definition that an execution runs, whatever
    became of its machine.
    """
    row = await engine.store.describe(execution["executionArn"])
    definition = None if row is None else await engine.store.definition(row.definition)
    if definition is None:  # Express executions are not stored
        machine = await engine.describe_state_machine(execution["stateMachineArn"])
        return machine["definition"], machine["type"], None
    return definition.definition, definition.type, definition.id


async def count_map_runs(engine: Engine, visits: Visits) -> None:
    """Let the visits know how the items of their Map Runs stand, which no event tells."""
    for arn in visits.map_runs:
        visits.count(arn, Items.of_map_run(await engine.describe_map_run(arn)))


async def about(
    engine: Engine, execution: Mapping[str, Any]
) -> tuple[terminal.Machine, dict[str, str]]:
    """The machine of an execution, and where its states stand in the file that it came from."""
    text, type, _ = await pinned(engine, execution)
    machine_arn = execution["stateMachineArn"].partition("/")[0]
    extras: Mapping[str, Any] = {}
    with suppress(ApiError):  # the machine was deleted
        extras = (await engine.describe_state_machine(machine_arn))["extras"]
    return terminal.machine(
        arns.machine_name(machine_arn), type, json_text.loads(text)
    ), files.places(extras, text)


def _path(db: Path | None) -> tuple[Path, list[str]]:
    """The database, and how the commands that are proposed name it."""
    path = database.database(db)
    return path, [] if path == database.default_path() else ["--db", str(path)]


# --- run and resume -------------------------------------------------------------------------------


class Interrupted(Exception):
    """Ctrl-C: the execution stays as it is on disk."""


def _on_interrupt() -> asyncio.Event:
    """Set by the first Ctrl-C (or SIGTERM); the second one ends the process at once."""
    stopped = asyncio.Event()

    def interrupt() -> None:
        if stopped.is_set():
            if sys.stderr.isatty():
                os.write(
                    sys.stderr.fileno(), b"\x1b[?25h\r\n"
                )  # shows the cursor, which the board has hidden
            os._exit(INTERRUPTED)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return stopped


class Follower:
    """Shows executions of one engine until they close."""

    def __init__(self, show: Show, db: list[str]) -> None:
        self.show, self.db = show, db
        self.stopped = _on_interrupt()
        self.boards: list[screen.Board] = []
        self.unfinished: dict[str, str] = {}  # function -> the line that it has begun

    def say(self, function: str, text: str) -> None:
        """What a function prints, line by line."""
        *lines, self.unfinished[function] = (self.unfinished.get(function, "") + text).split("\n")
        if self.show.quiet or self.show.json:
            return
        for line in lines:
            shown = f"{terminal.printable(function)} | {terminal.printable(line)}"
            if len(self.boards) == 1:
                self.boards[0].say(shown)
            else:
                print(shown, file=sys.stderr)

    async def follow(self, engine: Engine, arn: str, skip: int = 0, prefix: str = "") -> int:
        """Show an execution until it closes; then its output, or how it failed. The exit code."""
        described = await engine.look(arn)
        machine, places = await about(engine, described)
        kept = machine.type != "EXPRESS"
        hint = terminal.command("resume", described["name"], *self.db) if kept else ""
        quiet = self.show.quiet or self.show.json
        board = screen.Board(
            machine, described["name"], hint, sys.stderr, quiet=quiet, skip=skip, prefix=prefix
        )
        self.boards.append(board)
        try:
            with board:
                await self._until_closed(engine, arn, board)
        except (Interrupted, TimeoutError) as reason:
            running = terminal.here(board.visits) or "its start"
            what = (
                "interrupted"
                if isinstance(reason, Interrupted)
                else f"not ended after {self.show.timeout:g} s"
            )
            later = f"go on with: {hint}" if kept else "an Express execution cannot be resumed"
            print(f"{prefix}{what} at {running}; {later}", file=sys.stderr)
            return INTERRUPTED if isinstance(reason, Interrupted) else TIMED_OUT
        finally:
            self.boards.remove(board)
        return self._conclude(await engine.look(arn), board.visits, places, prefix, kept)

    async def _until_closed(self, engine: Engine, arn: str, board: screen.Board) -> None:
        """Feed the board with every event. Raises Interrupted, TimeoutError."""

        async def watch() -> None:
            async for event in engine.watch(arn):
                if event["type"] in MAP_RUN_ENDS and not board.quiet:
                    await count_map_runs(engine, board.visits)
                board.feed(event)
                if self.show.json and event["id"] > board.skip:
                    print(terminal.ndjson(event))

        async def draw() -> None:
            for frame in count():
                if frame % COUNTED_FRAMES == 0 and not board.quiet:
                    await count_map_runs(engine, board.visits)
                board.refresh(engine.clock.now() / 1000)
                sys.stdout.flush()
                await asyncio.sleep(FRAME_SECONDS)

        watching, drawing, stopping = tasks = [
            asyncio.ensure_future(each) for each in (watch(), draw(), self.stopped.wait())
        ]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self.show.timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if watching in done or drawing in done:
            (watching if watching in done else drawing).result()
        else:
            raise Interrupted if stopping in done else TimeoutError

    def _conclude(
        self,
        ended: Mapping[str, Any],
        visits: Visits,
        places: Mapping[str, str],
        prefix: str,
        kept: bool,
    ) -> int:
        status: str = ended["status"]
        if status == "SUCCEEDED":
            if not (self.show.quiet or self.show.json):
                screen.write(
                    [[(prefix, ""), *terminal.conclusion(visits, visits.last)]], sys.stderr
                )
            if not self.show.json:
                _print_json(ended["output"])
            return 0
        commands = []
        if kept:
            commands = [
                terminal.command("inspect", ended["name"], name, *self.db)
                for name in terminal.suspects(visits)
            ]
            commands.append(terminal.command("executions", "history", ended["name"], *self.db))
            commands.append(
                terminal.command(
                    "render", "--execution", ended["name"], "-o", f"{ended['name']}.svg", *self.db
                )
            )
        lines = [
            [(prefix, ""), *terminal.conclusion(visits, visits.last)],
            *terminal.failure(visits, places, commands),
        ]
        screen.write(lines, sys.stderr)
        return EXIT[status]


def _print_json(text: str) -> None:
    """JSON as it is; on a terminal indented, with every digit as it was."""
    if sys.stdout.isatty():
        import msgspec

        text = msgspec.json.format(text, indent=2)
    print(text, flush=True)


@refusing
def run(
    file: Path,
    input: str,
    name: str | None,
    type: str,
    functions: Path | None,
    param: Sequence[str],
    db: Path | None,
    show: Show,
) -> int:
    given = files.parameters(param)
    folder = _folder(functions) or files.functions_beside(file)
    source = files.definition(file, given, type, folder)
    text = files.read_json(input)
    extras = {
        "file": str(file.resolve()),
        "functions": str(folder.resolve()) if folder else None,
        "parameters": given,
    }
    path, words = _path(db)

    async def work() -> int:
        follower = Follower(show, words)
        async with database.working(path, output=follower.say) as (engine, tasks):
            machine_arn = await _put_machine(
                engine, files.machine_name(file, type), type, source.text, extras
            )
            before = await database.running(engine)
            start = engine.watch_express_execution if type == "EXPRESS" else engine.start_execution
            started = await start(machine_arn, name=name or secrets.token_hex(6), input=text)
            arn = started["executionArn"]
            tasks.begin(before, {arn})
            return await follower.follow(engine, arn)

    return loop.run(work())


def _folder(functions: Path | None) -> Path | None:
    if functions is not None and not functions.is_dir():
        raise Refused(f"--functions {functions}: no such folder")
    return functions


async def _put_machine(
    engine: Engine, name: str, type: str, definition: str, extras: dict[str, Any]
) -> str:
    """Create the machine, or bring it up to date; and the activities that it names, which nobody
    else would create here.
    """
    arn = engine.home.arn("stateMachine", name)
    if arn in await machine_arns(engine):
        described = await engine.describe_state_machine(arn)
        if (described["definition"], described["extras"]) != (definition, extras):
            await engine.update_state_machine(arn, definition=definition, extras=extras)
    else:
        await engine.create_state_machine(name, definition, type=type, extras=extras)
    prefix = engine.home.arn("activity", "")
    for state in terminal.every_state(json_text.loads(definition)).values():
        resource = str(state.get("Resource", ""))
        if resource.startswith(prefix):
            await engine.create_activity(resource.removeprefix(prefix))
    return arn


@refusing
def resume(
    execution: str | None, all: bool, functions: Path | None, db: Path | None, show: Show
) -> int:
    if execution is not None and all:
        raise Refused("name an execution or give --all, not both")
    path, words = _path(db)
    folder = _folder(functions)
    database.existing(path)

    async def work() -> int:
        follower = Follower(show, words)
        async with database.working(path, folder and folder.resolve(), follower.say) as (
            engine,
            tasks,
        ):
            running = await database.running(engine)
            nested = database.awaited(engine)
            tops = [
                await engine.describe_execution(row.arn)
                for row in running
                if not (row.parent or row.express or row.arn in nested)
            ]
            if execution is not None:
                chosen = [await find(engine, execution)]
            elif all or len(tops) <= 1:
                chosen = list(reversed(tops))
            else:
                raise Refused(
                    "several executions run: name one of them, or give --all "
                    f"({', '.join(map(_full_name, tops[:20]))})"
                )
            tasks.begin(running, None if all else {each["executionArn"] for each in chosen})
            if not chosen:
                print("nothing to resume: no execution runs", file=sys.stderr)
            following: list[Coroutine[Any, Any, int]] = []
            for each in chosen:
                last = await engine.get_execution_history(
                    each["executionArn"], max_results=1, reverse_order=True
                )
                prefix = f"{terminal.printable(each['name'])}  " if len(chosen) > 1 else ""
                skip = (
                    last["events"][0]["id"] if each["status"] == "RUNNING" and last["events"] else 0
                )
                following.append(follower.follow(engine, each["executionArn"], skip, prefix))
            codes = await asyncio.gather(*following)
            return next((code for code in (INTERRUPTED, 1, TIMED_OUT, 4) if code in codes), 0)

    return loop.run(work())


# --- looking --------------------------------------------------------------------------------------


@refusing
def validate(paths: Sequence[Path], param: Sequence[str], type: str, json: bool) -> int:
    given, errors = files.parameters(param), 0
    for path in paths:
        try:
            _, problems = files.problems(path, given, type, files.functions_beside(path))
        except Refused as fault:
            problems = [
                files.Problem(
                    str(path),
                    1,
                    1,
                    files.ERROR,
                    files.INVALID_FILE,
                    str(fault).removeprefix(f"{path}: "),
                    "",
                )
            ]
        for problem in problems:
            errors += problem.severity == files.ERROR
            print(terminal.ndjson(problem._asdict()) if json else problem.text())
    if not json:
        print(
            (
                f"{terminal.count(len(paths), 'file')}: "
                f"{terminal.count(errors, 'error') if errors else 'valid'}"
            ),
            file=sys.stderr,
        )
    return USAGE if errors else 0


def _reading(db: Path | None, work: Callable[[Engine, list[str]], Coroutine[Any, Any, int]]) -> int:
    path, words = _path(db)

    async def read() -> int:
        async with database.reading(path) as engine:
            return await work(engine, words)

    return asyncio.run(read())


@refusing
def list_executions(
    machine: str | None, status: str | None, limit: int, db: Path | None, json: bool
) -> int:
    async def work(engine: Engine, words: list[str]) -> int:
        arn = None
        if machine is not None:
            arn = (
                machine if machine.startswith("arn:") else engine.home.arn("stateMachine", machine)
            )
            await engine.describe_state_machine(arn.partition("/")[0])
        found: list[dict[str, Any]] = []
        token = None
        while len(found) < limit:
            options: dict[str, Any] = {
                "status_filter": status,
                "max_results": DEFAULT_LIMITS.list_page,
                "next_token": token,
            }
            page = await (
                engine.list_all_executions(**options)
                if arn is None
                else engine.list_executions(arn, **options)
            )
            found += [
                each
                for each in page["executions"]
                if arn is not None or "/" not in each["stateMachineArn"]
            ]  # no Map Run's children
            token = page.get("nextToken")
            if token is None:
                break
        parked = await engine.parked()
        rows = [_list_row(each, each["executionArn"] in parked) for each in found[:limit]]
        if json:
            for each in found[:limit]:
                print(terminal.ndjson(each))
        else:
            screen.table(["name", "machine", "status", "started", "took"], rows, sys.stdout)
        return 0

    return _reading(db, work)


def _list_row(each: Mapping[str, Any], parked: bool) -> list[str]:
    started = terminal.when(each["startDate"])
    took = terminal.took(each["stopDate"] - each["startDate"]) if "stopDate" in each else ""
    status = f"{each['status']}, parked" if parked else each["status"]
    return [
        terminal.printable(each["name"]),
        arns.machine_name(each["stateMachineArn"]),
        status,
        started,
        took,
    ]


@refusing
def show(execution: str, db: Path | None, json: bool) -> int:
    async def work(engine: Engine, words: list[str]) -> int:
        described = await find(engine, execution)
        if json:
            print(terminal.ndjson(described))
            return 0
        trace: tuple[list[str], list[list[str]]] | None = None
        try:
            machine, places = await about(engine, described)
            visits = machine.visits(
                [event async for event in all_events(engine, described["executionArn"])]
            )
        except StoreFormat as fault:
            lines: list[terminal.Line] = [
                [(terminal.printable(described["name"]), "bold"), (f"  {described['status']}", "")]
            ]
            lines.append(
                [
                    (
                        (
                            "  its definition or history cannot be read: "
                            f"{terminal.printable(str(fault))}"
                        ),
                        "",
                    )
                ]
            )
        else:
            await count_map_runs(engine, visits)
            now = engine.clock.now() / 1000
            lines = [
                machine.line(described["name"]),
                terminal.conclusion(visits, now),
                *terminal.waits(visits, now),
            ]
            names = terminal.suspects(visits)
            if names:
                lines += terminal.failure(
                    visits,
                    places,
                    [
                        terminal.command("inspect", described["name"], name, *words)
                        for name in names
                    ],
                )
            trace = terminal.trace(visits, machine, now)
        parked = (await engine.parked()).get(described["executionArn"])
        if parked is not None:
            lines.append([(f"  {texts.parked(parked)}", "yellow")])
            lines.append(
                [
                    ("  next: ", terminal.DIM),
                    (terminal.command("executions", "stop", described["name"], *words), ""),
                ]
            )
        elif described["status"] == "RUNNING":
            lines.append(
                [
                    ("  next: ", terminal.DIM),
                    (terminal.command("resume", described["name"], *words), ""),
                ]
            )
        lines.append(
            [("started  ", terminal.DIM), (terminal.when(described["startDate"], exact=True), "")]
        )
        if "stopDate" in described:
            lines.append(
                [
                    ("stopped  ", terminal.DIM),
                    (terminal.when(described["stopDate"], exact=True), ""),
                ]
            )
        for name in ("input", "output"):
            if described.get(name) is not None:
                lines.append(
                    [
                        (f"{name:<9}", terminal.DIM),
                        *flow.json_parts(
                            terminal.printable(terminal.compact(described[name]), 2_000)
                        ),
                    ]
                )
        screen.write([*lines, []], sys.stdout)
        if trace is not None:
            screen.table(*trace, sys.stdout)
        return 0

    return _reading(db, work)


@refusing
def history(execution: str, reverse: bool, db: Path | None, json: bool) -> int:
    async def work(engine: Engine, words: list[str]) -> int:
        arn = (await find(engine, execution))["executionArn"]
        events = []
        async for event in all_events(engine, arn, reverse):
            if json:
                print(terminal.ndjson(event))
            else:
                events.append(event)
        if not json:
            screen.table(*terminal.history(events), sys.stdout)
        return 0

    return _reading(db, work)


@refusing
def inspect(execution: str, state: str, visit: int | None, db: Path | None, json: bool) -> int:
    async def work(engine: Engine, words: list[str]) -> int:
        described = await find(engine, execution)
        text, _, number = await pinned(engine, described)
        assert number is not None, "what can be found is stored"
        events = [event async for event in all_events(engine, described["executionArn"])]
        try:
            found = data_flow(
                await engine.program(number), json_text.loads(text), described, events, state, visit
            )
        except LookupError as fault:
            raise Refused(fault.args[0]) from None
        if json:
            print(terminal.ndjson(as_json(found)))
        else:
            screen.write(flow.lines(found, screen.width()), sys.stdout)
        return 0

    return _reading(db, work)


# --- acting on what runs --------------------------------------------------------------------------


@refusing
def stop(execution: str, error: str | None, cause: str | None, db: Path | None) -> int:
    path, _ = _path(db)

    async def work() -> int:
        async with database.reading(path) as engine:
            described = await find(engine, execution)
        if described["status"] == "RUNNING":
            await database.ask(path, "stop_execution", described["executionArn"], error, cause)
            print(f"stopped {_full_name(described)}", file=sys.stderr)
        else:
            print(
                f"{_full_name(described)} has ended before: {described['status']}", file=sys.stderr
            )
        return 0

    return asyncio.run(work())


@refusing
def poll(name: str, worker: str | None, timeout: float, db: Path | None) -> int:
    path, _ = _path(db)

    async def work() -> dict[str, Any]:
        arn = name if name.startswith("arn:") else (await database.home(path)).arn("activity", name)
        return await database.ask(path, "get_activity_task", arn, worker, timeout)

    taken = asyncio.run(work())
    if not taken:
        print(f"no task for {name} within {timeout:g} s", file=sys.stderr)
        return TIMED_OUT
    print(terminal.ndjson(taken))
    return 0


@refusing
def answer(token: str, db: Path | None, operation: str, *arguments: str | None) -> int:
    path, _ = _path(db)
    asyncio.run(database.ask(path, operation, token, *arguments))
    return 0


@refusing
def succeed(token: str, output: str, db: Path | None) -> int:
    return answer(token, db, "send_task_success", files.read_json(output, "--output"))
