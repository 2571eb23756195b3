"""Publish and PublishBatch: message -> matching subscriptions -> deliveries, durable with the
answer.

`prepare` stores nothing: a task commits its transaction together with its success.
FIFO topics remember the deduplication ids of the last five minutes (sns/seen/...), and number their
messages by the clock, which never goes back.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final
from weakref import WeakValueDictionary

from botocore import xform_name

from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, pack, stored
from stepwell.integrations.services.sns import message_checks, messages
from stepwell.integrations.services.sns.delivery.sender import Sender
from stepwell.integrations.services.sns.message_checks import Parameters
from stepwell.integrations.services.sns.mobile import Mobile
from stepwell.integrations.services.sns.store import TopicStore, invalid
from stepwell.integrations.services.sns.topics import is_fifo

SEEN: Final = "sns/seen/"
_FIRST: Final = 10**19  # AWS's numbers have twenty digits
_COUNTER_BITS: Final = 20  # of a number, which count within a millisecond
_CODES: Final = {
    "InvalidParameterException": "InvalidParameter",
    "InvalidParameterValueException": "ParameterValueInvalid",
    "ThrottledException": "Throttled",
}  # in the answer to a batch
_PURGE: Final = 16  # expired ids that are deleted with each message


def _seen(document: Document) -> Document:
    int(document["sequence"])  # raises if the record is damaged
    return document


class Publisher:
    def __init__(self, store: TopicStore, sender: Sender, mobile: Mobile) -> None:
        self._store, self._sender, self._mobile = store, sender, mobile
        # key of a deduplication id -> {"at", "id", "sequence"}, the oldest first
        self._seen: dict[str, Document] = {}
        self._number = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by topic ARN

    async def open(self) -> None:
        ids = [each async for each in stored(self._store.records, SEEN, _seen)]
        self._seen = dict(sorted(ids, key=lambda each: each[1]["at"]))
        # the clock may stand where it stood; what is no longer remembered is older than any time
        # that it can show
        self._number = max(
            (int(seen["sequence"]) - _FIRST for seen in self._seen.values()), default=0
        )

    # --- Publish ----------------------------------------------------------------------------------

    async def publish(self, /, **parameters: Any) -> Answer:
        async with self._lock(parameters.get("topic_arn") or parameters.get("target_arn") or ""):
            return await self._store.records.commit(self.prepare(parameters, self._store.new_id()))

    def _lock(self, arn: str) -> AbstractAsyncContextManager[Any]:
        """For a FIFO topic: a repeated id must not come before the first one is remembered."""
        return (
            self._locks.setdefault(arn, asyncio.Lock()) if arn.endswith(".fifo") else nullcontext()
        )

    def prepare(self, parameters: Parameters, id: str) -> Transaction[Answer]:
        """Publish's answer, and what it stores. Raises ApiError."""
        targets: list[str] = [
            parameters[name]
            for name in ("topic_arn", "target_arn", "phone_number")
            if parameters.get(name)
        ]
        if len(targets) != 1:
            raise invalid(messages.SNS_NO_TARGET)
        (target,) = targets
        if parameters.get("phone_number"):
            return self._direct(parameters, id, "sms", target)
        if ":endpoint/" in target:
            return self._direct(parameters, id, "application", target)
        return self._to_topic(self._store.topic(target), parameters, id)

    def _direct(
        self, parameters: Parameters, id: str, protocol: str, endpoint: str
    ) -> Transaction[Answer]:
        """To a phone or a device, without a topic."""
        self._mobile.check_endpoint(protocol, endpoint)
        message = {
            **self._store.stamp(id),
            "topic": "",
            **message_checks.message(parameters, self._store.limits),
        }
        to = {
            "Key": "",
            "Arn": "",
            "TopicArn": "",
            "Protocol": protocol,
            "Endpoint": endpoint,
            "Attributes": {},
        }
        return self._sender.accept_one(to, message).replying({"MessageId": id})

    def _to_topic(self, topic: Document, parameters: Parameters, id: str) -> Transaction[Answer]:
        fifo, settings = is_fifo(topic), topic["Attributes"]
        checked = message_checks.message(parameters, self._store.limits, self.most_bytes(topic))
        message_checks.check_fifo_ids(
            parameters, fifo, settings.get("ContentBasedDeduplication") == "true"
        )
        message = {
            **self._store.stamp(id),
            "topic": topic["Arn"],
            "version": settings.get("SignatureVersion", "1"),
            **checked,
        }
        if parameters.get("message_group_id"):
            message["group"] = parameters["message_group_id"]
        if not fifo:
            return self._matched(topic, message).replying({"MessageId": id})
        message["deduplication"] = (
            parameters.get("message_deduplication_id")
            or hashlib.sha256(checked["body"].encode()).hexdigest()
        )
        seen = self._seen.get(self._seen_key(topic, message))
        if seen is not None and not self._expired(seen):
            return Transaction({"MessageId": seen["id"], "SequenceNumber": seen["sequence"]}, {})
        message["sequence"] = self._next_number()
        matched = self._matched(topic, message)
        return together([self._remember(topic, message), matched]).replying(
            {"MessageId": id, "SequenceNumber": message["sequence"]}
        )

    def _matched(self, topic: Document, message: Document) -> Transaction[None]:
        keys = self._store.filters(topic["Name"]).find(message["attributes"], message["body"])
        return self._sender.accept(topic, message, [self._store.subscriptions[key] for key in keys])

    def most_bytes(self, topic: Document) -> int:
        """The limit of a message with its attributes, and of a batch."""
        return int(
            topic["Attributes"].get("MaximumMessageSize", self._store.limits.topic_message_bytes)
        )

    # --- FIFO -------------------------------------------------------------------------------------

    def _next_number(self) -> str:
        self._number = max(self._number + 1, self._store.now() << _COUNTER_BITS)
        return str(_FIRST + self._number)

    def _seen_key(self, topic: Document, message: Document) -> str:
        scope = (
            message["group"]
            if topic["Attributes"].get("FifoThroughputScope") == "MessageGroup"
            else ""
        )
        digest = hashlib.blake2b(
            f"{scope}\n{message['deduplication']}".encode(), digest_size=16
        ).hexdigest()
        return f"{SEEN}{topic['Name']}/{topic['Since']}/{digest}"

    def _expired(self, seen: Document) -> bool:
        return bool(
            seen["at"] + self._store.limits.topic_deduplication_seconds * 1000 <= self._store.now()
        )

    def _remember(self, topic: Document, message: Document) -> Transaction[None]:
        """Stores the id of a message and deletes a few expired ones. Raises ApiError."""
        key = self._seen_key(topic, message)
        old = [
            each for each, seen in zip(self._seen, range(_PURGE)) if self._expired(self._seen[each])
        ]
        if len(self._seen) - len(old) >= self._store.limits.topic_deduplication_ids:
            raise ApiError("ThrottledException", messages.SNS_THROTTLED)
        seen = {"at": message["at"], "id": message["id"], "sequence": message["sequence"]}

        def then() -> None:
            for each in [*old, key]:  # a repeated id becomes the youngest
                self._seen.pop(each, None)
            self._seen[key] = seen

        return Transaction(None, {**dict.fromkeys(old), key: pack(seen)}, then)

    # --- PublishBatch -----------------------------------------------------------------------------

    async def publish_batch(
        self, topic_arn: str, publish_batch_request_entries: Sequence[Mapping[str, Any]]
    ) -> Answer:
        topic, entries = self._store.topic(topic_arn), publish_batch_request_entries
        message_checks.check_batch(entries, self._store.limits)
        parameters = [
            {str(xform_name(name)): value for name, value in entry.items()} for entry in entries
        ]
        if sum(map(message_checks.size, parameters)) > self.most_bytes(topic):
            raise ApiError("BatchRequestTooLongException", messages.SNS_BATCH_LONG)
        if is_fifo(topic) and not all(each.get("message_group_id") for each in parameters):
            raise invalid(messages.SNS_GROUP)
        async with self._lock(topic["Arn"]):
            return await self._publish_each(topic, parameters)

    async def _publish_each(self, topic: Document, entries: Sequence[Parameters]) -> Answer:
        """Accepts entries in one transaction; an entry with another's id gets the answer of that
        one.
        """
        successful, failed, prepared = list[Answer](), list[Answer](), list[Transaction[Answer]]()
        first: dict[str, Answer] = {}
        for entry in entries:
            try:
                repeated = first.get(self._identity(topic, entry)) if is_fifo(topic) else None
                if repeated is not None:
                    successful.append({**repeated, "Id": entry["id"]})
                    continue
                transaction = self._to_topic(topic, entry, self._store.new_id())
            except ApiError as error:
                failed.append(
                    {
                        "Id": entry["id"],
                        "Code": _CODES.get(error.code, error.code),
                        "Message": error.message,
                        "SenderFault": True,
                    }
                )
                continue
            first[self._identity(topic, entry)] = transaction.answer
            successful.append({**transaction.answer, "Id": entry["id"]})
            prepared.append(transaction)
        await self._store.records.commit(together(prepared))
        return {"Successful": successful, "Failed": failed}

    def _identity(self, topic: Document, entry: Parameters) -> str:
        body = entry.get("message") or ""
        id = entry.get("message_deduplication_id") or hashlib.sha256(body.encode()).hexdigest()
        return self._seen_key(
            topic, {"group": entry.get("message_group_id", ""), "deduplication": id}
        )
