"""The operations on routes of HTTP APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.route_keys import RouteKeyError, parse_key
from stepwell.integrations.services.apigateway.store import ROUTE, ApiStore, bad_request, members
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document

_AUTHORIZATIONS: Final = ("NONE", "AWS_IAM")


class Routes:
    def __init__(self, store: ApiStore) -> None:
        self._store = store

    async def create_route(self, /, api_id: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            api = self._store.api(api_id)
            self._store.check_room(len(api["Routes"]), self._store.host.limits.http_routes)
            route = route_document(parameters, self._store.new_id(7), api)
            return await self._store.put_part(api, ROUTE, route)

    async def get_route(self, api_id: str, route_id: str) -> Answer:
        return self._store.part(api_id, ROUTE, route_id)[1]

    async def get_routes(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._store.part_page(api_id, ROUTE, max_results, next_token)

    async def update_route(self, /, api_id: str, route_id: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            api, before = self._store.part(api_id, ROUTE, route_id)
            route = route_document(parameters, route_id, api, before)
            return await self._store.put_part(api, ROUTE, route)

    async def delete_route(self, api_id: str, route_id: str) -> Answer:
        await self._store.delete_part(api_id, ROUTE, route_id)
        return {}


def route_document(
    parameters: Mapping[str, Any], id: str, api: Document, before: Document | None = None
) -> Document:
    """A new route of an API, or the changed version of one. Raises ApiError."""
    route: Document = {
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        **(before or {}),
        **members(parameters),
        "RouteId": id,
    }
    route.pop("ApiId", None)
    try:
        parse_key(route["RouteKey"])
    except RouteKeyError as error:
        raise bad_request(str(error)) from None
    if route["AuthorizationType"] not in _AUTHORIZATIONS:
        raise bad_request(messages.ROUTE_AUTHORIZATION.format(type=route["AuthorizationType"]))
    if any(
        each["RouteKey"] == route["RouteKey"] and each["RouteId"] != id
        for each in api["Routes"].values()
    ):
        raise ApiError("ConflictException", messages.ROUTE_EXISTS.format(key=route["RouteKey"]))
    target = route.get("Target")
    if target is not None:
        kind, _, integration = target.partition("/")
        if kind != "integrations" or integration not in api["Integrations"]:
            raise bad_request(messages.ROUTE_TARGET.format(target=target))
    return route
