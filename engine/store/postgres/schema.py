"""The statements in PostgreSQL's words, and the format of a schema, kept in its table `format`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from stepwell.engine.store.base import StoreFormatError
from stepwell.engine.store.postgres.session import Connection, Target
from stepwell.engine.store.sql.migrations import check_format, migrations_of
from stepwell.engine.store.sql.statements import statements_of

SQL: Final = statements_of(Path(__file__).parent)
MIGRATIONS: Final = migrations_of(Path(__file__).parent)


@lru_cache(maxsize=256)
def numbered(name: str) -> str:
    """A statement with $1, $2 ... for its parameters."""
    first, *rest = SQL[name].split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


async def format_of(connection: Connection, target: Target) -> int:
    """The number of its last migration, 0 for none. Raises StoreFormatError for a newer one."""
    version: int = 0
    if await connection.fetchval("SELECT to_regclass($1)", f"{target.schema}.format"):
        version = await connection.fetchval(SQL["format"])
    check_format(version, MIGRATIONS, target.name)
    return version


async def users(
    connection: Connection, target: Target, name: str, *values: int
) -> tuple[list[str], str]:
    """Who holds locks of nodes and shards: the servers, and the host of any."""
    classes = [target.lock_class(each) % (1 << 32) for each in ("node", "shard")]
    found = await connection.fetch(numbered(name), *classes, *values)
    nodes = [(words.split(), place) for words, place in found]
    servers = [f"{words[1]} ({place})" for words, place in nodes if words[1:]]
    return servers, found[0][1] if found else ""


async def migrate(connection: Connection, target: Target, count: int) -> None:
    """Bring the schema to the newest format; a new one gets so many shards. All in one transaction,
    and one process at a time: shards may be opened at once. Raises StoreFormatError while processes
    of an older version work on it: they would not write what the new tables are to hold.
    """
    newest = MIGRATIONS[-1].number
    if await format_of(connection, target) == newest:
        return
    async with connection.transaction():
        await connection.execute(numbered("lock_format"), target.lock_class("format"))
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {target.schema}")
        version = await format_of(connection, target)
        if 0 < version < newest:
            servers, place = await users(connection, target, "users")
            if place:
                raise StoreFormatError(
                    f"{target.name} has format {version}, and"
                    f" {' and '.join(servers) or f'a process of {place}'} of an older version use"
                    f" it: stop them first, then this version changes it to format {newest}"
                )
        await connection.execute(SQL["formats"])
        for migration in MIGRATIONS:
            if migration.number > version:
                await connection.execute(migration.statements())
                await connection.execute(numbered("set_format"), migration.number)
        if not version:
            for name in ("create_meta", "create_shards"):
                await connection.execute(numbered(name), count)
