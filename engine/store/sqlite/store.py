"""The store in one SQLite file (or in memory): WAL, one writer thread, one reader thread.

    commit()   encode on the event loop -> ONE closure in the writer thread: BEGIN, a few multi-row
               statements, COMMIT (fsync)
    reads      closures in the reader thread, which sees committed state only; in memory both are
               the same thread

A store that is not ours any more fails: each transaction asks for the epoch of this opening, and
what is committed or read is told only while the file's name leads to the file (file.py).
"""

from __future__ import annotations

import heapq
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.model import RUNNING
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import (
    STATUSES,
    ActivityRow,
    DefinitionRow,
    ExecutionRow,
    Finding,
    Loaded,
    MachineRow,
    MapRunRow,
    StoreFormat,
    StoreLost,
    Unit,
    Writes,
    size_of,
)
from stepwell.engine.store.batch import Batch, Batcher
from stepwell.engine.store.keys import EVENT_BITS, EVENTS, ROW_BITS, ROWS, uuid_bytes
from stepwell.engine.store.sqlite import check, reading, sql
from stepwell.engine.store.sqlite.file import Hold, check_path, migrate, version_of
from stepwell.engine.store.sqlite.sql import SQLITE
from stepwell.engine.store.sqlite.thread import Thread

T = TypeVar("T")
Connection = sqlite3.Connection

log: Final = logging.getLogger("stepwell.store")

MEMORY: Final = ":memory:"
CHECKPOINT_PAGES: Final = 4000
BUSY_MS: Final = 250  # of one wait for another program's lock; see _begin
CUT_MS: Final = 50
CUT_SECONDS: Final = 5.0  # between two attempts to cut the log
MERGE_BYTES: Final = 4096  # larger rows of history stay alone
MERGE_ROWS: Final = 3
ROWS_AT_ONCE: Final = (
    64  # of one statement; the rest in powers of two, so that few texts are prepared
)
_ALL: Final = (1 << 63) - 1


class SqliteStore:
    """See base.Store.

    path   a file, or ":memory:"
    full   True: an acknowledged commit survives a power cut (synchronous=FULL). False: it survives
           the death of the process, but a power cut may lose the last commits, never the
           consistency (NORMAL)
    read_only  committed state only, without the lock: beside the process that works on it, or after
               that one was killed
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = MEMORY,
        *,
        full: bool = True,
        read_only: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.path, self.full, self.read_only, self.limits = os.fspath(path), full, read_only, limits
        if self.path != MEMORY:
            check_path(self.path)
            self.path = os.path.realpath(self.path)
        self._writer = self._reader = Thread()
        self._lock: Hold | None = None
        self._failed: BaseException | None = None
        self._given_up, self._cut_again = False, 0.0
        self._batcher = Batcher({}, {}, {})
        self._clock = self._next_id = self._epoch = 0
        self._encoding = 0  # batches that the writer's thread encodes: later ones wait behind them
        self._secret = b""

    # --- life -------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        return None if self.path == MEMORY else Path(f"{self.path}.functions").resolve()

    async def open(self) -> None:
        try:
            await self._open()
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    async def _open(self) -> None:
        if self.read_only:
            self._failed = StoreError("the store is open for reading only")
            await self._reader.start(
                self.path, self._look
            )  # one connection for everything, as in memory
            return
        self._failed, self._given_up = None, False
        self._lock = None if self.path == MEMORY else Hold(self.path)
        try:
            self._writer = self._reader = Thread()
            self._batcher, (self._clock, self._next_id, self._secret) = await self._writer.start(
                self.path, self._prepare
            )
            if self._lock is not None:
                self._lock.settle()
            if self.path != MEMORY:
                reader = Thread()
                await reader.start(
                    self.path, lambda connection: connection.execute("PRAGMA query_only = ON")
                )
                self._reader = reader
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        try:
            if self._reader is not self._writer:
                await self._reader.stop()
            await self._writer.stop()
        finally:
            self._reader = self._writer = Thread()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def check(self) -> None:
        if self._failed is not None:
            raise self._failure()
        self._writer.check()
        self._check_file()

    def _check_file(self) -> None:
        """Whether the file is still ours. Also called in the threads."""
        if self._lock is None:
            return
        try:
            self._lock.check()
        except StoreLost as error:
            self._failed = error
            raise

    def _look(self, connection: Connection) -> None:
        version = version_of(connection, self.path)
        if not version:
            raise StoreFormat(f"{self.path} is empty")
        if version < sql.PARKED_SINCE:
            connection.execute(sql.NO_PARKED)
        connection.execute("PRAGMA query_only = ON")

    def _prepare(self, connection: Connection) -> tuple[Batcher, tuple[int, int, bytes]]:
        if sqlite3.sqlite_version_info < sql.SQLITE_VERSION:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old: "
                f"{'.'.join(map(str, sql.SQLITE_VERSION))} or newer is needed"
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
            raise StoreFormat(f"{self.path} cannot be read as a database: {error}") from error
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.full else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {2 * CHECKPOINT_PAGES * 4096}")
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate(connection, version)
        self._epoch = connection.execute(sql.TAKE_OVER).fetchone()[0]
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute(sql.DELETE_SERIES)
        series, qualifiers = (
            dict(connection.execute(statement)) for statement in (sql.SERIES, sql.QUALIFIERS)
        )
        pins = {
            (definition, block, role): pin
            for definition, block, role, pin in connection.execute(sql.PINS)
        }
        return Batcher(series, pins, qualifiers), connection.execute(sql.META).fetchone()

    def _check_owner(self, connection: Connection) -> None:
        """Whether nobody has opened the database since. (One that is taken for dead may run on
        without a commit for long.)
        """
        if connection.execute(sql.FENCE, (self._epoch,)).fetchone() is None:
            self._failed = StoreLost(f"{self.path} has another owner now")
            raise self._failed

    # --- executions: writing ----------------------------------------------------------------------

    def next_id(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

    async def records(
        self, prefix: str, after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]:
        return await self._page(limit, sql.RECORDS, after, prefix, f"{prefix}\U0010ffff")

    async def commit(self, units: Sequence[Unit | Writes]) -> Mapping[int, StoreError]:
        if self._failed is not None:
            raise self._failure()
        try:
            if self._encoding or sum(map(size_of, units)) > self.limits.encode_inline_bytes:
                self._encoding += 1
                try:
                    batch = await self._writer.run(partial(self._encode_and_write, units))
                finally:
                    self._encoding -= 1
            else:
                batch = self._encode(units)
                await self._transaction(partial(_write, batch))
        except UnicodeEncodeError as error:  # the key of a record
            self._failed = error
            raise self._failure() from error
        self._clock = max(self._clock, batch.clock)
        return batch.refused

    def _encode(self, units: Sequence[Unit | Writes]) -> Batch:
        try:
            return self._batcher.batch(units)
        except BaseException as error:  # what is remembered of the executions is ahead of the disk
            self._failed = error
            raise

    def _encode_and_write(self, units: Sequence[Unit | Writes], connection: Connection) -> Batch:
        """In the thread: the loop touches nothing of these executions meanwhile, and what it hands
        in later comes later.
        """
        if self._failed is not None:
            raise self._failure()
        batch = self._encode(units)
        self._in_transaction(partial(_write, batch), connection)
        return batch

    async def _transaction(self, work: Callable[[Connection], T]) -> T:
        """work() in a transaction of the writer: all or nothing, and nothing more after a
        failure.
        """
        return await self._writer.run(partial(self._in_transaction, work))

    def _in_transaction(self, work: Callable[[Connection], T], connection: Connection) -> T:
        if self._failed is not None:
            raise self._failure()
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
            if not isinstance(
                error, UnicodeEncodeError
            ):  # a text that no database takes: it was rolled back, and is the caller's to mend
                self._failed = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: Connection) -> None:
        """Begin to write, once no other program does: in short waits, so that a store that is being
        closed can give up.
        """
        end, told = monotonic() + self.limits.foreign_lock_seconds, False
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self._given_up or monotonic() >= end:
                    raise
            if not told:
                log.warning("%s is locked by another program: waiting", self.path)
                told = True

    def _cut_wal(self, connection: Connection) -> None:
        """Write the log back and cut it, as far as other readers let us: one that reads from it
        keeps its end from being moved.
        """
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

    def give_up(self) -> None:
        self._given_up = True

    @property
    def wal_bytes(self) -> int:
        return 0 if self._lock is None else self._lock.wal_bytes

    def _failure(self) -> StoreError:
        return StoreError(f"an earlier commit failed: {self._failed}; open the store again")

    def forget(self, execution_id: int) -> None:
        self._batcher.live.pop(execution_id, None)

    async def parked(self) -> list[tuple[int, str, str]]:
        return [(number, *reading.shown(texts)) for number, *texts in await self._rows(sql.PARKED)]

    async def park(self, execution_id: int, at: int, reason: str) -> None:
        self._batcher.park(execution_id)
        await self._transaction(
            lambda connection: connection.execute(sql.PARK, (at, reason, execution_id)).rowcount
        )

    async def unpark(self, execution_id: int) -> None:
        await self._transaction(
            lambda connection: connection.execute(sql.UNPARK, (execution_id,)).rowcount
        )

    async def delete_closed(
        self, before: int, limit: int = 100, spare: Collection[int] = ()
    ) -> int:
        def work(connection: Connection) -> int:
            ids = [
                row[0]
                for row in connection.execute(sql.CLOSED_BEFORE, (before, limit))
                if row[0] not in spare
            ]
            for each in ids:
                for statement in sql.DELETE_OF_EXECUTION:
                    connection.execute(statement, (each,))
                connection.execute(sql.DELETE_FRAMES, (each << ROW_BITS, each << ROW_BITS | ROWS))
                connection.execute(
                    sql.DELETE_HISTORY, (each << EVENT_BITS, each << EVENT_BITS | EVENTS)
                )
                connection.execute(sql.DELETE_PAYLOADS, (each << ROW_BITS, each << ROW_BITS | ROWS))
                connection.execute(sql.DELETE_EXECUTION, (each,))
            return len(ids)

        return await self._transaction(work)

    async def definition_ids(self) -> list[int]:
        return [row[0] for row in await self._rows(sql.DEFINITION_IDS)]

    async def definitions_used(self, first: int, end: int) -> set[int]:
        return {row[0] for row in await self._rows(sql.DEFINITIONS_USED, first, end)}

    async def delete_definitions(self, definition_ids: Collection[int]) -> None:
        def work(connection: Connection) -> None:
            for each in definition_ids:
                connection.execute(sql.DELETE_DEFINITION, (each,))

        if definition_ids:
            await self._transaction(work)

    async def first_closed(self) -> int | None:
        found = await self._rows(sql.FIRST_CLOSED)
        return found[0][0] if found else None

    # --- executions: reading ----------------------------------------------------------------------

    async def load(self, execution_id: int) -> Loaded | None:
        stored = await self._read(partial(reading.snapshot, partial(reading.load, execution_id)))
        if stored is None:
            return None

        def decode(program: Any) -> Any:
            execution = stored.execution(program)
            self._batcher.resume(stored, execution)
            return execution

        return Loaded(execution_id, stored.row.definition, decode, len(stored.frames))

    async def find(self, machine_arn: str, name: str) -> ExecutionRow | None:
        return await self.describe(
            f"{machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
        )

    async def describe(self, execution_arn: str) -> ExecutionRow | None:
        return await self._read(partial(reading.snapshot, partial(reading.describe, execution_arn)))

    async def row(self, execution_id: int) -> ExecutionRow | None:
        found = await self._rows(sql.EXECUTION, execution_id)
        return reading.execution_row(found[0]) if found else None

    async def list_executions(
        self,
        machine_arn: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: tuple[int, int] | None = None,
        parent: tuple[int, int, int] | None = None,
        qualifier: str | None = None,
    ) -> list[ExecutionRow]:
        if status is not None and status not in STATUSES:
            return []
        codes = range(len(STATUSES)) if status is None else [STATUSES.index(status)]
        page = (after[1] if after else _ALL, limit)

        def work(connection: Connection) -> list[ExecutionRow]:
            queries: list[tuple[str, tuple[Any, ...]]]
            if parent is not None:
                queries = [(sql.EXECUTIONS_OF_MAP_RUN, (*parent, code, *page)) for code in codes]
            elif qualifier is not None:
                number = connection.execute(sql.QUALIFIER, (qualifier,)).fetchone() or (None,)
                statement = (
                    sql.EXECUTIONS_OF_VERSION
                    if qualifier.rpartition(":")[2].isdecimal()
                    else sql.EXECUTIONS_OF_ALIAS
                )
                queries = [(statement, (*number, code, *page)) for code in codes]
            elif machine_arn is not None:
                series = [
                    row[0] for row in connection.execute(sql.SERIES_OF_MACHINE, (machine_arn,))
                ]
                queries = [
                    (sql.EXECUTIONS_OF_MACHINE, (each, code, *page))
                    for each in series
                    for code in codes
                ]
            elif status is None:
                queries = [(sql.EXECUTIONS, page)]
            else:
                queries = [(sql.EXECUTIONS_BY_STATUS, (codes[0], *page))]
            rows = heapq.merge(
                *(connection.execute(*query) for query in queries),
                key=lambda row: row[0],
                reverse=True,
            )
            return [reading.execution_row(row) for row in islice(rows, limit)]

        return await self._read(partial(reading.snapshot, work))

    async def history(
        self, execution_id: int, after_event: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[tuple[int, int, HistoryEvent]]:
        return await self._read(
            partial(
                reading.snapshot,
                partial(reading.history, execution_id, after_event, limit, reverse),
            )
        )

    async def map_run(self, uuid: str) -> MapRunRow | None:
        found = await self._rows(sql.MAP_RUN_BY_ID, uuid_bytes(uuid))
        return reading.map_run_row(found[0]) if found else None

    async def map_run_of(self, execution_id: int, frame: int, seq: int) -> MapRunRow | None:
        found = await self._rows(sql.MAP_RUN_OF_FRAME, execution_id, frame, seq)
        return reading.map_run_row(found[0]) if found else None

    async def map_runs(
        self, execution_id: int, after: int = 0, limit: int = 100
    ) -> list[MapRunRow]:
        return [
            reading.map_run_row(row)
            for row in await self._rows(sql.MAP_RUNS, execution_id, after, limit)
        ]

    async def map_runs_with_children(
        self, after: tuple[int, int, int] = (0, 0, 0), limit: int = 1000
    ) -> list[tuple[int, int, int]]:
        return await self._rows(sql.MAP_RUNS_WITH_CHILDREN, *after, STATUSES.index(RUNNING), limit)

    async def waking(
        self, before: int, after: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> list[tuple[int, int]]:
        return await self._read(
            lambda connection: connection.execute(sql.WAKING, (before, *after, limit)).fetchall()
        )

    async def in_flight(self, after: int = 0, limit: int = 1000) -> list[int]:
        return await self._read(
            lambda connection: [row[0] for row in connection.execute(sql.IN_FLIGHT, (after, limit))]
        )

    async def clock(self) -> int:
        return self._clock

    def secret(self) -> bytes:
        return self._secret

    # --- state machines and activities ------------------------------------------------------------

    async def put_machine(
        self, row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None = None
    ) -> MachineRow:
        def work(connection: Connection) -> MachineRow:
            found = connection.execute(sql.MACHINE, (row.arn,)).fetchone()
            old = reading.machine_row(found) if found else None
            if old is not None and old.revision == row.revision:
                new = row._replace(definition_id=old.definition_id)
            else:
                text = blobs.pack(row.definition.encode())
                configuration = blobs.pack_json(row.configuration)
                values = (
                    row.arn,
                    row.type,
                    row.role_arn,
                    row.revision,
                    row.updated,
                    text,
                    configuration,
                )
                number = connection.execute(sql.INSERT_DEFINITION, values).lastrowid
                assert number is not None
                new = row._replace(definition_id=number)
            new = new if complete is None else complete(new)
            extras = blobs.pack_json(new.extras)
            connection.execute(
                sql.PUT_MACHINE,
                (
                    new.arn,
                    new.name,
                    new.definition_id,
                    new.created,
                    new.updated,
                    new.status,
                    extras,
                ),
            )
            return new

        return await self._transaction(work)

    async def machine(self, arn: str) -> MachineRow | None:
        found = await self._rows(sql.MACHINE, arn)
        return reading.machine_row(found[0]) if found else None

    async def machines(
        self, after: str = "", limit: int = 100, status: str | None = None
    ) -> list[MachineRow]:
        return [
            reading.machine_row(row) for row in await self._page(limit, sql.MACHINES, after, status)
        ]

    async def count_machines(self) -> int:
        number: int = (await self._rows(sql.COUNT_MACHINES))[0][0]
        return number

    async def delete_machine(self, arn: str) -> bool:
        return await self._transaction(
            lambda connection: connection.execute(sql.DELETE_MACHINE, (arn,)).rowcount > 0
        )

    async def definition(self, definition_id: int) -> DefinitionRow | None:
        found = await self._rows(sql.DEFINITION, definition_id)
        if not found:
            return None
        *rest, text, configuration = reading.shown(found[0])
        return DefinitionRow._make(
            (*rest, blobs.unpack(text).decode(), blobs.unpack_json(configuration))
        )

    async def put_activity(self, row: ActivityRow) -> None:
        values = (*row[:-1], blobs.pack_json(row.extras))
        await self._transaction(
            lambda connection: connection.execute(sql.PUT_ACTIVITY, values).rowcount
        )

    async def activity(self, arn: str) -> ActivityRow | None:
        found = await self._rows(sql.ACTIVITY, arn)
        return reading.activity_row(found[0]) if found else None

    async def activities(self, after: str = "", limit: int = 100) -> list[ActivityRow]:
        return [reading.activity_row(row) for row in await self._page(limit, sql.ACTIVITIES, after)]

    async def delete_activity(self, arn: str) -> bool:
        return await self._transaction(
            lambda connection: connection.execute(sql.DELETE_ACTIVITY, (arn,)).rowcount > 0
        )

    def damage(
        self, record: Callable[[str, bytes], object] = lambda key, blob: None
    ) -> AsyncIterator[Finding]:
        return check.damage(self.path, self._read, record)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        """work() in the thread of the reader, which sees committed state only."""

        def ours(connection: Connection) -> T:
            if not self.read_only:
                self._check_file()
                self._check_owner(connection)
            return work(connection)

        return await self._reader.run(ours)

    async def _page(self, limit: int, statement: str, *values: Any) -> list[Any]:
        """Up to so many rows that have a name; rows of others do not count."""

        def work(connection: Connection) -> list[Any]:
            with closing(connection.execute(statement, values)) as rows:
                return list(islice(reading.named(rows), limit))

        return await self._read(work)

    async def _rows(self, statement: str, *values: Any) -> list[Any]:
        return await self._read(lambda connection: connection.execute(statement, values).fetchall())


# --- in the threads -------------------------------------------------------------------------------


def _write(batch: Batch, connection: Connection) -> None:
    for text, parameters in batch.deletes:
        connection.execute(text, parameters)
    for statement, values in batch.rows.items():
        columns, start, left = statement.columns, 0, len(values) // statement.columns
        while left:
            rows = ROWS_AT_ONCE if left >= ROWS_AT_ONCE else 1 << (left.bit_length() - 1)
            end = start + rows * columns
            connection.execute(SQLITE.many(statement, rows), values[start:end])
            start, left = end, left - rows
    for first, last in batch.merges:
        _merge(first, last, connection)
    connection.execute(sql.ADVANCE, (batch.clock, batch.next_id))


def _merge(first: int, last: int, connection: Connection) -> None:
    """Make one of each run of small rows of history. One that is damaged leaves the run as it
    is.
    """
    run: list[tuple[int, bytes]] = []
    for key, blob in [*connection.execute(sql.MERGE_UNITS, (MERGE_BYTES, first, last)), (0, None)]:
        if blob is not None:
            run.append((key, blob))
            continue
        parts = [part for _, part in run]
        merged = (
            reading.readable(partial(codec.merge, parts), "history", f"rows from {first}")
            if len(run) >= MERGE_ROWS
            else None
        )
        if merged is not None:
            connection.execute(sql.DELETE_HISTORY, (run[1][0], run[-1][0]))
            connection.execute(sql.MERGE_INTO, (merged, run[0][0]))
        run = []
