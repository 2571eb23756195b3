"""What happens when something fails: Retry is decided here, then Catch, then the way up through
Parallel and Map.

Order (reference semantics): States.Runtime ends the execution at once. Else the first retrier that
matches, if it has attempts left; else the first catcher that matches; else the frame's parent fails
with the same error, or the execution does.
`k` is the id of the failing event: what follows points to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.asl.json_text import JsonFault
from stepwell.asl.program import MAP, PARALLEL, TASK, WAIT, Catcher, Retrier
from stepwell.engine import messages
from stepwell.engine.core import model, states
from stepwell.engine.core.environment import entropy
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Frame, Phase, copy_frame
from stepwell.engine.limits import Limits

if TYPE_CHECKING:
    from stepwell.engine.core.decide import Run

FAULTS: Final = (
    StateError,
    JsonFault,
)  # what an evaluation may raise; JsonFault: a value that has no JSON text
EVALUATION_FAILED: Final = CODES["EvaluationFailed"]
ITERATION_FAILED: Final = CODES["MapIterationFailed"]
ITERATION_ABORTED: Final = CODES["MapIterationAborted"]
TASK_ABORTED: Final = CODES["TaskStateAborted"]
MAP_RUN_ABORTED: Final = CODES["MapRunAborted"]
STATE_FAILED: Final = {PARALLEL: CODES["ParallelStateFailed"], MAP: CODES["MapStateFailed"]}
_WAITING: Final = {TASK: "Task", WAIT: "Wait", PARALLEL: "Parallel", MAP: "Map"}
ABORTED: Final = {kind: CODES[f"{name}StateAborted"] for kind, name in _WAITING.items()}
_NOT_TASK_FAILED: Final = frozenset({asl_messages.TIMEOUT, asl_messages.HEARTBEAT_TIMEOUT})


def matches(names: frozenset[str], error: str | None) -> bool:
    """Whether ErrorEquals covers an error. States.Runtime is never asked about: nothing catches
    it.
    """
    if asl_messages.ALL in names or error in names:
        return True
    if (
        error == asl_messages.HEARTBEAT_TIMEOUT
    ):  # recorded as States.Timeout by the service, documented under both names
        return asl_messages.TIMEOUT in names
    return asl_messages.TASK_FAILED in names and error not in _NOT_TASK_FAILED


def delay_ms(retrier: Retrier, attempt: int, fraction: float) -> int:
    """The wait before retry `attempt` (from 0). `fraction` in [0, 1) is the draw of JitterStrategy
    FULL.
    """
    try:
        seconds = retrier.interval * retrier.backoff**attempt
    except OverflowError:
        seconds = float("inf")
    seconds = min(seconds, retrier.max_delay)
    return int(seconds * 1000 * (fraction if retrier.jitter else 1.0))


def clipped(limits: Limits, error: str | None, cause: str | None) -> tuple[str | None, str | None]:
    """Error and cause, no longer than the service shows them."""
    return error and error[: limits.error_chars], cause and cause[: limits.cause_chars]


def explained(
    run: Run, frame: Frame, fault: StateError | JsonFault
) -> tuple[str | None, str | None, str | None]:
    """(error, cause, location) of a fault, as they are shown."""
    if isinstance(fault, JsonFault):
        fault = StateError(asl_messages.RUNTIME, fault.message)
    cause = fault.cause
    if not fault.bare and cause is not None:
        cause = messages.IN_STATE.format(state=frame.state.name, event=frame.entered, text=cause)
    return *clipped(run.limits, fault.error, cause), fault.location


def fail(run: Run, frame: Frame, fault: StateError | JsonFault, past: bool = False) -> None:
    """An expression or field of the frame's state failed. `past`: after the work of a Parallel or
    Map was done.
    """
    state = frame.state
    error, cause, location = explained(run, frame, fault)
    if error == asl_messages.QUERY_EVALUATION_ERROR:
        prev = (
            frame.before
            if frame.prev == frame.entered and not state.points_to_entered
            else frame.prev
        )
        frame.prev = run.add((EVALUATION_FAILED, prev, error, cause, location, state.name))
    if frame.live and error != asl_messages.RUNTIME:  # a later iteration could not be started
        abort_children(run, frame, frame.prev)
    settle(run, frame, error, cause, past)


def settle(
    run: Run,
    frame: Frame,
    error: str | None,
    cause: str | None,
    past: bool = False,
    heartbeat: bool = False,
) -> None:
    """Retry, Catch or pass upwards an error whose event `frame.prev` is."""
    state = frame.state
    run.failure = (error, cause)
    frame.seq += 1
    frame.due = frame.beat = None
    frame.phase = Phase.RETRY  # by a retrier or a redrive; a catcher lets it run
    if state.type in STATE_FAILED:  # what the attempt needed
        frame.items = frame.results = frame.extra = None
        frame.done = frame.live = 0
    if error == asl_messages.RUNTIME:
        return run.close(model.FAILED, frame.prev, error=error, cause=cause)
    name = asl_messages.HEARTBEAT_TIMEOUT if heartbeat else error
    if _retry(run, frame, name):
        return None
    if state.type in STATE_FAILED and not past:
        frame.prev = run.add((STATE_FAILED[state.type], frame.prev))
    for catcher in state.catchers:
        if matches(catcher.errors, name):
            return _catch(run, frame, catcher, error, cause)
    if frame.parent:
        return _fail_parent(run, frame, error, cause)
    return run.close(model.FAILED, frame.prev, error=error, cause=cause)


def _retry(run: Run, frame: Frame, error: str | None) -> bool:
    retriers = frame.state.retriers
    for place, retrier in enumerate(retriers):
        if matches(retrier.errors, error):
            used = frame.retries or (0,) * len(retriers)
            if used[place] >= retrier.max_attempts:
                return False  # the first match decides: later retriers are not tried
            draw = int.from_bytes(entropy(run, frame)()[:6], "big") / 2**48
            frame.due = run.now + delay_ms(retrier, used[place], draw)
            frame.retries = (*used[:place], used[place] + 1, *used[place + 1 :])
            run.kept = None
            return True
    return False


def _catch(run: Run, frame: Frame, catcher: Catcher, error: str | None, cause: str | None) -> None:
    """The Error Output becomes the state's output by the catcher's own ResultPath, Output and
    Assign.
    """
    caught = {
        "Error": error,
        "Cause": "" if cause is None and error == asl_messages.TIMEOUT else cause,
    }
    state = frame.state
    try:
        output, scope, assigned = states.shape_caught(run, frame, catcher, caught)
    except FAULTS as fault:
        error, cause, location = explained(run, frame, fault)
        if error == asl_messages.QUERY_EVALUATION_ERROR:
            frame.prev = run.add(
                (EVALUATION_FAILED, frame.prev, error, cause, location, state.name)
            )
        if frame.parent and error != asl_messages.RUNTIME:
            return _fail_parent(run, frame, error, cause)
        return run.close(model.FAILED, frame.prev, error=error, cause=cause)
    run.kept = None
    return states.leave(run, frame, output, catcher.next, scope, assigned)


def keep(run: Run, frame: Frame) -> None:
    """Remember all frames before the failure of this one unwinds them: a redrive goes on from
    there, unless somebody catches it.
    """
    if run.kept is None:
        kept = run.kept = run.x.frames.copy()
        while True:  # the others are dropped as they are
            kept[frame.id] = copy_frame(frame)
            if not frame.parent:
                return
            frame = kept[frame.parent]


def _fail_parent(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """A branch or iteration failed: its siblings are aborted and the Parallel or Map fails with the
    same error.
    """
    keep(run, frame)
    k = frame.prev
    parent = run.touch(frame.parent)
    run.drop(frame)
    frame.phase = Phase.ENDED
    if parent.state.type == MAP:
        run.add((ITERATION_FAILED, k, parent.state.name, frame.slot))
    elif frame.state.type == TASK:
        run.add((TASK_ABORTED, k))
    abort_children(run, parent, k)
    parent.prev = k
    settle(run, parent, error, cause)
    if run.x.frames:
        run.ready.append(parent)


def abort_children(run: Run, parent: Frame, k: int) -> None:
    """Give up every live branch or iteration, deepest first; all their events point to the failing
    one.
    """
    for child in run.children(parent):
        abort_children(run, child, k)
        if child.busy:
            run.give_up(child)
            if child.in_map_run:
                run.add((MAP_RUN_ABORTED, k))
        if child.phase != Phase.RUN:
            run.add((ABORTED[child.state.type], k))
        if parent.state.type == MAP:
            run.add((ITERATION_ABORTED, k, parent.state.name, child.slot))
        run.drop(child)
        run.budget -= 1


def task_failed(run: Run, frame: Frame, event: model.TaskFailed) -> None:
    """The effect of a Task reported an error."""
    if event.runtime:
        return fail(run, frame, StateError(asl_messages.RUNTIME, event.cause))
    return refuse(run, frame, event.error, event.cause)


def refuse(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """Write the ...Failed event of a Task's family and go on from it."""
    error, cause = clipped(run.limits, error, cause)
    family = states.family(frame.state)
    frame.prev = run.add((family.failed, frame.prev, *family.fields, error, cause))
    settle(run, frame, error, cause)


def timed_out(run: Run, frame: Frame) -> None:
    """TimeoutSeconds or HeartbeatSeconds of a Task is over. Both are recorded as States.Timeout."""
    heartbeat = (
        frame.beat is not None
        and frame.beat <= run.now
        and (frame.due is None or frame.beat < frame.due)
    )
    family = states.family(frame.state)
    frame.prev = run.add((family.timed_out, frame.prev, *family.fields, asl_messages.TIMEOUT, None))
    run.commands.append(model.CancelTask(frame.id, frame.seq))
    settle(run, frame, asl_messages.TIMEOUT, None, heartbeat=heartbeat)
