"""Requests to HTTP APIs: stage, route, integration, answer, as API Gateway gives them.

    Gateway.invoke(asked) --route--> execution started: the answer of Step Functions       function
    called: what it says the answer is

An execution is durable when the answer has its ARN. What goes wrong before a service is asked is
`{"message": ...}`; a service's refusal comes with its own status and text.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlencode

from stepwell.asl.json_text import JsonFault, dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.calls import REACHED, Fault, call
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.routes import (
    DEFAULT,
    Asked,
    Read,
    Routes,
    compile_mapping,
)
from stepwell.integrations.services.common.tables import Document, Table

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.httpapi")

PREFIX: Final = "/_apis/"
_FUNCTION: Final = re.compile(
    r"(?:arn:[a-z-]+:apigateway:[a-z0-9-]*:lambda:path/2015-03-31/functions/)?(arn:[a-z-]+:lambda:[^/]+?)(?:/invocations)?\Z"
)
_VARIABLE: Final = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_JSON: Final = "application/json"
_TEXTS: Final = re.compile(
    (
        r"text/|application/(?:json|javascript|xml|x-www-form-urlencoded|graphql)\b|[^;"
        r"]*\+(?:json|xml)\b"
    ),
    re.I,
)


class Subtype(NamedTuple):
    """A call of a service: which, and its parameters."""

    service: str
    operation: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    shape: Callable[[dict[str, Any]], dict[str, Any]] = lambda given: given


_CAMEL: Final = lambda given: {name[0].lower() + name[1:]: value for name, value in given.items()}


def _entry(given: dict[str, Any]) -> dict[str, Any]:
    resources = given.get("Resources")
    return {"Entries": [given | ({"Resources": resources.split(",")} if resources else {})]}


SUBTYPES: Final[Mapping[str, Subtype]] = {
    "StepFunctions-StartExecution": Subtype(
        "stepfunctions", "StartExecution", ("StateMachineArn",), ("Name", "Input"), _CAMEL
    ),
    "StepFunctions-StartSyncExecution": Subtype(
        "stepfunctions",
        "StartSyncExecution",
        ("StateMachineArn",),
        ("Name", "Input", "TraceHeader"),
        _CAMEL,
    ),
    "StepFunctions-StopExecution": Subtype(
        "stepfunctions", "StopExecution", ("ExecutionArn",), ("Cause", "Error"), _CAMEL
    ),
    "EventBridge-PutEvents": Subtype(
        "events",
        "PutEvents",
        ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", "TraceHeader"),
        _entry,
    ),
    "SQS-SendMessage": Subtype(
        "sqs",
        "SendMessage",
        ("QueueUrl", "MessageBody"),
        ("DelaySeconds", "MessageDeduplicationId", "MessageGroupId"),
    ),
}


def function_arn(uri: str) -> str | None:
    """Of a function, given itself or as API Gateway's URI of it."""
    match = _FUNCTION.match(uri)
    return match[1] if match else None


class Answered(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def said(status: int, text: str, *headers: tuple[str, str]) -> Answered:
    return Answered(status, [("content-type", _JSON), *headers], dumps({"message": text}).encode())


@dataclass(frozen=True, slots=True)
class Serving:
    """What a stage serves, compiled."""

    name: str
    routes: Routes
    by_id: Mapping[str, Document]
    integrations: Mapping[str, tuple[Document, Mapping[str, Read]]]
    variables: Mapping[str, str]


class Invoking:
    def __init__(self, host: Host, apis: Table) -> None:
        self.host, self.apis = host, apis
        self._serving: dict[tuple[str, str], Serving | None] = {}

    def endpoint(self, id: str) -> str:
        """Where an API is called by whoever asks, with the path of a stage that is not $default
        after it.
        """
        return f"{REACHED.get() or self.host.url}{PREFIX}{id}"

    def forget(self, id: str) -> None:
        for key in [key for key in self._serving if key[0] == id]:
            del self._serving[key]

    def cors(self, id: str) -> Mapping[str, Any] | None:
        api = self.apis.get(id)
        return api.get("CorsConfiguration") if api else None

    def stage(self, id: str, path: str) -> tuple[Serving | None, str]:
        """(what serves a path, the path within it). The first segment may name a stage; if none is
        called so, $default has it all.
        """
        first, _, rest = path[1:].partition("/")
        name = unquote(first)
        found = self._stage(id, name)
        return (found, f"/{rest}") if found is not None else (self._stage(id, DEFAULT), path)

    def _stage(self, id: str, name: str) -> Serving | None:
        if (id, name) not in self._serving:
            api = self.apis.get(id)
            if api is None or name not in api["Stages"]:
                return None  # not kept: anybody can ask for any name
            self._serving[id, name] = _compile(api, api["Stages"][name])
        return self._serving[id, name]

    async def invoke(
        self, id: str, serving: Serving, asked: Asked, allowed: Callable[[], bool]
    ) -> Answered:
        """Answer a request. allowed: whether it is signed well, asked of routes that want it."""
        found = serving.routes.find(asked.method, asked.path)
        if found is None:
            return said(404, messages.API_NOT_FOUND)
        route, parameters = serving.by_id[found[0]], found[1]
        if route["AuthorizationType"] == "AWS_IAM" and not allowed():
            return said(403, messages.API_FORBIDDEN)
        integration = serving.integrations.get((route.get("Target") or "").partition("/")[2])
        if integration is None:
            return said(500, messages.API_FAULT)
        context = {
            **asked.context,
            "apiId": id,
            "stage": serving.name,
            "routeKey": route["RouteKey"],
        }
        asked = replace(asked, parameters=parameters, context=context, variables=serving.variables)
        document, reads = integration
        answering = (
            self._call(document, reads, asked)
            if document.get("IntegrationSubtype")
            else self._function(document, route, asked)
        )
        try:
            return await asyncio.wait_for(answering, document["TimeoutInMillis"] / 1000)
        except TimeoutError:
            return said(503, messages.API_TIMEOUT)

    async def _call(self, document: Document, reads: Mapping[str, Read], asked: Asked) -> Answered:
        subtype = SUBTYPES[document["IntegrationSubtype"]]
        given: dict[str, Any] = {
            name: value
            for name, read in reads.items()
            if (value := read(asked)) is not None and name != "Region"
        }
        missing = next((name for name in subtype.required if name not in given), None)
        if missing is not None:
            return said(400, messages.API_PARAMETER_MISSING.format(name=missing))
        try:
            answer = await call(self.host, subtype.service, subtype.operation, subtype.shape(given))
        except ApiError as error:
            return _refused(error.code, error.message, 400)
        except Fault as fault:
            return _refused(fault.code or "ServiceUnavailable", fault.message, fault.status or 503)
        members = {name: value for name, value in answer.items() if value is not None}
        return Answered(200, [("content-type", _JSON)], dumps(members).encode())

    async def _function(self, document: Document, route: Document, asked: Asked) -> Answered:
        uri = _VARIABLE.sub(
            lambda match: asked.variables.get(match[1], ""), document["IntegrationUri"]
        )
        event = (_event_2 if document["PayloadFormatVersion"] == "2.0" else _event_1)(
            self.host, route, asked
        )
        parameters = {"FunctionName": function_arn(uri) or uri, "Payload": dumps(event).encode()}
        try:
            answer = await call(self.host, "lambda", "Invoke", parameters)
        except (ApiError, Fault) as error:
            log.warning("%s of %s: %s", route["RouteKey"], asked.context["apiId"], error)
            return said(500, messages.API_FAULT)
        if "FunctionError" in answer:
            return said(500, messages.API_FAULT)
        payload = answer["Payload"]
        text = payload if isinstance(payload, bytes) else payload.read()
        try:
            return _function_answer(loads(text), document["PayloadFormatVersion"])
        except (JsonFault, TypeError, ValueError) as error:
            log.warning(
                "%s of %s: what the function answered is no answer: %s",
                route["RouteKey"],
                asked.context["apiId"],
                error,
            )
            return said(500, messages.API_FAULT)


def request_time(ms: int) -> str:
    """14/Nov/2023:22:13:20 +0000"""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def _compile(api: Document, stage: Document) -> Serving | None:
    deployed = (
        api
        if stage["AutoDeploy"]
        else api["Deployments"].get(stage.get("DeploymentId"), {}).get("copy")
    )
    if deployed is None:
        return Serving(stage["StageName"], Routes([]), {}, {}, {})
    integrations = {
        id: (
            each,
            {
                name: compile_mapping(text)
                for name, text in (each.get("RequestParameters") or {}).items()
            },
        )
        for id, each in deployed["Integrations"].items()
    }
    routes = Routes((id, each["RouteKey"]) for id, each in deployed["Routes"].items())
    return Serving(
        stage["StageName"], routes, deployed["Routes"], integrations, stage["StageVariables"]
    )


def _refused(code: str, text: str, status: int) -> Answered:
    return Answered(
        status,
        [("content-type", _JSON), ("x-amzn-errortype", code)],
        dumps({"__type": code, "message": text}).encode(),
    )


# --- functions ------------------------------------------------------------------------------------


def _function_answer(value: Any, version: str) -> Answered:
    """What a function's result means. Raises TypeError, ValueError if it means nothing."""
    if not isinstance(value, dict) or "statusCode" not in value:
        if version == "1.0":
            raise ValueError("it has no statusCode")
        text = value if isinstance(value, str) else dumps(value)
        return Answered(200, [("content-type", _JSON)], text.encode())
    status, body = int(value["statusCode"]), value.get("body")
    if not 200 <= status <= 599:
        raise ValueError(f"statusCode {status}")
    text = "" if body is None else body if isinstance(body, str) else dumps(body)
    data = base64.b64decode(text, validate=True) if value.get("isBase64Encoded") else text.encode()
    headers = _headers(value, version)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", _JSON if version == "2.0" else "text/plain; charset=utf-8"))
    return Answered(status, headers, b"" if status in (204, 304) else data)


def _headers(value: Mapping[str, Any], version: str) -> list[tuple[str, str]]:
    """Raises TypeError, ValueError."""
    given = {name: value.get(name) or {} for name in ("headers", "multiValueHeaders")}
    cookies = value.get("cookies") or []
    if not all(isinstance(each, dict) for each in given.values()) or not isinstance(cookies, list):
        raise TypeError("headers that are no object")
    headers = {name.lower(): [each] for name, each in given["headers"].items()}
    if version == "1.0":
        headers |= {
            name.lower(): each if isinstance(each, list) else [each]
            for name, each in given["multiValueHeaders"].items()
        }
        cookies = []
    pairs = [(name, _header_text(each)) for name, values in headers.items() for each in values]
    pairs += [("set-cookie", _header_text(each)) for each in cookies]
    if any(not _TOKEN.match(name) or set(text) & set("\r\n\0") for name, text in pairs):
        raise ValueError("a header that HTTP does not allow")
    return [each for each in pairs if each[0] not in _OWN]


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_OWN: Final = (
    "content-length",
    "connection",
    "transfer-encoding",
    "date",
)  # the server's own headers


def _header_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _body(asked: Asked) -> tuple[str | None, bool]:
    """(text, whether it is base64)"""
    if not asked.body:
        return None, False
    if _TEXTS.match(asked.headers.get("content-type", "text/plain")):
        try:
            return asked.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(asked.body).decode(), True


def _several(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _raw_path(asked: Asked) -> str:
    stage = asked.context["stage"]
    return unquote(asked.path) if stage == DEFAULT else f"/{stage}{unquote(asked.path)}"


def _event_2(host: Host, route: Document, asked: Asked) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
    format 2.0
    """
    context, (body, encoded) = asked.context, _body(asked)
    cookies = [each.strip() for each in asked.headers.get("cookie", "").split(";") if each.strip()]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route["RouteKey"],
        "rawPath": _raw_path(asked),
    }
    event["rawQueryString"] = urlencode(asked.query, quote_via=quote)
    event |= {"cookies": cookies} if cookies else {}
    event["headers"] = {name: value for name, value in asked.headers.items() if name != "cookie"}
    if asked.query:
        event["queryStringParameters"] = {
            name: ",".join(values) for name, values in _several(asked.query).items()
        }
    about = {"method": asked.method, "path": _raw_path(asked), "protocol": context["protocol"]}
    about |= {
        "sourceIp": context["identity"]["sourceIp"],
        "userAgent": asked.headers.get("user-agent", ""),
    }
    event["requestContext"] = {
        "accountId": host.home.account,
        "apiId": context["apiId"],
        "domainName": context["domainName"],
        "domainPrefix": context["apiId"],
        "http": about,
        "requestId": context["requestId"],
        "routeKey": route["RouteKey"],
        "stage": context["stage"],
        "time": context["requestTime"],
        "timeEpoch": context["requestTimeEpoch"],
    }
    event |= {"body": body} if body is not None else {}
    event |= {"pathParameters": dict(asked.parameters)} if asked.parameters else {}
    event |= {"stageVariables": dict(asked.variables)} if asked.variables else {}
    return {**event, "isBase64Encoded": encoded}


def _event_1(host: Host, route: Document, asked: Asked) -> dict[str, Any]:
    """The same in format 1.0, which is that of REST APIs."""
    context, (body, encoded) = asked.context, _body(asked)
    query, resource = _several(asked.query), route["RouteKey"].rpartition(" ")[2]
    identity = {
        "sourceIp": context["identity"]["sourceIp"],
        "userAgent": asked.headers.get("user-agent", ""),
    }
    return {
        "version": "1.0",
        "resource": resource,
        "path": _raw_path(asked),
        "httpMethod": asked.method,
        "headers": dict(asked.headers),
        "multiValueHeaders": {name: [value] for name, value in asked.headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": {
            "accountId": host.home.account,
            "apiId": context["apiId"],
            "domainName": context["domainName"],
            "domainPrefix": context["apiId"],
            "httpMethod": asked.method,
            "identity": identity,
            "path": _raw_path(asked),
            "protocol": context["protocol"],
            "requestId": context["requestId"],
            "requestTime": context["requestTime"],
            "requestTimeEpoch": context["requestTimeEpoch"],
            "resourceId": route["RouteKey"],
            "resourcePath": resource,
            "stage": context["stage"],
        },
        "pathParameters": dict(asked.parameters) or None,
        "stageVariables": dict(asked.variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }
