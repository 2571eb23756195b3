"""Which store keeps a database, by the database's URL. Nothing outside of this folder knows which
stores there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from os import PathLike, fspath
from typing import Any, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Finding, Store
from stepwell.engine.store.membership import SharedDatabase
from stepwell.engine.store.sqlite.store import SqliteStore

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # a Path has lost the second slash


def open_store(
    url: str | PathLike[str],
    *,
    read_only: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    shard: Shard | None = None,
    inline: bool = False,
) -> Store:
    """The store of a database; its open() opens it. Raises StoreError if no store has that scheme.

    url        postgresql://user:password@host:port/database (?search_path= names the schema), or
               a file's path, sqlite:///PATH (with a fourth slash if it is absolute), or ":memory:"
    read_only  read committed rows only, without the lock: beside the process that works on the
               database, or after that process was killed
    shard      of a database in PostgreSQL: which one is written; None: the first
    inline     for virtual time, in SQLite only: on the event loop, where it waits for no disk; a
               power cut may lose the last commits
    """
    if is_postgres(url):
        if inline:
            raise StoreError(
                f"{without_password(fspath(url))}: time is skipped in SQLite databases only; other "
                "nodes of a PostgreSQL database have clocks of their own"
            )
        from_url: Any = _postgres("store").PostgresStore
        store: Store = from_url(fspath(url), read_only=read_only, limits=limits, shard=shard)
        return store
    if shard not in (None, Shard()):
        raise StoreError(f"{without_password(fspath(url))} has one shard")
    return SqliteStore(
        sqlite_path(url), full=not inline, read_only=read_only, limits=limits, inline=inline
    )


def share_database(url: str, address: str, serves: str, limits: Limits) -> SharedDatabase:
    """A database that this process works on together with others. Raises StoreError.

    address  where the others reach this process
    serves   URL at which clients reach it
    """
    shared: SharedDatabase = _postgres("cluster").PostgresCluster(url, address, serves, limits)
    return shared


def _postgres(module: str) -> Any:
    """A module of the store in PostgreSQL. Raises StoreError if its package is not installed."""
    try:
        return import_module(f"stepwell.engine.store.postgres.{module}")
    except ModuleNotFoundError as error:
        raise StoreError(
            f"PostgreSQL needs the package {error.name}: pip install 'stepwell[postgres]'"
        ) from None


def is_postgres(url: str | PathLike[str]) -> bool:
    return fspath(url).startswith(_POSTGRES)


def without_password(url: str) -> str:
    """The URL of a database as it may be shown."""
    return _PASSWORD.sub(r"\1", url)


def sqlite_path(url: str | PathLike[str]) -> str:
    """The path of the file that the URL of a database names. Raises StoreError."""
    text = fspath(url)
    if text.startswith(_SQLITE):
        return text.removeprefix(_SQLITE)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    if scheme[1] == "sqlite":
        raise StoreError(f"{text}: give the path alone, or as {_SQLITE}PATH")
    raise StoreError(f"no store for {scheme[1]}: give a path, or postgresql://...")


async def damaged(
    url: str | PathLike[str],
    record: Callable[[str, bytes], object],
    limits: Limits = DEFAULT_LIMITS,
) -> list[Finding]:
    """The damaged values of a database, which another process may have open; `record` as in
    Store.damage(). Raises StoreError if the database cannot be read at all.
    """
    store = open_store(url, read_only=True, limits=limits)
    await store.open()
    try:
        return [each async for each in store.damage(record)]
    finally:
        await store.close()
