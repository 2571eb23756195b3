"""The code of functions: zip archives, which are stored, or local folders.

    "sha256:HEX"     the name of an archive; its records are lambda/code/HEX/NUMBER, 1 MiB each
    "folder:PATH"    the name of a folder: edits take effect with the next call

An archive is unpacked beside the database at its first call. Its name is its hash, so a published
version keeps its code when $LATEST changes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.single_flight import SingleFlight
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.tables import Writes
from stepwell.integrations.services.lambda_ import messages, zips
from stepwell.integrations.services.runtime.pool import INVALID_ZIP, UnavailableError

if TYPE_CHECKING:
    from stepwell.engine.runtime.records import Records

log: Final = logging.getLogger("stepwell.functions")

ARCHIVE: Final = "sha256:"
FOLDER: Final = "folder:"
CODES: Final = "lambda/code/"
_PIECE: Final = 1 << 20


class CodeStore:
    """folder: where archives are unpacked; None: a temporary one."""

    def __init__(self, records: Records, folder: Path | None, limits: Limits) -> None:
        self._records, self._limits, self._temporary = records, limits, folder is None
        self._root = Path(tempfile.mkdtemp(prefix="stepwell-code-")) if folder is None else folder
        self._unpacked = SingleFlight(self._unpack)

    async def accept(self, archive: bytes) -> tuple[str, Writes]:
        """(name, writes that store the archive). Raises ApiError if it is too large or cannot be
        unpacked.
        """
        await asyncio.to_thread(zips.check, archive, self._limits)
        digest = hashlib.sha256(archive).hexdigest()
        pieces = range(0, len(archive), _PIECE)
        return ARCHIVE + digest, {
            _key(digest, at // _PIECE): archive[at : at + _PIECE] for at in pieces
        }

    async def snapshot(self, code: str) -> tuple[str, Writes, int]:
        """An archive of a folder's current files: (name, writes that store it, bytes). code: the
        folder's name. Raises ApiError.
        """
        archive = await asyncio.to_thread(_archived, Path(code.removeprefix(FOLDER)), self._limits)
        return *await self.accept(archive), len(archive)

    async def keys(self, code: str) -> list[str]:
        """The keys of the records of an archive."""
        if not code.startswith(ARCHIVE):
            return []
        return [
            key
            async for key, _ in self._records.all(CODES + code.removeprefix(ARCHIVE) + "/", page=8)
        ]

    async def folder(self, code: str) -> str:
        """The path of the unpacked code. Raises UnavailableError."""
        if code.startswith(FOLDER):
            return code.removeprefix(FOLDER)
        path = self._path(code)
        if path.is_dir():
            return str(path)
        return await self._unpacked(code)

    def _path(self, code: str) -> Path:
        return self._root / code.removeprefix(ARCHIVE)

    async def _unpack(self, code: str) -> str:
        path = self._path(code)
        pieces = [
            piece
            async for _, piece in self._records.all(
                CODES + code.removeprefix(ARCHIVE) + "/", page=8
            )
        ]
        try:
            await asyncio.to_thread(zips.extract, b"".join(pieces), path)
        except zips.DamagedError as error:  # accepted by an earlier version, or damaged on disk
            log.error("%s cannot be unpacked: %s", code, error)
            raise UnavailableError(INVALID_ZIP, messages.CODE_NOT_UNZIPPED) from error
        except OSError as error:  # such as a full disk
            raise UnavailableError(
                reason=messages.CODE_NOT_UNPACKED.format(problem=f"{type(error).__name__}: {error}")
            ) from error
        return str(path)

    def drop(self, code: str) -> None:
        """Delete the unpacked files of an archive."""
        if code.startswith(ARCHIVE):
            shutil.rmtree(self._path(code), ignore_errors=True)

    def drop_unused(self, used: set[str]) -> None:
        """Delete unpacked files of unused code, which a killed process left. used: names."""
        names = {code.removeprefix(ARCHIVE) for code in used}
        for path in self._root.iterdir() if self._root.is_dir() else ():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)

    async def close(self) -> None:
        await self._unpacked.ended()
        if self._temporary:
            await asyncio.to_thread(shutil.rmtree, self._root, True)


def sha256(code: str) -> str:
    """CodeSha256 of an archive."""
    return base64.b64encode(bytes.fromhex(code.removeprefix(ARCHIVE))).decode()


def _key(digest: str, number: int) -> str:
    return f"{CODES}{digest}/{number:04d}"


def _archived(folder: Path, limits: Limits) -> bytes:
    """A zip archive of a folder; the same bytes for the same files. Raises ApiError if it is too
    large.
    """
    target, size = io.BytesIO(), 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(sorted(folder.rglob("*"))):
            if path.is_file() and "__pycache__" not in path.parts:
                size += path.stat().st_size
                if size > limits.code_unzipped_bytes or number >= limits.code_files:
                    raise ApiError(
                        "InvalidParameterValueException",
                        messages.CODE_UNZIPPED_SIZE.format(limit=limits.code_unzipped_bytes),
                    )
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                entry.external_attr = path.stat().st_mode << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target.getvalue()
