"""Units -> the changes of one commit. No I/O; the same for every store.

    execution with a small continuation    1 history row + 1 continuation row for each unit
    started and closed within the batch    1 execution row + 1 history row for each unit; if it may
                                           be redriven, its continuation stays, with the frames as
                                           they were

continuations.py explains the rows of large continuations.

History is merged as it grows, so that an execution ends with few rows: a unit that reaches into the
next MERGE_EVENTS events, or closes the execution, has the rows of its own stretch merged. Event ids
alone determine which rows these are, and each row is merged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import RUNNING, Execution, MapRun
from stepwell.engine.errors import StoreError
from stepwell.engine.search.attributes import Stored
from stepwell.engine.search.wanted import STATUSES
from stepwell.engine.store import blobs, child_rows, codec
from stepwell.engine.store.base import Unit, Writes
from stepwell.engine.store.batch import (
    DELETE_CLOSING_ATTRIBUTES,
    DELETE_CONTINUATION,
    DELETE_EXECUTIONS,
    DELETE_FIRST_HISTORY,
    DELETE_PAYLOADS,
    DELETE_RECORD,
    INSERT_ATTRIBUTE,
    INSERT_EXECUTION,
    INSERT_HISTORY,
    INSERT_LONG_HISTORY,
    INSERT_PAYLOAD,
    INSERT_PIN,
    INSERT_QUALIFIER,
    INSERT_SERIES,
    PUT_MAP_RUN,
    PUT_RECORD,
    UPDATE_EXECUTION,
    Batch,
)
from stepwell.engine.store.continuations import Continuations, Live, has_visit
from stepwell.engine.store.keys import (
    EVENT_BITS,
    EVENTS,
    row_key,
    row_keys,
    split_arn,
    uuid_bytes,
)

MERGE_EVENTS: Final = 512

_STATUS_CODES: Final = {status: code for code, status in enumerate(STATUSES)}
_REDRIVEN: Final = CODES["ExecutionRedriven"]


class _RefusedError(StoreError):
    def __init__(self, execution: Execution, error: Exception) -> None:
        super().__init__(
            f"{execution.arn} cannot be stored: {error!r}"
            if not isinstance(error, StoreError)
            else str(error)
        )
        self.execution_id = execution.id


class Batcher:
    """Makes batches, in the order of the commits; after a failed commit it must not be used.

    series, pins, qualifiers  the shard's numbers of ARN prefixes, of (definition, block, role),
                              and of ARNs of versions and aliases
    first                     below all numbers of the shard
    """

    def __init__(
        self,
        series: dict[str, int],
        pins: dict[tuple[int, int, str], int],
        qualifiers: dict[str, int],
        first: int = 0,
    ) -> None:
        self._series, self._pins, self._qualifiers = series, pins, qualifiers
        self._next_series, self._next_pin, self._next_qualifier = (
            max(numbers.values(), default=first) + 1 for numbers in (series, pins, qualifiers)
        )
        self._writer = codec.Writer()
        self.continuations = Continuations(self._writer)

    def batch(self, units: Sequence[Unit | Writes]) -> Batch:
        """The changes of all units that can be encoded; Batch.refused has the other executions."""
        refused: dict[int, StoreError] = {}
        while True:
            try:
                batch = self._batch(units)
            except _RefusedError as error:
                refused[error.execution_id] = error
                units = [
                    unit
                    for unit in units
                    if isinstance(unit, Writes) or unit.execution.id not in refused
                ]
            else:
                batch.refused = refused
                return batch

    def _batch(self, entries: Sequence[Unit | Writes]) -> Batch:
        """Raises _RefusedError for an execution that cannot be encoded, and remembers nothing of
        the batch then.
        """
        batch = Batch()
        for unit in entries:
            if unit.writes and type(unit) is Unit:
                _check_keys(unit)
        writes = {key: blob for unit in entries if unit.writes for key, blob in unit.writes.items()}
        if writes:
            batch.rows[PUT_RECORD] = [
                value for key, blob in writes.items() if blob is not None for value in (key, blob)
            ]
            batch.rows[DELETE_RECORD] = [key for key, blob in writes.items() if blob is None]
        units = [unit for unit in entries if type(unit) is Unit and not unit.passing]
        last = {unit.execution.id: unit.execution for unit in units}
        created = {unit.execution.id for unit in units if unit.created}
        units_of: dict[int, list[Unit]] = {}
        for unit in units:
            units_of.setdefault(unit.execution.id, []).append(unit)
        # the times of records count, too: a message may be hidden until such a time
        batch.clock = max((unit.at for unit in entries), default=0)
        live = self.continuations.live
        before = {execution_id: live.get(execution_id) for execution_id in last}
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
        """Forget the numbers and continuations of a batch that is not committed."""
        for execution_id, live in before.items():
            self.continuations.forget(execution_id)
            if live is not None:
                self.continuations.live[execution_id] = live
        rows = batch.rows
        for prefix in rows[INSERT_SERIES][1 :: INSERT_SERIES.columns]:
            del self._series[prefix]
        for arn in rows[INSERT_QUALIFIER][1 :: INSERT_QUALIFIER.columns]:
            del self._qualifiers[arn]
        pins = rows[INSERT_PIN]
        for place in range(0, len(pins), INSERT_PIN.columns):
            del self._pins[pins[place + 1], pins[place + 2], pins[place + 3]]

    def _execution(
        self, batch: Batch, execution: Execution, units: list[Unit], created: bool
    ) -> None:
        rows, running = batch.rows, execution.status == RUNNING
        if created:
            rows[INSERT_EXECUTION] += self._new(batch, execution)
        elif not running or any(unit.history and unit.history[0][0] == _REDRIVEN for unit in units):
            rows[UPDATE_EXECUTION] += (execution.id, *_ending(execution))
        self._attributes(batch, execution.id, units)
        map_runs = {run.state.event: run for unit in units for run in unit.map_runs}
        self.continuations.begin(execution)
        if running or execution.snapshot:
            self.continuations.put(batch, execution, execution.wake() if running else None)
        elif not created:
            self.continuations.delete(batch, execution.id)
        for unit in units:
            self._history(batch, unit)
            for each in unit.rows:
                if has_visit(execution, each.frame, each.seq):  # else it has ended meanwhile
                    child_rows.add(batch, execution.id, each)
            for run in unit.map_runs:
                if run is map_runs[run.state.event]:
                    rows[PUT_MAP_RUN] += _map_run(execution.id, run)
        for payload, number in self._writer.fresh.values():
            rows[INSERT_PAYLOAD] += (row_key(execution.id, number), blobs.pack(payload.data))

    def _attributes(self, batch: Batch, execution_id: int, units: list[Unit]) -> None:
        stored: list[Stored] = []
        for unit in units:
            if unit.history and unit.history[0][0] == _REDRIVEN:
                batch.deletes.append((DELETE_CLOSING_ATTRIBUTES, (execution_id,)))
                stored = [each for each in stored if not each.closing]
            stored += unit.attributes
        for each in stored:
            row = (each.name, each.value, execution_id, int(each.closing))
            batch.rows[INSERT_ATTRIBUTE] += row

    def _drop(self, batch: Batch, execution_id: int, created: bool) -> None:
        """Delete an execution with all its rows. Only its start was stored: one unit with few
        frames.
        """
        live = self.continuations.live.pop(execution_id, None)
        if created:
            return
        batch.rows[DELETE_CONTINUATION].append(execution_id)
        batch.rows[DELETE_FIRST_HISTORY].append(execution_id << EVENT_BITS | 1)
        batch.rows[DELETE_EXECUTIONS].append(execution_id)
        if live is not None:
            batch.deletes.append((DELETE_PAYLOADS, row_keys(execution_id)))

    def _history(self, batch: Batch, unit: Unit) -> None:
        x, first = unit.execution, unit.first
        closed = x.status != RUNNING
        if not (unit.history or first == 1 or closed):
            return
        whole = first == 1 and closed
        blob = self._writer.history(
            unit.history, unit.at, x.output if closed else None, first == 1, not whole
        )
        key, long = x.id << EVENT_BITS, first > EVENTS
        if long:
            batch.rows[INSERT_LONG_HISTORY] += (x.id, first, blob)
        else:
            batch.rows[INSERT_HISTORY] += (key | first, blob)
        stretch = (first - 1) // MERGE_EVENTS
        if first > 1 and (closed or (first - 1 + len(unit.history)) // MERGE_EVENTS > stretch):
            begin = stretch * MERGE_EVENTS + 1
            if begin <= EVENTS:
                batch.merges.append((key | begin, key | min(first, EVENTS)))
            if long:
                batch.merges.append((x.id, begin, first))

    # --- the execution row ------------------------------------------------------------------------

    def _new(self, batch: Batch, x: Execution) -> tuple[Any, ...]:
        prefix, tail = split_arn(x.arn) if x.express else (x.arn[: -len(x.name) - 1], x.name)
        if f"{prefix}:{tail}" != x.arn:
            raise ValueError("its ARN does not end with its name")
        for text in (x.arn, x.machine_arn, x.machine_name, x.role_arn):
            text.encode()  # raises here instead of in the transaction of all
        series = self._series.get(prefix)
        if series is None:
            series = self._series[prefix] = self._next_series
            self._next_series += 1
            batch.rows[INSERT_SERIES] += (
                series,
                prefix,
                x.machine_arn,
                x.machine_name,
                int(x.express),
            )
        pinned = (x.definition, x.block, x.role_arn)
        pin = self._pins.get(pinned)
        if pin is None:
            pin = self._pins[pinned] = self._next_pin
            self._next_pin += 1
            batch.rows[INSERT_PIN] += (pin, *pinned)
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
            number = self._qualifiers[arn] = self._next_qualifier
            self._next_qualifier += 1
            batch.rows[INSERT_QUALIFIER] += (number, arn)
        return number


def _check_keys(unit: Unit) -> None:
    """Raises _RefusedError for a key that is not UTF-8, which would fail the transaction of all."""
    for key in unit.writes:
        if not key.isascii():
            try:
                key.encode()
            except UnicodeEncodeError as error:
                raise _RefusedError(unit.execution, error) from error


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
    """The columns of the execution's row that change when it closes, or is redriven."""
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
