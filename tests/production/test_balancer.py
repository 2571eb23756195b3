"""The load balancer of examples/production: a real HAProxy before two real servers."""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import Live, eventually
from tests.test_docs import free_port

CONFIGURATION = ROOT / "examples" / "production" / "haproxy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="needs haproxy (scripts/operations)")


@pytest.fixture
def nodes(home: dict[str, str], tmp_path: Path) -> Iterator[list[Live]]:
    found = [Live(home, tmp_path / f"{number}.db", program=SCRIPT) for number in (1, 2)]
    yield found
    for each in found:
        each.close()


@pytest.fixture
def balancer(nodes: list[Live], tmp_path: Path) -> Iterator[str]:
    """Its URL."""
    assert HAPROXY is not None
    listen = f"127.0.0.1:{free_port()}"
    names = {f"NODE_{number}": live.url[7:] for number, live in enumerate(nodes, 1)}
    with (tmp_path / "haproxy.log").open("w") as log:
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", CONFIGURATION],
            env={**os.environ, **names, "LISTEN": listen},
            stdout=log,
            stderr=log,
        )
    yield f"http://{listen}"
    process.terminate()
    process.wait(timeout=20)


def test_a_node_that_stops_fails_no_request(nodes: list[Live], balancer: str) -> None:
    def client() -> object:
        """One that repeats nothing."""
        return boto3.client(
            "stepfunctions",
            endpoint_url=balancer,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
        )

    def answers() -> bool:
        try:
            client().list_state_machines()  # type: ignore[attr-defined]
        except Exception:
            return False
        return True

    eventually(answers)
    with pytest.raises(HTTPError, match="404"):  # not for clients
        urllib.request.urlopen(f"{balancer}/metrics")
    assert all(answers() for _ in range(20))
    nodes[0].process.terminate()
    assert all(answers() for _ in range(40))
    assert nodes[0].process.wait(timeout=30) == 0
    assert all(answers() for _ in range(20))
    assert nodes[1].process.poll() is None
