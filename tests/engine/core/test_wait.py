"""Wait: its five forms, invalid times, and the exact length of the wait."""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    STARTED,
    begin,
    catch,
    in_state,
    jsonata,
    lines,
    machine,
    only,
    parallel,
    run,
    wait,
)

from stepwell.engine.core.events import Tick
from stepwell.engine.core.model import Phase


def test_history() -> None:
    trace = run(machine("W", W=wait(90, Next="P"), P=PASS), {"x": 1})
    assert trace.lines == lines("""
        1<0 ExecutionStarted {"x":1}
        2<0 WaitStateEntered W {"x":1}
        3<2 WaitStateExited W {"x":1}
        4<3 PassStateEntered P {"x":1}
        5<4 PassStateExited P {"x":1}
        6<5 ExecutionSucceeded {"x":1}
    """)
    assert (trace.times("WaitStateEntered"), trace.times("WaitStateExited"), trace.elapsed) == (
        [0],
        [90],
        90,
    )


@pytest.mark.parametrize(
    ("state", "input", "seconds"),
    [
        (wait(0), {}, 0),
        (wait(99_999_999 // 4), {}, 99_999_999 // 4),
        ({"Type": "Wait", "SecondsPath": "$.n"}, {"n": 3}, 3),
        ({"Type": "Wait", "SecondsPath": "$.n"}, {"n": "3"}, 3),
        ({"Type": "Wait", "SecondsPath": "$.n"}, {"n": 0}, 0),
        ({"Type": "Wait", "InputPath": "$.i", "SecondsPath": "$.n"}, {"i": {"n": 4}, "n": 9}, 4),
        ({"Type": "Wait", "SecondsPath": "$$.Execution.Input.n"}, {"n": 5}, 5),
        ({"Type": "Wait", "Timestamp": "2023-11-14T22:13:30Z"}, {}, 10),
        ({"Type": "Wait", "Timestamp": "2023-11-14T23:13:30+01:00"}, {}, 10),
        ({"Type": "Wait", "Timestamp": "2023-11-14T22:13:30.9Z"}, {}, 10),  # whole seconds
        ({"Type": "Wait", "Timestamp": "2001-01-01T00:00:00Z"}, {}, 0),
        ({"Type": "Wait", "TimestampPath": "$.t"}, {"t": "2023-11-14T22:13:21Z"}, 1),
        ({"Type": "Wait", "TimestampPath": "$.t"}, {"t": STARTED}, 0),
    ],
    ids=str,
)
def test_forms(state: dict[str, Any], input: Any, seconds: float) -> None:
    assert run(only(state), input).elapsed == seconds


@pytest.mark.parametrize(
    ("fields", "input", "seconds"),
    [
        ({"Seconds": "{% $states.input.n * 2 %}"}, {"n": 2}, 4),
        ({"Seconds": "{% 1.9 %}"}, {}, 1),
        ({"Seconds": 3}, {}, 3),
        ({"Timestamp": "{% $states.input.t %}"}, {"t": "2023-11-14T22:13:25Z"}, 5),
        ({"Timestamp": "2023-11-14T22:13:26Z"}, {}, 6),
        ({"Timestamp": "{% $fromMillis($millis() + 7000) %}"}, {}, 7),
    ],
)
def test_jsonata_forms(fields: dict[str, Any], input: Any, seconds: float) -> None:
    assert run(jsonata({"Type": "Wait", **fields}), input).elapsed == seconds


TIMESTAMPS = [
    "2024-01-01 00:00:00Z",
    "2024-01-01T00:00:00",
    "2024-13-01T00:00:00Z",
    "2024-01-01T25:00:00Z",
    "01-01-2024T00:00:00Z",
    "",
    "x",
]


@pytest.mark.parametrize("text", TIMESTAMPS)
def test_timestamp_path_that_is_no_time(text: str) -> None:
    trace = run(only({"Type": "Wait", "TimestampPath": "$.t"}), {"t": text})
    words = (
        "The TimestampPath parameter does not reference a valid ISO-8601 extended offset "
        "date-time format string: $.t == "
    )
    assert trace.lines[2:] == [
        f"3<2 ExecutionFailed error=States.Runtime cause={in_state(words + text)}"
    ]


@pytest.mark.parametrize("text", TIMESTAMPS)
def test_timestamp_that_is_no_time(text: str) -> None:
    """The event points to ...StateEntered here, unlike any other EvaluationFailed."""
    trace = run(jsonata({"Type": "Wait", "Timestamp": "{% $states.input %}"}), text)
    cause = in_state(
        "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time "
        f"format string: {text}"
    )
    assert trace.lines[2:] == [
        (
            f"3<2 EvaluationFailed error=States.QueryEvaluationError cause={cause} "
            "location=Timestamp S"
        ),
        f"4<3 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


@pytest.mark.parametrize(
    ("input", "text"),
    [
        ({}, "The SecondsPath parameter does not reference an input value: $.n"),
        ({"n": -1}, "The SecondsPath parameter references a negative value: $.n == -1"),
        ({"n": 1.5}, "The SecondsPath parameter cannot be parsed as a long value: $.n == 1.5"),
        ({"n": -1.5}, "The SecondsPath parameter cannot be parsed as a long value: $.n == -1.5"),
        ({"n": "1.5"}, "The SecondsPath parameter cannot be parsed as a long value: $.n == 1.5"),
        ({"n": "1_0"}, "The SecondsPath parameter cannot be parsed as a long value: $.n == 1_0"),
        ({"n": " 1"}, "The SecondsPath parameter cannot be parsed as a long value: $.n ==  1"),
        ({"n": "٣"}, "The SecondsPath parameter cannot be parsed as a long value: $.n == ٣"),
        ({"n": None}, "The SecondsPath parameter cannot be parsed as a long value: $.n == null"),
        ({"n": True}, "The SecondsPath parameter cannot be parsed as a long value: $.n == true"),
        ({"n": [1]}, "The SecondsPath parameter cannot be parsed as a long value: $.n == [1]"),
        (
            {"n": -(2**63)},
            f"The SecondsPath parameter references a negative value: $.n == {-(2**63)}",
        ),
        (
            {"n": -(2**63) - 1},
            f"The SecondsPath parameter cannot be parsed as a long value: $.n == {-(2**63) - 1}",
        ),
        (
            {"n": 2**63},
            f"The SecondsPath parameter cannot be parsed as a long value: $.n == {2**63}",
        ),
        (
            {"n": "9" * 5000},
            f"The SecondsPath parameter cannot be parsed as a long value: $.n == {'9' * 5000}",
        ),
        ({"n": 100_000_000}, "Wait state delay is too long."),
    ],
)
def test_seconds_path_that_is_no_number(input: Any, text: str) -> None:
    trace = run(only({"Type": "Wait", "SecondsPath": "$.n"}), input)
    assert trace.lines[2:] == [f"3<2 ExecutionFailed error=States.Runtime cause={in_state(text)}"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"Seconds": "{% -1 %}"}, "The Seconds field must be between 0 and 99999999."),
        ({"Seconds": "{% 1e300 %}"}, "The Seconds field must be between 0 and 99999999."),
        (
            {"Seconds": "{% '1' %}"},
            "The JSONata expression ''1'' specified for the field 'Seconds' returned an "
            "unexpected result type. "
            "Expected 'number', but was 'string' for value: \"1\"",
        ),
        (
            {"Timestamp": "{% 1 %}"},
            "The JSONata expression '1' specified for the field 'Timestamp' returned an "
            "unexpected result type. "
            "Expected 'string', but was 'number' for value: 1",
        ),
    ],
)
def test_jsonata_that_is_no_time(fields: dict[str, Any], text: str) -> None:
    assert run(jsonata({"Type": "Wait", **fields})).failure == (
        "States.QueryEvaluationError",
        in_state(text),
    )


def test_nothing_happens_before_its_time() -> None:
    trace = begin(only(wait(10)))
    trace.now += 9_999
    assert trace.send(Tick()).history == []
    assert trace.frame("S").phase == Phase.TIMER
    trace.now += 1
    assert [event[0] for event in trace.send(Tick()).history] != []
    assert trace.status == "SUCCEEDED"


def test_timers_fire_in_the_order_of_their_times_even_when_they_are_late() -> None:
    branches = [
        machine(name, **{name: wait(seconds)})
        for name, seconds in (("A", 3), ("B", 1), ("C", 2), ("D", 1))
    ]
    trace = begin(only(parallel(*branches)))
    trace.now += 60_000
    trace.send(Tick())
    assert [line.split()[2] for line in trace.lines if "WaitStateExited" in line] == [
        "B",
        "D",
        "C",
        "A",
    ]
    assert trace.status == "SUCCEEDED"


def test_what_fails_after_the_wait_ends_the_execution_once() -> None:
    """OutputPath and Assign are evaluated when the time is over."""
    for fields in ({"OutputPath": "$.no"}, {"Assign": {"v.$": "$.no"}}):
        trace = run(only(wait(5, **fields)), {"x": 1})
        assert [line.split(" ", 2)[:2] for line in trace.lines[1:]] == [
            ["2<0", "WaitStateEntered"],
            ["3<2", "ExecutionFailed"],
        ]
        assert trace.elapsed == 5


def test_evaluation_that_fails_after_the_wait() -> None:
    trace = run(
        machine(
            "P",
            "JSONata",
            P={**parallel(only(wait(5, Output="{% $no %}"))), "Catch": catch()},
            C=PASS,
        )
    )
    assert [line.split(" ", 3)[:2] for line in trace.lines[3:]] == [
        ["4<3", "WaitStateEntered"],
        ["5<4", "EvaluationFailed"],
        ["6<5", "ParallelStateFailed"],
        ["7<6", "ParallelStateExited"],
        ["8<7", "PassStateEntered"],
        ["9<8", "PassStateExited"],
        ["10<9", "ExecutionSucceeded"],
    ]
