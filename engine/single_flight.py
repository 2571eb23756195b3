"""Single flight: concurrent callers for one key share one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
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
        self._running: dict[K, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        """Runs in progress."""
        return len(self._running)

    def __contains__(self, key: K) -> bool:
        """Whether a run is in progress."""
        return key in self._running

    async def __call__(self, key: K) -> T:
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._run(key))
        return await asyncio.shield(running)

    @contextmanager
    def together(self, keys: Iterable[K]) -> Iterator[dict[K, asyncio.Future[T]]]:
        """One run of the caller's own for those keys that have none: it completes their futures,
        which callers wait for meanwhile.
        """
        create = asyncio.get_running_loop().create_future
        runs = {key: create() for key in keys if key not in self._running}
        self._running |= runs
        try:
            yield runs
        except Exception as error:
            for run in runs.values():
                if not run.done():
                    run.set_exception(error)
            raise
        finally:
            for key, run in runs.items():
                del self._running[key]
                # the caller was cancelled, or has completed it, and perhaps it is not waited for
                _ = run.cancel() or run.exception()

    async def ended(self) -> None:
        """Return when all current runs have ended, with or without an error."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _run(self, key: K) -> T:
        try:
            return await self._make(key)
        finally:
            del self._running[key]
