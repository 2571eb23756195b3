"""The database file before it is a store: who holds it, whose it is, and which format it has.

Three things keep a second owner out, or an owner that is none any more:

    locks    <path>.lock of the real path names the holder; one byte of the database file itself is
             locked as well, which no other name of the file (a symbolic or hard link) and no
             deleted .lock gets around
    inodes   a name that leads elsewhere than when it was opened: the file was deleted or replaced,
             and commits to it are lost
    epoch    of the database: each opening raises it, each transaction asks for the one of its
             opening (sql.FENCE)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
import struct
from pathlib import Path
from typing import IO, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import StoreFormat, StoreInUse, StoreLost
from stepwell.engine.store.sqlite import sql

MIGRATIONS: Final = Path(__file__).with_name("migrations")
MODE: Final = 0o600  # of all files of a database: payloads are nobody else's
PARTS: Final = ("", "-wal", "-shm")
LOCKED_BYTE: Final = 1 << 62  # far behind the bytes that SQLite locks, and the end of any file
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")

_held: set[tuple[int, int]] = set()  # (device, inode) of the databases that this process holds


def check_path(path: str) -> None:
    """Raises StoreError if it is a URL: no scheme is known so far. (A Path has one of its two
    slashes left.)
    """
    found = _URL.match(path)
    if found:
        raise StoreError(f"{path}: a database is a file; the scheme {found[1]}: is not known")


class Hold:
    """A database file that this process holds until close(), or until it dies, however it dies. A
    new file is made if there is none.

    Raises StoreInUse, StoreError. Closing it after all connections: a process that closes any
    handle of a file loses SQLite's own locks.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.wal_bytes = 0  # as of the last check
        self._inodes: list[tuple[str, tuple[int, int]]] = []
        self._file = -1
        self._lock = _lock_file(path)
        try:
            self._file = self._lock_inode()
            self._lock.truncate(0)
            self._lock.write(str(os.getpid()))
            self._lock.flush()
        except OSError as error:
            self.close()
            raise StoreError(f"{path} cannot be locked: {error}") from error
        except BaseException:
            self.close()
            raise

    def _lock_inode(self) -> int:
        if (
            os.path.exists(self.path) and _inode(os.stat(self.path)) in _held
        ):  # before a handle of it is opened here, and closed
            raise self._in_use()
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error}") from error
        try:
            _lock_byte(file)
        except OSError as error:
            os.close(file)
            if isinstance(
                error, BlockingIOError | PermissionError
            ):  # held: the system may answer with either
                raise self._in_use() from None
            raise
        self._held = _inode(os.fstat(file))
        _held.add(self._held)
        return file

    def _in_use(self) -> StoreInUse:
        self._lock.seek(0)
        return _in_use(self.path, self._lock.read())

    def settle(self) -> None:
        """All files are there, and are the ones to be watched from now on. Nobody else may read
        them.
        """
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError):  # such as in another journal mode
                found = os.stat(self.path + part)
                self._inodes.append((self.path + part, _inode(found)))
                if stat.S_IMODE(found.st_mode) != MODE and found.st_uid == os.geteuid():
                    os.chmod(self.path + part, MODE)
        if os.stat(self.path).st_ino != self._held[1]:
            raise StoreLost(f"{self.path} was replaced while it was opened")
        os.fchmod(self._lock.fileno(), MODE)

    def check(self) -> None:
        """Raises StoreLost if a name does not lead to the file any more that it led to."""
        for name, inode in self._inodes:
            try:
                found = os.stat(name)
            except OSError as error:
                raise StoreLost(f"{name} is gone while it is in use: {error.strerror}") from error
            if _inode(found) != inode:
                raise StoreLost(f"{name} was replaced while it is in use")
            if name.endswith("-wal"):
                self.wal_bytes = found.st_size

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            _held.discard(self._held)
        self._lock.close()


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _in_use(path: str, holder: str) -> StoreInUse:
    return StoreInUse(
        f"{path} is in use by process {holder.strip() or 'unknown'}: only one may have it "
        "open for writing"
    )


def _lock_file(path: str) -> IO[str]:
    """<path>.lock, held."""
    try:
        file = open(f"{path}.lock", "a+", opener=lambda name, flags: os.open(name, flags, MODE))  # noqa: SIM115  # kept
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read()
        file.close()
        raise _in_use(path, holder) from None
    return file


def _lock_byte(file: int) -> None:
    """Lock LOCKED_BYTE: with the open file, where the system can, since the locks of a process end
    with any handle that it closes.

    Raises BlockingIOError, OSError.
    """
    try:
        command = fcntl.F_OFD_SETLK  # Linux
    except AttributeError:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCKED_BYTE)
    else:
        fcntl.fcntl(
            file, command, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)
        )


def _migrations() -> list[tuple[int, Path]]:
    return sorted((int(path.name[:4]), path) for path in MIGRATIONS.glob("[0-9]*.sql"))


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """The format of the database: the number of its last migration, 0 for a new one. Raises
    StoreFormat.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == sql.APPLICATION_ID
    newest = _migrations()[-1][0]
    if not ours and (
        version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreFormat(f"{path} is a database of another program")
    if version > newest:
        raise StoreFormat(
            f"{path} has format {version}, written by a newer version of stepwell; this one "
            f"knows formats up to {newest}"
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Each migration is a transaction of its own, its number included: a crash leaves the format
    before or after it.
    """
    for number, path in _migrations():
        if number > version:
            settings = (
                f"PRAGMA application_id = {sql.APPLICATION_ID}; PRAGMA user_version = {number};"
            )
            connection.executescript(
                f"BEGIN IMMEDIATE; {path.read_text(encoding='utf-8')} {settings} COMMIT;"
            )
