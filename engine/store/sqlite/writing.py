"""Writes that take several statements. Called in the writer's thread, in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import MachineRow
from stepwell.engine.store.batch import DELETE_FRAMES, DELETE_PAYLOADS, DELETE_VISITS, Batch
from stepwell.engine.store.keys import event_keys, row_keys
from stepwell.engine.store.rows import machine_row, readable
from stepwell.engine.store.sqlite.sql import SQL, for_rows

Connection = sqlite3.Connection

MERGE_BYTES: Final = 4096  # larger rows of history are not merged
MERGE_ROWS: Final = 3
# Of one statement; the rest of the rows in powers of two, so that few statements are prepared.
ROWS_AT_ONCE: Final = 64


def write(batch: Batch, connection: Connection) -> None:
    for name, parameters in batch.deletes:
        connection.execute(SQL[name], parameters)
    for change, values in batch.rows.items():
        columns, start, left = change.columns, 0, len(values) // change.columns
        while left:
            rows = ROWS_AT_ONCE if left >= ROWS_AT_ONCE else 1 << (left.bit_length() - 1)
            end = start + rows * columns
            connection.execute(for_rows(change, rows), values[start:end])
            start, left = end, left - rows
    for first, last in batch.merges:
        merge(first, last, connection)
    connection.execute(SQL["advance"], (batch.clock, batch.next_id))


def merge(first: int, last: int, connection: Connection) -> None:
    """Merge each run of small rows of history into one row; a run with a damaged row stays."""
    run: list[tuple[int, bytes]] = []
    rows = connection.execute(SQL["history_to_merge"], (MERGE_BYTES, first, last))
    for key, blob in [*rows, (0, None)]:
        if blob is not None:
            run.append((key, blob))
            continue
        parts = [part for _, part in run]
        merged = (
            readable(partial(codec.merge, parts), "history", f"rows from {first}")
            if len(run) >= MERGE_ROWS
            else None
        )
        if merged is not None:
            connection.execute(SQL["delete_history"], (run[1][0], run[-1][0]))
            connection.execute(SQL["replace_history"], (merged, run[0][0]))
        run = []


def delete_closed(before: int, limit: int, spare: Collection[int], connection: Connection) -> int:
    """See Store.delete_closed()."""
    ids = [
        row[0]
        for row in connection.execute(SQL["closed_before"], (before, limit))
        if row[0] not in spare
    ]
    for each in ids:
        for name in ("delete_continuation_of", "unpark", *DELETE_VISITS, "delete_map_runs"):
            connection.execute(SQL[name], (each,))
        for name, keys in (
            (DELETE_FRAMES, row_keys(each)),
            ("delete_history", event_keys(each)),
            (DELETE_PAYLOADS, row_keys(each)),
        ):
            connection.execute(SQL[name], keys)
        connection.execute(SQL["delete_execution"], (each,))
    return len(ids)


def put_machine(
    row: MachineRow,
    complete: Callable[[MachineRow], MachineRow] | None,
    connection: Connection,
) -> MachineRow:
    """See Store.put_machine()."""
    values = connection.execute(SQL["machine"], (row.arn,)).fetchone()
    old = machine_row(values) if values else None
    if old is not None and old.revision == row.revision:
        new = row._replace(definition_id=old.definition_id)
    else:
        definition = (
            row.arn,
            row.type,
            row.role_arn,
            row.revision,
            row.updated,
            blobs.pack(row.definition.encode()),
            blobs.pack_json(row.configuration),
        )
        number = connection.execute(SQL["insert_definition"], definition).lastrowid
        assert number is not None
        new = row._replace(definition_id=number)
    new = new if complete is None else complete(new)
    machine = (
        new.arn,
        new.name,
        new.definition_id,
        new.created,
        new.updated,
        new.status,
        blobs.pack_json(new.extras),
    )
    connection.execute(SQL["put_machine"], machine)
    return new
