"""`stepwell serve --skip-time` and `run --skip-time`."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Command
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import ROLE, SHARED, eventually, one, request

from stepwell.integrations.cli.commands.changes import seconds
from stepwell.integrations.errors import UsageError

DAY = 24 * 3600
ASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl.$": "$.queue", "MessageBody": {"token.$": "$$.Task.Token"}},
    "TimeoutSeconds": 30 * DAY,
    "End": True,
}

pytestmark = pytest.mark.skipif(bool(SHARED), reason="time is skipped in SQLite databases only")


def ended(sfn: Any, arn: str) -> dict[str, Any]:
    def ask() -> Any:
        described = sfn.describe_execution(executionArn=arn)
        return described if described["status"] != "RUNNING" else None

    described: dict[str, Any] = eventually(ask)
    return described


def days(described: dict[str, Any]) -> float:
    return float((described["stopDate"] - described["startDate"]).total_seconds()) / DAY


def test_a_server_skips_what_executions_wait_for(serve: Serve) -> None:
    live = serve("--skip-time")
    sfn, sqs, events = live.client(), live.client("sqs"), live.client("events")

    def machine(name: str, definition: str) -> str:
        created = sfn.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        return str(created["stateMachineArn"])

    # a schedule fires on the way, at its modelled times
    queue = sqs.create_queue(QueueName="ticks")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    events.put_rule(Name="daily", ScheduleExpression="rate(1 day)")
    target = {"Id": "1", "Arn": queue_arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="daily", Targets=[target])
    wait = machine("wait", one({"Type": "Wait", "Seconds": 3 * DAY + 60, "End": True}))
    arns = [sfn.start_execution(stateMachineArn=wait)["executionArn"] for _ in range(3)]
    closed = [ended(sfn, arn) for arn in arns]
    assert [each["status"] for each in closed] == ["SUCCEEDED"] * 3
    assert all(3 < days(each) < 3.1 for each in closed)
    starts = [each["startDate"].timestamp() for each in closed]
    assert max(starts) - min(starts) < 60  # the client was not left behind
    ticks = [
        json.loads(each["Body"])["time"]
        for each in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    ]
    assert len(set(ticks)) == len(ticks) == 3

    # a worker has time to answer, and what follows is skipped
    asking = machine("ask", one(ASK))
    jobs = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    arn = sfn.start_execution(stateMachineArn=asking, input=json.dumps({"queue": jobs}))
    message = sqs.receive_message(QueueUrl=jobs, WaitTimeSeconds=10)["Messages"][0]
    time.sleep(0.5)
    token = json.loads(message["Body"])["token"]
    sfn.send_task_success(taskToken=token, output='"done"')
    answered = ended(sfn, arn["executionArn"])
    assert answered["status"] == "SUCCEEDED" and days(answered) < 0.01

    # a client may also say how far; what it asks is checked as for the operations of AWS
    def own(operation: str, **members: Any) -> tuple[int, dict[str, Any]]:
        target = f"AWSStepFunctions.{operation}"
        body = json.dumps(members).encode()
        status, _, answer = request(live, body=body, X_Amz_Target=target)
        return status, json.loads(answer)

    status, answer = own("AdvanceTime", seconds=10 * DAY)
    assert status == 200 and answer["now"] >= answered["stopDate"].timestamp() + 10 * DAY
    status, answer = own("FireTimer", executionArn=arn["executionArn"])
    assert (status, answer["message"]) == (400, "Execution is SUCCEEDED: it waits for no time")
    assert own("FireTimer")[1]["__type"] == "ValidationException"

    # nothing is waited for: a long poll takes its real time, and so does the server
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=jobs, WaitTimeSeconds=1)
    assert time.monotonic() - began > 0.9
    assert live.said("time is skipped") is not None


def test_a_worker_that_does_not_answer_is_not_waited_for(serve: Serve) -> None:
    live = serve("--skip-time", skip_worker_seconds=0.3)
    sfn = live.client()
    activity = sfn.create_activity(name="hands")["activityArn"]
    hand = {"Type": "Task", "Resource": activity, "TimeoutSeconds": 7 * DAY, "End": True}
    machine = sfn.create_state_machine(name="m", definition=one(hand), roleArn=ROLE)
    began = time.monotonic()
    arn = sfn.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    closed = ended(sfn, arn)
    assert closed["status"] == "FAILED" and closed["error"] == "States.Timeout"
    assert 7 <= days(closed) < 7.01 and time.monotonic() - began > 0.3


def test_the_command_skips_time(command: Command, tmp_path: Path) -> None:
    file, db = tmp_path / "m.asl.json", tmp_path / "kept.db"
    file.write_text(one({"Type": "Wait", "Seconds": 30 * DAY, "End": True}))
    ran = command("run", file, "--skip-time", "--input", '{"id":1}')
    assert (ran.returncode, ran.stdout) == (0, '{"id":1}\n'), ran.stderr
    assert "\n       30 d  ok        Only  (" in ran.stderr
    assert not (tmp_path / "data").exists()  # the clock of a database never goes back
    ran = command("run", file, "--skip-time", "--db", db, "--name", "x", "--quiet")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(command("executions", "show", "x", "--db", db, "--json").stdout)
    assert shown["status"] == "SUCCEEDED"
    assert db.exists() and "30 d" in command("executions", "list", "--db", db).stdout


def test_resume_skips_time(command: Command, tmp_path: Path) -> None:
    file, db = tmp_path / "m.asl.json", tmp_path / "kept.db"
    file.write_text(one({"Type": "Wait", "Seconds": 30 * DAY, "End": True}))
    ran = command("run", file, "--db", db, "--name", "x", "--timeout", "0.1")
    assert ran.returncode == 3, ran.stderr
    ran = command("resume", "x", "--skip-time")
    assert ran.returncode == 2 and "name one with --db" in ran.stderr
    ran = command("resume", "x", "--db", db, "--skip-time", "--quiet")
    assert (ran.returncode, ran.stdout) == (0, "{}\n"), ran.stderr


def test_a_wait_is_ended_by_the_command(command: Command, serve: Serve, tmp_path: Path) -> None:
    live = serve()
    sfn, db = live.client(), tmp_path / "served.db"
    waits = one({"Type": "Wait", "Seconds": 30 * DAY, "End": True})
    machine = sfn.create_state_machine(name="m", definition=waits, roleArn=ROLE)
    sfn.start_execution(stateMachineArn=machine["stateMachineArn"], name="x")
    fired = command("executions", "fire", "x", "--db", db)  # by the server that owns it
    assert fired.returncode == 0 and fired.stderr.startswith("Only waits no longer; it was due ")
    again = command("executions", "fire", "x", "Only", "--db", db)
    said = "stepwell: Execution is SUCCEEDED: it waits for no time\n"
    assert (again.returncode, again.stderr) == (2, said)
    advanced = command("time", "advance", "1d", "--db", db)
    assert advanced.returncode == 2 and "--skip-time" in advanced.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30d", 30 * DAY), ("1h30m", 5400), ("90", 90), ("2w1s", 14 * DAY + 1), ("1.5h", 5400)],
)
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "d", "3x", "1m1h", "-5s", "1.h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration such as 30d"):
        seconds(text)


@pytest.mark.parametrize("words", [("serve",), ("run", "m.asl.json"), ("resume", "x")])
def test_a_shared_database_is_refused(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "m.asl.json"
    file.write_text(one({"Type": "Pass", "End": True}))
    words = tuple(str(file) if each == "m.asl.json" else each for each in words)
    ran = command(*words, "--skip-time", "--db", "postgresql://me:secret@db/x")
    assert ran.returncode == 2
    assert ran.stderr.startswith("stepwell: --skip-time: postgresql://me@db/x is shared with")
