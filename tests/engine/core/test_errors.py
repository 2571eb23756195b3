"""Retry and Catch: which errors they match, in which order, how often and how long retriers
wait.
"""

from itertools import pairwise
from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    PLAIN,
    TASK,
    Fails,
    Later,
    Silent,
    begin,
    catch,
    each,
    fail,
    jsonata,
    lines,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

from stepwell.engine.core.model import Phase
from stepwell.engine.limits import Limits

BIG = "x" * 900
TINY = Limits(payload_bytes=600)
QUERY = {"Type": "Task", "Resource": PLAIN["Resource"], "Output": "{% $no %}"}

# (what happens to state S, its language, the names that match it)
ERRORS: dict[str, tuple[dict[str, Any], Any, str | None, set[str]]] = {
    "custom": (
        TASK,
        Fails("Custom.Error"),
        None,
        {"Custom.Error", "States.TaskFailed", "States.ALL"},
    ),
    "no name": (TASK, Fails(), None, {"States.TaskFailed", "States.ALL"}),
    "empty name": (TASK, Fails(""), None, {"States.TaskFailed", "States.ALL"}),
    "task failed": (TASK, Fails("States.TaskFailed"), None, {"States.TaskFailed", "States.ALL"}),
    "timeout": ({**TASK, "TimeoutSeconds": 1}, Silent, None, {"States.Timeout", "States.ALL"}),
    "permissions": (
        TASK,
        Fails("States.Permissions"),
        None,
        {"States.Permissions", "States.TaskFailed", "States.ALL"},
    ),
    "runtime": (TASK, Fails("States.Runtime"), None, set()),
    "too large": (TASK, BIG, None, {"States.DataLimitExceeded", "States.TaskFailed", "States.ALL"}),
    "intrinsic": (
        {**PLAIN, "Parameters": {"x.$": "States.StringToJson('{')"}},
        1,
        None,
        {"States.IntrinsicFailure", "States.TaskFailed", "States.ALL"},
    ),
    "result path": (
        {**TASK, "ResultPath": "$.a.b"},
        1,
        None,
        {"States.ResultPathMatchFailure", "States.TaskFailed", "States.ALL"},
    ),
    "query": (
        QUERY,
        1,
        "JSONata",
        {"States.QueryEvaluationError", "States.TaskFailed", "States.ALL"},
    ),
}
NAMES = sorted(
    {name for *_, names in ERRORS.values() for name in names}
    | {"States.Runtime", "States.HeartbeatTimeout", "Custom", "custom.error"}
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ERRORS)
def test_matching(kind: str, name: str) -> None:
    """The same names for Catch and for Retry."""
    state, answer, language, matching = ERRORS[kind]
    rest = {**PASS, "Output": 0} if language else {**PASS, "Result": 0}
    caught = run(
        machine("S", language, S={**state, "Catch": catch(name)}, C=rest),
        {"a": 1},
        S=answer,
        limits=TINY,
    )
    assert (caught.status == "SUCCEEDED") is (name in matching)
    retried = run(
        only({**state, "Retry": retry(name, MaxAttempts=1)}, language),
        {"a": 1},
        S=answer,
        limits=TINY,
    )
    assert (retried.elapsed >= 1 + (kind == "timeout")) is (name in matching)


@pytest.mark.parametrize("around", [parallel, each])
@pytest.mark.parametrize("kind", ERRORS)
def test_matching_of_what_fails_inside(kind: str, around: Any) -> None:
    state, answer, language, matching = ERRORS[kind]
    rest = {**PASS, "Output": 0} if language else {**PASS, "Result": 0}
    for name in NAMES:
        outer = {**around(machine("T", T=state)), "Catch": catch(name)}
        trace = run(machine("S", language, S=outer, C=rest), [{"a": 1}], T=answer, limits=TINY)
        assert (trace.status == "SUCCEEDED") is (name in matching), name


def test_error_of_a_branch_keeps_its_name() -> None:
    assert run(only(parallel(machine("F", F=fail("E", "why")))), {}).failure == ("E", "why")
    assert run(only(parallel(machine("F", F=fail()), Catch=catch()), C=PASS)).output == {
        "Error": None,
        "Cause": None,
    }


def test_states_all_catches_a_fail_state_without_error() -> None:
    assert run(
        machine("S", S=each(machine("F", F=fail()), Catch=catch("States.ALL")), C=PASS), [1]
    ).output == {
        "Error": None,
        "Cause": None,
    }


# --- order ----------------------------------------------------------------------------------------
def test_first_catcher_that_matches() -> None:
    catchers = [
        *catch("A"),
        *catch("B", "C", next="D"),
        *catch("C"),
        *catch("States.ALL", next="E"),
    ]
    states = {name: {**PASS, "Result": name} for name in "CDE"}
    definition = machine("S", S={**TASK, "Catch": catchers}, **states)
    assert [run(definition, S=Fails(error)).output for error in ("A", "B", "C", "X")] == [
        "C",
        "D",
        "D",
        "E",
    ]


def test_retry_comes_before_catch() -> None:
    trace = run(
        machine(
            "S",
            S={**TASK, "Retry": retry("E", MaxAttempts=2), "Catch": catch("E", ResultPath=None)},
            C=PASS,
        ),
        S=Fails("E"),
    )
    assert [line.split()[1] for line in trace.lines if "Task" in line] == [
        "TaskStateEntered",
        *["TaskScheduled", "TaskStarted", "TaskFailed"] * 3,
        "TaskStateExited",
    ]
    assert [" ".join(line.split()[:2]) for line in trace.lines[4:7]] == [
        "5<4 TaskFailed",
        "6<5 TaskScheduled",
        "7<6 TaskStarted",
    ]
    assert trace.output == {}


def test_an_exhausted_retrier_hands_over_to_catch_not_to_the_next_retrier() -> None:
    retriers = [*retry("E", MaxAttempts=1), *retry("States.ALL", MaxAttempts=5)]
    trace = run(machine("S", S={**TASK, "Retry": retriers, "Catch": catch()}, C=PASS), S=Fails("E"))
    assert (trace.status, len(trace.tasks)) == ("SUCCEEDED", 2)


def test_no_attempts_at_all() -> None:
    retriers = [*retry("E", MaxAttempts=0), *retry("States.ALL", MaxAttempts=5)]
    assert len(run(only({**TASK, "Retry": retriers}), S=Fails("E")).tasks) == 1
    assert len(run(only({**TASK, "Retry": retriers}), S=Fails("F")).tasks) == 6


def test_each_retrier_counts_for_itself() -> None:
    retriers = [*retry("A", MaxAttempts=2), *retry("B", MaxAttempts=1)]
    trace = run(
        only({**TASK, "Retry": retriers}),
        S=(Fails("A"), Fails("B"), Fails("A"), Fails("B", "the second B")),
    )
    assert (len(trace.tasks), trace.failure) == (4, ("B", "the second B"))


def test_default_of_a_retrier() -> None:
    trace = run(only({**TASK, "Retry": retry("E")}), S=Fails("E"))
    assert trace.times("TaskScheduled") == [0, 1, 3, 7]


def test_counters_start_anew_when_the_state_is_entered_again() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericEquals": 2, "Next": "E"}],
        "Default": "N",
    }
    count = {**PASS, "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "T"}
    states = machine(
        "T",
        T={**TASK, "ResultPath": None, "Retry": retry("E", MaxAttempts=1), "Next": "C"},
        C=choice,
        N=count,
        E=PASS,
    )
    trace = run(states, {"n": 0}, T=(Fails("E"), 1, Fails("E"), 1, Fails("E"), 1))
    assert (trace.status, len(trace.tasks)) == ("SUCCEEDED", 6)


def test_counters_start_anew_when_the_state_around_is_retried() -> None:
    state = parallel(
        machine("T", T={**TASK, "Retry": retry("E", MaxAttempts=1)}),
        Retry=retry("E", MaxAttempts=1),
    )
    assert len(run(only(state), T=Fails("E")).tasks) == 4


def test_counters_are_kept_through_other_errors_of_the_same_visit() -> None:
    state = {
        **TASK,
        "TimeoutSeconds": 1,
        "Retry": [*retry("States.Timeout", MaxAttempts=1), *retry("E", MaxAttempts=1)],
    }
    trace = run(only(state), S=(Silent, Fails("E"), Silent))
    assert (len(trace.tasks), trace.failure) == (3, ("States.Timeout", None))


# --- delays ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "delays"),
    [
        ({}, [1, 2, 4, 8]),
        ({"IntervalSeconds": 3}, [3, 6, 12, 24]),
        ({"BackoffRate": 1}, [1, 1, 1, 1]),
        ({"BackoffRate": 1.5, "IntervalSeconds": 2}, [2, 3, 4.5, 6.75]),
        ({"MaxDelaySeconds": 3}, [1, 2, 3, 3]),
        ({"IntervalSeconds": 2, "BackoffRate": 10, "MaxDelaySeconds": 5}, [2, 5, 5, 5]),
        ({"JitterStrategy": "NONE"}, [1, 2, 4, 8]),
    ],
)
def test_delays(fields: dict[str, Any], delays: list[float]) -> None:
    trace = run(only({**TASK, "Retry": retry("E", MaxAttempts=4, **fields)}), S=Fails("E"))
    assert [after - before for before, after in pairwise(trace.times("TaskScheduled"))] == delays


def test_jitter_stays_within_the_delay() -> None:
    state = {
        **TASK,
        "Retry": retry(
            "E", MaxAttempts=6, IntervalSeconds=100, MaxDelaySeconds=1000, JitterStrategy="FULL"
        ),
    }
    trace = run(only(state), S=Fails("E"))
    shares = [
        (after - before) / min(1000, 100 * 2**k)
        for k, (before, after) in enumerate(pairwise(trace.times("TaskScheduled")))
    ]
    assert all(0 <= share <= 1 for share in shares)
    assert len({round(share, 6) for share in shares}) == 6
    assert run(only(state), S=Fails("E")).times("TaskScheduled") == trace.times(
        "TaskScheduled"
    )  # the execution's own dice


def test_a_delay_beyond_all_bounds_ends_with_the_execution() -> None:
    trace = begin(
        only(
            {
                **TASK,
                "Retry": retry("E", MaxAttempts=9, IntervalSeconds=99_999_999, BackoffRate=1e300),
            }
        ),
        S=Fails("E"),
    )
    trace.run(until=1)
    frame = trace.frame("S")
    assert frame.phase == Phase.RETRY and frame.due == trace.x.started + 31_622_400_000
    assert trace.run().status == "TIMED_OUT"


def test_backoff_that_no_float_can_hold() -> None:
    state = {
        **TASK,
        "Retry": retry(
            "E", MaxAttempts=400, IntervalSeconds=1, BackoffRate=1e300, MaxDelaySeconds=2
        ),
    }
    assert run(only(state), S=Fails("E")).elapsed == 1 + 399 * 2


def test_the_delay_counts_from_the_failure() -> None:
    trace = run(
        only({**TASK, "Retry": retry("E", IntervalSeconds=10, MaxAttempts=1)}),
        S=Later(7, Fails("E")),
    )
    assert trace.times("TaskScheduled") == [0, 17]


def test_parameters_are_evaluated_for_each_attempt() -> None:
    state = {
        "Type": "Task",
        "Resource": PLAIN["Resource"],
        "Arguments": "{% {'t': $millis()} %}",
        "Retry": retry("E", MaxAttempts=1, IntervalSeconds=5),
    }
    trace = run(jsonata(state), S=Fails("E"))
    first, second = (payload["t"] for _, payload in trace.tasks)
    assert second - first == 5000


# --- both, on everything that can have them -------------------------------------------------------
def test_history_of_retry_and_catch() -> None:
    state = {**TASK, "Retry": retry("E", MaxAttempts=1), "Catch": catch("E")}
    assert run(
        machine("S", S=state, C=PASS), 0, S=(Fails("E", "one"), Fails("E", "two"))
    ).lines == lines("""
        1<0 ExecutionStarted 0
        2<0 TaskStateEntered S 0
        3<2 TaskScheduled {"FunctionName":"f","Payload":0}
        4<3 TaskStarted
        5<4 TaskFailed error=E cause=one
        6<5 TaskScheduled {"FunctionName":"f","Payload":0}
        7<6 TaskStarted
        8<7 TaskFailed error=E cause=two
        9<8 TaskStateExited S {"Error":"E","Cause":"two"}
        10<9 PassStateEntered C {"Error":"E","Cause":"two"}
        11<10 PassStateExited C {"Error":"E","Cause":"two"}
        12<11 ExecutionSucceeded {"Error":"E","Cause":"two"}
    """)


def test_caught_timeout() -> None:
    trace = run(
        machine("S", S={**TASK, "TimeoutSeconds": 3, "Catch": catch("States.Timeout")}, C=PASS),
        S=Silent,
    )
    assert trace.lines[4:6] == [
        "5<4 TaskTimedOut error=States.Timeout",
        '6<5 TaskStateExited S {"Error":"States.Timeout","Cause":""}',
    ]


def test_result_that_is_too_large() -> None:
    text = (
        "The state/task '{}' returned a result with a size exceeding the maximum number of bytes "
        "service limit."
    )
    for state, name, event in (
        (TASK, "lambda", "TaskFailed"),
        (PLAIN, PLAIN["Resource"], "LambdaFunctionFailed"),
    ):
        cause = text.format(name)
        trace = run(only(state), S=BIG, limits=TINY)
        assert trace.lines[4:] == [
            f"5<4 {event} error=States.DataLimitExceeded cause={cause}",
            f"6<5 ExecutionFailed error=States.DataLimitExceeded cause={cause}",
        ]


def test_a_later_visit_of_a_state_that_caught_continues_with_its_own_next_state() -> None:
    state = {**TASK, "Catch": catch(next="W"), "Next": "E"}
    trace = run(machine("S", S=state, W=wait(2, Next="S"), E=PASS), S=(Fails("E"), "ok"))
    assert (trace.output, trace.elapsed) == ("ok", 2)


def test_stop_during_the_delay_of_a_retry() -> None:
    trace = begin(only({**TASK, "Retry": retry("E")}), S=Fails("E"))
    trace.run(until=0)
    assert trace.stop("Stop").lines[5:] == ["6<0 ExecutionAborted error=Stop"]
    assert trace.cancelled == []


def test_timeout_of_the_execution_is_not_caught() -> None:
    state = parallel(
        machine("T", T={**TASK, "Catch": catch()}, C=PASS), Catch=catch(next="D"), Retry=retry()
    )
    trace = run(machine("S", timeout=5, S=state, D=PASS), T=Silent)
    assert trace.lines[6:] == ["7<6 ExecutionTimedOut error=States.Timeout"]
    assert (trace.status, trace.failure, trace.elapsed, trace.cancelled) == (
        "TIMED_OUT",
        ("States.Timeout", None),
        5,
        ["T"],
    )


def test_timeout_of_the_execution_wins_over_what_is_due_later() -> None:
    trace = begin(machine("W", timeout=5, W=wait(6)))
    trace.now += 60_000
    assert trace.run().status == "TIMED_OUT"
    trace = begin(machine("W", timeout=6, W=wait(5, Next="X"), X=PASS))
    trace.now += 60_000
    assert trace.run().status == "SUCCEEDED"
