"""What `stepwell activity` and `stepwell task` do."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.cli.output.text import ndjson
from stepwell.integrations.limits import Limits


@with_limits
def poll(name: str, worker: str | None, timeout: float, db: str | None, limits: Limits) -> int:
    path = database.database(db)

    async def poll() -> dict[str, Any]:
        home = await database.home_of(path)
        arn = name if name.startswith("arn:") else home.arn("activity", name)
        return await database.request(
            path, "get_activity_task", arn, worker, timeout, limits=limits
        )

    task = asyncio.run(poll())
    if not task:
        print(f"no task for {name} within {timeout:g} s", file=sys.stderr)
        return exit_codes.TIMED_OUT
    print(ndjson(task))
    return exit_codes.SUCCEEDED


@with_limits
def succeed(token: str, output: str, db: str | None, limits: Limits) -> int:
    text = files.read_json(output, "--output", limits)
    return _report(db, limits, "send_task_success", token, text)


@with_limits
def fail(token: str, error: str | None, cause: str | None, db: str | None, limits: Limits) -> int:
    return _report(db, limits, "send_task_failure", token, error, cause)


@with_limits
def heartbeat(token: str, db: str | None, limits: Limits) -> int:
    return _report(db, limits, "send_task_heartbeat", token)


def _report(
    db: str | None, limits: Limits, operation: str, token: str, *arguments: str | None
) -> int:
    request = database.request(database.database(db), operation, token, *arguments, limits=limits)
    asyncio.run(request)
    return exit_codes.SUCCEEDED
