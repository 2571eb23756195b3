"""Which database a command names."""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from stepwell.engine.errors import StoreError
from stepwell.engine.store.opening import is_postgres, sqlite_path, without_password
from stepwell.integrations import operation_socket
from stepwell.integrations.errors import UsageError
from stepwell.integrations.private_files import default_path


@dataclass(frozen=True)
class Database:
    """A database that a command names.

    url   as open_store() takes it
    file  of SQLite; None: the database is on a PostgreSQL server
    name  the same without a password, for texts
    """

    url: str
    file: Path | None
    name: str

    @property
    def socket(self) -> Path:
        """Where this process listens for other commands of this machine once it owns the database
        (operation_socket.py). Several processes work on one on a server: each has its own.
        """
        if self.file is None:
            return self._socket.with_suffix(f".{os.getpid()}.sock")
        return self._socket

    @property
    def sockets(self) -> list[Path]:
        """Where processes of this machine that work on it may listen."""
        if self.file is not None:
            return [self._socket]
        return sorted(self._socket.parent.glob(f"{self._socket.stem}*.sock"))

    @property
    def _socket(self) -> Path:
        named = self.url if self.file is None else str(self.file.resolve())
        folder = default_path().parent if self.file is None else self.file.resolve().parent
        if self.file is not None and operation_socket.reachable(Path(f"{named}.sock")):
            return Path(f"{named}.sock")
        digest = Path(f"{hashlib.sha256(os.fsencode(named)).hexdigest()[:16]}.sock")
        beside = folder / digest
        return beside if operation_socket.reachable(beside) else default_path().parent / digest

    def __str__(self) -> str:
        return self.name


def database(option: str | None) -> Database:
    """The database that --db names, or the default one. Raises UsageError."""
    if option is not None and is_postgres(option):
        return Database(option, None, without_password(option))
    try:
        file = default_path() if option is None else Path(sqlite_path(option))
    except StoreError as fault:
        raise UsageError(f"--db {fault}") from None
    return Database(str(file), file, str(file))


def existing(database: Database) -> Database:
    """Raises UsageError if there is no such file. (A server answers when it is asked.)"""
    file = database.file
    if file is not None and file.is_dir():
        raise UsageError(f"{database} is a folder, not a database")
    if file is not None and not file.is_file():
        option = "" if file == default_path() else f" --db {shlex.quote(str(file))}"
        hint = "" if file.exists() else f" yet: `stepwell run FILE{option}` creates it"
        raise UsageError(f"there is no database at {file}{hint}")
    return database


def failed(database: Database, done: str, fault: StoreError) -> str:
    """That it cannot be `done`, and why; some faults name the file themselves."""
    text = str(fault)
    named = database.file is not None and text.startswith(str(database.file.resolve()))
    return text if named else f"{database} cannot be {done}: {text}"
