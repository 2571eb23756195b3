"""The commits of several shards of one process: those that come while one is under way are written
by one statement, so eight busy shards take one round trip and one commit, not eight.

    shard's database, in its turn --> JointCommits --> the session of one of the shards

Each shard's epoch is checked in the statement. Where one is another owner's, nothing is written,
and each shard is written again by its own session: only the one that was lost fails. The session
that writes holds the lock of a shard, so other nodes end it if this process is frozen amid it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import asyncpg

from stepwell.engine.store.base import StoreLostError
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.batched import Batched
from stepwell.engine.store.postgres import commits
from stepwell.engine.store.postgres.session import Connection

SHARDS_AT_ONCE: Final = 64


class Part(NamedTuple):
    """What one shard commits. writer: its session, which nothing else uses meanwhile."""

    batch: Batch
    shard: int
    epoch: int
    writer: Connection


async def written(parts: Sequence[Part]) -> bool:
    """Write all by the session of the first; False if one of them has another owner."""
    text, values = commits.statement([(part.batch, part.shard, part.epoch) for part in parts])
    rows: int = await parts[0].writer.fetchval(text, *values)
    return rows > 0


async def write(part: Part) -> None:
    """Raises StoreLostError, DatabaseError."""
    if not await written([part]):
        raise StoreLostError(f"shard {part.shard} has another owner now")


class JointCommits:
    """commit: as write(), for callers that may be joined."""

    def __init__(self) -> None:
        self.commit: Final = Batched[Part, None](self._commit, SHARDS_AT_ONCE)

    async def _commit(self, parts: Sequence[Part]) -> list[BaseException | None]:
        # in one order: shards are rows, which statements lock
        joined = sorted((part for part in parts if not part.writer.is_closed()), key=_shard)
        if len(joined) < len(parts) or len(joined) == 1 or not await _written_together(joined):
            return await asyncio.gather(*map(write, parts), return_exceptions=True)
        return [None] * len(parts)


async def _written_together(parts: Sequence[Part]) -> bool:
    """Raises DatabaseError if it cannot be known whether they are written."""
    try:
        return await written(parts)
    except (asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False  # not sent: a value has no encoding, or the server has just ended the session
    except asyncpg.PostgresError:
        if parts[0].writer.is_closed():
            raise
        return False  # rolled back, perhaps because of one of them


def _shard(part: Part) -> int:
    return part.shard
