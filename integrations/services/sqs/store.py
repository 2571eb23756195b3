"""What all operations on queues share: queues and messages in memory, their records, and the
pollers that wait for messages.

    sqs/number                  numbers below it may have been used
    sqs/queue/NAME              a queue
    sqs/message/STORE/NUMBER    a message; never changed
    sqs/content/STORE/NUMBER    the content of a long message
    sqs/state/STORE/NUMBER      end of hiding, number of receives
    sqs/once/STORE/NUMBER       the deduplication id of a message
    sqs/move/HANDLE             a task that moves messages (redrive.py)
    sqs/gone/STORE              the messages under it are to be deleted

A queue's messages lie under its STORE, a number. A purge gives the queue another number; the
messages under the old one are deleted page by page, across restarts. Numbers are never used twice,
so an old receipt never fits a new message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from stepwell.asl.json_text import loads
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.aws.urls import public_url
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.tables import (
    Document,
    Table,
    Writes,
    document_of,
    pack,
    stored,
    unchanged,
)
from stepwell.integrations.services.sqs import attributes, messages
from stepwell.integrations.services.sqs.index import Entry, Index

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.queues")

T = TypeVar("T")

_NUMBER: Final = "sqs/number"
_BLOCK: Final = 1 << 40  # numbers of one process
_LOST_BLOCKS: Final = 1024  # at most so many were begun after the highest known number
_GONE: Final = "sqs/gone/"
_KINDS: Final = ("message", "content", "state", "once")


class Known(NamedTuple):
    """An accepted message, whose repetition is recognised until a time (ms)."""

    seq: int
    id: str
    until: int


class Queue:
    """document: {"Name", "Id", "Store", "Attributes", "Tags", "Created", "Modified"}"""

    def __init__(self, document: Document, limits: Limits) -> None:
        self._limits = limits
        self.document, self.fifo = document, attributes.is_fifo(document["Name"])
        self.empty()
        self.pollers: dict[asyncio.Future[None], None] = {}  # in the order of their calls
        self.alarm: Alarm | None = None
        self.alarm_due: int | None = None
        self.purged: int | None = None  # ms

    def empty(self) -> None:
        self.index = Index(self.fifo)
        self.known: OrderedDict[str, Known] = OrderedDict()
        # ReceiveRequestAttemptId -> (ms, [(entry, its count)])
        self.attempts: OrderedDict[str, tuple[int, list[tuple[Entry, int]]]] = OrderedDict()

    @property
    def name(self) -> str:
        name: str = self.document["Name"]
        return name

    @property
    def store(self) -> int:
        store: int = self.document["Store"]
        return store

    def text(self, attribute: str) -> str:
        value: str = self.document["Attributes"].get(attribute, "")
        return value

    def number(self, attribute: str) -> int:
        return attributes.number(self.document["Attributes"], attribute, self._limits)

    def dead_letters(self) -> tuple[str, int]:
        """(ARN of the dead-letter queue, receives after which a message moves there); ("", 0):
        none.
        """
        text = self.text("RedrivePolicy")
        if not text:
            return "", 0
        policy: Any = loads(text)
        return policy["deadLetterTargetArn"], policy["maxReceiveCount"]


def _numbers(key: str) -> tuple[int, int]:
    """(store, number) of a key. Raises ValueError."""
    store, seq = (int(part, 16) for part in key.rsplit("/", 2)[1:])
    return store, seq


def key(kind: str, store: int, seq: int) -> str:
    return f"sqs/{kind}/{store:016x}/{seq:016x}"


class QueueStore:
    """The queues of an account, for Queues, Sender, Receiver and Redrive."""

    def __init__(self, host: Host) -> None:
        self.host, self.limits, self.new_id = host, host.limits, uuids()
        self.documents = Table("sqs/queue/")
        self.queues: dict[str, Queue] = {}
        self.message_count = 0  # messages in memory
        self.cached_bytes = 0  # of contents
        self.lock = asyncio.Lock()  # held while a queue's document is read and written
        self.tasks: set[asyncio.Task[Any]] = set()
        self._sweeper: Alarm | None = None
        self._reserved = False
        self.closed = False

    # --- open, close ------------------------------------------------------------------------------

    async def open(self) -> None:
        self.records = self.host.records
        number = await self.records.get(_NUMBER)
        known = document_of(_NUMBER, number) if number is not None else None
        self._next = known["next"] if known else 1
        await self.documents.open(self.records)
        self.queues = {name: Queue(self.documents[name], self.limits) for name in self.documents}
        deleted = {
            int(name.removeprefix(_GONE), 16)
            async for name, _ in stored(self.records, _GONE, unchanged)
        }
        if known is None:
            await self._find_number(deleted)
        if self.queues:  # else the first queue does it: without queues nothing is written
            self.start("queue_housekeeping", self.reserve)
        await self._load(deleted)
        for store in deleted:
            self.delete_messages(store)
        self._sweep()

    async def close(self) -> None:
        self.closed = True
        for alarm in (self._sweeper, *(queue.alarm for queue in self.queues.values())):
            if alarm is not None:
                alarm.cancel()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _load(self, deleted: set[int]) -> None:
        """Load the accepted messages. Records without a queue or message, left by a crash, are
        deleted.
        """
        stores, orphans, now = (
            {queue.store: queue for queue in self.queues.values()},
            Writes(),
            self.now,
        )
        states = {
            name: state async for name, state in stored(self.records, "sqs/state/", unchanged)
        }
        damaged = bool(self.documents.damaged)
        async for name, blob in self.records.all("sqs/message/"):
            head = document_of(name, blob)
            if head is None:
                damaged = True
                continue
            store, seq = _numbers(name)
            queue, state = stores.get(store), states.pop(key("state", store, seq), None)
            if queue is None:
                orphans |= (
                    {}
                    if store in deleted
                    else dict.fromkeys(key(kind, store, seq) for kind in _KINDS)
                )
                continue
            entry = Entry(
                seq, head["sent"], head["due"], head.get("group"), None, "content" not in head
            )
            entry.count = head.get("count", 0)
            if state is not None:
                entry.due, entry.count, entry.first = state["due"], state["count"], state["first"]
            self.cache(entry, None if entry.big else blob)
            queue.index.add(entry, now)
            self.message_count += 1
        orphans |= dict.fromkeys(states)
        async for name, once in stored(self.records, "sqs/once/", unchanged):
            store, seq = _numbers(name)
            queue = stores.get(store)
            orphans |= {name: None} if queue is None else self._load_known(queue, seq, once)
        if not damaged:  # else they may belong to a queue or message that cannot be read
            self.start("queue_housekeeping", partial(self.delete_records, orphans))

    async def _find_number(self, deleted: set[int]) -> None:
        """Without a usable record of the next number: begin above all numbers in the records, and
        above those that later processes may have used without a trace.
        """
        numbers = [0, *deleted, *(queue.store for queue in self.queues.values())]
        for kind in _KINDS:
            async for each, _ in self.records.all(f"sqs/{kind}/"):
                with suppress(ValueError):  # a damaged key
                    numbers += _numbers(each)
        highest = max(numbers)
        self._next = highest + _LOST_BLOCKS * _BLOCK if highest else 1

    def _load_known(self, queue: Queue, seq: int, stored: Document) -> Writes:
        """The records to delete: those of a duplicate left by a crash, or of an outdated id."""
        # a service that was stopped with this one may repeat its messages: its time starts anew
        began = stored["at"] if queue.fifo else max(stored["at"], self.now)
        known = Known(seq, stored["id"], began + self.limits.message_deduplication_seconds * 1000)
        first = queue.known.pop(stored["as"], None)
        if first is not None and stored["at"] < first.until:
            queue.known[stored["as"]] = first
            return {**self.remove(queue, seq), key("once", queue.store, seq): None}
        queue.known[stored["as"]] = known
        return {key("once", queue.store, first.seq): None} if first is not None else {}

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run a background task. The next process repeats what a crash interrupts."""
        self.track(self.host.supervisor.start(name, work))

    def track(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        """Cancel a task when the service is closed."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # --- names ------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.host.clock.now()

    async def reserve(self) -> None:
        """Reserve a block of numbers, once. Writes keep their order, so this is stored before any
        record with one of them.
        """
        if not self._reserved:
            self._reserved = True
            await self.records.write({_NUMBER: pack({"next": self._next + _BLOCK})})

    def next_number(self) -> int:
        self._next += 1
        return self._next

    def arn(self, name: str) -> str:
        return self.host.home.service_arn("sqs", name)

    def url(self, name: str) -> str:
        return f"{REACHED.get() or self.host.url}/{self.host.home.account}/{name}"

    def by_arn(self, arn: str) -> Queue | None:
        home, parts = self.host.home, arn.split(":")
        if len(parts) != 6 or parts[2:5] != ["sqs", home.region, home.account]:
            return None
        return self.queues.get(parts[5])

    def policy_of(self, arn: str) -> str | None:
        """The policy of a queue, JSON; "": it has none, None: there is no such queue."""
        queue = self.by_arn(arn)
        return None if queue is None else queue.text("Policy")

    def find(self, url: str) -> Queue:
        """A queue by its URL with any host, its ARN, or its name. Raises ApiError."""
        if url.startswith("arn:"):
            queue = self.by_arn(url)
        elif url in self.queues:
            queue = self.queues[url]
        else:
            rest, _, name = url.rstrip("/").rpartition("/")
            account = rest.rpartition("/")[2]
            if not account:
                raise ApiError("InvalidAddress", messages.QUEUE_ADDRESS.format(url=public_url(url)))
            queue = self.queues.get(name) if account == self.host.home.account else None
        if queue is None:
            raise ApiError("QueueDoesNotExist", messages.QUEUE_UNKNOWN)
        return queue

    # --- messages in memory and on disk -----------------------------------------------------------

    def cache(self, entry: Entry, blob: bytes | None) -> None:
        """Keep a content in memory, if there is room."""
        if blob is not None and self.cached_bytes + len(blob) <= self.limits.queue_cache_bytes:
            entry.blob = blob
            self.cached_bytes += len(blob)

    def remove(self, queue: Queue, seq: int) -> Writes:
        """Remove a message, if it exists. Returns the writes that delete its records."""
        entry = queue.index.remove(seq)
        if entry is None:
            return {}
        self.message_count -= 1
        self.cached_bytes -= len(entry.blob or b"")
        return deletion_of(queue.store, entry)

    async def contents(self, store: int, entries: Iterable[Entry]) -> list[Document | None]:
        """The contents of messages; None for one that was deleted meanwhile."""
        return [await self._content(store, entry) for entry in entries]

    async def _content(self, store: int, entry: Entry) -> Document | None:
        name = key("content" if entry.big else "message", store, entry.seq)
        blob = entry.blob or await self.records.get(name)
        if blob is None:
            return None
        document = document_of(name, blob)
        if document is None:
            return None
        content: Document = document if entry.big else document["content"]
        return content

    def delete_expired(self, queue: Queue) -> bool:
        """Delete expired messages and deduplication ids, up to a page; whether there may be
        more.
        """
        now, kept, most = (
            self.now,
            queue.number("MessageRetentionPeriod") * 1000,
            self.limits.queue_sweep_page,
        )
        expired = Writes()
        while (
            len(expired) < most
            and (oldest := queue.index.oldest()) is not None
            and oldest.sent + kept <= now
        ):
            expired |= self.remove(queue, oldest.seq)
        while (
            len(expired) < most
            and queue.known
            and (known := next(iter(queue.known.values()))).until <= now
        ):
            queue.known.popitem(last=False)
            expired[key("once", queue.store, known.seq)] = None
        if expired:
            self.start("queue_housekeeping", partial(self.delete_records, expired))
        return len(expired) >= most

    def schedule_sweep(self) -> None:
        """Search for expired messages from now on, as long as there are any messages."""
        if self._sweeper is None and not self.closed:
            self._sweep_at(self.now + round(self.limits.queue_sweep_seconds * 1000))

    def _sweep_at(self, ms: int) -> None:
        self._sweeper = self.host.clock.call_at(
            ms, self.host.supervisor.guarded("queue_sweep", self._sweep)
        )

    def _sweep(self) -> None:
        self._sweeper = None
        if [queue for queue in self.queues.values() if self.delete_expired(queue)]:
            self._sweep_at(self.now)  # there was more than a page
        elif any(queue.index.entries or queue.known for queue in self.queues.values()):
            self.schedule_sweep()

    async def delete_records(self, keys: Iterable[str]) -> None:
        listed, page = list(keys), self.limits.queue_sweep_page
        for at in range(0, len(listed), page):
            await self.records.write(dict.fromkeys(listed[at : at + page]))

    def discard_record(self, queue: Queue) -> Writes:
        """The write that discards all messages of a queue."""
        return {f"{_GONE}{queue.store:016x}": pack({})}

    def forget_messages(self, queue: Queue) -> None:
        """Remove all messages of a queue from memory, once discard_record() is durable."""
        self.message_count -= len(queue.index.entries)
        self.cached_bytes -= sum(len(entry.blob or b"") for entry in queue.index.entries.values())
        queue.empty()

    async def _delete_messages(self, store: int) -> None:
        """Delete the messages under a number, then its record in sqs/gone/."""
        for kind in _KINDS:
            while page := await self.records.scan(
                f"sqs/{kind}/{store:016x}/", limit=self.limits.queue_sweep_page
            ):
                await self.records.write(dict.fromkeys(key for key, _ in page))
        await self.records.write({f"{_GONE}{store:016x}": None})

    def delete_messages(self, store: int) -> None:
        self.start("queue_housekeeping", partial(self._delete_messages, store))

    # --- pollers ----------------------------------------------------------------------------------

    def wake_pollers(self, queue: Queue) -> None:
        """After a change: wake as many pollers as there may be messages, and set the alarm for the
        next message that becomes visible.
        """
        if not queue.pollers:
            return
        queue.index.show_due(self.now)
        for _ in range(min(queue.index.available, len(queue.pollers))):
            poller = next(iter(queue.pollers))
            del queue.pollers[poller]
            _wake(poller)
        due = queue.index.next_due() if queue.pollers else None
        if due != queue.alarm_due:
            if queue.alarm is not None:
                queue.alarm.cancel()
            queue.alarm_due, queue.alarm = (
                due,
                None if due is None else self.host.clock.call_at(due, lambda: self._due(queue)),
            )

    def _due(self, queue: Queue) -> None:
        queue.alarm = queue.alarm_due = None
        if not self.closed:
            self.wake_pollers(queue)

    def release_pollers(self, queue: Queue) -> None:
        """Wake all pollers of a deleted queue."""
        for poller in queue.pollers:
            _wake(poller)
        queue.pollers.clear()
        if queue.alarm is not None:
            queue.alarm.cancel()

    async def wait_for_message(self, queue: Queue, until: int) -> None:
        """Wait until there may be a message, or a time (ms). Raises ApiError."""
        if len(queue.pollers) >= self.limits.pollers:
            raise ApiError(
                "RequestThrottled", messages.QUEUE_POLLERS.format(limit=self.limits.pollers)
            )
        poller = asyncio.get_running_loop().create_future()
        queue.pollers[poller] = None
        alarm = self.host.clock.call_client_at(until, lambda: _wake(poller))
        self.wake_pollers(queue)
        try:
            await poller
        except asyncio.CancelledError:
            if poller.done() and not poller.cancelled():
                self.wake_pollers(queue)  # pass the wake-up on
            raise
        finally:
            alarm.cancel()
            queue.pollers.pop(poller, None)


def deletion_of(store: int, entry: Entry) -> Writes:
    """The writes that delete a message."""
    kinds = ["message", *(["content"] if entry.big else []), *(["state"] if entry.count else [])]
    return dict.fromkeys(key(kind, store, entry.seq) for kind in kinds)


def state_of(entry: Entry) -> bytes:
    return pack({"due": entry.due, "count": entry.count, "first": entry.first})


def _wake(poller: asyncio.Future[None]) -> None:
    if not poller.done():
        poller.set_result(None)
