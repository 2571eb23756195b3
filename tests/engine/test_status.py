"""Status-change events of Standard executions, for EventBridge."""

import json
import uuid
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Shape, Small, each, task, wait
from tests.integrations.bench import until

from stepwell.engine.tasks import Transaction
from stepwell.integrations.tasks.registry import Registry

TIMED: Shape = {**wait(100)}


def listening(life: EngineFixture) -> list[Shape]:
    """The events from now on."""
    events: list[Shape] = []
    registry = life.engine.tasks
    assert isinstance(registry, Registry)
    registry.host.on_status = events.extend
    return events


async def test_the_events_of_an_execution(life: EngineFixture) -> None:
    """As recorded: every member is there, what does not apply is null, dates are epoch ms."""
    events = listening(life)
    at = life.clock.now()
    states = {
        "W": {**wait(5), "End": False, "Next": "P"},
        "P": {"Type": "Pass", "Result": {"a": 1}, "End": True},
    }
    arn = await life.start(states, '{ "in": 2 }')
    machine, name = arn.replace(":execution:", ":stateMachine:").rsplit(":", 1)
    started = {
        "executionArn": arn,
        "stateMachineArn": machine,
        "name": name,
        "status": "RUNNING",
        "startDate": at,
        "stopDate": None,
        "input": '{ "in": 2 }',
        "output": None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
        "inputDetails": {"included": True},
        "outputDetails": None,
        "error": None,
        "cause": None,
    }
    (event,) = events
    assert event.pop("detail") == started
    assert str(uuid.UUID(event.pop("id"))) and event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [arn],
    }
    await life.after(5)
    ended = {
        "status": "SUCCEEDED",
        "stopDate": at + 5_000,
        "output": '{"a":1}',
        "outputDetails": {"included": True},
        "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
    }
    assert len(events) == 2 and events[1]["detail"] == started | ended


async def test_an_execution_that_starts_and_ends_at_once_has_both(life: EngineFixture) -> None:
    events = listening(life)
    await life.start({"F": {"Type": "Fail", "Error": "E", "Cause": "c"}})
    running, failed = [event["detail"] for event in events]
    assert (running["status"], running["stopDate"], running["error"]) == ("RUNNING", None, None)
    assert (failed["status"], failed["error"], failed["cause"], failed["redriveStatus"]) == (
        "FAILED",
        "E",
        "c",
        "REDRIVABLE",
    )
    assert events[0]["id"] != events[1]["id"]


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
async def test_other_ends(life: EngineFixture, status: str) -> None:
    events = listening(life)
    arn = await life.start({"W": TIMED}, TimeoutSeconds=10)
    if status == "ABORTED":
        await life.engine.stop_execution(arn, error="E")
    await life.after(10)
    assert [event["detail"]["status"] for event in events] == ["RUNNING", status]


async def test_express_executions_have_none(life: EngineFixture) -> None:
    events = listening(life)
    machine = await life.machine({"T": task("ok")}, type="EXPRESS")
    await life.engine.start_execution(machine)
    await life.engine.start_sync_execution(machine)
    await life.calm()
    assert life.calls == ["ok", "ok"] and not events


async def test_a_redrive_is_a_start(life: EngineFixture) -> None:
    events = listening(life)
    arn = await life.start({"T": task("fail")})
    await life.engine.redrive_execution(arn)
    await life.calm()
    details = [event["detail"] for event in events]
    assert [each["status"] for each in details] == ["RUNNING", "FAILED", "RUNNING", "FAILED"]
    assert [each["redriveCount"] for each in details] == [0, 0, 1, 1]
    assert (
        details[1]["redriveDate"] is None
        and details[2]["redriveDate"] == life.clock.now()
        and details[2]["error"] is None
    )
    assert len({event["id"] for event in events}) == 4


async def test_children_of_a_map_run_are_executions(life: EngineFixture) -> None:
    events = listening(life)
    state = each({"Type": "Pass", "End": True})
    state["ItemProcessor"] = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        **state["ItemProcessor"],
    }
    await life.start({"M": state}, "[1,2]")
    await life.calm()
    assert len({event["resources"][0] for event in events}) == 3


@pytest.mark.parametrize(
    ("input", "result", "included"),
    [
        (
            '"aaaa"',
            "bbbb",
            (True, True),
        ),  # within JSON each has four bytes more: its quotation marks and their backslashes
        ('"aaaaa"', "bbbb", (False, True)),
        ('"a"', "b" * 13, (False, False)),
    ],
)
async def test_what_is_too_long_is_left_out(
    small: Small, input: str, result: Any, included: tuple[bool, bool]
) -> None:
    """The input first; the output only if it alone is too long."""
    life = await small(event_data_bytes=16)
    events = listening(life)
    await life.start({"P": {"Type": "Pass", "Result": result, "End": True}}, input)
    detail = events[1]["detail"]
    assert (detail["inputDetails"]["included"], detail["outputDetails"]["included"]) == included
    assert (detail["input"] == input, detail["output"] == json.dumps(result)) == included
    assert (detail["input"] is None, detail["output"] is None) == tuple(
        not each for each in included
    )


async def test_what_a_listener_stores_is_stored_with_the_change(life: EngineFixture) -> None:
    stored: list[str] = []

    def listen(events: list[Shape]) -> Transaction[Any]:
        (status,) = [event["detail"]["status"] for event in events]
        return Transaction(
            None,
            {f"status/{status}": status.encode()},
            lambda: stored.append(f"{status} {life.store.units}"),
        )

    assert isinstance(life.engine.tasks, Registry)
    life.engine.tasks.host.on_status = listen
    await life.start({"W": wait(1)})
    assert stored == ["RUNNING 1"] and [
        key async for key, _ in life.engine.records.all("status/")
    ] == ["status/RUNNING"]
    life.store.fails = "before"
    life.clock.advance(1000)
    await until(lambda: life.engine.worker.failed is not None)
    await life.restart()
    assert stored == ["RUNNING 1"], "the end itself was not stored"
    assert [key async for key, _ in life.engine.records.all("status/")] == ["status/RUNNING"]


async def test_a_listener_that_raises_is_harmless(
    life: EngineFixture, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(events: list[Shape]) -> None:
        raise RuntimeError("no bus")

    assert isinstance(life.engine.tasks, Registry)
    life.engine.tasks.host.on_status = listen
    arn = await life.start({"W": wait(1)})
    await life.after(1)
    assert await life.status(arn) == "SUCCEEDED" and "no bus" in caplog.text
