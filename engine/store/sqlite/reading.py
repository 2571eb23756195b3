"""Reads that take several statements. Called in the reader's thread."""

from __future__ import annotations

import heapq
import sqlite3
from itertools import islice
from typing import Any, Final

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import STATUSES, ExecutionRow, StoreFormatError
from stepwell.engine.store.keys import (
    EVENT_BITS,
    EVENTS,
    event_keys,
    row_key,
    row_keys,
    split_arn,
)
from stepwell.engine.store.rows import execution_row, readable
from stepwell.engine.store.sqlite.sql import SQL

Connection = sqlite3.Connection

_ALL: Final = (1 << 63) - 1  # above every id


def _blob(connection: Connection, name: str, *keys: int) -> bytes:
    row = connection.execute(SQL[name], keys).fetchone()
    if row is None:
        raise StoreFormatError(f"a row is missing: {SQL[name]} {keys}")
    blob: bytes = row[0]
    return blob


def reader_of(connection: Connection, execution_id: int) -> codec.Reader:
    first = execution_id << EVENT_BITS | 1
    return codec.Reader(
        lambda: codec.read_input(_blob(connection, "first_history", first)),
        lambda number: blobs.unpack(_blob(connection, "payload", row_key(execution_id, number))),
    )


def describe(arn: str, connection: Connection) -> ExecutionRow | None:
    values = connection.execute(SQL["execution_by_arn"], split_arn(arn)).fetchone()
    if values is None:
        return None
    row, reader = execution_row(values), reader_of(connection, values[0])
    output = None
    if row.stopped is not None:
        keys = event_keys(row.id)
        output = readable(
            lambda: reader.output(_blob(connection, "last_history", *keys)), "output", arn
        )
    return row._replace(input=readable(lambda: reader.input.data, "input", arn), output=output)


def load(execution_id: int, connection: Connection) -> codec.Continuation | None:
    continuation = connection.execute(SQL["continuation"], (execution_id,)).fetchone()
    if continuation is None:
        return None
    row = execution_row(connection.execute(SQL["execution"], (execution_id,)).fetchone())
    stored = codec.Continuation(row, reader_of(connection, execution_id), continuation[0])
    if stored.split:
        for (blob,) in connection.execute(SQL["frames"], row_keys(execution_id)):
            stored.add_frame(blob)
    if stored.visits:
        for frame, blob in connection.execute(SQL["items"], (execution_id,)):
            stored.add_items(frame, blob)
        for frame, blob in connection.execute(SQL["results"], (execution_id,)):
            stored.add_results(frame, blob)
    stored.reader.input  # noqa: B018  # read it now, in this thread
    return stored


def executions(
    machine_arn: str | None,
    status: str | None,
    limit: int,
    after: tuple[int, int] | None,
    parent: tuple[int, int, int] | None,
    qualifier: str | None,
    connection: Connection,
) -> list[ExecutionRow]:
    """See Store.list_executions(). Merges the pages of the chosen statuses, each read in the order
    of its index.
    """
    if status is not None and status not in STATUSES:
        return []
    codes = range(len(STATUSES)) if status is None else [STATUSES.index(status)]
    page = (after[1] if after else _ALL, limit)
    queries: list[tuple[str, tuple[Any, ...]]]
    if parent is not None:
        queries = [("page_of_map_run", (*parent, code, *page)) for code in codes]
    elif qualifier is not None:
        number = connection.execute(SQL["qualifier"], (qualifier,)).fetchone() or (None,)
        version = qualifier.rpartition(":")[2].isdecimal()
        name = "page_of_version" if version else "page_of_alias"
        queries = [(name, (*number, code, *page)) for code in codes]
    elif machine_arn is not None:
        series = [row[0] for row in connection.execute(SQL["series_of_machine"], (machine_arn,))]
        queries = [("page_of_series", (each, code, *page)) for each in series for code in codes]
    elif status is None:
        queries = [("page_of_all", page)]
    else:
        queries = [("page_by_status", (codes[0], *page))]
    rows = heapq.merge(
        *(connection.execute(SQL[name], values) for name, values in queries),
        key=lambda row: row[0],
        reverse=True,
    )
    return [execution_row(row) for row in islice(rows, limit)]


def history(
    execution_id: int, after: int, limit: int, reverse: bool, connection: Connection
) -> list[tuple[int, int, HistoryEvent]]:
    (start, end), reader = event_keys(execution_id), reader_of(connection, execution_id)
    if reverse:
        last = start | after - 1 if after else end
        units = connection.execute(SQL["history_backwards"], (start, last))
    else:
        first = start | min(after + 1, EVENTS)
        units = connection.execute(SQL["history"], (start, first, start, end))
    page: list[tuple[int, int, HistoryEvent]] = []
    for key, blob in units:
        events = reader.history(blob, key & EVENTS)
        if reverse:
            page += [each for each in reversed(events) if not after or each[0] < after]
        else:
            page += [each for each in events if each[0] > after]
        if len(page) >= limit:
            break
    return page[:limit]
