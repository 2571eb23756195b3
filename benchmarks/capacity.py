"""python -m benchmarks.capacity [--scale N] [--db URL] [--json]: what an execution costs in the
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
from collections.abc import Sequence
from typing import Any

from benchmarks.workloads import INPUT, MACHINES, PASS, Echo, chain
from stepwell.engine import Engine
from stepwell.engine.clock import SystemClock
from stepwell.engine.core.model import copy_execution
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store.base import Store, Unit
from stepwell.engine.store.opening import open_store

EACH = 10_000  # executions of each kind at --scale 1
DUE = 10_000  # of those that wait, due at one moment
SOON_SECONDS = 25  # from the start of those until then: the time to fill in and to restart
BATCH = 2_000  # units of one commit
SAMPLE = 400  # real executions of each workload
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

        await asyncio.gather(*(one() for _ in range(executions)))
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
    """Bytes of the database that are in use."""
    store = open_store(db)
    await store.open()
    health = await store.health()
    await store.close()
    return health.bytes - health.free_bytes


async def bytes_of_executions(db: str) -> dict[str, Any]:
    """Of SAMPLE executions of each workload."""
    found = {}
    for name, machine in MACHINES.items():
        before = await size(db)
        units = await recorded(db, machine, name.replace(" ", "-"), True, SAMPLE)
        used = (await size(db)) - before
        events = max(unit.execution.events for unit in units)
        found[name] = {
            "commits": len(units) // SAMPLE,
            "events": events,
            "bytes": used / SAMPLE,
            "bytes_per_event": used / SAMPLE / events,
            "executions_per_GB": 1e9 * SAMPLE / used,
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
    times, page = list[float](), DEFAULT_LIMITS.retention_page
    cpu = time.process_time()
    while True:
        began = time.perf_counter()
        deleted = await store.delete_closed(2**60, page)
        times.append((time.perf_counter() - began) * 1000)
        if deleted < page:
            break
    cleaned, cleaned_cpu = await store.health(), time.process_time() - cpu
    await copies(store, unit, count)
    again = (await store.health()).bytes
    await store.close()
    times.sort()
    return {
        "executions": count,
        "bytes_each": (filled - before) / count,
        "page": page,
        "transaction_p50_ms": times[len(times) // 2],
        "transaction_p99_ms": times[len(times) * 99 // 100],
        "transaction_max_ms": times[-1],
        "cpu_of_deleting_by_cpu_of_storing": cleaned_cpu / filled_cpu,
        "size_after_by_size_before": cleaned.bytes / filled,
        "free_part_after": cleaned.free_bytes / cleaned.bytes,
        "size_when_stored_again_by_size_before": again / filled,
    }


async def measure(db: str, scale: int) -> dict[str, Any]:
    return {
        "executions that have ended": await bytes_of_executions(db),
        "executions that wait": await waiting(db, EACH * scale),
        "retention": await retention(db, EACH * scale),
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
        found = asyncio.run(measure(db, arguments.scale))
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
