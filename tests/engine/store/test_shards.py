"""Several shards of one PostgreSQL schema: each has its owner, reads see all of them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.store.conftest import own_schema
from tests.engine.store.machines import HOME, START, Run, flat
from tests.engine.store.test_copying import contents

from stepwell.engine.errors import StoreError
from stepwell.engine.sharding import Shard, shard_of_id
from stepwell.engine.store.base import StoreFormatError, StoreInUseError, StoreLostError, Writes
from stepwell.engine.store.opening import open_store
from stepwell.engine.store.postgres.joint_commits import JointCommits
from stepwell.engine.store.postgres.readers import Readers
from stepwell.engine.store.postgres.schema import numbered
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.engine.store.sql.copying import copy
from stepwell.engine.store.sql.store import SqlStore
from stepwell.engine.store.sql.tables import META
from stepwell.engine.store.sqlite.store import SqliteStore

COUNT = 3


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return own_schema(request, tmp_path)


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[PostgresStore]]:
    """All shards of a schema, with readers and commits that they share."""
    async with AsyncExitStack() as stack:
        yield await opened(url, stack)


async def opened(url: str, stack: AsyncExitStack) -> list[PostgresStore]:
    readers = Readers(url, 2)
    await readers.open()
    stack.push_async_callback(readers.close)
    joint = JointCommits()
    made = [
        PostgresStore(url, shard=Shard(n, COUNT), readers=readers, joint=joint)
        for n in range(COUNT)
    ]
    await asyncio.gather(*(store.open() for store in made))  # of a new schema
    for store in made:
        stack.push_async_callback(store.close)
    return made


async def sql(url: str, statement: str, *values: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


# --- ownership ------------------------------------------------------------------------------------


async def test_each_shard_has_one_owner(stores: list[PostgresStore], url: str) -> None:
    with pytest.raises(StoreInUseError):
        await PostgresStore(url, shard=Shard(1, COUNT)).open()
    await stores[1].close()
    follower = PostgresStore(url, shard=Shard(1, COUNT), node=17)
    await follower.open()
    owners = await sql(url, "SELECT number, epoch, owner FROM shard ORDER BY number")
    assert [tuple(row) for row in owners] == [(0, 1, None), (1, 2, 17), (2, 1, None)]
    await follower.close()


async def test_a_stale_owner_loses_its_shard_alone(stores: list[PostgresStore], url: str) -> None:
    await sql(url, "UPDATE shard SET epoch = epoch + 1 WHERE number = 1")
    for number, store in enumerate(stores):
        writing = store.commit([Writes({f"from/{number}": b""})])
        if number == 1:
            with pytest.raises(StoreLostError):
                await writing
        else:
            await writing
    assert [key for key, _ in await stores[2].records("from/")] == ["from/0", "from/2"]
    with pytest.raises(StoreError):
        await stores[1].records("from/")


async def together(stores: list[PostgresStore], *units: Any) -> list[BaseException | None]:
    """Commits of all shards at the same time: the errors."""
    found = await asyncio.gather(
        *(store.commit(each) for store, each in zip(stores, units)), return_exceptions=True
    )
    return [each if isinstance(each, BaseException) else None for each in found]


def noted(*names: object) -> list[list[Writes]]:
    return [[Writes({f"note/{name}": b""})] for name in names]


async def test_commits_of_several_shards_are_one_transaction(
    stores: list[PostgresStore], url: str
) -> None:
    for names in ((0, 1, 2), (3, 4, 5)):
        assert await together(stores, *noted(*names)) == [None] * COUNT
    rows = await sql(url, "SELECT xmin, count(*) FROM record GROUP BY xmin")
    assert [row["count"] for row in rows] == [COUNT, COUNT]
    for number, store in enumerate(stores):  # each has a clock and ids of its own
        run = Run(store, "passes")
        run.finish()
        assert await together([store], run.taken()) == [None]
        assert shard_of_id(run.id) == number


async def test_a_stale_owner_loses_its_shard_alone_amid_commits_of_others(
    stores: list[PostgresStore], url: str
) -> None:
    await sql(url, "UPDATE shard SET epoch = epoch + 1 WHERE number = 1")
    first, stale, last = await together(stores, *noted(0, 1, 2))
    assert first is last is None
    assert isinstance(stale, StoreLostError)
    assert [key for key, _ in await stores[2].records("note/")] == ["note/0", "note/2"]


async def test_a_commit_that_the_database_refuses_fails_no_other_shard(
    stores: list[PostgresStore],
) -> None:
    run = Run(stores[1], "passes")
    run.finish()
    units = run.taken()
    await stores[1].commit(units)
    (before,), (after,) = noted("before"), noted("after")
    first, refused, last = await together(stores, before, units, after)
    assert first is last is None
    assert isinstance(refused, StoreError)
    assert len(await stores[2].records("note/")) == 2


async def test_a_shard_that_lost_its_session_fails_alone(
    stores: list[PostgresStore], url: str
) -> None:
    locks = stores[0].database.target.lock_class("shard") % (1 << 32)
    await sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND classid::bigint = $1 AND objid = 0",
        locks,
    )
    async with asyncio.timeout(60):  # until the end of the connection has arrived
        while not stores[0].database._writer.is_closed():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    lost, *others = await together(stores, *noted(0, 1, 2))
    assert isinstance(lost, StoreError)
    assert others == [None, None]


async def test_a_take_over_waits_for_the_writes_of_the_last_owner(
    stores: list[PostgresStore], url: str
) -> None:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT 1 FROM shard WHERE number = 1 FOR NO KEY UPDATE")  # its fence
    await stores[1].close()
    follower = PostgresStore(url, shard=Shard(1, COUNT))
    opening = asyncio.create_task(follower.open())
    await asyncio.sleep(0.1)
    assert not opening.done()
    await transaction.commit()
    await opening
    await follower.close()
    await connection.close()


async def test_the_number_of_shards_is_kept(stores: list[PostgresStore], url: str) -> None:
    await stores[0].close()
    with pytest.raises(StoreFormatError, match="has 3 shards, not 4"):
        await PostgresStore(url, shard=Shard(0, 4)).open()
    store = PostgresStore(url)  # as a command does that knows no shards
    await store.open()
    assert store.shard == Shard(0, COUNT)
    await store.close()
    with pytest.raises(StoreError, match="one shard"):
        open_store("file.db", shard=Shard(1, COUNT))


OPENING = """
import asyncio, sys
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Writes
from stepwell.engine.store.postgres.schema import numbered
from stepwell.engine.store.postgres.store import PostgresStore

async def main(number):
    store = PostgresStore(sys.argv[1], shard=Shard(number, 6))
    await store.open()
    await store.commit([Writes({f"by/{number}": b""})])
    await store.close()

async def both():
    await asyncio.gather(*(main(int(number)) for number in sys.argv[2:]))

asyncio.run(both())
"""


def test_processes_that_open_a_new_schema_at_once_create_it_once(url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, url, str(2 * number), str(2 * number + 1)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    rows = asyncio.run(sql(url, "SELECT key FROM record ORDER BY key"))
    assert [row[0].decode() for row in rows] == [f"by/{number}" for number in range(6)]


# --- what is whose --------------------------------------------------------------------------------


async def test_each_owner_finds_its_own_work(stores: list[PostgresStore]) -> None:
    busy, asleep, closed = (
        [Run(store, machine, extras={"version": "arn:m:1"}) for store in stores]
        for machine in ("tasks", "callback", "passes")
    )
    for run in asleep:
        run.step()
    for number, store in enumerate(stores):
        await store.commit(
            [*busy[number].taken(), *asleep[number].taken(), *closed[number].taken()]
        )
        await store.park(busy[number].id, START, "why")
    for number, store in enumerate(stores):
        ids = {run.id for run in (busy[number], asleep[number], closed[number])}
        assert {shard_of_id(each) for each in ids} == {number}
        assert await store.in_flight() == [busy[number].id]
        wake = asleep[number].execution.wake()
        assert await store.waking(2**60) == ([(wake, asleep[number].id)] if wake else [])
        assert await store.first_closed() == closed[number].execution.stopped
        assert len(await store.parked()) == COUNT  # for all to see
        assert await store.clock() == START
    assert await stores[1].delete_closed(2**60) == 1
    for number, store in enumerate(stores):
        found = await stores[0].describe(closed[number].execution.arn)
        assert (found is None) == (number == 1)
        await store.close()
        await store.open()  # with the numbers that it has given
        again = Run(store, "callback", extras={"version": "arn:m:1"})
        await store.commit(again.taken())
        assert again.id > closed[number].id
    used, last = await stores[1].definitions_used()
    assert used == {7} and last is not None and shard_of_id(last) == 2
    assert await stores[1].definitions_used(last) == (set(), None)


async def test_map_runs_with_children_are_the_shards_own(stores: list[PostgresStore]) -> None:
    families = []
    for store in stores:
        parent = Run(store, "map run", {"items": [1, 2, 3]})
        while not any(unit.map_runs for unit in parent.units):
            parent.step()
        frame = next(frame for frame in parent.execution.frames.values() if frame.children)
        family = (parent.id, frame.id, frame.seq)
        child = Run(store, "callback", parent=(*family, 0))
        await store.commit([*parent.taken(), *child.taken()])
        families.append(family)
    for store, family in zip(stores, families, strict=True):
        assert [tuple(each) for each in await store.map_runs_with_children()] == [family]
        assert await store.map_runs_with_children(family) == []


async def test_an_execution_is_read_through_every_shard(stores: list[PostgresStore]) -> None:
    runs = [Run(store, "tasks", name=f"on-{number}") for number, store in enumerate(stores)]
    for run, store in zip(runs, stores, strict=True):
        run.finish()
        await store.commit(run.taken())
    for store in stores:
        for run in runs:
            row = await store.find(run.execution.machine_arn, run.execution.name)
            assert row is not None and row.id == run.id and row.output is not None
            assert flat(await store.history(run.id)) == flat(run.history)


# --- lists ----------------------------------------------------------------------------------------

EXECUTIONS = st.lists(
    st.tuples(
        st.integers(0, COUNT - 1),  # its shard
        st.integers(0, 2),  # ms after the one before
        st.sampled_from(["passes", "callback", "failing"]),
        st.sampled_from([None, "1", "live"]),  # its version or alias
    ),
    min_size=1,
    max_size=30,
)


def test_lists_over_shards_have_the_pages_of_one(url: str) -> None:
    async def open_all() -> list[PostgresStore]:
        return await opened(url, stack)

    async def check(drawn: list[Any], limit: int, of: str) -> None:
        for shard, pause, machine, qualifier in drawn:
            started = (known[-1][0] if known else START) + pause
            arn = f"{HOME}:stateMachine:{machine}"
            extras = {} if qualifier is None else {_kind(qualifier): f"{arn}:{qualifier}"}
            run = Run(stores[shard], machine, started=started, extras=extras)
            run.execution = run.units[-1].execution
            await stores[shard].commit(run.taken())
            x = run.execution
            known.append((x.started, x.id, x.machine_arn, x.status, extras))
        arn = f"{HOME}:stateMachine:callback"
        filters: dict[str, tuple[dict[str, Any], Any]] = {
            "all": ({}, lambda row: True),
            "status": ({"status": "RUNNING"}, lambda row: row[3] == "RUNNING"),
            "machine": ({"machine_arn": arn}, lambda row: row[2] == arn),
            "failed": (
                {"machine_arn": arn, "status": "FAILED"},
                lambda row: row[2] == arn and row[3] == "FAILED",
            ),
            "1": ({"qualifier": f"{arn}:1"}, lambda row: row[4].get("version") == f"{arn}:1"),
            "live": (
                {"qualifier": f"{arn}:live"},
                lambda row: row[4].get("alias") == f"{arn}:live",
            ),
        }
        parameters, wanted = filters[of]
        expected = sorted((row[:2] for row in known if wanted(row)), reverse=True)
        found: list[tuple[int, int]] = []
        reader = Random(limit).choice(stores)
        while page := await reader.list_executions(
            limit=limit, after=found[-1] if found else None, **parameters
        ):
            assert len(page) <= limit
            found += [(row.started, row.id) for row in page]
        assert found == expected

    known: list[tuple[Any, ...]] = []
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        stores = runner.run(open_all())

        @given(
            EXECUTIONS,
            st.integers(1, 9),
            st.sampled_from(["all", "status", "machine", "failed", "1", "live"]),
        )
        @settings(
            max_examples=30,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        def law(drawn: list[Any], limit: int, of: str) -> None:
            runner.run(check(drawn, limit, of))

        law()
        runner.run(stack.aclose())


MANY = """
INSERT INTO series (id, prefix, machine, machine_name, express)
SELECT (shard << 32) + n, 'prefix' || n, 'machine' || n, 'm', 0
FROM generate_series(0, 2::bigint) AS shard, generate_series(1, 3) AS n;
INSERT INTO pin (id, definition, block, role) SELECT shard << 32, 7, 0, 'r'
FROM generate_series(0, 2::bigint) AS shard;
INSERT INTO qualifier (id, arn) SELECT shard << 32, 'alias'
FROM generate_series(0, 2::bigint) AS shard;
INSERT INTO execution (id, series, tail, uuid, pin, started, alias, status, stopped, parent,
    parent_frame, parent_seq)
SELECT (n % 3 << 38) + n, (n % 3 << 32) + n % 7 % 3 + 1, n, '', n % 3 << 32, 1000 + n / 4,
    CASE WHEN n % 2 = 0 THEN n % 3 << 32 END, n % 11 % 3, CASE WHEN n % 11 % 3 > 0 THEN n END,
    CASE WHEN n % 3 = 1 THEN (1::bigint << 38) + 5 END, 1, 1
FROM generate_series(1, 30000::bigint) AS n;
ANALYZE;
"""


async def test_a_page_reads_few_rows_however_many_there_are(
    stores: list[PostgresStore], url: str
) -> None:
    connection = await asyncpg.connect(url, server_settings={"enable_seqscan": "off", "jit": "off"})
    await connection.execute(MANY)
    codes, after, limit = [0, 1, 2, 3, 4], (5_000, 2**50), 20
    parameters = {
        "page_of_all": (after[0], *after, codes, limit, limit),
        "page_of_machine": (codes, *after, limit, "machine2", limit),
        "page_of_alias": (codes, *after, limit, "alias", limit),
        "page_of_map_run": (codes, (1 << 38) + 15_000, (1 << 38) + 5, 1, 1, limit, limit),
        "execution_by_arn": ("prefix2", "15001"),
        "closed_before": (1, 10_000, limit),
        "first_closed": (1,),
        "definitions_used": (15_000, limit),
    }
    for name, values in parameters.items():
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {numbered(name)}"
        (plan,) = json.loads(await connection.fetchval(explain, *values))
        blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert blocks < 400, (name, blocks, plan)  # the table has more
    found = await stores[2].list_executions(limit=limit, after=after)
    assert [row.started for row in found] == sorted(
        (1000 + n // 4 for n in range(15_000, 16_004)), reverse=True
    )[:limit] and len(found) == limit
    await connection.close()


async def test_a_plan_of_a_new_schema_reads_few_rows_when_there_are_many(
    stores: list[PostgresStore], url: str
) -> None:
    """A session keeps a plan that it made while the tables were empty, until they are analysed."""
    settings = {
        **{"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"},
        **{"jit": "off", "plan_cache_mode": "force_generic_plan"},
    }
    connection = await asyncpg.connect(url, server_settings=settings)
    asked = {
        "taken": ("json", """'[["prefix1", "15001"], ["prefix1", "none"]]'"""),
        "all_described": ("text[], text[]", "'{prefix1, prefix1}', '{15001, none}'"),
    }
    for name, (types, values) in asked.items():
        await connection.execute(f"PREPARE {name} ({types}) AS {numbered(name)}")
        assert not await connection.fetch(f"EXECUTE {name} ({values})")
    await connection.execute(MANY.replace("ANALYZE;", ""))
    for name, (_, values) in asked.items():
        assert len(await connection.fetch(f"EXECUTE {name} ({values})")) == 1
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({values})"
        (plan,) = json.loads(await connection.fetchval(explain))
        blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert blocks < 100, (name, blocks, plan)
    await connection.close()


def _kind(qualifier: str) -> str:
    return "version" if qualifier.isdecimal() else "alias"


# --- copies ---------------------------------------------------------------------------------------


async def test_a_copy_to_one_shard_and_back_keeps_everything(
    request: pytest.FixtureRequest, stores: list[PostgresStore], tmp_path: Path
) -> None:
    runs = []
    for store in stores:
        for machine in ("callback", "failing"):
            run = Run(store, machine, extras={"version": "arn:m:1", "alias": "arn:m:live"})
            await store.commit(run.taken())
            runs.append(run)
    file, back = (
        SqliteStore(tmp_path / "one.db"),
        PostgresStore(f"{own_schema(request, tmp_path)}_back", shard=Shard(0, COUNT)),
    )
    for each in (file, back):
        await each.open()
    copied = await copy(stores[0], file)
    assert (copied["execution"], copied["series"], copied["qualifier"]) == (6, 2, 2)
    await copy(file, back)
    before, after = await contents(file), await contents(back)
    del before[META], after[META]
    assert before == after
    own: list[SqlStore] = [stores[0], file, back]
    for store in own:
        for run in runs:
            row = await store.describe(run.execution.arn)
            assert row is not None and row.id == run.id
        for filters in ({"qualifier": "arn:m:live"}, {"qualifier": "arn:m:1"}, {}):
            found = await store.list_executions(**filters)  # type: ignore[arg-type]
            assert {row.id for row in found} == {run.id for run in runs}
    for number, last in enumerate(runs[1::2]):
        await back.close()
        back = PostgresStore(f"{own_schema(request, tmp_path)}_back", shard=Shard(number, COUNT))
        await back.open()
        assert back.next_id() == last.id + 1
        run = Run(back, "callback", extras={"version": "arn:m:1"})
        await back.commit(run.taken())
    await file.close()
    await file.open()
    assert file.next_id() > max(run.id for run in runs)
    await file.commit(Run(file, "callback", extras={"version": "arn:m:1"}).taken())
    await file.close()
    await back.close()


async def test_a_copy_with_more_shards_than_the_target_is_refused(
    request: pytest.FixtureRequest, stores: list[PostgresStore], tmp_path: Path
) -> None:
    await stores[2].commit(Run(stores[2], "callback").taken())
    target = PostgresStore(f"{own_schema(request, tmp_path)}_two", shard=Shard(0, 2))
    await target.open()
    with pytest.raises(StoreError, match=r"executions of shard 2, .* has 2 shards"):
        await copy(stores[0], target)
    await target.close()
