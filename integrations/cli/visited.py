"""What commands show of an execution besides its events: its machine, and the items of its Map
Runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.engine import arns
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli import files
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.output.machine import Machine, machine


async def count_map_runs(client: Client, visits: Visits) -> None:
    """Add the item counts of their Map Runs to the visits: events do not have them."""
    for arn in visits.map_runs:
        visits.count(arn, Items.of_map_run(await client.call("describe_map_run", map_run_arn=arn)))


async def machine_of(
    client: Client, execution: Mapping[str, Any]
) -> tuple[Machine, dict[str, str]]:
    """The machine of an execution, and where the file that it came from defines its states."""
    definition, type = await client.definition(execution)
    machine_arn = execution["stateMachineArn"].partition("/")[0]
    extras: Mapping[str, Any] = {}
    with suppress(ApiError):  # the machine was deleted
        described = await client.call("describe_state_machine", state_machine_arn=machine_arn)
        extras = described.get("extras") or {}
    name = arns.machine_name(machine_arn)
    shown = machine(name, type, json_text.loads(definition))
    return shown, files.places(extras, definition, client.limits)
