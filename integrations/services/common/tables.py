"""How the embedded services keep what they know: JSON documents in the engine's records, and tables
of them that are held in memory.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

import msgspec

from stepwell.engine.tasks import Transaction

if TYPE_CHECKING:
    from stepwell.engine.runtime.records import Records

Document = dict[str, Any]
Writes = dict[str, bytes | None]  # see Transaction.writes
T = TypeVar("T")

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


_ANY: Final = re.compile(".+", re.DOTALL)
_STORED: Final = "[0-9a-f]{16}/[0-9a-f]{16}"
_DELIVERY: Final = re.compile(
    r"(?:sns/delivery/[^/]+|(?:events|iot|scheduler)/delivery)/\d{13}/.+", re.DOTALL
)
# first two parts of the key -> what all of it must look like, the members without which no service
# can use the record
SHAPES: Final[Mapping[str, tuple[re.Pattern[str], tuple[str, ...]]]] = {
    "events/archived": (re.compile(r"events/archived/.+/\d{13}/.+", re.DOTALL), ()),
    "events/archive": (_ANY, ("ArchiveName", "Bus")),
    "events/bus": (_ANY, ("Name", "Arn", "Tags")),
    "events/connection": (_ANY, ("Name", "ConnectionArn", "AuthorizationType", "AuthParameters")),
    "events/delivery": (_DELIVERY, ("id",)),
    "events/destination": (
        _ANY,
        ("Name", "ApiDestinationArn", "ConnectionArn", "InvocationEndpoint"),
    ),
    "events/replay": (_ANY, ("ReplayName", "State")),
    "events/rule": (_ANY, ("Arn", "State", "Targets")),
    "httpapi/api": (_ANY, ("ApiId", "Name", "ProtocolType")),
    "iot/broker": (_ANY, ("client", "filters")),
    "iot/delivery": (_DELIVERY, ("id",)),
    "iot/rule": (_ANY, ("ruleName", "sql", "actions", "ruleDisabled", "awsIotSqlVersion")),
    "lambda/event": (
        re.compile("lambda/event/[0-9a-f]{16}"),
        ("key", "arn", "payload", "id", "at", "due"),
    ),
    "lambda/function": (_ANY, ("name", "latest")),
    "lambda/mapping": (_ANY, ("UUID", "EventSourceArn", "FunctionArn")),
    "scheduler/delivery": (_DELIVERY, ("id",)),
    "scheduler/group": (_ANY, ("Arn", "Name")),
    "scheduler/schedule": (_ANY, ("Name", "State", "fire")),
    "sns/app": (_ANY, ("Arn", "Attributes")),
    "sns/delivery": (_DELIVERY, ("id",)),
    "sns/device": (_ANY, ("Arn", "Attributes")),
    "sns/ended": (_ANY, ("TopicArn",)),
    "sns/seen": (_ANY, ("at", "id", "sequence")),
    "sns/signing": (_ANY, ("id", "key", "certificate")),
    "sns/subscription": (_ANY, ("Arn", "TopicArn", "Protocol", "Endpoint", "Since")),
    "sns/topic": (_ANY, ("Arn", "Name", "Attributes", "Tags", "Since")),
    "sqs/content": (re.compile(f"sqs/content/{_STORED}"), ()),
    "sqs/gone": (re.compile("sqs/gone/[0-9a-f]{16}"), ()),
    "sqs/message": (re.compile(f"sqs/message/{_STORED}"), ("sent", "due")),
    "sqs/move": (_ANY, ("Status", "SourceArn", "StartedTimestamp")),
    "sqs/number": (_ANY, ("next",)),
    "sqs/once": (re.compile(f"sqs/once/{_STORED}"), ("at", "id", "as")),
    "sqs/queue": (_ANY, ("Name", "Store", "Attributes")),
    "sqs/state": (re.compile(f"sqs/state/{_STORED}"), ("due", "count", "first")),
}
_FREE: Final[tuple[re.Pattern[str], tuple[str, ...]]] = (_ANY, ())
_SERVICES: Final = tuple({"jobs/", *(f"{key.partition('/')[0]}/" for key in SHAPES)})
_RAW: Final = (
    "lambda/code/",
)  # bytes of archives, whose own checksums are checked when they are unpacked


def read(key: str, data: bytes) -> Document:
    """The document of a record. Raises ValueError if it is damaged, or not what a record with this
    key is.
    """
    document = unpack(data)
    if not isinstance(document, dict):
        raise ValueError("a record is damaged: it is no document")
    pattern, members = SHAPES.get("/".join(key.split("/", 2)[:2]), _FREE)
    if pattern.fullmatch(key) is None:
        raise ValueError("a record is damaged: no service has such a key")
    for member in members:
        if member not in document:
            raise ValueError(f"a record is damaged: it has no {member}")
    return document


def check(key: str, data: bytes) -> None:
    """Raises ValueError if a record of the services cannot be read. Those of others may be
    anything.
    """
    if key.startswith(_SERVICES) and not key.startswith(_RAW):
        read(key, data)


def readable(key: str, data: bytes, make: Callable[[Document], T]) -> T | None:
    """What a service makes of a record, None if that fails: then it starts, and goes on, without
    the record, and the log tells.
    """
    try:
        return make(read(key, data))
    except Exception as error:
        log.error("the record %s cannot be used: %s; the service goes on without it", key, error)
        return None


def document_of(key: str, data: bytes) -> Document | None:
    return readable(key, data, unchanged)


def unchanged(document: Document) -> Document:
    return document


async def stored(
    records: Records, prefix: str, make: Callable[[Document], T]
) -> AsyncIterator[tuple[str, T]]:
    """(key, what is made of the document) of every record under a prefix that can be used."""
    async for key, data in records.all(prefix):
        made = readable(key, data, make)
        if made is not None:
            yield key, made


class Table:
    """Documents by name, all of them in memory; what is put is durable before it is seen.

    prefix   of the records: the table's own, ending in "/"
    damaged  names of those that cannot be used: they stay as they are until they are put again
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._rows: dict[str, Document] = {}
        self.damaged: set[str] = set()

    async def open(self, records: Records, check: Callable[[Document], object] = unchanged) -> None:
        """check: raises for a document that the service cannot use."""
        self._records = records

        def checked(document: Document) -> Document:
            check(document)
            return document

        async for key, data in records.all(self._prefix):
            document, name = readable(key, data, checked), key.removeprefix(self._prefix)
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

    async def put(
        self, name: str, document: Document, also: Mapping[str, bytes | None] = {}
    ) -> None:
        """also: other records, which go into the same transaction."""
        await self._records.write({self._prefix + name: pack(document), **also})
        self._rows[name] = document

    async def delete(self, name: str, also: Mapping[str, bytes | None] = {}) -> None:
        await self._records.write({self._prefix + name: None, **also})
        self._rows.pop(name, None)

    def bounded(self, name: str, document: Document, most: int) -> Transaction[None]:
        """Puts a document and deletes the oldest beyond `most`."""
        surplus = list(self._rows)[: max(0, len(self._rows) + 1 - most)]

        def then() -> None:
            self._rows[name] = document
            for each in surplus:
                self._rows.pop(each, None)

        deleted = dict.fromkeys(self._prefix + each for each in surplus)
        return Transaction(None, {self._prefix + name: pack(document), **deleted}, then)
