"""Networks that lose every packet, as when a cable is pulled or a host loses its power: no error
tells of it.

Each node is in a network namespace, on two networks: on the first it reaches the primary, on the
second the standby, the other node and its clients. Needs root and iproute2.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SCRIPT
from tests.integrations.nodes.cluster import Cluster
from tests.integrations.nodes.test_deaths import definition, started
from tests.integrations.nodes.test_failover import check
from tests.integrations.server.conftest import home
from tests.integrations.server.live import ROLE, eventually
from tests.postgres import PROGRAMS, REASON, replicated

__all__ = ["home"]  # a fixture

BACK_SECONDS = 60.0  # owner_idle_seconds is 10; the kernel alone would try for 15 minutes
NODES = ("a", "b")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Networks:
    """Two bridges of this machine, and a namespace on both for each node."""

    def __init__(self) -> None:
        self._id = f"{os.getpid() % 100_000}"  # names of interfaces have 15 characters at most
        self._subnet = os.getpid() % 250

    def address(self, network: int, node: str = "") -> str:
        """Of a node, or of this machine."""
        return f"10.{200 + network}.{self._subnet}.{NODES.index(node) + 1 if node else 254}"

    def program(self, node: str) -> list[str]:
        return ["ip", "netns", "exec", self._namespace(node), *SCRIPT]

    def open(self) -> None:
        for network in (1, 2):
            ip("link", "add", f"sw{network}-{self._id}", "type", "bridge")
            ip("address", "add", f"{self.address(network)}/24", "dev", f"sw{network}-{self._id}")
            ip("link", "set", f"sw{network}-{self._id}", "up")
        for node in NODES:
            space = self._namespace(node)
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            for network in (1, 2):
                ours, theirs = self._cable(network, node), f"eth{network}"
                peer = ("type", "veth", "peer", "name", theirs, "netns", space)
                ip("link", "add", ours, *peer)
                ip("link", "set", ours, "master", f"sw{network}-{self._id}", "up")
                address = f"{self.address(network, node)}/24"
                ip("-n", space, "address", "add", address, "dev", theirs)
                ip("-n", space, "link", "set", theirs, "up")

    def close(self) -> None:
        for words in (
            *(("netns", "delete", self._namespace(node)) for node in NODES),
            *(("link", "delete", f"sw{network}-{self._id}") for network in (1, 2)),
        ):
            subprocess.run(["ip", *words], check=False, capture_output=True)

    def cut(self, network: int, *nodes: str) -> None:
        for node in nodes:
            ip("link", "set", self._cable(network, node), "down")

    def join(self, network: int, *nodes: str) -> None:
        for node in nodes:
            ip("link", "set", self._cable(network, node), "up")

    def _cable(self, network: int, node: str) -> str:
        return f"sw{network}{node}-{self._id}"

    def _namespace(self, node: str) -> str:
        return f"stepwell-{node}-{self._id}"


@contextmanager
def networks() -> Iterator[Networks]:
    made = Networks()
    try:
        try:
            made.open()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs root and iproute2, to make network namespaces: {error}")
        yield made
    finally:
        made.close()


class Load:
    """Clients that start executions by name. names: those that were acknowledged."""

    def __init__(self, nodes: Cluster, arn: str) -> None:
        self.names = list[str]()
        self._nodes, self._arn, self._stop = nodes, arn, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(3)]

    def _run(self, worker: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"p{worker}-{number}"
            while not started(self._nodes, self._arn, name):
                time.sleep(0.02)
            self.names.append(name)

    def __enter__(self) -> "Load":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def back(self) -> float:
        """Wait until it is served on every shard, about. Returns the seconds."""
        began, before = time.monotonic(), len(self.names)
        eventually(lambda: len(self.names) > before + 60, BACK_SECONDS)
        return time.monotonic() - began


@pytest.mark.skipif(PROGRAMS is None, reason=REASON)
def test_a_silent_network(home: dict[str, str], tmp_path: Path) -> None:
    with networks() as net, replicated(listen_addresses="*") as servers:
        nodes = Cluster(home, "")
        url = servers.reached_at(net.address(1), net.address(2))
        nodes.db = f"{url}&search_path=silent"
        try:
            for node in NODES:
                _start(nodes, net, node, tmp_path)
            nodes.settled()
            queue = nodes.client("sqs").create_queue(QueueName="once")["QueueUrl"]
            arn = nodes.client().create_state_machine(
                name="m", definition=definition(queue), roleArn=ROLE
            )["stateMachineArn"]
            with Load(nodes, arn) as load:
                load.back()
                net.cut(1, "a")
                net.cut(2, "a")
                others = load.back()
                net.join(1, "a")
                net.join(2, "a")
                nodes.settled(60)  # it takes its share again
                net.cut(1, *NODES)
                time.sleep(7)  # sessions have ended, and look for a primary meanwhile
                servers.promote()
                standby = load.back()
                nodes.settled(60)
            print(f"served by the other node after {others:.1f} s, by the standby {standby:.1f} s")
            check(nodes, arn, load.names)
        finally:
            nodes.close()


def _start(nodes: Cluster, net: Networks, node: str, folder: Path) -> None:
    keys = folder / "keys"
    keys.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
    keys.chmod(0o600)
    address = net.address(2, node)
    options: tuple[Any, ...] = ("--host", address, "--node-address", address, "--credentials", keys)
    nodes.start(*options, "--allow-host", "127.0.0.1", program=net.program(node))
