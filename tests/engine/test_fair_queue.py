"""State machines take turns waiting for the disk, for space in the queue and for slots."""

import asyncio
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Small, task

from stepwell.engine.fair_queue import Backpressure, FairQueue
from stepwell.engine.runtime.commit_queue import CommitQueue, Entry
from stepwell.engine.store.base import Writes

PASS = {"P": {"Type": "Pass", "End": True}}


def test_owners_take_turns() -> None:
    turns = FairQueue[str]()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.put(item[0], item)
    assert len(turns) == 6 and sorted(turns) == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert [turns.take() for _ in range(4)] == ["a1", "b1", "c1", "a2"]
    turns.put("c", "c2")
    assert [turns.take() for _ in range(3)] == ["b2", "a3", "c2"] and not turns


def test_records_keep_their_place() -> None:
    """Nothing overtakes what stores records, and that overtakes nothing."""

    class Of:
        def __init__(self, machine: str) -> None:
            self.x = self
            self.machine_arn = machine

    queue, a, b = CommitQueue(), Of("a"), Of("b")
    one, two, three = (Writes({str(number): b""}) for number in range(3))
    entries: list[Any] = [
        (a, None),
        (a, None),
        (b, None),
        (None, one),
        (a, two),
        (a, None),
        (b, None),
        (b, None),
        (None, three),
    ]
    for number, (live, unit) in enumerate(entries):
        queue.append(Entry(live, unit, [number], None))  # type: ignore[list-item]
    assert len(queue) == 9
    taken: list[Any] = []
    while queue:
        taken.append([entry.commands[0] for entry in queue.take(4)])
    assert taken == [[0, 2, 1, 3], [4, 5, 6, 7], [8]]


async def test_producers_enter_in_a_fair_order() -> None:
    held: list[str] = []
    backpressure = Backpressure(lambda: 2 - len(held))

    async def add(name: str) -> None:
        await backpressure.enter(name[0])
        held.append(name)

    waiting = [asyncio.ensure_future(add(name)) for name in ("a1", "a2", "a3", "a4", "b1", "b2")]
    await asyncio.sleep(0)
    assert held == ["a1", "a2"] and backpressure.full()
    waiting[2].cancel()
    for expected in (["b1", "a4"], ["b2"]):  # a3 has left
        held.clear()
        backpressure.wake()
        for _ in range(20):  # all that can enter has entered by then
            await asyncio.sleep(0)
        assert held == expected
    assert not backpressure.full() and all(each.done() for each in waiting)


async def test_a_cancelled_producer_leaves_its_space_to_the_next() -> None:
    held: list[str] = ["other"]
    backpressure = Backpressure(lambda: 1 - len(held))
    first, second = (asyncio.ensure_future(backpressure.enter(name)) for name in "ab")
    await asyncio.sleep(0)
    held.clear()
    backpressure.wake()
    first.cancel()
    await asyncio.wait_for(second, 60)
    assert not backpressure.full()


@pytest.mark.parametrize("limits", [{}, {"queue_units": 20}], ids=["in the queue", "before it"])
async def test_a_flood_does_not_keep_others_from_the_disk(
    small: Small, limits: dict[str, int]
) -> None:
    """Counted in commits, not in seconds."""
    life = await small(batch_units=4, **limits)
    flood, other = await life.machine(PASS, "flood"), await life.machine(PASS, "other")
    for each in (flood, other):  # their definitions are in memory from here on
        await life.engine.start_execution(each)
    await life.calm()
    batches: list[set[str]] = []
    commit = life.store.commit

    async def counted(units: Any) -> None:
        batches.append({unit.execution.machine_name for unit in units})
        await commit(units)

    life.store.commit = counted  # type: ignore[method-assign]
    starts = [asyncio.ensure_future(life.engine.start_execution(flood)) for _ in range(400)]
    await asyncio.sleep(0)
    began = len(batches)
    await life.engine.start_execution(other)
    behind = limits.get("queue_units", 0) // 4
    assert (
        next(place for place, batch in enumerate(batches) if "other" in batch) - began <= behind + 5
    )
    await asyncio.gather(*starts)
    assert len(batches) >= 100


async def test_a_flood_does_not_keep_others_from_slots(small: Small) -> None:
    life: EngineFixture = await small(effects_in_flight=2)
    flood = await life.machine({"T": task("hang")}, "flood")
    arns = [(await life.engine.start_execution(flood))["executionArn"] for _ in range(20)]
    other = (await life.engine.start_execution(await life.machine({"T": task("ok")}, "other")))[
        "executionArn"
    ]
    await life.calm()
    assert life.calls == ["hang", "hang"]
    await life.engine.stop_execution(arns[0])
    await life.engine.stop_execution(arns[1])
    assert (await life.engine.wait(other, timeout=60))["status"] == "SUCCEEDED"
