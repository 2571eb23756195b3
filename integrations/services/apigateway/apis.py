"""API Gateway's HTTP APIs: routes that start executions and call functions. Here are their
definitions; httpinvoke.py answers requests.

    httpapi/api/ID      one document: the API with its routes, integrations, stages and deployments

A stage that deploys by itself serves the API as it is; another one the deployment that it names,
which is a copy. WebSocket and REST APIs, authorizers but IAM's, models, domain names, VPC links and
integrations but AWS_PROXY are refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.invoke import SUBTYPES, Invoking, function_arn
from stepwell.integrations.services.apigateway.routes import (
    DEFAULT,
    RouteFault,
    compile_mapping,
    parse_key,
)
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.tables import Document, Table

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

_API: Final = (
    *(
        "ApiEndpoint",
        "ApiId",
        "ApiGatewayManaged",
        "ApiKeySelectionExpression",
        "CorsConfiguration",
        "CreatedDate",
        "Description",
    ),
    *(
        "DisableExecuteApiEndpoint",
        "Name",
        "ProtocolType",
        "RouteSelectionExpression",
        "Tags",
        "Version",
        "IpAddressType",
    ),
)
# what an API is made of -> (where it is kept, the member with its name, what is said of one that is
# not there)
_PARTS: Final = {
    "Route": ("Routes", "RouteId", messages.ROUTE_UNKNOWN),
    "Integration": ("Integrations", "IntegrationId", messages.INTEGRATION_UNKNOWN),
    "Stage": ("Stages", "StageName", messages.STAGE_UNKNOWN),
    "Deployment": ("Deployments", "DeploymentId", messages.DEPLOYMENT_UNKNOWN),
}
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_AUTHORIZATIONS: Final = ("NONE", "AWS_IAM")
_TIMEOUT_MS: Final = 30_000


class HttpApis(Invoking):
    """The operations of botocore's "apigatewayv2", as far as they are about HTTP APIs."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, Table("httpapi/api/"))
        self._new_uuid, self._lock = uuids(), asyncio.Lock()

    async def open(self) -> None:
        await self.apis.open(self.host.records)

    async def close(self) -> None: ...

    # --- APIs -------------------------------------------------------------------------------------

    async def create_api(self, name: str, protocol_type: str, **given: Any) -> Answer:
        if protocol_type != "HTTP":
            raise _bad(messages.API_PROTOCOL.format(type=protocol_type))
        target, key, credentials = (
            given.pop(each, None) for each in ("target", "route_key", "credentials_arn")
        )
        document = {
            "ApiId": self._id(10),
            "Name": name,
            "ProtocolType": protocol_type,
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "RouteSelectionExpression": "$request.method $request.path",
            "DisableExecuteApiEndpoint": False,
            "CreatedDate": self._now(),
            "Tags": {},
            **_members(given),
            **{kept: {} for kept, _, _ in _PARTS.values()},
        }
        _check_cors(document.get("CorsConfiguration"))
        if target is not None:  # an API with one route, made at one go
            integration = {
                "integration_type": "AWS_PROXY",
                "integration_uri": target,
                "payload_format_version": "2.0",
            }
            if credentials:
                integration["credentials_arn"] = credentials
            made = _integration(integration, self._id(7)) | {"ApiGatewayManaged": True}
            route = _route(
                {"route_key": key or DEFAULT, "target": f"integrations/{made['IntegrationId']}"},
                self._id(7),
                document,
                made,
            )
            stage = self._staged({"stage_name": DEFAULT, "auto_deploy": True}) | {
                "ApiGatewayManaged": True
            }
            document["Integrations"], document["Stages"] = (
                {made["IntegrationId"]: made},
                {DEFAULT: stage},
            )
            document["Routes"] = {route["RouteId"]: route | {"ApiGatewayManaged": True}}
        async with self._lock:
            if len(self.apis) >= self.host.limits.http_apis:
                raise ApiError("TooManyRequestsException", common_messages.LIMIT_EXCEEDED)
            await self._put(document)
        return self._shown(document)

    async def get_api(self, api_id: str) -> Answer:
        return self._shown(self._api(api_id))

    async def get_apis(
        self, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._page(
            "GetApis", [self._shown(each) for each in self.apis.sorted()], max_results, next_token
        )

    async def update_api(self, api_id: str, **given: Any) -> Answer:
        changes = _members(given)
        if refused := {"Target", "RouteKey", "CredentialsArn"} & changes.keys():
            raise _bad(messages.API_MEMBER.format(name=min(refused)))
        _check_cors(changes.get("CorsConfiguration"))
        async with self._lock:
            document = self._api(api_id) | changes
            await self._put(document)
        return self._shown(document)

    async def delete_api(self, api_id: str) -> Answer:
        async with self._lock:
            self._api(api_id)
            self.forget(api_id)
            await self.apis.delete(api_id)
        return {}

    async def delete_cors_configuration(self, api_id: str) -> Answer:
        async with self._lock:
            await self._put({**self._api(api_id), "CorsConfiguration": None})
        return {}

    # --- routes and integrations ------------------------------------------------------------------

    async def create_route(self, api_id: str, **given: Any) -> Answer:
        async with self._lock:
            api = self._api(api_id)
            self._room(api, "Routes", self.host.limits.http_routes)
            return await self._keep(api, "Route", _route(given, self._id(7), api))

    async def get_route(self, api_id: str, route_id: str) -> Answer:
        return self._part(api_id, "Route", route_id)[1]

    async def get_routes(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._parts(api_id, "Route", max_results, next_token)

    async def update_route(self, api_id: str, route_id: str, **given: Any) -> Answer:
        async with self._lock:
            api, held = self._part(api_id, "Route", route_id)
            return await self._keep(api, "Route", _route(given, route_id, api, old=held))

    async def delete_route(self, api_id: str, route_id: str) -> Answer:
        return await self._drop(api_id, "Route", route_id)

    async def create_integration(self, api_id: str, **given: Any) -> Answer:
        async with self._lock:
            api = self._api(api_id)
            self._room(api, "Integrations", self.host.limits.http_routes)
            return await self._keep(api, "Integration", _integration(given, self._id(7)))

    async def get_integration(self, api_id: str, integration_id: str) -> Answer:
        return self._part(api_id, "Integration", integration_id)[1]

    async def get_integrations(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._parts(api_id, "Integration", max_results, next_token)

    async def update_integration(self, api_id: str, integration_id: str, **given: Any) -> Answer:
        """Request parameters are added to those that it has; one that is given as "" is taken
        away.
        """
        async with self._lock:
            api, held = self._part(api_id, "Integration", integration_id)
            if "request_parameters" in given:
                merged = held.get("RequestParameters", {}) | given["request_parameters"]
                given["request_parameters"] = {
                    name: value for name, value in merged.items() if value != ""
                }
            return await self._keep(api, "Integration", _integration(given, integration_id, held))

    async def delete_integration(self, api_id: str, integration_id: str) -> Answer:
        used = [
            each["RouteKey"]
            for each in self._api(api_id)["Routes"].values()
            if each.get("Target") == f"integrations/{integration_id}"
        ]
        if used:
            raise ApiError(
                "ConflictException",
                messages.INTEGRATION_USED.format(id=integration_id, route=used[0]),
            )
        return await self._drop(api_id, "Integration", integration_id)

    # --- stages and deployments -------------------------------------------------------------------

    async def create_stage(self, api_id: str, stage_name: str, **given: Any) -> Answer:
        async with self._lock:
            api = self._api(api_id)
            if stage_name in api["Stages"]:
                raise ApiError("ConflictException", messages.STAGE_EXISTS)
            self._room(api, "Stages", self.host.limits.http_stages)
            return await self._keep(
                api, "Stage", self._staged({"stage_name": stage_name, **given}, api)
            )

    async def get_stage(self, api_id: str, stage_name: str) -> Answer:
        return self._part(api_id, "Stage", stage_name)[1]

    async def get_stages(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._parts(api_id, "Stage", max_results, next_token)

    async def update_stage(self, api_id: str, stage_name: str, **given: Any) -> Answer:
        async with self._lock:
            api, held = self._part(api_id, "Stage", stage_name)
            return await self._keep(api, "Stage", self._staged(given, api, held))

    async def delete_stage(self, api_id: str, stage_name: str) -> Answer:
        return await self._drop(api_id, "Stage", stage_name)

    async def create_deployment(
        self, api_id: str, description: str | None = None, stage_name: str | None = None
    ) -> Answer:
        """A copy of what the API is now. Of the oldest that no stage names, those beyond the limit
        go.
        """
        async with self._lock:
            api = self._api(api_id)
            if stage_name is not None and api["Stages"].get(stage_name, {}).get("AutoDeploy"):
                raise _bad(messages.DEPLOYMENT_AUTO)
            made: Document = {
                "DeploymentId": self._id(6),
                "CreatedDate": self._now(),
                "DeploymentStatus": "DEPLOYED",
            }
            made["AutoDeployed"] = False
            made |= {"Description": description} if description is not None else {}
            copy = {name: api.get(name) for name in ("Routes", "Integrations", "CorsConfiguration")}
            stages = dict(api["Stages"])
            if stage_name is not None:
                if stage_name not in stages:
                    raise ApiError(
                        "NotFoundException", messages.STAGE_UNKNOWN.format(id=stage_name)
                    )
                stages[stage_name] = stages[stage_name] | {
                    "DeploymentId": made["DeploymentId"],
                    "LastUpdatedDate": self._now(),
                }
            named = {each.get("DeploymentId") for each in stages.values()}
            held = {**api["Deployments"], made["DeploymentId"]: {**made, "copy": copy}}
            spare = [id for id in held if id not in named and id != made["DeploymentId"]]
            for id in spare[: max(0, len(held) - self.host.limits.http_deployments)]:
                del held[id]
            await self._put({**api, "Stages": stages, "Deployments": held})
        return made

    async def get_deployment(self, api_id: str, deployment_id: str) -> Answer:
        return self._part(api_id, "Deployment", deployment_id)[1]

    async def get_deployments(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._parts(api_id, "Deployment", max_results, next_token)

    async def delete_deployment(self, api_id: str, deployment_id: str) -> Answer:
        if any(
            each.get("DeploymentId") == deployment_id
            for each in self._api(api_id)["Stages"].values()
        ):
            raise _bad(messages.DEPLOYMENT_USED)
        return await self._drop(api_id, "Deployment", deployment_id)

    # --- tags -------------------------------------------------------------------------------------

    async def get_tags(self, resource_arn: str) -> Answer:
        return {"Tags": self._tagged(resource_arn)[1]["Tags"]}

    async def tag_resource(
        self, resource_arn: str, tags: Mapping[str, str] | None = None
    ) -> Answer:
        await self._retag(resource_arn, lambda held: {**held, **(tags or {})})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        await self._retag(
            resource_arn,
            lambda held: {key: value for key, value in held.items() if key not in tag_keys},
        )
        return {}

    async def _retag(self, arn: str, change: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
        async with self._lock:
            api, stage = self._tagged(arn)
            tags = change(stage["Tags"])
            if len(tags) > self.host.limits.tags:
                raise _bad(common_messages.LIMIT_EXCEEDED)
            if stage is api:
                await self._put({**api, "Tags": tags})
            else:
                await self._keep(api, "Stage", {**stage, "Tags": tags})

    def _tagged(self, arn: str) -> tuple[Document, Document]:
        """The API, and what of it has the tags: itself, or for `.../apis/ID/stages/NAME` the stage.
        Raises ApiError.
        """
        id, _, stage = arn.partition("/apis/")[2].partition("/stages/")
        return self._part(id, "Stage", stage) if stage else (self._api(id), self._api(id))

    # --- what they share --------------------------------------------------------------------------

    def _now(self) -> float:
        return self.host.clock.now() / 1000

    def _id(self, length: int) -> str:
        number, text = int(self._new_uuid().replace("-", ""), 16), ""
        while len(text) < length:
            number, digit = divmod(number, len(_DIGITS))
            text += _DIGITS[digit]
        return text

    def _shown(self, api: Document) -> Answer:
        return shown({**api, "ApiEndpoint": self.endpoint(api["ApiId"])}, _API)

    def _api(self, id: str) -> Document:
        found = self.apis.get(id)
        if found is None:
            raise ApiError(
                "NotFoundException",
                messages.API_UNKNOWN.format(account=self.host.home.account, id=id),
            )
        return found

    async def _put(self, api: Document) -> None:
        await self.apis.put(api["ApiId"], api)
        self.forget(api["ApiId"])

    def _room(self, api: Document, kept: str, most: int) -> None:
        if len(api[kept]) >= most:
            raise ApiError("TooManyRequestsException", common_messages.LIMIT_EXCEEDED)

    def _part(self, api_id: str, kind: str, id: str) -> tuple[Document, Document]:
        """(API, part)"""
        kept, _, unknown = _PARTS[kind]
        api = self._api(api_id)
        if id not in api[kept]:
            raise ApiError("NotFoundException", unknown.format(id=id))
        return api, api[kept][id]

    def _parts(self, api_id: str, kind: str, size: str | None, next_token: str | None) -> Answer:
        return self._page(
            f"Get{kind}s/{api_id}",
            list(self._api(api_id)[_PARTS[kind][0]].values()),
            size,
            next_token,
        )

    async def _keep(self, api: Document, kind: str, part: Document) -> Answer:
        kept, name, _ = _PARTS[kind]
        await self._put({**api, kept: {**api[kept], part[name]: part}})
        return part

    async def _drop(self, api_id: str, kind: str, id: str) -> Answer:
        async with self._lock:
            api, _ = self._part(api_id, kind, id)
            kept = _PARTS[kind][0]
            await self._put(
                {**api, kept: {name: part for name, part in api[kept].items() if name != id}}
            )
        return {}

    def _page(
        self, question: str, items: list[Any], size: str | None, next_token: str | None
    ) -> Answer:
        if size is not None and not (size.isascii() and size.isdigit() and len(size) < 9):
            raise _bad(messages.API_MAX_RESULTS)
        most = paging.size(
            int(size) if size else None, self.host.limits.list_page, self.host.limits
        )
        (begin,) = self.host.pages.read([question], next_token) or (0,)
        more = (
            {"NextToken": self.host.pages.token([question], begin + most)}
            if len(items) > begin + most
            else {}
        )
        return {"Items": items[begin : begin + most], **more}

    def _staged(
        self, given: Mapping[str, Any], api: Document | None = None, held: Document | None = None
    ) -> Document:
        new = {
            "CreatedDate": self._now(),
            "AutoDeploy": False,
            "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        }
        new |= {"RouteSettings": {}, "StageVariables": {}, "Tags": {}}
        stage: Document = {**(held or new), **_members(given), "LastUpdatedDate": self._now()}
        id = stage.get("DeploymentId")
        if id is not None and (api is None or id not in api["Deployments"]):
            raise _bad(messages.DEPLOYMENT_UNKNOWN.format(id=id))
        return stage


# --- reading what is given ------------------------------------------------------------------------


def _bad(text: str) -> ApiError:
    return ApiError("BadRequestException", text)


def _members(given: Mapping[str, Any]) -> Document:
    """Keyword arguments by the names that the model has for them."""
    return {
        "".join(part.capitalize() for part in name.split("_")): value
        for name, value in given.items()
        if value is not None
    }


def _check_cors(cors: Mapping[str, Any] | None) -> None:
    if cors and cors.get("AllowCredentials") and "*" in (cors.get("AllowOrigins") or ()):
        raise _bad(messages.CORS_CREDENTIALS)


def _route(
    given: Mapping[str, Any],
    id: str,
    api: Document,
    new: Document | None = None,
    old: Document | None = None,
) -> Document:
    """new: an integration that is not in the API yet; old: the route that is changed."""
    route: Document = {
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        **(old or {}),
        **_members(given),
        "RouteId": id,
    }
    route.pop("ApiId", None)
    try:
        parse_key(route["RouteKey"])
    except RouteFault as fault:
        raise _bad(str(fault)) from None
    if route["AuthorizationType"] not in _AUTHORIZATIONS:
        raise _bad(messages.ROUTE_AUTHORIZATION.format(type=route["AuthorizationType"]))
    if any(
        each["RouteKey"] == route["RouteKey"] and each["RouteId"] != id
        for each in api["Routes"].values()
    ):
        raise ApiError("ConflictException", messages.ROUTE_EXISTS.format(key=route["RouteKey"]))
    target = route.get("Target")
    if target is not None:
        kind, _, integration = target.partition("/")
        if kind != "integrations" or (integration not in api["Integrations"] and new is None):
            raise _bad(messages.ROUTE_TARGET.format(target=target))
    return route


def _integration(given: Mapping[str, Any], id: str, held: Document | None = None) -> Document:
    made: Document = {
        "ConnectionType": "INTERNET",
        "TimeoutInMillis": _TIMEOUT_MS,
        **(held or {}),
        **_members(given),
        "IntegrationId": id,
    }
    made.pop("ApiId", None)
    if made.get("IntegrationType") != "AWS_PROXY" or made["ConnectionType"] != "INTERNET":
        raise _bad(messages.INTEGRATION_TYPE.format(type=made.get("IntegrationType")))
    subtype = made.get("IntegrationSubtype")
    made.setdefault("PayloadFormatVersion", "1.0")
    if subtype is None:
        if function_arn(made.get("IntegrationUri") or "") is None:
            raise _bad(messages.INTEGRATION_URI)
        made.setdefault("IntegrationMethod", "POST")
        if made["PayloadFormatVersion"] not in ("1.0", "2.0"):
            raise _bad(messages.PAYLOAD_FORMAT)
        return made
    if subtype not in SUBTYPES:
        raise _bad(messages.INTEGRATION_SUBTYPE.format(subtype=subtype))
    call = SUBTYPES[subtype]
    if made["PayloadFormatVersion"] != "1.0":
        raise _bad(messages.PAYLOAD_FORMAT)
    parameters = made.get("RequestParameters") or {}
    for name in call.required:
        if name not in parameters:
            raise _bad(messages.API_PARAMETER_MISSING.format(name=name))
    for name, text in parameters.items():
        if name not in (*call.required, *call.optional, "Region"):
            raise _bad(messages.API_PARAMETER_UNKNOWN.format(name=name, subtype=subtype))
        try:
            compile_mapping(text)
        except RouteFault as fault:
            raise _bad(str(fault)) from None
    return made
