"""What each of the eight state types does: ONE table, ENTER, and the data flow that they share.

A state is entered (event), does its work, and is left (event) with an output, a next state and
perhaps new variables. A state that has to wait changes its frame's phase instead; the event that
ends the wait comes back through decide's HANDLERS.

JSONPath:  raw input -> InputPath -> Parameters -> work -> ResultSelector -> ResultPath (into the
           RAW input) -> OutputPath
JSONata:   raw input -> Arguments -> work -> Output;  Assign in both, from the same snapshot of the
           variables
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Env, Json, StateError
from stepwell.asl.program import (
    CHOICE,
    FAIL,
    MAP,
    PARALLEL,
    PASS,
    SUCCEED,
    TASK,
    WAIT,
    Catcher,
    State,
)
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.core import failure, map_run, model
from stepwell.engine.core.environment import environment
from stepwell.engine.core.history import CODES, ENTERED, EXITED
from stepwell.engine.core.model import Frame, Payload, Phase, RunTask, Scope

if TYPE_CHECKING:
    from stepwell.engine.core.decide import Run

PARALLEL_STARTED: Final = CODES["ParallelStateStarted"]
PARALLEL_SUCCEEDED: Final = CODES["ParallelStateSucceeded"]

# --- entering and leaving -------------------------------------------------------------------------


def _enter(run: Run, frame: Frame, state: State) -> None:
    frame.before = frame.prev
    frame.entered = frame.prev = run.add((ENTERED[state.type], frame.prev, state.name, frame.raw))
    frame.entered_at = run.now
    frame.retries = ()


def too_large(run: Run, frame: Frame, payload: Payload) -> bool:
    """Whether an input or output of the frame's state is beyond the limit; if so, the execution
    ends: nothing catches that.
    """
    size = len(payload.data)
    run.size += size
    run.budget -= size >> 12
    if size <= run.limits.payload_bytes:
        return False
    cause = asl_messages.RESULT_TOO_LARGE.format(name=frame.state.name)
    frame.phase, frame.due = Phase.RETRY, None
    run.close(model.FAILED, frame.prev, error=asl_messages.DATA_LIMIT_EXCEEDED, cause=cause)
    return True


def leave(
    run: Run,
    frame: Frame,
    output: Payload,
    next_state: State | None,
    scope: Scope,
    assigned: Scope | None = None,
) -> None:
    """Write the Exited event and move on; at the end of a block, the frame ends."""
    if too_large(run, frame, output):
        return None
    state = frame.state
    frame.prev = run.add((EXITED[state.type], frame.prev, state.name, output, assigned))
    frame.raw, frame.data, frame.scope, frame.phase = output, None, scope, Phase.RUN
    if next_state is not None:
        frame.state = next_state
    elif frame.parent:
        _join(run, frame, output)
    else:
        frame.phase = Phase.ENDED
        run.close(model.SUCCEEDED, frame.prev, output)
    return None


def _join(run: Run, frame: Frame, output: Payload) -> None:
    """A branch or iteration reached its end."""
    parent = run.touch(frame.parent)
    run.drop(frame)
    frame.phase = Phase.ENDED
    parent.put_result(frame.slot, output)
    parent.live -= 1
    if parent.state.type == MAP:
        map_run.iteration_ended(run, parent, frame)
    else:
        parent.prev = frame.prev
        if not parent.live:
            conclude(run, parent, run.add((PARALLEL_SUCCEEDED, parent.prev)))
            run.ready.append(parent)


def conclude(run: Run, frame: Frame, succeeded: int) -> None:
    """All children of a Parallel or Map are done: the array of their outputs, in slot order, is its
    result.
    """
    outputs = [
        payload
        for _, payload in sorted((frame.results or [])[: frame.done], key=lambda pair: pair[0])
    ]
    frame.items = frame.results = frame.extra = None
    frame.done = 0
    data, most = (
        b"[" + b",".join([payload.data for payload in outputs]) + b"]",
        run.limits.payload_depth,
    )
    try:
        if data.count(b"[") + data.count(b"{") > most:
            # only joining texts could go on and on: a loop around a Parallel nests its output ever
            # deeper
            json_text.loads(data, most)
    except json_text.JsonFault as fault:
        frame.prev = succeeded
        return failure.fail(run, frame, fault, past=True)
    return complete(run, frame, Payload([payload.value for payload in outputs], data), succeeded)


def as_payload(value: Json, *known: Payload) -> Payload:
    """The Payload of a value: one of the known ones if it is the very same object, so that its text
    is made only once.
    """
    for payload in known:
        if payload.value is value:
            return payload
    return Payload(value)


def _assign(
    run: Run, frame: Frame, evaluator: Any, value: Json, env: Env
) -> tuple[Scope, Scope | None]:
    """(variables from the next state on, those just assigned or None)."""
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
    """What InputPath selects: the fields of a state that end in Path look here."""
    path = frame.state.input_path
    return frame.raw.value if path is None else path(frame.raw.value, env)


def effective(frame: Frame, env: Env) -> Json:
    """InputPath, then Parameters; Arguments in JSONata."""
    value, parameters = selected(frame, env), frame.state.parameters
    return value if parameters is None else parameters(value, env)


def shape(run: Run, frame: Frame, result: Payload, env: Env) -> tuple[Payload, Scope, Scope | None]:
    """From the result of the work to the state's output and variables."""
    state, value = frame.state, result.value
    scope, assigned = _assign(run, frame, state.assign, value, env)
    if state.output is not None:
        return as_payload(state.output(value, env), result, frame.raw), scope, assigned
    if state.result_selector is not None:
        value = state.result_selector(value, env)
    if state.result_path is not None:
        value = state.result_path(frame.raw.value, value)
    if state.output_path is not None:
        value = state.output_path(value, env)
    return as_payload(value, result, frame.raw), scope, assigned


def complete(run: Run, frame: Frame, result: Payload, succeeded: int = 0) -> None:
    """The work of a Task, Parallel or Map is done: shape its result and leave.

    succeeded  the ...StateSucceeded event of a Parallel or Map: what fails follows from it, while
               Exited follows from the last child
    """
    frame.due = frame.beat = None
    if frame.state.plain_out:
        return leave(run, frame, result, frame.state.next, frame.scope)
    try:
        output, scope, assigned = shape(run, frame, result, environment(run, frame, result.value))
    except failure.FAULTS as fault:
        frame.prev = succeeded or frame.prev
        return failure.fail(run, frame, fault, past=bool(succeeded))
    return leave(run, frame, output, frame.state.next, scope, assigned)


def shape_caught(
    run: Run, frame: Frame, catcher: Catcher, caught: Json
) -> tuple[Payload, Scope, Scope | None]:
    """The Error Output through the catcher's own ResultPath (into the raw input), Output and
    Assign.
    """
    env = environment(run, frame, error_output=caught)
    scope, assigned = _assign(run, frame, catcher.assign, caught, env)
    if catcher.output is not None:
        value = catcher.output(caught, env)
    else:
        value = (
            caught if catcher.result_path is None else catcher.result_path(frame.raw.value, caught)
        )
    return as_payload(value, frame.raw), scope, assigned


# --- Pass, Succeed, Fail, Choice, Wait ------------------------------------------------------------


def _pass(run: Run, frame: Frame) -> None:
    state = frame.state
    _enter(run, frame, state)
    if state.plain_in and state.plain_out:  # the output is the input, or a constant
        return leave(run, frame, state.constant or frame.raw, state.next, frame.scope)
    try:
        env = environment(run, frame)
        result = state.constant or as_payload(effective(frame, env), frame.raw)
        output, scope, assigned = shape(run, frame, result, env)
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    return leave(run, frame, output, state.next, scope, assigned)


def _fail(run: Run, frame: Frame) -> None:
    state = frame.state
    _enter(run, frame, state)
    try:
        env = environment(run, frame)
        error = state.error(frame.raw.value, env) if state.error else None
        cause = state.cause(frame.raw.value, env) if state.cause else None
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    return failure.settle(run, frame, *failure.clipped(run.limits, error, cause))


def _choice(run: Run, frame: Frame) -> None:
    state = frame.state
    _enter(run, frame, state)
    try:
        env = environment(run, frame)
        value = effective(frame, env)
        rule = next((each for each in state.choices if each.test(value, env)), state.otherwise)
        if rule is None:
            raise StateError(asl_messages.RUNTIME, messages.NO_NEXT_STATE)
        scope, assigned = _assign(run, frame, rule.assign, value, env)
        if rule.output is not None:
            value = rule.output(value, env)
        elif state.output_path is not None:
            value = state.output_path(value, env)
        output = as_payload(value, frame.raw)
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    return leave(run, frame, output, rule.next, scope, assigned)


def _wait(run: Run, frame: Frame) -> None:
    state = frame.state
    _enter(run, frame, state)
    try:
        env = environment(run, frame)
        assert state.wait is not None
        due = state.wait(effective(frame, env), env)
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    if due > run.now:
        frame.phase, frame.due = Phase.TIMER, due
        return None
    return wait_over(run, frame)


def wait_over(run: Run, frame: Frame) -> None:
    """The time of a Wait state has come. Succeed leaves the same way."""
    state = frame.state
    frame.phase, frame.due = Phase.RUN, None
    if state.plain_in and state.plain_out:
        return leave(run, frame, frame.raw, state.next, frame.scope)
    try:
        env = environment(run, frame)
        output, scope, assigned = shape(
            run, frame, as_payload(effective(frame, env), frame.raw), env
        )
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    return leave(run, frame, output, state.next, scope, assigned)


def _succeed(run: Run, frame: Frame) -> None:
    _enter(run, frame, frame.state)
    wait_over(run, frame)


# --- Task -----------------------------------------------------------------------------------------


class Family(NamedTuple):
    """The history events of one kind of Task, and the fields that each of them starts with."""

    scheduled: int
    started: int
    submitted: int
    succeeded: int
    failed: int
    timed_out: int
    fields: tuple[str, ...]


@lru_cache(maxsize=4096)
def _family(resource: Resource) -> Family:
    name = {"service": "Task", "activity": "Activity"}.get(resource.kind, "LambdaFunction")
    codes = [
        CODES.get(name + step, -1)
        for step in ("Scheduled", "Started", "Submitted", "Succeeded", "Failed", "TimedOut")
    ]
    return Family._make([*codes, (resource.service, resource.label) if name == "Task" else ()])


def family(state: State) -> Family:
    assert state.resource is not None
    return _family(state.resource)


def _task(run: Run, frame: Frame) -> None:
    _enter(run, frame, frame.state)
    _attempt_task(run, frame)


def _prepare(run: Run, frame: Frame, state: State) -> tuple[Payload, str | None]:
    """(effective input, role) of an attempt; its time limits go to the frame."""
    env = environment(run, frame)
    value = selected(frame, env)
    payload = as_payload(
        value if state.parameters is None else state.parameters(value, env), frame.raw
    )
    frame.timeout = state.timeout(value, env) if state.timeout else None
    frame.heartbeat = state.heartbeat(value, env) if state.heartbeat else None
    return payload, state.credentials(value, env) if state.credentials else None


def _attempt_task(run: Run, frame: Frame) -> None:
    """Schedule the effect: its intent is committed with this unit, and it starts after the
    commit.
    """
    state, resource = frame.state, frame.state.resource
    assert resource is not None
    frame.seq += 1
    payload, role = frame.raw, None
    frame.timeout = frame.heartbeat = None
    try:
        if not state.plain_in:
            payload, role = _prepare(run, frame, state)
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    if too_large(run, frame, payload):
        return None
    if resource.kind == "activity" and resource.text not in run.activities:
        return failure.fail(
            run,
            frame,
            StateError(asl_messages.RUNTIME, messages.ACTIVITY_GONE.format(arn=resource.text)),
        )
    events = family(state)
    timeout, heartbeat = frame.timeout, frame.heartbeat
    if resource.kind == "service":
        region = run.x.arn.split(":", 4)[3]
        details: tuple[Any, ...] = (*events.fields, region, payload, timeout, heartbeat, role)
    elif resource.kind == "activity":
        details = (resource.text, payload, timeout, heartbeat)
    else:
        details = (resource.text, payload, timeout, role)
    frame.prev = run.add((events.scheduled, frame.prev, *details))
    if resource.kind != "activity":
        frame.prev = run.add((events.started, frame.prev, *events.fields))
    frame.data, frame.extra, frame.phase, frame.parked, frame.done = (
        payload,
        role,
        Phase.TASK,
        False,
        0,
    )
    begin_time_limits(run, frame)
    run.commands.append(task_command(frame))
    return None


def begin_time_limits(run: Run, frame: Frame) -> None:
    """Of an attempt that starts now."""
    frame.due, frame.beat = None if frame.timeout is None else run.now + frame.timeout * 1000, None
    if frame.calls_back:
        expect_heartbeat(run, frame)


def task_queued(run: Run, frame: Frame, event: model.TaskQueued) -> None:
    if frame.timed:
        frame.due = frame.beat = None


def task_began(run: Run, frame: Frame, event: model.TaskBegan) -> None:
    """It waited, see decide.hold."""
    if frame.queued:
        begin_time_limits(run, frame)


def task_command(frame: Frame, again: bool = False) -> RunTask:
    """The effect of a frame in phase TASK, from its stored state alone."""
    state = frame.state
    assert frame.data is not None and state.resource is not None
    return RunTask(
        frame.id,
        frame.seq,
        state,
        state.resource,
        frame.data,
        frame.timeout,
        frame.heartbeat,
        frame.extra,
        again,
    )


def task_started(run: Run, frame: Frame, event: model.TaskStarted) -> None:
    """A worker took the activity task: its clocks start (again)."""
    if frame.parked:
        return
    frame.parked = True
    frame.prev = run.add((family(frame.state).started, frame.prev, event.worker))
    if frame.timeout is not None:
        frame.due = run.now + frame.timeout * 1000
    expect_heartbeat(run, frame)


def task_submitted(run: Run, frame: Frame, event: model.TaskSubmitted) -> None:
    resource = frame.state.resource
    if frame.done or resource is None:
        return
    events = family(frame.state)
    frame.prev = run.add((events.submitted, frame.prev, *events.fields, event.output))
    frame.parked = resource.callback  # a job goes on being watched from here; a callback is awaited
    frame.done = 1
    if resource.callback:
        expect_heartbeat(run, frame)


def task_succeeded(run: Run, frame: Frame, event: model.TaskSucceeded) -> None:
    output, state = event.output, frame.state
    if len(output.data) > run.limits.payload_bytes:
        assert state.resource is not None
        name = {"lambda": state.resource.text, "service": state.resource.service}.get(
            state.resource.kind, state.name
        )
        return failure.refuse(
            run,
            frame,
            asl_messages.DATA_LIMIT_EXCEEDED,
            asl_messages.RESULT_TOO_LARGE.format(name=name),
        )
    events = family(state)
    frame.prev = run.add((events.succeeded, frame.prev, *events.fields, output))
    frame.phase = Phase.RUN
    return complete(run, frame, output)


def heartbeat(run: Run, frame: Frame, event: model.Heartbeat) -> None:
    """Only who holds a token can send one; a service that answers by itself needs none, whatever
    HeartbeatSeconds says.
    """
    if frame.beat is not None:
        expect_heartbeat(run, frame)


def expect_heartbeat(run: Run, frame: Frame) -> None:
    if frame.heartbeat is not None:
        frame.beat = run.now + frame.heartbeat * 1000


# --- Parallel -------------------------------------------------------------------------------------


def _parallel(run: Run, frame: Frame) -> None:
    _enter(run, frame, frame.state)
    _attempt_parallel(run, frame)


def _attempt_parallel(run: Run, frame: Frame) -> None:
    state = frame.state
    frame.seq += 1
    try:
        data = as_payload(effective(frame, environment(run, frame)), frame.raw)
    except failure.FAULTS as fault:
        return failure.fail(run, frame, fault)
    if too_large(run, frame, data):
        return None
    started = frame.prev = run.add((PARALLEL_STARTED, frame.prev))
    frame.phase, frame.parked, frame.live = Phase.CHILDREN, True, len(state.branches)
    frame.results, frame.done = None, 0
    children = []
    for slot, block in enumerate(state.branches):
        child = Frame(run.x.next_frame, frame.id, slot, block, data, frame.scope, started)
        child.item = frame.item
        run.spawn(child)
        children.append(child)
    run.ready.extend(reversed(children))
    return None


# --- the tables -----------------------------------------------------------------------------------


def try_again(run: Run, frame: Frame) -> None:
    """A retrier's delay is over: the work again, without entering the state again."""
    frame.phase, frame.due = Phase.RUN, None
    ATTEMPT[frame.state.type](run, frame)


def _map(run: Run, frame: Frame) -> None:
    _enter(run, frame, frame.state)
    map_run.attempt(run, frame)


def _attempt_map(run: Run, frame: Frame) -> None:
    map_run.attempt(run, frame)  # looked up late: either module may be imported first


ATTEMPT: Final[dict[int, Callable[[Run, Frame], None]]] = {
    TASK: _attempt_task,
    PARALLEL: _attempt_parallel,
    MAP: _attempt_map,
}
_BY_TYPE: Final = {
    PASS: _pass,
    TASK: _task,
    CHOICE: _choice,
    WAIT: _wait,
    SUCCEED: _succeed,
    FAIL: _fail,
    PARALLEL: _parallel,
    MAP: _map,
}
ENTER: Final = tuple(_BY_TYPE[kind] for kind in sorted(_BY_TYPE))
