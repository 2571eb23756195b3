"""One HTTP/1.1 request on a connection, and its response: as a whole, or through ASGI's `receive`
and `send`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from stepwell.integrations.server.protocols.aws_json import Reply

log: Final = logging.getLogger("stepwell.http")

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]  # of ASGI

MUCH_BYTES: Final = 65_536  # of a body that the application has not received: reading pauses
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode()
    for status in range(100, 600)
}
_WITHOUT_BODY: Final = (204, 304)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_FAULT: Final = b"Internal Server Error"
_NO_NAME: Final = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\\\[\]={} \t"]')
_NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Wire(Protocol):
    """What an exchange needs of its connection."""

    transport: asyncio.Transport
    write_paused: bool

    def resume_reading(self) -> None: ...

    async def drained(self) -> None:
        """Return when the client has read, so that there is room in the buffers."""

    def answered(self, exchange: Exchange) -> None:
        """The response is written."""

    def finished(self, exchange: Exchange) -> None:
        """Its task ends."""


class Exchange:
    """
    scope       of ASGI
    body        bytes that have arrived and were not taken yet
    received    whether all of the body has arrived
    complete    whether all of the response is written
    keep_alive  whether the connection stays open after the response
    task        that answers it
    """

    __slots__ = (
        "_asked",
        "_before_body",
        "_chunked",
        "_date",
        "_left",
        "_news",
        "_waiter",
        "_wire",
        "body",
        "complete",
        "disconnected",
        "keep_alive",
        "received",
        "scope",
        "started",
        "task",
    )

    def __init__(
        self,
        wire: Wire,
        scope: MutableMapping[str, Any],
        date: list[bytes],
        *,
        keep_alive: bool,
    ) -> None:
        self._wire, self.scope, self._date = wire, scope, date
        self.keep_alive = keep_alive
        self.body = b""
        self.received = self.started = self.complete = self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self._asked = False  # receive() has been called
        self._news = False  # for receive(): something has happened
        self._waiter: asyncio.Future[None] | None = None
        self._before_body = b""  # a head that is written together with the first piece of the body
        self._chunked = False
        self._left = 0  # of the response's Content-Length

    def notify(self) -> None:
        """Something has arrived, or ended."""
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def disconnect(self) -> None:
        self.disconnected = True
        self.notify()

    # --- as a whole -------------------------------------------------------------------------------

    async def answer(self, reply: Awaitable[Reply]) -> None:
        """Write a response at once, head and body together."""
        try:
            status, headers, body, _ = await reply
            if self._wire.write_paused:
                await self._wire.drained()
            if not self.disconnected:
                head = self._head(status, headers, len(body))
                self.started = True
                self._wire.transport.write(head if self.scope["method"] == "HEAD" else head + body)
                self._end()
        finally:
            self._wire.finished(self)

    # --- ASGI -------------------------------------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Let an application answer. Without a response, the client gets an error."""
        try:
            try:
                await application(self.scope, self.receive, self.send)
            except Exception:
                log.exception("a bug in the answer to %s", self.scope["method"])
            if not (self.complete or self.disconnected):
                await self._fail()
        finally:
            self._wire.finished(self)

    async def _fail(self) -> None:
        if self.started:
            self._wire.transport.close()
        else:
            length = b"%d" % len(_FAULT)
            await self.send(
                {
                    "type": "http.response.start",
                    "status": 500,
                    "headers": [
                        (b"content-type", b"text/plain; charset=utf-8"),
                        (b"content-length", length),
                        (b"connection", b"close"),
                    ],
                }
            )
            await self.send({"type": "http.response.body", "body": _FAULT})

    async def receive(self) -> Message:
        if not (self._asked or self.started) and self._expects_continue():
            self._wire.transport.write(_CONTINUE)
        self._asked = True
        if not (self.disconnected or self.complete):
            self._wire.resume_reading()
            if not self._news:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            self._news = False
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": not self.received}

    async def send(self, message: Message) -> None:
        await self._wire.drained()
        if self.disconnected:
            return
        if self.complete:
            raise RuntimeError(f"{message['type']} after the end of the response")
        wanted = "http.response.body" if self.started else "http.response.start"
        if message["type"] != wanted:
            raise RuntimeError(f"{message['type']} instead of {wanted}")
        if self.started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self._before_body = self._head(message["status"], message.get("headers", ()))
            self.started = True
            if not self._left:  # when the body comes is not known
                self._wire.transport.write(self._before_body)
                self._before_body = b""

    def _send_body(self, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._left, body = 0, b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("the response is longer than its Content-Length")
        self._wire.transport.write(self._before_body + body)
        self._before_body = b""
        if not more:
            if self._left:
                raise RuntimeError("the response is shorter than its Content-Length")
            self._end()

    # --- inside -----------------------------------------------------------------------------------

    def _expects_continue(self) -> bool:
        """Whether the client sends the body only after a 100 Continue."""
        sent = (value for name, value in self.scope["headers"] if name == b"expect")
        expects = any(value.lower() == b"100-continue" for value in sent)
        return expects and not self._wire.transport.is_closing()

    def _head(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], length: int | None = None
    ) -> bytes:
        """length: of the body, if it is not in the headers. Raises ValueError for a header that
        would change the response.
        """
        lines, closes, sized, chunked = [_STATUS_LINES[status], *self._date], False, False, False
        if length is not None:
            lines.append(b"content-length: %d\r\n" % length)
            sized = True
        for header in headers:
            line = _known_lines.get(header)
            if line is not None:
                lines.append(line)
                continue
            name, value = header
            if name not in _known_names:
                name = _checked_name(name)
            if _NO_VALUE.search(value):
                raise ValueError("invalid value of an HTTP header")
            if name == b"content-length":
                self._left, sized = int(value), True
            elif name == b"transfer-encoding":
                chunked = value.lower() == b"chunked"
            elif name == b"connection":
                closes = b"close" in [token.strip() for token in value.lower().split(b",")]
            elif name == b"content-type" and len(_known_lines) < _KEPT:
                _known_lines[header] = b"content-type: %b\r\n" % value
            lines.append(b"%b: %b\r\n" % (name, value))
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(_CLOSE)
        if not (sized or chunked or self.scope["method"] == "HEAD" or status in _WITHOUT_BODY):
            lines.append(b"transfer-encoding: chunked\r\n")
            chunked = True
        self._chunked = chunked
        lines.append(b"\r\n")
        return b"".join(lines)

    def _end(self) -> None:
        self.complete = True
        self.notify()
        if not self.keep_alive:
            self._wire.transport.close()
        self._wire.answered(self)


_KEPT: Final = 256
_known_names: Final[set[bytes]] = set()  # of headers, as they are sent
_known_lines: Final[dict[tuple[bytes, bytes], bytes]] = {}  # of types of content


def _checked_name(name: bytes) -> bytes:
    """In lower case. Raises ValueError."""
    name = name.lower()
    if not name or _NO_NAME.search(name):
        raise ValueError("invalid name of an HTTP header")
    if len(_known_names) < _KEPT:
        _known_names.add(name)
    return name


def text_response(status: int, date: Iterable[bytes], text: str) -> bytes:
    """A response of the server itself, which closes the connection."""
    body = text.encode()
    headers = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    )
    lines = b"".join((*date, *(b"%b: %b\r\n" % header for header in headers)))
    return b"%b%b\r\n%b" % (_STATUS_LINES[status], lines, body)
