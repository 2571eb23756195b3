"""python -m benchmarks.http [--json] [--seconds N] [--folder DIR]: executions per second over HTTP,
with the server in a process of its own and synchronous=FULL.

A Standard execution counts when DescribeExecution shows its end, an Express one when
StartSyncExecution returns. If moto is installed, its server (in memory, with its own interpreter)
runs the same chain. The raw SQLite probe is measured for comparison.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from benchmarks.client import Connection, load
from benchmarks.probe import raw
from benchmarks.workloads import INPUT, MACHINES
from stepwell.integrations.loop import run

ROLE = "arn:aws:iam::123456789012:role/benchmark"
MACHINE = "10 Pass"
START_SECONDS = 20


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(port: int, *command: str) -> Iterator[int]:
    """A server process that listens on the port; its pid."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(
                        f"{' '.join(command)} ended with {process.returncode}"
                    ) from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _create(port: int, type: str) -> str:
    connection = await Connection("127.0.0.1", port).open()
    created = await connection.call(
        "CreateStateMachine",
        name=f"chain-{type}",
        definition=json.dumps(MACHINES[MACHINE]),
        roleArn=ROLE,
        type=type,
    )
    connection.close()
    arn: str = created["stateMachineArn"]
    return arn


async def standard(port: int, clients: int, seconds: float) -> dict[str, float]:
    arn, text = await _create(port, "STANDARD"), json.dumps(INPUT)

    async def once(connection: Connection) -> None:
        started = await connection.call(
            "StartExecution", stateMachineArn=arn, name=uuid.uuid4().hex, input=text
        )
        for _ in range(5000):
            described = await connection.call(
                "DescribeExecution", executionArn=started["executionArn"]
            )
            if described["status"] != "RUNNING":
                break
            await asyncio.sleep(0.002)
        assert described["status"] == "SUCCEEDED", described

    return await load(port, clients, seconds, once)


async def express(port: int, clients: int, seconds: float) -> dict[str, float]:
    arn, text = await _create(port, "EXPRESS"), json.dumps(INPUT)

    async def once(connection: Connection) -> None:
        ended = await connection.call("StartSyncExecution", stateMachineArn=arn, input=text)
        assert ended["status"] == "SUCCEEDED", ended

    return await load(port, clients, seconds, once)


def measure(folder: str, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    probe = raw(tempfile.mkdtemp(dir=folder), MACHINES[MACHINE], 640)
    found["raw_probe_units_per_second"] = probe["units_per_second"]
    port = free_port()
    path = os.path.join(tempfile.mkdtemp(dir=folder), "served.db")
    with serving(
        port, "-m", "stepwell.integrations.cli.main", "serve", "--port", str(port), "--db", path
    ) as pid:
        for name, workload in (("standard", standard), ("express", express)):
            for clients in (1, 64):
                before = cpu_seconds(pid)
                row = found[f"{name}, {clients}"] = run(workload(port, clients, seconds))
                row["cpu_us_per_execution"] = (
                    (cpu_seconds(pid) - before) / (row["per_second"] * seconds) * 1e6
                )
                row["share_of_raw_probe"] = row["per_second"] / probe["units_per_second"]
    if find_spec("moto") is not None and find_spec("flask") is not None:
        port = free_port()
        with serving(port, "-m", "moto.server", "-p", str(port)):
            config = b'{"stepfunctions": {"execute_state_machine": true}}'
            request = urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/config", config)
            request.add_header("Content-Type", "application/json")
            urllib.request.urlopen(request, timeout=5).close()
            row = found["moto standard, 1"] = run(standard(port, 1, seconds))
            row["share_of_raw_probe"] = row["per_second"] / probe["units_per_second"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="folder for the databases")
    options = parser.parse_args()
    found = measure(options.folder, options.seconds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"raw SQLite probe: {found.pop('raw_probe_units_per_second'):,.0f} executions/s of "
        "the same rows\n"
    )
    print("workload, clients     executions/s   p50 ms   p99 ms   CPU us/execution  share of probe")
    for name, row in found.items():
        used = f"{row['cpu_us_per_execution']:18.0f}" if "cpu_us_per_execution" in row else " " * 18
        print(
            f"{name:20} {row['per_second']:13,.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} "
            f"{used} {row['share_of_raw_probe']:15.3f}"
        )


if __name__ == "__main__":
    main()
