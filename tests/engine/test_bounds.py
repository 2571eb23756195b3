"""Nothing that one execution does holds up the others, a stop, or the end of the process."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from tests.engine.life import Life, Small, wait

DEEP: Any = 0
for _ in range(600):
    DEEP = [DEEP, [0] * 100]
ENDLESS = {"P": {"Type": "Pass", "InputPath": "$..[?($..[?($..no == 1)] == 1)]", "End": True}}  # 10^11 nodes of an input of 125 kB


async def evaluating(life: Life, arn: str) -> None:
    """Until a thread evaluates something of this execution."""
    while not any(live.x.arn == arn and live.backlog is not None for live in life.engine.worker.live.values()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def threads_end() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 60)


async def test_a_stop_does_not_wait_for_an_evaluation(small: Small) -> None:
    life = await small(jsonpath_nodes=1 << 60)
    machine = await life.machine(ENDLESS)
    arns = [(await life.engine.start_execution(machine, input=json.dumps(DEEP)))["executionArn"] for _ in range(4)]
    for arn in arns:
        await evaluating(life, arn)  # two of them in threads, two in front of them
        await asyncio.wait_for(life.engine.stop_execution(arn), 60)
        assert await life.status(arn) == "ABORTED"
    await threads_end()


async def test_an_engine_ends_while_threads_evaluate_and_again_after_a_restart(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    life = await small(jsonpath_nodes=1 << 60)
    arn = (await life.engine.start_execution(await life.machine(ENDLESS), input=json.dumps(DEEP)))["executionArn"]
    await evaluating(life, arn)
    await asyncio.wait_for(life.engine.close(), 60)
    monkeypatch.setattr(life, "calm", partial(asyncio.sleep, 0))  # it never is
    await life.open()
    await evaluating(life, arn)
    await asyncio.wait_for(life.engine.stop_execution(arn), 60)
    assert await life.status(arn) == "ABORTED"
    await threads_end()


async def test_an_evaluation_that_is_too_long_fails_its_state_and_others_go_on(life: Life) -> None:
    endless = await life.engine.start_execution(await life.machine(ENDLESS), input=json.dumps(DEEP))
    other = await life.start({"W": wait(1)}, name="other")
    await life.after(1)
    assert await life.status(other) == "SUCCEEDED"
    ended = await life.engine.wait(endless["executionArn"], timeout=120)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime") and "Too many nodes" in ended["cause"]
