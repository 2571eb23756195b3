"""Queues in which owners take turns: one state machine that floods the engine does not keep the
others waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """First in, first out for each owner; one of each owner after the other. count: as len(),
    without a call.
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
        """The next one. Raises StopIteration if there is none."""
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


class Room:
    """Back-pressure: who wants to add to a queue that is full waits here for its turn.

    free  how many more the queue takes; less than 1 if it is full
    """

    def __init__(self, free: Callable[[], int]) -> None:
        self._free = free
        self._turns = Turns[asyncio.Future[None]]()
        self._granted = 0  # of those whose turn has come, that have not run since

    def full(self) -> bool:
        return self._free() <= self._granted or self._turns.count > 0

    async def enter(self, owner: str) -> None:
        """Return when there is room; what is to be added follows before anything is awaited."""
        if not self.full():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.put(owner, turn)
        try:
            await turn
        finally:
            if turn.done() and not turn.cancelled():
                self._granted -= 1
                asyncio.get_running_loop().call_soon(
                    self.set
                )  # whoever adds nothing after all leaves its room to the next

    def set(self) -> None:
        """There may be room again."""
        while self._turns.count and self._free() > self._granted:
            self._grant()

    def open(self) -> None:
        """Let everybody in: the engine has failed, as they will see."""
        while self._turns:
            self._grant()

    def _grant(self) -> None:
        turn = self._turns.take()
        if not turn.done():
            turn.set_result(None)
            self._granted += 1
