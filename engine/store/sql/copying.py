"""Copies all rows of one database to another, be it of the same kind or not.

The source is read on one state, also beside its owner; the target must hold nothing yet, and is
written in one transaction: after an error it is as empty as before.

Ids stay, and with them the shards of executions. A target with one shard has one number for what
several shards of the source have numbered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from stepwell.engine.errors import StoreError
from stepwell.engine.store.sql.store import SqlStore
from stepwell.engine.store.sql.tables import META, TABLES

Pages = AsyncIterator[tuple[str, list[Any]]]


async def copy(source: SqlStore, target: SqlStore) -> dict[str, int]:
    """table -> rows copied. Both are open, the source for reading only. Raises StoreError if the
    target is not empty.
    """
    if await target.count_machines() or await target.list_executions(limit=1):
        raise StoreError(f"{target.path} is not empty")
    if await target.records("", limit=1) or await target.activities(limit=1):
        raise StoreError(f"{target.path} is not empty")
    rows: Counter[str] = Counter()

    numbered = _Numbered() if target.shard.count == 1 else None

    async def counted() -> Pages:
        async for table, page in source.database.dump():
            if numbered is not None:
                page = numbered.rows(table, page)
            rows[table] += len(page)
            yield table, page

    await target.database.restore(counted())
    del rows[META]
    return dict(rows)


class _Numbered:
    """The rows of all shards with one number for each series and qualifier."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], int] = {}  # the first number of each table and text
        self._series: dict[int, int] = {}  # other numbers of series
        self._qualifiers: dict[int, int] = {}  # and of qualifiers

    def rows(self, table: str, page: list[Any]) -> list[Any]:
        if table in ("series", "qualifier"):
            others = self._series if table == "series" else self._qualifiers
            return [row for row in page if self._is_first(table, row[0], row[1], others)]
        if table != "execution" or not (self._series or self._qualifiers):
            return page
        return [self._execution(row) for row in page]

    def _is_first(self, table: str, number: int, text: str, others: dict[int, int]) -> bool:
        first = self._first.setdefault((table, text), number)
        if first != number:
            others[number] = first
        return first == number

    def _execution(self, row: Any) -> tuple[Any, ...]:
        values = dict(zip(TABLES["execution"].split(), row))
        values["series"] = self._series.get(values["series"], values["series"])
        for name in ("version", "alias"):
            values[name] = self._qualifiers.get(values[name], values[name])
        return tuple(values.values())
