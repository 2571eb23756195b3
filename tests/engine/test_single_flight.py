"""One run for all who ask at the same time."""

import asyncio

import pytest
from tests.engine.engine_fixture import Small

from stepwell.engine.single_flight import SingleFlight


async def test_callers_share_a_run_and_the_next_begins_another() -> None:
    runs: list[str] = []
    goes_on = asyncio.Event()

    async def make(key: str) -> int:
        runs.append(key)
        await goes_on.wait()
        if key == "bad":
            raise ValueError(key)
        return len(runs)

    once = SingleFlight(make)
    first, second, other, bad = (asyncio.ensure_future(once(key)) for key in ("a", "a", "b", "bad"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert runs == ["a", "b", "bad"] and len(once) == 3
    first.cancel()  # does not cancel the other caller
    goes_on.set()
    assert await second == await other == 3
    with pytest.raises(ValueError, match="bad"):
        await bad
    await once.ended()
    assert not len(once) and await once("a") == 4


async def test_a_flood_of_starts_reads_its_state_machine_once(small: Small) -> None:
    life = await small()
    flood = await life.machine({"P": {"Type": "Pass", "End": True}}, "flood")
    await life.restart()
    reads: list[str] = []
    machine = life.store.machine

    async def counted(arn: str) -> object:
        reads.append(arn)
        return await machine(arn)

    life.store.machine = counted  # type: ignore[assignment]
    await asyncio.gather(*(life.engine.start_execution(flood) for _ in range(400)))
    assert reads == [flood]


async def test_one_run_for_several_keys() -> None:
    made: list[str] = []

    async def make(key: str) -> str:
        made.append(key)
        await asyncio.sleep(0.01)
        return key

    flights = SingleFlight(make)
    alone = asyncio.create_task(flights("b"))
    await asyncio.sleep(0)
    with flights.together("abc") as runs:
        assert sorted(runs) == ["a", "c"]  # b has its own
        assert "a" in flights and "d" not in flights
        waiting = [asyncio.create_task(flights(key)) for key in "ac"]
        await asyncio.sleep(0)
        runs["a"].set_result("together")
        runs["c"].set_exception(ValueError("of c"))
    first, second = await asyncio.gather(*waiting, return_exceptions=True)
    assert first == "together" and str(second) == "of c"
    assert await alone == "b" and made == ["b"]
    assert await flights("a") == "a"


async def test_callers_of_a_run_for_several_keys_that_fails_get_its_error() -> None:
    flights: SingleFlight[str, str] = SingleFlight(lambda key: asyncio.sleep(0, key))
    with pytest.raises(ValueError), flights.together("a"):
        waiting = asyncio.create_task(flights("a"))
        await asyncio.sleep(0)
        raise ValueError
    with pytest.raises(ValueError):
        await waiting
    assert not len(flights)
