"""Messages on their way to the actions of topic rules: Publish -> rules -> deliveries.

    iot/delivery/DUE/ID (see common/deliveries.py)

Messages come from Publish of "iot-data", and from the broker if there is one. With a broker,
Publish sends the message there, and it comes back from there; without one, the rules get it at
once. The deliveries of a message are durable when Publish returns, or when it is acknowledged.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import dumps
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.tasks import Transaction
from stepwell.integrations.services.common import targets
from stepwell.integrations.services.common.deliveries import Deliveries, DeliveryError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.iot import messages, topic_filters
from stepwell.integrations.services.iot.broker_session import BrokerSession
from stepwell.integrations.services.iot.message import Message
from stepwell.integrations.services.iot.rule_actions import ACTIONS
from stepwell.integrations.services.iot.rules import TopicRules

if TYPE_CHECKING:
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.iot.broker import Received

# Basic Ingest: $aws/rules/NAME/TOPIC reaches the rule NAME only, whatever its filter, and no broker
_INGEST: Final = re.compile(r"\$aws/rules/([A-Za-z0-9_]+)(?:/(.*))?\Z", re.DOTALL)


class Publisher:
    def __init__(self, host: Host, rules: TopicRules, session: BrokerSession) -> None:
        self._host, self._rules, self._session = host, rules, session
        self._new_id = uuids()
        self.deliveries = Deliveries(
            host, "topic_rule_deliveries", "iot/delivery/", self._deliver, self._give_up
        )

    async def open(self) -> None:
        self._records = self._host.records
        await self.deliveries.open()

    async def close(self) -> None:
        await self.deliveries.close()

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        """Raises ApiError."""
        await self._write(await self._publish(topic, payload, qos, retain))

    async def receive(self, received: Sequence[Received]) -> None:
        """Messages of the broker."""
        await self._write(
            self._accept([self._message(each.topic, each.payload) for each in received])
        )

    async def _publish(
        self, topic: str, payload: bytes, qos: int, retain: bool = False, hops: int = 0
    ) -> Transaction[None] | None:
        """The writes of its deliveries; None if the broker has received it, or no rule matches.
        hops: how often it was republished. Raises ApiError.
        """
        limits = self._host.limits
        ingest = _INGEST.match(topic)
        rule, rule_topic = (ingest[1], ingest[2] or "") if ingest else (None, topic)
        if not (ingest and not rule_topic) and not topic_filters.is_topic(rule_topic, limits):
            raise ApiError("InvalidRequestException", messages.MQTT_TOPIC.format(topic=topic))
        if len(payload) > limits.mqtt_payload_bytes:
            raise ApiError(
                "InvalidRequestException",
                messages.MQTT_PAYLOAD.format(limit=limits.mqtt_payload_bytes),
            )
        if self._session.broker is not None and rule is None:
            await self._session.broker.publish(topic, payload, qos, retain)
            return None
        return self._accept([self._message(rule_topic, payload)], rule, hops)

    def _message(self, topic: str, payload: bytes) -> Message:
        id, now = self._new_id(), self._host.clock.now()
        return Message(
            topic, payload, id, now, self._host.home.account, random=int(id[:8], 16) / (1 << 32)
        )

    async def _write(self, accepted: Transaction[None] | None) -> None:
        if accepted is not None:
            await self._records.commit(accepted)

    def _accept(
        self, published: Sequence[Message], rule: str | None = None, hops: int = 0
    ) -> Transaction[None] | None:
        """The writes of the deliveries of messages; None if there are none. rule: the only one that
        gets them, whatever its filter.
        """
        documents = []
        for message in published:
            if rule is None:
                names = self._rules.matching(message.topic)
            else:
                names = [rule] if self._rules.is_enabled(rule) else []
            for name in names:
                documents += self._documents(name, message, hops)
        return self.deliveries.accept(documents) if documents else None

    def _documents(self, name: str, message: Message, hops: int) -> list[Document]:
        """A delivery for each action of a rule; none if its statement rejects the message."""
        rule = self._rules.compiled(name)
        payload = rule.statement.apply(message)
        if payload is None:
            return []
        shared: Document = {"rule": name, "topic": message.topic, "hops": hops, "trace": message.id}
        if rule.error_action is not None:
            shared |= {
                "original": base64.b64encode(message.payload).decode(),
                "error": rule.error_action.resolve(self._host, message),
            }
        documents: list[Document] = []
        for number, action in enumerate(rule.actions):
            encoded = bool(action.settings.get("useBase64"))
            text = base64.b64encode(payload).decode() if encoded else _as_text(payload)
            documents.append(
                {
                    "id": f"{message.id}/{name}/{number}",
                    **shared,
                    "action": action.resolve(self._host, message),
                    "payload": text,
                }
            )
        return documents

    async def _deliver(self, document: Document) -> Transaction[Any] | None:
        payload, target, hops = document["payload"], document["action"]["target"], document["hops"]
        if payload is None:
            raise DeliveryError("SDK_CLIENT_ERROR", messages.MQTT_NO_TEXT, False)
        if "republish" not in target:
            return await targets.deliver(self._host, target, payload, document["id"])
        limit = self._host.limits.republish_hops
        if hops >= limit:
            raise DeliveryError(
                "SDK_CLIENT_ERROR", messages.REPUBLISH_HOPS.format(limit=limit), False
            )
        topic, qos = target["republish"]["topic"], target["republish"]["qos"]
        try:
            return await self._publish(topic, payload.encode(), qos, hops=hops + 1)
        except ApiError as error:
            raise DeliveryError(
                "SDK_CLIENT_ERROR", error.message, error.code == "ServiceUnavailable"
            ) from None

    async def _give_up(self, document: Document, error: DeliveryError, limit: str) -> None:
        """Deliver the failure to the rule's error action, if it has one."""
        action = document.get("error")
        if action is None:
            return
        failed = document["action"]
        failure = {
            "failedAction": ACTIONS[failed["kind"]].title,
            "failedResource": failed["target"]["Arn"],
            "errorMessage": error.message,
        }
        payload = {
            "ruleName": document["rule"],
            "topic": document["topic"],
            "cloudwatchTraceId": document["trace"],
            "clientId": "N/A",
            "base64OriginalPayload": document["original"],
            "failures": [failure],
        }
        shared = {name: document[name] for name in ("rule", "topic", "hops", "trace")}
        delivery = {
            "id": f"{document['id']}/error",
            **shared,
            "action": action,
            "payload": dumps(payload),
        }
        await self._write(self.deliveries.accept([delivery]))


def _as_text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
