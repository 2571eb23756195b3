"""Traces of a real server, at a real receiver of OTLP over HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import eventually, metrics
from tests.integrations.server.test_server import create

from stepwell.engine.arns import Home
from stepwell.integrations.tracing.traces import from_environment

pytest.importorskip("opentelemetry.sdk", reason="needs the extra opentelemetry")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

TRACE, CALLER = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"


class Receiver:
    """spans by name, calls: (path, headers) of other requests. held: it does not answer."""

    def __init__(self) -> None:
        self.spans: dict[str, Any] = {}
        self.resources: list[dict[str, str]] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.free = threading.Event()
        self.free.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    receiver.free.wait(60)
                    receiver._take(body)
                else:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.calls.append((self.path, headers))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

            def handle(self) -> None:
                with suppress(ConnectionError):  # the sender has ended
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {each.key: each.value.string_value for each in group.resource.attributes}
            self.resources.append(attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    assert span.span_id.hex() not in [
                        each.span_id.hex() for each in self.spans.values()
                    ]
                    self.spans[span.name] = span

    def close(self) -> None:
        self.free.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(home: dict[str, str]) -> Iterator[Receiver]:
    """The server that is started after it sends its traces there."""
    receiver = Receiver()
    home |= {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    yield receiver
    receiver.close()


def with_traceparent(client: Any, flags: str = "01") -> Any:
    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["traceparent"] = f"00-{TRACE}-{CALLER}-{flags}"

    client.meta.events.register("before-call.stepfunctions.StartExecution", add)
    return client


def test_a_trace_from_its_caller_to_functions_and_http(
    serve: Serve, receiver: Receiver, tmp_path: Path
) -> None:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "trace.py").write_text(
        "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
    )
    live = serve("--functions", functions, "--allow-private")
    client = with_traceparent(live.client())
    states = {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "trace", "Payload": {}},
            "ResultSelector": {"trace.$": "$.Payload"},
            "Next": "Web",
        },
        "Web": {
            "Type": "Task",
            "Resource": "arn:aws:states:::http:invoke",
            "Parameters": {
                "ApiEndpoint": f"{receiver.url}/pay?key=secret",
                "Method": "POST",
                "RequestBody": {},
                "Authentication": {"ConnectionArn": _connection(live)},
            },
            "ResultPath": None,
            "End": True,
        },
    }
    arn = create(client, "order", json.dumps({"StartAt": "Call", "States": states}))
    execution = client.start_execution(stateMachineArn=arn, name="n")["executionArn"]
    eventually(lambda: "order" in receiver.spans)
    described = client.describe_execution(executionArn=execution)
    assert described["status"] == "SUCCEEDED", described
    spans = receiver.spans
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    root, call, web = spans["order"], spans["lambda:invoke"], spans["http:invoke"]
    assert root.parent_span_id.hex() == CALLER and root.kind == root.SPAN_KIND_SERVER
    assert call.parent_span_id == spans["Call"].span_id
    assert spans["Call"].parent_span_id == root.span_id
    passed = json.loads(described["output"])["trace"]
    assert passed == f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={call.span_id.hex()};Sampled=1"
    ((path, headers),) = receiver.calls
    assert path.startswith("/pay")
    assert headers["traceparent"] == f"00-{TRACE}-{web.span_id.hex()}-01"
    assert "secret" not in str(web)
    assert receiver.resources[0]["service.name"] == "stepwell"
    eventually(lambda: metrics(live)["stepwell_trace_spans_exported_total"] == 5)


def _connection(live: Any) -> str:
    events = live.client("events")
    made = events.create_connection(
        Name="web",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "v"}},
    )
    return str(made["ConnectionArn"])


def test_a_trace_continues_after_a_crash(serve: Serve, receiver: Receiver) -> None:
    states = {
        "First": {"Type": "Pass", "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": 2, "Next": "Last"},
        "Last": {"Type": "Pass", "End": True},
    }
    live = serve()
    client = live.client()
    arn = create(client, "order", json.dumps({"StartAt": "First", "States": states}))
    client.start_execution(stateMachineArn=arn)
    eventually(lambda: "First" in receiver.spans)
    live.process.kill()
    live.process.wait()
    serve()
    eventually(lambda: "order" in receiver.spans)
    spans = receiver.spans
    assert {"First", "Wait", "Last", "order"} == set(spans)
    assert len({span.trace_id for span in spans.values()}) == 1
    assert {spans[name].parent_span_id for name in ("First", "Wait", "Last")} == {
        spans["order"].span_id
    }
    wait = spans["Wait"]
    assert wait.end_time_unix_nano - wait.start_time_unix_nano >= 2e9


def test_a_caller_who_does_not_sample_is_not_traced(serve: Serve, receiver: Receiver) -> None:
    live = serve()
    arn = create(live.client(), "silent")
    with_traceparent(live.client(), "00").start_execution(stateMachineArn=arn)
    other = create(live.client(), "heard")
    live.client().start_execution(stateMachineArn=other)
    eventually(lambda: "heard" in receiver.spans)
    assert "silent" not in receiver.spans


def test_a_receiver_that_hangs_delays_nothing(
    serve: Serve, receiver: Receiver, home: dict[str, str]
) -> None:
    home |= {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_EXPORTER_OTLP_TIMEOUT": "60"}
    receiver.free.clear()
    live = serve(traces_close_seconds=1)
    client = live.client()
    arn = create(client)
    for number in range(400):
        client.start_execution(stateMachineArn=arn, name=f"n{number}")
    done = 'stepwell_executions_ended_total{status="SUCCEEDED"}'
    eventually(lambda: metrics(live).get(done) == 400)
    eventually(lambda: metrics(live)["stepwell_trace_spans_dropped_total"] > 0)
    assert live.stop(seconds=25) == 0


def test_a_receiver_that_is_away_is_counted(serve: Serve, home: dict[str, str]) -> None:
    home |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    live = serve()
    client = live.client()
    client.start_execution(stateMachineArn=create(client))
    eventually(lambda: metrics(live)["stepwell_trace_spans_failed_total"] >= 2)
    assert live.said("the receiver of traces fails, spans are lost: it did not take them")


@pytest.mark.parametrize(
    "variables", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {}]
)
def test_off_by_the_environment(variables: dict[str, str]) -> None:
    receiver = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if variables else {}
    assert from_environment(Home(), receiver | variables) is None
