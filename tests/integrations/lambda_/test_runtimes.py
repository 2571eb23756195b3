"""The processes of functions on a real server: their environment, misbehaviour, isolation."""

import base64
import http.client
import io
import re
import socket
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.bench import alive
from tests.integrations.lambda_.calls import BAD, archive, client_of, invoke
from tests.integrations.server.live import REGION, ROLE, Live, eventually

from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.server.endpoint_variables import endpoints

# --- environment ----------------------------------------------------------------------------------


def test_the_environment_of_a_function(live: Live, client: Any, make: Callable[..., str]) -> None:
    name = make("import os\n\ndef handler(event, context): return dict(os.environ)")
    found = invoke(client, name)[0]
    assert (
        found["AWS_LAMBDA_FUNCTION_NAME"] == name
        and found["AWS_REGION"] == REGION
        and Path(found["TMPDIR"]).is_dir()
    )
    assert found["AWS_ENDPOINT_URL"] == found["AWS_ENDPOINT_URL_SQS"] == live.url
    assert_isolated(found, live.environment)


OF_LAMBDA = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION",
    "AWS_DISABLE_HOST_PREFIX_INJECTION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HOME",
    "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "STEPWELL_SANDBOX", "TMPDIR", "TZ",
}  # fmt: skip


def assert_isolated(found: dict[str, str], given: dict[str, str]) -> None:
    """A function has the variables of Lambda; of the server's, only those that programs need."""
    assert (
        found.keys()
        - {each for each in found if each.startswith("AWS_ENDPOINT_URL")}
        - {"PATH", "LANG", "LC_CTYPE", "STEPWELL_CONFINED"}
        == OF_LAMBDA
    )
    assert found["AWS_SESSION_TOKEN"] and found["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", found["_X_AMZN_TRACE_ID"]
    )
    assert found["HOME"] == found["TMPDIR"] != given["HOME"]


def test_clients_in_functions_call_the_endpoints_of_tasks(
    tmp_path: Path, home: dict[str, str]
) -> None:
    """The tasks of the server call some services at other endpoints. Functions of a folder are
    isolated too.
    """
    (tmp_path / "seen.py").write_text(
        "import os\n\ndef handler(event, context): return dict(os.environ)"
    )
    given = home | {
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_PROFILE": "mine",
        "SECRET": "s",
        "AWS_ENDPOINT_URL_SQS": "http://wrong",
    }
    options = (
        "--functions",
        tmp_path,
        "--aws-endpoint",
        "s3=http://127.0.0.1:9",
        "--aws-endpoint",
        "sns=http://127.0.0.1:8",
    )
    live = Live(given, tmp_path / "e.db", *options)
    try:
        client = client_of(live.url)
        code = {
            "ZipFile": archive(
                f__py="import os\n\ndef handler(event, context): return dict(os.environ)"
            )
        }
        variables = {"Variables": {"AWS_ENDPOINT_URL_SQS": "http://own"}}
        client.create_function(
            FunctionName="made",
            Runtime="python3.12",
            Handler="f.handler",
            Role=ROLE,
            Code=code,
            Environment=variables,
        )
        seen, made = invoke(client, "seen")[0], invoke(client, "made")[0]
        for found in (seen, made):
            assert_isolated(found, given)
            assert found["AWS_ACCESS_KEY_ID"] != "AKIAREAL"
            assert (found["AWS_ENDPOINT_URL_S3"], found["AWS_ENDPOINT_URL_SNS"]) == (
                "http://127.0.0.1:9",
                "http://127.0.0.1:8",
            )
            assert (
                found["AWS_ENDPOINT_URL"]
                == found["AWS_ENDPOINT_URL_SFN"]
                == found["AWS_ENDPOINT_URL_EVENTBRIDGE"]
                == live.url
            )
        assert (seen["AWS_ENDPOINT_URL_SQS"], made["AWS_ENDPOINT_URL_SQS"]) == (
            live.url,
            "http://own",
        )
    finally:
        live.close()


def test_endpoints_of_other_services() -> None:
    served = endpoints("http://us", Outside())
    assert (
        served["AWS_ENDPOINT_URL"]
        == served["AWS_ENDPOINT_URL_LAMBDA"]
        == served["AWS_ENDPOINT_URL_IOT_DATA_PLANE"]
        == "http://us"
    )
    elsewhere = endpoints("http://us", Outside({"": "http://all"}))
    assert (elsewhere["AWS_ENDPOINT_URL"], elsewhere["AWS_ENDPOINT_URL_SQS"]) == (
        "http://all",
        "http://us",
    )
    allowed = endpoints("http://us", Outside(allow_aws=True))
    assert "AWS_ENDPOINT_URL" not in allowed and allowed["AWS_ENDPOINT_URL_SQS"] == "http://us"


def test_a_client_in_a_function_reaches_the_services(client: Any, make: Callable[..., str]) -> None:
    """With the function's keys, and with operations whose AWS endpoint has a host prefix."""
    name = make(
        """
import boto3, json

def handler(event, context):
    queue = boto3.client("sqs").create_queue(QueueName="from-a-function")["QueueUrl"]
    definition = json.dumps({"Type": "Pass", "Result": "tested", "End": True})
    tested = boto3.client("stepfunctions").test_state(definition=definition, input="{}")
    return queue.rpartition("/")[2], tested["output"]
""",
        Timeout=60,
        MemorySize=512,
    )
    assert invoke(client, name)[0] == ["from-a-function", '"tested"']


# --- functions that misbehave ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (
            "crash",
            "Runtime.ExitError",
            "RequestId: {id} Error: Runtime exited with error: exit status 1",
        ),
        ("hang", "Sandbox.Timedout", "RequestId: {id} Error: Task timed out after 1.00 seconds"),
        ("spin", "Sandbox.Timedout", "RequestId: {id} Error: Task timed out after 1.00 seconds"),
        (
            "memory",
            "Runtime.ExitError",
            "RequestId: {id} Error: Runtime exited with error: signal: killed",
        ),
        (
            "no_json",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        ("recursion", "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_functions_that_fail(
    client: Any, make: Callable[..., str], handler: str, kind: str, message: str
) -> None:
    name = make(BAD, f"f.{handler}", Timeout=1 if kind == "Sandbox.Timedout" else 60)
    value, answer = invoke(client, name)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert value["errorType"] == kind
    assert value["errorMessage"] == message.format(id=answer["ResponseMetadata"]["RequestId"])
    assert invoke(client, name)[1]["FunctionError"] == "Unhandled", "the next call has a process"


def test_a_flood_of_output_affects_no_other_call(client: Any, make: Callable[..., str]) -> None:
    value, answer = invoke(client, make(BAD, "f.stdout", Timeout=20), LogType="Tail")
    assert (value, len(base64.b64decode(answer["LogResult"]))) == ("dry", 4096)


def test_a_flood_of_lines_is_limited(live: Live, client: Any, make: Callable[..., str]) -> None:
    name = make(
        "import sys\n\ndef handler(event, context): return sys.stdout.write('\\n' * 262_144 "
        "+ '\\x0b' * 1000)"
    )
    assert invoke(client, name)[0] == 263_144
    said = f"[{name}: {263_144 - 10_000} more bytes of output left out]"
    eventually(lambda: live.said(said))
    assert sum(each.get("function") == name for each in live.log) <= 10_002


def test_a_daemon_ends_with_its_function(client: Any, make: Callable[..., str]) -> None:
    name = make(BAD, "f.daemon")
    pid = invoke(client, name)[0]
    assert alive(pid)
    client.update_function_configuration(FunctionName=name, Timeout=5)
    eventually(lambda: not alive(pid))


def test_misbehaving_functions_affect_no_other_work(
    live: Live, client: Any, make: Callable[..., str]
) -> None:
    for handler in ("hang", "crash", "memory"):
        client.invoke(FunctionName=make(BAD, f"f.{handler}", Timeout=2), InvocationType="Event")
    good, began = make(), time.monotonic()
    for _ in range(20):
        assert invoke(client, good)[1]["StatusCode"] == 200
    assert time.monotonic() - began < 30  # a call that waited for one of those would take 2
    assert live.get("/ready") == "ready\n"


# --- Node and custom runtimes -----------

NODE = """
exports.handler = async (event, context) => ({
  event,
  version: context.functionVersion,
  left: context.getRemainingTimeInMillis() > 0,
});
exports.boom = async () => { throw new TypeError("no"); };
exports.callback = (event, context, callback) => setTimeout(() => callback(null, "later"), 5);
exports.exit = () => process.exit(3);
exports.seen = async (event, context) => [context.awsRequestId, process.env];
exports.nothing = () => { setTimeout(() => 1, 5); };
"""


def test_node(live: Live, client: Any, make: Callable[..., str]) -> None:
    code = {"Runtime": "nodejs20.x", "Code": {"ZipFile": archive(f__js=NODE)}, "Timeout": 10}
    assert invoke(client, make(**code), {"a": [1]})[0] == {
        "event": {"a": [1]},
        "version": "$LATEST",
        "left": True,
    }
    value, answer = invoke(client, make(**code, handler="f.boom"))
    assert (answer["FunctionError"], value["errorType"], value["errorMessage"]) == (
        "Unhandled",
        "TypeError",
        "no",
    )
    assert (
        value["trace"][0] == "TypeError: no"
        and "/var/task/f.js:7" in value["trace"][1]
        and "bootstrap.mjs" not in str(value)
    )
    assert invoke(client, make(**code, handler="f.callback"))[0] == "later"
    assert invoke(client, make(**code, handler="f.nothing"))[0] is None
    (id, variables), answer = invoke(client, make(**code, handler="f.seen"))
    assert id == answer["ResponseMetadata"]["RequestId"]
    assert_isolated(variables, live.environment)
    assert invoke(client, make(**code, handler="f.exit"))[0]["errorType"] == "Runtime.ExitError"
    assert (
        invoke(client, make(**code, handler="f.missing"))[0]["errorType"]
        == "Runtime.HandlerNotFound"
    )
    module = archive(f__mjs="export const handler = async (event) => event;")
    assert invoke(client, make(Runtime="nodejs22.x", Code={"ZipFile": module}), 7)[0] == 7


BOOTSTRAP = f"""#!{sys.executable}
import json, os, urllib.request
api = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        id, payload = event.headers["Lambda-Runtime-Aws-Request-Id"], json.load(event)
    answer = json.dumps([payload, os.environ["_HANDLER"]]).encode()
    urllib.request.urlopen(urllib.request.Request(api + id + "/response", answer)).read()
"""


# as Rust's client does: it drops the path of the address
BOOTSTRAP_WITHOUT_PATH = BOOTSTRAP.replace(
    "AWS_LAMBDA_RUNTIME_API']}", "AWS_LAMBDA_RUNTIME_API'].partition('/')[0]}"
)


def provided(source: str) -> dict[str, Any]:
    """The parameters of make() for a custom runtime."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        target.writestr(entry, source)
    return {
        "Runtime": "provided.al2023",
        "Handler": "any",
        "Code": {"ZipFile": packed.getvalue()},
        "Timeout": 60,
    }


@pytest.mark.parametrize("source", [BOOTSTRAP, BOOTSTRAP_WITHOUT_PATH], ids=["path", "no path"])
def test_a_custom_runtime_uses_the_runtime_api_over_tcp(
    client: Any, make: Callable[..., str], source: str
) -> None:
    name = make(**provided(source))
    assert [invoke(client, name, n)[0] for n in range(3)] == [[n, "any"] for n in range(3)]


def test_no_other_client_gets_the_invocations_of_a_runtime(
    client: Any, make: Callable[..., str]
) -> None:
    """Any local user can connect to the port, and any web page can by DNS rebinding: neither can
    receive or respond to an event.
    """
    name = make(
        **provided(
            BOOTSTRAP.replace('os.environ["_HANDLER"]', "os.environ['AWS_LAMBDA_RUNTIME_API']")
        )
    )
    address = invoke(client, name)[0][1]
    host, _, secret = address.partition("/")
    assert len(secret) >= 32 and invoke(client, name)[0][1] == address
    tries = [
        ("", host),
        ("/guess", host),
        (f"/{secret[:-1]}", host),
        (f"/{secret}x", host),
        (f"/{secret}", "evil.example"),
        (f"/{secret}", ""),
    ]
    for path, host_header in tries:
        for method, what in (
            ("GET", "next"),
            ("POST", f"{uuid.uuid4()}/response"),
            ("POST", "../init/error"),
        ):
            stranger = http.client.HTTPConnection(host, timeout=30)
            stranger.request(
                method,
                f"{path}/2018-06-01/runtime/invocation/{what}",
                headers={"Host": host_header},
            )
            assert stranger.getresponse().status in (403, 404)
            stranger.close()
    with socket.create_connection(tuple(host.split(":"))) as noise:  # type: ignore[arg-type]
        noise.sendall(b"\0\1\2 no HTTP\r\n\r\n")
        assert noise.recv(1) == b""
    assert invoke(client, name, 5)[0] == [5, address]
