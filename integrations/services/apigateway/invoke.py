"""Requests to HTTP APIs: stage -> route -> integration -> response.

An execution that an integration starts is durable when the response has its ARN. An error before a
service is called gives `{"message": ...}`; an error of the service keeps its status and text.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.calls import ServiceError, call
from stepwell.integrations.services.apigateway import function_events, messages
from stepwell.integrations.services.apigateway.integrations import function_arn
from stepwell.integrations.services.apigateway.parameter_mappings import Read, compile_mapping
from stepwell.integrations.services.apigateway.requests import (
    JSON,
    ApiRequest,
    ApiResponse,
    message_response,
)
from stepwell.integrations.services.apigateway.route_keys import DEFAULT, RouteTable
from stepwell.integrations.services.apigateway.store import ApiStore
from stepwell.integrations.services.apigateway.subtypes import SUBTYPES
from stepwell.integrations.services.common.tables import Document

log: Final = logging.getLogger("stepwell.httpapi")

_VARIABLE: Final = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")


@dataclass(frozen=True, slots=True)
class ServedStage:
    """What a stage serves, compiled. table: finds the id of a route; integrations: by id, each with
    its compiled request parameters.
    """

    name: str
    table: RouteTable
    routes: Mapping[str, Document]
    integrations: Mapping[str, tuple[Document, Mapping[str, Read]]]
    variables: Mapping[str, str]


class Invoker:
    def __init__(self, store: ApiStore) -> None:
        self._store = store
        self._served: dict[tuple[str, str], ServedStage] = {}  # (API's id, stage) -> compiled
        store.on_change = self._forget

    def _forget(self, id: str) -> None:
        for key in [key for key in self._served if key[0] == id]:
            del self._served[key]

    def cors(self, id: str) -> Mapping[str, Any] | None:
        """The CORS configuration of an API."""
        api = self._store.apis.get(id)
        return api.get("CorsConfiguration") if api else None

    def stage(self, id: str, path: str) -> tuple[ServedStage | None, str]:
        """(the stage that serves a path, the path within it). It is the stage that the first
        segment names, or else $default, with the whole path.
        """
        first, _, rest = path[1:].partition("/")
        stage = self._stage(id, unquote(first))
        return (stage, f"/{rest}") if stage is not None else (self._stage(id, DEFAULT), path)

    def _stage(self, id: str, name: str) -> ServedStage | None:
        if (id, name) not in self._served:
            api = self._store.apis.get(id)
            if api is None or name not in api["Stages"]:
                return None  # not cached: clients could fill the cache with unknown names
            self._served[id, name] = _compile(api, api["Stages"][name])
        return self._served[id, name]

    async def invoke(
        self, id: str, stage: ServedStage, request: ApiRequest, is_signed: Callable[[], bool]
    ) -> ApiResponse:
        """is_signed: whether the signature is valid; called for routes with IAM authorization."""
        match = stage.table.find(request.method, request.path)
        if match is None:
            return message_response(404, messages.API_NOT_FOUND)
        route, path_parameters = stage.routes[match[0]], match[1]
        if route["AuthorizationType"] == "AWS_IAM" and not is_signed():
            return message_response(403, messages.API_FORBIDDEN)
        integration = stage.integrations.get((route.get("Target") or "").partition("/")[2])
        if integration is None:
            return message_response(500, messages.API_FAULT)
        document, mappings = integration
        request = replace(
            request,
            path_parameters=path_parameters,
            context={
                **request.context,
                "apiId": id,
                "stage": stage.name,
                "routeKey": route["RouteKey"],
            },
            stage_variables=stage.variables,
        )
        responding = (
            self._call_service(document, mappings, request)
            if document.get("IntegrationSubtype")
            else self._call_function(document, route["RouteKey"], request)
        )
        try:
            return await asyncio.wait_for(responding, document["TimeoutInMillis"] / 1000)
        except TimeoutError:
            return message_response(503, messages.API_TIMEOUT)

    async def _call_service(
        self, integration: Document, mappings: Mapping[str, Read], request: ApiRequest
    ) -> ApiResponse:
        subtype = SUBTYPES[integration["IntegrationSubtype"]]
        parameters: dict[str, Any] = {
            name: value
            for name, read in mappings.items()
            if (value := read(request)) is not None and name != "Region"
        }
        missing = next((name for name in subtype.required if name not in parameters), None)
        if missing is not None:
            return message_response(400, messages.API_PARAMETER_MISSING.format(name=missing))
        try:
            answer = await call(
                self._store.host, subtype.service, subtype.operation, subtype.to_input(parameters)
            )
        except ApiError as error:
            return _service_error(error.code, error.message, 400)
        except ServiceError as error:
            return _service_error(
                error.code or "ServiceUnavailable", error.message, error.status or 503
            )
        members = {name: value for name, value in answer.items() if value is not None}
        return ApiResponse(200, [("content-type", JSON)], dumps(members).encode())

    async def _call_function(
        self, integration: Document, route_key: str, request: ApiRequest
    ) -> ApiResponse:
        uri = _VARIABLE.sub(
            lambda match: request.stage_variables.get(match[1], ""), integration["IntegrationUri"]
        )
        host, version = self._store.host, integration["PayloadFormatVersion"]
        event = function_events.event(version, host.home.account, route_key, request)
        parameters = {"FunctionName": function_arn(uri) or uri, "Payload": dumps(event).encode()}
        try:
            answer = await call(host, "lambda", "Invoke", parameters)
        except (ApiError, ServiceError) as error:
            log.warning("%s of %s: %s", route_key, request.context["apiId"], error)
            return message_response(500, messages.API_FAULT)
        if "FunctionError" in answer:
            return message_response(500, messages.API_FAULT)
        payload = answer["Payload"]
        text = payload if isinstance(payload, bytes) else payload.read()
        try:
            return function_events.response(loads(text), version)
        except (JsonError, TypeError, ValueError) as error:
            log.warning(
                "%s of %s: the result of the function is not a valid response: %s",
                route_key,
                request.context["apiId"],
                error,
            )
            return message_response(500, messages.API_FAULT)


def request_time(ms: int) -> str:
    """14/Nov/2023:22:13:20 +0000"""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def _compile(api: Document, stage: Document) -> ServedStage:
    """A stage without AutoDeploy and without a deployment has no routes."""
    definition = (
        api
        if stage["AutoDeploy"]
        else api["Deployments"].get(stage.get("DeploymentId"), {}).get("copy")
    )
    if definition is None:
        return ServedStage(stage["StageName"], RouteTable([]), {}, {}, {})
    integrations = {
        id: (
            each,
            {
                name: compile_mapping(text)
                for name, text in (each.get("RequestParameters") or {}).items()
            },
        )
        for id, each in definition["Integrations"].items()
    }
    table = RouteTable((id, each["RouteKey"]) for id, each in definition["Routes"].items())
    return ServedStage(
        stage["StageName"], table, definition["Routes"], integrations, stage["StageVariables"]
    )


def _service_error(code: str, text: str, status: int) -> ApiResponse:
    return ApiResponse(
        status,
        [("content-type", JSON), ("x-amzn-errortype", code)],
        dumps({"__type": code, "message": text}).encode(),
    )
