"""The subject of asl/explain: a visit with its stages, and the states that ran before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Json, StateError
from stepwell.asl.explain import Earlier, Subject
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.state_visits import Visit
from stepwell.engine.core.model import Frame
from stepwell.engine.operations.data_flow.past import PastExecution, loads
from stepwell.engine.operations.data_flow.shapes import Stage

_EARLIER: Final = 200  # states before the visit that are searched
# stage -> what `$` is afterwards
_AFTER: Final = {
    "State input": "input",
    "InputPath": "selected",
    "Parameters": "sent",
    "Arguments": "sent",
    "ItemsPath": "items",
    "Items": "items",
    "Task result": "result",
    "Branch results": "result",
    "Iteration results": "result",
    "ResultPath": "joined",
    "Error Output": "error",
}


def subject(
    past: PastExecution,
    visit: Visit,
    frame: Frame,
    stages: Sequence[Stage],
    failure: tuple[str | None, str | None],
) -> Subject:
    """The visit as asl/explain sees it. failure: the Error and Cause, (None, None) without one."""
    state, fields = frame.state, past.definitions[visit.name]
    documents = documents_of(stages, fields, state.jsonata)
    try:
        context = past.env(frame).context()
    except StateError:
        context = {}
    return Subject(
        visit.name,
        fields,
        past.machine,
        state.jsonata,
        documents,
        frame.scope.values,
        context,
        *failure,
        tuple(earlier(past, visit)),
        past.given is not None,
        frame.entered_at / 1000,
    )


def documents_of(
    stages: Sequence[Stage], fields: Mapping[str, Any], jsonata: bool
) -> dict[str, Json]:
    """What `$` is at each stage that was reached."""
    found: dict[str, Json] = {}
    for stage in stages:
        name = _AFTER.get(stage.name)
        if name is not None and stage.value is not MISSING:
            found[name] = stage.value
    if "input" in found and (jsonata or "Result" in fields):
        found.setdefault("selected", found["input"])
    if fields.get("Type") == "Pass" and "selected" in found:
        result = fields.get("Result", found.get("sent", found["selected"]))
        if "sent" in found or not ("Parameters" in fields and "Result" not in fields):
            found["result"] = result
    elif fields.get("Type") in ("Choice", "Wait", "Succeed") and "selected" in found:
        found["result"] = found["joined"] = found["selected"]
    return found


def earlier(past: PastExecution, visit: Visit) -> list[Earlier]:
    """The states that ran before a visit, and those around it."""
    steps = v.route(visit)
    found = []
    for step, after in list(pairwise(steps))[-_EARLIER:]:
        found.append(
            Earlier(
                step.name,
                past.definitions[step.name],
                _read(step.input),
                _read(step.output),
                _read(step.result),
                step.status == v.CAUGHT,
                after.parent is step,
            )
        )
    return found


def _read(text: str | None) -> Json:
    try:
        return loads(text)
    except json_text.JsonError:  # a history from elsewhere may have cut it
        return MISSING
