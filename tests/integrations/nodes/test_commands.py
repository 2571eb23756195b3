"""Commands beside the nodes of a cluster."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Command, Start
from tests.integrations.nodes.cluster import Cluster, cluster
from tests.integrations.server.conftest import home
from tests.integrations.server.live import PASS, ROLE
from tests.postgres import PostgresServer

__all__ = ["home"]  # a fixture


@pytest.fixture
def nodes(home: dict[str, str], postgres_server: PostgresServer) -> Iterator[Cluster]:
    with cluster(home, postgres_server.database()) as started:
        yield started


def test_a_database_is_reached_through_any_node_that_lives(
    nodes: Cluster,
    command_here: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = tmp_path / "pass.asl.json"
    machine.write_text(PASS)
    nodes.end(nodes.nodes[-1], signal.SIGKILL)  # the last to start
    (node,) = nodes.nodes
    nodes.settled()
    ran = command_here("run", machine, "--db", nodes.db)
    assert (ran.returncode, node.url in ran.stderr) == (0, True), ran.stderr
    assert "standby" not in ran.stderr
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "of_another_user"))
    ran = command_here("run", machine, "--db", nodes.db)
    assert (ran.returncode, ran.stderr) == (
        2,
        f"stepwell: {nodes.db} is in use by {node.url} (127.0.0.1); name a server with"
        " --server URL, or use another database with --db\n",
    )


def test_only_who_runs_a_database_warns_of_a_failover(
    command: Command, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    machine, db = tmp_path / "pass.asl.json", postgres_server.database()
    machine.write_text(PASS)
    ran = command("run", machine, "--db", db)
    assert (ran.returncode, "standby" in ran.stderr) == (0, False), ran.stderr
    checked = command("db", "check", "--db", db)
    assert checked.stderr.count("has no synchronous standby") == 1, checked


WAITS = """
{"StartAt": "First", "States": {
  "First": {"Type": "Wait", "Seconds": 2, "Next": "Second"},
  "Second": {"Type": "Wait", "Seconds": 1, "End": true}}}
"""


def test_tail_follows_executions_that_another_node_takes_over(nodes: Cluster, start: Start) -> None:
    states = nodes.client()
    arn = states.create_state_machine(name="w", definition=WAITS, roleArn=ROLE)["stateMachineArn"]
    names = [f"e{number}" for number in range(6)]  # both nodes run some of them
    for name in names:
        states.start_execution(stateMachineArn=arn, name=name)
    tail = start("tail", "-f", *names, "--json", "--server", nodes.url)
    assert tail.stdout is not None and tail.stderr is not None
    lines = [tail.stdout.readline()]
    nodes.end(nodes.nodes[0], signal.SIGKILL)
    output, errors = tail.stdout.read(), tail.stderr.read()  # with what readline() has buffered
    assert tail.wait(60) == 0, errors
    assert errors.count("\n") == errors.count("; trying again\n") <= 1
    events = [json.loads(line) for line in [*lines, *output.splitlines()]]
    for name in names:
        ids = [each["id"] for each in events if each["executionArn"].endswith(f":{name}")]
        assert ids == list(range(1, 7)), "none is lost or repeated"
