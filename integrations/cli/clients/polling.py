"""The events of an execution as they are committed, by the public API: GetExecutionHistory, asked
again and again. Works at every server, and beside the process that works on a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

FIRST_SECONDS: Final = 0.1  # between two requests, after events have come
LONGEST_SECONDS: Final = 2.0
GROWTH: Final = 1.5
PAGE: Final = 1000  # the most that the API takes
FEW: Final = 20  # events of a request that looks for new ones


class Calls(Protocol):
    async def call(self, operation: str, **arguments: Any) -> Any: ...


async def pages(
    operation: Callable[..., Awaitable[Any]], *arguments: Any, most: int = PAGE, **options: Any
) -> AsyncIterator[Any]:
    """The answers of an operation that lists something, page by page."""
    token: dict[str, str] = {}
    while True:
        page = await operation(*arguments, max_results=most, **options, **token)
        yield page
        if not page.get("nextToken"):
            return
        token = {"next_token": page["nextToken"]}


async def events(calls: Calls, arn: str, reverse: bool = False) -> AsyncIterator[Mapping[str, Any]]:
    """The whole history as it is now, read page by page."""
    asked: dict[str, Any] = {"execution_arn": arn, "reverse_order": reverse}
    async for page in pages(calls.call, "get_execution_history", **asked):
        for event in page["events"]:
            yield event


async def watch(calls: Calls, arn: str, after: int = 0) -> AsyncIterator[Mapping[str, Any]]:
    """The events after that id, and each one as it is committed, until the execution closes."""
    if not after:
        async for event in events(calls, arn):
            yield event
            after = event["id"]
    delay = FIRST_SECONDS
    while True:
        # asked before the events: those of an execution that has closed are then complete
        status = (await calls.call("describe_execution", execution_arn=arn))["status"]
        fresh = await _fresh(calls, arn, after)
        for event in fresh:
            yield event
        after = fresh[-1]["id"] if fresh else after
        if status != "RUNNING":
            return
        delay = FIRST_SECONDS if fresh else min(delay * GROWTH, LONGEST_SECONDS)
        await asyncio.sleep(delay)


async def _fresh(calls: Calls, arn: str, after: int) -> list[Mapping[str, Any]]:
    """The events after that id, oldest first: the API has no such parameter, so they are read from
    the end.
    """
    found: list[Mapping[str, Any]] = []
    asked: dict[str, Any] = {"execution_arn": arn, "reverse_order": True}
    async for page in pages(calls.call, "get_execution_history", most=FEW, **asked):
        found += [event for event in page["events"] if event["id"] > after]
        if page["events"] and page["events"][-1]["id"] <= after + 1:
            break
    return found[::-1]
