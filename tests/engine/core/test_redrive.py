"""Redrive in the core: what is repeated for each type of state, what is not, and its history."""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    TASK,
    Driver,
    Ends,
    Fails,
    Later,
    Silent,
    begin,
    catch,
    distributed,
    each,
    fail,
    lines,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

from stepwell.asl import messages
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import ChildClosed, StartChild, TaskSucceeded
from stepwell.engine.core.model import Payload
from stepwell.engine.limits import Limits

BROKEN = Fails("E", "c")


def again(trace: Driver, after: str = "ExecutionRedriven") -> list[str]:
    """The lines of the events after the last redrive, without their numbers."""
    last = max(place for place, event in enumerate(trace.events) if event["type"] == after)
    return [line.partition(" ")[2] for line in trace.lines[last + 1 :]]


def types(trace: Driver) -> list[str]:
    return [line.partition(" ")[0] for line in again(trace)]


def test_a_task_is_scheduled_again_without_being_entered_again() -> None:
    trace = run(
        machine("A", A=PASS | {"Next": "S"}, S=TASK | {"Next": "B"}, B=PASS),
        {"n": 1},
        S=(BROKEN, {"ok": 1}),
    )
    assert trace.failure == ("E", "c")
    assert trace.x.snapshot is not None and trace.x.frames == {}
    trace.redrive(60).run()
    assert (
        trace.output == {"ok": 1}
        and trace.x.snapshot is None
        and trace.x.started == trace.now - 60_000
    )
    assert trace.lines[6:] == lines("""
        7<6 TaskFailed error=E cause=c
        8<7 ExecutionFailed error=E cause=c
        9<8 ExecutionRedriven redriveCount=1
        10<4 TaskScheduled {"FunctionName":"f","Payload":{"n":1}}
        11<10 TaskStarted
        12<11 TaskSucceeded {"ok":1}
        13<12 TaskStateExited S {"ok":1}
        14<13 PassStateEntered B {"ok":1}
        15<14 PassStateExited B {"ok":1}
        16<15 ExecutionSucceeded {"ok":1}
    """)


@pytest.mark.parametrize(
    ("state", "rest"),
    [
        (PASS | {"Parameters": {"x.$": "$.none"}}, {}),
        (
            {"Type": "Choice", "Choices": [{"Variable": "$.none", "IsNull": True, "Next": "B"}]},
            {"B": PASS},
        ),
        (fail("F", "why"), {}),
        (wait(1) | {"InputPath": "$.none"}, {}),
    ],
)
def test_other_states_are_entered_again(state: dict[str, Any], rest: dict[str, Any]) -> None:
    trace = run(machine("A", A=PASS | {"Next": "S"}, S=state, **rest), {"n": 1})
    before = trace.failure
    first = [line for line in trace.lines if "Entered S" in line]
    trace.redrive().run()
    assert trace.status == model.FAILED and trace.failure[0] == before[0]
    entered = [line for line in trace.lines if "Entered S" in line]
    assert (
        len(first) == 1
        and [line.partition("<")[2] for line in entered] == [first[0].partition("<")[2]] * 2
    )


def test_what_is_entered_again_at_the_start_follows_from_the_redrive() -> None:
    trace = run(only(fail("F")), {})
    assert trace.redrive().run().lines[3:] == lines("""
        4<3 ExecutionRedriven redriveCount=1
        5<4 FailStateEntered S {}
        6<5 ExecutionFailed error=F
    """)


def test_a_wait_starts_again_in_full_and_one_in_the_past_is_over() -> None:
    trace = begin(only(wait(10)), {}).run(until=9).stop().redrive(1)
    assert trace.run(until=19).status == model.RUNNING
    assert trace.run(until=20).status == model.SUCCEEDED
    past = (
        begin(only({"Type": "Wait", "Timestamp": "2023-11-14T22:13:30Z"}), {})
        .run(until=9)
        .stop()
        .redrive(2)
    )
    assert (past.status, past.elapsed) == (model.SUCCEEDED, 11)


def test_only_branches_that_did_not_end_run_again() -> None:
    branches = parallel(
        machine("L", L=TASK), machine("W", W=wait(5) | {"Next": "X"}, X=PASS), machine("P", P=PASS)
    )
    trace = run(only(branches), {"n": 1}, L=(Later(1, BROKEN), {"ok": 1}))
    trace.redrive().run()
    assert trace.output == [{"ok": 1}, {"n": 1}, {"n": 1}]
    kinds = types(trace)
    assert (
        "PassStateEntered P" not in again(trace)
        and kinds.count("WaitStateEntered") == kinds.count("TaskScheduled") == 1
    )
    assert "ParallelStateStarted" not in kinds and kinds[-3:] == [
        "ParallelStateSucceeded",
        "ParallelStateExited",
        "ExecutionSucceeded",
    ]


def test_only_iterations_that_did_not_end_run_again() -> None:
    trace = run(
        only(each(machine("T", T=TASK), ItemsPath="$", MaxConcurrency=2)),
        [1, 2, 3, 4],
        T=({"a": 1}, BROKEN, "x"),
    )
    trace.redrive().run()
    assert trace.output[0] == {"a": 1} and trace.output[1:] == ["x"] * 3
    assert [value["Payload"] for _, value in trace.tasks] == [1, 2, 3, 2, 3, 4]
    assert types(trace).count("MapIterationStarted") == 1


def test_nested_ones() -> None:
    inner = parallel(machine("T", T=TASK), machine("Q", Q=PASS))
    trace = run(
        only(parallel(machine("I", I=inner), machine("P", P=PASS))), {"n": 1}, T=(BROKEN, {"ok": 1})
    )
    trace.redrive().run()
    assert trace.output == [[{"ok": 1}, {"n": 1}], {"n": 1}]
    assert [kind for kind in types(trace) if kind.endswith("Entered")] == []


def test_all_branches_run_again_after_a_data_limit() -> None:
    branches = parallel(machine("T", T=TASK), machine("P", P=PASS))
    trace = run(only(branches), {"n": 1}, T=(Fails(messages.DATA_LIMIT_EXCEEDED), {"ok": 1}))
    trace.redrive().run()
    assert (
        trace.output == [{"ok": 1}, {"n": 1}]
        and "PassStateEntered" in types(trace)
        and types(trace)[0] == "ParallelStateStarted"
    )
    large = run(only(branches), {"n": 1}, T=("x" * 100, {"ok": 1}), limits=Limits(payload_bytes=90))
    assert large.failure[0] == messages.DATA_LIMIT_EXCEEDED
    assert (
        large.redrive().run().output == [{"ok": 1}, {"n": 1}]
        and types(large)[0] == "ParallelStateStarted"
    )


def test_all_branches_run_again_if_the_state_failed_on_its_own_output() -> None:
    trace = run(
        only(parallel(machine("T", T=TASK), OutputPath="$[0].ok")), {}, T=({"no": 1}, {"ok": 1})
    )
    assert trace.status == model.FAILED
    assert trace.redrive().run().output == 1 and types(trace)[0] == "ParallelStateStarted"


def test_retriers_and_time_limits_start_again() -> None:
    flaky = TASK | {"Retry": retry("E", MaxAttempts=1, IntervalSeconds=3), "TimeoutSeconds": 20}
    trace = run(only(flaky), {}, S=(BROKEN, BROKEN, BROKEN, Later(15, {"ok": 1})))
    assert trace.status == model.FAILED and len(trace.tasks) == 2
    trace.redrive().run()
    assert trace.output == {"ok": 1} and len(trace.tasks) == 4
    late = run(machine("S", timeout=10, S=TASK), {}, S=(Silent, Later(9, 1)))
    assert late.status == model.TIMED_OUT and late.redrive(100).run().status == model.SUCCEEDED


def test_a_failure_that_was_caught_leaves_no_trace_in_a_later_redrive() -> None:
    branches = parallel(machine("T", T=TASK), Catch=catch(), Next="B")
    trace = run(machine("S", S=branches, B=TASK, C=TASK), {}, T=BROKEN, C=(BROKEN, 1))
    assert trace.x.snapshot is not None and [
        frame.state.name for frame in trace.x.snapshot.values()
    ] == ["C"]
    assert trace.redrive().run().output == 1


def test_late_answers_from_before_the_redrive_are_stale() -> None:
    trace = begin(
        only(parallel(machine("T", T=TASK), machine("U", U=TASK))), {}, T=Later(1, BROKEN), U=Silent
    )
    attempt = trace.frame("U")
    trace.run()
    trace.redrive()
    decision = decide(
        trace.program, trace.x, TaskSucceeded(attempt.id, attempt.seq, Payload(1)), trace.now
    )
    assert decision.history == [] and decision.execution == trace.x


def test_what_cannot_be_redriven_stays_as_it_is() -> None:
    ended = run(only(PASS), {})
    assert ended.x.snapshot is None and ended.redrive().status == model.SUCCEEDED
    running = begin(only(wait(9)), {})
    assert running.redrive().status == model.RUNNING and len(running.events) == 2
    full = run(only(TASK), {}, S=BROKEN, limits=Limits(history_events=7))
    assert len(full.events) == 6 and full.x.snapshot is None


def test_redrive_of_the_whole_execution() -> None:
    trace = (
        run(machine("A", A=PASS | {"Next": "S"}, S=TASK), {"n": 1}, S=(BROKEN, {"ok": 1}))
        .redrive(whole=True)
        .run()
    )
    assert again(trace)[0] == 'PassStateEntered A {"n":1}' and trace.output == {"ok": 1}


# --- Map Runs -------------------------------------------------------------------------------------


def map_run(child: Any, items: int = 4, **fields: Any) -> Driver:
    return run(
        only(distributed(machine("T", T=PASS), ItemsPath="$", **fields)),
        list(range(items)),
        child=child,
    )


def started(trace: Driver) -> list[tuple[int, int]]:
    """(slot, round) of each child that the Map Run started."""
    return [
        (command.slot, command.round)
        for command in trace.commands
        if isinstance(command, StartChild)
    ]


def test_a_map_run_is_redriven_itself() -> None:
    fails = {1}
    trace = map_run(
        lambda slot, value: Ends("FAILED") if slot in fails else Ends("SUCCEEDED", slot),
        MaxConcurrency=1,
    )
    assert trace.failure[0] == messages.TOLERATED_FAILURE and started(trace) == [(0, 0), (1, 0)]
    fails.clear()
    trace.redrive().run()
    assert trace.output == [0, 1, 2, 3] and started(trace)[2:] == [(1, 1), (2, 1), (3, 1)]
    assert types(trace) == [
        "MapRunRedriven",
        "MapRunSucceeded",
        "MapStateSucceeded",
        "MapStateExited",
        "ExecutionSucceeded",
    ]


def test_a_child_that_failed_in_the_previous_round_is_redriven_when_it_reports() -> None:
    trace = (
        run(
            only(distributed(machine("T", T=PASS), ItemsPath="$")),
            [0, 1],
            child=lambda slot, value: Silent,
        )
        .stop()
        .redrive()
    )
    frame = trace.frame("S")
    asked = started(trace)
    assert asked == [(0, 0), (1, 0), (0, 1), (1, 1)]
    trace.send(ChildClosed(frame.id, frame.seq, 0, "ABORTED", None, 0))
    assert started(trace)[4:] == [(0, 1)]
    trace.send(ChildClosed(frame.id, frame.seq, 1, "SUCCEEDED", Payload("early"), 0))
    trace.send(ChildClosed(frame.id, frame.seq, 0, "SUCCEEDED", Payload("late"), 1))
    assert trace.output == ["late", "early"]


def test_a_map_run_that_failed_on_its_own_output_is_a_new_one() -> None:
    outputs = iter([{"no": 1}, {"ok": 1}])
    trace = map_run(lambda slot, value: Ends("SUCCEEDED", next(outputs)), 1, OutputPath="$[0].ok")
    assert trace.status == model.FAILED
    assert trace.redrive().run().output == 1
    assert types(trace)[:2] == ["MapStateStarted", "MapRunStarted"]
