"""class App: the AWS API as an ASGI application. A request: bytes -> operation and keyword
arguments -> method -> answer by botocore's model.

    app = App({"stepfunctions": engine}, routes={"/health": health})

`services` maps a service (botocore's name) to the object whose methods are its operations:
StartExecution is `start_execution`. No operation is named here except long polls and uploads.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from time import perf_counter
from typing import Any, Final

from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.ids import uuids
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server import messages
from stepwell.integrations.server.protocols.aws_json import (
    JsonProtocol,
    Operation,
    Reply,
    Request,
    status_of,
)
from stepwell.integrations.server.protocols.table import protocols

log: Final = logging.getLogger("stepwell.api")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]  # an ASGI application

# cancelled when the client disconnects: they have done nothing for it yet
LONG_POLLS: Final = frozenset({"GetActivityTask", "ReceiveMessage"})
UPLOADS: Final = frozenset(
    {"CreateFunction", "Invoke", "InvokeAsync", "PublishLayerVersion", "UpdateFunctionCode"}
)  # of upload_bytes
RETRY_AFTER: Final = {
    "ThrottlingException": 1,
    "ServiceUnavailable": 1,
}  # seconds that a client should wait


class Hooks:
    """What a server adds to the App. They refuse a request by an ApiError."""

    def enter(self, scope: Scope) -> None:
        """A request is open, until `leave`; for every path."""

    def leave(self, scope: Scope) -> None: ...

    def guard(self, request: Request) -> None:
        """Check Host, Origin and load, before any of the body is read; for every path."""

    def hold(self, request: Request, read: int) -> None:
        """Check whether `read` bytes of the body, which have arrived, may be held."""

    def admit(self, request: Request, operation: Operation) -> None:
        """Check the signature, with the whole body."""

    def observe(
        self, request: Request, operation: Operation | None, reply: Reply, seconds: float
    ) -> None:
        """Called with every answer of the API (not of `routes`)."""


class App:
    """An ASGI application.

    services   botocore's name of a service -> the object with its operations
    routes     path -> ASGI application, besides the AWS API; "/name/" includes every path below it.
               POST / is always the API's
    hooks      the checks of the server
    by_host    request -> ASGI application, for those that are addressed by their Host
    """

    def __init__(
        self,
        services: Mapping[str, object],
        *,
        routes: Mapping[str, Handler] | None = None,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
        new_uuid: Callable[[], str] | None = None,
    ) -> None:
        self.services, self.routes, self.hooks = (
            dict(services),
            dict(routes or {}),
            hooks or Hooks(),
        )
        self._limits, self._new_uuid = limits, new_uuid or uuids()
        self._protocols = protocols(self.services, limits)
        self._json = next(
            (each for each in self._protocols if isinstance(each, JsonProtocol)), None
        )
        self.by_host: Callable[[Request], Handler | None] | None = None
        self._methods: dict[Operation, Callable[..., Awaitable[Mapping[str, Any]]]] = {}
        self._polls: set[asyncio.Future[Any]] = set()
        self._readers = TimeLimit(limits.request_seconds)
        self._draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served here, not {scope['type']}")
        started = perf_counter()
        request = Request(scope, self._new_uuid())
        self.hooks.enter(scope)
        try:
            handler = self._handler(request)
            reply = await self._reply(request, receive, handler is not None)
            if reply is None and handler is not None:
                await handler(scope, receive, send)
            elif reply is not None:
                await _send(send, reply)
                self.hooks.observe(request, request.operation, reply, perf_counter() - started)
        except ClientGone:
            return
        finally:
            self.hooks.leave(scope)

    def dispatch(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, Reply] | None:
        """What answers a whole request that names its operation in X-Amz-Target; None: __call__
        does.
        """
        if self._json is None or scope["method"] != "POST":
            return None
        request = Request(scope, self._new_uuid())
        operation = request.operation = self._json.find(request)
        if operation is None or self._handler(request) is not None:
            return None
        if operation.name in LONG_POLLS or len(body) > self._most(request):
            return None
        request.body, request.read = body, True
        return self._answer(request)

    async def _answer(self, request: Request) -> Reply:
        started = perf_counter()
        self.hooks.enter(request.scope)
        try:
            reply = await self._reply(request, _nothing, False)
            assert reply is not None, "it has no route"
            self.hooks.observe(request, request.operation, reply, perf_counter() - started)
            return reply
        finally:
            self.hooks.leave(request.scope)

    @property
    def reading(self) -> int:
        """The number of requests whose body is arriving."""
        return len(self._readers)

    def drain(self) -> None:
        """The server stops: long polls have no result. Those that come from now on are refused, or
        clients would ask in a loop.
        """
        self._draining = True
        for poll in self._polls:
            poll.cancel()

    def _handler(self, request: Request) -> Handler | None:
        if self.by_host is not None and (handler := self.by_host(request)) is not None:
            return handler
        if request.path == "/" and (
            request.method == "POST" or b"Action=" in request.scope["query_string"]
        ):
            return None
        return route_of(self.routes, request.path)

    async def _reply(self, request: Request, receive: Receive, routed: bool) -> Reply | None:
        """The answer or the error; None for a request that its route answers. Raises ClientGone."""
        try:
            self.hooks.guard(request)
            if routed:
                return None
            if request.read:
                self.hooks.hold(request, len(request.body))
            else:
                await self._read(request, receive)
            operation = request.operation
            if operation is None:
                raise ApiError("UnknownOperationException", "")
            self.hooks.admit(request, operation)
            output = await self._call(operation, request, receive)
            if (
                "ResponseMetadata" in output
            ):  # Lambda's request id is the one that the function has received
                request.id = output["ResponseMetadata"]["RequestId"]
            return _complete(operation.protocol.answer(operation, request, output), request)
        except ApiError as error:
            return self._error(error, request)
        except StoreError as error:
            return self._unavailable(request, error)
        except MemoryError:
            return self._unavailable(request, "there is too little memory")
        except ClientGone:
            raise
        except Exception as error:
            self._log_bug(error, request)
            return self._error(ApiError("InternalFailure", messages.INTERNAL_FAILURE), request)

    def _unavailable(self, request: Request, reason: object) -> Reply:
        log.error("request %s: %s: %s", request.id, _name(request), reason)
        return self._error(ApiError("ServiceUnavailable", messages.UNAVAILABLE), request)

    async def _read(self, request: Request, receive: Receive) -> None:
        """The body, and the operation if the head does not name it."""
        early = request.operation = self._find(request)
        request.body = await self.read(request, receive, self._most(request))
        request.read = True
        request.operation = early or self._find(request)

    def _most(self, request: Request) -> int:
        """The maximum size of the body, in bytes."""
        uploads = request.operation is not None and request.operation.name in UPLOADS
        if uploads and request.headers.get(b"content-length", b"0").isdigit():
            return self._limits.upload_bytes
        return self._limits.request_bytes

    async def read(self, request: Request, receive: Receive, limit: int) -> bytes:
        """The body of a request. Raises ApiError if it is too long or comes too slowly,
        ClientGone.
        """
        length = request.headers.get(b"content-length", b"0")
        read, pieces, more = 0, list[bytes](), not length.isdigit() or int(length) <= limit
        ticket = self._readers.enter()
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                pieces.append(message.get("body", b""))
                read += len(pieces[-1])
                self.hooks.hold(request, read)
                more = read <= limit and message.get("more_body", False)
        except asyncio.CancelledError:
            if not self._readers.expired(ticket):
                raise
            raise ApiError(
                "RequestTimeout",
                messages.REQUEST_TOO_SLOW.format(seconds=self._limits.request_seconds),
            ) from None
        finally:
            self._readers.leave(ticket)
        if read > limit or not pieces:
            raise ApiError("RequestEntityTooLarge", messages.REQUEST_TOO_LARGE.format(limit=limit))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _find(self, request: Request) -> Operation | None:
        for protocol in self._protocols:
            operation = protocol.find(request)
            if operation is not None:
                return operation
        return None

    def _call(
        self, operation: Operation, request: Request, receive: Receive
    ) -> Awaitable[Mapping[str, Any]]:
        """Its answer, to be awaited."""
        method = self._methods.get(operation) or self._method(operation)
        REACHED.set(
            f"{request.scope.get('scheme', 'http')}://{host.decode('latin-1')}"
            if (host := request.headers.get(b"host"))
            else ""
        )
        answer = method(**operation.protocol.arguments(operation, request))
        return self._poll(answer, receive) if operation.name in LONG_POLLS else answer

    def _method(self, operation: Operation) -> Callable[..., Awaitable[Mapping[str, Any]]]:
        """What carries the operation out. Raises ApiError if its service does not have it."""
        method: Callable[..., Awaitable[Mapping[str, Any]]] | None = getattr(
            self.services[operation.service], operation.method, None
        )
        if method is None:
            raise ApiError(
                "UnknownOperationException",
                messages.NOT_IMPLEMENTED.format(
                    service=operation.service, operation=operation.name
                ),
            )
        self._methods[operation] = method
        return method

    async def _poll(
        self, answer: Awaitable[Mapping[str, Any]], receive: Receive
    ) -> Mapping[str, Any]:
        """The answer, unless the client disconnects or the server stops: then the call is cancelled
        and releases what it held. An empty answer is no error: the client asks again, elsewhere.
        """
        late = self._draining
        work = asyncio.ensure_future(answer)
        disconnect = asyncio.ensure_future(disconnected(receive))
        self._polls.add(work)
        if late:
            work.cancel()
        try:
            await asyncio.wait((work, disconnect), return_when=asyncio.FIRST_COMPLETED)
            if disconnect.done() and not work.done():
                work.cancel()
            return await work  # it may have finished at the same time
        except asyncio.CancelledError:
            if not work.done():  # this request itself is cancelled
                work.cancel()
                raise
            if disconnect.done():
                raise ClientGone from None
            if late:
                raise ApiError("ServiceUnavailable", messages.UNAVAILABLE) from None
            return {}
        finally:
            disconnect.cancel()
            self._polls.discard(work)

    def _error(self, error: ApiError, request: Request) -> Reply:
        if request.operation:
            protocol = request.operation.protocol
        else:
            speaking = (each for each in self._protocols if each.speaks(request))
            protocol = next(speaking, self._protocols[0])
        reply = protocol.error(error, status_of(error, request), request)
        if error.code in RETRY_AFTER:
            seconds = RETRY_AFTER[error.code]
            hints = (
                (b"retry-after", seconds),
                (b"x-amz-retry-after", 1000 * seconds),
            )  # SDKs read the second
            reply.headers.extend((name, b"%d" % value) for name, value in hints)
        return _complete(reply, request)

    def _log_bug(self, error: Exception, request: Request) -> None:
        """Log where it happened, and the error's text unless it may have sensitive data in it."""
        sensitive = request.operation is None or request.operation.sensitive
        text = type(error).__name__ if sensitive else repr(error)
        log.error(
            "request %s: %s: a bug: %s\n%s",
            request.id,
            _name(request),
            text,
            "".join(traceback.format_tb(error.__traceback__)),
        )


def route_of(routes: Mapping[str, Handler], path: str) -> Handler | None:
    """The application of a path: its own, or that of the first folder."""
    return routes.get(path) or routes.get(path[: path.find("/", 1) + 1])


class TimeLimit:
    """Cancels tasks that stay longer than `seconds`. All have the same time, so the oldest is due
    first and one timer serves every task:
    asyncio.timeout costs each request ten times as much."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._inside: dict[asyncio.Task[Any], float] = {}  # since when, oldest first
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self) -> asyncio.Task[Any]:
        """Of the current task: what `leave` and `expired` want."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._inside[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._sweep, loop)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        self._inside.pop(task, None)

    def expired(self, task: asyncio.Task[Any]) -> bool:
        """Whether this timeout cancelled the task; if so, the task continues."""
        return task not in self._inside and task.uncancel() == 0

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, due = None, loop.time() - self._seconds
        for task, since in list(self._inside.items()):
            if since > due:
                self._timer = loop.call_at(since + self._seconds, self._sweep, loop)
                return
            del self._inside[task]
            task.cancel()


class ClientGone(Exception):
    """The client has disconnected."""


async def disconnected(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _name(request: Request) -> str:
    return (
        request.operation.name if request.operation else f"{request.method} {request.path[:100]!r}"
    )


async def _nothing() -> MutableMapping[str, Any]:
    raise AssertionError("the body has been read")


def _complete(reply: Reply, request: Request) -> Reply:
    """Add the headers that every answer has, besides its length."""
    reply.headers.append((b"x-amzn-requestid", request.id.encode()))
    if not request.read:  # the rest of its body would be parsed as the next request
        reply.headers.append((b"connection", b"close"))
    return reply


async def _send(send: Send, reply: Reply) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
