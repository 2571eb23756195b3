"""What `stepwell executions` and `stepwell inspect` do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from stepwell.asl import json_text
from stepwell.engine import arns
from stepwell.engine.engine import Engine
from stepwell.engine.operations.data_flow import as_json, data_flow
from stepwell.engine.operations.results import ExecutionListItem
from stepwell.engine.store.base import StoreFormatError
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.causes import likely_cause
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.cli.output import data_flow as flow
from stepwell.integrations.cli.output import outcome, screen, tables
from stepwell.integrations.cli.output.text import (
    DIM,
    Line,
    command,
    compact,
    ndjson,
    printable,
    took,
    when,
)
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.visualize import words


def _reading(
    db: str | None, limits: Limits, read: Callable[[Engine, list[str]], Coroutine[Any, Any, None]]
) -> int:
    """Call `read` with an Engine that reads the database, and the words that name it."""
    path, db_words = lookup.database_options(db)

    async def work() -> None:
        async with database.reading(path, limits) as engine:
            await read(engine, db_words)

    asyncio.run(work())
    return exit_codes.SUCCEEDED


# --- list -----------------------------------------------------------------------------------------


@with_limits
def list_(
    machine: str | None,
    status: str | None,
    limit: int,
    db: str | None,
    json: bool,
    limits: Limits,
) -> int:
    async def read(engine: Engine, _: list[str]) -> None:
        shown = (await _executions(engine, machine, status, limit))[:limit]
        if json:
            for each in shown:
                print(ndjson(each))
        else:
            parked = await engine.parked_executions()
            rows = [_list_row(each, each["executionArn"] in parked) for each in shown]
            screen.table(["name", "machine", "status", "started", "took"], rows, sys.stdout)

    return _reading(db, limits, read)


async def _executions(
    engine: Engine, machine: str | None, status: str | None, limit: int
) -> list[ExecutionListItem]:
    """At least the `limit` newest executions, of one machine (name or ARN) or of all."""
    arn = None
    if machine is not None:
        arn = machine if machine.startswith("arn:") else engine.home.arn("stateMachine", machine)
        await engine.describe_state_machine(arn.partition("/")[0])
    executions: list[ExecutionListItem] = []
    token = None
    while len(executions) < limit:
        options: dict[str, Any] = {
            "status_filter": status,
            "max_results": engine.limits.list_page,
            "next_token": token,
        }
        if arn is None:
            page = await engine.list_all_executions(**options)
            executions += [  # without the children of Map Runs
                each for each in page["executions"] if "/" not in each["stateMachineArn"]
            ]
        else:
            page = await engine.list_executions(arn, **options)
            executions += page["executions"]
        token = page.get("nextToken")
        if token is None:
            break
    return executions


def _list_row(each: Mapping[str, Any], parked: bool) -> list[str]:
    return [
        printable(each["name"]),
        arns.machine_name(each["stateMachineArn"]),
        f"{each['status']}, parked" if parked else each["status"],
        when(each["startDate"]),
        took(each["stopDate"] - each["startDate"]) if "stopDate" in each else "",
    ]


# --- show -----------------------------------------------------------------------------------------


@with_limits
def show(execution: str, db: str | None, json: bool, limits: Limits) -> int:
    async def read(engine: Engine, db_words: list[str]) -> None:
        described = await lookup.find(engine, execution)
        if json:
            print(ndjson(described))
            return
        lines, trace = await _progress(engine, described, db_words)
        parked = (await engine.parked_executions()).get(described["executionArn"])
        lines += _next(described, parked, db_words)
        screen.write([*lines, *_facts(described), []], sys.stdout)
        if trace is not None:
            screen.table(*trace, sys.stdout)

    return _reading(db, limits, read)


async def _progress(
    engine: Engine, described: Mapping[str, Any], db_words: list[str]
) -> tuple[list[Line], tables.Table | None]:
    """Where it stands or how it ended, and the table of its states: None if they cannot be read."""
    name = described["name"]
    try:
        machine, places = await lookup.machine_of(engine, described)
        history = lookup.all_events(engine, described["executionArn"])
        visits = machine.visits([event async for event in history])
    except StoreFormatError as fault:
        reason = f"  its definition or history cannot be read: {printable(str(fault))}"
        return [[(printable(name), "bold"), (f"  {described['status']}", "")], [(reason, "")]], None
    await lookup.count_map_runs(engine, visits)
    now = engine.clock.now() / 1000
    lines = [
        machine.line(name),
        outcome.conclusion(visits, now),
        *outcome.waits(visits, now),
    ]
    suspects = outcome.suspects(visits)
    if suspects:
        commands = [command("inspect", name, state, *db_words) for state in suspects]
        why = await likely_cause(engine, described, visits)
        lines += outcome.failure(visits, places, commands, why)
    return lines, tables.trace(visits, machine, now)


def _next(described: Mapping[str, Any], parked: str | None, db_words: list[str]) -> list[Line]:
    """Why it is parked, and the command to use next."""
    lines: list[Line] = []
    if parked is not None:
        lines.append([(f"  {words.parked(parked)}", "yellow")])
        proposed = command("executions", "stop", described["name"], *db_words)
    elif described["status"] == "RUNNING":
        proposed = command("resume", described["name"], *db_words)
    else:
        return []
    return [*lines, [("  next: ", DIM), (proposed, "")]]


def _facts(described: Mapping[str, Any]) -> list[Line]:
    """When it started and stopped, its input and output."""
    lines: list[Line] = [[("started  ", DIM), (when(described["startDate"], exact=True), "")]]
    if "stopDate" in described:
        lines.append([("stopped  ", DIM), (when(described["stopDate"], exact=True), "")])
    for name in ("input", "output"):
        if described.get(name) is not None:
            value = flow.json_parts(printable(compact(described[name]), 2_000))
            lines.append([(f"{name:<9}", DIM), *value])
    return lines


# --- history, inspect, stop -----------------------------------------------------------------------


@with_limits
def history(execution: str, reverse: bool, db: str | None, json: bool, limits: Limits) -> int:
    async def read(engine: Engine, _: list[str]) -> None:
        arn = (await lookup.find(engine, execution))["executionArn"]
        events = lookup.all_events(engine, arn, reverse)
        if json:
            async for event in events:
                print(ndjson(event))
        else:
            screen.table(*tables.history([event async for event in events]), sys.stdout)

    return _reading(db, limits, read)


@with_limits
def inspect(
    execution: str, state: str, visit: int | None, db: str | None, json: bool, limits: Limits
) -> int:
    async def read(engine: Engine, _: list[str]) -> None:
        described = await lookup.find(engine, execution)
        definition, _type, number = await lookup.pinned(engine, described)
        assert number is not None, "an execution that was found is stored"
        history = lookup.all_events(engine, described["executionArn"])
        events = [event async for event in history]
        program, value = await engine.program(number), json_text.loads(definition)
        try:
            stages = data_flow(program, value, described, events, state, visit)
        except LookupError as fault:
            raise UsageError(fault.args[0]) from None
        if json:
            print(ndjson(as_json(stages)))
        else:
            screen.write(flow.lines(stages, screen.width()), sys.stdout)

    return _reading(db, limits, read)


@with_limits
def stop(
    execution: str, error: str | None, cause: str | None, db: str | None, limits: Limits
) -> int:
    path = database.database(db)

    async def stop() -> str:
        async with database.reading(path, limits) as engine:
            described = await lookup.find(engine, execution)
        arn, name = described["executionArn"], lookup.full_name(described)
        if described["status"] != "RUNNING":
            return f"{name} has ended before: {described['status']}"
        await database.request(path, "stop_execution", arn, error, cause, limits=limits)
        return f"stopped {name}"

    print(asyncio.run(stop()), file=sys.stderr)
    return exit_codes.SUCCEEDED


@with_limits
def fire(execution: str, state: str | None, db: str | None, limits: Limits) -> int:
    path = database.database(db)

    async def fire() -> list[dict[str, Any]]:
        async with database.reading(path, limits) as engine:
            arn = (await lookup.find(engine, execution))["executionArn"]
        fired = await database.request(path, "fire_timer", arn, state, limits=limits)
        ended: list[dict[str, Any]] = fired["fired"]
        return ended

    for each in asyncio.run(fire()):
        due = when(each["dueDate"], exact=True)
        print(f"{printable(each['stateName'])} waits no longer; it was due {due}", file=sys.stderr)
    return exit_codes.SUCCEEDED
