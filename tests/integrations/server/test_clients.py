"""What users have: boto3 with its paginators, the `aws` command, and the calls that Terraform
makes.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import (
    PASS,
    ROLE,
    WAIT,
    AwsCommand,
    Live,
    eventually,
    keep_compiled,
    one,
)

VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")
TWO = json.dumps(
    {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("clients")
    plain = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    server = Live(keep_compiled(plain, tmp_path_factory.getbasetemp()), folder / "served.db")
    yield server
    server.close()


@pytest.fixture
def client(live: Live) -> Any:
    return live.client()


@pytest.fixture
def machine(client: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A machine of the test's own, with two states."""
    name = request.node.name.replace("[", "-").replace("]", "")[:80]
    arn = client.create_state_machine(name=name, definition=TWO, roleArn=ROLE)["stateMachineArn"]
    yield arn
    client.delete_state_machine(stateMachineArn=arn)


def ended(client: Any, execution_arn: str) -> dict[str, Any]:
    def described() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution_arn)
        return found if found["status"] != "RUNNING" else None

    return eventually(described)


# --- boto3 ----------------------------------------------------------------------------------------


def test_paginators_see_every_item_once(client: Any, machine: str):
    names = [f"e{number}" for number in range(7)]
    arns = [
        client.start_execution(stateMachineArn=machine, name=name)["executionArn"] for name in names
    ]
    for arn in arns:
        ended(client, arn)
    activities = {
        client.create_activity(name=f"paged{number}")["activityArn"] for number in range(5)
    }
    machines = {
        client.create_state_machine(name=f"paged{n}", definition=PASS, roleArn=ROLE)[
            "stateMachineArn"
        ]
        for n in range(5)
    }

    def pages(operation: str, member: str, size: int = 2, **more: Any) -> list[dict[str, Any]]:
        found = list(
            client.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **more)
        )
        assert len(found) > 1
        return [each for page in found for each in page[member]]

    assert [
        each["name"] for each in pages("list_executions", "executions", stateMachineArn=machine)
    ] == names[::-1]
    done = pages("list_executions", "executions", stateMachineArn=machine, statusFilter="SUCCEEDED")
    assert [each["name"] for each in done] == names[::-1]
    events = pages("get_execution_history", "events", executionArn=arns[0])
    assert [each["type"] for each in events][::5] == ["ExecutionStarted", "ExecutionSucceeded"]
    backwards = pages("get_execution_history", "events", executionArn=arns[0], reverseOrder=True)
    assert [each["id"] for each in backwards] == [6, 5, 4, 3, 2, 1]
    found = [each["activityArn"] for each in pages("list_activities", "activities")]
    assert activities <= set(found)
    assert len(found) == len(set(found))
    found = [each["stateMachineArn"] for each in pages("list_state_machines", "stateMachines")]
    assert machines | {machine} <= set(found)
    assert len(found) == len(set(found))


def test_a_client_without_any_setting_but_those_of_env(live: Live):
    """Host prefix and all: what `stepwell env` prints is enough, in a process that has nothing
    else.
    """
    program = (
        "import boto3, json; c = boto3.client('stepfunctions'); "
        f"arn = c.create_state_machine(name='env', definition={PASS!r}, roleArn={ROLE!r}, "
        "type='EXPRESS')['stateMachineArn']; "
        "print(c.start_sync_execution(stateMachineArn=arn, input='[1]')['output'])"
    )
    environment = live.environment | env(live)
    done = subprocess.run(
        [SCRIPT[0], "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_the_host_prefix_is_understood(live: Live):
    """Clients that put sync- before the host reach the server, if the name resolves: the Host alone
    decides nothing.
    """
    client = live.client()
    arn = client.create_state_machine(name="prefix", definition=PASS, roleArn=ROLE, type="EXPRESS")[
        "stateMachineArn"
    ]

    def host(request: Any, **_: Any) -> None:
        request.headers["Host"] = "sync-localhost:8083"

    client.meta.events.register("before-sign.sfn.StartSyncExecution", host)
    assert client.start_sync_execution(stateMachineArn=arn)["status"] == "SUCCEEDED"


def test_any_key_and_region_may_sign(live: Live, machine: str):
    for region, key in (("eu-west-3", "AKIA"), ("us-gov-west-1", "x")):
        client = boto3.client(
            "stepfunctions",
            region,
            endpoint_url=live.url,
            aws_access_key_id=key,
            aws_secret_access_key="any",
        )
        assert client.describe_state_machine(stateMachineArn=machine)["definition"] == TWO
    unsigned = boto3.client(
        "stepfunctions",
        "us-east-1",
        endpoint_url=live.url,
        config=Config(signature_version=botocore.UNSIGNED),
    )
    assert unsigned.describe_state_machine(stateMachineArn=machine)["definition"] == TWO


# --- the aws command ------------------------------------------------------------------------------


def env(live: Live, *options: str) -> dict[str, str]:
    """What `stepwell env` prints, as a shell reads it."""
    words = [*SCRIPT, "env", "--endpoint", live.url, *options]
    printed = subprocess.run(
        words, env=live.environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    pairs = [shlex.split(line)[1].partition("=") for line in printed.splitlines()]
    return {name: value for name, _, value in pairs}


class Aws:
    """`aws stepfunctions ...`"""

    def __init__(self, command: AwsCommand) -> None:
        self._command = command

    def _run(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self._command("stepfunctions", "--output", "json", *words)

    def __call__(self, *words: object) -> dict[str, Any]:
        done = self._run(*words)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
        return answer

    def refused(self, *words: object) -> str:
        done = self._run(*words)
        assert done.returncode in (254, 255), done.stdout  # of versions 2 and 1
        return done.stderr


@pytest.fixture
def cli(live: Live) -> Iterator[Aws]:
    command = AwsCommand(live.environment | env(live))
    yield Aws(command)
    command.close()


def test_the_aws_command_runs_a_workflow(cli: Aws, tmp_path: Path):
    (tmp_path / "two.json").write_text(TWO)
    checked = cli(
        "validate-state-machine-definition", "--definition", f"file://{tmp_path}/two.json"
    )
    assert checked["result"] == "OK"
    arn = cli(
        "create-state-machine",
        "--name",
        "cli",
        "--definition",
        f"file://{tmp_path}/two.json",
        "--role-arn",
        ROLE,
    )["stateMachineArn"]
    started = cli(
        "start-execution", "--state-machine-arn", arn, "--input", '{"a":1}', "--name", "first"
    )["executionArn"]
    described = eventually(
        lambda: (
            (found := cli("describe-execution", "--execution-arn", started))["status"] != "RUNNING"
            and found
        )
    )
    assert (described["status"], described["output"]) == ("SUCCEEDED", '{"a":1}')
    history = cli(
        "get-execution-history",
        "--execution-arn",
        started,
        "--no-include-execution-data",
        "--reverse-order",
    )["events"]
    assert [each["id"] for each in history] == [6, 5, 4, 3, 2, 1]
    assert "input" not in history[-1]["executionStartedEventDetails"]
    listed = cli(
        "list-executions",
        "--state-machine-arn",
        arn,
        "--status-filter",
        "SUCCEEDED",
        "--max-items",
        "1",
    )
    assert [each["name"] for each in listed["executions"]] == ["first"]
    assert "(ExecutionDoesNotExist)" in cli.refused(
        "describe-execution", "--execution-arn", started + "x"
    )


def test_the_aws_command_starts_synchronously_and_tests_states(cli: Aws):
    """Both carry a host prefix, which `stepwell env` turns off."""
    express = cli(
        "create-state-machine",
        "--name",
        "cli-express",
        "--definition",
        PASS,
        "--role-arn",
        ROLE,
        "--type",
        "EXPRESS",
    )
    done = cli(
        "start-sync-execution", "--state-machine-arn", express["stateMachineArn"], "--input", "[1]"
    )
    assert (done["status"], done["output"]) == ("SUCCEEDED", "[1]")
    assert done["billingDetails"]["billedDurationInMilliseconds"] >= 100
    tested = cli(
        "test-state",
        "--definition",
        '{"Type": "Pass", "Result": 2, "End": true}',
        "--role-arn",
        ROLE,
    )
    assert (tested["status"], tested["output"]) == ("SUCCEEDED", "2")


def test_the_aws_command_stops_and_works_for_activities(cli: Aws):
    activity = cli("create-activity", "--name", "cli-work")["activityArn"]
    definition = one({"Type": "Task", "Resource": activity, "End": True})
    arn = cli(
        "create-state-machine",
        "--name",
        "cli-activity",
        "--definition",
        definition,
        "--role-arn",
        ROLE,
    )["stateMachineArn"]
    first = cli("start-execution", "--state-machine-arn", arn, "--name", "first")["executionArn"]
    task = cli("get-activity-task", "--activity-arn", activity, "--worker-name", "me")
    cli("send-task-heartbeat", "--task-token", task["taskToken"])
    cli("send-task-success", "--task-token", task["taskToken"], "--task-output", '"done"')
    assert (
        eventually(lambda: cli("describe-execution", "--execution-arn", first).get("output"))
        == '"done"'
    )
    second = cli("start-execution", "--state-machine-arn", arn, "--name", "second")["executionArn"]
    cli("stop-execution", "--execution-arn", second, "--error", "Enough", "--cause", "of it")
    described = cli("describe-execution", "--execution-arn", second)
    assert (described["status"], described["error"], described["cause"]) == (
        "ABORTED",
        "Enough",
        "of it",
    )


def test_the_aws_command_knows_tags_versions_and_aliases(cli: Aws):
    tags = ("--tags", "key=team,value=a", "key=stage,value=b")
    arn = cli(
        "create-state-machine",
        "--name",
        "cli-versions",
        "--definition",
        PASS,
        "--role-arn",
        ROLE,
        *tags,
    )["stateMachineArn"]
    cli("tag-resource", "--resource-arn", arn, "--tags", "key=stage,value=c")
    cli("untag-resource", "--resource-arn", arn, "--tag-keys", "team")
    assert cli("list-tags-for-resource", "--resource-arn", arn)["tags"] == [
        {"key": "stage", "value": "c"}
    ]
    first = cli("publish-state-machine-version", "--state-machine-arn", arn)[
        "stateMachineVersionArn"
    ]
    second = cli(
        "update-state-machine", "--state-machine-arn", arn, "--definition", WAIT, "--publish"
    )["stateMachineVersionArn"]
    versions = cli("list-state-machine-versions", "--state-machine-arn", arn)[
        "stateMachineVersions"
    ]
    assert (
        [each["stateMachineVersionArn"] for each in versions]
        == [second, first]
        == [f"{arn}:2", f"{arn}:1"]
    )
    routing = ("--routing-configuration", f"stateMachineVersionArn={first},weight=100")
    alias = cli("create-state-machine-alias", "--name", "live", *routing)["stateMachineAliasArn"]
    started = cli("start-execution", "--state-machine-arn", alias)["executionArn"]
    described = cli("describe-execution", "--execution-arn", started)
    assert (described["stateMachineAliasArn"], described["stateMachineVersionArn"]) == (
        alias,
        first,
    )
    assert "(ConflictException)" in cli.refused(
        "delete-state-machine-version", "--state-machine-version-arn", first
    )
    cli("delete-state-machine-alias", "--state-machine-alias-arn", alias)
    cli("delete-state-machine-version", "--state-machine-version-arn", first)
    cli("delete-state-machine", "--state-machine-arn", arn)


# --- Terraform ------------------------------------------------------------------------------------


def test_the_calls_of_terraforms_state_machine_resource(client: Any):
    """aws_sfn_state_machine: plan, create, read, update, read, destroy, in the order and with the
    members that the provider sends.
    """
    off = {"level": "OFF", "includeExecutionData": False}
    settings = {"loggingConfiguration": off, "tracingConfiguration": {"enabled": False}}

    def read(arn: str) -> dict[str, Any]:
        described: dict[str, Any] = client.describe_state_machine(stateMachineArn=arn)
        client.list_state_machine_versions(stateMachineArn=arn)
        client.list_tags_for_resource(resourceArn=arn)
        return described

    assert (
        client.validate_state_machine_definition(definition=TWO, type="STANDARD")["result"] == "OK"
    )
    key = {"encryptionConfiguration": {"type": "AWS_OWNED_KEY"}}
    asked = {
        "name": "terraform",
        "definition": TWO,
        "roleArn": ROLE,
        "type": "STANDARD",
        "publish": False,
        **settings,
        **key,
    }
    created = client.create_state_machine(**asked, tags=[{"key": "a", "value": "b"}])
    arn = created["stateMachineArn"]
    described = read(arn)
    assert described["status"] == "ACTIVE"
    for member in (
        "name",
        "definition",
        "roleArn",
        "type",
        "loggingConfiguration",
        "tracingConfiguration",
        "encryptionConfiguration",
    ):
        assert described[member] == asked[member], member
    assert described["creationDate"] == created["creationDate"]
    assert client.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"] == []
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    revision = described.get("revisionId")

    assert (
        client.validate_state_machine_definition(definition=WAIT, type="STANDARD")["result"] == "OK"
    )
    client.update_state_machine(
        stateMachineArn=arn, definition=WAIT, roleArn=ROLE, publish=True, **settings, **key
    )
    described = eventually(
        lambda: (
            (found := read(arn))["definition"] == WAIT
            and found.get("revisionId") != revision
            and found
        )
    )
    assert described["roleArn"] == ROLE
    versions = client.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]
    assert [each["stateMachineVersionArn"] for each in versions] == [f"{arn}:1"]
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    client.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "d"}])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "c", "value": "d"}]

    client.delete_state_machine(stateMachineArn=arn)

    def gone() -> bool:
        try:
            return client.describe_state_machine(stateMachineArn=arn)["status"] != "DELETING"
        except ClientError as error:
            assert error.response["Error"]["Code"] == "StateMachineDoesNotExist"
            return True

    eventually(gone)
    with pytest.raises(client.exceptions.StateMachineDoesNotExist):
        client.describe_state_machine(stateMachineArn=arn)


# --- stepwell env ---------------------------------------------------------------------------------


def test_env_makes_up_keys_only_if_there_are_none(live: Live, tmp_path: Path):
    bare = env(live)
    assert bare == {
        "AWS_ENDPOINT_URL_SFN": live.url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "stepwell",
        "AWS_SECRET_ACCESS_KEY": "stepwell",
    }
    assert env(live, "--region", "eu-west-1")["AWS_REGION"] == "eu-west-1"
    every = env(live, "--all")
    assert bare.items() < every.items()
    names = {
        f"AWS_ENDPOINT_URL_{name}" for name in ("EVENTBRIDGE", "LAMBDA", "SCHEDULER", "SNS", "SQS")
    }
    assert names <= every.keys() and all(
        value == live.url for name, value in every.items() if "ENDPOINT" in name
    )
    words = [*SCRIPT, "env"]
    own = live.environment | {"AWS_PROFILE": "mine", "AWS_DEFAULT_REGION": "sa-east-1"}
    printed = subprocess.run(
        words, env=own, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "AWS_ACCESS_KEY_ID" not in printed
    assert "export AWS_REGION=sa-east-1\n" in printed
    assert "export AWS_ENDPOINT_URL_SFN=http://127.0.0.1:8083\n" in printed
    refused = subprocess.run(
        [*words, "--endpoint", "x; rm"],
        env=own,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    fish = subprocess.run(
        [*words, "--shell", "fish"], env=own, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "set -gx AWS_REGION sa-east-1\n" in fish
