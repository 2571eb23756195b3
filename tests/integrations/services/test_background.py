"""Errors in background tasks of the services are logged, counted and retried by the same process.

The tests inject them into calls of the engine, the store and other services.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import MQTTMessage
from tests.integrations.bench import until
from tests.integrations.services.embedded_engine import EmbeddedEngine
from tests.integrations.services.queues import QueueFixture, redriven
from tests.integrations.services.test_events import entry, pending, wire
from tests.integrations.services.test_scheduler import schedule

from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import StoreError
from stepwell.engine.supervisor import LoopState, Supervisor
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.iot.broker import Address, Broker, Received
from stepwell.integrations.services.scheduler import runner


class Failing:
    """Replaces a method, and raises an error at its first calls."""

    def __init__(
        self,
        real: Callable[..., Any],
        error: BaseException,
        times: int,
        when: Callable[..., bool] = lambda *_, **__: True,
    ) -> None:
        self.real, self.error, self.left, self.when = real, error, times, when

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.left and self.when(*args, **kwargs):
            self.left -= 1
            raise self.error
        return self.real(*args, **kwargs)


def state(house: EmbeddedEngine, name: str) -> LoopState:
    return house.engine.supervisor.loops[name]


async def test_a_delivery_with_an_unexpected_error_is_retried(
    house: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await house.machine()
    await wire(house, machine)
    monkeypatch.setattr(
        house.engine,
        "start_execution",
        failing := Failing(house.engine.start_execution, RuntimeError("a bug"), 2),
    )
    await house.events.put_events([entry({"n": 1})])
    await house.calm()
    assert failing.left == 1 and len(await pending(house)) == 1
    await house.after(600)
    await house.after(600)
    assert [event["detail"] for event in await house.inputs(machine)] == [
        {"n": 1}
    ] and not await pending(house)
    assert state(house, "rule_deliveries").faults == 2


async def test_a_delivery_that_always_fails_is_dead_lettered(
    place: QueueFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, dead = place.house, await place.queue("dead")
    retry = {"RetryPolicy": {"MaximumRetryAttempts": 1}, "DeadLetterConfig": {"Arn": dead.arn}}
    await wire(house, await house.machine(), **retry)
    monkeypatch.setattr(
        house.engine,
        "start_execution",
        Failing(house.engine.start_execution, RuntimeError("a bug"), 99),
    )
    await house.events.put_events([entry()])
    for _ in range(3):
        await house.after(600)
    (letter,) = await dead.receive()
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "INTERNAL_ERROR"
    assert letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] == "RuntimeError: a bug"


async def test_reading_the_backlog_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dataclasses.replace(
        DEFAULT_LIMITS, deliveries_held=4, deliveries_page=2, deliveries_in_flight=1
    )
    async with EmbeddedEngine(tmp_path / "house.db", limits) as house:
        machine = await house.machine()
        await wire(house, machine)
        fault = StoreError("OperationalError: too many open files")
        of_events = Failing(
            house.engine.records.scan,
            fault,
            2,
            lambda prefix, *_: prefix.startswith("events/delivery/"),
        )
        monkeypatch.setattr(house.engine.records, "scan", of_events)
        for n in range(20):
            await house.events.put_events([entry({"n": n})])
        done = 0

        async def started() -> int:
            return len(await house.inputs(machine))

        for _ in range(20):
            await house.after(60)
            done = await started()
            if done == 20:
                break
        assert (done, of_events.left) == (20, 0)


async def test_a_failing_schedule_affects_no_other(
    house: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await schedule(house, "bad", "rate(10 minutes)")
    good = await schedule(house, "good", "rate(10 minutes)")
    await house.calm()
    planned = Failing(
        runner.plan,
        ZeroDivisionError("a bug"),
        3,
        lambda document, *_, **__: document["Name"] == "bad",
    )
    monkeypatch.setattr(runner, "plan", planned)
    before = len(await house.inputs(good)), len(await house.inputs(bad))
    await house.after(600)
    assert len(await house.inputs(good)) == before[0] + 1
    await house.after(600)
    assert len(await house.inputs(good)) == before[0] + 2
    for _ in range(6):
        await house.after(60)
    assert len(await house.inputs(bad)) > before[1] and planned.left == 0
    assert state(house, "schedules").faults == 3


async def test_a_scheduled_rule_that_fails_once_runs_again(
    house: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await house.machine()
    await house.events.put_rule("r", schedule_expression="rate(1 hour)")
    await house.events.put_targets(
        "r", [{"Id": "1", "Arn": machine, "RoleArn": "arn:aws:iam::123456789012:role/any"}]
    )
    monkeypatch.setattr(
        house.events.publisher,
        "document",
        Failing(house.events.publisher.document, KeyError("a bug"), 1),
    )
    await house.after(3600)
    assert await house.inputs(machine) == [] and state(house, "rule_schedules").faults == 1
    await house.after(60)
    assert len(await house.inputs(machine)) == 1
    await house.after(3600)
    assert len(await house.inputs(machine)) == 2


async def test_replays_and_sweeps_of_archives_are_retried(
    house: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    machine = await house.machine()
    archive = await house.events.create_archive("a", bus, retention_days=1)
    start = house.clock.now() / 1000
    await house.events.put_events([entry({"n": 1})])
    await house.after(1)
    await wire(house, machine)
    monkeypatch.setattr(
        house.events.publisher,
        "publish",
        failing := Failing(house.events.publisher.publish, MemoryError("a bug"), 1),
    )
    await house.events.start_replay("r", archive["ArchiveArn"], start - 1, start + 60, {"Arn": bus})
    await until(lambda: failing.left == 0)
    assert (await house.events.describe_replay("r"))["State"] in (
        "STARTING",
        "RUNNING",
    )
    async with asyncio.timeout(60):
        while (await house.events.describe_replay("r"))["State"] != "COMPLETED":
            await asyncio.sleep(0.002)
            house.clock.advance(1000)  # the pause may begin later than now
    await house.calm()
    assert len(await house.inputs(machine)) == 1

    monkeypatch.setattr(
        house.events.archived,
        "delete_events",
        Failing(house.events.archived.delete_events, StoreError("OperationalError: busy"), 1),
    )
    await house.after(3 * 24 * 3600)
    await house.after(60)
    assert (await house.events.describe_archive("a"))["EventCount"] == 0
    assert (state(house, "replays").faults, state(house, "archive_sweep").faults) == (1, 1)


async def test_moves_and_sweeps_of_queues_are_retried(
    place: QueueFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, dead = await redriven(place, times=1)
    await queue.send("a")
    await queue.receive()
    place.pass_(11)
    await queue.receive()
    assert (await dead.counts())[0] == 1
    real = place.sqs.redrive._move_some
    monkeypatch.setattr(place.sqs.redrive, "_move_some", Failing(real, RuntimeError("a bug"), 1))
    await place.sqs.start_message_move_task(dead.arn)

    async def moved() -> bool:
        return bool(
            (await place.sqs.list_message_move_tasks(dead.arn))["Results"][0]["Status"]
            == "COMPLETED"
        )

    async with asyncio.timeout(60):
        while not await moved():
            await asyncio.sleep(0.002)
            place.pass_(60)
    assert state(place.house, "message_moves").faults == 1


async def test_errors_are_logged(
    house: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await wire(house, await house.machine())
    monkeypatch.setattr(
        house.engine,
        "start_execution",
        Failing(house.engine.start_execution, RuntimeError("a bug"), 1),
    )
    await house.events.put_events([entry()])
    await house.calm()
    (record,) = [each for each in caplog.records if each.name == "stepwell.background"]
    assert record.getMessage().startswith(
        "rule_deliveries: the delivery "
    ) and record.getMessage().endswith("RuntimeError: a bug")
    assert record.exc_info


async def test_messages_of_a_broker_wait_for_the_store_and_a_bad_one_blocks_no_other() -> None:
    """Messages that the store refuses stay queued, in order; one that always fails is not
    acknowledged.
    """
    clock, stored = ManualClock(), list[str]()
    fails = 2

    async def store(batch: Sequence[Received]) -> None:
        nonlocal fails
        if fails:
            fails -= 1
            raise StoreError("OperationalError: too many open files")
        if any(each.topic == "bad" for each in batch):
            raise ValueError("a bug")
        stored.extend(each.topic for each in batch)

    supervisor = Supervisor(clock)
    broker = Broker(
        Address("127.0.0.1", 1, False, None, None), "id", store, DEFAULT_LIMITS, supervisor
    )
    for topic in ("a", "bad", "b"):
        message = MQTTMessage(1, topic.encode())
        broker._slots.acquire()
        broker._handle_message(message, 0)
    for _ in range(3):
        for _ in range(20):
            await asyncio.sleep(0)
        clock.advance(60_000)
    assert (stored, broker._storing) == (["a", "b"], None)
    assert supervisor.loops["broker_messages"].faults == 3
    await supervisor.close()
