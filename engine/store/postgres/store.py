"""The store in a schema of a PostgreSQL database."""

from __future__ import annotations

from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.postgres.database import PostgresDatabase
from stepwell.engine.store.sql.store import SqlStore


class PostgresStore(SqlStore):
    """See base.Store.

    url        postgresql://user:password@host:port/database, as libpq reads it; ?search_path= names
               the schema, `stepwell` unless it does
    read_only  read committed rows only, without the lock: beside the process that works on the
               database
    """

    database: PostgresDatabase

    def __init__(
        self, url: str, *, read_only: bool = False, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(PostgresDatabase(url, read_only=read_only, limits=limits), limits)
