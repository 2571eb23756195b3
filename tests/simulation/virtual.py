"""Virtual time: an event loop whose clock moves only when nothing is left to do, and a wall clock that goes with it."""

import asyncio
import selectors
from typing import Any

START_MS = 1_700_000_000_000
END_OF_THE_WORLD = 6 * 3600.0  # seconds of virtual time: nothing that is not stuck takes as long


class Stuck(Exception):
    """Nothing will ever happen again, or nothing but the ticking of alarms, and the world is not finished."""


class _Selector(selectors.DefaultSelector):
    """Waiting for a time is moving the clock there; waiting for nothing at all is a bug of the engine."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise Stuck("no event is left and no timer is set")
        if timeout > 0:
            self._loop.virtual += timeout
            if self._loop.virtual > END_OF_THE_WORLD:
                raise Stuck("nobody finishes any more")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Keeps its tasks in the order in which they were made: asyncio's own set has none."""

    def __init__(self) -> None:
        self.virtual = 0.0
        self.alive: dict[asyncio.Task[Any], None] = {}
        super().__init__(_Selector(self))
        self.set_task_factory(self._make)

    def time(self) -> float:
        return self.virtual

    def _make(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self.alive[task] = None
        task.add_done_callback(lambda done: self.alive.pop(done, None))
        return task


class Wall:
    """Stands in for the module `time` in engine/clock.py: a wall clock that may jump."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self.skew_seconds = loop, 0.0

    def time_ns(self) -> int:
        return START_MS * 1_000_000 + round((self._loop.virtual + self.skew_seconds) * 1000) * 1_000_000

    def monotonic_ns(self) -> int:
        return round(self._loop.virtual * 1000) * 1_000_000


def where(task: asyncio.Task[Any]) -> str:
    """What a task waits for, through all the coroutines that it is in."""
    coroutine, names = task.get_coro(), []
    while hasattr(coroutine, "cr_frame"):
        line = coroutine.cr_frame.f_lineno if coroutine.cr_frame else 0
        names.append(f"{coroutine.__qualname__}:{line}")
        coroutine = coroutine.cr_await
    return " > ".join(names)
