"""What `stepwell run` and `stepwell resume` do: drive executions and show them until they close.

`run` drives an execution itself. Where a server has the database open, or where a server is named,
it starts the execution there and follows it.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.engine import arns
from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import ExecutionRow, StoreInUseError
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations import loop, machine_tasks
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.cli import exit_codes, files, lookup, mock_options, task_settings
from stepwell.integrations.cli.clients import choosing
from stepwell.integrations.cli.clients import search_attributes as attributes
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.local import DatabaseClient, EngineClient
from stepwell.integrations.cli.commands import machines
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.following import Follower, print_json
from stepwell.integrations.cli.output.text import command, printable, reason
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.database import naming, owning, requests
from stepwell.integrations.definitions import other_machines
from stepwell.integrations.definitions.template_functions import sources
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.machine_tasks import Code, MachineTasks
from stepwell.integrations.settings import TaskSettings

WORST_FIRST: Final = (
    exit_codes.INTERRUPTED,
    exit_codes.FAILED,
    exit_codes.TIMED_OUT,
    exit_codes.ABORTED,
)


Mocks: TypeAlias = tuple[Path | None, str | None, str]
"""--mocks, --case and --mock-validation."""


class Asked(NamedTuple):
    """What `run` is asked to run, and how it shows it.

    name  of the execution; None: one is generated
    """

    file: Path
    type: str
    parameters: Mapping[str, Any]
    name: str | None
    input: str
    json: bool
    quiet: bool
    timeout: float | None
    mocks: Mocks
    skip_time: bool
    search_attributes: str | None


@with_limits
def run(
    *,
    file: Path,
    input: str,
    name: str | None,
    type: str | None,
    param: Sequence[str],
    params: Path | None,
    server: str | None,
    db: str | None,
    json: bool,
    quiet: bool,
    timeout: float | None,
    mocks: Mocks,
    skip_time: bool,
    search_attributes: str | None,
    limits: Limits,
    **tasks: Any,
) -> int:
    """tasks: the options of task_settings.read()."""
    attributes.check(search_attributes)
    settings, at = task_settings.read(**tasks), choosing.place(server, db)
    text = inputs.read_json(input, "--input", limits)
    given = files.parameters(param, params, limits)
    kind = files.type_of(file, type, given, limits)
    asked = Asked(
        *(file, kind, given, name, text, json, quiet, timeout, mocks, skip_time, search_attributes)
    )
    if at.server is None:
        return loop.run(_here(asked, at, settings, limits))
    return loop.run(_at_server(asked, at, settings, limits))


async def _here(asked: Asked, at: choosing.Place, settings: TaskSettings, limits: Limits) -> int:
    """In this process, or where a server has the database open, there."""
    named = naming.database(at.db)
    folder = settings.functions or files.functions_beside(asked.file)
    kept = at.db is not None or not asked.skip_time
    owner = await requests.owner(named) if kept else None
    if owner is not None and "url" in owner:
        async with choosing.opened(None, at.db, limits) as client:
            note = f"the server at {owner['url']}, which has {named} open"
            return await _elsewhere(asked, client, settings, note, folder)
    checked = _checked(asked, Home(), folder, None, limits)
    machine = files.machine_name(asked.file, asked.type, checked.extras["parameters"], limits)
    states = dict(every_state(json_text.loads(checked.text)))
    mocking = mock_options.chosen(mock_options.read(*asked.mocks), machine, states)
    follower = Follower(asked.json, asked.quiet, asked.timeout, kept=kept)
    outside = settings.outside(limits)
    machine_arn: str | None = None

    async def drive(shard: Shard | None) -> int:
        nonlocal checked, machine_arn
        opened = _opened(asked, named if kept else None, follower, limits, outside, shard)
        async with opened as (engine, tasks):
            mocking.use(tasks)
            client = EngineClient(engine, f"the database {named}", at.words, limits)
            if engine.home != Home():
                checked = _checked(asked, engine.home, folder, None, limits)
            if machine_arn is None:  # the first shard stores machines
                machine_arn = await _put_machine(asked, client, checked, checked.extras)
                check = partial(_checked, home=engine.home, folder=folder, known=None)
                await _put_others(asked, client, machine_arn, checked, check)
            earlier = await machine_tasks.running(engine)
            express = asked.type == "EXPRESS"
            start = engine.watch_express_execution if express else engine.start_execution
            name = asked.name or _name(engine, machine_arn)
            started = await start(mocking.target(machine_arn), name=name, input=asked.input)
            arn = started["executionArn"]
            tasks.begin(earlier, {arn})
            code = await follower.follow(client, arn)
            mocking.report(tasks, code)
            return code

    return await owning.on_its_shard(drive)


def _opened(
    asked: Asked,
    named: naming.Database | None,
    follower: Follower,
    limits: Limits,
    outside: Outside,
    shard: Shard | None,
) -> AbstractAsyncContextManager[tuple[Engine, MachineTasks]]:
    """The database. None: one that ends with the process, for skipped time, since the clock of a
    database never goes back.
    """
    output = follower.print_output
    if not asked.skip_time:
        assert named is not None
        return owning.owned(named, None, output, limits, shard, outside=outside)
    clock = _skipping(named, limits)
    if named is None:
        return owning.temporary(None, output, limits, clock, outside)
    return owning.owned(named, None, output, limits, clock=clock, outside=outside)


def _skipping(named: naming.Database | None, limits: Limits) -> VirtualClock:
    """The clock of --skip-time. Raises UsageError for a database with nodes of other clocks."""
    if named is not None and named.file is None:
        raise UsageError(f"--skip-time: {named} is shared with other nodes; use a SQLite file")
    # no worker outside can answer a task of this process that waits for its token
    return VirtualClock(outside_seconds=0, limits=limits)


class Checked(NamedTuple):
    """A definition as JSON text, and what is stored with its machine."""

    text: str
    extras: Mapping[str, Any]


def _checked(
    asked: Asked,
    home: Home,
    folder: Path | None,
    known: Callable[[str], str | None] | None,
    limits: Limits,
) -> Checked:
    """The definition for a place with this region and account. Raises UsageError."""
    parameters = files.with_pseudo_parameters(asked.file, asked.parameters, home)
    source = files.definition(asked.file, parameters, asked.type, folder, known, limits)
    code = Code.of(folder and folder.resolve(), limits, sources(asked.file, parameters, limits))
    extras = {
        "file": str(asked.file.resolve()),
        "functions": code.folder,
        "parameters": parameters,
        "sources": code.sources,
    }
    return Checked(source.text, extras)


async def _put_machine(
    asked: Asked,
    client: Client,
    checked: Checked,
    extras: Mapping[str, Any] | None,
    name: str | None = None,
) -> str:
    """Create or update the machine, and create the activities that its definition names. Returns
    its ARN.

    name  of the machine; None: that of its file
    """
    definition, parameters = checked.text, checked.extras["parameters"]
    name = name or files.machine_name(asked.file, asked.type, parameters, client.limits)
    more: dict[str, Any] = {} if extras is None else {"extras": extras}
    answer, _ = await machines.stored(client, name, asked.type, definition, **more)
    arn: str = answer["stateMachineArn"]
    await attributes.tag(client, arn, asked.search_attributes)
    prefix = arn.partition(":stateMachine:")[0] + ":activity:"
    for _, state in every_state(json_text.loads(definition)):
        resource = str(state.get("Resource", ""))
        if resource.startswith(prefix):
            await client.call("create_activity", name=resource.removeprefix(prefix))
    return arn


async def _put_others(
    asked: Asked, client: Client, machine_arn: str, checked: Checked, check: Callable[..., Checked]
) -> None:
    """Create the machines that a definition names and those name in turn, of the same template or
    beside it, and update those that came from there. Others of these names stay as they are.

    check  _checked() of the place
    """
    keeps = isinstance(client, EngineClient | DatabaseClient)  # where a machine came from
    found, seen = [(asked.file, machine_arn, checked)], {machine_arn.rpartition(":")[2]}
    for beside, arn, by in found:  # which grows
        for name in other_machines.named(by.text, arn):
            if name in seen:
                continue
            file = other_machines.nearby(name, beside, by.extras["parameters"])
            seen.add(name)
            if file is None:
                continue
            known = await machines.described(client, name)
            if known and known.get("extras", {}).get("file") != str(file.resolve()):
                continue
            given = by.extras["parameters"]
            kind = known["type"] if known else files.type_of(file, None, given, client.limits)
            other = asked._replace(file=file, type=kind)
            try:
                checked = check(other, limits=client.limits)
            except UsageError as fault:  # perhaps no task comes to start it
                so = "stays as it was" if known else "cannot be started"
                print(f"{name} {so}: {fault}", file=sys.stderr)
                continue
            extras = checked.extras if keeps else None
            stored = await _put_machine(other, client, checked, extras, name)
            found.append((file, stored, checked))


def _name(engine: Engine, machine_arn: str) -> str:
    """A short name for an execution that this process may start."""
    draw = partial(arns.execution_arn, machine_arn), partial(secrets.token_hex, 6)
    return engine.shard.draw(*draw)[0]


# --- at a server ----------------------------------------------------------------------------------


async def _at_server(
    asked: Asked, at: choosing.Place, settings: TaskSettings, limits: Limits
) -> int:
    async with choosing.opened(at.server, None, limits) as client:
        if settings.functions is not None:
            raise UsageError(
                f"--functions: {client.where} has functions of its own: `stepwell serve "
                "--functions DIR` there, or Lambda's CreateFunction"
            )
        beside = files.functions_beside(asked.file)
        if beside is not None and not (asked.quiet or asked.json):
            print(f"{beside} is not used: {client.where} has its own functions", file=sys.stderr)
        return await _elsewhere(asked, client, settings, client.where, None)


async def _elsewhere(
    asked: Asked,
    client: Client,
    settings: TaskSettings,
    place: str,
    folder: Path | None,
) -> int:
    """Start it at a server, and follow it there.

    place   how the output names the server
    folder  of the functions, if the server is of this machine and user
    """
    file, case, _ = asked.mocks
    own = settings != TaskSettings(functions=settings.functions)
    if own or file is not None or asked.skip_time:
        raise UsageError(
            f"{place} runs the tasks: give --mocks, --skip-time, --aws-endpoint, --allow-aws and "
            "--allow-private to `stepwell serve`"
        )
    home = await lookup.home(client)
    checked = _checked(asked, home, folder, lambda each: each, client.limits)
    if not (asked.quiet or asked.json):
        print(f"runs on {place}", file=sys.stderr)
    extras = checked.extras if isinstance(client, DatabaseClient) else None
    machine_arn = await _put_machine(asked, client, checked, extras)
    check = partial(_checked, home=home, folder=folder, known=lambda each: each)
    await _put_others(asked, client, machine_arn, checked, check)
    name = asked.name or secrets.token_hex(6)  # a request that is sent again starts nothing twice
    target = machine_arn if case is None else f"{machine_arn}#{case}"
    request = {"state_machine_arn": target, "name": name, "input": asked.input}
    if asked.type == "EXPRESS":
        return _ended(await client.call("start_sync_execution", **request))
    started = await client.call("start_execution", **request)
    client.patient = True  # it runs on while the server is away
    follower = Follower(asked.json, asked.quiet, asked.timeout, here=False)
    return await follower.follow(client, started["executionArn"])


def _ended(answer: Mapping[str, Any]) -> int:
    """Show the end of an Express execution. The exit code."""
    if answer["status"] == "SUCCEEDED":
        print_json(answer["output"])
    else:
        words = reason(answer.get("error"), answer.get("cause"))
        print(f"{answer['status']}  {words}".rstrip(), file=sys.stderr)
    return exit_codes.BY_STATUS[answer["status"]]


# --- resume ---------------------------------------------------------------------------------------


@with_limits
def resume(
    *,
    execution: str | None,
    all: bool,
    functions: Path | None,
    db: str | None,
    json: bool,
    quiet: bool,
    timeout: float | None,
    mocks: Mocks,
    skip_time: bool,
    limits: Limits,
    **tasks: Any,
) -> int:
    """tasks: the options of task_settings.read()."""
    if execution is not None and all:
        raise UsageError("use either an execution's name or --all, not both")
    settings, mocking = task_settings.read(functions=functions, **tasks), mock_options.read(*mocks)
    if skip_time and db is None:
        raise UsageError("--skip-time: the clock of a database never goes back: name one with --db")
    named, words = choosing.database(db)
    clock = _skipping(named, limits) if skip_time else None
    naming.existing(named)

    async def work(shard: Shard | None) -> int:
        follower = Follower(json, quiet, timeout)
        outside = settings.outside(limits)
        own = settings.functions and settings.functions.resolve()
        printed = follower.print_output
        opened = owning.owned(named, own, printed, limits, shard, clock, outside)
        async with _resumable(named, words), opened as (engine, tasks):
            if execution is None and engine.shard.count > 1:
                raise UsageError(
                    f"{named} has {engine.shard.count} shards: name an execution, or resume all "
                    "with `stepwell serve`"
                )
            client = EngineClient(engine, f"the database {named}", words, limits)
            running = await machine_tasks.running(engine)
            chosen = await _chosen(client, engine, running, execution, all)
            arns = {each["executionArn"] for each in chosen}
            mock_options.of_running(mocking, running, arns).use(tasks)
            tasks.begin(running, None if all else arns)
            if not chosen:
                print("nothing to resume: no execution is running", file=sys.stderr)
            following: list[Coroutine[Any, Any, int]] = []
            for each in chosen:
                prefix = f"{printable(each['name'])}  " if len(chosen) > 1 else ""
                skip = await _last_event(engine, each) if each["status"] == "RUNNING" else 0
                following.append(follower.follow(client, each["executionArn"], skip, prefix))
            codes = await asyncio.gather(*following)
            return next((code for code in WORST_FIRST if code in codes), exit_codes.SUCCEEDED)

    return loop.run(owning.on_its_shard(work))


@asynccontextmanager
async def _resumable(named: naming.Database, words: Sequence[str]) -> AsyncIterator[None]:
    """Say why nothing can be resumed where another process runs the executions."""
    try:
        yield
    except StoreInUseError:
        owner = await requests.owner(named)
        if owner is None:
            raise
        who = f"the server at {owner['url']}" if "url" in owner else f"process {owner['pid']}"
        follow = command("tail", "-f", *words)
        raise UsageError(
            f"{who} has {named} open and runs its executions; follow them with: {follow}"
        ) from None


async def _chosen(
    client: Client,
    engine: Engine,
    running: Sequence[ExecutionRow],
    execution: str | None,
    all: bool,
) -> list[Mapping[str, Any]]:
    """DescribeExecution's answers for the executions to resume, oldest first. Nested executions and
    those of Map Runs resume with the execution that waits for them.
    """
    if execution is not None:
        return [await lookup.find(client, execution)]
    nested = machine_tasks.awaited(engine)
    roots: list[Mapping[str, Any]] = [
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
