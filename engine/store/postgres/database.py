"""One shard of a schema of a PostgreSQL database, as its owner; and all shards, as a reader.

    writer    one session, which holds the advisory lock of the shard: transactions, in the order
              of the calls; a commit is one statement that carries the epoch of this owner
              (commits.py), perhaps together with other shards (joint_commits.py)
    readers   a few sessions of the process (readers.py)

The lock tells whether an owner lives: it is freed when its session ends, and the server ends a
session that is idle longer than limits.owner_idle_seconds, so the writer pings. The epoch decides
what is written: the owner that takes the lock raises it, and a commit with another epoch writes
nothing, however the lock was lost.

Whatever fails in the writer finishes the database (crash-only): memory is ahead of it, so the
engine drops it, opens the database again and recovers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.sharding import HOME, SHARDS, Shard, shard_of_id
from stepwell.engine.store.base import Health, StoreFormatError, StoreInUseError, StoreLostError
from stepwell.engine.store.batch import DELETE_CLOSING_ATTRIBUTES, Batch
from stepwell.engine.store.keys import event_keys
from stepwell.engine.store.postgres import lists
from stepwell.engine.store.postgres.joint_commits import JointCommits, Part, write
from stepwell.engine.store.postgres.merging import Merging
from stepwell.engine.store.postgres.readers import CLOSE_SECONDS, READERS, Readers
from stepwell.engine.store.postgres.schema import SQL, format_of, migrate, numbered, users
from stepwell.engine.store.postgres.session import (
    Connection,
    DatabaseError,
    Target,
    check_clock,
    commit_to_disk,
    connect,
    failure,
    warn_of_no_standby,
)
from stepwell.engine.store.sql.queries import Asked, Known, Query, Row, merge_history
from stepwell.engine.store.sql.tables import META, PAGE, TABLES

T = TypeVar("T")

LOCK_SECONDS: Final = 1.0  # that the lock of an owner that was killed may take to be free
_UTF8_COLUMNS: Final = ("execution.error", "execution.cause", "record.key")
_UTF8_KEYS: Final = ("records", "check_record")  # their first column


class PostgresDatabase:
    """See database.Database and PostgresStore."""

    folder = None
    wal_bytes = 0
    executions = staticmethod(lists.executions)
    attribute_page = staticmethod(lists.attribute_page)
    lock_owners = staticmethod(lists.lock_owners)
    insert_attributes = staticmethod(lists.insert_attributes)
    place_before = staticmethod(lists.place_before)
    attributes_in_order = False

    @staticmethod
    def ids(execution_ids: Sequence[int]) -> list[int]:
        return list(execution_ids)

    def __init__(
        self,
        url: str,
        *,
        read_only: bool,
        limits: Limits,
        shard: Shard | None,
        readers: Readers | None,
        joint: JointCommits | None,
        node: int | None,
    ) -> None:
        self.target, self.read_only, self.limits = Target(url), read_only, limits
        self.path, self.shard, self._wanted, self._node = self.target.name, Shard(), shard, node
        self.failed: BaseException | None = None
        self._writes: set[asyncio.Task[Any]] = set()  # in progress
        self._writer: Connection | None = None
        self._own_readers = readers is None
        self._readers = readers or Readers(url, 1 if read_only else READERS)
        self._open_to_read, self._joint = False, joint
        self._turn = asyncio.Lock()  # of the writer, in the order of the calls
        self._epoch = self._encoding = 0
        self._merging = Merging()
        self._pings: asyncio.Task[None] | None = None

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self, state: Query[T]) -> T | None:
        try:
            return await self._open(state)
        except BaseException as error:
            await self.close()
            if isinstance(error, DatabaseError):
                raise failure(error) from error
            raise

    async def _open(self, state: Query[T]) -> T | None:
        if self._own_readers:
            await self._readers.open()
        self._open_to_read = True
        if self.read_only:
            self.failed = StoreError("the store is open for reading only")
            async with self._readers.session() as reader:
                if not await format_of(reader, self.target):
                    raise StoreFormatError(
                        f"{self.path} has no schema {self.target.schema} of stepwell"
                    )
            return None
        idle = f"{round(self.limits.owner_idle_seconds * 1000)}ms"
        writer = self._writer = await connect(self.target, idle_session_timeout=idle)
        await commit_to_disk(writer)
        if self._node is None:  # a node has looked when it joined; it is not stopped by a failover
            await check_clock(writer, self.limits.clock_skew_seconds)
        number = HOME if self._wanted is None else self._wanted.number
        await self._lock(writer, number)
        count = SHARDS if self._wanted is None else self._wanted.count
        await migrate(writer, self.target, count)
        self.shard = Shard(number, await writer.fetchval(SQL["shards"]))
        if self._wanted not in (None, self.shard):
            raise StoreFormatError(
                f"{self.path} has {self.shard.count} shards, not {self._wanted.count}"
            )
        self._epoch = await writer.fetchval(numbered("take_over"), self._node, number)
        self.failed, self._merging = None, Merging()
        async with writer.transaction():
            result = await _run(state, writer)
        self._pings = asyncio.create_task(self._ping(writer), name="stepwell-postgres-ping")
        return result

    async def _lock(self, writer: Connection, number: int) -> None:
        """One owner for each shard of each schema."""
        loop = asyncio.get_running_loop()
        end, locks = loop.time() + LOCK_SECONDS, self.target.lock_class("shard")
        while not await writer.fetchval(numbered("lock"), locks, number):
            if loop.time() > end:
                raise await self._in_use(writer, number)
            await asyncio.sleep(0.02)

    async def _in_use(self, writer: Connection, number: int) -> StoreInUseError:
        """Names the servers of the nodes that live, or else where the owner of the shard is."""
        servers, place = await users(writer, self.target, "holders", number)
        place = f" of {place}" if place else ""
        words = f"by another process{place}: only one may have it open for writing"
        error = StoreInUseError(
            f"{self.path} is in use {'by ' + ' and '.join(servers) if servers else words}"
        )
        error.served = bool(servers)
        return error

    async def _ping(self, writer: Connection) -> None:
        """Keeps the session from ending as idle, and notices soon that it has ended."""
        while self.failed is None:
            await asyncio.sleep(self.limits.owner_idle_seconds / 3)
            if self._merging.pending:
                with suppress(StoreError):  # then the database is finished
                    await self._to_its_end(self._merge())
                continue
            async with self._turn:
                if self.failed is None:
                    try:
                        await writer.fetchval("SELECT 1")
                    except DatabaseError as error:
                        self.failed = failure(error)

    async def close(self) -> None:
        writer, pings = self._writer, self._pings
        self._writer = self._pings = None
        self._open_to_read = False
        if pings is not None:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
        if self._writes:
            await asyncio.wait(self._writes, timeout=CLOSE_SECONDS)
        if writer is not None:
            with suppress(*DatabaseError):
                await writer.close(timeout=CLOSE_SECONDS)
        if self._own_readers:
            await self._readers.close()

    @property
    def own(self) -> tuple[int, ...]:
        return (self.shard.number,)

    def check(self) -> None:
        if self.failed is not None:
            raise self.failure()
        self._session()

    def failure(self) -> StoreError:
        return StoreError(f"an earlier commit failed: {self.failed}; open the store again")

    def give_up(self) -> None:
        if self._writer is not None:
            self._writer.terminate()

    def _session(self) -> Connection:
        if self._writer is None:
            raise StoreError("the store is not open")
        return self._writer

    # --- writing ----------------------------------------------------------------------------------

    async def commit(self, encode: Callable[[], Batch], apart: bool) -> Batch:
        if not (apart or self._encoding):
            return await self._to_its_end(self._commit(encode()))
        self._encoding += 1  # later ones are encoded after it
        return await self._to_its_end(self._encode_and_commit(encode))

    async def _commit(self, batch: Batch) -> Batch:
        async with self._owned() as writer:
            await self._write(batch, writer, joined=True)
        return batch

    async def _encode_and_commit(self, encode: Callable[[], Batch]) -> Batch:
        try:
            async with self._owned() as writer:
                batch = await asyncio.to_thread(encode)
                await self._write(batch, writer, joined=False)  # large: others go on
            return batch
        finally:
            self._encoding -= 1

    async def _to_its_end(self, write: Coroutine[Any, Any, T]) -> T:
        """A write in its turn, which a cancelled caller does not stop: later writes may build on
        it.
        """
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may have been cancelled

    async def _write(self, batch: Batch, writer: Connection, joined: bool) -> None:
        part = Part(batch, self.shard.number, self._epoch, writer)
        late = self._merging.add(batch.merges)
        if not (batch.deletes or late or self._merging.due):
            return await (self._joint.commit if joined and self._joint else write)(part)
        async with writer.transaction():
            if any(name == DELETE_CLOSING_ATTRIBUTES for name, _ in batch.deletes):
                await self._fence(writer)  # first, as who indexes them: none waits for the other
            for name, values in batch.deletes:
                await writer.execute(numbered(name), *values)
            await write(part)
            for place in late:
                await _run(merge_history(*place), writer)
            if self._merging.due:
                await self._merge_pending(writer)

    async def _merge(self) -> None:
        async with self._transaction() as writer:
            await self._merge_pending(writer)

    async def _merge_pending(self, writer: Connection) -> None:
        statements = numbered("histories_to_merge"), numbered("replace_histories")
        await self._merging.merge(writer, *statements)

    @staticmethod
    def known(execution_ids: Sequence[int]) -> Query[Known]:
        known: dict[Asked, list[Row]] = {}
        first = [event_keys(each)[0] | 1 for each in execution_ids]
        for name, many, keys, start in (
            ("continuation", "continuations", execution_ids, 1),
            ("execution", "executions_of", execution_ids, 0),
            ("first_history", "first_histories", first, 1),
        ):
            known |= {(name, (key,)): [] for key in keys}
            for row in (yield many, (keys,)):
                known[name, (row[0],)] = [row[start:]]
        return known

    @staticmethod
    def delete_executions(execution_ids: Sequence[int]) -> Query[None]:
        yield "delete_all_rows", (execution_ids,)

    async def transact(self, query: Query[T]) -> T:
        return await self._to_its_end(self._transact(query))

    async def _transact(self, query: Query[T]) -> T:
        async with self._transaction() as writer:
            return await _run(query, writer)

    async def execute(self, name: str, *values: Any) -> int:
        return await self._to_its_end(self._execute(name, *values))

    async def _execute(self, name: str, *values: Any) -> int:
        async with self._transaction() as writer:
            done: str = await writer.execute(numbered(name), *values)  # such as "DELETE 3"
            return int(done.rpartition(" ")[2])

    @asynccontextmanager
    async def _owned(self) -> AsyncIterator[Connection]:
        """The writer, in turn. What fails meanwhile finishes the database."""
        async with self._turn:
            if self.failed is not None:
                raise self.failure()
            writer = self._session()
            try:
                yield writer
            except UnicodeEncodeError:  # no database takes the text: it was rolled back, no more
                raise
            except DatabaseError as error:
                self.failed = failure(error)
                raise self.failed from error
            except BaseException as error:
                self.failed = error
                raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        """The writer in a transaction of this owner."""
        async with self._owned() as writer, writer.transaction():
            await self._fence(writer)
            yield writer

    async def _fence(self, writer: Connection) -> None:
        owner = (self.shard.number, self._epoch)
        if not await writer.fetch(numbered("fence"), *owner):
            raise StoreLostError(f"{self.path} has another owner now")

    # --- reading ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Connection]:
        """A session to read with. Reads go on after a failed commit, unless there is another
        owner.
        """
        self._check_reading()
        async with self._readers.session() as reader:
            yield reader

    def _check_reading(self) -> None:
        if isinstance(self.failed, StoreLostError):
            raise self.failure()
        if not self._open_to_read:
            raise StoreError("the store is not open")

    async def query(self, query: Query[T]) -> T:
        async with (
            self._reader() as reader,
            reader.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _run(query, reader)

    async def first(self, query: Callable[[], Query[T]]) -> T:
        """One statement needs no transaction: it is one round trip, not three, and shared."""
        started = query()
        name, values = next(started)
        assert name == "described", f"{name} is not asked for many at once"
        self._check_reading()
        rows = await self._readers.described(values)
        try:
            started.send(rows)
        except StopIteration as end:
            value: T = end.value
            return value
        return await self.query(query())  # it takes more: all of them on one state

    async def each(self, queries: Sequence[Callable[[], Query[T]]]) -> list[T]:
        return await asyncio.gather(*map(self.first, queries))

    async def taken(self, execution_arn: str) -> bool:
        self._check_reading()
        return await self._readers.taken(execution_arn)

    async def rows(self, name: str, *values: Any) -> list[Any]:
        async with self._reader() as reader:
            return await _fetch(reader, name, values)

    async def page(self, limit: int, name: str, *values: Any) -> list[Any]:
        async with self._reader() as reader:
            return await _fetch(reader, name, values, f" LIMIT {limit}")

    async def health(self) -> Health:
        ((bytes, dead, seconds, standbys),) = await self.rows("health")
        return Health(bytes, 0, dead, seconds, standbys)

    async def integrity(self) -> list[str]:
        async with self._reader() as reader:
            await warn_of_no_standby(reader, self.path)
        return []  # PostgreSQL reports damaged pages as it reads them

    async def dump(self) -> AsyncIterator[tuple[str, list[Any]]]:
        async with (
            self._reader() as reader,
            reader.transaction(isolation="repeatable_read", readonly=True),
        ):
            for table, columns in TABLES.items():
                names = columns.split()
                if table == META:
                    yield table, await _fetch(reader, "dump_meta", ())
                    continue
                rows = await reader.cursor(f"SELECT {', '.join(names)} FROM {table}")
                while page := await rows.fetch(PAGE):
                    yield table, [_texts(table, names, bytes.decode, row) for row in page]

    async def restore(self, pages: AsyncIterator[tuple[str, list[Any]]]) -> None:
        async with self._transaction() as writer:
            async for table, page in pages:
                names = TABLES[table].split()
                rows = [_texts(table, names, str.encode, row) for row in page]
                if table == META:
                    for clock, next_id, secret in rows:
                        await writer.execute(numbered("restore_secret"), secret)
                        await writer.execute(numbered("restore_clock"), clock)
                        place = (next_id, shard_of_id(next_id))
                        await writer.execute(numbered("restore_next"), *place)
                else:
                    await writer.copy_records_to_table(
                        table, records=rows, columns=names, schema_name=self.target.schema
                    )
            greatest = await writer.fetchval(SQL["greatest_shard"]) or HOME
            if greatest >= self.shard.count:
                raise StoreError(
                    f"there are executions of shard {greatest}, and {self.path} has"
                    f" {self.shard.count} shards: use a new database"
                )
            for name in ("raise_next", "set_next_definition"):
                await writer.execute(SQL[name])


def _texts(table: str, names: list[str], change: Callable[[Any], Any], row: Any) -> tuple[Any, ...]:
    """A row with its columns of UTF-8 in bytea decoded, or encoded."""
    return tuple(
        change(value) if f"{table}.{name}" in _UTF8_COLUMNS and value is not None else value
        for name, value in zip(names, row)
    )


async def _run(query: Query[T], connection: Connection) -> T:
    """A query, to its end."""
    try:
        name, values = next(query)
        while True:
            rows = await _fetch(connection, name, values)
            name, values = query.send(rows)
    except StopIteration as end:
        value: T = end.value
        return value


async def _fetch(
    connection: Connection, name: str, values: Sequence[Any], end: str = ""
) -> list[Any]:
    if name in _UTF8_KEYS:
        values = [value.encode() if type(value) is str else value for value in values]
        rows = await connection.fetch(numbered(name) + end, *values)
        return [(key.decode(), *rest) for key, *rest in rows]
    return list(map(tuple, await connection.fetch(numbered(name) + end, *values)))
