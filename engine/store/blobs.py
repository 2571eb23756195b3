"""A stored value: which format it has, whether it is compressed, and whether its bytes are those
that were written.

format 2   1 byte (2; 0x82: zstd) + CRC-32 of the rest (begun with the first byte), 4 bytes + the
           rest
format 1   1 byte (1; 0x81: zstd) + the rest; JSON columns: bare text. Read only: written by 0.1
           before
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
_BODY: Final = 5  # behind them
_OLD_PLAIN: Final = b"\x01"
_OLD_ZSTD: Final = b"\x81"


class _Zstd(threading.local):
    """Contexts are not safe to share between threads."""

    def __init__(self) -> None:
        self.small = zstandard.ZstdCompressor(
            level=-1
        ).compress  # without entropy coding: 5 us less, 3 to 10 % more bytes
        self.large = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()

read_text: Final = partial(
    bytes.decode, errors="surrogateescape"
)  # of a database: bytes that are no UTF-8 harm their row only


def pack(body: bytes, compress_from: int = COMPRESS_FROM_BYTES) -> bytes:
    if len(body) >= compress_from:
        packed = (_zstd.small if len(body) < LARGE_BYTES else _zstd.large)(body)
        if len(packed) < len(body):
            return _head(_ZSTD[0], crc32(packed, _ZSTD[0])) + packed
    return _head(_PLAIN[0], crc32(body, _PLAIN[0])) + body


def unpack(blob: bytes) -> bytes:
    """Raises StoreFormatError."""
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
    """The object. Raises StoreFormatError."""
    if not data:
        return {}
    try:
        found: dict[str, Any] = json_text.loads(
            data if data[:1] == b"{" else unpack(data), sys.maxsize
        )
    except json_text.JsonError as error:
        raise StoreFormatError(f"a stored value is damaged: {error}") from error
    return found


def is_text(text: str) -> bool:
    """Whether it is text, rather than what read_text() makes of bytes that are none."""
    return text.isascii() or scrub(text) == text


def scrub(text: str | None) -> str | None:
    """A text that UTF-8 can hold: half surrogates, which a message of foreign code may bring,
    become U+FFFD.
    """
    if text is None or text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
