"""Connections to PostgreSQL: what a URL names, what each session is set to, which servers are
refused.

A store's tables lie in a schema of their own, `stepwell`, or the one that the URL names:
postgresql://user@host/database?search_path=orders
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.engine.store.keepalive import end_when_silent

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
DatabaseError = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # no server of several takes writes
    OSError,
    TimeoutError,
    RuntimeError,  # uvloop: the connection has just been closed
)

log: Final = logging.getLogger("stepwell.store")

NAME: Final = "stepwell"  # of every session; that of a node has its URL behind it
OLDEST: Final = 140_000  # idle_session_timeout
CONNECT_SECONDS: Final = 10.0
ONE_OF_HOSTS_SECONDS: Final = 3.0  # the same, of several: another may be promoted at any moment
SILENT_SECONDS: Final = 5.0  # a server that acknowledges nothing for so long has no power
_NEXT_HOST_SECONDS: Final = 1.0  # for which the next of several hosts is not called
STATEMENT_SECONDS: Final = 30
_OTHERS: Final = ("cockroach", "dsql", "redshift")  # their advisory locks lock nothing
_TRIALS: Final = 3  # other clients of the pooler may hide it once
_PID: Final = "SELECT pg_backend_pid()"
_SET: Final = (
    "SELECT set_config(name, value, false)"
    " FROM unnest($1::text[], $2::text[]) AS settings (name, value)"
)
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
_SHARED: Final = (
    "a pooler lends its sessions for one transaction or statement, and locks are lost between"
    " them: connect to PostgreSQL itself, or set pool_mode=session for this database"
)
_EXHAUSTED: Final = (
    "the pooler has no free session: connect to PostgreSQL itself, or make the pool larger"
)

_MEANINGS: Final[tuple[tuple[Any, str], ...]] = (
    (asyncpg.InvalidPasswordError, "the server refuses the user or the password"),
    (asyncpg.InvalidCatalogNameError, "the server has no such database"),
    (asyncpg.TooManyConnectionsError, "the server has no connection left"),
    (asyncpg.CannotConnectNowError, "the server is starting or stopping"),
    (asyncpg.InsufficientPrivilegeError, "the user lacks a privilege on the schema"),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError),
        "a table is missing: another version of stepwell wrote the database; `stepwell db migrate`"
        " brings it to this one",
    ),
    (asyncpg.DiskFullError, "the server's disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "the server takes no writes: it is a standby"),
    (asyncpg.QueryCanceledError, "a statement took too long, and the server ended it"),
    (ConnectionRefusedError, "nothing listens at that host and port"),
    (socket.gaierror, "the name of the host is not known"),
    (
        FileNotFoundError,
        "a file does not exist: of a certificate (sslrootcert, sslcert, sslkey), or the socket of"
        " the server",
    ),
    (ssl.SSLError, "TLS failed: check sslmode and the certificates"),
    (TimeoutError, "the server, or a pooler before it, did not answer in time"),
    (
        (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError),
        _SHARED,
    ),
    (ConnectionError, "the connection was closed"),
)
"""Kinds of errors, and what they mean."""

_OF_POOLERS: Final = (
    ("statement pooling mode", _SHARED),
    ("query_wait_timeout", _EXHAUSTED),
    ("max_client_conn", _EXHAUSTED),
    ("server login has been failing", "the pooler does not reach the server"),
)
"""Words of PgBouncer, whose errors have codes of others."""


class Target:
    """What a URL names. `dsn` is it for asyncpg; `name`, without the password, for texts."""

    def __init__(self, url: str) -> None:
        self.url, parts = url, urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        self.schema = dict(query).get("search_path", "stepwell")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):  # what needs no quotes in SQL
            raise StoreError(
                f"search_path={self.schema}: one schema with a plain name in lower case is needed,"
                " such as stepwell"
            )
        kept = urlencode([each for each in query if each[0] != "search_path"], quote_via=quote)
        self.dsn = url.replace(f"?{parts.query}", f"?{kept}")
        account, _, self.hosts = parts.netloc.rpartition("@")
        user = account.partition(":")[0]
        netloc = f"{user}@{self.hosts}" if user else self.hosts
        self.name = urlunsplit((parts.scheme, netloc, parts.path, "", ""))

    def each(self) -> list[tuple[str, int]] | list[tuple[()]]:
        """The hosts and ports of a URL with several; else what asyncpg finds in it."""
        if "," not in self.hosts:
            return [()]
        pairs = [urlsplit(f"//{host}") for host in self.hosts.split(",")]
        return [(unquote(pair.hostname or "localhost"), pair.port or 5432) for pair in pairs]

    def lock_class(self, purpose: str) -> int:
        """The first number of the advisory locks of this schema for a purpose; 32 bits, signed."""
        digest = hashlib.sha256(f"{self.schema}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:4], "big", signed=True)


async def connect(target: Target, *, name: str = NAME, **settings: str) -> Connection:
    """A session. Raises StoreError."""
    defaults = {
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
    } | settings
    session = await _connected(target, name)
    try:
        # as a statement: a pooler refuses, or drops, such settings of a client that connects
        await session.fetch(_SET, [*defaults], [*defaults.values()])
    except BaseException as error:
        session.terminate()
        if isinstance(error, DatabaseError):
            raise failure(error) from error
        raise
    return session


async def _connected(target: Target, name: str = NAME) -> Connection:
    """A session without settings. Raises StoreError."""
    try:
        session = await _first([partial(_session, target, name, *host) for host in target.each()])
    except (*DatabaseError, ValueError) as error:
        raise StoreError(f"{failure(error)} ({target.hosts})") from error
    # asyncpg has no settings for it, as libpq has
    end_when_silent(session._transport, SILENT_SECONDS)  # type: ignore[attr-defined]
    return session


async def _session(
    target: Target, name: str, host: str | None = None, port: int | None = None
) -> Connection:
    """host, port: one of several hosts in the URL."""
    return await asyncpg.connect(
        target.dsn,
        host=host,
        port=port,
        timeout=ONE_OF_HOSTS_SECONDS if host else CONNECT_SECONDS,
        # also to read: what was committed is to be seen at once
        target_session_attrs=SessionAttribute.primary,
        command_timeout=STATEMENT_SECONDS + 5,
        server_settings={"application_name": name},
    )


async def _first(attempts: Sequence[Callable[[], Coroutine[Any, Any, Connection]]]) -> Connection:
    """The first session. A host without power refuses nothing: the next one is called meanwhile.
    Raises the last error.
    """
    left, running = list(attempts), set[asyncio.Task[Connection]]()
    try:
        while True:
            if left:
                running.add(asyncio.create_task(left.pop(0)()))
            done, running = await asyncio.wait(
                running,
                timeout=_NEXT_HOST_SECONDS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in sorted(done, key=lambda task: task.exception() is not None):
                if task.exception() is None or not (left or running):
                    running |= done - {task}
                    return task.result()
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_not_needed)


def _not_needed(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


def failure(error: BaseException) -> StoreError:
    """The same as an error of ours: what it means, and for errors of the server its own text."""
    text, _, _ = str(error).partition("\n")  # without hints
    for words, meaning in _OF_POOLERS:
        if words in text:
            return StoreError(meaning)
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreError(f"TLS failed: {error.verify_message}")
    for kinds, meaning in _MEANINGS:
        if isinstance(error, kinds):
            return StoreError(meaning)
    if isinstance(error, OSError):
        return StoreError(f"the connection failed: {os.strerror(error.errno or 0)}")
    if isinstance(error, asyncpg.PostgresError):
        return StoreError(f"PostgreSQL reports: {text} ({error.sqlstate})")
    return StoreError(f"no session with PostgreSQL: {text}".rstrip(": "))


async def refuse_unfit(target: Target) -> None:
    """Raises StoreError for a server, or a pooler before it, whose locks would not protect. To be
    called before any session is set up: a pooler would pass the settings on to other clients.
    """
    session = await _connected(target)
    try:
        ((version, number, pid),) = await session.fetch(
            "SELECT version(), current_setting('server_version_num')::int, pg_backend_pid()"
        )
        if any(name in version.lower() for name in _OTHERS):
            raise StoreError(
                f"its advisory locks do not lock: use PostgreSQL itself; this is {version}"
            )
        if number < OLDEST:
            raise StoreError(f"PostgreSQL 14 or newer is needed; this is {version}")
        if pid != session.get_server_pid():  # poolers give clients numbers of their own
            await _refuse_shared(session, target)
    except DatabaseError as error:
        raise StoreError(f"{failure(error)} ({target.hosts})") from error
    finally:
        session.terminate()


async def _refuse_shared(session: Connection, target: Target) -> None:
    """Raises StoreError if a pooler lends this session to other clients meanwhile: if the session
    of the server behind it changes, or another client gets the same one.
    """
    other = await _connected(target)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            for _ in range(_TRIALS):
                before = await session.fetchval(_PID)
                async with other.transaction():
                    taken = await other.fetchval(_PID)
                    after = await session.fetchval(_PID)
                if taken == before or after != before:
                    raise StoreError(f"{_SHARED} ({target.hosts})")
    except TimeoutError:
        raise StoreError(f"{_EXHAUSTED} ({target.hosts})") from None
    finally:
        other.terminate()


async def commit_to_disk(writer: Connection) -> None:
    """What was acknowledged survives a crash of the server, even if that is not its default."""
    await writer.fetch(_DURABLE)


async def check_clock(session: Connection, most_seconds: float) -> None:
    """Raises StoreError if the clock of this machine and that of the server differ by more."""
    clock = SystemClock()
    began = clock.wall() / 1000
    there = await session.fetchval("SELECT extract(epoch FROM clock_timestamp())::float")
    ended = clock.wall() / 1000
    skew = round(max(began - there, there - ended))  # it read its clock between the two
    if skew > most_seconds:
        word = "ahead of" if began > there else "behind"
        raise StoreError(
            f"the clock of this machine is {skew} s {word} that of the server: synchronise both"
            " (NTP), or raise the limit clock_skew_seconds"
        )


async def warn_of_no_standby(reader: Connection, name: str) -> None:
    """For who runs the database: not in every command that works on it."""
    if not await reader.fetchval("SELECT current_setting('synchronous_standby_names', true)"):
        log.warning("%s has no synchronous standby: a failover may lose the last commits", name)
