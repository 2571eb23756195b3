"""The statements in PostgreSQL's words, and the format of a schema: the number of its last
migration.

migrations/NNNN_name.sql are applied in their order. A released migration is never changed; a new
format is a new file.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from stepwell.engine.store.base import StoreFormatError
from stepwell.engine.store.postgres.session import Connection, Target
from stepwell.engine.store.sql.statements import statements_of

SQL: Final = statements_of(__package__)
MIGRATIONS: Final = files(__package__).joinpath("migrations")


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
    newest = _migrations()[-1][0]
    if version > newest:
        raise StoreFormatError(
            f"{target.name} has format {version}, written by a newer version of stepwell; this one"
            f" knows formats up to {newest}: upgrade stepwell, or use another database"
        )
    return version


async def migrate(connection: Connection, target: Target, count: int) -> None:
    """Bring the schema to the newest format; a new one gets so many shards. All in one transaction,
    and one process at a time: shards may be opened at once.
    """
    if await format_of(connection, target) == _migrations()[-1][0]:
        return
    async with connection.transaction():
        await connection.execute(numbered("lock_format"), target.lock_class("format"))
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {target.schema}")
        version = await format_of(connection, target)
        await connection.execute(SQL["formats"])
        for number, file in _migrations():
            if number > version:
                await connection.execute(file.read_text(encoding="utf-8"))
                await connection.execute(numbered("set_format"), number)
        if not version:
            for name in ("create_meta", "create_shards"):
                await connection.execute(numbered(name), count)


def _migrations() -> list[tuple[int, Traversable]]:
    return sorted(
        (int(file.name[:4]), file) for file in MIGRATIONS.iterdir() if file.name.endswith(".sql")
    )
