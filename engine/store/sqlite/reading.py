"""What SQLite has stored -> rows of base.py and continuations. Called in the threads, with one of
their connections.

A value that is damaged harms what it belongs to: in a list, and in a description, it counts as
absent, and the log and `stepwell db check` tell of it; whoever cannot do without it gets
StoreFormat.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import (
    STATUSES,
    ActivityRow,
    ExecutionRow,
    MachineRow,
    MapRunRow,
    StoreFormat,
)
from stepwell.engine.store.keys import EVENT_BITS, EVENTS, ROW_BITS, ROWS, split_arn
from stepwell.engine.store.sqlite import sql

T = TypeVar("T")
Connection = sqlite3.Connection

log: Final = logging.getLogger("stepwell.store")


def snapshot(work: Callable[[Connection], T], connection: Connection) -> T:
    """work() on one state of the database, whatever is committed meanwhile."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("COMMIT")


def named(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Those whose first column, by which they are found and paged, is text."""
    for row in rows:
        if blobs.is_text(row[0]):
            yield row
        else:
            log.error("a row is left out, since its key is no UTF-8 text: %r", row[0])


def shown(row: Iterable[Any]) -> list[Any]:
    """With U+FFFD for what is no UTF-8 in its texts."""
    return [blobs.scrub(value) if type(value) is str else value for value in row]


def _blob(connection: Connection, statement: str, *values: int) -> bytes:
    found = connection.execute(statement, values).fetchone()
    if found is None:
        raise StoreFormat(f"a row is missing: {statement} {values}")
    blob: bytes = found[0]
    return blob


def reader_of(connection: Connection, execution_id: int) -> codec.Reader:
    return codec.Reader(
        lambda: codec.read_input(_blob(connection, sql.FIRST_UNIT, execution_id << EVENT_BITS | 1)),
        lambda number: blobs.unpack(
            _blob(connection, sql.PAYLOAD, execution_id << ROW_BITS | number)
        ),
    )


def execution_row(values: Sequence[Any]) -> ExecutionRow:
    """A row of sql.EXECUTION..., without input and output."""
    (
        id,
        uuid,
        prefix,
        tail,
        machine,
        machine_name,
        role,
        express,
        definition,
        block,
        status,
        *rest,
    ) = shown(values)
    started, stopped, events, error, cause, *parent, extras = rest
    return ExecutionRow(
        *(
            id,
            uuid.hex(),
            f"{prefix}:{tail}",
            tail.partition(":")[0],
            machine,
            machine_name,
            role,
            bool(express),
            definition,
            block,
        ),
        *(
            STATUSES[status],
            started,
            stopped,
            events,
            error,
            cause,
            None if parent[0] is None else tuple(parent),
        ),
        _extras(extras, f"execution {id}"),
    )


def _extras(blob: bytes | None, owner: str) -> Any:
    """One damaged value must not hide the others of a list: it counts as empty. `stepwell db check`
    tells of it.
    """
    try:
        return blobs.unpack_json(blob)
    except StoreFormat as error:
        log.error("extras of %s cannot be read: %s", owner, error)
        return {}


def readable(read: Callable[[], bytes | None], what: str, arn: str) -> bytes | None:
    try:
        return read()
    except (StoreFormat, msgspec.DecodeError) as error:
        log.error("the %s of %s cannot be read: %s", what, arn, error)
        return None


def describe(arn: str, connection: Connection) -> ExecutionRow | None:
    found = connection.execute(sql.EXECUTION_BY_ARN, split_arn(arn)).fetchone()
    if found is None:
        return None
    row, reader = execution_row(found), reader_of(connection, found[0])
    output = None
    if row.stopped is not None:
        last = (sql.LAST_UNIT, row.id << EVENT_BITS, row.id << EVENT_BITS | EVENTS)
        output = readable(lambda: reader.output(_blob(connection, *last)), "output", arn)
    return row._replace(input=readable(lambda: reader.input.data, "input", arn), output=output)


def load(execution_id: int, connection: Connection) -> codec.Continuation | None:
    found = connection.execute(sql.CONTINUATION, (execution_id,)).fetchone()
    if found is None:
        return None
    row = execution_row(connection.execute(sql.EXECUTION, (execution_id,)).fetchone())
    stored = codec.Continuation(row, reader_of(connection, execution_id), found[0])
    if stored.split:
        for (blob,) in connection.execute(
            sql.FRAMES, (execution_id << ROW_BITS, execution_id << ROW_BITS | ROWS)
        ):
            stored.add_frame(blob)
    if stored.visits:
        for frame, blob in connection.execute(sql.ITEMS, (execution_id,)):
            stored.add_items(frame, blob)
        for frame, blob in connection.execute(sql.RESULTS, (execution_id,)):
            stored.add_results(frame, blob)
    stored.reader.input  # noqa: B018  # read it now, in this thread
    return stored


def history(
    execution_id: int, after: int, limit: int, reverse: bool, connection: Connection
) -> list[tuple[int, int, HistoryEvent]]:
    base, reader = execution_id << EVENT_BITS, reader_of(connection, execution_id)
    if reverse:
        units = connection.execute(sql.UNITS_BACK, (base, base | (after - 1 if after else EVENTS)))
    else:
        units = connection.execute(
            sql.UNITS, (base, base | min(after + 1, EVENTS), base, base | EVENTS)
        )
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


def machine_row(row: Sequence[Any]) -> MachineRow:
    arn, name, type, role, text, number, revision, created, updated, status, *more = shown(row)
    definition = (readable(lambda: blobs.unpack(text), "definition", arn) or b"").decode()
    extras, configuration = (_extras(each, arn) for each in more)
    return MachineRow(
        arn,
        name,
        type,
        role,
        definition,
        number,
        revision,
        created,
        updated,
        status,
        extras,
        configuration,
    )


def map_run_row(row: Sequence[Any]) -> MapRunRow:
    *rest, blob = shown(row)
    return MapRunRow._make([*rest, codec.unpack_map_run(blob)])


def activity_row(row: Sequence[Any]) -> ActivityRow:
    arn, name, created, extras = shown(row)
    return ActivityRow(arn, name, created, _extras(extras, arn))
