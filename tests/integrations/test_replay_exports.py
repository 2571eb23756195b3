"""`stepwell replay` of files that the AWS CLI writes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.live import REGION, AwsCommand, Live, eventually, keep_compiled

from stepwell.integrations.cli.commands.revisions.replay import replay
from stepwell.integrations.cli.options import WHERE

ROLE = "arn:aws:iam::123456789012:role/flows"
ASKED: dict[str, Any] = {
    "StartAt": "Context",
    "States": {
        "Context": {
            "Type": "Pass",
            "Parameters": {
                "total.$": "$.total",
                "execution.$": "$$.Execution.Id",
                "name.$": "$$.Execution.Name",
                "role.$": "$$.Execution.RoleArn",
                "started.$": "$$.Execution.StartTime",
                "entered.$": "$$.State.EnteredTime",
                "machine.$": "$$.StateMachine.Id",
            },
            "Next": "Ask",
        },
        "Ask": {
            "Type": "Task",
            "Resource": "ACTIVITY",
            "Parameters": {"total.$": "$.total", "redrives.$": "$$.Execution.RedriveCount"},
            "ResultPath": "$.answer",
            "TimeoutSeconds": 600,
            "HeartbeatSeconds": 300,
            "Next": "Large?",
        },
        "Large?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.total", "NumericGreaterThan": 100, "Next": "Large"}],
            "Default": "Small",
        },
        "Large": {"Type": "Pass", "End": True},
        "Small": {"Type": "Pass", "End": True},
    },
}


@pytest.fixture
def live(
    home: dict[str, str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    server = Live(keep_compiled(home, tmp_path_factory.getbasetemp()), tmp_path / "served.db")
    yield server
    server.close()


@pytest.fixture
def export(live: Live, home: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Writes a folder: history.json, and whole.json as docs/how-to/change-safely.md makes it."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": REGION}
    command = AwsCommand(home | keys | {"AWS_ENDPOINT_URL": live.url})

    def asked(operation: str, arn: str) -> dict[str, Any]:
        words = ("stepfunctions", operation, "--execution-arn", arn, "--output", "json")
        done = command(*words)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def write(arn: str) -> Path:
        folder = tmp_path / arn.rpartition(":")[2]
        folder.mkdir()
        history = asked("get-execution-history", arn)
        machine = asked("describe-state-machine-for-execution", arn)
        whole = machine | asked("describe-execution", arn) | history
        (folder / "history.json").write_text(json.dumps(history))
        (folder / "whole.json").write_text(json.dumps(whole))
        return folder

    yield write
    command.close()


def run(new: Path, *files: Path, **options: Any) -> int:
    known: dict[str, Any] = {
        "machine": None, "status": None, "since": None, "limit": 100, "old": None, "param": [],
        "params": None, "where": WHERE, "json": True,
    }  # fmt: skip
    return replay(str(new), list(map(str, files)), **{**known, **options})


def test_exports_of_a_version_of_an_alias_and_of_a_redriven_execution(
    live: Live,
    export: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = live.client()
    activity = client.create_activity(name="ask")["activityArn"]
    text = json.dumps(ASKED).replace("ACTIVITY", activity)
    made = client.create_state_machine(name="asked", definition=text, roleArn=ROLE, publish=True)
    machine, version = made["stateMachineArn"], made["stateMachineVersionArn"]
    routes = [{"stateMachineVersionArn": version, "weight": 100}]
    alias = client.create_state_machine_alias(name="live", routingConfiguration=routes)
    named = {"plain": machine, "version": version, "alias": alias["stateMachineAliasArn"]}

    def answer(**result: str) -> None:
        task = client.get_activity_task(activityArn=activity, workerName="w")
        if "output" in result:
            client.send_task_success(taskToken=task["taskToken"], **result)
        else:
            client.send_task_failure(taskToken=task["taskToken"], **result)

    def ended(arn: str, status: str) -> None:
        eventually(lambda: client.describe_execution(executionArn=arn)["status"] == status)

    folders = []
    for name, started in {**named, "redriven": alias["stateMachineAliasArn"]}.items():
        input = json.dumps({"total": 150})
        arn = client.start_execution(stateMachineArn=started, name=name, input=input)
        arn = arn["executionArn"]
        if name == "redriven":
            answer(error="Busy", cause="later")
            ended(arn, "FAILED")
            client.redrive_execution(executionArn=arn)
        answer(output='"yes"')
        ended(arn, "SUCCEEDED")
        folders.append(export(arn))

    same, changed = tmp_path / "same.asl.json", tmp_path / "changed.asl.json"
    same.write_text(text)
    changed.write_text(text.replace("100", "200"))
    whole = [each / "whole.json" for each in folders]
    histories = [each / "history.json" for each in folders]
    for files, options in ((whole, {}), (histories, {"old": str(same)})):
        code = run(same, *files, **options)
        *results, summary = map(json.loads, capsys.readouterr().out.splitlines())
        assert (code, [each["differences"] for each in results]) == (0, [[], [], [], []])
        assert summary["summary"]["unknown"] == 0
        assert run(changed, *files, **options) == 1
        *results, summary = map(json.loads, capsys.readouterr().out.splitlines())
        assert [each["differences"][0]["state"] for each in results] == ["Small"] * 4
        if files is whole:
            assert [each["unrepeatable"] for each in results] == [0, 0, 0, 0]
