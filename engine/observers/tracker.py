"""Tracks the executions of this process besides their rows: names in use, recent results, watched
Express executions, and callers that wait for a commit.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.history import payload_bytes
from stepwell.engine.core.model import Execution
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import Limits
from stepwell.engine.observers.waiters import Waiters
from stepwell.engine.store.base import ExecutionRow, Store

if TYPE_CHECKING:
    from stepwell.engine.runtime.live import Live


class Started(NamedTuple):
    """A running execution whose start is durable. Without its payloads, since many executions may
    wait for a long time.
    """

    id: int
    machine_arn: str
    express: bool
    status: str = model.RUNNING


class Signal(asyncio.Event):
    """Set by the next commit of an execution."""

    watchers = 0


class Tracker:
    """open     execution ARN -> the execution as it was started, until that is durable; then
              Started, until it has closed. Only those that this process started
    recent    execution ARN -> as committed, of the executions that closed last
    waiters   callers that wait for the end of an execution
    signals   execution id -> set by its next commit
    express   execution ARN -> watched Express executions, whose history is kept here
    expected  names of Express executions that will be watched
    check     raises StoreError once the worker has stopped
    """

    def __init__(self, store: Store, limits: Limits, check: Callable[[], None]) -> None:
        self._store, self._limits, self._check = store, limits, check
        self.open: dict[str, Execution | Started] = {}
        self.recent: OrderedDict[str, Execution] = OrderedDict()
        self.waiters = Waiters()
        self.signals: dict[int, Signal] = {}
        self.express: OrderedDict[str, Live] = OrderedDict()
        self.expected: dict[str, bool] = {}

    # --- reading ----------------------------------------------------------------------------------

    async def row(self, arn: str) -> ExecutionRow | Execution:
        """The committed state of an execution; of an Express one only if it is watched, or has
        closed recently. Raises ApiError ExecutionDoesNotExist.
        """
        found: ExecutionRow | Execution | None
        if arns.kind(arn, "execution", "express") == "express":
            live = self.express.get(arn)
            found = self.recent.get(arn) if live is None else live.shown
        else:
            found = self.recent.get(arn) or await self._store.describe(arn)
            # the row may be older than a unit that was published since it was read
            found = self.recent.get(arn) or found
        if found is None:
            raise ApiError("ExecutionDoesNotExist", messages.EXECUTION_UNKNOWN.format(arn=arn))
        return found

    async def events(
        self, row: ExecutionRow | Execution, after: int, limit: int, reverse: bool = False
    ) -> list[tuple[int, int, HistoryEvent]]:
        """(event id, ms, event) of the history, as Store.history() answers."""
        if isinstance(row, ExecutionRow) or not row.express:
            return await self._store.history(row.id, after, limit, reverse)
        units = list(self.express[row.arn].kept or ()) if row.arn in self.express else []
        flat = [
            (unit.first + place, unit.at, event)
            for unit in units
            for place, event in enumerate(unit.history)
        ]
        if reverse:
            page = [each for each in reversed(flat) if not after or each[0] < after][:limit]
        else:
            page = [each for each in flat if each[0] > after][:limit]
        sizes = accumulate(payload_bytes(event) for _, _, event in page)
        fits = sum(size <= self._limits.history_page_bytes for size in sizes)
        return page[: max(fits, 1)]

    # --- Express executions -----------------------------------------------------------------------

    def expect(self, name: str) -> None:
        """The next Express execution of this name is watched. Of those that are
        expected and do not start, the oldest are forgotten.
        """
        self.expected[name] = True
        while len(self.expected) > self._limits.express_expected:
            del self.expected[next(iter(self.expected))]

    def watch_express(self, live: Live) -> None:
        """Keep the history of an Express execution that begins."""
        live.kept, self.express[live.x.arn] = deque(), live
        while len(self.express) > self._limits.express_kept:
            self.express.popitem(last=False)

    # --- commits ----------------------------------------------------------------------------------

    @contextmanager
    def watching(self, execution_id: int) -> Iterator[Signal]:
        """The signal of an execution's next commit. Enter before reading the execution, so that no
        commit is missed.

        The signal is forgotten when the last of its watchers leaves.
        """
        signal = self.signals.get(execution_id)
        if signal is None:
            signal = self.signals[execution_id] = Signal()
        signal.watchers += 1
        try:
            yield signal
        finally:
            signal.watchers -= 1
            if not signal.watchers and self.signals.get(execution_id) is signal:
                del self.signals[execution_id]

    async def changed(self, signal: Signal) -> None:
        """Return at the next commit of an execution. Raises StoreError when the store fails."""
        self._check()
        await signal.wait()
        self._check()

    def signal(self, execution_id: int) -> None:
        """Wake the watchers of an execution."""
        signal = self.signals.pop(execution_id, None)
        if signal is not None:
            signal.set()

    def committed(self, x: Execution) -> None:
        if x.status != model.RUNNING:
            self.open.pop(x.arn, None)
            self.recent[x.arn] = x
            if len(self.recent) > self._limits.recent_executions:
                self.recent.popitem(last=False)
            self.waiters.ended(x)
        else:
            if x.extras and "redrives" in x.extras:
                self.recent.pop(x.arn, None)
            if type(self.open.get(x.arn)) is Execution:
                self.open[x.arn] = Started(x.id, x.machine_arn, x.express)
        if self.signals:
            self.signal(x.id)

    def failed(self, error: BaseException, execution_id: int | None) -> None:
        """The store failed, or one execution is parked: its waiters get the error."""
        self.waiters.fail(error, execution_id)
        for signal in self.signals.values():
            signal.set()
        self.signals.clear()

    def forget_closed(self, before: int) -> None:
        """Those that stopped before that time, ms, do not exist any more."""
        for arn in [
            arn for arn, x in self.recent.items() if x.stopped is not None and x.stopped < before
        ]:
            del self.recent[arn]
