"""The shapes of a data flow: the visit of a state and its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import Hint
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.state_visits import Visit
from stepwell.engine.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the data flow.

    name     the field ("InputPath"), or a description ("State input", "Task result")
    field    its value in the definition; MISSING if it is not there
    default  what applies if the field is not there ("$"), or ""
    before   the value that the stage works on; MISSING where that says nothing
    value    the value after it; MISSING if the state did not reach it
    note     why there is no value, or something about it
    """

    name: str
    field: Json = MISSING
    default: str = ""
    before: Json = MISSING
    value: Json = MISSING
    note: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """The data of a state that runs alone, and the outcomes of its work.

    definition  of the state
    context     the Context object; None: one of a made execution
    errors      of the attempts, in order; without a result the last one repeats
    result      of the attempt after them; MISSING without one
    """

    state: str
    definition: Mapping[str, Any]
    input: Json
    now_ms: int
    variables: Mapping[str, Json] = field(default_factory=dict)
    context: Mapping[str, Json] | None = None
    errors: tuple[str, ...] = ()
    cause: str | None = None
    result: Json = MISSING
    limits: Limits = DEFAULT_LIMITS

    def state_retry(self, index: int) -> Mapping[str, Any]:
        """A retrier as it is written."""
        found: Mapping[str, Any] = self.definition["Retry"][index]
        return found


@dataclass(frozen=True, slots=True)
class DataFlow:
    """A visit and its stages.

    number            of the visit, among the visits of its state, from 1
    visits            of its state
    attempts_allowed  of its Task by its retriers; None if it made none
    variables         that the state saw
    hints             why it failed, or why a value is not what was meant
    failure           its Error and Cause, (None, None) without one
    """

    visit: Visit
    number: int
    visits: int
    attempts_allowed: int | None
    jsonata: bool
    variables: Mapping[str, Json]
    stages: list[Stage] = field(default_factory=list)
    hints: tuple[Hint, ...] = ()
    failure: tuple[str | None, str | None] = (None, None)


def as_json(flow: DataFlow) -> dict[str, Json]:
    """A DataFlow as JSON. Times are epoch seconds, `events` the ids of the visit's own events, the
    `stage` of a hint its index.
    """
    visit = flow.visit
    shown: dict[str, Json] = {
        "state": visit.name,
        "type": visit.type,
        "status": visit.status,
        "visit": flow.number,
        "visits": flow.visits,
        "attempts": visit.attempts,
        "retries": visit.retries,
        "redrives": visit.redrives,
        "waiting": visit.waiting,
        "until": visit.due,
        "token": visit.token if visit.waiting == v.CALLBACK else None,
        "queryLanguage": "JSONata" if flow.jsonata else "JSONPath",
        "events": visit.events,
        "start": visit.start,
        "end": visit.end,
        "error": visit.error or flow.failure[0],
        "cause": visit.cause or flow.failure[1],
        "variables": dict(flow.variables),
        "stages": [],
        "hints": [
            {
                "code": each.code,
                "level": each.level,
                "field": each.field,
                "text": each.text,
                "stage": stage_of(flow.stages, each),
            }
            for each in flow.hints
        ],
    }
    for stage in flow.stages:
        parts = {
            "name": stage.name,
            "field": stage.field,
            "value": stage.value,
            "note": stage.note or MISSING,
        }
        shown["stages"].append({name: part for name, part in parts.items() if part is not MISSING})
    return shown


def stage_of(stages: Sequence[Stage], hint: Hint) -> int:
    """The index of the stage that a hint is about: that of its field, else the last one."""
    field = hint.field.partition("/")[0]
    outer = field.partition("[")[0]
    for index, stage in enumerate(stages):
        if stage.name in (field, outer) or stage.name.startswith(f"{field} "):
            return index
    return len(stages) - 1
