"""Queries of the index of search attributes, apart from searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepwell.engine.search.attributes import Indexed
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.queries import Query


def index(database: Database, entries: Sequence[Indexed]) -> Query[set[int]]:
    """See Store.index(). Their owners commit nothing meanwhile."""
    ids = [each.id for each in entries]
    yield from database.lock_owners(ids)
    known = {row[0]: tuple(row[1:]) for row in (yield "endings", (database.ids(ids),))}
    same = [each for each in entries if known.get(each.id) == _ending(each)]
    rows = [
        (name, value, each.id, int(closing))
        for each in same
        for name, value, closing in each.attributes
    ]
    yield "delete_attributes", (database.ids([each.id for each in same]),)
    yield from database.insert_attributes(rows)
    return {each.id for each in entries if each.id in known} - {each.id for each in same}


def _ending(each: Indexed) -> tuple[int | None, int | None]:
    return each.stopped, None if each.stopped is None else each.events


def attributes(
    database: Database, ids: Sequence[int], names: Sequence[str]
) -> Query[Mapping[int, list[tuple[str, bytes]]]]:
    """See Store.attributes()."""
    found: dict[int, list[tuple[str, bytes]]] = {each: [] for each in ids}
    for execution, name, value in (yield "attributes_of", (database.ids(ids),)):
        if name in names:
            found[execution].append((name, bytes(value)))
    return found
