"""What `stepwell db` does: check, migrate, backup and copy."""

from __future__ import annotations

import asyncio
import sys

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Finding
from stepwell.engine.store.opening import damaged, open_store
from stepwell.engine.store.sql.copying import copy
from stepwell.engine.store.sql.store import SqlStore
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output import screen, text
from stepwell.integrations.cli.output.text import count
from stepwell.integrations.database import naming
from stepwell.integrations.database.naming import Database
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.tables import check


@with_limits
def check_database(db: str | None, json: bool, limits: Limits) -> int:
    checked = naming.existing(naming.database(db))
    findings = asyncio.run(_findings(checked, limits))
    if json:
        for each in findings:
            print(text.ndjson(each._asdict()))
    elif findings:
        rows = [[text.printable(cell, 300) for cell in each] for each in findings]
        screen.table(["row", "of", "fault", "what to do"], rows, sys.stdout)
    else:
        print(f"{checked}: nothing is damaged")
    return exit_codes.FAILED if findings else exit_codes.SUCCEEDED


async def _findings(checked: naming.Database, limits: Limits) -> list[Finding]:
    try:
        return await damaged(checked.url, check, limits)
    except StoreError as fault:
        raise UsageError(naming.failed(checked, "read", fault)) from None


@with_limits
def migrate(db: str | None, limits: Limits) -> int:
    named = naming.database(db)
    asyncio.run(_migrate(named, limits))
    print(f"{named}: the tables are those of this version", file=sys.stderr)
    return exit_codes.SUCCEEDED


async def _migrate(named: Database, limits: Limits) -> None:
    store = await _opened(named, limits, read_only=False)
    await store.close()


@with_limits
def copy_database(source: str | None, target: str, limits: Limits) -> int:
    """The rows of the source, in the new database that `target` names."""
    origin, copied = naming.existing(naming.database(source)), naming.database(target)
    if copied.file is not None and copied.file.exists():
        raise UsageError(f"{copied} exists: name a new file")
    rows = asyncio.run(_copy(origin, copied, limits))
    print(f"copied {count(sum(rows.values()), 'row')} to {copied}", file=sys.stderr)
    key = origin.file and origin.file.with_name(f"{origin.file.name}.sns-key")
    if key is not None and key.exists():
        print(
            f"SNS messages that wait for delivery are encrypted with the key in {key}: keep it with"
            " the copy; a database on a server cannot use it",
            file=sys.stderr,
        )
    return exit_codes.SUCCEEDED


async def _copy(origin: Database, copied: Database, limits: Limits) -> dict[str, int]:
    source = await _opened(origin, limits, read_only=True)
    try:
        target = await _opened(copied, limits, read_only=False)
        try:
            return await copy(source, target)
        except StoreError as error:
            raise UsageError(f"{origin} cannot be copied to {copied}: {error}") from None
        finally:
            await target.close()
    finally:
        await source.close()


async def _opened(named: Database, limits: Limits, read_only: bool) -> SqlStore:
    store = open_store(named.url, read_only=read_only, limits=limits)
    assert isinstance(store, SqlStore)
    try:
        await store.open()
    except StoreError as error:
        raise UsageError(naming.failed(named, "opened", error)) from None
    return store
