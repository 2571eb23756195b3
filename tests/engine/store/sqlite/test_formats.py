"""Databases that were made before open, and go on.

format1.db.zst was written by the last stepwell before checksums (blobs of format 1, a database of
format 1): an execution that waits for an hour, with a payload row; an inline Map with rows for its
items and results; a Map Run of which one child waits; a task in flight; an asynchronous Express
execution; closed ones; two records.

map_runs4.db.zst was written by the last version of format 4, killed while four Map Runs of 30
Express children were half done: m0 of a state's input, m1 with an ItemReader, m2 with a
ResultWriter, m3 with both.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.engine.engine_fixture import EngineFixture, ManualClock

from stepwell.engine import Engine
from stepwell.engine.search.queries import read as read_query
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.integrations.tasks.registry import Registry

FOLDER = Path(__file__).parent
ARN = "arn:aws:states:us-east-1:123456789012:execution:"


def unpacked(name: str, folder: Path) -> Path:
    made = folder / "old.db"
    made.write_bytes(zstandard.ZstdDecompressor().decompress((FOLDER / name).read_bytes()))
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return unpacked("format1.db.zst", tmp_path)


async def test_all_of_it_is_read(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    assert await store.records("") == [("other", b'{"a": 1}'), ("sqs/x", b"\x81\xa1a\x01")]
    rows = await store.list_executions()
    assert len(rows) == 11
    for row in rows:
        described = await store.describe(row.arn)
        assert described is not None and described.input is not None
        assert await store.history(row.id) or row.express
        if row.status == "RUNNING":
            assert await store.load(row.id) is not None
    assert len(await store.machines()) == 7 and len(await store.activities()) == 1
    await store.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_its_errors_are_found(path: Path, read_only: bool) -> None:
    """Of executions that ended before there was an index of them."""
    store = SqliteStore(path, read_only=read_only)
    await store.open()
    rows = await store.list_executions()
    failed = [row.id for row in rows if row.error is not None and row.parent is None]
    wanted = read_query('error>=""', 0, str)
    found, after = await store.search(wanted)
    assert failed and [row.id for row in found] == failed and after is None
    await store.close()


async def test_its_executions_go_on(path: Path) -> None:
    life = EngineFixture(path)
    await life.open()
    life.clock.advance(3_700_000)
    await life.calm()
    await life.calm()
    assert {
        name: await life.status(ARN + name)
        for name in ("waits:w", "maps:m", "runs:d", "passes:p0", "tasks:t")
    } == {
        **dict.fromkeys(("waits:w", "maps:m", "runs:d", "passes:p0"), "SUCCEEDED"),
        "tasks:t": "RUNNING",
    }
    assert life.calls == ["hang"]
    await life.engine.stop_execution(ARN + "tasks:t")
    await life.engine.close()


async def test_its_map_runs_go_on(tmp_path: Path) -> None:
    """Their items and results were in the continuation, and a bit for each child that had ended."""
    clock = ManualClock()
    written: Callable[[Any], Any] = lambda payload: sorted(payload["Results"])
    registry = Registry({"arn:aws:states:::s3:putObject": written})
    path = unpacked("map_runs4.db.zst", tmp_path)
    async with Engine(path, tasks=registry, clock=clock) as engine:
        for name in ("m0:x", "m1:x", "m2:x", "m3:x"):
            ended = asyncio.ensure_future(engine.wait(ARN + name, 60))
            while not ended.done():
                await asyncio.sleep(0.001)
                clock.advance(1_000)
            assert json.loads((await ended)["output"]) == list(range(30))
