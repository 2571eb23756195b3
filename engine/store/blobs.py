"""A stored value: a byte for its format and compression, a checksum, and the body.

format 2   1 byte (2; 0x82: zstd) + 4 bytes CRC-32 of the body (its start value is the first byte) +
           the body
format 1   1 byte (1; 0x81: zstd) + the body; JSON columns: bare text. It is only read:
           development versions before 0.1 wrote it
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from zlib import crc32

import zstandard

from stepwell.asl import json_text
from stepwell.engine.store.base import StoreFormatError

VERSION: Final = 2
COMPRESS_FROM_BYTES: Final = 300
LARGE_BYTES: Final = 2048
_PLAIN: Final = bytes([VERSION])
_ZSTD: Final = bytes([VERSION | 0x80])
_head: Final = struct.Struct(">BI").pack  # the format and the checksum
_BODY: Final = 5  # index of the body
_OLD_PLAIN: Final = b"\x01"
_OLD_ZSTD: Final = b"\x81"


class _Zstd(threading.local):
    """The contexts of one thread: they must not be shared between threads."""

    def __init__(self) -> None:
        # without entropy coding: 5 us less, 3 to 10 % more bytes
        self.small = zstandard.ZstdCompressor(level=-1).compress
        self.large = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()

# for texts of a database, so that bytes that are not UTF-8 affect only their row
read_text: Final = partial(bytes.decode, errors="surrogateescape")


def pack(body: bytes, compress_from: int = COMPRESS_FROM_BYTES) -> bytes:
    """The stored value, compressed if that makes it shorter."""
    if len(body) >= compress_from:
        packed = (_zstd.small if len(body) < LARGE_BYTES else _zstd.large)(body)
        if len(packed) < len(body):
            return _head(_ZSTD[0], crc32(packed, _ZSTD[0])) + packed
    return _head(_PLAIN[0], crc32(body, _PLAIN[0])) + body


def unpack(blob: bytes) -> bytes:
    """The body of a stored value. Raises StoreFormatError."""
    head = blob[:1]
    if head in (_PLAIN, _ZSTD):
        body = blob[_BODY:]
        if len(blob) < _BODY or crc32(body, head[0]) != int.from_bytes(blob[1:_BODY], "big"):
            raise StoreFormatError("a stored value is damaged: its checksum is another")
    elif head in (_OLD_PLAIN, _OLD_ZSTD):
        body = blob[1:]
    else:
        raise StoreFormatError(
            f"a stored value has format {head.hex() or 'none'}; this version reads formats "
            f"up to {VERSION}"
        )
    if head in (_PLAIN, _OLD_PLAIN):
        return body
    try:
        return _zstd.decompress(body)
    except zstandard.ZstdError as error:
        raise StoreFormatError(f"a stored value is damaged: {error}") from error


def pack_json(value: Mapping[str, Any]) -> bytes | None:
    """A JSON object for a nullable column: NULL for {}."""
    return pack(json_text.encode(value)) if value else None


def unpack_json(data: bytes | None) -> Any:
    """The JSON object of a nullable column. Raises StoreFormatError."""
    if not data:
        return {}
    try:
        return json_text.loads(data if data[:1] == b"{" else unpack(data), sys.maxsize)
    except json_text.JsonError as error:
        raise StoreFormatError(f"a stored value is damaged: {error}") from error


def is_text(text: str) -> bool:
    """Whether a result of read_text() was UTF-8."""
    return text.isascii() or scrub(text) == text


def scrub(text: str | None) -> str | None:
    """The text with U+FFFD in the place of lone surrogates, which UTF-8 cannot hold and error
    messages of functions may contain.
    """
    if text is None or text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
