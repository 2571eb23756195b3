"""`stepwell serve`: one process with the engine, its database and the API over HTTP, in one event
loop.

    connection --uvicorn's protocol--> Gate (who, how many) --> App (the wire) --> Engine
    --commit--> answer

Crash-only: there is no start but recovery, and when the store fails the process ends with an error,
so that whoever supervises it starts it anew. SIGTERM and SIGINT stop it in order: no new
connections, long polls are answered, open requests get `drain_seconds`, what is decided is
committed, the WAL is checkpointed, exit code 0. A second signal ends it at once, which loses
nothing either.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from uvicorn.server import ServerState

from stepwell.engine import loop
from stepwell.engine.errors import StoreError
from stepwell.integrations import database
from stepwell.integrations import log_sink as logs
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.console.routes import Console
from stepwell.integrations.errors import Refused
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server import log as journal
from stepwell.integrations.server import metrics
from stepwell.integrations.server.admission import Gate
from stepwell.integrations.server.app import App, Handler, Receive, Scope, Send
from stepwell.integrations.server.connections import Connections
from stepwell.integrations.server.endpoint_variables import endpoints
from stepwell.integrations.server.host_check import Hosts, is_loopback
from stepwell.integrations.server.http_apis import Door
from stepwell.integrations.server.sigv4 import Verifier, read_credentials
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.tasks.iam_policies import Policies, PolicyFault

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.broker import Address

log: Final = logging.getLogger("stepwell.server")

functions: Final = logging.getLogger(journal.FUNCTIONS)

INTERNAL: Final = 70
INTERRUPTED: Final = 130
BACKLOG: Final = 2048
OPERATIONS: Final = "stepfunctions"


@dataclass(frozen=True)
class Settings:
    """What `stepwell serve` was told. region, account: None takes those of the database, else the
    defaults.
    """

    db: Path
    host: str = "127.0.0.1"
    port: int = 8083
    functions: Path | None = None
    region: str | None = None
    account: str | None = None
    credentials: Path | None = None
    allow_host: tuple[str, ...] = ()
    log_format: journal.Format = journal.Format.TEXT
    log_level: str = "info"
    log_sink: str | None = None
    retention_days: int = 90
    console: bool = True
    read_only: bool = False
    aws_endpoints: tuple[
        tuple[str, str], ...
    ] = ()  # (botocore's name of a service, or "" for all others; URL)
    allow_aws: bool = False
    allow_private: bool = False
    policies: Path | None = None
    mqtt: Address | None = None
    smtp: tuple[str, int] | None = None  # host, port


def run(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> int:
    """Serve until a signal comes: 0. Raises Refused, StoreInUse, and StoreError when the store
    fails.
    """
    journal.set_up(settings.log_format, settings.log_level)
    kept = replace(limits, retention_seconds=settings.retention_days * 24 * 3600)
    loop.run(Server(settings, kept).serve())
    return 0


class Server:
    def __init__(self, settings: Settings, limits: Limits = DEFAULT_LIMITS) -> None:
        self._settings, self._limits = settings, limits
        self._state = ServerState()

    async def serve(self) -> None:
        settings = self._settings
        keys = _keys(settings)
        home = await database.home(settings.db, settings.region, settings.account)
        listening = _listen(settings.host, settings.port)
        try:
            self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._on_signals()
            self._began = asyncio.get_running_loop().time()
            log.debug("opening", extra={"fields": {"db": str(settings.db)}})
            outside = Outside(
                dict(settings.aws_endpoints),
                allow_aws=settings.allow_aws,
                allow_private=settings.allow_private,
                smtp=settings.smtp,
                limits=self._limits,
            )
            printer = Printer(_say, self._limits)
            tasks = database.Background(
                settings.functions, printer, outside, _policies(settings), self._limits
            )
            tasks.url = self._url(listening)
            tasks.environment = endpoints(tasks.url, outside)
            sink = logs.parse(settings.log_sink) if settings.log_sink else None
            async with database.serving(settings.db, tasks, home, self._limits, sink) as engine:
                self._engine = engine
                hosts = Hosts(settings.allow_host if is_loopback(settings.host) else None)
                verifier = Verifier(keys, home.region, engine.clock) if keys else None
                self._gate = Gate(
                    hosts,
                    verifier,
                    engine.clock,
                    self._look_at_store,
                    self._limits,
                    read_only=settings.read_only,
                )
                services = {OPERATIONS: engine, **await tasks.services()}
                if settings.mqtt is not None:
                    await services["iot"].connect(settings.mqtt)
                # a page cannot sign what it asks, so there is none where requests must be signed
                shown = settings.console and verifier is None
                self._console = (
                    Console(engine, services, tasks.delivery_log, settings.read_only, self._limits)
                    if shown
                    else None
                )
                self._app = App(
                    services, routes=self._routes(services), hooks=self._gate, limits=self._limits
                )
                door = Door(services["apigatewayv2"], verifier, self._app.read, self._limits)
                self._app.routes |= door.routes()
                self._app.by_host = door.by_host
                await self._answer(listening)
            await printer.close()
            await self._finish()  # those who still waited were told so when the engine closed
        finally:
            listening.close()
        log.info("stopped")

    def _url(self, listening: socket.socket) -> str:
        return f"http://{_url_host(self._settings.host)}:{listening.getsockname()[1]}"

    async def _answer(self, listening: socket.socket) -> None:
        """Answer until told to stop; then until nothing is open, or the time for that is over.
        Raises StoreError.
        """
        engine = self._engine
        then = engine.worker.on_failure

        def failed(error: BaseException, execution_id: int | None) -> None:
            then(error, execution_id)
            if execution_id is None:
                self._fail(error)

        engine.worker.on_failure = failed
        self._state.default_headers = self._gate.date
        self._connections = Connections(self._gate.around(self._app), self._state, self._limits)
        server = await asyncio.get_running_loop().create_server(
            self._connections.make, sock=listening, backlog=BACKLOG
        )
        self._lag = metrics.Lag(self._each_second)
        self._lag.start()
        where = self._url(listening)
        recovery = round((asyncio.get_running_loop().time() - self._began) * 1000)
        home = {"region": engine.home.region, "account": engine.home.account}
        told = {"url": where, "db": str(self._settings.db), **home, "recovery_ms": recovery}
        log.info("listening", extra={"fields": told})
        try:
            await self._stop
        finally:
            self._lag.stop()
            server.close()
            engine.worker.on_failure = then
        self._gate.stopping = True
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
        self._gate.tell_time()
        self._connections.sweep()
        self._look_at_store()

    # --- ends -------------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        def stop(name: str) -> None:
            if self._stop.done():
                os._exit(INTERRUPTED)
            log.info("stopping", extra={"fields": {"signal": name, "open": len(self._state.tasks)}})
            self._stop.set_result(None)
            watchdog = threading.Timer(
                2 * self._limits.drain_seconds, os._exit, (INTERNAL,)
            )  # crash-only: nothing is lost by it
            watchdog.daemon = True
            watchdog.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop, number.name)

    def _fail(self, error: BaseException) -> None:
        if not self._stop.done():
            self._stop.set_exception(error)

    def _look_at_store(self) -> None:
        """Fail with the store: each second, since its file may be gone, and after a fault, since
        what is written outside of the worker, such as a state machine, may fail first."""
        with suppress(StoreError):
            self._engine.worker.check()
            try:
                self._engine.store.check()
            except StoreError as error:
                self._fail(error)

    # --- what is not the API ----------------------------------------------------------------------

    def _routes(self, services: Mapping[str, Any]) -> Mapping[str, Handler]:
        status = {
            "/health": _page(lambda: (200, "ok\n")),
            "/ready": _page(self._ready),
            "/metrics": _page(self._metrics),
        }
        shown = {
            path: handler
            for each in services.values()
            for path, handler in getattr(each, "routes", {}).items()
        }
        return {**shown, **status, **({} if self._console is None else self._console.routes())}

    def _ready(self) -> tuple[int, str]:
        """Recovered (or it would not listen), the store takes commits, and it is not about to
        stop.
        """
        try:
            self._engine.worker.check()
            self._engine.store.check()
        except StoreError as error:
            return 503, f"{error}\n"
        return (503, "stopping\n") if self._gate.stopping else (200, "ready\n")

    def _metrics(self) -> tuple[int, str]:
        families = (
            *metrics.of_engine(self._engine),
            *metrics.of_loops(self._engine.supervisor.loops),
            *metrics.of_requests(self._gate.requests, self._gate.open),
            *metrics.of_connections(
                len(self._connections), len(self._connections.arriving), self._connections.evicted
            ),
            *metrics.of_process(self._lag),
        )
        return 200, metrics.text(families)


def _page(make: Any) -> Handler:
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


# --- the socket -----------------------------------------------------------------------------------


def _say(function: str, text: str) -> None:
    """What a function prints."""
    for line in text.removesuffix("\n").split("\n"):
        functions.info("%s", line, extra={"fields": {"function": function}})


def _keys(settings: Settings) -> dict[str, Any]:
    """Raises Refused: without keys, only this machine may call."""
    if settings.credentials is not None:
        try:
            return dict(read_credentials(settings.credentials))
        except (ValueError, OSError) as fault:
            raise Refused(f"--credentials {fault}") from None
    if not is_loopback(settings.host):
        raise Refused(
            f"--host {settings.host} can be reached from other machines, so requests must be "
            "signed: "
            "name a file of keys with --credentials (the format of ~/.aws/credentials)"
        )
    return {}


def _policies(settings: Settings) -> Policies | None:
    """Raises Refused."""
    try:
        return None if settings.policies is None else Policies.read(settings.policies)
    except PolicyFault as fault:
        raise Refused(f"--policies {fault}") from None


def _listen(host: str, port: int) -> socket.socket:
    """Raises Refused. Clients that come before recovery has ended wait in the backlog."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:  # a name that does not resolve has no errno of the system's
        words = (
            fault.strerror if isinstance(fault, socket.gaierror) else os.strerror(fault.errno or 0)
        )
        raise Refused(f"{_url_host(host)}:{port} cannot be listened on: {words}") from None


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
