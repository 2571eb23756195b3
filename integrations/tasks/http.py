"""HTTP Task: `arn:aws:states:::http:invoke`, a request to any HTTP endpoint with the credentials of
an EventBridge connection.

Source: Step Functions Developer Guide, "Call HTTPS APIs". Unlike AWS, http URLs are allowed too.
aws/http_client.py decides which addresses may be.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.observers.trace_context import current_trace
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations import messages as integrations_messages
from stepwell.integrations import requests
from stepwell.integrations.aws.http_client import (
    ForbiddenError,
    TooLargeError,
    UnreachableError,
    reason,
)
from stepwell.integrations.host import Host, HttpAnswer
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.events.connections import Credentials, with_query
from stepwell.integrations.tasks import messages

_REQUIRED: Final = ("ApiEndpoint", "Method")
_OPTIONAL: Final = (
    "Authentication",
    "InvocationConfig",
    "Headers",
    "QueryParameters",
    "RequestBody",
    "Transform",
)
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS")
_FORBIDDEN: Final = re.compile(
    "a-im|accept-(charset|datetime|encoding)|cache-control|connection|content-(encoding|md5)|"
    "date|expect|forwarded|from|host|http2-settings|"
    "if-.*|max-forwards|origin|pragma|proxy-authorization|referer|server|te|trailer|"
    "transfer-encoding|upgrade|via|warning|"
    "x-forwarded-.*|x-amz-.*|x-amzn-.*",
    re.IGNORECASE,
)
_NO_CREDENTIALS: Final = Credentials({}, [], {}, [])
_FORM: Final = "application/x-www-form-urlencoded;charset=UTF-8"


class Sent(NamedTuple):
    url: str
    headers: dict[str, str]
    body: bytes


def actions(host: Host) -> dict[str, Handler]:
    return {"invoke": partial(_invoke, host)}


async def _invoke(host: Host, request: TaskRequest) -> Json:
    payload = request.payload
    fields = requests.fields(payload, _REQUIRED, _OPTIONAL)
    method = requests.text_field(payload, fields, "Method")
    if method not in _METHODS:
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="Method")
        )
    arn = _connection(payload, fields)
    plain = _build(host, payload, fields, method, _NO_CREDENTIALS)
    credentials = await _credentials(host, arn) if arn else _NO_CREDENTIALS
    sent = _build(host, payload, fields, method, credentials)
    if request.trace is not None:
        shown = sent if request.trace.reveal else plain
        request.trace.request |= _traced_request(method, shown)
    if (context := current_trace.get()) is not None:
        sent.headers.setdefault("traceparent", context.traceparent)
    try:
        answer = await host.outside.http.send(method, sent.url, sent.headers, sent.body)
    except TooLargeError:
        text = asl_messages.RESULT_TOO_LARGE.format(name=request.resource.label)
        raise TaskError(asl_messages.DATA_LIMIT_EXCEEDED, text) from None
    except (ForbiddenError, UnreachableError) as error:
        raise TaskError(messages.HTTP_SOCKET, str(error)) from None
    if request.trace is not None:
        request.trace.response |= _traced_response(answer)
    if answer.status >= 300:
        raise TaskError(
            messages.HTTP_STATUS.format(status=answer.status),
            answer.body.decode("utf-8", "replace"),
        )
    return result(answer)


def _connection(payload: Json, fields: dict[str, Any]) -> str | None:
    for field in ("Authentication", "InvocationConfig"):
        about = fields.get(field)
        if about is not None:
            arn = about.get("ConnectionArn") if isinstance(about, dict) else None
            if not isinstance(arn, str):
                raise requests.bad_parameters(
                    payload, integrations_messages.INVALID_FORMAT.format(field=field)
                )
            return arn
    return None


async def _credentials(host: Host, arn: str) -> Credentials:
    events = await host.services.get("events")
    try:
        credentials: Credentials = await events.credentials(arn)
    except ApiError as error:
        raise TaskError(messages.CONNECTION_NOT_FOUND, error.message) from None
    except DeliveryError as fault:
        raise TaskError(messages.CONNECTION_REFUSED, fault.message) from None
    except (ForbiddenError, UnreachableError) as fault:
        raise TaskError(messages.CONNECTION_REFUSED, str(fault)) from None
    return credentials


# --- the request ----------------------------------------------------------------------------------


def _build(
    host: Host, payload: Json, fields: dict[str, Any], method: str, credentials: Credentials
) -> Sent:
    """Headers, parameters and members of the connection take precedence over those of the task."""
    url = with_query(
        requests.text_field(payload, fields, "ApiEndpoint"),
        [*pairs(payload, "QueryParameters", fields.get("QueryParameters")), *credentials.query],
    )
    headers = dict(pairs(payload, "Headers", fields.get("Headers")))
    forbidden = next((name for name in headers if _FORBIDDEN.fullmatch(name)), None)
    if forbidden is not None:
        raise requests.bad_parameters(payload, messages.HEADER_NOT_ALLOWED.format(name=forbidden))
    lower = {name.lower() for name in (*headers, *credentials.headers)}
    headers = {
        name: value
        for name, value in headers.items()
        if name.lower() not in {each.lower() for each in credentials.headers}
    }
    kind, body = _body(payload, fields, credentials.body)
    if "content-type" not in lower and method not in _WITHOUT_BODY:
        headers["Content-Type"] = kind
    headers |= {
        "User-Agent": f"Amazon|StepFunctions|HttpInvoke|{host.home.region}",
        "Range": f"bytes=0-{host.limits.payload_bytes}",
    }
    return Sent(
        url,
        headers | credentials.headers,
        b"" if method in _WITHOUT_BODY and "RequestBody" not in fields else body,
    )


def _body(payload: Json, fields: dict[str, Any], members: dict[str, str]) -> tuple[str, bytes]:
    """(content type, body)"""
    body: Any = fields.get("RequestBody", {} if members else None)
    if isinstance(body, dict):
        body = {**body, **members}
    transform = fields.get("Transform") or {}
    if not isinstance(transform, dict):
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="Transform")
        )
    if transform.get("RequestBodyEncoding", "NONE") == "NONE":
        text = "" if body is None else body if isinstance(body, str) else dumps(body)
        return "application/json", text.encode()
    options = transform.get("RequestEncodingOptions") or {}
    if (
        transform["RequestBodyEncoding"] != "URL_ENCODED"
        or not isinstance(body, dict)
        or not isinstance(options, dict)
    ):
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="Transform")
        )
    return _FORM, urlencode(_form(body, options.get("ArrayFormat", "INDICES"))).encode()


def _form(body: dict[str, Any], arrays: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                add(f"{name}[{key}]" if name else key, each)
        elif isinstance(value, list) and arrays == "COMMAS":
            pairs.append((name, ",".join(map(_plain, value))))
        elif isinstance(value, list):
            for at, each in enumerate(value):
                add(name + {"INDICES": f"[{at}]", "BRACKETS": "[]"}.get(arrays, ""), each)
        else:
            pairs.append((name, _plain(value)))

    add("", body)
    return pairs


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def pairs(payload: Json, field: str, value: Any, texts_only: bool = False) -> list[tuple[str, str]]:
    """Headers or query parameters: {"name": "value"} or {"name": ["value", ...]}. Raises TaskError.

    texts_only  values other than strings are refused
    """
    if value is None:
        return []
    error = requests.bad_parameters(
        payload, integrations_messages.INVALID_FORMAT.format(field=field)
    )
    if not isinstance(value, dict):
        raise error
    texts_by_name = []
    for name, each in value.items():
        values = each if isinstance(each, list) else [each]
        if any(
            isinstance(one, list | dict) or (texts_only and not isinstance(one, str))
            for one in values
        ):
            raise error
        texts = [_plain(one) for one in values if one is not None]
        texts_by_name += (
            [(name, text) for text in texts]
            if field == "QueryParameters"
            else [(name, ",".join(texts))]
        )
    return texts_by_name


# --- the answer -----------------------------------------------------------------------------------


def result(answer: HttpAnswer) -> dict[str, Json]:
    """{"Headers", "ResponseBody", "StatusCode", "StatusText"}; a body that is JSON is given as
    that.
    """
    headers: dict[str, list[Json]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    return {
        "Headers": {**headers},
        "ResponseBody": body(answer),
        "StatusCode": answer.status,
        "StatusText": reason(answer),
    }


def body(answer: HttpAnswer) -> Json:
    text = answer.body.decode("utf-8", "replace")
    try:
        return loads(text)
    except JsonError:
        return text


def _traced_request(method: str, sent: Sent) -> dict[str, str]:
    about = {
        "protocol": urlsplit(sent.url).scheme,
        "method": method,
        "url": sent.url,
        "headers": dumps({**sent.headers}),
    }
    return {**about, "body": sent.body.decode("utf-8", "replace")}


def _traced_response(answer: HttpAnswer) -> dict[str, str]:
    headers = dumps(result(answer)["Headers"])
    about = {
        "protocol": "HTTP/1.1",
        "statusCode": str(answer.status),
        "statusMessage": reason(answer),
        "headers": headers,
    }
    return {**about, "body": answer.body.decode("utf-8", "replace")}
