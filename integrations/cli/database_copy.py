"""`stepwell db migrate`, `db backup` and `db copy`."""

from __future__ import annotations

import asyncio
import sys

from stepwell.engine.errors import StoreError
from stepwell.engine.store.opening import open_store
from stepwell.engine.store.sql.copying import copy
from stepwell.engine.store.sql.store import SqlStore
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.errors import reports_errors
from stepwell.integrations.cli.output.text import count
from stepwell.integrations.database import Database
from stepwell.integrations.errors import UsageError


@reports_errors
def migrate(db: str | None) -> int:
    named = database.database(db)
    asyncio.run(_migrate(named))
    print(f"{named}: the tables are those of this version", file=sys.stderr)
    return exit_codes.SUCCEEDED


async def _migrate(named: Database) -> None:
    store = await _opened(named, read_only=False)
    await store.close()


@reports_errors
def copy_database(source: str | None, target: str) -> int:
    """The rows of the source, in the new database that `target` names."""
    origin, copied = database.existing(database.database(source)), database.database(target)
    if copied.file is not None and copied.file.exists():
        raise UsageError(f"{copied} exists: name a new file")
    rows = asyncio.run(_copy(origin, copied))
    print(f"copied {count(sum(rows.values()), 'row')} to {copied}", file=sys.stderr)
    key = origin.file and origin.file.with_name(f"{origin.file.name}.sns-key")
    if key is not None and key.exists():
        print(
            f"SNS messages that wait for delivery are encrypted with the key in {key}: keep it with"
            " the copy; a database on a server cannot use it",
            file=sys.stderr,
        )
    return exit_codes.SUCCEEDED


async def _copy(origin: Database, copied: Database) -> dict[str, int]:
    source = await _opened(origin, read_only=True)
    try:
        target = await _opened(copied, read_only=False)
        try:
            return await copy(source, target)
        except StoreError as error:
            raise UsageError(f"{origin} cannot be copied to {copied}: {error}") from None
        finally:
            await target.close()
    finally:
        await source.close()


async def _opened(named: Database, read_only: bool) -> SqlStore:
    store = open_store(named.url, read_only=read_only)
    assert isinstance(store, SqlStore)
    try:
        await store.open()
    except StoreError as error:
        raise UsageError(f"{named} cannot be opened: {error}") from None
    return store
