"""What `stepwell show` and `inspect` do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from stepwell.asl import json_text
from stepwell.engine.store.base import StoreFormatError
from stepwell.integrations.cli import lookup, visited
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import outcome, screen, tables
from stepwell.integrations.cli.output.text import (
    DIM,
    Line,
    command,
    compact,
    json_parts,
    ndjson,
    printable,
    when,
)
from stepwell.integrations.errors import UsageError
from stepwell.visualize.words import executions as words

# --- show -----------------------------------------------------------------------------------------


@with_where
def show(execution: str, json: bool, utc: bool, where: Where) -> int:
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

    return using(*where, read)


async def _progress(
    client: Client, described: Mapping[str, Any]
) -> tuple[list[Line], tables.Table | None]:
    """Where it stands or how it ended, and the table of its states: None if they cannot be read."""
    name = described["name"]
    try:
        machine = await visited.machine_of(client, described)
        visits = machine.visits()
        async for event in client.history(described["executionArn"]):
            visits.feed(event)
    except StoreFormatError as fault:
        reason = f"  its definition or history cannot be read: {printable(str(fault))}"
        return [[(printable(name), "bold"), (f"  {described['status']}", "")], [(reason, "")]], None
    await visited.count_map_runs(client, visits)
    now = client.now()
    lines = [
        machine.line(name),
        outcome.conclusion(visits, now),
        *outcome.waits(visits, now),
    ]
    suspects = outcome.suspects(visits)
    known = lookup.known_name(described)
    commands = [command("inspect", known, state, *client.words) for state in suspects]
    children = [each.items for each in visits.map_runs.values()]
    if described["status"] != "RUNNING" and any(each and each.failed for each in children):
        commands.append(command("list", "--map-run", known, "--status", "FAILED", *client.words))
    if commands:
        why = await visited.likely_cause(client, described, visits)
        places = await visited.places(client, described)
        lines += outcome.failure(visits, places, commands, why)
    return lines, tables.trace(visits, machine, now)


async def _next(client: Client, described: Mapping[str, Any]) -> list[Line]:
    """Why it is parked, and the command to use next."""
    lines: list[Line] = []
    name = lookup.known_name(described)
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
            value = json_parts(printable(compact(described[name]), 2_000))
            lines.append([(f"{name:<9}", DIM), *value])
    return lines


# --- inspect --------------------------------------------------------------------------------------


@with_where
def inspect(execution: str, state: str, visit: int | None, json: bool, where: Where) -> int:
    # imported late: they have the language
    from stepwell.engine.operations.data_flow import as_json, data_flow
    from stepwell.integrations.cli.output import data_flow as flow

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

    return using(*where, read)
