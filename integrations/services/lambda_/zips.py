"""Zip archives of code: looked at when they come, down to the last byte, and unpacked when they are
first run.

What is refused: anything that cannot be unpacked whole (damaged, encrypted, packed by another
method than deflate), names that lead out of the folder or cannot be files beside each other, and
what is larger than allowed, whatever the archive says of itself.
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
_UNKNOWN: Final = 0xFFFFFFFF  # of a field that is elsewhere, in the Zip64 record


class DamagedError(Exception):
    """What is not an archive, or not a whole one."""


def check(archive: bytes, limits: Limits) -> None:
    """Raises ApiError for what could not be unpacked."""
    if not archive:
        raise _refused(messages.CODE_EMPTY)
    if len(archive) > limits.code_zip_bytes:
        raise ApiError(
            "RequestEntityTooLargeException",
            messages.CODE_ZIP_SIZE.format(limit=limits.code_zip_bytes),
        )
    too_large = _refused(messages.CODE_UNZIPPED_SIZE.format(limit=limits.code_unzipped_bytes))
    if _count(archive) > limits.code_files:
        raise too_large
    try:
        left, empty = limits.code_unzipped_bytes, True
        for entry, pieces in _read(archive):
            left, empty = left - entry.file_size, False
            if left < 0:
                raise too_large
            for _ in pieces:
                pass  # which compares the sums
    except DamagedError:
        raise _refused(messages.CODE_NO_ZIP) from None
    if empty:
        raise _refused(messages.CODE_EMPTY)


def extract(archive: bytes, path: Path) -> None:
    """All or nothing: what is at `path` is whole, and nothing else is left. Raises OSError,
    DamagedError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        for entry, pieces in _read(archive):
            _write(entry, pieces, half)
        try:
            half.rename(path)
        except OSError:
            if not path.is_dir():  # else another has been faster
                raise
    finally:
        shutil.rmtree(half, ignore_errors=True)


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
    """Each entry and its content, piece by piece. Raises DamagedError."""
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
        while piece := content.read(
            _PIECE
        ):  # no more than the entry's size; if that is a lie, the sum is not that of all of it
            size += len(piece)
            yield piece
    if size != entry.file_size:
        raise DamagedError(entry.filename)


@contextmanager
def _readable() -> Iterator[None]:
    """What zipfile says of archives that it cannot read, as DamagedError."""
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
    ) as fault:
        raise DamagedError(f"{type(fault).__name__}: {fault}") from fault


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    """Raises DamagedError for names that cannot be files and folders beside each other."""
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
    """At least as many entries as the directory has, without reading it: each takes memory."""
    at = len(archive) - _END.size
    if archive[at : at + 4] != b"PK\x05\x06" or archive[-2:] != b"\0\0":
        at = archive.rfind(b"PK\x05\x06", max(0, len(archive) - 65_557))
    if at < 0 or at + _END.size > len(archive):
        return 0  # it is no archive
    size: int = _END.unpack_from(archive, at)[5]
    return archive.count(_ENTRY, 0 if size == _UNKNOWN else max(0, at - size), at)


def _refused(text: str) -> ApiError:
    return ApiError("InvalidParameterValueException", text)
