"""The query of Store.search(): newest first, in steps of bounded work.

candidates   of one condition by its index, if these are few or in the order of starts; else the
             pages of the list by machine and status
among        which of them fulfil the other conditions
rows         of those, by id; what is not indexed is compared here
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from stepwell.engine.arns import read_machine
from stepwell.engine.search.wanted import Condition, Search
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.queries import Query, first_row
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
    first, size = yield from _first(database, wanted.conditions, most)
    others = [each for each in wanted.conditions if each is not first]
    if wanted.started.stop is not None:
        newest = yield from database.place_before(wanted.started.stop)
        after = newest if after is None else min(after, newest)
    rows: list[ExecutionRow] = []
    for _ in range(0, most, size):
        listed: dict[int, ExecutionRow] = {}
        if first is None:
            listed = {row.id: row for row in (yield from _listed(database, wanted, after, size))}
            page = [(row.started, row.id) for row in listed.values()]
        else:
            page = yield from _candidates(database, first, after, size)
        for start in range(0, len(page), PAGE):
            ids = [execution_id for _, execution_id in page[start : start + PAGE]]
            for condition in others:
                ids = yield from _among(database, condition, ids)
            for row in (yield from _rows(database, ids, listed)):
                if _fits(row, wanted):
                    rows.append(row)
                    if len(rows) == limit:
                        return Found(rows, (row.started, row.id))
        since = wanted.started.start
        if len(page) < size or (since is not None and page[-1][0] < since):
            return Found(rows, None)
        after = page[-1]
    return Found(rows, after)


def _first(
    database: Database, conditions: Sequence[Condition], most: int
) -> Query[tuple[Condition | None, int]]:
    """The condition whose index the candidates are read from, and how many at a time. Those of a
    condition that many executions fulfil would have to be sorted: it is None then, unless the index
    has them in order.
    """
    sizes = []
    for condition in conditions:
        size = 0
        for low, high in condition.ranges:
            found = yield from first_row("attribute_size", condition.name, low, high, most)
            size += found[0] if found else 0
        sizes.append(size)
    if sizes and (least := min(sizes)) < most:
        return conditions[sizes.index(least)], most
    for condition in conditions:
        if database.attributes_in_order and all(each.single for each in condition.ranges):
            return condition, min(PAGE, most)
    return None, min(PAGE, most)


def _listed(
    database: Database, wanted: Search, after: Place | None, size: int
) -> Query[list[ExecutionRow]]:
    machine, qualifier = _machine(wanted)
    sources = []
    statuses: Sequence[str | None] = wanted.statuses or [None]
    for status in statuses:
        asked = (machine, status, size, after, None, qualifier and wanted.machine_arn)
        sources.append((yield from database.executions(*asked)))
    merged = heapq.merge(*sources, key=lambda row: (row.started, row.id), reverse=True)
    return list(islice(merged, size))


def _machine(wanted: Search) -> tuple[str | None, str | None]:
    """Its ARN, and the version or alias."""
    return (None, None) if wanted.machine_arn is None else read_machine(wanted.machine_arn)


def _candidates(
    database: Database, condition: Condition, after: Place | None, size: int
) -> Query[list[Place]]:
    """(started, id) of those that fulfil a condition, newest first."""
    sources = []
    for each in condition.ranges:
        found = yield database.attribute_page(condition.name, each, after, size)
        sources.append([(started, execution_id) for execution_id, started in found])
    merged: list[Place] = []
    for place in heapq.merge(*sources, reverse=True):
        if merged[-1:] != [place]:  # it has several of the values
            merged.append(place)
    return merged[:size]


def _among(database: Database, condition: Condition, ids: list[int]) -> Query[list[int]]:
    fit = set[int]()
    for low, high in condition.ranges:
        rows = yield "attribute_among", (database.ids(ids), condition.name, low, high)
        fit.update(row[0] for row in rows)
    return [each for each in ids if each in fit]


def _rows(
    database: Database, ids: list[int], known: dict[int, ExecutionRow]
) -> Query[list[ExecutionRow]]:
    """In the order of the ids."""
    found = known
    if not known and ids:
        found = {}
        for row in (yield "executions_of", (database.ids(ids),)):
            found[row[0]] = execution_row(row)
    return [found[each] for each in ids if each in found]


def _fits(row: ExecutionRow, wanted: Search) -> bool:
    return (
        (not wanted.statuses or row.status in wanted.statuses)
        and row.parent is None
        and wanted.started.has(row.started)
        and wanted.stopped.has(row.stopped)
        and _is_of_machine(row, wanted)
    )


def _is_of_machine(row: ExecutionRow, wanted: Search) -> bool:
    machine, qualifier = _machine(wanted)
    if qualifier is None:
        return machine in (None, row.machine_arn)
    return wanted.machine_arn in (row.extras.get("version"), row.extras.get("alias"))
