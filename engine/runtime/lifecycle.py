"""Whether a worker still works, and the background tasks that end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from stepwell.engine.errors import ExecutionParkedError, StoreError


class Lifecycle:
    """working  until the worker fails or closes: while it is, events are decided and effects start
    closing     close() has been called
    failed      the error that it failed with
    background  the tasks that run; one that raises ends the worker by calling `fail`
    """

    __slots__ = ("working", "closing", "failed", "background", "_fail")

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self.working, self.closing = True, False
        self.failed: BaseException | None = None
        self.background: set[asyncio.Task[Any]] = set()
        self._fail = fail

    def error(self) -> StoreError:
        """The error for callers of a worker that has stopped."""
        if self.failed is None:
            return StoreError("the engine is closed")
        return StoreError(f"the store failed: {self.reason}; open it again to recover")

    @property
    def reason(self) -> str:
        """Why the worker has failed."""
        if isinstance(self.failed, MemoryError):  # has no text
            return "there is too little memory"
        return str(self.failed)

    def check(self) -> None:
        """Raises StoreError if the worker has failed or is closing."""
        if not self.working:
            raise self.error()

    def close(self) -> None:
        """From here on nothing starts: no effect, no child, no alarm."""
        self.working, self.closing = False, True
        for task in self.background:
            task.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(coroutine)
        self.background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.background.discard(task)
        if task.cancelled() or self.closing or (error := task.exception()) is None:
            return
        if not isinstance(error, ExecutionParkedError):  # which is reported already
            self._fail(error)
