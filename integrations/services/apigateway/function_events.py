"""The event that a function gets of a request, and the response that its result stands for. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
payload formats 1.0 (that of REST APIs) and 2.0.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from stepwell.asl.json_text import dumps
from stepwell.integrations.services.apigateway.requests import JSON, ApiRequest, ApiResponse
from stepwell.integrations.services.apigateway.route_keys import DEFAULT

_TEXT_TYPES: Final = re.compile(
    (
        r"text/|application/(?:json|javascript|xml|x-www-form-urlencoded|graphql)\b|[^;"
        r"]*\+(?:json|xml)\b"
    ),
    re.I,
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SERVER_HEADERS: Final = ("content-length", "connection", "transfer-encoding", "date")


# --- events ---------------------------------------------------------------------------------------


def event(version: str, account: str, route_key: str, request: ApiRequest) -> dict[str, Any]:
    """version: "1.0" or "2.0"."""
    return (_event_2 if version == "2.0" else _event_1)(account, route_key, request)


def _event_2(account: str, route_key: str, request: ApiRequest) -> dict[str, Any]:
    context, (body, encoded) = request.context, _body(request)
    path = _raw_path(request)
    cookies = [
        each.strip() for each in request.headers.get("cookie", "").split(";") if each.strip()
    ]
    query = {name: ",".join(values) for name, values in _by_name(request.query).items()}
    http = {
        "method": request.method,
        "path": path,
        "protocol": context["protocol"],
        **_identity(request),
    }
    event = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": urlencode(request.query, quote_via=quote),
        "cookies": cookies or None,
        "headers": {name: value for name, value in request.headers.items() if name != "cookie"},
        "queryStringParameters": query or None,
        "requestContext": {
            "accountId": account,
            "apiId": context["apiId"],
            "domainName": context["domainName"],
            "domainPrefix": context["apiId"],
            "http": http,
            "requestId": context["requestId"],
            "routeKey": route_key,
            "stage": context["stage"],
            "time": context["requestTime"],
            "timeEpoch": context["requestTimeEpoch"],
        },
        "body": body,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": dict(request.stage_variables) or None,
        "isBase64Encoded": encoded,
    }
    return {name: value for name, value in event.items() if value is not None}


def _event_1(account: str, route_key: str, request: ApiRequest) -> dict[str, Any]:
    context, (body, encoded) = request.context, _body(request)
    query, resource = _by_name(request.query), route_key.rpartition(" ")[2]
    path = _raw_path(request)
    return {
        "version": "1.0",
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "multiValueHeaders": {name: [value] for name, value in request.headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": {
            "accountId": account,
            "apiId": context["apiId"],
            "domainName": context["domainName"],
            "domainPrefix": context["apiId"],
            "httpMethod": request.method,
            "identity": _identity(request),
            "path": path,
            "protocol": context["protocol"],
            "requestId": context["requestId"],
            "requestTime": context["requestTime"],
            "requestTimeEpoch": context["requestTimeEpoch"],
            "resourceId": route_key,
            "resourcePath": resource,
            "stage": context["stage"],
        },
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": dict(request.stage_variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }


def _identity(request: ApiRequest) -> dict[str, str]:
    return {
        "sourceIp": request.context["identity"]["sourceIp"],
        "userAgent": request.headers.get("user-agent", ""),
    }


def _body(request: ApiRequest) -> tuple[str | None, bool]:
    """(text, whether it is base64)"""
    if not request.body:
        return None, False
    if _TEXT_TYPES.match(request.headers.get("content-type", "text/plain")):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _by_name(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _raw_path(request: ApiRequest) -> str:
    stage = request.context["stage"]
    return unquote(request.path) if stage == DEFAULT else f"/{stage}{unquote(request.path)}"


# --- responses ------------------------------------------------------------------------------------


def response(value: Any, version: str) -> ApiResponse:
    """value: the function's result. Raises TypeError, ValueError if it is not a valid response."""
    if not isinstance(value, dict) or "statusCode" not in value:
        if version == "1.0":
            raise ValueError("it has no statusCode")
        text = value if isinstance(value, str) else dumps(value)
        return ApiResponse(200, [("content-type", JSON)], text.encode())
    status, body = int(value["statusCode"]), value.get("body")
    if not 200 <= status <= 599:
        raise ValueError(f"statusCode {status}")
    text = "" if body is None else _as_text(body)
    data = base64.b64decode(text, validate=True) if value.get("isBase64Encoded") else text.encode()
    headers = _headers(value, version)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", JSON if version == "2.0" else "text/plain; charset=utf-8"))
    return ApiResponse(status, headers, b"" if status in (204, 304) else data)


def _headers(value: Mapping[str, Any], version: str) -> list[tuple[str, str]]:
    """Raises TypeError, ValueError."""
    single, multiple = value.get("headers") or {}, value.get("multiValueHeaders") or {}
    cookies = value.get("cookies") or []
    if not (isinstance(single, dict) and isinstance(multiple, dict) and isinstance(cookies, list)):
        raise TypeError("headers and multiValueHeaders must be objects, cookies an array")
    headers = {name.lower(): [each] for name, each in single.items()}
    if version == "1.0":
        headers |= {
            name.lower(): each if isinstance(each, list) else [each]
            for name, each in multiple.items()
        }
        cookies = []
    pairs = [(name, _as_text(each)) for name, values in headers.items() for each in values]
    pairs += [("set-cookie", _as_text(each)) for each in cookies]
    if any(not _TOKEN.match(name) or set(text) & set("\r\n\0") for name, text in pairs):
        raise ValueError("a header is not valid in HTTP")
    return [each for each in pairs if each[0] not in _SERVER_HEADERS]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)
