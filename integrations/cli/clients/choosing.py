"""Which database or server a command uses.

In this order: --server, --db, STEPWELL_SERVER, STEPWELL_DB, AWS_ENDPOINT_URL_SFN, the default
database. A process that works on a database is found by its socket (database/requests.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.errors import UsageError

if TYPE_CHECKING:
    from stepwell.integrations.database.naming import Database
    from stepwell.integrations.limits import Limits

SERVER: Final = "STEPWELL_SERVER"
DATABASE: Final = "STEPWELL_DB"
ENDPOINT: Final = "AWS_ENDPOINT_URL_SFN"
AWS: Final = "aws"


class Where(NamedTuple):
    """The options --server, --db and --limits of a command, with the limits read."""

    server: str | None
    db: str | None
    limits: Limits


class Place(NamedTuple):
    """What the options and the environment name.

    server  URL, or "aws"; None: a database
    db      None: the default one
    words   the options that lead there again; empty if the environment does
    source  of `server`: the option or variable, for texts
    """

    server: str | None
    db: str | None
    words: list[str]
    source: str = "--server"


def database(db: str | None) -> tuple[Database, list[str]]:
    """The database of a command that needs one, and the words that lead there again."""
    from stepwell.integrations.database import naming  # imported late: it has the store

    named = naming.database(db)
    return named, [] if db in (None, os.environ.get(DATABASE)) else ["--db", str(named)]


def place(server: str | None, db: str | None) -> Place:
    """Of the options --server and --db, whose value may be that of STEPWELL_DB. Raises UsageError
    if both are named.
    """
    environment = os.environ
    named = db is not None and db != environment.get(DATABASE)
    if server is not None and named:
        raise UsageError("use either --server or --db, not both")
    if server is not None:
        return Place(server, None, ["--server", server])
    if named:
        return Place(None, db, database(db)[1])
    if value := environment.get(SERVER):
        return Place(value, None, [], SERVER)
    if db is None and (value := environment.get(ENDPOINT)):
        return Place(value, None, [], ENDPOINT)
    return Place(None, db, [])


@asynccontextmanager
async def opened(
    server: str | None, db: str | None, limits: Limits, create: bool = False
) -> AsyncIterator[Client]:
    """The client of what `server` and `db` name. Raises UsageError.

    create  the file of the database if there is none
    """
    at = place(server, db)
    if at.server is None:
        from stepwell.integrations.cli.clients.local import DatabaseClient
        from stepwell.integrations.database.reading import reading

        named, words = database(at.db)
        if create and named.file is not None and not named.file.exists():
            from stepwell.integrations.database.owning import owned

            async with owned(named, limits=limits):
                pass  # opened and closed, it is there
        async with reading(named, limits) as reader:
            client = DatabaseClient(reader, named, words, limits)
            try:
                yield client
            finally:
                await client.close()
        return
    from stepwell.integrations.cli.clients.server import ServerClient

    server_client = ServerClient(_url(at), at.words, limits)
    try:
        yield server_client
    finally:
        server_client.close()


def _url(at: Place) -> str:
    from stepwell.integrations.cli.clients.transport import read_url

    assert at.server is not None
    if at.server == AWS:
        from stepwell.integrations.cli.clients.signing import Signer

        return Signer().endpoint()
    read_url(at.server, at.source)
    return at.server.rstrip("/")


def using(
    server: str | None,
    db: str | None,
    limits: Limits,
    work: Callable[[Client], Coroutine[Any, Any, int | None]],
    create: bool = False,
) -> int:
    """Call `work` with the client of what the options name. The exit code; None is success.

    create  see opened()
    """

    async def run() -> int:
        async with opened(server, db, limits, create) as client:
            return await work(client) or exit_codes.SUCCEEDED

    return asyncio.run(run())
