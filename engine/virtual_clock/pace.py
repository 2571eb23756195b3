"""Time that advances as real time does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any


class Pace:
    """Engine time, ms, from `now` on.

    elapsed   the seconds of real time
    instant   if less real time than that passes, none has passed; None: between two alarms none
              passes
    attempts  of tasks, because of which time advances
    """

    __slots__ = ("_began", "_elapsed", "_least", "_start", "attempts", "instant")

    def __init__(
        self,
        now: int,
        elapsed: Callable[[], float],
        instant: float | None,
        attempts: frozenset[asyncio.Future[Any]],
    ) -> None:
        self.instant, self.attempts = instant, attempts
        self._start = self._least = now
        self._elapsed, self._began = elapsed, elapsed()

    def over(self, attempts: Collection[asyncio.Future[Any]]) -> bool:
        """Whether others run now than at the beginning."""
        return bool(self.attempts) and self.attempts.isdisjoint(attempts)

    def ended(self) -> bool:
        """Whether time need not advance any more."""
        return bool(self.attempts) and all(each.done() for each in self.attempts)

    def now(self) -> int:
        passed = self._elapsed() - self._began
        if self.instant is not None and passed >= self.instant:
            self._least = max(self._least, self._start + int(passed * 1000))
        return self._least

    def seconds_until(self, ms: int) -> float:
        return (ms - self._start) / 1000 - (self._elapsed() - self._began)

    def reach(self, ms: int) -> None:
        """That much time has passed, at least."""
        self._least = max(self._least, ms)
