"""Durable deliveries: each is a record until its target has accepted it, or it is given up.

    accept --one transaction--> record --due--> deliver() --+--> accepted: delete the record
                                   ^                        +--> failed: give up, or replace the
                                   |                        |    record by one that is due later
                                   +------------------------+

The key of a record begins with its due time, so records are stored in the order in which they are
due. Up to `deliveries_held` are in memory; the rest of a longer backlog is read page by page.
Nothing polls: an alarm is set for the next due time. At least once: a crash between acceptance and
deletion repeats a delivery, with the same id.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.services.common.tables import Document, Writes, document_of, pack

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.deliveries")


_UNEXPECTED: Final = "INTERNAL_ERROR"


class DeliveryError(Exception):
    """A target did not accept a delivery. code: for dead-letter queues; again: whether a retry may
    succeed.
    """

    def __init__(self, code: str, message: str, again: bool = True) -> None:
        super().__init__(code, message)
        self.code, self.message, self.again = code, message, again


class Deliveries:
    """The deliveries of one service.

    name      in logs and metrics
    deliver   makes one attempt; raises DeliveryError. What it returns is committed together with
              the deletion of the record: exactly once
    give_up   called when a delivery ends without success: (document, error, name of the limit that
              was reached or "")
    again     after a failed attempt: document -> due time of the next one (ms), or name of the
              limit that was reached

    A document has "id" and what `deliver` needs; "first" (ms) and "attempts" are added. It may have
    "retry": {"MaximumRetryAttempts", "MaximumEventAgeInSeconds"}.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        prefix: str,
        deliver: Callable[[Document], Awaitable[Transaction[Any] | None]],
        give_up: Callable[[Document, DeliveryError, str], Awaitable[None]],
        again: Callable[[Document], int | str] | None = None,
    ) -> None:
        self._host, self._name, self._prefix, self._deliver, self._give_up = (
            host,
            name,
            prefix,
            deliver,
            give_up,
        )
        self._again = again or self._double_pauses
        self._held: dict[str, Document] = {}  # by key: pending and running, up to the edge
        self._pending: list[tuple[int, str]] = []  # heap of (due, key)
        self._edge: str | None = None  # keys beyond it are on disk only; None: all are in memory
        self._running: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        # accepted beyond the edge while a page is read
        self._meanwhile: list[tuple[str, Document]] = []
        self._alarm: Alarm | None = None
        self._closed = False

    async def open(self) -> None:
        self._records = self._host.records
        self._edge = ""
        await self._read()
        self._alarm = self._host.clock.call_at(
            self._host.clock.now(), self._host.supervisor.guarded(self._name, self._start_due)
        )

    async def close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = [*self._running, *([self._reading] if self._reading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- accepting --------------------------------------------------------------------------------

    def accept(self, documents: list[Document], due: int | None = None) -> Transaction[None]:
        now = self._host.clock.now()
        at = now if due is None else due
        keyed = [
            (self._key(at, document), {"first": now, "attempts": 0, **document})
            for document in documents
        ]

        def then() -> None:
            for each in keyed:
                self._hold(*each)
            self._start_due()

        return Transaction(None, {key: pack(document) for key, document in keyed}, then)

    def commit_soon(self, transaction: Transaction[Any]) -> None:
        """For a caller that cannot wait, such as an alarm."""

        async def commit() -> None:
            await self._records.commit(transaction)

        self._start(commit)

    def _key(self, at: int, document: Document) -> str:
        return f"{self._prefix}{at:013d}/{document['id']}"

    def _due(self, key: str) -> int:
        return int(key[len(self._prefix) :].partition("/")[0])

    def _hold(self, key: str, document: Document) -> None:
        if key in self._held:
            return
        if self._edge is not None and key > self._edge:
            if self._reading is not None:
                self._meanwhile.append((key, document))
            return
        self._held[key] = document
        heapq.heappush(self._pending, (self._due(key), key))
        if len(self._pending) > self._host.limits.deliveries_held:
            self._pending.sort()
            kept = max(1, self._host.limits.deliveries_held // 2)
            for _, spilled in self._pending[kept:]:
                del self._held[spilled]
            del self._pending[kept:]
            self._edge = self._pending[-1][1]

    async def _read(self) -> None:
        """Read the next page beyond the edge."""
        size, edge = self._host.limits.deliveries_page, self._edge
        page = await self._records.scan(self._prefix, edge or "", size)
        self._edge = None if len(page) < size else page[-1][0]
        meanwhile, self._meanwhile = self._meanwhile, []
        for key, document in [*((key, document_of(key, data)) for key, data in page), *meanwhile]:
            if document is not None:
                self._hold(key, document)

    # --- delivering -------------------------------------------------------------------------------

    def _start_due(self) -> None:
        """Start the due deliveries, and set the alarm for the next one."""
        if self._closed:
            return
        clock, limits = self._host.clock, self._host.limits
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = clock.now()
        while (
            self._pending
            and self._pending[0][0] <= now
            and len(self._running) < limits.deliveries_in_flight
        ):
            _, key = heapq.heappop(self._pending)
            self._start(partial(self._attempt, key, self._held[key]))
        if not self._pending and self._edge is not None and self._reading is None:
            self._reading = self._host.soon(self._name, self._read_on)
        elif self._pending and self._pending[0][0] > now:
            self._alarm = clock.call_at(
                self._pending[0][0], self._host.supervisor.guarded(self._name, self._start_due)
            )

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        task = self._host.soon(self._name, work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start_due()

    async def _read_on(self) -> None:
        await self._read()
        self._reading = None
        self._start_due()

    async def _attempt(self, key: str, document: Document) -> None:
        writes: Writes = {key: None}
        later: tuple[str, Document] | None = None
        transaction: Transaction[Any] | None = None
        try:
            transaction = await self._once(document)
        except DeliveryError as error:
            tried = {**document, "attempts": document["attempts"] + 1}
            due = self._again(tried) if error.again else ""
            if isinstance(due, int):
                later = self._key(due, tried), tried
                writes[later[0]] = pack(tried)
            else:
                log.warning("%s is given up: %s: %s", document["id"], error.code, error.message)
                await self._give_up(tried, error, due)
        if transaction is None:
            await self._records.write(writes)
        else:
            await self._records.write({**transaction.writes, **writes}, transaction.then)
        self._held.pop(key, None)
        if later is not None:
            self._hold(*later)

    async def _once(self, document: Document) -> Transaction[Any] | None:
        """One attempt. Raises DeliveryError, also for unexpected errors: they count as failures."""
        try:
            return await self._deliver(document)
        except (DeliveryError, StoreError):
            raise
        except Exception as error:
            self._host.supervisor.report(self._name, error, f"the delivery {document['id']}")
            raise DeliveryError(_UNEXPECTED, f"{type(error).__name__}: {error}") from None

    def _double_pauses(self, document: Document) -> int | str:
        """EventBridge's retries."""
        return self._exhausted(document) or self._next(document)

    def _exhausted(self, document: Document) -> str:
        """The name of the limit that a failed delivery has reached; "": it may be retried."""
        limits, retry = self._host.limits, document.get("retry") or {}
        if document["attempts"] > retry.get("MaximumRetryAttempts", limits.delivery_attempts):
            return "MaximumRetryAttempts"
        seconds = retry.get("MaximumEventAgeInSeconds", limits.delivery_seconds)
        return (
            "MaximumEventAgeInSeconds"
            if self._next(document) - document["first"] > seconds * 1000
            else ""
        )

    def _next(self, document: Document) -> int:
        """The due time of a retry: pauses double, with some jitter."""
        limits, attempts = self._host.limits, document["attempts"]
        pause: float = min(
            limits.delivery_pause_seconds * 2.0 ** min(attempts - 1, 40),
            limits.delivery_pause_most_seconds,
        )
        digest = hashlib.blake2b(f"{document['id']}:{attempts}".encode(), digest_size=2).digest()
        return self._host.clock.now() + round(
            1000 * pause * (1 - int.from_bytes(digest) / 0xFFFF / 4)
        )

    def status(self) -> dict[str, Any]:
        """Counts, for metrics."""
        return {
            "held": len(self._held),
            "running": len(self._running),
            "more": self._edge is not None,
        }
