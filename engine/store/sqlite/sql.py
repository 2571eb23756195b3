"""The statements of queries.sql, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

from stepwell.engine.store.batch import Change

SQLITE_VERSION: Final = (3, 35, 0)  # UPDATE ... FROM, RETURNING and upserts
_ROW: Final = re.compile(r"(?<=VALUES )(\([?, ]+\))")


def parse(text: str) -> dict[str, str]:
    """Each statement as one line without comments."""
    statements: dict[str, str] = {}
    for part in text.split("\n-- name: ")[1:]:
        name, *lines = part.splitlines()
        statement = " ".join(line.strip() for line in lines if line and not line.startswith("--"))
        statements[name] = statement.format_map(statements)
    return statements


SQL: Final[Mapping[str, str]] = parse(
    files(__package__).joinpath("queries.sql").read_text(encoding="utf-8")
)


@lru_cache(maxsize=512)
def for_rows(change: Change, rows: int) -> str:
    """The statement of a change for so many rows: one step of the database for a batch, where a
    statement for each row would hand over the interpreter lock each time.
    """
    head, row, tail = _ROW.split(SQL[change.name])
    return f"{head}{', '.join([row] * rows)}{tail}"
