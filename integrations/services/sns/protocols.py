"""How one message gets to one receiver that is no queue: ONE table from the protocol. What is
refused becomes Undelivered.

Messages to phones and devices, and mail if no server for it was named, have nobody here who carries
them: they are put into the outbox, where the latest of them can be read, or are given to a function
of the library's user (`providers`).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from stepwell.asl.json_text import dumps
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.aws.calls import Fault, call, embedded
from stepwell.integrations.services.common.deliveries import Undelivered
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.common.targets import undelivered
from stepwell.integrations.services.sns import messages, notifications
from stepwell.integrations.services.sns.notifications import NOTIFICATION, Message

if TYPE_CHECKING:
    from email.message import EmailMessage

    from stepwell.engine.runtime.records import Records
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.sns.delivery import Sender

log: Final = logging.getLogger("stepwell.sns")


class Carried(NamedTuple):
    """said: by the receiver; transaction: to be committed, if the receiver is in this database"""

    status: int
    said: str = ""
    transaction: Transaction[None] | None = None


Carrier = Callable[["Sender", Message, Document], Awaitable[Carried]]
Provider = Callable[
    [Mapping[str, Any]], Awaitable[None]
]  # of {"protocol", "endpoint", "message", "subject", "id", "topic", "at"}

_TRY_AGAIN: Final = (429,)
_SENDER: Final = "AWS Notifications"
_ADDRESS: Final = "no-reply@sns.amazonaws.com"


class Outbox:
    """sns/outbox/MILLISECONDS/ID: the latest `limits.outbox` of what nobody carries."""

    def __init__(self, host: Host) -> None:
        self._host, self._table = host, Table("sns/outbox/")
        self.providers: dict[str, Provider] = {}  # by protocol

    async def open(self, records: Records) -> None:
        self._records = records
        await self._table.open(records)

    def kept(self) -> list[Document]:
        """The oldest first: {"protocol", "endpoint", "message", "subject", "id", "topic", "at"
        (epoch ms)}
        """
        return self._table.sorted()

    async def put(self, protocol: str, endpoint: str, text: str, message: Message) -> None:
        parcel = {
            "protocol": protocol,
            "endpoint": endpoint,
            "message": text,
            "subject": message.get("subject"),
        }
        parcel |= {"id": message["id"], "topic": message["topic"], "at": message["at"]}
        if protocol in self.providers:
            await self.providers[protocol](parcel)
            return
        key = f"{self._host.clock.now():013d}/{message['id']}/{endpoint}"
        await self._records.commit(self._table.bounded(key, parcel, self._host.limits.outbox))
        log.info("%s to %s is in the outbox: nobody here carries it", protocol, endpoint)


async def _to_function(sender: Sender, message: Message, receiver: Document) -> Carried:
    """A function of this server gets its call in the transaction that ends the delivery."""
    host, arn = sender.host, receiver["Endpoint"]
    event = notifications.record(message, receiver["Arn"], sender.site(message), sender.signer.sign)
    target = host.functions.find(arn) if embedded(host, "lambda") else None
    if target is not None:
        functions = await host.services.get("lambda")
        return Carried(
            202, transaction=functions.events.prepare(target.arn, event, sender.topics.new_id())
        )
    try:
        await call(
            host,
            "lambda",
            "Invoke",
            {"FunctionName": arn, "InvocationType": "Event", "Payload": dumps(event).encode()},
        )
    except (ApiError, Fault) as error:
        raise undelivered(error) from None
    return Carried(202)


async def _to_url(sender: Sender, message: Message, receiver: Document) -> Carried:
    from stepwell.integrations.aws.http_client import (
        Forbidden,
        Unreachable,
    )  # imported late: a host may have no HTTP

    raw = (
        receiver["Attributes"].get("RawMessageDelivery") == "true"
        and notifications.kind(message) == NOTIFICATION
    )
    url, credentials = _without_credentials(receiver["Endpoint"])
    headers = (
        notifications.headers(message, receiver["Arn"], raw, sender.content_type(receiver))
        | credentials
    )
    body = (
        notifications.text_for(message, receiver["Protocol"])
        if raw
        else notifications.envelope(
            message, receiver["Protocol"], receiver["Arn"], sender.site(message), sender.signer.sign
        )
    )
    try:
        answer = await sender.host.outside.deliveries.send(
            "POST", url, headers, body.encode(), sender.limits.topic_http_seconds
        )
    except Forbidden as fault:
        raise Undelivered("Forbidden", str(fault), False) from None
    except Unreachable as fault:
        raise Undelivered("Unreachable", str(fault)) from None
    if not 200 <= answer.status < 300:
        again = answer.status in _TRY_AGAIN or answer.status >= 500
        raise Undelivered(
            str(answer.status), messages.SNS_HTTP_STATUS.format(status=answer.status), again
        )
    return Carried(answer.status, answer.body[:1024].decode("utf-8", "replace"))


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """(URL without name and password, the header that has them)"""
    parts = urlsplit(url)
    people, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    name, _, password = people.partition(":")
    token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return parts._replace(netloc=place).geturl(), {"Authorization": f"Basic {token}"}


async def _to_person(sender: Sender, message: Message, receiver: Document) -> Carried:
    kind, site, arn = notifications.kind(message), sender.site(message), receiver["Arn"]
    if receiver["Protocol"] == "email-json" and kind == NOTIFICATION:
        text = notifications.envelope(message, "email-json", arn, site, sender.signer.sign) + "\n"
    else:
        url = (
            site.unsubscribe(arn)
            if kind == NOTIFICATION
            else site.confirm(message["topic"], message["token"])
        )
        body = notifications.text_for(message, receiver["Protocol"])
        text = messages.SNS_MAIL_BODY[kind].format(text=body, topic=message["topic"], url=url)
    if sender.host.outside.smtp is None:
        await sender.outbox.put(receiver["Protocol"], receiver["Endpoint"], text, message)
        return Carried(200)
    from email.message import EmailMessage  # late, as smtplib: most topics send no mail
    from email.utils import formataddr

    mail = EmailMessage()
    topic = sender.topics.topics.get(message["topic"].rpartition(":")[2])
    name = topic["Attributes"].get("DisplayName") if topic and kind == NOTIFICATION else None
    mail["From"], mail["To"] = (
        formataddr((" ".join((name or _SENDER).split()), _ADDRESS)),
        receiver["Endpoint"],
    )
    mail["Subject"] = message.get("subject") or messages.SNS_MAIL_SUBJECT[kind]
    mail["Message-ID"] = f"<{message['id']}@sns.amazonaws.com>"
    mail.set_content(text)
    await asyncio.to_thread(_mail, *sender.host.outside.smtp, mail, sender.limits.mail_seconds)
    return Carried(250)


def _mail(host: str, port: int, mail: EmailMessage, seconds: float) -> None:
    """Raises Undelivered."""
    import smtplib

    try:
        with smtplib.SMTP(host, port, timeout=seconds) as server:
            server.send_message(mail)
    except smtplib.SMTPResponseException as fault:
        text = messages.SNS_MAIL_REFUSED.format(text=f"{fault.smtp_code} {fault.smtp_error!r}")
        raise Undelivered("MailRefused", text, fault.smtp_code < 500) from None
    except smtplib.SMTPRecipientsRefused as fault:
        code, words = next(iter(fault.recipients.values()))
        raise Undelivered(
            "MailRefused", messages.SNS_MAIL_REFUSED.format(text=f"{code} {words!r}"), code < 500
        ) from None
    except (OSError, smtplib.SMTPException) as fault:
        raise Undelivered(
            "MailUnreachable", messages.SNS_MAIL_UNREACHABLE.format(text=fault)
        ) from None


async def _to_outbox(sender: Sender, message: Message, receiver: Document) -> Carried:
    """A phone gets the plain text, a device what was meant for its platform."""
    protocol: str = receiver["Protocol"]
    platform = (
        receiver["Endpoint"].rpartition("endpoint/")[2].partition("/")[0]
        if protocol == "application"
        else protocol
    )
    text = notifications.text_for(message, platform)
    await sender.outbox.put(protocol, receiver["Endpoint"], text, message)
    return Carried(200)


CARRIERS: Final[Mapping[str, Carrier]] = {
    "lambda": _to_function,
    "http": _to_url,
    "https": _to_url,
    "email": _to_person,
    "email-json": _to_person,
    "sms": _to_outbox,
    "application": _to_outbox,
}
