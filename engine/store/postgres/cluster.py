"""A database that several processes share: what each of them opens besides its shards."""

from __future__ import annotations

from stepwell.engine.limits import Limits
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Store
from stepwell.engine.store.postgres.joint_commits import JointCommits
from stepwell.engine.store.postgres.members import Members
from stepwell.engine.store.postgres.readers import Readers
from stepwell.engine.store.postgres.schema import SQL
from stepwell.engine.store.postgres.session import check_clock, warn_of_no_standby
from stepwell.engine.store.postgres.store import PostgresStore


class PostgresCluster:
    """url, address, serves as of Members. Every method raises StoreError.

    count   of the shards
    secret  a random key, created with the database
    """

    def __init__(self, url: str, address: str, serves: str, limits: Limits) -> None:
        self._url, self._limits = url, limits
        self.members = Members(url, address, serves=serves, limits=limits)
        self._readers = Readers(url)
        self._joint = JointCommits()
        self.count, self.secret = 0, b""

    async def open(self) -> None:
        """Become a member."""
        await self._readers.open()  # first: it refuses what would not protect the members
        async with self._readers.session() as reader:
            await check_clock(reader, self._limits.clock_skew_seconds)
        await self.members.join()
        async with self._readers.session() as reader:
            self.count = await reader.fetchval(SQL["shards"])
            self.secret = await reader.fetchval("SELECT secret FROM meta")
            await warn_of_no_standby(reader, self.members.target.name)

    def store(self, number: int) -> Store:
        """Of a shard, to be owned. Its session to write with is its own, but commits are written
        together; it reads with those that all share.
        """
        return PostgresStore(
            self._url,
            limits=self._limits,
            shard=Shard(number, self.count),
            readers=self._readers,
            joint=self._joint,
            node=self.members.id,
        )

    async def close(self) -> None:
        await self.members.leave()
        await self._readers.close()
