"""How the executions of a state machine are indexed once its search attributes have changed: by
those that the machine names now, whichever version they run. See naming_records.py.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from stepwell.engine.machines import machine_parts, naming_records
from stepwell.engine.machines.naming_records import (
    PREFIX,
    Indexing,
    Naming,
    changed,
    decode,
    encode,
    naming_of,
    texts_of,
)
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import MachineRow

log: Final = logging.getLogger("stepwell.search")


class Namings:
    """The records, in memory of each shard's engine.

    tell  awaited with the ARN of a state machine after a write: the other shards read it, too
    """

    def __init__(self, worker: Worker, tell: Callable[[str], Awaitable[None]]) -> None:
        self._worker, self._store, self._tell = worker, worker.store, tell
        self._of: dict[str, Naming] = {}

    async def open(self) -> None:
        self._of.clear()
        self._worker.renamed.clear()
        after = ""
        while page := await self._store.records(PREFIX, after):
            for key, data in page:
                self._set(key.removeprefix(PREFIX), decode(data))
            after = page[-1][0]

    async def reread(self, arn: str) -> None:
        """Home has written that of a machine. When this returns, all starts and ends that were
        indexed as before are committed.
        """
        naming = await naming_of(self._store, arn)
        if naming != self._of.get(arn):
            self._set(arn, naming)
            await self._worker.write({})  # is durable after them

    def get(self, arn: str) -> Naming | None:
        return self._of.get(arn)

    def __iter__(self) -> Iterator[tuple[str, Naming]]:
        return iter(self._of.items())

    def _set(self, arn: str, naming: Naming | None) -> None:
        if naming is None:
            self._of.pop(arn, None)
            self._worker.renamed.pop(arn, None)
        else:
            self._of[arn] = naming
            self._worker.renamed[arn] = naming.attributes()

    # --- home writes ------------------------------------------------------------------------------

    async def put(self, arn: str, naming: Naming | None) -> None:
        """Durable when it returns, with all that was decided before."""
        self._set(arn, naming)
        data = None if naming is None else encode(naming)
        await self._worker.write({PREFIX + arn: data})

    async def renew(self, arn: str, **fields: Any) -> Naming:
        """The same with other fields, on every shard."""
        naming = msgspec.structs.replace(self._of[arn], **fields)
        await self.put(arn, naming)
        await self._tell(arn)
        return naming

    async def advance(self, arn: str, old: Indexing, new: Indexing, durable: bool) -> None:
        """Executions have been indexed, unless that has begun anew meanwhile."""
        naming = self._of.get(arn)
        if naming is None or naming.indexing is not old:
            return
        naming = msgspec.structs.replace(naming, indexing=new)
        if durable:
            await self.put(arn, naming)
        else:
            self._set(arn, naming)

    async def noticed(self, row: MachineRow) -> None:
        """Called with a state machine before it is written."""
        if row.type != "STANDARD" or row.status == machine_parts.DELETING:
            return
        known, texts, old = self._of.get(row.arn), texts_of(row), None
        if known is None and row.definition_id:  # else it is new
            old = await self._store.machine(row.arn)
        before = known.texts if known else texts_of(old) if old else ("", "")
        names = changed(before, texts)
        if not names:
            return
        started = bool(await self._store.list_executions(row.arn, limit=1))
        known = self._of.get(row.arn)  # it may have advanced
        if known is None and not started and not machine_parts.part(row, "versions"):
            return  # nothing was started, or will be by another definition
        since = dict(known.since) if known else {}
        if started:
            since |= dict.fromkeys(names, naming_records.after(self._worker.clock.now(), known))
        put = msgspec.structs.replace(known, texts=texts, since=since) if known else None
        await self.put(row.arn, put or Naming(texts, since))

    async def confirm(self) -> None:
        """Bring the records of those state machines up to date that a crash left unwritten."""
        for arn in list(self._of):
            row = await self._store.machine(arn)
            if row is not None:
                await self.noticed(row)
            elif not await self._store.list_executions(arn, limit=1):
                await self.put(arn, None)
