"""python -m benchmarks.cluster postgresql://USER@HOST:PORT/DATABASE [--seconds N] [--rounds N]:
executions per second over HTTP on SQLite, on one node with PostgreSQL, and on two.

All servers run at the same time and take turns in short rounds, so that the machine's load affects
them alike. The clients of two nodes are divided between them, as a load balancer would. Each makes
schemas of its own and drops them in the end. Compare the shares.

CPU is the time for one execution, in us: of the nodes, of PostgreSQL (where it is on this machine)
and of the client. Their sum bounds what the machine can do, however many nodes there are.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from benchmarks.capacity import database_cpu
from benchmarks.client import Connection, load
from benchmarks.http import ROLE, cpu_seconds, executed, free_port, serving
from benchmarks.workloads import INPUT, MACHINES
from stepwell.integrations.loop import run

CLIENTS = 64
SERVE = ("-m", "stepwell.integrations.cli.main", "serve", "--port")
ECHO = "def handler(event, context):\n    return event\n"
SQLITE, ONE, TWO = "SQLite", "one node", "two nodes"


def ten_tasks() -> dict[str, Any]:
    """Ten tasks of a function that runs in the server's own processes."""
    states = {
        f"S{number}": {
            "Type": "Task",
            "Resource": "echo",
            **({"End": True} if number == 9 else {"Next": f"S{number + 1}"}),
        }
        for number in range(10)
    }
    return {"StartAt": "S0", "States": states}


WORKLOADS: dict[str, tuple[dict[str, Any], bool]] = {
    "ten Pass": (MACHINES["10 Pass"], False),
    "ten Pass, named": (MACHINES["10 Pass"], True),
    "ten Task": (ten_tasks(), False),
}
"""(definition, whether each execution has a name): those with a name belong to any shard."""


async def measured(ports: list[int], workload: str, seconds: float) -> dict[str, float]:
    definition, named = WORKLOADS[workload]
    connection = await Connection("127.0.0.1", ports[0]).open()
    created = await connection.call(
        "CreateStateMachine",
        name=f"workload-{list(WORKLOADS).index(workload)}",
        definition=json.dumps(definition),
        roleArn=ROLE,
    )
    connection.close()
    arn, text = created["stateMachineArn"], json.dumps(INPUT)

    async def work(connection: Connection) -> None:
        await executed(connection, arn, text, **({"name": uuid.uuid4().hex} if named else {}))

    rows = await asyncio.gather(
        *(load(port, CLIENTS // len(ports), seconds, work) for port in ports)
    )
    return {
        "count": sum(row["count"] for row in rows),
        "per_second": sum(row["per_second"] for row in rows),
        "p50_ms": max(row["p50_ms"] for row in rows),
        "p99_ms": max(row["p99_ms"] for row in rows),
    }


def servers(stack: ExitStack, folder: Path, url: str, names: list[str]) -> dict[str, Any]:
    """name -> the ports and pids of its nodes."""
    (folder / "functions").mkdir()
    (folder / "functions" / "echo.py").write_text(ECHO)
    join, found = "&" if "?" in url else "?", {}
    plan = {
        SQLITE: (1, str(folder / "served.db")),
        ONE: (1, f"{url}{join}search_path={names[0]}"),
        TWO: (2, f"{url}{join}search_path={names[1]}"),
    }
    for name, (count, db) in plan.items():
        nodes = []
        for _ in range(count):
            port = free_port()
            words = (*SERVE, str(port), "--db", db, "--functions", str(folder / "functions"))
            nodes.append((port, stack.enter_context(serving(port, *words))))
        found[name] = nodes
    return found


def cpu_by_process(url: str, nodes: list[tuple[int, int]]) -> dict[str, float]:
    """us of CPU so far: of the nodes, of PostgreSQL, of this process; and of all together."""
    used = {
        "nodes_us": sum(cpu_seconds(pid) for _, pid in nodes) * 1e6,
        "database_us": (run(database_cpu(url)) or 0.0) * 1e6,
        "client_us": time.process_time() * 1e6,
    }
    return used | {"all_us": sum(used.values())}


async def drop(url: str, names: list[str]) -> None:
    connection = await asyncpg.connect(url)
    for name in names:
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    await connection.close()


def measure(url: str, folder: Path, seconds: float, rounds: int) -> dict[str, dict[str, Any]]:
    names, found = [f"bench_{uuid.uuid4().hex[:12]}" for _ in range(2)], {}
    try:
        with ExitStack() as stack:
            nodes = servers(stack, folder, url, names)
            for workload in WORKLOADS:
                rows: dict[str, list[dict[str, float]]] = {name: [] for name in nodes}
                for _ in range(rounds):
                    for name, each in nodes.items():
                        began = cpu_by_process(url, each)
                        ports = [port for port, _ in each]
                        row = run(measured(ports, workload, seconds / rounds))
                        used = cpu_by_process(url, each)
                        rows[name].append(
                            row | {key: (used[key] - began[key]) / row["count"] for key in used}
                        )
                found[workload] = {
                    name: {key: median(row[key] for row in each) for key in each[0]}
                    for name, each in rows.items()
                }
    finally:
        run(drop(url, names))
    return found


def show(found: dict[str, dict[str, Any]]) -> None:
    print(
        "                                                         CPU us of"
        "                                     rate, of"
    )
    print(
        "workload         servers    per second   p50 ms   p99 ms    nodes database  client     all"
        "  at most  SQLite one node"
    )
    cores = len(os.sched_getaffinity(0))
    for workload, rows in found.items():
        for name, row in rows.items():
            cpu = "".join(f"{row[f'{each}_us']:9,.0f}" for each in ("nodes", "database", "client"))
            shares = "".join(
                f"{row['per_second'] / rows[other]['per_second']:8.2f}" for other in (SQLITE, ONE)
            )
            print(
                f"{workload:16} {name:9} {row['per_second']:11,.1f} {row['p50_ms']:8.2f} "
                f"{row['p99_ms']:8.2f}{cpu} {row['all_us']:7,.0f} "
                f"{cores * 1e6 / row['all_us']:8,.0f}{shares}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("url", help="of a PostgreSQL database, whose commits are durable")
    parser.add_argument("--seconds", type=float, default=12, help="for each workload and server")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.url, Path(folder), options.seconds, options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
