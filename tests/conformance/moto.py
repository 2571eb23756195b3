"""moto's server, which is another engine: the suite has to find what it does differently."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket


@contextmanager
def moto(seconds: float = 60) -> Iterator[str]:
    """The URL of a moto server that runs state machines instead of making their results up."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _configure(url, process, time.monotonic() + seconds)
        yield url
    finally:
        process.kill()
        process.wait(timeout=30)


def _configure(url: str, process: subprocess.Popen[bytes], until: float) -> None:
    body = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
    request = urllib.request.Request(f"{url}/moto-api/config", body, {"Content-Type": "application/json"})
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except urllib.error.URLError:
            assert process.poll() is None and time.monotonic() < until, "moto's server does not answer"
            time.sleep(0.1)
