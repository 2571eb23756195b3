"""Amazon API Gateway: `arn:aws:states:::apigateway:invoke`, plain and `.waitForTaskToken`.

aws/http_client.py decides which addresses may be called.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations import messages as integrations_messages
from stepwell.integrations import requests
from stepwell.integrations.aws import messages as aws_messages
from stepwell.integrations.aws.http_client import ForbiddenError, TooLargeError, UnreachableError
from stepwell.integrations.host import Host
from stepwell.integrations.services.events.connections import with_query
from stepwell.integrations.tasks import http, messages

_REQUIRED: Final = ("ApiEndpoint", "Method")
_OPTIONAL: Final = (
    "Stage",
    "Path",
    "Headers",
    "QueryParameters",
    "RequestBody",
    "AllowNullValues",
    "AuthType",
)
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
_AUTH: Final = ("NO_AUTH", "IAM_ROLE", "RESOURCE_POLICY")
_FORBIDDEN: Final = re.compile(
    "authorization|connection|content-md5|expect|host|max-forwards|proxy-authenticate|server|"
    "te|transfer-encoding|trailer|upgrade|via|"
    "www-authenticate|x-forwarded.*|x-amz.*|x-amzn.*",
    re.IGNORECASE,
)


def actions(host: Host) -> dict[str, Handler]:
    return {"invoke": partial(_invoke, host)}


async def _invoke(host: Host, request: TaskRequest) -> Json:
    payload = request.payload
    fields = requests.fields(payload, _REQUIRED, _OPTIONAL)
    text = partial(requests.text_field, payload, fields)
    method, auth = text("Method"), text("AuthType", "NO_AUTH")
    for field, value, allowed in (("Method", method, _METHODS), ("AuthType", auth, _AUTH)):
        if value not in allowed:
            raise requests.bad_parameters(
                payload, integrations_messages.INVALID_FORMAT.format(field=field)
            )
    headers = dict(http.pairs(payload, "Headers", fields.get("Headers"), texts_only=True))
    forbidden = next((name for name in headers if _FORBIDDEN.fullmatch(name)), None)
    if forbidden is not None:
        raise requests.bad_parameters(payload, messages.HEADER_NOT_ALLOWED.format(name=forbidden))
    query = http.pairs(payload, "QueryParameters", fields.get("QueryParameters"))
    url = with_query(_url(text("ApiEndpoint"), text("Stage"), text("Path")), query)
    body = _body(fields)
    if body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if auth == "IAM_ROLE":
        headers |= _signed(host, method, url, headers, body)
    try:
        answer = await host.outside.http.send(method, url, headers, body)
    except TooLargeError:
        raise TaskError(
            asl_messages.DATA_LIMIT_EXCEEDED,
            asl_messages.RESULT_TOO_LARGE.format(name=request.resource.label),
        ) from None
    except (ForbiddenError, UnreachableError) as error:
        raise TaskError(
            "ApiGateway.SdkClientException", aws_messages.AWS_UNREACHABLE.format(text=error)
        ) from None
    if answer.status >= 400:
        raise TaskError(f"ApiGateway.{answer.status}", dumps(http.body(answer)))
    return http.result(answer)


def _url(endpoint: str, stage: str, path: str) -> str:
    base = endpoint if "://" in endpoint else f"https://{endpoint}"
    return "/".join(
        part
        for part in (
            base.rstrip("/"),
            stage.strip("/"),
            quote(path.lstrip("/"), safe="/%:@!$&'()*+,;=-._~"),
        )
        if part
    )


def _body(fields: dict[str, Any]) -> bytes:
    """Without the null members of an object, unless AllowNullValues is set."""
    body = fields.get("RequestBody")
    if body is None:
        return b""
    if isinstance(body, dict) and not fields.get("AllowNullValues"):
        body = {name: value for name, value in body.items() if value is not None}
    return (body if isinstance(body, str) else dumps(body)).encode()


def _signed(
    host: Host, method: str, url: str, headers: dict[str, str], body: bytes
) -> dict[str, str]:
    """The headers of a signature with the local AWS credentials, if calls of AWS are allowed."""
    if not host.outside.allow_aws:
        return {}
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise TaskError(
            "ApiGateway.SdkClientException",
            aws_messages.AWS_UNREACHABLE.format(text="no credentials"),
        )
    signed = AWSRequest(method, url, dict(headers), body)
    SigV4Auth(credentials, "execute-api", host.home.region).add_auth(signed)
    return {name: value for name, value in signed.headers.items() if name not in headers}
