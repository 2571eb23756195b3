"""Where commands find an execution, its definition and its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.history_visits import Visits
from stepwell.asl.items import Items
from stepwell.engine import arns
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.results import DescribeExecutionOutput, HistoryEvent
from stepwell.integrations import database
from stepwell.integrations.cli import files
from stepwell.integrations.cli.output import text
from stepwell.integrations.errors import UsageError


def database_options(db: str | None) -> tuple[database.Database, list[str]]:
    """The database, and the words that name it in the commands that the output proposes."""
    named = database.database(db)
    return named, [] if named == database.database(None) else ["--db", str(named)]


async def machine_arns(engine: Engine) -> list[str]:
    return [
        each["stateMachineArn"] for each in (await engine.list_state_machines())["stateMachines"]
    ]


async def find(engine: Engine, execution: str) -> DescribeExecutionOutput:
    """DescribeExecution's answer for a name, MACHINE/NAME or ARN. Raises UsageError."""
    if execution.startswith("arn:"):
        return await engine.describe_execution(execution)
    machine, _, name = execution.rpartition("/")
    matches = []
    for machine_arn in await machine_arns(engine):
        if machine in ("", arns.machine_name(machine_arn)):
            with suppress(ApiError):  # this machine has no execution of that name
                arn = arns.execution_arn(machine_arn, name)
                matches.append(await engine.describe_execution(arn))
    if not matches:
        command = text.command("executions", "list")
        raise UsageError(f"there is no execution called {execution} (`{command}` shows all)")
    if len(matches) > 1:
        names = ", ".join(map(full_name, matches))
        raise UsageError(f"several executions are called {execution}: {names}")
    return matches[0]


def full_name(execution: Mapping[str, Any]) -> str:
    return f"{arns.machine_name(execution['stateMachineArn'])}/{execution['name']}"


async def all_events(
    engine: Engine, arn: str, reverse: bool = False
) -> AsyncIterator[HistoryEvent]:
    """The history of an execution, read page by page."""
    token = None
    while True:
        page = await engine.get_execution_history(arn, reverse_order=reverse, next_token=token)
        for each in page["events"]:
            yield each
        token = page.get("nextToken")
        if token is None:
            return


async def pinned(engine: Engine, execution: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """Text, type and number in the store of the definition that an execution runs, also if its
    machine was updated or deleted.
    """
    row = await engine.store.describe(execution["executionArn"])
    definition = None if row is None else await engine.store.definition(row.definition)
    if definition is None:  # Express executions are not stored
        machine = await engine.describe_state_machine(execution["stateMachineArn"])
        return machine["definition"], machine["type"], None
    return definition.definition, definition.type, definition.id


async def count_map_runs(engine: Engine, visits: Visits) -> None:
    """Add the item counts of their Map Runs to the visits: events do not have them."""
    for arn in visits.map_runs:
        visits.count(arn, Items.of_map_run(await engine.describe_map_run(arn)))


async def machine_of(
    engine: Engine, execution: Mapping[str, Any]
) -> tuple[text.Machine, dict[str, str]]:
    """The machine of an execution, and where the file that it came from defines its states."""
    definition, type, _ = await pinned(engine, execution)
    machine_arn = execution["stateMachineArn"].partition("/")[0]
    extras: Mapping[str, Any] = {}
    with suppress(ApiError):  # the machine was deleted
        extras = (await engine.describe_state_machine(machine_arn))["extras"]
    name = arns.machine_name(machine_arn)
    machine = text.machine(name, type, json_text.loads(definition))
    return machine, files.places(extras, definition, engine.limits)
