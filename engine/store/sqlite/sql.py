"""The statements in SQLite's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from stepwell.engine.store.batch import Change
from stepwell.engine.store.sql.statements import statements_of

SQLITE_VERSION: Final = (3, 35, 0)  # UPDATE ... FROM, RETURNING and upserts
SQL: Final[Mapping[str, str]] = statements_of(Path(__file__).parent)

_ROW: Final = re.compile(r"(?<=VALUES )(\([?, ]+\))")


@lru_cache(maxsize=512)
def for_rows(change: Change, rows: int) -> str:
    """The statement of a change for so many rows: one step of the database for a batch, where a
    statement for each row would hand over the interpreter lock each time.
    """
    head, row, tail = _ROW.split(SQL[change.name])
    return f"{head}{', '.join([row] * rows)}{tail}"
