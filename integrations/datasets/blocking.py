"""Calls of one AWS service for threads: they run on the event loop, and a thread waits for each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from typing import Any

from stepwell.integrations.aws.calls import exchange
from stepwell.integrations.host import Host


class BlockingCalls:
    """For one thread at a time. Created on the event loop; `close` there ends the call that a
    thread waits for, so that none waits for a loop that has stopped.
    """

    def __init__(self, host: Host, service: str) -> None:
        self._host, self._service = host, service
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._pending: Future[tuple[dict[str, Any], Mapping[str, Any]]] | None = None

    def __call__(
        self, operation: str, parameters: Mapping[str, Any], most_bytes: int | None
    ) -> dict[str, Any]:
        """Raises ServiceError, ApiError; CancelledError once this is closed."""
        if self._closed:
            raise CancelledError
        call = exchange(self._host, self._service, operation, parameters, most_bytes)
        self._pending = asyncio.run_coroutine_threadsafe(call, self._loop)
        if self._closed:
            self._pending.cancel()
        answer, _ = self._pending.result()
        return answer

    def close(self) -> None:
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()
