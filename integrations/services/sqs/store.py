"""What all operations on queues share: the queues and their messages in memory, how they are
stored, and what wakes those who wait.

    sqs/number                  numbers below it may have been given out       sqs/queue/NAME      a
                                queue
    sqs/message/STORE/NUMBER    a message; never changed                       sqs/move/HANDLE     a
                                task that moves messages (redrive.py)
    sqs/content/STORE/NUMBER    the content of a long one                      sqs/gone/STORE
                                what a deleted or emptied queue has left
    sqs/state/STORE/NUMBER      until when it is hidden, how often received
    sqs/once/STORE/NUMBER       what it is known by, to recognise its repetition

A queue's messages lie under its STORE, a number of its own. Emptying a queue gives it another; what
lies under the old one is then deleted page by page, whatever happens meanwhile. Numbers are never
given out twice, so an old receipt never fits a new message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from stepwell.asl.json_text import loads
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.integrations.aws.calls import REACHED
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
from stepwell.integrations.urls import public_url

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.queues")

Answer = dict[str, Any]
T = TypeVar("T")

_NUMBER: Final = "sqs/number"
_BLOCK: Final = 1 << 40  # numbers that one process may give out
_LOST_BLOCKS: Final = 1024  # begun after the latest that is known of, at most
_GONE: Final = "sqs/gone/"
_KINDS: Final = ("message", "content", "state", "once")


class Known(NamedTuple):
    """A message that was accepted, as its repetition is recognised. until: ms."""

    seq: int
    id: str
    until: int


class Queue:
    """document: {"Name", "Id", "Store", "Attributes", "Tags", "Created", "Modified"}"""

    def __init__(self, document: Document) -> None:
        self.document, self.fifo = document, attributes.is_fifo(document["Name"])
        self.empty()
        self.pollers: dict[
            asyncio.Future[None], None
        ] = {}  # those who wait for messages, the longest first
        self.alarm: Alarm | None = None
        self.alarm_due: int | None = None
        self.purged: int | None = None  # ms

    def empty(self) -> None:
        self.index = Index(self.fifo)
        self.known: OrderedDict[str, Known] = OrderedDict()
        self.attempts: OrderedDict[str, tuple[int, list[tuple[Entry, int]]]] = (
            OrderedDict()
        )  # (ms, (entry, its count))

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
        return attributes.number(self.document["Attributes"], attribute)

    def dead_letters(self) -> tuple[str, int]:
        """(ARN of the queue for what was received too often, how often that is); ("", 0): nothing
        is.
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
    """The queues of an account. Its parts are used by the operations: Queues, Sender, Receiver,
    Redrive.
    """

    def __init__(self, host: Host) -> None:
        self.host, self.limits, self.new_id = host, host.limits, uuids()
        self.documents = Table("sqs/queue/")
        self.queues: dict[str, Queue] = {}
        self.total = 0  # messages in memory
        self.cached = 0  # bytes of their contents
        self.lock = asyncio.Lock()  # held while a queue's document is read and written
        self.jobs: set[asyncio.Task[Any]] = set()
        self._sweeper: Alarm | None = None
        self._reserved = False
        self.closed = False

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> None:
        self.records = self.host.records
        number = await self.records.get(_NUMBER)
        known = document_of(_NUMBER, number) if number is not None else None
        self._next = known["next"] if known else 1
        await self.documents.open(self.records)
        self.queues = {name: Queue(self.documents[name]) for name in self.documents}
        gone = {
            int(found.removeprefix(_GONE), 16)
            async for found, _ in stored(self.records, _GONE, unchanged)
        }
        if known is None:
            await self._find_number(gone)
        if self.queues:  # else the first one does it: who has no queues writes nothing
            self.job("queue_housekeeping", self.reserve)
        await self._load(gone)
        for store in gone:
            self.clear(store)
        self._sweep()

    async def close(self) -> None:
        self.closed = True
        for alarm in (self._sweeper, *(queue.alarm for queue in self.queues.values())):
            if alarm is not None:
                alarm.cancel()
        for job in self.jobs:
            job.cancel()
        await asyncio.gather(*self.jobs, return_exceptions=True)

    async def _load(self, gone: set[int]) -> None:
        """Every message that was accepted and not deleted. What belongs to none, since a crash came
        in between, is deleted.
        """
        stores, orphans, now = (
            {queue.store: queue for queue in self.queues.values()},
            Writes(),
            self.now,
        )
        states = {
            found: state async for found, state in stored(self.records, "sqs/state/", unchanged)
        }
        damaged = bool(self.documents.damaged)
        async for found, blob in self.records.all("sqs/message/"):
            head = document_of(found, blob)
            if head is None:
                damaged = True
                continue
            store, seq = _numbers(found)
            queue, state = stores.get(store), states.pop(key("state", store, seq), None)
            if queue is None:
                orphans |= (
                    {} if store in gone else dict.fromkeys(key(kind, store, seq) for kind in _KINDS)
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
            self.total += 1
        orphans |= dict.fromkeys(states)
        async for found, once in stored(self.records, "sqs/once/", unchanged):
            store, seq = _numbers(found)
            queue = stores.get(store)
            orphans |= {found: None} if queue is None else self._load_known(queue, seq, once)
        if not damaged:  # else they may be those of a queue or message that cannot be read
            self.job("queue_housekeeping", partial(self.delete, orphans))

    async def _find_number(self, gone: set[int]) -> None:
        """The record of the next number is damaged, or was never written: begin above all numbers
        that anything stored has, and above those that later processes may have given out, of which
        nothing is left."""
        found = [0, *gone, *(queue.store for queue in self.queues.values())]
        for kind in _KINDS:
            async for each, _ in self.records.all(f"sqs/{kind}/"):
                with suppress(ValueError):  # a damaged key
                    found += _numbers(each)
        highest = max(found)
        self._next = highest + _LOST_BLOCKS * _BLOCK if highest else 1

    def _load_known(self, queue: Queue, seq: int, stored: Document) -> Writes:
        """What is to be deleted: a repetition that a crash kept from being taken away, or a note
        that is too old.
        """
        # a sender here, who was stopped as we were, repeats what he may have sent: he is waited for
        began = stored["at"] if queue.fifo else max(stored["at"], self.now)
        known = Known(seq, stored["id"], began + self.limits.message_deduplication_seconds * 1000)
        first = queue.known.pop(stored["as"], None)
        if first is not None and stored["at"] < first.until:
            queue.known[stored["as"]] = first
            return {**self.take_out(queue, seq), key("once", queue.store, seq): None}
        queue.known[stored["as"]] = known
        return {key("once", queue.store, first.seq): None} if first is not None else {}

    def job(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Something that goes on by itself; what of it a crash prevents is done by the next
        process.
        """
        self.hold(self.host.supervisor.start(name, work))

    def hold(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        """It is cancelled when the service is closed."""
        self.jobs.add(task)
        task.add_done_callback(self.jobs.discard)
        return task

    # --- names ------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.host.clock.now()

    async def reserve(self) -> None:
        """Take a block of numbers, once. It is stored before anything of ours that has one of them:
        writes keep their order.
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
        """The policy that a queue was given, JSON; "" if none, None if there is no such queue."""
        found = self.by_arn(arn)
        return None if found is None else found.text("Policy")

    def find(self, url: str) -> Queue:
        """A queue by its URL, with any host, by its ARN, or by its name alone. Raises ApiError."""
        if url.startswith("arn:"):
            found = self.by_arn(url)
        elif url in self.queues:
            found = self.queues[url]
        else:
            rest, _, name = url.rstrip("/").rpartition("/")
            account = rest.rpartition("/")[2]
            if not account:
                raise ApiError("InvalidAddress", messages.QUEUE_ADDRESS.format(url=public_url(url)))
            found = self.queues.get(name) if account == self.host.home.account else None
        if found is None:
            raise ApiError("QueueDoesNotExist", messages.QUEUE_UNKNOWN)
        return found

    # --- messages in memory and on disk -----------------------------------------------------------

    def cache(self, entry: Entry, blob: bytes | None) -> None:
        """Keep a content at hand, if there is room: those that come first are received first."""
        if blob is not None and self.cached + len(blob) <= self.limits.queue_cache_bytes:
            entry.blob = blob
            self.cached += len(blob)

    def take_out(self, queue: Queue, seq: int) -> Writes:
        """Remove a message; what makes that durable. It may be gone already."""
        entry = queue.index.remove(seq)
        if entry is None:
            return {}
        self.total -= 1
        self.cached -= len(entry.blob or b"")
        return leaving(queue.store, entry)

    async def contents(self, store: int, entries: Iterable[Entry]) -> list[Document | None]:
        """Of messages; None of one that was deleted meanwhile."""
        return [await self._content(store, entry) for entry in entries]

    async def _content(self, store: int, entry: Entry) -> Document | None:
        name = key("content" if entry.big else "message", store, entry.seq)
        blob = entry.blob or await self.records.get(name)
        if blob is None:
            return None
        found = document_of(name, blob)
        if found is None:
            return None
        content: Document = found if entry.big else found["content"]
        return content

    def expire(self, queue: Queue) -> bool:
        """Let go of messages whose retention is over, and of what is too old to be recognised;
        whether there may be more of it.
        """
        now, kept, most = (
            self.now,
            queue.number("MessageRetentionPeriod") * 1000,
            self.limits.queue_sweep_page,
        )
        doomed = Writes()
        while (
            len(doomed) < most
            and (oldest := queue.index.oldest()) is not None
            and oldest.sent + kept <= now
        ):
            doomed |= self.take_out(queue, oldest.seq)
        while (
            len(doomed) < most
            and queue.known
            and (known := next(iter(queue.known.values()))).until <= now
        ):
            queue.known.popitem(last=False)
            doomed[key("once", queue.store, known.seq)] = None
        if doomed:
            self.job("queue_housekeeping", partial(self.delete, doomed))
        return len(doomed) >= most

    def watch(self) -> None:
        """There is something that may grow too old: look for it from now on, as long as there
        is.
        """
        if self._sweeper is None and not self.closed:
            self._sweep_at(self.now + round(self.limits.queue_sweep_seconds * 1000))

    def _sweep_at(self, ms: int) -> None:
        self._sweeper = self.host.clock.call_at(
            ms, self.host.supervisor.guarded("queue_sweep", self._sweep)
        )

    def _sweep(self) -> None:
        self._sweeper = None
        if [queue for queue in self.queues.values() if self.expire(queue)]:
            self._sweep_at(self.now)  # there was more than a page of it
        elif any(queue.index.entries or queue.known for queue in self.queues.values()):
            self.watch()

    async def delete(self, doomed: Mapping[str, bytes | None]) -> None:
        keys, page = list(doomed), self.limits.queue_sweep_page
        for at in range(0, len(keys), page):
            await self.records.write(dict.fromkeys(keys[at : at + page]))

    def gone(self, queue: Queue) -> Writes:
        """The note that nothing of a queue's messages is to be left."""
        return {f"{_GONE}{queue.store:016x}": pack({})}

    def abandon(self, queue: Queue) -> None:
        """Forget all messages of a queue, once that note is durable."""
        self.total -= len(queue.index.entries)
        self.cached -= sum(len(entry.blob or b"") for entry in queue.index.entries.values())
        queue.empty()

    async def _clear(self, store: int) -> None:
        """Delete what lies under a number, and then the note that this is to be done."""
        for kind in _KINDS:
            while found := await self.records.scan(
                f"sqs/{kind}/{store:016x}/", limit=self.limits.queue_sweep_page
            ):
                await self.records.write({found_key: None for found_key, _ in found})
        await self.records.write({f"{_GONE}{store:016x}": None})

    def clear(self, store: int) -> None:
        self.job("queue_housekeeping", partial(self._clear, store))

    # --- those who wait ---------------------------------------------------------------------------

    def stir(self, queue: Queue) -> None:
        """Something changed: wake as many of those who wait as may find something, and set the
        alarm for what is visible next.
        """
        if not queue.pollers:
            return
        queue.index.ripen(self.now)
        for _ in range(min(queue.index.offered, len(queue.pollers))):
            rung = next(iter(queue.pollers))
            del queue.pollers[rung]
            ring(rung)
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
            self.stir(queue)

    def dismiss(self, queue: Queue) -> None:
        """A queue is no more: let those who wait find that out."""
        for rung in queue.pollers:
            ring(rung)
        queue.pollers.clear()
        if queue.alarm is not None:
            queue.alarm.cancel()

    async def wait(self, queue: Queue, until: int) -> None:
        """Until there may be a message, or a time (ms). Raises ApiError."""
        if len(queue.pollers) >= self.limits.pollers:
            raise ApiError(
                "RequestThrottled", messages.QUEUE_POLLERS.format(limit=self.limits.pollers)
            )
        rung = asyncio.get_running_loop().create_future()
        queue.pollers[rung] = None
        alarm = self.host.clock.call_at(until, lambda: ring(rung))
        self.stir(queue)
        try:
            await rung
        except asyncio.CancelledError:
            if rung.done() and not rung.cancelled():
                self.stir(queue)  # it was this one's turn: let another look
            raise
        finally:
            alarm.cancel()
            queue.pollers.pop(rung, None)


def leaving(store: int, entry: Entry) -> Writes:
    """What deletes a message."""
    kinds = ["message", *(["content"] if entry.big else []), *(["state"] if entry.count else [])]
    return dict.fromkeys(key(kind, store, entry.seq) for kind in kinds)


def state_of(entry: Entry) -> bytes:
    return pack({"due": entry.due, "count": entry.count, "first": entry.first})


def ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)
