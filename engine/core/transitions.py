"""How a state is entered, left, retried, caught or failed, and how a failure propagates through
Parallel and Map.

When something fails (reference semantics): States.Runtime ends the execution at once. Else the
first retrier that matches, if it has attempts left; else the first catcher that matches; else the
frame's parent fails with the same error, or the execution does.
"""

from __future__ import annotations

from typing import Final

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import StateError
from stepwell.asl.json_text import JsonError
from stepwell.asl.program import MAP, PARALLEL, TASK, WAIT, Catcher, Retrier, State
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.dataflow import shape, shape_caught
from stepwell.engine.core.environment import entropy, environment
from stepwell.engine.core.history import CODES, ENTERED, EXITED
from stepwell.engine.core.model import Frame, Payload, Phase, Scope, copy_frame
from stepwell.engine.core.run import Run
from stepwell.engine.limits import Limits

EVALUATION_ERRORS: Final = (StateError, JsonError)  # JsonError: a value without JSON text
EVALUATION_FAILED: Final = CODES["EvaluationFailed"]
ITERATION_FAILED: Final = CODES["MapIterationFailed"]
ITERATION_ABORTED: Final = CODES["MapIterationAborted"]
TASK_ABORTED: Final = CODES["TaskStateAborted"]
MAP_RUN_ABORTED: Final = CODES["MapRunAborted"]
STATE_FAILED: Final = {PARALLEL: CODES["ParallelStateFailed"], MAP: CODES["MapStateFailed"]}
_WAITING: Final = {TASK: "Task", WAIT: "Wait", PARALLEL: "Parallel", MAP: "Map"}
ABORTED: Final = {kind: CODES[f"{name}StateAborted"] for kind, name in _WAITING.items()}

# --- entering and leaving -------------------------------------------------------------------------


def enter(run: Run, frame: Frame, state: State) -> None:
    """Write the Entered event."""
    frame.before = frame.prev
    frame.entered = frame.prev = run.add((ENTERED[state.type], frame.prev, state.name, frame.raw))
    frame.entered_at = run.now
    frame.retries = ()


def too_large(run: Run, frame: Frame, payload: Payload) -> bool:
    """Whether an input or output of the frame's state exceeds the limit. Then the execution has
    failed: nothing catches that.
    """
    size = len(payload.data)
    run.size += size
    run.budget -= size >> 12
    if size <= run.limits.payload_bytes:
        return False
    cause = asl_messages.RESULT_TOO_LARGE.format(name=frame.state.name)
    frame.phase, frame.due, frame.children = Phase.RETRY, None, None
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
    """Write the Exited event and move to the next state. At the end of a block, the frame ends; its
    parent takes the output from `frame.raw`.
    """
    if too_large(run, frame, output):
        return None
    state = frame.state
    frame.prev = run.add((EXITED[state.type], frame.prev, state.name, output, assigned))
    frame.raw, frame.data, frame.scope, frame.phase = output, None, scope, Phase.RUN
    if next_state is not None:
        frame.state = next_state
    else:
        frame.phase = Phase.ENDED
        if not frame.parent:
            run.close(model.SUCCEEDED, frame.prev, output)
    return None


def conclude(run: Run, frame: Frame, succeeded: int) -> None:
    """All children of a Parallel or Map are done: the array of their outputs, in slot order, is its
    result.
    """
    outputs, most = frame.running_children.outputs(), run.limits.payload_depth
    frame.children = None
    data = b"[" + b",".join([output.data for output in outputs]) + b"]"
    try:
        if data.count(b"[") + data.count(b"{") > most:
            # joined texts are not parsed, so nothing else bounds the depth: a loop around a
            # Parallel nests its output deeper each time
            json_text.loads(data, most)
    except JsonError as exception:
        frame.prev = succeeded
        return fail(run, frame, exception, after_work=True)
    return complete(run, frame, Payload([output.value for output in outputs], data), succeeded)


def complete(run: Run, frame: Frame, result: Payload, succeeded: int = 0) -> None:
    """The work of a Task, Parallel or Map is done: shape its result and leave.

    succeeded  id of the ...StateSucceeded event of a Parallel or Map. A failure points to it, while
               Exited points to the last child's event
    """
    frame.due = frame.heartbeat_due = frame.attempt = None
    if frame.state.plain_out:
        return leave(run, frame, result, frame.state.next, frame.scope)
    try:
        output, scope, assigned = shape(run, frame, result, environment(run, frame, result))
    except EVALUATION_ERRORS as exception:
        frame.prev = succeeded or frame.prev
        return fail(run, frame, exception, after_work=bool(succeeded))
    return leave(run, frame, output, frame.state.next, scope, assigned)


# --- failing --------------------------------------------------------------------------------------


def delay_ms(retrier: Retrier, attempt: int, fraction: float) -> int:
    """The delay before retry `attempt` (from 0). `fraction` in [0, 1) is the random part of
    JitterStrategy FULL.
    """
    try:
        seconds = retrier.interval * retrier.backoff**attempt
    except OverflowError:
        seconds = float("inf")
    seconds = min(seconds, retrier.max_delay)
    return int(seconds * 1000 * (fraction if retrier.jitter else 1.0))


def clipped(limits: Limits, error: str | None, cause: str | None) -> tuple[str | None, str | None]:
    """Error and cause, cut to the lengths that the service shows."""
    return error and error[: limits.error_chars], cause and cause[: limits.cause_chars]


def shown_error(
    run: Run, frame: Frame, exception: StateError | JsonError
) -> tuple[str | None, str | None, str | None]:
    """(error, cause, location) as histories and descriptions show them."""
    if isinstance(exception, JsonError):
        exception = StateError(asl_messages.RUNTIME, exception.message)
    cause = exception.cause
    if not exception.bare and cause is not None:
        cause = messages.IN_STATE.format(state=frame.state.name, event=frame.entered, text=cause)
    return *clipped(run.limits, exception.error, cause), exception.location


def fail(
    run: Run, frame: Frame, exception: StateError | JsonError, after_work: bool = False
) -> None:
    """An expression or field of the frame's state failed.

    after_work  the children of a Parallel or Map have all succeeded before
    """
    state = frame.state
    error, cause, location = shown_error(run, frame, exception)
    if error == asl_messages.QUERY_EVALUATION_ERROR:
        prev = (
            frame.before
            if frame.prev == frame.entered and not state.points_to_entered
            else frame.prev
        )
        frame.prev = run.add((EVALUATION_FAILED, prev, error, cause, location, state.name))
    # a later iteration could not be started
    if frame.children is not None and frame.children.live and error != asl_messages.RUNTIME:
        abort_children(run, frame, frame.prev)
    retry_or_fail(run, frame, error, cause, after_work)


def retry_or_fail(
    run: Run,
    frame: Frame,
    error: str | None,
    cause: str | None,
    after_work: bool = False,
    heartbeat: bool = False,
) -> None:
    """Retry or catch an error, else fail the parent or the execution.

    frame.prev  id of the failing event
    heartbeat   it is States.HeartbeatTimeout for retriers and catchers
    """
    state = frame.state
    run.failure = (error, cause)
    frame.seq += 1
    frame.due = frame.heartbeat_due = frame.attempt = frame.children = None
    frame.phase = Phase.RETRY  # unless a catcher lets it run: for a retrier, or a redrive
    if error == asl_messages.RUNTIME:
        return run.close(model.FAILED, frame.prev, error=error, cause=cause)
    name = asl_messages.HEARTBEAT_TIMEOUT if heartbeat else error
    if _retry(run, frame, name):
        return None
    if state.type in STATE_FAILED and not after_work:
        frame.prev = run.add((STATE_FAILED[state.type], frame.prev))
    for catcher in state.catchers:
        if matches(catcher.errors, name):
            return _catch(run, frame, catcher, error, cause)
    if frame.parent:
        return _fail_parent(run, frame, error, cause)
    return run.close(model.FAILED, frame.prev, error=error, cause=cause)


def _retry(run: Run, frame: Frame, error: str | None) -> bool:
    """Whether a retrier takes it; then its delay begins."""
    retriers = frame.state.retriers
    for place, retrier in enumerate(retriers):
        if matches(retrier.errors, error):
            used = frame.retries or (0,) * len(retriers)
            if used[place] >= retrier.max_attempts:
                return False  # the first match decides: later retriers are not tried
            draw = int.from_bytes(entropy(run, frame)()[:6], "big") / 2**48
            frame.due = run.now + delay_ms(retrier, used[place], draw)
            frame.retries = (*used[:place], used[place] + 1, *used[place + 1 :])
            run.snapshot = None
            return True
    return False


def _catch(run: Run, frame: Frame, catcher: Catcher, error: str | None, cause: str | None) -> None:
    """Make the state's output of the Error Output, by the catcher's ResultPath, Output and
    Assign.
    """
    caught = {
        "Error": error,
        "Cause": "" if cause is None and error == asl_messages.TIMEOUT else cause,
    }
    state = frame.state
    try:
        output, scope, assigned = shape_caught(run, frame, catcher, caught)
    except EVALUATION_ERRORS as exception:
        error, cause, location = shown_error(run, frame, exception)
        if error == asl_messages.QUERY_EVALUATION_ERROR:
            frame.prev = run.add(
                (EVALUATION_FAILED, frame.prev, error, cause, location, state.name)
            )
        if frame.parent and error != asl_messages.RUNTIME:
            return _fail_parent(run, frame, error, cause)
        return run.close(model.FAILED, frame.prev, error=error, cause=cause)
    run.snapshot = None
    return leave(run, frame, output, catcher.next, scope, assigned)


def snapshot_for_redrive(run: Run, frame: Frame) -> None:
    """Save all frames before the failure of this one unwinds them. A redrive resumes from them; a
    retrier or catcher further up discards them.
    """
    if run.snapshot is None:
        snapshot = run.snapshot = run.x.frames.copy()
        while True:  # only this one and those around it are changed before they are dropped
            snapshot[frame.id] = copy_frame(frame)
            if not frame.parent:
                return
            frame = snapshot[frame.parent]


def _fail_parent(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """A branch or iteration failed: abort its siblings, and fail the Parallel or Map with the same
    error.
    """
    snapshot_for_redrive(run, frame)
    failing_event = frame.prev
    parent = run.touch(frame.parent)
    run.drop(frame)
    if parent.state.type == MAP:
        run.add((ITERATION_FAILED, failing_event, parent.state.name, frame.slot))
    elif frame.state.type == TASK:
        run.add((TASK_ABORTED, failing_event))
    abort_children(run, parent, failing_event)
    parent.prev = failing_event
    retry_or_fail(run, parent, error, cause)
    if run.x.frames:
        run.ready.append(parent)


def abort_children(run: Run, parent: Frame, failing_event: int) -> None:
    """Abort every live branch or iteration, deepest first. All their events point to the failing
    one.
    """
    for child in run.children(parent):
        abort_children(run, child, failing_event)
        if child.busy:
            run.cancel(child)
            if child.in_map_run:
                run.add((MAP_RUN_ABORTED, failing_event))
        if child.phase != Phase.RUN:
            run.add((ABORTED[child.state.type], failing_event))
        if parent.state.type == MAP:
            run.add((ITERATION_ABORTED, failing_event, parent.state.name, child.slot))
        run.drop(child)
        run.budget -= 1
