"""A SQLite connection and its thread. Only this file uses the private parts of aiosqlite.

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

T = TypeVar("T")
Connection = sqlite3.Connection


class Thread:
    """One SQLite connection and its thread. If the thread dies, all waiting calls fail."""

    def __init__(self) -> None:
        self._pending: set[asyncio.Future[Any]] = set()
        self._started = self._dead = False

    async def start(self, path: str, prepare: Callable[[Connection], T]) -> T:
        self._db = aiosqlite.connect(path, isolation_level=None, cached_statements=256)
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
        except sqlite3.Error as error:
            # a page of the file is damaged
            damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
            raise (StoreFormatError if damaged else StoreError)(
                f"{type(error).__name__}: {error}"
            ) from error
        except msgspec.DecodeError as error:
            raise StoreFormatError(f"a stored value is damaged: {error}") from error
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
