"""Calls to the engines of other shards that must be answered: they are repeated until they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, TypeVar

from stepwell.engine.clock import sleep_until
from stepwell.integrations.host import Host, LostAnswerError, UnreachableError

log: Final = logging.getLogger("stepwell.cluster")

T = TypeVar("T")


async def until_answered(
    host: Host,
    call: Callable[[bool], Awaitable[T]],
    *,
    again: bool = False,
    waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    seconds: float | None = None,
    repeatable: bool = True,
) -> T:
    """The answer of a call, which is repeated after growing pauses.

    call     gets whether an earlier call may have been run: at first `again`
    waiting  around the pauses: TaskRequest.waiting of a task, which holds no slot then
    seconds  after which the call is not repeated any more; None: for as long as the caller waits
    repeatable  False: the call must not be run twice

    Raises what the call raises; UnreachableError and LostAnswerError only after `seconds`, or if
    the call must not be repeated.
    """
    limits, clock, failures = host.limits, host.clock, 0
    end = None if seconds is None else asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call(again)
        except (UnreachableError, LostAnswerError) as error:
            if isinstance(error, LostAnswerError) and not repeatable:
                raise
            if end is not None and asyncio.get_running_loop().time() >= end:
                raise
            again |= isinstance(error, LostAnswerError)
            pause = limits.peer_pause_seconds * 2.0 ** min(failures, 20)
            failures += 1
            log.info("a call to another shard failed %d times: %s", failures, error)
        async with waiting():
            longest = limits.peer_pause_most_seconds
            await sleep_until(clock, clock.now() + round(1000 * min(pause, longest)))
