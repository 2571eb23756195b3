"""The store in a schema of a PostgreSQL database: one shard to write, all of them to read."""

from __future__ import annotations

from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.sharding import Shard
from stepwell.engine.store.postgres.database import PostgresDatabase
from stepwell.engine.store.postgres.joint_commits import JointCommits
from stepwell.engine.store.postgres.readers import Readers
from stepwell.engine.store.sql.store import SqlStore


class PostgresStore(SqlStore):
    """See base.Store.

    url        postgresql://user:password@host:port/database, as libpq reads it; ?search_path= names
               the schema, `stepwell` unless it does
    read_only  read committed rows only, without the lock: beside the processes that work on the
               database
    shard      which one is written; None: the first. A new schema gets that count of shards, or
               SHARDS of sharding.py
    readers    sessions that this store shares with others of the process, and neither opens nor
               closes; None: it has its own
    joint      writes commits of this store together with those of others of the process; None: each
               by itself
    node       the id of this process among the members, which others find it by (members.py)
    """

    database: PostgresDatabase

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        shard: Shard | None = None,
        readers: Readers | None = None,
        joint: JointCommits | None = None,
        node: int | None = None,
    ) -> None:
        database = PostgresDatabase(
            url,
            read_only=read_only,
            limits=limits,
            shard=shard,
            readers=readers,
            joint=joint,
            node=node,
        )
        super().__init__(database, limits)
        self._taken = database.taken
