"""The environment variables that direct SDKs to services: AWS_ENDPOINT_URL_SQS and so on."""

from __future__ import annotations

from stepwell.integrations.aws.calls import ENGINE
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.server.protocols.aws_json import service_model
from stepwell.integrations.services.registry import TABLE


def endpoint_variable(service: str) -> str:
    """Of a service, by botocore's name: AWS_ENDPOINT_URL_EVENTBRIDGE for "events"."""
    return f"AWS_ENDPOINT_URL_{service_model(service).service_id.replace(' ', '_').upper()}"


def endpoints(url: str, outside: Outside) -> dict[str, str]:
    """The variables of functions: their SDKs use the same endpoints as the server's tasks.

    A configured endpoint of a service takes precedence over `url`, the server. A service without
    an endpoint that the server does not implement is directed to `url`, which refuses it, unless
    calls to AWS are allowed.
    """
    named = {
        **dict.fromkeys((*TABLE, ENGINE), url),
        **{service: each for service, each in outside.endpoints.items() if service},
    }
    others = outside.endpoints.get("") or ("" if outside.allow_aws else url)
    variables = {endpoint_variable(service): named[service] for service in sorted(named)}
    return {"AWS_ENDPOINT_URL": others, **variables} if others else variables
