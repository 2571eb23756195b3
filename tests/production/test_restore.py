"""Backups that are made while a server works, as docs/how-to/runbook.md says: in what they are
restored to, executions go on.
"""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import SCRIPT, Command
from tests.integrations.server.live import PASS, Live, eventually, one
from tests.integrations.server.test_server import create
from tests.postgres import PROGRAMS, PostgresServer

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"
TASK = one({"Type": "Task", "Resource": ACTIVITY, "End": True})
BackUp = Callable[[str], str]
"""The URL of a database -> that of a new one, restored from its backup."""


def by_stepwell(tmp_path: Path, command: Command) -> BackUp:
    def back_up(db: str) -> str:
        file = tmp_path / "backup.db"
        done = command("db", "backup", file, "--db", db)
        assert done.returncode == 0, done.stderr
        assert "nothing is damaged" in command("db", "check", "--db", file).stdout
        return str(file)

    return back_up


def by_pg_dump(server: PostgresServer) -> BackUp:
    def back_up(db: str) -> str:
        restored = server.database()
        dump = subprocess.run(
            [f"{PROGRAMS}/pg_dump", "--schema", "stepwell", db], capture_output=True, check=True
        )
        load = [f"{PROGRAMS}/psql", "-Xq", "-v", "ON_ERROR_STOP=1", restored]
        subprocess.run(load, input=dump.stdout, capture_output=True, check=True)
        return restored

    return back_up


@pytest.mark.parametrize("kind", ["db backup", "pg_dump"])
def test_executions_go_on(
    kind: str,
    request: pytest.FixtureRequest,
    home: dict[str, str],
    command_here: Command,
    tmp_path: Path,
) -> None:
    if kind == "pg_dump":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        db, back_up = server.database(), by_pg_dump(server)
    else:
        db, back_up = str(tmp_path / "one.db"), by_stepwell(tmp_path, command_here)
    live = Live(home, tmp_path / "unused", "--db", db, program=SCRIPT)
    try:
        states = live.client()
        states.create_activity(name="work")
        waiting = states.start_execution(stateMachineArn=create(states, "waiting", TASK))
        token = states.get_activity_task(activityArn=ACTIVITY)["taskToken"]
        arn, started, stop = create(states, "load", PASS), list[str](), threading.Event()

        def load() -> None:
            client = live.client()
            while not stop.is_set():
                started.append(client.start_execution(stateMachineArn=arn)["executionArn"])

        thread = threading.Thread(target=load)
        thread.start()
        try:
            eventually(lambda: len(started) > 20)
            before = list(started)
            restored = back_up(db)
        finally:
            stop.set()
            thread.join()
    finally:
        live.close()
    live = Live(home, tmp_path / "unused", "--db", restored, program=SCRIPT)
    try:
        states = live.client()
        states.send_task_success(taskToken=token, output='"done"')
        described = {"executionArn": waiting["executionArn"]}
        eventually(lambda: states.describe_execution(**described)["status"] == "SUCCEEDED")
        assert states.describe_execution(**described)["output"] == '"done"'
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=arn)
        found = {each["executionArn"] for page in pages for each in page["executions"]}
        assert found >= set(before)
        states.start_execution(stateMachineArn=arn)
    finally:
        live.close()
