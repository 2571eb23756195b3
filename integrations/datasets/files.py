"""An object of S3 as a file in memory of fixed size: each block is a request for a range of it.

    call = ...                                    # one call of S3's API, blocking
    file = ObjectFile(call, {"Bucket": "b", "Key": "k"}, limits)
    blocks = io.BufferedReader(file, limits.dataset_block_bytes)
    unpacked(blocks, packing(file, blocks), file.where, limits).readline()

No connection is held between two blocks. Everything here blocks: it runs in threads.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import zstandard

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.datasets import messages
from stepwell.integrations.limits import Limits

Call = Callable[[str, Mapping[str, Any], int | None], dict[str, Any]]
"""(operation of S3, its parameters, the most bytes of a body) -> its answer. Raises ServiceError,
ApiError.
"""

_PACKINGS: Final = {"gzip": ".gz", "zstd": ".zst"}  # Content-Encoding -> suffix of a key
# zstd decompresses what it gets at once, up to 30,000 times as much
_PACKED_BYTES: Final = {"gzip": 65_536, "zstd": 2_048}
_DECODED_BYTES: Final = 262_144


def failed(cause: str) -> StateError:
    return StateError(asl_messages.ITEM_READER_FAILED, cause, bare=True)


class ObjectFile(io.RawIOBase):
    """etag, size, encoding: of the object, None before the first block. An `etag` that is given is
    the one that the object must have: it must not change between two blocks.
    """

    def __init__(
        self, call: Call, parameters: Mapping[str, Any], limits: Limits, etag: str | None = None
    ) -> None:
        self._call, self._parameters, self._limits = call, parameters, limits
        self._position = 0
        self.etag = etag
        self.size: int | None = None
        self.encoding = ""
        self.where = f"{parameters.get('Bucket')}/{parameters.get('Key')}"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END and self.size is None:
            self._read(0, 1)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self.size is not None and self._position >= self.size:
            return 0
        data = self._read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, start: int, length: int) -> bytes:
        parameters = {**self._parameters, "Range": f"bytes={start}-{start + length - 1}"}
        if self.etag is not None:
            parameters["IfMatch"] = self.etag
        try:
            answer = self._call("GetObject", parameters, length)
        except ServiceError as error:
            if error.status == 412:
                raise failed(messages.FILE_CHANGED.format(where=self.where)) from None
            if error.status == 416 and start == 0:
                self.size = 0
                return b""
            raise
        etag, data = answer.get("ETag"), cast(bytes, answer["Body"])
        if self.etag is not None and etag != self.etag:
            raise failed(messages.FILE_CHANGED.format(where=self.where))
        self.etag, self.encoding = etag, answer.get("ContentEncoding") or ""
        extent = str(answer.get("ContentRange") or "")  # "bytes 0-99/1234"; none: the whole object
        if not extent and (start or len(data) > length):
            raise OSError(messages.NO_RANGES)
        self.size = int(extent.rpartition("/")[2]) if extent else len(data)
        if self.size > self._limits.dataset_file_bytes:
            raise too_large(self.where, self._limits.dataset_file_bytes)
        return data


def too_large(where: str, limit: int) -> StateError:
    return failed(messages.FILE_TOO_LARGE.format(where=where, limit=limit))


def packing(file: ObjectFile, blocks: io.BufferedReader) -> str:
    """ "gzip", "zstd" or "", by the Content-Encoding of an object or the suffix of its key."""
    blocks.peek(1)
    for encoding, suffix in _PACKINGS.items():
        if file.encoding == encoding or file.where.endswith(suffix):
            return encoding
    return ""


def unpacked(
    blocks: io.BufferedReader, encoding: str, where: str, limits: Limits
) -> io.BufferedReader:
    """The content of a file. Reading it raises OSError, EOFError, zlib.error, ZstdError."""
    if not encoding:
        return blocks
    pieces = _pieces(blocks, encoding)
    return io.BufferedReader(_Unpacked(pieces, where, limits.dataset_file_bytes), _DECODED_BYTES)


class _Unpacked(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes], where: str, most: int) -> None:
        self._pieces, self._where, self._most = pieces, where, most
        self._size = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._size += len(piece)
            if self._size > self._most:
                raise too_large(self._where, self._most)
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _pieces(packed: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    """The content of all members (gzip) or frames (zstd), each checked for its end: a file that was
    cut off must not pass for a short one.
    """
    most, data = _PACKED_BYTES[encoding], b""
    while data := data or packed.read1(most):
        if encoding == "gzip":
            inflater: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)
        else:
            inflater = zstandard.ZstdDecompressor().decompressobj()
        full = False  # the inflater may hold more that it has decoded
        while not inflater.eof:
            if not full and not data and not (data := packed.read1(most)):
                raise EOFError(messages.FILE_CUT_OFF)
            if encoding == "gzip":
                piece = inflater.decompress(data, _DECODED_BYTES)
                data, full = inflater.unconsumed_tail, len(piece) == _DECODED_BYTES
            else:
                piece, data = inflater.decompress(data), b""
            yield piece
        data = inflater.unused_data
        if encoding == "gzip":
            data = data.lstrip(b"\0")  # padding after a member
