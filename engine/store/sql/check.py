"""Finds damaged rows: reads every stored value once, a page of rows at a time, beside the process
that works on the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NamedTuple

from stepwell.asl.program import Program
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.store import blobs, child_rows, codec
from stepwell.engine.store.base import Finding, StoreFormatError
from stepwell.engine.store.keys import EVENT_BITS, EVENTS, ROW_BITS
from stepwell.engine.store.sql import queries
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.queries import Query, Reader, first_row
from stepwell.engine.store.sql.rows import scrubbed

PAGE: Final = 500  # rows

STOP: Final = "stop the execution; the rest of it stays readable"
LOST: Final = "no running work needs it; it is deleted with its execution after the retention"
UPDATE: Final = (
    "update the state machine with its definition; running executions of this revision are "
    "parked: stop them"
)
WRITE: Final = "tag it or update it again"
RECORD: Final = "the service ignores the record; create again what it held"
TEXT: Final = (
    "it is shown with U+FFFD and cannot be looked up by name: correct it with the database's own "
    "tools, or leave it as it is"
)
RESTORE: Final = "restore a backup, or copy what can be read with sqlite3's .recover"

Found = tuple[str, str, str] | None  # owner, fault, advice
Values = Mapping[str, Any]


class Context(NamedTuple):
    """programs: of the definitions that were checked, by their ids. record: see damage(). limits:
    of definitions.
    """

    programs: dict[int, Program]
    record: Callable[[str, bytes], object]
    limits: Limits


async def damage(
    database: Database, record: Callable[[str, bytes], object], limits: Limits
) -> AsyncIterator[Finding]:
    """Every finding, table by table. `record` raises ValueError for the record of a service that it
    cannot read.
    """
    try:
        faults = await database.integrity()
    except StoreError as error:
        faults = [str(error)]
    for fault in faults:
        yield Finding("file", database.path, fault, RESTORE)
    context = Context({}, record, limits)
    for table, (columns, *_) in TABLES.items():
        after: tuple[Any, ...] = (-1,) * _KEYS.get(table, 1)
        if table in _NAMED:
            after = (b"",)
        try:
            while page := await database.query(_page(table, columns.split(), after, context)):
                for key, found in page:
                    if found is not None:
                        row = " ".join(map(str, key))
                        yield Finding(*scrubbed((f"{table} {row}", *found)))
                after = page[-1][0]
                if table in _NAMED:
                    after = (after[0].encode(errors="surrogateescape"),)
        except StoreError as error:
            yield Finding(table, database.path, f"cannot be read: {error}", RESTORE)


def _page(
    table: str, columns: list[str], after: tuple[Any, ...], context: Context
) -> Query[list[tuple[tuple[Any, ...], Found]]]:
    """(key, what was found) of each row."""
    rows = list((yield f"check_{table}", (*after, PAGE)))
    page = []
    for row in rows:
        found = yield from _checked(table, dict(zip(columns, row)), context)
        page.append((tuple(row[: len(after)]), found))
    return page


def _checked(table: str, row: Values, context: Context) -> Query[Found]:
    _, owner, advice, check = TABLES[table]
    try:
        yield from check(row, context)
        fault = None
    except Exception as error:
        fault = str(error) if isinstance(error, StoreFormatError | ValueError) else repr(error)
    if fault is None:
        texts = _bad_texts(row)
        if not texts:
            return None
        fault, advice = f"no UTF-8 text: {', '.join(texts)}", TEXT
    return (yield from owner(row)), fault, advice


def _bad_texts(row: Values) -> list[str]:
    return [name for name, value in row.items() if type(value) is str and not blobs.is_text(value)]


# --- owners ---------------------------------------------------------------------------------------


def _arn_of(execution_id: int) -> Query[str]:
    row = yield from first_row("execution", execution_id)
    return f"{row[2]}:{row[3]}" if row else f"a deleted execution ({execution_id})"


def _by_execution(row: Values) -> Query[str]:
    return (yield from _arn_of(next(iter(row.values()))))


def _by_event(row: Values) -> Query[str]:
    return (yield from _arn_of(next(iter(row.values())) >> EVENT_BITS))


def _by_row(row: Values) -> Query[str]:
    return (yield from _arn_of(row["key"] >> ROW_BITS))


def _by_text(row: Values) -> Query[str]:
    yield from ()
    return next(value for value in row.values() if type(value) is str)


def _by_service(row: Values) -> Query[str]:
    yield from ()
    service: str = row["key"].partition("/")[0]
    return service


# --- checks ---------------------------------------------------------------------------------------


def _definition(row: Values, context: Context) -> Query[None]:
    yield from ()
    from stepwell.asl.compiler import compile_machine  # imported late: every reader imports this
    from stepwell.asl.validate import validate

    blobs.unpack_json(row["configuration"])
    text = blobs.unpack(row["text"]).decode()
    validation = validate(text, row["type"], context.limits, lambda resource: resource)
    if validation.definition is None:
        reasons = "; ".join(each.message for each in validation.errors)
        raise StoreFormatError(f"refused by this version: {reasons}")
    context.programs[row["id"]] = compile_machine(validation.definition, context.limits, Payload)


def _extras(row: Values, context: Context) -> Query[None]:
    yield from ()
    blobs.unpack_json(row["extras"])


def _continuation(row: Values, context: Context) -> Query[None]:
    stored = yield from queries.load(row["id"])
    if stored is not None:  # else it has ended meanwhile
        program = context.programs.get(stored.row.definition)
        if program is None:
            raise StoreFormatError(f"its definition ({stored.row.definition}) cannot be used")
        stored.execution(program)


def _texts(row: Values, context: Context) -> Query[None]:
    yield from ()


def _history(row: Values, context: Context) -> Query[None]:
    reader = Reader(row["key"] >> EVENT_BITS)
    yield from reader.decoded(lambda: reader.history(row["blob"], row["key"] & EVENTS))


def _long_history(row: Values, context: Context) -> Query[None]:
    reader = Reader(row["execution"])
    yield from reader.decoded(lambda: reader.history(row["blob"], row["event"]))


def _payload(row: Values, context: Context) -> Query[None]:
    yield from ()
    blobs.unpack(row["blob"])


def _map_run(row: Values, context: Context) -> Query[None]:
    yield from ()
    codec.unpack_map_run(row["blob"])


def _child_input(row: Values, context: Context) -> Query[None]:
    yield from ()
    child_rows.read_inputs(row["blob"])


def _child_output(row: Values, context: Context) -> Query[None]:
    yield from ()
    child_rows.read_slots(row["slots"])
    child_rows.read_outputs(row["blob"])


def _record(row: Values, context: Context) -> Query[None]:
    yield from ()
    context.record(row["key"], row["blob"])


_NAMED: Final = ("machine", "activity", "record")
# of several columns
_KEYS: Final = {"map_run": 2, "long_history": 2, "child_input": 4, "child_output": 4}
TABLES: Final[Mapping[str, tuple[str, Any, str, Any]]] = {
    # table: the columns of the statement check_<table>, the key first; owner; advice; check
    "definition": (
        "id machine type text configuration role revision", _by_text, UPDATE, _definition,
    ),
    "series": ("id prefix machine machine_name", _by_text, TEXT, _texts),
    "pin": ("id role", _by_text, TEXT, _texts),
    "qualifier": ("id arn", _by_text, TEXT, _texts),
    "machine": ("arn extras name status", _by_text, WRITE, _extras),
    "activity": ("arn extras name", _by_text, WRITE, _extras),
    "execution": ("id extras tail error cause", _by_execution, LOST, _extras),
    "continuation": ("id", _by_execution, STOP, _continuation),
    "history": ("key blob", _by_event, LOST, _history),
    "long_history": ("execution event blob", _by_execution, LOST, _long_history),
    "payload": ("key blob", _by_row, STOP, _payload),
    "map_run": ("execution event blob", _by_execution, LOST, _map_run),
    "child_input": ("execution frame seq n blob", _by_execution, STOP, _child_input),
    "child_output": ("execution frame seq n slots blob", _by_execution, STOP, _child_output),
    "record": ("key blob", _by_service, RECORD, _record),
}  # fmt: skip
