"""Receiving: messages are received and hidden, then deleted; after too many receives they move to
the dead-letter queue.

Messages are delivered after it is durable that they are hidden, so a crash neither shortens the
time of a receiver nor invalidates its receipts. The messages of a client that disconnects become
visible again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Writes
from stepwell.integrations.services.sqs import attributes, messages
from stepwell.integrations.services.sqs.index import IN_FLIGHT, Entry
from stepwell.integrations.services.sqs.message import bad_value, check_token, md5
from stepwell.integrations.services.sqs.sending import SEQUENCE, Prepared, Sender, outcome, refused
from stepwell.integrations.services.sqs.store import (
    Queue,
    QueueStore,
    deletion_of,
    key,
    state_of,
)

_LONGEST: Final = 43_200  # seconds that a message may be hidden
_ALL: Final = "All"
_SYSTEM: Final = (
    "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn",
)  # fmt: skip


class Asked(NamedTuple):
    """The attributes that a receiver asks for."""

    system: frozenset[str]
    attributes: Sequence[str]


class Receiver:
    def __init__(self, store: QueueStore, sender: Sender) -> None:
        self._store, self._sender = store, sender

    async def receive_message(
        self,
        queue_url: str,
        attribute_names: Sequence[str] = (),
        message_system_attribute_names: Sequence[str] = (),
        message_attribute_names: Sequence[str] = (),
        max_number_of_messages: int = 1,
        visibility_timeout: int | None = None,
        wait_time_seconds: int | None = None,
        receive_request_attempt_id: str | None = None,
    ) -> Answer:
        queue, limit = self._store.find(queue_url), max_number_of_messages
        asked = Asked(
            _system([*attribute_names, *message_system_attribute_names]), message_attribute_names
        )
        if not 1 <= limit <= self._store.limits.queue_batch:
            raise bad_value(
                limit,
                "MaxNumberOfMessages",
                messages.RECEIVE_MOST.format(limit=self._store.limits.queue_batch),
            )
        seconds = (
            queue.number("ReceiveMessageWaitTimeSeconds")
            if wait_time_seconds is None
            else wait_time_seconds
        )
        if not 0 <= seconds <= 20:
            raise bad_value(seconds, "WaitTimeSeconds", messages.RECEIVE_WAIT)
        hide_seconds = (
            queue.number("VisibilityTimeout")
            if visibility_timeout is None
            else _visibility(visibility_timeout)
        )
        attempt = receive_request_attempt_id
        if attempt is not None:
            if not queue.fifo:
                raise bad_value(attempt, "ReceiveRequestAttemptId", messages.MESSAGE_NOT_FOR_TYPE)
            check_token("ReceiveRequestAttemptId", attempt)
        until = self._store.now + 1000 * seconds
        while True:
            taken, over = self._take(queue, limit, hide_seconds, attempt)
            if taken or over:
                received = await self._deliver(queue, taken, over, asked)
                if received:
                    return {"Messages": received}
            elif self._store.now >= until:
                return {}
            else:
                await self._store.wait_for_message(queue, until)
            queue = self._store.find(queue_url)  # it may have been deleted meanwhile

    def _take(
        self, queue: Queue, most: int, hidden: int, attempt: str | None
    ) -> tuple[list[Entry], list[Entry]]:
        """(messages that are now in flight, those with too many receives). Raises ApiError."""
        self._store.delete_expired(queue)
        now, limit = self._store.now, self._store.limits.queue_in_flight
        if attempt is not None and (again := self._repeated(queue, attempt, now)):
            for entry in again:
                queue.index.hide(entry, now + 1000 * hidden, now)
            return again, []
        queue.index.show_due(now)
        if queue.index.in_flight >= limit:
            raise ApiError("OverLimit", messages.QUEUE_IN_FLIGHT.format(limit=limit))
        arn, times = queue.dead_letters()
        spent = times if self._store.by_arn(arn) is not None else 0
        taken, over = queue.index.take(
            now, most, now + 1000 * hidden, lambda entry: 0 < spent <= entry.count
        )
        if attempt is not None and taken:
            queue.attempts[attempt] = now, [(entry, entry.count) for entry in taken]
            while len(queue.attempts) > self._store.limits.receive_attempts:
                queue.attempts.popitem(last=False)
        return taken, over

    def _repeated(self, queue: Queue, attempt: str, now: int) -> list[Entry]:
        """The messages of an attempt with that id, if all are as it left them."""
        at, taken = queue.attempts.get(attempt, (0, []))
        unchanged = at + 1000 * self._store.limits.message_deduplication_seconds > now and all(
            queue.index.entries.get(entry.seq) is entry
            and (entry.state, entry.count) == (IN_FLIGHT, count)
            for entry, count in taken
        )
        return [entry for entry, _ in taken] if unchanged else []

    async def _deliver(
        self, queue: Queue, taken: list[Entry], over: list[Entry], asked: Asked
    ) -> list[Answer]:
        """The messages, once it is durable that they are in flight. If the call is cancelled, they
        become visible again.
        """
        store, got = queue.store, [(entry, entry.count) for entry in taken]
        work = self._store.track(
            asyncio.create_task(self._hand_out(queue, store, taken, over, asked))
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(lambda _: self._return(queue, store, got))
            raise

    async def _hand_out(
        self, queue: Queue, store: int, taken: list[Entry], over: list[Entry], asked: Asked
    ) -> list[Answer]:
        readable = [
            (entry, content)
            for entry, content in zip(taken, await self._store.contents(store, taken))
            if content is not None
        ]
        answers = [self._shown(queue, entry, content, asked) for entry, content in readable]
        writes: Writes = {key("state", store, entry.seq): state_of(entry) for entry, _ in readable}
        arn, dead_letters = self._store.arn(queue.name), self._store.by_arn(queue.dead_letters()[0])
        moved = list[tuple[Entry, Prepared]]()
        for entry, content in zip(over, await self._store.contents(store, over)):
            if content is not None and dead_letters is not None:
                moved.append(
                    (entry, self._moved(dead_letters, entry, {**content, "source": arn}, writes))
                )
                writes |= deletion_of(store, entry)
        if writes:
            await self._store.records.write(
                writes, partial(self._sender.finish_move, queue, store, moved)
            )
        return answers

    def _moved(
        self, dead_letters: Queue, entry: Entry, content: Document, writes: Writes
    ) -> Prepared:
        """A message in its dead-letter queue: with its id and count; its age starts anew in a FIFO
        queue.
        """
        sent = self._store.now if dead_letters.fifo else entry.sent
        return self._sender.new_entry(
            dead_letters, self._store.next_number(), content, sent, 0, entry.count, writes
        )

    def _return(self, queue: Queue, store: int, taken: list[tuple[Entry, int]]) -> None:
        """Make messages visible again that were not delivered."""
        writes = Writes()
        for entry, count in taken:
            if queue.index.entries.get(entry.seq) is entry and (entry.state, entry.count) == (
                IN_FLIGHT,
                count,
            ):
                queue.index.undo_take(entry)
                writes[key("state", store, entry.seq)] = state_of(entry) if entry.count else None
        self._store.wake_pollers(queue)
        if writes and not self._store.closed:
            self._store.start("queue_housekeeping", partial(self._store.records.write, writes))

    def _shown(self, queue: Queue, entry: Entry, content: Document, asked: Asked) -> Answer:
        given: Mapping[str, Any] = content.get("attributes") or {}
        wanted = {
            name: _value(value) for name, value in given.items() if _named(name, asked.attributes)
        }
        handle = receipt(queue, entry)
        answer: Answer = {
            "MessageId": content["id"],
            "ReceiptHandle": handle,
            "MD5OfBody": content["sums"][0],
            "Body": content["body"],
        }
        if asked.system:
            system_attributes = {
                "SenderId": self._store.host.home.account,
                "SentTimestamp": str(entry.sent),
                "ApproximateReceiveCount": str(entry.count),
                "ApproximateFirstReceiveTimestamp": str(entry.first),
                "SequenceNumber": str(SEQUENCE + entry.seq) if queue.fifo else None,
                "MessageDeduplicationId": content.get("known"),
                "MessageGroupId": content.get("group"),
                "AWSTraceHeader": content.get("system", {})
                .get("AWSTraceHeader", {})
                .get("StringValue"),
                "DeadLetterQueueSourceArn": content.get("source"),
            }
            answer["Attributes"] = {
                name: value
                for name, value in system_attributes.items()
                if name in asked.system and value is not None
            }
        if wanted:
            answer["MD5OfMessageAttributes"] = (
                content["sums"][1] if len(wanted) == len(given) else md5(wanted)
            )
            answer["MessageAttributes"] = wanted
        return answer

    # --- receipts ---------------------------------------------------------------------------------

    async def delete_message(self, queue_url: str, receipt_handle: str) -> Answer:
        queue = self._store.find(queue_url)
        writes = self._delete_by(queue, receipt_handle)
        if writes:
            await self._store.records.write(writes)
        return {}

    async def delete_message_batch(
        self, queue_url: str, entries: Sequence[Mapping[str, str]]
    ) -> Answer:
        queue = self._store.find(queue_url)
        return await self._batch(
            entries,
            "DeleteMessageBatchRequestEntry",
            lambda each: self._delete_by(queue, each["ReceiptHandle"]),
        )

    async def change_message_visibility(
        self, queue_url: str, receipt_handle: str, visibility_timeout: int
    ) -> Answer:
        queue = self._store.find(queue_url)
        await self._store.records.write(self._hide_by(queue, receipt_handle, visibility_timeout))
        return {}

    async def change_message_visibility_batch(
        self, queue_url: str, entries: Sequence[Mapping[str, Any]]
    ) -> Answer:
        queue, kind = self._store.find(queue_url), "ChangeMessageVisibilityBatchRequestEntry"
        return await self._batch(
            entries,
            kind,
            lambda each: self._hide_by(
                queue, each["ReceiptHandle"], each.get("VisibilityTimeout", 0)
            ),
        )

    async def _batch(
        self,
        entries: Sequence[Mapping[str, Any]],
        kind: str,
        act: Callable[[Mapping[str, Any]], Writes],
    ) -> Answer:
        self._sender.check_batch(entries, kind)
        writes, done, failed = Writes(), list[Answer](), list[Answer]()
        for each in entries:
            try:
                writes |= act(each)
                done.append({"Id": each["Id"]})
            except ApiError as error:
                failed.append(refused(each["Id"], error))
        if writes:
            await self._store.records.write(writes)
        return outcome(done, failed)

    def _delete_by(self, queue: Queue, handle: str) -> Writes:
        """The writes that delete the message of a receipt, if it exists. Raises ApiError."""
        seq, count = _read(queue, handle)
        entry = queue.index.entries.get(seq)
        if entry is None:
            return {}
        if queue.fifo:
            queue.index.show_due(self._store.now)
            if (entry.state, entry.count) != (IN_FLIGHT, count):
                raise bad_value(handle, "ReceiptHandle", messages.RECEIPT_EXPIRED)
        writes = self._store.remove(queue, seq)
        self._store.wake_pollers(queue)
        return writes

    def _hide_by(self, queue: Queue, handle: str, seconds: int) -> Writes:
        """The writes that hide the message of a receipt for a time. Raises ApiError."""
        _visibility(seconds)
        seq, count = _read(queue, handle)
        now = self._store.now
        queue.index.show_due(now)
        entry = queue.index.entries.get(seq)
        if entry is None:
            raise bad_value(handle, "ReceiptHandle", messages.RECEIPT_GONE)
        if entry.state != IN_FLIGHT or (queue.fifo and entry.count != count):
            raise ApiError("MessageNotInflight", messages.MESSAGE_NOT_IN_FLIGHT)
        queue.index.hide(entry, now + 1000 * seconds if seconds else 0, now)
        self._store.wake_pollers(queue)
        return {key("state", queue.store, seq): state_of(entry)}


def receipt(queue: Queue, entry: Entry) -> str:
    text = f"{queue.document['Id']:016x}:{entry.seq:016x}:{entry.count}"
    return base64.b64encode(text.encode()).decode()


def _read(queue: Queue, handle: str) -> tuple[int, int]:
    """(number of the message, its count) in a receipt of this queue. Raises ApiError."""
    try:
        id, seq, count = base64.b64decode(handle, validate=True).decode().split(":")
        if int(id, 16) == queue.document["Id"]:
            return int(seq, 16), int(count)
    except ValueError:  # not base64, UTF-8 or numbers
        pass
    raise ApiError("ReceiptHandleIsInvalid", messages.RECEIPT_INVALID.format(handle=handle))


def _visibility(seconds: int) -> int:
    if not 0 <= seconds <= _LONGEST:
        raise bad_value(seconds, "VisibilityTimeout", messages.VISIBILITY_RANGE)
    return seconds


def _system(names: Sequence[str]) -> frozenset[str]:
    """Raises ApiError."""
    for name in names:
        if name != _ALL and name not in _SYSTEM and name not in attributes.NAMES:
            raise attributes.unknown(name)
    return frozenset(_SYSTEM if _ALL in names else names)


def _named(name: str, wanted: Sequence[str]) -> bool:
    return any(
        each in (_ALL, ".*", name) or (each.endswith(".*") and name.startswith(each[:-1]))
        for each in wanted
    )


def _value(stored: Mapping[str, Any]) -> Answer:
    """An attribute for an answer: a binary value is stored as base64."""
    if "BinaryValue" not in stored:
        return dict(stored)
    return {**stored, "BinaryValue": base64.b64decode(stored["BinaryValue"])}
