"""Calls that overlap: what one of them reads may be out of date by the time it looks at it, and a
caller may go away at any point.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.engine.engine_fixture import (
    ACTIVITY,
    ASK,
    DAY,
    HAND,
    EngineFixture,
    Shape,
    Small,
    refused,
    task,
    wait,
)

from stepwell.engine import messages
from stepwell.engine.core.environment import token
from stepwell.engine.core.events import Stop, Tick
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.store.sql.store import SqlStore

PASS: Shape = {"P": {"Type": "Pass", "End": True}}


def store_of(life: EngineFixture) -> SqlStore:
    assert isinstance(life.store, SqlStore)
    return life.store


class Held(asyncio.Event):
    """Set it to let what is held go on. `reached`: whether there is something."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def stop(self) -> None:
        self.reached.set()
        await self.wait()


def hold(part: object, name: str, monkeypatch: pytest.MonkeyPatch) -> Held:
    """The next call of that method of the store, or of its database, reads now, and is answered
    only when the event is set.
    """
    method: Callable[..., Awaitable[Any]] = getattr(part, name)
    released = Held()

    async def held(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(part, name, method)
        answer = await method(*arguments, **options)
        await released.stop()
        return answer

    monkeypatch.setattr(part, name, held)
    return released


def hold_commits(life: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> Held:
    """No commit begins until the event is set."""
    commit, released = life.store.commit, Held()

    async def held(units: Any) -> None:
        await released.stop()
        await commit(units)

    monkeypatch.setattr(life.store, "commit", held)
    return released


async def soon(call: Awaitable[Any], held: Held | None = None) -> asyncio.Future[Any]:
    """The call has begun, and got as far as it gets; to what is held, if that is given."""
    future = asyncio.ensure_future(call)
    await (asyncio.sleep(0.05) if held is None else asyncio.wait_for(held.reached.wait(), 60))
    assert not future.done()
    return future


async def test_starts_that_ask_for_a_name_at_once_are_one_execution(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store reads that the name is free, for one of them; the next read is for all others."""
    machine = await life.machine({"W": wait(60)})
    released = hold(store_of(life).database, "rows", monkeypatch)
    calls = [
        await soon(life.engine.start_execution(machine, name="n", input=input))
        for input in ("1", "1", "2", "1")
    ]
    released.set()
    first, same, other, last = await asyncio.gather(*calls, return_exceptions=True)
    assert first == same == last and isinstance(first, dict)
    assert isinstance(other, ApiError) and other.code == "ExecutionAlreadyExists"
    assert len((await life.engine.list_all_executions())["executions"]) == 1


async def test_a_name_that_cannot_be_looked_up_fails_every_start_that_waits(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await life.machine(PASS)

    rows = store_of(life).database.rows

    async def fail(name: str, *values: Any) -> list[Any]:
        if name != "taken":
            return await rows(name, *values)
        await asyncio.sleep(0.05)
        raise StoreError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(store_of(life).database, "rows", fail)
        calls = [life.engine.start_execution(machine, name=name) for name in "abc"]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError] * 3
    assert await life.engine.start_execution(machine, name="a")


async def test_wait_finds_an_end_that_came_and_was_forgotten(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store said that it runs; meanwhile it has ended, and so have as many others as are
    remembered.
    """
    life = await small(recent_executions=1)
    machine = await life.machine({"W": wait(60)})
    arns = [
        (await life.engine.start_execution(machine, name=name))["executionArn"]
        for name in ("first", "second")
    ]
    await life.restart()
    released = hold(life.store, "describe", monkeypatch)
    late = await soon(life.engine.wait(arns[0]), released)
    await life.after(61)
    quick = await life.engine.start_execution(await life.machine(PASS, name="quick"))
    assert (await life.finish(quick["executionArn"]))["status"] == "SUCCEEDED"
    released.set()
    assert (await asyncio.wait_for(late, 60))["status"] == "SUCCEEDED"
    assert not life.engine.tracker.waiters


async def test_a_start_whose_caller_is_cancelled_continues(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is repeated before it is durable: it is the same one."""
    machine = await life.machine({"W": wait(60)})
    released = hold_commits(life, monkeypatch)
    (await soon(life.engine.start_execution(machine, name="n"), released)).cancel()
    again = await soon(life.engine.start_execution(machine, name="n"))
    released.set()
    assert (await again)["executionArn"].endswith(":n")
    assert len((await life.engine.list_all_executions())["executions"]) == 1


async def test_a_start_that_fails_was_never_acknowledged(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two callers wait for the same start, which fails: both get an error."""
    machine = await life.machine({"W": wait(60)})
    released = hold_commits(life, monkeypatch)
    starts = [
        await soon(life.engine.start_execution(machine, name="n"), until)
        for until in (released, None)
    ]
    life.store.fails = "before"
    released.set()
    for answer in await asyncio.wait_for(asyncio.gather(*starts, return_exceptions=True), 60):
        assert isinstance(answer, StoreError), answer


async def test_a_start_fails_while_its_repetition_reads_that_it_is_not_durable(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await life.machine({"W": wait(60)})
    commits = hold_commits(life, monkeypatch)
    first = await soon(life.engine.start_execution(machine, name="n"), commits)
    read = hold(life.store, "describe", monkeypatch)
    again = await soon(life.engine.start_execution(machine, name="n"), read)
    life.store.fails = "before"
    commits.set()
    with pytest.raises(StoreError):
        await asyncio.wait_for(first, 60)
    read.set()
    with pytest.raises(StoreError):
        await asyncio.wait_for(again, 60)


async def test_a_start_ends_while_its_repetition_reads_that_it_is_not_durable(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is forgotten, as many others have ended since."""
    life = await small(recent_executions=0)
    machine = await life.machine(PASS)
    commits = hold_commits(life, monkeypatch)
    first = await soon(life.engine.start_execution(machine, name="n"), commits)
    read = hold(life.store, "describe", monkeypatch)
    again = await soon(life.engine.start_execution(machine, name="n"), read)
    commits.set()
    started = await asyncio.wait_for(first, 60)
    await life.calm()
    assert await life.status(started["executionArn"]) == "SUCCEEDED"
    read.set()
    assert await asyncio.wait_for(again, 60) == started


async def test_a_caller_that_waits_for_capacity_gets_a_failure(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await small(queue_units=2)
    machine = await life.machine({"W": wait(60)})
    released = hold_commits(life, monkeypatch)
    # without names, which would be looked up between the waiting and the start
    starts = [await soon(life.engine.start_execution(machine)) for _ in range(6)]
    assert len(life.engine.worker.live) < 6
    life.store.fails = "before"
    released.set()
    for answer in await asyncio.wait_for(asyncio.gather(*starts, return_exceptions=True), 60):
        assert isinstance(answer, StoreError), answer


async def test_first_starts_after_a_restart(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several callers at once, while the definition is still being read: one execution, and one
    answer for all.
    """
    machine = await life.machine({"W": wait(60)})
    await life.restart()
    answers = await asyncio.gather(
        *(life.engine.start_execution(machine, name="n") for _ in range(5))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len((await life.engine.list_all_executions())["executions"]) == 1


@pytest.mark.parametrize("read", ["describe", "history"])
async def test_waiting_does_not_miss_the_end(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """The execution closes between the read that finds it running and the waiting for a change."""
    arn = await life.start({"W": wait(60)})
    await life.restart()

    async def watched() -> list[str]:
        return [event["type"] async for event in life.engine.watch(arn, after=2)]

    released = hold(life.store, read, monkeypatch)
    late = await soon(watched() if read == "history" else life.engine.wait(arn), released)
    await life.engine.stop_execution(arn)
    released.set()
    ended = await asyncio.wait_for(late, 60)
    assert ended == ["ExecutionAborted"] if read == "history" else ended["status"] == "ABORTED"


async def test_two_create_the_same_machine(life: EngineFixture) -> None:
    """One of them creates it; the other is refused, unless the definitions are equal."""
    definitions = [
        json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": n, "End": True}}})
        for n in (1, 2, 1)
    ]
    calls = [life.engine.create_state_machine("m", definition) for definition in definitions]
    one, other, same = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(one, dict) and one == same
    assert isinstance(other, ApiError) and other.code == "StateMachineAlreadyExists"
    assert (await life.engine.describe_state_machine(one["stateMachineArn"]))[
        "definition"
    ] == definitions[0]


@pytest.mark.parametrize("held", ["machine", "put_machine"])
async def test_a_machine_updated_while_it_is_read(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Once the update is acknowledged, every new execution runs the new definition."""
    machine = await life.machine(PASS)
    await life.restart()
    released = hold(life.store, held, monkeypatch)
    changed = json.dumps(
        {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": "new", "End": True}}}
    )
    updated = await soon(life.engine.update_state_machine(machine, definition=changed), released)
    early = asyncio.ensure_future(life.engine.describe_state_machine(machine))
    await asyncio.sleep(0.05)
    released.set()
    await asyncio.gather(updated, early)
    started = await life.engine.start_execution(machine)
    assert (await life.finish(started["executionArn"]))["output"] == '"new"'


@pytest.mark.parametrize("report", ["send_task_success", "send_task_failure"])
async def test_a_second_report_is_refused_only_once_the_first_is_durable(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    """A worker that gets TaskTimedOut does not report again: so the end of the task must be
    durable.
    """
    arn = await life.start({"A": ASK})
    asked = life.tokens[0]
    commit, released = life.store.commit, asyncio.Event()

    async def slow(units: Any) -> None:
        await released.wait()
        raise StoreError("no space left on device")

    monkeypatch.setattr(life.store, "commit", slow)
    first, second = (
        await soon(life.engine.send_task_success(asked, "1")),
        await soon(getattr(life.engine, report)(asked, "2")),
    )
    stopping = await soon(life.engine.stop_execution(arn))
    monkeypatch.setattr(life.store, "commit", commit)
    released.set()
    for call in (first, second, stopping):
        with pytest.raises(StoreError):
            await asyncio.wait_for(call, 60)
    await life.restart()
    await life.engine.send_task_success(asked, "3")
    assert (await life.finish(arn))["output"] == "3"


async def test_one_load_for_many(life: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that waited for a load finds that another one let the execution leave memory: it
    loads it once more.
    """
    arn = await life.start({"W": wait(DAY)})
    worker, row = life.engine.worker, await life.store.describe(arn)
    assert row is not None and not worker.live
    released = hold_commits(life, monkeypatch)
    for event in (Tick(), Tick(), Stop("First", None)):
        worker.send(row.id, event)
    await asyncio.wait_for(released.reached.wait(), 60)
    worker.send(row.id, Stop("Second", None))
    await asyncio.sleep(0.05)
    released.set()
    assert (await life.finish(arn))["error"] == "First"
    await life.calm()
    life.engine.worker.check()  # the second found it closed


async def test_an_end_while_a_long_evaluation_runs(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All callers that wait for the decision, or for one behind it, get an error."""
    output = "{% $sum([1..9000].($ * 2)) %}"
    machine = await life.machine(
        {"P": {"Type": "Pass", "Output": output, "End": True}}, QueryLanguage="JSONata"
    )

    async def endless(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "to_thread", endless)
    await life.engine.start_execution(machine, name="n")
    [live] = life.engine.worker.live.values()
    async with asyncio.timeout(60):
        while live.backlog is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    ticks = [asyncio.get_running_loop().create_future() for _ in range(2)]
    for tick in ticks:
        life.engine.worker.submit(live, Tick(), tick)
    await life.engine.close()
    for tick in ticks:
        with pytest.raises(StoreError, match="the engine is closed"):
            await asyncio.wait_for(tick, 60)


async def test_polls_that_found_nothing_make_room(small: Small) -> None:
    life = await small(pollers=2)
    await life.engine.create_activity("hands")
    for _ in range(4):
        assert await life.engine.get_activity_task(ACTIVITY, timeout=0.01) == {}
    waiting = [await soon(life.engine.get_activity_task(ACTIVITY, timeout=60)) for _ in range(2)]
    await refused(
        life.engine.get_activity_task(ACTIVITY),
        "ActivityWorkerLimitExceeded",
        messages.POLLER_LIMIT,
    )
    waiting.pop().cancel()
    await asyncio.sleep(0)
    waiting.append(await soon(life.engine.get_activity_task(ACTIVITY, timeout=60)))
    for call in waiting:
        call.cancel()


async def test_a_poller_that_is_cancelled_leaves_the_task(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any step: either it had taken the task, which the history shows, or another one gets
    it.
    """
    await life.engine.create_activity("hands")
    machine = await life.machine({"H": HAND})
    queues = life.engine.activities.queues
    offer, got = queues.offer, []

    def leave(steps: int, caller: asyncio.Future[Any]) -> None:
        if steps:
            asyncio.get_running_loop().call_soon(leave, steps - 1, caller)
        else:
            caller.cancel()

    for steps in range(6):
        leaving, other = (
            asyncio.ensure_future(life.engine.get_activity_task(ACTIVITY, timeout=60))
            for _ in range(2)
        )
        await asyncio.sleep(0)

        def offer_and_leave(
            *arguments: Any, steps: int = steps, caller: asyncio.Future[Any] = leaving
        ) -> bool:
            offered = offer(*arguments)
            leave(steps, caller)
            return offered

        monkeypatch.setattr(queues, "offer", offer_and_leave)
        arn = (await life.engine.start_execution(machine))["executionArn"]
        async with asyncio.timeout(60):
            while "ActivityStarted" not in await life.types(arn):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await life.calm()
        got.append(other.done())
        other.cancel()
        assert (await life.types(arn)).count("ActivityStarted") == 1
        await life.engine.stop_execution(arn)
    assert set(got) == {True, False}, "the steps were to end on either side"


async def test_tasks_end_with_their_execution(life: EngineFixture) -> None:
    """A task that was answered by its token while its call still ran: the call is cancelled when
    the execution closes.
    """
    arn = await life.start({"H": task("hang")})
    [live] = life.engine.worker.live.values()
    await life.engine.send_task_success(token(live.x, 1, live.x.frames[1].seq), '"early"')
    await life.calm()
    assert (await life.status(arn), life.calls) == ("SUCCEEDED", ["hang", "cancelled"])
    assert not life.engine.worker.live


async def test_a_machine_stays_for_an_express_execution_whose_start_is_not_durable_yet(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await life.machine({"T": task("hang")}, type="EXPRESS")
    released = hold_commits(life, monkeypatch)
    early = await soon(life.engine.start_execution(machine), released)
    await life.engine.delete_state_machine(machine)
    await asyncio.sleep(0.05)
    assert (await life.engine.describe_state_machine(machine))["status"] == "DELETING"
    released.set()
    await early
    await life.calm()
    assert (await life.engine.describe_state_machine(machine))["status"] == "DELETING"
