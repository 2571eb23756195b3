"""python -m benchmarks.http [--against COMMIT] [--workload NAME] [--seconds N] [--rounds N] ...:
executions per second over HTTP, with each server in a process of its own and synchronous=FULL.

A Standard execution counts when DescribeExecution shows its end, an Express one when
StartSyncExecution returns. A bare server of the same writes (benchmarks/bare.py) and the server of
another commit (or else, if it is installed, moto's, which is in memory with its own interpreter)
take turns with this one in short rounds, so that the machine's load affects all of them alike.
Compare the shares, which depend least on it; the CPU time is the one of the server's process.
What the other commit needs must be installed: an older one needs uvicorn.
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
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.client import Connection, load
from benchmarks.workloads import SERVED
from stepwell.integrations.loop import run

ROLE = "arn:aws:iam::123456789012:role/benchmark"
ROOT = Path(__file__).parents[1]
START_SECONDS = 60
CLIENTS = (1, 64)
POLL_SECONDS = (0.002, 0.05)  # between two calls of DescribeExecution: the first, the longest
OURS, BARE, MOTO = "this", "bare", "moto"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(port: int, *command: str, root: Path = ROOT) -> Iterator[int]:
    """A server process that listens on the port, with the code of this working tree; its pid."""
    paths = os.pathsep.join((str(root / ".dev"), str(root)))
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
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


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """The working tree of a commit."""
    path = folder / "against"
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run((*git, "add", "--detach", path, commit), check=True, capture_output=True)
    try:
        yield path
    finally:
        subprocess.run((*git, "remove", "--force", path), check=True, capture_output=True)


async def _create(port: int, workload: str) -> tuple[str, str]:
    """(ARN, input) of a workload's state machine; the same in each round."""
    definition, type, input = SERVED[workload]
    connection = await Connection("127.0.0.1", port).open()
    created = await connection.call(
        "CreateStateMachine",
        name=f"workload-{list(SERVED).index(workload)}",
        definition=json.dumps(definition),
        roleArn=ROLE,
        type=type,
    )
    connection.close()
    return created["stateMachineArn"], json.dumps(input)


async def executed(connection: Connection, arn: str, text: str, **more: str) -> None:
    """Run one Standard execution to its end. more: of StartExecution"""
    started = await connection.call("StartExecution", stateMachineArn=arn, input=text, **more)
    pause, longest = POLL_SECONDS
    while (
        described := await connection.call(
            "DescribeExecution", executionArn=started["executionArn"]
        )
    )["status"] == "RUNNING":
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)
    assert described["status"] == "SUCCEEDED", described


async def standard(port: int, workload: str, clients: int, seconds: float) -> dict[str, float]:
    arn, text = await _create(port, workload)

    async def once(connection: Connection) -> None:
        await executed(connection, arn, text, name=uuid.uuid4().hex)

    return await load(port, clients, seconds, once)


async def express(port: int, workload: str, clients: int, seconds: float) -> dict[str, float]:
    arn, text = await _create(port, workload)

    async def once(connection: Connection) -> None:
        ended = await connection.call("StartSyncExecution", stateMachineArn=arn, input=text)
        assert ended["status"] == "SUCCEEDED", ended

    return await load(port, clients, seconds, once)


def servers(stack: ExitStack, folder: Path, against: str | None) -> dict[str, tuple[int, int]]:
    """Start them all: name -> (port, pid)."""
    found = {}

    def start(name: str, *command: str, root: Path = ROOT) -> None:
        port = free_port()
        command = tuple(part.format(port=port) for part in command)
        found[name] = port, stack.enter_context(serving(port, *command, root=root))

    def ours(name: str, root: Path) -> None:
        path = folder / name / "served.db"
        path.parent.mkdir()
        serve = ("-m", "stepwell.integrations.cli.main", "serve", "--port", "{port}")
        start(name, *serve, "--db", str(path), root=root)

    ours(OURS, ROOT)
    start(BARE, "-m", "benchmarks.bare", "{port}", str(folder / "bare.db"))
    if against is not None:
        ours(against, stack.enter_context(checked_out(against, folder)))
    elif find_spec("moto") is not None and find_spec("flask") is not None:
        start(MOTO, "-m", "moto.server", "-p", "{port}")
        config = b'{"stepfunctions": {"execute_state_machine": true}}'
        request = urllib.request.Request(
            f"http://127.0.0.1:{found[MOTO][0]}/moto-api/config", config
        )
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=5).close()
    return found


def measure(
    folder: Path, seconds: float, rounds: int, against: str | None, workloads: list[str]
) -> dict[str, dict[str, Any]]:
    """{"WORKLOAD, CLIENTS": {server: {"per_second", "p50_ms", "p99_ms", "cpu_us"}}}: the medians of
    the rounds.
    """
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        processes = servers(stack, folder, against)
        for workload in workloads:
            for clients in CLIENTS:
                rows: dict[str, list[dict[str, float]]] = {}
                for _ in range(rounds):
                    for name, (port, pid) in processes.items():
                        if name == MOTO and (clients > 1 or workload != next(iter(SERVED))):
                            continue
                        began = cpu_seconds(pid)
                        measured = express if SERVED[workload][1] == "EXPRESS" else standard
                        row = run(measured(port, workload, clients, seconds / rounds))
                        row["cpu_us"] = (cpu_seconds(pid) - began) / row["count"] * 1e6
                        rows.setdefault(name, []).append(row)
                found[f"{workload}, {clients}"] = {
                    name: {key: median(row[key] for row in each) for key in each[0]}
                    for name, each in rows.items()
                }
    return found


def show(found: dict[str, dict[str, Any]]) -> None:
    print(
        "workload, clients  server      per second   p50 ms   p99 ms   CPU us   "
        "rate: ours is      CPU: ours is"
    )
    for workload, rows in found.items():
        ours = rows[OURS]
        for name, row in rows.items():
            shares = (
                ""
                if name == OURS
                else f"{ours['per_second'] / row['per_second']:10.2f} of it "
                f"{ours['cpu_us'] / row['cpu_us']:10.2f} of it"
            )
            print(
                f"{workload:18} {name[:10]:10} {row['per_second']:11,.1f} {row['p50_ms']:8.2f} "
                f"{row['p99_ms']:8.2f} {row['cpu_us']:8,.0f} {shares}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--against", metavar="COMMIT", help="another commit to compare with")
    parser.add_argument(
        "--workload",
        action="append",
        choices=list(SERVED),
        help="all of them by default; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--seconds", type=float, default=8, help="for each workload and server, in all rounds"
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="folder for the databases")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(
            Path(folder),
            options.seconds,
            options.rounds,
            options.against,
            options.workload or list(SERVED),
        )
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
