"""Which executions a command is for: filters by machine, status, time of start and error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from stepwell.engine.clock import SystemClock
from stepwell.integrations.cli import lookup
from stepwell.integrations.cli.clients.base import SEVERAL, Client
from stepwell.integrations.errors import UsageError

FAILED: Final = ("FAILED", "TIMED_OUT", "ABORTED")
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Wanted(NamedTuple):
    """What executions must match; None: anything.

    statuses      one of them
    since, until  epoch seconds of the start, both inclusive
    error         the name of the error, exactly
    """

    machine: str | None = None
    statuses: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    error: str | None = None


def read(options: Mapping[str, str | None]) -> Wanted:
    """Of the options --machine, --status, --since, --until and --error. Raises UsageError."""
    status = options.get("status")
    now = SystemClock().now() / 1000
    since, until = (_instant(f"--{name}", options.get(name), now) for name in ("since", "until"))
    return Wanted(
        options.get("machine"), (status,) if status else (), since, until, options.get("error")
    )


def _instant(option: str, text: str | None, now: float) -> float | None:
    """Epoch seconds of "30m" (ago), or of an ISO 8601 date or time, which is local without a
    zone.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text.strip()):
        return now - float(ago[1]) * _SECONDS[ago[2].lower()]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text}: not a time: use 30m, 2h or 7d (ago), 2026-11-28, or "
            "2026-11-28T11:24:08+01:00"
        ) from None


async def executions(
    client: Client, wanted: Wanted, limit: int | None = None
) -> AsyncIterator[Mapping[str, Any]]:
    """ListExecutions' items that match, newest first; at most `limit`."""
    arn = None if wanted.machine is None else await lookup.machine_arn(client, wanted.machine)
    status = wanted.statuses[0] if len(wanted.statuses) == 1 else None
    left = limit
    batch: list[Mapping[str, Any]] = []
    async for each in client.executions(arn, status):
        if wanted.since is not None and each["startDate"] < wanted.since:
            break  # the others started earlier
        if not _matches(each, wanted):
            continue
        batch.append(each)
        if len(batch) < (SEVERAL if wanted.error is not None else 1):
            continue
        for match in await _with_error(client, batch, wanted.error):
            yield match
            left = None if left is None else left - 1
            if left == 0:
                return
        batch = []
    for match in (await _with_error(client, batch, wanted.error))[:left]:
        yield match


def _matches(item: Mapping[str, Any], wanted: Wanted) -> bool:
    if wanted.statuses and item["status"] not in wanted.statuses:
        return False
    if wanted.error is not None and item["status"] not in FAILED:
        return False
    return wanted.until is None or item["startDate"] <= wanted.until


async def _with_error(
    client: Client, items: list[Mapping[str, Any]], error: str | None
) -> list[Mapping[str, Any]]:
    """Those that ended with the error. Lists do not have it: each is described."""
    if error is None:
        return items
    described = await asyncio.gather(*(client.describe(each["executionArn"]) for each in items))
    return [item for item, each in zip(items, described, strict=True) if each.get("error") == error]
