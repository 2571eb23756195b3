"""The parameters of a template: of a samconfig.toml beside it, and of the command."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stepwell import workflow
from stepwell.integrations.cli.main import app

TEMPLATE = """Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: none}
  Seconds: {Type: Number, Default: 5}
  Kind: {Type: String, Default: STANDARD}
Resources:
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${Stage}-orders
      Type: !Ref Kind
      DefinitionUri: orders.asl.json
      DefinitionSubstitutions:
        Stage: !Sub stage-${Stage}
        Seconds: !Ref Seconds
        Constant: 1
"""
RESULT = {"stage": "${Stage}", "seconds": "${Seconds}", "constant": "${Constant}"}
STATE = {"Type": "Pass", "Result": RESULT, "End": True}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("template.yaml").write_text(TEMPLATE)
    Path("orders.asl.json").write_text(json.dumps({"StartAt": "A", "States": {"A": STATE}}))
    return tmp_path


def command(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def ran(*more: str) -> object:
    done = command("run", "template.yaml", "--db", "a.db", "--quiet", *more)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def output(stage: str, seconds: object, constant: object = 1) -> dict[str, object]:
    return {"stage": f"stage-{stage}", "seconds": seconds, "constant": constant}


@pytest.mark.parametrize(
    "written",
    [
        '"Stage=dev Seconds=7 Other=x"',
        "'ParameterKey=Stage,ParameterValue=dev ParameterKey=Seconds,ParameterValue=\"7\"'",
        '["Stage=\\"dev\\"", "Seconds=7"]',
        '{ Stage = "dev", Seconds = 7 }',
    ],
)
def test_the_samconfig_beside_a_template_gives_its_parameters(project: Path, written: str) -> None:
    assert ran() == output("none", 5)
    Path("samconfig.toml").write_text(
        f"version = 0.1\n[default.deploy.parameters]\nparameter_overrides = {written}\n"
        "[prod.deploy.parameters]\nparameter_overrides = 'Stage=prod'\n"
        "[default.global.parameters]\nparameter_overrides = 'Stage=least'\n"
    )
    assert ran() == output("dev", 7)
    assert ran("--param", "Stage=mine") == output("mine", 7)
    assert workflow("template.yaml").run().output == output("dev", 7)
    built = project / ".aws-sam" / "build"
    built.mkdir(parents=True)
    for name in ("template.yaml", "orders.asl.json"):
        (built / name).write_bytes(Path(name).read_bytes())
    done = command("run", ".aws-sam/build/template.yaml", "--db", "b.db", "--quiet")
    assert json.loads(done.stdout) == output("dev", 7)


def test_a_samconfig_that_cannot_be_read(project: Path) -> None:
    Path("samconfig.toml").write_text("version = 0.1\n[default\n")
    for words in (("validate", "."), ("run", "template.yaml", "--db", "a.db")):
        done = command(*words)
        assert done.exit_code == 2
        assert "samconfig.toml:2:9: ERROR INVALID_FILE not TOML" in done.output


def test_a_parameter_of_the_template_is_not_the_value_of_a_substitution(project: Path) -> None:
    assert ran("--param", "Stage=prod") == output("prod", 5)
    assert ran("--param", "Constant=2") == output("none", 5, "2")  # no parameter of the template
    listed = command("machines", "list", "--db", "a.db").stdout
    assert "prod-orders" in listed and "none-orders" in listed


def test_parameters_give_the_name_and_the_type(project: Path) -> None:
    done = command("machines", "apply", "template.yaml", "--db", "new.db", "-p", "Kind=EXPRESS")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(":stateMachine:none-orders\n")
    shown = command("machines", "show", "none-orders", "--db", "new.db")
    assert "express" in shown.stdout


def test_all_machines_of_a_template_are_applied_to_a_new_database(project: Path) -> None:
    second = TEMPLATE.split("Resources:\n")[1].replace("Orders:", "Other:")
    Path("template.yaml").write_text(TEMPLATE + second.replace("${Stage}-orders", "other"))
    for did in ("created", "unchanged"):
        done = command("machines", "apply", "template.yaml", "--db", "new.db")
        assert done.exit_code == 0, done.output
        assert done.stderr == f"{did} none-orders\n{did} other\n"
    done = command("machines", "apply", "template.yaml", "--db", "new.db", "--name", "x")
    assert "name template.yaml#Orders or template.yaml#Other" in done.stderr
    done = command("machines", "update", "template.yaml", "--db", "none.db")
    assert "there is no database" in done.stderr


def test_an_answer_of_describe_state_machine_has_the_name_and_the_type(project: Path) -> None:
    definition = json.dumps({"StartAt": "A", "States": {"A": STATE}})
    answer = {"name": "described", "type": "EXPRESS", "definition": definition}
    Path("answer.json").write_text(json.dumps(answer, indent=1))
    params = "-p", "Stage=a", "-p", "Seconds=1", "-p", "Constant=1"
    done = command("run", "answer.json", "--db", "a.db", *params)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("described  run ")
    assert "  express · " in done.stderr
    assert "2 files: valid" in command("validate", ".").output
    # a file with a definition of something else
    Path("other.json").write_text('{"definition": "a word", "States": 1}')
    Path("word.yaml").write_text("definition: of a word\n")
    assert "2 files: valid" in command("validate", ".").output


def test_a_module_of_terraform_has_the_name(project: Path) -> None:
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    module = f'module "flow" {{\n  name = "my-flow"\n  definition = <<EOF\n{definition}\nEOF\n}}\n'
    Path("main.tf").write_text(module)
    done = command("run", "main.tf", "--db", "a.db")
    assert done.stderr.startswith("my-flow  run ")


def test_a_serverless_yml_whose_machines_are_in_another_file(project: Path) -> None:
    Path("serverless.yml").write_text("service: shop\nstepFunctions: ${file(sm.yml)}\n")
    machine = (
        "{name: '${self:service}-flow', definition: {StartAt: A, States: {A: {Type: Succeed}}}}"
    )
    Path("sm.yml").write_text(f"stateMachines: {{flow: {machine}}}\n")
    assert "2 files: valid" in command("validate", ".").output
    done = command("run", "serverless.yml", "--db", "a.db")
    assert done.stderr.startswith("shop-flow  run ")
