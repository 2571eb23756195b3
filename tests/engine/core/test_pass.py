"""Pass, Succeed and Fail: the shortest histories, and the shape of their events."""

import pytest
from tests.engine.core.driver import (
    PASS,
    START_MS,
    begin,
    compiled,
    fail,
    in_state,
    jsonata,
    lines,
    machine,
    only,
    run,
)

from stepwell.asl.program import Program
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import Continue, Start, Tick
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.limits import Limits


def test_pass_and_succeed() -> None:
    trace = run(machine("A", A={**PASS, "Next": "B"}, B={"Type": "Succeed"}), {"x": 1})
    assert trace.lines == lines("""
        1<0 ExecutionStarted {"x":1}
        2<0 PassStateEntered A {"x":1}
        3<2 PassStateExited A {"x":1}
        4<3 SucceedStateEntered B {"x":1}
        5<4 SucceedStateExited B {"x":1}
        6<5 ExecutionSucceeded {"x":1}
    """)


def test_event_shapes() -> None:
    """Every member of the events, once; the tests compare short lines elsewhere."""
    trace = run(only({**PASS, "Assign": {"n": 1, "t": "x"}}), {"x": 1})
    assert trace.events == [
        {
            "timestamp": 1_700_000_000.0,
            "type": "ExecutionStarted",
            "id": 1,
            "previousEventId": 0,
            "executionStartedEventDetails": {
                "input": '{"x":1}',
                "inputDetails": {"truncated": False},
                "roleArn": "arn:aws:iam::123456789012:role/R",
            },
        },
        {
            "timestamp": 1_700_000_000.0,
            "type": "PassStateEntered",
            "id": 2,
            "previousEventId": 0,
            "stateEnteredEventDetails": {
                "name": "S",
                "input": '{"x":1}',
                "inputDetails": {"truncated": False},
            },
        },
        {
            "timestamp": 1_700_000_000.0,
            "type": "PassStateExited",
            "id": 3,
            "previousEventId": 2,
            "stateExitedEventDetails": {
                "name": "S",
                "output": '{"x":1}',
                "outputDetails": {"truncated": False},
                "assignedVariables": {"n": "1", "t": '"x"'},
                "assignedVariablesDetails": {"truncated": False},
            },
        },
        {
            "timestamp": 1_700_000_000.0,
            "type": "ExecutionSucceeded",
            "id": 4,
            "previousEventId": 3,
            "executionSucceededEventDetails": {
                "output": '{"x":1}',
                "outputDetails": {"truncated": False},
            },
        },
    ]


def test_input_text_is_shown_as_it_was_sent_until_the_first_state_has_read_it() -> None:
    trace = run(machine("A", A={**PASS, "Next": "B"}, B=PASS), text='{ "x" : [1, 2.50] }')
    assert trace.lines == lines("""
        1<0 ExecutionStarted { "x" : [1, 2.50] }
        2<0 PassStateEntered A { "x" : [1, 2.50] }
        3<2 PassStateExited A {"x":[1,2.5]}
        4<3 PassStateEntered B {"x":[1,2.5]}
        5<4 PassStateExited B {"x":[1,2.5]}
        6<5 ExecutionSucceeded {"x":[1,2.5]}
    """)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (fail("E", "why"), "3<2 ExecutionFailed error=E cause=why"),
        (fail("E"), "3<2 ExecutionFailed error=E"),
        (fail(cause="why"), "3<2 ExecutionFailed cause=why"),
        (fail(), "3<2 ExecutionFailed"),
        (
            {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "$$.State.Name"},
            "3<2 ExecutionFailed error=bad cause=S",
        ),
        (
            {"Type": "Fail", "CausePath": "States.Format('{}!', $.e)"},
            "3<2 ExecutionFailed cause=bad!",
        ),
    ],
)
def test_fail(state: dict, line: str) -> None:
    trace = run(only(state), {"e": "bad"})
    assert trace.lines == [
        '1<0 ExecutionStarted {"e":"bad"}',
        '2<0 FailStateEntered S {"e":"bad"}',
        line,
    ]
    assert "executionFailedEventDetails" in trace.events[-1]


def test_fail_in_jsonata() -> None:
    state = {"Type": "Fail", "Error": "{% $states.input.e & '!' %}", "Cause": "plain"}
    assert run(jsonata(state), {"e": "bad"}).failure == ("bad!", "plain")


def test_fail_whose_expression_fails() -> None:
    trace = run(jsonata({"Type": "Fail", "Error": "E", "Cause": "{% $no %}"}))
    cause = in_state(
        "The JSONata expression '$no' specified for the field 'Cause' returned nothing (undefined)."
    )
    assert trace.lines[2:] == [
        f"3<0 EvaluationFailed error=States.QueryEvaluationError cause={cause} location=Cause S",
        f"4<3 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


def test_version_and_alias_are_part_of_the_first_event() -> None:
    details = run(only(PASS), extras={"version": "arn:1", "alias": "arn:a"}).events[0][
        "executionStartedEventDetails"
    ]
    assert (details["stateMachineVersionArn"], details["stateMachineAliasArn"]) == (
        "arn:1",
        "arn:a",
    )


def test_fail_whose_cause_is_not_there() -> None:
    trace = run(only({"Type": "Fail", "Error": "E", "CausePath": "$.no"}), {"e": 1})
    cause = in_state(
        "The JSONPath '$.no' specified for the field 'CausePath' could not be found in the "
        "input '{\"e\":1}'"
    )
    assert trace.lines[2:] == [f"3<2 ExecutionFailed error=States.Runtime cause={cause}"]


def test_fail_text_is_no_longer_than_the_service_shows() -> None:
    error, cause = run(
        only({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "$.c"}),
        {"e": "e" * 300, "c": "c" * 40_000},
    ).failure
    assert (error, cause) == ("e" * 256, "c" * 32_768)


def test_result_wins_over_the_input() -> None:
    state = {
        **PASS,
        "InputPath": "$.no",
        "Parameters": {"a.$": "$.no"},
        "Result": {"b.$": "$.literal"},
        "ResultPath": "$.r",
    }
    assert run(only(state), {"x": 1}).output == {"x": 1, "r": {"b.$": "$.literal"}}


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_empty_results_are_results(value: object) -> None:
    assert run(only({**PASS, "Result": value}), {"x": 1}).output == value
    assert run(jsonata({**PASS, "Output": value}), {"x": 1}).output == value


def test_stop_ends_with_an_event_that_follows_nothing() -> None:
    trace = begin(only({"Type": "Wait", "Seconds": 9})).stop()
    assert trace.lines[2:] == ["3<0 ExecutionAborted"]
    assert trace.events[-1]["executionAbortedEventDetails"] == {}
    assert begin(only({"Type": "Wait", "Seconds": 9})).stop("E", "why").lines[2:] == [
        "3<0 ExecutionAborted error=E cause=why"
    ]


def test_a_closed_execution_does_not_change() -> None:
    trace = run(only(PASS))
    decision = trace.stop("late").send(Tick())
    assert (trace.status, decision.history, decision.commands, decision.more) == (
        "SUCCEEDED",
        [],
        [],
        False,
    )


CHAIN = machine(
    "A",
    A={**PASS, "Next": "B"},
    B={**PASS, "Result": {"long": "x" * 5_000}, "Next": "C"},
    C={**PASS, "Next": "D"},
    D={"Type": "Choice", "Choices": [{"Variable": "$.no", "IsNull": True, "Next": "E"}],
       "Default": "E"},
    E={**PASS, "Result": 1, "Next": "F"},
    F={**PASS, "Next": "G"},
    G={**PASS, "End": True},
)  # fmt: skip


def decided(program: Program, limits: Limits) -> list[object]:
    """All of the decisions of an execution, as values."""
    execution = Execution(
        1, "ab" * 16, "arn:x", "e", "arn:m", "m", "role", False, Payload({"n": 1}), START_MS, None
    )
    found: list[object] = []
    decision = decide(program, execution, Start(), START_MS, limits)
    while True:
        x = decision.execution
        frames = x.frames if x.snapshot is None else x.snapshot
        found.append(
            (
                decision.first, decision.history, decision.more, decision.size, x.status,
                x.transitions, x.events, x.output, x.error, x.cause,
                [
                    (each.state.name, each.phase, each.seq, each.prev, each.entered, each.before,
                     each.entered_at, each.raw, each.data, each.scope, each.retries, each.due)
                    for each in frames.values()
                ],
            )
        )  # fmt: skip
        if not decision.more:
            return found
        decision = decide(program, x, Continue(), START_MS + len(found), limits)


@pytest.mark.parametrize("history_events", [*range(3, 17), 25_000])
@pytest.mark.parametrize("unit_transitions", [1, 2, 3, 5, 256])
def test_a_chain_that_evaluates_nothing_is_decided_as_if_it_did(
    history_events: int, unit_transitions: int
) -> None:
    for payload_bytes in (7, 100, 10_000):
        limits = Limits(
            history_events=history_events,
            unit_transitions=unit_transitions,
            payload_bytes=payload_bytes,
        )
        fast, slow = compiled(CHAIN), compiled(CHAIN)
        for block in slow.blocks:
            for state in block.states.values():
                state.plain_in = state.plain_out = False
        assert decided(fast, limits) == decided(slow, limits)
