"""A commit in PostgreSQL's words: ONE statement, which takes each table's rows as arrays.

    WITH owned AS (UPDATE shard ... FROM unnest($1 ... $4) ... AND epoch = o.epoch RETURNING 1),
         fence AS (SELECT 1 FROM owned HAVING count(*) = cardinality($1)),
         a AS (INSERT INTO history ... FROM unnest($5::bigint[], $6::bytea[]) ... fence), ...
    SELECT count(*) FROM fence

One statement is one round trip and one transaction, of one shard or of several. All of it depends
on the fence: where an epoch is another owner's, no row is written. Parts of one statement do not
see each other's rows, so what must come before (rows of an earlier visit that are deleted) or after
(merged history) goes in statements of its own, and then the whole is a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from stepwell.engine.store import batch
from stepwell.engine.store.batch import Batch, Change


class Part(NamedTuple):
    """text: {rows} stands for the arrays as a table r (c1, c2 ...). types: of the columns."""

    text: str
    types: tuple[str, ...]


def _insert(change: Change, table: str, types: str, conflict: str = "") -> Part:
    columns = ", ".join(change.names)
    return Part(
        f"INSERT INTO {table} ({columns}) SELECT r.* FROM fence, {{rows}} {conflict}",
        tuple(types.split()),
    )


def _put(change: Change, table: str, types: str, keys: int = 1, fixed: int = 1) -> Part:
    """The first `keys` columns are the key; an update leaves the first `fixed` as they are."""
    key, others = ", ".join(change.names[:keys]), change.names[fixed:]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return _insert(change, table, types, f"ON CONFLICT ({key}) DO UPDATE SET {changes}")


def _update(change: Change, table: str, types: str) -> Part:
    key, *others = change.names
    changes = ", ".join(f"{name} = r.c{number}" for number, name in enumerate(others, 2))
    return Part(
        f"UPDATE {table} SET {changes} FROM fence, {{rows}} WHERE {table}.{key} = r.c1",
        tuple(types.split()),
    )


def _delete(change: Change, table: str, types: str) -> Part:
    (key,) = change.names
    return Part(f"DELETE FROM {table} USING fence, {{rows}} WHERE {table}.{key} = r.c1", (types,))


_ENDING: Final = "smallint bigint bigint utf8 utf8 bytea"  # status to extras
PARTS: Final[dict[Change, Part]] = {
    change: make(change, table, types, *keys)
    for make, change, table, types, *keys in (
        (_insert, batch.INSERT_SERIES, "series", "bigint text text text smallint"),
        (_insert, batch.INSERT_QUALIFIER, "qualifier", "bigint text"),
        (_insert, batch.INSERT_PIN, "pin", "bigint bigint bigint text"),
        (
            _insert, batch.INSERT_EXECUTION, "execution",
            f"bigint bigint text bytea {'bigint ' * 8}{_ENDING}",
        ),
        (_update, batch.UPDATE_EXECUTION, "execution", f"bigint {_ENDING}"),
        (
            _insert, batch.INSERT_ATTRIBUTE, "attribute", "text bytea bigint smallint",
            "ON CONFLICT DO NOTHING",
        ),
        (_insert, batch.INSERT_HISTORY, "history", "bigint bytea"),
        (_insert, batch.INSERT_LONG_HISTORY, "long_history", "bigint bigint bytea"),
        (_insert, batch.INSERT_PAYLOAD, "payload", "bigint bytea"),
        (_put, batch.PUT_CONTINUATION, "continuation", "bigint bigint bigint bytea"),
        (_delete, batch.DELETE_CONTINUATION, "continuation", "bigint"),
        (_put, batch.PUT_FRAME, "frame", "bigint bytea"),
        (_delete, batch.DELETE_FRAME, "frame", "bigint"),
        (_insert, batch.INSERT_ITEMS, "map_item", "bigint bigint bigint bytea"),
        (_insert, batch.INSERT_RESULTS, "map_result", "bigint bigint bigint bytea"),
        (_insert, batch.INSERT_CHILD_INPUTS, "child_input", f"{'bigint ' * 4}bytea"),
        (_insert, batch.INSERT_CHILD_OUTPUTS, "child_output", f"{'bigint ' * 4}bytea bytea"),
        (_put, batch.PUT_MAP_RUN, "map_run", "bigint bigint bigint bigint bytea bytea", 2, 5),
        (_put, batch.PUT_RECORD, "record", "utf8 bytea"),
        (_delete, batch.DELETE_RECORD, "record", "utf8"),
        (_delete, batch.DELETE_FIRST_HISTORY, "history", "bigint"),
        (_delete, batch.DELETE_EXECUTIONS, "execution", "bigint"),
    )
}  # fmt: skip

_PLACES: Final = {change: place for place, change in enumerate(PARTS)}

_FENCE: Final = (
    "owned AS (UPDATE shard SET clock = greatest(shard.clock, o.clock),"
    " next_execution = greatest(shard.next_execution, o.next)"
    " FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[])"
    " AS o (clock, next, number, epoch)"
    " WHERE shard.number = o.number AND shard.epoch = o.epoch RETURNING 1),"
    " fence AS (SELECT 1 FROM owned HAVING count(*) = cardinality($1))"
)


def statement(shards: Sequence[tuple[Batch, int, int]]) -> tuple[str, list[Any]]:
    """The statement of the batches of some shards, without their deletes and merges, and its
    parameters. shards: (batch, number, epoch)
    """
    batches, numbers, epochs = zip(*shards)
    rows: dict[Change, list[Any]] = {}
    for each in batches:
        for change, values in each.rows.items():
            if values:
                rows[change] = rows[change] + values if change in rows else values
    present = tuple(sorted(rows, key=_PLACES.__getitem__))
    clocks, ids = [each.clock for each in batches], [each.next_id for each in batches]
    parameters: list[Any] = [clocks, ids, numbers, epochs]
    for change in present:
        values, types = rows[change], PARTS[change].types
        for column, type in enumerate(types):
            array: Sequence[Any] = values[column :: len(types)]
            if type == "utf8":
                array = [None if text is None else text.encode() for text in array]
            parameters.append(array)
    return _text(present), parameters


@lru_cache(maxsize=512)
def _text(present: tuple[Change, ...]) -> str:
    number, parts = 4, [_FENCE]
    for place, change in enumerate(present):
        part, arrays = PARTS[change], []
        for type in part.types:
            number += 1
            arrays.append(f"${number}::{type.replace('utf8', 'bytea')}[]")
        names = ", ".join(f"c{column}" for column in range(1, len(arrays) + 1))
        rows = f"unnest({', '.join(arrays)}) AS r ({names})"
        parts.append(f"p{place} AS ({part.text.format(rows=rows)})")
    return f"WITH {', '.join(parts)} SELECT count(*) FROM fence"
