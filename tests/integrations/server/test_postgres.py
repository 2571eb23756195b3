"""A server, and the commands beside it, on a database in PostgreSQL."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Command
from tests.integrations.server.live import ROLE, WAIT, Live, eventually, one
from tests.postgres import PostgresServer

from stepwell.engine.sharding import HOME, shard_of

TASK = one(
    {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl.$": "$.queue", "MessageBody.$": "$$.Task.Token"},
        "End": True,
    }
)


@pytest.fixture
def url(postgres_server: PostgresServer, tmp_path: Path) -> str:
    return f"{postgres_server.url}?search_path={tmp_path.name.lower()}"


@pytest.fixture
def serve(home: dict[str, str], url: str) -> Any:
    started: list[Live] = []

    def begin(*options: object) -> Live:
        started.append(Live(home, url, *options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for each in started:
        each.close()


def test_executions_messages_and_functions_survive_a_kill(serve: Any, url: str) -> None:
    live = serve()
    sqs, states = live.client("sqs"), live.client()
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    machine = states.create_state_machine(name="m", definition=TASK, roleArn=ROLE)
    arn = machine["stateMachineArn"]
    path = queue.partition("//")[2].partition("/")[2]
    started = [
        states.start_execution(stateMachineArn=arn, input=json.dumps({"queue": queue}))
        for _ in range(20)
    ]
    live.process.send_signal(signal.SIGKILL)
    live.process.wait()
    live = serve()
    sqs, states = live.client("sqs"), live.client()
    tokens: set[str] = set()

    def complete() -> bool:
        received = sqs.receive_message(
            QueueUrl=f"{live.url}/{path}", MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in received.get("Messages", []):
            tokens.add(message["Body"])
            states.send_task_success(taskToken=message["Body"], output='"done"')
            sqs.delete_message(
                QueueUrl=f"{live.url}/{path}", ReceiptHandle=message["ReceiptHandle"]
            )
        return len(tokens) == len(started)

    eventually(complete, 60)
    for each in started:
        eventually(
            lambda each=each: (
                states.describe_execution(executionArn=each["executionArn"])["status"]
                == "SUCCEEDED"
            )
        )
    assert live.stop() == 0
    assert "no synchronous standby" in " ".join(str(line) for line in live.log)


def test_commands_beside_a_server(serve: Any, url: str, command: Command, tmp_path: Path) -> None:
    live = serve()
    states = live.client()
    machine = states.create_state_machine(name="m", definition=WAIT, roleArn=ROLE)
    for name in ("one", "two", "three", "four"):  # on several shards
        states.start_execution(stateMachineArn=machine["stateMachineArn"], name=name)
    machine = tmp_path / "pass.asl.json"
    machine.write_text(one({"Type": "Pass", "End": True}))
    ran = command("run", machine, "--db", url)  # by the server
    assert ran.returncode == 0 and live.url in ran.stderr, ran.stderr
    listed = command("executions", "list", "--db", url)
    assert "one" in listed.stdout and "RUNNING" in listed.stdout, listed.stderr
    stopped = command("executions", "stop", "one", "--db", url)  # by a request to the owner
    assert stopped.returncode == 0, stopped.stderr
    shown = json.loads(command("executions", "show", "one", "--db", url, "--json").stdout)
    assert shown["status"] == "ABORTED"
    checked = command("db", "check", "--db", url)
    assert (checked.returncode, "nothing is damaged" in checked.stdout) == (0, True), checked
    live.stop()
    for name in ("two", "three", "four"):  # as the owner of its shard
        stopped = command("executions", "stop", name, "--db", url)
        assert stopped.returncode == 0, stopped.stderr
    listed = command("executions", "list", "--db", url).stdout
    assert listed.count("ABORTED") == 4, listed


def test_a_file_runs_on_postgresql(
    url: str, command: Command, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    machine = tmp_path / "pass.asl.json"
    machine.write_text(one({"Type": "Pass", "Result": {"a": 1}, "End": True}))
    ran = command("run", machine, "--db", url)
    assert json.loads(ran.stdout) == {"a": 1}, ran.stderr
    arn = "arn:aws:states:us-east-1:123456789012:execution:pass:{}"
    names = [f"n{number}" for number in range(9) if shard_of(arn.format(f"n{number}"), 8) != HOME]
    ran = command("run", machine, "--db", url, "--name", names[0])
    assert json.loads(ran.stdout) == {"a": 1}, ran.stderr
    started = command("start", "pass", "--db", url, "--name", names[1])
    assert f"stepwell resume {names[1]}" in started.stderr, started.stderr
    resumed = command("resume", names[1], "--db", url)
    assert json.loads(resumed.stdout) == {"a": 1}, resumed.stderr
    refused = command("resume", "--all", "--db", url)
    assert refused.returncode == 2
    assert "has 8 shards: name an execution, or resume all with `stepwell serve`" in refused.stderr
    secret = url.replace("stepwell@", "stepwell:hush@").replace(str(postgres_server.port), "1")
    refused = command("run", machine, "--db", secret)
    assert refused.returncode == 2 and "hush" not in refused.stderr, refused.stderr
    assert "stepwell@127.0.0.1:1" in refused.stderr


def test_a_database_moves_to_postgresql_and_a_backup_of_it_is_a_file(
    serve: Any, url: str, command: Command, home: dict[str, str], tmp_path: Path
) -> None:
    file, backup = tmp_path / "one.db", tmp_path / "backup.db"
    live = Live(home, file)
    states, sqs = live.client(), live.client("sqs")
    machine = states.create_state_machine(name="m", definition=WAIT, roleArn=ROLE)
    states.start_execution(stateMachineArn=machine["stateMachineArn"], name="one")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="kept")
    live.stop()
    live.close()
    copied = command("db", "copy", file, url)
    assert (copied.returncode, "copied" in copied.stderr) == (0, True), copied.stderr
    again = command("db", "copy", file, url)
    assert (again.returncode, "is not empty" in again.stderr) == (2, True), again.stderr
    live = serve()
    states, sqs = live.client(), live.client("sqs")
    listed = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    assert [each["status"] for each in listed] == ["RUNNING"]
    path = queue.partition("//")[2].partition("/")[2]
    received = sqs.receive_message(QueueUrl=f"{live.url}/{path}", WaitTimeSeconds=5)
    assert [each["Body"] for each in received["Messages"]] == ["kept"]
    saved = command("db", "backup", backup, "--db", url)  # beside the server
    assert saved.returncode == 0, saved.stderr
    assert "exists" in command("db", "backup", backup, "--db", url).stderr
    live.stop()
    shown = json.loads(command("executions", "show", "one", "--db", backup, "--json").stdout)
    assert shown["status"] == "RUNNING"
    migrated = command("db", "migrate", "--db", url)
    assert (migrated.returncode, "this version" in migrated.stderr) == (0, True), migrated.stderr
