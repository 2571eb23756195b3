"""`stepwell serve`: one process with the engine, its database and the API over HTTP, in one event
loop.

    connection --HTTP/1.1--> App (protocols), with Admission (authentication, limits)
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
import shlex
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from stepwell.asl.timestamps import iso_seconds
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Health
from stepwell.integrations import log_sink, loop, stack
from stepwell.integrations.database import reading
from stepwell.integrations.definitions.folders import template_machines
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.limits_files import changed
from stepwell.integrations.server import log as server_log
from stepwell.integrations.server import metrics, systemd
from stepwell.integrations.server.admission import Admission
from stepwell.integrations.server.app import App, Handler, Receive, Scope, Send
from stepwell.integrations.server.connections import Connections
from stepwell.integrations.server.exchange import Exchange
from stepwell.integrations.server.host_check import HostCheck, is_loopback
from stepwell.integrations.server.protocols.aws_json import Request
from stepwell.integrations.server.sigv4 import Key, Verifier
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.settings import Settings, keys_of, url_host
from stepwell.integrations.stack import Surroundings
from stepwell.integrations.tracing import traces

log: Final = logging.getLogger("stepwell.server")

functions_log: Final = logging.getLogger(server_log.FUNCTIONS)

INTERNAL: Final = 70
INTERRUPTED: Final = 130
BACKLOG: Final = 2048
HEALTH_SECONDS: Final = 10.0  # between two questions to the database


def run(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> int:
    """Serve until a signal stops the process; the exit code is 0. Raises UsageError,
    StoreInUseError, and StoreError when the store fails.
    """
    server_log.set_up(settings.log_format, settings.log_level)
    if settings.retention_days is not None:
        limits = replace(limits, retention_seconds=settings.retention_days * 24 * 3600)
    if settings.skip_time:  # years pass: what expires meanwhile is looked for less often
        limits = replace(limits, queue_sweep_seconds=24 * 3600)
    loop.run(Server(settings, limits).serve())
    return 0


class Served(Protocol):
    """What is served: a Stack, or all shards through the Front of a node."""

    @property
    def services(self) -> Mapping[str, Any]: ...
    @property
    def routes(self) -> Mapping[str, Handler]: ...
    @property
    def home(self) -> Home: ...
    @property
    def clock(self) -> Clock: ...
    def by_host(self, request: Request) -> Handler | None: ...
    def check(self) -> None:
        """Raises StoreError if only another process can continue."""

    def ready(self) -> None:
        """Raises StoreError if nothing can be committed now."""

    def families(self) -> Iterable[metrics.Family]: ...
    async def health(self) -> Health | None:
        """Of the database, if this process can ask it now. Raises StoreError."""

    async def hand_over(self) -> None:
        """Let other nodes carry out what comes from now on."""

    def drain(self) -> None:
        """End what streams."""


class Server:
    def __init__(self, settings: Settings, limits: Limits = DEFAULT_LIMITS) -> None:
        self._settings, self._limits = settings, limits
        self._answering: Collection[Exchange] = ()  # what has no answer yet

    async def serve(self) -> None:
        settings = self._settings
        keys = keys_of(settings)
        home = await reading.home_of(settings.db, settings.region, settings.account)
        listening = _listen(settings.host, settings.port)
        try:
            self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._on_signals()
            self._began = asyncio.get_running_loop().time()
            log.debug("opening", extra={"fields": {"db": str(settings.db)}})
            printer = Printer(_log_output, self._limits)
            self._log_sink = log_sink.parse(settings.log_sink) if settings.log_sink else None
            self._telemetry = traces.from_environment(home)
            around = Surroundings(
                settings=settings,
                limits=self._limits,
                url=self._url(listening),
                home=home,
                printer=printer,
                log_sink=self._log_sink,
                telemetry=self._telemetry,
                keys=keys,
                read=lambda *request: self._app.read(*request),  # noqa: PLW0108  # there is no app yet
            )
            async with self._opened(around) as self._served:
                self._make_app(keys)
                await self._answer(listening)
            await printer.close()
            if self._telemetry is not None:
                await asyncio.to_thread(self._telemetry.close, self._limits.traces_close_seconds)
            await self._finish()  # long polls were answered when the engine closed
        finally:
            listening.close()
        log.info("stopped")

    def _opened(self, around: Surroundings) -> AbstractAsyncContextManager[Served]:
        """A file is this process's own; a database on a server is shared with other nodes."""
        if self._settings.db.file is not None:
            return stack.opened(around, on_failure=self._fail)
        from stepwell.integrations.nodes import joining  # imported late: it needs asyncpg

        return joining.joined(around)

    def _make_app(self, keys: Mapping[str, Key]) -> None:
        settings, served, limits = self._settings, self._served, self._limits
        self._admission = Admission(
            HostCheck(settings.allow_host if is_loopback(settings.host) else None),
            Verifier(keys, served.home.region, served.clock) if keys else None,
            served.clock,
            self._check_store,
            limits,
            read_only=settings.read_only,
        )
        status = {
            "/health": _page(lambda: (200, "ok\n")),
            "/ready": _page(self._ready),
            "/metrics": _page(self._metrics),
        }
        self._app = App(
            self._served.services,
            routes={**self._served.routes, **status},
            hooks=self._admission,
            limits=limits,
        )
        self._app.by_host = self._served.by_host
        self._admission.reading = lambda: self._app.reading

    def _url(self, listening: socket.socket) -> str:
        return f"http://{url_host(self._settings.host)}:{listening.getsockname()[1]}"

    async def _answer(self, listening: socket.socket) -> None:
        """Answer requests until the server is stopped; then until no request is open, at most
        `drain_seconds`. Raises StoreError.
        """
        home = self._served.home
        self._connections = Connections(
            self._app, self._app.dispatch, self._admission.date, self._limits
        )
        self._answering = self._connections.answering
        server = await asyncio.get_running_loop().create_server(
            self._connections.make, sock=listening, backlog=BACKLOG
        )
        self._lag = metrics.Lag(self._each_second)
        self._lag.start()
        self._health: Health | None = None
        watch = asyncio.create_task(self._watch_health())
        fields = {
            "url": self._url(listening),
            "db": str(self._settings.db),
            "region": home.region,
            "account": home.account,
            "recovery_ms": round((asyncio.get_running_loop().time() - self._began) * 1000),
        }
        if self._settings.skip_time:
            now = iso_seconds(self._served.clock.now() // 1000)
            log.warning("time is skipped", extra={"fields": {"now": now}})
        if differing := changed(self._limits):
            values = {name: value for name, (value, _) in differing.items()}
            log.info("limits that differ from the defaults", extra={"fields": values})
        if machines := _of_template(self._settings.functions, self._url(listening)):
            words = "only the functions of the template are served; apply its state machines"
            log.info(words, extra={"fields": machines})
        log.info("listening", extra={"fields": fields})
        systemd.notify(systemd.READY)
        try:
            await self._stop
            await self._served.hand_over()
        finally:
            self._lag.stop()
            watch.cancel()
            server.close()
            systemd.notify(systemd.STOPPING)
        self._admission.stopping = True
        self._app.drain()
        self._served.drain()
        self._connections.shut_down()
        await self._connections.answered(self._limits.drain_seconds)

    async def _finish(self) -> None:
        await self._connections.answered(1)
        self._connections.close()

    def _each_second(self) -> None:
        self._admission.tell_time()
        self._connections.sweep()
        systemd.notify(systemd.ALIVE)
        self._check_store()

    # --- stopping ---------------------------------------------------------------------------------

    def _on_signals(self) -> None:
        def stop(name: str) -> None:
            if self._stop.done():
                os._exit(INTERRUPTED)
            log.info("stopping", extra={"fields": {"signal": name, "open": len(self._answering)}})
            self._stop.set_result(None)
            # if stopping takes too long, exit as in a crash: nothing is lost
            seconds = self._limits.linger_seconds + 2 * self._limits.drain_seconds
            watchdog = threading.Timer(seconds, os._exit, (INTERNAL,))
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
        try:
            self._served.check()
        except StoreError as error:
            self._fail(error)

    # --- pages besides the API --------------------------------------------------------------------

    def _ready(self) -> tuple[int, str]:
        """200 if the store takes commits and the server is not stopping. (It listens only after
        recovery.)
        """
        if fault := self._fault():
            return 503, f"{fault}\n"
        return (503, "stopping\n") if self._stop.done() else (200, "ready\n")

    def _fault(self) -> StoreError | None:
        """Why nothing can be committed now."""
        try:
            self._served.ready()
        except StoreError as error:
            return error
        return None

    async def _watch_health(self) -> None:
        """Ask now and then: the answer of /metrics waits for nothing."""
        while True:
            try:
                self._health = await self._served.health()
            except StoreError:  # other metrics tell why
                self._health = None
            except Exception:  # a defect: old values must not stay in the metrics
                self._health = None
                log.exception("the metrics of the database cannot be read")
            await asyncio.sleep(HEALTH_SECONDS)

    def _metrics(self) -> tuple[int, str]:
        families = (
            *metrics.of_build("postgresql" if self._settings.db.file is None else "sqlite"),
            *metrics.of_limits(self._limits),
            *metrics.of_store(self._fault() is None),
            *self._served.families(),
            *metrics.of_database(self._health),
            *metrics.of_log_sink(self._log_sink),
            *metrics.of_traces(self._telemetry),
            *metrics.of_requests(self._admission.requests, self._admission.open),
            *metrics.of_connections(
                len(self._connections), len(self._connections.arriving), self._connections.evicted
            ),
            *metrics.of_process(self._lag),
        )
        return 200, metrics.text(families)


def _of_template(functions: Path | None, url: str) -> dict[str, str]:
    """The state machines of the template whose functions are served, and how to store them here."""
    machines = template_machines(functions) if functions and functions.is_file() else []
    if not machines:
        return {}
    names = ", ".join(each.called for each in machines)
    apply = f"stepwell machines apply {shlex.quote(str(functions))} --server {url}"
    return {"machines": names, "apply": apply}


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


def _listen(host: str, port: int) -> socket.socket:
    """Raises UsageError. Clients that connect during recovery wait in the backlog."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:  # gaierror, of a name that does not resolve, has a number of its own
        words = (
            fault.strerror if isinstance(fault, socket.gaierror) else os.strerror(fault.errno or 0)
        )
        raise UsageError(f"{url_host(host)}:{port} cannot be listened on: {words}") from None
