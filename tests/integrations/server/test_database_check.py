"""`stepwell db check`, and services whose records are damaged."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Command
from tests.integrations.server.live import PASS, ROLE, Live, one

from stepwell.integrations.services.common.tables import pack, unpack

MAP = one(
    {
        "Type": "Map",
        "ItemProcessor": {
            "StartAt": "W",
            "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}},
        },
        "End": True,
    }
)
EACH = {
    "definition": "text",
    "machine": "extras",
    "continuation": "blob",
    "history": "blob",
    "payload": "blob",
    "record": "blob",
}


@pytest.fixture
def made(serve: Any) -> Iterator[Live]:
    """A server with something in each table."""
    live = serve()
    client = live.client()
    sleeps = {"Type": "Wait", "Seconds": 3600, "End": True}
    big = json.dumps(
        {
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "Result": "x" * 4000, "Next": "W"}, "W": sleeps},
        }
    )
    machines = [
        client.create_state_machine(
            name=name, definition=text, roleArn=ROLE, tags=[{"key": "a", "value": "b"}]
        )["stateMachineArn"]
        for name, text in (("pass", PASS), ("wait", big), ("map", MAP))
    ]
    client.start_execution(stateMachineArn=machines[0], name="done")
    client.start_execution(stateMachineArn=machines[1], name="waits")
    client.start_execution(
        stateMachineArn=machines[2], name="many", input=json.dumps(list(range(40)))
    )
    queues = live.client("sqs")
    for name in ("one", "two"):
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=name)
    yield live


def findings(command: Command, db: Path) -> list[dict[str, str]]:
    done = command("db", "check", "--db", db, "--json")
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert bool(found) == (done.returncode == 1)
    return found


def test_each_damaged_row_is_listed(made: Live, command_here: Command, tmp_path: Path) -> None:
    assert findings(command_here, made.db) == []  # beside the server
    assert "nothing is damaged" in command_here("db", "check", "--db", made.db).stdout
    assert made.stop() == 0
    for table, column in EACH.items():
        copy = tmp_path / f"{table}.db"
        shutil.copy(made.db, copy)
        with closing(sqlite3.connect(copy)) as db:
            db.create_function("harm", 1, lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]))
            where = (
                f"rowid = (SELECT max(rowid) FROM {table})"
                if table != "record"
                else "key LIKE 'sqs/message/%'"
            )
            db.execute(f"UPDATE {table} SET {column} = harm({column}) WHERE {where}")
            db.commit()
        found = findings(command_here, copy)
        assert found and any(each["row"].startswith(table) for each in found), (table, found)
        assert all(each["owner"] and each["fault"] and each["advice"] for each in found)
        assert "damaged" in command_here("db", "check", "--db", copy).stdout
    done = command_here("db", "check", "--db", tmp_path / "none.db")
    assert done.returncode == 2 and "there is no database" in done.stderr


def test_a_torn_file_is_reported(made: Live, command: Command) -> None:
    assert made.stop() == 0
    with open(made.db, "r+b") as file:
        file.seek(8192)
        file.write(b"\0" * 4096 * 6)
    done = command("db", "check", "--db", made.db)
    assert done.returncode in (1, 2) and (done.stdout or done.stderr)


def test_a_damaged_record_harms_what_it_is_of(made: Live, serve: Any) -> None:
    """One queue's document and one message of another: the server starts, everything else is there,
    and nothing is deleted.
    """
    assert made.stop() == 0
    with closing(sqlite3.connect(made.db)) as db:
        before = [
            row[0] for row in db.execute("SELECT key FROM record WHERE key LIKE 'sqs/message/%'")
        ]
        db.execute("UPDATE record SET blob = substr(blob, 1, 20) WHERE key = 'sqs/queue/two'")
        db.commit()
    live = serve()
    queues = live.client("sqs")
    (url,) = queues.list_queues()["QueueUrls"]
    assert queues.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "one"
    assert live.stop() == 0
    with closing(sqlite3.connect(live.db)) as db:
        assert [
            row[0] for row in db.execute("SELECT key FROM record WHERE key LIKE 'sqs/message/%'")
        ] == before


def test_records_of_the_version_before_are_read() -> None:
    assert unpack(b'\x01{"a":1}') == {"a": 1} == unpack(pack({"a": 1}))
    for damaged in (b'\x01{"a":', b"\x02", pack({"a": 1})[:-1], b"", b"\x07"):
        with pytest.raises(ValueError):
            unpack(damaged)
