"""The database file before it is a store: who holds it, whose it is, and which format it has."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store import sql
from stepwell.engine.store.base import StoreFormat, StoreInUse

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def lock(path: str) -> IO[str]:
    """Hold <path>.lock as long as the file is open; the system lets go of it when the process dies, however it dies."""
    try:
        file = open(f"{path}.lock", "a+")  # noqa: SIM115  # kept
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StoreInUse(f"{path} is in use by process {holder}: only one may have it open for writing") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _migrations() -> list[tuple[int, Path]]:
    return sorted((int(path.name[:4]), path) for path in MIGRATIONS.glob("[0-9]*.sql"))


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """The format of the database: the number of its last migration, 0 for a new one. Raises StoreFormat."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == sql.APPLICATION_ID
    newest = _migrations()[-1][0]
    if not ours and (version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise StoreFormat(f"{path} is a database of another program")
    if version > newest:
        raise StoreFormat(f"{path} has format {version}, written by a newer version of stepwell; this one knows formats up to {newest}")
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Each migration is a transaction of its own, its number included: a crash leaves the format before or after it."""
    for number, path in _migrations():
        if number > version:
            settings = f"PRAGMA application_id = {sql.APPLICATION_ID}; PRAGMA user_version = {number};"
            connection.executescript(f"BEGIN IMMEDIATE; {path.read_text(encoding='utf-8')} {settings} COMMIT;")
