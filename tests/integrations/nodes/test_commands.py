"""Commands beside the nodes of a cluster."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Command
from tests.integrations.nodes.cluster import Cluster, cluster
from tests.integrations.server.conftest import home
from tests.integrations.server.live import PASS
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
