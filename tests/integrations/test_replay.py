"""`stepwell replay`: executions of a database, of a server and of exported files."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepwell import SyncEngine
from stepwell.engine.runtime.execution_logs import record
from stepwell.integrations.cli.commands.revisions.replay import replay
from stepwell.integrations.cli.options import Where
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


def run(new: Path, *executions: object, db: str | None = None, **options: Any) -> int:
    known: dict[str, Any] = {
        "machine": None, "status": None, "since": None, "limit": 100, "old": None, "param": [],
        "params": None, "json": False, "where": Where(db=db),
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


def mapped(type: str = "STANDARD", price: int = 2) -> dict[str, Any]:
    """A Map whose children price their item by a function, and find large ones."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.total", "NumericGreaterThan": 100 * price, "Next": "Large"}],
        "Default": "Small",
    }
    child = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": type},
        "StartAt": "Price",
        "States": {
            "Price": {"Type": "Task", "Resource": FUNCTION, "Next": "Large?"},
            "Large?": choice,
            "Large": {"Type": "Succeed"},
            "Small": {"Type": "Succeed"},
        },
    }
    return {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "Label": "Each",
                "ItemProcessor": child,
                "ResultPath": None,
                "End": True,
            }
        },
    }


def ran(file: Path, definition: dict[str, Any], items: int = 12) -> str:
    with SyncEngine(file, tasks=Registry(functions={"price": lambda item: item})) as engine:
        arn = engine.create_state_machine("mapped", definition)["stateMachineArn"]
        input = [{"total": 50 * number} for number in range(items)]
        started = engine.start_execution(arn, name="n", input=input)
        assert engine.wait(started["executionArn"])["status"] == "SUCCEEDED"
        return started["executionArn"]


def test_children_of_map_runs_are_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, new = tmp_path / "flows.db", tmp_path / "new.asl.json"
    ran(file, mapped())
    new.write_text(json.dumps(mapped()))
    assert run(new, "mapped/n", db=str(file)) == 0
    shown = capsys.readouterr().out
    assert shown == ("1 execution: 1 same, 0 differ\n12 children of Map Runs: 12 same, 0 differ\n")
    changed = mapped(price=4)  # 250, 300, 350 and 400 are not large any more
    changed["States"]["All"] = changed["States"].pop("Each")
    changed["StartAt"] = "All"
    new.write_text(json.dumps(changed))
    assert run(new, "mapped/n", db=str(file)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "≠ mapped/n  4 children of Each: next state: Small: after Large?: Large → Small",
        "1 execution: 0 same, 1 differ",
        "12 children of Map Runs: 8 same, 4 differ",
    ]
    assert run(new, "mapped/n", db=str(file), json=True) == 1
    result, summary = map(json.loads, capsys.readouterr().out.splitlines())
    (found,) = result["differences"]
    assert (found["map"], found["children"], found["what"]) == ("Each", 4, "after Large?")
    assert summary["summary"]["children"] == {"replayed": 12, "differ": 4, "notCompared": []}
    one = found["child"].rpartition("/")[2]
    with SyncEngine(file) as engine:
        run_arn = engine.list_map_runs(f"{EXECUTION}mapped:n")["mapRuns"][0]["mapRunArn"]
        listed = engine.list_executions(map_run_arn=run_arn)["executions"]
        (child,) = [each["executionArn"] for each in listed if each["name"] == one]
        answers = [
            engine.describe_state_machine_for_execution(child),
            engine.describe_execution(child),
            engine.get_execution_history(child),
        ]
        parent = [
            engine.describe_state_machine_for_execution(f"{EXECUTION}mapped:n"),
            engine.get_execution_history(f"{EXECUTION}mapped:n"),
        ]
    assert run(new, child, db=str(file)) == 1
    assert "next state: Small: after Large?: Large → Small" in capsys.readouterr().out
    exported, whole = tmp_path / "child.json", tmp_path / "parent.json"
    exported.write_text(json.dumps({name: each for one in answers for name, each in one.items()}))
    assert run(new, exported) == 1
    assert "next state: Small: after Large?: Large → Small" in capsys.readouterr().out
    whole.write_text(json.dumps({name: each for one in parent for name, each in one.items()}))
    assert run(new, whole) == 0
    assert "not compared: children of 1 Map Run: a file does not" in capsys.readouterr().out


EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:"


def test_children_that_cannot_be_compared_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, new = tmp_path / "flows.db", tmp_path / "new.asl.json"
    old = json.loads(json.dumps(MAPPED).replace("STANDARD", "EXPRESS"))
    del old["States"]["Each"]["ResultSelector"]
    ran(file, old)
    new.write_text(json.dumps(old).replace('"n.$"', '"m.$"'))
    assert run(new, "mapped/n", db=str(file)) == 0
    express = "not compared: 12 children of 1 Map Run: Express children without a stored history\n"
    assert capsys.readouterr().out == f"1 execution: 1 same, 0 differ\n{express}"
    assert run(new, "mapped/n", db=str(file), json=True) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])["summary"]
    assert summary["children"]["notCompared"] == [
        {"reason": "Express children without a stored history", "mapRuns": 1, "children": 12}
    ]
    inline = json.loads(json.dumps(mapped()))
    del (
        inline["States"]["Each"]["ItemProcessor"]["ProcessorConfig"],
        inline["States"]["Each"]["Label"],
    )
    other = tmp_path / "other.db"
    ran(other, mapped())
    new.write_text(json.dumps(inline))
    assert run(new, "mapped/n", db=str(other)) == 1
    shown = capsys.readouterr().out
    assert "not compared: children of 1 Map Run: Each is no distributed Map of " in shown
