"""Reports on tasks that come late, early or twice; and commands: effects, their cancellation and
their repetition.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    JOB,
    PLAIN,
    TASK,
    WAIT_FOR_TOKEN,
    WORK,
    Fails,
    Later,
    Silent,
    Submits,
    Taken,
    begin,
    distributed,
    each,
    lines,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

from stepwell.engine.core.decide import recover
from stepwell.engine.core.events import (
    CancelTask,
    Heartbeat,
    RunTask,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.model import Payload


# --- late, early and repeated reports -------------------------------------------------------------
def reports(frame: int, seq: int) -> list[Any]:
    return [
        TaskStarted(frame, seq, "w"),
        TaskSubmitted(frame, seq, Payload(1)),
        TaskSucceeded(frame, seq, Payload(1)),
        TaskFailed(frame, seq, "E", None),
        Heartbeat(frame, seq),
    ]


@pytest.mark.parametrize("place", range(5))
def test_reports_for_another_attempt_change_nothing(place: int) -> None:
    trace = begin(
        only({**WAIT_FOR_TOKEN, "TimeoutSeconds": 60, "HeartbeatSeconds": 5, "Retry": retry()}),
        S=(Fails("E"), Silent),
    )
    first = trace.frame("S").seq
    trace.run(until=1)
    assert trace.frame("S").seq > first
    for frame, seq in ((1, first), (1, trace.frame("S").seq + 1), (9, first), (0, 0)):
        decision = trace.send(reports(frame, seq)[place])
        assert (decision.history, decision.commands) == ([], [])
    assert len(trace.lines) == 7


@pytest.mark.parametrize("place", range(5))
def test_reports_during_the_delay_of_a_retry_change_nothing(place: int) -> None:
    trace = begin(
        only({**WAIT_FOR_TOKEN, "HeartbeatSeconds": 5, "Retry": retry(IntervalSeconds=9)}), S=Silent
    )
    seq = trace.frame("S").seq
    trace.run(until=6)
    assert trace.lines[-1] == "5<4 TaskTimedOut error=States.Timeout"
    for each_seq in range(seq, seq + 3):
        assert trace.send(reports(1, each_seq)[place]).history == []


def test_success_before_the_call_was_answered() -> None:
    """A worker may answer before the service that delivered the token has."""
    trace = begin(
        machine("S", S={**WAIT_FOR_TOKEN, "Next": "W"}, W={"Type": "Wait", "Seconds": 9}), S=Silent
    )
    frame = trace.frame("S")
    trace.answer("S", "early")
    assert trace.send(TaskSubmitted(frame.id, frame.seq, Payload({}))).history == []
    assert [line.split()[1] for line in trace.run().lines[4:6]] == [
        "TaskSucceeded",
        "TaskStateExited",
    ]


def test_a_second_submission_or_worker_changes_nothing() -> None:
    trace = begin(only(WAIT_FOR_TOKEN), S=Submits(1, Silent)).run(until=0)
    frame = trace.frame("S")
    assert trace.send(TaskSubmitted(frame.id, frame.seq, Payload(2))).history == []
    worker = begin(only(WORK), S=Taken("a", Silent)).run(until=0)
    frame = worker.frame("S")
    assert worker.send(TaskStarted(frame.id, frame.seq, "b")).history == []


def test_a_tick_too_early_changes_nothing() -> None:
    trace = begin(only({**TASK, "TimeoutSeconds": 5}), S=Silent)
    trace.now += 4_999
    assert trace.send(Tick()).history == []


# --- effects --------------------------------------------------------------------------------------
def test_abandoned_effects_are_cancelled_once() -> None:
    two = parallel(
        machine("A", A=TASK), machine("B", B=TASK), machine("W", W={"Type": "Wait", "Seconds": 9})
    )
    assert begin(only(two), A=Silent, B=Silent).stop().cancelled == ["A", "B"]
    assert run(only(two), A=Silent, B=Later(1, Fails("E"))).cancelled == ["A"]
    assert run(only({**TASK, "TimeoutSeconds": 1}), S=Silent).cancelled == ["S"]
    assert run(only(TASK), S=Fails("States.Runtime")).cancelled == []
    assert run(machine("S", timeout=5, S=two), A=Silent, B=Silent).cancelled == ["A", "B"]


def test_recovery_repeats_effects_that_may_not_have_happened() -> None:
    branches = [
        machine("A", A=TASK),
        machine("B", B=WAIT_FOR_TOKEN),
        machine("C", C=WORK),
        machine("D", D=JOB),
        machine("E", E=WORK),
    ]
    trace = begin(
        only(parallel(*branches)),
        A=Silent,
        B=Submits({}, Silent),
        C=Taken("w", Silent),
        D=Submits({}, Silent),
        E=Silent,
    )
    trace.run(until=0)
    again = recover(trace.x)
    assert [
        (command.state.name, command.again) for command in again if isinstance(command, RunTask)
    ] == [
        ("A", True),
        ("D", True),
        ("E", True),
    ]
    first = {command.frame: command for command in trace.commands if isinstance(command, RunTask)}
    assert all(
        command._replace(again=False) == first[command.frame]
        for command in again
        if isinstance(command, RunTask)
    )


def test_credentials_and_limits_are_part_of_the_repeated_command() -> None:
    state = {**TASK, "Credentials": {"RoleArn.$": "$.r"}, "TimeoutSecondsPath": "$.t"}
    trace = begin(only(state), {"r": "R", "t": 5}, S=Silent)
    (command,) = recover(trace.x)
    assert isinstance(command, RunTask)
    assert (command.role, command.timeout, command.heartbeat, command.payload.value["Payload"]) == (
        "R",
        5,
        None,
        {"r": "R", "t": 5},
    )


def test_commands_name_the_attempt() -> None:
    trace = run(only({**TASK, "TimeoutSeconds": 1, "Retry": retry(MaxAttempts=1)}), S=Silent)
    started = [
        (command.frame, command.seq) for command in trace.commands if isinstance(command, RunTask)
    ]
    stopped = [
        (command.frame, command.seq)
        for command in trace.commands
        if isinstance(command, CancelTask)
    ]
    assert started == stopped and len(set(started)) == 2


def test_a_task_in_each_iteration() -> None:
    trace = run(only(each(machine("T", T=PLAIN))), [1, 2], T=lambda value: value * 10)
    assert trace.output == [10, 20]
    assert trace.lines[5:11] == lines("""
        6<4 TaskStateEntered T 1
        7<6 LambdaFunctionScheduled 1
        8<7 LambdaFunctionStarted
        9<5 TaskStateEntered T 2
        10<9 LambdaFunctionScheduled 2
        11<10 LambdaFunctionStarted
    """)


@pytest.mark.parametrize(
    ("state", "answer", "attention"),
    [
        (TASK, Silent, 0),  # an effect in flight
        ({**TASK, "TimeoutSeconds": 5}, Silent, 0),
        (WAIT_FOR_TOKEN, Silent, 0),
        (WAIT_FOR_TOKEN, Submits({}, Silent), None),
        ({**WAIT_FOR_TOKEN, "TimeoutSeconds": 50, "HeartbeatSeconds": 5}, Submits({}, Silent), 5),
        ({**WAIT_FOR_TOKEN, "TimeoutSeconds": 50}, Submits({}, Silent), 50),
        (JOB, Submits({}, Silent), 0),  # a job is still watched
        (WORK, Silent, 0),
        (WORK, Taken("w", Silent), None),
        ({**TASK, "Retry": retry(IntervalSeconds=7)}, Fails("E"), 7),
        (wait(9), None, 9),
        (parallel(only(wait(4)), machine("T", T=WAIT_FOR_TOKEN)), Submits({}, Silent), 4),
        (distributed(machine("A", A=wait(1))), None, 0),
    ],
)
def test_when_an_execution_needs_attention(
    state: dict[str, Any], answer: Any, attention: float | None
) -> None:
    """0: now, and after a restart; None: when an event arrives, or at the end of its time."""
    definition = machine("P", P=state) if state["Type"] == "Parallel" else only(state)
    trace = begin(definition, [1], S=answer, T=answer, child=lambda slot, value: Silent).run(
        until=0
    )
    wanted = trace.limits.standard_seconds if attention is None else attention
    assert trace.x.wake() == (0 if wanted == 0 else trace.x.started + wanted * 1000)
