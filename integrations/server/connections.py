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
import resource
from itertools import chain
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from stepwell.integrations.limits import Limits


class Connections:
    """Makes the protocols of a server's connections, and closes those that take too long.

    arriving  connection -> time of the first byte of its request; the oldest first
    idle      connections without a request; the one that is idle for longest first
    full      connection -> time since when its client has not read and all buffers are full; the
              oldest first
    evicted   number of connections that were closed to make room
    held      bytes of incomplete heads
    """

    def __init__(self, application: Any, state: ServerState, limits: Limits) -> None:
        self._state, self.limits = state, limits
        self.arriving: dict[Connection, float] = {}
        self.idle: dict[Connection, None] = {}
        self.full: dict[Connection, float] = {}
        self.evicted = self.held = 0
        self._most = min(limits.connections, _descriptors(2 * limits.connections) // 2)
        self._now = asyncio.get_running_loop().time
        self._config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=limits.connection_idle_seconds,
        )
        self._config.load()

    def __len__(self) -> int:
        return len(self._state.connections)

    def make(self) -> asyncio.Protocol:
        if len(self) >= self._most and not self._make_room():
            return _Refusal()
        return Connection(self._config, self._state, self)

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
        self._state.connections.discard(connection)
        connection.transport.abort()

    def sweep(self) -> None:
        """Called each second: close connections that have been arriving or unread for too long."""
        now, limits = self._now(), self.limits
        for connection, since in list(self.full.items()):
            if since > now - limits.answer_seconds:
                break
            self.drop(connection)
        for connection, since in list(self.arriving.items()):
            if since > now - limits.request_head_seconds:
                return
            if connection.flow.read_paused:  # the server does not read, it is not the client
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
            self.idle[connection] = None

    def forget(self, connection: Connection) -> None:
        self.arriving.pop(connection, None)
        self.idle.pop(connection, None)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which reports its state to Connections. answering: complete requests
    without an answer.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, all: Connections) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._all, self._head, self.in_head, self.answering = all, 0, True, 0
        self._held = 0  # of its head, counted in all.held
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._all.arrives(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # of several requests, uvicorn informs only the latest
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self._all.forget(self)
        self._all.full.pop(self, None)
        self.release()

    def release(self) -> None:
        self._all.held, self._held = self._all.held - self._held, 0

    def pause_writing(self) -> None:
        super().pause_writing()
        self._all.fills(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all.full.pop(self, None)

    def data_received(self, data: bytes) -> None:
        if self.in_head:
            self._head += len(data)
        if self in self._all.idle:  # also for a line break, which does not start a message
            self._all.arrives(self)
        super().data_received(data)
        head = self._head if self.in_head else 0
        if head > self._all.limits.request_head_bytes:
            self._all.drop(self)
        elif head != self._held:
            more, self._held = head - self._held, head
            self._all.hold(more)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._all.arrives(self)

    def on_headers_complete(self) -> None:
        self.in_head = False
        super().on_headers_complete()
        if len(self.pipeline) > self._all.limits.pipelined_requests:
            raise TooManyRequestsError

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.pipeline and len(self.cycle.body) > self._all.limits.pipelined_bytes:
            raise TooManyRequestsError

    def send_400_response(self, msg: str) -> None:
        if self.answering:  # the client would take it for the answer to an earlier request
            self._all.drop(self)
        else:
            super().send_400_response(msg)

    def on_message_complete(self) -> None:
        self.answering += not self.cycle.response_complete
        super().on_message_complete()
        self.in_head, self._head = True, 0
        self._all.forget(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        # an answer may be complete before its request
        self.answering -= bool(self.pipeline) or not self.cycle.more_body
        super().on_response_complete()
        if not self.answering and not self.transport.is_closing():
            self._all.rests(self)


class TooManyRequestsError(Exception):
    """More pipelined requests than the limits allow. It ends the parsing: see send_400_response."""


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
