"""Indexing of the executions that a state machine had before its search attributes changed.

    IndexExecutions --> record --> every shard indexes by it from now on --> pages, newest first:
    read --> one transaction, which leaves out what has changed since --> ... --> record

Home does so for all shards. It takes what is committed by then: what starts or ends later is
indexed as it is now, anyway. A page is indexed again after a crash, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from stepwell.asl.search_attributes import Attribute
from stepwell.engine import arns, messages
from stepwell.engine.errors import ApiError
from stepwell.engine.machines.naming import Namings
from stepwell.engine.machines.naming_records import Indexing, Naming, after, naming_of, texts_of
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.reading.base import STANDARD
from stepwell.engine.operations.reading.searches import partial_attributes
from stepwell.engine.operations.results import ExecutionIndexOutput
from stepwell.engine.search.attributes import Indexed, stored
from stepwell.engine.sharding import HOME
from stepwell.engine.store.base import ExecutionRow, MachineRow
from stepwell.engine.store.codec import StoredPayload
from stepwell.engine.supervisor import Supervisor

INDEXING: Final = "INDEXING"
PARTIAL: Final = "PARTIAL"
COMPLETE: Final = "COMPLETE"
READ_AT_ONCE: Final = 16  # executions: each may have half a megabyte of input and output


class Indexer:
    def __init__(self, base: Base, namings: Namings, supervisor: Supervisor) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._machines, self._namings, self._supervisor = base.machines, namings, supervisor
        self._running = set[str]()

    async def resume(self) -> None:
        """Called at home once it is open: continue what an earlier process began."""
        if self._store.shard.number == HOME:
            await self._namings.confirm()
            for arn, naming in self._namings:
                if naming.indexing is not None:
                    self._start(arn)

    async def index_executions(self, state_machine_arn: str) -> ExecutionIndexOutput:
        """Begin to index all executions of a state machine by the search attributes that it names
        now; nothing if that is under way. What describe_execution_index() answers. Not an operation
        of AWS. Raises ApiError InvalidArn, StateMachineDoesNotExist, StateMachineTypeNotSupported.
        """
        async with self._machines.lock:
            row = await self._machine(state_machine_arn)
            naming = self._namings.get(row.arn) or Naming(texts_of(row), {})
            known = naming.indexing
            if known is None or any(at >= known.began for at in naming.since.values()):
                await self._namings.put(row.arn, naming)
                began = after(self._clock.now(), naming)
                await self._namings.renew(row.arn, indexing=Indexing(began))
                self._start(row.arn)
        return await self.describe_execution_index(state_machine_arn)

    async def describe_execution_index(self, state_machine_arn: str) -> ExecutionIndexOutput:
        """{"stateMachineArn", "status": "INDEXING" | "PARTIAL" | "COMPLETE", "attributes": names,
        "partialAttributes": [{"stateMachineArn", "name", "since"}], "executionsIndexed",
        "startDate"?}: of the last indexing. Not an operation of AWS. Raises the same errors.
        """
        row = await self._machine(state_machine_arn)
        naming = await naming_of(self._store, row.arn) or Naming(texts_of(row), {})
        partial = partial_attributes(row.arn, naming)
        last = naming.indexing or naming.last
        status = INDEXING if naming.indexing else PARTIAL if partial else COMPLETE
        answer: ExecutionIndexOutput = {
            "stateMachineArn": row.arn,
            "status": status,
            "attributes": [each.name for each in naming.attributes()],
            "partialAttributes": partial,
            "executionsIndexed": last.count if last else 0,
        }
        if last:
            answer["startDate"] = last.began / 1000
        return answer

    async def _machine(self, arn: str) -> MachineRow:
        if arns.read_machine(arn).qualifier is not None:
            raise ApiError("ValidationException", messages.QUALIFIED_INDEX.format(arn=arn))
        row = await self._machines.active(arn)
        if row.type != STANDARD:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        return row

    # --- the work ---------------------------------------------------------------------------------

    def _start(self, arn: str) -> None:
        if arn not in self._running:
            self._running.add(arn)
            self._supervisor.start("indexing", partial(self._run, arn))

    async def _run(self, arn: str) -> None:
        reported = self._clock.now()
        while (naming := self._namings.get(arn)) and (at := naming.indexing):
            rows = await self._store.list_executions(arn, None, self._limits.index_page, at.after)
            if not rows:
                await self._end(arn, naming, at)
                continue
            count = await self._page(naming.attributes(), rows)
            place = rows[-1].started, rows[-1].id
            done = Indexing(at.began, place, at.count + count)
            report = self._clock.now() - reported >= self._limits.index_report_seconds * 1000
            await self._namings.advance(arn, at, done, report)
            reported = self._clock.now() if report else reported
        self._running.discard(arn)

    async def _page(self, named: Sequence[Attribute], rows: Sequence[ExecutionRow]) -> int:
        """The number of the executions."""
        left = [row.arn for row in rows if row.parent is None]
        count = len(left)
        while left:  # those that ended, or were redriven, between both steps are read again
            entries: dict[int, tuple[str, Indexed]] = {}
            for start in range(0, len(left), READ_AT_ONCE):
                for row in await self._store.describe_all(left[start : start + READ_AT_ONCE]):
                    if row is not None:  # else it was deleted
                        entries[row.id] = row.arn, _indexed(named, row)
            late = await self._store.index([each for _, each in entries.values()])
            left = [entries[each][0] for each in late]
        return count

    async def _end(self, arn: str, naming: Naming, done: Indexing) -> None:
        async with self._machines.lock:
            naming = self._namings.get(arn) or naming
            if naming.indexing is done:
                since = {name: at for name, at in naming.since.items() if at >= done.began}
                await self._namings.renew(arn, since=since, indexing=None, last=done)


def _indexed(named: Sequence[Attribute], row: ExecutionRow) -> Indexed:
    input, output = (
        None if data is None else StoredPayload(data) for data in (row.input, row.output)
    )
    return Indexed(row.id, row.stopped, row.events, stored(named, input, output, row.error))
