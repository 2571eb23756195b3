"""The processes that work on one schema, and which of them owns which shard.

    node    a row of `node` and an advisory lock, held by one session of its process: a node is
            alive as long as its lock is held
    shard   its owner holds its lock (database.py); the row of `shard` says which node that was last

PostgreSQL is the failure detector: it frees the locks of a process that died at once, and those of
one that is frozen or cut off after limits.owner_idle_seconds. Where it was frozen amid a statement,
the other nodes end its session after that time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.sharding import SHARDS
from stepwell.engine.store.membership import View
from stepwell.engine.store.postgres.schema import SQL, migrate, numbered
from stepwell.engine.store.postgres.session import (
    NAME,
    Connection,
    DatabaseError,
    Target,
    connect,
    failure,
)

CLOSE_SECONDS: Final = 5.0


class Members:
    """This process as a node, and a view of the others. Every method raises StoreError.

    url      as of PostgresStore
    address  where the others reach this node
    serves   URL at which clients reach it; the name of its session tells it to other processes
    id       of this node, once it has joined; it stays when the session was lost
    """

    def __init__(
        self,
        url: str,
        address: str,
        *,
        serves: str = "",
        shards: int = SHARDS,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """shards: of a new schema."""
        self.target, self.address, self.id = Target(url), address, 0
        self._name = f"{NAME} {serves}".rstrip()
        self._shards, self._limits = shards, limits
        self._session: Connection | None = None
        self._turn = asyncio.Lock()

    async def join(self) -> int:
        """Become a node. Returns its id. Creates the schema if it is new."""
        async with self._turn:
            try:
                await self._joined()
            except DatabaseError as error:
                raise failure(error) from error
        return self.id

    async def look(self) -> View:
        """Also joins again if the session was lost, and removes the rows of dead nodes. To be
        called several times in limits.owner_idle_seconds, or the session ends as an idle one.
        """
        async with self._turn:
            try:
                return await self._look(await self._joined())
            except DatabaseError as error:
                raise failure(error) from error

    async def retire(self) -> None:
        """Let the others take this node's shards as they become free."""
        async with self._turn:
            try:
                await (await self._joined()).execute(numbered("retire_node"), self.id)
            except DatabaseError as error:
                raise failure(error) from error

    async def leave(self) -> None:
        """The others see at once that this node does not live any more."""
        async with self._turn:
            session, self._session = self._session, None
            if session is not None:
                with suppress(*DatabaseError):
                    await session.execute(numbered("delete_nodes"), [self.id])
                    await session.close(timeout=CLOSE_SECONDS)

    async def _joined(self) -> Connection:
        """The session that holds the lock of this node."""
        if self._session is not None and not self._session.is_closed():
            return self._session
        idle = f"{round(self._limits.owner_idle_seconds * 1000)}ms"
        session = await connect(self.target, idle_session_timeout=idle, name=self._name)
        try:
            await migrate(session, self.target, self._shards)
            self.id = self.id or await session.fetchval(SQL["new_node"])
            lock = (self.target.lock_class("node"), self.id)
            if not await session.fetchval(numbered("lock"), *lock):
                raise StoreError(f"the last session of node {self.id} has not ended yet")
            # the lock first: what has a row and no lock is dead
            await session.execute(numbered("put_node"), self.id, self.address)
        except BaseException:
            session.terminate()
            raise
        self._session = session
        return session

    async def _look(self, session: Connection) -> View:
        # PostgreSQL shows the classes of locks without a sign
        classes = [self.target.lock_class(name) % (1 << 32) for name in ("node", "shard")]
        await session.fetch(numbered("end_silent"), self._limits.owner_idle_seconds, *classes)
        view, dead = View({}, {}, set(), set()), []
        for is_shard, number, address, owner, held, retiring in await session.fetch(
            numbered("look"), *classes
        ):
            if is_shard and held:
                view.owners[number] = owner
            elif is_shard:
                view.free.add(number)
            elif held:
                view.nodes[number] = address
                if retiring:
                    view.retiring.add(number)
            else:
                dead.append(number)
        if dead:
            await session.execute(numbered("delete_nodes"), dead)
        if self.id not in view.nodes:  # another took it for dead while it joined again
            await session.execute(numbered("put_node"), self.id, self.address)
            view.nodes[self.id] = self.address
        return view
