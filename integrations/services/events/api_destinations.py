"""API destinations: HTTP endpoints that rules deliver to, each with a connection.

events/destination/NAME
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from stepwell.asl.json_text import dumps, loads
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.http_client import ForbiddenError, UnreachableError
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.connections import (
    Connections,
    connection_name,
    with_query,
)
from stepwell.integrations.services.events.store import BusStore

_SHOWN: Final = (
    "ApiDestinationArn", "Name", "Description", "ApiDestinationState", "ConnectionArn",
    "InvocationEndpoint", "HttpMethod", "InvocationRateLimitPerSecond", "CreationTime",
    "LastModifiedTime",
)  # fmt: skip
_CHANGED: Final = ("ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime")
# parameter -> member
_SETTINGS: Final = {
    "description": "Description",
    "connection_arn": "ConnectionArn",
    "invocation_endpoint": "InvocationEndpoint",
    "http_method": "HttpMethod",
    "invocation_rate_limit_per_second": "InvocationRateLimitPerSecond",
}
_DEFAULT_RATE: Final = 300  # calls a second
_RETRIED: Final = (
    401,
    407,
    409,
    429,
)  # and 5xx: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html


class ApiDestinations:
    def __init__(self, store: BusStore, connections: Connections) -> None:
        self._store, self._connections = store, connections
        self._destinations = Table("events/destination/")
        self._next_calls: dict[str, int] = {}  # destination -> when its rate allows a call, ms

    async def open(self) -> None:
        await self._destinations.open(self._store.records)

    async def create_api_destination(
        self,
        /,
        name: str,
        connection_arn: str,
        invocation_endpoint: str,
        http_method: str,
        **parameters: Any,
    ) -> Answer:
        async with self._store.lock:
            if name in self._destinations:
                raise ApiError(
                    "ResourceAlreadyExistsException", messages.DESTINATION_EXISTS.format(name=name)
                )
            self._store.check_room(
                len(self._destinations), self._store.host.limits.api_destinations
            )
            self._connections.find(connection_name(connection_arn))
            at, id = self._store.now(), self._store.new_id()
            destination: Document = {
                "ApiDestinationArn": self._store.arn(f"api-destination/{name}/{id}"),
                "Name": name,
                "ApiDestinationState": "ACTIVE",
                "ConnectionArn": connection_arn,
                "InvocationEndpoint": invocation_endpoint,
                "HttpMethod": http_method,
                "CreationTime": at,
                "LastModifiedTime": at,
                **_settings(parameters),
            }
            await self._destinations.put(name, destination)
        return shown(destination, _CHANGED)

    async def update_api_destination(self, /, name: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            destination = {
                **self._destination(name),
                **_settings(parameters),
                "LastModifiedTime": self._store.now(),
            }
            self._connections.find(connection_name(destination["ConnectionArn"]))
            await self._destinations.put(name, destination)
        return shown(destination, _CHANGED)

    async def describe_api_destination(self, name: str) -> Answer:
        return shown(self._destination(name), _SHOWN)

    async def list_api_destinations(
        self,
        name_prefix: str = "",
        connection_arn: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        destinations = [
            each
            for each in self._destinations.sorted(name_prefix)
            if connection_arn in (None, each["ConnectionArn"])
        ]
        items, more = self._store.page(
            "ListApiDestinations", [name_prefix, connection_arn], destinations, limit, next_token
        )
        names = [name for name in _SHOWN if name != "Description"]
        return {"ApiDestinations": [shown(each, names) for each in items], **more}

    async def delete_api_destination(self, name: str) -> Answer:
        async with self._store.lock:
            self._destination(name)
            await self._destinations.delete(name)
            self._next_calls.pop(name, None)
        return {}

    def _destination(self, name: str) -> Document:
        """Raises ApiError."""
        destination = self._destinations.get(name)
        if destination is None:
            raise ApiError(
                "ResourceNotFoundException", messages.DESTINATION_UNKNOWN.format(name=name)
            )
        return destination

    async def invoke_destination(self, arn: str, target: Mapping[str, Any], payload: str) -> None:
        """Send a payload (JSON text) to an API destination. Raises DeliveryError, ApiError."""
        destination = self._destination(arn.split("/")[1])
        self._check_rate(destination)
        parameters = target.get("HttpParameters") or {}
        try:
            credentials = await self._connections.credentials(destination["ConnectionArn"])
            url = destination["InvocationEndpoint"]
            for value in parameters.get("PathParameterValues") or []:
                url = url.replace("*", quote(value, safe=""), 1)
            query = parameters.get("QueryStringParameters") or {}
            url = with_query(url, [*query.items(), *credentials.query])
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Amazon/EventBridge/ApiDestinations",
                **(parameters.get("HeaderParameters") or {}),
                **credentials.headers,
            }
            body = _with_members(payload, credentials.body).encode()
            seconds = self._store.host.limits.destination_seconds
            answer = await self._store.host.outside.deliveries.send(
                destination["HttpMethod"], url, headers, body, seconds
            )
        except ForbiddenError as error:
            raise DeliveryError("SDK_CLIENT_ERROR", str(error), False) from None
        except UnreachableError as error:
            raise DeliveryError("TIMEOUT", str(error)) from None
        if answer.status == 401:
            self._connections.forget_token(destination["ConnectionArn"])
        if answer.status >= 300:
            again = answer.status in _RETRIED or answer.status >= 500
            code = "THROTTLING" if answer.status == 429 else "SDK_CLIENT_ERROR"
            raise DeliveryError(
                code, messages.DESTINATION_STATUS.format(status=answer.status), again
            )

    def _check_rate(self, destination: Document) -> None:
        """Raises DeliveryError if a call would exceed InvocationRateLimitPerSecond."""
        rate = destination.get("InvocationRateLimitPerSecond") or _DEFAULT_RATE
        name, now = destination["Name"], self._store.host.clock.now()
        next_call = max(self._next_calls.get(name, 0), now - 1000)  # bursts of one second's calls
        if next_call > now:
            raise DeliveryError("THROTTLING", engine_messages.THROTTLED)
        self._next_calls[name] = next_call + max(1, 1000 // rate)


def _settings(parameters: Mapping[str, Any]) -> Document:
    return {_SETTINGS[name]: value for name, value in parameters.items() if name in _SETTINGS}


def _with_members(payload: str, members: Mapping[str, str]) -> str:
    """payload: JSON text. An object gets the members of the connection; other values do not."""
    if not members:
        return payload
    value = loads(payload)
    return dumps({**value, **members}) if isinstance(value, dict) else payload
