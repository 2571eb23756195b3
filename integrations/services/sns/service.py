"""SNS: topics (topics.py), subscriptions (subscriptions.py), messages (publishing.py), phones and
devices (mobile.py), and the delivery to subscribers (delivery/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.sns.delivery.sender import Sender
from stepwell.integrations.services.sns.mobile import Mobile
from stepwell.integrations.services.sns.publishing import Publisher
from stepwell.integrations.services.sns.store import TopicStore
from stepwell.integrations.services.sns.subscriptions import Subscriptions
from stepwell.integrations.services.sns.topics import Topics

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


class Sns:
    """The operations of botocore's "sns". For users of the library:

    sender.outbox.kept()     messages to phones, devices and (without a mail server) mailboxes
    sender.outbox.providers  "sms", "application", "email" or "email-json" -> an async function that
                             sends such a message, see Provider
    certificate()            of the key that signs messages: PEM
    """

    def __init__(self, host: Host) -> None:
        self.store = TopicStore(host)
        self.sender = Sender(self.store)
        self.topics, self.subscriptions, self.mobile = (
            Topics(self.store),
            Subscriptions(self.store, self.sender),
            Mobile(self.store),
        )
        self.publisher = Publisher(self.store, self.sender, self.mobile)

    async def open(self) -> None:
        await self.store.open()
        await self.mobile.open()
        await self.publisher.open()
        await self.sender.open(self.store.records)

    async def close(self) -> None:
        await self.sender.close()

    @property
    def routes(self) -> Mapping[str, Callable[..., Awaitable[None]]]:
        """Further routes of the server: path -> ASGI application."""
        return {self.sender.signer.path: self._show_certificate}

    async def certificate(self) -> str:
        await self.sender.signer.ready(self.store.now())
        return self.sender.signer.certificate

    async def _show_certificate(
        self, scope: MutableMapping[str, Any], receive: Any, send: Any
    ) -> None:
        body = (await self.certificate()).encode()
        headers = [
            (b"content-type", b"application/x-pem-file"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""}
        )

    create_topic = delegated("topics", Topics.create_topic)
    delete_topic = delegated("topics", Topics.delete_topic)
    list_topics = delegated("topics", Topics.list_topics)
    get_topic_attributes = delegated("topics", Topics.get_topic_attributes)
    set_topic_attributes = delegated("topics", Topics.set_topic_attributes)
    add_permission = delegated("topics", Topics.add_permission)
    remove_permission = delegated("topics", Topics.remove_permission)
    get_data_protection_policy = delegated("topics", Topics.get_data_protection_policy)
    put_data_protection_policy = delegated("topics", Topics.put_data_protection_policy)
    list_tags_for_resource = delegated("topics", Topics.list_tags_for_resource)
    tag_resource = delegated("topics", Topics.tag_resource)
    untag_resource = delegated("topics", Topics.untag_resource)

    subscribe = delegated("subscriptions", Subscriptions.subscribe)
    confirm_subscription = delegated("subscriptions", Subscriptions.confirm_subscription)
    unsubscribe = delegated("subscriptions", Subscriptions.unsubscribe)
    list_subscriptions = delegated("subscriptions", Subscriptions.list_subscriptions)
    list_subscriptions_by_topic = delegated(
        "subscriptions", Subscriptions.list_subscriptions_by_topic
    )
    get_subscription_attributes = delegated(
        "subscriptions", Subscriptions.get_subscription_attributes
    )
    set_subscription_attributes = delegated(
        "subscriptions", Subscriptions.set_subscription_attributes
    )

    publish = delegated("publisher", Publisher.publish)
    prepare = delegated("publisher", Publisher.prepare)
    publish_batch = delegated("publisher", Publisher.publish_batch)

    create_platform_application = delegated("mobile", Mobile.create_platform_application)
    get_platform_application_attributes = delegated(
        "mobile", Mobile.get_platform_application_attributes
    )
    set_platform_application_attributes = delegated(
        "mobile", Mobile.set_platform_application_attributes
    )
    list_platform_applications = delegated("mobile", Mobile.list_platform_applications)
    delete_platform_application = delegated("mobile", Mobile.delete_platform_application)
    create_platform_endpoint = delegated("mobile", Mobile.create_platform_endpoint)
    get_endpoint_attributes = delegated("mobile", Mobile.get_endpoint_attributes)
    set_endpoint_attributes = delegated("mobile", Mobile.set_endpoint_attributes)
    list_endpoints_by_platform_application = delegated(
        "mobile", Mobile.list_endpoints_by_platform_application
    )
    delete_endpoint = delegated("mobile", Mobile.delete_endpoint)
    set_sms_attributes = delegated("mobile", Mobile.set_sms_attributes)
    get_sms_attributes = delegated("mobile", Mobile.get_sms_attributes)
    opt_out = delegated("mobile", Mobile.opt_out)
    opt_in_phone_number = delegated("mobile", Mobile.opt_in_phone_number)
    check_if_phone_number_is_opted_out = delegated(
        "mobile", Mobile.check_if_phone_number_is_opted_out
    )
    list_phone_numbers_opted_out = delegated("mobile", Mobile.list_phone_numbers_opted_out)
    get_sms_sandbox_account_status = delegated("mobile", Mobile.get_sms_sandbox_account_status)
    list_origination_numbers = delegated("mobile", Mobile.list_origination_numbers)

    topic = delegated("store", TopicStore.topic)
    policy_of = delegated("store", TopicStore.policy_of)
