"""How a message reaches the subscribers of its topic.

    accepted --+--> queues:  one record for up to a thousand queues; those that fail get one each
               +--> ordered: the same for a FIFO topic, one after the other within a group
               +--> functions, http, people: one record for each subscriber

Each lane is a Deliveries of its own, so that an endpoint that does not answer delays only its own
kind. What cannot be delivered goes to the subscription's dead-letter queue.

protocols.py  all receivers but queues        queues.py    queues
outbox.py     phones and devices              retries.py   pauses between attempts
status.py     what is logged of deliveries
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from stepwell.asl.json_text import loads
from stepwell.engine.clock import sleep_until
from stepwell.engine.errors import ApiError
from stepwell.engine.runtime.records import Records
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.services.common.deliveries import Deliveries, DeliveryError
from stepwell.integrations.services.common.queues import Outgoing, send_to_queue
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sns import notifications
from stepwell.integrations.services.sns.delivery import queues, retries, status
from stepwell.integrations.services.sns.delivery.outbox import Outbox
from stepwell.integrations.services.sns.delivery.protocols import SEND, Context
from stepwell.integrations.services.sns.encryption import KeyUnavailableError, MessageCipher
from stepwell.integrations.services.sns.notifications import NOTIFICATION, Message
from stepwell.integrations.services.sns.signing import Signer
from stepwell.integrations.services.sns.store import TopicStore

log: Final = logging.getLogger("stepwell.sns")

QUEUES: Final = "queues"
ORDERED: Final = "ordered"
UNDECRYPTABLE: Final = "KMSAccessDenied"
LANES: Final[Mapping[str, str]] = {
    "sqs": QUEUES,
    "lambda": "functions",
    "http": "http",
    "https": "http",
    "email": "people",
    "email-json": "people",
    "sms": "people",
    "application": "people",
}
_POLICIES: Final = {
    QUEUES: retries.MANAGED,
    ORDERED: retries.MANAGED,
    "functions": retries.MANAGED,
    "people": retries.CUSTOMER,
}


class Sender:
    def __init__(self, topics: TopicStore) -> None:
        self.topics, self.host, self.limits = topics, topics.host, topics.host.limits
        self._lanes = {
            lane: Deliveries(
                self.host,
                "topic_deliveries",
                f"sns/delivery/{lane}/",
                deliver,
                self._give_up,
                partial(self._again, lane),
            )
            for lane, deliver in {
                QUEUES: self._deliver_to_queues,
                ORDERED: self._deliver_in_order,
                "functions": self._deliver,
                "http": self._deliver,
                "people": self._deliver,
            }.items()
        }
        self.outbox, self.signer = Outbox(self.host), Signer()
        self._context = Context(topics, self.signer, self.outbox)
        # by topic and group
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.asleep = 0  # attempts that wait for their time
        self._next_slots: dict[str, int] = {}  # subscriptions with a limited rate -> ms

    async def open(self, records: Records) -> None:
        assert self.host.engine is not None
        self._records, store = records, self.host.engine.store
        key = None if store.folder is None else str(store.folder.with_suffix(".sns-key"))
        self._cipher = MessageCipher(key, store.secret())
        await self.signer.open(records)
        await self.outbox.open(records)
        for lane in self._lanes.values():
            await lane.open()

    async def close(self) -> None:
        for lane in self._lanes.values():
            await lane.close()

    # --- accepting --------------------------------------------------------------------------------

    def accept(
        self, topic: Document, message: Document, subscriptions: Sequence[Document]
    ) -> Transaction[None]:
        """The deliveries of a message to subscriptions. Raises ApiError."""
        encrypted = topic["Attributes"].get("KmsMasterKeyId") and subscriptions
        stored = self._encrypt(message) if encrypted else message
        by_lane: dict[str, list[Document]] = {}
        to_queues = [each["Key"] for each in subscriptions if each["Protocol"] == "sqs"]
        by_bytes = self.limits.topic_fan_out_bytes // len(message["body"])
        size = max(1, min(self.limits.topic_fan_out, by_bytes))
        lane = ORDERED if "sequence" in message else QUEUES
        for at in range(0, len(to_queues), size):
            # the keys of a FIFO topic's records have the order of its messages
            id = f"{message.get('sequence', message['id'])}/{at}"
            document = {"id": id, "to": to_queues[at : at + size], "message": stored}
            by_lane.setdefault(lane, []).append(document)
        for each in subscriptions:
            if each["Protocol"] != "sqs":
                id = f"{message['id']}/{each['Key']}"
                document = {"id": id, "to": [each["Key"]], "message": stored}
                by_lane.setdefault(LANES[each["Protocol"]], []).append(document)
        return together(
            self._lanes[lane].accept(documents) for lane, documents in by_lane.items()
        ).replying(None)

    def accept_one(self, receiver: Document, message: Document) -> Transaction[None]:
        """The delivery to one receiver, which need not be subscribed."""
        return self._lanes[LANES[receiver["Protocol"]]].accept(
            [{"id": message["id"], "receiver": receiver, "message": message}]
        )

    def _encrypt(self, message: Document) -> Document:
        """Raises ApiError."""
        try:
            return self._cipher.encrypt(message)
        except KeyUnavailableError as error:
            raise ApiError("KMSAccessDeniedException", str(error)) from None

    # --- delivering -------------------------------------------------------------------------------

    def _message(self, document: Document) -> Document:
        """Raises DeliveryError."""
        try:
            return self._cipher.decrypt(document["message"])
        except KeyUnavailableError as error:
            log.error("%s cannot be delivered: %s", document["id"], error)
            raise DeliveryError(UNDECRYPTABLE, str(error)) from None

    def _receivers(self, document: Document) -> list[Document]:
        """Those that still exist."""
        if "receiver" in document:
            return [document["receiver"]]
        found = (self.topics.subscriptions.get(key) for key in document["to"])
        return [each for each in found if each is not None]

    async def _deliver(self, document: Document) -> Transaction[Any]:
        """One attempt, to one receiver."""
        message = self._message(document)
        await self._ready_to_sign()
        done: list[Transaction[None]] = []
        for receiver in self._receivers(document):
            await self._wait_for_slot(receiver)
            try:
                response = await SEND[receiver["Protocol"]](self._context, message, receiver)
            except DeliveryError as error:
                status.failed_attempt(self.topics, message, receiver, error, document)
                raise
            if response.transaction is not None:
                done.append(response.transaction)
            done.append(self._note_success(message, receiver, response[:2], document))
        return together(done)

    def _note_success(
        self, message: Message, receiver: Document, response: tuple[int, str], document: Document
    ) -> Transaction[None]:
        """Note a delivery once it is durable."""
        note = partial(status.success, self.topics, message, receiver, *response, document)
        return Transaction(None, {}, note)

    async def _ready_to_sign(self) -> None:
        await self.signer.ready(self.host.clock.wall())

    async def _deliver_to_queues(self, document: Document) -> Transaction[Any]:
        """One attempt to all queues of a record. Each queue that fails gets a record of its own.
        Raises DeliveryError if there is one queue only.
        """
        message, receivers = self._message(document), self._receivers(document)
        sent = await self._send_to_queues(document, message, receivers)
        if sent.answer and len(document["to"]) == 1:
            raise sent.answer[0][1]
        retried = [await self._retry_alone(document, message, *each) for each in sent.answer]
        return together([sent.replying(None), *retried])

    async def _send_to_queues(
        self, document: Document, message: Message, receivers: Sequence[Document]
    ) -> Transaction[list[tuple[Document, DeliveryError]]]:
        """The receivers whose queues did not accept it, and what the other queues store."""
        if "sequence" not in message:
            await self._ready_to_sign()
        faults: list[tuple[Document, DeliveryError]] = []
        outgoing: list[Outgoing] = []
        accepted: list[Document] = []
        site, most_raw = self._context.site(message), self.limits.topic_raw_attributes
        enveloped = notifications.frame(message, "sqs", site, self.signer.sign)
        for receiver in receivers:
            try:
                outgoing.append(queues.outgoing(message, receiver, enveloped, most_raw))
                accepted.append(receiver)
            except DeliveryError as error:
                faults.append((receiver, error))
        sent = await queues.send(self.host, outgoing)
        done = [sent.replying(None)]
        for number, receiver in enumerate(accepted):
            if number in sent.answer:
                faults.append((receiver, sent.answer[number]))
            else:
                done.append(self._note_success(message, receiver, (200, ""), document))
        for receiver, why in faults:
            status.failed_attempt(self.topics, message, receiver, why, document)
        return together(done).replying(faults)

    async def _retry_alone(
        self, document: Document, message: Message, receiver: Document, error: DeliveryError
    ) -> Transaction[None]:
        """Retry a queue that did not get what others got, or give it up."""
        one = {
            **document,
            "id": f"{message['id']}/{receiver['Key']}",
            "to": [receiver["Key"]],
            "attempts": document["attempts"] + 1,
        }
        due = self._again(QUEUES, one) if error.again else ""
        if isinstance(due, int):
            return self._lanes[QUEUES].accept([one], due)
        await self._give_up(one, error, due)
        return Transaction(None, {})

    async def _deliver_in_order(self, document: Document) -> None:
        """To all queues of a FIFO topic. The next message of the group waits until this one has
        arrived or is given up.
        """
        message = self._message(document)
        key = message["topic"], message["group"]
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            pending, tried = self._receivers(document), document
            while pending:
                sent = await self._send_to_queues(tried, message, pending)
                faults = await self._records.commit(sent)
                tried = {**tried, "attempts": tried["attempts"] + 1}
                due = self._again(ORDERED, tried)
                pending = [
                    receiver for receiver, error in faults if error.again and isinstance(due, int)
                ]
                for receiver, error in faults:
                    if receiver not in pending:
                        await self._give_up({**tried, "to": [receiver["Key"]]}, error, "")
                if pending and isinstance(due, int):
                    await self._sleep(due)

    async def _wait_for_slot(self, receiver: Document) -> None:
        """Wait until a receiver with a limited rate may be called."""
        if LANES[receiver["Protocol"]] != "http":
            return
        throttle = self.topics.delivery_policy(receiver)["throttlePolicy"]
        if throttle:
            now, slots = self.host.clock.now(), self._next_slots
            self._next_slots = {key: slot for key, slot in slots.items() if slot > now}
            slot = max(now, self._next_slots.get(receiver["Key"], 0))
            self._next_slots[receiver["Key"]] = slot + 1000 // throttle["maxReceivesPerSecond"]
            await self._sleep(slot)

    async def _sleep(self, ms: int) -> None:
        self.asleep += 1
        try:
            await sleep_until(self.host.clock, ms)
        finally:
            self.asleep -= 1

    # --- retries and dead letters -----------------------------------------------------------------

    def _again(self, lane: str, document: Document) -> int | str:
        policy = _POLICIES.get(lane)
        if policy is None:
            receivers = self._receivers(document)
            policy = (
                self.topics.delivery_policy(receivers[0])["healthyRetryPolicy"]
                if receivers
                else retries.HTTP
            )
        id = f"{document['id']}:{document['attempts']}"
        digest = hashlib.blake2b(id.encode(), digest_size=2).digest()
        seconds = retries.pause(policy, document["attempts"], int.from_bytes(digest) / 0xFFFF)
        if seconds is None:
            return "MaximumRetryAttempts"
        return self.host.clock.now() + round(1000 * seconds)

    async def _give_up(self, document: Document, error: DeliveryError, limit: str) -> None:
        if error.code == UNDECRYPTABLE:
            return  # undecryptable messages are not dead-lettered
        message = self._message(document)
        for receiver in self._receivers(document):
            status.given_up(self.topics, message, receiver, error, document)
            policy = receiver["Attributes"].get("RedrivePolicy")
            if policy and message.get("kind", NOTIFICATION) == NOTIFICATION:
                arn = str(loads(policy)["deadLetterTargetArn"])
                await self._to_dead_letters(arn, message, receiver, error)

    async def _to_dead_letters(
        self, arn: str, message: Message, receiver: Document, fault: DeliveryError
    ) -> None:
        """The last attempt: if the queue does not accept it, that is logged."""
        if receiver["Attributes"].get("RawMessageDelivery") == "true":
            body = notifications.text_for(message, receiver["Protocol"])
        else:
            await self._ready_to_sign()
            body = self._context.envelope(message, receiver)
        about = {
            "RequestID": message["id"],
            "ErrorCode": fault.code,
            "ErrorMessage": fault.message[:1024],
        }
        id = f"{message['id']}/{receiver['Key']}"
        try:
            await send_to_queue(self.host, arn, body, about, message.get("group"), id)
        except (ApiError, ServiceError) as error:
            log.error(
                "%s: the dead-letter queue %s did not take a message: %s", message["id"], arn, error
            )
