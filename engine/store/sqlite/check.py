"""Finds damaged rows: reads every stored value once, a page of rows at a time, beside the process
that works on the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from stepwell.asl.program import Program, compile_machine
from stepwell.asl.validate import validate
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import Finding, StoreFormatError
from stepwell.engine.store.keys import EVENT_BITS, EVENTS, ROW_BITS
from stepwell.engine.store.rows import scrubbed
from stepwell.engine.store.sqlite import reading
from stepwell.engine.store.sqlite.database import snapshot
from stepwell.engine.store.sqlite.sql import SQL

Connection = sqlite3.Connection
PAGE: Final = 500  # rows

STOP: Final = "stop the execution; what else of it can be read stays"
LOST: Final = "nothing waits for it; it goes with its execution at the end of the retention"
UPDATE: Final = (
    "update the state machine with its definition; running executions of this revision are "
    "parked: stop them"
)
WRITE: Final = "tag it or update it again"
RECORD: Final = "the service goes on without it; create what it held again"
TEXT: Final = (
    "it is shown with U+FFFD in its place and found by no such name: write it anew with sqlite3, "
    "or leave it as it is"
)
RESTORE: Final = "restore a backup, or copy what can be read with sqlite3's .recover"


Found = tuple[str, str, str] | None  # owner, fault, advice


async def damage(
    path: str,
    read: Callable[[Callable[[Connection], Any]], Awaitable[Any]],
    record: Callable[[str, bytes], object],
) -> AsyncIterator[Finding]:
    """Every finding, table by table. `read` runs a function with a connection to committed rows."""
    try:
        answers = await read(
            lambda connection: connection.execute("PRAGMA integrity_check").fetchall()
        )
    except StoreError as error:
        answers = [(str(error),)]
    for (answer,) in answers:
        if answer != "ok":
            yield Finding("file", path, answer, RESTORE)
    programs: dict[int, Program] = {}
    for table, key, check in _CHECKS:
        named = table in _NAMED
        statement = (
            f"SELECT {key} AS place, * FROM {table} WHERE {key} > "
            f"{'CAST(? AS TEXT)' if named else '?'} ORDER BY {key} LIMIT {PAGE}"
        )
        after: Any = b"" if named else -1
        try:
            while page := await read(partial(_page, statement, after, check, programs, record)):
                for row, found in page:
                    if found is not None:
                        yield Finding(*scrubbed((f"{table} {row}", *found)))
                after = page[-1][0].encode(errors="surrogateescape") if named else page[-1][0]
        except StoreError as error:
            yield Finding(table, path, f"cannot be read: {error}", RESTORE)


def _page(
    statement: str, after: Any, check: Any, programs: Any, record: Any, connection: Connection
) -> list[tuple[Any, Found]]:
    rows = connection.execute(statement, (after,))
    names = [each[0] for each in rows.description]
    return [
        (row[0], _checked(check, dict(zip(names, row)), connection, programs, record))
        for row in rows.fetchall()
    ]


def _checked(
    check: Any, row: dict[str, Any], connection: Connection, programs: Any, record: Any
) -> Found:
    owner, advice, work = check(row, connection, programs, record)
    try:
        work()
    except Exception as error:
        text = str(error) if isinstance(error, StoreFormatError | ValueError) else repr(error)
        return owner() if callable(owner) else owner, text, advice
    no_text = [
        name
        for name, value in row.items()
        if name != "place" and type(value) is str and not blobs.is_text(value)
    ]
    if no_text:
        return owner() if callable(owner) else owner, f"no UTF-8 text: {', '.join(no_text)}", TEXT
    return None


def _arn(execution_id: int, connection: Connection) -> str:
    found = connection.execute(SQL["execution"], (execution_id,)).fetchone()
    return f"{found[2]}:{found[3]}" if found else f"an execution that is gone ({execution_id})"


def _definition(
    row: dict[str, Any], connection: Connection, programs: dict[int, Program], record: Any
) -> Any:
    def work() -> None:
        blobs.unpack_json(row["configuration"])
        validation = validate(
            blobs.unpack(row["text"]).decode(),
            row["type"],
            DEFAULT_LIMITS,
            lambda resource: resource,
        )
        if validation.definition is None:
            raise StoreFormatError(
                "refused by this version: " + "; ".join(each.message for each in validation.errors)
            )
        programs[row["id"]] = compile_machine(validation.definition, DEFAULT_LIMITS, Payload)

    return row["machine"], UPDATE, work


def _named(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return row["arn"], WRITE, lambda: blobs.unpack_json(row["extras"])


def _execution(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return lambda: _arn(row["id"], connection), LOST, lambda: blobs.unpack_json(row["extras"])


def _continuation(
    row: dict[str, Any], connection: Connection, programs: dict[int, Program], record: Any
) -> Any:
    def work() -> None:
        stored = snapshot(partial(reading.load, row["id"]), connection)
        if stored is not None:  # else it has ended meanwhile
            program = programs.get(stored.row.definition)
            if program is None:
                raise StoreFormatError(f"its definition ({stored.row.definition}) cannot be used")
            stored.execution(program)

    return lambda: _arn(row["id"], connection), STOP, work


def _texts(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return next(value for value in row.values() if type(value) is str), TEXT, lambda: None


def _history(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    execution_id, first = row["key"] >> EVENT_BITS, row["key"] & EVENTS
    reader = reading.reader_of(connection, execution_id)
    return lambda: _arn(execution_id, connection), LOST, lambda: reader.history(row["blob"], first)


def _payload(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return lambda: _arn(row["key"] >> ROW_BITS, connection), STOP, lambda: blobs.unpack(row["blob"])


def _map_run(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return (
        lambda: _arn(row["execution"], connection),
        LOST,
        lambda: codec.unpack_map_run(row["blob"]),
    )


def _record(row: dict[str, Any], connection: Connection, programs: Any, record: Any) -> Any:
    return row["key"].partition("/")[0], RECORD, lambda: record(row["key"], row["blob"])


_NAMED: Final = ("machine", "activity", "record")
_CHECKS: Final[Sequence[tuple[str, str, Any]]] = (
    ("definition", "id", _definition),
    ("series", "id", _texts),
    ("pin", "id", _texts),
    ("qualifier", "id", _texts),
    ("machine", "arn", _named),
    ("activity", "arn", _named),
    ("execution", "id", _execution),
    ("continuation", "id", _continuation),
    ("history", "key", _history),
    ("payload", "key", _payload),
    ("map_run", f"(execution << {EVENT_BITS} | event)", _map_run),
    ("record", "key", _record),
)
