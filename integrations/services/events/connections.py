"""EventBridge's connections (who we are to an HTTP endpoint) and API destinations (where it is).
HTTP Tasks use connections too.

Their secrets lie in the database as they were given, and leave it only in calls to their endpoint:
the answers of operations have none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.http_client import Forbidden, Unreachable
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.deliveries import Undelivered
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.store import BusStore

_PARAMETERS: Final = {
    "BASIC": "BasicAuthParameters",
    "API_KEY": "ApiKeyAuthParameters",
    "OAUTH_CLIENT_CREDENTIALS": "OAuthParameters",
}
_CONNECTION_SHOWN: Final = (
    "ConnectionArn", "Name", "Description", "ConnectionState", "StateReason", "AuthorizationType",
    "SecretArn", "CreationTime",
    "LastModifiedTime", "LastAuthorizedTime",
)  # fmt: skip
_DESTINATION_SHOWN: Final = (
    "ApiDestinationArn", "Name", "Description", "ApiDestinationState", "ConnectionArn",
    "InvocationEndpoint", "HttpMethod",
    "InvocationRateLimitPerSecond", "CreationTime", "LastModifiedTime",
)  # fmt: skip
_AGAIN: Final = (401, 407, 409, 429)  # and 5xx
_TOKEN_SECONDS: Final = 300  # of a token that does not say how long it is good


class Credentials(NamedTuple):
    """What a connection adds to a call; `secrets` are the texts that a trace must not show."""

    headers: dict[str, str]
    query: list[tuple[str, str]]
    body: dict[str, str]
    secrets: list[str]


class Connections:
    def __init__(self, store: BusStore) -> None:
        self._store, self.connections = store, Table("events/connection/")
        self._tokens: dict[str, tuple[str, float]] = {}  # connection -> OAuth token, good until

    async def open(self) -> None:
        await self.connections.open(self._store.records)

    async def create_connection(
        self,
        /,
        name: str,
        authorization_type: str,
        auth_parameters: Document,
        description: str = "",
        **_: Any,
    ) -> Answer:
        _check(authorization_type, auth_parameters)
        async with self._store.lock:
            if name in self.connections:
                raise ApiError(
                    "ResourceAlreadyExistsException", messages.CONNECTION_EXISTS.format(name=name)
                )
            self._store.check_room(len(self.connections), self._store.host.limits.api_connections)
            home, at, id = self._store.host.home, self._store.now(), self._store.new_id()
            secret = (
                f"arn:{home.partition}:secretsmanager:{home.region}:{home.account}"
                f":secret:events!connection/{name}/{id}"
            )
            connection: Document = {
                "ConnectionArn": self._store.arn(f"connection/{name}/{id}"),
                "Name": name,
                "Description": description or None,
            }
            connection |= {
                "ConnectionState": "AUTHORIZED",
                "AuthorizationType": authorization_type,
                "AuthParameters": auth_parameters,
            }
            connection |= {
                "SecretArn": secret,
                "CreationTime": at,
                "LastModifiedTime": at,
                "LastAuthorizedTime": at,
            }
            await self.connections.put(name, connection)
        return shown(
            connection, ("ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime")
        )

    async def update_connection(self, /, name: str, **given: Any) -> Answer:
        async with self._store.lock:
            connection = self.find(name)
            type: str = given.get("authorization_type") or connection["AuthorizationType"]
            parameters = given.get("auth_parameters")
            if parameters is None and type != connection["AuthorizationType"]:
                raise ApiError(
                    "ValidationException", messages.CONNECTION_PARAMETERS.format(type=type)
                )
            if parameters is not None:
                parameters = (
                    {**connection["AuthParameters"], **parameters}
                    if type == connection["AuthorizationType"]
                    else parameters
                )
                _check(type, parameters)
            connection = connection | {
                "AuthorizationType": type,
                "LastModifiedTime": self._store.now(),
            }
            connection |= {"AuthParameters": parameters or connection["AuthParameters"]}
            connection |= {"Description": given.get("description", connection.get("Description"))}
            await self.connections.put(name, connection)
            self._tokens.pop(name, None)
        return shown(
            connection,
            (
                "ConnectionArn",
                "ConnectionState",
                "CreationTime",
                "LastModifiedTime",
                "LastAuthorizedTime",
            ),
        )

    async def describe_connection(self, name: str) -> Answer:
        connection = self.find(name)
        return {
            **shown(connection, _CONNECTION_SHOWN),
            "AuthParameters": _without_secrets(connection["AuthParameters"]),
        }

    async def list_connections(
        self,
        name_prefix: str = "",
        connection_state: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        found = [
            each
            for each in self.connections.sorted(name_prefix)
            if connection_state in (None, each["ConnectionState"])
        ]
        items, more = self._store.page(
            "ListConnections", [name_prefix, connection_state], found, limit, next_token
        )
        hidden = ("Description", "SecretArn")
        return {
            "Connections": [
                shown(each, [name for name in _CONNECTION_SHOWN if name not in hidden])
                for each in items
            ],
            **more,
        }

    async def deauthorize_connection(self, name: str) -> Answer:
        async with self._store.lock:
            connection = self.find(name) | {
                "ConnectionState": "DEAUTHORIZED",
                "AuthParameters": {},
                "LastModifiedTime": self._store.now(),
            }
            await self.connections.put(name, connection)
            self._tokens.pop(name, None)
        return shown(
            connection,
            (
                "ConnectionArn",
                "ConnectionState",
                "CreationTime",
                "LastModifiedTime",
                "LastAuthorizedTime",
            ),
        )

    async def delete_connection(self, name: str) -> Answer:
        async with self._store.lock:
            connection = self.find(name)
            await self.connections.delete(name)
            self._tokens.pop(name, None)
        return {
            **shown(connection, ("ConnectionArn", "CreationTime", "LastModifiedTime")),
            "ConnectionState": "DELETING",
        }

    def find(self, name: str) -> Document:
        found = self.connections.get(name)
        if found is None:
            raise ApiError(
                "ResourceNotFoundException", messages.CONNECTION_UNKNOWN.format(name=name)
            )
        return found

    async def credentials(self, connection_arn: str) -> Credentials:
        """What a call by this connection carries. Raises ApiError, Forbidden, Unreachable, and
        Undelivered of a token that is not given.
        """
        connection = self.find(
            connection_arn.rpartition(":")[2].split("/")[1]
            if "/" in connection_arn
            else connection_arn
        )
        given, type = connection["AuthParameters"], connection["AuthorizationType"]
        http = given.get("InvocationHttpParameters") or {}
        headers, query = _pairs(http, "HeaderParameters"), _pairs(http, "QueryStringParameters")
        own = given.get(_PARAMETERS[type]) or {}
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

    async def _token(self, name: str, own: Mapping[str, Any]) -> str:
        """Of the connection's authorization endpoint, by the grant of client credentials; kept as
        long as it is good.
        """
        token, until = self._tokens.get(name, ("", 0.0))
        if until > self._store.now():
            return token
        client, http = own["ClientParameters"], own.get("OAuthHttpParameters") or {}
        form = {
            "grant_type": "client_credentials",
            "client_id": client["ClientID"],
            "client_secret": client.get("ClientSecret", ""),
        }
        form |= dict(_pairs(http, "BodyParameters"))
        url = with_query(own["AuthorizationEndpoint"], _pairs(http, "QueryStringParameters"))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **dict(_pairs(http, "HeaderParameters")),
        }
        answer = await self._store.host.outside.http.send(
            own["HttpMethod"],
            url,
            headers,
            urlencode(form).encode(),
            self._store.host.limits.destination_seconds,
        )
        if answer.status >= 300:
            raise Undelivered(
                "SDK_CLIENT_ERROR",
                messages.OAUTH_FAILED.format(status=answer.status),
                answer.status >= 500,
            )
        try:
            told: Any = loads(answer.body)
            token = told["access_token"]
            seconds = float(told.get("expires_in", _TOKEN_SECONDS))
        except (JsonError, KeyError, TypeError, ValueError, AttributeError):
            raise Undelivered("SDK_CLIENT_ERROR", messages.OAUTH_NO_TOKEN, False) from None
        self._tokens[name] = token, self._store.now() + 0.9 * seconds
        return str(token)

    def forget_token(self, connection_arn: str) -> None:
        """The endpoint did not accept it."""
        self._tokens.pop(connection_arn.rpartition(":")[2].split("/")[1], None)


class Destinations:
    """API destinations: their operations, and the calls to them."""

    def __init__(self, store: BusStore, connections: Connections) -> None:
        self._store, self._connections, self.destinations = (
            store,
            connections,
            Table("events/destination/"),
        )
        self._turns: dict[str, int] = {}  # destination -> ms of its next call

    async def open(self) -> None:
        await self.destinations.open(self._store.records)

    async def create_api_destination(
        self,
        /,
        name: str,
        connection_arn: str,
        invocation_endpoint: str,
        http_method: str,
        **given: Any,
    ) -> Answer:
        async with self._store.lock:
            if name in self.destinations:
                raise ApiError(
                    "ResourceAlreadyExistsException", messages.DESTINATION_EXISTS.format(name=name)
                )
            self._store.check_room(len(self.destinations), self._store.host.limits.api_destinations)
            self._connections.find(connection_arn.rpartition(":")[2].split("/")[1])
            at = self._store.now()
            destination: Document = {
                "ApiDestinationArn": self._store.arn(
                    f"api-destination/{name}/{self._store.new_id()}"
                ),
                "Name": name,
            }
            destination |= {
                "ApiDestinationState": "ACTIVE",
                "ConnectionArn": connection_arn,
                "InvocationEndpoint": invocation_endpoint,
            }
            destination |= {
                "HttpMethod": http_method,
                "CreationTime": at,
                "LastModifiedTime": at,
                **_about(given),
            }
            await self.destinations.put(name, destination)
        return shown(
            destination,
            ("ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime"),
        )

    async def update_api_destination(self, /, name: str, **given: Any) -> Answer:
        async with self._store.lock:
            destination = (
                self._destination(name) | _about(given) | {"LastModifiedTime": self._store.now()}
            )
            self._connections.find(destination["ConnectionArn"].rpartition(":")[2].split("/")[1])
            await self.destinations.put(name, destination)
        return shown(
            destination,
            ("ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime"),
        )

    async def describe_api_destination(self, name: str) -> Answer:
        return shown(self._destination(name), _DESTINATION_SHOWN)

    async def list_api_destinations(
        self,
        name_prefix: str = "",
        connection_arn: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        found = [
            each
            for each in self.destinations.sorted(name_prefix)
            if connection_arn in (None, each["ConnectionArn"])
        ]
        items, more = self._store.page(
            "ListApiDestinations", [name_prefix, connection_arn], found, limit, next_token
        )
        return {
            "ApiDestinations": [
                shown(each, [name for name in _DESTINATION_SHOWN if name != "Description"])
                for each in items
            ],
            **more,
        }

    async def delete_api_destination(self, name: str) -> Answer:
        async with self._store.lock:
            self._destination(name)
            await self.destinations.delete(name)
            self._turns.pop(name, None)
        return {}

    def _destination(self, name: str) -> Document:
        found = self.destinations.get(name)
        if found is None:
            raise ApiError(
                "ResourceNotFoundException", messages.DESTINATION_UNKNOWN.format(name=name)
            )
        return found

    async def invoke_destination(self, arn: str, target: Mapping[str, Any], payload: str) -> None:
        """One call. Raises Undelivered, ApiError."""
        destination = self._destination(arn.split("/")[1])
        self._take_turn(destination)
        about = target.get("HttpParameters") or {}
        try:
            credentials = await self._connections.credentials(destination["ConnectionArn"])
            url = destination["InvocationEndpoint"]
            for value in about.get("PathParameterValues") or []:
                url = url.replace("*", quote(value, safe=""), 1)
            url = with_query(
                url, [*(about.get("QueryStringParameters") or {}).items(), *credentials.query]
            )
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Amazon/EventBridge/ApiDestinations",
            }
            headers |= {**(about.get("HeaderParameters") or {}), **credentials.headers}
            body = with_members(payload, credentials.body).encode()
            seconds = self._store.host.limits.destination_seconds
            answer = await self._store.host.outside.deliveries.send(
                destination["HttpMethod"], url, headers, body, seconds
            )
        except Forbidden as fault:
            raise Undelivered("SDK_CLIENT_ERROR", str(fault), False) from None
        except Unreachable as fault:
            raise Undelivered("TIMEOUT", str(fault)) from None
        if answer.status == 401:
            self._connections.forget_token(destination["ConnectionArn"])
        if answer.status >= 300:
            again = answer.status in _AGAIN or answer.status >= 500
            code = "THROTTLING" if answer.status == 429 else "SDK_CLIENT_ERROR"
            raise Undelivered(code, messages.DESTINATION_STATUS.format(status=answer.status), again)

    def _take_turn(self, destination: Document) -> None:
        """Raises Undelivered if the destination has had its calls for now."""
        rate, now, name = (
            destination.get("InvocationRateLimitPerSecond") or 300,
            self._store.host.clock.now(),
            destination["Name"],
        )
        turn = max(self._turns.get(name, 0), now - 1000)  # a second's worth may come at once
        if turn > now:
            raise Undelivered("THROTTLING", engine_messages.THROTTLED)
        self._turns[name] = turn + max(1, 1000 // rate)


def _check(type: str, parameters: Mapping[str, Any]) -> None:
    if not parameters.get(_PARAMETERS[type]):
        raise ApiError("ValidationException", messages.CONNECTION_PARAMETERS.format(type=type))


def _about(given: Mapping[str, Any]) -> Document:
    members = {
        "description": "Description",
        "connection_arn": "ConnectionArn",
        "invocation_endpoint": "InvocationEndpoint",
        "http_method": "HttpMethod",
        "invocation_rate_limit_per_second": "InvocationRateLimitPerSecond",
    }
    return {members[name]: value for name, value in given.items() if name in members}


def _without_secrets(value: Any) -> Any:
    """AuthParameters as they are shown."""
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
    return [(each.get("Key", ""), each.get("Value", "")) for each in http.get(kind) or []]


def with_query(url: str, more: list[tuple[str, str]]) -> str:
    if not more:
        return url
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(
            query=urlencode(
                [*parse_qsl(parts.query, keep_blank_values=True), *more], quote_via=quote
            )
        )
    )


def with_members(payload: str, members: Mapping[str, str]) -> str:
    """A JSON object with a connection's own members; anything else as it is."""
    if not members:
        return payload
    value = loads(payload)
    return dumps({**value, **members}) if isinstance(value, dict) else payload
