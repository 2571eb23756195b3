"""The format of the database: the number of its last migration, kept in the file's header.

migrations/NNNN_name.sql are applied in their order, each in a transaction of its own. A released
migration is never changed; a new format is a new file.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from threading import Lock
from typing import Final

from stepwell.engine.store.base import StoreFormatError

MIGRATIONS: Final = files(__package__).joinpath("migrations")
APPLICATION_ID: Final = 0x5374_7077  # "Stpw", in the header of the file
# statement -> the format that brought the table which it creates empty
LATER_TABLES: Final = {
    "create_empty_parked": 4,
    "create_empty_long_history": 5,
    "create_empty_attribute": 8,
}


_TEMPLATE_LOCK: Final = Lock()


def _migrations() -> list[tuple[int, Traversable]]:
    return sorted(
        (int(file.name[:4]), file) for file in MIGRATIONS.iterdir() if file.name.endswith(".sql")
    )


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """The format of the database; 0 for a new one. Raises StoreFormatError for another program's
    database and for a newer format.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    newest = _migrations()[-1][0]
    if not ours and (
        version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreFormatError(f"{path} is a database of another program")
    if version > newest:
        raise StoreFormatError(
            f"{path} has format {version}, written by a newer version of stepwell; this one "
            f"knows formats up to {newest}: upgrade stepwell, or use another database"
        )
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
    """Bring a database of that format to the newest one. A migration's number is part of its
    transaction: a crash leaves the format before or after it.
    """
    for number, file in _migrations():
        if number > version:
            settings = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
            connection.executescript(
                f"BEGIN IMMEDIATE; {file.read_text(encoding='utf-8')} {settings} COMMIT;"
            )
