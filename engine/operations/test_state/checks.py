"""The checks of a TestState request: which members go together, and what a mock and a Context
object may contain.

Each check raises ApiError with AWS's code and text. `check` runs them in AWS's order: the first
that fails is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.program import MAP, PARALLEL, TASK, Block, Program, State
from stepwell.engine import messages
from stepwell.engine.core.history import STATE_TYPES
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Tasks

MOCKABLE: Final = (TASK, PARALLEL, MAP)
STRICT: Final = "STRICT"
UNCHECKED: Final = "NONE"

_TEXT: Final = "a string"
_NUMBER: Final = "a number"
_OBJECT: Final = "an object"
_ANY: Final = ""
# section -> its fields and their types; a dict is a section of its own
_CONTEXT: Final[dict[str, Any]] = {
    "Execution": {
        "Id": _TEXT,
        "Input": _ANY,
        "Name": _TEXT,
        "RoleArn": _TEXT,
        "StartTime": _TEXT,
        "RedriveCount": _NUMBER,
        "RedriveTime": _TEXT,
    },
    "State": {"EnteredTime": _TEXT, "Name": _TEXT, "RetryCount": _NUMBER},
    "StateMachine": {"Id": _TEXT, "Name": _TEXT},
    "Task": {"Token": _TEXT},
    "Map": {"Item": {"Index": _NUMBER, "Key": _TEXT, "Value": _ANY, "Source": _TEXT}},
}
_FITS: Final[dict[str, Any]] = {
    _TEXT: lambda value: isinstance(value, str),
    _NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    _ANY: lambda value: True,
}


def refuse(message: str, code: str = "ValidationException") -> ApiError:
    return ApiError(code, message)


def check(
    state: State,
    mock: Mapping[str, Any] | None,
    configuration: Mapping[str, Any],
    role_arn: str | None,
    reveal_secrets: bool,
    context: str | None,
) -> None:
    """Which members of the request go together, for a state of this type."""
    if mock is None:
        _check_unmocked(state, configuration, role_arn, context)
        return
    if ("result" in mock) == ("errorOutput" in mock):
        raise refuse(messages.MOCK_ONE_FIELD)
    if reveal_secrets:
        raise refuse(messages.MOCK_NO_SECRETS)
    if state.type not in MOCKABLE:
        raise refuse(messages.MOCK_NOT_FOR_TYPE.format(type=STATE_TYPES[state.type]))
    culprit = configuration.get("errorCausedByState")
    if culprit is not None and culprit not in _inside(state):
        raise refuse(messages.ERROR_STATE_UNKNOWN)


def _check_unmocked(
    state: State, configuration: Mapping[str, Any], role_arn: str | None, context: str | None
) -> None:
    for field, value in (
        ("MapIterationFailureCount", configuration.get("mapIterationFailureCount")),
        ("Context", context),
    ):
        if value is not None:
            raise refuse(messages.NEEDS_MOCK.format(field=field))
    if state.type in (PARALLEL, MAP):
        raise refuse(messages.MOCK_NEEDED, "InvalidDefinition")
    if state.resource is not None and (state.resource.kind == "activity" or state.resource.pattern):
        raise refuse(messages.MOCK_NEEDED_BY_TASK, "InvalidDefinition")
    if state.type == TASK and role_arn is None:
        raise refuse(messages.ROLE_NEEDED)


def _blocks(state: State) -> list[Block]:
    return [*state.branches, *([state.map.block] if state.map else [])]


def _inside(state: State) -> set[str]:
    """The names of all states in the branches or iterations of a state, at any depth."""
    inner = [each for block in _blocks(state) for each in block.states.values()]
    return {each.name for each in inner}.union(*map(_inside, inner))


def in_map(program: Program, block: Block) -> bool:
    """Whether a block belongs to a Map, itself or by a block around it."""
    around = {inner.index: state for state in program.states().values() for inner in _blocks(state)}
    state = around.get(block.index)
    return state is not None and (state.type == MAP or in_map(program, state.block))


def mocked_result(state: State, mock: Mapping[str, Any], tasks: Tasks) -> Json:
    """The value of mock.result, once it has the shape that the state's work has."""
    try:
        result = json_text.loads(mock["result"])
    except json_text.JsonError:
        raise refuse(messages.MOCK_NOT_JSON) from None
    fault, mode = None, mock.get("fieldValidationMode", STRICT)
    if state.map is not None and state.map.writer:
        fault = None if isinstance(result, dict) else messages.MOCK_NOT_OBJECT
    elif state.type in (PARALLEL, MAP) and not isinstance(result, list):
        fault = messages.MOCK_NOT_ARRAY
    elif state.type == PARALLEL and len(result) != len(state.branches):
        fault = messages.MOCK_BRANCHES
    elif state.resource is not None and mode != UNCHECKED:
        fault = tasks.mock_fault(state.resource, result, mode == STRICT)
    if fault is not None:
        raise refuse(fault)
    return result


# --- JSON texts -----------------------------------------------------------------------------------


def variables(text: str | None) -> dict[str, Json]:
    try:
        found = json_text.loads(text or "{}")
    except json_text.JsonError:
        found = None
    if not isinstance(found, dict):
        raise refuse(messages.VARIABLES_NOT_OBJECT)
    return found


def context(text: str | None, program: Program, state: State) -> dict[str, Json] | None:
    """The Context object of a request, checked for a state of this type; None if there is none."""
    if text is None:
        return None
    try:
        found = json_text.loads(text or "{}")
    except json_text.JsonError:
        found = None
    if not isinstance(found, dict):
        raise _context_error(messages.CONTEXT_NOT_OBJECT)
    if "Map" in found and not in_map(program, state.block):
        raise _context_error(messages.CONTEXT_MAP)
    if "Task" in found and not (state.resource is not None and state.resource.pattern):
        raise _context_error(messages.CONTEXT_TASK)
    _check_section(found, _CONTEXT, "")
    return found


def _check_section(section: dict[str, Json], fields: Mapping[str, Any], path: str) -> None:
    for name, value in section.items():
        wanted = fields.get(name)
        if wanted is None:
            raise _context_error(messages.CONTEXT_FIELD.format(field=name))
        if not isinstance(wanted, dict):
            if not _FITS[wanted](value):
                raise _context_error(messages.CONTEXT_TYPE.format(field=path + name, type=wanted))
        elif isinstance(value, dict):
            _check_section(value, wanted, f"{path}{name}.")
        else:
            raise _context_error(messages.CONTEXT_TYPE.format(field=path + name, type=_OBJECT))


def _context_error(text: str) -> ApiError:
    return refuse(messages.CONTEXT.format(text=text))
