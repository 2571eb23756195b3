"""From a Resource to a call: what the registry resolves, and the two ways to Lambda."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.bench import until

from stepwell.asl.resources import Resource, local_resource, parse_resource
from stepwell.engine import Engine
from stepwell.engine.arns import Home
from stepwell.engine.clock import ManualClock
from stepwell.engine.tasks import TaskError, TaskRequest
from stepwell.integrations import requests
from stepwell.integrations.services.runtime.folder import Functions
from stepwell.integrations.tasks.registry import Registry

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
INVOKE = "arn:aws:states:::lambda:invoke"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}\Z")


def resource(text: str) -> Resource:
    return parse_resource(text) or local_resource(text)


def request(
    text: str, payload: Any = None, token: str = "token", timeout: int | None = None
) -> TaskRequest:
    async def submitted(answer: Any) -> None:
        raise AssertionError("nothing here is a job")

    return TaskRequest(
        resource=resource(text),
        payload=payload,
        new_token=lambda: token,
        timeout=timeout,
        heartbeat=None,
        again=False,
        execution_arn="execution",
        machine_arn="machine",
        state_name="State",
        role_arn="role",
        submitted=submitted,
    )


async def call(registry: Registry, text: str, payload: Any = None, **rest: Any) -> Any:
    handler = registry.resolve(resource(text))
    assert handler is not None
    return await handler(request(text, payload, **rest))


async def refused(registry: Registry, text: str, payload: Any = None, **rest: Any) -> TaskError:
    with pytest.raises(TaskError) as raised:
        await call(registry, text, payload, **rest)
    return raised.value


def boom(payload: Any) -> Any:
    raise KeyError("Schlüssel")


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    (tmp_path / "echo.py").write_text(
        "def handler(event, context):\n    print('seen')\n    return event\n"
    )
    (tmp_path / "boom.py").write_text(
        "def handler(event, context):\n    raise Exception('Some exception was raised.')\n"
    )
    (tmp_path / "who.py").write_text(
        "def handler(event, context):\n    return context.invoked_function_arn\n"
    )
    callables = {
        "up": str.upper,
        "who-am-i": lambda payload, context: [
            context.invoked_function_arn,
            context.function_version,
        ],
        "key": boom,
        "same": lambda payload: payload,
    }
    registry = Registry(callables, tmp_path, clock=ManualClock())
    yield registry
    await registry.close()


# --- resolution -----------------------------------------------------------------------------------


async def test_what_is_served(registry: Registry) -> None:
    texts = {
        ARN + "up": (True, True),
        ARN + "echo": (True, True),
        ARN + "echo:live": (True, True),
        ARN + "missing": (True, False),  # found out when it is called, as with the service
        "up": (True, True),
        "echo": (True, True),
        "missing": (False, False),
        INVOKE: (True, True),
        INVOKE + ".waitForTaskToken": (True, True),
        "arn:aws:states:::states:startExecution.sync:2": (True, True),
        "arn:aws:states:us-east-1:123456789012:activity:a": (False, True),  # the engine's own
        "arn:aws:states:::dynamodb:getItem": (
            True,
            True,
        ),  # whether it may be called is found out then
        "arn:aws:states:::aws-sdk:s3:getObject": (True, True),
        "arn:aws:states:::aws-sdk:s3:getNothing": (False, False),
    }
    found = {
        text: (registry.resolve(resource(text)) is not None, registry.known(resource(text)))
        for text in texts
    }
    assert found == texts
    assert [registry.known_text(text) for text in ("up", "missing", "no name!")] == [
        ARN + "up",
        None,
        None,
    ]


def test_a_service_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new file in the package is all that a new service needs; hyphens, keywords and aws-sdk
    become file names.
    """
    source = (
        "async def handle(request):\n    return request.payload\n\ndef actions(host):\n    "
        "return {action: handle for action in ACTIONS}\n"
    )
    names = {"emr_containers": ["startJobRun"], "sqs": ["sendMessage"], "aws_sdk": ["s3:getObject"]}
    for name, actions in names.items():
        (tmp_path / f"{name}.py").write_text(source.replace("ACTIONS", repr(actions)))
    import stepwell.integrations.tasks as package

    monkeypatch.setattr(package, "__path__", [str(tmp_path), *package.__path__])
    for name in names:  # those of the package come back after the test
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        monkeypatch.delattr(package, name, raising=False)
    try:
        registry = Registry()
        served = (
            "emr-containers:startJobRun.sync",
            "sqs:sendMessage.waitForTaskToken",
            "aws-sdk:s3:getObject",
        )
        assert all(registry.known(resource(f"arn:aws:states:::{text}")) for text in served)
        assert not registry.known(resource("arn:aws:states:::aws-sdk:s3:putObject"))
    finally:
        for name in names:
            sys.modules.pop(f"{package.__name__}.{name}", None)
            vars(package).pop(name, None)


async def test_a_callable_may_stand_for_any_resource() -> None:
    text = "arn:aws:states:::dynamodb:getItem"
    registry = Registry({text: lambda payload: {"Item": payload["Key"]}})
    assert registry.known(resource(text))
    assert await call(registry, text, {"Key": 1}) == {"Item": 1}
    await registry.close()


@pytest.mark.parametrize(
    ("keys", "text", "answer"),
    [
        (["f", ARN + "f"], ARN + "f", ARN + "f"),
        (["f", ARN + "f"], ARN + "f:7", ARN + "f"),
        (["f", ARN + "f", ARN + "f:7"], ARN + "f:7", ARN + "f:7"),
        (["f", "f:7"], ARN + "f:7", "f:7"),
        (["f"], "arn:aws-cn:lambda:cn-north-1:999999999999:function:f", "f"),
        (["a task of ours"], "a task of ours", "a task of ours"),
        (["ours:v1"], "ours:v1", "ours:v1"),
    ],
)
async def test_the_closest_key_wins(keys: list[str], text: str, answer: str) -> None:
    registry = Registry({key: lambda payload, key=key: key for key in keys})
    assert await call(registry, text) == answer
    await registry.close()


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="function 'f' is not callable: 3"):
        Registry({"f": 3})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="give the folder to Functions"):
        Registry(Functions(), tmp_path)


# --- a function's ARN -----------------------------------------------------------------------------


async def test_by_arn_the_payload_goes_in_and_out_as_it_is(registry: Registry) -> None:
    assert await call(registry, ARN + "up", "abc") == "ABC"
    for value in (None, 2**70, {"ö": [1.5]}, "x"):
        assert await call(registry, ARN + "echo", value) == value
    assert await call(registry, ARN + "who-am-i:live") == [ARN + "who-am-i:live", "live"]
    assert await call(registry, ARN + "who:live") == ARN + "who:live"


async def test_by_arn_the_cause_is_the_functions_own_text(registry: Registry) -> None:
    error = await refused(registry, ARN + "boom")
    trace = (
        '["  File \\"/var/task/boom.py\\", line 2, in handler\\n    raise Exception(\'Some '
        "exception was raised.')\\n\"]"
    )
    request_id = requests.request_id("token")
    assert (error.error, error.runtime) == ("Exception", False)
    assert error.cause == (
        f'{{"errorMessage": "Some exception was raised.", "errorType": "Exception", '
        f'"requestId": "{request_id}", "stackTrace": {trace}}}'
    )


async def test_an_unknown_function(registry: Registry) -> None:
    tail = (
        "(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request "
        "ID: {}; Proxy: null)"
    )
    for text, payload, arn in (
        (ARN + "no_such", None, ARN + "no_such:$LATEST"),
        (ARN + "no_such:7", None, ARN + "no_such:7"),
        (INVOKE, {"FunctionName": "no_such"}, ARN + "no_such:$LATEST"),
        (INVOKE, {"FunctionName": "no_such", "Qualifier": "live"}, ARN + "no_such:live"),
        (INVOKE, {"FunctionName": "../echo"}, "../echo:$LATEST"),
    ):
        error = await refused(registry, text, payload)
        assert error.error == "Lambda.ResourceNotFoundException"
        assert error.cause == f"Function not found: {arn} " + tail.format(
            requests.request_id("token")
        )


def test_request_ids_belong_to_the_attempt() -> None:
    assert requests.request_id("a") == requests.request_id("a") != requests.request_id("b")
    assert UUID.match(requests.request_id("a"))


# --- lambda:invoke --------------------------------------------------------------------------------


async def test_invoke_wraps_the_answer_as_recorded(registry: Registry) -> None:
    payload = {
        "theQuestion": "What is the answer to life, the universe, and everything?",
        "theAnswer": 42,
    }
    answer = await call(registry, INVOKE, {"FunctionName": ARN + "echo", "Payload": payload})
    request_id = requests.request_id("token")
    trace = answer["SdkHttpMetadata"]["HttpHeaders"]["X-Amzn-Trace-Id"]
    assert re.match(r"Root=1-6553f100-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0\Z", trace)
    headers = {
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": request_id,
        "Content-Length": "93",
        "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
        "X-Amzn-Trace-Id": trace,
        "Content-Type": "application/json",
    }
    assert answer == {
        "ExecutedVersion": "$LATEST",
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request_id},
        "StatusCode": 200,
    }
    assert list(answer) == [
        "ExecutedVersion",
        "Payload",
        "SdkHttpMetadata",
        "SdkResponseMetadata",
        "StatusCode",
    ]
    assert list(answer["SdkHttpMetadata"]["HttpHeaders"]) == [
        "Connection", "Content-Length", "Content-Type", "Date", "X-Amz-Executed-Version",
        "x-amzn-Remapped-Content-Length",
        "x-amzn-RequestId", "X-Amzn-Trace-Id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["echo", ARN + "echo", "123456789012:function:echo", "function:echo", "echo:live"]
)
async def test_names_of_a_function(registry: Registry, name: str) -> None:
    answer = await call(registry, INVOKE, {"FunctionName": name, "Payload": 1})
    assert (answer["Payload"], answer["ExecutedVersion"]) == (
        1,
        "live" if name.endswith("live") else "$LATEST",
    )


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ({}, {}), ({"Payload": None}, {}), ({"Payload": False}, False), ({"Payload": []}, []),
        ({"Payload": 0.0}, 0.0),
        ({"Payload": '"text"'}, "text"), ({"Payload": "0.0"}, 0.0), ({"Payload": "true"}, True),
        ({"Payload": '{"a": [1]}'}, {"a": [1]}),
        ({"Payload": ""}, {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["echo", "same"])
async def test_payloads(registry: Registry, name: str, given: dict[str, Any], event: Any) -> None:
    """Recorded: a null payload reaches the function as {}; a string is the text of the payload
    itself.
    """
    answer = (await call(registry, INVOKE, {"FunctionName": name, **given}))["Payload"]
    assert (answer, type(answer)) == (event, type(event))


async def test_a_string_that_is_no_json_is_no_payload(registry: Registry) -> None:
    error = await refused(registry, INVOKE, {"FunctionName": "echo", "Payload": "text"})
    assert error.error == "Lambda.InvalidRequestContentException"
    assert error.cause is not None and error.cause.startswith(
        "Could not parse request body into json: "
    )


async def test_a_string_by_arn_is_a_string(registry: Registry) -> None:
    assert await call(registry, ARN + "echo", "0.0") == "0.0"


@pytest.mark.parametrize(
    "given",
    [
        {"FunctionName": "nope"},
        {"FunctionName": ARN + "nope"},
        {"FunctionName": "nope", "Qualifier": "$LATEST"},
    ],
)
async def test_a_function_that_is_not_there_is_named_with_its_version(
    registry: Registry, given: dict[str, Any]
) -> None:
    error = await refused(registry, INVOKE, given)
    assert error.cause is not None and error.cause.startswith(
        f"Function not found: {ARN}nope:$LATEST (Service: AWSLambda; Status Code: 404;"
    )


async def test_a_qualifier(registry: Registry) -> None:
    answer = await call(registry, INVOKE, {"FunctionName": "who", "Qualifier": "live"})
    assert (answer["Payload"], answer["ExecutedVersion"]) == (ARN + "who:live", "live")


async def test_the_tail_of_the_log(registry: Registry) -> None:
    answer = await call(registry, INVOKE, {"FunctionName": "echo", "LogType": "Tail"})
    assert list(answer)[:3] == ["ExecutedVersion", "LogResult", "Payload"]
    headers = answer["SdkHttpMetadata"]
    assert (
        headers["AllHttpHeaders"]["X-Amz-Log-Result"]
        == [answer["LogResult"]]
        == [headers["HttpHeaders"]["X-Amz-Log-Result"]]
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "\nseen\n" in log and log.startswith(
        f"START RequestId: {requests.request_id('token')} Version: $LATEST\n"
    )


@pytest.mark.parametrize("name", ["key", "boom"])
async def test_invoke_writes_the_cause_compact(registry: Registry, name: str) -> None:
    error = await refused(registry, INVOKE, {"FunctionName": name})
    assert error.cause is not None
    assert error.cause == json.dumps(
        json.loads(error.cause), separators=(",", ":"), ensure_ascii=False
    )
    assert list(json.loads(error.cause)) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert error.error == {"key": "KeyError", "boom": "Exception"}[name]


@pytest.mark.parametrize(("kind", "status"), [("Event", 202), ("DryRun", 204)])
async def test_without_waiting(kind: str, status: int) -> None:
    called: list[Any] = []
    parameters = {"FunctionName": "f", "Payload": 5, "InvocationType": kind}
    state = {"Type": "Task", "Resource": INVOKE, "Parameters": parameters, "End": True}
    async with Engine(tasks=Registry({"f": called.append})) as engine:
        machine = await engine.create_state_machine(
            "m", json.dumps({"StartAt": "S", "States": {"S": state}})
        )
        started = await engine.start_execution(machine["stateMachineArn"])
        answer = json.loads((await engine.wait(started["executionArn"], timeout=60))["output"])
        assert (
            answer["StatusCode"],
            answer["SdkHttpMetadata"]["HttpStatusCode"],
            answer["Payload"],
        ) == (status, status, "")
        if kind == "Event":
            await until(lambda: called)
        await asyncio.sleep(0.1)  # for one too many
    assert called == ([5] if kind == "Event" else [])


async def test_a_callable_goes_before_a_file(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def handler(event, context): return 'file'")
    registry = Registry({"f": lambda payload: "callable"}, tmp_path)
    assert await call(registry, ARN + "f") == "callable"
    await registry.close()


async def test_client_context() -> None:
    registry = Registry(
        {"f": lambda payload, context: [context.client_context.custom, context.client_context.env]}
    )
    context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    assert (await call(registry, INVOKE, {"FunctionName": "f", "ClientContext": context}))[
        "Payload"
    ] == [{"a": 1}, None]
    await registry.close()


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({}, "The field 'FunctionName' is required but was missing"),
        ({"FunctionName": None}, "The field 'FunctionName' is required but was missing"),
        ([1], "The field 'FunctionName' is required but was missing"),
        ({"FunctionName": 5}, "The value of the field 'FunctionName' has an invalid format"),
        (
            {"FunctionName": "echo", "Qualifier": {}},
            "The value of the field 'Qualifier' has an invalid format",
        ),
        (
            {"FunctionName": "echo", "InvocationType": "Later"},
            "The value of the field 'InvocationType' has an invalid format",
        ),
        (
            {"FunctionName": "echo", "LogType": "All"},
            "The value of the field 'LogType' has an invalid format",
        ),
        (
            {"FunctionName": "echo", "ClientContext": "???"},
            "The value of the field 'ClientContext' has an invalid format",
        ),
        (
            {"FunctionName": "echo", "ClientContext": "WzFd"},
            "The value of the field 'ClientContext' has an invalid format",
        ),
        (
            {"FunctionName": "echo", "Colour": 1},
            "The field 'Colour' is not supported by Step Functions",
        ),
    ],
)
async def test_parameters_that_start_nothing(
    registry: Registry, payload: Any, problem: str
) -> None:
    error = await refused(registry, INVOKE, payload)
    shown = json.dumps(payload, separators=(",", ":"))
    assert (error.error, error.runtime) == ("States.Runtime", True)
    assert (
        error.cause == f"The Parameters '{shown}' could not be used to start the Task: [{problem}]"
    )


async def test_no_process_can_be_started(tmp_path: Path) -> None:
    functions = Functions()
    functions.add("f", tmp_path / "gone", "handler.handler")
    registry = Registry(functions)
    error = await refused(registry, ARN + "f")
    assert error.error == "Lambda.ServiceException"
    assert error.cause is not None
    assert re.match(
        (
            r"FileNotFoundError: .* \(Service: AWSLambda; Status Code: 500; Error Code: "
            r"ServiceException; Request ID: "
        ),
        error.cause,
    )
    await registry.close()


async def test_home_and_clock_are_the_engines_unless_given() -> None:
    def arn(payload: Any, context: Any) -> str:
        return str(context.invoked_function_arn)

    for registry, region in (
        (Registry({"f": arn}), "eu-west-3"),
        (Registry({"f": arn}, home=Home("eu-north-1")), "eu-north-1"),
    ):
        async with Engine(tasks=registry, clock=ManualClock(), region="eu-west-3"):
            answer = await call(registry, INVOKE, {"FunctionName": "f"})
        assert answer["Payload"].startswith(f"arn:aws:lambda:{region}:")
        assert answer["SdkHttpMetadata"]["HttpHeaders"]["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


async def test_the_region_of_a_process(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "import os\n\ndef handler(event, context): return os.environ['AWS_REGION']"
    )
    registry = Registry(functions_folder=tmp_path, home=Home("eu-west-3"))
    assert await call(registry, "f") == "eu-west-3"
    await registry.close()


async def test_a_time_limit_ends_the_process(tmp_path: Path) -> None:
    """Recorded: States.Timeout without a cause. The process of the function is killed; a retry has
    a new one.
    """
    file = tmp_path / "pids"
    source = (
        f"import os, time\n\ndef handler(event, context):\n    open({str(file)!r}, "
        f"'a').write(f'{{os.getpid()}} ')\n    time.sleep(60)\n"
    )
    (tmp_path / "slow.py").write_text(source)
    retry = [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1, "IntervalSeconds": 1}]
    state = {
        "Type": "Task",
        "Resource": ARN + "slow",
        "TimeoutSeconds": 1,
        "Retry": retry,
        "End": True,
    }
    clock = ManualClock()
    async with Engine(tasks=Registry(functions_folder=tmp_path), clock=clock) as engine:
        machine = await engine.create_state_machine(
            "m", json.dumps({"StartAt": "S", "States": {"S": state}})
        )
        started = await engine.start_execution(machine["stateMachineArn"])

        def called(times: int) -> bool:
            return file.exists() and len(file.read_text().split()) == times

        async def timed_out() -> bool:
            history = await engine.get_execution_history(started["executionArn"])
            return any(each["type"].endswith("TimedOut") for each in history["events"])

        await until(lambda: called(1))
        clock.advance(1000)
        async with asyncio.timeout(60):
            while not await timed_out():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        clock.advance(1000)  # the pause before the retry
        await until(lambda: clock.advance(0) or called(2))
        clock.advance(1000)
        ended = await engine.wait(started["executionArn"], timeout=60)
        assert (ended["status"], ended["error"], ended.get("cause")) == (
            "FAILED",
            "States.Timeout",
            None,
        )
    pids = file.read_text().split()
    assert len(set(pids)) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
