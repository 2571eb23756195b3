"""The lock on a database file, and whether its name still leads to it.

Three things keep out a second owner, and an owner that lost the database:

    locks    <path>.lock of the real path names the owner's process; one byte of the database file
             itself is locked as well, so that another name of the file (a symbolic or hard link)
             or a deleted .lock does not open it twice
    inodes   of the files as they were opened: a name that leads to another file was deleted or
             replaced, and commits to it would be lost
    epoch    of the database: each opening raises it, each transaction checks it (the statement
             `fence`)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from typing import IO, Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import StoreInUseError, StoreLostError

MODE: Final = 0o600  # of all files of a database: payloads are private
PARTS: Final = ("", "-wal", "-shm")
LOCKED_BYTE: Final = 1 << 62  # far behind the bytes that SQLite locks, and the end of any file

_held: set[tuple[int, int]] = set()  # (device, inode) of the databases that this process holds


class LockedFile:
    """A database file that is locked until close() or the end of the process. Creates the file if
    there is none. Raises StoreInUseError, StoreError.

    Close it after all connections: a process that closes any handle of a file loses SQLite's locks
    on it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.wal_bytes = 0  # as of the last check
        self._inodes: list[tuple[str, tuple[int, int]]] = []
        self._file = -1
        self._process = os.getpid()
        self._lock = _lock_file(path)
        try:
            self._file = self._lock_inode()
            self._lock.truncate(0)
            self._lock.write(str(os.getpid()))
            self._lock.flush()
        except OSError as error:
            self.close()
            raise StoreError(f"{path} cannot be locked: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _lock_inode(self) -> int:
        # checked first: to open a handle here and close it would lose the other store's locks
        if os.path.exists(self.path) and _inode(os.stat(self.path)) in _held:
            raise self._in_use()
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error.strerror}") from error
        try:
            _lock_byte(file, fcntl.F_WRLCK)
        except OSError as error:
            os.close(file)
            # the system may answer with either for a locked byte
            if isinstance(error, BlockingIOError | PermissionError):
                raise self._in_use() from None
            raise
        self._held = _inode(os.fstat(file))
        _held.add(self._held)
        return file

    def _in_use(self) -> StoreInUseError:
        self._lock.seek(0)
        return _in_use(self.path, self._lock.read())

    def watch(self) -> None:
        """SQLite has created all files: remember their inodes for check(), and make the files
        private.
        """
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError):  # such as in another journal mode
                status = os.stat(self.path + part)
                self._inodes.append((self.path + part, _inode(status)))
                if stat.S_IMODE(status.st_mode) != MODE and status.st_uid == os.geteuid():
                    os.chmod(self.path + part, MODE)
        if os.stat(self.path).st_ino != self._held[1]:
            raise StoreLostError(f"{self.path} was replaced while it was opened")
        os.fchmod(self._lock.fileno(), MODE)

    def check(self) -> None:
        """Raises StoreLostError if a name no longer leads to the file that was opened."""
        for name, inode in self._inodes:
            try:
                status = os.stat(name)
            except OSError as error:
                raise StoreLostError(
                    f"{name} is missing while it is in use: {error.strerror}"
                ) from error
            if _inode(status) != inode:
                raise StoreLostError(f"{name} was replaced while it is in use")
            if name.endswith("-wal"):
                self.wal_bytes = status.st_size

    def close(self) -> None:
        """Unlocks, too: a child process may still have the handles, between fork and exec or for
        good. It has not locked the files, and leaves them locked when it closes its handles.
        """
        owner = os.getpid() == self._process
        if self._file >= 0:
            if owner:
                _lock_byte(self._file, fcntl.F_UNLCK)
            os.close(self._file)
            self._file = -1
            _held.discard(self._held)
        if owner:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._lock.close()


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _in_use(path: str, holder: str) -> StoreInUseError:
    return StoreInUseError(
        f"{path} is in use by process {holder.strip() or 'unknown'}: only one may have it "
        "open for writing"
    )


def _lock_file(path: str) -> IO[str]:
    """<path>.lock, open and locked. Raises StoreInUseError, StoreError."""
    try:
        file = open(f"{path}.lock", "a+", opener=lambda name, flags: os.open(name, flags, MODE))  # noqa: SIM115  # closed by LockedFile
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read()
        file.close()
        raise _in_use(path, holder) from None
    return file


def _lock_byte(file: int, kind: int) -> None:
    """Lock LOCKED_BYTE (F_WRLCK) or unlock it (F_UNLCK), for this handle where the system can,
    since a process loses its own locks when it closes any handle of the file. Raises
    BlockingIOError, PermissionError, OSError.
    """
    try:
        command = fcntl.F_OFD_SETLK  # Linux
    except AttributeError:
        operation = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(file, operation, 1, LOCKED_BYTE)
    else:
        fcntl.fcntl(file, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, LOCKED_BYTE, 1, 0))
