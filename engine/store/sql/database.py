"""What SqlStore asks of a database: the order of its transactions, and rows of named statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stepwell.engine.errors import StoreError
from stepwell.engine.search.values import Range
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import ExecutionRow, Health
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.sql.queries import Asked, Known, Query

T = TypeVar("T")


class Database(Protocol):
    """Every method raises StoreError. After a failed transaction the database is finished: each
    later write fails, until it is opened again. So is one that has another owner.

    path    its name, for texts
    failed  why nothing can be written any more
    shard   see Store.shard
    own     the first values of each statement about the rows of that shard: its number, or none
            where there is one shard
    """

    path: str
    shard: Shard
    failed: BaseException | None

    async def open(self, state: Query[T]) -> T | None:
        """Lock, migrate and take over the database; then what that query of the writer returns.
        None for a database that is open for reading only. Raises StoreInUseError, StoreFormatError.
        """

    async def close(self) -> None: ...

    @property
    def folder(self) -> Path | None:
        """See Store.folder."""

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log as of the last commit; 0 if there is none here."""

    def check(self) -> None:
        """Raises StoreError if nothing can be written any more."""

    def failure(self) -> StoreError:
        """`failed` as an error."""

    def give_up(self) -> None:
        """Wait no longer for another program's lock: waiting transactions fail."""

    @property
    def own(self) -> tuple[int, ...]: ...

    @property
    def executions(self) -> Callable[..., Query[list[ExecutionRow]]]:
        """The query of Store.list_executions(), with its parameters."""

    @property
    def attributes_in_order(self) -> bool:
        """Whether attribute_page() reads those of one value in the order of their starts, without
        sorting them.
        """

    def ids(self, execution_ids: Sequence[int]) -> Any:
        """Ids as one parameter."""

    def attribute_page(
        self, name: str, values: Range, after: tuple[int, int] | None, limit: int
    ) -> Asked:
        """The statement for (id, started) of executions with such an attribute, newest first."""

    def lock_owners(self, execution_ids: Sequence[int]) -> Query[None]:
        """Until the transaction ends, the owners of these executions commit nothing."""

    def insert_attributes(self, rows: Sequence[tuple[str, bytes, int, int]]) -> Query[None]:
        """rows: (name, value, execution, closing); those that exist stay."""

    def place_before(self, at: int) -> Query[tuple[int, int]]:
        """A place in the order of (started, id) before which are the executions that started
        before a time, epoch ms.
        """

    async def commit(self, encode: Callable[[], Batch], apart: bool) -> Batch:
        """What `encode` returns, durable: calls are encoded and committed in their order. apart: it
        takes long, and is called in a thread.
        """

    async def transact(self, query: Query[T]) -> T:
        """A query in a transaction of the owner: all of it or nothing."""

    def known(self, execution_ids: Sequence[int]) -> Query[Known]:
        """Rows by (statement, parameters) that loads of these executions ask for, if the database
        reads them faster all at once.
        """

    def delete_executions(self, execution_ids: Sequence[int]) -> Query[None]:
        """Delete all rows of executions."""

    async def execute(self, name: str, *values: Any) -> int:
        """A statement in a transaction of its own: how many rows it changed."""

    async def query(self, query: Query[T]) -> T:
        """A query on one state of the committed rows."""

    async def first(self, query: Callable[[], Query[T]]) -> T:
        """The same for a query that most often takes one statement."""

    async def each(self, queries: Sequence[Callable[[], Query[T]]]) -> list[T]:
        """first() of each, in one go."""

    async def rows(self, name: str, *values: Any) -> list[Any]:
        """All rows of a statement."""

    async def page(self, limit: int, name: str, *values: Any) -> list[Any]:
        """Up to `limit` rows of a statement whose first column, their key, is readable text."""

    async def health(self) -> Health:
        """See Store.health()."""

    async def integrity(self) -> list[str]:
        """What the database itself finds damaged."""

    def dump(self) -> AsyncIterator[tuple[str, list[Any]]]:
        """(table, rows) of all tables of copying.TABLES, on one state of the committed rows."""

    async def restore(self, pages: AsyncIterator[tuple[str, list[Any]]]) -> None:
        """Insert those rows, in one transaction of the owner."""
