"""Calls of S3 for streams of many calls: each may be repeated, and is, after a fault that passes.

await steady(host, "PutObject", {...}) -> its answer
BlockingCalls(host)("GetObject", {...}, 1024) -> its answer, in a thread
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from itertools import count
from typing import Any, Final

from stepwell.integrations.aws import messages as aws_messages
from stepwell.integrations.aws.calls import ServiceError, exchange
from stepwell.integrations.host import Host

_PASSING: Final = (0, 429, 500, 502, 503, 504)  # statuses; 0: it could not be called
_SLOW: Final = "RequestTimeout"  # 400: a part came too slowly
_REFUSED: Final = aws_messages.AWS_NOT_ALLOWED.format(service="s3")


async def steady(
    host: Host, operation: str, parameters: Mapping[str, Any], most_bytes: int | None = None
) -> dict[str, Any]:
    """Raises ServiceError, ApiError."""
    for attempt in count(1):
        try:
            answer, _ = await exchange(host, "s3", operation, parameters, most_bytes)
            return answer
        except ServiceError as error:
            passing = error.status in _PASSING or error.code == _SLOW
            passing = passing and error.message != _REFUSED
            if not passing or attempt >= host.limits.stream_attempts:
                raise
        await asyncio.sleep(host.limits.stream_pause_seconds * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


class BlockingCalls:
    """For one thread at a time: calls run on the event loop, and the thread waits. Created on the
    event loop; `close` there ends the call that a thread waits for, so that none waits for a loop
    that has stopped.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._pending: Future[dict[str, Any]] | None = None

    def __call__(
        self, operation: str, parameters: Mapping[str, Any], most_bytes: int | None
    ) -> dict[str, Any]:
        """Raises ServiceError, ApiError; CancelledError once this is closed."""
        if self._closed:
            raise CancelledError
        call = steady(self._host, operation, parameters, most_bytes)
        self._pending = asyncio.run_coroutine_threadsafe(call, self._loop)
        if self._closed:
            self._pending.cancel()
        answer, self._pending = self._pending.result(), None  # a block is not held
        return answer

    def close(self) -> None:
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()
