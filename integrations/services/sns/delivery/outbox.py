"""Messages that are kept instead of sent: to phones and devices, and mail without a mail server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from stepwell.engine.runtime.records import Records
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.sns.notifications import Message

log: Final = logging.getLogger("stepwell.sns")

Provider = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Sends {"protocol", "endpoint", "message", "subject", "id", "topic", "at" (epoch ms)}."""


class Outbox:
    """The records sns/outbox/MILLISECONDS/ID: the latest `limits.outbox` messages.

    providers  protocol -> the function of a library's user that sends its messages instead
    """

    def __init__(self, host: Host) -> None:
        self._host, self._table = host, Table("sns/outbox/")
        self.providers: dict[str, Provider] = {}

    async def open(self, records: Records) -> None:
        self._records = records
        await self._table.open(records)

    def kept(self) -> list[Document]:
        """The messages as a Provider gets them, the oldest first."""
        return self._table.sorted()

    async def put(self, protocol: str, endpoint: str, text: str, message: Message) -> None:
        document = {
            "protocol": protocol,
            "endpoint": endpoint,
            "message": text,
            "subject": message.get("subject"),
            "id": message["id"],
            "topic": message["topic"],
            "at": message["at"],
        }
        if protocol in self.providers:
            await self.providers[protocol](document)
            return
        key = f"{self._host.clock.now():013d}/{message['id']}/{endpoint}"
        await self._records.commit(self._table.bounded(key, document, self._host.limits.outbox))
        log.info("%s to %s is in the outbox: no provider sends it", protocol, endpoint)
