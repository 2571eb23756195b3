"""The API's operations, of a database of this machine or of a running server, in AWS's shapes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Protocol

from stepwell.engine.arns import Home
from stepwell.engine.engine import Engine
from stepwell.integrations import database, operation_socket
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits

Answer = dict[str, Any]
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REGION: Final = "us-east-1"


class Api(Protocol):
    """home    of the ARNs; engine: of a database, to read what the API does not have"""

    home: Home
    engine: Engine | None

    async def call(self, operation: str, **members: Any) -> Answer:
        """The answer of an operation: list_executions(stateMachineArn=...). Times are epoch
        seconds. Raises ApiError, UsageError.
        """


class _Local:
    """Reads what is committed, also beside a server; changes by a request to the owner."""

    def __init__(self, engine: Engine, named: database.Database, limits: Limits) -> None:
        self.engine: Engine | None = engine
        self.home = engine.home
        self._read, self._named, self._limits = engine, named, limits

    async def call(self, operation: str, **members: Any) -> Answer:
        if operation in operation_socket.OPERATIONS:
            return await database.request(
                self._named, operation, *members.values(), limits=self._limits
            )
        options = {_CAPITAL.sub("_", name).lower(): value for name, value in members.items()}
        answer: Answer = await getattr(self._read, operation)(**options)
        return answer


class _Remote:
    """A server, by its HTTP API."""

    def __init__(self, url: str) -> None:
        import botocore.session
        from botocore.config import Config

        session = botocore.session.get_session()
        region = session.get_config_variable("region") or _REGION
        self.home = Home(region)
        self.engine: Engine | None = None
        self._url = url
        # on loopback any signature is accepted; elsewhere the environment has the credentials
        keys = {} if session.get_credentials() else dict.fromkeys(_KEYS, "stepwell")
        self._client = session.create_client(
            "stepfunctions",
            region_name=region,
            endpoint_url=url,
            config=Config(retries={"mode": "standard"}, inject_host_prefix=False),
            **keys,
        )

    async def call(self, operation: str, **members: Any) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError

        from stepwell.engine.errors import ApiError

        given = {name: value for name, value in members.items() if value is not None}
        try:
            answer = await asyncio.to_thread(getattr(self._client, operation), **given)
        except ClientError as fault:
            error = fault.response.get("Error", {})
            raise ApiError(error.get("Code", ""), error.get("Message", str(fault))) from None
        except (BotoCoreError, ValueError) as fault:
            raise UsageError(f"--server {self._url}: {fault}") from None
        shown: Answer = _seconds(answer)
        return shown


_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key")


def _seconds(value: Any) -> Any:
    """A client's answer with epoch seconds for its times."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {name: _seconds(each) for name, each in value.items()}
    return [_seconds(each) for each in value] if isinstance(value, list) else value


@asynccontextmanager
async def opened(db: str | None, server: str | None, limits: Limits) -> AsyncIterator[Api]:
    """The server at a URL; None: the database. Raises UsageError."""
    if server is not None:
        yield _Remote(server)
        return
    named = database.database(db)
    async with database.reading(named, limits) as engine:
        yield _Local(engine, named, limits)


async def pages(
    api: Api, operation: str, member: str, **members: Any
) -> AsyncIterator[Mapping[str, Any]]:
    """The items of all pages of a list."""
    token = None
    while True:
        page = await api.call(operation, **members, nextToken=token)
        for each in page[member]:
            yield each
        token = page.get("nextToken")
        if token is None:
            return


def machine_arn(api: Api, name: str) -> str:
    """The ARN of a state machine that the user named."""
    return name if name.startswith("arn:") else api.home.arn("stateMachine", name)
