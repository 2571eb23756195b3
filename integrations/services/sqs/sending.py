"""Sending: prepare() -> one transaction -> visible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.aws import messages as aws_messages
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.batches import BatchErrors, check_batch
from stepwell.integrations.services.common.queues import Attributes, Outgoing
from stepwell.integrations.services.common.tables import Document, Writes, pack
from stepwell.integrations.services.sqs import messages
from stepwell.integrations.services.sqs.index import Entry
from stepwell.integrations.services.sqs.message import Summed, bad_value, check_token, summed
from stepwell.integrations.services.sqs.store import (
    Known,
    Queue,
    QueueStore,
    deletion_of,
    key,
)

SEQUENCE: Final = 10**19  # added to numbers of FIFO messages: AWS's have twenty digits


class Prepared(NamedTuple):
    """A message before its transaction. known: what identifies a repetition, or ""."""

    queue: Queue
    store: int
    entry: Entry
    blob: bytes
    known: str
    answer: Answer


class Sender:
    def __init__(self, store: QueueStore) -> None:
        self._store = store

    async def send_message(
        self,
        queue_url: str,
        message_body: str,
        delay_seconds: int | None = None,
        message_attributes: Attributes | None = None,
        message_system_attributes: Attributes | None = None,
        message_deduplication_id: str | None = None,
        message_group_id: str | None = None,
    ) -> Answer:
        sent = Outgoing(
            queue_url,
            message_body,
            message_attributes or {},
            message_group_id,
            message_deduplication_id,
            delay_seconds,
        )
        return await self.send(sent._replace(system=message_system_attributes or {}))

    async def send(self, message: Outgoing) -> Answer:
        """SendMessage's answer. Raises ApiError."""
        prepared = self.prepare([message])
        (answer,) = prepared.answer
        if isinstance(answer, ApiError):
            raise answer
        await self._store.records.commit(prepared)
        return answer

    async def send_message_batch(self, queue_url: str, entries: Sequence[Document]) -> Answer:
        queue = self._store.find(queue_url)
        self.check_batch(entries, "SendMessageBatchRequestEntry")
        sent, sizes, failed = list[tuple[str, Outgoing]](), 0, list[Answer]()
        for each in entries:
            attributes, system = (
                each.get("MessageAttributes") or {},
                each.get("MessageSystemAttributes") or {},
            )
            group, known = each.get("MessageGroupId"), each.get("MessageDeduplicationId")
            message = Outgoing(
                self._store.arn(queue.name),
                each["MessageBody"],
                attributes,
                group,
                known,
                each.get("DelaySeconds"),
                system,
            )
            try:
                sizes += summed(message.body, attributes, system, self._store.limits).bytes
            except ApiError as error:
                failed.append(refused(each["Id"], error))
            else:
                sent.append((each["Id"], message))
        if sizes > self._store.limits.message_bytes:
            raise ApiError(
                "BatchRequestTooLong",
                messages.BATCH_BYTES.format(limit=self._store.limits.message_bytes, count=sizes),
            )
        answers = await self._store.records.commit(self.prepare(message for _, message in sent))
        successful = list[Answer]()
        for (id, _), answer in zip(sent, answers):
            if isinstance(answer, ApiError):
                failed.append(refused(id, answer))
            else:
                successful.append({"Id": id, **answer})
        return outcome(successful, failed)

    def check_batch(self, entries: Sequence[Mapping[str, Any]], kind: str) -> None:
        """What fails a batch as a whole. kind: of the entries. Raises ApiError."""
        errors = BatchErrors(
            ("EmptyBatchRequest", messages.BATCH_EMPTY.format(entry=kind)),
            ("TooManyEntriesInBatchRequest", messages.BATCH_SIZE),
            ("InvalidBatchEntryId", messages.BATCH_ID),
            ("BatchEntryIdsNotDistinct", messages.BATCH_ID_TWICE),
        )
        check_batch(entries, self._store.limits.queue_batch, errors)

    # --- for other services -----------------------------------------------------------------------

    def prepare(self, sent: Iterable[Outgoing]) -> Transaction[list[Answer | ApiError]]:
        """An answer or a refusal for each message, and what stores them.

        They may be for many queues. A transaction that is never committed has no effect. The
        answers are final after the commit: two concurrent messages with the same deduplication id
        get the same answer.
        """
        answers, writes, prepared, sums = (
            list[Answer | ApiError](),
            Writes(),
            list[Prepared](),
            dict[tuple[int, int, int], Summed](),
        )
        listed = list(sent)  # sums are found by id(), so the messages must live until the end
        for message in listed:
            if self._store.message_count + len(prepared) >= self._store.limits.queue_messages:
                answers.append(
                    ApiError(
                        "RequestThrottled",
                        messages.QUEUE_FULL.format(limit=self._store.limits.queue_messages),
                    )
                )
                continue
            try:
                answer = self._prepare(message, sums, writes, prepared)
            except ApiError as error:
                answers.append(error)
            else:
                answers.append(answer)
        return Transaction(answers, writes, partial(self.make_visible, prepared))

    def _prepare(
        self,
        message: Outgoing,
        sums: dict[tuple[int, int, int], Summed],
        writes: Writes,
        prepared: list[Prepared],
    ) -> Answer:
        """Raises ApiError."""
        queue = self._store.find(message.queue)
        # one message for a thousand queues is summed once
        identity = id(message.body), id(message.attributes), id(message.system)
        sum = sums.get(identity)
        if sum is None:
            sum = sums[identity] = summed(
                message.body, message.attributes, message.system, self._store.limits
            )
        if sum.bytes > queue.number("MaximumMessageSize"):
            raise ApiError(
                "InvalidParameterValue",
                messages.MESSAGE_SIZE.format(limit=queue.number("MaximumMessageSize")),
            )
        delay, (known, shown), now = (
            self._delay(queue, message),
            _deduplication(queue, message),
            self._store.now,
        )
        first = queue.known.get(known) if known else None
        if first is not None and first.until > now:
            return _answer(queue, first.id, first.seq, sum)
        if len(queue.known) >= self._store.limits.queue_messages:
            raise ApiError("RequestThrottled", engine_messages.THROTTLED)
        content: Document = {
            "id": self._store.new_id(),
            "body": message.body,
            "group": message.group,
            "known": shown,
        }
        content |= {"attributes": message.attributes, "system": message.system, "sums": sum[1:3]}
        content = {name: value for name, value in content.items() if value}
        seq = self._store.next_number()
        made = self.new_entry(
            queue, seq, content, now, now + 1000 * delay if delay else 0, 0, writes
        )
        answer = _answer(queue, content["id"], seq, sum)
        prepared.append(made._replace(known=known, answer=answer))
        if known:
            writes[key("once", queue.store, seq)] = pack(
                {"as": known, "id": content["id"], "at": now}
            )
        return answer

    def new_entry(
        self,
        queue: Queue,
        seq: int,
        content: Document,
        sent: int,
        due: int,
        count: int,
        writes: Writes,
    ) -> Prepared:
        """A message of a queue; its records are added to `writes`."""
        head: Document = {
            "sent": sent,
            "due": due,
            "group": content.get("group") if queue.fifo else None,
            "count": count,
        }
        blob = pack(head | {"content": content})
        big = len(blob) > self._store.limits.message_inline_bytes
        if big:
            blob = writes[key("content", queue.store, seq)] = pack(content)
        writes[key("message", queue.store, seq)] = pack(head) if big else blob
        entry = Entry(seq, sent, due, head["group"], None, big)
        entry.count = count
        return Prepared(queue, queue.store, entry, blob, "", {})

    def _delay(self, queue: Queue, message: Outgoing) -> int:
        seconds = message.delay_seconds
        if queue.fifo:
            if seconds:
                raise bad_value(seconds, "DelaySeconds", messages.MESSAGE_NOT_FOR_TYPE)
            if message.group is None:
                raise ApiError(
                    "MissingParameter", aws_messages.PARAMETER_MISSING.format(name="MessageGroupId")
                )
        if message.group is not None:
            check_token("MessageGroupId", message.group)
        if seconds is None or queue.fifo:
            return queue.number("DelaySeconds")
        if not 0 <= seconds <= 900:
            raise bad_value(seconds, "DelaySeconds", messages.MESSAGE_DELAY)
        return seconds

    def make_visible(self, prepared: Sequence[Prepared]) -> None:
        """Show messages that are durable."""
        unwanted, now = Writes(), self._store.now
        for each in prepared:
            queue, entry = each.queue, each.entry
            first = queue.known.get(each.known) if each.known else None
            if self._store.queues.get(queue.name) is not queue or queue.store != each.store:
                unwanted |= deletion_of(
                    each.store, entry
                )  # the queue was deleted or purged meanwhile
            elif first is not None and first.until > now:
                unwanted |= deletion_of(each.store, entry) | {
                    key("once", each.store, entry.seq): None
                }
                each.answer.update(
                    MessageId=first.id,
                    **({"SequenceNumber": str(SEQUENCE + first.seq)} if queue.fifo else {}),
                )
            else:
                if each.known:
                    if first is not None:  # outdated, not yet deleted
                        del queue.known[each.known]
                        unwanted[key("once", each.store, first.seq)] = None
                    until = entry.sent + 1000 * self._store.limits.message_deduplication_seconds
                    queue.known[each.known] = Known(entry.seq, each.answer["MessageId"], until)
                self._show(each, now)
        if unwanted:
            self._store.start("queue_housekeeping", partial(self._store.delete_records, unwanted))

    def finish_move(self, queue: Queue, store: int, moved: list[tuple[Entry, Prepared]]) -> None:
        """After the commit that moved messages from one queue to others."""
        for entry, prepared in moved:
            if queue.store == store:
                self._store.remove(queue, entry.seq)
            self.make_visible([prepared])
        self._store.wake_pollers(queue)

    def _show(self, each: Prepared, now: int) -> None:
        """Show one message."""
        self._store.cache(each.entry, each.blob)
        each.queue.index.add(each.entry, now)
        self._store.message_count += 1
        self._store.schedule_sweep()
        self._store.wake_pollers(each.queue)


def _deduplication(queue: Queue, message: Outgoing) -> tuple[str, str]:
    """(what identifies a repetition, or ""; the MessageDeduplicationId of a FIFO message). Raises
    ApiError.
    """
    id = message.deduplication
    if id is not None:
        check_token("MessageDeduplicationId", id)
    if not queue.fifo:
        if id is not None:
            raise bad_value(id, "MessageDeduplicationId", messages.MESSAGE_NOT_FOR_TYPE)
        return message.once, ""
    if id is None:
        if queue.text("ContentBasedDeduplication") != "true":
            raise ApiError("InvalidParameterValue", messages.MESSAGE_DEDUPLICATION)
        id = hashlib.sha256(message.body.encode()).hexdigest()
    return f"{message.group} {id}" if queue.text("DeduplicationScope") == "messageGroup" else id, id


def _answer(queue: Queue, id: str, seq: int, about: Summed) -> Answer:
    members = {
        "MD5OfMessageBody": about.body,
        "MD5OfMessageAttributes": about.attributes,
        "MD5OfMessageSystemAttributes": about.system,
    }
    members |= {"MessageId": id, "SequenceNumber": str(SEQUENCE + seq) if queue.fifo else ""}
    return {name: value for name, value in members.items() if value}


def refused(id: str, error: ApiError) -> Answer:
    """An entry of a batch that failed."""
    return {"Id": id, "SenderFault": True, "Code": error.code, "Message": error.message}


def outcome(successful: list[Answer], failed: list[Answer]) -> Answer:
    return {
        name: entries
        for name, entries in (("Successful", successful), ("Failed", failed))
        if entries
    }
