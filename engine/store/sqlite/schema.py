"""The format of a database file, kept in its header."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

from stepwell.engine.store.base import StoreFormatError
from stepwell.engine.store.sql.migrations import check_format, migrations_of

MIGRATIONS: Final = migrations_of(Path(__file__).parent)
APPLICATION_ID: Final = 0x5374_7077  # "Stpw", in the header of the file
# statement -> the format that brought the table which it creates empty
LATER_TABLES: Final = {
    "create_empty_parked": 4,
    "create_empty_long_history": 5,
    "create_empty_attribute": 8,
}
_TEMPLATE_LOCK: Final = Lock()


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """The format of the database; 0 for a new one. Raises StoreFormatError for another program's
    database and for a newer format.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and (
        version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreFormatError(f"{path} is a database of another program")
    check_format(version, MIGRATIONS, path)
    return version


def create_in_memory(connection: sqlite3.Connection) -> None:
    """The newest format, in an empty database in memory: a copy, which takes a tenth of the
    migrations.
    """
    with _TEMPLATE_LOCK:
        _template().backup(connection)
    connection.execute("UPDATE meta SET secret = randomblob(32)")


@cache
def _template() -> sqlite3.Connection:
    template = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(template, 0)
    return template


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a database of that format to the newest one. Each migration is a transaction, with its
    number: a crash leaves the format before or after it.
    """
    for migration in MIGRATIONS:
        if migration.number > version:
            connection.executescript(
                f"BEGIN IMMEDIATE; {migration.statements()}"
                f" PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {migration.number}; COMMIT;"
            )
