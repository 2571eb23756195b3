"""The scripts of examples/production that set up PostgreSQL, on real servers: after the primary has
died, the standby has every acknowledged execution, and another standby can be made of it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import PASS, Live, eventually
from tests.integrations.server.test_server import create
from tests.postgres import PROGRAMS, REASON, PostgresServer, postgres

FOLDER = ROOT / "examples" / "production" / "postgres"

pytestmark = pytest.mark.skipif(PROGRAMS is None, reason=REASON)


class Standby(PostgresServer):
    """A server whose data the script copies from the primary."""

    def __init__(self, folder: Path, primary: PostgresServer, environment: dict[str, str]) -> None:
        self.primary, self.environment = primary, environment
        super().__init__(folder)

    def _run(self, program: str, *arguments: str) -> None:
        if program != "initdb":
            return super()._run(program, *arguments)
        more = {"PRIMARY": "127.0.0.1", "PRIMARY_PORT": str(self.primary.port)}
        run(self, FOLDER / "standby.sh", self.environment | more, "true")
        return None


def run(server: PostgresServer, script: Path, environment: dict[str, str], *words: str) -> None:
    """A script as the official image runs it: as PostgreSQL's user, with its programs."""
    copy = server.folder / script.name
    shutil.copy(script, copy)
    copy.chmod(0o755)
    done = subprocess.run(
        ["bash", copy, *words],
        env={"PATH": f"{PROGRAMS}:{os.defpath}", "PGDATA": str(server.data), **environment},
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **server._as_user(),  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def servers() -> Iterator[tuple[PostgresServer, Standby]]:
    """The primary and its standby, both running."""
    with postgres(fsync="off") as primary:
        password = primary.folder / "replication"
        password.write_text("it's secret\n")
        password.chmod(0o644)
        primary.folder.chmod(0o755)
        names = {"REPLICATION_PASSWORD_FILE": str(password)}
        connection = {
            "POSTGRES_USER": "stepwell",
            "POSTGRES_DB": "postgres",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(primary.port),
        }
        run(primary, FOLDER / "primary.sh", names | connection)
        primary.kill()
        primary.start()
        folder = Path(tempfile.mkdtemp(prefix="stepwell-standby-"))
        try:
            standby = Standby(folder, primary, names)
            standby.start()
            try:
                yield primary, standby
            finally:
                standby.kill()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def ask(server: PostgresServer, sql: str) -> str:
    done = subprocess.run(
        [f"{PROGRAMS}/psql", "-XAtc", sql, server.url], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def retaken(live: Live) -> bool:
    """Whether each of the eight shards was taken once more."""
    return sum(line["message"].startswith("took shard") for line in live.log) >= 16


def test_a_failover_loses_nothing(
    servers: tuple[PostgresServer, Standby], home: dict[str, str], tmp_path: Path
) -> None:
    primary, standby = servers
    state = "SELECT application_name, sync_state FROM pg_stat_replication"
    eventually(lambda: ask(primary, state) == "standby|sync")
    both = f"postgresql://stepwell@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    live = Live(home, tmp_path / "x", "--db", both, program=SCRIPT)
    try:
        client = live.client(retries={"total_max_attempts": 5})
        arn = create(client, "order", PASS)
        started = [
            client.start_execution(stateMachineArn=arn, name=f"n{number}")["executionArn"]
            for number in range(50)
        ]
        assert live.get("/ready") == "ready\n"
        primary.kill()
        assert live.get("/ready") == "ready\n"  # calls wait for the failover
        assert ask(standby, "SELECT pg_promote()") == "t"
        # the new primary has no standby: what docs/how-to/runbook.md says
        ask(standby, "ALTER SYSTEM SET synchronous_standby_names = ''")
        ask(standby, "SELECT pg_reload_conf()")
        # without any request
        eventually(lambda: "stepwell_shards_owned 8" in live.get("/metrics") and retaken(live), 30)
        for execution in started:
            assert client.describe_execution(executionArn=execution)["name"]
        client.start_execution(stateMachineArn=arn, name="after")
        with another_standby(standby):
            ask(standby, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            ask(standby, "SELECT pg_reload_conf()")
            eventually(lambda: ask(standby, state) == "standby|sync")
            client.start_execution(stateMachineArn=arn, name="protected")
            ask(standby, "ALTER SYSTEM SET synchronous_standby_names = ''")
            ask(standby, "SELECT pg_reload_conf()")
    finally:
        live.close()


@contextmanager
def another_standby(primary: Standby) -> Iterator[None]:
    """As docs/how-to/runbook.md makes one of a server that was promoted."""
    ask(primary, "SELECT pg_create_physical_replication_slot('standby')")
    folder = Path(tempfile.mkdtemp(prefix="stepwell-standby-"))
    try:
        standby = Standby(folder, primary, primary.environment)
        standby.start()
        try:
            yield
        finally:
            standby.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
