"""The commit queue, which holds decided units, and the writer, which commits them.

append(entry) --queue--> store.commit(up to batch_units) --> publish(each entry)
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from stepwell.engine import messages
from stepwell.engine.clock import Clock
from stepwell.engine.core.events import Command
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.fair_queue import Backpressure, FairQueue
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.counters import Counts
from stepwell.engine.runtime.lifecycle import Lifecycle
from stepwell.engine.runtime.live import Answer, Live, resolve
from stepwell.engine.store.base import Store, Unit, Writes, size_of
from stepwell.engine.tasks import Transaction

Following: TypeAlias = Command | Transaction[Any]
"""The work after a commit: a command to carry out, or a service to notify."""


class Entry(NamedTuple):
    """A unit that waits for its commit, with the work after it and the caller to answer. `live` is
    None for records that are written by themselves.
    """

    live: Live | None
    unit: Unit | Writes | None
    commands: Sequence[Following]
    answer: Answer


class CommitQueue:
    """State machines take turns, so that one with thousands of units does not keep the others
    waiting.

    The units of an execution stay in order. An entry that writes records keeps its place among all
    others: a service that reads a record and then writes another is committed in that order.
    count: as len(), without a call.
    """

    def __init__(self) -> None:
        self._parts: deque[FairQueue[Entry]] = deque()
        # whether the last part has entries with records, which keep their order
        self._records = False
        # behind the parts, in order: no turns are needed when all fit into one transaction
        self._new: deque[Entry] = deque()
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Entry]:
        for part in self._parts:
            yield from part
        yield from self._new

    def append(self, entry: Entry) -> None:
        self._new.append(entry)
        self.count += 1

    def take(self, most: int, size: int = sys.maxsize) -> list[Entry]:
        """The next ones: up to so many, and no more once they have that many bytes of payloads."""
        if (
            not self._parts
            and self.count <= most
            and sum([size_of(entry.unit) for entry in self._new]) <= size
        ):
            taken = list(self._new)
            self.clear()
            return taken
        while self._new:
            self._line_up(self._new.popleft())
        taken = []
        while self._parts and len(taken) < most and size > 0:
            part = self._parts[0]
            for _ in range(min(part.count, most - len(taken))):
                entry = part.take()
                taken.append(entry)
                size -= size_of(entry.unit)
                if size <= 0:
                    break
            if not part.count:
                self._parts.popleft()
        self.count -= len(taken)
        return taken

    def _line_up(self, entry: Entry) -> None:
        """Behind the others of its state machine."""
        records = entry.unit is not None and bool(entry.unit.writes)
        if not self._parts or records != self._records:
            self._parts.append(FairQueue())
            self._records = records
        self._parts[-1].put(
            "" if records or entry.live is None else entry.live.x.machine_arn, entry
        )

    def remove(self, live: Live) -> list[Entry]:
        """Take out all entries of an execution."""
        found: list[Entry] = []
        others: list[Entry] = []
        for entry in self:
            (found if entry.live is live else others).append(entry)
        self.clear()
        for entry in others:
            self.append(entry)
        return found

    def clear(self) -> None:
        self._parts.clear()
        self._new.clear()
        self.count = 0


class Writer:
    """The one task that writes to the store.

    publish    is called with each entry of a transaction once that is durable
    lose       is called with the errors of units that the store could not encode, by execution
               id, and the entries of the transaction
    fail       is called with the error that ends the writer
    committed  is called after each transaction
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        life: Lifecycle,
        counts: Counts,
        *,
        publish: Callable[[Live | None, Unit | Writes | None, Sequence[Following], Answer], None],
        lose: Callable[[Mapping[int, StoreError], deque[Entry]], None],
        fail: Callable[[BaseException], None],
        committed: Callable[[], None],
    ) -> None:
        self._store, self._clock, self._limits = store, clock, limits
        self._life, self._counts = life, counts
        self._publish, self._lose, self._fail, self._committed = publish, lose, fail, committed
        self.queue = CommitQueue()
        self._wake, self._idle = asyncio.Event(), False
        self._backpressure = Backpressure(lambda: limits.queue_units - self.queue.count)
        self._callers = 0  # that wait for room
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._write(), name="stepwell-writer")
        self._task.add_done_callback(self._ended)

    @property
    def busy(self) -> bool:
        """Whether a transaction is under way, or to be."""
        return not self._idle or self.queue.count > 0

    async def close(self) -> None:
        """Commit all that is queued, and stop."""
        if self._task is None:
            return
        self._closing = True
        self._wake.set()
        if not (await asyncio.wait((self._task,), timeout=self._limits.closing_seconds))[0]:
            self._store.give_up()
        await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or not self._closing:
            self._fail(
                (None if task.cancelled() else task.exception()) or EngineError("the writer ended")
            )

    def drop(self) -> None:
        """The worker has failed: nothing that is queued will be stored."""
        for entry in self.queue:
            resolve(entry.answer, self._life.error())
        self.queue.clear()
        self._backpressure.open()

    def append(self, entry: Entry) -> None:
        self.queue.append(entry)
        if self._idle:
            self._wake.set()

    async def _write(self) -> None:
        queue, most, size = self.queue, self._limits.batch_units, self._limits.batch_bytes
        clock = asyncio.get_running_loop().time
        while True:
            if not queue.count:
                if self._closing:
                    return
                self._wake.clear()
                self._idle = True
                await self._wake.wait()
                self._idle = False
            batch = deque(queue.take(most, size))
            try:
                units = [unit for _, unit, _, _ in batch if unit is not None and unit.stored]
                if units:
                    began = clock()
                    try:
                        refused = await self._store.commit(units)
                    except StoreError:
                        self._counts.commit_errors += 1
                        raise
                    if refused:
                        self._lose(refused, batch)
                    self._counts.committed(len(units), clock() - began)
                while batch:
                    self._publish(*batch.popleft())
            except BaseException as error:
                self._fail(error)
                for entry in batch:
                    resolve(entry.answer, self._life.error())
                raise
            self._backpressure.wake()
            self._committed()

    # --- back-pressure ----------------------------------------------------------------------------

    async def room(self, owner: str = "") -> None:
        """Wait until the writer has caught up. Owners, which are state machines, take turns."""
        self._life.check()
        if self._backpressure.full():
            await self._backpressure.enter(owner)
            self._life.check()

    async def admit(self, owner: str) -> None:
        """room() for a caller from outside. Raises ApiError ThrottlingException when many wait."""
        self._life.check()
        if not self._backpressure.full():
            return
        if self._callers >= self._limits.queue_callers:
            raise ApiError("ThrottlingException", messages.THROTTLED)
        self._callers += 1
        try:
            await self.room(owner)
        finally:
            self._callers -= 1

    async def write(
        self, writes: Mapping[str, bytes | None], then: Callable[[], None] | None = None
    ) -> None:
        """Store records, in one transaction; durable when it returns, and in order with all that
        was decided before. See Records.
        """
        await self.room()
        durable = asyncio.get_running_loop().create_future()
        following = [] if then is None else [Transaction(None, writes, then)]
        self.append(Entry(None, Writes(writes, self._clock.now()), following, durable))
        await durable
