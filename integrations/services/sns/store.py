"""What all of SNS shares: topics and subscriptions, in memory and in the records; names, pages and
errors.

sns/topic/NAME
sns/subscription/NAME:UUID
sns/ended/TOKEN             a subscription that the link in its last message can renew
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.sns import messages
from stepwell.integrations.services.sns.attributes import LARGE, effective
from stepwell.integrations.services.sns.filters import ATTRIBUTES, Filters, compile_filter

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


ARN_PARTS: Final = 6


def invalid(text: str) -> ApiError:
    return ApiError("InvalidParameterException", messages.SNS_INVALID.format(text=text))


class TopicStore:
    """The topics and subscriptions, shared by the operations on them."""

    def __init__(self, host: Host) -> None:
        self.host, self.limits, self.new_id = host, host.limits, uuids()
        self.topics, self.subscriptions, self.ended = (
            Table("sns/topic/"),
            Table("sns/subscription/"),
            Table("sns/ended/"),
        )
        self.lock = asyncio.Lock()  # held while a document is read and written
        # name of a topic -> keys of its subscriptions, the oldest first
        self.by_topic: dict[str, dict[str, None]] = {}
        self._filters: dict[str, Filters] = {}  # of topics, built for the first message

    async def open(self) -> None:
        self.records = self.host.records
        for table in (self.topics, self.subscriptions, self.ended):
            await table.open(self.records)
        for key in sorted(
            self.subscriptions, key=lambda key: (self.subscriptions[key]["Since"], key)
        ):
            self.by_topic.setdefault(key.partition(":")[0], {})[key] = None

    # --- names ------------------------------------------------------------------------------------

    def arn(self, name: str) -> str:
        return self.host.home.service_arn("sns", name)

    def now(self) -> int:
        return self.host.clock.now()

    def local_name(self, arn: str, member: str) -> str:
        """The part of an ARN after the account; "" for another account. Raises ApiError."""
        parts = arn.split(":", ARN_PARTS - 1)
        if len(parts) < ARN_PARTS:
            raise invalid(messages.SNS_ARN.format(member=member, count=len(parts)))
        if arn != self.arn(parts[-1]) and (parts[0], parts[2], parts[3]) != (
            "arn",
            "sns",
            self.host.home.region,
        ):
            raise invalid(member)
        return parts[-1] if arn == self.arn(parts[-1]) else ""

    def topic(self, arn: str, member: str = "TopicArn") -> Document:
        """Raises ApiError."""
        topic = self.topics.get(self.local_name(arn, member))
        if topic is None:
            raise ApiError("NotFoundException", messages.SNS_NO_TOPIC)
        return topic

    def policy_of(self, arn: str) -> str | None:
        """The policy of a topic, JSON; "": it has none, None: there is no such topic."""
        topic = (
            self.topics.get(arn.rpartition(":")[2])
            if arn == self.arn(arn.rpartition(":")[2])
            else None
        )
        return None if topic is None else topic["Attributes"].get("Policy", "")

    def subscription(self, arn: str) -> Document:
        """Raises ApiError."""
        subscription = self.subscriptions.get(self.local_name(arn, "SubscriptionArn"))
        if subscription is None:
            raise ApiError("NotFoundException", messages.SNS_NO_SUBSCRIPTION)
        return subscription

    def of_topic(self, name: str) -> list[Document]:
        """The subscriptions of a topic, the oldest first."""
        return [self.subscriptions[key] for key in self.by_topic.get(name, ())]

    def check_large(self, protocols: Sequence[str]) -> None:
        """Whether such subscriptions may belong to a topic with messages over the usual size.
        Raises ApiError.
        """
        most = self.limits.topic_large_subscriptions
        if len(protocols) > most or any(each not in LARGE for each in protocols):
            raise invalid(
                messages.SNS_LARGE.format(usual=self.limits.topic_message_bytes, most=most)
            )

    def page(
        self,
        question: Sequence[object],
        items: Sequence[Any],
        next_token: str | None,
        member: str = "NextToken",
    ) -> tuple[Sequence[Any], Answer]:
        """(items of this page, {member} if there are more). Raises ApiError."""
        size = self.limits.topic_page
        try:
            return self.host.pages.page(question, items, size, next_token or None, member)
        except ApiError:
            raise invalid(member) from None

    def delivery_policy(self, receiver: Document) -> dict[str, Any]:
        """The delivery policy for HTTP of a subscription."""
        topic = self.topics.get(receiver["Key"].partition(":")[0]) or {"Attributes": {}}
        return effective(topic["Attributes"], receiver["Attributes"])

    def stamp(self, id: str) -> Document:
        """What every message has: its id, its time, and the base of its links."""
        return {"id": id, "at": self.now(), "url": REACHED.get()}

    # --- filters ----------------------------------------------------------------------------------

    def filters(self, name: str) -> Filters:
        """The filters of a topic's confirmed subscriptions."""
        filters = self._filters.get(name)
        if filters is None:
            confirmed = [each for each in self.of_topic(name) if not each.get("Token")]
            filters = self._filters[name] = Filters(
                (each["Key"], *self._filter(each["Attributes"])) for each in confirmed
            )
        return filters

    def _filter(self, attributes: Mapping[str, str]) -> tuple[Any, str]:
        scope = attributes.get("FilterPolicyScope", ATTRIBUTES)
        return compile_filter(attributes.get("FilterPolicy", ""), scope, self.limits), scope

    def drop_filters(self, name: str) -> None:
        """After a change of a topic's subscriptions: build its filters anew."""
        self._filters.pop(name, None)
