"""Clients that send slowly, half or too much: they take nothing from the others."""

import http.client
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import (
    REGION,
    TARGET,
    Live,
    eventually,
    healthy,
    metrics,
    request,
)

from stepwell.integrations.limits import DEFAULT_LIMITS

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"


def announcing(live: Live, length: int) -> bytes:
    """The head of a request whose body does not come."""
    host = urlsplit(live.url).netloc
    return (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: "
        f"AWSStepFunctions.ListActivities\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_announced_bodies_do_not_throttle_others(serve: Serve):
    live = serve(open_requests=4)
    address = urlsplit(live.url).hostname, urlsplit(live.url).port
    upload = announcing(live, 72_000_000).replace(
        b"AWSStepFunctions.ListActivities", b"AWSStepFunctions.Invoke"
    )
    slow = [socket.create_connection(address) for _ in range(20)]
    for number, each in enumerate(slow):
        each.sendall(upload if number % 2 else announcing(live, 100))
    eventually(lambda: metrics(live)["stepwell_open_requests"] > 10)
    assert request(live, body=b"{}" + b" " * 1_000_000)[0] == 200
    for each in slow:
        each.close()


def test_one_client_leaves_room_for_the_bodies_of_others(serve: Serve):
    live = serve(open_request_bytes=150_000, peer_request_bytes=100_000)
    address = urlsplit(live.url).hostname, urlsplit(live.url).port

    def ask(source: str, length: int) -> int:
        connection = http.client.HTTPConnection(*address, timeout=60, source_address=(source, 0))
        connection.request("POST", "/", b"{}" + b" " * (length - 2), TARGET)
        status = connection.getresponse().status
        connection.close()
        return status

    with socket.create_connection(address) as slow:
        slow.sendall(announcing(live, 90_000) + b" " * 80_000)
        eventually(lambda: ask("127.0.0.1", 40_000) == 400)
        assert ask("127.0.0.2", 40_000) == 200
        assert ask("127.0.0.1", 4_000) == 200
    eventually(lambda: ask("127.0.0.1", 90_000) == 200)


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many open files as the system lets this process have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_half_sent_requests_do_not_block_others(
    serve: Serve, tmp_path: Path, descriptors: None, signed: bool, rest: bytes
):
    credentials = tmp_path / "credentials"
    credentials.write_text("[any]\naws_access_key_id = test\naws_secret_access_key = test\n")
    live = serve(*(("--host", "0.0.0.0", "--credentials", credentials) if signed else ()))
    address = ("127.0.0.1", urlsplit(live.url).port)
    count = min(
        DEFAULT_LIMITS.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 500
    )
    slow = []
    try:
        for _ in range(count + 100):
            slow.append(socket.create_connection(address, timeout=60))
            slow[-1].sendall(rest)
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            assert live.get("/health") == "ok\n"
            seconds.append(time.monotonic() - began)
        assert min(seconds) < 1
        assert metrics(live)["stepwell_connections_evicted_total"] > 0
        if signed:
            client = boto3.client(
                "stepfunctions",
                REGION,
                endpoint_url=f"http://127.0.0.1:{address[1]}",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            assert client.list_activities()["activities"] == []
        else:
            assert live.client().list_activities()["activities"] == []
    finally:
        for each in slow:
            each.close()


def closed(connection: socket.socket) -> bool:
    """Whether the server closes a connection without an answer."""
    connection.settimeout(60)
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def assert_ok(connection: socket.socket) -> None:
    got = b""
    while not got.endswith(b"\r\n\r\nok\n"):
        piece = connection.recv(1000)
        assert piece
        got += piece


@pytest.mark.parametrize(
    "begin", [b"", b"\r\n", b"P", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"]
)
def test_a_head_has_a_deadline_from_its_first_byte(serve: Serve, begin: bytes):
    live = serve(request_head_seconds=1.0)
    address = urlsplit(live.url).hostname, urlsplit(live.url).port
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        socket.create_connection(address) as fresh,
        socket.create_connection(address) as used,
        socket.create_connection(address) as piped,
    ):
        fresh.sendall(begin)
        used.sendall(whole)
        assert_ok(used)
        used.sendall(begin)
        piped.sendall(whole + begin)
        assert_ok(piped)
        for each in (
            fresh,
            *([used] if begin else []),
            *([piped] if begin.strip() else []),
        ):  # the others are idle
            assert closed(each)
    live.client().list_activities()


def test_a_drip_of_a_head_keeps_no_connection(serve: Serve):
    live = serve(request_head_seconds=1.0)
    with socket.create_connection((urlsplit(live.url).hostname, urlsplit(live.url).port)) as drip:
        drip.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        with pytest.raises(OSError):
            for _ in range(1_000):
                drip.sendall(b"x")
                time.sleep(0.05)


def test_a_slow_head_behind_a_long_poll_ends_and_a_complete_request_stays(serve: Serve):
    live = serve(request_head_seconds=1.0, connections=4)
    live.client().create_activity(name="work")
    address = urlsplit(live.url).hostname, urlsplit(live.url).port
    body = json.dumps({"activityArn": ACTIVITY}).encode()
    poll = announcing(live, len(body)).replace(b"ListActivities", b"GetActivityTask") + body
    with socket.create_connection(address) as waiting, socket.create_connection(address) as piped:
        waiting.sendall(poll)
        piped.sendall(poll + b"POST / HT")
        assert closed(piped)
        others = [socket.create_connection(address) for _ in range(10)]
        assert live.get("/health") == "ok\n"
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        for each in others:
            each.close()


def test_bodies_are_bounded_one_by_one_and_together(serve: Serve):
    live = serve(request_bytes=100_000, open_request_bytes=150_000, request_seconds=6.0)
    status, _, body = request(live, body=b" " * 100_001)
    assert (status, json.loads(body)["__type"]) == (413, "RequestEntityTooLarge")
    assert request(live, body=b"{}" + b" " * 90_000)[0] == 200
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port)) as slow:
        slow.sendall(announcing(live, 90_000))
        eventually(lambda: metrics(live)["stepwell_open_requests"] == 2)
        assert (
            request(live, body=b"{}" + b" " * 90_000)[0] == 200
        )  # nothing has come of the other yet
        slow.sendall(b"{}" + b" " * 80_000)
        refused = eventually(
            lambda: (
                answer if (answer := request(live, body=b"{}" + b" " * 90_000))[0] == 400 else None
            )
        )
        assert json.loads(refused[2])["__type"] == "ThrottlingException"
        assert request(live)[0] == 200
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert request(live, body=b"{}" + b" " * 90_000)[0] == 200


def test_a_client_that_reads_nothing_is_let_go(serve: Serve):
    """Each waits in the middle of its answers; as many as there may be open requests."""
    live = serve(open_requests=4, answer_seconds=8.0, pipelined_requests=2_000)
    address = urlsplit(live.url).hostname, urlsplit(live.url).port
    page = f"GET /console/execution.js HTTP/1.1\r\nHost: localhost:{address[1]}\r\n\r\n".encode()
    deaf = []
    for _ in range(8):
        deaf.append(socket.socket())
        deaf[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf[-1].connect(address)
        deaf[-1].sendall(page * 1_000)
    eventually(lambda: metrics(live)["stepwell_open_requests"] > 4)
    eventually(lambda: request(live)[0] == 200, 60)
    eventually(lambda: metrics(live)["stepwell_open_requests"] == 1, 60)
    for each in deaf:
        each.close()


def test_heads_share_a_memory(serve: Serve):
    live = serve(open_head_bytes=100_000)
    slow = [
        socket.create_connection((urlsplit(live.url).hostname, urlsplit(live.url).port))
        for _ in range(10)
    ]
    for each in slow:
        each.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 30_000)
    assert closed(slow[0])
    eventually(lambda: metrics(live)["stepwell_connections_evicted_total"] >= 7)
    assert healthy(live)
    slow[-1].sendall(b"\r\n\r\n")
    assert_ok(slow[-1])
    for each in slow:
        each.close()


@pytest.mark.parametrize(
    "ahead", [b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20, b"%s" + b"x" * 10_000]
)
def test_what_is_sent_ahead_of_an_answer_is_bounded(serve: Serve, ahead: bytes):
    live = serve(pipelined_requests=10, pipelined_bytes=5_000)
    live.client().create_activity(name="work")
    body = json.dumps({"activityArn": ACTIVITY}).encode()
    poll = announcing(live, len(body)).replace(b"ListActivities", b"GetActivityTask") + body
    with socket.create_connection((urlsplit(live.url).hostname, urlsplit(live.url).port)) as client:
        client.sendall(
            poll + (ahead % announcing(live, 20_000) if ahead.startswith(b"%s") else ahead)
        )
        assert closed(client)
    with socket.create_connection((urlsplit(live.url).hostname, urlsplit(live.url).port)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        got = b""
        while got.count(b"\r\n\r\nok\n") < 5:
            got += client.recv(1_000)
    eventually(lambda: metrics(live)["stepwell_open_requests"] == 1)


def test_endless_headers_are_closed_and_a_new_connection_takes_the_place_of_an_incomplete_one(
    serve: Serve,
):
    live = serve(connections=3, request_head_bytes=10_000)
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port)) as endless:
        endless.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX: ")
        with pytest.raises(OSError):
            for _ in range(1_000):
                endless.sendall(b"x" * 1_000)
                time.sleep(0.002)
    eventually(lambda: healthy(live))
    opened = [socket.create_connection((parts.hostname, parts.port)) for _ in range(4)]
    assert closed(opened[0])
    assert healthy(live)
    for each in opened:
        each.close()
    eventually(lambda: healthy(live))
