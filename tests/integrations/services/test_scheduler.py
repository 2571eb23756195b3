"""EventBridge Scheduler in virtual time."""

from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import refused
from tests.integrations.services.embedded_engine import ROLE, EmbeddedEngine

OFF = {"Mode": "OFF"}


async def schedule(
    house: EmbeddedEngine, name: str, expression: str, input: str | None = '"x"', **rest: Any
) -> str:
    """Create a schedule that starts a machine of the same name. Returns the machine's ARN."""
    machine = await house.machine(name=name)
    target = {"Arn": machine, "RoleArn": ROLE} | ({"Input": input} if input else {})
    parameters = {
        "schedule_expression": expression,
        "target": target,
        "flexible_time_window": OFF,
        **rest,
    }
    await house.scheduler.create_schedule(name, **parameters)
    return machine


async def test_at_a_time_in_a_time_zone(house: EmbeddedEngine) -> None:
    """The clock begins at 22:13:20 UTC, 14:13:20 in Los Angeles."""
    machine = await schedule(
        house, "s", "at(2023-11-14T14:15:00)", schedule_expression_timezone="America/Los_Angeles"
    )
    await house.after(99)
    assert await house.inputs(machine) == []
    await house.after(1)
    assert await house.inputs(machine) == ["x"]
    await house.after(3600)
    assert (
        await house.inputs(machine) == ["x"]
        and (await house.scheduler.get_schedule("s"))["State"] == "ENABLED"
    )


@pytest.mark.parametrize("action", ["NONE", "DELETE"])
async def test_at_a_time_in_the_past_is_accepted_and_does_not_run(
    house: EmbeddedEngine, action: str
) -> None:
    expression = "at(2023-11-14T22:13:19)"
    machine = await schedule(house, "s", expression, action_after_completion=action)
    await house.after(3600)
    assert await house.inputs(machine) == []
    shown = await house.scheduler.get_schedule("s")
    assert (shown["ScheduleExpression"], shown["State"]) == (expression, "ENABLED")
    assert [each["Name"] for each in (await house.scheduler.list_schedules())["Schedules"]] == ["s"]
    await house.close()
    await house.open()
    await house.after(3600)
    assert await house.inputs(machine) == []
    target = {"Arn": machine, "RoleArn": ROLE, "Input": '"x"'}
    await house.scheduler.update_schedule(
        "s", schedule_expression="rate(1 hour)", target=target, flexible_time_window=OFF
    )
    await house.calm()
    assert await house.inputs(machine) == ["x"]


async def test_rates_between_two_dates(house: EmbeddedEngine) -> None:
    start = house.clock.now() / 1000 + 60
    machine = await schedule(
        house, "s", "rate(10 minutes)", start_date=start, end_date=start + 1500
    )
    await house.after(59)
    assert await house.inputs(machine) == []
    for _ in range(10):
        await house.after(600)
    assert len(await house.inputs(machine)) == 3


async def test_delete_after_completion(house: EmbeddedEngine) -> None:
    machine = await schedule(
        house, "s", "at(2023-11-14T22:15:00)", action_after_completion="DELETE"
    )
    await house.after(100)
    assert await house.inputs(machine) == ["x"]
    await refused(
        house.scheduler.get_schedule("s"), "ResourceNotFoundException", "Schedule s does not exist."
    )


async def test_one_missed_run_is_run_at_the_start(tmp_path: Path) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        once = await schedule(house, "once", "at(2023-11-14T23:00:00)")
        often = await schedule(house, "often", "cron(0 * * * ? *)")
        await house.calm()
    house.clock.advance(5 * 3_600_000)
    async with house:
        await house.calm()
        assert len(await house.inputs(once)) == 1 and len(await house.inputs(often)) == 1
        await house.after(3600)
        assert len(await house.inputs(once)) == 1 and len(await house.inputs(often)) == 2


async def test_a_flexible_window(house: EmbeddedEngine) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    machines = [
        await schedule(house, f"s{n}", "at(2023-11-14T22:15:00)", flexible_time_window=window)
        for n in range(5)
    ]
    began = []
    for _ in range(20):
        await house.after(60)
        began.append(sum([len(await house.inputs(machine)) for machine in machines]))
    assert began[0] == 0 and began[-1] == 5 and len(set(began)) > 3, "each has its own delay"
    text = (
        "MaximumWindowInMinutes must be provided if the flexible time window's mode is FLEXIBLE, "
        "and only then."
    )
    await refused(
        schedule(house, "bad", "rate(1 hour)", flexible_time_window={"Mode": "FLEXIBLE"}),
        "ValidationException",
        text,
    )


async def test_the_context_and_the_default_event(house: EmbeddedEngine) -> None:
    text = (
        '{"a": "<aws.scheduler.schedule-arn>", "t": "<aws.scheduler.scheduled-time>", "n": '
        "<aws.scheduler.attempt-number>}"
    )
    machine = await schedule(house, "s", "at(2023-11-14T22:15:00)", text)
    plain = await schedule(house, "plain", "at(2023-11-14T22:15:00)", None)
    await house.after(120)
    arn = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"
    assert await house.inputs(machine) == [{"a": arn, "t": "2023-11-14T22:15:00Z", "n": 1}]
    (event,) = await house.inputs(plain)
    assert event["source"] == "aws.scheduler" and event["resources"] == [arn[:-1] + "plain"]


async def test_a_universal_target(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:sfn:startExecution", "RoleArn": ROLE}
    target["Input"] = f'{{"StateMachineArn": "{machine}", "Name": "n", "Input": {{"a": 1}}}}'
    parameters: dict[str, Any] = {
        "schedule_expression": "at(2023-11-14T22:15:00)",
        "target": target,
        "flexible_time_window": OFF,
    }
    await house.scheduler.create_schedule("s", **parameters)
    await house.after(100)
    assert await house.inputs(machine) == [{"a": 1}]


async def test_groups_and_changes(house: EmbeddedEngine) -> None:
    scheduler = house.scheduler
    await scheduler.create_schedule_group("g", [{"Key": "k", "Value": "v"}])
    machine = await schedule(house, "s", "rate(1 hour)", group_name="g")
    await house.calm()
    assert len(await house.inputs(machine)) == 1, "a rate begins at once"
    await refused(
        scheduler.create_schedule_group("g"),
        "ConflictException",
        "Schedule group g already exists.",
    )
    target = {"Arn": machine, "RoleArn": ROLE}
    parameters: dict[str, Any] = {
        "schedule_expression": "rate(1 hour)",
        "target": target,
        "flexible_time_window": OFF,
        "state": "DISABLED",
    }
    await scheduler.update_schedule("s", "g", **parameters)
    await house.after(7200)
    assert len(await house.inputs(machine)) == 1
    await refused(
        scheduler.update_schedule("none", "g", **parameters),
        "ResourceNotFoundException",
        "Schedule none does not exist.",
    )
    await refused(
        scheduler.create_schedule("t", "none", **parameters),
        "ResourceNotFoundException",
        "Schedule group none does not exist.",
    )
    await refused(
        scheduler.create_schedule("t", "g", **parameters | {"schedule_expression": "often"}),
        "ValidationException",
        "Invalid Schedule Expression often.",
    )
    assert [each["Name"] for each in (await scheduler.list_schedules("g"))["Schedules"]] == ["s"]
    assert [
        each["Name"] for each in (await scheduler.list_schedule_groups())["ScheduleGroups"]
    ] == ["default", "g"]
    await scheduler.delete_schedule_group("g")
    assert (await scheduler.list_schedules())["Schedules"] == []
