"""What subscribers get: bodies, headers and records of a message. Pure, apart from the signature.

A message is {"id", "topic", "at" (epoch ms), "url" (of the server, or ""), "body", "attributes":
{name: {"Type", "Value"}}} and optionally "subject", "structure" (the body is JSON with a text for
each protocol), "sequence", "group", "deduplication", "version" (of the signature). Messages about a
subscription itself have "kind" and "token".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from stepwell.asl.json_text import dumps, loads
from stepwell.asl.timestamps import iso_milliseconds

Message = Mapping[str, Any]
Sign = Callable[[str, str], str]  # (text, version) -> base64

NOTIFICATION: Final = "Notification"
CONFIRMATION: Final = "SubscriptionConfirmation"
FAREWELL: Final = "UnsubscribeConfirmation"
AGENT: Final = "Amazon Simple Notification Service Agent"
PLAIN: Final = "text/plain; charset=UTF-8"


class Site(NamedTuple):
    """url: of this server, without a slash at the end; certificate: URL of the signing
    certificate
    """

    url: str
    certificate: str

    def unsubscribe(self, subscription: str) -> str:
        return f"{self.url}/?Action=Unsubscribe&SubscriptionArn={subscription}"

    def confirm(self, topic: str, token: str) -> str:
        return (
            f"{self.url}/?Action=ConfirmSubscription&TopicArn={quote(topic, safe=':')}&"
            f"Token={token}"
        )


def text_for(message: Message, protocol: str) -> str:
    """The body for a protocol; values other than strings are ignored."""
    if not message.get("structure"):
        return str(message["body"])
    texts: Any = loads(message["body"])
    own = texts.get(protocol)
    return str(own if isinstance(own, str) else texts["default"])


def timestamp(message: Message) -> str:
    return iso_milliseconds(message["at"] / 1000)


def kind(message: Message) -> str:
    return str(message.get("kind", NOTIFICATION))


def to_sign(message: Message, protocol: str, site: Site) -> str:
    """The signed text: names and values, a line each, in the order of the names."""
    named = {
        "Message": text_for(message, protocol),
        "MessageId": message["id"],
        "Subject": message.get("subject"),
        "SubscribeURL": site.confirm(message["topic"], message["token"])
        if "token" in message
        else None,
        "Timestamp": timestamp(message),
        "Token": message.get("token"),
        "TopicArn": message["topic"],
        "Type": kind(message),
    }
    return "".join(f"{name}\n{value}\n" for name, value in named.items() if value is not None)


def members(
    message: Message, protocol: str, subscription: str, site: Site, sign: Sign
) -> dict[str, Any]:
    """The members of an envelope. Messages of FIFO topics have a number instead of a signature."""
    fifo, token = "sequence" in message, message.get("token")
    version = message.get("version", "1")
    members: dict[str, Any] = {
        "Type": kind(message),
        "MessageId": message["id"],
        "SequenceNumber": message.get("sequence"),
        "Token": token,
        "TopicArn": message["topic"],
        "Subject": message.get("subject"),
        "Message": text_for(message, protocol),
        "SubscribeURL": site.confirm(message["topic"], token) if token else None,
        "Timestamp": timestamp(message),
    }
    if not fifo:
        members |= {
            "SignatureVersion": version,
            "Signature": sign(to_sign(message, protocol, site), version),
        }
        members |= {"SigningCertURL": site.certificate}
    if not token:
        members["UnsubscribeURL"] = site.unsubscribe(subscription)
    return {name: value for name, value in members.items() if value is not None}


def frame(message: Message, protocol: str, site: Site, sign: Sign) -> Callable[[str], str]:
    """A function that makes the JSON of an envelope, in AWS's layout, for a subscription. All but
    the unsubscribe link is made once for all subscriptions.
    """

    @cache
    def sides() -> tuple[str, str]:
        envelope_members = members(message, protocol, "", site, sign)
        head = "{\n" + ",\n".join(
            f"  {dumps(name)} : {dumps(value)}" for name, value in envelope_members.items()
        )
        shown = ",\n".join(
            f"    {dumps(name)} : {dumps(value)}" for name, value in message["attributes"].items()
        )
        tail = f',\n  "MessageAttributes" : {{\n{shown}\n  }}\n}}' if shown else "\n}"
        # the link is the last member, and ends with the subscription
        return (head[:-1], f'"{tail}') if "UnsubscribeURL" in envelope_members else (head, tail)

    def envelope_for(subscription: str) -> str:
        head, tail = sides()
        return head + (subscription if tail[0] == '"' else "") + tail

    return envelope_for


def envelope(message: Message, protocol: str, subscription: str, site: Site, sign: Sign) -> str:
    """The JSON of one envelope."""
    return frame(message, protocol, site, sign)(subscription)


def record(message: Message, subscription: str, site: Site, sign: Sign) -> dict[str, Any]:
    """The event for a function."""
    sent = members(message, "lambda", subscription, site, sign)
    sent["SigningCertUrl"], sent["UnsubscribeUrl"] = (
        sent.pop("SigningCertURL", None),
        sent.pop("UnsubscribeURL"),
    )
    sent = {
        "Type": sent.pop("Type"),
        "MessageId": sent.pop("MessageId"),
        "TopicArn": sent.pop("TopicArn"),
        "Subject": None,
        **sent,
    }
    sent["MessageAttributes"] = message["attributes"]
    about = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription}
    return {
        "Records": [
            {
                **about,
                "Sns": {
                    name: value
                    for name, value in sent.items()
                    if value is not None or name == "Subject"
                },
            }
        ]
    }


def queue_attributes(message: Message) -> dict[str, dict[str, Any]]:
    """Message attributes in SQS's shape, for a raw message."""
    from base64 import b64decode

    return {
        name: {"DataType": each["Type"], "BinaryValue": b64decode(each["Value"])}
        if each["Type"].partition(".")[0] == "Binary"
        else {"DataType": each["Type"], "StringValue": each["Value"]}
        for name, each in message["attributes"].items()
    }


def headers(message: Message, subscription: str, raw: bool, content_type: str) -> dict[str, str]:
    """The headers for HTTP."""
    headers = {
        "x-amz-sns-message-type": kind(message),
        "x-amz-sns-message-id": message["id"],
        "x-amz-sns-topic-arn": message["topic"],
        "x-amz-sns-subscription-arn": subscription if kind(message) != CONFIRMATION else "",
        "x-amz-sns-rawdelivery": "true" if raw else "",
    }
    shown = {name: value for name, value in headers.items() if value}
    return {
        **shown,
        "Content-Type": content_type,
        "User-Agent": AGENT,
        "Accept-Encoding": "identity",
    }
