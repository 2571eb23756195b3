"""What the App does with a request around the operation: routing, limits, hooks, clients that go
away, faults.
"""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.integrations.server.asgi import Answer, Call, call, check, scope
from tests.integrations.server.conftest import Serve

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError, StoreError
from stepwell.integrations.limits import Limits
from stepwell.integrations.server.app import App, Hooks
from stepwell.integrations.server.protocols.aws_json import Operation, Reply, Request


class Service:
    """`fault` is what every operation does; without one it answers with nothing."""

    fault: BaseException | None = None

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.polled, self.released = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        async def operation(**given: Any) -> dict[str, Any]:
            self.calls.append(given)
            if self.fault:
                raise self.fault
            return {}

        return operation

    async def get_activity_task(self, **given: Any) -> dict[str, Any]:
        self.polled.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.released.set()
        return {}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def app(service: Service) -> App:
    return App({"stepfunctions": service})


ACTIVITY = {"activityArn": "arn:aws:states:us-east-1:123456789012:activity:a"}
ROLE = "arn:aws:iam::123456789012:role/any"


# --- finding the operation ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "",
        "AWSStepFunctions",
        "AWSStepFunctions.",
        "AWSStepFunctions.Nothing",
        "DynamoDB_20120810.ListTables",
        "é",
    ],
)
async def test_an_unknown_target(app: App, target: str) -> None:
    answer = await Call(app, scope(x_amz_target=target), b"{}").answer()
    assert (answer.status, answer.json) == (
        400,
        {"__type": "com.amazon.coral.service#UnknownOperationException"},
    )
    assert len(answer.headers["x-amzn-requestid"]) == 36


async def test_no_target(app: App) -> None:
    assert (await Call(app, scope(), b"{}").answer()).code == "UnknownOperationException"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("PUT", "/"), ("POST", "/x"), ("GET", "/a/b/c"), ("OPTIONS", "*"), ("GET", "")],
)
async def test_other_requests_than_post_to_the_root_are_not_found(
    app: App, service: Service, method: str, path: str
) -> None:
    answer = await Call(app, scope("ListActivities", method, path), b"{}").answer()
    assert (answer.status, answer.code) == (404, "UnknownOperationException")
    assert not service.calls


async def test_every_host_is_served_and_each_request_has_an_id(app: App) -> None:
    answers = [
        await call(app, "ListActivities", host=host)
        for host in ("localhost", "sync-localhost:8083", "sync-states.test", "")
    ]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == len(answers)
    assert {answer.headers["content-type"] for answer in answers} == {"application/x-amz-json-1.0"}


async def test_routes(service: Service) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await send(
            {"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body"})

    seen: list[str] = []
    app = App(
        {"stepfunctions": service}, routes={"/health": handler, "/console/": handler, "/": handler}
    )
    for method, path, status in (
        ("GET", "/health", 204),
        ("GET", "/console/", 204),
        ("GET", "/console/a/b.js", 204),
        ("GET", "/", 204),
        ("POST", "/", 200),
        ("GET", "/health/", 404),
        ("GET", "/console", 404),
        ("GET", "/other", 404),
    ):
        assert (
            await Call(app, scope("ListActivities", method, path), b"{}").answer()
        ).status == status
    assert seen == ["/health", "/console/", "/console/a/b.js", "/"]


async def test_only_http_is_served(app: App) -> None:
    with pytest.raises(ValueError, match="lifespan"):
        await app({"type": "lifespan"}, asyncio.Queue().get, lambda message: asyncio.sleep(0))


# --- the body -------------------------------------------------------------------------------------


async def test_a_body_in_pieces(app: App, service: Service) -> None:
    body = json.dumps(ACTIVITY).encode()
    answer = await Call(
        app, scope("DescribeActivity"), *(body[at : at + 1] for at in range(len(body))), b""
    ).answer()
    assert answer.status == 200
    assert service.calls == [{"activity_arn": ACTIVITY["activityArn"]}]


async def test_a_body_that_is_too_large(service: Service) -> None:
    app = App({"stepfunctions": service}, limits=Limits(request_bytes=100))
    body = b'{"a": "%s"}' % (b"x" * 91)
    assert len(body) == 100
    assert (await call(app, "ListActivities", body)).status == 200
    announced = await Call(
        app, scope("ListActivities", content_length="101")
    ).answer()  # nothing of it is read
    sent = await call(app, "ListActivities", body + b" ")
    pieces = await Call(app, scope("ListActivities"), body, b" ", b"never read").answer()
    for answer in (announced, sent, pieces):
        assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
        assert answer.headers["connection"] == "close"
    assert len(service.calls) == 1


async def test_a_body_that_does_not_arrive(service: Service) -> None:
    app = App({"stepfunctions": service}, limits=Limits(request_seconds=0.01))
    for _ in range(2):
        started = [Call(app, scope("ListActivities")) for _ in range(3)]
        await asyncio.sleep(0.005)
        started.append(Call(app, scope("ListActivities")))
        answers = [await each.answer() for each in started]
        assert [(each.status, each.code, each.headers["connection"]) for each in answers] == [
            (408, "RequestTimeout", "close")
        ] * 4
    assert (await call(app, "ListActivities")).status == 200


async def test_a_request_that_is_cancelled_while_its_body_arrives(app: App) -> None:
    started = Call(app, scope("ListActivities"))
    await asyncio.sleep(0)
    started.done.cancel()
    with pytest.raises(asyncio.CancelledError):
        await started.done


async def test_a_client_that_disconnects_before_its_body_arrives(
    app: App, service: Service
) -> None:
    started = Call(app, scope("ListActivities"))
    started.hang_up()
    await started.done
    assert not started.sent and not service.calls


# --- long polls -----------------------------------------------------------------------------------


async def test_a_client_that_disconnects_cancels_its_long_poll(app: App, service: Service) -> None:
    poll = Call(app, scope("GetActivityTask"), json.dumps(ACTIVITY).encode())
    await service.polled.wait()
    poll.hang_up()
    await poll.done
    assert service.released.is_set() and not poll.sent
    assert not app._polls


async def test_a_server_that_stops_ends_long_polls(app: App, service: Service) -> None:
    polls = [Call(app, scope("GetActivityTask"), json.dumps(ACTIVITY).encode()) for _ in range(3)]
    await service.polled.wait()
    await asyncio.sleep(0)
    app.drain()
    answers = [await poll.answer() for poll in polls]
    assert {answer.status for answer in answers} == {200}  # without a task: clients ask again
    late = await call(app, "GetActivityTask", ACTIVITY)
    assert (late.status, late.code) == (503, "ServiceUnavailable")  # or they would in a loop
    assert (await call(app, "ListActivities")).status == 200


async def test_a_request_that_is_cancelled_cancels_its_long_poll(
    app: App, service: Service
) -> None:
    poll = Call(app, scope("GetActivityTask"), json.dumps(ACTIVITY).encode())
    await service.polled.wait()
    poll.done.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll.done
    await service.released.wait()
    assert not app._polls


async def test_other_operations_complete_after_their_client_has_disconnected(
    app: App, service: Service
) -> None:
    started = Call(app, scope("ListActivities"), b"{}")
    started.hang_up()
    await started.done
    assert len(service.calls) == 1


async def test_no_task_is_lost_when_a_client_disconnects(tmp_path: Path) -> None:
    task = {"Type": "Task", "Resource": ACTIVITY["activityArn"], "End": True}
    definition = json.dumps({"StartAt": "T", "States": {"T": task}})
    async with Engine(tmp_path / "stepwell.db") as engine:
        app = App({"stepfunctions": engine})
        assert (await call(app, "CreateActivity", {"name": "a"})).json["activityArn"] == ACTIVITY[
            "activityArn"
        ]
        polls = [
            Call(app, scope("GetActivityTask"), json.dumps(ACTIVITY).encode()) for _ in range(5)
        ]
        await asyncio.sleep(0.01)  # all of them wait
        for poll in polls[:4]:
            poll.hang_up()
        created = await call(
            app,
            "CreateStateMachine",
            {"name": "m", "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/r"},
        )
        await call(
            app,
            "StartExecution",
            {"stateMachineArn": created.json["stateMachineArn"], "input": '{"a":1}'},
        )
        taken = await polls[4].answer()
        assert taken.json["input"] == '{"a":1}'
        check("GetActivityTask", taken)
        assert not any(poll.sent for poll in polls[:4])


def test_no_task_is_lost_when_a_connection_breaks(serve: Serve) -> None:
    server = serve()
    client, address = server.client(), urlsplit(server.url)
    client.create_activity(name="a")
    task = {"Type": "Task", "Resource": ACTIVITY["activityArn"], "End": True}
    definition = json.dumps({"StartAt": "T", "States": {"T": task}})
    machine = client.create_state_machine(name="m", definition=definition, roleArn=ROLE)[
        "stateMachineArn"
    ]
    body = json.dumps(ACTIVITY).encode()
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: "
        f"AWSStepFunctions.GetActivityTask\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), timeout=60) as poll:
            poll.sendall(head.encode() + body)
            client.list_activities()  # which is answered after the poll was read
    client.list_activities()
    client.start_execution(stateMachineArn=machine, input='{"a":1}')
    assert client.get_activity_task(activityArn=ACTIVITY["activityArn"])["input"] == '{"a":1}'


# --- hooks ----------------------------------------------------------------------------------------


class Watch(Hooks):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None, int]] = []
        self.bodies: list[bytes] = []

    def guard(self, request: Request) -> None:
        if request.headers.get(b"host") == b"evil":
            raise ApiError("AccessDenied", "not this host")

    def admit(self, request: Request, operation: Operation) -> None:
        self.bodies.append(request.body)
        if operation.name == "ListStateMachines":
            raise ApiError("ThrottlingException", "Rate exceeded")

    def observe(
        self, request: Request, operation: Operation | None, reply: Reply, seconds: float
    ) -> None:
        assert seconds > 0
        self.seen.append((operation.name if operation else "", reply.code, reply.status))


async def test_hooks_observe_and_refuse(service: Service) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not reached")

    watch = Watch()
    app = App({"stepfunctions": service}, routes={"/health": handler}, hooks=watch)
    await call(app, "ListActivities", b'{"nextToken":"t"}')
    refused = [
        await Call(app, scope("ListActivities", host="evil")).answer(),  # before its body came
        await Call(app, scope(method="GET", path="/health", host="evil")).answer(),
    ]
    assert [(answer.status, answer.code, answer.headers["connection"]) for answer in refused] == [
        (403, "AccessDenied", "close")
    ] * 2
    throttled = await call(app, "ListStateMachines", b"no json: it is not read")
    assert (throttled.status, throttled.code, throttled.headers["retry-after"]) == (
        400,
        "ThrottlingException",
        "1",
    )
    assert watch.bodies == [b'{"nextToken":"t"}', b"no json: it is not read"]
    assert watch.seen == [
        ("ListActivities", None, 200),
        ("", "AccessDenied", 403),
        ("", "AccessDenied", 403),
        ("ListStateMachines", "ThrottlingException", 400),
    ]
    assert len(service.calls) == 1


# --- errors ---------------------------------------------------------------------------------------


async def _fails(
    service: Service,
    app: App,
    fault: BaseException,
    operation: str = "ListActivities",
    body: Any = None,
) -> Answer:
    service.fault = fault
    answer = await call(app, operation, body)
    check(operation, answer)
    return answer


async def test_an_api_error_is_answered(service: Service, app: App) -> None:
    answer = await _fails(service, app, ApiError("InvalidToken", "Invalid Token: 'Invalid token'"))
    assert (answer.status, answer.json) == (
        400,
        {"__type": "InvalidToken", "message": "Invalid Token: 'Invalid token'"},
    )
    answer = await _fails(
        service, app, ApiError("ValidationException", "no", "API_DOES_NOT_SUPPORT_LABELED_ARNS")
    )
    assert answer.json == {
        "__type": "ValidationException",
        "message": "no",
        "reason": "API_DOES_NOT_SUPPORT_LABELED_ARNS",
    }


async def test_a_store_that_fails(
    service: Service, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await _fails(service, app, StoreError("no space left on device"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (
        503,
        "ServiceUnavailable",
        "1",
    )
    assert "no space" not in answer.message
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert (
        answer.headers["x-amzn-requestid"] in record.getMessage()
        and "no space left on device" in record.getMessage()
    )


async def test_a_bug(service: Service, app: App, caplog: pytest.LogCaptureFixture) -> None:
    answer = await _fails(
        service, app, KeyError("where"), "ListTagsForResource", {"resourceArn": "a"}
    )
    assert (answer.status, answer.code) == (500, "InternalFailure")
    assert "where" not in answer.body.decode()
    logged = caplog.text
    assert (
        answer.headers["x-amzn-requestid"] in logged
        and "KeyError('where')" in logged
        and "raise self.fault" in logged
    )


async def test_sensitive_values_are_not_logged(
    service: Service, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "stepwell")
    body = {"stateMachineArn": "a", "input": '{"password": "hunter2"}'}
    await _fails(service, app, KeyError(body["input"]), "StartExecution", body)
    await _fails(
        service, app, ApiError("InvalidExecutionInput", body["input"]), "StartExecution", body
    )
    await _fails(service, app, StoreError("full"), "StartExecution", body)
    refused = await call(app, "StartExecution", body | {"input": "hunter2" * 100_000})
    assert len(caplog.records) >= 2 and "KeyError" in caplog.text
    assert "hunter2" not in caplog.text and "hunter2" not in refused.body.decode()


async def test_an_answer_that_is_not_json_is_a_bug(service: Service, app: App) -> None:
    async def odd() -> dict[str, Any]:
        return {"activities": object()}

    service.__dict__["list_activities"] = odd
    assert (await call(app, "ListActivities")).code == "InternalFailure"


async def test_an_operation_that_a_service_lacks() -> None:
    answer = await call(App({"stepfunctions": object()}), "ListActivities")
    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert answer.message == "ListActivities of stepfunctions is not implemented here"
