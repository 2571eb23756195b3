"""--limits reaches every command."""

import json
from pathlib import Path

import pytest
from tests.conftest import Command
from tests.integrations.server.live import one

from stepwell.integrations.cli import main
from stepwell.integrations.cli.parsing.declaring import command as declared

LONG = "x" * 300_000


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return {
        "limits": write("limits.yaml", "payload_bytes: 400000\nwait_seconds: 200000000\n"),
        "machine": write("long.asl.json", one({"Type": "Pass", "End": True})),
        "input": write("input.json", json.dumps(LONG)),
        "waits": write(
            "waits.asl.json", one({"Type": "Wait", "Seconds": 150_000_000, "End": True})
        ),
    }


def test_every_command_of_definitions_and_databases_has_it() -> None:
    commands = [declared(name, each) for group in main.TOP for name, each in group.commands.items()]
    without = {each.name for each in commands if "limits" not in (p.name for p in each.params)}
    assert len(commands) > 15 and without == {"env", "completion", "schema", "language-server"}


def test_run_and_what_reads_its_database(command: Command, files: dict[str, Path]) -> None:
    words = ("run", files["machine"], "--input", files["input"], "--name", "r", "--quiet")
    refused = command(*words)
    assert (refused.returncode, "more than 262,144" in refused.stderr) == (2, True)
    done = command(*words, "--limits", files["limits"])
    assert (done.returncode, json.loads(done.stdout)) == (0, LONG), done.stderr
    shown = command("executions", "show", "r", "--json", "--limits", files["limits"])
    assert json.loads(json.loads(shown.stdout)["output"]) == LONG
    history = command("executions", "history", "r", "--json", "--limits", files["limits"])
    assert LONG in history.stdout


def test_validate_and_faults_of_the_file(
    command: Command, files: dict[str, Path], home: dict[str, str]
) -> None:
    assert command("validate", files["waits"]).returncode == 2
    assert command("validate", files["waits"], "--limits", files["limits"]).returncode == 0
    home["STEPWELL_LIMITS"] = str(files["limits"])
    assert command("validate", files["waits"]).returncode == 0
    files["limits"].write_text("payload_byte: 1\nqueues: 0\n")
    done = command("validate", files["waits"])
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{files['limits']}:1:1: payload_byte: there is no such limit; did you mean payload_bytes?",
        f"{files['limits']}:2:1: queues: must be at least 1",
        f"stepwell: --limits {files['limits']}: 2 errors",
    ]
