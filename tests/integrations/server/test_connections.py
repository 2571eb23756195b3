"""The server's HTTP/1.1: however a request comes, its answer is the same."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.integrations.bench import until

from stepwell.engine import Engine
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server.app import App, Receive, Scope, Send
from stepwell.integrations.server.connections import Connections
from stepwell.integrations.server.exchange import Exchange

DATE = b"date: today\r\n"
BODY = json.dumps({"name": "work"}).encode()
Exchanged = Callable[..., Any]


def request(target: str, body: bytes = BODY, more: str = "", version: str = "1.1") -> bytes:
    head = (
        f"POST / HTTP/{version}\r\nHost: localhost\r\nX-Amz-Target: AWSStepFunctions.{target}\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """A page of unknown length, in pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Mixed", b"1")]})
    await send({"type": "http.response.body", "body": b"two ", "more_body": True})
    await send({"type": "http.response.body", "body": b"pieces"})


async def split(scope: Scope, receive: Receive, send: Send) -> None:
    """A header with a line break."""
    headers = [(b"x", b"1\r\nset-cookie: a=b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...


async def short(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"123"})


class Served:
    """A server, and one raw connection to it."""

    def __init__(self, connections: Connections, port: int) -> None:
        self.connections, self.port = connections, port

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.001 if len(pieces) > 1 else 0)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        headers.pop("x-amzn-requestid", None)
        return int(head.split()[1]), headers, body

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 60)


@asynccontextmanager
async def serving(limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Served]:
    async with Engine() as engine:
        routes = {"/page": page, "/split": split, "/silent": silent, "/short": short}
        app = App({"stepfunctions": engine}, routes=routes, limits=limits)
        connections = Connections(app, app.dispatch, [DATE], limits)
        server = await asyncio.get_running_loop().create_server(connections.make, "127.0.0.1", 0)
        served = Served(connections, server.sockets[0].getsockname()[1])
        await served.connect()
        yield served
        served.writer.close()
        server.close()
        connections.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as server:
        yield server


@pytest.mark.parametrize(
    "pieces",
    [
        lambda whole: [whole],
        lambda whole: [whole[:1], whole[1:]],
        lambda whole: [whole[:40], whole[40:]],
        lambda whole: [whole[: -len(BODY)], whole[-len(BODY) :]],
        lambda whole: [whole[:-1], whole[-1:]],
        lambda whole: [whole[place : place + 7] for place in range(0, len(whole), 7)],
    ],
    ids=["whole", "first byte", "head", "body", "last byte", "sevens"],
)
@pytest.mark.parametrize("target", ["CreateActivity", "DescribeActivity", "Nothing"])
async def test_a_request_in_pieces_has_the_answer_of_a_whole_one(
    served: Served, pieces: Callable[[bytes], list[bytes]], target: str
) -> None:
    await served.send(request(target))
    wanted = await served.answer()
    await served.send(*pieces(request(target)))
    assert re.sub(rb"[0-9.]+}", b"}", (found := await served.answer())[2]) == re.sub(
        rb"[0-9.]+}", b"}", wanted[2]
    )
    assert found[:2] == wanted[:2] and found[1]["date"] == "today"


async def test_requests_in_one_piece_are_answered_in_their_order(served: Served) -> None:
    await served.send(
        request("CreateActivity")
        + request("Nothing")
        + b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"
        + request("ListActivities", b"{}")
    )
    assert (await served.answer())[0] == 200
    assert (await served.answer())[0] == 400
    status, headers, _ = await served.answer()
    assert (status, headers["x-mixed"], headers["transfer-encoding"]) == (200, "1", "chunked")
    chunks = b"4\r\ntwo \r\n6\r\npieces\r\n0\r\n\r\n"
    assert await served.reader.readexactly(len(chunks)) == chunks
    assert b"work" in (await served.answer())[2]
    assert list(served.connections.idle) and not served.connections.answering


async def test_a_chunked_body_is_read(served: Served) -> None:
    whole = request("CreateActivity", b"").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    await served.send(whole + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
    assert b"activityArn" in (await served.answer())[2]


async def test_a_client_that_asks_first_may_go_on(served: Served) -> None:
    whole = request("CreateActivity", more="Expect: 100-continue\r\n")
    await served.send(whole[: -len(BODY)])
    assert await served.answer() == (100, {}, b"")
    await served.send(BODY)
    assert (await served.answer())[0] == 200


@pytest.mark.parametrize(
    "more", [{"version": "1.0"}, {"more": "Connection: close\r\n"}], ids=["1.0", "close"]
)
async def test_a_connection_is_closed_after_the_answer(
    served: Served, more: dict[str, str]
) -> None:
    await served.send(request("CreateActivity", **more))
    status, headers, _ = await served.answer()
    assert (status, headers["connection"], await served.rest()) == (200, "close", b"")


@pytest.mark.parametrize("path", ["/split", "/silent"])
async def test_an_application_without_a_valid_answer_is_a_fault(served: Served, path: str) -> None:
    await served.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    status, headers, body = await served.answer()
    assert (status, body, await served.rest()) == (500, b"Internal Server Error", b"")
    assert "set-cookie" not in headers


async def test_a_short_answer_ends_the_connection(served: Served) -> None:
    await served.send(b"GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await served.rest()).endswith(b"\r\n\r\n123")


@pytest.mark.parametrize(
    "line",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"],
)
async def test_what_is_no_http_is_refused(served: Served, line: bytes) -> None:
    await served.send(line)
    status, headers, body = await served.answer()
    assert (status, body) == (400, b"Invalid HTTP request received.")
    assert headers["connection"] == "close" and await served.rest() == b""


async def test_a_stopping_server_answers_what_is_open(served: Served) -> None:
    await served.send(request("CreateActivity"))
    arn = json.loads((await served.answer())[2])["activityArn"]
    await served.send(request("GetActivityTask", json.dumps({"activityArn": arn}).encode()))
    while not served.connections.answering:  # noqa: ASYNC110  # nothing tells it
        await asyncio.sleep(0.01)
    exchange: Exchange = next(iter(served.connections.answering))
    served.connections.shut_down()
    served.connections.application.drain()  # type: ignore[attr-defined]
    await served.connections.answered(5)
    assert exchange.complete and not served.connections.answering
    assert (await served.answer())[0] == 200 and await served.rest() == b""


async def test_an_idle_connection_is_closed() -> None:
    async with serving(replace(DEFAULT_LIMITS, connection_idle_seconds=0)) as served:
        await served.send(request("CreateActivity"))
        await served.answer()
        served.connections.sweep()
        assert await served.rest() == b""
        await until(lambda: len(served.connections) == 0)
        assert not served.connections.idle
