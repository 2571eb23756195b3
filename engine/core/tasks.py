"""Task: attempts, their time limits, and what is reported of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.asl.program import State
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.core import events
from stepwell.engine.core.dataflow import as_payload, selected
from stepwell.engine.core.environment import environment
from stepwell.engine.core.events import CancelTask, RunTask
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Frame, Payload, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    FAULTS,
    clipped,
    complete,
    enter,
    fail,
    retry_or_fail,
    too_large,
)


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
    assert state.resource is not None
    return _event_codes(state.resource)


def start(run: Run, frame: Frame) -> None:
    enter(run, frame, frame.state)
    attempt(run, frame)


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


def attempt(run: Run, frame: Frame) -> None:
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
    except FAULTS as fault:
        return fail(run, frame, fault)
    if too_large(run, frame, payload):
        return None
    if resource.kind == "activity" and resource.text not in run.activities:
        return fail(
            run,
            frame,
            StateError(asl_messages.RUNTIME, messages.ACTIVITY_GONE.format(arn=resource.text)),
        )
    codes = event_codes(state)
    timeout, heartbeat = frame.timeout, frame.heartbeat
    if resource.kind == "service":
        region = run.x.arn.split(":", 4)[3]
        details: tuple[Any, ...] = (*codes.fields, region, payload, timeout, heartbeat, role)
    elif resource.kind == "activity":
        details = (resource.text, payload, timeout, heartbeat)
    else:
        details = (resource.text, payload, timeout, role)
    frame.prev = run.add((codes.scheduled, frame.prev, *details))
    if resource.kind != "activity":
        frame.prev = run.add((codes.started, frame.prev, *codes.fields))
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


def task_queued(run: Run, frame: Frame, event: events.TaskQueued) -> None:
    if frame.timed:
        frame.due = frame.beat = None


def task_began(run: Run, frame: Frame, event: events.TaskBegan) -> None:
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


def task_started(run: Run, frame: Frame, event: events.TaskStarted) -> None:
    """A worker took the activity task: its clocks start (again)."""
    if frame.parked:
        return
    frame.parked = True
    frame.prev = run.add((event_codes(frame.state).started, frame.prev, event.worker))
    if frame.timeout is not None:
        frame.due = run.now + frame.timeout * 1000
    expect_heartbeat(run, frame)


def task_submitted(run: Run, frame: Frame, event: events.TaskSubmitted) -> None:
    resource = frame.state.resource
    if frame.done or resource is None:
        return
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.submitted, frame.prev, *codes.fields, event.output))
    frame.parked = resource.callback  # a job goes on being watched from here; a callback is awaited
    frame.done = 1
    if resource.callback:
        expect_heartbeat(run, frame)


def task_succeeded(run: Run, frame: Frame, event: events.TaskSucceeded) -> None:
    output, state = event.output, frame.state
    if len(output.data) > run.limits.payload_bytes:
        assert state.resource is not None
        name = {"lambda": state.resource.text, "service": state.resource.service}.get(
            state.resource.kind, state.name
        )
        return fail_task(
            run,
            frame,
            asl_messages.DATA_LIMIT_EXCEEDED,
            asl_messages.RESULT_TOO_LARGE.format(name=name),
        )
    codes = event_codes(state)
    frame.prev = run.add((codes.succeeded, frame.prev, *codes.fields, output))
    frame.phase = Phase.RUN
    return complete(run, frame, output)


def heartbeat(run: Run, frame: Frame, event: events.Heartbeat) -> None:
    """Only who holds a token can send one; a service that answers by itself needs none, whatever
    HeartbeatSeconds says.
    """
    if frame.beat is not None:
        expect_heartbeat(run, frame)


def expect_heartbeat(run: Run, frame: Frame) -> None:
    if frame.heartbeat is not None:
        frame.beat = run.now + frame.heartbeat * 1000


def task_failed(run: Run, frame: Frame, event: events.TaskFailed) -> None:
    """The effect of a Task reported an error."""
    if event.runtime:
        return fail(run, frame, StateError(asl_messages.RUNTIME, event.cause))
    return fail_task(run, frame, event.error, event.cause)


def fail_task(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """Write the ...Failed event of a Task's family and go on from it."""
    error, cause = clipped(run.limits, error, cause)
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.failed, frame.prev, *codes.fields, error, cause))
    retry_or_fail(run, frame, error, cause)


def timed_out(run: Run, frame: Frame) -> None:
    """TimeoutSeconds or HeartbeatSeconds of a Task is over. Both are recorded as States.Timeout."""
    heartbeat = (
        frame.beat is not None
        and frame.beat <= run.now
        and (frame.due is None or frame.beat < frame.due)
    )
    codes = event_codes(frame.state)
    frame.prev = run.add((codes.timed_out, frame.prev, *codes.fields, asl_messages.TIMEOUT, None))
    run.commands.append(CancelTask(frame.id, frame.seq))
    retry_or_fail(run, frame, asl_messages.TIMEOUT, None, heartbeat=heartbeat)
