"""Messages to queues, from every service and task: into the queues of this server, or into those of
an endpoint outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stepwell.integrations import requests
from stepwell.integrations.aws.calls import call, embedded
from stepwell.integrations.host import Host

Attributes = Mapping[str, Mapping[str, Any]]
"""Name -> {"DataType", "StringValue" or "BinaryValue": bytes}"""

_NONE: Final[Attributes] = {}


class Outgoing(NamedTuple):
    """A message for a queue, which is named by its URL or ARN.

    once  id of a delivery that may be repeated: the second message with it has no effect
    """

    queue: str
    body: str
    attributes: Attributes = _NONE
    group: str | None = None
    deduplication: str | None = None
    delay_seconds: int | None = None
    system: Attributes = _NONE
    once: str = ""


async def queue_url(host: Host, arn: str) -> str:
    """The URL of a queue. Raises ApiError, ServiceError."""
    account, name = arn.split(":")[4:6]
    found = await call(
        host, "sqs", "GetQueueUrl", {"QueueName": name, "QueueOwnerAWSAccountId": account}
    )
    url: str = found["QueueUrl"]
    return url


async def send_outside(host: Host, message: Outgoing) -> None:
    """Send to a queue, named by its ARN, through SQS's API. Raises ApiError, ServiceError."""
    optional = {
        "MessageAttributes": message.attributes,
        "MessageGroupId": message.group,
        "MessageDeduplicationId": message.deduplication,
    }
    given: dict[str, Any] = {
        "QueueUrl": await queue_url(host, message.queue),
        "MessageBody": message.body,
    }
    given |= {name: value for name, value in optional.items() if value}
    await call(host, "sqs", "SendMessage", given)


async def send_to_queue(
    host: Host,
    arn: str,
    body: str,
    attributes: Mapping[str, str] | None = None,
    group: str | None = None,
    id: str = "",
) -> None:
    """Send the message of a delivery. A queue of this server gets one message for each id, however
    often it is sent. Raises ApiError, ServiceError.
    """
    given = {
        key: {"DataType": "String", "StringValue": value}
        for key, value in (attributes or {}).items()
        if value
    }
    fifo = arn.endswith(".fifo")
    deduplication = requests.request_id(id) if fifo else None
    message = Outgoing(arn, body, given, group or ("default" if fifo else None), deduplication)
    if embedded(host, "sqs"):
        await (await host.services.get("sqs")).send(message._replace(once=id))
    else:
        await send_outside(host, message if fifo else message._replace(group=None))
