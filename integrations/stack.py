"""What serves one database, or one shard of it: an engine, its tasks, the embedded services and the
pages that show them. A server has one; a node of a cluster has one for each of its shards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.store.base import Health, Store
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.console.routes import Console
from stepwell.integrations.database import owning
from stepwell.integrations.host import Executions, Peers
from stepwell.integrations.limits import Limits
from stepwell.integrations.machine_tasks import ServerTasks
from stepwell.integrations.server import metrics
from stepwell.integrations.server.app import Handler, Receive, Scope, Send, route_of
from stepwell.integrations.server.endpoint_variables import endpoints
from stepwell.integrations.server.http_apis import HttpApiRoutes
from stepwell.integrations.server.protocols.aws_json import Request
from stepwell.integrations.server.sigv4 import Key, Verifier
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.settings import Settings, policies_of
from stepwell.integrations.tracing.telemetry import Telemetry

log: Final = logging.getLogger("stepwell.mocks")

OPERATIONS: Final = "stepfunctions"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a stack needs besides the settings of its server.

    url         of the server
    printer     of what functions print
    log_sink    of executions; None: their logs are discarded
    telemetry   of traces; None: they are off
    keys        that requests must be signed with; empty: signatures are not checked
    read        (request, receive, maximum bytes) -> the body of a request
    """

    settings: Settings
    limits: Limits
    url: str
    home: Home
    printer: Printer
    log_sink: LogSink | None
    telemetry: Telemetry | None
    keys: Mapping[str, Key]
    read: Callable[[Request, Receive, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Place:
    """Of a stack in a cluster.

    store     of its shard
    peers     see host.Host
    services  botocore's name -> the operations of a service, wherever they are carried out
    executions  see host.Host
    pool      of the processes of functions, of all shards of the node
    """

    store: Store
    peers: Peers
    services: Mapping[str, Any]
    executions: Executions
    pool: Pool


class Stack:
    """services  name -> the object with the operations of a service that is here: by botocore's
    name the embedded ones and the engine's, and what other shards need of this one
    """

    def __init__(
        self,
        around: Surroundings,
        engine: Engine,
        tasks: ServerTasks,
        services: Mapping[str, Any],
        shown: Mapping[str, Any],
    ) -> None:
        """shown: the services that the console shows"""
        settings, limits = around.settings, around.limits
        self.engine, self.services = engine, services
        self.home, self.clock = engine.home, engine.clock
        verifier = Verifier(around.keys, engine.home.region, engine.clock) if around.keys else None
        self._console = None
        if settings.console and verifier is None:  # a page cannot sign its requests
            self._console = Console(engine, shown, tasks.delivery_log, settings.read_only, limits)
        apis: HttpApiRoutes | None = None
        if "apigatewayv2" in services:
            apis = HttpApiRoutes(services["apigatewayv2"], verifier, around.read, limits)
        self._apis = apis
        self.routes: Mapping[str, Handler] = {
            path: handler
            for routes in (
                *(getattr(each, "routes", {}) for each in services.values()),
                {} if self._console is None else self._console.routes(),
                {} if apis is None else apis.routes(),
            )
            for path, handler in routes.items()
        }

    def by_host(self, request: Request) -> Handler | None:
        """The handler of a request that is addressed by its Host."""
        return None if self._apis is None else self._apis.by_host(request)

    async def respond(self, scope: Scope, body: bytes, send: Send) -> None:
        """Respond to a request that came to another node: one that is not the API's."""
        scope["headers"] = [(name, value) for name, value in scope["headers"]]
        request, left = Request(scope, ""), [body]
        handler = self.by_host(request) or route_of(self.routes, request.path)

        async def receive() -> MutableMapping[str, Any]:
            if left:
                return {"type": "http.request", "body": left.pop(), "more_body": False}
            await asyncio.Event().wait()  # it is cancelled when the client has left
            return {"type": "http.disconnect"}

        if handler is None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await handler(scope, receive, send)

    def families(self) -> Iterator[metrics.Family]:
        """The metrics of its engine."""
        yield from metrics.of_parts(self.engine)
        yield from metrics.of_shards(1, 1)  # this process owns the whole database

    async def health(self) -> Health:
        return await self.engine.store.health()

    def check(self) -> None:
        """Raises StoreError if its store takes no commits any more."""
        self.engine.worker.check()
        self.engine.store.check()

    ready = check

    async def hand_over(self) -> None:
        """No other process can carry on."""

    def drain(self) -> None:
        """End what streams: the server stops."""
        if self._console is not None:
            self._console.drain()


@asynccontextmanager
async def opened(
    around: Surroundings,
    on_failure: Callable[[BaseException], object],
    place: Place | None = None,
) -> AsyncIterator[Stack]:
    """A stack that runs. Raises StoreInUseError, UsageError.

    on_failure  called when its store fails
    place       in a cluster; None: it has the whole database
    """
    settings, limits = around.settings, around.limits
    outside = settings.outside(limits, settings.smtp)
    tasks = ServerTasks(settings.functions, around.printer, outside, policies_of(settings), limits)
    if settings.mocks is not None:
        tasks.use_mocks(settings.mocks, settings.mock_validation)
    tasks.url, tasks.environment = around.url, endpoints(around.url, outside)
    store = None
    if place is not None:
        store, tasks.peers, tasks.executions = place.store, place.peers, place.executions
        tasks.elsewhere, tasks.pool = place.services, place.pool
    clock = None
    if settings.skip_time:
        clock = VirtualClock(paced=True, outside_seconds=limits.skip_worker_seconds, limits=limits)
    async with owning.served(
        *(settings.db, tasks, around.home, limits, around.log_sink, around.telemetry, store),
        clock,
        around.url,
    ) as engine:
        services = {OPERATIONS: engine, **await tasks.services()}
        if settings.mqtt is not None and "iot" in services:
            await services["iot"].connect(settings.mqtt)
        before = engine.worker.on_failure

        def failed(error: BaseException, execution_id: int | None) -> None:
            before(error, execution_id)
            if execution_id is None:
                on_failure(error)

        engine.worker.on_failure = failed
        try:
            shown = services if place is None else place.services
            stack = Stack(around, engine, tasks, services, shown)
            stack.check()  # it may have failed before
            yield stack
        finally:
            engine.worker.on_failure = before
            for mock in tasks.mocks.unused():
                log.warning("a mock was not used", extra={"fields": {"mock": mock.text}})
