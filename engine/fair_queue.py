"""Fair queueing: a state machine that floods the engine does not keep the others waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out for each owner, round-robin over the owners.

    count  len(), without the cost of a call
    """

    __slots__ = ("_owners", "count")

    def __init__(self) -> None:
        self._owners: dict[str, deque[T]] = {}  # the first has the next turn
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[T]:
        for each in self._owners.values():
            yield from each

    def put(self, owner: str, item: T) -> None:
        items = self._owners.get(owner)
        if items is None:
            self._owners[owner] = deque((item,))
        else:
            items.append(item)
        self.count += 1

    def take(self) -> T:
        """The next item. Raises StopIteration if the queue is empty."""
        owners = self._owners
        owner = next(iter(owners))
        items = owners[owner]
        item = items.popleft()
        self.count -= 1
        if not items:
            del owners[owner]
        elif len(owners) > 1:
            owners[owner] = owners.pop(owner)  # behind the others
        return item


class Backpressure:
    """Producers of a bounded queue wait here, in a fair order, while it is full.

    free  how many more items the queue takes; less than 1 if it is full
    """

    def __init__(self, free: Callable[[], int]) -> None:
        self._free = free
        self._waiting = FairQueue[asyncio.Future[None]]()
        self._granted = 0  # producers that may enter and have not run since

    def full(self) -> bool:
        return self._free() <= self._granted or self._waiting.count > 0

    async def enter(self, owner: str) -> None:
        """Return when the queue has space. The caller adds its item before it awaits anything."""
        if not self.full():
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put(owner, granted)
        try:
            await granted
        finally:
            if granted.done() and not granted.cancelled():
                self._granted -= 1
                # a producer that adds nothing leaves its space to the next one
                asyncio.get_running_loop().call_soon(self.wake)

    def wake(self) -> None:
        """Let producers in as far as the queue has space."""
        while self._waiting.count and self._free() > self._granted:
            self._grant()

    def open(self) -> None:
        """Let all producers in: the engine has failed, and their next call raises."""
        while self._waiting:
            self._grant()

    def _grant(self) -> None:
        granted = self._waiting.take()
        if not granted.done():
            granted.set_result(None)
            self._granted += 1
