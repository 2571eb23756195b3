"""Decisions that take long: an evaluation that needs more than the event loop can wait for runs in
a thread, with the larger budgets.

Meanwhile the execution has a backlog: the event that is decided upon, and those that came after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from time import thread_time
from typing import Any, Protocol, TypeAlias

from stepwell.asl.meter import Cancellation, EvaluationCancelledError
from stepwell.engine.clock import Clock
from stepwell.engine.core.events import Decision, Event, Stop
from stepwell.engine.core.model import copy_execution
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.lifecycle import Lifecycle
from stepwell.engine.runtime.live import Answer, Backlog, Live
from stepwell.engine.tasks import Transaction

Also: TypeAlias = Transaction[Any] | None
"""The writes that a task stores with its result."""


class Acceptor(Protocol):
    """Takes decisions and the events of a backlog: the worker."""

    def submit(self, live: Live, event: Event, answer: Answer = None) -> None: ...

    def accept(
        self,
        live: Live,
        decision: Decision,
        now: int,
        answer: Answer,
        also: Transaction[Any] | None = None,
    ) -> None: ...

    def park(self, live: Live, error: Exception, answer: Answer) -> None: ...


class LongDecisions:
    """At most `thread_decisions` threads at a time. activities: the ARNs that exist."""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        life: Lifecycle,
        activities: Collection[str],
        acceptor: Acceptor,
    ) -> None:
        self._clock, self._limits, self._life = clock, limits, life
        self._activities, self._acceptor = activities, acceptor
        self._threads = asyncio.Semaphore(limits.thread_decisions)

    def begin(
        self, decide: Callable[..., Decision], live: Live, event: Event, now: int, answer: Answer
    ) -> None:
        """Decide upon an event in a thread."""
        live.backlog, live.cancellation = deque([(event, answer)]), Cancellation(thread_time)
        self._life.spawn(self._decide(decide, live, live.cancellation, event, now))

    def stop(self, live: Live, waiting: Backlog, event: Stop, answer: Answer) -> None:
        """The stop of an execution waits for no thread: the events of its backlog then find the
        execution closed.
        """
        assert live.cancellation is not None
        live.cancellation.cancelled = True
        live.backlog = live.cancellation = None
        self._acceptor.submit(live, event, answer)
        for each in waiting:
            self._acceptor.submit(live, *each)

    async def _decide(
        self,
        decide: Callable[..., Decision],
        live: Live,
        cancellation: Cancellation,
        event: Event,
        now: int,
    ) -> None:
        x = copy_execution(live.x)
        x.index = None  # the thread builds its own: that of the value in memory is the event loop's
        known = frozenset(self._activities)
        try:
            async with self._threads:
                if cancellation.cancelled:
                    return
                decision = await asyncio.to_thread(
                    decide,
                    live.program,
                    x,
                    event,
                    now,
                    self._limits,
                    cancellation,
                    known,
                    self._clock.elapsed,
                )
            if cancellation.cancelled:
                return  # it was stopped meanwhile
            self._life.check()
        except asyncio.CancelledError:  # the worker is closing
            cancellation.cancelled = True
            live.refuse(self._life.error())
            raise
        except EvaluationCancelledError:
            return
        except StoreError as error:
            live.refuse(error)
            return
        except Exception as error:
            if not cancellation.cancelled:
                self._acceptor.park(live, error, None)
            return
        backlog, live.backlog, live.cancellation = live.backlog or deque(), None, None
        _, answer = backlog.popleft()
        self._acceptor.accept(live, decision, now, answer, getattr(event, "also", None))
        for waiting in backlog:
            self._acceptor.submit(live, *waiting)
