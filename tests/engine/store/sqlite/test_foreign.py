"""Other programs at the database: one that writes is waited for, one that reads keeps the log from
being cut, and no longer.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stepwell.engine import Engine
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store.base import Writes
from stepwell.engine.store.sqlite import database
from stepwell.engine.store.sqlite.store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.db"


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_a_foreign_write_lock_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For longer than SQLite's five seconds, by a commit, which is logged, and by an opening."""

    async def waits(name: str, opened: bool) -> None:
        store = SqliteStore(tmp_path / name)
        await store.open()
        if not opened:
            await store.close()
        with closing(sqlite3.connect(tmp_path / name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            work = store.commit([Writes({"a": b""})]) if opened else store.open()
            waiting = asyncio.create_task(work)
            await asyncio.sleep(6)
            if opened:
                async with asyncio.timeout(60):
                    while "commit.db is locked by another program" not in caplog.text:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            assert not waiting.done()
            other.execute("COMMIT")
            await asyncio.wait_for(waiting, 60)
        assert [key for key, _ in await store.records("")] == (["a"] if opened else [])
        await store.close()

    await asyncio.gather(waits("commit.db", True), waits("opening.db", False))


async def test_a_lock_that_lasts_is_a_store_failure(path: Path, other: sqlite3.Connection) -> None:
    store = SqliteStore(path, limits=replace(DEFAULT_LIMITS, foreign_lock_seconds=0.3))
    await store.open()
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await asyncio.wait_for(store.commit([Writes({"a": b""})]), 60)
    other.execute("COMMIT")
    await store.close()


async def test_closing_does_not_wait_for_a_lock_for_long(
    path: Path, other: sqlite3.Connection
) -> None:
    engine = Engine(path, limits=replace(DEFAULT_LIMITS, closing_seconds=0.2))
    await engine.open()
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.create_task(engine.records.write({"a": b""}))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(engine.close(), 60)  # the lock is waited for during a minute
    with pytest.raises(StoreError):
        await write
    other.execute("COMMIT")


async def test_the_log_is_cut_when_no_reader_needs_it(
    path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CUT_SECONDS", 0.0)
    most = 1 << 20
    store = SqliteStore(path, full=False, limits=replace(DEFAULT_LIMITS, wal_bytes=most))
    await store.open()
    assert (await store.commit([Writes({"first": b""})])) == {}
    other.execute("BEGIN")
    other.execute(
        "SELECT count(*) FROM record"
    ).fetchone()  # it reads the database as it is now, as long as it likes
    for number in range(40):
        await store.commit([Writes({f"key {number % 4}": bytes([number]) * 100_000})])
    held = store.wal_bytes
    assert held > 3 * most, "SQLite can cut nothing that a reader may still read"
    assert other.execute("SELECT count(*) FROM record").fetchone() == (1,)
    other.execute("COMMIT")
    for _ in range(3):
        await store.commit([Writes({"last": b""})])
    assert store.wal_bytes < most and Path(f"{path}-wal").stat().st_size < most
    for number in range(40):  # and without a reader it never grows far
        await store.commit([Writes({f"key {number % 4}": bytes([number]) * 100_000})])
        assert store.wal_bytes < 2 * most
    await store.close()
