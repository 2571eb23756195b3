"""Records: what a task publishes is stored with its success, in one transaction, or not at all."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl.resources import Resource
from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError, ExecutionParkedError, StoreError
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.engine.tasks import TaskRequest, TaskResult, Transaction

MACHINE = (
    '{"StartAt": "P", "States": {"P": {"Type": "Task", "Resource": '
    '"arn:aws:lambda:us-east-1:123456789012:function:publish", "End": true}}}'
)


class Publisher:
    """Tasks that publish a record under their execution's name. `durable`: those whose `then` was
    called.
    """

    on_status = mock_fault = mocks = None

    def __init__(self) -> None:
        self.durable: list[str] = []
        self.go, self.heard = asyncio.Event(), asyncio.Event()
        self.go.set()

    def connect(self, engine: Any) -> None: ...

    def known_text(self, text: str) -> str | None:
        return None

    def resolve(self, resource: Resource) -> Any:
        return self.publish

    async def publish(self, request: TaskRequest) -> TaskResult:
        name = request.execution_arn.rpartition(":")[2]
        await self.go.wait()
        return Transaction(
            {"published": name},
            {f"message/{name}": b"hello", "count": None},
            partial(self.hear, name),
        )

    def hear(self, name: str) -> None:
        self.durable.append(name)
        self.heard.set()

    async def close(self) -> None: ...


class Failing(SqliteStore):
    broken = False

    async def commit(self, units: Any) -> Any:
        if self.broken and any(unit.writes for unit in units):
            raise StoreError("no space left on device")
        return await super().commit(units)


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
async def test_published_with_the_task(tmp_path: Path, type: str) -> None:
    tasks = Publisher()
    async with Engine(tmp_path / "e.db", tasks=tasks) as engine:
        await engine.records.write({"count": b"1", "other": b"2"})
        arn = (await engine.create_state_machine("m", MACHINE, type=type))["stateMachineArn"]
        name = (await engine.start_execution(arn, name="one"))["executionArn"]
        if type == "STANDARD":
            assert (await engine.wait(name))["output"] == '{"published":"one"}'
        await asyncio.wait_for(tasks.heard.wait(), 60)
        key = f"message/{tasks.durable[0]}"
        assert [key async for key, _ in engine.records.all("", page=1)] == [key, "other"]
        assert (
            await engine.records.get("count") is None and await engine.records.get(key) == b"hello"
        )
    async with Engine(tmp_path / "e.db", tasks=Publisher()) as engine:
        assert await engine.records.get(key) == b"hello"


async def test_an_attempt_that_is_over_publishes_nothing(tmp_path: Path) -> None:
    tasks = Publisher()
    tasks.go.clear()
    async with Engine(tmp_path / "e.db", tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", MACHINE))["stateMachineArn"]
        name = (await engine.start_execution(arn, name="one"))["executionArn"]
        await engine.stop_execution(name)
        tasks.go.set()
        await asyncio.sleep(0.02)
        assert not tasks.durable and await engine.records.get("message/one") is None


async def test_neither_the_message_nor_the_success_if_the_store_fails(tmp_path: Path) -> None:
    tasks = Publisher()
    store = Failing(tmp_path / "e.db")
    async with Engine(store=store, tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", MACHINE))["stateMachineArn"]
        store.broken = True
        name = (await engine.start_execution(arn, name="one"))["executionArn"]
        with pytest.raises(StoreError):
            await engine.wait(name)
        with pytest.raises(StoreError):
            await engine.records.write({"late": b""})
    again = Publisher()
    async with Engine(tmp_path / "e.db", tasks=again) as engine:
        assert not tasks.durable and await engine.records.get("late") is None
        assert (await engine.wait(name))["status"] == "SUCCEEDED"
        assert await engine.records.get("message/one") == b"hello" and again.durable == ["one"]


async def test_then_is_called_once_records_are_durable_even_if_the_caller_is_cancelled(
    tmp_path: Path,
) -> None:
    durable: list[str] = []
    async with Engine(tmp_path / "r.db") as engine:
        await engine.records.write({"a": b"1"}, partial(durable.append, "a"))
        assert durable == ["a"]
        leaving = asyncio.create_task(
            engine.records.write({"b": b"2"}, partial(durable.append, "b"))
        )
        await asyncio.sleep(0)
        leaving.cancel()
        await engine.records.write({"c": b"3"})
        assert durable == ["a", "b"] and await engine.records.get("b") == b"2"


async def test_then_is_not_called_for_records_that_the_store_refused(tmp_path: Path) -> None:
    durable: list[str] = []
    store = Failing(tmp_path / "r.db")
    engine = Engine(store=store)
    await engine.open()
    store.broken = True
    with pytest.raises(StoreError):
        await engine.records.write({"a": b"1"}, partial(durable.append, "a"))
    await engine.close()
    assert durable == []


# --- Express: of the execution nothing is stored, of what its tasks publish everything ------------


class Held(SqliteStore):
    """Commits that hold records wait until `free` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free, self.reached = asyncio.Event(), asyncio.Event()

    async def commit(self, units: Any) -> Any:
        if any(unit.writes for unit in units):
            self.reached.set()
            await self.free.wait()
        return await super().commit(units)


TWO = MACHINE.replace(
    '"End": true}}',
    (
        '"Next": "Q"}, "Q": {"Type": "Task", "Resource": '
        '"arn:aws:lambda:us-east-1:123456789012:function:q", "End": true}}'
    ),
)


async def test_the_answer_of_a_synchronous_express_execution_waits_for_its_records(
    tmp_path: Path,
) -> None:
    tasks, store = Publisher(), Held(tmp_path / "e.db")
    async with Engine(store=store, tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", MACHINE, type="EXPRESS"))["stateMachineArn"]
        answer = asyncio.create_task(engine.start_sync_execution(arn, name="one"))
        watched = (await engine.watch_express_execution(arn))["executionArn"]
        await store.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert (
            not answer.done() and (await engine.inspect_execution(watched))["status"] == "RUNNING"
        )
        store.free.set()
        assert (await asyncio.wait_for(answer, 60))["status"] == "SUCCEEDED" and tasks.durable
        assert await engine.records.get(f"message/{tasks.durable[0]}") == b"hello"
        assert (await asyncio.wait_for(engine.wait(watched), 60))[
            "status"
        ] == "SUCCEEDED" and not engine.worker.live


async def test_the_next_task_of_an_express_execution_waits_for_the_records_of_the_last(
    tmp_path: Path,
) -> None:
    tasks, store = Publisher(), Held(tmp_path / "e.db")
    begun: list[str] = []
    publish = tasks.publish

    async def noted(request: TaskRequest) -> TaskResult:
        begun.append(request.state_name)
        return await publish(request)

    tasks.publish = noted  # type: ignore[method-assign]
    async with Engine(store=store, tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", TWO, type="EXPRESS"))["stateMachineArn"]
        answer = asyncio.create_task(engine.start_sync_execution(arn, name="one"))
        await store.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert begun == ["P"]
        store.free.set()
        assert (await asyncio.wait_for(answer, 60))["status"] == "SUCCEEDED" and begun == ["P", "Q"]


async def test_no_answer_of_an_express_execution_whose_records_are_lost(tmp_path: Path) -> None:
    tasks, store = Publisher(), Failing(tmp_path / "e.db")
    async with Engine(store=store, tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", MACHINE, type="EXPRESS"))["stateMachineArn"]
        store.broken = True
        with pytest.raises(StoreError):
            await asyncio.wait_for(engine.start_sync_execution(arn, name="one"), 60)
        assert not tasks.durable


async def test_the_end_of_an_asynchronous_express_execution_is_reported_with_its_records(
    tmp_path: Path,
) -> None:
    """Its end is stored (nothing is left of it) in the transaction of the last records: it does not
    begin again after it was reported.
    """
    tasks, store = Publisher(), Held(tmp_path / "e.db")
    async with Engine(store=store, tasks=tasks) as engine:
        arn = (await engine.create_state_machine("m", MACHINE, type="EXPRESS"))["stateMachineArn"]
        started = (await engine.start_execution(arn, name="one"))["executionArn"]
        await store.reached.wait()
        assert not tasks.durable and engine.worker.live
        store.free.set()
        await asyncio.wait_for(tasks.heard.wait(), 60)
        assert await engine.store.describe(started) is None and not engine.worker.live


async def test_an_express_execution_that_stores_nothing_waits_for_no_commit(tmp_path: Path) -> None:
    store = Held(tmp_path / "e.db")
    async with Engine(store=store) as engine:
        passing = MACHINE.replace(
            '"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:publish"',
            '"Type": "Pass"',
        )
        arn = (await engine.create_state_machine("m", passing, type="EXPRESS"))["stateMachineArn"]
        writing = asyncio.create_task(engine.records.write({"other": b""}))
        await store.reached.wait()
        try:
            assert (await asyncio.wait_for(engine.start_sync_execution(arn), 60))[
                "status"
            ] == "SUCCEEDED"
        finally:
            store.free.set()
        await writing


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS", "SYNC"])
async def test_a_key_that_is_no_text_harms_its_execution_only(tmp_path: Path, kind: str) -> None:
    publisher = Publisher()

    async def publish(request: TaskRequest) -> TaskResult:
        name = request.execution_arn.split(":")[7]
        return Transaction(
            name, {("message/\ud800" if name == "bad" else f"message/{name}"): b"hello"}
        )

    publisher.publish = publish  # type: ignore[method-assign]
    engine = Engine(store=SqliteStore(tmp_path / "e.db"), tasks=publisher)
    await engine.open()
    try:
        with pytest.raises(ApiError, match="ValidationException"):
            await engine.records.write({"a": b"1", "\udfff": b"2"})
        machine = (
            await engine.create_state_machine(
                "m", MACHINE, type="STANDARD" if kind == "STANDARD" else "EXPRESS"
            )
        )["stateMachineArn"]

        async def run(name: str) -> Any:
            if kind == "SYNC":
                return await engine.start_sync_execution(machine, name=name)
            start = engine.start_execution if kind == "STANDARD" else engine.watch_express_execution
            return await engine.wait((await start(machine, name=name))["executionArn"])

        done = await asyncio.gather(run("good1"), run("bad"), run("good2"), return_exceptions=True)
        assert isinstance(done[1], ExecutionParkedError), done[1]
        assert done[0]["status"] == done[2]["status"] == "SUCCEEDED"
        assert engine.worker.failed is None and (await run("good3"))["status"] == "SUCCEEDED"
        assert [key async for key, _ in engine.records.all("")] == [
            "message/good1",
            "message/good2",
            "message/good3",
        ]
    finally:
        await engine.close()


async def test_time_does_not_go_back_behind_records(tmp_path: Path) -> None:
    """What a service stores by itself counts as well: a message that is hidden until then would be
    hidden for longer.
    """
    clock = ManualClock()
    async with Engine(tmp_path / "x.db", clock=clock) as engine:
        clock.advance(5_000_000)
        await engine.records.write({"a": b"1"})
    async with Engine(tmp_path / "x.db", clock=ManualClock()) as engine:
        assert engine.clock.now() >= clock.now()
