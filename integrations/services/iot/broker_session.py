"""The session at the MQTT broker: its client id, and the filters that it is subscribed to.

    iot/broker    {"client": id, "filters": [...]}

The broker keeps the subscriptions of a session. Their filters are therefore stored before they are
sent, and until the broker has confirmed the end of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from stepwell.engine.ids import uuids
from stepwell.integrations.services.common.tables import document_of, pack

if TYPE_CHECKING:
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.iot.broker import Address, Broker, Received

_KEY: Final = "iot/broker"


class BrokerSession:
    """broker: None until `connect`."""

    def __init__(self, host: Host) -> None:
        self._host, self._new_id = host, uuids()
        self.broker: Broker | None = None

    async def connect(
        self,
        address: Address,
        filters: set[str],
        store: Callable[[Sequence[Received]], Awaitable[None]],
    ) -> None:
        """Receive messages of these filters from a broker, under the client id of this database."""
        from stepwell.integrations.services.iot.broker import Broker  # imported late: so is paho

        self._records = self._host.records
        data = await self._records.get(_KEY)
        session = (document_of(_KEY, data) if data is not None else None) or {
            "client": f"stepwell-{self._new_id()}",
            "filters": [],
        }
        subscribed = set(session["filters"])
        self._client_id, self._subscribed = session["client"], subscribed | filters
        await self._save()  # before the broker knows the client id: its session has no other name
        self.broker = Broker(
            address, self._client_id, store, self._host.limits, self._host.supervisor
        )
        await self.broker.open(filters, subscribed)

    async def close(self) -> None:
        if self.broker is not None:
            await self.broker.close()

    async def subscribe(self, filters: set[str]) -> None:
        """Receive messages of these filters, and of no others. Only after `connect`."""
        assert self.broker is not None
        if filters == self._subscribed:
            return
        self._subscribed |= filters
        await self._save()
        if await self.broker.subscribe(filters):
            self._subscribed = filters
            await self._save()

    async def _save(self) -> None:
        await self._records.write(
            {_KEY: pack({"client": self._client_id, "filters": sorted(self._subscribed)})}
        )
