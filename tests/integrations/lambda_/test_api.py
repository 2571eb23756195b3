"""Lambda's API on a real server, called by boto3 and by workflows: functions, versions, aliases,
settings, restarts.
"""

import base64
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.bench import alive
from tests.integrations.lambda_.calls import BAD, ECHO, archive, client_of, invoke, refused
from tests.integrations.server.live import REGION, ROLE, Live, eventually, idle_ticks, one

from stepwell.engine import Engine
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.tasks.registry import Registry

# --- functions ------------------------------------------------------------------------------------


def test_a_function_is_created_invoked_changed_and_deleted(
    client: Any, make: Callable[..., str]
) -> None:
    name = make(
        Environment={"Variables": {"COLOUR": "blau"}}, Timeout=7, MemorySize=256, Tags={"a": "b"}
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    found = client.get_function(FunctionName=name)
    shown = found["Configuration"]
    assert (shown["State"], shown["LastUpdateStatus"], shown["Timeout"], shown["MemorySize"]) == (
        "Active",
        "Successful",
        7,
        256,
    )
    assert shown["FunctionArn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert found["Tags"] == {"a": "b"}
    value, answer = invoke(client, name, {"x": 1}, LogType="Tail")
    assert (value["event"], value["colour"], answer["ExecutedVersion"]) == (
        {"x": 1},
        "blau",
        "$LATEST",
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    assert (
        "\nseen\n" in log
        and "\tBilled Duration: " in log
        and "Memory Size: 256 MB" in log
        and "Init Duration: " in log
    )
    warm, answer = invoke(client, name, LogType="Tail")
    assert (warm["count"], warm["pid"]) == (2, value["pid"])
    assert "Init Duration" not in base64.b64decode(answer["LogResult"]).decode()
    changed = client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "rot"}}
    )
    assert (
        changed["LastUpdateStatus"] == "InProgress" and changed["RevisionId"] != shown["RevisionId"]
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert invoke(client, name)[0]["colour"] == "rot"
    client.update_function_code(
        FunctionName=name, ZipFile=archive(f__py="def handler(event, context): return 'new'")
    )
    assert invoke(client, name)[0] == "new"
    assert name in [each["FunctionName"] for each in client.list_functions()["Functions"]]


def test_the_idle_process_of_a_deleted_function_ends(client: Any, make: Callable[..., str]) -> None:
    name = make()
    pid = invoke(client, name)[0]["pid"]
    client.delete_function(FunctionName=name)
    eventually(lambda: not alive(pid))
    assert refused(client.invoke, FunctionName=name)[:2] == (404, "ResourceNotFoundException")
    client.create_function(
        FunctionName=name,
        Role=ROLE,
        Runtime="python3.12",
        Handler="f.handler",
        Code={"ZipFile": archive(f__py=ECHO)},
    )  # the fixture deletes it


def test_the_id_of_a_request_is_that_of_the_invocation(
    client: Any, make: Callable[..., str], tmp_path: Path
) -> None:
    name = make(
        "def handler(event, context):\n    if event: open(event, "
        "'w').write(context.aws_request_id)\n    return context.aws_request_id\n"
    )
    value, answer = invoke(client, name)
    assert value == answer["ResponseMetadata"]["RequestId"]
    sent = client.invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(str(tmp_path / "id")).encode()
    )
    eventually(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text())
    assert (tmp_path / "id").read_text() == sent["ResponseMetadata"]["RequestId"]


def test_bytes_are_returned_unchanged(client: Any, make: Callable[..., str]) -> None:
    name = make("def handler(event, context): return b'\\xff\\x00{'")
    assert client.invoke(FunctionName=name)["Payload"].read() == b"\xff\x00{"


@pytest.mark.parametrize(
    "reference",
    [
        "nope",
        "arn:aws:lambda:us-east-1:123456789012:function:nope",
        f"arn:aws:lambda:{REGION}:111111111111:function:nope",
    ],
)
def test_the_error_for_an_unknown_function_names_its_version(client: Any, reference: str) -> None:
    arn = (
        reference
        if ":" in reference
        else f"arn:aws:lambda:us-east-1:123456789012:function:{reference}"
    )
    assert refused(client.invoke, FunctionName=reference) == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}:$LATEST",
    )


def test_a_dry_run_calls_nothing(client: Any, make: Callable[..., str]) -> None:
    name = make()
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert invoke(client, name)[0]["count"] == 1


def test_refusals(client: Any, make: Callable[..., str]) -> None:
    name, code = make(), {"ZipFile": archive(f__py=ECHO)}
    whole: dict[str, Any] = {
        "FunctionName": "other",
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "f.handler",
        "Code": code,
    }
    arn = "arn:aws:lambda:us-east-1:123456789012:function:"
    assert refused(client.get_function, FunctionName="nope") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}nope",
    )
    missing = f"Function not found: {arn}nope:$LATEST"
    assert refused(client.invoke, FunctionName="nope") == (
        404,
        "ResourceNotFoundException",
        missing,
    )
    assert refused(client.invoke, FunctionName=name, Qualifier="9")[:2] == (
        404,
        "ResourceNotFoundException",
    )
    exists = (409, "ResourceConflictException", f"Function already exist: {name}")
    assert refused(client.create_function, **whole | {"FunctionName": name}) == exists
    assert refused(client.invoke, FunctionName=name, Payload=b"{")[:2] == (
        400,
        "InvalidRequestContentException",
    )
    bad = "InvalidParameterValueException"
    assert refused(client.create_function, **whole | {"Runtime": "java21"})[:2] == (400, bad)
    unzip = "Could not unzip uploaded file. Please check your file, then try to upload again."
    assert refused(client.create_function, **whole | {"Code": {"ZipFile": b"no zip"}}) == (
        400,
        bad,
        unzip,
    )
    slip = io.BytesIO()
    with zipfile.ZipFile(slip, "w") as packed:
        packed.writestr("../out.py", "")
    assert refused(client.create_function, **whole | {"Code": {"ZipFile": slip.getvalue()}}) == (
        400,
        bad,
        unzip,
    )
    reserved = refused(
        client.create_function, **whole | {"Environment": {"Variables": {"AWS_REGION": "x"}}}
    )
    assert reserved[1] == bad and reserved[2].endswith(
        "Reserved keys used in this request: AWS_REGION"
    )
    large = {"Variables": {"COLOUR": "x" * 4100}}
    assert (
        refused(client.update_function_configuration, FunctionName=name, Environment=large)[1]
        == bad
    )
    assert refused(client.update_function_configuration, FunctionName=name, RevisionId="old")[
        :2
    ] == (412, "PreconditionFailedException")
    assert refused(client.create_function, **whole | {"Timeout": 901})[1] == "ValidationException"


def test_payloads_of_full_size(client: Any, make: Callable[..., str]) -> None:
    name = make("def handler(event, context): return event")
    text = "x" * 6_000_000
    assert invoke(client, name, text)[0] == text
    assert refused(client.invoke, FunctionName=name, Payload=json.dumps("x" * 6_291_456).encode())[
        :2
    ] == (413, "RequestTooLargeException")
    event = {
        "FunctionName": name,
        "InvocationType": "Event",
        "Payload": json.dumps("x" * 1_048_576).encode(),
    }
    assert refused(client.invoke, **event)[:2] == (413, "RequestTooLargeException")


def test_a_folder_runs_in_place_and_is_published_as_a_copy(
    client: Any, make: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "f.py").write_text("def handler(event, context): return 'one'")
    name = make(Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path)})
    assert invoke(client, name)[0] == "one"
    assert client.publish_version(FunctionName=name)["Version"] == "1"
    (tmp_path / "f.py").write_text("def handler(event, context): return 'two, edited'")
    assert [invoke(client, each)[0] for each in (name, f"{name}:1")] == ["two, edited", "one"]
    other = {"S3Bucket": "some-bucket", "S3Key": "x"}
    assert (
        refused(client.update_function_code, FunctionName=name, **other)[1]
        == "InvalidParameterValueException"
    )


# --- versions and aliases -------------------------------------------------------------------------


def test_versions_never_change(client: Any, make: Callable[..., str]) -> None:
    name = make(Environment={"Variables": {"COLOUR": "one"}})
    first = client.publish_version(FunctionName=name, Description="the first")
    assert (first["Version"], first["Description"], first["FunctionArn"].rpartition(":")[2]) == (
        "1",
        "the first",
        "1",
    )
    assert client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "two"}}
    )
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    colours = [invoke(client, f"{name}{qualifier}")[0]["colour"] for qualifier in ("", ":1", ":2")]
    assert colours == ["two", "one", "two"]
    listed = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    assert [each["Version"] for page in listed for each in page["Versions"]] == [
        "$LATEST",
        "1",
        "2",
    ]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refused(client.delete_function, FunctionName=name, Qualifier="1")[:2] == (
        409,
        "ResourceConflictException",
    )
    client.delete_function(FunctionName=name, Qualifier="2")
    assert refused(client.get_function, FunctionName=name, Qualifier="2")[0] == 404
    client.update_function_configuration(FunctionName=name, Timeout=9)
    assert client.publish_version(FunctionName=name)["Version"] == "3", "numbers are not reused"


def test_aliases_with_weights(client: Any, make: Callable[..., str]) -> None:
    name = make()
    client.publish_version(FunctionName=name)
    client.update_function_configuration(FunctionName=name, Timeout=9)
    client.publish_version(FunctionName=name)
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    alias = client.create_alias(
        FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=routing
    )
    assert (
        alias["AliasArn"].endswith(f":function:{name}:live") and alias["RoutingConfig"] == routing
    )
    seen = Counter(invoke(client, f"{name}:live")[1]["ExecutedVersion"] for _ in range(40))
    assert seen.keys() == {"1", "2"}, "by chance: one in 2**39 has only one"
    client.update_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    assert {invoke(client, name, Qualifier="live")[0]["version"] for _ in range(5)} == {"2"}
    latest = {
        "FunctionVersion": "$LATEST",
        "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}},
    }
    bad = (
        400,
        "InvalidParameterValueException",
        "$LATEST is not supported for an alias pointing to more than 1 version",
    )
    assert refused(client.update_alias, FunctionName=name, Name="live", **latest) == bad
    assert refused(client.create_alias, FunctionName=name, Name="live", FunctionVersion="1")[
        :2
    ] == (409, "ResourceConflictException")
    assert refused(client.create_alias, FunctionName=name, Name="x", FunctionVersion="9")[0] == 404
    assert [
        each["Name"]
        for each in client.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]
    ] == ["live"]
    client.delete_alias(FunctionName=name, Name="live")
    assert refused(client.get_alias, FunctionName=name, Name="live")[:2] == (
        404,
        "ResourceNotFoundException",
    )


# --- settings -------------------------------------------------------------------------------------


def test_tags_of_an_event_source_mapping(client: Any, make: Callable[..., str]) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:q"
    mapping = client.create_event_source_mapping(
        FunctionName=make(), EventSourceArn=queue, Enabled=False, Tags={"a": "1"}
    )
    arn = mapping["EventSourceMappingArn"]
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1"}
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    client.update_event_source_mapping(UUID=mapping["UUID"], BatchSize=5)
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    client.delete_event_source_mapping(UUID=mapping["UUID"])
    assert refused(client.list_tags, Resource=arn)[:2] == (404, "ResourceNotFoundException")


def test_permissions_tags_and_concurrency(client: Any, make: Callable[..., str]) -> None:
    name = make()
    grant = {
        "StatementId": "s",
        "Action": "lambda:InvokeFunction",
        "Principal": "sns.amazonaws.com",
        "SourceArn": "arn:aws:sns:us-east-1:123456789012:t",
    }
    statement = json.loads(client.add_permission(FunctionName=name, **grant)["Statement"])
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnLike": {"AWS:SourceArn": "arn:aws:sns:us-east-1:123456789012:t"}
    }
    assert refused(client.add_permission, FunctionName=name, **grant)[:2] == (
        409,
        "ResourceConflictException",
    )
    assert json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"] == [statement]
    client.remove_permission(FunctionName=name, StatementId="s")
    assert refused(client.get_policy, FunctionName=name)[:2] == (404, "ResourceNotFoundException")
    arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert refused(client.invoke, FunctionName=name)[:2] == (429, "TooManyRequestsException")
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    client.delete_function_concurrency(FunctionName=name)
    assert invoke(client, name)[1]["StatusCode"] == 200
    assert (
        refused(
            client.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=950
        )[0]
        == 400
    )
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000


def test_event_configurations(client: Any, make: Callable[..., str]) -> None:
    name = make()
    assert refused(client.get_function_event_invoke_config, FunctionName=name)[0] == 404
    client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=60
    )
    client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    found = client.get_function_event_invoke_config(FunctionName=name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)
    assert (
        len(
            client.list_function_event_invoke_configs(FunctionName=name)[
                "FunctionEventInvokeConfigs"
            ]
        )
        == 1
    )
    client.delete_function_event_invoke_config(FunctionName=name)
    assert (
        client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
        == []
    )


# --- in a workflow --------------------------------------------------------------------------------


def test_a_task_by_arn_and_by_invoke(live: Live, client: Any, make: Callable[..., str]) -> None:
    name = make()
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    engine = live.client()
    for resource, parameters, version in (
        (arn, {"x": 1}, "$LATEST"),
        (f"{arn}:live", {"x": 1}, "1"),
        (
            "arn:aws:states:::lambda:invoke",
            {"FunctionName": name, "Qualifier": "live", "Payload": {"x": 1}},
            "1",
        ),
    ):
        state = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
        machine = engine.create_state_machine(
            name=f"m{time.monotonic_ns()}", definition=one(state), roleArn=ROLE
        )["stateMachineArn"]
        execution = engine.start_execution(stateMachineArn=machine)["executionArn"]
        ended = eventually(
            lambda arn=execution: (
                (d := engine.describe_execution(executionArn=arn))["status"] != "RUNNING" and d
            )
        )
        output = json.loads(ended["output"])
        found = output.get("Payload", output)
        assert (found["event"], found["version"]) == ({"x": 1}, version)


# --- restarts and idle time -----------------------------------------------------------------------


def test_idle_is_idle(tmp_path: Path, home: dict[str, str]) -> None:
    """After the idle time, no process of a function exists, and the server does nothing."""
    from tests.integrations.server.live import LIMITED

    server = Live(home, tmp_path / "idle.db", program=LIMITED, limits={"function_idle_seconds": 2})
    try:
        lambda_ = client_of(server.url)
        code = {"ZipFile": archive(f__py=ECHO)}
        lambda_.create_function(
            FunctionName="f", Role=ROLE, Runtime="python3.12", Handler="f.handler", Code=code
        )
        pid = invoke(lambda_, "f")[0]["pid"]
        assert alive(pid)
        eventually(lambda: not alive(pid))
        children = ["ps", "--ppid", str(server.process.pid), "-o", "pid="]
        run = partial(subprocess.run, children, capture_output=True, text=True, check=False)
        eventually(lambda: not run().stdout.split())  # reaped, too
        # one wake-up a second, for each of which the kernel may count a tick
        assert idle_ticks(server.process.pid, 2) <= 2
    finally:
        server.close()


def test_what_was_accepted_survives_kill_9(tmp_path: Path, home: dict[str, str]) -> None:
    """After a restart, the functions exist, and every accepted event reaches its function at least
    once.
    """
    file = tmp_path / "seen"
    source = (
        "import time\n\ndef handler(event, context):\n    time.sleep(0.01)\n    "
        f"open({str(file)!r}, 'a').write(f'{{event}}\\n')\n"
    )
    server = Live(home, tmp_path / "killed.db")
    lambda_ = client_of(server.url)
    lambda_.create_function(
        FunctionName="f",
        Role=ROLE,
        Runtime="python3.12",
        Handler="f.handler",
        Code={"ZipFile": archive(f__py=source)},
    )
    for number in range(100):
        assert (
            lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=str(number).encode())[
                "StatusCode"
            ]
            == 202
        )
    code = {
        "ZipFile": archive(
            f__py=BAD
            + "\ndef started(event, context): return daemon(event, context), os.environ['TMPDIR']\n"
        )
    }
    lambda_.create_function(
        FunctionName="d", Role=ROLE, Runtime="python3.12", Handler="f.started", Code=code
    )
    daemon, folder = invoke(lambda_, "d")[0]
    server.stop(9)
    server.close()
    second = Live(home, tmp_path / "killed.db")
    try:
        assert second.url
        eventually(lambda: not alive(daemon) and not Path(folder).exists())
        eventually(lambda: {int(line) for line in file.read_text().split()} >= set(range(100)))
        assert invoke(client_of(second.url), "f", 1000)[1]["StatusCode"] == 200
    finally:
        second.close()


async def test_functions_of_another_endpoint(
    live: Live, client: Any, make: Callable[..., str]
) -> None:
    """Unknown functions are called at the configured endpoint of Lambda, such as that of `sam local
    start-lambda`.
    """
    good, bad = make(), make(BAD, "f.crash")
    registry = Registry({"here": lambda payload: "here"}, outside=Outside({"lambda": live.url}))
    async with Engine(tasks=registry) as engine:

        async def run(state: dict[str, Any]) -> dict[str, Any]:
            machine = await engine.create_state_machine(
                f"m{time.monotonic_ns()}", one({"Type": "Task", "End": True, **state})
            )
            started = await engine.start_execution(machine["stateMachineArn"], input='{"x": 1}')
            return await engine.wait(started["executionArn"], timeout=60)

        arn = "arn:aws:lambda:us-east-1:123456789012:function:"
        assert json.loads((await run({"Resource": arn + "here"}))["output"]) == "here"
        assert json.loads((await run({"Resource": arn + good}))["output"])["event"] == {"x": 1}
        failed = await run({"Resource": arn + bad})
        assert (failed["status"], failed["error"]) == ("FAILED", "Runtime.ExitError")
        failed = await run({"Resource": arn + "nowhere"})
        assert (
            failed["error"] == "Lambda.ResourceNotFoundException"
            and f"Function not found: {arn}nowhere:$LATEST" in failed["cause"]
        )


def test_the_aws_command(live: Live, home: dict[str, str], tmp_path: Path) -> None:
    def aws(*words: object) -> Any:
        program = [
            sys.executable,
            "-m",
            "awscli",
            "lambda",
            *map(str, words),
            "--endpoint-url",
            live.url,
            "--region",
            REGION,
        ]
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        done = subprocess.run(
            program, env=home | keys, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout or "{}")

    (tmp_path / "f.zip").write_bytes(archive(f__py=ECHO))
    given = ("--runtime", "python3.12", "--handler", "f.handler", "--role", ROLE)
    created = aws(
        "create-function",
        "--function-name",
        "cli",
        *given,
        "--zip-file",
        f"fileb://{tmp_path / 'f.zip'}",
    )
    assert created["State"] == "Pending"
    aws("wait", "function-active-v2", "--function-name", "cli")
    out = tmp_path / "out.json"
    answer = aws(
        "invoke", "--function-name", "cli", "--payload", '{"x": 1}', "--log-type", "Tail", out
    )
    assert (answer["StatusCode"], json.loads(out.read_text())["event"]) == (200, {"x": 1})
    assert "REPORT RequestId" in base64.b64decode(answer["LogResult"]).decode()
    assert aws("publish-version", "--function-name", "cli")["Version"] == "1"
    aws("delete-function", "--function-name", "cli")


def test_an_archive_of_many_megabytes(client: Any, make: Callable[..., str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr(
            "f.py", "import os\n\ndef handler(event, context): return os.path.getsize('data')"
        )
        target.writestr("data", os.urandom(20_000_000))
    name = make(Code={"ZipFile": packed.getvalue()}, Timeout=20)
    assert invoke(client, name)[0] == 20_000_000


def test_layers_are_refused(client: Any) -> None:
    layer = "arn:aws:lambda:us-east-1:123456789012:layer:a:1"
    given = {
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "f.handler",
        "Code": {"ZipFile": archive(f__py=ECHO)},
        "Layers": [layer],
    }
    assert refused(client.create_function, FunctionName="layered", **given)[:2] == (
        400,
        "InvalidParameterValueException",
    )


def test_metrics_show_failing_loops(live: Live, client: Any, make: Callable[..., str]) -> None:
    def metrics() -> dict[str, float]:
        with urllib.request.urlopen(f"{live.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }

    name, loop = make(), '{loop="event_source_mappings"}'
    unknown = "arn:aws:sqs:us-east-1:123456789012:no-such-queue"
    mapping = client.create_event_source_mapping(FunctionName=name, EventSourceArn=unknown)["UUID"]
    eventually(lambda: metrics().get(f"stepwell_loop_faults_total{loop}", 0) >= 1)
    assert metrics()[f"stepwell_loops_running{loop}"] == 1
    shown = client.get_event_source_mapping(UUID=mapping)
    assert (shown["State"], shown["LastProcessingResult"][:28]) == (
        "Enabled",
        "PROBLEM: QueueDoesNotExist: ",
    )
    client.delete_event_source_mapping(UUID=mapping)
    eventually(lambda: metrics()[f"stepwell_loops_running{loop}"] == 0)
