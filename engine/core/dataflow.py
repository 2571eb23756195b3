"""The data flow that all states share.

JSONPath:  raw input -> InputPath -> Parameters -> work -> ResultSelector -> ResultPath (into the
           RAW input) -> OutputPath
JSONata:   raw input -> Arguments -> work -> Output;  Assign in both, from the same snapshot of the
           variables
"""

from __future__ import annotations

from functools import partial
from typing import Any

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Env, Json, StateError
from stepwell.asl.program import Catcher
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.environment import context, environment
from stepwell.engine.core.model import Frame, Payload, Scope
from stepwell.engine.core.run import Run


def as_payload(value: Json, *known: Payload) -> Payload:
    """The Payload of a value: a known one if it holds the same object, whose text need not be
    encoded again.
    """
    for payload in known:
        if payload.value is value:
            return payload
    return Payload(value)


def assign(
    run: Run, frame: Frame, evaluator: Any, value: Json, env: Env
) -> tuple[Scope, Scope | None]:
    """(variables from the next state on, those assigned here or None)."""
    if evaluator is None:
        return frame.scope, None
    assigned = Scope({name: Payload(each) for name, each in evaluator(value, env).items()})
    limits = run.limits
    scope = Scope({**frame.scope.payloads, **assigned.payloads})
    if (
        assigned.size > limits.assign_bytes
        or scope.size > limits.variables_bytes
        or any(len(payload.data) > limits.variable_bytes for payload in assigned.payloads.values())
    ):
        raise StateError(asl_messages.DATA_LIMIT_EXCEEDED, messages.VARIABLES_TOO_LARGE)
    return scope, assigned


def selected(frame: Frame, env: Env) -> Json:
    """What InputPath selects. The fields of a state that end in Path read this."""
    path = frame.state.input_path
    return frame.raw.value if path is None else path(frame.raw.value, env)


def effective(frame: Frame, env: Env) -> Json:
    """InputPath, then Parameters; Arguments in JSONata."""
    value, parameters = selected(frame, env), frame.state.parameters
    return value if parameters is None else parameters(value, env)


def shape(run: Run, frame: Frame, result: Payload, env: Env) -> tuple[Payload, Scope, Scope | None]:
    """(output, variables from the next state on, those assigned here) of a state, from the result
    of its work.
    """
    state, value = frame.state, result.value
    scope, assigned = assign(run, frame, state.assign, value, env)
    if state.output is not None:
        return as_payload(state.output(value, env), result, frame.raw), scope, assigned
    if state.result_selector is not None:
        value = state.result_selector(value, env)
    if state.result_path is not None:
        value = state.result_path(frame.raw.value, value)
    if state.output_path is not None:
        value = state.output_path(value, env)
    return as_payload(value, result, frame.raw), scope, assigned


def shape_caught(
    run: Run, frame: Frame, catcher: Catcher, caught: Json
) -> tuple[Payload, Scope, Scope | None]:
    """The Error Output through the catcher's own ResultPath (into the raw input), Output and
    Assign.
    """
    env = environment(run, frame, error_output=caught)
    scope, assigned = assign(run, frame, catcher.assign, caught, env)
    if catcher.output is not None:
        value = catcher.output(caught, env)
    else:
        value = (
            caught if catcher.result_path is None else catcher.result_path(frame.raw.value, caught)
        )
    return as_payload(value, frame.raw), scope, assigned


def select_item(
    run: Run,
    frame: Frame,
    item: tuple[int, Payload, Payload | None],
    source: str = model.STATE_DATA,
) -> Payload:
    """The child's input: the item, or the result of ItemSelector."""
    selector = frame.state.map.selector if frame.state.map else None
    if selector is None:
        return item[1]
    env = environment(run, frame)
    env.context = partial(context, run.x, frame, item, source)
    assert frame.data is not None
    return as_payload(selector(frame.data.value, env), item[1], frame.data)
