"""Executions and history as bytes, and back.

    blob           see blobs.py; its body is msgpack
    history row    [unit, ...]; unit = [ms, place of the output or nil, table, events]
    continuation   [deadline, transitions, next frame, next payload row, extras, table, frames or
                   nil]
    frame          [table, values]; for the values, see frame_codec.py

A row of history is written as one unit; later, several rows are merged into one. A continuation, a
frame and a unit have a table with an entry for each payload and scope that occurs in them. Whatever
else refers to a payload or scope gives its place in the table. An entry is

    bytes               the JSON text
    int                 the number of a payload row
    dict {name: place}  a Scope
    nil                 the input of the execution

JSON is stored as text: integers of any size survive, and a value is parsed at the first access.
The input of an execution is entry 0 of its first history row and is stored nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.msgpack import Ext

from stepwell.asl import json_text
from stepwell.asl.program import Program
from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.maps import bit_sets
from stepwell.engine.core.model import (
    NO_VARIABLES,
    RUNNING,
    Execution,
    MapRun,
    Payload,
    Scope,
)
from stepwell.engine.store import frame_codec, keys
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.blobs import (
    COMPRESS_FROM_BYTES,
    pack,
    pack_json,
    scrub,
    unpack,
    unpack_json,
)

# continuations, and units that will be merged, are soon replaced: only large ones are compressed
BRIEF_FROM_BYTES: Final = 1024
PAYLOAD_ROWS: Final = 1 << keys.ROW_BITS  # of one execution; further payloads stay in the blobs
# in a larger scope, variables of a sixteenth of the usual size get rows of their own
WIDE_SCOPE_BYTES: Final = 8192

Rows = Mapping[int, tuple[Payload, int]]
"""id(payload) -> (payload, its row), of the payload rows of an execution."""
Entry = bytes | int | None


class StoredPayload(Payload):
    """A payload as read. Its value is parsed at the first access: the slot is unset until then."""

    __slots__ = ()

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        if name != "value":
            raise AttributeError(name)
        self.value = value = json_text.loads(self.data, sys.maxsize)
        return value


class StoredScope(Scope):
    """A scope as read. Its values are parsed at the first access."""

    __slots__ = ()

    def __init__(self, payloads: dict[str, Payload]) -> None:
        self.payloads = payloads
        self.size = sum(len(payload.data) for payload in payloads.values())

    def __getattr__(self, name: str) -> Any:
        if name != "values":
            raise AttributeError(name)
        self.values = values = {key: payload.value for key, payload in self.payloads.items()}
        return values


class _Unit(msgspec.Struct, array_like=True):
    at: int
    output: int | None
    table: list[Any]
    events: msgspec.Raw


class _ContinuationBlob(msgspec.Struct, array_like=True):
    deadline: int | None
    transitions: int
    next_frame: int
    next_row: int
    extras: bytes | None
    table: list[Any]
    frames: msgspec.Raw


class _FrameBlob(msgspec.Struct, array_like=True):
    table: list[Any]
    frame: msgspec.Raw


# --- writing --------------------------------------------------------------------------------------

_EXTS: Final = [Ext(1, bytes([place])) for place in range(256)]
_UNLIMITED: Final = sys.maxsize
_encode: Final = msgspec.msgpack.Encoder().encode


class Writer:
    """Encodes the blobs of one execution after another. Not safe to share between threads.

    begin()  the next execution: its input, its payload rows, and the number of the next row
    .fresh   payload rows that the blobs since begin() need and that are not stored yet
    .used    payload rows that the blobs refer to; reset it to tell blobs apart
    """

    def __init__(self) -> None:
        self.table: list[Any] = []
        self.places: dict[int, Ext] = {}  # id(object) -> its place in the table
        self.known: Rows = {}
        self.used: dict[int, tuple[Payload, int]] = {}
        self.fresh: dict[int, tuple[Payload, int]] = {}
        # looked up once: the hook is called for every payload of every event
        get, place = self.places.get, self._place
        self._pack = msgspec.msgpack.Encoder(
            enc_hook=lambda value: get(id(value)) or place(value)
        ).encode

    def begin(self, input: Payload, known: Rows, next_row: int) -> None:
        self.input, self.known, self.next_row = input, known, next_row
        self.used, self.fresh = {}, {}

    def history(
        self,
        events: list[HistoryEvent],
        at: int,
        output: Payload | None,
        first: bool,
        brief: bool = False,
    ) -> bytes:
        """A row of one unit. Its payloads get no new rows: together they compress better.

        first  it holds the input
        brief  it will be merged
        """
        self._open(_UNLIMITED)
        self.used = {}
        if first:
            self._add(self.input, self.input.data)
        try:
            body = self._pack(events)
        except UnicodeEncodeError:
            body = self._pack(
                [
                    tuple(scrub(value) if isinstance(value, str) else value for value in event)
                    for event in events
                ]
            )
        place = None if output is None else self._number(output)
        return pack(
            _encode(((at, place, self.table, msgspec.Raw(body)),)),
            BRIEF_FROM_BYTES if brief else COMPRESS_FROM_BYTES,
        )

    def continuation(
        self, execution: Execution, frames: list[tuple[Any, ...]] | None, limit: int
    ) -> bytes:
        """frames: see frame_codec.frame_values(); None if frame() has encoded each of them.
        limit: larger payloads get rows of their own, bytes.
        """
        self._open(limit)
        body = msgspec.Raw(self._pack(frames))
        extras = pack_json(execution.extras)
        head = (
            execution.deadline,
            execution.transitions,
            execution.next_frame,
            self.next_row,
            extras,
            self.table,
            body,
        )
        return pack(_encode(head), BRIEF_FROM_BYTES)

    def frame(self, values: tuple[Any, ...], limit: int) -> bytes:
        self._open(limit)
        body = self._pack(values)
        return pack(_encode((self.table, msgspec.Raw(body))), BRIEF_FROM_BYTES)

    def payloads(self, payloads: Sequence[Payload | None], limit: int) -> bytes:
        """Items of a Map."""
        return pack(_encode([payload and self._entry(payload, limit) for payload in payloads]))

    def results(self, results: Sequence[tuple[int, Payload]], limit: int) -> bytes:
        return pack(_encode([(slot, self._entry(payload, limit)) for slot, payload in results]))

    def _open(self, limit: int) -> None:
        self.limit = limit
        self.table.clear()
        self.places.clear()

    def _place(self, value: Payload | Scope) -> Ext:
        entry: Any
        if isinstance(value, Scope):
            entry = self._scope(value) if value.payloads else {}
        elif value is self.input:
            entry = None
        elif len(value.data) > self.limit or self.known or self.fresh:
            entry = self._entry(value, self.limit)
        else:
            entry = value.data
        return self._add(value, entry)

    def _add(self, value: Payload | Scope, entry: Any) -> Ext:
        place = len(self.table)
        self.table.append(entry)
        self.places[id(value)] = ext = (
            _EXTS[place] if place < 256 else Ext(1, place.to_bytes(4, "big"))
        )
        return ext

    def _number(self, value: Payload | Scope) -> int:
        ext = self.places.get(id(value)) or self._place(value)
        return int.from_bytes(ext.data, "big")

    def _scope(self, scope: Scope) -> dict[str, int]:
        limit = self.limit
        if scope.size > WIDE_SCOPE_BYTES and limit != _UNLIMITED:
            self.limit = limit >> 4
        entry = {name: self._number(payload) for name, payload in scope.payloads.items()}
        self.limit = limit
        return entry

    def _entry(self, payload: Payload, limit: int) -> Entry:
        if payload is self.input:
            return None
        place = id(payload)
        row = self.known.get(place) or self.fresh.get(place)
        if row is None:
            if len(payload.data) <= limit or self.next_row >= PAYLOAD_ROWS:
                return payload.data
            row = self.fresh[place] = (payload, self.next_row)
            self.next_row += 1
        self.used[place] = row
        return row[1]


# --- reading --------------------------------------------------------------------------------------

_decode_history: Final = msgspec.msgpack.Decoder(list[_Unit]).decode
_decode_units: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_continuation: Final = msgspec.msgpack.Decoder(_ContinuationBlob).decode
_decode_frame: Final = msgspec.msgpack.Decoder(_FrameBlob).decode
_decode_entries: Final = msgspec.msgpack.Decoder(list[Any]).decode


class Reader:
    """Reads the blobs of one execution. Its input and each payload row become one object, however
    many blobs refer to them.

    input  returns the JSON text of the execution's input
    row    returns that of a payload row; both are called at most once for each text
    """

    def __init__(self, input: Callable[[], bytes], row: Callable[[int], bytes]) -> None:
        self._read_input, self._read_row = input, row
        self._input: Payload | None = None
        self.rows: dict[int, Payload] = {}

    @property
    def input(self) -> Payload:
        if self._input is None:
            self._input = StoredPayload(self._read_input())
        return self._input

    def payload(self, entry: Entry) -> Payload:
        if entry is None:
            return self.input
        if isinstance(entry, bytes):
            return StoredPayload(entry)
        payload = self.rows.get(entry)
        if payload is None:
            payload = self.rows[entry] = StoredPayload(self._read_row(entry))
        return payload

    def payloads(self, entries: Sequence[Entry]) -> list[Payload]:
        return [self.payload(entry) for entry in entries]

    def objects(self, table: Sequence[Any]) -> list[Payload | Scope]:
        """The payloads and scopes of a table."""
        objects: list[Any] = []
        for entry in table:
            if not isinstance(entry, dict):
                objects.append(self.payload(entry))
            elif entry:
                variables = {name: objects[place] for name, place in entry.items()}
                objects.append(StoredScope(variables))
            else:
                objects.append(NO_VARIABLES)
        return objects

    def history(self, blob: bytes, first: int) -> list[tuple[int, int, HistoryEvent]]:
        """(event id, ms, event) of each event of a row that starts with event `first`."""
        history: list[tuple[int, int, HistoryEvent]] = []
        for unit in _decode_history(unpack(blob)):
            if first == 1 and self._input is None:
                self._input = StoredPayload(unit.table[0])
            objects = self.objects(unit.table)
            if first == 1:
                objects[0] = self.input
            events = _resolve(unit.events, objects, list[tuple[Any, ...]])
            history += [(number, unit.at, event) for number, event in enumerate(events, first)]
            first += len(events)
        return history

    def output(self, blob: bytes) -> bytes | None:
        """The output, from the last row of an execution."""
        unit = _decode_history(unpack(blob))[-1]
        return None if unit.output is None else self.payload(unit.table[unit.output]).data


def read_input(blob: bytes) -> bytes:
    """The input, from the first row of an execution."""
    text: bytes = _decode_history(unpack(blob))[0].table[0]
    return text


def pack_map_run(run: MapRun) -> bytes:
    return pack(_encode(run))


def unpack_map_run(blob: bytes) -> MapRun:
    *rest, state = _decode_entries(unpack(blob))
    return MapRun._make([*rest, frame_codec.map_run_state(state)])


def merge(blobs: Sequence[bytes]) -> bytes:
    """Successive rows of history as one row. Compressed together they are much smaller: most of
    each row repeats the one before.
    """
    return pack(_encode([unit for blob in blobs for unit in _decode_units(unpack(blob))]))


def _resolve(body: msgspec.Raw, objects: Sequence[Any], type: Any) -> Any:
    return msgspec.msgpack.Decoder(
        type, ext_hook=lambda code, place: objects[int.from_bytes(place, "big")]
    ).decode(body)


class Continuation:
    """A continuation as read. execution() completes it with the Program.

    frames          the stored values of each frame
    items, results  by frame id, those in rows of their own
    runs            by (frame, seq), the slots of child rows, as runs
    split           the frames are in rows of their own: see add_frame()
    """

    def __init__(self, row: ExecutionRow, reader: Reader, blob: bytes) -> None:
        self.row, self.reader = row, reader
        head = self.head = _decode_continuation(unpack(blob))
        frames = _resolve(head.frames, reader.objects(head.table), list[tuple[Any, ...]] | None)
        self.split = frames is None
        self.frames: list[tuple[Any, ...]] = frames or []
        self.items: dict[int, list[Payload]] = {}
        self.results: dict[int, list[tuple[int, Payload]]] = {}
        self.runs: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add_frame(self, blob: bytes) -> None:
        stored = _decode_frame(unpack(blob))
        self.frames.append(
            _resolve(stored.frame, self.reader.objects(stored.table), tuple[Any, ...])
        )

    def add_items(self, frame: int, blob: bytes) -> None:
        payloads = self.reader.payloads(_decode_entries(unpack(blob)))
        self.items.setdefault(frame, []).extend(payloads)

    def add_results(self, frame: int, blob: bytes) -> None:
        entries = _decode_entries(unpack(blob))
        payloads = self.reader.payloads([entry for _, entry in entries])
        self.results.setdefault(frame, []).extend(zip((slot for slot, _ in entries), payloads))

    @property
    def child_rows(self) -> bool:
        """Whether a frame has a Map Run with child rows (child_rows.py)."""
        place = frame_codec.ROWS
        return any(len(values) > place and values[place] for values in self.frames)

    @property
    def visits(self) -> bool:
        """Whether a frame has items or results in rows of their own."""
        return any(
            isinstance(values[frame_codec.ITEMS], int)
            or isinstance(values[frame_codec.RESULTS], int)
            for values in self.frames
        )

    def execution(self, program: Program) -> Execution:
        row, head = self.row, self.head
        written = {place: bit_sets.from_runs(runs) for place, runs in self.runs.items()}
        frames = {
            values[0]: frame_codec.read_frame(values, program, self.items, self.results, written)
            for values in self.frames
        }
        running = row.status == RUNNING
        return Execution(
            *(
                row.id,
                row.uuid,
                row.arn,
                row.name,
                row.machine_arn,
                row.machine_name,
                row.role_arn,
                row.express,
                self.reader.input,
            ),
            *(
                row.started,
                head.deadline,
                row.status,
                row.events,
                head.transitions,
                head.next_frame,
                frames if running else {},
            ),
            stopped=row.stopped,
            error=row.error,
            cause=row.cause,
            parent=row.parent,
            definition=row.definition,
            block=row.block,
            extras=unpack_json(head.extras),
            snapshot=None if running else frames,
        )
