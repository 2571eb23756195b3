"""Executions of all shards: their lists, one statement each, in the order of their starts, and
their search attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stepwell.engine.core.model import SUCCEEDED
from stepwell.engine.search.values import Range
from stepwell.engine.sharding import shard_of_id
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.sql.queries import Asked, Query, page_of, status_codes
from stepwell.engine.store.sql.rows import execution_row

NEWEST: Final = ((1 << 63) - 1, (1 << 63) - 1)  # above every (started, id)


def executions(
    machine_arn: str | None,
    status: str | None,
    limit: int,
    after: tuple[int, int] | None,
    parent: tuple[int, int, int] | None,
    qualifier: str | None,
) -> Query[list[ExecutionRow]]:
    """See Store.list_executions()."""
    codes = status_codes(status)
    if not codes:
        return []
    started, execution_id = after or NEWEST
    values: tuple[Any, ...]
    if parent is not None:
        name, values = "page_of_map_run", (codes, execution_id, *parent, limit, limit)
    elif qualifier is not None:
        name = page_of(qualifier)
        values = (codes, started, execution_id, limit, qualifier, limit)
    elif machine_arn is not None:
        name = "page_of_machine"
        values = (codes, started, execution_id, limit, machine_arn, limit)
    elif status in (None, SUCCEEDED):
        name, values = "page_of_all", (started, started, execution_id, codes, limit, limit)
    else:
        name, values = "page_not_succeeded", (codes[0], started, execution_id, limit)
    return [execution_row(row) for row in (yield name, values)]


def attribute_page(name: str, values: Range, after: tuple[int, int] | None, limit: int) -> Asked:
    """See Database.attribute_page()."""
    page = (*(after or NEWEST), limit)
    if values.single:
        return "attribute_equal", (name, values.low, *page)
    return "attribute_within", (name, *values, *page)


def lock_owners(execution_ids: Sequence[int]) -> Query[None]:
    """See Database.lock_owners()."""
    yield "lock_owners", (sorted({shard_of_id(each) for each in execution_ids}),)


def insert_attributes(rows: Sequence[tuple[str, bytes, int, int]]) -> Query[None]:
    """See Database.insert_attributes()."""
    if rows:
        yield "insert_attributes", [list(column) for column in zip(*rows, strict=True)]


def place_before(at: int) -> Query[tuple[int, int]]:
    """See Database.place_before()."""
    yield from ()
    return at, 0
