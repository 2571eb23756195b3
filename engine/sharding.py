"""Shards: the parts of a database that are owned apart from each other.

    execution's ARN --crc32--> shard --share()--> node

Each shard has one owner at a time, an Engine with a writer, a clock and ids of its own. A Standard
execution lives on the shard that its ARN falls on, so that every node finds the owner of a name
without a look at the database; names that are made here are drawn until they fall on the shard of
the engine that starts them. Exceptions:

- A committed row decides by its id, whatever its ARN: executions that were copied from a database
  with another number of shards stay where their ids are, and children of Map Runs are where their
  parents are. So a start by name looks for a committed row first.
- Express executions run where they are started.

Shard 0 is home: state machines, activities and the embedded services are written by its owner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product
from typing import Final
from zlib import crc32

from stepwell.engine.errors import WrongShardError

HOME: Final = 0
ID_BITS: Final = 38  # the number of an execution within its shard; above them the shard
SHARDS: Final = 8  # of a new database in PostgreSQL: as many nodes may work on it


@dataclass(frozen=True, slots=True)
class Shard:
    """number  0 to count - 1
    count  of the database
    """

    number: int = HOME
    count: int = 1

    def owns(self, execution_arn: str) -> bool:
        """Whether a new Standard execution with this ARN belongs here."""
        return self.count == 1 or shard_of(execution_arn, self.count) == self.number

    def holds(self, execution_id: int) -> bool:
        """Whether a committed execution is here."""
        return self.count == 1 or shard_of_id(execution_id) == self.number

    def check(self, execution_arn: str) -> None:
        """Raises WrongShardError for a new execution that does not belong here."""
        if not self.owns(execution_arn):
            raise WrongShardError(execution_arn, shard_of(execution_arn, self.count), self.count)

    def check_id(self, execution_id: int) -> None:
        """Raises WrongShardError for a committed execution that is not here."""
        if not self.holds(execution_id):
            raise WrongShardError(
                f"execution {execution_id}", shard_of_id(execution_id), self.count
            )

    def draw(self, execution_arn: Callable[[str], str], name: Callable[[], str]) -> tuple[str, str]:
        """The first of the names that belongs here, and its ARN."""
        while True:
            drawn = name()
            arn = execution_arn(drawn)
            if self.owns(arn):
                return drawn, arn


def shard_of(execution_arn: str, count: int) -> int:
    """The shard of an execution that has no committed row."""
    return crc32(execution_arn.encode(errors="surrogatepass")) % count


def shard_of_id(execution_id: int) -> int:
    """The shard of an execution that has a committed row."""
    return execution_id >> ID_BITS


def first_id(shard: int) -> int:
    """Below every id of a shard."""
    return shard << ID_BITS


def share(nodes: Collection[int], count: int) -> dict[int, set[int]]:
    """node -> the shards that it should own: as many as every other, or one more.

    Rendezvous hashing: each pair of a node and a shard has a weight, and the heaviest pairs win as
    long as the node has room. So every node computes the same, and few shards move when a node
    comes or leaves.
    """
    shares: dict[int, set[int]] = {node: set() for node in nodes}
    if not shares:
        return shares
    (least, more), free = divmod(count, len(shares)), set(range(count))
    for shard, node in sorted(product(range(count), shares), key=_weight):
        own = shares[node]
        if shard not in free or len(own) > least or (len(own) == least and not more):
            continue
        more -= len(own) == least
        own.add(shard)
        free.remove(shard)
    return shares


def _weight(pair: tuple[int, int]) -> bytes:
    shard, node = pair
    return hashlib.blake2b(f"{node}/{shard}".encode(), digest_size=8).digest()
