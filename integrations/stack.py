"""What serves one database, or one shard of it: an engine, its tasks, the embedded services and the
pages that show them. A server has one; a node of a cluster has one for each of its shards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.integrations import database
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.console.routes import Console
from stepwell.integrations.limits import Limits
from stepwell.integrations.machine_tasks import ServerTasks
from stepwell.integrations.server.app import Handler, Receive
from stepwell.integrations.server.endpoint_variables import endpoints
from stepwell.integrations.server.http_apis import HttpApiRoutes
from stepwell.integrations.server.protocols.aws_json import Request
from stepwell.integrations.server.sigv4 import Key, Verifier
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.settings import Settings, policies_of
from stepwell.integrations.tracing.traces import Telemetry

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


class Stack:
    """services  botocore's name -> the object with the operations of a service"""

    def __init__(
        self, around: Surroundings, engine: Engine, tasks: ServerTasks, services: Mapping[str, Any]
    ) -> None:
        settings, limits = around.settings, around.limits
        self.engine, self.services = engine, services
        verifier = Verifier(around.keys, engine.home.region, engine.clock) if around.keys else None
        self._console = None
        if settings.console and verifier is None:  # a page cannot sign its requests
            self._console = Console(
                engine, services, tasks.delivery_log, settings.read_only, limits
            )
        apis = HttpApiRoutes(services["apigatewayv2"], verifier, around.read, limits)
        self.by_host = apis.by_host
        self.routes: Mapping[str, Handler] = {
            path: handler
            for routes in (
                *(getattr(each, "routes", {}) for each in services.values()),
                {} if self._console is None else self._console.routes(),
                apis.routes(),
            )
            for path, handler in routes.items()
        }

    def check(self) -> None:
        """Raises StoreError if its store takes no commits any more."""
        self.engine.worker.check()
        self.engine.store.check()

    def drain(self) -> None:
        """End what streams: the server stops."""
        if self._console is not None:
            self._console.drain()


@asynccontextmanager
async def opened(
    around: Surroundings, on_failure: Callable[[BaseException], object]
) -> AsyncIterator[Stack]:
    """A stack that runs. Raises StoreInUseError, UsageError.

    on_failure  called when its store fails
    """
    settings, limits = around.settings, around.limits
    outside = Outside(
        dict(settings.aws_endpoints),
        allow_aws=settings.allow_aws,
        allow_private=settings.allow_private,
        smtp=settings.smtp,
        limits=limits,
    )
    tasks = ServerTasks(settings.functions, around.printer, outside, policies_of(settings), limits)
    tasks.url = around.url
    tasks.environment = endpoints(around.url, outside)
    async with database.served(
        settings.db, tasks, around.home, limits, around.log_sink, around.telemetry
    ) as engine:
        services = {OPERATIONS: engine, **await tasks.services()}
        if settings.mqtt is not None:
            await services["iot"].connect(settings.mqtt)
        before = engine.worker.on_failure

        def failed(error: BaseException, execution_id: int | None) -> None:
            before(error, execution_id)
            if execution_id is None:
                on_failure(error)

        engine.worker.on_failure = failed
        try:
            yield Stack(around, engine, tasks, services)
        finally:
            engine.worker.on_failure = before
