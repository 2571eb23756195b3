"""Copies of a database: to a database of another kind and back, while the source is in use."""

import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.engine.store.conftest import own_schema
from tests.engine.store.machines import DEFINITIONS, Run, flat
from tests.engine.store.test_contract import machine_row

from stepwell.engine.core.events import Stop
from stepwell.engine.core.maps.rows import ChildInputs, ChildOutputs
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.search.attributes import Stored
from stepwell.engine.store.base import ActivityRow, Writes
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.engine.store.sql.copying import copy
from stepwell.engine.store.sql.store import SqlStore
from stepwell.engine.store.sql.tables import META, TABLES
from stepwell.engine.store.sqlite.store import SqliteStore


async def contents(store: SqlStore) -> dict[str, list[Any]]:
    tables: dict[str, list[Any]] = {table: [] for table in TABLES}
    async for table, rows in store.database.dump():
        tables[table] += map(tuple, rows)
    return {table: sorted(rows, key=repr) for table, rows in tables.items()}


async def fill(store: SqlStore) -> list[Run]:
    """Something in each table."""
    runs = []
    for number, (machine, steps) in enumerate(product(DEFINITIONS, (12, 50, 90))):
        input, extras = {"items": list(range(40)), "why": "w"}, {"version": f"arn:v:{number}"}
        run = Run(store, machine, input, seed=number, calm=True, extras=extras)
        for _ in range(steps):
            if run.running:
                run.step()
        if number % 5 == 0 and run.running:
            run.send(Stop("a\0b", "ä"))
        await store.commit(run.taken())
        runs.append(run)
    later = Run(store, "map", {"items": [1, 2]})
    (unit,) = later.taken()
    large = Payload("x")
    frame = next(each for each in later.execution.frames.values() if each.children)
    rows = (
        ChildInputs(frame.id, frame.seq, 0, [large] * 3),
        ChildOutputs(frame.id, frame.seq, [(0, large), (2, large)]),
    )
    found = (Stored("customer", b"sada", False), Stored("error", b"s\xff\0", True))
    more = unit._replace(first=40_000, created=False, rows=rows, attributes=found)
    await store.commit([unit, more])
    await store.commit([Writes({"sqs/ä\0": b"\0", "sns/t": b""})])
    await store.put_machine(machine_row("m"))
    await store.put_activity(ActivityRow("arn:a", "a", 1, {"n": 1}))
    await store.park(runs[0].id, 5, "why")
    return runs


async def test_a_copy_of_a_copy_is_the_same(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    first, url = SqliteStore(tmp_path / "one.db"), own_schema(request, tmp_path)
    await first.open()
    runs = await fill(first)
    before = await contents(first)
    assert {table for table, rows in before.items() if not rows} <= {"map_run"}
    source = SqliteStore(tmp_path / "one.db", read_only=True)  # beside its owner
    middle, last = PostgresStore(url), SqliteStore(tmp_path / "two.db")
    for each in (source, middle, last):
        await each.open()
    copied = await copy(source, middle)
    assert copied == {table: len(rows) for table, rows in before.items() if rows and table != META}
    await copy(middle, last)
    assert before == await contents(middle) == await contents(last)
    assert last.database.failed is None
    with pytest.raises(StoreError, match="is not empty"):
        await copy(middle, last)
    following = first.next_id()
    for store in (middle, last):  # they continue from there
        await store.close()
        await store.open()
        assert store.secret() == first.secret() and store.next_id() == following
        run = next(run for run in runs if run.running)
        found = await store.load(run.id)
        assert found is not None and flat(found.decode(run.program)) == flat(run.execution)
        made = await store.put_machine(machine_row("new", '{"x": 1}'))
        assert made.definition_id not in {row[0] for row in before["definition"]}
        await store.close()
    await source.close()
    await first.close()


async def test_a_copy_that_fails_leaves_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = SqliteStore(tmp_path / "one.db")
    await source.open()
    await fill(source)
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection, connection:
        connection.execute("UPDATE machine SET name = CAST(x'00' AS TEXT)")  # PostgreSQL has no NUL
    target = PostgresStore(own_schema(request, tmp_path))
    await target.open()
    with pytest.raises(StoreError):
        await copy(source, target)
    await target.close()
    await target.open()
    assert not any(rows for table, rows in (await contents(target)).items() if table != META)
    await target.close()
    await source.close()
