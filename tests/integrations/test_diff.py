"""`stepwell diff`: files, Git revisions, state machines of a database; exit codes and formats."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stepwell import SyncEngine
from stepwell.integrations.cli.commands.revisions.diff import diff
from stepwell.integrations.cli.options import Where

OLD: dict[str, Any] = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Wait", "Seconds": 5, "Next": "B"},
        "B": {"Type": "Pass", "Result": "${Stage}", "End": True},
    },
}
LINE = "    Seconds: 5 → 6\n"


@pytest.fixture
def changed() -> dict[str, Any]:
    new = copy.deepcopy(OLD)
    new["States"]["A"]["Seconds"] = 6
    return new


def run(old: object, new: object, db: str | None = None, **options: Any) -> int:
    known: dict[str, Any] = {
        "where": Where(db=db), "json": False, "output": None, "theme": "auto",
        "direction": "TB",
    }  # fmt: skip
    return diff(str(old), str(new), [], None, **{**known, **options})


def test_files_are_compared_by_what_they_mean(
    tmp_path: Path, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.asl.json", tmp_path / "new.asl.yaml"
    old.write_text(json.dumps(OLD))
    new.write_text(json.dumps(OLD, indent=3))
    assert run(old, new) == 0
    assert "no change" in capsys.readouterr().out
    new.write_text(json.dumps(changed))
    assert run(old, new) == 1
    assert LINE in capsys.readouterr().out
    assert run(old, new, json=True) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in answer["states"]] == ["A"]
    assert answer["states"][0]["changes"] == [
        {"kind": "changed", "what": "Seconds", "old": 5, "new": 6}
    ]
    assert run(old, new, output=tmp_path / "diff.svg") == 1
    assert (tmp_path / "diff.svg").read_bytes().startswith(b"<svg")


def test_a_mistake_has_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, broken = tmp_path / "old.asl.json", tmp_path / "broken.asl.json"
    old.write_text(json.dumps(OLD))
    broken.write_text('{"StartAt": "A",\n "States": {"A": {"Type": "Pass"}}}')
    for names, words in (
        ((old, broken), f"{broken}:2:"),
        ((old, tmp_path / "none.json"), "No such file"),
        ((f"git:{old}", old), "not git:REVISION:PATH"),
        ((old, "git:no-such-revision:old.asl.json"), "no-such-revision"),
    ):
        assert run(*names) == 2
        assert words in capsys.readouterr().err
    assert run(old, old, output=tmp_path / "diff.gif") == 2
    assert ".svg" in capsys.readouterr().err


def test_a_git_revision(
    tmp_path: Path,
    changed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "order.asl.json"
    file.write_text(json.dumps(OLD))
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    file.write_text(json.dumps(changed))
    assert run("git:HEAD:order.asl.json", "order.asl.json") == 1
    assert LINE in capsys.readouterr().out


def test_versions_and_aliases_of_a_database(
    tmp_path: Path, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flows.db"
    with SyncEngine(file) as engine:
        arn = engine.create_state_machine("order", OLD, publish=True)["stateMachineArn"]
        route = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
        engine.create_state_machine_alias("live", route)
        engine.update_state_machine(arn, definition=changed, publish=True)
        half = [{"stateMachineVersionArn": f"{arn}:{number}", "weight": 50} for number in (1, 2)]
        engine.create_state_machine_alias("both", half)
    for old, new in (("order:1", "order"), ("order:live", f"{arn}:2")):
        assert run(old, new, db=str(file)) == 1
        assert LINE in capsys.readouterr().out
    assert run("order", "order:2", db=str(file)) == 0
    for wrong, words in (("order:both", "versions 1 and 2"), ("other", "called other")):
        assert run(wrong, "order", db=str(file)) == 2
        assert words in capsys.readouterr().err
