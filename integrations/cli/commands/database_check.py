"""What `stepwell db check` does."""

from __future__ import annotations

import asyncio
import sys

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Finding
from stepwell.engine.store.opening import damaged
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.cli.output import screen, text
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.tables import check


@with_limits
def check_database(db: str | None, json: bool, limits: Limits) -> int:
    checked = database.existing(database.database(db))
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


async def _findings(checked: database.Database, limits: Limits) -> list[Finding]:
    try:
        return await damaged(checked.url, check, limits)
    except StoreError as fault:
        raise UsageError(f"{checked} cannot be read: {fault}") from None
