"""A shard that a node owns: the calls that are carried out on it, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, Final

from stepwell.engine.errors import StoreError
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.nodes.moment import Moment
from stepwell.integrations.stack import OPERATIONS, Stack

# calls that wait, and the error that ends them when their shard is released
_POLLS: Final[Mapping[tuple[str, str], type[Exception]]] = {
    (OPERATIONS, "wait"): UnreachableError,
    ("sqs", "receive_message"): UnreachableError,
    ("activities", "watch"): UnreachableError,
    ("tasks", "run"): LostAnswerError,  # the attempt may have done its work
}


class Owned:
    """A shard that this node owns.

    since    the loop's time when it was opened
    locked   when this node surely held its lock last: it was taken, or seen, after that
    leave    completed when it is to be released, or has failed
    calls    under way, without those that wait for something to come
    """

    def __init__(self, stack: Stack, locked: Moment) -> None:
        self.stack, self.locked, self.calls = stack, locked, 0
        self.since = asyncio.get_running_loop().time()
        self.leave: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle = asyncio.Event()
        self._polls: set[asyncio.Task[Any]] = set()

    def release(self) -> None:
        if not self.leave.done():
            self.leave.set_result(None)
        for poll in self._polls:
            poll.cancel()

    async def run(self, service: str, method: str, arguments: Mapping[str, Any]) -> Any:
        """Raises UnreachableError if the shard is being released, LostAnswerError if its store
        fails: that must not end another shard whose task has called.
        """
        if self.leave.done():
            raise UnreachableError("the shard is being released")
        work = getattr(self.stack.services[service], method)(**arguments)
        cut = _POLLS.get((service, method))
        try:
            return await (self.counted(work) if cut is None else self._poll(work, cut))
        except StoreError as error:
            raise LostAnswerError(f"the store of the shard failed: {error}") from error

    async def counted(self, work: Awaitable[Any]) -> Any:
        self.calls += 1
        try:
            return await work
        finally:
            self.calls -= 1
            if not self.calls:
                self._idle.set()

    async def _poll(self, work: Awaitable[Any], cut: type[Exception]) -> Any:
        """The same for what waits: it is cut when the shard is released."""
        task = asyncio.ensure_future(work)
        self._polls.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if not task.done() or (caller and caller.cancelling()):  # it is itself cancelled
                task.cancel()
                raise
            raise cut("the shard is being released") from None
        finally:
            self._polls.discard(task)

    async def ended(self, seconds: float) -> None:
        """Return once no call is under way, or after that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.calls:
                    self._idle.clear()
                    await self._idle.wait()
