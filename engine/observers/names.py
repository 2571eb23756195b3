"""Which names of executions are taken, asked of the store for all callers at once.

Each start by name asks. A read of the store is a hand-over to its thread, or a round trip to the
database: one serves all callers that came while the one before it ran.
"""

from __future__ import annotations

import asyncio

from stepwell.engine.store.base import Store


class TakenNames:
    """Callers are answered in the order of their calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[str, asyncio.Future[bool]]] = []
        self._reader: asyncio.Task[None] | None = None

    def __call__(self, arn: str) -> asyncio.Future[bool]:
        """Whether an execution with this ARN is stored, as of a read that begins after the call. It
        fails as the read does: by a StoreError.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((arn, future))
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all(), name="stepwell-names")
        return future

    async def _read_all(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            try:
                taken = await self._store.taken({arn for arn, _ in asked})
            except Exception as error:
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
            else:
                for arn, future in asked:
                    if not future.done():
                        future.set_result(arn in taken)
        self._reader = None
