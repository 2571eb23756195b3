"""Admission of requests: authentication, limits of load, metrics and the log. The App's hooks."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from stepwell.engine import messages as engine_messages
from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.engine.runtime.counters import Histogram
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.aws.calls import ANONYMOUS
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server import messages
from stepwell.integrations.server.app import LONG_POLLS, Hooks, Scope
from stepwell.integrations.server.host_check import (
    REFUSED,
    HostCheck,
    is_browser,
    is_cross_site,
    is_navigation,
)
from stepwell.integrations.server.http_apis import is_api
from stepwell.integrations.server.metrics import REQUEST_SECONDS
from stepwell.integrations.server.protocols.aws_json import Operation, Reply, Request, scope_service
from stepwell.integrations.server.protocols.query import LINKS
from stepwell.integrations.server.sigv4 import Verifier

log: Final = logging.getLogger("stepwell.requests")

STATUS_PATHS: Final = ("/health", "/ready", "/metrics")  # answered under any load
UNKNOWN: Final = "unknown"
# the names of operations that change nothing start so
READING: Final = ("Describe", "List", "Search", "GetExecutionHistory", "Validate")
# those that wait for executions or workers: time may be skipped meanwhile
WAITING: Final = LONG_POLLS | {"StartSyncExecution"}
SMALL_BYTES: Final = 16 * 1024
_HELD: Final = "stepwell.held"  # in the scope of a request: (client, bytes of its body)


class Bodies:
    """The memory that the bodies of open requests take, counted as they arrive: in total and for
    each client.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total, self._clients = 0, dict[str, int]()

    def room(self, scope: Scope, size: int) -> bool:
        """Whether a body of this size fits now."""
        return self._fits(_client(scope), size)

    def _fits(self, client: str, more: int) -> bool:
        limits = self._limits
        return (
            self._total + more <= limits.open_request_bytes
            and self._clients.get(client, 0) + more <= limits.peer_request_bytes
        )

    def hold(self, scope: Scope, size: int) -> bool:
        """Hold `size` bytes of a request instead of those held before. False: they do not fit."""
        client, held = scope.get(_HELD) or (_client(scope), 0)
        if not self._fits(client, size - held):
            return False
        self._total += size - held
        self._clients[client] = self._clients.get(client, 0) + size - held
        scope[_HELD] = client, size
        return True

    def release(self, scope: Scope) -> None:
        if _HELD in scope:
            client, held = scope[_HELD]
            self._total -= held
            self._clients[client] -= held
            if not self._clients[client]:
                del self._clients[client]


def _client(scope: Scope) -> str:
    """The unit that limits of a client apply to: an IPv4 address, or the /64 network that an IPv6
    client has.
    """
    host = str((scope.get("client") or ("", 0))[0])
    return (
        str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
        if ":" in host
        else host
    )


class Admission(Hooks):
    """The server's hooks.

    verifier   None: signatures are neither required nor checked
    read_only  refuse operations of browsers that change something; other clients are not affected
    on_fault   called after each answer of status 500 or above
    requests   (operation, code, status) -> durations in seconds
    """

    def __init__(
        self,
        hosts: HostCheck,
        verifier: Verifier | None,
        clock: Clock,
        on_fault: Callable[[], None],
        limits: Limits = DEFAULT_LIMITS,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._hosts, self._verifier, self._limits = hosts, verifier, limits
        self._clock, self._on_fault = clock, on_fault
        self._virtual = clock if isinstance(clock, VirtualClock) else None
        self.requests: dict[tuple[str, str, int], Histogram] = {}
        self.open, self._bodies = 0, Bodies(limits)
        self._status_pages = 0  # of the open requests
        # how many of them are still arriving; set by the server
        self.reading: Callable[[], int] = lambda: 0
        self.stopping = False
        self.date = [b""]  # lines of the head of every answer; changed in place
        self.tell_time()

    def tell_time(self) -> None:
        """Called each second: set the Date of answers."""
        date = formatdate(self._clock.wall() // 1000, usegmt=True)
        self.date[0] = f"date: {date}\r\n".encode()

    # --- hooks ------------------------------------------------------------------------------------

    def enter(self, scope: Scope) -> None:
        self.open += 1
        self._status_pages += scope["path"] in STATUS_PATHS

    def leave(self, scope: Scope) -> None:
        self.open -= 1
        self._status_pages -= scope["path"] in STATUS_PATHS
        self._bodies.release(scope)

    def guard(self, request: Request) -> None:
        headers = request.headers
        host = headers.get(b"host")
        origin = headers.get(b"origin")
        if origin is not None and is_api(request):  # it checks its own
            origin = None
        self._hosts.check(
            None if host is None else host.decode("latin-1"),
            None if origin is None else origin.decode("latin-1"),
        )
        if (
            is_cross_site(headers)
            and not is_api(request)
            and not (request.path == "/" and is_navigation(request.method, headers))
        ):
            raise ApiError(REFUSED, messages.CROSS_SITE)
        if request.path in STATUS_PATHS:
            return
        if self.stopping:
            raise ApiError("ServiceUnavailable", messages.STOPPING)
        if self._full() or not (request.read or self._may_fit(request)):
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)

    def _full(self) -> bool:
        """Whether too many requests are being answered. Requests that are still arriving do not
        count, nor do those for the status of the server.
        """
        most = self._limits.open_requests
        return self.open > most and self.open - self._status_pages - self.reading() > most

    def _may_fit(self, request: Request) -> bool:
        """Whether a body of the declared length fits: if not, it is refused before it arrives."""
        length = request.headers.get(b"content-length", b"0")
        size = int(length) if length.isdigit() and len(length) < 20 else 0
        return size <= SMALL_BYTES or self._bodies.room(
            request.scope, min(size, self._limits.upload_bytes)
        )

    def hold(self, request: Request, read: int) -> None:
        # small bodies are bounded by their number
        if read > SMALL_BYTES and not self._bodies.hold(request.scope, read):
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)

    def admit(self, request: Request, operation: Operation) -> None:
        if self._full():
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)
        link = request.method == "GET" and (operation.service, operation.name) in LINKS
        if (
            self._read_only
            and not link
            and is_browser(request.headers)
            and not operation.name.startswith(READING)
        ):
            raise ApiError(REFUSED, messages.READ_ONLY)
        if self._virtual is not None and operation.name in WAITING:
            self._virtual.release()
        ANONYMOUS.set(link and not scope_service(request))
        if self._verifier is None or ANONYMOUS.get():
            return
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        self._verifier.check(
            request.method, path, query, request.scope["headers"], request.body, operation.signing
        )

    def observe(
        self, request: Request, operation: Operation | None, reply: Reply, seconds: float
    ) -> None:
        if (
            self._virtual is not None
            and operation is not None
            and operation.name not in WAITING
            and not operation.name.startswith((*READING, "Get"))
        ):
            self._virtual.hold()  # its client may go on
        key = (operation.name if operation else UNKNOWN, reply.code or "OK", reply.status)
        counted = self.requests.get(key)
        if counted is None:
            counted = self.requests[key] = Histogram(REQUEST_SECONDS)
        counted.add(seconds)
        if reply.status < 400:
            level = logging.DEBUG
        else:
            level = logging.INFO if reply.status < 500 else logging.ERROR
        if log.isEnabledFor(level):
            fields = {
                "request": request.id,
                "operation": key[0],
                "code": key[1],
                "status": reply.status,
                "ms": round(seconds * 1000, 3),
            }
            log.log(level, "request", extra={"fields": fields})
        if reply.status >= 500:
            self._on_fault()
