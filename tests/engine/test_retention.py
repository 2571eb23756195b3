"""Closed executions are deleted after their time, with all that belongs to them, and definitions
with the last of those that ran them.
"""

import sqlite3
from typing import Any

from tests.engine.engine_fixture import DAY, EngineFixture, Small, each, refused, task, wait

PASS = {"P": {"Type": "Pass", "End": True}}
TABLES = (
    "execution",
    "history",
    "continuation",
    "frame",
    "map_item",
    "map_result",
    "payload",
    "map_run",
)
DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


def rows(life: EngineFixture, *tables: str) -> list[int]:
    with sqlite3.connect(life.path) as connection:
        return [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables or TABLES
        ]


async def days(life: EngineFixture, count: float, restart: bool = False) -> None:
    """The clock's alarms ring where they are due on the way."""
    end = life.clock.now() + round(count * DAY * 1000)
    if restart:
        await life.restart(count * DAY)
    while (due := life.clock.next_alarm()) is not None and due <= end:
        life.clock.advance(max(0, due - life.clock.now()))
        await life.calm()
    life.clock.advance(end - life.clock.now())
    await life.calm()


async def test_after_90_days_nothing_is_left(small: Small, restart: bool) -> None:
    life = await small(timer_window_seconds=DAY)
    big = '{"items": ' + str(list(range(60))) + ', "text": "' + "x" * 5_000 + '"}'
    arns = [
        await life.start(PASS, input=big, name="ends"),
        await life.start({"T": task("fail")}, input=big, name="fails"),
        await life.start(
            {"M": each(task("hang")) | {"ItemsPath": "$.items", "MaxConcurrency": 30}},
            input=big,
            name="many",
        ),
        await life.start(
            {"M": each(PASS["P"], **DISTRIBUTED) | {"ItemsPath": "$.items"}},
            input=big,
            name="children",
        ),
    ]
    await life.engine.stop_execution(arns[2])
    await life.calm()
    assert all(rows(life, *(table for table in TABLES if table != "map_result")))
    await days(life, 89.9, restart)
    assert rows(life, "execution") == [64]
    for arn in arns:
        assert (await life.engine.describe_execution(arn))["status"] != "RUNNING"
    await days(life, 0.2, restart)
    assert rows(life) == [0] * 8
    for arn in arns:
        await refused(
            life.engine.describe_execution(arn),
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{arn}'",
        )
        await refused(
            life.engine.redrive_execution(arn),
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{arn}'",
        )


async def test_what_runs_and_what_was_redriven_stays(small: Small) -> None:
    """The time counts from the last end; names are free again after it."""
    life = await small(retention_seconds=10 * DAY, retention_page=2, timer_window_seconds=DAY)
    sleeps = await life.start({"W": wait(30 * DAY)}, name="sleeps")
    life.bad = lambda payload: True
    fails = await life.start({"T": task("sometimes")}, name="fails")
    machine = await life.machine(PASS)
    for number in range(7):
        await life.engine.start_execution(machine, name=f"n{number}")
    await days(life, 9)
    await life.engine.redrive_execution(fails)
    await days(life, 2)
    assert [
        item["name"] for item in (await life.engine.list_executions(machine))["executions"]
    ] == []
    assert (await life.engine.describe_execution(fails))["status"] == "FAILED"
    assert await life.status(sleeps) == "RUNNING"
    assert await life.engine.start_execution(machine, name="n3")
    await days(life, 9)
    await refused(
        life.engine.describe_execution(fails),
        "ExecutionDoesNotExist",
        f"Execution Does Not Exist: '{fails}'",
    )
    await days(life, 11)
    assert await life.status(sleeps) == "SUCCEEDED"


async def test_it_sleeps_until_something_is_due(small: Small) -> None:
    life = await small(
        retention_seconds=10 * DAY, timer_window_seconds=100 * DAY, sweep_seconds=100 * DAY
    )
    deletions: list[Any] = []
    delete = life.store.delete_closed

    async def noted(*arguments: Any) -> int:
        deletions.append(life.clock.now())
        return await delete(*arguments)

    life.store.delete_closed = noted  # type: ignore[method-assign]
    await life.start(PASS)
    await days(life, 9.5)
    assert deletions == []
    await days(life, 20)
    assert 1 <= len(deletions) <= 4


async def test_definitions_that_nothing_uses(small: Small) -> None:
    life = await small(retention_seconds=DAY, sweep_seconds=DAY, timer_window_seconds=DAY)
    machine = await life.machine(PASS)
    await life.engine.start_execution(machine)
    sleeper = (
        await life.engine.start_execution(await life.machine({"W": wait(20 * DAY)}, name="sleeper"))
    )["executionArn"]
    await life.engine.delete_state_machine(
        sleeper.replace(":execution:", ":stateMachine:").rpartition(":")[0]
    )
    published = await life.machine(PASS, name="published")
    await life.engine.publish_state_machine_version(published)
    for arn in (machine, published):
        await life.engine.update_state_machine(
            arn, definition='{"StartAt": "Q", "States": {"Q": {"Type": "Succeed"}}}'
        )
    assert rows(life, "definition") == [5]
    await days(life, 10)
    assert rows(life, "definition") == [
        4
    ]  # that of the sleeper, of the version, and the current ones
    assert await life.status(sleeper) == "RUNNING"
    assert (await life.engine.describe_state_machine(f"{published}:1"))["definition"].startswith(
        '{"StartAt": "P"'
    )
    await days(life, 30)
    assert rows(life, "definition") == [3]
    started = await life.engine.start_execution(f"{published}:1")
    await life.calm()
    assert await life.status(started["executionArn"]) == "SUCCEEDED"
