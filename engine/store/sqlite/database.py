"""One SQLite database: the file, a connection to write with and one to read with, each in its own
thread (in memory, and for reading only, one connection does both).

    commit              encode on the event loop -> ONE closure in the writer: BEGIN, the owner's
                        epoch, a few multi-row statements, COMMIT (fsync)
    transact            a query in such a transaction
    query, rows, page   closures in the reader, which sees committed rows only

After a failed transaction the database is finished: each later call fails, until it is opened
again. A database that is no longer this process's fails, too: each transaction and each read checks
the epoch of this opening and that the file's name still leads to the file (file.py).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.search.values import Range
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Health, StoreFormatError, StoreLostError
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.sql.queries import (
    ALL,
    Asked,
    Known,
    Query,
    executions,
    merge_history,
    place_before,
)
from stepwell.engine.store.sql.rows import named
from stepwell.engine.store.sql.tables import META, PAGE, TABLES
from stepwell.engine.store.sqlite.faults import meaning
from stepwell.engine.store.sqlite.file import LockedFile
from stepwell.engine.store.sqlite.schema import LATER_TABLES, create_in_memory, migrate, version_of
from stepwell.engine.store.sqlite.sql import SQL, SQLITE_VERSION, for_rows
from stepwell.engine.store.sqlite.thread import Inline, Thread

T = TypeVar("T")
Connection = sqlite3.Connection

log: Final = logging.getLogger("stepwell.store")

MEMORY: Final = ":memory:"
CHECKPOINT_PAGES: Final = 4000
BUSY_MS: Final = 250  # of one wait for another program's lock; see _begin
CUT_MS: Final = 50
CUT_SECONDS: Final = 5.0  # between two attempts to truncate the log
# Of one statement; the rest of the rows in powers of two, so that few statements are prepared.
ROWS_AT_ONCE: Final = 64
_DELETIONS: Final = (
    *("delete_all_continuation", "delete_all_parked", "delete_all_map_item"),
    *("delete_all_map_result", "delete_all_map_run", "delete_all_frame", "delete_all_history"),
    *("delete_all_child_input", "delete_all_child_output", "delete_all_long_history"),
    *("delete_all_attribute", "delete_all_payload", "delete_all_execution"),
)
"""One for each table with rows that belong to an execution."""


def run(query: Query[T], connection: Connection) -> T:
    """A query, to its end."""
    try:
        name, values = next(query)
        while True:
            name, values = query.send(connection.execute(SQL[name], values))
    except StopIteration as end:
        value: T = end.value
        return value


def write(batch: Batch, connection: Connection) -> None:
    """The changes of a commit."""
    for name, parameters in batch.deletes:
        connection.execute(SQL[name], parameters)
    for change, values in batch.rows.items():
        columns, start, left = change.columns, 0, len(values) // change.columns
        while left:
            rows = ROWS_AT_ONCE if left >= ROWS_AT_ONCE else 1 << (left.bit_length() - 1)
            end = start + rows * columns
            connection.execute(for_rows(change, rows), values[start:end])
            start, left = end, left - rows
    for place in batch.merges:
        run(merge_history(*place), connection)
    connection.execute(SQL["advance"], (batch.clock, batch.next_id))


def snapshot(work: Callable[[Connection], T], connection: Connection) -> T:
    """work() on one state of the database, whatever is committed meanwhile."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("COMMIT")


class SqliteDatabase:
    """path       a file, or ":memory:"
    full       synchronous=FULL, else NORMAL: see SqliteStore
    read_only  committed rows only, without the lock
    inline     on the event loop, without threads
    failed     why nothing can be written any more
    """

    shard, own = Shard(), ()
    executions = staticmethod(executions)

    def __init__(
        self, path: str, *, full: bool, read_only: bool, limits: Limits, inline: bool = False
    ) -> None:
        self.path = path if path == MEMORY else os.path.realpath(path)
        self.full, self.read_only, self.limits = full, read_only, limits
        self.failed: BaseException | None = None
        self._connect: Callable[[], Inline | Thread] = Inline if inline else Thread
        self.writer = self.reader = self._connect()
        self.file: LockedFile | None = None
        self._epoch, self._given_up, self._cut_again = 0, False, 0.0
        self._encoding = 0  # batches that the writer's thread encodes: later ones wait for them

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self, state: Query[T]) -> T | None:
        try:
            return await self._open(state)
        except sqlite3.Error as error:
            raise StoreError(meaning(error)) from error

    async def _open(self, state: Query[T]) -> T | None:
        if self.read_only:
            self.failed = StoreError("the store is open for reading only")
            await self.reader.start(self._readable(), self._prepare_reading)
            return None
        self.failed, self._given_up = None, False
        self.file = None if self.path == MEMORY else LockedFile(self.path)
        try:
            self.writer = self.reader = self._connect()
            result = await self.writer.start(self.path, partial(self._prepare, state))
            if self.file is not None:
                self.file.watch()
            if self.path != MEMORY:
                reader = self._connect()
                await reader.start(
                    self.path, lambda connection: connection.execute("PRAGMA query_only = ON")
                )
                self.reader = reader
        except BaseException:
            await self.close()
            raise
        return result

    async def close(self) -> None:
        try:
            if self.reader is not self.writer:
                await self.reader.stop()
            await self.writer.stop()
        finally:
            self.reader = self.writer = Thread()
            if self.file is not None:
                self.file.close()
                self.file = None

    def _readable(self) -> str:
        """The path, or SQLite's URI of a file in a folder that cannot be written, as on read-only
        media: SQLite, which cannot create its log there, reads it only as one that no process
        writes. None does as long as it has no log.
        """
        path = os.path.realpath(self.path)
        if os.access(os.path.dirname(path), os.W_OK) or os.path.exists(f"{path}-wal"):
            return self.path
        return f"file:{quote(path)}?immutable=1"

    def _prepare_reading(self, connection: Connection) -> None:
        version = version_of(connection, self.path)
        if not version:
            raise StoreFormatError(f"{self.path} is empty")
        for name, since in LATER_TABLES.items():
            if version < since:
                connection.execute(SQL[name])
        connection.execute("PRAGMA query_only = ON")

    def _prepare(self, state: Query[T], connection: Connection) -> T:
        if sqlite3.sqlite_version_info < SQLITE_VERSION:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old: "
                f"{'.'.join(map(str, SQLITE_VERSION))} or newer is needed"
            )
        connection.execute(
            f"PRAGMA busy_timeout = {round(self.limits.foreign_lock_seconds * 1000)}"
        )
        try:
            version = version_of(connection, self.path)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise StoreFormatError(
                f"{self.path} cannot be read as a database: {meaning(error)}"
            ) from error
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.full else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {2 * CHECKPOINT_PAGES * 4096}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if self.path == MEMORY:
            create_in_memory(connection)
        else:
            migrate(connection, version)
        self._epoch = connection.execute(SQL["take_over"]).fetchone()[0]
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        return run(state, connection)

    @property
    def folder(self) -> Path | None:
        return None if self.path == MEMORY else Path(f"{self.path}.functions").resolve()

    # --- ownership --------------------------------------------------------------------------------

    def check(self) -> None:
        if self.failed is not None:
            raise self.failure()
        self.writer.check()
        self._check_file()

    def failure(self) -> StoreError:
        return StoreError(f"an earlier commit failed: {self.failed}; open the store again")

    def _check_file(self) -> None:
        """Raises StoreLostError unless the file's name leads to the file. Also used in threads."""
        if self.file is None:
            return
        try:
            self.file.check()
        except StoreLostError as error:
            self.failed = error
            raise

    def _check_owner(self, connection: Connection) -> None:
        """Raises StoreLostError if another process has opened the database since. (A process that
        is believed dead may go on without a commit for long.)
        """
        if connection.execute(SQL["fence"], (self._epoch,)).fetchone() is None:
            self.failed = StoreLostError(f"{self.path} has another owner now")
            raise self.failed

    # --- writing ----------------------------------------------------------------------------------

    async def commit(self, encode: Callable[[], Batch], apart: bool) -> Batch:
        if not (apart or self._encoding):
            batch = encode()
            await self.transaction(partial(write, batch))
            return batch
        self._encoding += 1
        try:
            return await self.writer.run(partial(self._encode_and_write, encode))
        finally:
            self._encoding -= 1

    def _encode_and_write(self, encode: Callable[[], Batch], connection: Connection) -> Batch:
        """In the writer's thread: meanwhile the event loop changes nothing of these executions, and
        later commits wait behind this one.
        """
        if self.failed is not None:
            raise self.failure()
        batch = encode()
        self.in_transaction(partial(write, batch), connection)
        return batch

    attributes_in_order = True

    @staticmethod
    def ids(execution_ids: Sequence[int]) -> str:
        return json.dumps(execution_ids)

    @staticmethod
    def attribute_page(
        name: str, values: Range, after: tuple[int, int] | None, limit: int
    ) -> Asked:
        page = (after[1] if after else ALL, limit)  # ids are in the order of starts
        if values.single:
            return "attribute_equal", (name, values.low, *page)
        return "attribute_within", (name, *values, *page)

    @staticmethod
    def lock_owners(execution_ids: Sequence[int]) -> Query[None]:
        yield from ()  # the writer's transaction is the only one

    @staticmethod
    def insert_attributes(rows: Sequence[tuple[str, bytes, int, int]]) -> Query[None]:
        for each in rows:
            yield "insert_attribute", each

    @staticmethod
    def place_before(at: int) -> Query[tuple[int, int]]:
        return (yield from place_before(at))

    @staticmethod
    def delete_executions(execution_ids: Sequence[int]) -> Query[None]:
        ids = json.dumps(execution_ids)
        for name in _DELETIONS:
            yield name, (ids,)

    @staticmethod
    def known(execution_ids: Sequence[int]) -> Query[Known]:
        yield from ()
        return {}

    async def transact(self, query: Query[T]) -> T:
        return await self.transaction(partial(run, query))

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """work(connection) in a transaction of the writer: all or nothing."""
        return await self.writer.run(partial(self.in_transaction, work))

    def in_transaction(self, work: Callable[[Connection], T], connection: Connection) -> T:
        """The same, called in the writer's thread."""
        if self.failed is not None:
            raise self.failure()
        try:
            self._begin(connection)
            self._check_owner(connection)
            result = work(connection)
            connection.execute("COMMIT")
            self._check_file()
            if self.wal_bytes > self.limits.wal_bytes:
                self._cut_wal(connection)
            return result
        except BaseException as error:
            if isinstance(error, sqlite3.Error):
                self.failed = StoreError(meaning(error))
            # a text that no database takes is the caller's error: it was rolled back, no more
            elif not isinstance(error, UnicodeEncodeError):
                self.failed = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: Connection) -> None:
        """Begin to write once no other program does: in short waits, so that a store that is being
        closed can give up.
        """
        end, logged = monotonic() + self.limits.foreign_lock_seconds, False
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self._given_up or monotonic() >= end:
                    raise
            if not logged:
                log.warning("%s is locked by another program: waiting", self.path)
                logged = True

    def give_up(self) -> None:
        self._given_up = True

    @property
    def wal_bytes(self) -> int:
        return 0 if self.file is None else self.file.wal_bytes

    def _cut_wal(self, connection: Connection) -> None:
        """Write the log back and truncate it, as far as no other program still reads from it."""
        if monotonic() < self._cut_again:
            return
        connection.execute(f"PRAGMA busy_timeout = {CUT_MS}")
        try:
            busy, pages, done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._cut_again = monotonic() + CUT_SECONDS
        if busy:
            log.warning(
                "%s-wal has %d bytes: another program reads from it (%d of %d pages written back)",
                self.path,
                self.wal_bytes,
                done,
                pages,
            )

    # --- reading ----------------------------------------------------------------------------------

    async def read(self, work: Callable[[Connection], T]) -> T:
        """work(connection) in the reader, on committed rows."""

        def checked(connection: Connection) -> T:
            if not self.read_only:
                self._check_file()
                self._check_owner(connection)
            return work(connection)

        return await self.reader.run(checked)

    async def query(self, query: Query[T]) -> T:
        return await self.read(partial(snapshot, partial(run, query)))

    async def first(self, query: Callable[[], Query[T]]) -> T:
        return await self.query(query())

    async def each(self, queries: Sequence[Callable[[], Query[T]]]) -> list[T]:
        def work(connection: Connection) -> list[T]:
            return [run(query(), connection) for query in queries]

        return await self.read(partial(snapshot, work))

    async def rows(self, name: str, *values: Any) -> list[Any]:
        return await self.read(lambda connection: connection.execute(SQL[name], values).fetchall())

    async def page(self, limit: int, name: str, *values: Any) -> list[Any]:
        def work(connection: Connection) -> list[Any]:
            with closing(connection.execute(SQL[name], values)) as rows:
                return list(islice(named(rows), limit))

        return await self.read(work)

    async def execute(self, name: str, *values: Any) -> int:
        return await self.transaction(
            lambda connection: connection.execute(SQL[name], values).rowcount
        )

    async def health(self) -> Health:
        def work(connection: Connection) -> Health:
            size, pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
            return Health(size * pages, size * free)

        return await self.read(work)

    async def integrity(self) -> list[str]:
        answers = await self.read(
            lambda connection: connection.execute("PRAGMA integrity_check").fetchall()
        )
        return [answer for (answer,) in answers if answer != "ok"]

    async def dump(self) -> AsyncIterator[tuple[str, list[Any]]]:
        await self.read(partial(_execute, "BEGIN"))
        try:
            for table, columns in TABLES.items():
                select = f"SELECT {', '.join(columns.split())} FROM {table}"
                rows = await self.read(partial(_execute, select))
                while page := await self.read(partial(_next_page, rows)):
                    yield table, page
        finally:
            await self.read(partial(_execute, "COMMIT"))

    async def restore(self, pages: AsyncIterator[tuple[str, list[Any]]]) -> None:
        run = self.writer.run
        await run(self._begin)
        try:
            await run(self._check_owner)
            async for table, page in pages:
                columns = TABLES[table].split()
                if table == META:
                    text = f"UPDATE meta SET {', '.join(f'{name} = ?' for name in columns)}"
                else:
                    marks = ", ".join("?" * len(columns))
                    text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
                await run(partial(_execute_many, text, page))
            await run(partial(_execute, "COMMIT"))
        except BaseException:
            await run(partial(_execute, "ROLLBACK"))
            raise


def _execute(text: str, connection: Connection) -> sqlite3.Cursor:
    return connection.execute(text)


def _execute_many(text: str, rows: list[Any], connection: Connection) -> None:
    connection.executemany(text, rows)


def _next_page(rows: sqlite3.Cursor, connection: Connection) -> list[Any]:
    return rows.fetchmany(PAGE)
