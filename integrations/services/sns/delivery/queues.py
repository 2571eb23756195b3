"""To queues: the messages of one fan-out, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.aws.calls import ServiceError, embedded
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.queues import Outgoing, send_outside
from stepwell.integrations.services.common.targets import delivery_error
from stepwell.integrations.services.sns import messages, notifications
from stepwell.integrations.services.sns.notifications import Message

Faults = dict[int, DeliveryError]  # number of a message -> why it was not sent
_AT_ONCE: Final = 32  # calls to a queue service outside


def outgoing(
    message: Message,
    subscription: Mapping[str, Any],
    enveloped: Callable[[str], str],
    most_raw: int,
) -> Outgoing:
    """The message for one queue, with the same `once` in all deliveries of it to one subscription.
    enveloped: see notifications.frame. Raises DeliveryError.
    """
    arn: str = subscription["Endpoint"]
    fifo, attributes = arn.endswith(".fifo"), dict[str, dict[str, Any]]()
    if subscription["Attributes"].get("RawMessageDelivery") == "true":
        if len(message["attributes"]) > most_raw:
            text = messages.SNS_RAW_ATTRIBUTES.format(limit=most_raw)
            raise DeliveryError("InvalidParameterValue", text, False)
        body = notifications.text_for(message, "sqs")
        attributes = notifications.queue_attributes(message)
    else:
        body = enveloped(subscription["Arn"])
    return Outgoing(
        arn,
        body,
        attributes,
        message.get("group") if fifo or "sequence" not in message else None,
        message.get("deduplication") if fifo else None,
        once=f"{message['id']}/{subscription['Key']}",
    )


async def send(host: Host, sent: Sequence[Outgoing]) -> Transaction[Faults]:
    """To queues of this server in one transaction, which the caller commits; outside by a call
    each.
    """
    if not embedded(host, "sqs"):
        return await _send_outside(host, sent)
    sqs = await host.services.get("sqs")
    prepared: Transaction[list[Any]] = sqs.prepare(sent)
    return prepared.replying(
        {
            number: delivery_error(answer)
            for number, answer in enumerate(prepared.answer)
            if isinstance(answer, ApiError)
        }
    )


async def _send_outside(host: Host, sent: Sequence[Outgoing]) -> Transaction[Faults]:
    free, faults = asyncio.Semaphore(_AT_ONCE), Faults()

    async def send_one(number: int, message: Outgoing) -> None:
        async with free:
            try:
                await send_outside(host, message)
            except (ApiError, ServiceError) as error:
                faults[number] = delivery_error(error)

    await asyncio.gather(*(send_one(number, message) for number, message in enumerate(sent)))
    return Transaction(faults, {})
