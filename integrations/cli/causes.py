"""The most likely cause of a failed execution."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import json_text, summaries
from stepwell.asl.explain import CAUSE, Hint
from stepwell.asl.history_visits import Visits
from stepwell.asl.state_visits import Visit
from stepwell.engine.operations.data_flow import data_flow
from stepwell.integrations.cli.clients.base import Client

_EVENTS: Final = 5_000  # of a history that is evaluated again only for a line of the output


async def likely_cause(
    client: Client, execution: Mapping[str, Any], visits: Visits
) -> tuple[Visit, Hint] | None:
    """Why an execution failed, and the visit that the hint is about: the one that failed, or the
    first one whose error was caught before. None if nothing is known.
    """
    failed = summaries.failure(visits)
    if failed is None or visits.events > _EVENTS:
        return None
    text, _ = await client.definition(execution)
    program, definition = await client.program(execution), json_text.loads(text)
    events = [event async for event in client.history(execution["executionArn"])]
    for visit in (failed.visit, *(each.innermost() for each in failed.caught[:1])):
        named = [each.entered for each in visits.all if each.name == visit.name]
        number = named.index(visit.entered) + 1
        flow = await asyncio.to_thread(
            data_flow, program, definition, execution, events, visit.name, number
        )
        hint = next((each for each in flow.hints if each.level == CAUSE), None)
        if hint is not None:
            return visit, hint
    return None
