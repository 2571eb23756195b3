"""What is logged of an execution: the records of AWS, by level, after the commit; and that sinks
cannot harm the engine.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.engine_fixture import ASK, EngineFixture, Shape, Small, each, task, wait

from stepwell.asl.json_text import size
from stepwell.engine.core.history import TABLE
from stepwell.engine.engine import Engine
from stepwell.engine.errors import StoreError
from stepwell.engine.runtime.execution_logs import LEVELS, LogEvent, bounded, log_group, wanted

GROUP = "/aws/vendedlogs/states/m"
FAIL: Shape = {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}


def logging(level: str = "ALL", data: bool = True) -> Shape:
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*"
    return {
        "level": level,
        "includeExecutionData": data,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
    }


class Memory:
    """A sink that keeps all events, and checks in the store that they are durable."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.closed = False

    def write(self, events: Sequence[LogEvent]) -> None:
        self.events += events

    async def close(self) -> None:
        self.closed = True

    @property
    def records(self) -> list[Shape]:
        return [json.loads(event.message) for event in self.events]


async def logged(
    life: EngineFixture,
    states: Shape,
    input: str = "{}",
    configuration: Shape | None = None,
    **fields: Any,
) -> tuple[Memory, str]:
    """The log of an execution that has run as far as it comes by itself, and its ARN."""
    sink = life.engine.events.log_sink = Memory()
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    given = {
        "logging_configuration": logging() if configuration is None else configuration,
        **fields,
    }
    machine = (await life.engine.create_state_machine("m", definition, **given))["stateMachineArn"]
    arn: str = (await life.engine.start_execution(machine, name="n", input=input))["executionArn"]
    await life.calm()
    return sink, arn


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
async def test_records_as_the_service_writes_them(life: EngineFixture, type: str) -> None:
    """The events of the service's own log of such a machine, in its order and shapes."""
    at = str(life.clock.now())
    sink, arn = await logged(
        life, {"State_1": {"Type": "Pass", "Result": {"Arg1": "argument1"}, "End": True}}, type=type
    )
    role = life.engine.home.role
    given = {"input": "{}", "inputDetails": {"truncated": False}}
    made = {"output": '{"Arg1":"argument1"}', "outputDetails": {"truncated": False}}
    rows = [
        ("1", "ExecutionStarted", {**given, "roleArn": role}, "0"),
        ("2", "PassStateEntered", {**given, "name": "State_1"}, "0"),
        ("3", "PassStateExited", {**made, "name": "State_1"}, "2"),
        ("4", "ExecutionSucceeded", made, "3"),
    ]
    assert sink.records == [
        {
            "id": number,
            "type": name,
            "details": details,
            "previous_event_id": before,
            "event_timestamp": at,
            "execution_arn": arn,
            "redrive_count": "0",
        }
        for number, name, details, before in rows
    ]
    assert {event.group for event in sink.events} == {GROUP}
    (stream,) = {event.stream for event in sink.events}
    assert stream.startswith("states/m/20") and stream.count("/") == 3


async def test_without_data_errors_and_causes_stay(life: EngineFixture) -> None:
    states = {"A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "F"}, **FAIL}
    sink, _ = await logged(life, states, configuration=logging(data=False))
    role = life.engine.home.role
    shown = [
        {"roleArn": role},
        {"name": "A"},
        {"name": "A"},
        {"name": "F"},
        {"error": "E", "cause": "c"},
    ]
    assert [each["details"] for each in sink.records] == shown


@pytest.mark.parametrize(
    ("level", "types"),
    [
        (
            "ERROR",
            ["LambdaFunctionFailed", "MapIterationFailed", "MapStateFailed", "ExecutionFailed"],
        ),
        ("FATAL", ["ExecutionFailed"]),
        ("OFF", []),
    ],
)
async def test_levels(life: EngineFixture, level: str, types: list[str]) -> None:
    sink, _ = await logged(life, {"M": each(task("fail"))}, "[1]", logging(level))
    assert [each["type"] for each in sink.records] == types


def test_the_levels_of_all_event_types() -> None:
    all_types = {row[0] for row in TABLE}
    assert LEVELS["ALL"] == all_types and not LEVELS["OFF"]
    assert (
        LEVELS["FATAL"]
        == {"ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
        < LEVELS["ERROR"]
        < all_types
    )
    assert LEVELS["ERROR"] >= {
        "FailStateEntered",
        "EvaluationFailed",
        "TaskSubmitFailed",
        "WaitStateAborted",
        "MapRunFailed",
    }
    assert not LEVELS["ERROR"] & {
        "ExecutionStarted",
        "TaskScheduled",
        "TaskStateEntered",
        "MapRunRedriven",
        "ExecutionRedriven",
    }


async def test_numbers_are_text_and_events_without_details_have_empty_ones(
    life: EngineFixture,
) -> None:
    sink, _ = await logged(life, {"M": each(task("ok", TimeoutSeconds=7))}, "[1]")
    details = {each["type"]: each["details"] for each in sink.records}
    assert details["MapStateStarted"] == {"length": "1"} and details["MapIterationStarted"] == {
        "name": "M",
        "index": "0",
    }
    assert details["LambdaFunctionScheduled"]["timeoutInSeconds"] == "7"
    assert details["MapStateSucceeded"] == details["LambdaFunctionStarted"] == {}


async def test_a_log_goes_on_after_a_restart_as_it_was_configured_at_the_start(
    life: EngineFixture,
) -> None:
    sink, arn = await logged(life, {"A": ASK})
    machine = arn.replace(":execution:", ":stateMachine:").removesuffix(":n")
    await life.engine.update_state_machine(machine, logging_configuration={"level": "OFF"})
    before = len(sink.events)
    await life.restart()
    assert sink.closed
    life.engine.events.log_sink = sink
    await life.engine.send_task_success(life.tokens[0], "1")
    await life.calm()
    ids = [each["id"] for each in sink.records]
    assert len(ids) > before and ids == [str(number) for number in range(1, len(ids) + 1)]
    await life.engine.start_execution(machine)
    await life.calm()
    assert len(sink.events) == len(ids)


async def test_children_of_a_map_run_are_logged_with_it(life: EngineFixture) -> None:
    state = each({"Type": "Pass", "End": True})
    state["ItemProcessor"] = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **state["ItemProcessor"],
    }
    sink, arn = await logged(life, {"M": state}, "[1,2]")
    assert len({each["execution_arn"] for each in sink.records} - {arn}) == 2


async def test_nothing_is_logged_before_it_is_durable(life: EngineFixture) -> None:
    sink, arn = await logged(life, {"W": wait(5)})
    before = len(sink.events)
    life.store.fails = "before"
    life.clock.advance(5_000)
    with pytest.raises(StoreError):
        await life.engine.wait(arn)
    assert len(sink.events) == before


async def test_a_sink_that_raises_does_not_stop_the_engine(
    life: EngineFixture, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Memory):
        def write(self, events: Sequence[LogEvent]) -> None:
            raise RuntimeError("no such sink")

    _, arn = await logged(life, {"T": wait(1)})
    life.engine.events.log_sink = Broken()
    await life.after(1)
    assert await life.status(arn) == "SUCCEEDED" and "no such sink" in caplog.text


async def test_a_sink_that_raises_when_it_is_closed_does_not_keep_the_store_open(
    tmp_path: Path,
) -> None:
    class Full(Memory):
        async def close(self) -> None:
            raise OSError("the disk is full")

    path = tmp_path / "engine.db"
    with pytest.raises(OSError, match="full"):
        async with Engine(path, log_sink=Full()) as engine:
            await engine.run({"StartAt": "F", "States": {"F": {"Type": "Succeed"}}})
    async with Engine(path):
        pass


async def test_long_data_are_cut(small: Small) -> None:
    life = await small(log_record_bytes=10)
    sink, _ = await logged(
        life,
        {"P": {"Type": "Pass", "Parameters": {"a.$": "$.a", "b": "x" * 20}, "End": True}},
        '{"a":1}',
    )
    started, *_, ended = [each["details"] for each in sink.records]
    assert started["input"] == '{"a":1}' and started["inputDetails"] == {"truncated": False}
    assert ended["output"] == '{"a":1,"b"' and ended["outputDetails"] == {"truncated": True}


@given(
    st.dictionaries(st.sampled_from(["input", "output", "parameters"]), st.text(max_size=40)),
    st.integers(0, 60),
)
def test_a_record_never_holds_more_than_it_may(texts: dict[str, str], most: int) -> None:
    details = {
        **texts,
        **{f"{name}Details": {"truncated": False} for name in texts if name != "parameters"},
        "name": "S",
    }
    shown: Any = bounded(details, most)
    assert sum(size(shown[name]) for name in texts) <= most and shown["name"] == "S"
    for name, text in texts.items():
        assert text.startswith(shown[name])
        if name != "parameters":
            assert shown[f"{name}Details"] == {"truncated": shown[name] != text}


def test_which_configurations_log() -> None:
    assert wanted(logging()) and wanted(logging("FATAL")) and log_group(logging()) == GROUP
    for none in (None, {}, logging("OFF"), {"level": "ALL"}, {"level": "ALL", "destinations": []}):
        assert not wanted(none)
