"""What each of the eight types of state does: ONE table, ENTER.

A state is entered (event), does its work, and is left (event) with an output, a next state and
perhaps new variables. A state that must wait changes the phase of its frame instead; HANDLERS of
decide.py handle the event that ends the wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.asl.program import (
    CHOICE,
    FAIL,
    MAP,
    PARALLEL,
    PASS,
    SUCCEED,
    TASK,
    WAIT,
    State,
)
from stepwell.engine import messages
from stepwell.engine.core import mocked_attempts, model, tasks
from stepwell.engine.core.dataflow import as_payload, assign, effective, shape
from stepwell.engine.core.environment import environment
from stepwell.engine.core.history import CODES, ENTERED, EXITED
from stepwell.engine.core.maps import map_state
from stepwell.engine.core.model import Children, Frame, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    EVALUATION_ERRORS,
    clipped,
    conclude,
    enter,
    fail,
    leave,
    retry_or_fail,
    too_large,
)

PASS_ENTERED: Final = ENTERED[PASS]
PASS_EXITED: Final = EXITED[PASS]
PARALLEL_STARTED: Final = CODES["ParallelStateStarted"]
PARALLEL_SUCCEEDED: Final = CODES["ParallelStateSucceeded"]

# --- Pass, Succeed, Fail, Choice, Wait ------------------------------------------------------------


def _pass(run: Run, frame: Frame) -> None:
    state = frame.state
    if state.plain_in and state.plain_out:  # the output is the input, or a constant
        return _pass_on(run, frame, state)
    enter(run, frame, state)
    try:
        env = environment(run, frame)
        result = state.constant or as_payload(effective(frame, env), frame.raw)
        output, scope, assigned = shape(run, frame, result, env)
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    return leave(run, frame, output, state.next, scope, assigned)


def _pass_on(run: Run, frame: Frame, state: State) -> None:
    """This Pass and all that follow it and evaluate nothing either. It does what enter(), leave()
    and decide's loop do for one after the other, but writes to the run and the frame only once.
    """
    append, raw, prev = run.events.append, frame.raw, frame.prev
    budget, most, evaluated = run.budget, run.limits.payload_bytes, run.evaluated
    output, size, written, states = raw, len(raw.data), 0, 0
    entered, last = run.next_id(), run.base + run.room
    while True:
        if state.constant is not None:
            output, size = state.constant, len(state.constant.data)
        fails = size > most or entered >= last
        if fails:
            break
        append((PASS_ENTERED, prev, state.name, raw))
        append((PASS_EXITED, entered, state.name, output, None))
        before, prev, raw, entered = prev, entered + 1, output, entered + 2
        written += size
        budget -= size >> 12
        follow = state.next
        if follow is None:
            frame.phase = Phase.ENDED
            break
        state = follow
        plain = state.type == PASS and state.plain_in and state.plain_out
        if not plain or budget <= 0 or (evaluated and run.spent()):
            break
        budget -= 1
        states += 1
    run.budget, run.size = budget, run.size + written
    run.x.transitions += states
    frame.state, frame.raw, frame.prev = state, raw, prev
    if fails:
        enter(run, frame, state)
        return leave(run, frame, output, state.next, frame.scope)
    frame.before, frame.entered, frame.entered_at = before, prev - 1, run.now
    frame.data, frame.retries = None, ()
    if frame.phase == Phase.ENDED and not frame.parent:
        run.close(model.SUCCEEDED, prev, raw)
    return None


def _fail(run: Run, frame: Frame) -> None:
    state = frame.state
    enter(run, frame, state)
    try:
        env = environment(run, frame)
        error = state.error(frame.raw.value, env) if state.error else None
        cause = state.cause(frame.raw.value, env) if state.cause else None
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    return retry_or_fail(run, frame, *clipped(run.limits, error, cause))


def _choice(run: Run, frame: Frame) -> None:
    state = frame.state
    enter(run, frame, state)
    try:
        env = environment(run, frame)
        value = effective(frame, env)
        rule = next((each for each in state.choices if each.test(value, env)), state.otherwise)
        if rule is None:
            raise StateError(asl_messages.RUNTIME, messages.NO_NEXT_STATE)
        scope, assigned = assign(run, frame, rule.assign, value, env)
        if rule.output is not None:
            value = rule.output(value, env)
        elif state.output_path is not None:
            value = state.output_path(value, env)
        output = as_payload(value, frame.raw)
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    return leave(run, frame, output, rule.next, scope, assigned)


def _wait(run: Run, frame: Frame) -> None:
    state = frame.state
    enter(run, frame, state)
    try:
        env = environment(run, frame)
        assert state.wait is not None
        due = state.wait(effective(frame, env), env)
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    if due > run.now:
        frame.phase, frame.due = Phase.TIMER, due
        return None
    return wait_over(run, frame)


def wait_over(run: Run, frame: Frame) -> None:
    """A Wait state is due. Succeed leaves the same way."""
    state = frame.state
    frame.phase, frame.due = Phase.RUN, None
    if state.plain_in and state.plain_out:
        return leave(run, frame, frame.raw, state.next, frame.scope)
    try:
        env = environment(run, frame)
        output, scope, assigned = shape(
            run, frame, as_payload(effective(frame, env), frame.raw), env
        )
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    return leave(run, frame, output, state.next, scope, assigned)


def _succeed(run: Run, frame: Frame) -> None:
    enter(run, frame, frame.state)
    wait_over(run, frame)


# --- Parallel -------------------------------------------------------------------------------------


def _parallel(run: Run, frame: Frame) -> None:
    enter(run, frame, frame.state)
    _attempt_parallel(run, frame)


def _attempt_parallel(run: Run, frame: Frame) -> None:
    state = frame.state
    frame.seq += 1
    try:
        data = as_payload(effective(frame, environment(run, frame)), frame.raw)
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    if too_large(run, frame, data):
        return None
    started = frame.prev = run.add((PARALLEL_STARTED, frame.prev))
    if "mocked" in run.x.extras:
        number, _ = mocked_attempts.number(run, frame)
        if mocked_attempts.answered(run, frame, number, PARALLEL_SUCCEEDED):
            return None
    frame.phase, frame.children = Phase.CHILDREN, Children(len(state.branches))
    children = []
    for slot, block in enumerate(state.branches):
        child = Frame(run.x.next_frame, frame.id, slot, block, data, frame.scope, started)
        child.item = frame.item
        run.spawn(child)
        children.append(child)
    run.ready.extend(reversed(children))
    return None


def join(run: Run, frame: Frame) -> None:
    """A branch or iteration has ended: its parent takes the output."""
    parent = run.touch(frame.parent)
    run.drop(frame)
    siblings = parent.running_children
    siblings.put(frame.slot, frame.raw)
    siblings.live -= 1
    if parent.state.type == MAP:
        map_state.iteration_ended(run, parent, frame)
    else:
        parent.prev = frame.prev
        if not siblings.live:
            conclude(run, parent, run.add((PARALLEL_SUCCEEDED, parent.prev)))
    if run.x.frames and parent.phase != Phase.CHILDREN:
        run.ready.append(parent)


# --- the tables -----------------------------------------------------------------------------------


def retry_due(run: Run, frame: Frame) -> None:
    """A retrier's delay is over: repeat the work without entering the state again."""
    frame.phase, frame.due = Phase.RUN, None
    ATTEMPT[frame.state.type](run, frame)


ATTEMPT: Final[dict[int, Callable[[Run, Frame], None]]] = {
    TASK: tasks.schedule,
    PARALLEL: _attempt_parallel,
    MAP: map_state.attempt,
}
_BY_TYPE: Final = {
    PASS: _pass,
    TASK: tasks.start,
    CHOICE: _choice,
    WAIT: _wait,
    SUCCEED: _succeed,
    FAIL: _fail,
    PARALLEL: _parallel,
    MAP: map_state.start,
}
ENTER: Final = tuple(_BY_TYPE[kind] for kind in sorted(_BY_TYPE))
