"""How the embedded services keep what they know: JSON documents in the engine's records, and tables of them that are held in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from stepwell.engine.records import Records

Document = dict[str, Any]

log: Final = logging.getLogger("stepwell.services")

_VERSION: Final = b"\x02"  # CRC-32 of the JSON text, 4 bytes, and the text
_OLD: Final = b"\x01"  # the text alone
_HEAD: Final = 5
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def pack(document: Mapping[str, Any]) -> bytes:
    text = _encode(document)
    return b"".join((_VERSION, crc32(text).to_bytes(4, "big"), text))


def unpack(data: bytes) -> Document:
    """Raises ValueError for a record that is damaged, or of a newer version."""
    text = data[_HEAD:] if data[:1] == _VERSION else data[1:]
    if data[:1] not in (_VERSION, _OLD):
        raise ValueError(f"a record of version {data[:1]!r}, written by a newer program")
    if data[:1] == _VERSION and crc32(text) != int.from_bytes(data[1:_HEAD], "big"):
        raise ValueError("a record is damaged: its checksum is another")
    try:
        document: Document = _decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"a record is damaged: {error}") from error
    return document


def check(key: str, data: bytes) -> None:
    """Raises ValueError if a record of the services cannot be read. Those of others may be anything."""
    if data[:1] in (_VERSION, _OLD):
        unpack(data)


def readable(key: str, data: bytes) -> Document | None:
    """The document of a record, None if it is damaged: then the service goes on without it, and the log tells."""
    try:
        return unpack(data)
    except ValueError as error:
        log.error("the record %s cannot be read: %s; the service goes on without it", key, error)
        return None


async def stored(records: Records, prefix: str) -> AsyncIterator[tuple[str, Document]]:
    """(key, document) of every record under a prefix that can be read."""
    async for key, data in records.all(prefix):
        document = readable(key, data)
        if document is not None:
            yield key, document


class Table:
    """Documents by name, all of them in memory; what is put is durable before it is seen.

    prefix   of the records: the table's own, ending in "/"
    damaged  names of those that could not be read: they stay as they are until they are put again
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rows: dict[str, Document] = {}
        self.damaged: set[str] = set()

    async def open(self, records: Records) -> None:
        self._records = records
        async for key, data in records.all(self._prefix):
            document, name = readable(key, data), key.removeprefix(self._prefix)
            if document is None:
                self.damaged.add(name)
            else:
                self._rows[name] = document

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
