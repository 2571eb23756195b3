"""What commands show of an execution besides its events: its machine, the items of its Map Runs,
and why it failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stepwell.asl import json_text
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.engine import arns
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.output.machine import Machine, machine

if TYPE_CHECKING:
    from stepwell.asl.explain import Hint
    from stepwell.asl.histories.state_visits import Visit


async def count_map_runs(client: Client, visits: Visits) -> None:
    """Add the item counts of their Map Runs to the visits: events do not have them."""
    for arn in visits.map_runs:
        visits.count(arn, Items.of_map_run(await client.call("describe_map_run", map_run_arn=arn)))


async def machine_of(client: Client, execution: Mapping[str, Any]) -> Machine:
    definition, type = await client.definition(execution)
    name = arns.machine_name(_machine_arn(execution))
    return machine(name, type, json_text.loads(definition), client.words)


async def places(client: Client, execution: Mapping[str, Any]) -> dict[str, str]:
    """Where the file that its machine came from defines its states: see files.places."""
    from stepwell.integrations.cli import files  # imported late: it has the language

    definition, _ = await client.definition(execution)
    try:
        asked = {"state_machine_arn": _machine_arn(execution)}
        described = await client.call("describe_state_machine", **asked)
    except ApiError:  # the machine was deleted
        return {}
    return files.places(described.get("extras") or {}, definition, client.limits)


def _machine_arn(execution: Mapping[str, Any]) -> str:
    return str(execution["stateMachineArn"]).partition("/")[0]


async def likely_cause(
    client: Client, execution: Mapping[str, Any], visits: Visits
) -> tuple[Visit, Hint] | None:
    """See causes.likely_cause; None if nothing is known."""
    from stepwell.engine.operations.data_flow import causes  # imported late: it has the language

    if not causes.explainable(visits):
        return None
    text, _ = await client.definition(execution)
    program, definition = await client.program(execution), json_text.loads(text)
    events = [event async for event in client.history(execution["executionArn"])]
    return await asyncio.to_thread(
        causes.likely_cause, program, definition, execution, events, visits
    )
