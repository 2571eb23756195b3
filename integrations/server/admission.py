"""Who may come in, how many at once, and what is counted and said of each request: the App's hooks,
and the ASGI layer around it.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from stepwell.engine import messages as engine_messages
from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.calls import ANONYMOUS
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server import messages
from stepwell.integrations.server.app import App, Hooks, Receive, Scope, Send
from stepwell.integrations.server.host_check import (
    REFUSED,
    HostCheck,
    is_browser,
    is_cross_site,
    is_navigation,
)
from stepwell.integrations.server.http_apis import is_api
from stepwell.integrations.server.protocols.aws_json import Operation, Reply, Request, scope_service
from stepwell.integrations.server.protocols.query import LINKS
from stepwell.integrations.server.sigv4 import Verifier

log: Final = logging.getLogger("stepwell.requests")

STATUS_PATHS: Final = ("/health", "/ready", "/metrics")  # answered under any load
UNKNOWN: Final = "unknown"
LOOKS: Final = (
    "Describe",
    "List",
    "GetExecutionHistory",
    "Validate",
)  # names of operations that change nothing begin so
SMALL_BYTES: Final = 16 * 1024
_HELD: Final = "stepwell.held"  # in the scope of a request: (client, bytes of its body)


class Bodies:
    """The memory that bodies take while their requests are open, counted as they come, in all and
    of each client.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total, self._clients = 0, dict[str, int]()

    def room(self, scope: Scope, size: int) -> bool:
        """Whether a body of this size could be held now."""
        return self._fits(_client(scope), size)

    def _fits(self, client: str, more: int) -> bool:
        limits = self._limits
        return (
            self._total + more <= limits.open_request_bytes
            and self._clients.get(client, 0) + more <= limits.peer_request_bytes
        )

    def hold(self, scope: Scope, size: int) -> bool:
        """Hold `size` bytes of a request in place of what was held of it."""
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
    """Who shares what one client may take: an address, of IPv6 the network that one of them is
    given.
    """
    host = str((scope.get("client") or ("", 0))[0])
    return (
        str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
        if ":" in host
        else host
    )


class Admission(Hooks):
    """The server's hooks.

    verifier  None: any signature is good, and none too
    read_only pages of browsers may look, and change nothing; other clients may do what they like
    on_fault  called when an answer was a fault of the server
    requests  (operation, code) -> [count, seconds]
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
        self._hosts, self._verifier, self._clock, self._on_fault, self._limits = (
            hosts,
            verifier,
            clock,
            on_fault,
            limits,
        )
        self.requests: dict[tuple[str, str], list[float]] = {}
        self.open, self._bodies = 0, Bodies(limits)
        self._reading: Callable[[], int] = lambda: 0
        self.stopping = False
        self.date: list[tuple[bytes, bytes]] = [
            (b"date", b"")
        ]  # headers of every answer; changed in place
        self.tell_time()

    def tell_time(self) -> None:
        """Called each second: the Date of the answers until the next."""
        self.date[0] = (b"date", formatdate(self._clock.wall() // 1000, usegmt=True).encode())

    def around(self, app: App) -> Callable[[Scope, Receive, Send], object]:
        """The ASGI application to serve: the App, with its open requests counted."""
        self._reading = lambda: app.reading

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            self.open += 1
            try:
                await app(scope, receive, send)
            finally:
                self.open -= 1
                self._bodies.release(scope)

        return serve

    # --- hooks ------------------------------------------------------------------------------------

    def guard(self, request: Request) -> None:
        headers = request.headers
        host, origin = (
            headers.get(b"host"),
            None if is_api(request) else headers.get(b"origin"),
        )  # an API has origins of its own
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
        if self._full() or not self._promises(request):
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)

    def _full(self) -> bool:
        """Whether too many requests are answered. Those that are still on their way take nobody's
        place.
        """
        return self.open - self._reading() > self._limits.open_requests

    def _promises(self, request: Request) -> bool:
        """Whether the body would find room by what its head says: better to refuse it now than
        after it came.
        """
        length = request.headers.get(b"content-length", b"0")
        size = int(length) if length.isdigit() and len(length) < 20 else 0
        return size <= SMALL_BYTES or self._bodies.room(
            request.scope, min(size, self._limits.upload_bytes)
        )

    def hold(self, request: Request, read: int) -> None:
        if read > SMALL_BYTES and not self._bodies.hold(
            request.scope, read
        ):  # small ones are bounded by their number
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)

    def admit(self, request: Request, operation: Operation) -> None:
        if self._full():
            raise ApiError("ThrottlingException", engine_messages.THROTTLED)
        link = request.method == "GET" and (operation.service, operation.name) in LINKS
        if (
            self._read_only
            and not link
            and is_browser(request.headers)
            and not operation.name.startswith(LOOKS)
        ):
            raise ApiError(REFUSED, messages.READ_ONLY)
        ANONYMOUS.set(link and not scope_service(request))
        if self._verifier is None or ANONYMOUS.get():
            return
        path, query = (
            request.scope["raw_path"].decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
        )
        self._verifier.check(
            request.method, path, query, request.scope["headers"], request.body, operation.signing
        )

    def observe(
        self, request: Request, operation: Operation | None, reply: Reply, seconds: float
    ) -> None:
        key = (operation.name if operation else UNKNOWN, reply.code or "OK")
        counted = self.requests.get(key)
        if counted is None:
            counted = self.requests[key] = [0, 0.0]
        counted[0] += 1
        counted[1] += seconds
        level = (
            logging.DEBUG
            if reply.status < 400
            else logging.INFO
            if reply.status < 500
            else logging.ERROR
        )
        if log.isEnabledFor(level):
            told = {
                "request": request.id,
                "operation": key[0],
                "code": key[1],
                "status": reply.status,
                "ms": round(seconds * 1000, 3),
            }
            log.log(level, "request", extra={"fields": told})
        if reply.status >= 500:
            self._on_fault()
