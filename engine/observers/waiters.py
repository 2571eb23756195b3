"""Callers that wait for the end of an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.engine.core.model import Execution


class Waiters:
    """The waiters of each execution. `with waiters.of(id) as ended: x = await ended` has it as of
    its last commit; len(): the number of executions.
    """

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: dict[int, list[asyncio.Future[Execution]]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def __iter__(self) -> Iterator[int]:
        return iter(self._futures)

    def of(self, execution_id: int) -> Waiting:
        return Waiting(self._futures, execution_id)

    def ended(self, x: Execution) -> None:
        for future in self._futures.pop(x.id, ()):
            if not future.done():
                future.set_result(x)

    def fail(self, error: BaseException, execution_id: int | None) -> None:
        """The waiters of this execution, or of all if it is None, get an error."""
        for each in [execution_id] if execution_id is not None else list(self._futures):
            for future in self._futures.pop(each, ()):
                if not future.done():
                    future.set_exception(error)


class Waiting:
    """One of them. (A class, as each synchronous execution enters one: a generator's context
    manager takes twice as long.)
    """

    __slots__ = ("_futures", "_id", "_future")

    def __init__(
        self, futures: dict[int, list[asyncio.Future[Execution]]], execution_id: int
    ) -> None:
        self._futures, self._id = futures, execution_id
        self._future: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> asyncio.Future[Execution]:
        self._futures.setdefault(self._id, []).append(self._future)
        return self._future

    def __exit__(self, *_: object) -> None:
        waiting = self._futures.get(self._id)
        if waiting is not None and self._future in waiting:
            waiting.remove(self._future)
            if not waiting:
                del self._futures[self._id]
        elif self._future.done() and not self._future.cancelled():
            # retrieved, so that asyncio does not report it: the caller may have another error
            self._future.exception()
