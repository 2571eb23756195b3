"""python -m benchmarks.search [--executions N] [--db URL]: what search attributes cost.

    starts   CPU of starting and ending an execution, without attributes and with 1, 4 and 16
    pages    CPU and time of one page of a search over N executions: the first and the last page of
             a value that each has, a value that one has, one that none has, and a range
    index    CPU of indexing an execution again, of that of running it

The rows of one real execution are committed again and again, as in benchmarks.capacity.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from benchmarks.capacity import BATCH, CLIENTS, recorded, show
from benchmarks.workloads import INPUT, PASS, Echo, chain
from stepwell.engine import Engine
from stepwell.engine.core.model import copy_execution
from stepwell.engine.search.attributes import Stored
from stepwell.engine.search.values import encode
from stepwell.engine.store.base import Store, Unit
from stepwell.engine.store.opening import open_store

MACHINE = chain(PASS, PASS)
ATTRIBUTES = (0, 1, 4, 16)
RUNS = 10  # executions of each client, for each number of attributes
ROUNDS = 5  # of which the median counts
REPEATS = 5  # of each page
INDEXED = 5_000  # executions that are indexed again, at most
SPREAD = 1_000  # different values of the attribute `customer`


def named(attributes: int) -> dict[str, Any]:
    names = " ".join(f"a{number}=number" for number in range(attributes))
    comment = f"stepwell:searchAttributes {names}" if attributes else ""
    return {**MACHINE, "Comment": comment}


async def starts(db: str) -> dict[str, Any]:
    """CPU for each execution, in microseconds, in turn for each number of attributes."""
    text, used = json.dumps(INPUT | {"number": 1}), {each: list[float]() for each in ATTRIBUTES}
    async with Engine(db, tasks=Echo()) as engine:
        arns = {
            each: (await engine.create_state_machine(f"m{each}", json.dumps(named(each))))[
                "stateMachineArn"
            ]
            for each in ATTRIBUTES
        }

        async def client(arn: str) -> None:
            for _ in range(RUNS):
                started = await engine.start_execution(arn, input=text)
                await engine.wait(started["executionArn"])

        for _ in range(ROUNDS + 1):  # the first one prepares plans and programs
            for each, arn in arns.items():
                began = time.process_time()
                await asyncio.gather(*(client(arn) for _ in range(CLIENTS)))
                used[each].append((time.process_time() - began) / (CLIENTS * RUNS) * 1e6)
    plain = median(used[0][1:])
    return {
        f"{each}_attributes_cpu_by_without": median(used[each][1:]) / plain for each in ATTRIBUTES
    } | {"without_cpu_us": plain}


async def fill(store: Store, unit: Unit, count: int) -> None:
    """Commit `count` executions: each with status=new, its own number, one of SPREAD customers."""
    x = unit.execution
    prefix = x.arn.removesuffix(x.name)
    for start in range(0, count, BATCH):
        batch = []
        for number in range(start, min(start + BATCH, count)):
            copy = copy_execution(x)
            copy.id, copy.name = store.next_id(), f"n{number}"
            copy.uuid, copy.arn = f"{number:032x}", f"{prefix}n{number}"
            values = (("state", "new"), ("number", number), ("customer", f"c{number % SPREAD}"))
            attributes = [Stored(name, encode(value), False) for name, value in values]
            batch.append(unit._replace(execution=copy, attributes=attributes))
        await store.commit(batch)


async def timed(call: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    cpu, took = [], []
    for _ in range(REPEATS):
        began, used = time.perf_counter(), time.process_time()
        await call()
        cpu.append((time.process_time() - used) * 1000)
        took.append((time.perf_counter() - began) * 1000)
    return {"cpu_ms": median(cpu), "ms": median(took)}


async def pages(db: str, count: int) -> dict[str, Any]:
    (unit,) = await recorded(db, MACHINE, "filled", ends=True)
    store = open_store(db)
    await store.open()
    await fill(store, unit, count)
    await store.close()
    found: dict[str, Any] = {}
    async with Engine(db, tasks=Echo()) as engine:

        async def page(query: str) -> None:
            """The first one that has executions, or the last one."""
            answer = await engine.search_executions(query, max_results=100)
            while not answer["executions"] and "nextToken" in answer:
                token = answer["nextToken"]
                answer = await engine.search_executions(query, max_results=100, next_token=token)

        async def list_page() -> None:
            await engine.list_all_executions(max_results=100)

        for name, query in (
            ("each_has_it", "state=new"),
            ("a_thousandth_has_it", "customer=c7"),
            ("one_has_it_oldest", "number=0"),
            ("none_has_it", "number=-1"),
            ("both_of_two", "state=new customer=c7"),
            ("a_range_of_all", "number>=0"),
            ("a_range_of_few", f"number<{SPREAD} state=new"),
        ):
            found[name] = await timed(lambda query=query: page(query))  # type: ignore[misc]
        found["list_executions"] = await timed(list_page)
        token: dict[str, str] = {}
        seen, last = 0, [0.0]
        while True:  # the last page of those of one customer
            began = time.process_time()
            answer = await engine.search_executions("customer=c7", max_results=100, **token)
            last.append((time.process_time() - began) * 1000)
            seen += len(answer["executions"])
            if "nextToken" not in answer:
                break
            token = {"next_token": answer["nextToken"]}
        found["last_page"] = {"cpu_ms": last[-1], "executions_before": seen}
    return found


async def index(db: str, count: int) -> dict[str, Any]:
    """CPU of indexing executions again, by that of running them."""
    text = json.dumps(INPUT | {"number": 1})
    async with Engine(db, tasks=Echo()) as engine:
        created = await engine.create_state_machine("again", json.dumps(named(4)))
        arn = created["stateMachineArn"]

        async def client() -> None:
            for _ in range(count // CLIENTS):
                started = await engine.start_execution(arn, input=text)
                await engine.wait(started["executionArn"])

        began = time.process_time()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        ran, began = time.process_time() - began, time.process_time()
        answer = await engine.index_executions(arn)
        while answer["status"] == "INDEXING":
            await asyncio.sleep(0.05)
            answer = await engine.describe_execution_index(arn)
        used = time.process_time() - began
    executions = answer["executionsIndexed"]
    return {"cpu_us": used / executions * 1e6, "cpu_by_cpu_of_running": used / ran}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--executions", type=int, default=1_000_000, help="that are searched")
    parser.add_argument("--db", help="of PostgreSQL; a temporary SQLite file unless named")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def db(part: str) -> str:
            if arguments.db is None:
                return os.path.join(folder, f"{part}.db")
            joint = "&" if "?" in arguments.db else "?"
            return f"{arguments.db}{joint}search_path=search_{part}"

        few = min(arguments.executions, INDEXED)
        show({"starts": asyncio.run(starts(db("starts")))})
        show({"index": asyncio.run(index(db("index"), few))})
        show({"pages": asyncio.run(pages(db("pages"), arguments.executions))})


if __name__ == "__main__":
    main()
