"""Where commands find a machine, an execution, its definition and its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from stepwell.engine import arns
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli.clients import polling
from stepwell.integrations.cli.clients.base import SEVERAL, Client
from stepwell.integrations.cli.output import text
from stepwell.integrations.errors import UsageError


async def machines(client: Client) -> AsyncIterator[Mapping[str, Any]]:
    """ListStateMachines' items."""
    async for page in polling.pages(client.call, "list_state_machines"):
        for each in page["stateMachines"]:
            yield each


async def home(client: Client) -> arns.Home:
    """The region and account of a place: of any state machine, else the default ones."""
    page = await client.call("list_state_machines", max_results=1)
    for each in page["stateMachines"]:
        _, partition, _, region, account, *_ = each["stateMachineArn"].split(":")
        return arns.Home(region, account, partition)
    return arns.Home()


async def machine_arn(client: Client, name: str) -> str:
    """The ARN of a machine, a version or an alias that NAME, NAME:QUALIFIER or an ARN names. Raises
    UsageError if there is no such machine.
    """
    if name.startswith("arn:"):
        return name
    page = await client.call("list_state_machines", max_results=1)
    for any_machine in page["stateMachines"]:  # its ARN has the region and the account
        arn = f"{any_machine['stateMachineArn'].rpartition(':')[0]}:{name}"
        with suppress(ApiError):
            await client.call("describe_state_machine", state_machine_arn=_unqualified(arn))
            return arn
    command = text.command("machines", "list", *client.words)
    raise UsageError(f"there is no state machine called {_shown(name)} (`{command}` shows all)")


async def activity_arn(client: Client, name: str) -> str:
    """Raises UsageError if there is no such activity."""
    if name.startswith("arn:"):
        return name
    page = await client.call("list_activities", max_results=1)
    for any_activity in page["activities"]:  # its ARN has the region and the account
        return f"{any_activity['activityArn'].rpartition(':')[0]}:{name}"
    raise UsageError(f"there is no activity called {_shown(name)}")


def _unqualified(arn: str) -> str:
    return ":".join(arn.split(":")[:7])


async def find(client: Client, execution: str) -> Mapping[str, Any]:
    """DescribeExecution's answer for a name, MACHINE/NAME, MACHINE/LABEL/NAME (of the child of a
    Map Run), or ARN. Raises UsageError.
    """
    if execution.startswith("arn:"):
        return await client.describe(execution)
    machine, _, name = execution.rpartition("/")
    if machine:
        parent, _, label = machine.partition("/")  # MACHINE/LABEL/NAME is the child of a Map Run
        candidates = [await machine_arn(client, parent) + (label and f"/{label}")]
    else:
        candidates = [each["stateMachineArn"] async for each in machines(client)]
    free = asyncio.Semaphore(SEVERAL)

    async def described(arn: str) -> Mapping[str, Any] | None:
        async with free:
            with suppress(ApiError):  # this machine has no execution of that name
                return await client.describe(arns.execution_arn(arn, name))
        return None

    found = await asyncio.gather(*map(described, candidates))
    matches = [each for each in found if each is not None]
    if not matches:
        command = text.command("list", *client.words)
        raise UsageError(
            f"there is no execution called {_shown(execution)} (`{command}` shows all)"
        )
    if len(matches) > 1:
        names = ", ".join(map(full_name, matches))
        raise UsageError(f"several executions are called {execution}: {names}")
    return matches[0]


def _shown(name: str) -> str:
    """An empty name, as of a variable that is not set, in quotes."""
    return name if name.strip() else repr(name)


def full_name(execution: Mapping[str, Any]) -> str:
    return f"{arns.machine_name(execution['stateMachineArn'])}/{execution['name']}"


def known_name(execution: Mapping[str, Any]) -> str:
    """What `find` finds it by: those of the children of Map Runs need that of their machine."""
    is_child = "/" in arns.machine_name(execution["stateMachineArn"])
    return full_name(execution) if is_child else str(execution["name"])


async def map_runs(client: Client, name: str) -> list[str]:
    """The ARNs of an execution's Map Runs, the latest first, or the one that the name is. Raises
    UsageError if there is none.
    """
    if ":mapRun:" in name:
        return [name]
    arn = (await find(client, name))["executionArn"]
    listed = polling.pages(client.call, "list_map_runs", execution_arn=arn)
    found = [each["mapRunArn"] async for page in listed for each in page["mapRuns"]]
    if not found:
        raise UsageError(f"{name} has no Map Runs: no Distributed Map ran in it")
    return found
