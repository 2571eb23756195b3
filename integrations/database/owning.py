"""A database of this process, which owns it; or of whichever process does, for one operation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.engine import Engine
from stepwell.engine.errors import StoreError, WrongShardError
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Store, StoreInUseError
from stepwell.integrations import operation_socket
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.database.naming import Database, existing, failed
from stepwell.integrations.database.reading import home_of
from stepwell.integrations.database.requests import ask
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.log_sink import Sink
from stepwell.integrations.machine_tasks import MachineTasks, ServerTasks
from stepwell.integrations.tracing.telemetry import Telemetry
from stepwell.integrations.tracing.traces import Traces

_Answer = TypeVar("_Answer")


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
        raise UsageError(failed(database, "opened", fault)) from None
    try:
        async with AsyncExitStack() as exits:
            if alone:
                await exits.enter_async_context(
                    operation_socket.listening(engine, database.socket, url)
                )
            yield
    finally:
        await engine.close()


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
