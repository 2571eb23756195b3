"""Which store keeps a database, by the database's URL. Nothing outside of this folder knows which
stores there are.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike

from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.base import Finding, Store
from stepwell.engine.store.sqlite.file import check_path as check_name
from stepwell.engine.store.sqlite.store import SqliteStore

__all__ = ["check_name", "damaged", "open_store"]


def open_store(
    url: str | PathLike[str], *, read_only: bool = False, limits: Limits = DEFAULT_LIMITS
) -> Store:
    """The store of a database; its open() opens it. Raises StoreError if no store has that scheme.

    url        a file's path, or ":memory:"
    read_only  read committed rows only, without the lock: beside the process that works on the
               database, or after that process was killed
    """
    return SqliteStore(url, read_only=read_only, limits=limits)


async def damaged(
    url: str | PathLike[str], record: Callable[[str, bytes], object]
) -> list[Finding]:
    """The damaged values of a database, which another process may have open; `record` as in
    Store.damage(). Raises StoreError if the database cannot be read at all.
    """
    store = open_store(url, read_only=True)
    await store.open()
    try:
        return [each async for each in store.damage(record)]
    finally:
        await store.close()
