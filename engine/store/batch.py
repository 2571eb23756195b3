"""Units -> the rows of one transaction. Pure bookkeeping, the same for every store.

    execution with a small continuation    1 history row + 1 continuation row for each unit
    started and closed within the batch    1 execution row + 1 history row for each unit, nothing
    else; if it may be redriven, its
                                           continuation stays, with the frames as they were

What would make a unit's cost grow with the size of the execution is written once, to rows of its
own:

    payloads     above PAYLOAD_ROW_BYTES that a continuation holds: the history of later units
                 refers to them, too
    frames       once there are more than INLINE_FRAMES: only frames that changed are written
    items        of a Map with more than INLINE_ITEMS; `Frame.items` does not change during a visit
    results      likewise: each unit adds a row of those that are new; `Frame.results` only grows
                 during a visit

History is merged as it grows, so that an execution ends with few rows: a unit that reaches into the
next MERGE_EVENTS events, or closes, has the rows of its own stretch made one. Which rows these are
follows from event ids alone, and each row is merged once.

A visit is one attempt at a Map or Parallel state: (frame id, seq). For the executions that have
such rows, and only for them, `Live` remembers what the last commit held; `forget` drops it, and
reading the continuation brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import RUNNING, Execution, Frame, MapRun, Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.store import blobs, codec, frame_codec
from stepwell.engine.store.base import STATUSES, Unit, Writes
from stepwell.engine.store.keys import EVENT_BITS, row_key, row_keys, split_arn, uuid_bytes
from stepwell.engine.store.sqlite import sql

PAYLOAD_ROW_BYTES: Final = 1024
INLINE_FRAMES: Final = 8
INLINE_ITEMS: Final = 24
ITEMS_IN_ROW: Final = 1000
MERGE_EVENTS: Final = 512

_STATUS_CODES: Final = {status: code for code, status in enumerate(STATUSES)}
_NOTHING: Final[codec.Rows] = {}
_REDRIVEN: Final = CODES["ExecutionRedriven"]


@dataclass(slots=True)
class Visit:
    """The rows of a frame's Map or Parallel."""

    seq: int
    items: Sequence[Payload] | None  # the list whose rows are stored
    results: int  # how many are stored, 0: all are in the frame


@dataclass(slots=True)
class Live:
    """What is stored of a running execution outside its continuation row.

    rows    payload rows, by the blob that refers to them: a frame's, or 0 for the continuation's
    frames  as last committed, if they have rows of their own
    """

    next_row: int = 0
    rows: dict[int, dict[int, tuple[Payload, int]]] = field(default_factory=dict)
    frames: dict[int, Frame] | None = None
    visits: dict[int, Visit] = field(default_factory=dict)

    def known(self) -> codec.Rows:
        held = list(self.rows.values())
        return (
            held[0]
            if len(held) == 1
            else {place: row for rows in held for place, row in rows.items()}
        )


class Batch:
    """What to write.

    deletes         first: (statement, its parameters)
    rows            the parameters of each statement, of all its rows in one flat list; statements
                    run in the order of ORDER
    merges          then: first and last key of history rows to be made one, if there are more than
                    a few
    clock, next_id  for meta
    refused         executions that could not be encoded, of which it has nothing
    """

    ORDER: Final = (
        *(
            sql.DELETE_FRAME,
            sql.INSERT_SERIES,
            sql.INSERT_PIN,
            sql.INSERT_QUALIFIER,
            sql.PUT_MAP_RUN,
            sql.INSERT_EXECUTION,
            sql.CLOSE_EXECUTION,
            sql.INSERT_PAYLOAD,
        ),
        *(
            sql.INSERT_HISTORY,
            sql.PUT_CONTINUATION,
            sql.DELETE_CONTINUATION,
            sql.PUT_FRAME,
            sql.INSERT_ITEMS,
            sql.INSERT_RESULTS,
        ),
        *(sql.DELETE_HISTORY_ROW, sql.DELETE_EXECUTIONS),
    )

    def __init__(self) -> None:
        self.deletes: list[tuple[str, tuple[int, ...]]] = []
        self.rows: dict[sql.Many, list[Any]] = {statement: [] for statement in self.ORDER}
        self.merges: list[tuple[int, int]] = []
        self.clock = self.next_id = 0
        self.refused: dict[int, StoreError] = {}


class _RefusedError(StoreError):
    def __init__(self, execution: Execution, error: Exception) -> None:
        super().__init__(
            f"{execution.arn} cannot be stored: {error!r}"
            if not isinstance(error, StoreError)
            else str(error)
        )
        self.execution_id = execution.id


class Batcher:
    """Makes batches, in the order of the commits. After a commit that failed it is of no use."""

    def __init__(
        self,
        series: dict[str, int],
        pins: dict[tuple[int, int, str], int],
        qualifiers: dict[str, int],
    ) -> None:
        self.live: dict[int, Live] = {}
        self._series, self._pins, self._qualifiers = series, pins, qualifiers
        self._next_series = max(series.values(), default=0) + 1
        self._writer = codec.Writer()

    def batch(self, given: Sequence[Unit | Writes]) -> Batch:
        """Of all that can be encoded; Batch.refused tells of the executions that cannot."""
        refused: dict[int, StoreError] = {}
        while True:
            try:
                batch = self._batch(given)
            except _RefusedError as error:
                refused[error.execution_id] = error
                given = [
                    unit
                    for unit in given
                    if isinstance(unit, Writes) or unit.execution.id not in refused
                ]
            else:
                batch.refused = refused
                return batch

    def _batch(self, given: Sequence[Unit | Writes]) -> Batch:
        """Raises _RefusedError for an execution that cannot be encoded; then it is as if it had not
        been called.
        """
        batch = Batch()
        for unit in given:
            if unit.writes and type(unit) is Unit:
                _check_keys(unit)
        writes = {key: blob for unit in given if unit.writes for key, blob in unit.writes.items()}
        if writes:
            batch.rows[sql.PUT_RECORD] = [
                value for key, blob in writes.items() if blob is not None for value in (key, blob)
            ]
            batch.rows[sql.DELETE_RECORD] = [key for key, blob in writes.items() if blob is None]
        units = [unit for unit in given if type(unit) is Unit and not unit.passing]
        last = {unit.execution.id: unit.execution for unit in units}
        created = {unit.execution.id for unit in units if unit.created}
        units_of: dict[int, list[Unit]] = {}
        for unit in units:
            units_of.setdefault(unit.execution.id, []).append(unit)
        batch.clock = max(
            (unit.at for unit in given), default=0
        )  # records, too: a message may be hidden until a time of theirs
        before = {execution_id: self.live.get(execution_id) for execution_id in last}
        for execution_id, execution in last.items():
            if units_of[execution_id][-1].dropped:
                self._drop(batch, execution_id, execution_id in created)
                continue
            try:
                self._execution(batch, execution, units_of[execution_id], execution_id in created)
            except Exception as error:
                self._undo(batch, before)
                raise _RefusedError(execution, error) from error
        batch.next_id = max(created, default=-1) + 1
        return batch

    def _undo(self, batch: Batch, before: Mapping[int, Live | None]) -> None:
        """Forget what was learned while making a batch that is not to be."""
        for execution_id, live in before.items():
            self.live.pop(execution_id, None)
            if live is not None:
                self.live[execution_id] = live
        rows = batch.rows
        for prefix in rows[sql.INSERT_SERIES][1 :: sql.INSERT_SERIES.columns]:
            del self._series[prefix]
        for arn in rows[sql.INSERT_QUALIFIER][1 :: sql.INSERT_QUALIFIER.columns]:
            del self._qualifiers[arn]
        pins = rows[sql.INSERT_PIN]
        for place in range(0, len(pins), sql.INSERT_PIN.columns):
            del self._pins[pins[place + 1], pins[place + 2], pins[place + 3]]

    def _execution(
        self, batch: Batch, execution: Execution, units: list[Unit], created: bool
    ) -> None:
        rows, running = batch.rows, execution.status == RUNNING
        if created:
            rows[sql.INSERT_EXECUTION] += self._new(batch, execution)
        elif not running or any(unit.history and unit.history[0][0] == _REDRIVEN for unit in units):
            rows[sql.CLOSE_EXECUTION] += (execution.id, *_ending(execution))
        live = self.live.get(execution.id)
        map_runs = {run.state.event: run for unit in units for run in unit.map_runs}
        writer = self._writer
        writer.begin(
            execution.input, live.known() if live else _NOTHING, live.next_row if live else 0
        )
        if running or execution.snapshot:
            blob = self._continuation(batch, execution, live)
            rows[sql.PUT_CONTINUATION] += (
                execution.id,
                execution.wake() if running else None,
                execution.events,
                blob,
            )
        elif not created:
            rows[sql.DELETE_CONTINUATION].append(execution.id)
            if live is not None:
                del self.live[execution.id]
                if live.frames is not None:
                    batch.deletes.append((sql.DELETE_FRAMES, row_keys(execution.id)))
                if live.visits:
                    batch.deletes += [
                        (statement, (execution.id,)) for statement in sql.DELETE_VISITS
                    ]
        for unit in units:
            self._history(batch, unit)
            for run in unit.map_runs:
                if run is map_runs[run.state.event]:
                    rows[sql.PUT_MAP_RUN] += _map_run(execution.id, run)
        for payload, number in writer.fresh.values():
            rows[sql.INSERT_PAYLOAD] += (row_key(execution.id, number), blobs.pack(payload.data))

    def park(self, execution_id: int) -> None:
        """It was not read, so that nobody knows which rows it has: its end deletes all that there
        may be.
        """
        self.live.setdefault(execution_id, Live(frames={}, visits={0: Visit(0, None, 0)}))

    def _drop(self, batch: Batch, execution_id: int, created: bool) -> None:
        """Nothing is left of the execution. It was stored as it began: one unit, with few
        frames.
        """
        live = self.live.pop(execution_id, None)
        if created:
            return
        batch.rows[sql.DELETE_CONTINUATION].append(execution_id)
        batch.rows[sql.DELETE_HISTORY_ROW].append(execution_id << EVENT_BITS | 1)
        batch.rows[sql.DELETE_EXECUTIONS].append(execution_id)
        if live is not None:
            batch.deletes.append((sql.DELETE_PAYLOADS, row_keys(execution_id)))

    def _history(self, batch: Batch, unit: Unit) -> None:
        x, first = unit.execution, unit.first
        closed = x.status != RUNNING
        if not (unit.history or first == 1 or closed):
            return
        if not 0 < first < 1 << EVENT_BITS:
            raise StoreError(f"{x.arn} has more events than the store can number: {first}")
        key = x.id << EVENT_BITS | first
        whole = first == 1 and closed
        blob = self._writer.history(
            unit.history, unit.at, x.output if closed else None, first == 1, not whole
        )
        batch.rows[sql.INSERT_HISTORY] += (key, blob)
        stretch = (first - 1) // MERGE_EVENTS
        if first > 1 and (closed or (first - 1 + len(unit.history)) // MERGE_EVENTS > stretch):
            batch.merges.append((x.id << EVENT_BITS | stretch * MERGE_EVENTS + 1, key))

    # --- the execution row ------------------------------------------------------------------------

    def _new(self, batch: Batch, x: Execution) -> tuple[Any, ...]:
        prefix, tail = split_arn(x.arn) if x.express else (x.arn[: -len(x.name) - 1], x.name)
        if f"{prefix}:{tail}" != x.arn:
            raise ValueError("its ARN does not end with its name")
        for text in (x.arn, x.machine_arn, x.machine_name, x.role_arn):
            text.encode()  # raises now what would fail the whole transaction
        series = self._series.get(prefix)
        if series is None:
            series = self._series[prefix] = self._next_series
            self._next_series += 1
            batch.rows[sql.INSERT_SERIES] += (
                series,
                prefix,
                x.machine_arn,
                x.machine_name,
                int(x.express),
            )
        pinned = (x.definition, x.block, x.role_arn)
        pin = self._pins.get(pinned)
        if pin is None:
            pin = self._pins[pinned] = len(self._pins) + 1
            batch.rows[sql.INSERT_PIN] += (pin, *pinned)
        parent = x.parent or (None, None, None, None)
        version, alias = (
            (self._qualifier(batch, x, name) for name in ("version", "alias"))
            if x.extras
            else (None, None)
        )
        return (
            x.id,
            series,
            tail,
            bytes.fromhex(x.uuid),
            pin,
            x.started,
            *parent,
            version,
            alias,
            *_ending(x),
        )

    def _qualifier(self, batch: Batch, x: Execution, name: str) -> int | None:
        """The number of the version or alias that the execution was started through."""
        arn = x.extras.get(name)
        if not isinstance(arn, str):
            return None
        number = self._qualifiers.get(arn)
        if number is None:
            number = self._qualifiers[arn] = len(self._qualifiers) + 1
            batch.rows[sql.INSERT_QUALIFIER] += (number, arn)
        return number

    # --- the continuation -------------------------------------------------------------------------

    def _continuation(self, batch: Batch, x: Execution, live: Live | None) -> bytes:
        writer, frames = self._writer, _frames_of(x)
        split = len(frames) > INLINE_FRAMES or (
            live is not None and live.frames is not None and len(frames) > INLINE_FRAMES // 4
        )
        visits: dict[int, Visit] = {}
        if split:
            held = self._frames(batch, x, live, visits)
            blob = writer.continuation(x, None, PAYLOAD_ROW_BYTES)
        else:
            values = [self._values(batch, x.id, frame, live, visits) for frame in frames.values()]
            blob = writer.continuation(x, values, PAYLOAD_ROW_BYTES)
            held = {0: writer.used} if writer.used else {}
            if live is not None and live.frames is not None:
                batch.rows[sql.DELETE_FRAME] += [
                    row_key(x.id, frame_id) for frame_id in live.frames
                ]
        if live is not None:
            for frame_id in live.visits.keys() - visits.keys():
                _drop_visit(batch, x.id, frame_id)
        if split or held or visits or live is not None:
            self.live[x.id] = Live(writer.next_row, held, frames if split else None, visits)
        return blob

    def _frames(
        self, batch: Batch, x: Execution, live: Live | None, visits: dict[int, Visit]
    ) -> dict[int, dict[int, tuple[Payload, int]]]:
        """Write the frames that changed, delete those that are gone; the payload rows that each one
        refers to.
        """
        writer, rows = self._writer, batch.rows
        before = live.frames if live is not None and live.frames is not None else {}
        held = (
            {0: live.rows[0]} if live is not None and 0 in live.rows else {}
        )  # as of the last time that all was read or written at once
        for frame_id, frame in _frames_of(x).items():
            if before.get(frame_id) is frame:
                if live is not None and frame_id in live.visits:
                    visits[frame_id] = live.visits[frame_id]
                if live is not None and frame_id in live.rows:
                    held[frame_id] = live.rows[frame_id]
                continue
            writer.used = {}
            rows[sql.PUT_FRAME] += (
                row_key(x.id, frame_id),
                writer.frame(self._values(batch, x.id, frame, live, visits), PAYLOAD_ROW_BYTES),
            )
            if writer.used:
                held[frame_id] = writer.used
        rows[sql.DELETE_FRAME] += [
            row_key(x.id, frame_id) for frame_id in before.keys() - _frames_of(x).keys()
        ]
        return held

    def _values(
        self,
        batch: Batch,
        execution_id: int,
        frame: Frame,
        live: Live | None,
        visits: dict[int, Visit],
    ) -> tuple[Any, ...]:
        """The stored values of a frame; what is long in it goes to rows of its own."""
        children = frame.children
        if children is None:
            return frame_codec.frame_values(frame)
        items = children.items if len(children.items) > INLINE_ITEMS else None
        results = children.results if children.ended > INLINE_ITEMS else None
        if items is None and results is None:
            return frame_codec.frame_values(frame)
        before = live.visits.get(frame.id) if live is not None else None
        if before is not None and (
            before.seq != frame.seq or before.items is not items or before.results > children.ended
        ):
            _drop_visit(batch, execution_id, frame.id)
            before = None
        if items is not None and before is None:
            for start in range(0, len(items), ITEMS_IN_ROW):
                blob = self._writer.payloads(items[start : start + ITEMS_IN_ROW], PAYLOAD_ROW_BYTES)
                batch.rows[sql.INSERT_ITEMS] += (execution_id, frame.id, start, blob)
        stored = before.results if before is not None else 0
        if results is not None and stored < children.ended:
            blob = self._writer.results(results[stored : children.ended], PAYLOAD_ROW_BYTES)
            batch.rows[sql.INSERT_RESULTS] += (execution_id, frame.id, stored, blob)
            stored = children.ended
        visits[frame.id] = Visit(frame.seq, items, stored)
        return frame_codec.frame_values(
            frame, None if items is None else len(items), None if results is None else stored
        )

    # --- reading back -----------------------------------------------------------------------------

    def resume(self, stored: codec.Continuation, execution: Execution) -> None:
        """The execution has been read and is live again."""
        rows = {id(payload): (payload, number) for number, payload in stored.reader.rows.items()}
        visits = {
            frame_id: Visit(
                frame.seq,
                frame.children.items if frame.children and frame_id in stored.items else None,
                len(stored.results.get(frame_id, ())),
            )
            for frame_id, frame in _frames_of(execution).items()
            if frame_id in stored.items or frame_id in stored.results
        }
        if stored.head.next_row or stored.split or visits:
            frames = _frames_of(execution) if stored.split else None
            self.live[execution.id] = Live(stored.head.next_row, {0: rows}, frames, visits)


def _check_keys(unit: Unit) -> None:
    for key in unit.writes:
        if not key.isascii():
            try:
                key.encode()
            except UnicodeEncodeError as error:  # now, rather than in the transaction of all
                raise _RefusedError(unit.execution, error) from error


def _frames_of(x: Execution) -> dict[int, Frame]:
    return x.frames if x.snapshot is None else x.snapshot


def _map_run(execution_id: int, run: MapRun) -> tuple[Any, ...]:
    state = run.state
    return (
        execution_id,
        state.event,
        run.frame,
        run.seq,
        uuid_bytes(state.uuid),
        codec.pack_map_run(run),
    )


def _ending(x: Execution) -> tuple[Any, ...]:
    """Of the execution's row, what changes at its end, and again if it is redriven."""
    if x.status == RUNNING:
        return (_STATUS_CODES[RUNNING], None, None, None, None, blobs.pack_json(x.extras))
    return (
        _STATUS_CODES[x.status],
        x.stopped,
        x.events,
        blobs.scrub(x.error),
        blobs.scrub(x.cause),
        blobs.pack_json(x.extras),
    )


def _drop_visit(batch: Batch, execution_id: int, frame_id: int) -> None:
    batch.deletes += [(statement, (execution_id, frame_id)) for statement in sql.DELETE_VISIT]
