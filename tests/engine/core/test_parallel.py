"""Parallel: how branches start and join, and the siblings of one that fails, in each phase."""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    TASK,
    Fails,
    Later,
    Silent,
    begin,
    catch,
    distributed,
    each,
    fail,
    in_state,
    lines,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

A, B = machine("A", A=PASS), machine("B", B=PASS)


def test_success() -> None:
    assert run(machine("S", S=parallel(A, B, Next="E"), E=PASS), 1).lines == lines("""
        1<0 ExecutionStarted 1
        2<0 ParallelStateEntered S 1
        3<2 ParallelStateStarted
        4<3 PassStateEntered A 1
        5<4 PassStateExited A 1
        6<3 PassStateEntered B 1
        7<6 PassStateExited B 1
        8<7 ParallelStateSucceeded
        9<7 ParallelStateExited S [1,1]
        10<9 PassStateEntered E [1,1]
        11<10 PassStateExited E [1,1]
        12<11 ExecutionSucceeded [1,1]
    """)


def test_its_own_events_have_no_details() -> None:
    events = run(only(parallel(A)), 1).events
    assert [set(events[place]) for place in (2, 5)] == [
        {"id", "previousEventId", "timestamp", "type"}
    ] * 2


def test_it_ends_after_the_branch_that_ends_last() -> None:
    slow = parallel(machine("A", A=wait(2)), machine("B", B=wait(1)))
    assert run(only(slow), 1).lines[3:] == lines("""
        4<3 WaitStateEntered A 1
        5<3 WaitStateEntered B 1
        6<5 WaitStateExited B 1
        7<4 WaitStateExited A 1
        8<7 ParallelStateSucceeded
        9<7 ParallelStateExited S [1,1]
        10<9 ExecutionSucceeded [1,1]
    """)


def test_outputs_are_in_the_order_of_the_branches() -> None:
    branches = [
        machine(
            name, **{name: wait(seconds, Next=name + "r"), name + "r": {**PASS, "Result": name}}
        )
        for name, seconds in (("A", 3), ("B", 1), ("C", 2))
    ]
    trace = run(only(parallel(*branches)))
    assert (trace.output, trace.elapsed, trace.peak) == (["A", "B", "C"], 3, 3)


def test_succeed_ends_its_branch_only() -> None:
    assert run(
        only(parallel(machine("A", A={"Type": "Succeed"}), machine("B", B=wait(1)))), 1
    ).output == [1, 1]


def test_fail_state() -> None:
    assert run(only(parallel(B, machine("F", F=fail("E", "why")))), 1).lines[3:] == lines("""
        4<3 PassStateEntered B 1
        5<4 PassStateExited B 1
        6<3 FailStateEntered F 1
        7<6 ParallelStateFailed
        8<7 ExecutionFailed error=E cause=why
    """)


def test_task_that_fails_alone() -> None:
    assert run(only(parallel(machine("T", T=TASK))), 1, T=Fails("E", "why")).lines[6:] == lines("""
        7<6 TaskFailed error=E cause=why
        8<7 TaskStateAborted
        9<7 ParallelStateFailed
        10<9 ExecutionFailed error=E cause=why
    """)


def test_siblings_in_every_phase_are_aborted() -> None:
    """A task in flight, a Wait, the delay of a retry, a nested Parallel and a nested Map; all that
    follows points to the failing event.
    """
    state = parallel(
        machine("T", T=TASK),
        machine("U", U=TASK),
        machine("W", W=wait(9)),
        machine("R", R={**TASK, "Retry": retry(IntervalSeconds=50)}),
        machine("P", P=parallel(machine("X", X=wait(9)), machine("Y", Y=PASS))),
        machine("M", M=each(machine("I", I=TASK))),
    )
    trace = run(
        only(state),
        [1, 2],
        T=Later(2, Fails("E", "why")),
        U=Silent,
        R=Later(1, Fails("F")),
        I=Silent,
    )
    assert trace.lines[28:] == lines("""
        29<13 TaskFailed error=F
        30<6 TaskFailed error=E cause=why
        31<30 TaskStateAborted
        32<30 TaskStateAborted
        33<30 WaitStateAborted
        34<30 TaskStateAborted
        35<30 WaitStateAborted
        36<30 ParallelStateAborted
        37<30 TaskStateAborted
        38<30 MapIterationAborted M [0]
        39<30 TaskStateAborted
        40<30 MapIterationAborted M [1]
        41<30 MapStateAborted
        42<30 ParallelStateFailed
        43<42 ExecutionFailed error=E cause=why
    """)
    assert (trace.cancelled, trace.elapsed) == (["U", "I", "I"], 2)


def test_a_map_run_among_the_siblings_is_aborted() -> None:
    state = parallel(machine("T", T=TASK), machine("M", M=distributed(A)))
    trace = run(only(state), [1, 2], T=Later(1, Fails("E")), child=lambda slot, value: Silent)
    assert [line.split("mapRunArn")[0].strip() for line in trace.lines[6:]] == lines("""
        7<3 MapStateEntered M [1,2]
        8<7 MapStateStarted 2
        9<8 MapRunStarted
        10<6 TaskFailed error=E
        11<10 TaskStateAborted
        12<10 MapRunAborted
        13<10 MapStateAborted
        14<10 ParallelStateFailed
        15<14 ExecutionFailed error=E
    """)
    assert len(trace.cancelled) == 1


def test_branches_that_never_began_have_no_aborted_event() -> None:
    assert run(only(parallel(machine("F", F=fail("E")), B)), 1).lines[3:] == lines("""
        4<3 FailStateEntered F 1
        5<4 ParallelStateFailed
        6<5 ExecutionFailed error=E
    """)


def test_catch() -> None:
    state = parallel(
        machine("T", T=TASK), machine("W", W=wait(9)), Catch=catch("E", ResultPath="$.e")
    )
    assert run(machine("S", S=state, C=PASS), {}, T=Fails("E", "why")).lines[7:] == lines("""
        8<6 TaskFailed error=E cause=why
        9<8 TaskStateAborted
        10<8 WaitStateAborted
        11<8 ParallelStateFailed
        12<11 ParallelStateExited S {"e":{"Error":"E","Cause":"why"}}
        13<12 PassStateEntered C {"e":{"Error":"E","Cause":"why"}}
        14<13 PassStateExited C {"e":{"Error":"E","Cause":"why"}}
        15<14 ExecutionSucceeded {"e":{"Error":"E","Cause":"why"}}
    """)


def test_retry_starts_all_branches_again_and_shows_no_failure_until_the_last_attempt() -> None:
    state = parallel(
        machine("T", T=TASK),
        machine("W", W=wait(9)),
        Retry=retry("E", MaxAttempts=1, IntervalSeconds=4),
        Catch=catch(),
    )
    trace = run(machine("S", S=state, C=PASS), {}, T=(Fails("E", "one"), Fails("E", "two")))
    assert trace.lines[7:20] == lines("""
        8<6 TaskFailed error=E cause=one
        9<8 TaskStateAborted
        10<8 WaitStateAborted
        11<8 ParallelStateStarted
        12<11 TaskStateEntered T {}
        13<12 TaskScheduled {"FunctionName":"f","Payload":{}}
        14<13 TaskStarted
        15<11 WaitStateEntered W {}
        16<14 TaskFailed error=E cause=two
        17<16 TaskStateAborted
        18<16 WaitStateAborted
        19<16 ParallelStateFailed
        20<19 ParallelStateExited S {"Error":"E","Cause":"two"}
    """)
    assert trace.times("ParallelStateStarted") == [0, 4]


def test_retry_then_success() -> None:
    state = parallel(machine("T", T=TASK), B, Retry=retry())
    trace = run(only(state), {}, T=(Fails("E"), 1))
    assert trace.output == [1, {}]


def test_failure_climbs_through_nested_states() -> None:
    inner = machine("P", P=parallel(machine("T", T=TASK), machine("W", W=wait(9))))
    assert run(only(parallel(inner, machine("V", V=wait(9)))), {}, T=Fails("E", "why")).lines[
        9:
    ] == lines("""
        10<3 WaitStateEntered V {}
        11<8 TaskFailed error=E cause=why
        12<11 TaskStateAborted
        13<11 WaitStateAborted
        14<11 ParallelStateFailed
        15<14 WaitStateAborted
        16<14 ParallelStateFailed
        17<16 ExecutionFailed error=E cause=why
    """)


def test_failure_is_caught_half_way_up() -> None:
    inner = machine(
        "P",
        P=parallel(machine("T", T=TASK), machine("W", W=wait(9)), Catch=catch(next="D")),
        D=PASS,
    )
    assert run(only(parallel(inner, machine("V", V=wait(9)))), {}, T=Fails("E", "why")).lines[
        10:
    ] == lines("""
        11<8 TaskFailed error=E cause=why
        12<11 TaskStateAborted
        13<11 WaitStateAborted
        14<11 ParallelStateFailed
        15<14 ParallelStateExited P {"Error":"E","Cause":"why"}
        16<15 PassStateEntered D {"Error":"E","Cause":"why"}
        17<16 PassStateExited D {"Error":"E","Cause":"why"}
        18<10 WaitStateExited V {}
        19<18 ParallelStateSucceeded
        20<18 ParallelStateExited S [{"Error":"E","Cause":"why"},{}]
        21<20 ExecutionSucceeded [{"Error":"E","Cause":"why"},{}]
    """)


def test_a_map_in_a_parallel_in_a_map() -> None:
    inner = machine(
        "P", P=parallel(machine("M", M=each(machine("T", T=TASK))), machine("W", W=wait(1)))
    )
    trace = run(only(each(inner)), [[1, 2], [3]], T=Later(5, lambda value: value["Payload"]))
    assert trace.lines[27:] == lines("""
        28<18 WaitStateExited W [1,2]
        29<27 WaitStateExited W [3]
        30<14 TaskSucceeded 1
        31<30 TaskStateExited T 1
        32<31 MapIterationSucceeded M [0]
        33<17 TaskSucceeded 2
        34<33 TaskStateExited T 2
        35<34 MapIterationSucceeded M [1]
        36<35 MapStateSucceeded
        37<35 MapStateExited M [1,2]
        38<37 ParallelStateSucceeded
        39<37 ParallelStateExited P [[1,2],[1,2]]
        40<39 MapIterationSucceeded S [0]
        41<26 TaskSucceeded 3
        42<41 TaskStateExited T 3
        43<42 MapIterationSucceeded M [0]
        44<43 MapStateSucceeded
        45<43 MapStateExited M [3]
        46<45 ParallelStateSucceeded
        47<45 ParallelStateExited P [[3],[3]]
        48<47 MapIterationSucceeded S [1]
        49<48 MapStateSucceeded
        50<48 MapStateExited S [[[1,2],[1,2]],[[3],[3]]]
        51<50 ExecutionSucceeded [[[1,2],[1,2]],[[3],[3]]]
    """)


def test_a_map_in_a_parallel_in_a_map_that_fails() -> None:
    inner = machine(
        "P", P=parallel(machine("M", M=each(machine("T", T=TASK))), machine("W", W=wait(9)))
    )
    trace = run(only(each(inner)), [[1, 2], [3]], T=(Silent, Later(2, Fails("E")), Silent))
    assert trace.lines[27:] == lines("""
        28<17 TaskFailed error=E
        29<28 MapIterationFailed M [1]
        30<28 TaskStateAborted
        31<28 MapIterationAborted M [0]
        32<28 MapStateFailed
        33<32 WaitStateAborted
        34<32 ParallelStateFailed
        35<34 MapIterationFailed S [0]
        36<34 TaskStateAborted
        37<34 MapIterationAborted M [0]
        38<34 MapStateAborted
        39<34 WaitStateAborted
        40<34 ParallelStateAborted
        41<34 MapIterationAborted S [1]
        42<34 MapStateFailed
        43<42 ExecutionFailed error=E
    """)


def test_runtime_error_in_a_branch_ends_all_at_once() -> None:
    state = parallel(
        machine("T", T={**TASK, "OutputPath": "$.no"}),
        machine("U", U=TASK),
        Catch=catch(),
        Retry=retry(),
    )
    trace = run(machine("S", S=state, C=PASS), T={}, U=Silent)
    cause = in_state("Invalid path '$.no' : No results for path: $['no']", "T", 4)
    assert trace.lines[9:] == [
        "10<6 TaskSucceeded {}",
        f"11<10 ExecutionFailed error=States.Runtime cause={cause}",
    ]
    assert trace.cancelled == ["U"]


def test_evaluation_that_fails_in_a_branch() -> None:
    branch = machine("A", A={**PASS, "Output": "{% $no %}"})
    cause = in_state(
        (
            "The JSONata expression '$no' specified for the field 'Output' returned nothing "
            "(undefined)."
        ),
        "A",
        4,
    )
    assert run(only(parallel(branch), "JSONata")).lines[3:] == [
        "4<3 PassStateEntered A {}",
        f"5<3 EvaluationFailed error=States.QueryEvaluationError cause={cause} location=Output A",
        "6<5 ParallelStateFailed",
        f"7<6 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


@pytest.mark.parametrize(
    ("fields", "types"),
    [
        ({"InputPath": "$.no"}, ["3<2 ExecutionFailed"]),
        ({"Parameters": {"x.$": "$.no"}}, ["3<2 ExecutionFailed"]),
        (
            {"Parameters": {"x.$": "States.StringToJson('{')"}},
            ["3<2 ParallelStateFailed", "4<3 ParallelStateExited"],
        ),
        (
            {"ResultSelector": {"x.$": "$.no"}},
            ["6<5 ParallelStateSucceeded", "7<6 ExecutionFailed"],
        ),
        ({"OutputPath": "$.no"}, ["6<5 ParallelStateSucceeded", "7<6 ExecutionFailed"]),
        ({"ResultPath": "$.a.b"}, ["6<5 ParallelStateSucceeded", "7<6 ParallelStateExited"]),
    ],
)
def test_what_fails_before_and_after_the_branches(fields: dict[str, Any], types: list[str]) -> None:
    """After success there is no ...Failed: what the error causes points to ...Succeeded."""
    trace = run(machine("S", S=parallel(A, **fields, Catch=catch()), C=PASS), {"a": 1})
    first = 2 if types[0].startswith("3") else 5
    assert [" ".join(line.split()[:2]) for line in trace.lines[first : first + len(types)]] == types


def test_output_that_fails_after_the_branches() -> None:
    state = {**parallel(A), "Output": "{% $no %}", "Retry": retry(MaxAttempts=1), "Catch": catch()}
    trace = run(machine("S", "JSONata", S=state, C={**PASS, "Output": 0}), 1)
    assert [" ".join(line.split()[:2]) for line in trace.lines[5:]] == lines("""
        6<5 ParallelStateSucceeded
        7<6 EvaluationFailed
        8<7 ParallelStateStarted
        9<8 PassStateEntered
        10<9 PassStateExited
        11<10 ParallelStateSucceeded
        12<11 EvaluationFailed
        13<12 ParallelStateExited
        14<13 PassStateEntered
        15<14 PassStateExited
        16<15 ExecutionSucceeded
    """)


def test_catch_within_a_branch() -> None:
    branch = machine("T", T={**TASK, "Catch": catch()}, C=PASS)
    trace = run(only(parallel(branch, B)), T=Fails("E"))
    assert trace.output == [{"Error": "E", "Cause": None}, {}]
    assert trace.lines[8:10] == [
        "9<6 TaskFailed error=E",
        '10<9 TaskStateExited T {"Error":"E","Cause":null}',
    ]


def test_answers_of_aborted_branches_come_too_late() -> None:
    state = parallel(machine("T", T=TASK), machine("U", U=TASK), Catch=catch())
    trace = run(machine("S", S=state, C=wait(60)), T=Later(1, Fails("E")), U=Later(5, "late"))
    assert (trace.status, trace.elapsed, trace.cancelled) == ("SUCCEEDED", 61, ["U"])
    assert "late" not in str(trace.lines)


def test_nothing_of_the_branches_stays_in_the_state_that_follows() -> None:
    state = parallel(machine("T", T=TASK), machine("U", U=TASK), Catch=catch())
    trace = begin(machine("S", S=state, C=wait(60)), T=1, U=Fails("E")).run(until=1)
    (frame,) = trace.x.frames.values()
    assert (frame.children, frame.attempt, frame.data) == (None, None, None)
