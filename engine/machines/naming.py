"""How the executions of a state machine are indexed once its search attributes have changed: by
those that the machine names now, whichever version they run.

    search/ARN    a record that home writes: Naming

A machine whose attributes have not changed since its first execution has no record: its executions
are indexed by the definition and the tag that they started with.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from stepwell.asl import json_text, search_attributes
from stepwell.asl.search_attributes import MARKER, Attribute
from stepwell.engine.machines import machine_parts
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import MachineRow

log: Final = logging.getLogger("stepwell.search")

PREFIX: Final = "search/"
Texts = tuple[str, str]  # that the Comment of a definition and the tag of a machine hold


class Indexing(msgspec.Struct, frozen=True):
    """The earlier executions being indexed.

    began  epoch ms
    after  (started, id) of the last one that is; they are taken newest first
    count  how many are
    """

    began: int
    after: tuple[int, int] | None = None
    count: int = 0


class Naming(msgspec.Struct, frozen=True):
    """texts     of the attributes by which every start and end is indexed now
    since     attribute -> epoch ms: executions that started before are not indexed so
    indexing  None: it is done, or not wanted
    last      when the last one began, and how many executions it indexed
    """

    texts: Texts
    since: Mapping[str, int]
    indexing: Indexing | None = None
    last: Indexing | None = None

    def attributes(self) -> tuple[Attribute, ...]:
        return read(self.texts)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Naming).decode


def texts_of(row: MachineRow) -> Texts:
    tag: str = machine_parts.part(row, "tags").get(MARKER, "")
    if MARKER not in row.definition:
        return "", tag
    return search_attributes.in_comment(json_text.loads(row.definition).get("Comment")), tag


def read(texts: Texts) -> tuple[Attribute, ...]:
    return tuple(dict.fromkeys(each for text in texts for each in search_attributes.read(text)))


def changed(old: Texts, new: Texts) -> list[str]:
    """Names of the attributes that were added, removed, or have another path."""
    before, after = (_paths(read(texts)) for texts in (old, new))
    return sorted({name for name in (*before, *after) if before.get(name) != after.get(name)})


def _paths(attributes: tuple[Attribute, ...]) -> Mapping[str, set[Attribute]]:
    found = defaultdict[str, set[Attribute]](set)
    for each in attributes:
        found[each.name].add(each)
    return found


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
                self._set(key.removeprefix(PREFIX), _decode(data))
            after = page[-1][0]

    async def reread(self, arn: str) -> None:
        """Home has written that of a machine. When this returns, all starts and ends that were
        indexed as before are committed.
        """
        naming = (await self.stored(arn)).get(arn)
        if naming != self._of.get(arn):
            self._set(arn, naming)
            await self._worker.write({})  # is durable after them

    async def stored(self, arn: str = "") -> dict[str, Naming]:
        """As home has written them last: that of a state machine, or the first 1,000 of all."""
        found = await self._store.records(PREFIX + arn)
        keyed = {key.removeprefix(PREFIX): data for key, data in found}
        return {key: _decode(data) for key, data in keyed.items() if arn in ("", key)}

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
        data = None if naming is None else _encode(naming)
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
            since |= dict.fromkeys(names, self._worker.clock.now())
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
