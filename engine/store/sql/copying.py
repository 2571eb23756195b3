"""Copies all rows of one database to another, be it of the same kind or not.

The source is read on one state, also beside its owner; the target must hold nothing yet, and is
written in one transaction: after an error it is as empty as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from stepwell.engine.errors import StoreError
from stepwell.engine.store.sql.store import SqlStore
from stepwell.engine.store.sql.tables import META

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

    async def counted() -> Pages:
        async for table, page in source.database.dump():
            rows[table] += len(page)
            yield table, page

    await target.database.restore(counted())
    del rows[META]
    return dict(rows)
