"""Connections to PostgreSQL: what a URL names, what each session is set to, which servers are
refused.

A store's tables lie in a schema of their own, `stepwell`, or the one that the URL names:
postgresql://user@host/database?search_path=orders
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import ssl
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from stepwell.engine.errors import StoreError

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
DatabaseError = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # no server of several takes writes
    OSError,
    TimeoutError,
    RuntimeError,  # uvloop: the connection has just been closed
)

_MEANINGS: Final[tuple[tuple[Any, str], ...]] = (
    (
        (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError),
        "the server refuses the user or the password",
    ),
    (asyncpg.InvalidCatalogNameError, "the server has no such database"),
    (asyncpg.TooManyConnectionsError, "the server has no connection left"),
    (asyncpg.CannotConnectNowError, "the server is starting or stopping"),
    (asyncpg.InsufficientPrivilegeError, "the user lacks a privilege on the schema"),
    (asyncpg.DiskFullError, "the server's disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "the server takes no writes: it is a standby"),
    (asyncpg.QueryCanceledError, "a statement took too long, and the server ended it"),
    (ConnectionRefusedError, "nothing listens at that host and port"),
    (socket.gaierror, "the name of the host is not known"),
    (ssl.SSLError, "TLS failed: check sslmode and the certificates"),
    (TimeoutError, "the server did not answer in time"),
    (ConnectionError, "the connection was closed"),
)
"""Kinds of errors, and what they mean."""

log: Final = logging.getLogger("stepwell.store")

NAME: Final = "stepwell"  # of every session; that of a node has its URL behind it
OLDEST: Final = 140_000  # idle_session_timeout
CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 30
_OTHERS: Final = ("cockroach", "dsql", "redshift")  # their advisory locks lock nothing


class Target:
    """What a URL names. `name` is it without the password: for texts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url, query = url, parse_qs(parts.query, keep_blank_values=True)
        self.schema = query.get("search_path", ["stepwell"])[0]
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):  # what needs no quotes in SQL
            raise StoreError(
                f"search_path={self.schema}: one schema with a plain name in lower case is needed,"
                " such as stepwell"
            )
        host = parts.netloc.rpartition("@")
        user = host[0].partition(":")[0]
        netloc = f"{user}@{host[2]}" if user else host[2]
        self.name = urlunsplit((parts.scheme, netloc, parts.path, "", ""))

    def lock_class(self, purpose: str) -> int:
        """The first number of the advisory locks of this schema for a purpose; 32 bits, signed."""
        digest = hashlib.sha256(f"{self.schema}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:4], "big", signed=True)


async def connect(target: Target, **settings: str) -> Connection:
    """A session. Raises StoreError."""
    defaults = {
        "application_name": NAME,
        "search_path": target.schema,
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "timezone": "UTC",
        # All statements look rows up by keys. A plan that was made while a table was small, or from
        # the estimate for an array, would read the whole table, or compile for 30 ms.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }
    try:
        return await asyncpg.connect(
            target.url,
            timeout=CONNECT_SECONDS,
            # also to read: what was committed is to be seen at once
            target_session_attrs=SessionAttribute.primary,
            command_timeout=STATEMENT_SECONDS + 5,
            server_settings=defaults | settings,
        )
    except (*DatabaseError, ValueError) as error:
        host = urlsplit(target.name).netloc.rpartition("@")[2]
        raise StoreError(f"{failure(error)} ({host})") from error


def failure(error: BaseException) -> StoreError:
    """The same as an error of ours: what it means, and for errors of the server its own text."""
    for kinds, meaning in _MEANINGS:
        if isinstance(error, kinds):
            return StoreError(meaning)
    if isinstance(error, OSError):
        return StoreError(f"the connection failed: {os.strerror(error.errno or 0)}")
    if isinstance(error, asyncpg.PostgresError):
        return StoreError(f"PostgreSQL reports: {error} ({error.sqlstate})")
    return StoreError(f"no session with PostgreSQL: {error}".rstrip(": "))


async def refuse_unfit(writer: Connection, reader: Connection, target: Target) -> None:
    """Raises StoreError for a server, or a pooler before it, whose locks would not protect."""
    ((version, number, durable),) = await writer.fetch(
        "SELECT version(), current_setting('server_version_num')::int,"
        " current_setting('synchronous_commit', true)"
    )
    if any(name in version.lower() for name in _OTHERS):
        raise StoreError(
            f"its advisory locks do not lock: use PostgreSQL itself; this is {version}"
        )
    if number < OLDEST:
        raise StoreError(f"PostgreSQL 14 or newer is needed; this is {version}")
    async with reader.transaction():  # would take the session that a pooler lent to the writer
        await reader.fetchval("SELECT 1")
        same = await writer.fetchval("SELECT pg_backend_pid()") == writer.get_server_pid()
    if not same:
        raise StoreError(
            "it is a pooler that lends a session for one transaction: connect to"
            " PostgreSQL itself, or to a pool in session mode"
        )
    if durable in ("off", "local"):
        await writer.execute("SET synchronous_commit = on")


async def warn_of_no_standby(reader: Connection, name: str) -> None:
    """For who runs the database: not in every command that works on it."""
    if not await reader.fetchval("SELECT current_setting('synchronous_standby_names', true)"):
        log.warning("%s has no synchronous standby: a failover may lose the last commits", name)
