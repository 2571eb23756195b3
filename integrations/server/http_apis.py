"""Requests of HTTP APIs: /_apis/ID/..., and any path of the host ID.execute-api.NAME.

Pages of other origins may call an API only if its CORS configuration allows their origin, because
the API is on the user's own machine. (AWS would carry out the request and withhold the answer.)
Links to an API may be on any page. Embedded requests have no Origin: they are allowed only if every
origin is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from stepwell.engine.errors import ApiError, StoreError
from stepwell.integrations.limits import Limits
from stepwell.integrations.server import messages
from stepwell.integrations.server.app import ClientGone, Handler, Receive, Scope, Send
from stepwell.integrations.server.host_check import is_cross_site, is_navigation
from stepwell.integrations.server.protocols.aws_json import Request
from stepwell.integrations.server.sigv4 import Verifier
from stepwell.integrations.services.apigateway import messages as apigateway_messages
from stepwell.integrations.services.apigateway.invoke import request_time
from stepwell.integrations.services.apigateway.requests import (
    ApiRequest,
    ApiResponse,
    message_response,
)
from stepwell.integrations.services.apigateway.service import HttpApis
from stepwell.integrations.services.apigateway.store import PREFIX

log: Final = logging.getLogger("stepwell.httpapi")

HOST: Final = b".execute-api."
_REFUSALS: Final = {
    "RequestEntityTooLarge": (413, messages.API_TOO_LARGE),
    "RequestTimeout": (408, messages.API_SLOW),
    "ServiceUnavailable": (503, apigateway_messages.API_TIMEOUT),
}


def is_api(request: Request) -> bool:
    """Whether a request is for an HTTP API."""
    return request.path.startswith(PREFIX) or HOST in request.headers.get(b"host", b"")


def refusal(error: ApiError) -> ApiResponse:
    """The response to a request that cannot be read, or not be passed on to its owner."""
    return message_response(*_REFUSALS.get(error.code, (400, error.message)))


class HttpApiRoutes:
    """verifier  of signatures, for routes that require one; None: signatures are not checked
    read      (request, receive, maximum bytes) -> the body of a request. Raises ApiError,
              ClientGone
    """

    def __init__(
        self,
        apis: HttpApis,
        verifier: Verifier | None,
        read: Callable[[Request, Receive, int], Awaitable[bytes]],
        limits: Limits,
    ) -> None:
        self._apis, self._verifier, self._read, self._limits = apis, verifier, read, limits

    def routes(self) -> dict[str, Handler]:
        return {PREFIX: self._answer}

    def by_host(self, request: Request) -> Handler | None:
        return self._answer if HOST in request.headers.get(b"host", b"") else None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, self._apis.store.new_uuid())
        try:
            answer = await self._handle(request, receive)
        except ClientGone:
            return
        except ApiError as error:  # the body cannot be read
            answer = refusal(error)
        except StoreError as error:
            log.error("request %s: %s", request.id, error)
            answer = message_response(503, apigateway_messages.API_TIMEOUT)
        except Exception:
            log.exception("request %s: a bug", request.id)
            answer = message_response(500, apigateway_messages.API_FAULT)
        headers = [
            (name.encode("latin-1", "replace"), value.encode("utf-8"))
            for name, value in answer.headers
        ]
        headers += [
            (b"content-length", b"%d" % len(answer.body)),
            (b"apigw-requestid", request.id.encode()),
        ]
        headers += [] if request.read else [(b"connection", b"close")]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body}
        )

    async def _handle(self, request: Request, receive: Receive) -> ApiResponse:
        id, path = _place(request)
        chunked = b"transfer-encoding" in request.headers
        has_length = request.headers.get(b"content-length", b"" if chunked else b"0").isdigit()
        limit = self._limits.http_api_bytes if has_length else self._limits.request_bytes
        request.body = await self._read(request, receive, limit)
        request.read = True
        origin = request.headers.get(b"origin", b"").decode("latin-1")
        own = origin.partition("://")[2] == request.headers.get(b"host", b"").decode("latin-1")
        cors = self._apis.invoker.cors(id)
        if (
            cors
            and origin
            and request.method == "OPTIONS"
            and b"access-control-request-method" in request.headers
        ):
            return ApiResponse(204, _cors(cors, origin, preflight=True), b"")
        if origin and not own and not (cors and _matches(cors.get("AllowOrigins") or [], origin)):
            return message_response(403, messages.WRONG_ORIGIN.format(origin=origin[:255]))
        embedded = (
            is_cross_site(request.headers)
            and not origin
            and not is_navigation(request.method, request.headers)
        )
        if embedded and "*" not in ((cors or {}).get("AllowOrigins") or []):
            return message_response(403, messages.CROSS_SITE)
        serving, path = self._apis.invoker.stage(id, path)
        if serving is None:
            return message_response(404, apigateway_messages.API_NOT_FOUND)
        answer = await self._apis.invoker.invoke(
            id, serving, self._api_request(request, path), lambda: self._signed(request)
        )
        if not (cors and origin):
            return answer
        others = [each for each in answer.headers if not each[0].startswith("access-control-")]
        return answer._replace(headers=[*others, *_cors(cors, origin)])

    def _api_request(self, request: Request, path: str) -> ApiRequest:
        query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        headers: dict[str, str] = {}
        for raw, value in request.scope["headers"]:
            name = raw.decode("latin-1")
            headers[name] = (
                f"{headers[name]}{'; ' if name == 'cookie' else ','}{_text(value)}"
                if name in headers
                else _text(value)
            )
        client = (request.scope.get("client") or ("", 0))[0]
        context: dict[str, Any] = {
            "accountId": self._apis.store.host.home.account,
            "domainName": headers.get("host", "").partition(":")[0],
            "domainPrefix": headers.get("host", "").partition(".")[0],
            "httpMethod": request.method,
            "identity": {"sourceIp": client, "userAgent": headers.get("user-agent", "")},
            "path": path,
            "protocol": f"HTTP/{request.scope.get('http_version', '1.1')}",
            "requestId": request.id,
            "requestTime": request_time(now := self._apis.store.host.clock.now()),
            "requestTimeEpoch": now,
        }
        return ApiRequest(request.method, path, query, headers, request.body, context=context)

    def _signed(self, request: Request) -> bool:
        if self._verifier is None:
            return True
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        try:
            self._verifier.check(
                request.method, path, query, request.scope["headers"], request.body, "execute-api"
            )
        except ApiError:
            return False
        return True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _place(request: Request) -> tuple[str, str]:
    """(id of the API, path below it, still encoded)"""
    raw = request.scope["raw_path"].decode("latin-1")
    host = request.headers.get(b"host", b"")
    if HOST in host:
        return host.partition(b".")[0].decode("latin-1").lower(), raw
    id, _, rest = raw.removeprefix(PREFIX).partition("/")
    return id, f"/{rest}"


def _matches(allowed: list[str], origin: str) -> bool:
    """Whether an origin is allowed: by itself, by `https://*` or by `*`."""
    return any(
        each in ("*", origin) or (each.endswith("://*") and origin.startswith(each[:-1]))
        for each in allowed
    )


def _cors(cors: Mapping[str, Any], origin: str, preflight: bool = False) -> list[tuple[str, str]]:
    """The CORS headers of an answer; none if the origin is not allowed."""
    allowed = cors.get("AllowOrigins") or []
    if not _matches(allowed, origin):
        return []
    headers = [("access-control-allow-origin", "*" if "*" in allowed else origin)]
    headers += [] if "*" in allowed else [("vary", "Origin")]
    headers += (
        [("access-control-allow-credentials", "true")] if cors.get("AllowCredentials") else []
    )
    lists = (
        {"allow-methods": "AllowMethods", "allow-headers": "AllowHeaders"}
        if preflight
        else {"expose-headers": "ExposeHeaders"}
    )
    headers += [
        (f"access-control-{name}", ",".join(cors[member]))
        for name, member in lists.items()
        if cors.get(member)
    ]
    if preflight and cors.get("MaxAge") is not None:
        headers.append(("access-control-max-age", str(cors["MaxAge"])))
    return headers
