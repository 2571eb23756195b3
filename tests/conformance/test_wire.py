"""The fast client: missing and incomplete answers."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from stepwell.conformance.run.wire import Wire

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"


@pytest.fixture
def serve() -> Iterator[Callable[..., Wire]]:
    """serve(answers of the first connection, of the second, ...): a connection is closed after its
    last answer.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def work(connections: tuple[list[bytes], ...]) -> None:
        for answers in connections:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    while b"{}" not in connection.recv(65_536):
                        pass
                    connection.sendall(answer)

    threads: list[threading.Thread] = []

    def begin(*connections: list[bytes]) -> Wire:
        threads.append(threading.Thread(target=work, args=(connections,)))
        threads[-1].start()
        return Wire(
            "http://{}:{}".format(*listener.getsockname()), "us-east-1", "key", "secret", seconds=30
        )

    yield begin
    for thread in threads:
        thread.join(timeout=30)
    listener.close()


def test_a_closed_connection_is_opened_again(serve: Callable[..., Wire]) -> None:
    wire = serve([WHOLE], [WHOLE, WHOLE])
    assert [wire.call("ListActivities") for _ in range(3)] == [{}, {}, {}]


@pytest.mark.parametrize("connections", [([CUT],), ([WHOLE, CUT],), ([b""],)])
def test_an_incomplete_answer(
    serve: Callable[..., Wire], connections: tuple[list[bytes], ...]
) -> None:
    wire = serve(*connections)
    with pytest.raises(ConnectionClosedError):
        for _ in connections[0]:
            wire.call("ListActivities")


def test_an_unreachable_endpoint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())
    with pytest.raises(EndpointConnectionError):
        Wire(url, "us-east-1", "key", "secret").call("ListActivities")
