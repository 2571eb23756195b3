"""The operations on integrations of HTTP APIs: what a route calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.parameter_mappings import (
    MappingError,
    compile_mapping,
)
from stepwell.integrations.services.apigateway.store import (
    INTEGRATION,
    ApiStore,
    bad_request,
    members,
)
from stepwell.integrations.services.apigateway.subtypes import SUBTYPES
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document

_TIMEOUT_MS: Final = 30_000
_FUNCTION_URI: Final = re.compile(
    r"(?:arn:[a-z-]+:apigateway:[a-z0-9-]*:lambda:path/2015-03-31/functions/)?(arn:[a-z-]+:lambda:[^/]+?)(?:/invocations)?\Z"
)


def function_arn(uri: str) -> str | None:
    """The function of an integration's URI, which is its ARN or API Gateway's URI of it; None if it
    is neither.
    """
    match = _FUNCTION_URI.match(uri)
    return match[1] if match else None


class Integrations:
    def __init__(self, store: ApiStore) -> None:
        self._store = store

    async def create_integration(self, /, api_id: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            api = self._store.api(api_id)
            self._store.check_room(len(api["Integrations"]), self._store.host.limits.http_routes)
            integration = integration_document(parameters, self._store.new_id(7))
            return await self._store.put_part(api, INTEGRATION, integration)

    async def get_integration(self, api_id: str, integration_id: str) -> Answer:
        return self._store.part(api_id, INTEGRATION, integration_id)[1]

    async def get_integrations(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._store.part_page(api_id, INTEGRATION, max_results, next_token)

    async def update_integration(
        self, /, api_id: str, integration_id: str, **parameters: Any
    ) -> Answer:
        """Request parameters are merged with the existing ones; the value "" removes one."""
        async with self._store.lock:
            api, before = self._store.part(api_id, INTEGRATION, integration_id)
            if "request_parameters" in parameters:
                merged = before.get("RequestParameters", {}) | parameters["request_parameters"]
                parameters["request_parameters"] = {
                    name: value for name, value in merged.items() if value != ""
                }
            integration = integration_document(parameters, integration_id, before)
            return await self._store.put_part(api, INTEGRATION, integration)

    async def delete_integration(self, api_id: str, integration_id: str) -> Answer:
        routes = [
            each["RouteKey"]
            for each in self._store.api(api_id)["Routes"].values()
            if each.get("Target") == f"integrations/{integration_id}"
        ]
        if routes:
            raise ApiError(
                "ConflictException",
                messages.INTEGRATION_USED.format(id=integration_id, route=routes[0]),
            )
        await self._store.delete_part(api_id, INTEGRATION, integration_id)
        return {}


def integration_document(
    parameters: Mapping[str, Any], id: str, before: Document | None = None
) -> Document:
    """A new integration, or the changed version of one. Raises ApiError."""
    integration: Document = {
        "ConnectionType": "INTERNET",
        "TimeoutInMillis": _TIMEOUT_MS,
        **(before or {}),
        **members(parameters),
        "IntegrationId": id,
    }
    integration.pop("ApiId", None)
    type = integration.get("IntegrationType")
    if type != "AWS_PROXY" or integration["ConnectionType"] != "INTERNET":
        raise bad_request(messages.INTEGRATION_TYPE.format(type=type))
    integration.setdefault("PayloadFormatVersion", "1.0")
    if integration.get("IntegrationSubtype") is None:
        if function_arn(integration.get("IntegrationUri") or "") is None:
            raise bad_request(messages.INTEGRATION_URI)
        integration.setdefault("IntegrationMethod", "POST")
        if integration["PayloadFormatVersion"] not in ("1.0", "2.0"):
            raise bad_request(messages.PAYLOAD_FORMAT)
    else:
        _check_service_call(integration)
    return integration


def _check_service_call(integration: Document) -> None:
    """Raises ApiError."""
    name = integration["IntegrationSubtype"]
    if name not in SUBTYPES:
        raise bad_request(messages.INTEGRATION_SUBTYPE.format(subtype=name))
    subtype = SUBTYPES[name]
    if integration["PayloadFormatVersion"] != "1.0":
        raise bad_request(messages.PAYLOAD_FORMAT)
    parameters = integration.get("RequestParameters") or {}
    for each in subtype.required:
        if each not in parameters:
            raise bad_request(messages.API_PARAMETER_MISSING.format(name=each))
    for each, text in parameters.items():
        if each not in (*subtype.required, *subtype.optional, "Region"):
            raise bad_request(messages.API_PARAMETER_UNKNOWN.format(name=each, subtype=name))
        try:
            compile_mapping(text)
        except MappingError as error:
            raise bad_request(str(error)) from None
