"""Distributed Map, seen from its parent: the events of a Map Run, its children, batches, tolerance
and its end from outside.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    TASK,
    Ends,
    Fails,
    Later,
    Silent,
    begin,
    catch,
    distributed,
    fail,
    in_state,
    lines,
    machine,
    only,
    retry,
    run,
)

from stepwell.engine.core.decide import recover
from stepwell.engine.core.events import CancelTask, ChildClosed, RunTask, StartChild
from stepwell.engine.core.model import Payload
from stepwell.engine.limits import Limits

A = machine("A", A=PASS)
ARN = (
    "mapRunArn=arn:aws:states:us-east-1:123456789012:mapRun:M/L:"
    "5f3e4f4b-2950-f315-21f9-663cb018018e"
)
EXCEEDED = "The specified tolerated failure threshold was exceeded"


def inputs(trace: Any) -> list[Any]:
    return [
        command.payload.value
        for command in trace.commands
        if isinstance(command, StartChild) and command.payload is not None
    ]


def failing(*slots: int, status: str = "FAILED") -> Any:
    """Children that fail in these slots, and succeed with their slot in all others."""
    return lambda slot, value: Ends(status) if slot in slots else Ends("SUCCEEDED", slot)


def test_success() -> None:
    """...StateExited follows from MapRunStarted."""
    trace = run(machine("S", S=distributed(A, Next="E"), E=PASS), [7, 8])
    assert trace.lines == lines(f"""
        1<0 ExecutionStarted [7,8]
        2<0 MapStateEntered S [7,8]
        3<2 MapStateStarted 2
        4<3 MapRunStarted {ARN}
        5<4 MapRunSucceeded
        6<5 MapStateSucceeded
        7<4 MapStateExited S [7,8]
        8<7 PassStateEntered E [7,8]
        9<8 PassStateExited E [7,8]
        10<9 ExecutionSucceeded [7,8]
    """)
    assert trace.commands == [
        StartChild(1, 1, slot, trace.program.blocks[1], "L", Payload(value), False)
        for slot, value in enumerate([7, 8])
    ]


def test_no_items() -> None:
    assert run(only(distributed(A)), []).lines[2:] == lines(f"""
        3<2 MapStateStarted 0
        4<3 MapRunStarted {ARN}
        5<4 MapRunSucceeded
        6<5 MapStateSucceeded
        7<4 MapStateExited S []
        8<7 ExecutionSucceeded []
    """)


def test_a_label_is_made_for_each_state_and_an_id_for_each_run() -> None:
    first, second = distributed(A, Next="T"), distributed(machine("B", B=PASS))
    del first["Label"], second["Label"]
    found = []
    for count in (1, 2):
        trace = run(machine("S", S=first, T=second), [1] * count)
        runs = [
            event["mapRunStartedEventDetails"]["mapRunArn"]
            for event in trace.events
            if event["type"] == "MapRunStarted"
        ]
        found.append([arn.rpartition("/")[2].split(":") for arn in runs])
        assert [command.label for command in trace.commands[::count]] == [
            label for label, _ in found[-1]
        ]
    labels = [[label for label, _ in runs] for runs in found]
    assert labels[0] == labels[1] and len(set(labels[0])) == 2
    assert all(
        label != run_id and len(label) == len(run_id) == 36
        for runs in found
        for label, run_id in runs
    )


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (
            {"ToleratedFailureCountPath": "$.n"},
            (
                'The ToleratedFailureCountPath field refers to value "x" which is not a valid '
                "integer: $.n"
            ),
        ),
        (
            {"ToleratedFailurePercentagePath": "$.n"},
            'ToleratedFailurePercentagePath field refers to value "x" which is not a valid float',
        ),
        ({"ToleratedFailureCountPath": "$.minus"}, "ToleratedFailureCount cannot be negative."),
        (
            {"ToleratedFailurePercentagePath": "$.much"},
            "ToleratedFailurePercentage must be between 0 and 100.",
        ),
        ({"ToleratedFailureCountPath": "$.none"}, "No results for path: $['none']"),
        (
            {
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.n"},
                }
            },
            'The MaxItemsPath field refers to value "x" which is not a valid integer: $.n',
        ),
    ],
)
def test_the_tolerance_of_a_run_is_evaluated_when_the_state_has_started(
    fields: dict[str, Any], cause: str
) -> None:
    trace = run(
        only(distributed(A, ItemsPath="$.items", **fields)),
        {"n": "x", "minus": -1, "much": 101, "items": [1, 2, 3]},
    )
    shown = [" ".join(line.split()[:3]) for line in trace.lines[2:]]
    assert shown == [
        f"3<2 MapStateStarted {0 if 'ItemReader' in fields else 3}",
        "4<3 ExecutionFailed error=States.Runtime",
    ]
    assert cause in trace.lines[-1] and trace.commands == []


def test_concurrency_is_evaluated_before_the_state_starts() -> None:
    trace = run(
        only(distributed(A, ItemsPath="$.items", MaxConcurrencyPath="$.n")),
        {"n": "x", "items": [1]},
    )
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:]] == ["3<2 ExecutionFailed"]


def test_express_children() -> None:
    state = distributed(
        {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, **A}
    )
    assert [command.express for command in run(only(state), [1]).commands] == [True]


def test_results_are_in_the_order_of_the_items() -> None:
    trace = run(
        only(distributed(A)),
        [1, 2, 3],
        child=lambda slot, value: Later(9 - slot, Ends("SUCCEEDED", value * 10)),
    )
    assert (trace.output, trace.elapsed) == ([10, 20, 30], 9)


@pytest.mark.parametrize(
    ("fields", "peak"),
    [({"MaxConcurrency": 2}, 2), ({}, 5), ({"MaxConcurrency": 0}, 5), ({"MaxConcurrency": 99}, 5)],
)
def test_window(fields: dict[str, Any], peak: int) -> None:
    trace = run(
        only(distributed(A, **fields)),
        list(range(11)),
        child=lambda slot, value: Later(1, Ends("SUCCEEDED", value)),
        limits=Limits(map_run_concurrency=5),
    )
    assert (trace.peak, trace.output, trace.elapsed) == (peak, list(range(11)), -(-11 // peak))


def test_items_of_an_object() -> None:
    assert run(only(distributed(A)), {"k": 1, "l": 2}).output == [1, 2]
    selected = distributed(
        A, ItemSelector={"k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value"}, ItemsPath="$.o"
    )
    trace = run(only(selected), {"o": {"x": 1, "y": 2}})
    assert inputs(trace) == [{"k": "x", "v": 1}, {"k": "y", "v": 2}]
    assert trace.lines[2] == "3<2 MapStateStarted 2"
    state = distributed(
        {"StartAt": "A", "States": {"A": {**PASS, "End": True}}}, Items="{% $states.input %}"
    )
    assert inputs(run(only(state, "JSONata"), {"k": 1})) == [1]


# --- batches --------------------------------------------------------------------------------------
def test_batches_by_count() -> None:
    state = distributed(
        A, ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"x.$": "$$.Execution.Name", "k": 1}}
    )
    head = {"BatchInput": {"x": "E", "k": 1}}
    assert inputs(run(only(state), [1, 2, 3])) == [
        {**head, "Items": [1, 2]},
        {**head, "Items": [3]},
    ]


def test_batches_by_size() -> None:
    """{"Items":["xxxx","xxxx"]} has 25 bytes."""
    for size, counts in ((25, [2, 2, 1]), (24, [1, 1, 1, 1, 1]), (32, [3, 2]), (1000, [5])):
        state = distributed(A, ItemBatcher={"MaxInputBytesPerBatch": size})
        trace = run(only(state), ["xxxx"] * 5)
        assert [len(value["Items"]) for value in inputs(trace)] == counts
        assert all(len(Payload(value).data) <= size for value in inputs(trace))


def test_batches_by_both() -> None:
    state = distributed(
        A, ItemBatcher={"MaxItemsPerBatch": 2, "MaxInputBytesPerBatchPath": "$.n"}, ItemsPath="$.l"
    )
    trace = run(only(state), {"l": ["x", "x" * 20, "x", "x", "x"], "n": 40})
    assert [value["Items"] for value in inputs(trace)] == [["x", "x" * 20], ["x", "x"], ["x"]]


def test_item_that_fits_into_no_batch() -> None:
    state = distributed(
        A, ItemBatcher={"MaxInputBytesPerBatch": 20}, Catch=catch("States.DataLimitExceeded")
    )
    trace = run(machine("S", S=state, C=PASS), ["x", "x" * 20])
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:5]] == [
        "3<2 MapStateStarted",
        "4<3 MapStateFailed",
        "5<4 MapStateExited",
    ]


@pytest.mark.parametrize("value", [0, -1])
def test_batch_size_from_a_path_that_is_none(value: int) -> None:
    state = distributed(A, ItemBatcher={"MaxItemsPerBatchPath": "$.n"}, ItemsPath="$.l")
    text = in_state("The MaxItemsPerBatch field must be between 1 and 100000000.")
    assert run(only(state), {"l": [1], "n": value}).failure == ("States.Runtime", text)


def test_selector_comes_before_batches() -> None:
    state = distributed(
        A, ItemBatcher={"MaxItemsPerBatch": 2}, ItemSelector={"i.$": "$$.Map.Item.Index"}
    )
    assert inputs(run(only(state), ["a", "b"])) == [{"Items": [{"i": 0}, {"i": 1}]}]


# --- tolerance ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "failed", "fine"),
    [
        ({}, 0, True),
        ({}, 1, False),
        ({"ToleratedFailureCount": 0}, 1, False),
        ({"ToleratedFailureCount": 2}, 2, True),
        ({"ToleratedFailureCount": 2}, 3, False),
        ({"ToleratedFailurePercentage": 0}, 1, False),
        ({"ToleratedFailurePercentage": 20}, 2, True),
        ({"ToleratedFailurePercentage": 20}, 3, False),
        ({"ToleratedFailurePercentage": 100}, 10, True),
        ({"ToleratedFailureCount": 5, "ToleratedFailurePercentage": 20}, 3, False),
        ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 90}, 2, False),
        ({"ToleratedFailureCountPath": "$[9]"}, 9, True),
        ({"ToleratedFailurePercentagePath": "$[9]"}, 1, False),
    ],
)
def test_tolerance(fields: dict[str, Any], failed: int, fine: bool) -> None:
    trace = run(only(distributed(A, **fields)), list(range(10)), child=failing(*range(failed)))
    if fine:
        assert trace.output == list(range(failed, 10))
    else:
        assert trace.failure == ("States.ExceedToleratedFailureThreshold", EXCEEDED)


def test_failure_history() -> None:
    trace = run(
        only(distributed(A)),
        [1, 2, 3],
        child=lambda slot, value: Ends("FAILED") if slot == 1 else Silent,
    )
    error = f"error=States.ExceedToleratedFailureThreshold cause={EXCEEDED}"
    assert trace.lines[3:] == [
        f"4<3 MapRunStarted {ARN}",
        f"5<4 MapRunFailed {error}",
        "6<5 MapStateFailed",
        f"7<6 ExecutionFailed {error}",
    ]
    assert [command for command in trace.commands if isinstance(command, CancelTask)] == [
        CancelTask(1, 1)
    ]


def test_children_that_timed_out_count_and_aborted_ones_do_not() -> None:
    assert (
        run(only(distributed(A)), [1, 2], child=failing(0, status="TIMED_OUT")).status == "FAILED"
    )
    assert run(only(distributed(A)), [1, 2], child=failing(0, status="ABORTED")).output == [1]


def test_a_failed_batch_counts_for_all_of_its_items() -> None:
    batcher = {"MaxItemsPerBatch": 3}
    for fields, fine in (
        ({"ToleratedFailureCount": 3}, True),
        ({"ToleratedFailureCount": 2}, False),
        ({"ToleratedFailurePercentage": 75}, True),
        ({"ToleratedFailurePercentage": 74}, False),
    ):
        trace = run(
            only(distributed(A, ItemBatcher=batcher, **fields)), [1, 2, 3, 4], child=failing(0)
        )
        assert (trace.status == "SUCCEEDED") is fine


def test_runtime_errors_of_children_only_count() -> None:
    child = machine("A", A={**PASS, "InputPath": "$.no"})
    assert run(only(distributed(child, ToleratedFailureCount=2)), [{}, {}]).output == []
    state = distributed(child, Catch=catch("States.ExceedToleratedFailureThreshold"))
    assert run(machine("S", S=state, C=PASS), [{}]).output == {
        "Error": "States.ExceedToleratedFailureThreshold",
        "Cause": EXCEEDED,
    }


def test_retry_is_another_run() -> None:
    trace = run(
        only(distributed(machine("T", T=TASK), Retry=retry(IntervalSeconds=5))),
        [1],
        T=(Fails("E"), "ok"),
    )
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:]] == lines("""
        3<2 MapStateStarted
        4<3 MapRunStarted
        5<4 MapRunFailed
        6<5 MapStateStarted
        7<6 MapRunStarted
        8<7 MapRunSucceeded
        9<8 MapStateSucceeded
        10<7 MapStateExited
        11<10 ExecutionSucceeded
    """)
    assert (
        trace.events[3]["mapRunStartedEventDetails"] != trace.events[6]["mapRunStartedEventDetails"]
    )
    assert [command.seq for command in trace.commands if isinstance(command, StartChild)] == [1, 3]


def test_children_of_their_own() -> None:
    child = machine(
        "A", A={**PASS, "Parameters": {"x.$": "$$.Execution.Input"}, "Next": "F"}, F=fail("E")
    )
    assert run(only(distributed(child, ToleratedFailurePercentage=100)), [1, 2]).output == []


# --- reports --------------------------------------------------------------------------------------
def test_repeated_and_late_reports_change_nothing() -> None:
    trace = begin(
        only(distributed(A, ToleratedFailureCount=1, MaxConcurrency=2)),
        [1, 2, 3],
        child=lambda slot, value: Silent,
    )
    first = ChildClosed(1, 1, 0, "FAILED", None)
    assert [type(command) for command in trace.send(first).commands] == [StartChild]
    for late in (first, ChildClosed(1, 9, 1, "FAILED", None), ChildClosed(7, 1, 1, "FAILED", None)):
        decision = trace.send(late)
        assert (decision.history, decision.commands) == ([], [])
    trace.send(ChildClosed(1, 1, 1, "SUCCEEDED", Payload("b")))
    trace.send(ChildClosed(1, 1, 2, "SUCCEEDED", Payload("c")))
    assert trace.output == ["b", "c"]
    assert trace.send(first).history == []


def test_recovery_starts_children_again_that_have_not_reported() -> None:
    trace = begin(
        only(distributed(A, MaxConcurrency=3)), list(range(5)), child=lambda slot, value: Silent
    )
    trace.send(ChildClosed(1, 1, 1, "SUCCEEDED", Payload("x")))
    assert [command.slot for command in recover(trace.x) if isinstance(command, StartChild)] == [
        0,
        2,
        3,
    ]


# --- from outside ---------------------------------------------------------------------------------
def test_stop() -> None:
    trace = begin(only(distributed(A)), [1], child=lambda slot, value: Silent).stop("E")
    assert trace.lines[4:] == [
        "5<4 MapRunAborted",
        "6<5 MapStateAborted",
        "7<0 ExecutionAborted error=E",
    ]
    assert trace.commands[-1] == CancelTask(1, 1)


def test_timeout_of_the_execution() -> None:
    trace = run(machine("S", timeout=9, S=distributed(A)), [1], child=lambda slot, value: Silent)
    assert trace.lines[4:6] == ["5<4 MapRunAborted", "6<5 MapStateAborted"]
    assert (trace.status, trace.elapsed, trace.commands[-1]) == ("TIMED_OUT", 9, CancelTask(1, 1))


# --- what cannot be started -----------------------------------------------------------------------
READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Parameters": {"Bucket": "b", "Key": "k"},
}
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}


def dataset(items: Any) -> dict[str, Any]:
    return {"Items": items, "Source": "S3://b/k"}


def test_items_from_a_reader() -> None:
    """The length is unknown when the Map starts; a selector sees the source of an item."""
    selector = {"v.$": "$$.Map.Item.Value", "from.$": "$$.Map.Item.Source", "x.$": "$.x"}
    trace = run(
        only(distributed(A, ItemReader=READER, ItemSelector=selector)), {"x": 1}, S=dataset([7, 8])
    )
    assert trace.tasks == [
        ("S", {"Bucket": "b", "Key": "k", "MaxItems": 0, "ReaderConfig": {"InputType": "JSON"}})
    ]
    assert trace.lines[2:7] == lines(f"""
        3<2 MapStateStarted 0
        4<3 MapRunStarted {ARN}
        5<4 MapRunSucceeded
        6<5 MapStateSucceeded
        7<4 MapStateExited S [{{"v":7,"from":"S3://b/k","x":1}},{{"v":8,"from":"S3://b/k","x":1}}]
    """)


@pytest.mark.parametrize(
    ("items", "rest", "output"),
    [
        ([], {}, []),
        (
            {"a": 1},
            {"ItemSelector": {"k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value"}},
            [{"k": "a", "v": 1}],
        ),
        ([1, 2, 3], {"ItemBatcher": {"MaxItemsPerBatch": 2}}, [{"Items": [1, 2]}, {"Items": [3]}]),
        ([1], {"ItemsPath": "$.elsewhere"}, [1]),  # recorded: it has no effect
    ],
)
def test_datasets_of_a_reader(items: Any, rest: dict[str, Any], output: Any) -> None:
    assert (
        run(only(distributed(A, ItemReader=READER, **rest)), {}, S=dataset(items)).output == output
    )


def test_the_input_of_a_reader_is_evaluated() -> None:
    reader = {
        **READER,
        "Parameters": {"Bucket.$": "$.b", "Key": "k"},
        "ReaderConfig": {"InputType": "CSV", "MaxItemsPath": "$.n"},
    }
    trace = run(
        only(distributed(A, ItemReader=reader)), {"b": "B", "n": 2**70 // 2**10}, S=dataset([1])
    )
    assert trace.tasks[0][1] == {
        "Bucket": "B",
        "Key": "k",
        "MaxItems": 2**60,
        "ReaderConfig": {"InputType": "CSV"},
    }


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"ItemReader": READER}, "States.ItemReaderFailed"),
        ({"ResultWriter": WRITER}, "States.ResultWriterFailed"),
    ],
)
def test_a_reader_or_writer_that_fails(fields: dict[str, Any], error: str) -> None:
    trace = run(only(distributed(A, **fields)), [1], S=Fails("NoSuchBucket", "There is none."))
    assert trace.lines[-3:] == [
        f"5<4 MapRunFailed error={error} cause=There is none.",
        "6<5 MapStateFailed",
        f"7<6 ExecutionFailed error={error} cause=There is none.",
    ]
    caught = machine("S", S=distributed(A, **fields, Catch=catch(error, ResultPath=None)), C=PASS)
    assert run(caught, [1], S=Fails("NoSuchBucket")).output == [1]
    assert (
        run(
            only(distributed(A, **fields, Retry=retry(error))), [1], S=(Fails("E"), dataset([1]))
        ).status
        == "SUCCEEDED"
    )


def test_a_selector_that_fails_on_what_was_read() -> None:
    selector = {"v.$": "$$.Map.Item.Value.v"}
    trace = run(
        machine(
            "S", S=distributed(A, ItemReader=READER, ItemSelector=selector, Catch=catch()), C=PASS
        ),
        {},
        S=dataset([{}]),
    )
    assert (
        trace.lines[4].startswith("5<4 MapRunFailed error=States.") and trace.status == "FAILED"
    )  # States.Runtime: nothing catches it


def test_results_that_are_written() -> None:
    """Their location is the state's result."""
    where = {"MapRunArn": "arn", "ResultWriterDetails": {"Bucket": "b", "Key": "p/u/manifest.json"}}
    trace = run(
        only(
            distributed(A, ResultWriter=WRITER, ResultSelector={"k.$": "$.ResultWriterDetails.Key"})
        ),
        [7, 8],
        S=where,
    )
    ((_, asked),) = trace.tasks
    assert asked.pop("MapRunArn") == ARN.partition("=")[2]
    assert asked.pop("Results") == [7, 8]
    assert asked == {"Bucket": "b", "Prefix": "p", "Transformation": "NONE", "OutputType": "JSON"}
    assert trace.output == {"k": "p/u/manifest.json"}
    assert trace.lines[4:7] == [
        "5<4 MapRunSucceeded",
        "6<5 MapStateSucceeded",
        '7<4 MapStateExited S {"k":"p/u/manifest.json"}',
    ]


def test_reading_and_writing_survive_a_crash() -> None:
    """The stored state yields the same effect again."""
    trace = begin(only(distributed(A, ItemReader=READER, ResultWriter=WRITER)), {}, S=Silent)
    for action in ("getObject", "putObject"):
        (asked,) = [
            command
            for command in trace.commands
            if isinstance(command, RunTask) and command.resource.action == action
        ]
        (again,) = recover(trace.x)
        assert isinstance(again, RunTask) and again._replace(
            payload=asked.payload
        ) == asked._replace(again=True)
        given: Any = asked.payload.value
        assert again.payload.value == given | ({"Results": []} if "Results" in given else {})
        trace.answer("S", dataset([1]))
    assert trace.status == "SUCCEEDED"


@pytest.mark.parametrize("fields", [{"ItemReader": READER}, {"ResultWriter": WRITER}])
def test_stop_while_reading_or_writing(fields: dict[str, Any]) -> None:
    trace = begin(only(distributed(A, **fields)), [1], S=Silent).stop("E")
    assert trace.lines[4:] == [
        "5<4 MapRunAborted",
        "6<5 MapStateAborted",
        "7<0 ExecutionAborted error=E",
    ]
    assert trace.commands[-1] == CancelTask(1, 1)


@pytest.mark.parametrize("items", [[7], []])
def test_a_redrive_writes_again(items: list[int]) -> None:
    """No child is started again, and nothing is read again."""
    trace = run(only(distributed(A, ResultWriter=WRITER)), items, S=(Fails("E"), {"done": 1}))
    assert trace.status == "FAILED"
    children = len([command for command in trace.commands if isinstance(command, StartChild)])
    trace.redrive().run()
    assert (trace.status, trace.output) == ("SUCCEEDED", {"done": 1})
    assert (
        len([command for command in trace.commands if isinstance(command, StartChild)]) == children
    )


def test_a_redrive_reads_again() -> None:
    trace = run(only(distributed(A, ItemReader=READER)), {}, S=(Fails("E"), dataset([1])))
    trace.redrive().run()
    assert (trace.status, trace.output) == ("SUCCEEDED", [1])


def test_item_selector_that_fails_before_the_run() -> None:
    state = distributed(A, ItemSelector={"v.$": "$$.Map.Item.Value.v"}, Catch=catch())
    trace = run(machine("S", S=state, C=PASS), [{"v": 1}, {}])
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:]] == [
        "3<2 MapStateStarted",
        "4<2 ExecutionFailed",
    ]
    child = {"StartAt": "A", "States": {"A": {**PASS, "End": True}}}
    jsonata = distributed(child, ItemSelector="{% $states.context.Map.Item.Value.v %}")
    trace = run(only(jsonata, "JSONata"), [{"v": 1}, {}])
    assert [" ".join(line.split()[:2]) for line in trace.lines[2:]] == [
        "3<2 MapStateStarted",
        "4<3 EvaluationFailed",
        "5<4 MapStateFailed",
        "6<5 ExecutionFailed",
    ]
    assert trace.commands == []


def test_input_of_a_child_that_is_too_large() -> None:
    selector = {"twice.$": "States.Format('{}{}', $$.Map.Item.Value, $$.Map.Item.Value)"}
    trace = run(
        only(distributed(A, ItemSelector=selector)), ["x" * 30], limits=Limits(payload_bytes=60)
    )
    assert trace.failure[0] == "States.DataLimitExceeded"
    assert [line.split()[1] for line in trace.lines[2:]] == [
        "MapStateStarted",
        "MapStateFailed",
        "ExecutionFailed",
    ]


def test_what_fails_after_the_run() -> None:
    trace = run(only(distributed(A, ResultSelector={"x.$": "$[9]"})), [1])
    assert [" ".join(line.split()[:2]) for line in trace.lines[4:]] == [
        "5<4 MapRunSucceeded",
        "6<5 MapStateSucceeded",
        "7<6 ExecutionFailed",
    ]


def test_results_that_are_too_large() -> None:
    trace = run(
        only(distributed(A)),
        [1, 2],
        child=lambda slot, value: Ends("SUCCEEDED", "x" * 40),
        limits=Limits(payload_bytes=60),
    )
    assert trace.failure[0] == "States.DataLimitExceeded"
    assert [line.split()[1] for line in trace.lines[4:]] == [
        "MapRunSucceeded",
        "MapStateSucceeded",
        "ExecutionFailed",
    ]
