"""A database server of the simulated cluster, which behaves as PostgreSQL does, and a shard of it.

    ShardDatabase --Session--> Server: one committed state of all shards, in SQLite

A statement reaches the server some time later, and its answer comes back some time later: each of
them may be lost, and the session with it. Locks are those of sessions. A session ends at once when
its process dies, after `owner_idle_seconds` when nothing is heard of it, when it is terminated, and
when the server fails over. Commits carry the epoch of the owner that sends them.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tests.conftest import ROOT
from tests.simulation.virtual import PROCESS

from stepwell.engine.errors import StoreError
from stepwell.engine.sharding import Shard, first_id
from stepwell.engine.store.base import Health, StoreInUseError, StoreLostError
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.membership import View
from stepwell.engine.store.sql import queries
from stepwell.engine.store.sql.queries import Query
from stepwell.engine.store.sql.rows import named
from stepwell.engine.store.sql.statements import statements_of
from stepwell.engine.store.sqlite import database as sqlite
from stepwell.engine.store.sqlite.schema import migrate
from stepwell.engine.store.sqlite.sql import SQL as SQLITE

if TYPE_CHECKING:
    from tests.simulation.cluster.nodes import Process
    from tests.simulation.cluster.world import World

T = TypeVar("T")
Lock = tuple[str, int]
_OF_SHARDS = (
    *("meta", "delete_unused_series", "all_series", "all_qualifiers", "all_pins", "waking"),
    *(
        "in_flight",
        "closed_before",
        "first_closed",
        "map_runs_with_children",
        "execution_by_arn",
        "described",
    ),
)
_POSTGRES = statements_of(ROOT / "engine" / "store" / "postgres")
SQL = {**SQLITE, **{name: _POSTGRES[name].replace("::bigint", "") for name in _OF_SHARDS}}
SQL["fence"] = "SELECT 1 FROM shard WHERE number = ? AND epoch = ?"
SQL["take_over"] = "UPDATE shard SET epoch = epoch + 1, owner = ? WHERE number = ? RETURNING epoch"
_ADVANCE = (
    "UPDATE shard SET clock = max(clock, ?), next_execution = max(next_execution, ?) "
    "WHERE number = ?"
)
_TABLES = """
DROP TABLE series;
CREATE TABLE series (
    id INTEGER PRIMARY KEY, prefix TEXT NOT NULL, machine TEXT NOT NULL,
    machine_name TEXT NOT NULL, express INTEGER NOT NULL
);
CREATE INDEX series_prefix ON series (prefix);
DROP TABLE qualifier;
CREATE TABLE qualifier (id INTEGER PRIMARY KEY, arn TEXT NOT NULL);
CREATE TABLE shard (
    number INTEGER PRIMARY KEY, clock INTEGER, next_execution INTEGER, epoch INTEGER, owner INTEGER
);
"""
LOCK_SECONDS = 1.0


def run(query: Query[T], connection: sqlite3.Connection) -> T:
    """A query, to its end."""
    try:
        name, values = next(query)
        while True:
            name, values = query.send(connection.execute(SQL[name], values).fetchall())
    except StopIteration as end:
        value: T = end.value
        return value


class Session:
    """used: when something was heard of it last."""

    def __init__(self, process: "Process", used: float) -> None:
        self.process, self.used, self.alive = process, used, True


class Server:
    """pooled    statements of a session that has ended are carried out by another one
    trouble     how likely a statement of a writer is lost, with its session, before it is carried
                out, and how likely its answer is lost
    owners      shard -> the database that took it over last
    """

    def __init__(self, world: "World", count: int) -> None:
        self._world, self.count = world, count
        self.pooled, self.trouble, self.down = False, (0.0, 0.0), False
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        migrate(self.connection, 0)
        self.connection.executescript(_TABLES)
        self.connection.executemany(
            "INSERT INTO shard VALUES (?, 0, ?, 0, NULL)",
            [(number, first_id(number) + 1) for number in range(count)],
        )
        self.secret: bytes = self.connection.execute("SELECT secret FROM meta").fetchone()[0]
        self.locks: dict[Lock, Session] = {}
        self.sessions: list[Session] = []
        self.nodes: dict[int, str] = {}
        self.retiring: set[int] = set()
        self.owners: dict[int, ShardDatabase] = {}
        self._node = 0

    # --- sessions ---------------------------------------------------------------------------------

    async def connect(self) -> Session:
        session = Session(PROCESS.get(), 0)
        await self.ask(None, lambda: self._begin(session))
        return session

    def _begin(self, session: Session) -> None:
        self.sessions.append(session)
        session.used = self._world.loop.virtual
        self._world.loop.call_later(
            self._world.limits.owner_idle_seconds, self._look_at, session, context=Context()
        )

    def _look_at(self, session: Session) -> None:
        """End it if it has been idle for too long."""
        left = session.used + self._world.limits.owner_idle_seconds - self._world.loop.virtual
        if left <= 0.001:
            self.end(session)
        elif session.alive:
            self._world.loop.call_later(left, self._look_at, session, context=Context())

    def end(self, session: Session) -> None:
        session.alive = False
        if session in self.sessions:
            self.sessions.remove(session)
        for lock in [lock for lock, holder in self.locks.items() if holder is session]:
            del self.locks[lock]

    def end_all(self, process: "Process | None" = None) -> None:
        """Those of a process that has died; None: all."""
        for session in list(self.sessions):
            if process in (None, session.process):
                self.end(session)

    def lock(self, session: Session, lock: Lock) -> bool:
        return session.alive and self.locks.setdefault(lock, session) is session

    # --- statements -------------------------------------------------------------------------------

    async def ask(self, session: Session | None, work: Callable[[], T], writes: bool = False) -> T:
        """What work() returns, carried out by the server. session: None: of a reader."""
        process: Process = PROCESS.get()
        loop = self._world.loop
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(_seen)
        if process.dead:
            await asyncio.Future()
        loop.create_task(self._serve(process, session, work, writes, future), context=Context())
        return await future

    async def _serve(
        self,
        process: "Process",
        session: Session | None,
        work: Callable[[], T],
        writes: bool,
        future: "asyncio.Future[T]",
    ) -> None:
        world, lost, error = self._world, False, StoreError("the session has ended")
        before, after = self.trouble if writes and session is not None else (0, 0)
        await world.pause()
        if before and world.rng.random() < before:
            assert session is not None
            self.end(session)
        ended = session is not None and not session.alive and not (self.pooled and writes)
        if self.down or process.cut or ended:
            lost = True
        else:
            if session is not None:
                session.used = world.loop.virtual
            try:
                result = self._carry_out(work)
            except StoreError as refused:
                error, lost = refused, True
            except sqlite3.Error as fault:
                error, lost = StoreError(f"{type(fault).__name__}: {fault}"), True
            else:
                if after and world.rng.random() < after:
                    assert session is not None
                    self.end(session)
                    lost = True
        await world.pause()
        if future.done():
            return
        if lost or (process.cut and session is not None):
            future.set_exception(error)
        else:
            future.set_result(result)

    def _carry_out(self, work: Callable[[], T]) -> T:
        self.connection.execute("BEGIN")
        try:
            result = work()
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    # --- members ----------------------------------------------------------------------------------

    def new_node(self) -> int:
        self._node += 1
        return self._node

    def view(self) -> View:
        view = View({}, {}, set(), set())
        for number, owner in self.connection.execute("SELECT number, owner FROM shard").fetchall():
            if ("shard", number) in self.locks:
                view.owners[number] = owner
            else:
                view.free.add(number)
        for node, address in list(self.nodes.items()):
            if ("node", node) in self.locks:
                view.nodes[node] = address
                if node in self.retiring:
                    view.retiring.add(node)
            else:
                del self.nodes[node]
        return view


def _seen(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # the caller may have been cancelled


class Members:
    """See membership.Members."""

    def __init__(self, server: Server, address: str) -> None:
        self._server, self.address, self.id = server, address, 0
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def look(self) -> View:
        async with self._turn:
            return await self._server.ask(await self.joined(), self._server.view)

    async def retire(self) -> None:
        async with self._turn:
            session = await self.joined()
            await self._server.ask(session, lambda: self._server.retiring.add(self.id))

    async def leave(self) -> None:
        if self._session is not None:
            self._server.end(self._session)

    async def joined(self) -> Session:
        server = self._server
        if self._session is not None and self._session.alive:
            return self._session
        session = await server.connect()

        def join() -> None:
            self.id = self.id or server.new_node()
            if not server.lock(session, ("node", self.id)):
                raise StoreError(f"the last session of node {self.id} has not ended yet")
            server.nodes[self.id] = self.address

        await server.ask(session, join)
        self._session = session
        return session


class ShardDatabase:
    """See sql.database.Database."""

    folder = None
    wal_bytes = 0
    read_only = False
    executions = staticmethod(queries.executions)
    delete_executions = staticmethod(sqlite.SqliteDatabase.delete_executions)
    known = staticmethod(sqlite.SqliteDatabase.known)

    def __init__(self, server: Server, process: "Process", number: int) -> None:
        self._server, self.process = server, process
        self.path, self.shard = f"shard {number}", Shard(number, server.count)
        self.own = (number,)
        self.failed: BaseException | None = None
        self.session: Session | None = None
        self.epoch = 0
        self._turn = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()
        self._pings: asyncio.Task[None] | None = None

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self, state: Query[T]) -> T:
        try:
            self.session = await self._server.connect()
            await self._lock(self.session)
            return await self._take_over(state)
        except BaseException:
            await self.close()
            raise

    async def _lock(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        end, lock = loop.time() + LOCK_SECONDS, ("shard", self.shard.number)
        while not await self._server.ask(session, lambda: self._server.lock(session, lock)):
            if loop.time() > end:
                raise StoreInUseError(f"{self.path} is in use")
            await asyncio.sleep(0.1)

    async def _take_over(self, state: Query[T]) -> T:
        server = self._server
        self.epoch = await server.ask(self.session, self._raised)
        result = await server.ask(self.session, lambda: run(state, server.connection))
        self.failed = None
        self._pings = asyncio.create_task(self._ping(), name="ping")
        return result

    def _raised(self) -> int:
        """The epoch of this owner."""
        values = (self.process.members.id, self.shard.number)
        row = self._server.connection.execute(SQL["take_over"], values).fetchone()
        self._server.owners[self.shard.number] = self
        self.process.world.note("took", self.process.number, self.shard.number, row[0])
        epoch: int = row[0]
        return epoch

    async def close(self) -> None:
        pings, self._pings = self._pings, None
        if pings is not None:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
        if self._writes:
            await asyncio.wait(self._writes, timeout=5)
        session, self.session = self.session, None
        if session is not None:
            self._server.end(session)

    async def _ping(self) -> None:
        while self.failed is None:
            await asyncio.sleep(self.process.world.limits.owner_idle_seconds / 3)
            async with self._turn:
                try:
                    if self.failed is None:
                        pooled = self._server.pooled
                        await self._server.ask(self.session, lambda: None, writes=pooled)
                except StoreError as error:
                    self.failed = error

    def check(self) -> None:
        if self.failed is not None:
            raise self.failure()
        if self.session is None:
            raise StoreError("the store is not open")

    def failure(self) -> StoreError:
        return StoreError(f"an earlier commit failed: {self.failed}; open the store again")

    def give_up(self) -> None:
        if self.session is not None:
            self._server.end(self.session)

    # --- writing ----------------------------------------------------------------------------------

    async def commit(self, encode: Callable[[], Batch], apart: bool) -> Batch:
        batch = encode()
        await self._to_its_end(self._write(partial(self._write_batch, batch)))
        return batch

    def _write_batch(self, batch: Batch) -> None:
        connection = self._server.connection
        sqlite.write(batch, connection)
        connection.execute(_ADVANCE, (batch.clock, batch.next_id, self.shard.number))

    async def transact(self, query: Query[T]) -> T:
        return await self._to_its_end(self._write(lambda: run(query, self._server.connection)))

    async def execute(self, name: str, *values: Any) -> int:
        connection = self._server.connection
        return await self._to_its_end(
            self._write(lambda: connection.execute(SQL[name], values).rowcount)
        )

    async def _to_its_end(self, write: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _write(self, work: Callable[[], T]) -> T:
        async with self._owned():
            return await self._server.ask(self.session, partial(self._fenced, work), writes=True)

    def _fenced(self, work: Callable[[], T]) -> T:
        self.check_owner()
        world, owner = self.process.world, self._server.owners.get(self.shard.number)
        if owner is not self:
            world.violated(
                f"{self.path}: an owner of epoch {self.epoch} writes after its successor"
            )
        world.note("wrote", self.process.number, self.shard.number)
        return work()

    def check_owner(self) -> None:
        owner = (self.shard.number, self.epoch)
        if self._server.connection.execute(SQL["fence"], owner).fetchone() is None:
            raise StoreLostError(f"{self.path} has another owner now")

    @asynccontextmanager
    async def _owned(self) -> AsyncIterator[None]:
        async with self._turn:
            self.check()
            try:
                yield
            except BaseException as error:
                if not isinstance(error, UnicodeEncodeError):
                    self.failed = error
                raise

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self, work: Callable[[], T]) -> T:
        if isinstance(self.failed, StoreLostError):
            raise self.failure()
        return await self._server.ask(None, work)

    async def query(self, query: Query[T]) -> T:
        return await self._read(lambda: run(query, self._server.connection))

    async def rows(self, name: str, *values: Any) -> list[Any]:
        connection = self._server.connection
        return await self._read(lambda: connection.execute(SQL[name], values).fetchall())

    async def first(self, query: Callable[[], Query[T]]) -> T:
        return await self.query(query())

    async def page(self, limit: int, name: str, *values: Any) -> list[Any]:
        connection = self._server.connection
        return await self._read(lambda: list(named(connection.execute(SQL[name], values)))[:limit])

    async def health(self) -> Health:
        return Health(0)

    async def integrity(self) -> list[str]:
        return []
