"""`stepwell replay`: executions of a database, of a server and of exported files."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepwell import SyncEngine
from stepwell.engine.runtime.execution_logs import record
from stepwell.integrations.cli.commands.revisions.replay import replay
from stepwell.integrations.tasks.registry import Registry

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:price"
OLD: dict[str, Any] = {
    "StartAt": "Price",
    "States": {
        "Price": {"Type": "Task", "Resource": FUNCTION, "Next": "Large?"},
        "Large?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.total", "NumericGreaterThan": 100, "Next": "Review"}],
            "Default": "Done",
        },
        "Review": {"Type": "Pass", "Result": {"review": True}, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}
NEW = json.loads(json.dumps(OLD).replace("100", "50"))


def run(new: Path, *executions: object, **options: Any) -> int:
    known: dict[str, Any] = {
        "machine": None, "status": None, "since": None, "limit": 100, "old": None, "param": [],
        "params": None, "db": None, "server": None, "json": False,
    }  # fmt: skip
    return replay(str(new), list(map(str, executions)), **{**known, **options})


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path]:
    """A database with ten executions, and a definition with a lower threshold."""
    file, new = tmp_path / "flows.db", tmp_path / "new.asl.json"
    new.write_text(json.dumps(NEW))
    with SyncEngine(file, tasks=Registry(functions={"price": lambda order: order})) as engine:
        arn = engine.create_state_machine("order", OLD)["stateMachineArn"]
        for number in range(10):
            started = engine.start_execution(arn, name=f"n{number}", input={"total": 20 * number})
            engine.wait(started["executionArn"])
    return file, new


def test_executions_of_a_database(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, new = recorded
    old = tmp_path / "old.asl.json"
    old.write_text(json.dumps(OLD))
    assert run(old, machine="order", db=str(file)) == 0
    assert "10 executions: 10 same, 0 differ" in capsys.readouterr().out
    assert run(new, machine="order", db=str(file)) == 1
    shown = capsys.readouterr().out
    assert "≠ order/n3  next state: Review: after Large?: Done → Review" in shown
    assert "10 executions: 7 same, 3 differ" in shown
    assert run(new, "order/n3", "n1", db=str(file), json=True) == 1
    first, second, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["same"], second["same"]) == (False, True)
    assert first["differences"][0] == {
        "kind": "next state", "state": "Review", "visit": 1, "what": "after Large?",
        "recorded": "Done", "new": "Review",
    }  # fmt: skip
    assert last["summary"]["groups"] == [
        {
            "kind": "next state", "state": "Review", "what": "after Large?", "executions": 1,
            "example": "order/n3",
        }
    ]  # fmt: skip


def test_exported_files_replay_as_the_database_does(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, new = recorded
    with SyncEngine(database) as engine:
        arn = engine.list_executions(
            engine.list_state_machines()["stateMachines"][0]["stateMachineArn"]
        )["executions"][6]["executionArn"]  # n3
        answers = [
            engine.describe_state_machine_for_execution(arn),
            engine.describe_execution(arn),
            engine.get_execution_history(arn),
        ]
    whole = {name: value for each in answers for name, value in each.items()}
    history, all_of_it, old = (tmp_path / name for name in ("h.json", "all.json", "old.asl.json"))
    history.write_text(json.dumps(answers[2]))
    all_of_it.write_text(json.dumps(whole))
    old.write_text(json.dumps(OLD))
    for file, options in ((history, {}), (history, {"old": str(old)}), (all_of_it, {})):
        assert run(new, file, **options) == 1
        assert "next state: Review" in capsys.readouterr().out
    logs = tmp_path / "log.ndjson"
    events = answers[2]["events"]
    lines = [
        json.dumps(record(dict(each), round(each["timestamp"] * 1000), arn, 0)) for each in events
    ]
    logs.write_text("\n".join([*lines, *(line.replace(":n3", ":copy") for line in lines)]))
    assert run(new, logs) == 1
    assert "2 executions: 0 same, 2 differ" in capsys.readouterr().out


def test_a_mistake_has_one_line_and_exit_code_2(
    recorded: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, new = recorded
    broken = tmp_path / "broken.json"
    broken.write_text('{"id": 1}')
    cases: list[tuple[tuple[object, ...], dict[str, Any], str]] = [
        ((), {}, "name executions"),
        (("nowhere",), {}, "no execution called nowhere"),
        ((broken,), {}, "broken.json"),
        (("n1",), {"since": "yesterday"}, "--since yesterday"),
    ]
    for names, options, words in cases:
        assert run(new, *names, db=str(file), **options) == 2
        assert words in capsys.readouterr().err


MAPPED: dict[str, Any] = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "One",
                "States": {"One": {"Type": "Pass", "Parameters": {"n.$": "$"}, "End": True}},
            },
            "ResultSelector": {"first.$": "$[0].n", "last.$": "$[11].n"},
            "Next": "Done",
        },
        "Done": {"Type": "Pass", "End": True},
    },
}


@pytest.mark.parametrize("shaped", [True, False])
def test_map_runs_are_replayed_by_their_results(
    shaped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = json.loads(json.dumps(MAPPED))
    if not shaped:
        del old["States"]["Each"]["ResultSelector"]
        old["States"]["Each"]["ResultPath"] = "$.each"
        old["States"]["Each"]["ItemsPath"] = "$.items"
    file, new = tmp_path / "flows.db", tmp_path / "new.asl.json"
    new.write_text(json.dumps(old))
    items = list(range(12))
    with SyncEngine(file) as engine:
        arn = engine.create_state_machine("mapped", old)["stateMachineArn"]
        started = engine.start_execution(arn, name="n", input=items if shaped else {"items": items})
        assert engine.wait(started["executionArn"])["status"] == "SUCCEEDED"
    assert run(new, "mapped/n", db=str(file), json=True) == 0
    result, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (result["same"], result["known"], result["unrepeatable"]) == (True, True, 0)
    old["States"]["Done"]["Result"] = 1
    new.write_text(json.dumps(old))
    assert run(new, "mapped/n", db=str(file)) == 1
    assert "output: Done: output: " in capsys.readouterr().out
