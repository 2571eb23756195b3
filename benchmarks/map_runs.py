"""python -m benchmarks.map_runs [--children N] [--source csv|jsonl] [--item-bytes N] [--db DB]
[--kill N] [--folder DIR]: a Map Run of many Express children on a server, from a file in S3 to the
files of its results.

The S3 is object_store.py. The server is killed (SIGKILL) N times on its way and started again. At
the end, the results are read: each item must be there, once.

    rate      children for each second of time, and of the server's CPU time, of each tenth
    peak MB   memory of the server's process: the most of all of its processes
    health    ms: how long GET /health takes, every 50 ms; -: the server was dead
    open      ms: from the start of a process after a kill to its first answer
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.client import SIGNED
from benchmarks.http import ROOT, cpu_seconds, free_port

POLL_SECONDS = 0.25
S3 = "arn:aws:states:::s3:"


def dataset(path: Path, source: str, children: int, item_bytes: int) -> None:
    filler = "x" * max(1, item_bytes - 40)
    with path.open("w") as file:
        if source == "csv":
            file.write("id,text\n")
        for number in range(children):
            file.write(
                f"{number},{filler}\n"
                if source == "csv"
                else f'{{"id":"{number}","text":"{filler}"}}\n'
            )


def machine(source: str) -> dict[str, Any]:
    """Each child makes its result, the number of its item, of a larger input."""
    formats = {"csv": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}}
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    state = {"Type": "Pass", "Parameters": {"id.$": "$.id"}, "End": True}
    run = {
        "Type": "Map",
        "Label": "L",
        "ItemReader": {
            "Resource": S3 + "getObject",
            "ReaderConfig": formats.get(source, {"InputType": "JSONL"}),
            "Parameters": {"Bucket": "data", "Key": f"items.{source}"},
        },
        "ItemProcessor": {"ProcessorConfig": config, "StartAt": "P", "States": {"P": state}},
        "ResultWriter": {
            "Resource": S3 + "putObject",
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            "Parameters": {"Bucket": "data", "Prefix": "out"},
        },
        "End": True,
    }
    return {"StartAt": "M", "States": {"M": run}}


class Server:
    """`stepwell serve`, which can be killed and started again."""

    def __init__(self, db: str, s3: str, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.command = [
            *(sys.executable, "-m", "stepwell.integrations.cli.main", "serve"),
            *("--port", str(self.port), "--db", db, "--aws-endpoint", f"s3={s3}"),
        ]
        self.cpu, self.peak = 0.0, 0  # of the processes that are dead
        self.start()

    def start(self) -> float:
        """Seconds until it answers."""
        began = time.perf_counter()
        log = (self.folder / "server.log").open("a")
        paths = os.pathsep.join((str(ROOT / ".dev"), str(ROOT)))
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        variables = {**os.environ, **keys, "PYTHONPATH": paths}
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=variables,
            stdout=log,
            stderr=log,
        )
        while True:
            try:
                self.get("/health")
                return time.perf_counter() - began
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "server.log").read_text()[-2000:]) from None
                time.sleep(0.01)

    def kill(self) -> None:
        self.measure()
        self.cpu += cpu_seconds(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def measure(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        self.peak = max(self.peak, int(peak.split()[1]) // 1024)

    def cpu_seconds(self) -> float:
        return self.cpu + cpu_seconds(self.process.pid)

    def get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def call(self, operation: str, **members: Any) -> Any:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AWSStepFunctions.{operation}",
            "Authorization": SIGNED,
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/", json.dumps(members).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


class Health(threading.Thread):
    """Asks for /health again and again, except while the server is dead."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.alive, self.times = server, threading.Event(), list[float]()
        self.alive.set()

    def run(self) -> None:
        while True:
            self.alive.wait()
            began = time.perf_counter()
            try:
                self.server.get("/health")
            except OSError:
                continue
            self.times.append(time.perf_counter() - began)
            time.sleep(0.05)


@contextmanager
def object_store(folder: Path) -> Iterator[str]:
    command = (sys.executable, "-m", "benchmarks.object_store", str(folder))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Sample(NamedTuple):
    """So many children had succeeded at a time, when the server had used so much CPU time."""

    done: int
    at: float
    cpu: float


def follow(server: Server, children: int, kills: int, source: str) -> dict[str, Any]:
    """Until the execution has ended."""
    health = Health(server)
    health.start()
    definition = json.dumps(machine(source))
    role = "arn:aws:iam::123456789012:role/r"
    made = server.call("CreateStateMachine", name="m", definition=definition, roleArn=role)
    arn = server.call("StartExecution", stateMachineArn=made["stateMachineArn"])["executionArn"]
    samples = [Sample(0, time.perf_counter(), server.cpu_seconds())]
    opens: list[float] = []
    while server.call("DescribeExecution", executionArn=arn)["status"] == "RUNNING":
        time.sleep(POLL_SECONDS)
        runs = server.call("ListMapRuns", executionArn=arn)["mapRuns"]
        if runs:
            run = server.call("DescribeMapRun", mapRunArn=runs[0]["mapRunArn"])
            done = run["executionCounts"]["succeeded"]
            samples.append(Sample(done, time.perf_counter(), server.cpu_seconds()))
            if len(opens) < kills and done >= children * (len(opens) + 1) / (kills + 1):
                health.alive.clear()
                server.kill()
                opens.append(server.start())
                health.alive.set()
    ended, last = time.perf_counter(), next(each for each in samples if each.done == children)
    described = server.call("DescribeExecution", executionArn=arn)
    server.measure()
    times = sorted(health.times)
    return {
        "status": described["status"],
        "error": described.get("error"),
        "tenths": list(tenths(samples, children)),
        "rate": round(children / (last.at - samples[0].at)),
        "cpu_rate": round(children / (last.cpu - samples[0].cpu)),
        "written_seconds": round(ended - last.at, 1),
        "peak_mb": server.peak,
        "health_ms": {
            name: round(1000 * times[min(len(times) - 1, int(share * len(times)))], 1)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))
        },
        "open_ms": [round(1000 * seconds) for seconds in opens],
    }


def tenths(samples: list[Sample], children: int) -> Iterator[tuple[int, int]]:
    """(children a second, children a second of CPU time) of each tenth, between samples."""
    known = [Sample(0, *samples[0][1:])]
    for tenth in range(1, 11):
        after = next((each for each in samples if each.done >= children * tenth // 10), None)
        if after is None:
            return
        last = known[-1]
        if after.done > last.done:
            known.append(after)
            count = after.done - last.done
            yield (
                round(count / max(after.at - last.at, 1e-9)),
                round(count / max(after.cpu - last.cpu, 1e-9)),
            )


def results(folder: Path) -> Counter[str]:
    """How often each item is in the files of results."""
    found: Counter[str] = Counter()
    for path in folder.rglob("SUCCEEDED*"):
        with path.open() as file:
            found.update(json.loads(line)["id"] for line in file)
    return found


def measure(
    folder: Path, db: str, children: int, source: str, item_bytes: int, kills: int
) -> dict[str, Any]:
    data = folder / "data"
    data.mkdir(parents=True)
    dataset(data / f"items.{source}", source, children, item_bytes)
    with object_store(folder) as s3:
        server = Server(db, s3, folder)
        try:
            found = follow(server, children, kills, source)
        finally:
            server.stop()
    counted = results(data)
    return found | {"results": len(counted), "repeated": counted.total() - len(counted)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--children", type=int, default=100_000)
    parser.add_argument("--source", choices=("csv", "jsonl"), default="csv")
    parser.add_argument("--item-bytes", type=int, default=1_000)
    parser.add_argument("--db", help="default: a file of SQLite in the folder")
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        found = measure(
            folder,
            options.db or str(folder / "served.db"),
            options.children,
            options.source,
            options.item_bytes,
            options.kill,
        )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
