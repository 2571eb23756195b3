"""What subscribers get: bodies, headers and records made of a message. Pure, apart from the
signature that is handed in.

A message is {"id", "topic", "at" (epoch ms), "url" (of the server, or ""), "body", "attributes":
{name: {"Type", "Value"}}} and, where it has them, "subject", "structure" (the body is JSON with a
text for each protocol), "sequence", "group", "deduplication", "version" (of the signature); those
that ask for a confirmation have "kind" and "token".
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
    """url: of this server, without a slash at the end; certificate: where the key for signatures is
    published
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
    """The body that a protocol gets; what is no text is ignored."""
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
    """The text that a signature is over: names and values, a line each, in the order of the
    names.
    """
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
    """An envelope. Messages of FIFO topics have a number instead of a signature, as with AWS."""
    fifo, token = "sequence" in message, message.get("token")
    version = message.get("version", "1")
    told: dict[str, Any] = {
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
        told |= {
            "SignatureVersion": version,
            "Signature": sign(to_sign(message, protocol, site), version),
        }
        told |= {"SigningCertURL": site.certificate}
    if not token:
        told["UnsubscribeURL"] = site.unsubscribe(subscription)
    return {name: value for name, value in told.items() if value is not None}


def frame(message: Message, protocol: str, site: Site, sign: Sign) -> Callable[[str], str]:
    """Makes the JSON of an envelope, laid out as AWS does, for a subscription. All but a link is
    the same for a thousand of them, and is made for the first."""

    @cache
    def sides() -> tuple[str, str]:
        told = members(message, protocol, "", site, sign)
        head = "{\n" + ",\n".join(
            f"  {dumps(name)} : {dumps(value)}" for name, value in told.items()
        )
        shown = ",\n".join(
            f"    {dumps(name)} : {dumps(value)}" for name, value in message["attributes"].items()
        )
        tail = f',\n  "MessageAttributes" : {{\n{shown}\n  }}\n}}' if shown else "\n}"
        # the link comes last, and the subscription last in it
        return (head[:-1], f'"{tail}') if "UnsubscribeURL" in told else (head, tail)

    def envelope_for(subscription: str) -> str:
        head, tail = sides()
        return head + (subscription if tail[0] == '"' else "") + tail

    return envelope_for


def envelope(message: Message, protocol: str, subscription: str, site: Site, sign: Sign) -> str:
    """The JSON of one envelope."""
    return frame(message, protocol, site, sign)(subscription)


def record(message: Message, subscription: str, site: Site, sign: Sign) -> dict[str, Any]:
    """The event that a function gets."""
    told = members(message, "lambda", subscription, site, sign)
    told["SigningCertUrl"], told["UnsubscribeUrl"] = (
        told.pop("SigningCertURL", None),
        told.pop("UnsubscribeURL"),
    )
    told = {
        "Type": told.pop("Type"),
        "MessageId": told.pop("MessageId"),
        "TopicArn": told.pop("TopicArn"),
        "Subject": None,
        **told,
    }
    told["MessageAttributes"] = message["attributes"]
    about = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription}
    return {
        "Records": [
            {
                **about,
                "Sns": {
                    name: value
                    for name, value in told.items()
                    if value is not None or name == "Subject"
                },
            }
        ]
    }


def queue_attributes(message: Message) -> dict[str, dict[str, Any]]:
    """Message attributes as SQS has them, for a raw message."""
    from base64 import b64decode

    return {
        name: {"DataType": each["Type"], "BinaryValue": b64decode(each["Value"])}
        if each["Type"].partition(".")[0] == "Binary"
        else {"DataType": each["Type"], "StringValue": each["Value"]}
        for name, each in message["attributes"].items()
    }


def headers(message: Message, subscription: str, raw: bool, content_type: str) -> dict[str, str]:
    """Of HTTP."""
    told = {
        "x-amz-sns-message-type": kind(message),
        "x-amz-sns-message-id": message["id"],
        "x-amz-sns-topic-arn": message["topic"],
        "x-amz-sns-subscription-arn": subscription if kind(message) != CONFIRMATION else "",
        "x-amz-sns-rawdelivery": "true" if raw else "",
    }
    shown = {name: value for name, value in told.items() if value}
    return {
        **shown,
        "Content-Type": content_type,
        "User-Agent": AGENT,
        "Accept-Encoding": "identity",
    }
