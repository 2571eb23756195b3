"""The disk of the simulated world: the real store on a real SQLite file, whose statements fail and
whose bytes are lost when they may be.

    Store -> SqliteStore -> Thread (a queue instead of a thread) -> Connection (counts statements,
    and fails at one of them)

What a power cut may lose is what has been written since the last sync: of each file, any of its
sectors. With synchronous=FULL that is never anything that was acknowledged.
"""

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulation.virtual import PROCESS

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Unit
from stepwell.engine.store.keys import EVENT_BITS, ROW_BITS
from stepwell.engine.store.sqlite import database, thread
from stepwell.engine.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from tests.simulation.process import Process

T = TypeVar("T")
SECTOR = 512
WAL_HEADER = 32  # synced before anything that follows it is written
FULL_SYNC = 2


class DiedError(BaseException):
    """The process is killed within a statement."""


class Connection(sqlite3.Connection):
    """before  called with each statement before it is executed; what it raises is the statement's
    failure.
    """

    before: Callable[[str], None] | None = None

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if self.before is not None:
            self.before(statement)
        return super().execute(statement, *parameters)


class Thread(thread.Thread):
    """The store's thread as a queue: closures are done one by one, some time after they were handed
    in, and answered some time later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._process: Process = PROCESS.get()
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    async def start(self, path: str, prepare: Callable[[sqlite3.Connection], T]) -> T:
        self._connection = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, factory=Connection
        )
        self._process.connections.append(self._connection)
        return await self.run(prepare)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreError("the store is not open")
        return await asyncio.shield(asyncio.create_task(self._do(work, self._connection)))

    async def _do(
        self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection
    ) -> T:
        async with self._turn:
            await self._process.world.pause()
            if self._process.buried:
                raise asyncio.CancelledError
            try:
                result = work(connection)
            except sqlite3.Error as error:
                raise StoreError(f"{type(error).__name__}: {error}") from error
            except DiedError:
                await self._process.kill()
            await self._process.world.pause()
            return result

    async def stop(self) -> None:
        if self._connection is not None:
            async with self._turn:
                self._connection = None


class Database(database.SqliteDatabase):
    """The real database, whose transactions may fail. `units` are those of the latest commit."""

    def __init__(self, process: "Process", path: Path) -> None:
        settings = process.world.settings
        super().__init__(
            os.fspath(path), full=settings.full, read_only=False, limits=settings.limits
        )
        self._process = process
        self.units: Sequence[Any] = ()

    def in_transaction(self, work: Any, connection: Any) -> Any:
        process, fate = self._process, self._process.fate("transaction")
        cut = PowerCut(self.path, process) if fate == "power cut" else None
        connection.before = _failing(process, fate, connection)
        try:
            result = super().in_transaction(work, connection)
        finally:
            if not process.dying:
                connection.before = None
        units = self.units if getattr(work, "func", None) is database.write else ()
        process.world.ledger.durable(process, [unit for unit in units if type(unit) is Unit])
        if cut is not None:
            cut.happen()
            raise DiedError
        return result


class Store(SqliteStore):
    """The real store, in a process that may die before, in and after a transaction."""

    def __init__(self, process: "Process", path: Path) -> None:
        super().__init__(path, limits=process.world.settings.limits)
        self._process = process
        self.database: Database = Database(process, path)

    async def commit(self, units: Sequence[Any]) -> Any:
        process = self._process
        fate = process.fate("commit")
        if fate == "error before":
            raise StoreError("no space left on this disk")
        if fate == "kill before":
            await process.kill()
        if fate == "kill during":
            process.die()
        if fate == "close during":
            process.shut.set()
        if fate == "usurped":
            process.usurp()
        self.database.units = units
        refused = await super().commit(units)
        if fate == "kill after":
            await process.kill()
        if fate == "error after":
            raise StoreError("the connection was lost during COMMIT")
        process.world.ledger.published(process, [unit for unit in units if type(unit) is Unit])
        return refused

    def drop(self) -> None:
        """What the system does with a dead process's locks, and a user's cleverness with those of
        one that lives.
        """
        if self.database.file is not None:
            self.database.file.close()


def _failing(
    process: "Process", fate: str, connection: sqlite3.Connection
) -> Callable[[str], None] | None:
    """What the next transaction's statements meet: one of them fails, the process dies at one, or
    the file cannot grow.
    """
    if fate == "file full":
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # from here on, a real SQLITE_FULL
    if not fate.endswith("within"):
        return None
    left = process.world.rng.randrange(1, process.world.rng.choice((3, 9)))

    def before(statement: str) -> None:
        nonlocal left
        if process.dying:
            raise DiedError  # no process is left to roll back
        if statement.startswith("BEGIN"):
            return
        left -= 1
        if left <= 0 or statement == "COMMIT":
            connection.before = None  # type: ignore[attr-defined]
            if fate == "kill within":
                process.die()
                raise DiedError
            raise sqlite3.OperationalError("disk I/O error")

    return before


# --- power cuts -----------------------------------------------------------------------------------


def read_files(path: str) -> dict[str, bytes]:
    """The database and its log as they are now."""
    found = {suffix: Path(path + suffix) for suffix in ("", "-wal")}
    return {suffix: file.read_bytes() if file.exists() else b"" for suffix, file in found.items()}


def write_files(path: str, files: dict[str, bytes]) -> None:
    for suffix, data in files.items():
        Path(path + suffix).write_bytes(data)
    Path(path + "-shm").unlink(missing_ok=True)


class PowerCut:
    """A power cut within the next transaction: what of it reaches the disk is drawn.

    With synchronous=FULL all that was committed before is on the disk. Otherwise nothing is sure
    but what this process began with.
    """

    def __init__(self, path: str, process: "Process") -> None:
        self._path, self._process = path, process
        synchronous = process.connections[0].execute("PRAGMA synchronous").fetchone()[0]
        self._synced = read_files(path) if synchronous >= FULL_SYNC else process.born_with

    def happen(self) -> None:
        rng, before, after = self._process.world.rng, self._synced, read_files(self._path)
        log = after["-wal"]
        data = before[""]
        if before[""] == after[""] or rng.random() < 0.4:
            log = torn(before["-wal"], log, rng)
        else:  # the log was synced, and has been copied to the database since: in part, or wholly
            data = after[""] if rng.random() < 0.3 else _sectors(before[""], after[""], 0, rng)
        self._process.left_behind = {"": data, "-wal": log}


def torn(before: bytes, after: bytes, rng: random.Random) -> bytes:
    """A log of which the last write was cut off: at some byte, or with only some of its sectors."""
    if before[:WAL_HEADER] != after[:WAL_HEADER]:  # it has begun anew, from its start
        if rng.random() < 0.2:
            return before
        before = after[:WAL_HEADER] + before[WAL_HEADER:]
    if rng.random() < 0.5:
        first = next(
            (place for place, (old, new) in enumerate(zip(before, after)) if old != new),
            min(len(before), len(after)),
        )
        end = rng.randrange(first, len(after) + 1)
        return after[:end] + before[end:]
    return _sectors(before, after, WAL_HEADER, rng)


def _sectors(before: bytes, after: bytes, start: int, rng: random.Random) -> bytes:
    """Any of the sectors of `after`; the others as they were, or zeros."""
    share, parts = rng.random(), [after[:start]]
    for place in range(start, len(after), SECTOR):
        new = after[place : place + SECTOR]
        old = before[place : place + SECTOR].ljust(len(new), b"\0")
        parts.append(new if rng.random() < share else old)
    return b"".join(parts)


# --- damage ---------------------------------------------------------------------------------------

_VICTIMS = (
    "SELECT e.id FROM execution e JOIN series s ON s.id = e.series WHERE e.status = 0 AND "
    "s.prefix LIKE '%:victim' ORDER BY e.id"
)
_ROWS = {
    "history": ("key", EVENT_BITS, 0.1),
    "payload": ("key", ROW_BITS, 0.1),
    "frame": ("key", ROW_BITS, 0.1),
    "continuation": ("id", 0, 1.0),
}
"""Tables of blobs -> their key, the bits of it that are not the execution's, and how likely a row
is damaged."""


def damage(path: Path, rng: random.Random) -> int | None:
    """Spoil the stored bytes of a running victim; its id."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        victims = (
            [row[0] for row in connection.execute(_VICTIMS)] if _has_tables(connection) else []
        )
        if not victims:
            return None
        victim, hit = rng.choice(victims), False
        for table, (key, bits, chance) in _ROWS.items():
            for row, blob in connection.execute(
                f"SELECT {key}, blob FROM {table} WHERE {key} >> {bits} = ?", (victim,)
            ).fetchall():
                if not hit and rng.random() < chance:
                    hit = True
                    connection.execute(
                        f"UPDATE {table} SET blob = ? WHERE {key} = ?", (_spoilt(blob, rng), row)
                    )
        return victim if hit else None


def _has_tables(connection: sqlite3.Connection) -> bool:
    found: int = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'execution'"
    ).fetchone()[0]
    return found > 0


def _spoilt(blob: bytes, rng: random.Random) -> bytes:
    """With one bit the other way round, cut off, or lost."""
    kind, place = rng.randrange(4), rng.randrange(len(blob) or 1)
    if kind == 0 or not blob:
        return blob[:place]
    if kind == 1:
        return bytes(len(blob))
    return blob[:place] + bytes([blob[place] ^ 1 << rng.randrange(8)]) + blob[place + 1 :]


# --- looking --------------------------------------------------------------------------------------


def rows(path: Path, statement: str, *parameters: Any) -> list[Any]:
    """Committed rows, read beside the process."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, parameters).fetchall()
