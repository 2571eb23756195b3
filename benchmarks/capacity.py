"""python -m benchmarks.capacity [PART ...] [--scale N] [--db URL]: what an execution costs in the
database and in memory, and how much a node and a database carry.

The rows of one real execution of each kind are committed again and again through the store, under
new ids and names: N x 10,000 that wait, and N x 10,000 that have ended. --scale 100 has a million
of each. Compare the ratios and the CPU time: other times depend on the machine and its load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workloads import INPUT, MACHINES, PASS, Echo, chain
from stepwell.engine import Engine
from stepwell.engine.clock import SystemClock
from stepwell.engine.core.model import copy_execution
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store.base import Store, Unit
from stepwell.engine.store.opening import is_postgres, open_store

EACH = 10_000  # executions of each kind at --scale 1
DUE = 10_000  # of those that wait, due at one moment
SOON_SECONDS = 25  # from the start of those until then: the time to fill in and to restart
BATCH = 2_000  # units of one commit
SAMPLE = 400  # real executions of each workload
CLIENTS = 64
FAR = chain({"Type": "Wait", "Seconds": 30 * 24 * 3600}, PASS)
SOON = chain({"Type": "Wait", "Seconds": SOON_SECONDS}, PASS)


async def recorded(
    db: str, machine: dict[str, Any], name: str, ends: bool, executions: int = 1
) -> list[Unit]:
    """The units of executions that run on that database, until they end or wait."""
    store, units = open_store(db), list[Unit]()
    commit = store.commit

    async def noted(entries: Sequence[Any]) -> Any:
        units.extend(entry for entry in entries if type(entry) is Unit)
        return await commit(entries)

    store.commit = noted  # type: ignore[method-assign]
    async with Engine(store=store, tasks=Echo()) as engine:
        arn = (await engine.create_state_machine(name, json.dumps(machine)))["stateMachineArn"]

        async def one() -> None:
            started = await engine.start_execution(arn, input=json.dumps(INPUT))
            if ends:
                await engine.wait(started["executionArn"])

        for start in range(0, executions, SAMPLE):
            await asyncio.gather(*(one() for _ in range(min(SAMPLE, executions - start))))
    return units


async def copies(store: Store, unit: Unit, count: int) -> None:
    """Commit the unit of `count` more executions."""
    x = unit.execution
    prefix = x.arn.removesuffix(x.name)
    for start in range(0, count, BATCH):
        batch = []
        for _ in range(min(BATCH, count - start)):
            copy = copy_execution(x)
            copy.id, copy.uuid = store.next_id(), uuid.uuid4().hex
            copy.name = str(uuid.UUID(copy.uuid))
            copy.arn = prefix + copy.name
            batch.append(unit._replace(execution=copy))
        await store.commit(batch)


async def size(db: str) -> int:
    """Bytes of the database that are in use, without room for later rows."""
    if is_postgres(db):
        import asyncpg  # an extra

        connection = await asyncpg.connect(db)
        await connection.execute("VACUUM FULL")
        await connection.close()
    store = open_store(db)
    await store.open()
    health = await store.health()
    await store.close()
    return health.bytes - health.free_bytes


async def ended(db: str, count: int) -> dict[str, Any]:
    """Of real executions of each workload."""
    found, sample = {}, max(SAMPLE, count // 10)
    for name, machine in MACHINES.items():
        before = await size(db)
        units = await recorded(db, machine, name.replace(" ", "-"), True, sample)
        used = (await size(db)) - before
        events = max(unit.execution.events for unit in units)
        found[name] = {
            "commits": len(units) // sample,
            "events": events,
            "bytes": used / sample,
            "bytes_per_event": used / sample / events,
            "executions_per_GB": 1e9 * sample / used,
        }
    return found


async def waiting(db: str, count: int) -> dict[str, Any]:
    """`count` executions that wait for a month, and DUE that end together; then a restart."""
    (far,) = await recorded(db, FAR, "far", False)
    before, store = await size(db), open_store(db)
    await store.open()
    await copies(store, far, count)
    await store.close()
    used = (await size(db)) - before
    (soon,) = await recorded(db, SOON, "soon", False)
    store = open_store(db)
    await store.open()
    await copies(store, soon, DUE - 1)
    await store.close()
    wake = soon.execution.wake_at()
    assert wake is not None
    restarted, empty = (restart_apart(each, wake) for each in (db, ":memory:"))
    return {
        "executions": count,
        "bytes_each": used / count,
        "executions_per_GB": 1e9 * count / used,
        **restarted,
        "memory_of_an_empty_engine_MB": empty["memory_MB"],
    }


def restart_apart(db: str, due: int) -> dict[str, Any]:
    """restart() in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.capacity", "--restart", str(due), "--db", db]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


async def restart(db: str, due: int) -> dict[str, Any]:
    """Opens an engine on the database; then those that are due end."""
    began, cpu = time.perf_counter(), time.process_time()
    async with Engine(db, tasks=Echo()) as engine:
        opened, opened_cpu = time.perf_counter() - began, time.process_time() - cpu
        found = {
            "open_seconds": opened,
            "open_cpu_seconds": opened_cpu,
            "memory_MB": memory(),
        }
        if db == ":memory:":
            return found
        ended = engine.worker.counts.ended
        await asyncio.sleep(max(0.0, (due - SystemClock().wall()) / 1000))
        woke, cpu, before = time.perf_counter(), time.process_time(), sum(ended.values())
        while (count := sum(ended.values())) < DUE:
            if time.perf_counter() - woke > 120:
                raise RuntimeError(f"{count} of {DUE} ended")
            await asyncio.sleep(0.02)
        took, used = time.perf_counter() - woke, time.process_time() - cpu
        return found | {
            "due": DUE - before,
            "drained_per_second": (DUE - before) / took,
            "drained_per_cpu_second": (DUE - before) / used,
            "memory_after_MB": memory(),
        }


def memory() -> float:
    """The most that the process has had so far, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 if sys.platform == "linux" else 1024 * 1024)


async def retention(db: str, count: int) -> dict[str, Any]:
    """`count` closed executions are deleted, as the engine does; then as many are stored again."""
    (unit,) = await recorded(db, MACHINES["10 Pass"], "closed", True)
    store = open_store(db)
    await store.open()
    before = (await store.health()).bytes
    cpu = time.process_time()
    await copies(store, unit, count)
    filled, filled_cpu = (await store.health()).bytes, time.process_time() - cpu
    times, work, page = list[float](), list[float](), DEFAULT_LIMITS.retention_page
    cpu = time.process_time()
    while True:
        began, used = time.perf_counter(), time.process_time()
        deleted = await store.delete_closed(2**60, page)
        times.append((time.perf_counter() - began) * 1000)
        work.append((time.process_time() - used) * 1000)
        if deleted < page:
            break
    cleaned, cleaned_cpu = await store.health(), time.process_time() - cpu
    await copies(store, unit, count)
    again = (await store.health()).bytes
    await store.close()
    times.sort()
    work.sort()
    return {
        "executions": count,
        "bytes_each": (filled - before) / count,
        "page": page,
        "transaction_p50_ms": times[len(times) // 2],
        "transaction_p99_ms": times[len(times) * 99 // 100],
        "transaction_max_ms": times[-1],
        "transaction_cpu_p50_ms": work[len(work) // 2],
        "transaction_cpu_max_ms": work[-1],
        "cpu_of_deleting_by_cpu_of_storing": cleaned_cpu / filled_cpu,
        "size_after_by_size_before": cleaned.bytes / filled,
        "free_part_after": cleaned.free_bytes / cleaned.bytes,
        "size_when_stored_again_by_size_before": again / filled,
    }


async def rate(db: str, count: int) -> dict[str, Any]:
    """CLIENTS that run one execution after the other, SAMPLE each workload and client."""
    found = {}
    text = json.dumps(INPUT)
    for name in ("10 Pass", "10 Task"):
        async with Engine(db, tasks=Echo()) as engine:
            created = await engine.create_state_machine(
                f"rate-{name.replace(' ', '-')}", json.dumps(MACHINES[name])
            )
            arn = created["stateMachineArn"]

            async def client() -> None:
                for _ in range(SAMPLE // 10):
                    started = await engine.start_execution(arn, input=text)  # noqa: B023
                    await engine.wait(started["executionArn"])

            await client()  # plans and programs are prepared
            units = engine.worker.counts.batch_units
            stored, commits = units.sum, sum(units.counts)
            server, cpu, began = await database_cpu(db), time.process_time(), time.perf_counter()
            await asyncio.gather(*(client() for _ in range(CLIENTS)))
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            executions = CLIENTS * (SAMPLE // 10)
            stored, commits = units.sum - stored, sum(units.counts) - commits
            row = found[name] = {
                "units_per_commit": stored / commits,
                "units_per_second": stored / took,
                "node_cpu_us_per_unit": cpu / stored * 1e6,
                "executions_per_cpu_second_of_node": executions / cpu,
            }
            if server is not None and (used := (await database_cpu(db) or server) - server):
                row["database_cpu_us_per_unit"] = used / stored * 1e6
                row["node_cores_per_core_of_database"] = cpu / used
    return found


async def database_cpu(db: str) -> float | None:
    """Seconds of CPU of a PostgreSQL server on this machine, but for sessions that have ended."""
    if not is_postgres(db):
        return None
    import asyncpg  # an extra

    connection = await asyncpg.connect(db)
    rows = await connection.fetch("SELECT pid FROM pg_stat_activity")
    own = connection.get_server_pid()
    await connection.close()
    stats = [Path(f"/proc/{pid}/stat") for (pid,) in rows if pid != own]
    if not all(path.exists() for path in stats):
        return None
    fields = [path.read_text().rpartition(")")[2].split() for path in stats]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


PARTS: dict[str, Callable[[str, int], Coroutine[Any, Any, dict[str, Any]]]] = {
    "ended": ended,
    "rate": rate,
    "waiting": waiting,
    "retention": retention,
}


def show(found: dict[str, Any], indent: str = "") -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        else:
            text = f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
            text = f"{value:,.0f}" if isinstance(value, float) and value >= 1000 else text
            print(f"{indent}{name.replace('_', ' '):40} {text:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=f"of {', '.join(PARTS)}")
    parser.add_argument("--db", help="an empty database; a temporary SQLite file unless named")
    parser.add_argument("--scale", type=int, default=1, help="N x 10,000 executions of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--restart", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.restart is not None:
        print(json.dumps(asyncio.run(restart(arguments.db, arguments.restart))))
        return
    with tempfile.TemporaryDirectory() as folder:
        db = arguments.db or os.path.join(folder, "capacity.db")
        for name in arguments.parts:
            found = {name: asyncio.run(PARTS[name](db, EACH * arguments.scale))}
            if arguments.json:
                print(json.dumps(found), flush=True)
            else:
                show(found)


if __name__ == "__main__":
    main()
