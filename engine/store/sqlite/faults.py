"""What an error of SQLite means, in the words of this project."""

from __future__ import annotations

import sqlite3
from typing import Final

_LOCKED: Final = "another program has locked it"
_MEANINGS: Final = {
    sqlite3.SQLITE_PERM: "its file must not be opened: check the permissions",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOMEM: "there is too little memory",
    sqlite3.SQLITE_READONLY: "it is read-only: check the permissions of the file and its folder",
    sqlite3.SQLITE_IOERR: "the disk failed: reading or writing the file",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: check the folder, the permissions and the"
    " limit of open files (ulimit -n)",
    sqlite3.SQLITE_TOOBIG: "a value is too large",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}


def meaning(error: sqlite3.Error) -> str:
    """The meaning of its result code; SQLite's own text of a code that has none, and of an error
    without a code.
    """
    code = getattr(error, "sqlite_errorcode", None)
    known = None if code is None else _MEANINGS.get(code & 0xFF)
    if known is None:
        return f"SQLite reports: {error}"
    name = getattr(error, "sqlite_errorname", "")
    return f"{known} ({name})" if name and code is not None and code > 0xFF else known
