"""Databases that were made before open, and go on.

format1.db.zst was written by the last stepwell before checksums (blobs of format 1, a database of
format 1): an execution that waits for an hour, with a payload row; an inline Map with rows for its
items and results; a Map Run of which one child waits; a task in flight; an asynchronous Express
execution; closed ones; two records.
"""

from pathlib import Path

import pytest
import zstandard
from tests.engine.engine_fixture import EngineFixture

from stepwell.engine.store.sqlite.store import SqliteStore

OLD = Path(__file__).with_name("format1.db.zst")
ARN = "arn:aws:states:us-east-1:123456789012:execution:"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "old.db"
    made.write_bytes(zstandard.ZstdDecompressor().decompress(OLD.read_bytes()))
    return made


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
