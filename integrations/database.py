"""How a command gets at a database: as the process that works on it, as a reader beside that one,
or by asking it.

One process at a time works on a database. It answers a few operations on a Unix socket beside the
file, so that another terminal can stop an execution or answer a task while `run` waits; when nobody
works on the database, the asking command opens it for that one operation.
A command drives only the executions that it was told to: the effects of the others wait until they
are resumed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.arns import Home, execution_arn
from stepwell.engine.core.environment import token
from stepwell.engine.core.model import Phase
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.store.base import ExecutionRow, Store, StoreInUse
from stepwell.engine.store.opening import check_name, open_store
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, Transaction
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.errors import Refused
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.log_sink import Sink
from stepwell.integrations.requests import request_id
from stepwell.integrations.services.common.delivery_log import DeliveryLog
from stepwell.integrations.tasks.iam_policies import Policies
from stepwell.integrations.tasks.registry import Registry


def default_path() -> Path:
    """stepwell.db in the user's data folder: $XDG_DATA_HOME, ~/Library/Application Support on a
    Mac, else ~/.local/share.
    """
    given = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(given):  # others are to be ignored, says the specification
        folder = Path(given)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "share"
    return folder / "stepwell" / "stepwell.db"


def database(given: Path | None) -> Path:
    """The database that --db names, or the default one. Raises Refused for a URL."""
    if given is None:
        return default_path()
    try:
        check_name(str(given))
    except StoreError as fault:
        raise Refused(f"--db {fault}") from None
    return given


# --- the tasks of several machines ----------------------------------------------------------------


class Foreground:
    """The engine's Tasks: each machine has its own functions, and executions that stand still have
    none of their effects started.

    functions  the folder for all machines, None: each has the one that `run` kept with it
    output     receives (function, text) of what functions print
    """

    def __init__(
        self,
        functions: Path | None,
        output: Callable[[str, str], None] | None,
        outside: Outside | None = None,
        policies: Policies | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.engine: Engine
        self._limits = limits
        self._functions, self._output, self._outside, self._policies = (
            functions,
            output,
            outside or Outside(),
            policies,
        )
        self._first: Registry | None = None  # it has the embedded services of all
        self._begun = asyncio.Event()
        self._tops: Mapping[str, str] = {}
        self._still: dict[str, asyncio.Event] = {}
        self._registries: dict[str | None, Registry] = {}

    def begin(self, running: list[ExecutionRow], chosen: set[str] | None) -> None:
        """Effects start now: those of the chosen executions (None: of all), and of all that they
        start. The other running ones stand still.

        Children of a Map Run go with the execution that started it.
        """
        rows = {row.id: row for row in running}

        def top(row: ExecutionRow) -> str:
            while row.parent is not None and row.parent[0] in rows:
                row = rows[row.parent[0]]
            return row.arn

        self._tops = {row.arn: top(row) for row in running}
        if chosen is not None:
            self._still = {arn: asyncio.Event() for arn in self._tops.values() if arn not in chosen}
        self._begun.set()

    def connect(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return self._first.on_status if self._first else None

    def known_text(self, resource: str) -> str | None:
        """For the engine: whether a Resource that is none of AWS's can run. `run` has checked that;
        what is stored was valid.
        """
        return resource

    def resolve(self, resource: Resource) -> Handler | None:
        return self._handle

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return self._registry(None).mock_fault(resource, result, strict)

    async def _handle(self, request: TaskRequest) -> Json:
        await self._turn(request)
        if request.again and request.resource.service == "states":
            self._wake_nested(request)
        folder = (
            str(self._functions) if self._functions else await self._folder(request.machine_arn)
        )
        handler = self._registry(folder).resolve(request.resource)
        if handler is None:
            raise TaskError(
                asl_messages.RUNTIME,
                messages.NO_SERVICE.format(resource=request.resource.text),
                runtime=True,
            )
        return await handler(request)

    async def _turn(self, request: TaskRequest) -> None:
        """Return when the execution goes on. One that stands still holds no slot."""
        top = self._tops.get(request.execution_arn, request.execution_arn)
        if not self._begun.is_set() or top in self._still:
            async with request.waiting():
                await self._begun.wait()
                still = self._still.get(
                    self._tops.get(request.execution_arn, request.execution_arn)
                )
                if still is not None:
                    await still.wait()

    def _wake_nested(self, request: TaskRequest) -> None:
        """The nested execution that an earlier process started for this task goes on with the one
        that awaits it.
        """
        nested = self._still.pop(_nested(request.payload, request.token), None)
        if nested is not None:
            nested.set()

    async def _folder(self, machine_arn: str) -> str | None:
        try:  # the children of a Map Run (MACHINE/LABEL) have the functions of its machine
            extras = await self.engine.machine_extras(machine_arn.partition("/")[0])
        except ApiError:  # deleted; its executions go on
            return None
        folder: str | None = extras.get("functions")
        return folder

    def _registry(self, folder: str | None) -> Registry:
        if folder not in self._registries:
            home = self.engine.home
            registry = Registry(
                functions_folder=folder,
                home=home,
                clock=self.engine.clock,
                limits=self._limits,
                output=self._output,
                services=self._first.services if self._first else None,
                outside=self._outside,
                policies=self._policies,
            )
            registry.connect(self.engine)
            self._prepare(registry)
            self._first = self._first or registry
            self._registries[folder] = registry
        return self._registries[folder]

    def _prepare(self, registry: Registry) -> None:
        """For who has more to say to a registry before it is used."""

    async def close(self) -> None:
        for registry in self._registries.values():
            await registry.close()


class Background(Foreground):
    """The same for a server: everything that runs goes on at once, and a Resource that nothing here
    can run makes a definition invalid.

    The embedded services are opened with the engine.

    url          where the server is reached
    environment  variables that functions have besides their own
    """

    url = ""
    environment: Mapping[str, str] = MappingProxyType({})

    def connect(self, engine: Engine) -> None:
        super().connect(engine)
        self._own = self._registry(str(self._functions) if self._functions else None)

    def _prepare(self, registry: Registry) -> None:
        """Functions of a server see nothing of its environment, and their clients call what its
        tasks call.
        """
        sources = registry.functions.sources
        sources.isolated = True
        sources.environment |= self.environment
        if self.url:
            registry.host.url = self.url

    def known_text(self, resource: str) -> str | None:
        return self._own.known_text(resource)

    async def services(self) -> dict[str, Any]:
        """The embedded services by botocore's names."""
        return await self._own.services.open()

    @property
    def delivery_log(self) -> DeliveryLog:
        """The latest deliveries of these services."""
        return self._own.services.delivery_log


@asynccontextmanager
async def working(
    path: Path, functions: Path | None = None, output: Callable[[str, str], None] | None = None
) -> AsyncIterator[tuple[Engine, Foreground]]:
    """Open the database as the one process that works on it. No effect starts before
    Foreground.begin. Raises StoreInUse, Refused.
    """
    tasks, found = Foreground(functions, output), await home(path)
    async with _open(
        path, Engine(path, tasks=tasks, region=found.region, account=found.account)
    ) as engine:
        yield engine, tasks


@asynccontextmanager
async def serving(
    path: Path, tasks: Background, home: Home, limits: Limits, log_sink: LogSink | None
) -> AsyncIterator[Engine]:
    """The same for a server. Raises StoreInUse, Refused."""
    engine = Engine(
        path,
        tasks=tasks,
        region=home.region,
        account=home.account,
        limits=limits,
        log_sink=log_sink,
    )
    if isinstance(log_sink, Sink):
        log_sink.supervisor = engine.supervisor
    async with _open(path, engine):
        tasks.begin([], None)
        yield engine


@asynccontextmanager
async def _open(path: Path, engine: Engine) -> AsyncIterator[Engine]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise Refused(f"{path.parent}: {fault.strerror}") from None
    if path.is_dir():
        raise Refused(f"{path} is a folder, not a database")
    try:
        await engine.open()
    except StoreInUse:
        raise
    except StoreError as fault:
        raise Refused(f"{path} cannot be opened: {fault}") from None
    try:
        async with _answering(engine, path):
            yield engine
    finally:
        await engine.close()


async def running(engine: Engine) -> list[ExecutionRow]:
    """All running executions, those of Map Runs too, the newest first."""
    rows: list[ExecutionRow] = []
    after = None
    while page := await engine.store.list_executions(
        status="RUNNING", limit=DEFAULT_LIMITS.list_page, after=after
    ):
        rows += page
        after = (page[-1].started, page[-1].id)
    return rows


def awaited(engine: Engine) -> set[str]:
    """The ARNs of the nested executions that running ones wait for: they go on with those."""
    found = set()
    for live in engine.worker.live.values():  # who waits for a task has been loaded
        for frame in live.x.frames.values():
            data, resource = frame.data, frame.state.resource
            if frame.phase != Phase.TASK or data is None or resource is None:
                continue
            if resource.service == "states" and resource.pattern.startswith(".sync"):
                found.add(_nested(data.value, token(live.x, frame.id, frame.seq)))
    return found


def _nested(payload: Json, task_token: str) -> str:
    """The ARN of the execution that a startExecution task starts; "" if it starts none."""
    if not isinstance(payload, dict):
        return ""
    machine = ":".join(
        str(payload.get("StateMachineArn")).split(":")[:7]
    )  # without a version or an alias
    return execution_arn(machine, str(payload.get("Name", request_id(task_token))))


# --- reading --------------------------------------------------------------------------------------


def existing(path: Path) -> Path:
    if not path.is_file():
        raise Refused(
            "there is no database at "
            f"{path}{'' if path.exists() else ' yet: `stepwell run FILE` makes it'}"
        )
    return path


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Engine]:
    """An Engine that is not opened and only reads what is committed, whoever works on the
    database.
    """
    store = open_store(existing(path), read_only=True)
    try:
        await store.open()
    except StoreError as fault:
        raise Refused(f"{path} cannot be read: {fault}") from None
    try:
        found = await _home_in(store) or Home()
        yield Engine(store=store, region=found.region, account=found.account)
    finally:
        await store.close()


async def home(path: Path, region: str | None = None, account: str | None = None) -> Home:
    """The region and account that a database speaks for: those of what it holds, else the given
    ones, else the defaults.

    Raises Refused if they are not the given ones: the ARNs of one database agree with each other.
    """
    held = None
    if path.is_file() and path.stat().st_size:
        with suppress(Refused, StoreError):  # opening it for writing will say what is wrong with it
            async with reading(path) as engine:
                held = await _home_in(engine.store)
    if held is None:
        return Home(region or Home().region, account or Home().account)
    for what, wanted, has in (("region", region, held.region), ("account", account, held.account)):
        if wanted not in (None, has):
            raise Refused(
                f"--{what} {wanted}: {path} holds the ARNs of {what} {has}; take another "
                "database with --db"
            )
    return held


async def _home_in(store: Store) -> Home | None:
    """As some ARN in it says; None if there is none."""
    found = (
        await store.machines(limit=1)
        or await store.activities(limit=1)
        or await store.list_executions(limit=1)
    )
    if not found:
        return None
    _, partition, _, region, account, *_ = found[0].arn.split(":")
    return Home(region, account, partition)


# --- asking the process that works on the database ------------------------------------------------

OPERATIONS: Final[dict[str, Callable[..., Awaitable[dict[str, Any]]]]] = {
    "stop_execution": lambda engine, arn, error, cause: engine.stop_execution(
        arn, error=error, cause=cause
    ),
    "send_task_success": lambda engine, token, output: engine.send_task_success(token, output),
    "send_task_failure": lambda engine, token, error, cause: engine.send_task_failure(
        token, error, cause
    ),
    "send_task_heartbeat": lambda engine, token: engine.send_task_heartbeat(token),
    "get_activity_task": lambda engine, arn, worker, timeout: engine.get_activity_task(
        arn, worker, timeout
    ),
}
_LINE_BYTES: Final = 8 * DEFAULT_LIMITS.payload_bytes  # a payload, escaped at the worst


def _socket(path: Path) -> str:
    return f"{path.resolve()}.sock"


async def ask(path: Path, operation: str, *arguments: Any) -> dict[str, Any]:
    """Carry out one of OPERATIONS: here if nobody works on the database, else in the process that
    does. Raises ApiError, Refused.
    """
    try:
        async with working(existing(path)) as (
            engine,
            _,
        ):  # no effects: every execution stands still meanwhile
            return await OPERATIONS[operation](engine, *arguments)
    except StoreInUse as fault:
        in_use = fault
    try:
        reader, writer = await asyncio.open_unix_connection(_socket(path), limit=_LINE_BYTES)
    except OSError:
        raise in_use from None
    with suppress(ConnectionError):
        writer.write(json.dumps([operation, *arguments]).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        writer.close()
        if line:
            answered: dict[str, Any] = json.loads(line)
            if "code" in answered:
                raise ApiError(answered["code"], answered["message"])
            answer: dict[str, Any] = answered["answer"]
            return answer
    raise Refused(f"the process that worked on {path} has just ended: try again")


@asynccontextmanager
async def _answering(engine: Engine, path: Path) -> AsyncIterator[None]:
    """Answer other processes of this user while the database is open. One request a connection, a
    line of JSON each way.
    """
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(task := asyncio.current_task())  # type: ignore[arg-type]
        task.add_done_callback(connections.discard)  # type: ignore[union-attr]
        work = asyncio.ensure_future(_carry_out(engine, await reader.readline()))
        gone = asyncio.ensure_future(
            reader.read(1)
        )  # the asker has left: do not take a task for nobody
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                writer.write(json.dumps(work.result()).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return
        finally:
            for each in (work, gone):
                each.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            writer.close()

    name = _socket(path)
    with suppress(FileNotFoundError):
        os.unlink(name)  # left by a process that was killed: the database is ours now
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(serve, name, limit=_LINE_BYTES)
    except (
        OSError
    ):  # the path is too long for a socket, or the file system has none: then nobody can ask
        server = None
    finally:
        os.umask(before)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            with suppress(FileNotFoundError):
                os.unlink(name)


async def _carry_out(engine: Engine, line: bytes) -> dict[str, Any]:
    try:
        operation, *arguments = json.loads(line)
        return {"answer": await OPERATIONS[operation](engine, *arguments)}
    except ApiError as error:
        return {"code": error.code, "message": error.message}
    except (ValueError, KeyError, TypeError) as error:
        return {"code": "ValidationException", "message": f"not a request: {error!r}"}
