"""A real `stepwell serve`, and the clients that its users have."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import SCRIPT

REGION, ACCOUNT = "us-east-1", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


# The command with other limits: LIMITS has them as JSON; file_bytes is that of the largest file
# that the process may write.
LIMITED = [
    sys.executable,
    "-c",
    """
import dataclasses, json, os, resource, sys
given = json.loads(os.environ["LIMITS"])
if "file_bytes" in given:
    resource.setrlimit(resource.RLIMIT_FSIZE, (given.pop("file_bytes"),) * 2)
from stepwell.integrations import limits
limits.DEFAULT_LIMITS = dataclasses.replace(limits.DEFAULT_LIMITS, **given)
from stepwell.integrations.cli.main import main
sys.argv[0] = "stepwell"
sys.exit(main())
""",
]


TARGET = {
    "X-Amz-Target": "AWSStepFunctions.ListStateMachines",
    "Content-Type": "application/x-amz-json-1.0",
}


def one(state: dict[str, Any], **more: Any) -> str:
    """The definition of a machine with one state."""
    return json.dumps({"StartAt": "Only", "States": {"Only": state}, **more})


PASS = one({"Type": "Pass", "End": True})
WAIT = one({"Type": "Wait", "Seconds": 3600, "End": True})


def eventually(ask: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return answer


SHARED = os.environ.get("STEPWELL_TEST_POSTGRES")
"""URL of a PostgreSQL server: then each server of the tests is two nodes on a schema of it, behind
a load balancer, wherever a test names a file."""


def shared(db: Path) -> str:
    """The database that stands for a file."""
    return f"{SHARED}?search_path=test_{hashlib.sha256(str(db).encode()).hexdigest()[:16]}"


class Live:
    """A server process. log: what it has logged so far, as dicts."""

    def __init__(
        self,
        environment: dict[str, str],
        db: Path,
        *options: object,
        program: list[str] = SCRIPT,
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        environment = environment | {"LIMITS": json.dumps(limits or {})}
        if "--db" in options:
            place = options.index("--db")
            own = str(options[place + 1])
            db = own if "://" in own else Path(own)  # type: ignore[assignment]
            options = (*options[:place], *options[place + 2 :])
        self._other: Live | None = None
        self._balancer: Any = None
        if SHARED and isinstance(db, Path) and "--port" not in options:
            from tests.integrations.nodes.cluster import Balancer

            more: dict[str, Any] = {"program": program, "limits": limits}
            self._other = Live(environment, shared(db), *options, **more)  # type: ignore[arg-type]
            self._balancer = Balancer()
        words = [
            *program,
            "serve",
            "--port",
            "0",
            "--db",
            shared(db) if self._other else str(db),
            "--log-format",
            "json",
            *map(str, options),
        ]
        self.db, self.environment, self.log = db, environment, list[dict[str, Any]]()
        self.process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(
                json.loads(line) if line.startswith("{") else {"message": line.rstrip()}
            )

    def said(self, message: str) -> dict[str, Any] | None:
        """What any of its nodes has logged."""
        there = self._other.said(message) if self._other is not None else None
        return self._said(message) or there

    def _said(self, message: str) -> dict[str, Any] | None:
        return next((each for each in self.log if each["message"] == message), None)

    @property
    def url(self) -> str:
        def listening() -> dict[str, Any] | None:
            assert self.process.poll() is None or self._said("listening"), self.log
            return self._said("listening")

        try:
            own = str(eventually(listening)["url"])
        except AssertionError:
            raise AssertionError(f"{self.process.poll()}: {self.log}") from None
        if self._other is None:
            return own
        if not self._balancer.nodes:
            self._balancer.nodes = [
                (str(parts.hostname), int(parts.port or 0))
                for parts in map(urlsplit, (own, self._other.url))
            ]
        return str(self._balancer.url)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return str(answer.read().decode())

    def client(self, service: str = "stepfunctions", **config: Any) -> Any:
        """boto3's client, with keys of the test's own."""
        settings = {
            "retries": {"total_max_attempts": 1},
            "inject_host_prefix": False,
            "read_timeout": 70,
            **config,
        }
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, config=Config(**settings), **keys
        )

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        if self._other is not None:
            self._other.stop(number, seconds)
        self.process.send_signal(number)
        code = self.process.wait(timeout=seconds)
        self._reader.join(timeout=60)
        return code

    def close(self) -> None:
        if self._other is not None:
            self._other.close()
            self._balancer.close()
        self.process.kill()
        self.process.wait(timeout=30)
        self._reader.join(timeout=60)
        assert self.process.stderr is not None
        self.process.stderr.close()


def request(
    live: Live, path: str = "/", body: bytes = b"{}", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request, with headers of its own: (status, headers, body)."""
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
    try:
        connection.request(
            method,
            path,
            body,
            TARGET | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def metrics(live: Live) -> dict[str, float]:
    """name{label="value"} -> number."""
    found = {}
    for family in text_string_to_metric_families(live.get("/metrics")):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def healthy(live: Live) -> bool:
    try:
        return live.get("/health") == "ok\n"
    except OSError:
        return False


def keep_compiled(home: dict[str, str], folder: Path) -> dict[str, str]:
    """Compiled code is kept for the next process, even if PYTHONDONTWRITEBYTECODE is set."""
    return home | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def aws(
    environment: dict[str, str], *words: object, service: str = "stepfunctions", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """`aws SERVICE ...` as a process."""
    program = [sys.executable, "-m", "awscli", service, "--output", "json", *map(str, words)]
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


# words of one call a line -> [exit code, standard output, standard error]
_ASKING = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
for line in sys.stdin:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        try:
            code = create_clidriver().main(json.loads(line))
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, output.getvalue(), errors.getvalue()]), flush=True)
"""


class AwsCommand:
    """`aws ...`, one call after the other in one process: each costs half a second to start."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ASKING],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        late = threading.Timer(timeout, self._process.kill)
        late.start()
        try:
            stdin.write(json.dumps([*map(str, words)]) + "\n")
            stdin.flush()
            return subprocess.CompletedProcess(words, *json.loads(stdout.readline()))
        finally:
            late.cancel()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def cpu_ticks(pid: int) -> int:
    """User and system time of a process so far, in units of 1/SC_CLK_TCK s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def idle_ticks(pid: int, bar: float) -> float:
    """Ticks of a second of a process that does nothing: the least of a few rounds, since a busy
    machine's kernel charges some of its own; ends when it is not above the bar.
    """
    rates: list[float] = []
    while len(rates) < 5 and min(rates, default=bar + 1) > bar:
        ticks, began = cpu_ticks(pid), time.monotonic()
        time.sleep(2)
        rates.append((cpu_ticks(pid) - ticks) / (time.monotonic() - began))
    return min(rates)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
