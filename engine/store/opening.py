"""Which store a database is kept in, by its name. Nothing else outside of this folder knows which
stores there are.
"""

from __future__ import annotations

from os import PathLike

from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.base import Store
from stepwell.engine.store.sqlite import SqliteStore
from stepwell.engine.store.sqlite_file import check_path as check_name

__all__ = ["check_name", "store_for"]


def store_for(
    db: str | PathLike[str], *, read_only: bool = False, limits: Limits = DEFAULT_LIMITS
) -> Store:
    """The store of a database, which open() opens. Raises StoreError if its name has a scheme that
    is not known.

    db         a file's path, or ":memory:"
    read_only  only what is committed is read, beside the process that works on it or after that one
               was killed
    """
    return SqliteStore(db, read_only=read_only, limits=limits)
