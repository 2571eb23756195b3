"""Map Runs whose dataset is read in chunks and whose results are written in parts."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import Shape

from stepwell.asl.evaluation import Json
from stepwell.engine import Engine
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs import leftovers
from stepwell.engine.map_runs.datasets import Chunk, StreamRequest
from stepwell.engine.store import continuations
from stepwell.engine.tasks import TaskError
from stepwell.integrations.tasks.registry import Registry

PASS: Shape = {"Type": "Pass", "End": True}
LIMITS = Limits(chunk_items=50, children_ahead=60)


class Lines:
    """The JSON Lines of a file. A cursor is [byte, line]."""

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, f"S3://b/{path.name}"

    async def chunk(self, cursor: Json, most_items: int, most_bytes: int) -> Chunk:
        byte, _ = cursor or [0, 0]  # type: ignore[misc]
        items: list[Json] = []
        with self.path.open("rb") as file:
            file.seek(byte)
            while len(items) < most_items and (line := file.readline()):
                if line == b"broken\n":
                    raise TaskError("States.ItemReaderFailed", "a broken line")
                items.append(json.loads(line))
            return Chunk(items, None, [file.tell(), 0] if line else None)

    async def close(self) -> None: ...


class Files:
    """Results as files of a folder."""

    part_bytes = 300

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def begin(self) -> Json:
        return {"parts": 0}

    async def part(self, state: Json, status: str, lines: bytes) -> Json:
        number: int = state["parts"]  # type: ignore[call-overload,index,assignment]
        (self.folder / f"{number:04}-{status}").write_bytes(lines)
        return {"parts": number + 1}

    async def finish(self, state: Json) -> Json:
        return state

    async def close(self) -> None: ...


class Tasks(Registry):
    def __init__(self, folder: Path) -> None:
        super().__init__({"slow": self.slow})
        self.folder, self.seen = folder, asyncio.Semaphore(0)
        self.hold = asyncio.Event()

    async def slow(self, payload: Json) -> Json:
        self.seen.release()
        await self.hold.wait()
        return payload

    async def dataset(self, request: StreamRequest) -> Lines:
        return Lines(self.folder / "items")

    async def results(self, request: StreamRequest) -> Files:
        return Files(self.folder / "out")


class World:
    """An engine whose file, dataset and results lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "out").mkdir()
        self.open()

    def open(self) -> None:
        self.tasks = Tasks(self.folder)
        self.engine = Engine(self.folder / "db", tasks=self.tasks, limits=LIMITS)

    def items(self, *items: Any) -> None:
        (self.folder / "items").write_text("".join(json.dumps(item) + "\n" for item in items))

    def written(self, status: str) -> list[Any]:
        files = sorted((self.folder / "out").glob(f"*-{status}"))
        return [json.loads(line) for file in files for line in file.read_bytes().split(b"\n")]

    async def start(self, machine: Shape) -> str:
        text = json.dumps({"StartAt": "M", "States": {"M": machine}})
        name = f"m{len((await self.engine.list_state_machines())['stateMachines'])}"
        made = await self.engine.create_state_machine(name, text)
        started = await self.engine.start_execution(made["stateMachineArn"])
        return started["executionArn"]

    async def counts(self, arn: str) -> tuple[Any, Any]:
        (run,) = (await self.engine.list_map_runs(arn))["mapRuns"]
        described = await self.engine.describe_map_run(run["mapRunArn"])
        return described["executionCounts"], described["itemCounts"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def over(state: Shape = PASS, kind: str = "EXPRESS", write: bool = True, **fields: Any) -> Shape:
    s3 = "arn:aws:states:::s3:"
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    reader = {
        "Resource": s3 + "getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": "b", "Key": "k"},
    }
    writer = {
        "Resource": s3 + "putObject",
        "Parameters": {"Bucket": "b"},
        "WriterConfig": {"Transformation": "COMPACT"},
    }
    return {
        "Type": "Map",
        "ItemReader": reader,
        "ItemProcessor": {"ProcessorConfig": config, "StartAt": "I", "States": {"I": state}},
        "End": True,
        **({"ResultWriter": writer} if write else {}),
        **fields,
    }


SMALL: Shape = {
    "Type": "Choice",
    "Choices": [{"Variable": "$", "NumericLessThan": 100, "Next": "P"}],
}


def failing_from_100(**fields: Any) -> Shape:
    machine = over(SMALL, **fields)
    machine["ItemProcessor"]["States"]["P"] = PASS
    return machine


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
@pytest.mark.parametrize("concurrency", [0, 7])
async def test_all_items_are_run_and_written_in_their_order(
    world: World, kind: str, concurrency: int
) -> None:
    world.items(*range(333))
    async with world.engine as engine:
        arn = await world.start(over(kind=kind, MaxConcurrency=concurrency))
        ended = await engine.wait(arn, 60)
        assert json.loads(ended["output"])["parts"] > 3
        assert world.written("SUCCEEDED") == list(range(333))
        assert [counts["succeeded"] for counts in await world.counts(arn)] == [333, 333]
        assert engine.worker.live == {}


async def test_a_small_result_is_the_output_and_a_large_one_fails_early(world: World) -> None:
    world.items(*range(120))
    async with world.engine as engine:
        arn = await world.start(over(write=False))
        assert json.loads((await engine.wait(arn, 60))["output"]) == list(range(120))
        world.items(*["x" * 2_000] * 1_000)
        arn = await world.start(over(write=False))
        assert (await engine.wait(arn, 60))["error"] == "States.DataLimitExceeded"
        children, _ = await world.counts(arn)
        assert children["total"] < 1_000


async def test_no_items(world: World) -> None:
    world.items()
    async with world.engine as engine:
        arn = await world.start(over(write=False))
        assert (await engine.wait(arn, 60))["output"] == "[]"


async def test_batches_and_selectors_reach_over_chunks(world: World) -> None:
    world.items(*range(130))
    selector = {"i.$": "$$.Map.Item.Index", "from.$": "$$.Map.Item.Source"}
    async with world.engine as engine:
        batch = {"MaxItemsPerBatch": 40}
        arn = await world.start(over(write=False, ItemBatcher=batch, ItemSelector=selector))
        output = json.loads((await engine.wait(arn, 60))["output"])
        assert [[item["i"] for item in each["Items"]] for each in output] == [
            list(range(first, min(first + 40, 130))) for first in range(0, 130, 40)
        ]
        assert output[3]["Items"][0]["from"] == "S3://b/items"
        assert [counts["succeeded"] for counts in await world.counts(arn)] == [4, 130]


async def test_a_percentage_is_of_all_items(world: World) -> None:
    """The first chunk has too many failures, all of the items have not."""
    world.items(*[100] * 20, *range(99), *range(99))
    async with world.engine as engine:
        arn = await world.start(failing_from_100(ToleratedFailurePercentage=10))
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
        assert len(world.written("FAILED")) == 20
        assert world.written("FAILED")[0]["Status"] == "FAILED"
        arn = await world.start(failing_from_100(ToleratedFailurePercentage=9))
        ended = await engine.wait(arn, 60)
        assert ended["error"] == "States.ExceedToleratedFailureThreshold"


async def test_a_reader_that_fails_halfway(world: World) -> None:
    world.items(*range(80))
    path = world.folder / "items"
    path.write_text(path.read_text() + "broken\n")
    async with world.engine as engine:
        arn = await world.start(over(MaxConcurrency=5))
        ended = await engine.wait(arn, 60)
        assert (ended["error"], ended["cause"]) == ("States.ItemReaderFailed", "a broken line")
        world.items(*range(80))
        await engine.redrive_execution(arn)
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
        assert world.written("SUCCEEDED") == list(range(80))


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
async def test_a_crash_in_the_middle(world: World, kind: str) -> None:
    """What has ended is not run again, the rest is."""
    world.items(*range(230))
    slow = {"Type": "Task", "Resource": "slow", "End": True}
    async with world.engine:
        arn = await world.start(over(slow, kind, MaxConcurrency=100))
        for _ in range(100):
            await world.tasks.seen.acquire()
    world.open()
    async with world.engine as engine:
        world.tasks.hold.set()
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
        assert world.written("SUCCEEDED") == list(range(230))
        assert [counts["total"] for counts in await world.counts(arn)] == [230, 230]


async def test_a_stop_in_the_middle(world: World) -> None:
    world.items(*range(230))
    slow = {"Type": "Task", "Resource": "slow", "End": True}
    async with world.engine as engine:
        arn = await world.start(over(slow, MaxConcurrency=100))
        await world.tasks.seen.acquire()
        await engine.stop_execution(arn)
        assert (await engine.wait(arn, 60))["status"] == "ABORTED"
        children, _ = await world.counts(arn)
        assert children["running"] == 0 and children["aborted"] == 100
        world.tasks.hold.set()
        await engine.redrive_execution(arn)
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
        assert world.written("SUCCEEDED") == list(range(230))


async def test_the_rows_of_a_large_map_run_are_deleted_after_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "LARGE_RUN", 100)
    monkeypatch.setattr(continuations, "LARGE_RUN", 100)
    world.items(*range(130))
    async with world.engine as engine:
        arn = await world.start(over())
        assert (await engine.wait(arn, 60))["status"] == "SUCCEEDED"
        with sqlite3.connect(world.folder / "db") as connection:
            for _ in range(500):
                await asyncio.sleep(0.02)
                left = [
                    connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in ("child_input", "child_output")
                ]
                if left == [0, 0]:
                    break
    assert left == [0, 0]


async def test_functions_in_place_of_s3(tmp_path: Path) -> None:
    s3 = "arn:aws:states:::s3:"
    registry = Registry(
        {
            s3 + "getObject": lambda payload: {"Items": [3, 2], "Source": "S3://b/k"},
            s3 + "putObject": lambda payload: {"written": payload["Results"]},
        }
    )
    async with Engine(tmp_path / "db", tasks=registry) as engine:
        output = await engine.run({"StartAt": "M", "States": {"M": over()}})
    assert output == {"written": [3, 2]}


@pytest.mark.parametrize("table", ["child_input", "child_output"])
async def test_damaged_rows_park_the_execution(world: World, table: str) -> None:
    world.items(*range(230))
    slow = {"Type": "Task", "Resource": "slow", "End": True}
    async with world.engine as engine:
        arn = await world.start(over(slow, MaxConcurrency=20))
        for _ in range(20):
            await world.tasks.seen.acquire()
        with sqlite3.connect(world.folder / "db") as connection:
            connection.execute(
                f"CREATE TRIGGER harm AFTER INSERT ON {table}"
                f" BEGIN UPDATE {table} SET blob = x'00' WHERE rowid = new.rowid; END"
            )
        world.tasks.hold.set()
        while not (parked := await engine.parked_executions()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert arn in str(parked)
        assert (await engine.run({"StartAt": "P", "States": {"P": PASS}})) == {}
        await engine.stop_execution(arn)
        assert (await engine.wait(arn, 60))["status"] == "ABORTED"
