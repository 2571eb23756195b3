"""Task: its attempts, their time limits, and the events that report on them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.asl.program import State
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.core import events, mocked_attempts
from stepwell.engine.core.dataflow import as_payload, selected
from stepwell.engine.core.environment import environment
from stepwell.engine.core.events import CancelTask, RunTask
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Frame, Payload, Phase, TaskAttempt
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    EVALUATION_ERRORS,
    clipped,
    complete,
    enter,
    fail,
    retry_or_fail,
    too_large,
)

TIMEOUTS: Final = (asl_messages.TIMEOUT, asl_messages.HEARTBEAT_TIMEOUT)
PLAIN: Final = TaskAttempt()  # without time limits and role
NOTHING: Final = Payload({})  # the answer to a mocked call


class EventCodes(NamedTuple):
    """The history events of one kind of Task, and the fields that each of them starts with."""

    scheduled: int
    started: int
    submitted: int
    succeeded: int
    failed: int
    timed_out: int
    fields: tuple[str, ...]


@lru_cache(maxsize=4096)
def _event_codes(resource: Resource) -> EventCodes:
    name = {"service": "Task", "activity": "Activity"}.get(resource.kind, "LambdaFunction")
    codes = [
        CODES.get(name + step, -1)
        for step in ("Scheduled", "Started", "Submitted", "Succeeded", "Failed", "TimedOut")
    ]
    return EventCodes._make([*codes, (resource.service, resource.label) if name == "Task" else ()])


def event_codes(state: State) -> EventCodes:
    """Of a Task state."""
    assert state.resource is not None
    return _event_codes(state.resource)


def start(run: Run, frame: Frame) -> None:
    """Enter the state and schedule its first attempt."""
    enter(run, frame, frame.state)
    schedule(run, frame)


def _prepare(run: Run, frame: Frame, state: State) -> tuple[Payload, TaskAttempt]:
    """(effective input, time limits and role) of an attempt."""
    env = environment(run, frame)
    value = selected(frame, env)
    payload = as_payload(
        value if state.parameters is None else state.parameters(value, env), frame.raw
    )
    return payload, TaskAttempt(
        state.timeout(value, env) if state.timeout else None,
        state.heartbeat(value, env) if state.heartbeat else None,
        state.credentials(value, env) if state.credentials else None,
    )


def schedule(run: Run, frame: Frame) -> None:
    """Schedule the effect: its intent is committed with this unit, and it starts after the
    commit.
    """
    state, resource = frame.state, frame.state.resource
    assert resource is not None
    frame.seq += 1
    payload, attempt = frame.raw, PLAIN
    try:
        if not state.plain_in:
            payload, attempt = _prepare(run, frame, state)
    except EVALUATION_ERRORS as exception:
        return fail(run, frame, exception)
    if too_large(run, frame, payload):
        return None
    if "case" in run.x.extras:  # an activity that is missing may be mocked
        number, inner = mocked_attempts.number(run, frame)
        attempt = attempt._replace(number=number, iteration_number=inner)
    elif resource.kind == "activity" and resource.text not in run.activities:
        cause = messages.ACTIVITY_GONE.format(arn=resource.text)
        return fail(run, frame, StateError(asl_messages.RUNTIME, cause))
    kind, codes = resource.kind, event_codes(state)
    timeout = attempt.timeout
    if kind == "service":
        region, limits = run.x.arn.split(":", 4)[3], (timeout, attempt.heartbeat, attempt.role)
        details: tuple[Any, ...] = (*codes.fields, region, payload, *limits)
    elif kind == "activity":
        details = (resource.text, payload, timeout, attempt.heartbeat)
    else:
        details = (resource.text, payload, timeout, attempt.role)
    frame.prev = run.add((codes.scheduled, frame.prev, *details))
    if kind != "activity":
        frame.prev = run.add((codes.started, frame.prev, *codes.fields))
    frame.data, frame.attempt, frame.phase = payload, attempt, Phase.TASK
    _begin_time_limits(run, frame, attempt)
    run.commands.append(task_command(frame))
    return None


def _begin_time_limits(run: Run, frame: Frame, attempt: TaskAttempt) -> None:
    """The attempt starts now."""
    frame.due = None if attempt.timeout is None else run.now + attempt.timeout * 1000
    frame.heartbeat_due = None
    if frame.calls_back:
        _expect_heartbeat(run, frame, attempt)


def _expect_heartbeat(run: Run, frame: Frame, attempt: TaskAttempt) -> None:
    if attempt.heartbeat is not None:
        frame.heartbeat_due = run.now + attempt.heartbeat * 1000


def task_command(frame: Frame, again: bool = False) -> RunTask:
    """The effect of a frame in phase TASK, from its stored state alone."""
    state, attempt = frame.state, frame.attempt
    assert frame.data is not None and state.resource is not None and attempt is not None
    return RunTask(
        frame.id,
        frame.seq,
        state,
        state.resource,
        frame.data,
        attempt.timeout,
        attempt.heartbeat,
        attempt.role,
        again,
    )


# --- reports on an attempt ------------------------------------------------------------------------


def task_queued(run: Run, frame: Frame, event: events.TaskQueued) -> None:
    """It waits to begin: its time limits stop."""
    if frame.timed:
        frame.due = frame.heartbeat_due = None


def task_began(run: Run, frame: Frame, event: events.TaskBegan) -> None:
    """It has waited (see decide.hold), and its time limits begin."""
    if frame.queued:
        _begin_time_limits(run, frame, frame.running_attempt)


def task_started(run: Run, frame: Frame, event: events.TaskStarted) -> None:
    """A worker took the activity task: its time limits begin again."""
    attempt = frame.running_attempt
    if attempt.handed_over:
        return
    frame.attempt = attempt._replace(handed_over=True)
    frame.prev = run.add((event_codes(frame.state).started, frame.prev, event.worker))
    if attempt.timeout is not None:
        frame.due = run.now + attempt.timeout * 1000
    _expect_heartbeat(run, frame, attempt)


def task_submitted(run: Run, frame: Frame, event: events.TaskSubmitted) -> None:
    """The called service accepted a .sync or .waitForTaskToken call."""
    attempt, resource = frame.running_attempt, frame.state.resource
    if attempt.submitted or resource is None:
        return
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.submitted, frame.prev, *codes.fields, event.output))
    # a crash restarts the watch of a .sync job; a callback needs no effect of ours
    frame.attempt = attempt._replace(submitted=True, handed_over=resource.callback)
    if resource.callback:
        _expect_heartbeat(run, frame, attempt)


def task_succeeded(run: Run, frame: Frame, event: events.TaskSucceeded) -> None:
    """The effect of a Task has a result."""
    output, state = event.output, frame.state
    if len(output.data) > run.limits.payload_bytes:
        assert state.resource is not None
        name = {"lambda": state.resource.text, "service": state.resource.service}.get(
            state.resource.kind, state.name
        )
        cause = asl_messages.RESULT_TOO_LARGE.format(name=name)
        return fail_task(run, frame, asl_messages.DATA_LIMIT_EXCEEDED, cause)
    codes = event_codes(state)
    if event.mocked:
        _write_steps(run, frame, output)
    frame.prev = run.add((codes.succeeded, frame.prev, *codes.fields, output))
    frame.phase = Phase.RUN
    return complete(run, frame, output)


def _write_steps(run: Run, frame: Frame, output: Payload | None) -> None:
    """The events of an attempt that a test case answers, which nothing reports: an activity worker
    takes the task; a service accepts the call, with the result as its answer. None: it does not.
    """
    attempt, codes, resource = frame.running_attempt, event_codes(frame.state), frame.state.resource
    assert resource is not None
    if resource.kind == "activity" and not attempt.handed_over:
        frame.prev = run.add((codes.started, frame.prev, None))
    elif resource.pattern and output is not None and not attempt.submitted:
        frame.prev = run.add((codes.submitted, frame.prev, *codes.fields, output))


def heartbeat(run: Run, frame: Frame, event: events.Heartbeat) -> None:
    """Only the holder of a token sends one. A service that answers by itself needs none, whatever
    HeartbeatSeconds says.
    """
    if frame.heartbeat_due is not None:
        _expect_heartbeat(run, frame, frame.running_attempt)


def task_failed(run: Run, frame: Frame, event: events.TaskFailed) -> None:
    """The effect of a Task reported an error."""
    if event.runtime:
        return fail(run, frame, StateError(asl_messages.RUNTIME, event.cause))
    if event.mocked:
        _write_steps(run, frame, None if _refused(event.error) else NOTHING)
        if event.error in TIMEOUTS:
            return _time_out(run, frame, event.cause, event.error == asl_messages.HEARTBEAT_TIMEOUT)
    return fail_task(run, frame, event.error, event.cause)


def _refused(error: str | None) -> bool:
    """Whether an error is that of the call: "Sqs.QueueDoesNotExistException". Others come later:
    States.* of a job, its time limits, and what SendTaskFailure names.
    """
    service, dot, _ = (error or "").partition(".")
    return bool(dot) and service != "States"


def fail_task(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """Write the ...Failed event of the Task's kind, then retry, catch or fail."""
    error, cause = clipped(run.limits, error, cause)
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.failed, frame.prev, *codes.fields, error, cause))
    retry_or_fail(run, frame, error, cause)


def timed_out(run: Run, frame: Frame) -> None:
    """TimeoutSeconds or HeartbeatSeconds of a Task is over. Both are recorded as States.Timeout."""
    heartbeat = (
        frame.heartbeat_due is not None
        and frame.heartbeat_due <= run.now
        and (frame.due is None or frame.heartbeat_due < frame.due)
    )
    run.commands.append(CancelTask(frame.id, frame.seq))
    _time_out(run, frame, None, heartbeat)


def _time_out(run: Run, frame: Frame, cause: str | None, heartbeat: bool) -> None:
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.timed_out, frame.prev, *codes.fields, asl_messages.TIMEOUT, cause))
    retry_or_fail(run, frame, asl_messages.TIMEOUT, cause, heartbeat=heartbeat)
