"""`stepwell serve`: one process with the engine, its database and the API over HTTP, in one event
loop.

    connection --uvicorn's protocol--> Admission (authentication, limits) --> App (protocols)
    --> Engine --commit--> answer

Crash-only: startup always runs recovery first, and a failure of the store ends the process with an
error, so that its supervisor restarts it. SIGTERM and SIGINT stop it in order: no new connections,
long polls are answered, open requests get `drain_seconds`, what is decided is committed, the WAL is
checkpointed, exit code 0. A second signal ends it at once, which loses nothing either.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from uvicorn.server import ServerState

from stepwell.engine import loop
from stepwell.engine.errors import StoreError
from stepwell.integrations import database, log_sink
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.console.routes import Console
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.machine_tasks import ServerTasks
from stepwell.integrations.server import log as server_log
from stepwell.integrations.server import metrics
from stepwell.integrations.server.admission import Admission
from stepwell.integrations.server.app import App, Handler, Receive, Scope, Send
from stepwell.integrations.server.connections import Connections
from stepwell.integrations.server.endpoint_variables import endpoints
from stepwell.integrations.server.host_check import HostCheck, is_loopback
from stepwell.integrations.server.http_apis import HttpApiRoutes
from stepwell.integrations.server.sigv4 import Key, Verifier, read_credentials
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.tasks.iam_policies import Policies, PolicyError

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.broker import Address

log: Final = logging.getLogger("stepwell.server")

functions_log: Final = logging.getLogger(server_log.FUNCTIONS)

INTERNAL: Final = 70
INTERRUPTED: Final = 130
BACKLOG: Final = 2048
OPERATIONS: Final = "stepfunctions"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server does: one field for each option of `stepwell serve`."""

    db: database.Database
    """The database; a file is created if it is missing."""
    host: str = "127.0.0.1"
    """Address to listen on. Addresses other than loopback require `credentials`."""
    port: int = 8083
    """0: a free port, which the log names."""
    functions: Path | None = None
    """Folder of the Lambda functions; None: for each machine the one that `stepwell run` stored."""
    region: str | None = None
    """Region of the ARNs; None: that of the database, else us-east-1."""
    account: str | None = None
    """Account id of the ARNs, twelve digits; None: that of the database, else 123456789012."""
    credentials: Path | None = None
    """Keys that requests must be signed with, in the format of ~/.aws/credentials; None: signatures
    are not checked. With keys, there is no console."""
    allow_host: tuple[str, ...] = ()
    """Host names of the server besides those of loopback; `*.NAME` for all names below NAME."""
    log_format: server_log.Format = server_log.Format.TEXT
    log_level: str = "info"
    """debug, info, warning or error."""
    log_sink: str | None = None
    """Destination of execution logs: "-" standard output, "FOLDER/" a file for each log group, else
    one file; None: they are discarded."""
    retention_days: int = 90
    """Days after which closed executions are deleted."""
    console: bool = True
    """Serve the console page at /."""
    read_only: bool = False
    """Refuse the actions of browsers; SDKs are not affected."""
    aws_endpoints: tuple[tuple[str, str], ...] = ()
    """(botocore's name of a service, or "" for all others, URL): where tasks reach services that
    the server does not implement."""
    allow_aws: bool = False
    """Call services without an endpoint at AWS."""
    allow_private: bool = False
    """Let HTTP tasks and targets call this machine and private networks."""
    policies: Path | None = None
    """JSON file that maps role ARNs to IAM policies; None: tasks may call everything."""
    mqtt: Address | None = None
    """MQTT broker of topic rules; None: topic rules receive only what is published here."""
    smtp: tuple[str, int] | None = None
    """Host and port of the mail server for topics; None: mail is stored, not sent."""


def run(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> int:
    """Serve until a signal stops the process; the exit code is 0. Raises UsageError,
    StoreInUseError, and StoreError when the store fails.
    """
    server_log.set_up(settings.log_format, settings.log_level)
    limits = replace(limits, retention_seconds=settings.retention_days * 24 * 3600)
    loop.run(Server(settings, limits).serve())
    return 0


class Server:
    def __init__(self, settings: Settings, limits: Limits = DEFAULT_LIMITS) -> None:
        self._settings, self._limits = settings, limits
        self._state = ServerState()

    async def serve(self) -> None:
        settings = self._settings
        keys = _keys(settings)
        home = await database.home_of(settings.db, settings.region, settings.account)
        listening = _listen(settings.host, settings.port)
        try:
            self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._on_signals()
            self._began = asyncio.get_running_loop().time()
            log.debug("opening", extra={"fields": {"db": str(settings.db)}})
            printer = Printer(_log_output, self._limits)
            tasks = self._tasks(self._url(listening), printer)
            self._log_sink = log_sink.parse(settings.log_sink) if settings.log_sink else None
            async with database.served(
                settings.db, tasks, home, self._limits, self._log_sink
            ) as engine:
                self._engine = engine
                services = {OPERATIONS: engine, **await tasks.services()}
                if settings.mqtt is not None:
                    await services["iot"].connect(settings.mqtt)
                self._make_app(services, tasks, keys)
                await self._answer(listening)
            await printer.close()
            await self._finish()  # long polls were answered when the engine closed
        finally:
            listening.close()
        log.info("stopped")

    def _tasks(self, url: str, printer: Printer) -> ServerTasks:
        settings = self._settings
        outside = Outside(
            dict(settings.aws_endpoints),
            allow_aws=settings.allow_aws,
            allow_private=settings.allow_private,
            smtp=settings.smtp,
            limits=self._limits,
        )
        tasks = ServerTasks(settings.functions, printer, outside, _policies(settings), self._limits)
        tasks.url = url
        tasks.environment = endpoints(url, outside)
        return tasks

    def _make_app(
        self, services: Mapping[str, Any], tasks: ServerTasks, keys: Mapping[str, Key]
    ) -> None:
        settings, engine, limits = self._settings, self._engine, self._limits
        hosts = HostCheck(settings.allow_host if is_loopback(settings.host) else None)
        verifier = Verifier(keys, engine.home.region, engine.clock) if keys else None
        self._admission = Admission(
            hosts,
            verifier,
            engine.clock,
            self._check_store,
            limits,
            read_only=settings.read_only,
        )
        self._console = None
        if settings.console and verifier is None:  # a page cannot sign its requests
            self._console = Console(
                engine, services, tasks.delivery_log, settings.read_only, limits
            )
        self._app = App(
            services, routes=self._routes(services), hooks=self._admission, limits=limits
        )
        apis = HttpApiRoutes(services["apigatewayv2"], verifier, self._app.read, limits)
        self._app.routes |= apis.routes()
        self._app.by_host = apis.by_host

    def _url(self, listening: socket.socket) -> str:
        return f"http://{_url_host(self._settings.host)}:{listening.getsockname()[1]}"

    async def _answer(self, listening: socket.socket) -> None:
        """Answer requests until the server is stopped; then until no request is open, at most
        `drain_seconds`. Raises StoreError.
        """
        engine = self._engine
        on_failure = engine.worker.on_failure

        def failed(error: BaseException, execution_id: int | None) -> None:
            on_failure(error, execution_id)
            if execution_id is None:
                self._fail(error)

        engine.worker.on_failure = failed
        self._state.default_headers = self._admission.date
        self._connections = Connections(
            self._admission.around(self._app), self._state, self._limits
        )
        server = await asyncio.get_running_loop().create_server(
            self._connections.make, sock=listening, backlog=BACKLOG
        )
        self._lag = metrics.Lag(self._each_second)
        self._lag.start()
        fields = {
            "url": self._url(listening),
            "db": str(self._settings.db),
            "region": engine.home.region,
            "account": engine.home.account,
            "recovery_ms": round((asyncio.get_running_loop().time() - self._began) * 1000),
        }
        log.info("listening", extra={"fields": fields})
        try:
            await self._stop
        finally:
            self._lag.stop()
            server.close()
            engine.worker.on_failure = on_failure
        self._admission.stopping = True
        self._app.drain()
        if self._console is not None:
            self._console.drain()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=self._limits.drain_seconds)

    async def _finish(self) -> None:
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=1)
        for connection in list(self._state.connections):
            connection.transport.close()

    def _each_second(self) -> None:
        self._admission.tell_time()
        self._connections.sweep()
        self._check_store()

    # --- stopping ---------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        def stop(name: str) -> None:
            if self._stop.done():
                os._exit(INTERRUPTED)
            log.info("stopping", extra={"fields": {"signal": name, "open": len(self._state.tasks)}})
            self._stop.set_result(None)
            # if stopping takes too long, exit as in a crash: nothing is lost
            watchdog = threading.Timer(2 * self._limits.drain_seconds, os._exit, (INTERNAL,))
            watchdog.daemon = True
            watchdog.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop, number.name)

    def _fail(self, error: BaseException) -> None:
        if not self._stop.done():
            self._stop.set_exception(error)

    def _check_store(self) -> None:
        """Fail if the store has failed. Called each second, because its file may have been deleted,
        and after an internal error, because writes outside the worker (a state machine) may fail
        first.
        """
        with suppress(StoreError):
            self._engine.worker.check()
            try:
                self._engine.store.check()
            except StoreError as error:
                self._fail(error)

    # --- pages besides the API --------------------------------------------------------------------

    def _routes(self, services: Mapping[str, Any]) -> Mapping[str, Handler]:
        status = {
            "/health": _page(lambda: (200, "ok\n")),
            "/ready": _page(self._ready),
            "/metrics": _page(self._metrics),
        }
        of_services = {
            path: handler
            for each in services.values()
            for path, handler in getattr(each, "routes", {}).items()
        }
        console = {} if self._console is None else self._console.routes()
        return {**of_services, **status, **console}

    def _ready(self) -> tuple[int, str]:
        """200 if the store takes commits and the server is not stopping. (It listens only after
        recovery.)
        """
        try:
            self._engine.worker.check()
            self._engine.store.check()
        except StoreError as error:
            return 503, f"{error}\n"
        return (503, "stopping\n") if self._admission.stopping else (200, "ready\n")

    def _metrics(self) -> tuple[int, str]:
        families = (
            *metrics.of_build("postgresql" if self._settings.db.file is None else "sqlite"),
            *metrics.of_engine(self._engine),
            *metrics.of_shards(1, 1),  # this process owns the whole database
            *metrics.of_log_sink(self._log_sink),
            *metrics.of_loops(self._engine.supervisor.loops),
            *metrics.of_requests(self._admission.requests, self._admission.open),
            *metrics.of_connections(
                len(self._connections), len(self._connections.arriving), self._connections.evicted
            ),
            *metrics.of_process(self._lag),
        )
        return 200, metrics.text(families)


def _page(make: Callable[[], tuple[int, str]]) -> Handler:
    """The ASGI application of a text page. make() -> (status, text)"""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        status, text = make()
        body = text.encode()
        headers = [
            (b"content-type", metrics.CONTENT_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def _log_output(function: str, text: str) -> None:
    """Log what a function prints."""
    for line in text.removesuffix("\n").split("\n"):
        functions_log.info("%s", line, extra={"fields": {"function": function}})


# --- settings that are files or addresses ---------------------------------------------------------


def _keys(settings: Settings) -> Mapping[str, Key]:
    """Empty: signatures are not checked. Raises UsageError where other machines may call."""
    if settings.credentials is not None:
        try:
            return read_credentials(settings.credentials)
        except (ValueError, OSError) as fault:
            raise UsageError(f"--credentials {fault}") from None
    if not is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host} can be reached from other machines, so requests must be "
            "signed: name a file of keys with --credentials (the format of ~/.aws/credentials)"
        )
    return {}


def _policies(settings: Settings) -> Policies | None:
    """Raises UsageError."""
    try:
        return None if settings.policies is None else Policies.read(settings.policies)
    except PolicyError as fault:
        raise UsageError(f"--policies {fault}") from None


def _listen(host: str, port: int) -> socket.socket:
    """Raises UsageError. Clients that connect during recovery wait in the backlog."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:  # gaierror, of a name that does not resolve, has a number of its own
        words = (
            fault.strerror if isinstance(fault, socket.gaierror) else os.strerror(fault.errno or 0)
        )
        raise UsageError(f"{_url_host(host)}:{port} cannot be listened on: {words}") from None


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
