"""Whatever a client sends: an answer that botocore accepts to the last member, or an error of the
model; never a fault, never silence.
"""

import asyncio
import http.client
import json
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integrations.server import fuzz
from tests.integrations.server.asgi import MODEL, Answer, Call, call, check, scope
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import Live

from stepwell.engine import Engine
from stepwell.integrations.server.app import LONG_POLLS, App

MACHINES = {
    "pass": fuzz.PASS,
    "fail": fuzz.FAIL,
    "long": fuzz.LONG,
    "work": fuzz.WORK,
    "many": fuzz.MANY,
    "express": fuzz.PASS,
}


class World:
    """An engine with some of everything that requests can be about."""

    async def open(self) -> None:
        self.engine = await Engine(":memory:").open()
        self.app = App({"stepfunctions": self.engine})
        await call(self.app, "CreateActivity", {"name": "hands"})
        for name, definition in MACHINES.items():
            type = "EXPRESS" if name == "express" else "STANDARD"
            await call(
                self.app,
                "CreateStateMachine",
                {"name": name, "definition": definition, "roleArn": fuzz.ROLE, "type": type},
            )
            await call(
                self.app,
                "StartExecution",
                {"stateMachineArn": f"{fuzz.HOME}stateMachine:{name}", "name": "e"},
            )
        taken = await call(
            self.app, "GetActivityTask", {"activityArn": f"{fuzz.HOME}activity:hands"}
        )
        run = {"stateMachineArn": f"{fuzz.HOME}stateMachine:many"}
        begun = await call(self.app, "StartExecution", run)
        runs: list[dict[str, str]] = []
        while not runs:
            runs = (
                await call(self.app, "ListMapRuns", {"executionArn": begun.json["executionArn"]})
            ).json["mapRuns"]
        self.live = {
            fuzz.TOKEN: taken.json["taskToken"],
            fuzz.RUN: runs[0]["mapRunArn"],
            fuzz.PARENT: begun.json["executionArn"],
        }

    async def close(self) -> None:
        await self.engine.close()

    async def send(self, operation: str, body: bytes) -> None:
        for name, value in self.live.items():
            body = body.replace(name.encode(), value.encode())
        started = Call(self.app, scope(operation), body)
        if operation in LONG_POLLS:  # no task may come
            await asyncio.wait((started.done,), timeout=0.02)
            started.hang_up()
        async with asyncio.timeout(20):
            await started.done
        if started.sent:
            judge(operation, await started.answer())


def judge(operation: str, answer: Answer) -> None:
    check(operation, answer)
    assert answer.status == 200 or (
        answer.status == 400 and answer.code in fuzz.refusals(operation)
    ), answer


@pytest.mark.parametrize("operation", MODEL.operation_names)
def test_every_request_gets_an_answer_of_the_model(operation: str) -> None:
    with asyncio.Runner() as runner:
        world = World()
        runner.run(world.open())

        @given(fuzz.body(operation))
        @settings(max_examples=100, suppress_health_check=list(HealthCheck))
        def send(body: bytes) -> None:
            runner.run(world.send(operation, body))

        try:
            send()
        finally:
            runner.run(world.close())


def _place(server: Live) -> tuple[str, int]:
    address = urlsplit(server.url)
    return address.hostname or "", address.port or 0


def _faults(server: Live) -> list[dict[str, Any]]:
    return [line for line in server.log if line.get("level") == "error"]


def test_every_request_gets_an_answer_over_http(serve: Serve) -> None:
    """The same against a server, on one connection: no request may spoil the next."""
    server = serve()
    connection = http.client.HTTPConnection(*_place(server), timeout=30)

    def ask(operation: str, body: bytes) -> Answer:
        headers = {
            "X-Amz-Target": f"AWSStepFunctions.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )

    for name, definition in MACHINES.items():
        type = "EXPRESS" if name == "express" else "STANDARD"
        wanted = {"name": name, "definition": definition, "roleArn": fuzz.ROLE, "type": type}
        assert ask("CreateStateMachine", json.dumps(wanted).encode()).status == 200

    @given(st.data())
    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    def send(data: st.DataObject) -> None:
        operation = data.draw(
            st.sampled_from([name for name in MODEL.operation_names if name not in LONG_POLLS])
        )
        judge(operation, ask(operation, data.draw(fuzz.body(operation))))

    send()
    assert ask("ListStateMachines", b"{}").status == 200
    connection.close()
    assert not _faults(server)


def test_bytes_that_are_no_http_do_not_affect_others(serve: Serve) -> None:
    server = serve()
    place = _place(server)

    @given(
        st.binary(max_size=200)
        | st.binary(max_size=50).map(
            lambda tail: b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + tail
        )
    )
    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    def send(data: bytes) -> None:
        with socket.create_connection(place, timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while connection.recv(65_536):
                    pass

    send()
    assert server.get("/health")
    assert not _faults(server)
