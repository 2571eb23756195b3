"""The store in one SQLite file, or in memory."""

from __future__ import annotations

import os

from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.sql.store import SqlStore
from stepwell.engine.store.sqlite.database import MEMORY, SqliteDatabase


class SqliteStore(SqlStore):
    """See base.Store.

    path   a file, or ":memory:"
    full   True: an acknowledged commit survives a power cut (synchronous=FULL). False: it survives
           the death of the process, but a power cut may lose the last commits, never the
           consistency (NORMAL)
    read_only  read committed rows only, without the lock: beside the process that works on the
               database, or after that process was killed
    inline     on the event loop, without threads: for virtual time
    """

    database: SqliteDatabase

    def __init__(
        self,
        path: str | os.PathLike[str] = MEMORY,
        *,
        full: bool = True,
        read_only: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        inline: bool = False,
    ) -> None:
        database = SqliteDatabase(
            os.fspath(path), full=full, read_only=read_only, limits=limits, inline=inline
        )
        super().__init__(database, limits)
