"""The operations on subscriptions. Endpoints of HTTP and mail must confirm theirs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl.json_text import dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.aws.calls import ANONYMOUS
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sns import attributes as table
from stepwell.integrations.services.sns import messages, notifications
from stepwell.integrations.services.sns.delivery.sender import Sender
from stepwell.integrations.services.sns.filters import ATTRIBUTES
from stepwell.integrations.services.sns.store import TopicStore, invalid
from stepwell.integrations.services.sns.topics import is_fifo

PENDING: Final = "PendingConfirmation"
CONFIRMED: Final = ("http", "https", "email", "email-json")  # protocols with confirmation
RAW: Final = ("sqs", "http", "https")
_DELETED: Final = "Deleted"

# protocol -> syntax of its endpoints
ENDPOINTS: Final[Mapping[str, re.Pattern[str]]] = {
    "http": re.compile(r"http://[^\s/?#]+\S*\Z"),
    "https": re.compile(r"https://[^\s/?#]+\S*\Z"),
    "email": re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\Z"),
    "email-json": re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\Z"),
    "sms": re.compile(r"\+?[0-9](?:[-. ]?[0-9]){6,16}\Z"),
    "sqs": re.compile(r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?\Z"),
    "lambda": re.compile(r"arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_:$-]+\Z"),
    "application": re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:endpoint/.+\Z"),
}


class Subscriptions:
    def __init__(self, store: TopicStore, sender: Sender) -> None:
        self._store, self._sender = store, sender

    async def subscribe(
        self,
        topic_arn: str,
        protocol: str,
        endpoint: str = "",
        attributes: Mapping[str, str] | None = None,
        return_subscription_arn: bool = False,
    ) -> Answer:
        """Idempotent if the endpoint is subscribed with these attributes."""
        async with self._store.lock:
            topic = self._store.topic(topic_arn)
            _check_endpoint(protocol, endpoint, is_fifo(topic))
            checked = self._attributes(protocol, attributes or {}, {})
            subscription = next(
                (
                    each
                    for each in self._store.of_topic(topic["Name"])
                    if (each["Protocol"], each["Endpoint"]) == (protocol, endpoint)
                ),
                None,
            )
            if subscription is not None and any(
                subscription["Attributes"].get(name) != value for name, value in checked.items()
            ):
                raise invalid(messages.SNS_SUBSCRIBED)
            if subscription is None or subscription.get("Token"):
                self._check_room(topic["Name"], checked)
                if table.is_large(topic["Attributes"], self._store.limits):
                    self._store.check_large(
                        [
                            protocol,
                            *(each["Protocol"] for each in self._store.of_topic(topic["Name"])),
                        ]
                    )
                subscription = await self._put_new(topic, protocol, endpoint, checked, subscription)
        pending = subscription.get("Token") and not return_subscription_arn
        return {"SubscriptionArn": "pending confirmation" if pending else subscription["Arn"]}

    def _attributes(
        self,
        protocol: str,
        changes: Mapping[str, str],
        attributes: Mapping[str, str],
        prefix: str = messages.SNS_ATTRIBUTES,
    ) -> Any:
        """The attributes of a subscription after some were set. Raises ApiError."""
        try:
            checked = {
                name: value for name, value in attributes.items() if name not in changes
            } | table.checked(table.SUBSCRIPTION, changes, self._store.limits)
            if not changes.keys().isdisjoint(("FilterPolicy", "FilterPolicyScope")):
                table.check_filter(checked, self._store.limits)
            if checked.get("RawMessageDelivery") == "true" and protocol not in RAW:
                raise table.AttributeValueError(messages.SNS_RAW.format(protocol=protocol))
        except table.AttributeValueError as error:
            raise invalid(prefix.format(text=error)) from None
        return checked

    def _check_room(self, topic: str, attributes: Mapping[str, str]) -> None:
        if len(self._store.subscriptions) >= self._store.limits.subscriptions:
            raise ApiError(
                "SubscriptionLimitExceededException",
                messages.SNS_SUBSCRIPTIONS.format(limit=self._store.limits.subscriptions),
            )
        self._check_filters(topic, attributes)

    def _check_filters(self, topic: str, attributes: Mapping[str, str]) -> None:
        if "FilterPolicy" in attributes:
            count = sum(
                "FilterPolicy" in each["Attributes"] for each in self._store.of_topic(topic)
            )
            if count >= self._store.limits.filter_policies:
                raise ApiError(
                    "FilterPolicyLimitExceededException",
                    messages.SNS_FILTERS.format(limit=self._store.limits.filter_policies),
                )

    async def _put_new(
        self,
        topic: Document,
        protocol: str,
        endpoint: str,
        checked: Mapping[str, str],
        pending: Document | None,
    ) -> Document:
        """Store a new subscription, or ask again for the confirmation of a pending one."""
        key = pending["Key"] if pending else f"{topic['Name']}:{self._store.new_id()}"
        subscription: Document = {
            "Key": key,
            "Arn": self._store.arn(key),
            "TopicArn": topic["Arn"],
            "Protocol": protocol,
            "Endpoint": endpoint,
        }
        subscription |= {
            "Attributes": dict(checked),
            "Since": pending["Since"] if pending else self._store.now(),
            "Authenticated": protocol not in CONFIRMED,
        }
        if protocol not in CONFIRMED:
            await self._save(subscription)
            return subscription
        subscription |= {"Token": self._token(), "Asked": self._store.now()}
        text = messages.SNS_CONFIRM.format(topic=topic["Arn"])
        await self._save(
            subscription,
            self._notice(topic, notifications.CONFIRMATION, text, subscription["Token"]),
        )
        return subscription

    def _token(self) -> str:
        """256 hexadecimal digits, random and ordered by time."""
        return f"{self._store.now():012x}{secrets.token_hex(122)}"

    def _notice(self, topic: Document | None, kind: str, text: str, token: str) -> Document:
        """A message to one subscriber about the subscription itself."""
        version = topic["Attributes"].get("SignatureVersion", "1") if topic else "1"
        arn = topic["Arn"] if topic else ""
        about = {
            **self._store.stamp(self._store.new_id()),
            "kind": kind,
            "topic": arn,
            "token": token,
            "version": version,
        }
        return {**about, "body": text, "attributes": {}}

    async def _save(self, subscription: Document, notice: Document | None = None) -> None:
        """Store it, with a message to its endpoint in the same transaction."""
        sent = self._sender.accept_one(subscription, notice) if notice else Transaction(None, {})
        key = subscription["Key"]
        await self._store.subscriptions.put(key, subscription, sent.writes)
        name = key.partition(":")[0]
        self._store.by_topic.setdefault(name, {})[key] = None
        self._store.drop_filters(name)
        sent.then()

    async def confirm_subscription(
        self, topic_arn: str, token: str, authenticate_on_unsubscribe: str = "false"
    ) -> Answer:
        """By the token of a confirmation message. Idempotent while the token is valid."""
        if authenticate_on_unsubscribe.lower() == "true" and ANONYMOUS.get():
            raise ApiError("AuthorizationErrorException", messages.SNS_UNSUBSCRIBE)
        async with self._store.lock:
            topic = self._store.topic(topic_arn)
            old = max(0, self._store.now() - self._store.limits.confirmation_seconds * 1000)
            subscription = next(
                (
                    each
                    for each in self._store.of_topic(topic["Name"])
                    if token in (each.get("Token"), each.get("Confirmed"))
                ),
                None,
            )
            subscription = subscription or self._renewed(topic, token)
            if subscription is None or subscription["Asked"] < old:
                raise invalid(messages.SNS_TOKEN)
            if subscription.get("Token"):
                confirmed = {
                    **subscription,
                    "Token": None,
                    "Confirmed": token,
                    "Authenticated": authenticate_on_unsubscribe.lower() == "true",
                }
                await self._save(confirmed)
                if token in self._store.ended:
                    await self._store.ended.delete(token)
        return {"SubscriptionArn": subscription["Arn"]}

    def _renewed(self, topic: Document, token: str) -> Document | None:
        """An ended subscription that its endpoint renews."""
        ended = self._store.ended.get(token)
        if ended is None or ended["TopicArn"] != topic["Arn"]:
            return None
        key = f"{topic['Name']}:{self._store.new_id()}"
        return ended | {"Key": key, "Arn": self._store.arn(key), "Since": self._store.now()}

    async def unsubscribe(self, subscription_arn: str) -> Answer:
        """A missing subscription is no error. An unsigned request (a link) ends only subscriptions
        that were confirmed without AuthenticateOnUnsubscribe.
        """
        async with self._store.lock:
            key = self._store.local_name(subscription_arn, "SubscriptionArn")
            subscription = self._store.subscriptions.get(key)
            if subscription is None:
                return {}
            if subscription["Authenticated"] and ANONYMOUS.get():
                raise ApiError("AuthorizationErrorException", messages.SNS_UNSUBSCRIBE)
            name = key.partition(":")[0]
            topic = self._store.topics.get(name)
            farewell = self._farewell(topic, subscription)
            if topic is not None:
                await self._store.topics.put(
                    name,
                    topic | {_DELETED: topic[_DELETED] + 1},
                    {**farewell.writes, f"sns/subscription/{key}": None},
                )
            else:
                await self._store.subscriptions.delete(key, farewell.writes)
            self._store.subscriptions.set_in_memory(key, None)
            self._store.by_topic.get(name, {}).pop(key, None)
            self._store.drop_filters(name)
            farewell.then()
        return {}

    def _farewell(self, topic: Document | None, subscription: Document) -> Transaction[Any]:
        """The message to an endpoint that unsubscribed by a link, with a link to renew."""
        if (
            not ANONYMOUS.get()
            or subscription["Protocol"] not in CONFIRMED
            or subscription.get("Token")
        ):
            return Transaction(None, {})
        token = self._token()
        text = messages.SNS_RENEW.format(subscription=subscription["Arn"])
        notice = self._notice(topic, notifications.FAREWELL, text, token)
        ended = subscription | {"Token": token, "Asked": self._store.now()}
        return together(
            [
                self._store.ended.bounded(token, ended, self._store.limits.subscriptions_ended),
                self._sender.accept_one(subscription, notice),
            ]
        )

    # --- list and describe ------------------------------------------------------------------------

    async def list_subscriptions(self, next_token: str | None = None) -> Answer:
        subscriptions = [
            each for name in sorted(self._store.by_topic) for each in self._store.of_topic(name)
        ]
        return self._listed(["ListSubscriptions"], subscriptions, next_token)

    async def list_subscriptions_by_topic(
        self, topic_arn: str, next_token: str | None = None
    ) -> Answer:
        topic = self._store.topic(topic_arn)
        return self._listed(
            ["ListSubscriptionsByTopic", topic_arn], self._store.of_topic(topic["Name"]), next_token
        )

    def _listed(self, question: list[str], found: list[Document], next_token: str | None) -> Answer:
        items, more = self._store.page(question, found, next_token)
        account = self._store.host.home.account
        return {
            "Subscriptions": [
                {
                    "SubscriptionArn": PENDING if each.get("Token") else each["Arn"],
                    "Owner": account,
                    "Protocol": each["Protocol"],
                    "Endpoint": each["Endpoint"],
                    "TopicArn": each["TopicArn"],
                }
                for each in items
            ],
            **more,
        }

    async def get_subscription_attributes(self, subscription_arn: str) -> Answer:
        subscription = self._store.subscription(subscription_arn)
        topic = self._store.topics[subscription["Key"].partition(":")[0]]
        home, attributes = self._store.host.home, subscription["Attributes"]
        shown = {
            "SubscriptionArn": subscription["Arn"],
            "TopicArn": subscription["TopicArn"],
            "Protocol": subscription["Protocol"],
            "Endpoint": subscription["Endpoint"],
            "Owner": home.account,
            "SubscriptionPrincipal": home.root(),
            "PendingConfirmation": "true" if subscription.get("Token") else "false",
            "ConfirmationWasAuthenticated": "true" if subscription["Authenticated"] else "false",
            "RawMessageDelivery": "false",
        }
        if "FilterPolicy" in attributes:
            shown["FilterPolicyScope"] = ATTRIBUTES
        if subscription["Protocol"] in ("http", "https"):
            shown["EffectiveDeliveryPolicy"] = dumps(
                table.effective(topic["Attributes"], attributes)
            )
        return {"Attributes": {**shown, **attributes}}

    async def set_subscription_attributes(
        self, subscription_arn: str, attribute_name: str, attribute_value: str = ""
    ) -> Answer:
        async with self._store.lock:
            subscription = self._store.subscription(subscription_arn)
            if attribute_name not in table.SUBSCRIPTION:
                raise invalid(messages.SNS_ATTRIBUTE_NAME)
            checked = self._attributes(
                subscription["Protocol"],
                {attribute_name: attribute_value},
                subscription["Attributes"],
                "{text}",
            )
            if attribute_name == "FilterPolicy" and loads(attribute_value or "{}") == {}:
                checked = {name: value for name, value in checked.items() if name != "FilterPolicy"}
            if "FilterPolicy" not in subscription["Attributes"]:
                self._check_filters(subscription["Key"].partition(":")[0], checked)
            await self._save(subscription | {"Attributes": checked})
        return {}


def _check_endpoint(protocol: str, endpoint: str, fifo: bool) -> None:
    if protocol == "firehose":
        raise invalid(messages.SNS_FIREHOSE)
    if protocol not in ENDPOINTS:
        raise invalid(messages.SNS_PROTOCOL.format(protocol=protocol))
    if not ENDPOINTS[protocol].match(endpoint):
        raise invalid(
            messages.SNS_ENDPOINT_OF.get(protocol, messages.SNS_ENDPOINT).format(endpoint=endpoint)
        )
    if fifo and protocol != "sqs":
        raise invalid(messages.SNS_FIFO_PROTOCOL)
    if protocol == "sqs" and endpoint.endswith(".fifo") and not fifo:
        raise invalid(messages.SNS_FIFO_QUEUE)
