"""One call for all callers that came while the one before it ran: each is a hand-over to a thread,
or a round trip to the database, whatever it carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Batched(Generic[K, V]):
    """Callers are answered in the order of their calls, by a run that begins after the call.

    run   returns the value of each key, or its error; what it raises is the error of all
    most  keys of one run
    """

    __slots__ = ("_most", "_run", "_task", "_waiting")

    def __init__(
        self, run: Callable[[Sequence[K]], Awaitable[Sequence[V | BaseException]]], most: int
    ) -> None:
        self._run, self._most = run, most
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._task: asyncio.Task[None] | None = None

    def __call__(self, key: K) -> asyncio.Future[V]:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_all(), name="stepwell-batched")
        return future

    async def _run_all(self) -> None:
        while self._waiting:
            asked = self._waiting[: self._most]
            del self._waiting[: self._most]
            results: Sequence[V | BaseException]
            try:
                results = await self._run([key for key, _ in asked])
            except asyncio.CancelledError:  # the event loop ends
                for _, future in (*asked, *self._waiting):
                    future.cancel()
                raise
            except Exception as error:
                results = [error] * len(asked)
            for (_, future), result in zip(asked, results):
                if future.done():  # cancelled
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)
