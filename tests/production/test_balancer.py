"""The load balancers of examples/production: a real HAProxy before two real servers."""

import os
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import PASS, Live, eventually
from tests.integrations.server.test_server import create
from tests.ports import free_port
from tests.postgres import PostgresServer

from stepwell.integrations.limits import DEFAULT_LIMITS

CONFIGURATION = ROOT / "examples" / "production" / "haproxy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@pytest.fixture
def nodes(home: dict[str, str], postgres_server: PostgresServer) -> Iterator[list[Live]]:
    """Two, on one database."""
    options = ("--db", postgres_server.database())
    found = [Live(home, Path("unused"), *options, program=SCRIPT) for _ in range(2)]
    yield found
    for each in found:
        each.close()


@pytest.fixture
def balancer(nodes: list[Live], tmp_path: Path) -> Iterator[str]:
    """Its URL."""
    if HAPROXY is None:
        pytest.skip("needs haproxy (scripts/operations)")
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


def test_its_time_limits_fit_those_of_a_node() -> None:
    text, limits = CONFIGURATION.read_text(), DEFAULT_LIMITS
    found = re.findall(r"^ *timeout ([\w-]+) (\d+)s$", text, re.MULTILINE)
    seconds = {name: int(number) for name, number in found}
    assert seconds["server"] > limits.express_seconds  # StartSyncExecution
    assert seconds["http-keep-alive"] < limits.connection_idle_seconds
    assert seconds["client"] > limits.request_seconds


@pytest.mark.skipif(NGINX is None, reason="needs nginx (scripts/operations)")
def test_the_file_for_nginx_is_valid(tmp_path: Path) -> None:
    own = (CONFIGURATION.parents[1] / "nginx" / "stepwell.conf").read_text()
    assert "proxy_set_header Host $http_host;" in own
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} http {{ access_log off;\n"
        f"{re.sub(r'node-[12]', '127.0.0.1', own)} }}"
    )
    words = [str(NGINX), "-t", "-q", "-c", str(file), "-p", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nodes_are_replaced_without_a_failed_request(nodes: list[Live], balancer: str) -> None:
    client = boto3.client(
        "stepfunctions",
        endpoint_url=balancer,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )

    def answers() -> bool:
        with suppress(ClientError, BotoCoreError):  # HAProxy is not up, or has no node yet
            return bool(client.list_state_machines())
        return False

    eventually(answers)
    arn = create(client, "order", PASS)
    for path in ("/metrics", "/%6detrics", "/metrics?a=b"):  # not for clients
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(balancer + path)
    stop, faults, started = threading.Event(), list[BaseException](), list[str]()

    def load() -> None:
        while not stop.is_set():
            try:
                started.append(client.start_execution(stateMachineArn=arn)["executionArn"])
            except BaseException as error:
                faults.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        eventually(lambda: len(started) > 50)
        assert nodes[0].stop() == 0
        count = len(started)
        eventually(lambda: len(started) > count + 50)
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert not faults, (len(faults), len(started), faults[:3])
    for execution in started[::20]:
        assert client.describe_execution(executionArn=execution)["executionArn"] == execution
