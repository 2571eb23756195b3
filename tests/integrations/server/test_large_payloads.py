"""Payloads of 4 MiB through everything that carries them. What is judged is the processor time of
the event loop's thread between a question and its answer. STEPWELL_PAYLOAD=structured takes 72,000
objects in place of two texts: each time that Python parses such a payload, nothing else runs.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.engine.store.conftest import own_schema
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import PASS, ROLE, Live, eventually
from tests.integrations.server.test_stalls import Loop

STRUCTURED = os.environ.get("STEPWELL_PAYLOAD") == "structured"
PAYLOAD_BYTES = 4 * 1024 * 1024
# seconds of processor time: a parse of structured data takes 0.1
HELD = 1.0 if STRUCTURED else 0.25
HALF: Any = (
    [{"id": n, "name": f"item {n}", "ok": True, "v": [1, 2, 3]} for n in range(36_000)]
    if STRUCTURED
    else "ä" * 975_000
)
WHOLE = [HALF, HALF]


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Mirror(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        pass


@contextmanager
def mirror() -> Iterator[str]:
    """The URL of a server that answers with the body of each request."""
    server = HTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def half(name: str) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {"Type": "Pass", "InputPath": "$.half", "End": True}}}


def definition(endpoint: str, connection: str, queue: str, inner: str) -> str:
    def task(service: str, **fields: Any) -> dict[str, Any]:
        return {"Type": "Task", "Resource": f"arn:aws:states:::{service}", **fields}

    request = {
        "ApiEndpoint": endpoint,
        "Method": "POST",
        "Authentication": {"ConnectionArn": connection},
        "RequestBody": {"b.$": "$"},
    }
    each = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    expression = "{% {'b': $states.input.b, 'n': $count($states.input.b)} %}"
    states = {
        "Split": {"Type": "Parallel", "Branches": [half("A"), half("B")], "Next": "Assign"},
        "Assign": {"Type": "Pass", "Assign": {"big.$": "$"}, "Next": "Each"},
        "Each": {"Type": "Map", "ItemProcessor": each, "Next": "Function"},
        "Function": task(
            "lambda:invoke",
            Parameters={"FunctionName": "echo", "Payload.$": "$big"},
            OutputPath="$.Payload",
            Next="Request",
        ),
        "Request": task(
            "http:invoke",
            Parameters=request,
            ResultSelector={"b.$": "$.ResponseBody.b"},
            Next="Send",
        ),
        "Send": task(
            "sqs:sendMessage",
            Parameters={"QueueUrl": queue, "MessageBody.$": "$.b"},
            ResultPath=None,
            Next="Ask",
        ),
        "Ask": task(
            "sqs:sendMessage.waitForTaskToken",
            Parameters={"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
            Next="Query",
        ),
        "Query": {
            "Type": "Pass", "QueryLanguage": "JSONata", "Output": expression, "Next": "Nested",
        },
        "Nested": task(
            "states:startExecution",
            Parameters={"StateMachineArn": inner, "Input.$": "$.b"},
            ResultPath=None,
            OutputPath="$.b",
            End=True,
        ),
    }  # fmt: skip
    return json.dumps({"StartAt": "Split", "States": states})


def run(live: Live, endpoint: str) -> str:
    """An execution of the machine, to its end. Returns its ARN."""
    client, sqs = live.client(), live.client("sqs")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}}
    connection = live.client("events").create_connection(
        Name="c", AuthorizationType="API_KEY", AuthParameters=key
    )["ConnectionArn"]
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    inner = client.create_state_machine(name="inner", definition=PASS, roleArn=ROLE)
    machine = client.create_state_machine(
        name="m",
        definition=definition(endpoint, connection, queue, inner["stateMachineArn"]),
        roleArn=ROLE,
    )["stateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, input=compact({"half": HALF}))
    bodies: list[Any] = []

    def token() -> Any:
        answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(json.loads(message["Body"]))
        return next((each["token"] for each in bodies if isinstance(each, dict)), None)

    client.send_task_success(taskToken=eventually(token, 90), output=compact({"b": WHOLE}))
    assert WHOLE in bodies
    execution: str = arn["executionArn"]

    def ended() -> Any:
        described = client.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    described = eventually(ended, 90)
    assert described["status"] == "SUCCEEDED", (described.get("error"), described.get("cause"))
    assert json.loads(described["output"]) == WHOLE
    return execution


def read(live: Live, arn: str) -> None:
    """Its history in pages, and what the console asks for."""
    client, ids = live.client(), list[int]()
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    for page in pages:
        ids += [event["id"] for event in page["events"]]
    assert ids == list(range(1, len(ids) + 1)) and len(ids) > 40
    newest = client.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
    assert newest[0]["id"] == ids[-1]
    for question in ("look?", "state?state=Query&", "inspect?state=Function&", "event?id=5&"):
        answer = json.loads(live.get(f"/console/api/{question}arn={quote(arn)}"))
        assert answer, question


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="the processor time of a thread of another process is read from /proc",
)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_payloads_of_4_mib_pass_and_do_not_hold_the_event_loop(
    serve: Serve, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    assert 0.9 * PAYLOAD_BYTES < len(compact(WHOLE).encode()) < PAYLOAD_BYTES
    (tmp_path / "limits.yaml").write_text(f"payload_bytes: {PAYLOAD_BYTES}\n")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "echo.py").write_text("def handler(event, context): return event\n")
    options: list[object] = [
        "--limits",
        tmp_path / "limits.yaml",
        "--functions",
        tmp_path / "functions",
    ]
    if store == "postgresql":
        options += ["--db", own_schema(request, tmp_path)]
    live = serve(*options, "--allow-private")
    loop, arns = Loop(live), list[str]()
    loop.ask()
    loop.held = 0.0

    def work(endpoint: str) -> Callable[[], None]:
        def steps() -> None:
            arns.append(run(live, endpoint))
            read(live, arns[0])

        return steps

    with mirror() as endpoint, ThreadPoolExecutor(1) as pool:
        working = pool.submit(work(endpoint))
        loop.watch(working.done)
        working.result()
    status = Path(f"/proc/{live.process.pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(f"held for {loop.held:.3f} s of processor time, at most {peak} MB", file=sys.stderr)
    assert loop.held < HELD
    assert peak < 1_500
