"""Background loops on a manual clock: none ends silently, and none is retried at full speed."""

import asyncio
import logging

import pytest

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.supervisor import SetbackError, Supervisor

LIMITS = Limits(background_pause_seconds=1, background_pause_most_seconds=60)


async def calm() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_loop_is_tried_again_until_it_ends_well(caplog: pytest.LogCaptureFixture) -> None:
    clock, tries = ManualClock(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ValueError(f"number {tries}")

    supervisor = Supervisor(clock, LIMITS)
    running = supervisor.start("a", work)
    for _ in range(6):
        await calm()
        clock.advance(60_000)
    await running
    state = supervisor.loops["a"]
    assert (tries, state.faults, state.restarts, state.running, state.failing) == (4, 3, 3, 0, 0)
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [bool(record.exc_info) for record in logged] == [True, False, False], (
        "one traceback of a row"
    )
    assert all(f"number {n}" in record.getMessage() for n, record in enumerate(logged, 1))


async def test_pauses_double_up_to_a_limit() -> None:
    supervisor = Supervisor(ManualClock(), LIMITS)
    pauses = [supervisor.pause_seconds("a", faults) for faults in range(1, 2000)]
    assert all(
        min(60, 2 ** (n - 1)) / 2 <= pause <= min(60, 2 ** (n - 1))
        for n, pause in enumerate(pauses[:9], 1)
    )
    assert all(30 <= pause <= 60 for pause in pauses[9:])
    assert supervisor.pause_seconds("a", 9) != supervisor.pause_seconds("b", 9)


async def test_a_loop_that_has_run_well_for_long_begins_with_short_pauses() -> None:
    clock = ManualClock()
    began: list[int] = []

    async def work() -> None:
        began.append(clock.now())
        clock.advance(120_000)
        raise ValueError

    supervisor = Supervisor(clock, LIMITS)
    loop = supervisor.start("a", work)
    for _ in range(5):
        await calm()
        clock.advance(1000)
    assert len(began) == 5
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert supervisor.loops["a"].running == 0


async def test_a_cancellation_from_within_is_a_fault_and_one_from_outside_is_the_end() -> None:
    clock, tries = ManualClock(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    supervisor = Supervisor(clock, LIMITS)
    supervisor.start("a", work)
    await calm()
    clock.advance(1000)
    await calm()
    assert (tries, supervisor.loops["a"].running) == (2, 1)
    await supervisor.close()
    assert supervisor.loops["a"].running == 0


async def test_the_callback_of_an_alarm_is_called_again() -> None:
    clock, calls = ManualClock(), 0

    def ring() -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise KeyError("a")

    supervisor = Supervisor(clock, LIMITS)
    clock.call_at(clock.now() + 5, supervisor.guarded("a", ring))
    clock.advance(5)
    for _ in range(3):
        await calm()
        clock.advance(60_000)
    await calm()
    assert (calls, supervisor.loops["a"].faults) == (3, 2)


async def test_a_setback_is_logged_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Supervisor(ManualClock(), LIMITS).report("a", SetbackError("the queue is not there"))
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("a: a fault: the queue is not there", None)
    ]


async def test_loops_end_with_the_engine_and_what_a_loop_finds_broken_ends_it() -> None:
    async def reads() -> None:
        raise StoreError("no file handles left")

    async with Engine(clock=(clock := ManualClock())) as engine:
        supervisor = engine.supervisor
        reading = supervisor.start("reads", reads)
        await calm()
        assert not reading.done(), "what could not be read once is read again"
        engine.store.database.failed = OSError("disk full")  # type: ignore[attr-defined]
        clock.advance(60_000)
        await calm()
        assert reading.done() and engine.worker.failed is not None
        await supervisor.start("late", reads)
