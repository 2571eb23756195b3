"""One owner of a database, under whatever name and whatever is deleted: checked at the opening and
at each commit.
"""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engine.store.machines import Run

from stepwell.engine import Engine
from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import StoreInUseError, StoreLostError, Writes
from stepwell.engine.store.opening import open_store
from stepwell.engine.store.sqlite import database
from stepwell.engine.store.sqlite.store import SqliteStore

ROOT = Path(__file__).resolve().parents[4]
OPEN = """
import asyncio, sys
from stepwell.engine.store.sqlite.store import SqliteStore
try:
    asyncio.run(SqliteStore(sys.argv[1]).open())
except Exception as error:
    print(type(error).__name__, error)
"""


async def opened_elsewhere(path: Path) -> str:
    """What another process says that opens a database."""
    arguments = [sys.executable, "-c", OPEN, str(path)]
    other = await asyncio.create_subprocess_exec(
        *arguments, env=os.environ | {"PYTHONPATH": str(ROOT / ".dev")}, stdout=subprocess.PIPE
    )
    answer, _ = await asyncio.wait_for(other.communicate(), 60)
    return answer.decode()


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    made = SqliteStore(tmp_path / "one.db")
    await made.open()
    yield made
    await made.close()


async def commits(store: SqliteStore, key: str) -> None:
    await store.commit([Writes({key: b"{}"})])


@pytest.mark.parametrize("other", ["symbolic", "hard", "folder", "unlocked"])
async def test_no_other_name_of_a_database_opens_it_twice(
    store: SqliteStore, tmp_path: Path, other: str
) -> None:
    name = tmp_path / "two.db"
    if other == "symbolic":
        name.symlink_to(tmp_path / "one.db")
    elif other == "hard":
        os.link(tmp_path / "one.db", name)
    elif other == "folder":
        (tmp_path / "linked").symlink_to(tmp_path)
        name = tmp_path / "linked" / "one.db"
    else:
        name = tmp_path / "one.db"
        os.unlink(tmp_path / "one.db.lock")
    assert "StoreInUseError" in await opened_elsewhere(name)
    with pytest.raises(StoreInUseError):
        await SqliteStore(name).open()
    await commits(store, "still ours")
    await store.close()
    again = SqliteStore(name)
    await again.open()
    await commits(again, "theirs")
    await again.close()


async def test_the_opened_of_two_owners_that_no_lock_keeps_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system whose locks do nothing: the epoch in the database alone decides, within each
    transaction.
    """

    class NoLock:
        wal_bytes = 0

        def __init__(self, path: str) -> None: ...
        def watch(self) -> None: ...
        def check(self) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(database, "LockedFile", NoLock)
    first, second = SqliteStore(tmp_path / "one.db"), SqliteStore(tmp_path / "one.db")
    await first.open()
    await commits(first, "before")
    await second.open()
    await commits(second, "taken over")
    with pytest.raises(StoreLostError, match="another owner"):
        await commits(first, "too late")
    with pytest.raises(StoreError, match="another owner"):
        first.check()
    await commits(second, "after")
    assert [key for key, _ in await second.records("")] == ["after", "before", "taken over"]
    third = SqliteStore(tmp_path / "one.db")
    await third.open()
    with pytest.raises(StoreLostError):  # every transaction asks, not only those of executions
        await second.delete_machine("arn")
    for each in (first, second, third):
        await each.close()


def _delete(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    shutil.copy(path, f"{path}.copy")
    os.replace(f"{path}.copy", path)


@pytest.mark.parametrize("part", ["", "-wal", "-shm"])
@pytest.mark.parametrize("harm", [_delete, _replace])
async def test_a_missing_file_is_a_store_failure(
    store: SqliteStore, tmp_path: Path, harm: Any, part: str
) -> None:
    run = Run(store, "tasks")
    await store.commit(run.taken())
    harm(tmp_path / f"one.db{part}")
    with pytest.raises(StoreLostError, match="missing" if harm is _delete else "replaced"):
        await commits(store, "lost")
    for fails in (commits(store, "lost"), store.load(run.id)):
        with pytest.raises(StoreError):
            await fails
    with pytest.raises(StoreError):
        store.check()


async def test_an_engine_whose_database_was_deleted_fails_at_its_next_look(tmp_path: Path) -> None:
    async with Engine(tmp_path / "one.db") as engine:
        failed: list[BaseException] = []
        engine.worker.on_failure = lambda error, execution: failed.append(error)
        await engine.create_activity("a")
        (tmp_path / "one.db").unlink()
        engine.worker.spawn(engine.worker.wakes.scan())
        async with asyncio.timeout(60):
            while not failed:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert "missing" in str(failed[0])


async def test_the_files_of_a_database_are_the_owner_s(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    for _ in range(2):  # a new one, and one that others could read
        store = SqliteStore(path)
        await store.open()
        await commits(store, "secret")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
        assert modes == dict.fromkeys(("one.db", "one.db-wal", "one.db-shm", "one.db.lock"), 0o600)
        await store.close()
        for each in tmp_path.iterdir():
            each.chmod(0o644)


async def test_a_url_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (
        "postgresql:/me@host/db",
        "mysql+x://h",
        "file:///tmp/a.db",
    ):
        with pytest.raises(StoreError, match=r"no store for .*: give a path"):
            open_store(url)
    for url in ("sqlite:/one.db", "sqlite://one.db"):
        with pytest.raises(StoreError, match="sqlite:///PATH"):
            open_store(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["one.db", "sqlite:///one.db", "sqlite:///{folder}/one.db"])
async def test_names_of_a_database(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(name.format(folder=tmp_path))
    await store.open()
    await store.commit([Writes({"a": b""})])
    await store.close()
    assert (tmp_path / "one.db").stat().st_size
    for memory in (":memory:", "sqlite:///:memory:"):
        assert open_store(memory).folder is None


async def test_the_owner_may_be_read_beside(store: SqliteStore, tmp_path: Path) -> None:
    await commits(store, "a")
    reader = SqliteStore(tmp_path / "one.db", read_only=True)
    await reader.open()
    assert [key for key, _ in await reader.records("")] == ["a"]
    await reader.close()
    with sqlite3.connect(tmp_path / "one.db") as connection:
        assert connection.execute("SELECT count(*) FROM record").fetchone() == (1,)
    connection.close()
    await commits(store, "b")
