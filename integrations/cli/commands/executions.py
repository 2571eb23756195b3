"""What the commands do that show executions: list, show, history and inspect."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from stepwell.asl import json_text
from stepwell.engine import arns
from stepwell.engine.operations.data_flow import as_json, data_flow
from stepwell.engine.store.base import StoreFormatError
from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.causes import likely_cause
from stepwell.integrations.cli.clients import choosing, search_attributes, selection
from stepwell.integrations.cli.clients.base import Client
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


def using(
    server: str | None,
    db: str | None,
    limits: Limits,
    work: Callable[[Client], Coroutine[Any, Any, int | None]],
) -> int:
    """Call `work` with the client of what the options name. The exit code; None is success."""

    async def run() -> int:
        async with choosing.opened(server, db, limits) as client:
            return await work(client) or exit_codes.SUCCEEDED

    return asyncio.run(run())


# --- list -----------------------------------------------------------------------------------------


@with_limits
def list_(
    query: Sequence[str],
    options: Mapping[str, str | None],
    attributes: str | None,
    limit: int,
    server: str | None,
    db: str | None,
    json: bool,
    utc: bool,
    limits: Limits,
) -> int:
    """options: the fields of selection.Wanted. attributes: names, with commas between them."""
    selected = selection.read(options, query)
    asked = None if attributes is None else search_attributes.names(attributes)

    async def read(client: Client) -> None:
        shown = [each async for each in selection.executions(client, selected, limit, asked)]
        if json:
            for each in shown:
                print(ndjson(each))
            return
        parked = await client.parked()
        columns = search_attributes.columns(selected.search(), asked)
        rows = [
            [
                *_list_row(each, each["executionArn"] in parked, utc),
                *search_attributes.cells(each, columns),
            ]
            for each in shown
        ]
        heads = ["name", "machine", "status", "started", "took", *columns]
        screen.table(heads, rows, sys.stdout)

    return using(server, db, limits, read)


def _list_row(each: Mapping[str, Any], parked: bool, utc: bool) -> list[str]:
    return [
        printable(each["name"]),
        arns.machine_name(each["stateMachineArn"]),
        f"{each['status']}, parked" if parked else each["status"],
        when(each["startDate"], utc=utc),
        took(each["stopDate"] - each["startDate"]) if "stopDate" in each else "",
    ]


# --- show -----------------------------------------------------------------------------------------


@with_limits
def show(
    execution: str, server: str | None, db: str | None, json: bool, utc: bool, limits: Limits
) -> int:
    async def read(client: Client) -> None:
        described = await lookup.find(client, execution)
        if json:
            print(ndjson(described))
            return
        lines, trace = await _progress(client, described)
        lines += await _next(client, described)
        screen.write([*lines, *_facts(described, utc), []], sys.stdout)
        if trace is not None:
            screen.table(*trace, sys.stdout)

    return using(server, db, limits, read)


async def _progress(
    client: Client, described: Mapping[str, Any]
) -> tuple[list[Line], tables.Table | None]:
    """Where it stands or how it ended, and the table of its states: None if they cannot be read."""
    name = described["name"]
    try:
        machine, places = await lookup.machine_of(client, described)
        history = client.history(described["executionArn"])
        visits = machine.visits([event async for event in history])
    except StoreFormatError as fault:
        reason = f"  its definition or history cannot be read: {printable(str(fault))}"
        return [[(printable(name), "bold"), (f"  {described['status']}", "")], [(reason, "")]], None
    await lookup.count_map_runs(client, visits)
    now = client.now()
    lines = [
        machine.line(name),
        outcome.conclusion(visits, now),
        *outcome.waits(visits, now),
    ]
    suspects = outcome.suspects(visits)
    if suspects:
        commands = [command("inspect", name, state, *client.words) for state in suspects]
        why = await likely_cause(client, described, visits)
        lines += outcome.failure(visits, places, commands, why)
    return lines, tables.trace(visits, machine, now)


async def _next(client: Client, described: Mapping[str, Any]) -> list[Line]:
    """Why it is parked, and the command to use next."""
    lines: list[Line] = []
    name = described["name"]
    if described["status"] != "RUNNING":
        return lines
    if (parked := (await client.parked()).get(described["executionArn"])) is not None:
        lines.append([(f"  {words.parked(parked)}", "yellow")])
        proposed = command("stop", name, *client.words)
    elif await client.runs():
        proposed = command("tail", "-f", name, *client.words)
    else:  # the process that ran it has ended
        proposed = command("resume", name, *client.words)
    return [*lines, [("  next: ", DIM), (proposed, "")]]


def _facts(described: Mapping[str, Any], utc: bool) -> list[Line]:
    """When it started and stopped, its input and output."""
    lines: list[Line] = [[("started  ", DIM), (when(described["startDate"], True, utc), "")]]
    if "stopDate" in described:
        lines.append([("stopped  ", DIM), (when(described["stopDate"], True, utc), "")])
    for name in ("input", "output"):
        if described.get(name) is not None:
            value = flow.json_parts(printable(compact(described[name]), 2_000))
            lines.append([(f"{name:<9}", DIM), *value])
    return lines


# --- history, inspect -----------------------------------------------------------------------------


@with_limits
def history(
    execution: str,
    reverse: bool,
    server: str | None,
    db: str | None,
    json: bool,
    limits: Limits,
) -> int:
    async def read(client: Client) -> None:
        arn = (await lookup.find(client, execution))["executionArn"]
        events = client.history(arn, reverse)
        if json:
            async for event in events:
                print(ndjson(event))
        else:
            screen.table(*tables.history([event async for event in events]), sys.stdout)

    return using(server, db, limits, read)


@with_limits
def inspect(
    execution: str,
    state: str,
    visit: int | None,
    server: str | None,
    db: str | None,
    json: bool,
    limits: Limits,
) -> int:
    async def read(client: Client) -> None:
        described = await lookup.find(client, execution)
        definition, _ = await client.definition(described)
        events = [event async for event in client.history(described["executionArn"])]
        program, value = await client.program(described), json_text.loads(definition)
        try:
            stages = data_flow(program, value, described, events, state, visit)
        except LookupError as fault:
            raise UsageError(fault.args[0]) from None
        if json:
            print(ndjson(as_json(stages)))
        else:
            screen.write(flow.lines(stages, screen.width()), sys.stdout)

    return using(server, db, limits, read)
