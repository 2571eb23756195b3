"""What `stepwell activity` and `stepwell task` do."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import reports_errors
from stepwell.integrations.cli.output.text import ndjson


@reports_errors
def poll(name: str, worker: str | None, timeout: float, db: str | None) -> int:
    path = database.database(db)

    async def poll() -> dict[str, Any]:
        home = await database.home_of(path)
        arn = name if name.startswith("arn:") else home.arn("activity", name)
        return await database.request(path, "get_activity_task", arn, worker, timeout)

    task = asyncio.run(poll())
    if not task:
        print(f"no task for {name} within {timeout:g} s", file=sys.stderr)
        return exit_codes.TIMED_OUT
    print(ndjson(task))
    return exit_codes.SUCCEEDED


@reports_errors
def succeed(token: str, output: str, db: str | None) -> int:
    return _report(db, "send_task_success", token, files.read_json(output, "--output"))


@reports_errors
def fail(token: str, error: str | None, cause: str | None, db: str | None) -> int:
    return _report(db, "send_task_failure", token, error, cause)


@reports_errors
def heartbeat(token: str, db: str | None) -> int:
    return _report(db, "send_task_heartbeat", token)


def _report(db: str | None, operation: str, token: str, *arguments: str | None) -> int:
    asyncio.run(database.request(database.database(db), operation, token, *arguments))
    return exit_codes.SUCCEEDED
