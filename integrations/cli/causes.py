"""The most likely cause of a failed execution."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import json_text, summaries
from stepwell.asl.explain import CAUSE, WARNING, Hint
from stepwell.asl.history_visits import Visits
from stepwell.asl.state_visits import Visit, route
from stepwell.engine.operations.data_flow import data_flow
from stepwell.integrations.cli.clients.base import Client

_CHOICES: Final = 3  # before the failure that are looked at
_EVENTS: Final = 5_000  # of a history that is evaluated again only for a line of the output


async def likely_cause(
    client: Client, execution: Mapping[str, Any], visits: Visits
) -> tuple[Visit, Hint] | None:
    """Why an execution failed, and the visit that the hint is about: the one that failed, the first
    one whose error was caught before, or a Choice on the way that compared what can never be equal.
    None if nothing is known.
    """
    failed = summaries.failure(visits)
    if failed is None or visits.events > _EVENTS:
        return None
    text, _ = await client.definition(execution)
    program, definition = await client.program(execution), json_text.loads(text)
    events = [event async for event in client.history(execution["executionArn"])]
    choices = [each for each in reversed(route(failed.visit)) if each.type == "Choice"]
    candidates = [failed.visit, *(each.innermost() for each in failed.caught[:1])]
    for visit in (*candidates, *choices[:_CHOICES]):
        named = [each.entered for each in visits.all if each.name == visit.name]
        number = named.index(visit.entered) + 1
        flow = await asyncio.to_thread(
            data_flow, program, definition, execution, events, visit.name, number
        )
        levels = (CAUSE,) if visit in candidates else (WARNING,)
        hint = next((each for each in flow.hints if each.level in levels), None)
        if hint is not None:
            return visit, hint
    return None
