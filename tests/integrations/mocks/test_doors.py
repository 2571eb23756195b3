"""Mock files at the command and at the server, with boto3 and the AWS CLI."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from tests.integrations.mocks.samples import MOCKS, invoke, lambda_and_sqs, machine
from tests.integrations.server.live import ROLE, Live, aws, eventually

from stepwell.integrations.cli.main import app


class Folder:
    """A definition and a mock file, and `stepwell run` of them in this process."""

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, ""
        self.definition, self.mocks = path / "sample.asl.json", path / "mocks.json"
        self.definition.write_text(json.dumps(lambda_and_sqs()))
        self.write(MOCKS)

    def write(self, mocks: Any) -> None:
        self.mocks.write_text(json.dumps(mocks, indent=1))

    def run(self, case: str | None, mocks: bool = True, check: str = "PRESENT") -> tuple[int, Any]:
        """The exit code, and the output or else what it printed on standard error."""
        words = ["run", str(self.definition), "--quiet", "--db", str(self.path / "run.db")]
        words += ["--mocks", str(self.mocks)] if mocks else []
        words += ["--case", case] if case else []
        words += ["--mock-validation", check] if check else []
        ran = CliRunner().invoke(app, words)
        self.said = ran.stderr
        return ran.exit_code, json.loads(ran.stdout) if ran.stdout else ran.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.delenv("SFN_MOCK_CONFIG", raising=False)
    return Folder(tmp_path)


def test_run_answers_tasks_from_the_file(folder: Folder) -> None:
    code, output = folder.run("HappyPath")
    assert (code, output["MessageId"]) == (0, "3bcb6e8e-8b51")


def test_run_by_the_variable(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFN_MOCK_CONFIG", str(folder.mocks))
    assert folder.run("HappyPath", mocks=False)[0] == 0
    folder.definition.write_text(json.dumps(machine({"A": {"Type": "Pass"}})))
    assert folder.run(None, mocks=False) == (0, {})  # the file is for those that want one
    monkeypatch.setenv("SFN_MOCK_CONFIG", "missing.json")
    code, text = folder.run("HappyPath", mocks=False)
    assert (code, text) == (
        2,
        "stepwell: SFN_MOCK_CONFIG=missing.json: No such file or directory\n",
    )


def test_run_names_the_cases(folder: Folder) -> None:
    code, text = folder.run(None)
    assert code == 2
    assert text.endswith("name a test case with --case (HappyPath, HybridPath, RetryPath)\n")
    code, text = folder.run("Happy")
    assert code == 2
    assert "no such test case of sample (HappyPath, HybridPath, RetryPath)" in text
    code, text = folder.run("HappyPath", mocks=False)
    assert (code, "name the mock file" in text) == (2, True)


def test_run_reports_what_is_not_used(folder: Folder) -> None:
    mocks = json.loads(json.dumps(MOCKS))
    cases = mocks["StateMachines"]["LambdaSQSIntegration"]["TestCases"]
    cases["HappyPath"] |= {"LambdaStat": "MockedLambdaSuccess"}
    mocks["MockedResponses"]["MockedSQSSuccess"]["1-4"] = {"Throw": {"Error": "E"}}
    folder.write(mocks)
    code, _ = folder.run("HappyPath")
    lines = folder.said.splitlines()
    file = str(folder.mocks)
    assert code == 0
    assert [line.removeprefix(file) for line in lines] == [
        ":8:6: warning: the definition has no state 'LambdaStat', which test case 'HappyPath' "
        "mocks: did you mean 'LambdaState'?",
        ":46:4: response 1-4 of state 'SQSState' in test case 'HappyPath' was not used",
    ]


def test_run_checks_the_results_first(folder: Folder) -> None:
    mocks = json.loads(json.dumps(MOCKS))
    mocks["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"]["MessageId"] = 1
    folder.write(mocks)
    code, text = folder.run("HappyPath")
    assert code == 2
    assert text.splitlines() == [
        f"{folder.mocks}:39:4: response 'MockedSQSSuccess' of state 'SQSState': "
        "Mock result schema validation error: Field 'MessageId' must be a string",
        "stepwell: test case 'HappyPath' does not fit the definition: 1 error",
    ]
    assert folder.run("HappyPath", check="NONE")[1]["MessageId"] == 1
    assert folder.said == ""


def test_run_uses_what_does_not_fit_as_step_functions_local_does(folder: Folder) -> None:
    mocks = json.loads(json.dumps(MOCKS))
    mocks["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"]["MessageId"] = 1
    folder.write(mocks)
    code, output = folder.run("HappyPath", check="")
    assert (code, output["MessageId"]) == (0, 1)
    assert folder.said == (
        f"{folder.mocks}:39:4: warning: response 'MockedSQSSuccess' of state 'SQSState': "
        "Mock result schema validation error: Field 'MessageId' must be a string\n"
    )


def test_run_needs_only_the_responses_of_its_test_case(folder: Folder) -> None:
    mocks = json.loads(json.dumps(MOCKS))
    cases = mocks["StateMachines"]["LambdaSQSIntegration"]["TestCases"]
    cases["RetryPath"]["SQSState"] = "MockedSQS"
    folder.write(mocks)
    warning = f"{folder.mocks}:11:6: warning: MockedResponses has no 'MockedSQS': did you mean"
    assert folder.run("HappyPath")[0] == 0
    assert folder.said == f"{warning} 'MockedSQSSuccess'?\n"
    code, text = folder.run("RetryPath")
    assert (code, text.splitlines()) == (
        2,
        [
            f"{warning} 'MockedSQSSuccess'?",
            "stepwell: test case 'RetryPath' does not fit the definition: 1 error",
        ],
    )


def test_run_shows_the_faults_of_the_file(folder: Folder) -> None:
    folder.write({"StateMachines": {}, "MockedResponses": {"A": {}, "B": {}}})
    code, text = folder.run("HappyPath")
    assert (code, len(text.splitlines())) == (2, 3)
    assert text.endswith(f"--mocks {folder.mocks} is not a valid mock file: 2 errors\n")


def test_resume_continues_with_the_next_response(folder: Folder) -> None:
    """By another name of the state machine, and with the next response."""
    states = {"A": invoke(), "Wait": {"Type": "Wait", "Seconds": 1}, "B": invoke()}
    folder.definition.write_text(json.dumps(machine(states)))
    folder.write(
        {
            "StateMachines": {"Other": {"TestCases": {"C": {"A": "R", "B": "R"}}}},
            "MockedResponses": {"R": {"0": {"Return": {"Payload": 0}}}},
        }
    )
    db, mocks = ("--db", str(folder.path / "run.db")), ("--mocks", str(folder.mocks))
    words = ("run", str(folder.definition), *db, *mocks, "--case", "C", "--timeout", "0.1")
    assert CliRunner().invoke(app, words).exit_code == 3
    refused = CliRunner().invoke(app, ("resume", *db))
    assert (refused.exit_code, "has the test case C: name the mock" in refused.stderr) == (2, True)
    resumed = CliRunner().invoke(app, ("resume", *db, *mocks))
    assert (resumed.exit_code, resumed.stdout) == (0, '{"Payload":0}\n')


# --- the server -----------------------------------------------------------------------------------

SLOW = machine(
    {
        "Poll": invoke(ResultPath="$.job", Next="Wait"),
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Done?"},
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.job.Payload", "NumericEquals": 2, "Next": "Call"}],
            "Default": "Poll",
        },
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {
                "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:Child",
                "Input": {},
            },
            "OutputPath": "$.Output",
        },
    }
)
SERVED: Any = {
    "StateMachines": {
        **MOCKS["StateMachines"],
        "Slow": {"TestCases": {"Loop": {"Poll": "Counts"}}},
        "Child": {"TestCases": {"Loop": {"Ask": "Answer"}}},
        "Quick": {"TestCases": {"C": {"Ask": "Answer"}}},
    },
    "MockedResponses": {
        **MOCKS["MockedResponses"],
        "Counts": {str(n): {"Return": {"Payload": n}} for n in range(3)},
        "Answer": {"0": {"Return": {"Payload": "of the child"}}},
    },
}


def create(client: Any, name: str, definition: Any, **more: Any) -> str:
    made = client.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE, **more
    )
    return str(made["stateMachineArn"])


def ended(client: Any, arn: str) -> Any:
    def closed() -> Any:
        described = client.describe_execution(executionArn=arn)
        return described if described["status"] != "RUNNING" else None

    return eventually(closed)


def test_a_server_answers_tasks_from_its_file(home: dict[str, str], tmp_path: Path) -> None:
    mocks, db = tmp_path / "mocks.json", tmp_path / "served.db"
    mocks.write_text(json.dumps(SERVED))
    first = Live(home, db, "--mocks", mocks)
    second = None
    try:
        client = first.client()
        sample = create(client, "LambdaSQSIntegration", lambda_and_sqs(), publish=True)
        create(client, "Child", machine({"Ask": invoke()}))
        slow = create(client, "Slow", SLOW)
        quick = create(client, "Quick", machine({"Ask": invoke()}), type="EXPRESS")
        _check_starts(client, sample, quick)
        _check_command_line(home, first, f"{sample}#HappyPath")
        started = client.start_execution(stateMachineArn=f"{slow}#Loop", name="loop")
        time.sleep(0.5)  # it waits
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(60)
        second = Live({**home, "SFN_MOCK_CONFIG": str(mocks)}, db)
        client = second.client()
        with pytest.raises(ClientError, match="Execution Already Exists"):
            client.start_execution(stateMachineArn=slow, name="loop")
        done = ended(client, started["executionArn"])
        assert json.loads(done["output"]) == {"Payload": "of the child"}
        history = client.get_execution_history(executionArn=started["executionArn"])["events"]
        results = [
            json.loads(event["taskSucceededEventDetails"]["output"])["Payload"]
            for event in history
            if event["type"] == "TaskSucceeded"
            and event["taskSucceededEventDetails"]["resourceType"] == "lambda"
        ]
        assert results == [0, 1, 2]
    finally:
        first.close()
        if second is not None:
            second.close()


def _check_starts(client: Any, sample: str, quick: str) -> None:
    start: Callable[[str], Any] = lambda arn: client.start_execution(stateMachineArn=arn)
    for arn in (sample, f"{sample}:1"):
        done = ended(client, start(f"{arn}#HappyPath")["executionArn"])
        assert json.loads(done["output"])["MessageId"] == "3bcb6e8e-8b51"
        assert (done["stateMachineArn"], done.get("stateMachineVersionArn", arn)) == (sample, arn)
    with pytest.raises(ClientError) as refused:
        start(f"{sample}#Other")
    assert refused.value.response["Error"]["Code"] == "InvalidName"
    with pytest.raises(ClientError, match="State Machine Does Not Exist"):
        start(f"{sample}x#HappyPath")
    answer = client.start_sync_execution(stateMachineArn=f"{quick}#C")
    assert json.loads(answer["output"]) == {"Payload": "of the child"}


def _check_command_line(home: dict[str, str], live: Live, arn: str) -> None:
    environment = home | {
        "AWS_ENDPOINT_URL_SFN": live.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    words = ("start", "LambdaSQSIntegration#HappyPath", "--name", "own", "--server", live.url)
    assert CliRunner().invoke(app, words).stdout.endswith(":LambdaSQSIntegration:own\n")
    refused = CliRunner().invoke(app, ["start", "LambdaSQSIntegration#No", "--server", live.url])
    assert "the mock file has no such test case of the state machine" in refused.stderr
    answer = aws(environment, "start-execution", "--state-machine", arn, "--name", "happy")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["executionArn"].endswith(":LambdaSQSIntegration:happy")
