"""What a process needs to work on a database together with others, whatever the store."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stepwell.engine.store.base import Store


class View(NamedTuple):
    """What one look at the database shows.

    nodes   the live ones, with their addresses
    owners  the shards that are owned, with the nodes that own them; None: a process that is no node
    free    the shards that nothing owns
    retiring  the nodes that hand their shards over
    """

    nodes: dict[int, str]
    owners: dict[int, int | None]
    free: set[int]
    retiring: set[int]

    @property
    def shards(self) -> int:
        return len(self.owners) + len(self.free)


class Members(Protocol):
    """This process as a node, and a view of the others. Every method raises StoreError."""

    @property
    def id(self) -> int:
        """Of this node."""

    async def look(self) -> View: ...
    async def retire(self) -> None:
        """Let the others take this node's shards as they become free."""


class SharedDatabase(Protocol):
    """A database that several processes share. Every method raises StoreError.

    count   of the shards
    secret  a random key, created with the database
    """

    count: int
    secret: bytes

    @property
    def members(self) -> Members: ...
    async def open(self) -> None:
        """Become a member."""

    def store(self, number: int) -> Store:
        """Of a shard, to be owned."""

    async def close(self) -> None: ...
