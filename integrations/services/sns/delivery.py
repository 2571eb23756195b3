"""The way of a message to its subscribers.

    accepted --+--> queues:  one record for up to a thousand queues; those that fail get one each
               +--> ordered: the same of a FIFO topic, one after the other within a group
               +--> functions, http, people: one record each

Each lane is a Deliveries of its own, so that an endpoint which does not answer holds up its own
kind only. What cannot be delivered goes to the subscription's dead-letter queue.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from stepwell.asl.json_text import loads
from stepwell.engine.clock import sleep_until
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.aws.calls import Fault
from stepwell.integrations.services.common.deliveries import Deliveries, Undelivered
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.common.targets import send_to_queue
from stepwell.integrations.services.sns import delivery_status, notifications, queues, retries
from stepwell.integrations.services.sns.attributes import effective
from stepwell.integrations.services.sns.notifications import NOTIFICATION, Message, Site
from stepwell.integrations.services.sns.protocols import CARRIERS, Outbox
from stepwell.integrations.services.sns.signing import Seal, Sealed, Signer

if TYPE_CHECKING:
    from stepwell.engine.runtime.records import Records
    from stepwell.integrations.services.sns.store import TopicStore

log: Final = logging.getLogger("stepwell.sns")

QUEUES: Final = "queues"
ORDERED: Final = "ordered"
SEALED: Final = "KMSAccessDenied"
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
        self.lanes = {
            lane: Deliveries(
                self.host,
                "topic_deliveries",
                f"sns/delivery/{lane}/",
                deliver,
                self._give_up,
                partial(self._again, lane),
            )
            for lane, deliver in {
                QUEUES: self._queues,
                ORDERED: self._in_order,
                "functions": self._one,
                "http": self._one,
                "people": self._one,
            }.items()
        }
        self.outbox = Outbox(self.host)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = (
            WeakValueDictionary()
        )  # of topics and groups
        self._asleep = 0
        self._slots: dict[str, int] = {}  # subscriptions with a limited rate -> ms of the next call

    async def open(self, records: Records) -> None:
        assert self.host.engine is not None
        self._records, path = records, getattr(self.host.engine.store, "path", ":memory:")
        self.signer, self.seal = (
            Signer(records),
            Seal(None if path == ":memory:" else f"{path}.sns-key"),
        )
        await self.signer.open()
        await self.outbox.open(records)
        for lane in self.lanes.values():
            await lane.open()

    async def close(self) -> None:
        for lane in self.lanes.values():
            await lane.close()

    def site(self, message: Message) -> Site:
        """Where links lead to: the server by the name under which the publisher has reached it."""
        url = message.get("url") or self.host.url
        return Site(url, url + self.signer.path)

    def running(self) -> int:
        """Attempts that are being made, without those that wait for their time; for whoever
        watches.
        """
        return int(sum(lane.status()["running"] for lane in self.lanes.values())) - self._asleep

    # --- in ---------------------------------------------------------------------------------------

    def accept(
        self, topic: Document, message: Document, subscriptions: Sequence[Document]
    ) -> Transaction[None]:
        """A message for its subscribers."""
        stored = (
            self._sealed(message)
            if topic["Attributes"].get("KmsMasterKeyId") and subscriptions
            else message
        )
        by_lane: dict[str, list[Document]] = {}
        to_queues = [each["Key"] for each in subscriptions if each["Protocol"] == "sqs"]
        size = max(
            1,
            min(self.limits.topic_fan_out, self.limits.topic_fan_out_bytes // len(message["body"])),
        )
        for at in range(0, len(to_queues), size):
            # the records of a FIFO topic lie in the order of its messages
            id, lane = (
                f"{message.get('sequence', message['id'])}/{at}",
                ORDERED if "sequence" in message else QUEUES,
            )
            by_lane.setdefault(lane, []).append(
                {"id": id, "to": to_queues[at : at + size], "message": stored}
            )
        for each in subscriptions:
            if each["Protocol"] != "sqs":
                document = {
                    "id": f"{message['id']}/{each['Key']}",
                    "to": [each["Key"]],
                    "message": stored,
                }
                by_lane.setdefault(LANES[each["Protocol"]], []).append(document)
        return together(
            self.lanes[lane].accept(documents) for lane, documents in by_lane.items()
        ).replying(None)

    def _sealed(self, message: Document) -> Document:
        """Raises ApiError."""
        try:
            return self.seal.close(message)
        except Sealed as fault:
            raise ApiError("KMSAccessDeniedException", str(fault)) from None

    def _opened(self, document: Document) -> Document:
        """The message in it. Raises Undelivered."""
        try:
            return self.seal.open(document["message"])
        except Sealed as fault:
            log.error("%s cannot be delivered: %s", document["id"], fault)
            raise Undelivered(SEALED, str(fault)) from None

    def letter(self, subscription: Document, message: Document) -> Transaction[None]:
        """The same for one receiver, who need not be subscribed."""
        return self.lanes[LANES[subscription["Protocol"]]].accept(
            [{"id": message["id"], "receiver": subscription, "message": message}]
        )

    # --- out --------------------------------------------------------------------------------------

    def _receivers(self, document: Document) -> list[Document]:
        """Those who are still there."""
        if "receiver" in document:
            return [document["receiver"]]
        found = (self.topics.subscriptions.get(key) for key in document["to"])
        return [each for each in found if each is not None]

    async def _signing(self) -> None:
        await self.signer.ready(self.host.clock.wall())

    async def _one(self, document: Document) -> Transaction[Any]:
        """One attempt, to one receiver."""
        message = self._opened(document)
        await self._signing()
        done: list[Transaction[None]] = []
        for receiver in self._receivers(document):
            await self._turn(receiver)
            try:
                carried = await CARRIERS[receiver["Protocol"]](self, message, receiver)
            except Undelivered as fault:
                delivery_status.attempt(self.topics, message, receiver, fault, document)
                raise
            told = partial(
                delivery_status.success,
                self.topics,
                message,
                receiver,
                carried.status,
                carried.said,
                document,
            )
            done += [carried.transaction] if carried.transaction else []
            done.append(Transaction(None, {}, told))
        return together(done)

    async def _queues(self, document: Document) -> Transaction[Any]:
        """One attempt to all of a message's queues. Those that fail are on their own from here.
        Raises Undelivered if it was one only.
        """
        message, receivers = self._opened(document), self._receivers(document)
        sent = await self._send(document, message, receivers)
        if sent.answer and len(document["to"]) == 1:
            raise sent.answer[0][1]
        apart = [await self._apart(document, message, *each) for each in sent.answer]
        return together([sent.replying(None), *apart])

    async def _send(
        self, document: Document, message: Message, receivers: Sequence[Document]
    ) -> Transaction[list[tuple[Document, Undelivered]]]:
        """The receivers that did not get it, and what the others' queues store."""
        if "sequence" not in message:
            await self._signing()
        faults: list[tuple[Document, Undelivered]] = []
        entries: list[queues.Entry] = []
        served: list[Document] = []
        enveloped = notifications.frame(message, "sqs", self.site(message), self.signer.sign)
        for receiver in receivers:
            try:
                entries.append(
                    queues.entry(message, receiver, enveloped, self.limits.topic_raw_attributes)
                )
                served.append(receiver)
            except Undelivered as fault:
                faults.append((receiver, fault))
        sent = await queues.send(self.host, entries)
        done = [sent.replying(None)]
        for number, receiver in enumerate(served):
            if number in sent.answer:
                faults.append((receiver, sent.answer[number]))
            else:
                told = partial(
                    delivery_status.success, self.topics, message, receiver, 200, "", document
                )
                done.append(Transaction(None, {}, told))
        for receiver, why in faults:
            delivery_status.attempt(self.topics, message, receiver, why, document)
        return together(done).replying(faults)

    async def _apart(
        self, document: Document, message: Message, receiver: Document, fault: Undelivered
    ) -> Transaction[None]:
        """A queue that did not get what others got is tried again alone, or given up."""
        one = {
            **document,
            "id": f"{message['id']}/{receiver['Key']}",
            "to": [receiver["Key"]],
            "attempts": document["attempts"] + 1,
        }
        due = self._again(QUEUES, one) if fault.again else ""
        if isinstance(due, int):
            return self.lanes[QUEUES].accept([one], due)
        await self._give_up(one, fault, due)
        return Transaction(None, {})

    async def _in_order(self, document: Document) -> None:
        """To all queues of a FIFO topic. The next message of the group waits until this one has
        arrived or is given up.
        """
        message = self._opened(document)
        key = message["topic"], message["group"]
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            waiting, tried = self._receivers(document), document
            while waiting:
                faults = await self._records.commit(await self._send(tried, message, waiting))
                tried = {**tried, "attempts": tried["attempts"] + 1}
                due = self._again(ORDERED, tried)
                waiting = [
                    receiver for receiver, fault in faults if fault.again and isinstance(due, int)
                ]
                for receiver, fault in faults:
                    if receiver not in waiting:
                        await self._give_up({**tried, "to": [receiver["Key"]]}, fault, "")
                if waiting and isinstance(due, int):
                    await self._sleep(due)

    async def _turn(self, receiver: Document) -> None:
        """Wait until a receiver with a limited rate may be called."""
        throttle = (
            self._policy(receiver)["throttlePolicy"]
            if LANES[receiver["Protocol"]] == "http"
            else None
        )
        if throttle:
            now = self.host.clock.now()
            self._slots = {
                key: slot for key, slot in self._slots.items() if slot > now
            }  # those of the last second
            slot = max(now, self._slots.get(receiver["Key"], 0))
            self._slots[receiver["Key"]] = slot + 1000 // throttle["maxReceivesPerSecond"]
            await self._sleep(slot)

    async def _sleep(self, ms: int) -> None:
        self._asleep += 1
        try:
            await sleep_until(self.host.clock, ms)
        finally:
            self._asleep -= 1

    # --- again, or never --------------------------------------------------------------------------

    def _policy(self, receiver: Document) -> dict[str, Any]:
        """The delivery policy for HTTP."""
        topic = self.topics.topics.get(receiver["Key"].partition(":")[0]) or {"Attributes": {}}
        return effective(topic["Attributes"], receiver["Attributes"])

    def content_type(self, receiver: Document) -> str:
        return str(self._policy(receiver)["requestPolicy"]["headerContentType"])

    def _again(self, lane: str, document: Document) -> int | str:
        policy = _POLICIES.get(lane)
        if policy is None:
            receivers = self._receivers(document)
            policy = self._policy(receivers[0])["healthyRetryPolicy"] if receivers else retries.HTTP
        digest = hashlib.blake2b(
            f"{document['id']}:{document['attempts']}".encode(), digest_size=2
        ).digest()
        seconds = retries.pause(policy, document["attempts"], int.from_bytes(digest) / 0xFFFF)
        return (
            "MaximumRetryAttempts"
            if seconds is None
            else self.host.clock.now() + round(1000 * seconds)
        )

    async def _give_up(self, document: Document, fault: Undelivered, limit: str) -> None:
        if fault.code == SEALED:
            return  # and what nobody can read is not for the dead letters either
        message = self._opened(document)
        for receiver in self._receivers(document):
            delivery_status.failure(self.topics, message, receiver, fault, document)
            policy = receiver["Attributes"].get("RedrivePolicy")
            if policy and message.get("kind", NOTIFICATION) == NOTIFICATION:
                await self._to_dead_letters(
                    str(loads(policy)["deadLetterTargetArn"]), message, receiver, fault
                )

    async def _to_dead_letters(
        self, arn: str, message: Message, receiver: Document, fault: Undelivered
    ) -> None:
        """The last that can be done: if the queue does not take it either, that is logged."""
        raw = receiver["Attributes"].get("RawMessageDelivery") == "true"
        protocol: str = receiver["Protocol"]
        if raw:
            body = notifications.text_for(message, protocol)
        else:
            await self._signing()
            body = notifications.envelope(
                message, protocol, receiver["Arn"], self.site(message), self.signer.sign
            )
        about = {
            "RequestID": message["id"],
            "ErrorCode": fault.code,
            "ErrorMessage": fault.message[:1024],
        }
        try:
            await send_to_queue(
                self.host,
                arn,
                body,
                about,
                message.get("group"),
                f"{message['id']}/{receiver['Key']}",
            )
        except (ApiError, Fault) as error:
            log.error(
                "%s: the dead-letter queue %s did not take a message: %s", message["id"], arn, error
            )
