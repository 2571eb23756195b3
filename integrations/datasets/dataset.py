"""The dataset of an ItemReader: chunks of its items, each read in a thread from a cursor.

A cursor is {"read", "place", "at", "etag", "packing", "state"}: how many items were read, the file
(see sources.py), where its next item begins when it is decompressed, its ETag, and the state of its
parser. A compressed file is decompressed again up to there. While the chunks are read in sequence,
the file stays open instead: it holds a block and no connection.
"""

from __future__ import annotations

import asyncio
import csv
import io
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Final

import zstandard

from stepwell.asl import messages as asl_messages
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json, StateError
from stepwell.asl.json_scanner import JsonError
from stepwell.engine.errors import ApiError
from stepwell.engine.map_runs.datasets import Chunk, StreamRequest
from stepwell.engine.tasks import TaskError
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.datasets import messages
from stepwell.integrations.datasets.calls import BlockingCalls
from stepwell.integrations.datasets.files import ObjectFile, failed, packing, unpacked
from stepwell.integrations.datasets.formats import CsvRows, JsonLines, Options
from stepwell.integrations.datasets.json_items import JsonItems
from stepwell.integrations.datasets.parquet import ParquetRows
from stepwell.integrations.datasets.sources import File, Source, files, item, listed
from stepwell.integrations.host import Host

_PARSERS: Final[dict[str, Any]] = {
    "CSV": CsvRows,
    "JSON": JsonItems,
    "JSONL": JsonLines,
    "PARQUET": ParquetRows,
}
_Entry = tuple[str | None, Json, Json, int, Callable[[Json], dict[str, Json]]]
"""(key, item, its end, about the bytes of its JSON text, end -> the cursor after the item)"""
_LISTED_BYTES: Final = 256  # about the size of an object of a listing
_SKIPPED_BYTES: Final = 1_048_576
_TURN_ITEMS: Final = 100
_NOT_READ: Final = (OSError, EOFError, UnicodeDecodeError, zlib.error, zstandard.ZstdError)


class S3Dataset:
    """See engine/map_runs/datasets.py."""

    def __init__(self, host: Host, threads: Executor, request: StreamRequest) -> None:
        self._host, self._threads = host, threads
        self._parameters: Any = dict(request.payload)
        self._config = ReaderConfig.model_validate(self._parameters.pop("ReaderConfig"))
        self._most = self._parameters.pop("MaxItems")
        self._listing = request.resource.action == "listObjectsV2"
        names = [self._parameters[name] for name in ("Bucket", "Key") if name in self._parameters]
        self.source = "S3://" + "/".join(map(str, names))
        self._calls: BlockingCalls | None = None
        self._reader: _Reader | None = None

    async def chunk(self, cursor: Json, most_items: int, most_bytes: int) -> Chunk:
        reader = self._reader
        if reader is None or reader.cursor != cursor:
            reader = self._opened(cursor)
        self._reader = None  # until the chunk is complete
        loop = asyncio.get_running_loop()
        try:
            read = await loop.run_in_executor(self._threads, reader.chunk, most_items, most_bytes)
        except StateError as error:
            raise TaskError(error.error, error.cause) from None
        except (ServiceError, ApiError) as error:
            raise TaskError(asl_messages.ITEM_READER_FAILED, error.message) from None
        except asyncio.CancelledError:
            await self.close()
            raise
        self._reader = reader if read.cursor is not None else None
        return read

    def _opened(self, cursor: Any) -> _Reader:
        if self._most is not None and self._most < 0:
            raise TaskError(asl_messages.ITEM_READER_FAILED, asl_messages.MAX_ITEMS_NEGATIVE)
        limits = self._host.limits
        self._calls = self._calls or BlockingCalls(self._host)
        most = min(self._most or limits.map_run_items, limits.map_run_items)
        source = Source(self._calls, self._parameters, self._config, limits, self._listing)
        return _Reader(source, cursor, most)

    async def close(self) -> None:
        self._reader = None
        if self._calls is not None:
            self._calls.close()
            self._calls = None


class _Reader:
    """Reads the items from a cursor on. Its methods block."""

    def __init__(self, source: Source, cursor: Any, most: int) -> None:
        self._source, self._most = source, most
        self.cursor = cursor
        self._read: int = 0 if cursor is None else cursor["read"]
        self._entries = (self._objects if source.listed else self._items)(cursor or {})
        self._next: _Entry | None = None  # read, but in no chunk yet
        self._kind, self._where = "MANIFEST", source.where  # what is read, for texts of errors

    def chunk(self, most_items: int, most_bytes: int) -> Chunk:
        """Raises StateError, ServiceError, ApiError."""
        try:
            return self._chunk(most_items, most_bytes)
        except (JsonError, csv.Error) as error:
            cause = asl_messages.BAD_DATASET.format(kind=self._kind, reason=error)
        except _NOT_READ as error:
            cause = messages.FILE_NOT_READ.format(where=self._where, reason=error)
        raise failed(cause)

    def _chunk(self, most_items: int, most_bytes: int) -> Chunk:
        items: list[Json] = []
        keys: list[str] = []
        entries, left, total = self._entries, self._most - self._read, 0
        entry, last = self._next or next(entries, None), None
        while entry is not None and len(items) < left:
            total += entry[3]
            if items and (len(items) == most_items or total > most_bytes):
                break
            items.append(entry[1])
            if entry[0] is not None:
                keys.append(entry[0])
            last, entry = entry, next(entries, None)
            if len(items) % _TURN_ITEMS == 0:
                time.sleep(1e-6)  # lets the event loop run, which would wait 5 ms for the lock
        self._read += len(items)
        ended = entry is None or last is None or self._read == self._most
        self._next = None if ended else entry
        self.cursor = None
        if last is not None and not ended:
            self.cursor = {"read": self._read, **last[4](last[2])}
        return Chunk(items, keys or None, self.cursor)

    def _objects(self, cursor: Any) -> Iterator[_Entry]:
        """The objects of a listing."""
        for place, found in listed(self._source, cursor.get("place")):
            yield None, item(found), place, _LISTED_BYTES, _at_place

    def _items(self, cursor: Any) -> Iterator[_Entry]:
        """The items of all files."""
        for file in files(self._source, cursor.get("place")):
            if cursor and file.place != cursor["place"]:
                raise failed(messages.FILE_CHANGED.format(where=self._source.where))
            yield from self._of_file(file, cursor)
            cursor = {}

    def _of_file(self, file: File, cursor: Any) -> Iterator[_Entry]:
        limits, self._kind = self._source.limits, file.config.input_type or "JSON"
        content = ObjectFile(self._source.call, file.parameters, limits, cursor.get("etag"))
        blocks: io.BufferedReader = io.BufferedReader(content, limits.dataset_block_bytes)
        self._where, packed, start = content.where, "", cursor.get("at", 0)
        if self._kind != "PARQUET":
            packed = cursor["packing"] if cursor else packing(content, blocks)
            blocks = unpacked(blocks, packed, content.where, limits)
            _skip(blocks, start, bool(packed))
        options = Options(file.config, limits, self._source.listing or self._source.manifest)
        parser = _PARSERS[self._kind](blocks, options, start, cursor.get("state"))

        def place(end: Json) -> dict[str, Json]:
            rest = {"etag": content.etag, "packing": packed, "state": parser.state}
            return {"place": file.place, "at": end, **rest}

        for key, value, end, size in parser:
            yield key, value, end, size, place


def _at_place(place: Json) -> dict[str, Json]:
    return {"place": place}


def _skip(file: io.BufferedReader, start: int, packed: bool) -> None:
    """Go to an offset; in a compressed file only by reading."""
    if not packed:
        file.seek(start)
        return
    while start and (data := file.read(min(start, _SKIPPED_BYTES))):
        start -= len(data)
