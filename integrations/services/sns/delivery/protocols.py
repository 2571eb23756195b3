"""One message to one receiver that is no queue: a table from the protocol to the function that
sends it. A refusal becomes DeliveryError.

Messages to phones and devices, and mail if there is no mail server, go to the outbox.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from stepwell.asl.json_text import dumps
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations.aws.calls import ServiceError, call, embedded
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.common.targets import delivery_error
from stepwell.integrations.services.sns import messages, notifications
from stepwell.integrations.services.sns.delivery.outbox import Outbox
from stepwell.integrations.services.sns.notifications import NOTIFICATION, Message, Site
from stepwell.integrations.services.sns.signing import Signer
from stepwell.integrations.services.sns.store import TopicStore

if TYPE_CHECKING:
    from email.message import EmailMessage

_TOO_MANY_REQUESTS: Final = 429
_MAIL_NAME: Final = "AWS Notifications"
_MAIL_ADDRESS: Final = "no-reply@sns.amazonaws.com"


class Response(NamedTuple):
    """Of a receiver. transaction: to be committed, if the receiver is in this database"""

    status: int
    text: str = ""
    transaction: Transaction[None] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What the protocols use. The signer is ready."""

    topics: TopicStore
    signer: Signer
    outbox: Outbox

    def site(self, message: Message) -> Site:
        """The base of links: the server under the name by which the publisher has reached it."""
        url = message.get("url") or self.topics.host.url
        return Site(url, url + self.signer.path)

    def envelope(self, message: Message, receiver: Document) -> str:
        return notifications.envelope(
            message, receiver["Protocol"], receiver["Arn"], self.site(message), self.signer.sign
        )


Send = Callable[[Context, Message, Document], Awaitable[Response]]


async def _to_function(context: Context, message: Message, receiver: Document) -> Response:
    """A function of this server gets its call in the transaction that ends the delivery."""
    host, arn = context.topics.host, receiver["Endpoint"]
    site = context.site(message)
    event = notifications.record(message, receiver["Arn"], site, context.signer.sign)
    target = host.functions.find(arn) if embedded(host, "lambda") else None
    if target is not None:
        functions = await host.services.get("lambda")
        prepared = functions.events.prepare(target.arn, event, context.topics.new_id())
        return Response(202, transaction=prepared)
    given: dict[str, Any] = {"FunctionName": arn, "InvocationType": "Event"}
    try:
        await call(host, "lambda", "Invoke", given | {"Payload": dumps(event).encode()})
    except (ApiError, ServiceError) as error:
        raise delivery_error(error) from None
    return Response(202)


async def _to_url(context: Context, message: Message, receiver: Document) -> Response:
    # imported late: a host may have no HTTP
    from stepwell.integrations.aws.http_client import ForbiddenError, UnreachableError

    raw = (
        receiver["Attributes"].get("RawMessageDelivery") == "true"
        and notifications.kind(message) == NOTIFICATION
    )
    url, credentials = _without_credentials(receiver["Endpoint"])
    request = context.topics.delivery_policy(receiver)["requestPolicy"]
    headers = notifications.headers(message, receiver["Arn"], raw, request["headerContentType"])
    body = (
        notifications.text_for(message, receiver["Protocol"])
        if raw
        else context.envelope(message, receiver)
    )
    host = context.topics.host
    try:
        answer = await host.outside.deliveries.send(
            "POST", url, headers | credentials, body.encode(), host.limits.topic_http_seconds
        )
    except ForbiddenError as error:
        raise DeliveryError("Forbidden", str(error), False) from None
    except UnreachableError as error:
        raise DeliveryError("Unreachable", str(error)) from None
    if not 200 <= answer.status < 300:
        again = answer.status == _TOO_MANY_REQUESTS or answer.status >= 500
        text = messages.SNS_HTTP_STATUS.format(status=answer.status)
        raise DeliveryError(str(answer.status), text, again)
    return Response(answer.status, answer.body[:1024].decode("utf-8", "replace"))


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """(URL without name and password, the header that has them)"""
    parts = urlsplit(url)
    credentials, at, address = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    name, _, password = credentials.partition(":")
    token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return parts._replace(netloc=address).geturl(), {"Authorization": f"Basic {token}"}


async def _to_mailbox(context: Context, message: Message, receiver: Document) -> Response:
    kind, site, arn = notifications.kind(message), context.site(message), receiver["Arn"]
    if receiver["Protocol"] == "email-json" and kind == NOTIFICATION:
        text = context.envelope(message, receiver) + "\n"
    else:
        url = (
            site.unsubscribe(arn)
            if kind == NOTIFICATION
            else site.confirm(message["topic"], message["token"])
        )
        body = notifications.text_for(message, receiver["Protocol"])
        text = messages.SNS_MAIL_BODY[kind].format(text=body, topic=message["topic"], url=url)
    host = context.topics.host
    if host.outside.smtp is None:
        await context.outbox.put(receiver["Protocol"], receiver["Endpoint"], text, message)
        return Response(200)
    from email.message import EmailMessage  # late, as smtplib: most topics send no mail
    from email.utils import formataddr

    mail = EmailMessage()
    topic = context.topics.topics.get(message["topic"].rpartition(":")[2])
    name = topic["Attributes"].get("DisplayName") if topic and kind == NOTIFICATION else None
    mail["From"] = formataddr((" ".join((name or _MAIL_NAME).split()), _MAIL_ADDRESS))
    mail["To"] = receiver["Endpoint"]
    mail["Subject"] = message.get("subject") or messages.SNS_MAIL_SUBJECT[kind]
    mail["Message-ID"] = f"<{message['id']}@sns.amazonaws.com>"
    mail.set_content(text)
    await asyncio.to_thread(_send_mail, *host.outside.smtp, mail, host.limits.mail_seconds)
    return Response(250)


def _send_mail(host: str, port: int, mail: EmailMessage, seconds: float) -> None:
    """Raises DeliveryError."""
    import smtplib

    try:
        with smtplib.SMTP(host, port, timeout=seconds) as server:
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        text = messages.SNS_MAIL_REFUSED.format(text=f"{error.smtp_code} {error.smtp_error!r}")
        raise DeliveryError("MailRefused", text, error.smtp_code < 500) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        text = messages.SNS_MAIL_REFUSED.format(text=f"{code} {words!r}")
        raise DeliveryError("MailRefused", text, code < 500) from None
    except (OSError, smtplib.SMTPException) as error:
        text = messages.SNS_MAIL_UNREACHABLE.format(text=error)
        raise DeliveryError("MailUnreachable", text) from None


async def _to_outbox(context: Context, message: Message, receiver: Document) -> Response:
    """A phone gets the plain text, a device the text for its platform."""
    protocol: str = receiver["Protocol"]
    platform = (
        receiver["Endpoint"].rpartition("endpoint/")[2].partition("/")[0]
        if protocol == "application"
        else protocol
    )
    text = notifications.text_for(message, platform)
    await context.outbox.put(protocol, receiver["Endpoint"], text, message)
    return Response(200)


SEND: Final[Mapping[str, Send]] = {
    "lambda": _to_function,
    "http": _to_url,
    "https": _to_url,
    "email": _to_mailbox,
    "email-json": _to_mailbox,
    "sms": _to_outbox,
    "application": _to_outbox,
}
