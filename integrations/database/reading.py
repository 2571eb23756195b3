"""A database as its readers see it, which work beside its owner, or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stepwell.engine.arns import Home
from stepwell.engine.errors import StoreError
from stepwell.engine.operations.reading.reader import Reader
from stepwell.engine.store.base import Store
from stepwell.engine.store.opening import open_store
from stepwell.integrations.database.naming import Database, existing, failed
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits


@asynccontextmanager
async def reading(database: Database, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Reader]:
    """Reads what is committed. Raises UsageError."""
    store = open_store(existing(database).url, read_only=True, limits=limits)
    try:
        await store.open()
    except StoreError as fault:
        raise UsageError(failed(database, "read", fault)) from None
    try:
        yield Reader(store, await _stored_home(store) or Home(), limits)
    finally:
        await store.close()


async def home_of(
    database: Database, region: str | None = None, account: str | None = None
) -> Home:
    """The region and account of a database: those of the ARNs in it, else the parameters, else the
    defaults.

    Raises UsageError if the ARNs in it have others than the parameters: one database has one region
    and account.
    """
    stored = None
    file = database.file
    if file is None or (file.is_file() and file.stat().st_size):
        with suppress(UsageError, StoreError):  # opening it as its owner reports what is wrong
            async with reading(database) as engine:
                stored = await _stored_home(engine.store)
    if stored is None:
        return Home(region or Home().region, account or Home().account)
    for name, wanted, actual in (
        ("region", region, stored.region),
        ("account", account, stored.account),
    ):
        if wanted not in (None, actual):
            raise UsageError(
                f"--{name} {wanted}: {database} holds the ARNs of {name} {actual}; use another "
                "database with --db"
            )
    return stored


async def _stored_home(store: Store) -> Home | None:
    """As any ARN in the database says; None if it holds none."""
    rows = (
        await store.machines(limit=1)
        or await store.activities(limit=1)
        or await store.list_executions(limit=1)
    )
    if not rows:
        return None
    _, partition, _, region, account, *_ = rows[0].arn.split(":")
    return Home(region, account, partition)
