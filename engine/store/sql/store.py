"""A Store on a database that speaks SQL: encodes commits, and knows which statement answers which
method. How statements run is the database's.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.model import RUNNING, Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.search.attributes import Indexed
from stepwell.engine.search.wanted import STATUSES, Search
from stepwell.engine.sharding import Shard
from stepwell.engine.store import blobs, child_rows
from stepwell.engine.store.base import (
    ActivityRow,
    DefinitionRow,
    ExecutionRow,
    Finding,
    Health,
    Loaded,
    MachineRow,
    MapRunRow,
    StoreFormatError,
    Unit,
    Writes,
    size_of,
)
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.batched import Batched
from stepwell.engine.store.batcher import Batcher
from stepwell.engine.store.codec import Continuation
from stepwell.engine.store.keys import first_number, split_arn, uuid_bytes
from stepwell.engine.store.sql import check, indexing, queries, searching
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.loading import Loading
from stepwell.engine.store.sql.queries import Query
from stepwell.engine.store.sql.rows import (
    activity_row,
    definition_row,
    execution_row,
    machine_row,
    map_run_row,
    scrubbed,
)

NAMES_AT_ONCE: Final = 1000
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # no text that is stored


class SqlStore:
    """See base.Store."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.database, self.path, self._limits = database, database.path, limits
        self._batcher = Batcher({}, {}, {})
        self._loading = Loading(lambda: self.database)
        self._taken: Callable[[str], Awaitable[bool]] = Batched(self._all_taken, NAMES_AT_ONCE)
        self._clock = self._next_id = 0
        self._secret = b""

    # --- opening and closing ----------------------------------------------------------------------

    async def open(self) -> None:
        state = await self.database.open(_opening_state(self.database))
        if state is not None:
            self._batcher, (self._clock, self._next_id, self._secret) = state

    async def close(self) -> None:
        await self.database.close()

    @property
    def shard(self) -> Shard:
        return self.database.shard

    @property
    def folder(self) -> Path | None:
        return self.database.folder

    def give_up(self) -> None:
        self.database.give_up()

    @property
    def wal_bytes(self) -> int:
        return self.database.wal_bytes

    async def health(self) -> Health:
        return await self.database.health()

    def check(self) -> None:
        self.database.check()

    def damage(
        self, record: Callable[[str, bytes], object] = lambda key, blob: None
    ) -> AsyncIterator[Finding]:
        return check.damage(self.database, record, self._limits)

    async def clock(self) -> int:
        return self._clock

    def secret(self) -> bytes:
        return self._secret

    # --- executions: writing ----------------------------------------------------------------------

    def next_id(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

    async def commit(self, units: Sequence[Unit | Writes]) -> Mapping[int, StoreError]:
        database = self.database
        if database.failed is not None:
            raise database.failure()
        large = sum(map(size_of, units)) > self._limits.encode_inline_bytes
        try:
            batch = await database.commit(partial(self._encode, units), large)
        except UnicodeEncodeError as error:  # the key of a record
            database.failed = error
            raise database.failure() from error
        self._clock = max(self._clock, batch.clock)
        return batch.refused

    def _encode(self, units: Sequence[Unit | Writes]) -> Batch:
        try:
            return self._batcher.batch(units)
        except BaseException as error:  # what is remembered of the executions is ahead of the disk
            self.database.failed = error
            raise

    def forget(self, execution_id: int) -> None:
        self._batcher.continuations.forget(execution_id)

    async def parked(self) -> list[tuple[int, str, str]]:
        return [(number, *scrubbed(texts)) for number, *texts in await self.database.rows("parked")]

    async def _row(self, name: str, *values: Any) -> Any:
        """The first row of a statement; None if there is none."""
        return next(iter(await self.database.rows(name, *values)), None)

    async def park(self, execution_id: int, at: int, reason: str) -> None:
        self._batcher.continuations.park(execution_id)
        await self.database.execute("park", at, reason.replace("\0", "\ufffd"), execution_id)

    async def unpark(self, execution_id: int) -> None:
        await self.database.execute("unpark", execution_id)

    async def delete_closed(
        self, before: int, limit: int = 100, spare: Collection[int] = ()
    ) -> int:
        database = self.database
        return await database.transact(
            queries.delete_closed(database.own, before, limit, spare, database.delete_executions)
        )

    async def first_closed(self) -> int | None:
        rows = await self.database.rows("first_closed", *self.database.own)
        return rows[0][0] if rows else None

    async def definition_ids(self) -> list[int]:
        return [row[0] for row in await self.database.rows("definition_ids")]

    async def definitions_used(
        self, after: int = -1, limit: int = 1000
    ) -> tuple[set[int], int | None]:
        rows = await self.database.rows("definitions_used", after, limit)
        return {row[0] for row in rows}, max((row[1] for row in rows), default=None)

    async def delete_definitions(self, definition_ids: Collection[int]) -> None:
        if definition_ids:
            await self.database.transact(queries.delete_definitions(definition_ids))

    # --- executions: reading ----------------------------------------------------------------------

    async def load(self, execution_id: int) -> Loaded | None:
        return self._loaded(execution_id, await self._loading.load(execution_id))

    async def load_all(self, execution_ids: Sequence[int]) -> list[Loaded | BaseException | None]:
        return [
            stored if isinstance(stored, BaseException) else self._loaded(each, stored)
            for each, stored in zip(execution_ids, await self._loading.load_all(execution_ids))
        ]

    def _loaded(self, execution_id: int, stored: Continuation | None) -> Loaded | None:
        if stored is None:
            return None

        def decode(program: Any) -> Any:
            execution = stored.execution(program)
            self._batcher.continuations.resume(stored, execution)
            return execution

        return Loaded(execution_id, stored.row.definition, decode, len(stored.frames))

    async def find(self, machine_arn: str, name: str) -> ExecutionRow | None:
        return await self.describe(
            f"{machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
        )

    async def describe(self, execution_arn: str) -> ExecutionRow | None:
        if _NO_TEXT.search(execution_arn):  # the database refuses to be asked
            return None
        return await self.database.first(partial(queries.describe, execution_arn))

    async def describe_all(self, execution_arns: Sequence[str]) -> list[ExecutionRow | None]:
        return await self.database.each([partial(queries.describe, arn) for arn in execution_arns])

    async def taken(self, execution_arn: str) -> bool:
        return not _NO_TEXT.search(execution_arn) and await self._taken(execution_arn)

    async def _all_taken(self, arns: Sequence[str]) -> list[bool]:
        asked = json.dumps([split_arn(arn) for arn in arns])
        taken = {arn for (arn,) in await self.database.rows("taken", asked)}
        return [arn in taken for arn in arns]

    async def row(self, execution_id: int) -> ExecutionRow | None:
        row = await self._row("execution", execution_id)
        return row and execution_row(row)

    async def list_executions(
        self,
        machine_arn: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: tuple[int, int] | None = None,
        parent: tuple[int, int, int] | None = None,
        qualifier: str | None = None,
    ) -> list[ExecutionRow]:
        return await self.database.query(
            self.database.executions(machine_arn, status, limit, after, parent, qualifier)
        )

    async def search(
        self, wanted: Search, limit: int = 100, after: tuple[int, int] | None = None
    ) -> tuple[list[ExecutionRow], tuple[int, int] | None]:
        most = self._limits.search_rows
        query = searching.search(self.database, wanted, limit, after, most)
        return await self.database.query(query)

    async def index(self, entries: Sequence[Indexed]) -> set[int]:
        return await self.database.transact(indexing.index(self.database, entries))

    async def attributes(
        self, ids: Sequence[int], names: Sequence[str]
    ) -> Mapping[int, list[tuple[str, bytes]]]:
        return await self.database.query(indexing.attributes(self.database, ids, names))

    async def has_attribute(self, name: str) -> bool:
        return bool(await self.database.rows("attribute_used", name))

    async def history(
        self, execution_id: int, after_event: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[tuple[int, int, HistoryEvent]]:
        most_bytes = self._limits.history_page_bytes
        return await self.database.query(
            queries.history(execution_id, after_event, limit, reverse, most_bytes)
        )

    async def map_run(self, uuid: str) -> MapRunRow | None:
        row = await self._row("map_run_by_uuid", uuid_bytes(uuid))
        return row and map_run_row(row)

    async def map_run_of(self, execution_id: int, frame: int, seq: int) -> MapRunRow | None:
        row = await self._row("map_run_of_frame", execution_id, frame, seq)
        return row and map_run_row(row)

    async def map_runs(
        self, execution_id: int, after: int = 0, limit: int = 100
    ) -> list[MapRunRow]:
        rows = await self.database.rows("map_runs_of_execution", execution_id, after, limit)
        return [map_run_row(row) for row in rows]

    async def map_runs_with_children(
        self, after: tuple[int, int, int] = (0, 0, 0), limit: int = 1000
    ) -> list[tuple[int, int, int]]:
        return await self.database.rows(
            "map_runs_with_children", *self.database.own, *after, STATUSES.index(RUNNING), limit
        )

    async def child_inputs(
        self, execution_id: int, frame: int, seq: int, slot: int
    ) -> tuple[int, list[Payload]]:
        row = await self._row("child_inputs", execution_id, frame, seq, slot)
        if row is None:
            raise StoreFormatError(f"a row is missing: child_input {execution_id} {frame} {seq}")
        return row[0], child_rows.read_inputs(row[1])

    async def child_outputs(
        self, execution_id: int, frame: int, seq: int, first: int, limit: int
    ) -> list[tuple[int, list[tuple[int, bytes]]]]:
        rows = await self.database.rows("child_outputs", execution_id, frame, seq, first, limit)
        return [(n, child_rows.read_outputs(blob)) for n, blob in rows]

    async def delete_child_rows(self, execution_id: int, frame: int, seq: int, limit: int) -> bool:
        place, execute = (execution_id, frame, seq), self.database.execute
        inputs = await execute("delete_some_child_inputs", *place, *place, limit)
        return await execute("delete_some_child_outputs", *place, *place, limit) + inputs > 0

    async def waking(
        self, before: int, after: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> list[tuple[int, int]]:
        return await self.database.rows("waking", *self.database.own, before, *after, limit)

    async def in_flight(self, after: int = 0, limit: int = 1000) -> list[int]:
        rows = await self.database.rows("in_flight", *self.database.own, after, limit)
        return [row[0] for row in rows]

    # --- records, state machines and activities ---------------------------------------------------

    async def records(
        self, prefix: str, after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]:
        return await self.database.page(limit, "records", after, prefix, f"{prefix}\U0010ffff")

    async def put_machine(
        self, row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None = None
    ) -> MachineRow:
        return await self.database.transact(queries.put_machine(row, complete))

    async def machine(self, arn: str) -> MachineRow | None:
        row = await self._row("machine", arn)
        return row and machine_row(row)

    async def machines(
        self, after: str = "", limit: int = 100, status: str | None = None
    ) -> list[MachineRow]:
        return [
            machine_row(row) for row in await self.database.page(limit, "machines", after, status)
        ]

    async def count_machines(self) -> int:
        number: int = (await self._row("count_machines"))[0]
        return number

    async def delete_machine(self, arn: str) -> bool:
        return await self.database.execute("delete_machine", arn) > 0

    async def definition(self, definition_id: int) -> DefinitionRow | None:
        row = await self._row("definition", definition_id)
        return row and definition_row(row)

    async def put_activity(self, row: ActivityRow) -> None:
        await self.database.execute("put_activity", *row[:-1], blobs.pack_json(row.extras))

    async def activity(self, arn: str) -> ActivityRow | None:
        row = await self._row("activity", arn)
        return row and activity_row(row)

    async def activities(self, after: str = "", limit: int = 100) -> list[ActivityRow]:
        return [activity_row(row) for row in await self.database.page(limit, "activities", after)]

    async def delete_activity(self, arn: str) -> bool:
        return await self.database.execute("delete_activity", arn) > 0


def _opening_state(database: Database) -> Query[tuple[Batcher, Any]]:
    """A Batcher with the shard's numbers; and the shard's clock (ms), next execution id and secret.
    The database knows its shard by now.
    """
    own = database.own
    yield "delete_unused_series", own
    series = {row[0]: row[1] for row in (yield "all_series", own)}
    qualifiers = {row[0]: row[1] for row in (yield "all_qualifiers", own)}
    pins = {
        (definition, block, role): pin for definition, block, role, pin in (yield "all_pins", own)
    }
    meta = yield from queries.first_row("meta", *own)
    return Batcher(series, pins, qualifiers, first_number(database.shard.number)), meta
