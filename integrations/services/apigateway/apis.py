"""The operations on HTTP APIs themselves, and on the tags of APIs and stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.integrations import integration_document
from stepwell.integrations.services.apigateway.route_keys import DEFAULT
from stepwell.integrations.services.apigateway.routes import route_document
from stepwell.integrations.services.apigateway.stages import stage_document
from stepwell.integrations.services.apigateway.store import (
    PARTS,
    STAGE,
    ApiStore,
    bad_request,
    members,
)
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.tables import Document

_SHOWN: Final = (
    "ApiEndpoint", "ApiId", "ApiGatewayManaged", "ApiKeySelectionExpression", "CorsConfiguration",
    "CreatedDate", "Description", "DisableExecuteApiEndpoint", "Name", "ProtocolType",
    "RouteSelectionExpression", "Tags", "Version", "IpAddressType",
)  # fmt: skip
_QUICK_CREATE: Final = ("target", "route_key", "credentials_arn")


class Apis:
    def __init__(self, store: ApiStore) -> None:
        self._store = store

    async def create_api(self, /, name: str, protocol_type: str, **parameters: Any) -> Answer:
        if protocol_type != "HTTP":
            raise bad_request(messages.API_PROTOCOL.format(type=protocol_type))
        target, route_key, credentials = (parameters.pop(each, None) for each in _QUICK_CREATE)
        api = {
            "ApiId": self._store.new_id(10),
            "Name": name,
            "ProtocolType": protocol_type,
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "RouteSelectionExpression": "$request.method $request.path",
            "DisableExecuteApiEndpoint": False,
            "CreatedDate": self._store.now(),
            "Tags": {},
            **members(parameters),
            **{part.collection: {} for part in PARTS},
        }
        _check_cors(api.get("CorsConfiguration"))
        if target is not None:
            api |= self._quick_create(api, target, route_key or DEFAULT, credentials)
        async with self._store.lock:
            self._store.check_room(len(self._store.apis), self._store.host.limits.http_apis)
            await self._store.put(api)
        return self._shown(api)

    def _quick_create(
        self, api: Document, target: str, route_key: str, credentials: str | None
    ) -> Document:
        """An integration of `target`, a route to it, and the stage $default. Raises ApiError."""
        managed = {"ApiGatewayManaged": True}
        integration = integration_document(
            {
                "integration_type": "AWS_PROXY",
                "integration_uri": target,
                "payload_format_version": "2.0",
                "credentials_arn": credentials or None,
            },
            self._store.new_id(7),
        )
        id = integration["IntegrationId"]
        integrations = {id: integration | managed}
        route = route_document(
            {"route_key": route_key, "target": f"integrations/{id}"},
            self._store.new_id(7),
            {**api, "Integrations": integrations},
        )
        stage = stage_document({"stage_name": DEFAULT, "auto_deploy": True}, api, self._store.now())
        return {
            "Integrations": integrations,
            "Stages": {DEFAULT: stage | managed},
            "Routes": {route["RouteId"]: route | managed},
        }

    async def get_api(self, api_id: str) -> Answer:
        return self._shown(self._store.api(api_id))

    async def get_apis(
        self, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        apis = [self._shown(each) for each in self._store.apis.sorted()]
        return self._store.page("GetApis", apis, max_results, next_token)

    async def update_api(self, /, api_id: str, **parameters: Any) -> Answer:
        changes = members(parameters)
        if rejected := members({name: parameters.get(name) for name in _QUICK_CREATE}):
            raise bad_request(messages.API_MEMBER.format(name=min(rejected)))
        _check_cors(changes.get("CorsConfiguration"))
        async with self._store.lock:
            api = self._store.api(api_id) | changes
            await self._store.put(api)
        return self._shown(api)

    async def delete_api(self, api_id: str) -> Answer:
        async with self._store.lock:
            self._store.api(api_id)
            await self._store.delete(api_id)
        return {}

    async def delete_cors_configuration(self, api_id: str) -> Answer:
        async with self._store.lock:
            await self._store.put({**self._store.api(api_id), "CorsConfiguration": None})
        return {}

    def _shown(self, api: Document) -> Answer:
        return shown({**api, "ApiEndpoint": self._store.endpoint(api["ApiId"])}, _SHOWN)

    # --- tags -------------------------------------------------------------------------------------

    async def get_tags(self, resource_arn: str) -> Answer:
        return {"Tags": self._tagged(resource_arn)[1]["Tags"]}

    async def tag_resource(
        self, resource_arn: str, tags: Mapping[str, str] | None = None
    ) -> Answer:
        await self._change_tags(resource_arn, lambda before: {**before, **(tags or {})})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        await self._change_tags(
            resource_arn,
            lambda before: {key: value for key, value in before.items() if key not in tag_keys},
        )
        return {}

    async def _change_tags(
        self, arn: str, change: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> None:
        async with self._store.lock:
            api, tagged = self._tagged(arn)
            tags = change(tagged["Tags"])
            if len(tags) > self._store.host.limits.tags:
                raise bad_request(common_messages.LIMIT_EXCEEDED)
            if tagged is api:
                await self._store.put({**api, "Tags": tags})
            else:
                await self._store.put_part(api, STAGE, {**tagged, "Tags": tags})

    def _tagged(self, arn: str) -> tuple[Document, Document]:
        """(API, the resource of an ARN): the API itself, or for `.../apis/ID/stages/NAME` its
        stage. Raises ApiError.
        """
        id, _, stage = arn.partition("/apis/")[2].partition("/stages/")
        if stage:
            return self._store.part(id, STAGE, stage)
        api = self._store.api(id)
        return api, api


def _check_cors(cors: Mapping[str, Any] | None) -> None:
    if cors and cors.get("AllowCredentials") and "*" in (cors.get("AllowOrigins") or ()):
        raise bad_request(messages.CORS_CREDENTIALS)
