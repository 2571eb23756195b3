"""The connections of a server: how many it holds, and how long a client may take to send a request.

    idle --first byte--> arriving --last byte of the body--> answered --> idle

A new connection that sends nothing is arriving, too. A head must be complete `request_head_seconds`
after its first byte, also while an earlier request is being answered. When all connections are
taken, a new one replaces the one whose request has been arriving for longest, else the one that has
been idle for longest; if each has a complete request, the new one is closed. So clients that send
requests in part lose their own connections, and complete requests are answered. A client that reads
nothing of its answer for `answer_seconds` is disconnected, because its request counts as open.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import deque
from collections.abc import Callable, Coroutine, MutableMapping
from itertools import chain
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools

from stepwell.integrations.limits import Limits
from stepwell.integrations.server.exchange import (
    MUCH_BYTES,
    Application,
    Exchange,
    text_response,
)
from stepwell.integrations.server.protocols.aws_json import Reply

log: Final = logging.getLogger("stepwell.http")

INVALID: Final = "Invalid HTTP request received."

Dispatch = Callable[[MutableMapping[str, Any], bytes], Coroutine[Any, Any, Reply] | None]
"""(scope, body) of a request that has arrived as a whole -> what answers it; None: the application
does. App.dispatch is one.
"""


class Connections:
    """Makes the protocols of a server's connections, and closes those that take too long.

    dispatch  see Dispatch; the application is for all other requests
    date      lines of the head of every response; changed in place

    open      all of them
    answering exchanges whose task runs
    arriving  connection -> time of the first byte of its request; the oldest first
    idle      connection -> since when it has no request; the one that is idle for longest first
    full      connection -> time since when its client has not read and all buffers are full; the
              oldest first
    evicted   number of connections that were closed to make room
    held      bytes of incomplete heads
    """

    def __init__(
        self,
        application: Application,
        dispatch: Dispatch,
        date: list[bytes],
        limits: Limits,
    ) -> None:
        self.application, self.dispatch, self.date = application, dispatch, date
        self.limits, self.loop = limits, asyncio.get_running_loop()
        self.open: set[Connection] = set()
        self.answering: set[Exchange] = set()
        self.arriving: dict[Connection, float] = {}
        self.idle: dict[Connection, float] = {}
        self.full: dict[Connection, float] = {}
        self.evicted = self.held = 0
        self._most = min(limits.connections, _descriptors(2 * limits.connections) // 2)
        self._now = self.loop.time

    def __len__(self) -> int:
        return len(self.open)

    def make(self) -> asyncio.Protocol:
        if len(self.open) >= self._most and not self._make_room():
            return _Refusal()
        return Connection(self)

    def _make_room(self) -> bool:
        """Close the connection that has been arriving or idle for longest, if there is one."""
        arriving = (each for each in self.arriving if not each.answering)
        connection = next(chain(arriving, self.idle), None)
        if connection is None:
            return False
        self.evicted += 1
        self.drop(connection)
        return True

    def hold(self, more: int) -> None:
        """Count `more` bytes of heads (negative: fewer). Beyond the limit, close the connections
        that have been arriving for longest.
        """
        self.held += more
        while self.held > self.limits.open_head_bytes and self._make_room():
            pass

    def drop(self, connection: Connection) -> None:
        """Close it now, also with unsent data."""
        self.forget(connection)
        self.full.pop(connection, None)
        connection.release()
        self.open.discard(connection)
        connection.transport.abort()

    def sweep(self) -> None:
        """Called each second: close connections that have been arriving, unread or idle for too
        long.
        """
        now, limits = self._now(), self.limits
        for connection, since in list(self.idle.items()):
            if since > now - limits.connection_idle_seconds:
                break
            self.forget(connection)
            connection.transport.close()
        for connection, since in list(self.full.items()):
            if since > now - limits.answer_seconds:
                break
            self.drop(connection)
        for connection, since in list(self.arriving.items()):
            if since > now - limits.request_head_seconds:
                return
            if connection.read_paused:  # the server does not read, it is not the client
                self.arrives(connection, anew=True)
            elif (
                connection.in_head
                # App.read limits the time of bodies
                or since <= now - limits.request_head_seconds - limits.request_seconds
            ):
                self.drop(connection)

    def arrives(self, connection: Connection, anew: bool = False) -> None:
        if anew or connection not in self.arriving:
            self.forget(connection)
            self.arriving[connection] = self._now()

    def fills(self, connection: Connection) -> None:
        self.full[connection] = self._now()

    def rests(self, connection: Connection) -> None:
        if connection not in self.arriving:
            self.idle[connection] = self._now()

    def forget(self, connection: Connection) -> None:
        self.arriving.pop(connection, None)
        self.idle.pop(connection, None)

    # --- stopping ---------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Close every connection after its last response."""
        for connection in list(self.open):
            connection.shut_down()

    async def answered(self, seconds: float) -> None:
        """Return when all requests have been answered, at the latest after so many seconds."""
        if tasks := [each.task for each in self.answering if each.task is not None]:
            await asyncio.wait(tasks, timeout=seconds)

    def close(self) -> None:
        for connection in list(self.open):
            connection.transport.close()


class Connection(asyncio.Protocol):
    """The requests of one connection, which are answered one after the other, and its state.

    in_head    the next bytes belong to the head of a request
    answering  complete requests without an answer
    """

    transport: asyncio.Transport

    def __init__(self, all: Connections) -> None:
        self._all, self._dispatch = all, all.dispatch
        self.in_head, self.answering = True, 0
        self.read_paused = self.write_paused = False
        self._parser = httptools.HttpRequestParser(self)
        # a client may send more after a request that closes the connection
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._head = self._held = 0  # bytes of an incomplete head; those counted in all.held
        self._begun = self._ended = False  # a request, in these bytes
        self._exchange: Exchange | None = None  # the latest
        self._running: Exchange | None = None  # the one that is answered
        self._fresh: Exchange | None = None  # ... and has no task yet
        self._pipeline: deque[Exchange] = deque()
        self._drained: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._client = _address(transport, "peername")
        self._server = _address(transport, "sockname")
        self._all.open.add(self)
        self._all.arrives(self)

    def connection_lost(self, exc: Exception | None) -> None:
        all = self._all
        all.open.discard(self)
        all.forget(self)
        all.full.pop(self, None)
        self.release()
        self._pipeline.clear()
        self._fresh = None
        for exchange in (self._running, self._exchange):
            if exchange is not None and not exchange.complete:
                exchange.disconnect()
        self.resume_writing()

    def release(self) -> None:
        self._all.held, self._held = self._all.held - self._held, 0

    def shut_down(self) -> None:
        """Close it after its last response."""
        if self._exchange is None or self._exchange.complete:
            self.transport.close()
        else:
            self._exchange.keep_alive = False

    # --- back-pressure ----------------------------------------------------------------------------

    def pause_writing(self) -> None:
        self.write_paused = True
        self._all.fills(self)

    def resume_writing(self) -> None:
        self.write_paused = False
        self._all.full.pop(self, None)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def drained(self) -> None:
        while self.write_paused:
            if self._drained is None or self._drained.done():
                self._drained = self._all.loop.create_future()
            await self._drained

    def _pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    # --- parsing ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        all = self._all
        if self.in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            log.debug("a request to upgrade to another protocol is answered without that")
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, MemoryError):  # of a callback; no fault of the client
                log.error("a request is dropped: there is too little memory")
                return all.drop(self)
            return self._refuse()
        if self._ended:
            self._ended = False
            all.forget(self)
        head = self._head if self.in_head else 0
        if head > all.limits.request_head_bytes:
            return all.drop(self)
        if head != self._held:
            more, self._held = head - self._held, head
            all.hold(more)
        if self._begun or head:  # also a line break, which begins no request
            all.arrives(self)
        if self._fresh is not None:
            exchange, self._fresh = self._fresh, None
            self._start(exchange)
        return None

    def _refuse(self) -> None:
        log.warning(INVALID)
        if self.answering:  # the client would take it for the answer to an earlier request
            return self._all.drop(self)
        self._fresh = None
        self.transport.write(text_response(400, self._all.date, INVALID))
        return self.transport.close()

    def on_message_begin(self) -> None:
        self._begun = True
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_head = False
        parser, version = self._parser, self._parser.get_http_version()
        raw, path, query = _ROOT if self._url == b"/" else _parts(self._url)
        scope = {
            "type": "http",
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "headers": self._headers,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw,
            "query_string": query,
        }
        exchange = self._exchange = Exchange(
            self,
            scope,
            self._all.date,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
        )
        if self._running is None:
            self._running = self._fresh = exchange
            return
        self._pause_reading()
        self._pipeline.append(exchange)
        if len(self._pipeline) > self._all.limits.pipelined_requests:
            raise TooManyRequestsError

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.complete:
            return
        exchange.body += body
        if len(exchange.body) > MUCH_BYTES:
            self._pause_reading()
        if self._pipeline and len(exchange.body) > self._all.limits.pipelined_bytes:
            raise TooManyRequestsError
        exchange.notify()

    def on_message_complete(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        exchange.received = True
        if not exchange.complete:
            self.answering += 1
            exchange.notify()
        self.in_head, self._head = True, 0
        self._begun, self._ended = False, True

    # --- answering --------------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        all = self._all
        answer = self._dispatch(exchange.scope, exchange.body) if exchange.received else None
        coroutine = exchange.run(all.application) if answer is None else exchange.answer(answer)
        all.answering.add(exchange)
        exchange.task = all.loop.create_task(coroutine)

    def finished(self, exchange: Exchange) -> None:
        self._all.answering.discard(exchange)

    def answered(self, exchange: Exchange) -> None:
        if exchange.received:  # an answer may be complete before its request
            self.answering -= 1
        self._running = None
        if self.transport.is_closing():
            return
        self.resume_reading()
        if self._pipeline:
            self._running = self._pipeline.popleft()
            self._start(self._running)
        elif not self.answering:
            self._all.rests(self)


class TooManyRequestsError(Exception):
    """More pipelined requests than the limits allow. It ends the parsing: see _refuse."""


_ROOT: Final = (b"/", "/", b"")


def _parts(url: bytes) -> tuple[bytes, str, bytes]:
    """The path, the decoded path and the query. Raises HttpParserError, UnicodeDecodeError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return parsed.path, unquote(path) if "%" in path else path, parsed.query or b""


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    """("host", port) of one end of the connection."""
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


class _Refusal(asyncio.Protocol):
    """A connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _descriptors(wanted: int) -> int:
    """How many files and sockets this process may open, after it requested `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
