"""The sessions that a process reads with: a few, however many shards it owns. They see committed
rows only. What clients ask for most, whether a name is taken and what has become of an execution,
is one statement for all that ask at the same time, of whatever shard.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store.batched import Batched
from stepwell.engine.store.keys import split_arn
from stepwell.engine.store.postgres.schema import numbered
from stepwell.engine.store.postgres.session import (
    Connection,
    DatabaseError,
    Target,
    connect,
    failure,
    refuse_unfit,
)

READERS: Final = 4
CLOSE_SECONDS: Final = 5.0
NAMES_AT_ONCE: Final = 1000
DESCRIBED_AT_ONCE: Final = 64  # each with its input and output


class Readers:
    """url as of PostgresStore. Every method raises StoreError.

    taken      see Store.taken()
    described  (prefix, tail) of an ARN -> the rows of the statement `described`
    """

    def __init__(self, url: str, count: int = READERS) -> None:
        self.target, self._count = Target(url), count
        self._idle: asyncio.Queue[Connection] | None = None
        self.taken = Batched(self._taken, NAMES_AT_ONCE)
        self.described = Batched(self._described, DESCRIBED_AT_ONCE)

    async def open(self) -> None:
        await refuse_unfit(self.target)
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
        except asyncio.CancelledError:
            # it may be in a transaction and read old rows, or the client take it for being in one
            reader.terminate()
            raise
        finally:
            idle.put_nowait(reader)

    async def _taken(self, arns: Sequence[str]) -> list[bool]:
        asked = json.dumps([split_arn(arn) for arn in arns])
        async with self.session() as reader:
            taken = {arn for (arn,) in await reader.fetch(numbered("taken"), asked)}
        return [arn in taken for arn in arns]

    async def _described(self, arns: Sequence[Sequence[str]]) -> list[list[Sequence[Any]]]:
        found: list[list[Sequence[Any]]] = [[] for _ in arns]
        async with self.session() as reader:
            rows = await reader.fetch(numbered("all_described"), *map(list, zip(*arns)))
        for place, *row in rows:
            found[place - 1].append(row)
        return found

    async def close(self) -> None:
        idle, self._idle = self._idle, None
        while idle is not None and not idle.empty():
            with suppress(*DatabaseError):
                await idle.get_nowait().close(timeout=CLOSE_SECONDS)
