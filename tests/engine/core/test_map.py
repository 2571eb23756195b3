"""Inline Map: iterations, their windows, order and failures; and the fields that say how many of
them.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    PLAIN,
    Fails,
    Later,
    Silent,
    begin,
    catch,
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

from stepwell.engine.limits import Limits

A = machine("A", A=PASS)
T = machine("T", T=PLAIN)


def test_no_items() -> None:
    assert run(only(each(A)), []).lines[1:] == lines("""
        2<0 MapStateEntered S []
        3<2 MapStateStarted 0
        4<3 MapStateSucceeded
        5<3 MapStateExited S []
        6<5 ExecutionSucceeded []
    """)


def test_one_after_the_other() -> None:
    """The next iteration points to the last state of the previous one, as its ...Succeeded does."""
    assert run(machine("S", S=each(A, MaxConcurrency=1, Next="E"), E=PASS), [7, 8, 9]).lines[
        2:
    ] == lines("""
        3<2 MapStateStarted 3
        4<3 MapIterationStarted S [0]
        5<4 PassStateEntered A 7
        6<5 PassStateExited A 7
        7<6 MapIterationSucceeded S [0]
        8<6 MapIterationStarted S [1]
        9<8 PassStateEntered A 8
        10<9 PassStateExited A 8
        11<10 MapIterationSucceeded S [1]
        12<10 MapIterationStarted S [2]
        13<12 PassStateEntered A 9
        14<13 PassStateExited A 9
        15<14 MapIterationSucceeded S [2]
        16<15 MapStateSucceeded
        17<15 MapStateExited S [7,8,9]
        18<17 PassStateEntered E [7,8,9]
        19<18 PassStateExited E [7,8,9]
        20<19 ExecutionSucceeded [7,8,9]
    """)


def test_side_by_side() -> None:
    trace = run(only(each(T)), [3, 1, 2], T=lambda value: value * 10)
    assert trace.lines[2:6] == lines("""
        3<2 MapStateStarted 3
        4<3 MapIterationStarted S [0]
        5<3 MapIterationStarted S [1]
        6<3 MapIterationStarted S [2]
    """)
    assert trace.output == [30, 10, 20]


def test_results_are_in_the_order_of_the_items() -> None:
    trace = run(only(each(machine("W", W={"Type": "Wait", "SecondsPath": "$"}))), [3, 1, 2])
    assert trace.output == [3, 1, 2]
    assert [line.split()[-1] for line in trace.lines if "IterationSucceeded" in line] == [
        "[1]",
        "[2]",
        "[0]",
    ]
    last = next(line for line in trace.lines if "IterationSucceeded S [0]" in line).split("<")[0]
    assert [
        line.split("<")[1].split()[0]
        for line in trace.lines
        if line.split()[1] in ("MapStateSucceeded", "MapStateExited")
    ] == [
        last,
        last,
    ]


@pytest.mark.parametrize(
    ("fields", "peak"),
    [
        ({}, 40),
        ({"MaxConcurrency": 0}, 40),
        ({"MaxConcurrency": 3}, 3),
        ({"MaxConcurrency": 100}, 40),
        ({"MaxConcurrency": 40}, 40),
    ],
)
def test_window(fields: dict[str, Any], peak: int) -> None:
    trace = run(only(each(machine("W", W=wait(1)), **fields)), list(range(100)))
    assert (trace.peak, trace.output, trace.elapsed) == (peak, list(range(100)), -(-100 // peak))


def test_window_is_refilled_as_soon_as_an_iteration_ends() -> None:
    trace = run(
        only(each(machine("W", W={"Type": "Wait", "SecondsPath": "$"}), MaxConcurrency=2)),
        [5, 1, 1, 1, 1],
    )
    assert trace.elapsed == 5
    assert trace.times("MapIterationStarted") == [0, 0, 1, 2, 3]


def test_iterations_that_need_no_time_take_turns() -> None:
    trace = run(only(each(A, MaxConcurrency=2)), [0, 1, 2, 3])
    assert [
        line.split()[1:4:2]
        for line in trace.lines
        if line.split()[1] in ("MapIterationStarted", "PassStateEntered")
    ] == [
        ["MapIterationStarted", "[0]"],
        ["MapIterationStarted", "[1]"],
        ["PassStateEntered", "0"],
        ["MapIterationStarted", "[2]"],
        ["PassStateEntered", "1"],
        ["MapIterationStarted", "[3]"],
        ["PassStateEntered", "2"],
        ["PassStateEntered", "3"],
    ]


@pytest.mark.parametrize(
    ("fields", "input", "language"),
    [
        ({"ItemsPath": "$.l", "MaxConcurrencyPath": "$.n"}, {"l": [1, 2, 3], "n": 2}, None),
        ({"ItemsPath": "$.l", "MaxConcurrencyPath": "$.n"}, {"l": [1, 2, 3], "n": "2"}, None),
        (
            {"InputPath": "$.i", "ItemsPath": "$.l", "MaxConcurrencyPath": "$.n"},
            {"i": {"l": [1, 2, 3], "n": 2}, "n": 1},
            None,
        ),
        (
            {"Items": "{% $states.input.l %}", "MaxConcurrency": "{% $states.input.n %}"},
            {"l": [1, 2, 3], "n": 2.9},
            "JSONata",
        ),
    ],
)
def test_forms_of_max_concurrency(fields: dict[str, Any], input: Any, language: str | None) -> None:
    assert run(only(each(machine("W", W=wait(1)), **fields), language), input).peak == 2


# --- legacy and nesting ---------------------------------------------------------------------------
def test_iterator_and_parameters() -> None:
    state = {
        "Type": "Map",
        "Iterator": A,
        "ItemsPath": "$.l",
        "Parameters": {"v.$": "$$.Map.Item.Value", "t.$": "$.t"},
    }
    assert run(only(state), {"l": [1, 2], "t": 0}).output == [{"v": 1, "t": 0}, {"v": 2, "t": 0}]


def test_maps_within_maps() -> None:
    inner = machine(
        "M", M=each(machine("I", I={**PASS, "Parameters": {"v.$": "$"}}), MaxConcurrency=1)
    )
    assert run(only(each(inner, MaxConcurrency=2)), [[1], [], [2, 3]]).output == [
        [{"v": 1}],
        [],
        [{"v": 2}, {"v": 3}],
    ]


def test_a_loop_around_a_map() -> None:
    """The state is entered again and again: nothing of the previous visit remains."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$[2]", "IsPresent": True, "Next": "E"}],
        "Default": "G",
    }
    grow = {
        **PASS,
        "QueryLanguage": "JSONata",
        "Output": "{% $append($states.input, $max($states.input) + 1) %}",
        "Next": "S",
    }
    trace = run(machine("S", S=each(A, Next="C"), C=choice, G=grow, E=PASS), [1])
    assert trace.output == [1, 2, 3]
    assert [line.split()[2] for line in trace.lines if "MapStateStarted" in line] == ["1", "2", "3"]


# --- failure --------------------------------------------------------------------------------------
def test_fail_state() -> None:
    assert run(only(each(machine("F", F=fail("E", "why")))), [1]).lines[2:] == lines("""
        3<2 MapStateStarted 1
        4<3 MapIterationStarted S [0]
        5<4 FailStateEntered F 1
        6<5 MapIterationFailed S [0]
        7<5 MapStateFailed
        8<7 ExecutionFailed error=E cause=why
    """)


def test_task_that_fails_among_others() -> None:
    assert run(only(each(T)), [1, 2, 3], T=(Silent, Later(1, Fails("E")), Silent)).lines[
        15:
    ] == lines("""
        16<12 LambdaFunctionFailed error=E
        17<16 MapIterationFailed S [1]
        18<16 TaskStateAborted
        19<16 MapIterationAborted S [0]
        20<16 TaskStateAborted
        21<16 MapIterationAborted S [2]
        22<16 MapStateFailed
        23<22 ExecutionFailed error=E
    """)


def test_timeout_among_others() -> None:
    trace = run(only(each(machine("T", T={**PLAIN, "TimeoutSeconds": 5}))), [1, 2], T=Silent)
    assert trace.lines[11:] == lines("""
        12<8 LambdaFunctionTimedOut error=States.Timeout
        13<12 MapIterationFailed S [0]
        14<12 TaskStateAborted
        15<12 MapIterationAborted S [1]
        16<12 MapStateFailed
        17<16 ExecutionFailed error=States.Timeout
    """)
    assert trace.cancelled == ["T", "T"]


def test_iterations_that_ended_before_are_not_aborted() -> None:
    trace = run(only(each(T)), [1, 2, 3], T=(1, Later(1, Fails("E")), Silent))
    assert [
        line.partition(" ")[2]
        for line in trace.lines
        if "MapIteration" in line and "Started" not in line
    ] == [
        "MapIterationSucceeded S [0]",
        "MapIterationFailed S [1]",
        "MapIterationAborted S [2]",
    ]


def test_iterations_beyond_the_window_never_start() -> None:
    trace = run(only(each(T, MaxConcurrency=1)), [1, 2, 3], T=(1, Fails("E")))
    assert [line.split()[1:] for line in trace.lines if "IterationStarted" in line] == [
        ["MapIterationStarted", "S", f"[{n}]"] for n in (0, 1)
    ]


def test_catch() -> None:
    state = each(machine("F", F=fail("E", "why")), Catch=catch("E", ResultPath=None))
    assert run(machine("S", S=state, C=PASS), [1]).lines[4:] == lines("""
        5<4 FailStateEntered F 1
        6<5 MapIterationFailed S [0]
        7<5 MapStateFailed
        8<7 MapStateExited S [1]
        9<8 PassStateEntered C [1]
        10<9 PassStateExited C [1]
        11<10 ExecutionSucceeded [1]
    """)


def test_retry() -> None:
    trace = run(
        only(each(machine("F", F=fail("E")), Retry=retry("E", MaxAttempts=1, IntervalSeconds=3))),
        [1],
    )
    assert trace.lines[2:] == lines("""
        3<2 MapStateStarted 1
        4<3 MapIterationStarted S [0]
        5<4 FailStateEntered F 1
        6<5 MapIterationFailed S [0]
        7<5 MapStateStarted 1
        8<7 MapIterationStarted S [0]
        9<8 FailStateEntered F 1
        10<9 MapIterationFailed S [0]
        11<9 MapStateFailed
        12<11 ExecutionFailed error=E
    """)
    assert trace.times("MapStateStarted") == [0, 3]


def test_retry_discards_all_results() -> None:
    trace = run(
        only(each(T, MaxConcurrency=1, Retry=retry())), [1, 2], T=("one", Fails("E"), "uno", "due")
    )
    assert trace.output == ["uno", "due"]


def test_catch_and_retry_within_an_iteration() -> None:
    item = machine(
        "T",
        T={**PLAIN, "Retry": retry("A", MaxAttempts=1), "Catch": catch("B", ResultPath=None)},
        C=PASS,
    )
    trace = run(only(each(item, MaxConcurrency=1)), [1, 2], T=(Fails("A"), Fails("B"), Fails("B")))
    assert trace.output == [1, 2]


def test_runtime_error_in_an_iteration_ends_all_at_once() -> None:
    item = machine("A", A={**PASS, "InputPath": "$.no"})
    state = each(item, Retry=retry(), Catch=catch())
    trace = run(machine("S", S=state, C=PASS), [{}, {}])
    cause = in_state("Invalid path '$.no' : No results for path: $['no']", "A", 6)
    assert trace.lines[5:] == [
        "6<4 PassStateEntered A {}",
        f"7<6 ExecutionFailed error=States.Runtime cause={cause}",
    ]


def test_evaluation_that_fails_in_an_iteration() -> None:
    item = machine("A", A={**PASS, "Output": "{% $no %}"})
    cause = in_state(
        (
            "The JSONata expression '$no' specified for the field 'Output' returned nothing "
            "(undefined)."
        ),
        "A",
        5,
    )
    assert run(only(each(item), "JSONata"), [1]).lines[3:] == [
        "4<3 MapIterationStarted S [0]",
        "5<4 PassStateEntered A 1",
        f"6<4 EvaluationFailed error=States.QueryEvaluationError cause={cause} location=Output A",
        "7<6 MapIterationFailed S [0]",
        "8<6 MapStateFailed",
        f"9<8 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


def test_stop() -> None:
    trace = begin(only(each(T)), [1, 2], T=Silent).stop()
    assert trace.lines[-1] == "12<0 ExecutionAborted"
    assert trace.cancelled == ["T", "T"]


# --- items ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "input", "path"),
    [
        ({}, {"a": 1}, "$"),
        ({}, "text", "$"),
        ({}, None, "$"),
        ({"ItemsPath": "$.a"}, {"a": 1}, "$.a"),
        ({"ItemsPath": "$.a"}, {"a": {"b": []}}, "$.a"),
        ({"ItemsPath": "$$.Execution.Input"}, {"a": 1}, "$.Execution.Input"),
    ],
)
def test_items_path_to_something_else(fields: dict[str, Any], input: Any, path: str) -> None:
    trace = run(
        machine(
            "P", P={**PASS, "Next": "S"}, S=each(A, **fields, Retry=retry(), Catch=catch()), C=PASS
        ),
        input,
        text=None if input is not None else "null",
    )
    assert trace.lines[4:] == [
        (
            f'5<4 ExecutionFailed error=States.Runtime cause=Reference path "{path}" must point '
            "to array."
        )
    ]


def test_items_path_without_result() -> None:
    text = in_state("Invalid path '$.no' : No results for path: $['no']")
    assert run(only(each(A, ItemsPath="$.no")), {}).failure == ("States.Runtime", text)


@pytest.mark.parametrize(
    ("items", "kind", "shown"),
    [
        ("{% 1 %}", "number", "1"),
        ("{% 'a' %}", "string", '"a"'),
        ("{% null %}", "null", "null"),
        ("{% {'a': 1} %}", "object", '{"a":1}'),
        ("{% true %}", "boolean", "true"),
    ],
)
def test_items_that_are_no_array(items: str, kind: str, shown: str) -> None:
    what = (
        f"The JSONata expression '{items[3:-3]}' specified for the field 'Items' returned an "
        "unexpected result type. "
    )
    cause = in_state(what + f"Expected 'array', but was '{kind}' for value: {shown}")
    assert run(only(each(A, Items=items), "JSONata")).lines[2:] == [
        f"3<0 EvaluationFailed error=States.QueryEvaluationError cause={cause} location=Items S",
        "4<3 MapStateFailed",
        f"5<4 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


@pytest.mark.parametrize("input", [1, "a", True, {"a": 1}])
def test_jsonata_input_that_is_no_array(input: Any) -> None:
    trace = run(machine("P", "JSONata", P={**PASS, "Next": "S"}, S=each(A)), input)
    assert trace.lines[4].startswith(
        "5<3 EvaluationFailed error=States.QueryEvaluationError cause=An error occurred "
        "while executing the state 'S'"
    )
    assert "Map state input must be an array but was: " in trace.lines[4]
    assert "location" not in trace.events[4]["evaluationFailedEventDetails"]
    assert [line.split()[1] for line in trace.lines[5:]] == ["MapStateFailed", "ExecutionFailed"]


def test_items_are_caught() -> None:
    trace = run(
        machine("S", "JSONata", S=each(A, Items="{% 1 %}", Catch=catch()), C={**PASS, "Output": 0})
    )
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:5]] == [
        "3<0 EvaluationFailed",
        "4<3 MapStateFailed",
        "5<4 MapStateExited",
    ]


@pytest.mark.parametrize(
    ("fields", "value", "text"),
    [
        (
            {"MaxConcurrencyPath": "$.n"},
            "x",
            'The MaxConcurrencyPath field refers to value "x" which is not a valid integer: $.n',
        ),
        (
            {"MaxConcurrencyPath": "$.n"},
            {},
            'The MaxConcurrencyPath field refers to value "{}" which is not a valid integer: $.n',
        ),
        (
            {"MaxConcurrencyPath": "$.n"},
            1.5,
            'The MaxConcurrencyPath field refers to value "1.5" which is not a valid integer: $.n',
        ),
        ({"MaxConcurrencyPath": "$.n"}, -1, "MaxConcurrency cannot be negative."),
        (
            {"ToleratedFailureCountPath": "$.n"},
            "x",
            (
                'The ToleratedFailureCountPath field refers to value "x" which is not a valid '
                "integer: $.n"
            ),
        ),
        ({"ToleratedFailureCountPath": "$.n"}, -1, "ToleratedFailureCount cannot be negative."),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            "x",
            (
                'The ToleratedFailurePercentagePath field refers to value "x" which is not a '
                "valid float: $.n"
            ),
        ),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            "1_0",
            (
                'The ToleratedFailurePercentagePath field refers to value "1_0" which is not a '
                "valid float: $.n"
            ),
        ),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            True,
            (
                'The ToleratedFailurePercentagePath field refers to value "true" which is not a '
                "valid float: $.n"
            ),
        ),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            100.1,
            "ToleratedFailurePercentage must be between 0 and 100.",
        ),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            -0.1,
            "ToleratedFailurePercentage must be between 0 and 100.",
        ),
    ],
)
def test_numbers_that_are_out_of_range(fields: dict[str, Any], value: Any, text: str) -> None:
    trace = run(only(each(A, ItemsPath="$.l", **fields)), {"l": [1], "n": value})
    started = (
        ["3<2 MapStateStarted 1"] if "Tolerated" in text else []
    )  # tolerances are judged afterwards
    last = len(started) + 3
    assert trace.lines[2:] == [
        *started,
        f"{last}<{last - 1} ExecutionFailed error=States.Runtime cause={in_state(text)}",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"ToleratedFailureCount": 5},
        {"ToleratedFailurePercentage": 100},
        {"ToleratedFailureCountPath": "$.n"},
        {"ToleratedFailurePercentagePath": "$.n"},
    ],
)
def test_an_inline_map_takes_tolerances_and_tolerates_nothing(fields: dict[str, Any]) -> None:
    assert run(only(each(A, ItemsPath="$.l", **fields)), {"l": [1], "n": 5}).output == [1]
    trace = run(
        only(each(machine("F", F=fail("E")), ItemsPath="$.l", **fields)), {"l": [1], "n": 5}
    )
    assert trace.failure == ("E", None)


# --- ItemSelector ---------------------------------------------------------------------------------
def test_item_selector_that_fails() -> None:
    """What it evaluates for a later item fails when that iteration would start."""
    state = each(
        T, MaxConcurrency=2, ItemSelector="{% $states.context.Map.Item.Value.v %}", Catch=catch()
    )
    trace = run(
        machine("S", "JSONata", S=state, C={**PASS, "Output": 0}),
        [{"v": 1}, {"v": 2}, {}],
        T=(Later(1, 1), Silent),
    )
    assert [" ".join(line.split()[:2]) for line in trace.lines[11:]] == lines("""
        12<8 LambdaFunctionSucceeded
        13<12 TaskStateExited
        14<13 MapIterationSucceeded
        15<14 EvaluationFailed
        16<15 TaskStateAborted
        17<15 MapIterationAborted
        18<15 MapStateFailed
        19<18 MapStateExited
        20<19 PassStateEntered
        21<20 PassStateExited
        22<21 ExecutionSucceeded
    """)
    assert trace.cancelled == ["T"]


def test_item_selector_path_without_result_ends_all_at_once() -> None:
    state = each(T, ItemSelector={"v.$": "$$.Map.Item.Value.v"}, Catch=catch())
    trace = run(machine("S", S=state, C=PASS), [{"v": 1}, {}])
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:]] == [
        "3<2 MapStateStarted",
        "4<3 MapIterationStarted",
        "5<3 ExecutionFailed",
    ]
    assert (trace.failure[0], trace.tasks) == ("States.Runtime", [])


def test_item_that_is_too_large() -> None:
    state = each(
        A, ItemSelector={"twice.$": "States.Format('{}{}', $$.Map.Item.Value, $$.Map.Item.Value)"}
    )
    trace = run(only(state), ["x" * 30], limits=Limits(payload_bytes=60))
    text = (
        "The state/task 'S' returned a result with a size exceeding the maximum number of bytes "
        "service limit."
    )
    assert trace.lines[3:] == [f"4<3 ExecutionFailed error=States.DataLimitExceeded cause={text}"]


def test_iterations_in_a_parallel_in_a_map() -> None:
    state = each(
        machine(
            "P",
            P=parallel(
                machine("M", M=each(machine("X", X=wait(1)), MaxConcurrency=1)),
                machine("Y", Y=PASS),
            ),
        )
    )
    assert run(only(state), [[1, 2], [3]]).output == [[[1, 2], [1, 2]], [[3], [3]]]


@pytest.mark.parametrize("value", [10**400, -(10**400), 101, -1])
def test_percentage_of_an_expression_that_is_out_of_range(value: int) -> None:
    state = each(A, Items=[1], ToleratedFailurePercentage="{% $states.input %}")
    assert run(only(state, "JSONata"), value).failure == (
        "States.Runtime",
        in_state("ToleratedFailurePercentage must be between 0 and 100."),
    )


@pytest.mark.parametrize(("value", "peak"), [(10**400, 3), (1e300, 3), (0.5, 3), (1.9, 1)])
def test_concurrency_of_an_expression(value: float, peak: int) -> None:
    state = each(machine("W", W=wait(1)), Items=[1, 2, 3], MaxConcurrency="{% $states.input %}")
    assert run(only(state, "JSONata"), value).peak == peak
