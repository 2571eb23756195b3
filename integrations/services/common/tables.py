"""The state of the embedded services: JSON documents in the engine's records, and tables of them
that are in memory.
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

# a record: version, CRC-32 of the JSON text (4 bytes, not in the old version), the text
_VERSION: Final = b"\x02"
_OLD_VERSION: Final = b"\x01"
_HEAD: Final = 5
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def pack(document: Mapping[str, Any]) -> bytes:
    text = _encode(document)
    return b"".join((_VERSION, crc32(text).to_bytes(4, "big"), text))


def unpack(data: bytes) -> Document:
    """Raises ValueError for a record that is damaged, or of a newer version."""
    text = data[_HEAD:] if data[:1] == _VERSION else data[1:]
    if data[:1] not in (_VERSION, _OLD_VERSION):
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
# first two parts of a key -> syntax of the key, required members of the document
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
    "inbox/0": (re.compile(r"inbox/0/\d{3}-\d{13}-\d{12}"), ("events",)),
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
    "task/answer": (re.compile(r"task/answer/[\w=-]+"), ("at", "result")),
}
_FREE: Final[tuple[re.Pattern[str], tuple[str, ...]]] = (_ANY, ())
_SERVICES: Final = tuple({"jobs/", *(f"{key.partition('/')[0]}/" for key in SHAPES)})
_RAW: Final = ("lambda/code/",)  # bytes of archives, which have their own checksums


def read(key: str, data: bytes) -> Document:
    """The document of a record. Raises ValueError if it is damaged or does not fit its key."""
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
    """Raises ValueError if a record of a service cannot be read. Other records are not checked."""
    if key.startswith(_SERVICES) and not key.startswith(_RAW):
        read(key, data)


def readable(key: str, data: bytes, make: Callable[[Document], T]) -> T | None:
    """`make(document)` of a record; None if that fails. The failure is logged, and the service runs
    without the record.
    """
    try:
        return make(read(key, data))
    except Exception as error:
        log.error("the record %s cannot be used: %s; the service continues without it", key, error)
        return None


def document_of(key: str, data: bytes) -> Document | None:
    return readable(key, data, unchanged)


def unchanged(document: Document) -> Document:
    return document


async def stored(
    records: Records, prefix: str, make: Callable[[Document], T]
) -> AsyncIterator[tuple[str, T]]:
    """(key, `make(document)`) of every usable record under a prefix."""
    async for key, data in records.all(prefix):
        made = readable(key, data, make)
        if made is not None:
            yield key, made


class Table:
    """Documents by name, all in memory. A put document is visible once it is durable.

    prefix   of the records, ending in "/"
    damaged  names of unusable records, which stay until they are put again
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
        """Documents are immutable: put() a new one."""
        return self._rows.get(name)

    def __getitem__(self, name: str) -> Document:
        return self._rows[name]

    def sorted(self, prefix: str = "") -> list[Document]:
        """The documents whose names begin with a prefix, in the order of their names."""
        return [self._rows[name] for name in sorted(self._rows) if name.startswith(prefix)]

    def set_in_memory(self, name: str, document: Document | None) -> None:
        """After the caller has stored a document, or deleted it (None)."""
        if document is None:
            self._rows.pop(name, None)
        else:
            self._rows[name] = document

    async def put(
        self, name: str, document: Document, also: Mapping[str, bytes | None] = {}
    ) -> None:
        """also: further writes of the same transaction."""
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
