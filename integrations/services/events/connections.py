"""Connections: the credentials for HTTP endpoints, for API destinations and HTTP tasks.

    events/connection/NAME

Secrets are stored in plain text, and used only in calls to the endpoint: no operation returns them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from stepwell.asl.json_text import JsonError, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.store import BusStore

_PARAMETERS: Final = {
    "BASIC": "BasicAuthParameters",
    "API_KEY": "ApiKeyAuthParameters",
    "OAUTH_CLIENT_CREDENTIALS": "OAuthParameters",
}
_SHOWN: Final = (
    "ConnectionArn", "Name", "Description", "ConnectionState", "StateReason", "AuthorizationType",
    "SecretArn", "CreationTime", "LastModifiedTime", "LastAuthorizedTime",
)  # fmt: skip
_CHANGED: Final = (
    "ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime", "LastAuthorizedTime",
)  # fmt: skip
_TOKEN_SECONDS: Final = 300  # lifetime of a token without expires_in


class Credentials(NamedTuple):
    """What a connection adds to a request. secrets: texts that a trace must not show."""

    headers: dict[str, str]
    query: list[tuple[str, str]]
    body: dict[str, str]
    secrets: list[str]


class Connections:
    def __init__(self, store: BusStore) -> None:
        self._store, self._connections = store, Table("events/connection/")
        # connection -> (OAuth token, when to replace it: epoch seconds)
        self._tokens: dict[str, tuple[str, float]] = {}

    async def open(self) -> None:
        await self._connections.open(self._store.records)

    async def create_connection(
        self,
        /,
        name: str,
        authorization_type: str,
        auth_parameters: Document,
        description: str = "",
        **_: Any,
    ) -> Answer:
        _check_parameters(authorization_type, auth_parameters)
        async with self._store.lock:
            if name in self._connections:
                raise ApiError(
                    "ResourceAlreadyExistsException", messages.CONNECTION_EXISTS.format(name=name)
                )
            self._store.check_room(len(self._connections), self._store.host.limits.api_connections)
            home, at, id = self._store.host.home, self._store.now(), self._store.new_id()
            secret = home.service_arn("secretsmanager", f"secret:events!connection/{name}/{id}")
            connection: Document = {
                "ConnectionArn": self._store.arn(f"connection/{name}/{id}"),
                "Name": name,
                "Description": description or None,
                "ConnectionState": "AUTHORIZED",
                "AuthorizationType": authorization_type,
                "AuthParameters": auth_parameters,
                "SecretArn": secret,
                "CreationTime": at,
                "LastModifiedTime": at,
                "LastAuthorizedTime": at,
            }
            await self._connections.put(name, connection)
        return shown(connection, [name for name in _CHANGED if name != "LastAuthorizedTime"])

    async def update_connection(
        self,
        /,
        name: str,
        authorization_type: str | None = None,
        auth_parameters: Document | None = None,
        **others: Any,
    ) -> Answer:
        async with self._store.lock:
            connection = self.find(name)
            type: str = authorization_type or connection["AuthorizationType"]
            same_type, parameters = type == connection["AuthorizationType"], auth_parameters
            if parameters is None and not same_type:
                raise ApiError(
                    "ValidationException", messages.CONNECTION_PARAMETERS.format(type=type)
                )
            if parameters is not None:
                if same_type:
                    parameters = {**connection["AuthParameters"], **parameters}
                _check_parameters(type, parameters)
            connection = connection | {
                "AuthorizationType": type,
                "LastModifiedTime": self._store.now(),
                "AuthParameters": parameters or connection["AuthParameters"],
                "Description": others.get("description", connection.get("Description")),
            }
            await self._connections.put(name, connection)
            self._tokens.pop(name, None)
        return shown(connection, _CHANGED)

    async def describe_connection(self, name: str) -> Answer:
        connection = self.find(name)
        return {
            **shown(connection, _SHOWN),
            "AuthParameters": _without_secrets(connection["AuthParameters"]),
        }

    async def list_connections(
        self,
        name_prefix: str = "",
        connection_state: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        connections = [
            each
            for each in self._connections.sorted(name_prefix)
            if connection_state in (None, each["ConnectionState"])
        ]
        items, more = self._store.page(
            "ListConnections", [name_prefix, connection_state], connections, limit, next_token
        )
        names = [name for name in _SHOWN if name not in ("Description", "SecretArn")]
        return {"Connections": [shown(each, names) for each in items], **more}

    async def deauthorize_connection(self, name: str) -> Answer:
        async with self._store.lock:
            connection = self.find(name) | {
                "ConnectionState": "DEAUTHORIZED",
                "AuthParameters": {},
                "LastModifiedTime": self._store.now(),
            }
            await self._connections.put(name, connection)
            self._tokens.pop(name, None)
        return shown(connection, _CHANGED)

    async def delete_connection(self, name: str) -> Answer:
        async with self._store.lock:
            connection = self.find(name)
            await self._connections.delete(name)
            self._tokens.pop(name, None)
        return {
            **shown(connection, ("ConnectionArn", "CreationTime", "LastModifiedTime")),
            "ConnectionState": "DELETING",
        }

    def find(self, name: str) -> Document:
        """Raises ApiError."""
        connection = self._connections.get(name)
        if connection is None:
            raise ApiError(
                "ResourceNotFoundException", messages.CONNECTION_UNKNOWN.format(name=name)
            )
        return connection

    async def credentials(self, connection_arn: str) -> Credentials:
        """connection_arn: or its name. Raises ApiError, and ForbiddenError, UnreachableError
        or DeliveryError if its authorization endpoint returns no token.
        """
        connection = self.find(
            connection_name(connection_arn) if "/" in connection_arn else connection_arn
        )
        parameters, type = connection["AuthParameters"], connection["AuthorizationType"]
        http = parameters.get("InvocationHttpParameters") or {}
        headers, query = _pairs(http, "HeaderParameters"), _pairs(http, "QueryStringParameters")
        own = parameters.get(_PARAMETERS[type]) or {}
        secrets = [*(value for _, value in headers), *(value for _, value in query)]
        if type == "BASIC":
            text = base64.b64encode(
                f"{own.get('Username', '')}:{own.get('Password', '')}".encode()
            ).decode()
            headers.append(("Authorization", f"Basic {text}"))
            secrets.append(text)
        elif type == "API_KEY" and own:
            headers.append((own["ApiKeyName"], own["ApiKeyValue"]))
            secrets.append(own["ApiKeyValue"])
        elif own:
            token = await self._token(connection["Name"], own)
            headers.append(("Authorization", f"Bearer {token}"))
            secrets.append(token)
        return Credentials(dict(headers), query, dict(_pairs(http, "BodyParameters")), secrets)

    async def _token(self, name: str, oauth: Mapping[str, Any]) -> str:
        """An OAuth token of the authorization endpoint (RFC 6749, client credentials), which is
        cached until it expires. oauth: OAuthParameters.
        """
        token, until = self._tokens.get(name, ("", 0.0))
        if until > self._store.now():
            return token
        client, http = oauth["ClientParameters"], oauth.get("OAuthHttpParameters") or {}
        form = {
            "grant_type": "client_credentials",
            "client_id": client["ClientID"],
            "client_secret": client.get("ClientSecret", ""),
            **dict(_pairs(http, "BodyParameters")),
        }
        url = with_query(oauth["AuthorizationEndpoint"], _pairs(http, "QueryStringParameters"))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **dict(_pairs(http, "HeaderParameters")),
        }
        answer = await self._store.host.outside.http.send(
            oauth["HttpMethod"],
            url,
            headers,
            urlencode(form).encode(),
            self._store.host.limits.destination_seconds,
        )
        if answer.status >= 300:
            raise DeliveryError(
                "SDK_CLIENT_ERROR",
                messages.OAUTH_FAILED.format(status=answer.status),
                answer.status >= 500,
            )
        try:
            document: Any = loads(answer.body)
            token = document["access_token"]
            seconds = float(document.get("expires_in", _TOKEN_SECONDS))
        except (JsonError, KeyError, TypeError, ValueError, AttributeError):
            raise DeliveryError("SDK_CLIENT_ERROR", messages.OAUTH_NO_TOKEN, False) from None
        self._tokens[name] = token, self._store.now() + 0.9 * seconds
        return str(token)

    def forget_token(self, connection_arn: str) -> None:
        """Request a new token for the next call."""
        self._tokens.pop(connection_name(connection_arn), None)


def connection_name(arn: str) -> str:
    """arn: ...:connection/NAME/ID"""
    return arn.rpartition(":")[2].split("/")[1]


def _check_parameters(type: str, parameters: Mapping[str, Any]) -> None:
    if not parameters.get(_PARAMETERS[type]):
        raise ApiError("ValidationException", messages.CONNECTION_PARAMETERS.format(type=type))


def _without_secrets(value: Any) -> Any:
    """AuthParameters as operations return them."""
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    if not isinstance(value, dict):
        return value
    hidden = (
        "Password",
        "ApiKeyValue",
        "ClientSecret",
        *(["Value"] if value.get("IsValueSecret") else []),
    )
    return {name: _without_secrets(each) for name, each in value.items() if name not in hidden}


def _pairs(http: Mapping[str, Any], kind: str) -> list[tuple[str, str]]:
    """(name, value) of a member of InvocationHttpParameters or OAuthHttpParameters."""
    return [(each.get("Key", ""), each.get("Value", "")) for each in http.get(kind) or []]


def with_query(url: str, parameters: list[tuple[str, str]]) -> str:
    """The URL with more query parameters."""
    if not parameters:
        return url
    parts = urlsplit(url)
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *parameters]
    return urlunsplit(parts._replace(query=urlencode(pairs, quote_via=quote)))
