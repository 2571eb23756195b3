"""Delivery status: what AWS writes to CloudWatch Logs for a topic with feedback roles goes to the
logger "stepwell.sns.delivery".

The delivery log, which the console shows, gets every attempt.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import dumps
from stepwell.integrations.aws.urls import public_url
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.delivery_log import (
    DELIVERED,
    FAILED,
    GIVEN_UP,
    Entry,
    explained,
)
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sns.notifications import Message, text_for, timestamp

if TYPE_CHECKING:
    from stepwell.integrations.services.sns.store import TopicStore

log: Final = logging.getLogger("stepwell.sns.delivery")

# protocol -> prefix of the topic's attributes for feedback
PREFIXES: Final = {
    "http": "HTTP",
    "https": "HTTP",
    "sqs": "SQS",
    "lambda": "Lambda",
    "application": "Application",
}


def success(
    topics: TopicStore,
    message: Message,
    receiver: Document,
    status: int,
    response: str,
    document: Document,
) -> None:
    _note(topics, message, receiver, DELIVERED, document["attempts"] + 1)
    settings, prefix = _settings(topics, message), PREFIXES.get(receiver["Protocol"])
    if prefix and settings.get(f"{prefix}SuccessFeedbackRoleArn"):
        share = int(settings.get(f"{prefix}SuccessFeedbackSampleRate", "100"))
        if (
            int.from_bytes(hashlib.blake2b(document["id"].encode(), digest_size=4).digest()) % 100
            < share
        ):
            log.info(_line(topics, message, receiver, document, "SUCCESS", status, response))


def failed_attempt(
    topics: TopicStore,
    message: Message,
    receiver: Document,
    error: DeliveryError,
    document: Document,
) -> None:
    """An attempt that may be repeated."""
    _note(topics, message, receiver, FAILED, document["attempts"] + 1, error)


def given_up(
    topics: TopicStore,
    message: Message,
    receiver: Document,
    error: DeliveryError,
    document: Document,
) -> None:
    _note(topics, message, receiver, GIVEN_UP, document["attempts"], error)
    settings, prefix = _settings(topics, message), PREFIXES.get(receiver["Protocol"])
    if prefix and settings.get(f"{prefix}FailureFeedbackRoleArn"):
        status = int(error.code) if error.code.isdigit() else 400
        log.info(_line(topics, message, receiver, document, "FAILURE", status, error.message))


def _note(
    topics: TopicStore,
    message: Message,
    receiver: Document,
    outcome: str,
    attempt: int,
    error: DeliveryError | None = None,
) -> None:
    about = message["topic"], public_url(receiver["Endpoint"]), message["id"], outcome, attempt
    topics.host.services.delivery_log.note(Entry(topics.host.clock.now(), *about, explained(error)))


def _settings(topics: TopicStore, message: Message) -> Mapping[str, str]:
    topic = topics.topics.get(message["topic"].rpartition(":")[2])
    return topic["Attributes"] if topic else {}


def _line(
    topics: TopicStore,
    message: Message,
    receiver: Document,
    document: Document,
    status: str,
    code: int,
    response: str,
) -> str:
    """AWS's format."""
    body = text_for(message, receiver["Protocol"])
    notification: dict[str, Any] = {
        "messageMD5Sum": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    }
    notification |= {
        "messageId": message["id"],
        "topicArn": message["topic"],
        "timestamp": timestamp(message),
    }
    delivery = {
        "deliveryId": document["id"],
        "destination": public_url(receiver["Endpoint"]),
        "providerResponse": response,
    }
    delivery |= {
        "dwellTimeMs": topics.now() - message["at"],
        "attempts": document["attempts"] + (status == "SUCCESS"),
        "statusCode": code,
    }
    return dumps({"notification": notification, "delivery": delivery, "status": status})
