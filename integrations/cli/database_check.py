"""`stepwell db check`: what is damaged in a database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stepwell.engine.errors import StoreError
from stepwell.engine.store.base import Finding
from stepwell.engine.store.opening import damaged
from stepwell.integrations import database
from stepwell.integrations.cli import screen, text
from stepwell.integrations.cli.commands import refusing
from stepwell.integrations.errors import Refused
from stepwell.integrations.services.common.tables import check

FOUND = 1
"""Exit code."""


@refusing
def check_database(db: Path | None, json: bool) -> int:
    path = database.existing(database.database(db))
    findings = asyncio.run(_findings(path))
    if json:
        for each in findings:
            print(text.ndjson(each._asdict()))
    elif findings:
        rows = [[text.printable(cell, 300) for cell in each] for each in findings]
        screen.table(["row", "of", "fault", "what to do"], rows, sys.stdout)
    else:
        print(f"{path}: nothing is damaged")
    return FOUND if findings else 0


async def _findings(path: Path) -> list[Finding]:
    try:
        return await damaged(path, check)
    except StoreError as fault:
        raise Refused(f"{path} cannot be read: {fault}") from None
