"""Express executions: synchronous ones, of which nothing is stored, and asynchronous ones, which
begin again after a crash.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.engine_fixture import SPIN, EngineFixture, Shape, Small, refused, task, wait

from stepwell.engine import Engine, messages
from stepwell.integrations.tasks.registry import Registry

PASS: Shape = {"P": {"Type": "Pass", "End": True}}
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


def rows(life: EngineFixture) -> dict[str, int]:
    """How many rows the tables of executions hold."""
    with sqlite3.connect(life.path) as db:
        tables = ("execution", "continuation", "history", "payload", "frame")
        return {
            name: count
            for name in tables
            if (count := db.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
        }


# --- synchronous ----------------------------------------------------------------------------------


async def test_the_answer_of_a_synchronous_execution(life: EngineFixture) -> None:
    machine = await life.machine({"T": task("ok")}, type="EXPRESS")
    answer = await life.engine.start_sync_execution(
        machine, name="n", input='{ "a": 1 }', trace_header=TRACE
    )
    assert answer["executionArn"].startswith(machine.replace(":stateMachine:", ":express:") + ":n:")
    assert {
        name: value
        for name, value in answer.items()
        if name not in ("executionArn", "startDate", "stopDate")
    } == {
        "stateMachineArn": machine,
        "name": "n",
        "status": "SUCCEEDED",
        "input": '{ "a": 1 }',
        "inputDetails": {"included": True},
        "output": '{"a":1}',
        "outputDetails": {"included": True},
        "traceHeader": TRACE,
        "billingDetails": {"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64},
    }
    assert (
        life.store.units == 0
        and not life.engine.worker.live
        and not life.engine.tracker.waiters
        and not rows(life)
    )


async def test_a_failed_synchronous_execution(life: EngineFixture) -> None:
    machine = await life.machine(
        {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}, type="EXPRESS"
    )
    answer = await life.engine.start_sync_execution(machine)
    assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "E", "c")
    assert "output" not in answer and answer["outputDetails"] == {"included": True}


async def test_the_billed_duration_is_rounded_up(life: EngineFixture) -> None:
    machine = await life.machine({"W": wait(2)}, type="EXPRESS")
    running = asyncio.ensure_future(life.engine.start_sync_execution(machine))
    await life.calm()
    life.clock.advance(2_001)
    assert (await running)["billingDetails"]["billedDurationInMilliseconds"] == 2_100


async def test_an_express_execution_ends_after_five_minutes(life: EngineFixture) -> None:
    arn = await life.start({"W": wait(301)}, type="EXPRESS")
    await life.after(299)
    assert await life.status(arn) == "RUNNING"
    await life.after(1)
    assert await life.status(arn) == "TIMED_OUT" and not life.engine.worker.live


async def test_only_express_machines_run_synchronously(life: EngineFixture) -> None:
    standard = await life.machine(PASS)
    await refused(
        life.engine.start_sync_execution(standard),
        "StateMachineTypeNotSupported",
        messages.TYPE_NOT_SUPPORTED,
    )
    await refused(
        life.engine.watch_express_execution(standard),
        "StateMachineTypeNotSupported",
        messages.TYPE_NOT_SUPPORTED,
    )


async def test_a_synchronous_execution_dies_with_its_process(life: EngineFixture) -> None:
    machine = await life.machine({"T": task("hang")}, type="EXPRESS")
    running = asyncio.ensure_future(life.engine.start_sync_execution(machine))
    async with asyncio.timeout(60):
        while not life.calls:
            await life.calm()
    await life.restart()
    with pytest.raises(Exception, match="the engine is closed"):
        await running
    assert life.calls == ["hang", "cancelled"] and not life.engine.worker.live


async def test_a_synchronous_caller_that_goes_away(life: EngineFixture) -> None:
    """The execution continues, and leaves nothing behind."""
    machine = await life.machine(
        {"W": {**wait(5), "End": False, "Next": "T"}, "T": task("ok")}, type="EXPRESS"
    )
    running = asyncio.ensure_future(life.engine.start_sync_execution(machine))
    await life.calm()
    running.cancel()
    await life.after(5)
    assert life.calls == ["ok"] and not life.engine.worker.live and not life.engine.tracker.waiters


async def test_an_endless_synchronous_execution_leaves_others_their_turn(small: Small) -> None:
    life = await small(unit_transitions=20)
    spinning = asyncio.ensure_future(
        life.engine.start_sync_execution(await life.machine(SPIN, type="EXPRESS"))
    )
    other = await life.machine(PASS, name="other", type="EXPRESS")
    assert (await asyncio.wait_for(life.engine.start_sync_execution(other), 60))[
        "status"
    ] == "SUCCEEDED"
    life.clock.advance(300_000)
    async with asyncio.timeout(60):
        while not spinning.done():
            await asyncio.sleep(0.01)
            life.clock.advance(0)  # the window of timers is looked through first
    assert (await spinning)["status"] == "TIMED_OUT"


async def test_watching(life: EngineFixture) -> None:
    arn = await life.start({"T": task("ok")}, '{"a":1}', type="EXPRESS")
    family = [f"LambdaFunction{step}" for step in ("Scheduled", "Started", "Succeeded")]
    types = [event["type"] async for event in life.engine.watch(arn)]
    assert types == [
        "ExecutionStarted",
        "TaskStateEntered",
        *family,
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert (await life.engine.wait(arn, timeout=60))["output"] == '{"a":1}'


async def test_few_watched_executions_are_remembered(small: Small) -> None:
    life = await small(express_kept=2, recent_executions=0)
    machine = await life.machine(PASS, type="EXPRESS")
    arns = [(await life.engine.watch_express_execution(machine))["executionArn"] for _ in range(4)]
    await life.calm()
    assert [await life.status(arn) for arn in arns[2:]] == ["SUCCEEDED"] * 2
    for arn in arns[:2]:
        await refused(
            life.engine.inspect_execution(arn),
            "ExecutionDoesNotExist",
            messages.EXECUTION_UNKNOWN.format(arn=arn),
        )


async def test_the_limits_of_an_engine_reach_its_expressions(small: Small) -> None:
    life = await small(jsonata_steps=50, jsonata_inline_steps=50)
    states = {
        "P": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": "{% $sum([1..100].($ * 2)) %}",
            "End": True,
        }
    }
    answer = await life.engine.start_sync_execution(await life.machine(states, type="EXPRESS"))
    assert answer["status"] == "FAILED" and "budget of 50 steps" in answer["cause"]


# --- asynchronous ---------------------------------------------------------------------------------


async def test_nothing_is_left_of_an_asynchronous_execution(life: EngineFixture) -> None:
    machine = await life.machine(
        {"T": task("ok", Next="W", End=False), "W": wait(10)}, type="EXPRESS"
    )
    before = life.clock.now()
    started = await life.engine.start_execution(
        machine, input='{"a": "' + "x" * 5_000 + '"}', trace_header=TRACE
    )
    assert started["startDate"] == before / 1000
    assert rows(life)["execution"] == rows(life)["continuation"] == rows(life)["history"] == 1
    await life.calm()
    await life.after(10)
    assert (
        life.calls == ["ok"]
        and not rows(life)
        and not life.engine.worker.live
        and not life.engine.tracker.open
    )
    await life.restart()
    assert life.calls == ["ok"]


async def test_names_are_not_unique(life: EngineFixture) -> None:
    machine = await life.machine(PASS, type="EXPRESS")
    twice = [await life.engine.start_execution(machine, name="same") for _ in range(2)]
    assert twice[0]["executionArn"] != twice[1]["executionArn"]


async def test_an_accepted_execution_begins_again_after_a_crash(life: EngineFixture) -> None:
    """With the same ARN and input, from its first state on, and with all of its five minutes."""
    states = {"T": task("ok", Next="H", End=False), "H": task("hang")}
    arn = (
        await life.engine.start_execution(
            await life.machine(states, type="EXPRESS"), input='{"a":1}'
        )
    )["executionArn"]
    await life.calm()
    assert life.calls == ["ok", "hang"]
    await life.restart(600)
    assert life.calls == ["ok", "hang", "cancelled", "ok", "hang"]
    (live,) = life.engine.worker.live.values()
    assert (live.x.arn, live.x.input.value, live.x.express) == (arn, {"a": 1}, True)
    await life.after(299)
    assert life.engine.worker.live
    await life.after(1)
    assert not life.engine.worker.live and not rows(life)


async def test_a_start_is_acknowledged_when_it_is_durable_and_no_effect_comes_before(
    life: EngineFixture,
) -> None:
    machine = await life.machine({"T": task("ok")}, type="EXPRESS")
    life.store.fails = "before"
    with pytest.raises(Exception, match="no space left"):
        await life.engine.start_execution(machine)
    await asyncio.sleep(0.01)
    assert life.calls == []


async def test_express_executions_cannot_be_looked_at(life: EngineFixture) -> None:
    machine = await life.machine({"W": wait(5)}, type="EXPRESS")
    arn = (await life.engine.start_execution(machine))["executionArn"]
    for call in (
        life.engine.describe_execution,
        life.engine.get_execution_history,
        life.engine.stop_execution,
    ):
        await refused(
            call(arn),
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: express'",
        )


KILLED = """
import asyncio, sys
from stepwell.engine import Engine
from stepwell.integrations.tasks.registry import Registry

async def hang(payload):
    print("task", flush=True)
    await asyncio.Event().wait()

async def main():
    async with Engine(sys.argv[1], tasks=Registry({"f": hang})) as engine:
        machine = await engine.create_state_machine("m", sys.argv[2], type="EXPRESS")
        started = await engine.start_execution(machine["stateMachineArn"], input='{"n": 1}')
        print(started["executionArn"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def killed(path: Path) -> None:
    """A process that has accepted an execution and is in the middle of it when it is killed."""
    definition = '{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"f","End":true}}}'
    words = [sys.executable, "-c", KILLED, str(path), definition]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(2)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert sorted(line.partition(":")[0].strip() for line in said) == ["arn", "task"]


async def test_a_killed_process_loses_no_accepted_execution(tmp_path: Path) -> None:
    path = tmp_path / "stepwell.db"
    killed(path)
    seen: list[object] = []
    go = asyncio.Event()

    async def work(payload: object) -> None:
        await go.wait()
        seen.append(payload)

    async with Engine(path, tasks=Registry({"f": work})) as engine:
        (live,) = engine.worker.live.values()
        with engine.tracker.waiters.of(live.x.id) as ended:
            go.set()
            assert (await asyncio.wait_for(ended, 60)).status == "SUCCEEDED"
    assert seen == [{"n": 1}]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM execution").fetchone() == (0,)
