"""The record of the search attributes by which the executions of a state machine are indexed.

    search/ARN    a record that home writes: Naming

A machine whose attributes have not changed since its first execution has no record: its executions
are indexed by the definition and the tag that they started with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from stepwell.asl import json_text, search_attributes
from stepwell.asl.search_attributes import MARKER, Attribute
from stepwell.engine.machines import machine_parts
from stepwell.engine.store.base import MachineRow, Store

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


def after(now: int, naming: Naming | None) -> int:
    """The time of a change or of an indexing that begins, epoch ms: after what was started up to
    now, and after the changes and the indexing before it, which may be of the same millisecond.
    """
    earlier = () if naming is None else naming.since.values()
    began = naming.indexing.began if naming and naming.indexing else 0
    return 1 + max(now, began, *earlier)


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Naming).decode


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


async def namings(store: Store, arn: str = "") -> dict[str, Naming]:
    """As home has written them last: that of a state machine, or the first 1,000 of all."""
    found = await store.records(PREFIX + arn)
    keyed = {key.removeprefix(PREFIX): data for key, data in found}
    return {key: decode(data) for key, data in keyed.items() if arn in ("", key)}


async def naming_of(store: Store, arn: str) -> Naming | None:
    """As home has written it last."""
    return (await namings(store, arn)).get(arn)
