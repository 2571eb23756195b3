"""Templates whose functions are beside them: run, tested and served without further values."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stepwell import workflow
from stepwell.integrations.cli.main import app

TEMPLATE = """Resources:
  Refund:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: refund.asl.json
      DefinitionSubstitutions:
        ChargeArn: !GetAtt Charge.Arn
        Notify: !Ref Notify
        Invoke: !Sub arn:${AWS::Partition}:states:::lambda:invoke
  Charge:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/charge
      Handler: app.lambda_handler
      Runtime: python3.12
      Environment: {Variables: {TABLE: !Ref Refunds}}
  Notify:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src/notify, Handler: main.run, Runtime: python3.12}
  Refunds: {Type: AWS::Serverless::SimpleTable}
"""
DEFINITION = {
    "StartAt": "Charge",
    "States": {
        "Charge": {"Type": "Task", "Resource": "${ChargeArn}", "Next": "Notify"},
        "Notify": {
            "Type": "Task",
            "Resource": "${Invoke}",
            "Parameters": {"FunctionName": "${Notify}", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "End": True,
        },
    },
}
CHARGE = """import os
def lambda_handler(event, context):
    return {"table": os.environ["TABLE"], "name": context.function_name}
"""
WANTED = {"table": "Refunds", "name": "Charge", "notified": True}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("template.yaml").write_text(TEMPLATE)
    Path("refund.asl.json").write_text(json.dumps(DEFINITION, indent=2))
    for name, file, text in (
        ("charge", "app.py", CHARGE),
        ("notify", "main.py", "def run(event, context): return {**event, 'notified': True}\n"),
    ):
        folder = tmp_path / "src" / name
        folder.mkdir(parents=True)
        (folder / file).write_text(text)
    return tmp_path


def command(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_run_and_test_find_the_functions_of_a_template(project: Path) -> None:
    ran = command("run", "template.yaml", "--db", "a.db", "--quiet")
    assert json.loads(ran.stdout) == WANTED, ran.stderr
    scenario = {"machine": "template.yaml", "scenarios": [{"name": "A", "expect": {}}]}
    scenario["scenarios"][0]["expect"] = {"output": WANTED}  # type: ignore[index]
    (project / "refund.test.json").write_text(json.dumps(scenario))
    tested = command("test")
    assert tested.exit_code == 0, tested.output
    # a folder of functions goes before
    (project / "functions").mkdir()
    (project / "functions" / "Charge.py").write_text("def handler(event, context): return {}\n")
    ran = command("run", "template.yaml", "--db", "a.db", "--quiet")
    assert json.loads(ran.stdout) == {"notified": True}


def test_functions_of_another_template(project: Path) -> None:
    state = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:Charge"}
    text = json.dumps({"StartAt": "A", "States": {"A": {**state, "End": True}}})
    (project / "other.asl.json").write_text(text)
    ran = command(
        "run", "other.asl.json", "--functions", "template.yaml", "--db", "a.db", "--quiet"
    )
    assert json.loads(ran.stdout)["table"] == "Refunds", ran.stderr
    refused = command("run", "other.asl.json", "--functions", "other.asl.json")
    assert refused.exit_code == 2
    assert "--functions other.asl.json: neither a folder nor a template with" in refused.stderr


def test_code_that_is_not_there(project: Path) -> None:
    (project / "src" / "charge" / "app.py").rename(project / "src" / "charge" / "app.ts")
    ran = command("run", "template.yaml", "--db", "a.db")
    assert ran.exit_code == 1
    file = project / "src" / "charge" / "app.py"
    assert (
        f"its handler in template.yaml is app.lambda_handler, but there is no {file} (or .js"
        in ran.stderr
    )


def test_code_in_a_template_has_any_handler_and_letters(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "inline.yaml").write_text(
        """Resources:
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      Definition: {StartAt: A, States: {A: {Type: Task, Resource: !GetAtt Hello.Arn, End: true}}}
  Hello:
    Type: AWS::Lambda::Function
    Properties:
      Handler: src/index.handler
      Runtime: python3.12
      Code: {ZipFile: "def handler(event, context): return 'h\u00e9llo'"}
""",
        encoding="utf-8",
    )
    ran = command("run", "inline.yaml", "--db", "a.db")
    assert json.loads(ran.stdout) == "h\u00e9llo", ran.stderr


def test_a_template_has_the_type_name_and_code_of_its_machine(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "express.yaml").write_text(
        """Parameters: {Stage: {Type: String, Default: dev}}
Resources:
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      StateMachineName: !Sub ${Stage}-hello
      StateMachineType: EXPRESS
      DefinitionString: !Sub
        - '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${f}", "End": true}}}'
        - {f: !GetAtt Hello.Arn}
  Hello:
    Type: AWS::Lambda::Function
    Properties:
      Handler: index.handler
      Runtime: python3.12
      Code: {ZipFile: "def handler(event, context): return 'hello'"}
"""
    )
    ran = command("run", "express.yaml", "--db", "a.db")
    assert ran.stdout == '"hello"\n', ran.stderr
    assert ran.stderr.startswith("dev-hello  run ")
    assert "  express · " in ran.stderr
    sync = DEFINITION["States"]["Notify"] | {"Resource": "arn:aws:states:::glue:startJobRun.sync"}  # type: ignore[index]
    machine = {"Type": "EXPRESS", "Definition": {"StartAt": "A", "States": {"A": sync}}}
    resource = {"Type": "AWS::Serverless::StateMachine", "Properties": machine}
    (project / "sync.json").write_text(json.dumps({"Resources": {"M": resource}}))
    assert command("validate", "sync.json").exit_code == 2
    assert command("validate", "sync.json", "--type", "STANDARD").exit_code == 0
    assert command("lint", "sync.json").exit_code == 1


NESTED = """Parameters: {Stage: {Type: String, Default: dev}}
Resources:
  Parent:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        StartAt: Start
        States:
          Start:
            Type: Task
            Resource: arn:aws:states:::states:startExecution.sync:2
            Parameters: { StateMachineArn: !Ref Child, Input.$: $ }
            OutputPath: $.Output
            End: true
  Child:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${AWS::StackName}-child
      Definition:
        StartAt: Start
        States:
          Start:
            Type: Task
            Resource: arn:aws:states:::states:startExecution.sync:2
            Parameters: { StateMachineArn: !GetAtt Leaf.Arn, Input.$: $ }
            OutputPath: $.Output
            End: true
  Leaf:
    Type: AWS::Serverless::StateMachine
    Properties: { DefinitionUri: leaf.asl.json, Name: !Sub "${Stage}-leaf" }
"""


def leaf(result: object) -> str:
    state = {"Type": "Pass", "Result": result, "End": True}
    return json.dumps({"StartAt": "A", "States": {"A": state}})


def test_a_run_has_the_machines_that_its_machine_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("template.yaml").write_text(NESTED)
    asked = "run", "template.yaml#Parent", "--db", "a.db", "--quiet"
    for result in (1, 2):  # the second run updates it
        Path("leaf.asl.json").write_text(leaf(result))
        ran = command(*asked)
        assert (ran.stdout.strip(), ran.stderr) == (str(result), "")
    ran = command(*asked, "--param", "Stage=prod")  # a name with the value of a parameter
    assert (ran.stdout.strip(), ran.stderr) == ("2", "")
    assert workflow("template.yaml#Parent", params={"Stage": "prod"}).run().output == 2
    # one that came from elsewhere stays
    Path("dev-leaf.asl.json").write_text(leaf(3))
    assert command("run", "dev-leaf.asl.json", "--db", "c.db").exit_code == 0
    assert command(*asked[:2], "--db", "c.db", "--quiet").stdout.strip() == "3"
    # what no task starts may have mistakes
    Path("leaf.asl.json").write_text("{}")
    ran = command(*asked[:2], "--db", "b.db", "--quiet")
    assert ran.exit_code == 1
    assert "dev-leaf cannot be started: template.yaml#Leaf is not a valid" in ran.stderr
    ran = command(*asked)
    assert ran.stdout.strip() == "2"
    assert "dev-leaf stays as it was: template.yaml#Leaf is not a valid" in ran.stderr


def test_a_run_has_machines_of_files_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:Child"
    resource = "arn:aws:states:::states:startExecution.sync:2"
    start = {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": arn}}
    state = {**start, "OutputPath": "$.Output", "End": True}
    Path("parent.asl.json").write_text(json.dumps({"StartAt": "A", "States": {"A": state}}))
    Path("child.asl.json").write_text(leaf("beside"))
    ran = command("run", "parent.asl.json", "--db", "a.db", "--quiet")
    assert json.loads(ran.stdout) == "beside", ran.stderr
