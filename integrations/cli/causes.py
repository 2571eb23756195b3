"""The most likely cause of a failed execution, for the lines below its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.explain import Hint
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Visit
from stepwell.engine.operations.data_flow import causes
from stepwell.integrations.cli.clients.base import Client


async def likely_cause(
    client: Client, execution: Mapping[str, Any], visits: Visits
) -> tuple[Visit, Hint] | None:
    """See causes.likely_cause; None if nothing is known."""
    if not causes.explainable(visits):
        return None
    text, _ = await client.definition(execution)
    program, definition = await client.program(execution), json_text.loads(text)
    events = [event async for event in client.history(execution["executionArn"])]
    return await asyncio.to_thread(
        causes.likely_cause, program, definition, execution, events, visits
    )
