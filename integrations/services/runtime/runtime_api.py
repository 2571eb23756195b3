"""Lambda's Runtime API (2018-06-01), the server's side of one connection: how the process of a
function gets events and answers them.

    GET  /2018-06-01/runtime/invocation/next              -> the event, once there is one; its
         headers say what the call is
    POST /2018-06-01/runtime/invocation/ID/response       the result
                                                          -> 202
    POST /2018-06-01/runtime/invocation/ID/error          an object with errorType and errorMessage
                                                          -> 202
    POST /2018-06-01/runtime/init/error                   the same: the function could not be loaded
                                                          -> 202

Our own bootstraps inherit a socket and pipeline: answer and next request are one piece, and so the
receipt goes out with the next event.

Others connect to a port of the loopback, where any user of the machine and any page in a browser
could. So the address that a function is given, AWS_LAMBDA_RUNTIME_API, has a path that nobody can
guess, and the Host of each request must be that address. A client that drops the path (Rust's does)
is known by its connection, which must be open in the process of the function itself.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol, cast

import httptools

_INVOCATION: Final = re.compile(
    rb"/2018-06-01/runtime/invocation/([0-9a-f-]{36})/(response|error)\Z"
)
_NEXT: Final = b"/2018-06-01/runtime/invocation/next"
_INIT_ERROR: Final = b"/2018-06-01/runtime/init/error"
_ACCEPTED: Final = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: "
    b'16\r\n\r\n{"status": "OK"}'
)
_UNKNOWN: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n"
_UNEXPECTED: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Worker(Protocol):
    """What a process makes of its requests. body: None if it was longer than allowed."""

    def asks(self, give: Callable[[Mapping[str, str], bytes], None]) -> None:
        """It wants an event: call `give` with its headers and body."""

    def answers(self, request_id: str, body: bytes | None, well: bool) -> bool:
        """False: nobody waits for this answer."""

    def unloadable(self, body: bytes | None) -> None: ...

    def babbles(self) -> None:
        """What it sends is no HTTP."""

    def hangs_up(self) -> None: ...


class Connection(asyncio.Protocol):
    """Where only the process of the function can be at the other end."""

    def __init__(self, worker: Worker, body_limit: int) -> None:
        self._worker, self._limit = worker, body_limit
        self._parser = httptools.HttpRequestParser(self)
        self._replies: list[bytes] = []
        self._waits = False  # for an event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are of other classes

    def connection_lost(self, _: Exception | None) -> None:
        self._worker.hangs_up()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._babbles()
            return
        if self._replies and not self._waits:
            self._flush()

    def _babbles(self) -> None:
        self._worker.babbles()

    def _admits(self) -> bool:
        """Whether a request may be looked at."""
        return True

    def _flush(self) -> None:
        self._transport.write(b"".join(self._replies))
        self._replies.clear()

    # --- the parser's callbacks ---

    def on_message_begin(self) -> None:
        self._url, self._body, self._size = b"", list[bytes](), 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= self._limit:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        body = b"".join(self._body) if self._size <= self._limit else None
        self._body = []
        if not self._admits():
            self._replies.append(_UNEXPECTED)
        elif self._url == _NEXT:
            self._waits = True
            self._worker.asks(self._give)
        elif self._url == _INIT_ERROR:
            self._replies.append(_ACCEPTED)
            self._worker.unloadable(body)
        elif match := _INVOCATION.match(self._url):
            expected = self._worker.answers(match[1].decode(), body, match[2] == b"response")
            self._replies.append(
                _UNEXPECTED if not expected else _ACCEPTED if body is not None else _TOO_LARGE
            )
        else:
            self._replies.append(_UNKNOWN)

    def _give(self, headers: Mapping[str, str], event: bytes) -> None:
        self._waits = False
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}Content-Length: "
            f"{len(event)}\r\n\r\n"
        )
        self._replies += (head.encode("latin-1"), event)
        self._flush()


class Door(NamedTuple):
    """What a request needs to be let in where anybody can connect.

    host   the Host of each request
    path   what comes before its path, "/SECRET"
    knows  whether a connection may do without the path
    """

    host: bytes
    path: bytes
    knows: Callable[[asyncio.BaseTransport], bool]


class GuardedConnection(Connection):
    """Where anybody can be at the other end."""

    def __init__(self, worker: Worker, body_limit: int, door: Door) -> None:
        super().__init__(worker, body_limit)
        self._door = door
        self._known: bool | None = None
        self._host, self._admitted = b"", False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._host = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"host":
            self._host = value

    def _admits(self) -> bool:
        """The path that lets a request in is taken off."""
        self._admitted = self._host == self._door.host and (self._has_path() or self._is_known())
        return self._admitted

    def _has_path(self) -> bool:
        path = self._door.path
        if not hmac.compare_digest(self._url[: len(path)], path):
            return False
        self._url = self._url[len(path) :]
        return True

    def _is_known(self) -> bool:
        if self._known is None:
            self._known = self._door.knows(self._transport)
        return self._known

    def _babbles(self) -> None:
        if self._admitted:
            super()._babbles()
        else:  # a stranger's noise is not the function's
            self._transport.close()
