"""How a command opens a database: as its owner, as a reader beside the owner, or by a request to
the owner.

One process at a time owns a database. It carries out a few operations for other processes
(operation_socket.py), so that another terminal can stop an execution or complete a task while `run`
waits. Without an owner, the requesting command opens the database for that one operation.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, StoreError, WrongShardError
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Store, StoreInUseError
from stepwell.engine.store.opening import is_postgres, open_store, sqlite_path, without_password
from stepwell.integrations import operation_socket
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.log_sink import Sink
from stepwell.integrations.machine_tasks import MachineTasks, ServerTasks
from stepwell.integrations.private_files import default_path
from stepwell.integrations.tracing.telemetry import Telemetry
from stepwell.integrations.tracing.traces import Traces

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Database:
    """A database that a command names.

    url   as open_store() takes it
    file  of SQLite; None: the database is on a PostgreSQL server
    name  the same without a password, for texts
    """

    url: str
    file: Path | None
    name: str

    @property
    def socket(self) -> Path:
        """Where this process listens for other commands of this machine once it owns the database
        (operation_socket.py). Several processes work on one on a server: each has its own.
        """
        if self.file is None:
            return self._socket.with_suffix(f".{os.getpid()}.sock")
        return self._socket

    @property
    def sockets(self) -> list[Path]:
        """Where processes of this machine that work on it may listen."""
        if self.file is not None:
            return [self._socket]
        return sorted(self._socket.parent.glob(f"{self._socket.stem}*.sock"))

    @property
    def _socket(self) -> Path:
        named = self.url if self.file is None else str(self.file.resolve())
        folder = default_path().parent if self.file is None else self.file.resolve().parent
        if self.file is not None and operation_socket.reachable(Path(f"{named}.sock")):
            return Path(f"{named}.sock")
        digest = Path(f"{hashlib.sha256(os.fsencode(named)).hexdigest()[:16]}.sock")
        beside = folder / digest
        return beside if operation_socket.reachable(beside) else default_path().parent / digest

    def __str__(self) -> str:
        return self.name


def database(option: str | None) -> Database:
    """The database that --db names, or the default one. Raises UsageError."""
    if option is not None and is_postgres(option):
        return Database(option, None, without_password(option))
    try:
        file = default_path() if option is None else Path(sqlite_path(option))
    except StoreError as fault:
        raise UsageError(f"--db {fault}") from None
    return Database(str(file), file, str(file))


def existing(database: Database) -> Database:
    """Raises UsageError if there is no such file. (A server answers when it is asked.)"""
    file = database.file
    if file is not None and file.is_dir():
        raise UsageError(f"{database} is a folder, not a database")
    if file is not None and not file.is_file():
        hint = "" if file.exists() else " yet: `stepwell run FILE` creates it"
        raise UsageError(f"there is no database at {file}{hint}")
    return database


# --- as its owner ---------------------------------------------------------------------------------


@asynccontextmanager
async def owned(
    database: Database,
    functions: Path | None = None,
    output: Callable[[str, str], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    shard: Shard | None = None,
    clock: Clock | None = None,
    outside: Outside | None = None,
) -> AsyncIterator[tuple[Engine, MachineTasks]]:
    """Open the database as its owner: one with several shards as the owner of one, the first if it
    is None. No effect starts before MachineTasks.begin. Raises StoreInUseError, UsageError.
    """
    home = await home_of(database)
    tasks = MachineTasks(functions, output, outside, limits=limits)
    engine = Engine(
        database.url,
        tasks=tasks,
        region=home.region,
        account=home.account,
        limits=limits,
        shard=shard,
        clock=clock,
    )
    async with _open(database, engine):
        yield engine, tasks


@asynccontextmanager
async def served(
    database: Database,
    tasks: ServerTasks,
    home: Home,
    limits: Limits,
    log_sink: LogSink | None,
    telemetry: Telemetry | None,
    shard: Store | None = None,
    clock: Clock | None = None,
    url: str | None = None,
) -> AsyncIterator[Engine]:
    """The same for a server. Raises StoreInUseError, UsageError.

    shard  the store of the shard to own; None: the whole database
    url    of the server
    """
    traces = Traces(telemetry, limits) if telemetry else None
    engine = Engine(
        database.url,
        store=shard,
        tasks=tasks,
        region=home.region,
        account=home.account,
        limits=limits,
        clock=clock,
        log_sink=log_sink,
        trace_sink=traces,
    )
    if traces is not None:
        traces.connect(engine.store.history, engine.supervisor)
    if isinstance(log_sink, Sink):
        log_sink.supervisor = engine.supervisor
    async with _open(database, engine, alone=shard is None, url=url):
        tasks.begin([], None)
        yield engine


@asynccontextmanager
async def temporary(
    functions: Path | None,
    output: Callable[[str, str], None] | None,
    limits: Limits,
    clock: Clock,
    outside: Outside | None = None,
) -> AsyncIterator[tuple[Engine, MachineTasks]]:
    """An empty database in memory, which ends with the process."""
    tasks = MachineTasks(functions, output, outside, limits=limits)
    async with Engine(tasks=tasks, limits=limits, clock=clock) as engine:
        yield engine, tasks


@asynccontextmanager
async def _open(
    database: Database, engine: Engine, alone: bool = True, url: str | None = None
) -> AsyncIterator[None]:
    """alone: it carries out the operations of this machine's other processes."""
    for each in {database.socket.parent, *([database.file.parent] if database.file else [])}:
        try:
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise UsageError(f"{each}: {fault.strerror}") from None
    if database.file is not None and database.file.is_dir():
        raise UsageError(f"{database} is a folder, not a database")
    try:
        await engine.open()
    except StoreInUseError:
        raise
    except StoreError as fault:
        raise UsageError(_failed(database, "opened", fault)) from None
    try:
        async with AsyncExitStack() as exits:
            if alone:
                await exits.enter_async_context(
                    operation_socket.listening(engine, database.socket, url)
                )
            yield
    finally:
        await engine.close()


def _failed(database: Database, done: str, fault: StoreError) -> str:
    """That it cannot be `done`, and why; some faults name the file themselves."""
    text = str(fault)
    named = database.file is not None and text.startswith(str(database.file.resolve()))
    return text if named else f"{database} cannot be {done}: {text}"


# --- as a reader ----------------------------------------------------------------------------------


@asynccontextmanager
async def reading(database: Database, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Engine]:
    """An Engine that is not opened: it reads what is committed, with or without an owner. Raises
    UsageError.
    """
    store = open_store(existing(database).url, read_only=True, limits=limits)
    try:
        await store.open()
    except StoreError as fault:
        raise UsageError(_failed(database, "read", fault)) from None
    try:
        home = await _stored_home(store) or Home()
        yield Engine(store=store, region=home.region, account=home.account, limits=limits)
    finally:
        await store.close()


async def home_of(
    database: Database, region: str | None = None, account: str | None = None
) -> Home:
    """The region and account of a database: those of the ARNs in it, else the parameters, else the
    defaults.

    Raises UsageError if the ARNs in it have others than the parameters: one database has one region
    and account.
    """
    stored = None
    file = database.file
    if file is None or (file.is_file() and file.stat().st_size):
        with suppress(UsageError, StoreError):  # opening it as its owner reports what is wrong
            async with reading(database) as engine:
                stored = await _stored_home(engine.store)
    if stored is None:
        return Home(region or Home().region, account or Home().account)
    for name, wanted, actual in (
        ("region", region, stored.region),
        ("account", account, stored.account),
    ):
        if wanted not in (None, actual):
            raise UsageError(
                f"--{name} {wanted}: {database} holds the ARNs of {name} {actual}; use another "
                "database with --db"
            )
    return stored


async def _stored_home(store: Store) -> Home | None:
    """As any ARN in the database says; None if it holds none."""
    rows = (
        await store.machines(limit=1)
        or await store.activities(limit=1)
        or await store.list_executions(limit=1)
    )
    if not rows:
        return None
    _, partition, _, region, account, *_ = rows[0].arn.split(":")
    return Home(region, account, partition)


async def on_its_shard(work: Callable[[Shard | None], Awaitable[_Answer]]) -> _Answer:
    """The answer of `work` as the owner of a shard: the first, or that of the execution that it is
    for.
    """
    shard = None
    while True:
        try:
            return await work(shard)
        except WrongShardError as elsewhere:
            shard = Shard(elsewhere.shard, elsewhere.count)


# --- by a request to its owner --------------------------------------------------------------------


async def request(
    database: Database,
    operation: str,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """Carry out an operation of the API, by the name of the Engine's method: in the owner of the
    database, or here if there is none. Raises ApiError, UsageError, StoreInUseError.
    """

    async def carried_out(shard: Shard | None) -> dict[str, Any]:
        # effects of all executions are held
        async with owned(existing(database), limits=limits, shard=shard) as (engine, _):
            return await operation_socket.carry_out(engine, operation, arguments or {})

    try:
        return await on_its_shard(carried_out)
    except StoreInUseError as fault:
        in_use = fault
    try:
        return await ask(database, operation, arguments, limits)
    except OSError:
        raise in_use from None


async def ask(
    database: Database,
    operation: str,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """The answer of a process of this machine that works on the database. Raises OSError if none
    listens, ApiError, UsageError if it ends meanwhile.
    """
    for socket in database.sockets:
        try:
            return await operation_socket.request(socket, operation, arguments, limits)
        except ConnectionRefusedError:  # its process was killed
            with suppress(OSError):
                socket.unlink()
        except OSError:
            continue
    raise FileNotFoundError(f"no process of this machine has {database} open")


async def owner(database: Database) -> dict[str, Any] | None:
    """{"pid", "url"?} of the process of this machine that has the database open, with the URL of a
    server; None if none listens.
    """
    try:
        return await ask(database, operation_socket.OWNER)
    except (OSError, UsageError, ApiError):  # ApiError: of an earlier version
        return None
