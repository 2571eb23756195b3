"""Zip archives of code: checked completely when they are uploaded, unpacked at the first call.

Rejected: archives that are damaged, encrypted or compressed by a method other than deflate; names
that lead out of the folder or conflict with each other; and contents above the limits, whatever
sizes the archive declares.
"""

from __future__ import annotations

import io
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.lambda_ import messages

_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x2041  # flags: traditional, strong, and of the directory
_PIECE: Final = 1 << 20
_NAME_BYTES: Final = 255  # of one part of a path
_PATH_BYTES: Final = 1024
_END: Final = struct.Struct("<4s4H2LH")  # the record at the end of an archive
_ENTRY: Final = b"PK\x01\x02"  # begins each entry of the directory
_ZIP64: Final = 0xFFFFFFFF  # the value of a field that is in the Zip64 record instead


class DamagedError(Exception):
    """Data that is not a complete archive."""


def check(archive: bytes, limits: Limits) -> None:
    """Raises ApiError if it cannot be unpacked, or is too large."""
    if not archive:
        raise _rejected(messages.CODE_EMPTY)
    if len(archive) > limits.code_zip_bytes:
        raise ApiError(
            "RequestEntityTooLargeException",
            messages.CODE_ZIP_SIZE.format(limit=limits.code_zip_bytes),
        )
    too_large = _rejected(messages.CODE_UNZIPPED_SIZE.format(limit=limits.code_unzipped_bytes))
    if _count(archive) > limits.code_files:
        raise too_large
    try:
        left, empty = limits.code_unzipped_bytes, True
        for entry, pieces in _read(archive):
            left, empty = left - entry.file_size, False
            if left < 0:
                raise too_large
            for _ in pieces:
                pass  # reading verifies the checksums
    except DamagedError:
        raise _rejected(messages.CODE_NO_ZIP) from None
    if empty:
        raise _rejected(messages.CODE_EMPTY)


def extract(archive: bytes, path: Path) -> None:
    """Unpack to a new folder, all or nothing. Raises OSError, DamagedError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        for entry, pieces in _read(archive):
            _write(entry, pieces, temporary)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():  # otherwise another call unpacked it at the same time
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(entry: zipfile.ZipInfo, pieces: Iterator[bytes], folder: Path) -> None:
    target = folder.joinpath(*_parts(entry.filename))
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for piece in pieces:
            file.write(piece)
    if mode := stat.S_IMODE(entry.external_attr >> 16):
        target.chmod(mode | 0o600)


def _read(archive: bytes) -> Iterator[tuple[zipfile.ZipInfo, Iterator[bytes]]]:
    """(entry, its content in pieces). Raises DamagedError."""
    with _readable(), zipfile.ZipFile(io.BytesIO(archive)) as source:
        entries = source.infolist()
        _check_names(entries)
        for entry in entries:
            if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
                raise DamagedError(entry.filename)
            with source.open(entry) as content:
                yield entry, _pieces(entry, content)


def _pieces(entry: zipfile.ZipInfo, content: IO[bytes]) -> Iterator[bytes]:
    size = 0
    with _readable():
        # at most the declared size is read: if that is false, the checksum does not match
        while piece := content.read(_PIECE):
            size += len(piece)
            yield piece
    if size != entry.file_size:
        raise DamagedError(entry.filename)


@contextmanager
def _readable() -> Iterator[None]:
    """Raises DamagedError for the exceptions of zipfile."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        ValueError,
        RuntimeError,
        EOFError,
        struct.error,
    ) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    """Raises DamagedError for names outside of the folder, and for names that conflict."""
    files, folders = set[tuple[str, ...]](), set[tuple[str, ...]]()
    for entry in entries:
        parts = _parts(entry.filename)
        outside = (
            (not parts and not entry.is_dir())
            or ".." in parts
            or PurePosixPath(entry.filename).is_absolute()
        )
        encoded = [part.encode(errors="replace") for part in parts]
        too_long = (
            any(len(part) > _NAME_BYTES for part in encoded)
            or sum(map(len, encoded)) + len(encoded) > _PATH_BYTES
        )
        if outside or too_long or "\0" in entry.orig_filename:
            raise DamagedError(entry.filename)
        if entry.is_dir():
            folders.add(parts)
        elif parts in files:
            raise DamagedError(entry.filename)
        else:
            files.add(parts)
        folders |= {parts[:n] for n in range(1, len(parts))}
    if files & folders:
        raise DamagedError("/".join(min(files & folders)))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(name).parts if part != "/")


def _count(archive: bytes) -> int:
    """An upper bound of the number of entries, without memory for each, as zipfile needs."""
    at = len(archive) - _END.size
    if archive[at : at + 4] != b"PK\x05\x06" or archive[-2:] != b"\0\0":
        at = archive.rfind(b"PK\x05\x06", max(0, len(archive) - 65_557))
    if at < 0 or at + _END.size > len(archive):
        return 0  # not an archive: reading it fails
    size: int = _END.unpack_from(archive, at)[5]
    return archive.count(_ENTRY, 0 if size == _ZIP64 else max(0, at - size), at)


def _rejected(text: str) -> ApiError:
    return ApiError("InvalidParameterValueException", text)
