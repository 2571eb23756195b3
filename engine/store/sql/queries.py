"""What takes several statements, whatever the database: generators of statements.

    rows = yield name, parameters       the name of a statement of queries.sql -> its rows
    value = yield from another_query()

A database runs them, in one snapshot or in one transaction: SQLite in its thread, PostgreSQL on
the event loop. So each rule stands once.
"""

from __future__ import annotations

import heapq
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.history import payload_bytes
from stepwell.engine.core.model import SUCCEEDED, Payload
from stepwell.engine.search.wanted import STATUSES
from stepwell.engine.store import blobs, child_rows, codec
from stepwell.engine.store.base import ExecutionRow, MachineRow, StoreFormatError
from stepwell.engine.store.keys import (
    EVENT_BITS,
    EVENTS,
    event_keys,
    row_key,
    row_keys,
    split_arn,
)
from stepwell.engine.store.sql.rows import execution_row, log, machine_row

T = TypeVar("T")
Row = Sequence[Any]
Asked = tuple[str, Sequence[Any]]
Known = Mapping[Asked, Iterable[Row]]
Query = Generator[Asked, Iterable[Row], T]

MERGE_BYTES: Final = 4096  # larger rows of history are not merged
MERGE_ROWS: Final = 3
DELETED_EVENTS: Final = 25_000  # of the executions that one transaction deletes, but for the last
HISTORY_ROWS: Final = 8  # that are read at a time: each holds up to 512 events
ALL: Final = (1 << 63) - 1  # above every id


def first_row(name: str, *values: Any) -> Query[Row | None]:
    return next(iter((yield name, values)), None)


# --- rows that refer to others --------------------------------------------------------------------


class RowsWantedError(Exception):
    """A blob refers to rows that are not read yet. numbers: of payload rows; none: the input."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers


def _want(*numbers: int) -> bytes:
    raise RowsWantedError(*numbers)


class Reader(codec.Reader):
    """Of one execution. Raises RowsWantedError for what has not been read, once for each blob."""

    def __init__(self, execution_id: int) -> None:
        super().__init__(_want, _want)  # not a method: a cycle would keep payloads for long
        self.execution_id = execution_id

    def begin_with(self, first: bytes) -> None:
        """The blob of the first row of history, which has the input."""
        self._input = codec.StoredPayload(codec.read_input(first))

    def payloads(self, entries: Sequence[Any]) -> list[Payload]:
        self._check(entries)
        return super().payloads(entries)

    def objects(self, table: Sequence[Any]) -> list[Any]:
        self._check(table)
        return super().objects(table)

    def _check(self, entries: Sequence[Any]) -> None:
        wanted = [entry for entry in entries if type(entry) is int and entry not in self.rows]
        if wanted:
            raise RowsWantedError(*wanted)

    def decoded(self, decode: Callable[[], T]) -> Query[T]:
        """What `decode` makes of a blob, once the rows that it refers to are read."""
        while True:
            try:
                return decode()
            except RowsWantedError as wanted:
                if not wanted.numbers:
                    first = self.execution_id << EVENT_BITS | 1
                    self.begin_with((yield from _blob("first_history", first)))
                for number in wanted.numbers:
                    blob = yield from _blob("payload", row_key(self.execution_id, number))
                    self.rows[number] = codec.StoredPayload(blobs.unpack(blob))


def _blob(name: str, *keys: int) -> Query[bytes]:
    row = yield from first_row(name, *keys)
    if row is None:
        raise StoreFormatError(f"a row is missing: {name} {keys}")
    blob: bytes = row[0]
    return blob


# --- executions -----------------------------------------------------------------------------------


def describe(arn: str) -> Query[ExecutionRow | None]:
    """Most often one statement."""
    found = yield from first_row("described", *split_arn(arn))
    if found is None:
        return None
    *values, first, last = found
    row, reader = execution_row(values), Reader(values[0])
    input = yield from _readable(_input(reader, first), "input", arn)
    output = None
    if row.stopped is not None:
        output = yield from _readable(_output(reader, row.events, last), "output", arn)
    return row._replace(input=input, output=output)


def _input(reader: Reader, first: bytes | None) -> Query[bytes]:
    if first is not None:
        reader.begin_with(first)
    return (yield from reader.decoded(lambda: reader.input.data))


def _output(reader: Reader, events: int, blob: bytes | None) -> Query[bytes | None]:
    if events > EVENTS or blob is None:
        last = yield from _rows_before(reader.execution_id, events + 1, 1)
        if not last:
            raise StoreFormatError(f"a row is missing: the last history of {reader.execution_id}")
        ((_, blob),) = last
    return (yield from reader.decoded(partial(reader.output, blob)))


def _readable(query: Query[Any], what: str, owner: str) -> Query[bytes | None]:
    """None, and a line in the log, for a damaged value."""
    try:
        value: bytes | None = yield from query
        return value
    except (StoreFormatError, msgspec.DecodeError) as error:
        log.error("the %s of %s cannot be read: %s", what, owner, error)
        return None


def load(execution_id: int) -> Query[codec.Continuation | None]:
    continuation = yield from first_row("continuation", execution_id)
    if continuation is None:
        return None
    values = yield from first_row("execution", execution_id)
    if values is None:
        raise StoreFormatError(f"a row is missing: execution {execution_id}")
    reader = Reader(execution_id)
    stored = yield from reader.decoded(
        partial(codec.Continuation, execution_row(values), reader, continuation[0])
    )
    if stored.split:
        for (blob,) in (yield "frames", row_keys(execution_id)):
            yield from reader.decoded(partial(stored.add_frame, blob))
    if stored.visits:
        for name, add in (("items", stored.add_items), ("results", stored.add_results)):
            for frame, blob in (yield name, (execution_id,)):
                yield from reader.decoded(partial(add, frame, blob))
    if stored.child_rows:
        for frame, seq, slots in (yield "child_output_slots", (execution_id,)):
            stored.runs.setdefault((frame, seq), []).extend(child_rows.read_slots(slots))
    yield from reader.decoded(lambda: reader.input)
    return stored


def executions(
    machine_arn: str | None,
    status: str | None,
    limit: int,
    after: tuple[int, int] | None,
    parent: tuple[int, int, int] | None,
    qualifier: str | None,
) -> Query[list[ExecutionRow]]:
    """See Store.list_executions(). Merges the pages of the chosen statuses, each read in the order
    of its index.
    """
    codes = status_codes(status)
    if not codes:
        return []
    page = (after[1] if after else ALL, limit)
    pages: list[tuple[str, tuple[Any, ...]]]
    if parent is not None:
        pages = [("page_of_map_run", (*parent, code, *page)) for code in codes]
    elif qualifier is not None:
        number = (yield from first_row("qualifier", qualifier)) or (None,)
        pages = [(page_of(qualifier), (*number, code, *page)) for code in codes]
    elif machine_arn is not None:
        series = [row[0] for row in (yield "series_of_machine", (machine_arn,))]
        pages = [("page_of_series", (each, code, *page)) for each in series for code in codes]
    elif status is None:
        pages = [("page_of_all", page)]
    else:
        name = "page_by_status" if status == SUCCEEDED else "page_not_succeeded"
        pages = [(name, (codes[0], *page))]
    sources = []
    for each in pages:
        sources.append((yield each))
    rows = heapq.merge(*sources, key=lambda row: row[0], reverse=True)
    return [execution_row(row) for row in islice(rows, limit)]


def status_codes(status: str | None) -> list[int]:
    """Those of a list: of all statuses for None, none for a text that is no status."""
    return [code for code, each in enumerate(STATUSES) if status in (None, each)]


def page_of(qualifier: str) -> str:
    """The statement that lists the executions of a version or alias."""
    return "page_of_version" if qualifier.rpartition(":")[2].isdecimal() else "page_of_alias"


def place_before(at: int) -> Query[tuple[int, int]]:
    """See Database.place_before(): where ids are in the order of starts, by bisection."""
    newest = yield from first_row("execution_up_to", ALL)
    if newest is None or newest[1] < at:
        return at, ALL
    low, high = 0, newest[0]  # the first that started at that time or later is one of these
    while low < high:
        middle = (low + high) // 2
        found = yield from first_row("execution_up_to", middle)
        if found is None or found[1] < at:
            low = middle + 1
        else:
            high = found[0]
    return at, high


def history(
    execution_id: int, after: int, limit: int, reverse: bool, most_bytes: int
) -> Query[list[tuple[int, int, HistoryEvent]]]:
    reader, page = Reader(execution_id), list[tuple[int, int, HistoryEvent]]()
    last, size = after or (ALL if reverse else 0), 0
    while True:
        rows = yield from (
            _rows_before(execution_id, last, HISTORY_ROWS)
            if reverse
            else _rows_from(execution_id, last + 1)
        )
        before = last
        for first, blob in rows:
            events = yield from reader.decoded(partial(reader.history, blob, first))
            for each in reversed(events) if reverse else events:
                if each[0] >= last if reverse else each[0] <= last:
                    continue
                size += payload_bytes(each[2])
                if len(page) == limit or (page and size > most_bytes):
                    return page
                page.append(each)
                last = each[0]
        if last == before or (len(rows) < HISTORY_ROWS and (reverse or last < EVENTS)):
            return page


def _rows_from(execution_id: int, event: int) -> Query[list[tuple[int, bytes]]]:
    """(first event, blob) of rows from the one that holds an event, in order."""
    later: list[tuple[int, bytes]] = []
    if event > EVENTS:
        found = yield "long_history", (execution_id, execution_id, event, HISTORY_ROWS)
        later = [(first, blob) for first, blob in found]
        if later and later[0][0] <= event:
            return later
    start, end = event_keys(execution_id)
    key = start | min(event, EVENTS)
    rows = yield "history", (start, key, start, end, HISTORY_ROWS)
    return [(key & EVENTS, blob) for key, blob in rows] + later


def _rows_before(execution_id: int, event: int, limit: int) -> Query[list[tuple[int, bytes]]]:
    """(first event, blob) of the last rows that begin before an event, backwards."""
    rows: list[tuple[int, bytes]] = []
    if event > EVENTS + 1:
        found = yield "long_history_backwards", (execution_id, event - 1, limit)
        rows = [(first, blob) for first, blob in found]
    if len(rows) < limit:
        start, _ = event_keys(execution_id)
        key = start | min(event - 1, EVENTS)
        earlier = yield "history_backwards", (start, key, limit - len(rows))
        rows += [(key & EVENTS, blob) for key, blob in earlier]
    return rows


# statements by the number of parameters that name a row: its key, or (execution, event)
_MERGING: Final = (
    ("history_to_merge", "delete_history", "replace_history"),
    ("long_history_to_merge", "delete_long_history", "replace_long_history"),
)


def merge_history(*place: int) -> Query[None]:
    """Merge each run of small rows of history into one row.

    place  an entry of Batch.merges
    """
    *execution, first, last = place
    to_merge, delete, replace = _MERGING[len(execution)]
    rows = yield to_merge, (MERGE_BYTES, *execution, first, last)
    for run in merged(rows):
        yield delete, (*execution, run.second, run.last)
        yield replace, (run.blob, *execution, run.first)


class Merged(NamedTuple):
    """The keys of a run's first, second and last row, and the row that replaces all of them."""

    first: int
    second: int
    last: int
    blob: bytes


def merged(rows: Iterable[Row]) -> Iterator[Merged]:
    """The runs of (key, small blob) in rows of history, in order; a run with a damaged row stays as
    it is.
    """
    run: list[tuple[int, bytes]] = []
    for key, blob in [*rows, (0, None)]:
        if blob is not None:
            run.append((key, blob))
            continue
        if len(run) >= MERGE_ROWS:
            first = run[0][0]
            try:
                whole = codec.merge([part for _, part in run])
            except (StoreFormatError, msgspec.DecodeError) as error:
                log.error("the history of rows from %s cannot be read: %s", first, error)
            else:
                yield Merged(first, run[1][0], run[-1][0], whole)
        run = []


def delete_closed(
    own: Sequence[int],
    before: int,
    limit: int,
    spare: Collection[int],
    delete: Callable[[Sequence[int]], Query[None]],
) -> Query[int]:
    """See Store.delete_closed(). own, delete: the database's, delete is its delete_executions()."""
    ids, left = list[int](), DELETED_EVENTS
    for number, events in (yield "closed_before", (*own, before, limit)):
        if number not in spare and left > 0:
            ids.append(number)
            left -= events
    if ids:
        yield from delete(ids)
    return len(ids)


# --- state machines -------------------------------------------------------------------------------


def put_machine(
    row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None
) -> Query[MachineRow]:
    """See Store.put_machine()."""
    values = yield from first_row("machine", row.arn)
    old = machine_row(values) if values else None
    if old is not None and old.revision == row.revision:
        new = row._replace(definition_id=old.definition_id)
    else:
        text = blobs.pack(row.definition.encode())
        revision = (row.arn, row.type, row.role_arn, row.revision, row.updated, text)
        configuration = blobs.pack_json(row.configuration)
        number = yield from first_row("insert_definition", *revision, configuration)
        assert number is not None
        new = row._replace(definition_id=number[0])
    new = new if complete is None else complete(new)
    machine = (new.arn, new.name, new.definition_id, new.created, new.updated, new.status)
    yield "put_machine", (*machine, blobs.pack_json(new.extras))
    return new


def delete_definitions(definition_ids: Collection[int]) -> Query[None]:
    for each in definition_ids:
        yield "delete_definition", (each,)
