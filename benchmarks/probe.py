"""The raw SQLite probe: how fast sqlite3 alone can write the rows of a workload.

A workload runs once with a store that records the rows of its transactions. Then sqlite3 writes
them again, 64 units in each transaction, synchronous=FULL. The benchmarks give the engine's speed
as a share of this one.
"""

import asyncio
import json
import os
import sqlite3
import time
from functools import partial
from typing import Any

from benchmarks.workloads import INPUT, Echo
from stepwell.asl.evaluation import Json
from stepwell.engine import Engine
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.sqlite.database import CHECKPOINT_PAGES, write
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.integrations.loop import run

UNITS = 64


class _Recording(SqliteStore):
    """The real store, which records its rows in `batches`, one for each unit."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.batches: list[Batch] = []

    async def commit(self, units: Any) -> None:
        for unit in units:
            self.batches.append(self._batcher.batch([unit]))
            await self.database.transaction(partial(write, self.batches[-1]))


async def record(
    path: str, machine: dict[str, Any], executions: int, input: Json = INPUT
) -> list[Batch]:
    """The changes of each unit of some executions."""
    store = _Recording(path)
    async with Engine(store=store, tasks=Echo()) as engine:
        arn = (await engine.create_state_machine("machine", json.dumps(machine)))["stateMachineArn"]

        async def one() -> None:
            execution = await engine.start_execution(arn, input=json.dumps(input))
            await engine.wait(execution["executionArn"])

        await asyncio.gather(*(one() for _ in range(executions)))
    return store.batches


def connect(path: str) -> sqlite3.Connection:
    """With the settings of the store."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def raw(folder: str, machine: dict[str, Any], executions: int) -> dict[str, float]:
    """Units and rows per second when sqlite3 alone writes the rows of the machine's executions."""
    source, target = os.path.join(folder, "recorded.db"), os.path.join(folder, "raw.db")
    batches = run(record(source, machine, executions))
    with sqlite3.connect(source) as connection:
        schema = [
            row[0]
            for row in connection.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            )
        ]
        meta = connection.execute("SELECT * FROM meta").fetchall()
    connection = connect(target)
    for statement in schema:
        connection.execute(statement)
    connection.executemany(f"INSERT INTO meta VALUES ({', '.join('?' * len(meta[0]))})", meta)
    rows, began = 0, time.perf_counter()
    for first in range(0, len(batches), UNITS):
        merged = Batch()
        for batch in batches[first : first + UNITS]:
            merged.clock, merged.next_id = (
                max(merged.clock, batch.clock),
                max(merged.next_id, batch.next_id),
            )
            for statement, parameters in batch.rows.items():
                merged.rows[statement] += parameters
                rows += len(parameters) // statement.columns
        connection.execute("BEGIN IMMEDIATE")
        write(merged, connection)
        connection.execute("COMMIT")
    wall = time.perf_counter() - began
    connection.close()
    return {
        "units_per_second": len(batches) / wall,
        "rows_per_second": rows / wall,
        "units": len(batches),
    }
