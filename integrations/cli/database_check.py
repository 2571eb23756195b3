"""What `stepwell db check` does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Finding
from stepwell.engine.store.opening import damaged
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.errors import reports_errors
from stepwell.integrations.cli.output import screen, text
from stepwell.integrations.errors import UsageError
from stepwell.integrations.services.common.tables import check


@reports_errors
def check_database(db: Path | None, json: bool) -> int:
    path = database.existing(database.database_path(db))
    findings = asyncio.run(_findings(path))
    if json:
        for each in findings:
            print(text.ndjson(each._asdict()))
    elif findings:
        rows = [[text.printable(cell, 300) for cell in each] for each in findings]
        screen.table(["row", "of", "fault", "what to do"], rows, sys.stdout)
    else:
        print(f"{path}: nothing is damaged")
    return exit_codes.FAILED if findings else exit_codes.SUCCEEDED


async def _findings(path: Path) -> list[Finding]:
    try:
        return await damaged(path, check)
    except StoreError as fault:
        raise UsageError(f"{path} cannot be read: {fault}") from None
