"""AWS IoT: topic rules, and the messages that reach them.

rules.py             the operations on rules, and which of them a topic reaches
rule_actions.py      what a rule delivers to
publishing.py        Publish -> rules -> deliveries
broker.py            the connection to an MQTT broker; broker_session.py: its subscriptions
sql.py               the language of rules; sql_functions.py, sql_operators.py: its tables
topic_filters.py     topics and filters of MQTT
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stepwell.engine.delegation import delegated
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.iot.broker_session import BrokerSession
from stepwell.integrations.services.iot.publishing import Publisher
from stepwell.integrations.services.iot.rules import TopicRules

if TYPE_CHECKING:
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.iot.broker import Address


class Iot:
    """The operations of botocore's "iot" on topic rules."""

    def __init__(self, host: Host) -> None:
        self._host, self._session = host, BrokerSession(host)
        self.rules = TopicRules(host, self._session)
        self.publisher = Publisher(host, self.rules, self._session)

    async def open(self) -> None:
        await self.rules.open()
        await self.publisher.open()

    async def connect(self, address: Address) -> None:
        """Receive messages from a broker, and publish there."""
        await self._session.connect(address, self.rules.filters(), self.publisher.receive)

    async def close(self) -> None:
        await self._session.close()
        await self.publisher.close()

    create_topic_rule = delegated("rules", TopicRules.create_topic_rule)
    replace_topic_rule = delegated("rules", TopicRules.replace_topic_rule)
    get_topic_rule = delegated("rules", TopicRules.get_topic_rule)
    list_topic_rules = delegated("rules", TopicRules.list_topic_rules)
    delete_topic_rule = delegated("rules", TopicRules.delete_topic_rule)
    enable_topic_rule = delegated("rules", TopicRules.enable_topic_rule)
    disable_topic_rule = delegated("rules", TopicRules.disable_topic_rule)
    list_tags_for_resource = delegated("rules", TopicRules.list_tags_for_resource)
    tag_resource = delegated("rules", TopicRules.tag_resource)
    untag_resource = delegated("rules", TopicRules.untag_resource)

    publish = delegated("publisher", Publisher.publish)

    async def describe_endpoint(self, endpoint_type: str = "iot:Data-ATS") -> Answer:
        """The address of "iot-data": this server, by the name that the client reached it by."""
        return {"endpointAddress": urlsplit(REACHED.get() or self._host.url).netloc}


class IotData:
    """Publish of botocore's "iot-data"."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(
        self, topic: str, qos: int = 0, retain: bool = False, payload: bytes = b"", **_: Any
    ) -> Answer:
        iot: Iot = await self._host.services.get("iot")
        await iot.publish(topic, payload, qos, retain)
        return {}
