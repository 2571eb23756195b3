"""Into queues: the messages of one fan-out, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.calls import Fault, call
from stepwell.integrations.local.deliveries import Undelivered
from stepwell.integrations.local.sns import notifications
from stepwell.integrations.local.sns.notifications import Message, Sign, Site
from stepwell.integrations.local.targets import undelivered

if TYPE_CHECKING:
    from stepwell.integrations.service import Host

_AT_ONCE: Final = 32  # calls to a queue service outside


class Entry(NamedTuple):
    """arn: of the queue; members: of SQS's SendMessage, without the queue."""

    arn: str
    members: Mapping[str, Any]


class Sent(NamedTuple):
    """faults: number of an entry -> why it was not sent; writes, then: store and call, to make the others true"""

    faults: dict[int, Undelivered]
    writes: dict[str, bytes | None]
    then: Callable[[], None]


def entry(message: Message, subscription: Mapping[str, Any], site: Site, sign: Sign, most_raw: int) -> Entry:
    """What a queue gets of a message. Raises Undelivered."""
    arn: str = subscription["Endpoint"]
    members: dict[str, Any] = {}
    if subscription["Attributes"].get("RawMessageDelivery") == "true":
        if len(message["attributes"]) > most_raw:
            raise Undelivered("InvalidParameterValue", messages.SNS_RAW_ATTRIBUTES.format(limit=most_raw), False)
        members["MessageBody"] = notifications.text_for(message, "sqs")
        if message["attributes"]:
            members["MessageAttributes"] = notifications.queue_attributes(message)
    else:
        members["MessageBody"] = notifications.envelope(message, "sqs", subscription["Arn"], site, sign)
    if message.get("group") and (arn.endswith(".fifo") or "sequence" not in message):
        members["MessageGroupId"] = message["group"]
    if message.get("deduplication") and arn.endswith(".fifo"):
        members["MessageDeduplicationId"] = message["deduplication"]
    return Entry(arn, members)


async def send(host: Host, entries: Sequence[Entry]) -> Sent:
    """All of them, one call each."""
    room, faults = asyncio.Semaphore(_AT_ONCE), dict[int, Undelivered]()

    async def one(number: int, each: Entry) -> None:
        async with room:
            try:
                account, name = each.arn.split(":")[4:6]
                found = await call(host, "sqs", "GetQueueUrl", {"QueueName": name, "QueueOwnerAWSAccountId": account})
                await call(host, "sqs", "SendMessage", {"QueueUrl": found["QueueUrl"], **each.members})
            except (ApiError, Fault) as error:
                faults[number] = undelivered(error)

    await asyncio.gather(*(one(number, each) for number, each in enumerate(entries)))
    return Sent(faults, {}, lambda: None)
