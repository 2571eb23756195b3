"""Executions that a command does not resume are held, and delay no other."""

import asyncio
from pathlib import Path

from tests.engine.engine_fixture import task

from stepwell.asl.json_text import dumps
from stepwell.engine import Engine
from stepwell.integrations.limits import Limits
from stepwell.integrations.machine_tasks import MachineTasks, running

LIMITS = Limits(effects_in_flight=1)


def opened(folder: Path, said: list[str] | None = None) -> tuple[Engine, MachineTasks]:
    tasks = MachineTasks(folder, None if said is None else lambda function, text: said.append(text))
    return Engine(folder / "standing.db", tasks=tasks, limits=LIMITS), tasks


async def test_held_executions_take_no_slot(tmp_path: Path) -> None:
    """Before, those that were stored first held all slots, and what was to be resumed never
    began.
    """
    (tmp_path / "echo.py").write_text("def handler(event, context):\n    return event\n")
    engine, tasks = opened(tmp_path)
    async with engine:
        definition = dumps({"StartAt": "T", "States": {"T": task("echo", TimeoutSeconds=60)}})
        machine = (await engine.create_state_machine("m", definition))["stateMachineArn"]
        standing = [(await engine.start_execution(machine))["executionArn"] for _ in range(5)]
        wanted = (await engine.start_execution(machine, input="[7]"))["executionArn"]
        await asyncio.sleep(0.05)
        assert {pool.taken for pool in engine.worker.effects.pools.values()} == {0}, (
            "no effect starts before begin()"
        )
    engine, tasks = opened(tmp_path)
    async with engine:
        tasks.begin(await running(engine), {wanted})
        assert (await engine.wait(wanted, timeout=30))["output"] == "[7]"
        assert {(await engine.inspect_execution(arn))["status"] for arn in standing} == {"RUNNING"}
    engine, tasks = opened(tmp_path)
    async with engine:
        tasks.begin(await running(engine), None)
        assert {(await engine.wait(arn, timeout=30))["status"] for arn in standing} == {"SUCCEEDED"}
