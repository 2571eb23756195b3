"""The most likely cause of a failed execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.asl.explain import CAUSE, WARNING, Hint
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event, Visit, route
from stepwell.asl.program import Program
from stepwell.engine.operations.data_flow.flow import data_flow

_CHOICES: Final = 3  # before the failure that are looked at
_EVENTS: Final = 5_000  # of a history that is evaluated again only for a line of the output


def explainable(visits: Visits) -> bool:
    """Whether it failed, and its history is not too long to be evaluated again."""
    return summaries.failure(visits) is not None and visits.events <= _EVENTS


def likely_cause(
    program: Program,
    definition: Mapping[str, Any],
    execution: Mapping[str, Any],
    events: Sequence[Event],
    visits: Visits,
) -> tuple[Visit, Hint] | None:
    """Why an execution failed, and the visit that the hint is about: the one that failed, the first
    one whose error was caught before, or a Choice on the way that compared what can never be equal.
    None if nothing is known.

    definition  as a dict
    execution   DescribeExecution's answer
    """
    failed = summaries.failure(visits)
    if failed is None:
        return None
    choices = [each for each in reversed(route(failed.visit)) if each.type == "Choice"]
    candidates = [failed.visit, *(each.innermost() for each in failed.caught[:1])]
    for visit in (*candidates, *choices[:_CHOICES]):
        named = [each.entered for each in visits.all if each.name == visit.name]
        number = named.index(visit.entered) + 1
        flow = data_flow(program, definition, execution, events, visit.name, number)
        levels = (CAUSE,) if visit in candidates else (WARNING,)
        hint = next((each for each in flow.hints if each.level in levels), None)
        if hint is not None:
            return visit, hint
    return None
