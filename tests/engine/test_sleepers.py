"""Executions that wait, in numbers: a restart reads none of them, and those that are due at once
are read together.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from benchmarks.capacity import FAR, copies, recorded
from benchmarks.workloads import PASS, Echo, chain
from tests.engine.store.conftest import own_schema

from stepwell.engine import Engine
from stepwell.engine.store.opening import open_store
from stepwell.engine.store.sql.store import SqlStore

WAITING, DUE = 2_000, 500


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "x.db") if request.param == "sqlite" else own_schema(request, tmp_path)


async def test_a_restart_and_many_that_are_due_at_once(db: str) -> None:
    (far,) = await recorded(db, FAR, "far", False)
    soon_machine = chain({"Type": "Wait", "Seconds": 3}, PASS)
    (soon,) = await recorded(db, soon_machine, "soon", False)
    store = open_store(db)
    await store.open()
    await copies(store, far, WAITING)
    await copies(store, soon, DUE - 1)
    await store.close()
    store = open_store(db)
    assert isinstance(store, SqlStore)
    reads, query = 0, store.database.query

    async def counted(asked: Any) -> Any:
        nonlocal reads
        reads += 1
        return await query(asked)

    store.database.query = counted  # type: ignore[method-assign]
    async with Engine(store=store, tasks=Echo()) as engine:
        assert len(engine.worker.live) <= DUE and len(engine.worker.timers.at) <= DUE
        for _ in range(1_200):
            if engine.worker.counts.ended["SUCCEEDED"] >= DUE:
                break
            await asyncio.sleep(0.05)
        assert not engine.worker.live
        assert reads < DUE / 5, reads
        assert len(await store.list_executions(status="RUNNING", limit=WAITING * 2)) == WAITING + 1
