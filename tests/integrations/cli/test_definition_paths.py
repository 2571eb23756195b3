"""Paths that commands accept for definitions: folders, FILE#MACHINE, templates and their files."""

import json
from pathlib import Path

import pytest
from tests.integrations.cli.conftest import PASS

from stepwell.integrations.cli.commands.editing import format
from stepwell.integrations.cli.commands.lint import run as lint
from stepwell.integrations.cli.commands.render import render
from stepwell.integrations.cli.commands.validate import validate
from stepwell.integrations.cli.files import machine_name
from stepwell.integrations.definitions.folders import definitions
from stepwell.integrations.editor.diagnostics import diagnose
from stepwell.integrations.errors import UsageError
from stepwell.integrations.testing.workflow import workflow

TEMPLATE = """Resources:
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machines/orders.asl.json
      DefinitionSubstitutions: {Seconds: 3}
  Refunds:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        StartAt: Refund
        States:
          Refund: {Type: Pass, Next: Missing}
  Table: {Type: AWS::DynamoDB::Table}
"""
ORDERS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}}
LOOK = {"theme": "light", "direction": "TB", "collapse": []}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("machines").mkdir()
    text = json.dumps(ORDERS, indent=2).replace("1,", "${Seconds},")
    Path("machines/orders.asl.json").write_text(text)
    Path("template.yaml").write_text(TEMPLATE)


def chosen(**more: object) -> dict[str, object]:
    return {
        **{"type": "STANDARD", "inputs": (), "select": (), "ignore": (), "notes": False},
        **{"strict": False, "format": "text"},
        **more,
    }


def test_all_machines_of_a_template_are_validated(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate([Path("template.yaml")], [], None, "STANDARD", False) == 2
    out, err = capsys.readouterr()
    assert out.startswith("template.yaml:13:32: ERROR MISSING_TRANSITION_TARGET")
    assert err == "2 files: 1 error\n"
    assert validate([Path("template.yaml#Orders")], [], None, "STANDARD", False) == 0
    assert capsys.readouterr().out == ""  # Seconds has a value


def test_folders_are_searched(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (".git", "node_modules", "src"):
        Path(folder).mkdir()
        Path(folder, "a.json").write_text('{"StartAt": "A", "States": {}}')
    Path("src/b.asl.yaml").write_text("StartAt: A\nStates: {A: {Type: Succeed}}\n")
    Path("src/c.yaml").write_text("StartAt: A\nStates: {A: {Type: Succeed}}\n")
    Path("src/package.json").write_text('{"name": "x"}')
    Path("src/a.test.yaml").write_text("machine: b.asl.yaml\nexpect: {StartAt: 1, States: 2}\n")
    assert validate([Path()], [], None, "STANDARD", True) == 2
    places = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert list(dict.fromkeys(places)) == [
        "template.yaml",
        "src/a.json",
    ]
    Path("src/a.json").unlink()
    Path("template.yaml").unlink()
    assert validate([Path()], [], None, "STANDARD", False) == 0
    assert capsys.readouterr().err == "3 files: valid\n"
    assert format([Path()], True, False) == 1
    assert lint([Path("src")], [], None, chosen()) == 0
    Path("empty").mkdir()
    assert validate([Path("empty")], [], None, "STANDARD", False) == 2
    assert "empty: there is no definition of a state machine" in capsys.readouterr().err


def test_a_problem_of_a_file_that_templates_share_is_reported_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = json.dumps({"StartAt": "B", "States": ORDERS["States"]})
    Path("machines/orders.asl.json").write_text(bad)
    Path("other.yaml").write_text(TEMPLATE.split("  Refunds", maxsplit=1)[0])
    assert validate([Path()], [], None, "STANDARD", False) == 2
    out = capsys.readouterr().out
    assert out.count("machines/orders.asl.json:1:2: ERROR") == 1
    assert lint([Path()], [], None, chosen()) == 1
    out = capsys.readouterr().out
    assert out.count("machines/orders.asl.json:1:2: error") == 1


def test_what_cannot_be_read_has_one_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.asl.json").write_text('{"StartAt": ')
    for name in ("missing.asl.json", "broken.asl.json"):
        assert validate([Path(name)], [], None, "STANDARD", False) == 2
        assert lint([Path(name)], [], None, chosen()) == 2
        assert format([Path(name)], True, False) == 2
    Path("warned.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Fail"}}}')
    assert lint([Path("template.yaml#Refunds")], [], None, chosen()) == 1


def test_machines_of_a_template_are_drawn(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("template.yaml").write_text(TEMPLATE.replace("Missing", "Refund"))
    text = TEMPLATE.replace("Next: Missing", "End: true")
    Path("template.yaml").write_text(text)
    assert render(Path("template.yaml"), None, "text", LOOK, None, None, [], None, None, None) == 0
    out = capfdbinary.readouterr().out.decode()
    assert out.index("template.yaml#Orders") < out.index("Wait") < out.index("Refunds")
    assert render(Path("template.yaml"), None, "svg", LOOK, None, None, [], None, None, None) == 2
    assert b"name template.yaml#Orders or template.yaml#Refunds" in capfdbinary.readouterr().err
    one = Path("template.yaml#Refunds")
    assert render(one, None, "svg", LOOK, None, None, [], None, None, None) == 0


def test_a_machine_of_a_template_is_tested_and_named() -> None:
    orders = workflow("template.yaml#Orders")
    assert orders.plan.name == "Orders"
    assert orders.run({}).status == "SUCCEEDED"
    assert machine_name(Path("template.yaml#Orders"), "STANDARD", {}) == "Orders"
    text = TEMPLATE.partition("  Refunds:")[0]
    Path("other.yaml").write_text(text)
    assert machine_name(Path("other.yaml"), "STANDARD", {}) == "Orders"
    named = text.replace(
        "    Properties:\n", "    Properties:\n      StateMachineName: shop orders\n", 1
    )
    Path("other.yaml").write_text(named)
    assert machine_name(Path("other.yaml"), "EXPRESS", {}) == "shop-orders-express"


def test_a_template_in_an_editor() -> None:
    [problem] = diagnose(TEMPLATE, Path("template.yaml"))
    assert (problem.line, problem.file) == (13, "template.yaml")


def test_a_byte_order_mark_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(ORDERS).encode()
    Path("a.asl.json").write_bytes(data)
    assert validate([Path("a.asl.json")], [], None, "STANDARD", False) == 0
    assert "a.asl.json:1:1: NOTE BYTE_ORDER_MARK the file begins with" in capsys.readouterr().out
    assert format([Path("a.asl.json")], False, False) == 0
    assert Path("a.asl.json").read_bytes().startswith(b"{")


def test_standard_input_is_the_file_dash(invoke, write):
    text = write("p.asl.json", PASS).read_text()
    assert invoke("validate", "-", input=text).stderr == "1 file: valid\n"
    assert invoke("validate", "-", input="{").stdout.startswith("-:1:2: ERROR ")
    assert invoke("lint", "-", input=text).exit_code == 0
    assert invoke("explain", "-", input=text).exit_code == 0
    assert "Only" in invoke("render", "-", "--format", "text", input=text).stdout
    assert json.loads(invoke("format", "-", input=text).stdout) == json.loads(text)
    assert invoke("run", "-", "-q", "--db", "x.db", input=text).stdout == "{}\n"
    assert invoke("diff", "-", "p.asl.json", input=text).exit_code == 0


def test_templates_of_the_cdk_are_named_where_a_folder_has_no_others() -> None:
    Path("app/cdk.out").mkdir(parents=True)
    message = "app: there is no definition of a state machine in this folder: name app/cdk.out for"
    with pytest.raises(UsageError, match=message):
        definitions([Path("app")])


def test_an_editor_checks_a_machine_by_the_type_of_its_template() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "End": True}
    task["Parameters"] = {"JobName": "x"}
    machine = {"StartAt": "A", "States": {"A": task}}
    text = json.dumps(
        {
            "Resources": {
                name: {
                    "Type": "AWS::Serverless::StateMachine",
                    "Properties": {"Type": type, "Definition": machine},
                }
                for name, type in (("M", "EXPRESS"), ("N", "STANDARD"))
            }
        },
        indent=1,
    )
    errors = [each for each in diagnose(text, Path("t.json")) if each.severity == "ERROR"]
    assert [each.line < text[: text.index('"N"')].count("\n") for each in errors] == [True]
