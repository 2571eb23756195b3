"""Records: small durable documents of the embedded services (topics, queues, messages, functions),
in the engine's own database.

A record is bytes under a text key; only its service knows what they mean. Writes are committed in
groups with the executions, in the order of the calls. A task that publishes something returns its
writes with its result instead (tasks.Transaction).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

from stepwell.engine import messages
from stepwell.engine.errors import ApiError
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import Store
from stepwell.engine.store.blobs import is_text
from stepwell.engine.tasks import Transaction

A = TypeVar("A")


class Records:
    """The records of one engine. Every method raises StoreError if the store fails."""

    def __init__(self, store: Store, worker: Worker) -> None:
        self._store, self._worker = store, worker

    async def scan(
        self, prefix: str, after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]:
        """(key, bytes) of up to `limit` records whose keys begin with a prefix and come after a
        key, in the order of the keys.
        """
        return await self._store.records(prefix, after, limit)

    async def all(self, prefix: str, page: int = 1000) -> AsyncIterator[tuple[str, bytes]]:
        """Every record under a prefix, read page by page."""
        after = ""
        while found := await self.scan(prefix, after, page):
            for each in found:
                yield each
            after = found[-1][0]

    async def get(self, key: str) -> bytes | None:
        found = await self.scan(key, limit=1)
        return found[0][1] if found and found[0][0] == key else None

    async def write(
        self, writes: Mapping[str, bytes | None], then: Callable[[], None] | None = None
    ) -> None:
        """Put records, or delete those whose value is None: all of them in one transaction, durable
        when it returns.

        Raises ApiError for a key that UTF-8 cannot hold.

        then  called once they are durable, before this returns, and also if the caller is cancelled
              while it waits for that
        """
        for key in writes:
            if not is_text(key):
                raise ApiError("ValidationException", messages.RECORD_KEY.format(key=key))
        await self._worker.write(writes, then)

    async def commit(self, transaction: Transaction[A]) -> A:
        """Store what an operation prepared. Returns its answer; without writes at once."""
        if transaction.writes:
            await self.write(transaction.writes, transaction.then)
        else:
            transaction.then()
        return transaction.answer
