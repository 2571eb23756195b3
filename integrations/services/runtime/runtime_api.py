"""Lambda's Runtime API (2018-06-01), server side: how a function's process gets events.

    GET  /2018-06-01/runtime/invocation/next              -> the next event, when there is one
    POST /2018-06-01/runtime/invocation/ID/response       the result -> 202
    POST /2018-06-01/runtime/invocation/ID/error          {errorType, errorMessage} -> 202
    POST /2018-06-01/runtime/init/error                   the same: loading failed -> 202

bootstrap.py and bootstrap.mjs inherit a socket and use pipelining: they send a response together
with the next request, so the acknowledgement is sent together with the next event.

Other runtimes connect to a loopback port, which any local user and any web page can reach.
Therefore AWS_LAMBDA_RUNTIME_API has a secret path, and the Host of each request must be that
address. A client that drops the path, such as Rust's, is accepted if the function's own process
has opened its connection.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
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
_FORBIDDEN: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


SendEvent = Callable[[Mapping[str, str], bytes], None]  # (headers, event)


class Worker(Protocol):
    """Handles the requests of a process. body: None if it exceeds the limit."""

    def event_requested(self, send: SendEvent) -> None: ...

    def responded(self, request_id: str, body: bytes | None, succeeded: bool) -> bool:
        """False: there is no such call."""

    def load_failed(self, body: bytes | None) -> None: ...

    def protocol_violated(self) -> None:
        """The process sent data that is not HTTP."""

    def disconnected(self) -> None: ...


class Connection(asyncio.Protocol):
    """A connection on the inherited socket."""

    def __init__(self, worker: Worker, body_limit: int) -> None:
        self._worker, self._limit = worker, body_limit
        self._parser = httptools.HttpRequestParser(self)
        self._replies: list[bytes] = []
        self._waits_for_event = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are of other classes

    def connection_lost(self, _: Exception | None) -> None:
        self._worker.disconnected()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._protocol_violated()
            return
        if self._replies and not self._waits_for_event:
            self._flush()

    def _protocol_violated(self) -> None:
        self._worker.protocol_violated()

    def _is_authorized(self) -> bool:
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
        if not self._is_authorized():
            self._replies.append(_FORBIDDEN)
        elif self._url == _NEXT:
            self._waits_for_event = True
            self._worker.event_requested(self._send_event)
        elif self._url == _INIT_ERROR:
            self._replies.append(_ACCEPTED)
            self._worker.load_failed(body)
        elif match := _INVOCATION.match(self._url):
            expected = self._worker.responded(match[1].decode(), body, match[2] == b"response")
            self._replies.append(
                _FORBIDDEN if not expected else _ACCEPTED if body is not None else _TOO_LARGE
            )
        else:
            self._replies.append(_UNKNOWN)

    def _send_event(self, headers: Mapping[str, str], event: bytes) -> None:
        self._waits_for_event = False
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}Content-Length: "
            f"{len(event)}\r\n\r\n"
        )
        self._replies += (head.encode("latin-1"), event)
        self._flush()


class Access(NamedTuple):
    """What authorizes a request on a TCP port.

    host        the Host header
    path        the prefix of its path, "/SECRET"
    is_trusted  whether a connection needs no such prefix
    """

    host: bytes
    path: bytes
    is_trusted: Callable[[asyncio.BaseTransport], bool]


class GuardedConnection(Connection):
    """A TCP connection, whose requests must be authorized."""

    def __init__(self, worker: Worker, body_limit: int, access: Access) -> None:
        super().__init__(worker, body_limit)
        self._access = access
        self._trusted: bool | None = None
        self._host, self._authorized = b"", False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._host = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"host":
            self._host = value

    def _is_authorized(self) -> bool:
        """Removes the secret from the path."""
        self._authorized = self._host == self._access.host and (
            self._has_secret() or self._is_trusted()
        )
        return self._authorized

    def _has_secret(self) -> bool:
        path = self._access.path
        if not hmac.compare_digest(self._url[: len(path)], path):
            return False
        self._url = self._url[len(path) :]
        return True

    def _is_trusted(self) -> bool:
        if self._trusted is None:
            self._trusted = self._access.is_trusted(self._transport)
        return self._trusted

    def _protocol_violated(self) -> None:
        if self._authorized:
            super()._protocol_violated()
        else:  # the data may come from another process
            self._transport.close()
