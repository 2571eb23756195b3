"""How the embedded services keep what they know: JSON documents in the engine's records, and tables of them that are held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from stepwell.engine.records import Records

Document = dict[str, Any]

_VERSION: Final = b"\x01"
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def pack(document: Mapping[str, Any]) -> bytes:
    return _VERSION + _encode(document)


def unpack(data: bytes) -> Document:
    if data[:1] != _VERSION:
        raise ValueError(f"a record of version {data[:1]!r}, written by a newer program")
    document: Document = _decode(data[1:])
    return document


class Table:
    """Documents by name, all of them in memory; what is put is durable before it is seen.

    prefix  of the records: the table's own, ending in "/"
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rows: dict[str, Document] = {}

    async def open(self, records: Records) -> None:
        self._records = records
        self._rows = {key.removeprefix(self._prefix): unpack(data) async for key, data in records.all(self._prefix)}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def get(self, name: str) -> Document | None:
        """Never to be changed: put() a new one."""
        return self._rows.get(name)

    def __getitem__(self, name: str) -> Document:
        return self._rows[name]

    def sorted(self, prefix: str = "") -> list[Document]:
        """In the order of their names, those whose name begins so."""
        return [self._rows[name] for name in sorted(self._rows) if name.startswith(prefix)]

    def hold(self, name: str, document: Document | None) -> None:
        """One that the caller has stored, or deleted, himself."""
        if document is None:
            self._rows.pop(name, None)
        else:
            self._rows[name] = document

    async def put(self, name: str, document: Document, also: Mapping[str, bytes | None] | None = None) -> None:
        """also: other records, which go into the same transaction."""
        await self._records.write({self._prefix + name: pack(document), **(also or {})})
        self._rows[name] = document

    async def delete(self, name: str, also: Mapping[str, bytes | None] | None = None) -> None:
        await self._records.write({self._prefix + name: None, **(also or {})})
        self._rows.pop(name, None)

    def bounded(self, name: str, document: Document, most: int) -> tuple[dict[str, bytes | None], Callable[[], None]]:
        """(what puts a document and deletes the oldest beyond `most`, what is to be called once that is durable)"""
        surplus = list(self._rows)[: max(0, len(self._rows) + 1 - most)]

        def then() -> None:
            self._rows[name] = document
            for each in surplus:
                self._rows.pop(each, None)

        return {self._prefix + name: pack(document), **{self._prefix + each: None for each in surplus}}, then
