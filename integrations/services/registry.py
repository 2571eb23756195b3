"""The embedded services: which exist, when they are opened and closed. A new one is a folder beside
this file and a line in the table.

Each is a class like the Engine: its async methods are the operations of botocore's model (PutEvents
is `put_events`, its members are keyword parameters). It also has

    __init__(host: Host)
    open() -> None       load its state; called before the engine starts to work
    close() -> None
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, Final

from stepwell.integrations.host import Host
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.common.delivery_log import DeliveryLog

PACKAGE: Final = "stepwell.integrations.services"
# botocore's name -> module, class
TABLE: Final[Mapping[str, tuple[str, str]]] = {
    "events": ("events.service", "EventBridge"),
    "scheduler": ("scheduler.service", "Scheduler"),
    "sqs": ("sqs.service", "Sqs"),
    "lambda": ("lambda_.service", "Lambda"),
    "sns": ("sns.service", "Sns"),
    "apigatewayv2": ("apigateway.service", "HttpApis"),
    "iot": ("iot.service", "Iot"),
    "iot-data": ("iot.service", "IotData"),
}


class Services:
    """The embedded services of one engine. Each is opened once: with the engine, or on its first
    use.

    elsewhere  of a shard that is not home: the operations of the services, carried out at home.
               Then none is opened here
    """

    elsewhere: Mapping[str, Any] | None = None

    def __init__(
        self,
        table: Mapping[str, tuple[str, str]] = TABLE,
        most_deliveries: int = DEFAULT_LIMITS.deliveries_remembered,
    ) -> None:
        self._table = table
        self.delivery_log = DeliveryLog(most_deliveries)
        self._host: Host | None = None
        self._opening: dict[str, asyncio.Task[Any]] = {}

    def connect(self, host: Host) -> None:
        self._host = host

    def __contains__(self, name: str) -> bool:
        return name in self._table

    async def get(self, name: str) -> Any:
        """The service of that name, open. Raises KeyError, and StoreError."""
        if self.elsewhere is not None:
            return self.elsewhere[name]
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._open(*self._table[name]))
        return await asyncio.shield(task)

    def opened(self, name: str) -> Any:
        """The service of that name if it is open by now, else None."""
        task = self._opening.get(name)
        return (
            task.result() if task is not None and task.done() and task.exception() is None else None
        )

    async def _open(self, module: str, name: str) -> Any:
        assert self._host is not None, "connect() comes first"
        assert self._host.at_home, "the services are on another shard"
        service = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)(self._host)
        await service.open()
        return service

    async def open(self) -> dict[str, Any]:
        """All that are opened here, by name."""
        if self.elsewhere is not None:
            return {}
        return {name: await self.get(name) for name in self._table}

    async def close(self) -> None:
        for opened in await asyncio.gather(*self._opening.values(), return_exceptions=True):
            if not isinstance(opened, BaseException):  # a failed open() was already raised
                await opened.close()
        self._opening.clear()
