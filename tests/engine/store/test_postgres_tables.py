"""The tables of a store in PostgreSQL over time: rows that are merged and deleted, updates within a
page, and plans that stay good while tables grow.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.engine.store.conftest import own_schema
from tests.engine.store.machines import Run, flat
from tests.engine.store.test_copying import fill

from stepwell.engine.core.events import Stop
from stepwell.engine.limits import Limits
from stepwell.engine.store.postgres.merging import MERGES_AT_ONCE
from stepwell.engine.store.postgres.store import PostgresStore

OF_EXECUTIONS = (
    "execution",
    "continuation",
    "frame",
    "map_item",
    "map_result",
    "map_run",
    "history",
    "payload",
    "parked",
)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return own_schema(request, tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(url)
    await made.open()
    yield made
    await made.close()


async def sql(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def rows(url: str, table: str) -> int:
    count: int = await sql(url, f"SELECT count(*) FROM {table}")
    return count


async def closed(store: PostgresStore, seed: int) -> Run:
    run = Run(store, "tasks", seed=seed)
    while run.running:
        await store.commit(run.taken())
        run.step()
    await store.commit(run.taken())
    return run


async def test_histories_are_merged_for_many_executions_at_once(
    url: str,
) -> None:
    store = PostgresStore(url, limits=Limits(owner_idle_seconds=600))  # no ping merges before
    await store.open()
    runs = [await closed(store, seed) for seed in range(MERGES_AT_ONCE - 1)]
    before = await rows(url, "history")
    assert before > 3 * len(runs)
    runs.append(await closed(store, MERGES_AT_ONCE))
    assert await rows(url, "history") < before / 3
    for run in runs:
        assert flat(await store.history(run.id)) == flat(run.history)
        row = await store.describe(run.execution.arn)
        assert row is not None and row.output == (
            run.execution.output.data if run.execution.output else None
        )
    await store.close()


async def test_an_idle_store_merges_the_rest(url: str) -> None:
    store = PostgresStore(url, limits=Limits(owner_idle_seconds=1))
    await store.open()
    run = await closed(store, 1)
    assert await rows(url, "history") > 2
    async with asyncio.timeout(60):
        while await rows(url, "history") > 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert flat(await store.history(run.id)) == flat(run.history)
    store.check()
    await store.close()


async def test_nothing_is_left_of_closed_executions(store: PostgresStore, url: str) -> None:
    runs = await fill(store)
    assert {table for table in OF_EXECUTIONS if not await rows(url, table)} <= {"map_run"}
    for run in runs:
        if run.running:
            run.send(Stop(None, None))
            await store.commit(run.taken())
    assert await store.delete_closed(2**60, 5, {runs[0].id}) == 4
    assert await store.delete_closed(2**60, len(runs)) == len(runs) - 4
    (running,) = await store.list_executions()
    assert running.status == "RUNNING" and await store.load(running.id) is not None
    left = {table: await rows(url, table) for table in OF_EXECUTIONS}
    assert max(left.values()) == 1, left


async def test_tables_that_grow_do_not_slow_down_commits(store: PostgresStore, url: str) -> None:
    """Plans that were made while the tables were empty read by keys: no table is read whole."""
    for seed in range(MERGES_AT_ONCE + 10):
        await closed(store, seed)
    await store.delete_closed(2**60, 20)
    connection = await asyncpg.connect(url)
    while True:  # statistics arrive late
        scans = await connection.fetch(
            "SELECT relname, seq_scan, idx_scan FROM pg_stat_user_tables"
            " WHERE schemaname = current_schema() AND relname IN"
            " ('execution', 'history', 'continuation', 'payload', 'frame')"
        )
        if all(row["idx_scan"] for row in scans):
            break
        await asyncio.sleep(0.1)
    await connection.close()
    # only the creation of indexes and count(*) read a table whole
    assert all(row["seq_scan"] < 10 for row in scans), scans


async def test_most_units_need_no_entry_in_an_index(store: PostgresStore, url: str) -> None:
    """Updates of continuations find room in their pages: PostgreSQL calls them HOT."""
    runs = [Run(store, "map, task", {"items": list(range(8))}, seed=n, calm=True) for n in range(9)]
    while any(run.running for run in runs):
        await store.commit([unit for run in runs for unit in run.taken()])
        for run in runs:
            if run.running:
                run.step()
    connection = await asyncpg.connect(url)
    for _ in range(600):  # statistics arrive late, of idle sessions after ten seconds
        updates, hot = await connection.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
            " WHERE schemaname = current_schema() AND relname = 'continuation'"
        )
        if updates > 50:
            break
        await asyncio.sleep(0.1)
    await connection.close()
    assert updates > 50 and hot > 0.8 * updates


async def test_lists_of_what_has_not_succeeded_read_an_index(
    store: PostgresStore, url: str
) -> None:
    await closed(store, 1)
    running = Run(store, "tasks")
    await store.commit(running.taken())
    assert [row.id for row in await store.list_executions(status="RUNNING")] == [running.id]
    plan = await sql(
        url,
        "EXPLAIN (FORMAT JSON) SELECT id FROM execution WHERE status <> 1"
        " AND status = 2 AND (started, id) < (9, 9) ORDER BY started DESC, id DESC LIMIT 10",
    )
    assert "execution_not_succeeded" in plan and '"Sort"' not in plan
