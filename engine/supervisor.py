"""Background loops: a fault is logged and counted, and the loop restarts after a pause. No loop
dies silently.

    work --returns--> done
     ^ '---raises---> log, count, pause (doubled up to a limit, with jitter) --.
     '-------------------------------------------------------------------------'

The worker's writer and timers are not supervised: after a fault there, memory is ahead of the disk,
so the process ends (crash-only). Loops do not restart once the engine has failed or is closing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from stepwell.engine.clock import Clock, SystemClock, sleep_until
from stepwell.engine.limits import DEFAULT_LIMITS, Limits

log: Final = logging.getLogger("stepwell.background")


class SetbackError(Exception):
    """An outside dependency failed, such as a missing queue: logged without a traceback."""


@dataclass(slots=True)
class LoopState:
    """The loops of one name.

    running   how many run, those that pause included
    failing   how many pause after a fault
    faults    so far, those of single items included
    restarts  so far
    """

    running: int = 0
    failing: int = 0
    faults: int = 0
    restarts: int = 0


class Supervisor:
    """Runs the background loops of one process.

    ended  (fault) -> whether the engine has failed or is closing
    """

    def __init__(
        self,
        clock: Clock | None = None,
        limits: Limits = DEFAULT_LIMITS,
        ended: Callable[[Exception], bool] = lambda error: False,
    ) -> None:
        self._clock, self._limits, self._ended = clock or SystemClock(), limits, ended
        self.loops: dict[str, LoopState] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, name: str, work: Callable[[], Awaitable[object]], fault: Exception | None = None
    ) -> asyncio.Task[None]:
        """A task that calls `work` until it returns; it never raises. `fault` is that of a first
        call that the caller has made.
        """
        task = asyncio.create_task(self._run(name, work, fault), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def guarded(self, name: str, call: Callable[[], None]) -> Callable[[], None]:
        """The same for the callback of an alarm: it is called again if it raises."""

        async def work() -> None:
            call()

        def guarded() -> None:
            try:
                call()
            except Exception as error:
                self.start(name, work, error)

        return guarded

    def report(self, name: str, error: Exception, what: str = "") -> None:
        """Count and log a fault of one item that its loop handles itself."""
        self._state(name).faults += 1
        self._log(name, error, what or "a fault", traceback=not isinstance(error, SetbackError))

    def pause_seconds(self, name: str, faults: int) -> float:
        """The pause after so many faults in a row: doubled each time up to the limit, and shortened
        by up to a half, so that loops do not restart at the same time.
        """
        limits, so_far = self._limits, self._state(name).faults
        longest: float = min(
            limits.background_pause_seconds * 2.0 ** min(faults - 1, 40),
            limits.background_pause_most_seconds,
        )
        share = (
            int.from_bytes(hashlib.blake2b(f"{name}:{so_far}".encode(), digest_size=2).digest())
            / 0xFFFF
        )
        return longest * (1 - share / 2)

    async def pause(self, name: str, faults: int) -> None:
        await sleep_until(
            self._clock, self._clock.now() + round(1000 * self.pause_seconds(name, faults))
        )

    def busy(self) -> bool:
        """Whether any loop runs that does not pause after a fault."""
        return any(state.running > state.failing for state in self.loops.values())

    async def close(self) -> None:
        """Cancel all loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- inside -----------------------------------------------------------------------------------

    def _state(self, name: str) -> LoopState:
        state = self.loops.get(name)
        if state is None:
            state = self.loops[name] = LoopState()
        return state

    async def _run(
        self, name: str, work: Callable[[], Awaitable[object]], fault: Exception | None
    ) -> None:
        state, faults, began = self._state(name), 0, 0
        state.running += 1
        try:
            while True:
                if fault is not None:
                    if self._ended(fault):
                        log.info("%s ended with the engine: %s", name, fault)
                        return
                    faults = 1 if self._long_ago(began) else faults + 1
                    state.faults += 1
                    await self._after(name, fault, faults)
                    state.restarts += 1
                    began = self._clock.now()
                try:
                    await work()
                    return
                except asyncio.CancelledError:
                    if (task := asyncio.current_task()) is None or task.cancelling():
                        raise
                    fault = RuntimeError("it was cancelled from within")
                except Exception as error:
                    fault = error
        finally:
            state.running -= 1

    def _long_ago(self, began: int) -> bool:
        """Whether the last fault is longer ago than the longest pause."""
        return self._clock.now() - began > 1000 * self._limits.background_pause_most_seconds

    async def _after(self, name: str, fault: Exception, faults: int) -> None:
        """Log a fault, the first in a row with its traceback, and pause."""
        state = self._state(name)
        traceback = faults == 1 and not isinstance(fault, SetbackError)
        self._log(
            name,
            fault,
            f"fault {faults} in a row, next try in {self.pause_seconds(name, faults):.1f} s",
            traceback,
        )
        state.failing += 1
        try:
            await self.pause(name, faults)
        finally:
            state.failing -= 1

    def _log(self, name: str, error: Exception, what: str, traceback: bool) -> None:
        text = str(error) if isinstance(error, SetbackError) else f"{type(error).__name__}: {error}"
        log.error("%s: %s: %s", name, what, text, exc_info=error if traceback else None)
