"""A commit in PostgreSQL's words: ONE statement, which takes each table's rows as arrays.

    WITH fence AS (UPDATE meta ... WHERE epoch = $3 RETURNING 1),
         a AS (INSERT INTO history ... FROM unnest($4::bigint[], $5::bytea[]) ... fence), ...
    SELECT count(*) FROM fence

One statement is one round trip and one transaction. All of it depends on the fence: where the epoch
is another owner's, nothing is written. Parts of one statement do not see each other's rows, so what
must come before (rows of an earlier visit that are deleted) or after (merged history) goes in
statements of its own, and then the whole is a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from stepwell.engine.store.batch import Batch, Change


class Part(NamedTuple):
    """text: {rows} stands for the arrays as a table r (c1, c2 ...). types: of the columns."""

    text: str
    types: tuple[str, ...]


def _insert(table: str, columns: str, types: str, conflict: str = "") -> Part:
    return Part(
        f"INSERT INTO {table} ({columns}) SELECT r.* FROM fence, {{rows}} {conflict}",
        tuple(types.split()),
    )


def _delete(table: str, key: str, type: str) -> Part:
    return Part(f"DELETE FROM {table} USING fence, {{rows}} WHERE {table}.{key} = r.c1", (type,))


def _put(table: str, key: str, columns: str, types: str, changed: str) -> Part:
    changes = ", ".join(f"{name} = excluded.{name}" for name in changed.split())
    return _insert(table, columns, types, f"ON CONFLICT ({key}) DO UPDATE SET {changes}")


PARTS: Final[dict[str, Part]] = {
    "insert_series": _insert(
        "series", "id, prefix, machine, machine_name, express", "bigint text text text smallint"
    ),
    "insert_qualifier": _insert("qualifier", "id, arn", "bigint text"),
    "insert_pin": _insert("pin", "id, definition, block, role", "bigint bigint bigint text"),
    "insert_execution": _insert(
        "execution",
        "id, series, tail, uuid, pin, started, parent, parent_frame, parent_seq, parent_index,"
        " version, alias, status, stopped, events, error, cause, extras",
        "bigint bigint text bytea bigint bigint bigint bigint bigint bigint"
        " bigint bigint smallint bigint bigint utf8 utf8 bytea",
    ),
    "update_execution": Part(
        "UPDATE execution SET status = r.c2, stopped = r.c3, events = r.c4, error = r.c5,"
        " cause = r.c6, extras = r.c7 FROM fence, {rows} WHERE execution.id = r.c1",
        ("bigint", "smallint", "bigint", "bigint", "utf8", "utf8", "bytea"),
    ),
    "insert_history": _insert("history", "key, blob", "bigint bytea"),
    "insert_payload": _insert("payload", "key, blob", "bigint bytea"),
    "put_continuation": _put(
        "continuation", "id", "id, wake, events, blob", "bigint bigint bigint bytea",
        "wake events blob",
    ),
    "delete_continuation": _delete("continuation", "id", "bigint"),
    "put_frame": _put("frame", "key", "key, blob", "bigint bytea", "blob"),
    "delete_frame": _delete("frame", "key", "bigint"),
    "insert_items": _insert(
        "map_item", "execution, frame, n, blob", "bigint bigint bigint bytea"
    ),
    "insert_results": _insert(
        "map_result", "execution, frame, n, blob", "bigint bigint bigint bytea"
    ),
    "put_map_run": _put(
        "map_run", "execution, event", "execution, event, frame, seq, uuid, blob",
        "bigint bigint bigint bigint bytea bytea", "blob",
    ),
    "put_record": _put("record", "key", "key, blob", "utf8 bytea", "blob"),
    "delete_record": _delete("record", "key", "utf8"),
    "delete_first_history": _delete("history", "key", "bigint"),
    "delete_executions": _delete("execution", "id", "bigint"),
}  # fmt: skip

_FENCE: Final = (
    "UPDATE meta SET clock = greatest(clock, $1), next_execution = greatest(next_execution, $2)"
    " WHERE id = 1 AND epoch = $3 RETURNING 1"
)


def statement(batch: Batch, epoch: int) -> tuple[str, list[Any]]:
    """The statement of a batch, without its deletes and merges, and its parameters."""
    present = tuple(change for change, values in batch.rows.items() if values)
    parameters: list[Any] = [batch.clock, batch.next_id, epoch]
    for change in present:
        values, types = batch.rows[change], PARTS[change.name].types
        for column, type in enumerate(types):
            array: Sequence[Any] = values[column :: len(types)]
            if type == "utf8":
                array = [None if text is None else text.encode() for text in array]
            parameters.append(array)
    return _text(present), parameters


@lru_cache(maxsize=512)
def _text(present: tuple[Change, ...]) -> str:
    number, parts = 3, [f"fence AS ({_FENCE})"]
    for place, change in enumerate(present):
        part, arrays = PARTS[change.name], []
        for type in part.types:
            number += 1
            arrays.append(f"${number}::{type.replace('utf8', 'bytea')}[]")
        names = ", ".join(f"c{column}" for column in range(1, len(arrays) + 1))
        rows = f"unnest({', '.join(arrays)}) AS r ({names})"
        parts.append(f"p{place} AS ({part.text.format(rows=rows)})")
    return f"WITH {', '.join(parts)} SELECT count(*) FROM fence"
