"""Into queues: the messages of one fan-out, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.aws.calls import Fault, call, embedded
from stepwell.integrations.services.common.deliveries import Undelivered
from stepwell.integrations.services.common.queue_message import Outgoing
from stepwell.integrations.services.common.targets import undelivered
from stepwell.integrations.services.sns import messages, notifications
from stepwell.integrations.services.sns.notifications import Message

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

_AT_ONCE: Final = 32  # calls to a queue service outside


class Entry(NamedTuple):
    """arn: of the queue; once: the same for all sendings of one message to one subscription"""

    arn: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    group: str | None
    deduplication: str | None
    once: str


Faults = dict[int, Undelivered]  # number of an entry -> why it was not sent


def entry(
    message: Message,
    subscription: Mapping[str, Any],
    enveloped: Callable[[str], str],
    most_raw: int,
) -> Entry:
    """What a queue gets of a message. enveloped: see notifications.frame. Raises Undelivered."""
    arn: str = subscription["Endpoint"]
    fifo, attributes = arn.endswith(".fifo"), dict[str, dict[str, Any]]()
    if subscription["Attributes"].get("RawMessageDelivery") == "true":
        if len(message["attributes"]) > most_raw:
            raise Undelivered(
                "InvalidParameterValue", messages.SNS_RAW_ATTRIBUTES.format(limit=most_raw), False
            )
        body, attributes = (
            notifications.text_for(message, "sqs"),
            notifications.queue_attributes(message),
        )
    else:
        body = enveloped(subscription["Arn"])
    group = message.get("group") if fifo or "sequence" not in message else None
    deduplication = message.get("deduplication") if fifo else None
    return Entry(
        arn, body, attributes, group, deduplication, f"{message['id']}/{subscription['Key']}"
    )


async def send(host: Host, entries: Sequence[Entry]) -> Transaction[Faults]:
    """Into queues of this server by one transaction, which the caller commits; elsewhere by a call
    each.
    """
    if not embedded(host, "sqs"):
        return await _send_elsewhere(host, entries)
    sqs = await host.services.get("sqs")
    prepared: Transaction[list[Any]] = sqs.prepare(
        [
            Outgoing(
                each.arn, each.body, each.attributes, each.group, each.deduplication, once=each.once
            )
            for each in entries
        ]
    )
    return prepared.replying(
        {
            number: undelivered(answer)
            for number, answer in enumerate(prepared.answer)
            if isinstance(answer, ApiError)
        }
    )


async def _send_elsewhere(host: Host, entries: Sequence[Entry]) -> Transaction[Faults]:
    room, faults = asyncio.Semaphore(_AT_ONCE), Faults()

    async def one(number: int, each: Entry) -> None:
        async with room:
            try:
                account, name = each.arn.split(":")[4:6]
                found = await call(
                    host,
                    "sqs",
                    "GetQueueUrl",
                    {"QueueName": name, "QueueOwnerAWSAccountId": account},
                )
                given = {
                    "QueueUrl": found["QueueUrl"],
                    "MessageBody": each.body,
                    "MessageAttributes": each.attributes,
                }
                given |= {
                    "MessageGroupId": each.group,
                    "MessageDeduplicationId": each.deduplication,
                }
                await call(
                    host,
                    "sqs",
                    "SendMessage",
                    {name: value for name, value in given.items() if value},
                )
            except (ApiError, Fault) as error:
                faults[number] = undelivered(error)

    await asyncio.gather(*(one(number, each) for number, each in enumerate(entries)))
    return Transaction(faults, {})
