"""SNS: topics (topics.py), subscriptions (subscriptions.py), messages (publishing.py), phones and devices (mobile.py), and the way of a
message to its subscribers (sending.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from stepwell.integrations.services.sns.mobile import Mobile
from stepwell.integrations.services.sns.topics import Topics


class Sns(Topics, Mobile):
    """The operations of botocore's "sns" that are served here, and for who uses it as a library:

    sender.outbox.kept()     what was sent to phones, devices and (without a mail server) to people
    sender.outbox.providers  "sms", "application", "email" or "email-json" -> `async def carry(parcel)`, instead of the outbox
    certificate()            of the key that messages are signed with: PEM
    """

    @property
    def routes(self) -> Mapping[str, Callable[..., Awaitable[None]]]:
        """What a server shows besides the operations: path -> ASGI application."""
        return {self.sender.signer.path: self._show_certificate}

    async def certificate(self) -> str:
        await self.sender.signer.ready(self.now())
        return self.sender.signer.certificate

    async def _show_certificate(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        body = (await self.certificate()).encode()
        headers = [(b"content-type", b"application/x-pem-file"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
