"""python -m benchmarks.scale [--executions N] [--folder DIR]: the time of listing and reading with
a million stored executions.

SQL statements copy the rows of one real execution of each kind; the store's own reads are timed.
The figures should not depend on N.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks.workloads import PASS, Echo, chain
from stepwell.engine import Engine
from stepwell.engine.store.keys import EVENT_BITS
from stepwell.engine.store.sqlite.store import SqliteStore

EVENTS = 25_000
ITEMS = list(range(10))
ROUNDS = 20


async def pattern(path: str) -> dict[str, str]:
    """A database with one execution of each kind: of a machine, a version, an alias, one that
    failed, one with a Map Run. Returns the ARNs.
    """
    definition = json.dumps(chain(PASS))
    fails = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail"}}})
    config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    over = chain(
        {
            "Type": "Map",
            "Label": "L",
            "ItemProcessor": {**config, "StartAt": "P", "States": {"P": PASS | {"End": True}}},
        }
    )
    async with Engine(path, tasks=Echo()) as engine:
        plain = await engine.create_state_machine("plain", definition, publish=True)
        version = plain["stateMachineVersionArn"]
        routes = [{"stateMachineVersionArn": version, "weight": 100}]
        alias = (
            await engine.create_state_machine_alias(name="live", routing_configuration=routes)
        )["stateMachineAliasArn"]
        failing = (await engine.create_state_machine("failing", fails))["stateMachineArn"]
        mapping = (await engine.create_state_machine("mapping", json.dumps(over)))[
            "stateMachineArn"
        ]
        arns = {
            "machine": plain["stateMachineArn"],
            "version": version,
            "alias": alias,
            "failing": failing,
            "mapping": mapping,
        }
        for name, arn in list(arns.items()):
            started = await engine.start_execution(arn, input=json.dumps(ITEMS))
            await engine.wait(started["executionArn"])
            arns[f"{name} execution"] = started["executionArn"]
        arns["map run"] = (await engine.list_map_runs(arns["mapping execution"]))["mapRuns"][0][
            "mapRunArn"
        ]
    return arns


def fill(path: str, executions: int, events: int = EVENTS) -> None:
    """Copy the executions of the pattern until there are `executions`; extend the history of the
    first one to `events`.
    """
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(execution)")]
        have, first = connection.execute("SELECT count(*), max(id) + 1 FROM execution").fetchone()
        rounds = max(0, executions - have) // have
        connection.execute("BEGIN")
        changed = {"id": "? + n * ? + row_number", "tail": "tail || '-' || n", "uuid": "uuid"}
        source = (
            "SELECT *, row_number() OVER (ORDER BY id) - 1 AS row_number FROM execution WHERE id "
            "< ?"
        )
        connection.execute(
            "WITH RECURSIVE counter(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counter "
            "WHERE n + 1 < ?)"
            f" INSERT INTO execution ({', '.join(columns)})"
            f" SELECT {', '.join(changed.get(name, name) for name in columns)} FROM counter, "
            f"({source}) ORDER BY n, row_number",
            (rounds, first, have, first),
        )
        target = connection.execute("SELECT min(id) FROM execution").fetchone()[0]
        rows = connection.execute(
            "SELECT blob FROM history WHERE key >> ? = ? ORDER BY key", (EVENT_BITS, target)
        ).fetchall()
        count = connection.execute(
            "SELECT events FROM execution WHERE id = ?", (target,)
        ).fetchone()[0]
        assert len(rows) == 1
        keys = (
            (target << EVENT_BITS | (1 + number), rows[0][0])
            for number in range(count, events - count + 1, count)
        )
        connection.executemany("INSERT INTO history (key, blob) VALUES (?, ?)", keys)
        connection.execute("UPDATE execution SET events = ? WHERE id = ?", (events, target))
        connection.execute("UPDATE meta SET next_execution = (SELECT max(id) + 1 FROM execution)")
        connection.execute("COMMIT")


async def timed(call: Callable[[], Awaitable[Any]]) -> float:
    """Median time in ms."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[ROUNDS // 2]


async def measure(path: str, arns: dict[str, str]) -> dict[str, float]:
    """ms for each kind of read of the store."""
    store = SqliteStore(path)
    began = time.perf_counter()
    await store.open()
    found = {"open the store": (time.perf_counter() - began) * 1000}
    run = await store.map_run(arns["map run"].rpartition(":")[2])
    assert run is not None
    (newest,) = await store.list_executions(limit=1)
    last = newest.id
    filters: dict[str, dict[str, Any]] = {
        "a machine": {"machine_arn": arns["machine"]},
        "its SUCCEEDED": {"machine_arn": arns["machine"], "status": "SUCCEEDED"},
        "its RUNNING (none)": {"machine_arn": arns["machine"], "status": "RUNNING"},
        "a version": {"qualifier": arns["version"]},
        "an alias, SUCCEEDED": {"qualifier": arns["alias"], "status": "SUCCEEDED"},
        "a Map Run": {"parent": (run.execution, run.run.frame, run.run.seq)},
    }
    for name, chosen in filters.items():
        for depth, after in (
            ("first page", None),
            ("page in the middle", (0, last // 2)),
            ("last page", (0, 200)),
        ):
            found[f"list {name}, {depth}"] = await timed(
                lambda: store.list_executions(limit=100, after=after, **chosen)  # noqa: B023
            )
    row = await store.describe(arns["machine execution"])
    assert row is not None
    places: Sequence[tuple[str, int, bool]] = (
        ("first", 0, False),
        ("middle", EVENTS // 2, False),
        ("last", EVENTS - 101, False),
        ("newest", 0, True),
    )
    for name, after_event, reverse in places:
        found[f"history of {row.events:,} events, {name} 100"] = await timed(
            lambda: store.history(row.id, after_event, 100, reverse)  # noqa: B023
        )
    await store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--folder", help="folder for the database, which is deleted again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = os.path.join(folder, "scale.db")
        arns = asyncio.run(pattern(path))
        began = time.perf_counter()
        fill(path, arguments.executions)
        size = os.path.getsize(path) / 1e6
        print(
            f"{arguments.executions:,} executions written in "
            f"{time.perf_counter() - began:.1f} s, {size:.0f} MB\n"
        )
        for name, value in asyncio.run(measure(path, arns)).items():
            print(f"  {name:50} {value:8.2f} ms")


if __name__ == "__main__":
    main()
