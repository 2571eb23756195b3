"""The format of a database: the number of its last migration. Migrations are the files
migrations/NNNN_name.sql of the store's folder, applied in their order. A released migration is
never changed; a new format is a new file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stepwell.engine.store.base import StoreFormatError


class Migration(NamedTuple):
    number: int
    file: Path

    def statements(self) -> str:
        return self.file.read_text(encoding="utf-8")


def migrations_of(folder: Path) -> Sequence[Migration]:
    """Those of the store in that folder, in their order."""
    files = (folder / "migrations").glob("*.sql")
    return sorted(Migration(int(file.name[:4]), file) for file in files)


def check_format(version: int, migrations: Sequence[Migration], database: str) -> None:
    """Raises StoreFormatError for a database that a newer version of stepwell wrote."""
    newest = migrations[-1].number
    if version > newest:
        raise StoreFormatError(
            f"{database} has format {version}, written by a newer version of stepwell; this one"
            f" knows formats up to {newest}: upgrade stepwell, or use another database"
        )
