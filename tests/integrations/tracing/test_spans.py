"""The tree of spans of an execution, from the units that a real engine commits."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from tests.conftest import ROOT

from stepwell.engine.core.events import RunTask
from stepwell.engine.core.history import TABLE
from stepwell.engine.core.model import Execution
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.observers.trace_context import (
    TraceContext,
    current_trace,
    from_traceparent,
    from_xray,
)
from stepwell.engine.store.base import Unit
from stepwell.integrations.tasks.registry import Registry
from stepwell.integrations.tracing.ids import span_id, trace_of
from stepwell.integrations.tracing.spans import ExecutionTrace, Span

TASK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:work"}
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class Units:
    """A sink that keeps the units."""

    def __init__(self) -> None:
        self.units: list[Unit] = []

    def write(self, unit: Unit) -> None:
        self.units.append(unit)

    def context(self, x: Execution, command: RunTask) -> TraceContext:
        return TraceContext(trace_of(x).trace_id, "", True)

    async def close(self) -> None: ...


def numbered(unit: Unit) -> list[tuple[int, int, Any]]:
    return [(number, unit.at, event) for number, event in enumerate(unit.history, unit.first)]


def spans_of(units: Sequence[Unit]) -> list[Span]:
    trace = ExecutionTrace(units[0].execution)
    return [span for unit in units for span in trace.apply(unit.execution, numbered(unit))]


def tree(spans: Sequence[Span]) -> dict[str, list[str]]:
    """name -> the names of its children, in the order of their ends."""
    names = {span.span_id: span.name for span in spans}
    found: dict[str, list[str]] = {}
    for span in spans:
        found.setdefault(names.get(span.parent_id, span.parent_id), []).append(span.name)
    return found


async def run(
    states: dict[str, Any], input: Any = None, **start: Any
) -> tuple[list[Span], list[Unit]]:
    calls: list[Any] = []

    def work(value: Any) -> Any:
        calls.append(value)
        if value == "fail" or (value == "once" and len(calls) == 1):
            raise ValueError("no")
        return value

    sink = Units()
    definition = {"StartAt": next(iter(states)), "States": states}
    async with Engine(tasks=Registry(functions={"work": work}), trace_sink=sink) as engine:
        machine = await engine.create_state_machine("order", definition)
        started = await engine.start_execution(
            machine["stateMachineArn"], input=json.dumps(input), **start
        )
        await engine.wait(started["executionArn"])
    return spans_of(sink.units), sink.units


async def test_states_and_attempts() -> None:
    spans, units = await run(
        {"First": {"Type": "Pass", "Next": "Call"}, "Call": {**TASK, "End": True}}, "x"
    )
    assert tree(spans) == {"": ["order"], "order": ["First", "Call"], "Call": ["work"]}
    x = units[-1].execution
    root, call = spans[-1], next(span for span in spans if "faas.invoked_name" in span.attributes)
    assert root.span_id == span_id(x, 1) and root.error is None
    assert root.attributes["aws.step_functions.state_machine.arn"] == x.machine_arn
    assert root.attributes["stepwell.execution.status"] == "SUCCEEDED"
    assert (root.start, root.end) == (x.started, x.stopped)
    assert call.kind == "CLIENT" and call.attributes["faas.invoked_name"] == "work"
    assert not [text for span in spans for text in span.attributes.values() if text == "x"]


async def test_each_retry_is_a_span_with_its_error() -> None:
    again = {"ErrorEquals": ["ValueError"], "IntervalSeconds": 1}
    spans, _ = await run({"Call": {**TASK, "Retry": [again], "End": True}}, "once")
    attempts = [span for span in spans if span.kind == "CLIENT"]
    assert [span.error for span in attempts] == ["ValueError", None]
    assert attempts[0].attributes["error.type"] == "ValueError"
    assert [span.error for span in spans if span.kind != "CLIENT"] == [None, None]
    assert len({span.span_id for span in spans}) == 4


async def test_branches_and_iterations_are_inside_their_state() -> None:
    branch = lambda name: {"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}}
    items = {
        "Type": "Map",
        "MaxConcurrency": 2,
        "ItemProcessor": {
            "StartAt": "A",
            "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {**TASK, "End": True}},
        },
        "Next": "Both",
    }
    both = {"Type": "Parallel", "Branches": [branch("L"), branch("R")], "Next": "Last"}
    spans, _ = await run(
        {"Each": items, "Both": both, "Last": {"Type": "Pass", "End": True}}, [1, 2, 3, 4, 5]
    )
    found = tree(spans)
    assert found["order"] == ["Each", "Both", "Last"]
    assert sorted(found["Each"]) == [f"Each[{number}]" for number in range(5)]
    assert all(sorted(found[f"Each[{number}]"]) == ["A", "B"] for number in range(5))
    assert sorted(found["Both"]) == ["L", "R"]
    assert [span.error for span in spans if span.error] == []


async def test_a_failure_ends_what_is_open_and_shows_its_way_up() -> None:
    inner = {
        "Type": "Parallel",
        "Branches": [
            {"StartAt": "Bad", "States": {"Bad": {**TASK, "End": True}}},
            {"StartAt": "Waits", "States": {"Waits": {"Type": "Wait", "Seconds": 60, "End": True}}},
        ],
        "End": True,
    }
    outer = {
        "Type": "Map",
        "ItemProcessor": {"StartAt": "Inner", "States": {"Inner": inner}},
        "End": True,
    }
    spans, units = await run({"Outer": outer}, ["fail"])
    errors = {span.name: span.error for span in spans if span.kind != "CLIENT"}
    assert errors == {
        "Bad": "ValueError",
        "Waits": "aborted",
        "Inner": "ValueError",
        "Outer[0]": "ValueError",
        "Outer": "ValueError",
        "order": "ValueError",
    }
    assert tree(spans)["Inner"] == ["Bad", "Waits"] or tree(spans)["Inner"] == ["Waits", "Bad"]
    assert units[-1].execution.status == "FAILED"


async def test_a_caught_failure_of_a_parallel_continues_outside() -> None:
    states = {
        "Try": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Bad", "States": {"Bad": {**TASK, "End": True}}}],
            "Retry": [{"ErrorEquals": ["ValueError"], "MaxAttempts": 1, "IntervalSeconds": 1}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "After"}],
            "End": True,
        },
        "After": {"Type": "Pass", "End": True},
    }
    spans, _ = await run(states, "fail")
    found = tree(spans)
    assert found["order"] == ["Try", "After"]
    assert found["Try"] == ["Bad", "Bad"]
    assert {span.name: span.error for span in spans}["Try"] is None


async def test_a_redrive_is_a_span_below_the_first() -> None:
    sink = Units()
    fails = [True]

    def work(value: Any) -> Any:
        if fails:
            raise ValueError(fails.pop())
        return value

    states = {"A": {"Type": "Pass", "Next": "B"}, "B": {**TASK, "End": True}}
    async with Engine(tasks=Registry(functions={"work": work}), trace_sink=sink) as engine:
        machine = await engine.create_state_machine("order", {"StartAt": "A", "States": states})
        arn = (await engine.start_execution(machine["stateMachineArn"]))["executionArn"]
        await engine.wait(arn)
        await engine.redrive_execution(arn)
        await engine.wait(arn)
    spans = spans_of(sink.units)
    assert tree(spans)["order"][-1] == "order redrive"
    assert len({span.span_id for span in spans}) == len(spans)
    assert spans[-1].error is None and spans[-1].attributes["stepwell.redrive.count"] == 1


async def test_the_spans_are_the_same_from_a_history_that_was_read_again() -> None:
    _, units = await run(
        {"First": {"Type": "Pass", "Next": "Call"}, "Call": {**TASK, "End": True}}, "x"
    )
    assert len(units) > 1
    again = ExecutionTrace(units[0].execution)
    for unit in units[:-1]:
        again.apply(unit.execution, numbered(unit))
    assert spans_of(units)[-2:] == again.apply(units[-1].execution, numbered(units[-1]))[-2:]


CASES = [
    case
    for area in ("map", "parallel", "retry-catch", "wait")
    for path in sorted((ROOT / "conformance" / "cases" / area).glob("*.json"))
    if isinstance((case := json.loads(path.read_text())).get("definition"), dict)
]


async def test_every_state_and_attempt_has_its_span() -> None:
    """The machines of the conformance suite, of which most tasks fail here."""
    sink = Units()
    assert len(CASES) > 100
    async with Engine(tasks=Registry(), trace_sink=sink) as engine:
        arns = []
        for number, case in enumerate(CASES):
            with suppress(ApiError):  # cases of refused definitions and inputs
                machine = await engine.create_state_machine(f"m{number}", case["definition"])
                started = await engine.start_execution(
                    machine["stateMachineArn"], input=json.dumps(case.get("input", {}))
                )
                arns.append(started["executionArn"])
        await asyncio.sleep(0.5)
        for arn in arns:
            with suppress(ApiError):  # it has ended
                await engine.stop_execution(arn)
    executions: dict[int, list[Unit]] = {}
    for unit in sink.units:
        executions.setdefault(unit.execution.id, []).append(unit)
    assert len(executions) >= len(arns) > 100
    for units in executions.values():
        check(units)


def check(units: Sequence[Unit]) -> None:
    spans = spans_of(units)
    types = [TABLE[event[0]][0] for unit in units for event in unit.history]
    by_id = {span.span_id: span for span in spans}
    assert units[-1].execution.status != "RUNNING" and len(by_id) == len(spans)
    states = [span for span in spans if "stepwell.state.type" in span.attributes]
    assert len(states) == sum(type.endswith("StateEntered") for type in types)
    iterations = [span for span in spans if "stepwell.map.index" in span.attributes]
    assert len(iterations) == types.count("MapIterationStarted")
    attempts = len(spans) - len(states) - len(iterations) - 1
    assert attempts == sum(type.endswith("Scheduled") for type in types)
    for span in spans[:-1]:
        parent = by_id[span.parent_id]
        assert parent.start <= span.start <= span.end <= parent.end
        if span in states:  # never inside a state without branches
            assert parent.attributes.get("stepwell.state.type", "Map") in ("Parallel", "Map")


async def test_the_trace_of_the_request_continues() -> None:
    spans, units = await run({"A": {"Type": "Pass", "End": True}}, trace_header=TRACE)
    trace = trace_of(units[0].execution)
    assert trace == TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", True)
    assert spans[-1].parent_id == "53995c3f42cd8ad8"


async def test_without_a_request_the_trace_is_derived() -> None:
    _, units = await run({"A": {"Type": "Pass", "End": True}})
    x = units[0].execution
    trace = trace_of(x)
    assert len(trace.trace_id) == 32 and trace.span_id == "" and trace == trace_of(x)
    assert int(trace.trace_id[:8], 16) == x.started // 1000  # as X-Ray requires


async def test_nested_executions_are_in_the_same_trace() -> None:
    sink = Units()
    async with Engine(tasks=Registry(), trace_sink=sink) as engine:
        child = await engine.create_state_machine(
            "child", {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
        )
        call = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": child["stateMachineArn"]},
            "End": True,
        }
        machine = await engine.create_state_machine("p", {"StartAt": "C", "States": {"C": call}})
        started = await engine.start_execution(machine["stateMachineArn"], trace_header=TRACE)
        await engine.wait(started["executionArn"])
    assert {trace_of(unit.execution).trace_id for unit in sink.units} == {
        "5759e988bd862e3fe1be46a994272793"
    }


async def test_express_executions_and_children_of_a_map_run() -> None:
    sink = Units()
    inner = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    processor = {**inner, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    outer = {"Type": "Map", "Label": "L", "ItemProcessor": processor, "End": True}
    async with Engine(tasks=Registry(), trace_sink=sink) as engine:
        express = await engine.create_state_machine("express", inner, type="EXPRESS")
        await engine.start_sync_execution(express["stateMachineArn"])
        machine = await engine.create_state_machine("p", {"StartAt": "M", "States": {"M": outer}})
        started = await engine.start_execution(machine["stateMachineArn"], input="[1, 2, 3]")
        await engine.wait(started["executionArn"])
    executions: dict[str, list[Unit]] = {}
    for unit in sink.units:
        executions.setdefault(unit.execution.arn, []).append(unit)
    assert len(executions) == 1 + 1 + 3
    traces = {trace_of(units[0].execution).trace_id for units in executions.values()}
    assert len(traces) == 5
    assert [len(spans_of(units)) for units in executions.values()].count(2) == 5


async def test_nothing_is_traced_without_a_sink() -> None:
    seen: list[object] = []

    async def work(value: Any) -> None:
        seen.append(current_trace.get())
        await asyncio.sleep(0)

    states = {"A": {**TASK, "End": True}}
    async with Engine(tasks=Registry(functions={"work": work})) as engine:
        machine = await engine.create_state_machine("order", {"StartAt": "A", "States": states})
        started = await engine.start_execution(machine["stateMachineArn"])
        await engine.wait(started["executionArn"])
    assert seen == [None]


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", True),
        ),
        (
            "cc-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-02-more",
            TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", False),
        ),
        ("ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", None),
        ("00-00000000000000000000000000000000-53995c3f42cd8ad8-01", None),
        ("00-5759E988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", None),
        ("", None),
    ],
)
def test_w3c(text: str, context: TraceContext | None) -> None:
    assert from_traceparent(text) == context
    if context is not None:
        assert from_traceparent(context.traceparent) == from_xray(context.xray) == context


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (TRACE, TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", True)),
        (
            "Self=1-x; Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=?",
            TraceContext("5759e988bd862e3fe1be46a994272793", "", None),
        ),
        ("Root=2-5759e988-bd862e3fe1be46a994272793", None),
        ("anything", None),
    ],
)
def test_xray(text: str, context: TraceContext | None) -> None:
    assert from_xray(text) == context
