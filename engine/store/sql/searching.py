"""The query of Store.search(): newest first, in steps of bounded work.

candidates   of one condition by its index; without a condition, the pages of the list
among        which of them fulfil the other conditions
rows         of those, by id; what is not indexed is compared here
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Final, NamedTuple

from stepwell.engine.search.wanted import Condition, Search
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.queries import Query
from stepwell.engine.store.sql.rows import execution_row

PAGE: Final = 500  # candidates that are looked at together
Place = tuple[int, int]  # (started, id)


class Found(NamedTuple):
    """after: the last candidate that was looked at, None at the end."""

    rows: list[ExecutionRow]
    after: Place | None


def search(
    database: Database, wanted: Search, limit: int, after: Place | None, most: int
) -> Query[Found]:
    """Up to `limit` executions among the next `most` candidates."""
    conditions = sorted(wanted.conditions, key=_breadth)
    first, others = (conditions[0] if conditions else None), conditions[1:]
    if wanted.started.stop is not None:
        newest = yield from database.place_before(wanted.started.stop)
        after = newest if after is None else min(after, newest)
    rows: list[ExecutionRow] = []
    for _ in range(0, most, PAGE):
        if first is None:
            listed = yield from _listed(database, wanted, after)
            page = [(row.started, row.id) for row in listed]
        else:
            page = yield from _candidates(database, first, after)
            ids = [execution_id for _, execution_id in page]
            for condition in others:
                ids = yield from _among(database, condition, ids)
            listed = yield from _rows(database, ids)
        for row in listed:
            if _fits(row, wanted):
                rows.append(row)
                if len(rows) == limit:
                    return Found(rows, (row.started, row.id))
        since = wanted.started.start
        if len(page) < PAGE or (since is not None and page[-1][0] < since):
            return Found(rows, None)
        after = page[-1]
    return Found(rows, after)


def _breadth(condition: Condition) -> int:
    """Conditions of single values first: their candidates are read in the order of the index."""
    return sum(not each.single for each in condition.ranges)


def _listed(database: Database, wanted: Search, after: Place | None) -> Query[list[ExecutionRow]]:
    status = wanted.statuses[0] if len(wanted.statuses) == 1 else None
    return (yield from database.executions(wanted.machine_arn, status, PAGE, after, None, None))


def _candidates(
    database: Database, condition: Condition, after: Place | None
) -> Query[list[Place]]:
    """(started, id) of those that fulfil a condition, newest first."""
    sources = []
    for each in condition.ranges:
        found = yield database.attribute_page(condition.name, each, after, PAGE)
        sources.append([(started, execution_id) for execution_id, started in found])
    merged: list[Place] = []
    for place in heapq.merge(*sources, reverse=True):
        if merged[-1:] != [place]:  # it has several of the values
            merged.append(place)
    return list(islice(merged, PAGE))


def _among(database: Database, condition: Condition, ids: list[int]) -> Query[list[int]]:
    fit = set[int]()
    for low, high in condition.ranges:
        rows = yield "attribute_among", (database.ids(ids), condition.name, low, high)
        fit.update(row[0] for row in rows)
    return [each for each in ids if each in fit]


def _rows(database: Database, ids: list[int]) -> Query[list[ExecutionRow]]:
    """In the order of the ids."""
    found = {}
    for row in (yield "executions_of", (database.ids(ids),)):
        found[row[0]] = execution_row(row)
    return [found[each] for each in ids if each in found]


def _fits(row: ExecutionRow, wanted: Search) -> bool:
    return (
        (not wanted.statuses or row.status in wanted.statuses)
        and row.parent is None
        and wanted.machine_arn in (None, row.machine_arn)
        and wanted.started.has(row.started)
        and wanted.stopped.has(row.stopped)
    )
