"""The Shape of the Context object and of results that the language itself defines."""

from __future__ import annotations

from typing import Final

from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.machine import State
from stepwell.asl.inference.shapes import Shape, optional, record

_STATE: Final = {"Name": s.TEXT, "EnteredTime": s.TEXT}
_MACHINE: Final = record({"Id": s.TEXT, "Name": s.TEXT})
_TASK: Final = record({"Token": s.TEXT})
_TEXT_OR_NULL: Final = Shape(frozenset({s.STRING, s.NULL}))
_RETRIED: Final = ("Task", "Parallel", "Map")

ERROR_OUTPUT: Final = record(
    {"Error": _TEXT_OR_NULL, "Cause": _TEXT_OR_NULL}, origin="the Error Output"
)


def context(state: State, execution_input: Shape, item: Shape | None = None) -> Shape:
    """$$ and $states.context of a state. item: the one that its ItemSelector is evaluated for."""
    maps = [each for each in state.around() if each.type == "Map"]
    child = any(each.distributed for each in maps)  # it runs in an execution of its own
    here = dict(_STATE)
    here["RetryCount"] = s.COUNT if state.type in _RETRIED else optional(s.COUNT)
    execution = {
        "Id": s.TEXT,
        "Input": s.ANY if child else execution_input,
        "StartTime": s.TEXT,
        "Name": s.TEXT,
        "RoleArn": optional(s.TEXT),
        "RedriveCount": optional(s.COUNT),
        "RedriveTime": optional(s.TEXT),
    }
    members = {
        "Execution": record(execution, origin="$$.Execution"),
        "StateMachine": _MACHINE,
        "State": record(here, origin="$$.State"),
        "Task": _task(state),
    }
    if item is not None or maps:
        known = {"Index": s.COUNT, "Value": s.ANY if item is None else item}
        others = {"Key": optional(s.ANY), "Source": optional(s.TEXT)}
        of_item = record({"Item": record({**known, **others}, origin="$$.Map.Item")})
        members["Map"] = of_item if item is not None or not child else optional(of_item)
    return record(members, origin="the Context object")


def _task(state: State) -> Shape:
    """The task token: of callbacks; other tasks may have one, a request and its response not."""
    if state.type != "Task":
        return s.ABSENT
    if state.resource is None or state.resource.kind == "activity":
        return optional(_TASK)
    if state.resource.callback:
        return _TASK
    return optional(_TASK) if state.resource.pattern else s.ABSENT
