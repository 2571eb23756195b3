"""The sessions that a process reads with: a few, however many shards it owns. They see committed
rows only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store.postgres.session import (
    Connection,
    DatabaseError,
    Target,
    connect,
    failure,
)

READERS: Final = 4
CLOSE_SECONDS: Final = 5.0


class Readers:
    """url as of PostgresStore. Every method raises StoreError."""

    def __init__(self, url: str, count: int = READERS) -> None:
        self.target, self._count = Target(url), count
        self._idle: asyncio.Queue[Connection] | None = None

    async def open(self) -> None:
        self._idle = asyncio.Queue()
        for _ in range(self._count):
            self._idle.put_nowait(await self._connect())

    async def _connect(self) -> Connection:
        return await connect(self.target, default_transaction_read_only="on")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """One of them, once it is free."""
        if self._idle is None:
            raise StoreError("the store is not open")
        idle, reader = self._idle, await self._idle.get()
        try:
            if reader.is_closed():  # the server ended it, or was started again
                reader = await self._connect()
            yield reader
        except RecursionError:  # of a value that is decoded here: none of the session
            raise
        except DatabaseError as error:
            raise failure(error) from error
        finally:
            # it was cancelled amid it, and would read old rows
            if not reader.is_closed() and reader.is_in_transaction():
                reader.terminate()
            idle.put_nowait(reader)

    async def close(self) -> None:
        idle, self._idle = self._idle, None
        while idle is not None and not idle.empty():
            with suppress(*DatabaseError):
                await idle.get_nowait().close(timeout=CLOSE_SECONDS)
