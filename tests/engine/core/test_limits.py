"""Limits, each with a tiny value; units that end at their budget; Express; deep nesting."""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    PLAIN,
    TASK,
    Driver,
    Fails,
    Silent,
    begin,
    catch,
    check_history,
    each,
    fail,
    in_state,
    jsonata,
    machine,
    only,
    parallel,
    retry,
    run,
    snapshot,
    wait,
)

from stepwell.asl.evaluation import InlineBudgetError
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import RunTask, Tick
from stepwell.engine.limits import Limits

TOO_LARGE = (
    "The state/task '{}' returned a result with a size exceeding the maximum number of bytes "
    "service limit."
)
SMALL = Limits(payload_bytes=20)


# --- payloads -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("state", "language", "last"),
    [
        ({**PASS, "Result": "x" * 19}, None, "2<0 PassStateEntered"),
        ({**PASS, "Parameters": {"a.$": "$", "b.$": "$"}}, None, "2<0 PassStateEntered"),
        ({**PASS, "Output": "{% $pad('', 19) %}"}, "JSONata", "2<0 PassStateEntered"),
        ({"Type": "Succeed", "Output": "{% $pad('', 19) %}"}, "JSONata", "2<0 SucceedStateEntered"),
        (wait(0, Output="{% $pad('', 19) %}"), "JSONata", "2<0 WaitStateEntered"),
        ({**PLAIN, "Parameters": {"a.$": "$", "b.$": "$"}}, None, "2<0 TaskStateEntered"),
        (
            parallel(machine("A", A=PASS), Parameters={"a.$": "$", "b.$": "$"}),
            None,
            "2<0 ParallelStateEntered",
        ),
        (parallel(machine("A", A=PASS), machine("B", B=PASS)), None, "8<7 ParallelStateSucceeded"),
        (
            {**PLAIN, "ResultSelector": {"a.$": "$", "b.$": "$"}},
            None,
            "5<4 LambdaFunctionSucceeded",
        ),
        ({**PLAIN, "ResultPath": "$.longer.than"}, None, "5<4 LambdaFunctionSucceeded"),
    ],
)
def test_input_or_output_of_a_state_is_too_large(
    state: dict[str, Any], language: str | None, last: str
) -> None:
    trace = run(only(state, language), {"a": "xxxxx"}, limits=SMALL)
    assert trace.failure == ("States.DataLimitExceeded", TOO_LARGE.format("S"))
    assert trace.lines[-2].startswith(last)


def test_what_just_fits() -> None:
    assert run(only({**PASS, "Result": "x" * 18}), limits=SMALL).output == "x" * 18
    assert (
        run(only({**PASS, "Result": "é" * 9}), limits=SMALL).output == "é" * 9
    )  # bytes count, not letters
    assert run(only({**PASS, "Result": "é" * 10}), limits=SMALL).status == "FAILED"


def test_nothing_catches_an_effective_input_that_is_too_large() -> None:
    state = parallel(
        machine("A", A={**PASS, "Result": "x" * 19}), Retry=retry(), Catch=catch(ResultPath=None)
    )
    trace = run(machine("S", S=state, C=PASS), 1, limits=SMALL)
    assert trace.lines[3:] == [
        "4<3 PassStateEntered A 1",
        f"5<4 ExecutionFailed error=States.DataLimitExceeded cause={TOO_LARGE.format('A')}",
    ]


# --- history --------------------------------------------------------------------------------------
LOOP = machine(
    "A",
    A={**PASS, "Next": "B"},
    B={
        "Type": "Choice",
        "Choices": [{"Variable": "$", "IsString": True, "Next": "E"}],
        "Default": "A",
    },
    E=PASS,
)
FULL = "The execution reached the maximum number of history events ({})."


@pytest.mark.parametrize("limit", range(5, 30))
def test_history_is_full(limit: int) -> None:
    """The last event that a history may hold is the failure."""
    trace = run(LOOP, 1, limits=Limits(history_events=limit, unit_transitions=3))
    assert trace.failure == ("States.Runtime", FULL.format(limit))
    assert len(trace.lines) == limit
    assert (
        trace.lines[-1]
        == f"{limit}<{limit - 1} ExecutionFailed error=States.Runtime cause={FULL.format(limit)}"
    )


def test_history_that_just_fits() -> None:
    assert run(only(PASS), limits=Limits(history_events=4)).status == "SUCCEEDED"
    assert run(only(PASS), limits=Limits(history_events=3)).status == "FAILED"


@pytest.mark.parametrize("limit", range(2, 45))
def test_history_is_full_anywhere(limit: int) -> None:
    """Wherever the history ends, only the failure follows, and effects in flight are cancelled."""
    item = machine(
        "P",
        P=parallel(
            machine("T", T={**TASK, "Retry": retry()}), machine("W", W=wait(2)), Catch=catch()
        ),
        C=PASS,
    )
    trace = run(
        only(each(item, MaxConcurrency=2)),
        [1, 2, 3],
        T=(Fails("E"), Fails("E"), 1, 2, Fails("E")),
        limits=Limits(history_events=limit),
    )
    assert len(trace.lines) == limit
    assert trace.failure == ("States.Runtime", FULL.format(limit))


def test_nothing_starts_when_the_history_is_full() -> None:
    trace = run(
        only(parallel(machine("A", A=TASK), machine("B", B=TASK))),
        A=Silent,
        B=Silent,
        limits=Limits(history_events=9),
    )
    assert trace.status == "FAILED"
    assert trace.cancelled == [
        command.state.name for command in trace.commands if isinstance(command, RunTask)
    ]


def test_stop_and_timeout_of_an_almost_full_history() -> None:
    for limit in (3, 4, 5, 6):
        stopped = begin(only(wait(9)), limits=Limits(history_events=limit))
        assert (stopped.stop().status, len(stopped.lines)) == ("ABORTED", 3)
        assert (
            run(machine("W", timeout=1, W=wait(9)), limits=Limits(history_events=limit)).status
            == "TIMED_OUT"
        )


# --- Express --------------------------------------------------------------------------------------
def test_express_has_no_end_of_history() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericGreaterThan": 20, "Next": "E"}],
        "Default": "N",
    }
    count = {**PASS, "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "C"}
    trace = run(
        machine("C", C=choice, N=count, E=PASS),
        {"n": 0},
        express=True,
        limits=Limits(history_events=10),
    )
    assert (trace.status, len(trace.lines)) == ("SUCCEEDED", 90)


def test_express_has_five_minutes() -> None:
    assert run(only(wait(300)), express=True).elapsed == 300
    late = run(only(wait(301)), express=True)
    assert (late.status, late.elapsed, late.lines[-1]) == (
        "TIMED_OUT",
        300,
        "3<2 ExecutionTimedOut error=States.Timeout",
    )
    assert run(machine("W", timeout=7, W=wait(9)), express=True).elapsed == 7
    assert run(machine("W", timeout=900, W=wait(901)), express=True).elapsed == 300


def test_standard_has_a_year() -> None:
    trace = run(only(wait(99_999_999)))
    assert (trace.status, trace.elapsed) == ("TIMED_OUT", 365 * 24 * 3600)


# --- units ----------------------------------------------------------------------------------------
RICH = machine(
    "A",
    A={**PASS, "Assign": {"v": 1}, "Next": "M"},
    M=each(
        machine(
            "P",
            P=parallel(
                machine("T", T=PLAIN), machine("X", X={**PASS, "Next": "Y"}, Y=PASS), Next="Q"
            ),
            Q=PASS,
        ),
        MaxConcurrency=2,
        Next="R",
    ),
    R=parallel(
        machine("F", F=fail("E")),
        machine("G", G={**PASS, "Next": "H"}, H=PASS),
        Catch=catch(ResultPath=None),
        Next="C",
    ),
    C={**PASS, "Next": "Z"},
    Z={"Type": "Succeed"},
)


def happened(trace: Driver) -> list[str]:
    """The events without their ids, except for those of aborted branches: these may or may not have
    begun.
    """
    texts = (line.partition(" ")[2] for line in trace.lines)
    return sorted(
        text for text in texts if "Aborted" not in text and text.split()[1:2] not in (["G"], ["H"])
    )


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8, 13])
def test_units_end_at_their_budget_and_resume(budget: int) -> None:
    """However a run is cut into units, the same events occur, at most in another order."""
    whole, cut = (
        run(RICH, [1, 2, 3], limits=Limits(unit_transitions=number)) for number in (256, budget)
    )
    assert cut.output == whole.output == [[1, 1], [2, 2], [3, 3]]
    assert happened(cut) == happened(whole)


def test_a_unit_is_no_longer_than_its_budget() -> None:
    trace = run(LOOP, 1, limits=Limits(history_events=100, unit_transitions=4))
    assert trace.units[:-1] == [9] + [8] * (len(trace.units) - 2)


def test_transitions_are_counted() -> None:
    trace = run(only(parallel(machine("A", A=PASS), machine("B", B={**PASS, "Next": "C"}, C=PASS))))
    assert trace.x.transitions == 4


def test_stop_between_two_units() -> None:
    trace = Driver(LOOP, 1, limits=Limits(unit_transitions=2), pause=True)
    assert len(trace.lines) == 5
    assert trace.stop().lines[5:] == ["6<0 ExecutionAborted"]


# --- evaluations ----------------------------------------------------------------------------------
def test_a_long_evaluation_is_refused_inline_and_done_off_the_event_loop() -> None:
    trace = begin(
        jsonata({"Type": "Wait", "Seconds": 5, "Output": "{% $sum([1..20000].($ * 2)) %}"})
    )
    before = snapshot(trace.x)
    with pytest.raises(InlineBudgetError):
        decide(trace.program, trace.x, Tick(), trace.now + 5_000, trace.limits, False)
    assert snapshot(trace.x) == before
    assert trace.run().output == 400_020_000


# --- nesting --------------------------------------------------------------------------------------
def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


DEEP = "Document nesting depth (1001) exceeds the maximum allowed (1000)"


def test_a_thousand_levels() -> None:
    assert run(only(PASS), nested(1000)).status == "SUCCEEDED"
    assert run(only({**PASS, "Parameters": {"a.$": "$[0]"}}), nested(1000)).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("state", "language", "text"),
    [
        ({**PASS, "Parameters": {"a.$": "$"}}, None, DEEP),
        ({**PLAIN, "Parameters": {"a.$": "$"}}, None, DEEP),
        ({**PLAIN, "ResultSelector": {"a.$": "$"}}, None, DEEP),
        ({**PASS, "Assign": {"v": [{"a.$": "$"}]}}, None, DEEP),
        ({**PASS, "Parameters": {"a.$": "$$.no"}}, None, DEEP),
        (parallel(machine("A", A=PASS)), None, DEEP),
        (parallel(machine("A", A=PASS), Parameters={"a.$": "$"}), None, DEEP),
        (each(machine("A", A=PASS), ItemSelector={"a": {"b.$": "$$.Map.Item.Value"}}), None, DEEP),
    ],
)
def test_one_level_more(state: dict[str, Any], language: str | None, text: str) -> None:
    trace = run(only(state, language), nested(1000))
    assert trace.failure == ("States.Runtime", in_state(text))


def test_a_loop_that_nests_deeper_and_deeper() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "IsString": True, "Next": "E"}],
        "Default": "P",
    }
    for around in (parallel(machine("A", A=PASS)), {**PASS, "Parameters": {"a.$": "$"}}):
        trace = run(machine("C", C=choice, P={**around, "Next": "C"}, E=PASS), {})
        assert trace.failure[0] == "States.Runtime" and str(trace.failure[1]).endswith(DEEP)


def test_cause_is_no_longer_than_the_service_shows() -> None:
    error, cause = run(only({**PASS, "Parameters": {"a.$": "$.no"}}), {"x": "y" * 40_000}).failure
    assert error == "States.Runtime" and cause is not None and len(cause) == 32_768


# --- the driver itself ----------------------------------------------------------------------------
def test_the_check_of_histories_can_fail() -> None:
    events = run(only(parallel(machine("A", A=PASS)))).events
    check_history(events, "SUCCEEDED")
    wrong: list[list[dict[str, Any]]] = [
        [*events[:-1], {**events[-1], "previousEventId": len(events)}],
        [*events, {**events[-1], "id": len(events) + 1}],
        [{**event, "previousEventId": 0} for event in events],
        [*events[:4], {**events[4], "id": 4}, *events[4:]],
        [*events[:3], *[{**event, "id": event["id"] - 1} for event in events[4:]]],
    ]
    for broken in wrong:
        with pytest.raises(AssertionError):
            check_history(broken, "SUCCEEDED")
