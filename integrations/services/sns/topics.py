"""The operations on topics, their attributes, tags and permissions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.asl.json_text import dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import (
    Answer,
    allow_statement,
    as_tags,
    tag_list,
)
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sns import attributes as table
from stepwell.integrations.services.sns import messages
from stepwell.integrations.services.sns.store import TopicStore, invalid

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")
_ACTIONS: Final = (
    "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic",
    "Subscribe", "ListSubscriptionsByTopic",
    "Publish", "*",
)  # fmt: skip


def is_fifo(topic: Mapping[str, Any]) -> bool:
    return bool(topic["Attributes"].get("FifoTopic") == "true")


class Topics:
    def __init__(self, store: TopicStore) -> None:
        self._store = store

    async def create_topic(
        self,
        name: str,
        attributes: Mapping[str, str] | None = None,
        tags: Sequence[Mapping[str, str]] = (),
        data_protection_policy: str | None = None,
    ) -> Answer:
        """Idempotent if a topic of that name has these attributes and tags."""
        try:
            checked = table.checked(table.TOPIC, attributes or {}, self._store.limits)
        except table.AttributeValueError as error:
            raise invalid(messages.SNS_ATTRIBUTES.format(text=error)) from None
        fifo = checked.get("FifoTopic") == "true"
        _check_name(name, fifo)
        only = next((each for each in table.FIFO_ONLY if each in checked and not fifo), None)
        if only is not None:
            raise invalid(
                messages.SNS_ATTRIBUTES.format(text=messages.SNS_NOT_FIFO.format(name=only))
            )
        tagged = self._tags(tags, {})
        async with self._store.lock:
            existing = self._store.topics.get(name)
            if existing is not None:
                if any(
                    existing["Attributes"].get(each) != value for each, value in checked.items()
                ):
                    raise invalid(messages.SNS_OTHER_ATTRIBUTES)
                if tagged and tagged != existing["Tags"]:
                    raise invalid(messages.SNS_OTHER_TAGS)
                return {"TopicArn": existing["Arn"]}
            if len(self._store.topics) >= self._store.limits.topics:
                raise ApiError(
                    "TopicLimitExceededException",
                    messages.SNS_TOPICS.format(limit=self._store.limits.topics),
                )
            topic: Document = {
                "Name": name,
                "Arn": self._store.arn(name),
                "Attributes": checked,
                "Tags": tagged,
                "Since": self._store.now(),
                "Deleted": 0,
            }
            await self._store.topics.put(
                name, topic | {"DataProtectionPolicy": data_protection_policy}
            )
        return {"TopicArn": topic["Arn"]}

    async def delete_topic(self, topic_arn: str) -> Answer:
        """With its subscriptions. A missing topic is no error."""
        async with self._store.lock:
            name = self._store.local_name(topic_arn, "TopicArn")
            if name in self._store.topics:
                keys = list(self._store.by_topic.get(name, ()))
                await self._store.topics.delete(
                    name, dict.fromkeys(f"sns/subscription/{key}" for key in keys)
                )
                for key in keys:
                    self._store.subscriptions.set_in_memory(key, None)
                self._store.by_topic.pop(name, None)
                self._store.drop_filters(name)
        return {}

    async def list_topics(self, next_token: str | None = None) -> Answer:
        items, more = self._store.page(
            ["ListTopics"],
            [{"TopicArn": each["Arn"]} for each in self._store.topics.sorted()],
            next_token,
        )
        return {"Topics": items, **more}

    async def get_topic_attributes(self, topic_arn: str) -> Answer:
        topic = self._store.topic(topic_arn)
        attributes, owned = topic["Attributes"], self._store.of_topic(topic["Name"])
        pending = sum(bool(each.get("Token")) for each in owned)
        shown = {
            "TopicArn": topic["Arn"],
            "Owner": self._store.host.home.account,
            "DisplayName": "",
            "Policy": table.default_policy(topic["Arn"], self._store.host.home.account),
            "EffectiveDeliveryPolicy": dumps({"http": table.effective_of_topic(attributes)}),
            "SubscriptionsConfirmed": str(len(owned) - pending),
            "SubscriptionsPending": str(pending),
            "SubscriptionsDeleted": str(topic["Deleted"]),
        }
        if is_fifo(topic):
            shown |= {"ContentBasedDeduplication": "false"}
        return {"Attributes": {**shown, **attributes}}

    async def set_topic_attributes(
        self, topic_arn: str, attribute_name: str, attribute_value: str = ""
    ) -> Answer:
        async with self._store.lock:
            topic = self._store.topic(topic_arn)
            if attribute_name not in table.TOPIC or attribute_name in table.CREATE_ONLY:
                raise invalid(messages.SNS_ATTRIBUTE_NAME)
            if attribute_name in table.FIFO_ONLY and not is_fifo(topic):
                raise invalid(messages.SNS_NOT_FIFO.format(name=attribute_name))
            try:
                checked = table.checked(
                    table.TOPIC, {attribute_name: attribute_value}, self._store.limits
                )
            except table.AttributeValueError as error:
                raise invalid(str(error)) from None
            if table.is_large(checked, self._store.limits):
                self._store.check_large(
                    [each["Protocol"] for each in self._store.of_topic(topic["Name"])]
                )
            await self._put_attributes(
                topic,
                {
                    name: value
                    for name, value in topic["Attributes"].items()
                    if name != attribute_name
                }
                | checked,
            )
        return {}

    async def _put_attributes(self, topic: Document, attributes: Mapping[str, str]) -> None:
        await self._store.topics.put(topic["Name"], topic | {"Attributes": dict(attributes)})

    # --- permissions ------------------------------------------------------------------------------

    async def add_permission(
        self, topic_arn: str, label: str, aws_account_id: Sequence[str], action_name: Sequence[str]
    ) -> Answer:
        async with self._store.lock:
            topic, statements = self._statements(topic_arn)
            if any(each.get("Sid") == label for each in statements["Statement"]):
                raise invalid(messages.SNS_LABEL)
            if not action_name or any(each not in _ACTIONS for each in action_name):
                raise invalid(messages.SNS_ACTION)
            wrong = next(
                (each for each in aws_account_id if not re.fullmatch(r"\d{12}", each)), None
            )
            if wrong is not None:
                raise invalid(messages.SNS_PRINCIPAL.format(account=wrong))
            actions = [f"SNS:{each}" for each in action_name]
            home = self._store.host.home
            statement = allow_statement(home, label, aws_account_id, actions, topic["Arn"])
            await self._put_statements(topic, statements, [*statements["Statement"], statement])
        return {}

    async def remove_permission(self, topic_arn: str, label: str) -> Answer:
        async with self._store.lock:
            topic, statements = self._statements(topic_arn)
            left = [each for each in statements["Statement"] if each.get("Sid") != label]
            if len(left) == len(statements["Statement"]):
                raise ApiError("NotFoundException", messages.SNS_NO_LABEL)
            await self._put_statements(topic, statements, left)
        return {}

    def _statements(self, topic_arn: str) -> tuple[Document, Any]:
        topic = self._store.topic(topic_arn)
        policy: Any = loads(
            topic["Attributes"].get("Policy")
            or table.default_policy(topic["Arn"], self._store.host.home.account)
        )
        statements = policy.get("Statement", [])
        return topic, {
            **policy,
            "Statement": statements if isinstance(statements, list) else [statements],
        }

    async def _put_statements(
        self, topic: Document, policy: Mapping[str, Any], statements: list[Any]
    ) -> None:
        await self._put_attributes(
            topic, topic["Attributes"] | {"Policy": dumps({**policy, "Statement": statements})}
        )

    async def get_data_protection_policy(self, resource_arn: str) -> Answer:
        policy = self._resource(resource_arn).get("DataProtectionPolicy")
        return {"DataProtectionPolicy": policy} if policy else {}

    async def put_data_protection_policy(
        self, resource_arn: str, data_protection_policy: str
    ) -> Answer:
        """Stored and shown; nothing is audited or masked."""
        async with self._store.lock:
            topic = self._resource(resource_arn)
            await self._store.topics.put(
                topic["Name"], topic | {"DataProtectionPolicy": data_protection_policy}
            )
        return {}

    # --- tags -------------------------------------------------------------------------------------

    def _resource(self, arn: str) -> Document:
        topic = self._store.topics.get(self._store.local_name(arn, "ResourceArn"))
        if topic is None:
            raise ApiError("ResourceNotFoundException", messages.SNS_NO_RESOURCE)
        return topic

    def _tags(
        self, tags: Sequence[Mapping[str, str]], tags_before: Mapping[str, str]
    ) -> dict[str, str]:
        """The tags of a resource after some were added. Raises ApiError."""
        added = as_tags(tags)
        if len(added) < len(tags):
            raise invalid(messages.SNS_SAME_TAGS)
        if len({**tags_before, **added}) > self._store.limits.tags:
            raise ApiError("TagLimitExceededException", messages.SNS_TAGS)
        return {**tags_before, **added}

    async def list_tags_for_resource(self, resource_arn: str) -> Answer:
        return {"Tags": tag_list(self._resource(resource_arn)["Tags"])}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._store.lock:
            topic = self._resource(resource_arn)
            await self._store.topics.put(
                topic["Name"], topic | {"Tags": self._tags(tags, topic["Tags"])}
            )
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._store.lock:
            topic = self._resource(resource_arn)
            left = {key: value for key, value in topic["Tags"].items() if key not in tag_keys}
            await self._store.topics.put(topic["Name"], topic | {"Tags": left})
        return {}


def _check_name(name: str, fifo: bool) -> None:
    if fifo and not (
        name.endswith(".fifo") and len(name) <= 256 and _NAME.match(name.removesuffix(".fifo"))
    ):
        raise invalid(messages.SNS_FIFO_NAME)
    if not fifo and not _NAME.match(name):
        raise invalid(messages.SNS_TOPIC_NAME)
