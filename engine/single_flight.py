"""Single flight: concurrent callers for one key share one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Calls make(key) once for concurrent callers. A cancelled caller does not affect the others.

    make  is called again for a key once its last run has ended, with or without an error
    """

    __slots__ = ("_make", "_running")

    def __init__(self, make: Callable[[K], Awaitable[T]]) -> None:
        self._make = make
        self._running: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """Runs in progress."""
        return len(self._running)

    async def __call__(self, key: K) -> T:
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._run(key))
        return await asyncio.shield(task)

    async def ended(self) -> None:
        """Return when all current runs have ended, with or without an error."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _run(self, key: K) -> T:
        try:
            return await self._make(key)
        finally:
            del self._running[key]
