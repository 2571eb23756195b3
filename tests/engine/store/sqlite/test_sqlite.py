"""SQLite: what happens to the file when the process, the disk or the thread fails."""

import asyncio
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.engine.store.machines import DEFINITIONS, Run, flat

from stepwell.engine.core.events import TaskSucceeded
from stepwell.engine.core.model import Payload, Scope
from stepwell.engine.errors import StoreError
from stepwell.engine.store import batch
from stepwell.engine.store.base import Loaded, StoreFormatError, StoreInUseError, Writes
from stepwell.engine.store.batch import ORDER, Change
from stepwell.engine.store.batcher import MERGE_EVENTS, Batcher
from stepwell.engine.store.continuations import PAYLOAD_ROW_BYTES
from stepwell.engine.store.keys import EVENT_BITS
from stepwell.engine.store.sql.check import TABLES
from stepwell.engine.store.sql.migrations import Migration
from stepwell.engine.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from stepwell.engine.store.sqlite.sql import SQL, for_rows
from stepwell.engine.store.sqlite.store import SqliteStore

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stepwell.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(path)
    await made.open()
    yield made
    await made.close()


def rows(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found
    finally:
        connection.close()


# --- opening --------------------------------------------------------------------------------------


async def test_settings(store: SqliteStore, path: Path) -> None:
    async def setting(name: str) -> object:
        return await store.database.writer.run(
            lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]
        )

    assert await setting("journal_mode") == "wal"
    assert await setting("synchronous") == 2
    assert await setting("application_id") == APPLICATION_ID
    assert await setting("user_version") == len(MIGRATIONS)
    with pytest.raises(StoreError, match="read-only"):
        await store.database.reader.run(lambda connection: connection.execute("DELETE FROM meta"))
    await store.close()
    relaxed = SqliteStore(path, full=False)
    await relaxed.open()
    assert (
        await relaxed.database.writer.run(
            lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]
        )
        == 1
    )
    await relaxed.close()


async def test_only_one_may_have_it_open(store: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreInUseError, match=f"in use by process {os.getpid()}"):
        await SqliteStore(path).open()
    script = (
        "import asyncio, sys; from stepwell.engine.store.sqlite.store import SqliteStore; store = "
        "SqliteStore(sys.argv[1]);"
        "\ntry: asyncio.run(store.open())\nexcept Exception as error: print(type(error).__name__)"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), env=environment(), stdout=subprocess.PIPE
    )
    answer, _ = await asyncio.wait_for(other.communicate(), 60)
    assert answer.strip() == b"StoreInUseError"
    await store.close()
    again = SqliteStore(path)
    await again.open()
    await again.close()


@contextmanager
def forked() -> Iterator[None]:
    """A child process, which has the handles of this one, as each has between fork and exec."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.read(reading, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.write(writing, b".")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


async def test_a_child_process_does_not_keep_a_closed_store_locked(
    store: SqliteStore, path: Path
) -> None:
    with forked():
        await store.close()
        again = SqliteStore(path)
        await again.open()
        await again.close()


async def test_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match="format 99, written by a newer version"):
        await store.open()
    assert path.read_bytes() == before


async def test_other_files_are_refused_and_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match="another program"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before
    path.write_bytes(b"plain text, no database\n" * 100)
    with pytest.raises(StoreFormatError, match="not a SQLite database"):
        await SqliteStore(path).open()
    with pytest.raises(StoreError, match="cannot be opened"):
        await SqliteStore(path / "inside").open()


async def test_a_migration_is_done_wholly_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = SqliteStore(path)
    await store.open()
    run = Run(store, "tasks")
    await store.commit(run.taken())
    await store.close()
    step = tmp_path / "more.sql"
    step.write_text("CREATE TABLE more (a); CREATE TABLE meta (b);")
    more = [*MIGRATIONS, Migration(len(MIGRATIONS) + 1, step)]
    monkeypatch.setattr("stepwell.engine.store.sqlite.schema.MIGRATIONS", more)
    with pytest.raises(StoreError, match="already exists"):
        await store.open()
    step.write_text("CREATE TABLE more (a);")
    await store.open()
    assert await store.load(run.id) is not None
    await store.close()
    assert rows(path, "more") == 0


def explained(statement: str, connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?")
    ).fetchall()


CHANGES = {each.name: each for each in vars(batch).values() if isinstance(each, Change)}
WHOLE = {
    # of one row, or read whole: at the opening, by the daily sweep
    *("definition_ids", "definitions_used", "meta", "advance"),
    *("all_series", "all_qualifiers", "all_pins", "delete_unused_series"),
    # of a small table, seldom
    *("count_machines", "parked"),
    # rows of a range of values, sorted by their executions
    *("attribute_within", "attribute_size"),
    # a database of an earlier format that is only read
    "create_empty_attribute",
    # only the first part of others
    *("executions", "map_runs", "all_machines"),
}


async def test_every_statement_uses_an_index(store: SqliteStore) -> None:
    for name, statement in SQL.items():
        text = for_rows(CHANGES[name], 2) if name in CHANGES else statement
        plan = await store.database.writer.run(partial(explained, text))
        steps = [
            str(step)
            for *_, step in plan
            # rows of parameters
            if "CONSTANT ROW" not in str(step)
            and "VIRTUAL TABLE" not in str(step)
            and step != "SCAN changed"
        ]
        assert name in WHOLE or not [
            step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step
        ], (name, steps)
    assert len(SQL) > 60


def test_every_statement_is_used_and_every_change_has_one() -> None:
    folder = ROOT / "engine" / "store"
    sources = [path.read_text() for path in folder.rglob("*.py")]
    used = {name for text in sources for name in re.findall(r'"([a-z_]+)"', text)}
    queries = (folder / "sql" / "queries.sql").read_text()
    used |= set(re.findall(r"\{([a-z_]+)\}", queries))
    used |= {f"check_{table}" for table in TABLES}
    assert SQL.keys() <= used
    for name, change in CHANGES.items():
        assert for_rows(change, 3).count("?") == 3 * change.columns, name
    records = {batch.PUT_RECORD, batch.DELETE_RECORD}
    assert set(CHANGES.values()) == {*ORDER, *records}


# --- failures -------------------------------------------------------------------------------------


async def test_a_full_disk_is_the_end_of_this_store_and_nothing_is_lost(store: SqliteStore) -> None:
    kept = Run(store, "tasks")
    await store.commit(kept.taken())
    await store.database.writer.run(
        lambda connection: connection.execute("PRAGMA max_page_count = 1")
    )
    lost = [Run(store, "tasks", Payload({"text": os.urandom(2_000).hex()})) for _ in range(64)]
    with pytest.raises(StoreError, match="full"):
        await store.commit([unit for run in lost for unit in run.units])
    with pytest.raises(StoreError, match=r"full.*open the store again"):
        await store.commit(lost[0].units)
    with pytest.raises(StoreError, match="open the store again"):
        await store.delete_activity("any")
    assert await store.load(kept.id) is not None  # what is committed can still be read
    await store.close()
    await store.open()
    assert await store.load(lost[0].id) is None
    found = await store.load(kept.id)
    assert found is not None
    assert flat(found.decode(kept.program)) == flat(kept.execution)
    await store.commit(lost[0].units)


@pytest.mark.parametrize("blob", [b"", b"\x81broken", b"\x01\xc1", b"\x01\x01", b"\x02future"])
async def test_damaged_rows_are_named_as_such(store: SqliteStore, blob: bytes) -> None:
    run = Run(store, "tasks")
    await store.commit(run.taken())
    await store.database.writer.run(
        lambda connection: connection.execute("UPDATE history SET blob = ?", (blob,))
    )
    for read in (store.history(run.id), store.load(run.id)):
        with pytest.raises(StoreFormatError):
            await read
    described = await store.describe(run.execution.arn)
    assert (
        described is not None and described.input is None and described.name == run.execution.name
    )


async def test_a_damaged_execution_does_not_affect_loads_beside_it(store: SqliteStore) -> None:
    runs = [Run(store, "tasks", seed=number) for number in range(5)]
    for run in runs:
        await store.commit(run.taken())
    await store.database.writer.run(
        lambda connection: connection.execute(
            "UPDATE continuation SET blob = x'00' WHERE id = ?", (runs[2].id,)
        )
    )
    found = await asyncio.gather(*(store.load(run.id) for run in runs), return_exceptions=True)
    assert isinstance(found.pop(2), StoreFormatError)
    assert all(isinstance(each, Loaded) for each in found), found


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_the_death_of_the_thread_fails_its_calls(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    run = Run(store, "tasks")
    gate = threading.Event()
    blocked = asyncio.create_task(store.database.writer.run(lambda connection: gate.wait()))
    await asyncio.sleep(0)
    store.database.writer._db._tx.put_nowait(None)  # type: ignore[arg-type]  # what no caller does: it ends the thread
    waiting = asyncio.create_task(store.commit(run.units))
    await asyncio.sleep(0)
    gate.set()
    assert await blocked is True
    with pytest.raises(StoreError, match="thread of the database has died"):
        await asyncio.wait_for(waiting, 60)
    with pytest.raises(StoreError, match="died"):
        await store.commit(run.units)
    await store.close()
    await store.open()
    assert await store.load(run.id) is None
    await store.close()


async def test_readers_see_committed_state_while_a_commit_runs(store: SqliteStore) -> None:
    run = Run(store, "tasks")
    await store.commit(run.taken())
    run.step()
    gate, inside = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO history VALUES (?, ?)", (run.id << EVENT_BITS | 999, b"x"))
        inside.set()
        gate.wait()
        connection.execute("DELETE FROM history WHERE blob = ?", (b"x",))

    held = asyncio.create_task(store.database.transaction(hold))
    commit = asyncio.create_task(store.commit(run.units))
    await asyncio.to_thread(inside.wait)
    assert len(await store.history(run.id)) == run.units[0].first - 1
    gate.set()
    await asyncio.gather(held, commit)
    assert flat(await store.history(run.id)) == flat(run.history)


# --- what is written ------------------------------------------------------------------------------


async def test_an_execution_of_one_unit_is_two_rows(store: SqliteStore, path: Path) -> None:
    runs = [Run(store, "passes") for _ in range(10)]
    await store.commit([unit for run in runs for unit in run.taken()])
    assert {
        table: rows(path, table)
        for table in ("execution", "history", "continuation", "payload", "frame")
    } == {
        "execution": 10,
        "history": 10,
        "continuation": 0,
        "payload": 0,
        "frame": 0,
    }


@pytest.mark.parametrize("machine", DEFINITIONS)
async def test_nothing_of_a_continuation_stays_behind(
    store: SqliteStore, path: Path, machine: str
) -> None:
    run = Run(store, machine, {"items": list(range(100)), "why": "w"}, seed=1, calm=True)
    held = 0
    while run.running:
        await store.commit(run.taken())
        held = max(held, rows(path, "frame") + rows(path, "map_item") + rows(path, "map_result"))
        run.step()
    assert (
        held > 0
        if machine in ("map", "maps", "map, task", "map run", "nested", "wide")
        else held == 0
    )
    await store.commit(run.taken())
    continuation = ("continuation", "frame", "map_item", "map_result")
    if machine != "failing":
        assert [rows(path, table) for table in continuation] == [0, 0, 0, 0]
    store.forget(run.id)
    store_live = store._batcher.continuations.live
    assert store_live == {}
    await store.delete_closed(2**60)
    assert [
        rows(path, table) for table in ("execution", "history", "payload", "map_run", *continuation)
    ] == [0] * 8


@pytest.mark.parametrize("machine", DEFINITIONS)
async def test_nothing_of_a_stopped_execution_stays_behind_in_the_end(
    store: SqliteStore, path: Path, machine: str
) -> None:
    run = Run(store, machine, {"items": list(range(100)), "why": "w" * 2_000}, seed=1, calm=True)
    for _ in range(60):
        if run.running:
            run.step()
    if run.running:
        run.stop()
    await store.commit(run.taken())
    await store.delete_closed(2**60)
    tables = (
        "execution",
        "history",
        "payload",
        "map_run",
        "continuation",
        "frame",
        "map_item",
        "map_result",
    )
    assert [rows(path, table) for table in tables] == [0] * 8


async def test_the_cost_of_a_step_does_not_grow_with_the_map(store: SqliteStore) -> None:
    """Parameters of the rows that one step of a Map with 40 live iterations writes, early and
    late.
    """
    sizes: dict[int, list[int]] = {}
    for items in (100, 3_000):
        run = Run(
            store,
            "map",
            {"items": [{"id": number, "text": "item"} for number in range(items)]},
            seed=1,
            calm=True,
        )
        batcher, sizes[items] = Batcher({}, {}, {}), []
        for _ in range(items // 2):
            made = batcher.batch(run.taken())
            sizes[items].append(
                sum(
                    len(value)
                    for values in made.rows.values()
                    for value in values
                    if isinstance(value, bytes)
                )
            )
            run.step()
    early, late = sorted(sizes[3_000][100:200])[50], sorted(sizes[3_000][-100:])[50]
    assert late < early * 1.5
    assert late < sorted(sizes[100][10:])[20] * 1.5


@pytest.mark.parametrize("machine", ["variables", "tasks", "map", "nested"])
async def test_large_payloads_are_written_once(
    store: SqliteStore, path: Path, machine: str
) -> None:
    run = Run(
        store,
        machine,
        {"items": list(range(9)), "text": os.urandom(50_000).hex()},
        seed=3,
        calm=True,
    )
    while run.running:
        await store.commit(run.taken())
        run.step()
    await store.commit(run.taken())
    fields = [field for _, _, event in run.history for field in event[2:]]
    payloads = [field for field in fields if isinstance(field, Payload)]
    payloads += [
        each for field in fields if isinstance(field, Scope) for each in field.payloads.values()
    ]
    large = {
        id(each)
        for each in payloads
        if len(each.data) > PAYLOAD_ROW_BYTES and each is not run.execution.input
    }
    assert 0 < rows(path, "payload") <= len(large)


async def test_history_is_merged_as_it_grows_and_at_the_end(store: SqliteStore, path: Path) -> None:
    run = Run(store, "map", {"items": list(range(300))}, seed=1, calm=True)
    most = 0
    while run.running:
        await store.commit(run.taken())
        most = max(most, rows(path, "history"))
        run.step()
    await store.commit(run.taken())
    assert run.execution.events > 2_000
    assert rows(path, "history") <= run.execution.events // MERGE_EVENTS + 3
    assert most < 200
    assert flat(await store.history(run.id, limit=9_999)) == flat(run.history)
    assert flat(await store.history(run.id, 700, 600)) == flat(run.history[700:1300])
    assert flat(await store.history(run.id, 700, 600, reverse=True)) == flat(
        run.history[98:699][::-1][:600]
    )


async def test_large_rows_of_history_are_not_merged(store: SqliteStore, path: Path) -> None:
    run = Run(store, "discarding")
    for number in range(8):
        await store.commit(run.taken())
        frame = run.execution.frames[1]
        run.send(
            TaskSucceeded(
                frame.id,
                frame.seq,
                Payload(random.Random(number).randbytes(9_000 if number == 4 else 9).hex()),
            )
        )
    await store.commit(run.taken())
    assert not run.running
    assert rows(path, "history") == 3  # up to the large one, it, and those after it
    assert flat(await store.history(run.id)) == flat(run.history)


# --- crashes --------------------------------------------------------------------------------------

VICTIM = """
import asyncio, sys
from random import Random
from tests.engine.store.machines import DEFINITIONS, Run
from stepwell.engine.store.sqlite.store import SqliteStore

async def main(path, seed):
    store, random, count = SqliteStore(path), Random(seed), 0
    await store.open()
    runs = []
    while True:
        while len(runs) < 12:
            count += 1
            machine = random.choice(list(DEFINITIONS))
            input = {"items": list(range(50)), "why": "w"}
            runs.append(Run(store, machine, input, f"r{seed}-{count}", seed=count))
        chosen = random.sample(runs, 6)
        await store.commit([unit for run in chosen for unit in run.units])
        for run in chosen:
            if run.units:
                run.units = []
                x = run.execution
                print(x.machine_name, x.name, run.seed, x.events, x.status, flush=True)
            if run.running:
                run.step()
        runs = [run for run in runs if run.running or run.units]

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / ".dev"), str(ROOT)])}


def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for seed in range(3):
        acknowledged: dict[str, tuple[str, int, int, str]] = {}
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(path), str(seed)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert victim.stdout is not None
        timer = threading.Timer(
            0.1 + random.Random(seed).random() / 2,
            lambda process=victim: process.send_signal(signal.SIGKILL),
        )
        for line in victim.stdout:
            words = line.split()
            if line.endswith("\n") and len(words) == 5:
                machine, name, own, events, status = words
                acknowledged[name] = (machine, int(own), int(events), status)
                if not timer.ident:
                    timer.start()
        victim.stdout.close()
        assert victim.wait() == -signal.SIGKILL
        timer.cancel()
        asyncio.run(check(path, acknowledged))
        assert len(acknowledged) >= 6


async def check(path: Path, acknowledged: dict[str, tuple[str, int, int, str]]) -> None:
    """Every execution is at least where it was acknowledged to be, without a gap, and equal to one
    that no crash touched.
    """
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    store = SqliteStore(path)
    await store.open()
    found = {row.name: row for row in await store.list_executions(limit=1_000_000)}
    assert acknowledged.keys() <= found.keys()
    assert store.next_id() > max((row.id for row in found.values()), default=0)
    names = {"-".join(machine.replace(",", "").split()): machine for machine in DEFINITIONS}
    scratch = SqliteStore()
    for name, row in found.items():
        history = await store.history(row.id, limit=100_000)
        assert [number for number, _, _ in history] == list(range(1, row.events + 1))
        loaded = await store.load(row.id)
        assert (loaded is None) == (row.status == "SUCCEEDED")
        if name not in acknowledged:
            continue
        machine, own, events, status = acknowledged[name]
        assert row.events >= events and status in (row.status, "RUNNING")
        twin = Run(scratch, names[machine], {"items": list(range(50)), "why": "w"}, name, seed=own)
        want = (
            None
            if loaded is None or row.status != "RUNNING"
            else flat(loaded.decode(twin.program).frames)
        )
        while len(twin.history) < row.events or (
            want is not None and want != flat(twin.execution.frames)
        ):
            assert len(twin.history) <= row.events, (
                "the continuation is that of no step with this history"
            )
            twin.step()
        assert flat(twin.history) == flat(history)
    await store.close()


async def test_a_torn_log_costs_only_its_end(path: Path, tmp_path: Path) -> None:
    """A power cut may leave any prefix of the log, and garbage behind it: the state is that of some
    earlier commit.
    """
    store = SqliteStore(path)
    await store.open()
    runs = [Run(store, "map", {"items": list(range(4))}, seed=number) for number in range(5)]
    while any(run.running or run.units for run in runs):
        await store.commit([unit for run in runs for unit in run.taken()])
        for run in runs:
            if run.running:
                run.step()
    log = Path(f"{path}-wal").read_bytes()
    assert len(log) > 100_000
    seen = set()
    for cut in [*random.Random(1).sample(range(len(log)), 25), len(log)]:
        copy = tmp_path / f"cut{cut}.db"
        shutil.copy(path, copy)
        Path(f"{copy}-wal").write_bytes(
            log[:cut] + random.Random(cut).randbytes(5_000 if cut % 2 else 0)
        )
        again = SqliteStore(copy)
        await again.open()
        total = 0
        for run in runs:
            history = await again.history(run.id, limit=100_000)
            assert flat(history) == flat(run.history)[: len(history)]
            row = await again.describe(run.execution.arn)
            assert (row.events if row else 0) == len(history)
            total += len(history)
        seen.add(total)
        await again.close()
    assert len(seen) > 10 and max(seen) == sum(len(run.history) for run in runs)
    await store.close()


@pytest.fixture
def media(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder, and what makes it read-only as a file system is, for root too."""
    folder = tmp_path / "snap shot"
    folder.mkdir()
    if subprocess.run(["mount", "--bind", folder, folder], check=False).returncode:
        pytest.skip("needs root, and the right to mount")
    yield folder, lambda: subprocess.check_call(["mount", "-o", "remount,bind,ro", folder])
    subprocess.run(["umount", folder], check=True)


async def test_a_database_on_read_only_media_is_read(
    media: tuple[Path, Callable[[], None]],
) -> None:
    folder, freeze = media
    store = SqliteStore(folder / "one.db")
    await store.open()
    await store.commit([Writes({"key": b"{}"})])
    await store.close()
    freeze()
    link = folder.with_name("link.db")
    link.symlink_to(folder / "one.db")
    for path in (folder / "one.db", link):
        reader = SqliteStore(path, read_only=True)
        await reader.open()
        assert await reader.records("", limit=10) == [("key", b"{}")]
        await reader.close()
    with pytest.raises(StoreError, match="Read-only"):
        await SqliteStore(folder / "one.db").open()
