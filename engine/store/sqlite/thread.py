"""A SQLite connection, with a thread or without. Only this file uses the private parts of
aiosqlite.

The thread runs closures from a queue. A transaction is one closure, not one call for each
statement, because each hand-over between busy threads may take the interpreter's switch interval
(docs/explanation/decisions/0006-one-hand-over-a-commit.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import aiosqlite
import msgspec

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import StoreFormatError
from stepwell.engine.store.blobs import read_text
from stepwell.engine.store.sqlite.faults import meaning

T = TypeVar("T")
Connection = sqlite3.Connection


def _store_error(error: sqlite3.Error | msgspec.DecodeError) -> StoreError:
    if isinstance(error, msgspec.DecodeError):
        return StoreFormatError(f"a stored value is damaged: {error}")
    # a page of the file is damaged
    damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
    return (StoreFormatError if damaged else StoreError)(meaning(error))


class Inline:
    """As Thread, on the event loop itself: for virtual time, in which nothing may depend on how
    fast a thread is. Opening it and each call cost a fraction of what a thread takes.
    """

    def __init__(self) -> None:
        self._db: Connection | None = None

    async def start(self, path: str, prepare: Callable[[Connection], T]) -> T:
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=256, uri=True)
        self._db.text_factory = read_text
        try:
            return await self.run(prepare)
        except BaseException:
            await self.stop()
            raise

    async def run(self, work: Callable[[Connection], T]) -> T:
        await asyncio.sleep(0)  # as with a thread, others have their turn
        self.check()
        assert self._db is not None
        try:
            return work(self._db)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise _store_error(error) from error

    def check(self) -> None:
        if self._db is None:
            raise StoreError("the store is not open")

    async def stop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


class Thread:
    """One SQLite connection and its thread. If the thread dies, all waiting calls fail."""

    def __init__(self) -> None:
        self._pending: set[asyncio.Future[Any]] = set()
        self._started = self._dead = False

    async def start(self, path: str, prepare: Callable[[Connection], T]) -> T:
        self._db = aiosqlite.connect(path, isolation_level=None, cached_statements=256, uri=True)
        self._db._thread.daemon = True  # a process may end without close()
        await self._db
        self._db.text_factory = read_text
        self._started = True
        threading.Thread(
            target=self._watch,
            args=(asyncio.get_running_loop(),),
            name="stepwell-watch",
            daemon=True,
        ).start()
        try:
            return await self.run(prepare)
        except BaseException:
            await self.stop()
            raise

    async def run(self, work: Callable[[Connection], T]) -> T:
        """work(connection) in the thread, which finishes it even if the caller is cancelled. Raises
        StoreError, StoreFormatError.
        """
        self.check()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.add(future)
        self._db._tx.put_nowait((future, partial(work, self._db._conn)))
        try:
            return await future
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise _store_error(error) from error
        finally:
            self._pending.discard(future)

    def check(self) -> None:
        """Raises StoreError if the thread does not run."""
        if self._dead or not self._started:
            raise StoreError(
                "the thread of the database has died" if self._dead else "the store is not open"
            )

    async def stop(self) -> None:
        if self._started and not self._dead:
            self._started = False
            await self._db.close()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._db._thread.join()
        with contextlib.suppress(RuntimeError):  # the loop is closed: no call waits
            loop.call_soon_threadsafe(self._died)

    def _died(self) -> None:
        self._dead = True
        for future in self._pending:
            if not future.done():
                future.set_exception(StoreError("the thread of the database has died"))
