"""Virtual time: an event loop whose clock moves only when nothing is left to do, and a wall clock
that goes with it.
"""

import asyncio
import selectors
from collections.abc import Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any

START_MS = 1_700_000_000_000
END_OF_THE_WORLD = 4 * 3600.0  # seconds of virtual time: nothing that is not stuck takes as long

PROCESS: ContextVar[Any] = ContextVar("process", default=None)
"""To which simulated process a task or callback belongs; None: to the outside."""


class Stuck(Exception):
    """Nothing will ever happen again, or nothing but the ticking of alarms, and the world is not
    finished.

    before  violations found before
    """

    before: Sequence[str] = ()


class _Selector(selectors.DefaultSelector):
    """Waiting for a time is moving the clock there; waiting for nothing at all is a bug of the
    engine.
    """

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise Stuck("no event is left and no timer is set")
        if timeout > 0:
            self._loop.virtual += timeout
            if self._loop.virtual > self._loop.end:
                raise Stuck("no client finishes any more")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Keeps its tasks in the order in which they were made (asyncio's own set has none), and the
    process that each belongs to.
    """

    def __init__(self, end: float = END_OF_THE_WORLD) -> None:
        self.virtual, self.end = 0.0, end
        self.alive: dict[asyncio.Task[Any], Any] = {}
        super().__init__(_Selector(self))
        self.set_task_factory(self._make)

    def time(self) -> float:
        return self.virtual

    def _make(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Any,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        context = copy_context() if context is None else context
        task = asyncio.Task(coroutine, loop=loop, context=context, **options)
        self.alive[task] = context.get(PROCESS)
        task.add_done_callback(lambda done: self.alive.pop(done, None), context=Context())
        return task

    def tasks_of(self, process: Any) -> list[asyncio.Task[Any]]:
        return [task for task, owner in self.alive.items() if owner is process]

    def forget(self, process: Any) -> None:
        """No callback and no alarm of a process that has died is called any more."""
        for handle in [*self._scheduled, *self._ready]:  # type: ignore[attr-defined]
            if handle._context.get(PROCESS) is process:
                handle.cancel()


class Wall:
    """Stands in for the module `time` in engine/clock.py: a wall clock that may be set, and a
    monotonic one that may not.

    skew_seconds  how far it is off, from here on     bogus_seconds  likewise, and soon put right
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self.skew_seconds, self.bogus_seconds, self._most_seconds = loop, 0.0, 0.0, 0.0

    def set(self, seconds: float) -> None:
        self.skew_seconds += seconds
        self._most_seconds = max(self._most_seconds, self.skew_seconds)

    @property
    def most_ms(self) -> int:
        """The latest that it can be by any honest reading so far, and the time that has passed
        since.
        """
        return START_MS + round((self._loop.virtual + self._most_seconds) * 1000)

    def time_ns(self) -> int:
        return (
            START_MS * 1_000_000
            + round((self._loop.virtual + self.skew_seconds + self.bogus_seconds) * 1000)
            * 1_000_000
        )

    def time(self) -> float:
        return self.time_ns() / 1e9

    def monotonic_ns(self) -> int:
        return round(self._loop.virtual * 1000) * 1_000_000

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9


def where(task: asyncio.Task[Any]) -> str:
    """What a task waits for, through all the coroutines that it is in."""
    coroutine, names = task.get_coro(), []
    while hasattr(coroutine, "cr_frame"):
        line = coroutine.cr_frame.f_lineno if coroutine.cr_frame else 0
        names.append(f"{coroutine.__qualname__}:{line}")
        coroutine = coroutine.cr_await
    return " > ".join(names)
