"""Who may come in, how many at once, and what is counted and said of each request: the App's hooks, and the ASGI layer around it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from stepwell.asl import messages
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.integrations.api.app import App, Hooks, Receive, Scope, Send
from stepwell.integrations.api.auth import Verifier
from stepwell.integrations.api.hosts import REFUSED, Hosts, is_browser, is_cross_site, is_navigation
from stepwell.integrations.api.httpapis import is_api
from stepwell.integrations.api.protocol import Operation, Reply, Request, scope_service
from stepwell.integrations.api.query import LINKS
from stepwell.integrations.calls import ANONYMOUS

log: Final = logging.getLogger("stepwell.requests")

STATUS_PATHS: Final = ("/health", "/ready", "/metrics")  # answered under any load
UNKNOWN: Final = "unknown"
LOOKS: Final = ("Describe", "List", "GetExecutionHistory", "Validate")  # names of operations that change nothing begin so
SMALL_BYTES: Final = 16 * 1024
_HELD: Final = "stepwell.held"  # in the scope of a request: bytes set aside for its body


class Gate(Hooks):
    """The server's hooks.

    verifier  None: any signature is good, and none too
    read_only pages of browsers may look, and change nothing; other clients may do what they like
    on_fault  called when an answer was a fault of the server
    requests  (operation, code) -> [count, seconds]
    """

    def __init__(
        self,
        hosts: Hosts,
        verifier: Verifier | None,
        clock: Clock,
        on_fault: Callable[[], None],
        limits: Limits = DEFAULT_LIMITS,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._hosts, self._verifier, self._clock, self._on_fault, self._limits = hosts, verifier, clock, on_fault, limits
        self.requests: dict[tuple[str, str], list[float]] = {}
        self.open = self._held = 0
        self.stopping = False
        self.date: list[tuple[bytes, bytes]] = [(b"date", b"")]  # headers of every answer; changed in place
        self.tell_time()

    def tell_time(self) -> None:
        """Called each second: the Date of the answers until the next."""
        self.date[0] = (b"date", formatdate(self._clock.wall() // 1000, usegmt=True).encode())

    def around(self, app: App) -> Callable[[Scope, Receive, Send], object]:
        """The ASGI application to serve: the App, with its open requests counted."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            self.open += 1
            try:
                await app(scope, receive, send)
            finally:
                self.open -= 1
                self._held -= scope.get(_HELD, 0)

        return serve

    # --- hooks ------------------------------------------------------------------------------------------------------------

    def guard(self, request: Request) -> None:
        headers = request.headers
        host, origin = headers.get(b"host"), None if is_api(request) else headers.get(b"origin")  # an API has origins of its own
        self._hosts.check(None if host is None else host.decode("latin-1"), None if origin is None else origin.decode("latin-1"))
        if is_cross_site(headers) and not is_api(request) and not (request.path == "/" and is_navigation(request.method, headers)):
            raise ApiError(REFUSED, messages.CROSS_SITE)
        if request.path in STATUS_PATHS:
            return
        if self.stopping:
            raise ApiError("ServiceUnavailable", messages.STOPPING)
        if self.open > self._limits.open_requests or not self._holds(request):
            raise ApiError("ThrottlingException", messages.THROTTLED)

    def _holds(self, request: Request) -> bool:
        """Set memory aside for the body. Small ones are bounded by their number."""
        length = request.headers.get(b"content-length", b"0" if b"transfer-encoding" not in request.headers else b"")
        size = int(length) if length.isdigit() and len(length) < 20 else self._limits.request_bytes
        if size > SMALL_BYTES:
            size = min(size, self._limits.upload_bytes)  # what is longer is refused before it is read
            if self._held + size > self._limits.open_request_bytes:
                return False
            self._held += size
            request.scope[_HELD] = size
        return True

    def admit(self, request: Request, operation: Operation) -> None:
        link = request.method == "GET" and (operation.service, operation.name) in LINKS
        if self._read_only and not link and is_browser(request.headers) and not operation.name.startswith(LOOKS):
            raise ApiError(REFUSED, messages.READ_ONLY)
        ANONYMOUS.set(link and not scope_service(request))
        if self._verifier is None or ANONYMOUS.get():
            return
        path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
        self._verifier.check(request.method, path, query, request.scope["headers"], request.body, operation.signing)

    def observe(self, request: Request, operation: Operation | None, reply: Reply, seconds: float) -> None:
        key = (operation.name if operation else UNKNOWN, reply.code or "OK")
        counted = self.requests.get(key)
        if counted is None:
            counted = self.requests[key] = [0, 0.0]
        counted[0] += 1
        counted[1] += seconds
        level = logging.DEBUG if reply.status < 400 else logging.INFO if reply.status < 500 else logging.ERROR
        if log.isEnabledFor(level):
            told = {"request": request.id, "operation": key[0], "code": key[1], "status": reply.status, "ms": round(seconds * 1000, 3)}
            log.log(level, "request", extra={"fields": told})
        if reply.status >= 500:
            self._on_fault()
