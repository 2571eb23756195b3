"""moto's server, another engine whose differences the suite must find.

    PYTHONPATH=. python -m tests.conformance.moto     prints its column of the table in
    docs/how-to/conformance.md, after some minutes

Each area gets a server of its own, and vectors run one by one: its parser keeps the query language
of what it reads for the whole process.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.ports import free_port

AREAS = sorted(
    path.name
    for path in (Path(__file__).parents[2] / "conformance/cases").iterdir()
    if path.is_dir() and path.name != "functions"
)
COMMAND = [
    sys.executable,
    "-c",
    "from stepwell.integrations.cli.main import main; main()",
    "conformance",
]
ONE_BY_ONE = ["--vectors-only", "--quiet", "--threads", "1", "--vector-time", "8"]


@contextmanager
def moto(seconds: float = 60) -> Iterator[str]:
    """The URL of a moto server with the execution of state machines enabled."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _configure(url, process, time.monotonic() + seconds)
        yield url
    finally:
        process.kill()
        process.wait(timeout=30)


def _configure(url: str, process: subprocess.Popen[bytes], until: float) -> None:
    body = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
    request = urllib.request.Request(
        f"{url}/moto-api/config", body, {"Content-Type": "application/json"}
    )
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except OSError:  # also of an answer that does not come
            assert process.poll() is None and time.monotonic() < until, (
                "moto's server does not answer"
            )
            time.sleep(0.1)


def compare() -> None:
    total = dict.fromkeys(("passed", "failed"), 0)
    print(f"| area | moto {version('moto')} |\n|---|---|")
    for area in AREAS:
        with moto() as url, TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"
            words = [
                *COMMAND,
                "run",
                "--endpoint",
                url,
                "--area",
                area,
                *ONE_BY_ONE,
                "--json",
                str(file),
            ]
            subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
            score = json.loads(file.read_text("utf-8"))["scores"][-1]
        ran = score["passed"] + score["failed"]
        passed = f"{score['passed']} of {ran}" if ran else "not run"
        print(f"| {area} | {passed} |", flush=True)
        total = {name: total[name] + score[name] for name in total}
    print(f"| **all** | **{total['passed']} of {sum(total.values())}** |")


if __name__ == "__main__":
    compare()
