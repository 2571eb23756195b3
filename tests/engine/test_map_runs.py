"""Map Runs and their children, which are executions of their own: what becomes of one when the other ends, fails or is parked."""

import asyncio
from typing import Any

import pytest
from tests.engine.life import DAY, Life, Small, each, task, wait

from stepwell.engine import worker
from stepwell.engine.core import decide as core
from stepwell.engine.errors import StoreError

DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


async def test_parked_child(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that cannot even start: its Map Run waits for it, others go on, and a repaired engine finishes it."""

    def decide(program: Any, x: Any, *rest: Any) -> Any:
        if x.parent is not None and x.parent[3] == 1:
            raise ZeroDivisionError("planted")
        return core.decide(program, x, *rest)

    monkeypatch.setattr(worker, "decide", decide)
    arn = await life.start({"M": each({"Type": "Pass", "End": True}, **DISTRIBUTED)}, input="[1, 2, 3]")
    other = await life.start({"P": {"Type": "Pass", "End": True}}, name="other")
    assert (await life.status(arn), await life.status(other)) == ("RUNNING", "SUCCEEDED")
    monkeypatch.undo()
    await life.restart()
    assert (await life.finish(arn))["output"] == "[1,2,3]"


@pytest.mark.parametrize("state", [task("hang"), wait(DAY)], ids=["in flight", "asleep"])
async def test_orphans_end_at_the_next_chance(small: Small, state: dict[str, Any]) -> None:
    """A crash between the commit that ends the Map Run and those that end its children: these end when they are loaded again."""
    life = await small(batch_units=1)
    arn = await life.start({"M": each(state, **DISTRIBUTED)}, input="[1, 2, 3]")
    commit = life.store.commit

    async def only_the_first(units: Any) -> None:
        life.store.commit = fail  # type: ignore[method-assign]
        await commit(units)

    async def fail(units: Any) -> None:
        raise StoreError("no space left on device")

    life.store.commit = only_the_first  # type: ignore[method-assign]
    await life.engine.stop_execution(arn)
    await asyncio.sleep(0.05)
    await life.restart()
    assert await life.status(arn) == "ABORTED"
    await life.after(DAY + 1)
    listed = (await life.engine.list_executions())["executions"]
    assert len(listed) == 4 and {item["status"] for item in listed} == {"ABORTED"}
    assert not life.engine.worker.live
