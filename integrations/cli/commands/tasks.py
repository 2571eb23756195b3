"""What `stepwell activity` and `stepwell task` do."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output.text import ndjson
from stepwell.integrations.cli.parsing import inputs


@with_where
def poll(name: str, worker: str | None, timeout: float, where: Where) -> int:
    async def work(client: Client) -> int:
        arn = await lookup.activity_arn(client, name)
        task: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout):
                while not task.get("taskToken"):  # a request waits for a minute at most
                    task = await client.call(
                        "get_activity_task", activity_arn=arn, worker_name=worker
                    )
        except TimeoutError:
            print(f"no task for {name} within {timeout:g} s", file=sys.stderr)
            return exit_codes.TIMED_OUT
        print(ndjson(task))
        return exit_codes.SUCCEEDED

    return using(*where, work)


@with_where
def succeed(token: str, output: str, where: Where) -> int:
    text = inputs.read_json(output, "--output", where.limits)
    return _report(where, "send_task_success", task_token=token, output=text)


@with_where
def fail(token: str, error: str | None, cause: str | None, where: Where) -> int:
    given = {"task_token": token, "error": error, "cause": cause}
    return _report(where, "send_task_failure", **given)


@with_where
def heartbeat(token: str, where: Where) -> int:
    return _report(where, "send_task_heartbeat", task_token=token)


def _report(where: Where, operation: str, **arguments: str | None) -> int:
    async def work(client: Client) -> None:
        await client.call(operation, **arguments)

    return using(*where, work)
