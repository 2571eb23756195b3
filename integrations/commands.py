"""What the commands of cli.py do. Each function is one command: it gets the options, talks to the engine, shows, and gives the exit code."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from stepwell.asl import jsontext
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.sources import Source, SourceFault, read_definition
from stepwell.asl.validate import validate as check
from stepwell.engine import arns
from stepwell.engine import inspect as flow
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.store.base import StoreError, StoreInUse
from stepwell.engine.visits import Visits
from stepwell.integrations import opening, terminal
from stepwell.integrations.opening import Foreground, Refused

USAGE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130
EXIT: Final = {"SUCCEEDED": 0, "FAILED": 1, "TIMED_OUT": TIMED_OUT, "ABORTED": 4}
FRAME_SECONDS: Final = 0.1
_READ_BYTES: Final = 4 * DEFAULT_LIMITS.definition_bytes


class Show(NamedTuple):
    """How `run` and `resume` show an execution, and how long they wait for it."""

    json: bool = False
    quiet: bool = False
    timeout: float | None = None


def refusing(command: Callable[..., int]) -> Callable[..., int]:
    """A refusal is one line on standard error and exit code 2."""

    def run(*arguments: Any) -> int:
        try:
            return command(*arguments)
        except (Refused, SourceFault) as fault:
            words = terminal.printable(str(fault))
        except ApiError as fault:
            words = terminal.printable(fault.message)
        except StoreInUse as fault:
            words = f"{fault}: one process at a time works on a database; wait for it, or use another with --db"
        except StoreError as fault:
            words = str(fault)
        print(f"stepwell: {words}", file=sys.stderr)
        return USAGE

    return run


# --- reading what the user gives -----------------------------------------------------------------------------------------------


def _read(source: IO[bytes] | Path, what: str) -> bytes:
    """The bytes of a file, pipe or stream, refusing what can be neither a definition nor an input by its size."""
    try:
        if isinstance(source, Path):
            with source.open("rb") as stream:
                data = stream.read(_READ_BYTES + 1)
        else:
            data = source.read(_READ_BYTES + 1)
    except OSError as fault:
        raise Refused(f"{what}: {fault.strerror or fault}") from None
    if len(data) > _READ_BYTES:
        raise Refused(f"{what}: larger than {_READ_BYTES:,} bytes")
    return data


def parameters(given: Sequence[str]) -> dict[str, str]:
    """--param KEY=VALUE ..."""
    pairs = [each.partition("=") for each in given]
    for (key, sign, _), text in zip(pairs, given, strict=True):
        if not key or not sign:
            raise Refused(f"--param {text}: KEY=VALUE is needed")
    return {key: value for key, _, value in pairs}


def read_json(option: str, name: str = "--input", most: int = DEFAULT_LIMITS.payload_bytes) -> str:
    """The JSON text behind JSON|@FILE|-: the text itself, standard input, or a file (also without the @, if it is no JSON)."""
    where = option
    try:
        if option == "-":
            where, data = "standard input", _read(sys.stdin.buffer, "standard input")
        elif option.startswith("@"):
            where, data = option[1:], _read(Path(option[1:]), option[1:])
        elif not _is_json(option) and os.path.exists(option):
            data = _read(Path(option), option)
        else:
            where, data = name, option.encode()
        text = data.decode()
        jsontext.loads(text)
    except UnicodeError:
        raise Refused(f"{where}: not UTF-8 text") from None
    except jsontext.JsonFault as fault:
        hint = "" if where != name or option.lstrip()[:1] in '{["' else f"; and there is no file {option!r}"
        raise Refused(f"{where}:{fault.line}:{fault.column}: not JSON: {fault.message}{hint}") from None
    if len(data) > most:
        raise Refused(f"{where}: {len(data):,} bytes of JSON; at most {most:,} are allowed")
    return text


def _is_json(text: str) -> bool:
    try:
        jsontext.loads(text)
    except (jsontext.JsonFault, UnicodeError):
        return False
    return True


# --- definitions ---------------------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """One diagnostic of a definition file."""

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    location: str

    def text(self) -> str:
        at = f" at {self.location}" if self.location else ""
        return terminal.printable(f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {self.message}{at}")


def _problems(file: Path, given: Mapping[str, str], type: str) -> tuple[Source | None, list[Problem]]:
    """The definition in a file, None if it cannot be read; and everything that is wrong with it."""
    try:
        source = read_definition(_read(file, str(file)), str(file), given)
    except SourceFault as fault:
        return None, [Problem(str(file), fault.line, fault.column, "ERROR", "INVALID_FILE", fault.message, "")]
    except Refused as fault:
        return None, [Problem(str(file), 1, 1, "ERROR", "INVALID_FILE", str(fault).removeprefix(f"{file}: "), "")]
    found = []
    for each in check(source.text, type).diagnostics:
        line, column = source.locate(each.location or "/")
        found.append(Problem(str(file), line, column, each.severity, each.code, each.message, each.location or ""))
    return source, found


@refusing
def validate(files: Sequence[Path], param: Sequence[str], type: str, json: bool) -> int:
    given, errors = parameters(param), 0
    for file in files:
        _, problems = _problems(file, given, type)
        for problem in sorted(problems, key=lambda each: (each.line, each.column)):
            errors += problem.severity == "ERROR"
            print(terminal.ndjson(problem._asdict()) if json else problem.text())
    if not json:
        checked = terminal.count(len(files), "file")
        print(f"{checked}: {terminal.count(errors, 'error') if errors else 'valid'}", file=sys.stderr)
    return USAGE if errors else 0


def _definition(file: Path, given: Mapping[str, str], type: str) -> Source:
    source, problems = _problems(file, given, type)
    for problem in problems:
        print(problem.text(), file=sys.stderr)
    errors = sum(problem.severity == "ERROR" for problem in problems)
    if source is None or errors:
        raise Refused(f"{file} is not a valid state machine ({terminal.count(errors, 'error')})")
    return source


def machine_name(file: Path, type: str) -> str:
    """The name of the machine that a file defines: order.asl.json is "order", as Express workflow "order-express"."""
    stem = re.sub(r"(\.asl)?\.(json|ya?ml)$|\.asl$", "", file.name, flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "machine"
    suffix = "-express" if type == "EXPRESS" else ""
    return name[: DEFAULT_LIMITS.name_chars - len(suffix)] + suffix


def _places(extras: Mapping[str, Any], definition: str) -> dict[str, str]:
    """State name -> file:line, if the file that a machine came from still holds the same definition."""
    file = extras.get("file")
    if not isinstance(file, str):
        return {}
    try:
        source = read_definition(_read(Path(file), file), file, extras.get("parameters") or {})
    except (SourceFault, Refused):
        return {}
    if source.text != definition:
        return {}
    shown = os.path.relpath(file)
    shown = file if shown.startswith("..") else shown
    return {name: f"{shown}:{source.locate(location)[0]}" for name, location in _locations(jsontext.loads(definition), "")}


def _locations(block: Mapping[str, Any], at: str) -> list[tuple[str, str]]:
    found = []
    for name, state in block["States"].items():
        here = jsontext.member(f"{at}/States", name)
        found.append((name, here))
        for index, branch in enumerate(state.get("Branches", ())):
            found += _locations(branch, jsontext.item(f"{here}/Branches", index))
        for field in ("ItemProcessor", "Iterator"):
            if field in state:
                found += _locations(state[field], f"{here}/{field}")
    return found


# --- names ---------------------------------------------------------------------------------------------------------------------


async def machine_arns(engine: Engine) -> list[str]:
    return [each["stateMachineArn"] for each in (await engine.list_state_machines())["stateMachines"]]


async def find(engine: Engine, text: str) -> dict[str, Any]:
    """describe_execution's answer for a name, MACHINE/NAME or ARN."""
    if text.startswith("arn:"):
        return await engine.describe_execution(text)
    machine, _, name = text.rpartition("/")
    found = []
    for machine_arn in await machine_arns(engine):
        if machine in ("", arns.machine_name(machine_arn)):
            with suppress(ApiError):  # no execution of that name there
                found.append(await engine.describe_execution(arns.execution_arn(machine_arn, name, False)))
    if not found:
        raise Refused(f"there is no execution called {text} (`stepwell executions list` shows all)")
    if len(found) > 1:
        names = ", ".join(f"{arns.machine_name(each['stateMachineArn'])}/{each['name']}" for each in found)
        raise Refused(f"several executions are called {text}: {names}")
    return found[0]


async def every_execution(engine: Engine, machine_arn: str | None = None, status: str | None = None) -> AsyncIterator[dict[str, Any]]:
    """Page after page, the newest first."""
    token = None
    while True:
        page = await engine.list_executions(machine_arn, status=status, max_results=DEFAULT_LIMITS.list_page, next_token=token)
        for each in page["executions"]:
            yield each
        token = page.get("nextToken")
        if token is None:
            return


async def all_events(engine: Engine, arn: str, reverse: bool = False) -> AsyncIterator[dict[str, Any]]:
    token = None
    while True:
        page = await engine.get_execution_history(arn, reverse=reverse, next_token=token)
        for each in page["events"]:
            yield each
        token = page.get("nextToken")
        if token is None:
            return


async def about(engine: Engine, described: Mapping[str, Any]) -> tuple[terminal.Machine, dict[str, str]]:
    """The machine of an execution as it is pinned to it, and where its states stand in the file."""
    pinned = await engine.describe_state_machine_for_execution(described["executionArn"])
    definition = jsontext.loads(pinned["definition"])
    extras: Mapping[str, Any] = {}
    with suppress(ApiError):  # the machine was deleted meanwhile
        extras = (await engine.describe_state_machine(described["stateMachineArn"]))["extras"]
    return terminal.machine(pinned["name"], pinned.get("type", "STANDARD"), definition), _places(extras, pinned["definition"])


# --- run and resume --------------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    """Ctrl-C, or the end of --timeout: the execution is left as it is on disk."""


async def _until_closed(engine: Engine, arn: str, board: terminal.Board, show: Show, stopped: asyncio.Event) -> None:
    """Feed the board with every event until the execution closes. Raises Interrupted (Ctrl-C), TimeoutError."""

    async def watch() -> None:
        async for event in engine.watch(arn):
            board.feed(event)
            if show.json and event["id"] > board.skip:
                print(terminal.ndjson(event))

    async def draw() -> None:
        while True:
            board.refresh(engine.clock.now() / 1000)
            if show.json:
                sys.stdout.flush()
            await asyncio.sleep(FRAME_SECONDS)

    watching, drawing, stopping = (asyncio.ensure_future(each) for each in (watch(), draw(), stopped.wait()))
    try:
        await asyncio.wait({watching, drawing, stopping}, timeout=show.timeout, return_when=asyncio.FIRST_COMPLETED)
        for each in (watching, drawing):
            if each.done():
                return each.result()
        raise Interrupted if stopping.done() else TimeoutError
    finally:
        for each in (watching, drawing, stopping):
            each.cancel()
        await asyncio.gather(watching, drawing, stopping, return_exceptions=True)


def _on_interrupt() -> asyncio.Event:
    """Set by the first Ctrl-C (or SIGTERM); the second one ends the process at once."""
    stopped = asyncio.Event()

    def interrupt() -> None:
        if stopped.is_set():
            if sys.stderr.isatty():
                sys.stderr.write("\x1b[?25h\n")  # the cursor, hidden by the board
                sys.stderr.flush()
            os._exit(INTERRUPTED)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return stopped


async def _follow(engine: Engine, arn: str, show: Show, stopped: asyncio.Event, skip: int = 0, prefix: str = "") -> int:
    """Show an execution until it closes; then its output, or how it failed."""
    described = await engine.describe_execution(arn)
    machine, places = await about(engine, described)
    hint = terminal.command("resume", described["name"], *_db_words(engine))
    quiet = show.quiet or show.json
    board = terminal.Board(machine, described["name"], hint, sys.stderr, quiet=quiet, skip=skip, prefix=prefix)
    express = machine.type == "EXPRESS"
    try:
        with board:
            await _until_closed(engine, arn, board, show, stopped)
    except (Interrupted, TimeoutError) as reason:
        running = ", ".join(dict.fromkeys(terminal.where(each) for each in board.visits.open.values())) or "its start"
        what = "interrupted" if isinstance(reason, Interrupted) else f"not ended after {show.timeout:g} s"
        later = "an Express execution is not kept" if express else f"go on with: {hint}"
        print(f"{prefix}{what} at {running}; {later}", file=sys.stderr)
        return INTERRUPTED if isinstance(reason, Interrupted) else TIMED_OUT
    return _conclude(await engine.describe_execution(arn), board.visits, places, show, prefix, [] if express else _db_words(engine))


def _db_words(engine: Engine) -> list[str]:
    """--db PATH for the commands that are proposed, unless it is the default."""
    path = Path(engine.path)
    return [] if path == opening.default_path() else ["--db", str(path)]


def _conclude(ended: Mapping[str, Any], visits: Visits, places: Mapping[str, str], show: Show, prefix: str, db: list[str]) -> int:
    status: str = ended["status"]
    if status != "SUCCEEDED" or not (show.quiet or show.json):
        lines = [[(prefix, ""), *terminal.conclusion(visits)]]
        if status != "SUCCEEDED":
            commands = [terminal.command("executions", "history", ended["name"], *db)]
            suspect = terminal.suspect(visits)
            if suspect is not None:
                commands.insert(0, terminal.command("inspect", ended["name"], suspect.name, *db))
            lines += terminal.failure(visits, places, commands)
        terminal.write(lines, sys.stderr)
    if status == "SUCCEEDED" and not show.json:
        _print_json(ended["output"])
    return EXIT[status]


def _print_json(text: str) -> None:
    """JSON as it is; indented for people, digits untouched."""
    if sys.stdout.isatty():
        import msgspec

        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@refusing
def run(
    file: Path, input: str, name: str | None, type: str, functions: Path | None, param: Sequence[str], db: Path | None, show: Show
) -> int:
    if input == "-" and str(file) == "-":
        raise Refused("the definition must be a file")
    given = parameters(param)
    source = _definition(file, given, type)
    text = read_json(input)
    if functions is not None and not functions.is_dir():
        raise Refused(f"--functions {functions}: no such folder")
    beside = file.parent / "functions"
    folder = functions or (beside if beside.is_dir() else None)
    extras = {"file": str(file.resolve()), "functions": str(folder.resolve()) if folder else None, "parameters": given}
    return asyncio.run(_run(db or opening.default_path(), machine_name(file, type), type, source.text, extras, name, text, show))


async def _run(
    db: Path, machine: str, type: str, definition: str, extras: dict[str, Any], name: str | None, text: str, show: Show
) -> int:
    stopped = _on_interrupt()
    async with opening.working(db) as (engine, tasks):
        arn = await _put_machine(engine, machine, type, definition, extras)
        still = {each["executionArn"] async for each in every_execution(engine, status="RUNNING")}
        started = await engine.start_execution(arn, name=name or secrets.token_hex(6), input=text)
        tasks.begin(still - await _family(engine, {started["executionArn"]}))
        return await _follow(engine, started["executionArn"], show, stopped)


async def _put_machine(engine: Engine, name: str, type: str, definition: str, extras: dict[str, Any]) -> str:
    """Create the machine, or bring it up to date; and the activities that it names, which nobody else would create here."""
    arn = engine.home.arn("stateMachine", name)
    if arn in await machine_arns(engine):
        described = await engine.describe_state_machine(arn)
        if (described["definition"], described["extras"]) != (definition, extras):
            await engine.update_state_machine(arn, definition=definition, extras=extras)
    else:
        await engine.create_state_machine(name, definition, type=type, extras=extras)
    prefix = engine.home.arn("activity", "")
    for state in terminal.every_state(jsontext.loads(definition)).values():
        resource = str(state.get("Resource", ""))
        if resource.startswith(prefix):
            await engine.create_activity(resource.removeprefix(prefix))
    return arn


async def _family(engine: Engine, arns_: set[str]) -> set[str]:
    """These executions and all that they started: nested ones (named in their histories) and the children of their Map Runs."""
    family, waiting = set(arns_), list(arns_)
    while waiting:
        for child in await engine.started_by(waiting.pop()):
            if child not in family:
                family.add(child)
                waiting.append(child)
    return family


@refusing
def resume(execution: str | None, all: bool, functions: Path | None, db: Path | None, show: Show) -> int:
    if execution is not None and all:
        raise Refused("name an execution or give --all, not both")
    path = db or opening.default_path()
    if not path.exists():
        raise Refused(f"there is no database at {path} yet: `stepwell run FILE` makes it")
    if functions is not None and not functions.is_dir():
        raise Refused(f"--functions {functions}: no such folder")
    return asyncio.run(_resume(path, execution, all, functions.resolve() if functions else None, show))


async def _resume(path: Path, name: str | None, all: bool, functions: Path | None, show: Show) -> int:
    stopped = _on_interrupt()
    async with opening.working(path, functions) as (engine, tasks):
        running = [each async for each in every_execution(engine, status="RUNNING")]
        tops = [each for each in running if not _child(each)]
        if name is not None:
            chosen = [await find(engine, name)]
        elif all or len(tops) == 1:
            chosen = list(reversed(tops))
        elif tops:
            names = ", ".join(f"{arns.machine_name(each['stateMachineArn'])}/{each['name']}" for each in tops[:20])
            raise Refused(f"several executions run: name one of them, or give --all ({names})")
        else:
            chosen = []
        if not chosen:
            print("nothing runs: there is nothing to resume", file=sys.stderr)
            return 0
        wanted = {each["executionArn"] for each in chosen}
        tasks.begin(set() if all else {each["executionArn"] for each in running} - await _family(engine, wanted))
        follow: list[Coroutine[Any, Any, int]] = []
        for each in chosen:
            last = await engine.get_execution_history(each["executionArn"], max_results=1, reverse=True)
            prefix = f"{terminal.printable(each['name'])}  " if len(chosen) > 1 else ""
            follow.append(_follow(engine, each["executionArn"], show, stopped, last["events"][0]["id"], prefix))
        codes = await asyncio.gather(*follow)
        return next((code for code in (INTERRUPTED, 1, TIMED_OUT, 4) if code in codes), 0)


def _child(execution: Mapping[str, Any]) -> bool:
    """A child of a Map Run: shown with it, not by itself."""
    return "/" in execution["stateMachineArn"]


# --- looking ---------------------------------------------------------------------------------------------------------------------


def _reading(db: Path | None, work: Callable[[Engine], Coroutine[Any, Any, int]]) -> int:
    async def read() -> int:
        async with opening.reading(db or opening.default_path()) as engine:
            return await work(engine)

    return asyncio.run(read())


@refusing
def list_executions(machine: str | None, status: str | None, limit: int, db: Path | None, json: bool) -> int:
    async def work(engine: Engine) -> int:
        arn = None
        if machine is not None:
            arn = machine if machine.startswith("arn:") else engine.home.arn("stateMachine", machine)
            await engine.describe_state_machine(arn.partition("/")[0])
        found: list[dict[str, Any]] = []
        async for each in every_execution(engine, arn, status):
            if arn is not None or not _child(each):
                found.append(each)
                if len(found) == limit:
                    break
        if json:
            for each in found:
                print(terminal.ndjson(each))
            return 0
        rows = [
            [
                terminal.printable(each["name"]),
                arns.machine_name(each["stateMachineArn"]),
                each["status"],
                terminal.when(each["startDate"])[:19].replace("T", " "),
                terminal.took(each["stopDate"] - each["startDate"]) if "stopDate" in each else "",
            ]
            for each in found
        ]
        terminal.table(["name", "machine", "status", "started (UTC)", "took"], rows, sys.stdout)
        return 0

    return _reading(db, work)


@refusing
def show(execution: str, db: Path | None, json: bool) -> int:
    async def work(engine: Engine) -> int:
        described = await find(engine, execution)
        if json:
            print(terminal.ndjson(described))
            return 0
        machine, places = await about(engine, described)
        visits = Visits([event async for event in all_events(engine, described["executionArn"])])
        words = _db_words(engine)
        lines = [machine.line(described["name"]), terminal.conclusion(visits)]
        if described["status"] == "FAILED" and (suspect := terminal.suspect(visits)) is not None:
            lines += terminal.failure(visits, places, [terminal.command("inspect", described["name"], suspect.name, *words)])
        if described["status"] == "RUNNING":
            lines.append([("  next: ", terminal.DIM), (terminal.command("resume", described["name"], *words), "")])
        lines.append([("started ", terminal.DIM), (terminal.when(described["startDate"]), "")])
        for field in ("input", "output"):
            if field in described:
                lines.append([(f"{field:<8}", terminal.DIM), (terminal.printable(described[field], 2000), "")])
        terminal.write([*lines, []], sys.stdout)
        terminal.table(*terminal.trace(visits, machine), sys.stdout)
        return 0

    return _reading(db, work)


@refusing
def history(execution: str, reverse: bool, db: Path | None, json: bool) -> int:
    async def work(engine: Engine) -> int:
        arn = (await find(engine, execution))["executionArn"]
        if json:
            async for event in all_events(engine, arn, reverse):
                print(terminal.ndjson(event))
            return 0
        events = [event async for event in all_events(engine, arn, reverse)]
        terminal.table(*terminal.history(events), sys.stdout)
        return 0

    return _reading(db, work)


@refusing
def inspect(execution: str, state: str, visit: int | None, db: Path | None, json: bool) -> int:
    async def work(engine: Engine) -> int:
        described = await find(engine, execution)
        events = [event async for event in all_events(engine, described["executionArn"])]
        pinned = await engine.describe_state_machine_for_execution(described["executionArn"])
        program = await engine.program_of(described["executionArn"])
        try:
            found = flow.data_flow(program, jsontext.loads(pinned["definition"]), pinned, described, events, state, visit)
        except LookupError as fault:
            raise Refused(str(fault.args[0])) from None
        if json:
            print(terminal.ndjson(flow.as_json(found)))
        else:
            terminal.write(terminal.data_flow(found, sys.stdout), sys.stdout)
        return 0

    return _reading(db, work)


# --- acting on what runs -----------------------------------------------------------------------------------------------------------


@refusing
def stop(execution: str, error: str | None, cause: str | None, db: Path | None) -> int:
    path = db or opening.default_path()

    async def work() -> int:
        async with opening.reading(path) as engine:
            described = await find(engine, execution)
        if described["status"] != "RUNNING":
            print(f"{execution} has ended before: {described['status']}", file=sys.stderr)
            return 0
        await opening.ask(path, "stop_execution", described["executionArn"], error, cause)
        print(f"stopped {execution}", file=sys.stderr)
        return 0

    return asyncio.run(work())


@refusing
def poll(name: str, worker: str | None, timeout: float, db: Path | None) -> int:
    path = db or opening.default_path()
    arn = name if name.startswith("arn:") else arns.Home().arn("activity", name)
    taken = asyncio.run(opening.ask(path, "get_activity_task", arn, worker, timeout))
    if not taken:
        print(f"no task for {name} within {timeout:g} s", file=sys.stderr)
        return TIMED_OUT
    print(terminal.ndjson(taken))
    return 0


@refusing
def answer(token: str, db: Path | None, operation: str, *arguments: str | None) -> int:
    asyncio.run(opening.ask(db or opening.default_path(), operation, token, *arguments))
    return 0
