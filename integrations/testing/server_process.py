"""A server for tests: `stepwell serve` on a free port, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stepwell.integrations.server.endpoint_variables import endpoint_variable
from stepwell.integrations.services.registry import TABLE
from stepwell.integrations.testing.errors import WorkflowTestError

_COMMAND: Final = (
    sys.executable,
    "-c",
    "import sys; from stepwell.integrations.cli.main import main; sys.exit(main())",
)
_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_LISTENING: Final = "listening"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class ServerProcess:
    """url          of the server
    environment  variables with which AWS clients call it
    log          file of its log
    """

    url: str
    environment: Mapping[str, str]
    log: Path

    def client(self, service: str) -> Any:
        """boto3's client of a service on the server."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=_KEYS["AWS_DEFAULT_REGION"],
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def served(folder: Path, options: Sequence[str]) -> Iterator[ServerProcess]:
    """Runs until the end of the block. Raises WorkflowTestError if it does not start.

    folder   for its database and its log
    options  of `stepwell serve`
    """
    log = folder / "server.log"
    own = ("serve", "--port", "0", "--db", str(folder / "test.db"), "--log-format", "json")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*_COMMAND, *own, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
            env=environment,
        )
    try:
        url = _address(process, log)
        variables = {
            "AWS_ENDPOINT_URL_SFN": url,
            **dict.fromkeys(sorted(map(endpoint_variable, TABLE)), url),
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            **_KEYS,
        }
        yield ServerProcess(url, variables, log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL that the server logs once it listens."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                record = json.loads(line)
                if record.get("message") == _LISTENING:
                    url: str = record["url"]
                    return url
        if process.poll() is not None:
            raise WorkflowTestError(f"stepwell serve did not start:\n{text}")
        time.sleep(_POLL_SECONDS)
    raise WorkflowTestError(f"stepwell serve did not start within {_START_SECONDS:g} s: see {log}")
