"""An event loop in a thread, started on first use, by which plain functions run coroutines: also
where a loop runs already (an async test, a notebook).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.runtime.pool import Pool

T = TypeVar("T")


def print_output(function: str, text: str) -> None:
    """What a function prints goes to standard error, where pytest captures it."""
    with suppress(OSError, ValueError):  # closed: not an error of the function
        sys.stderr.write(text)


class Background:
    """The loop and, so that functions stay warm from test to test, the pool of their processes.
    Without close() they end with this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[Pool], Coroutine[Any, Any, T]]) -> T:
        loop = self._started()
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "run() cannot be called from an async function that a workflow calls: use "
                "`await run_async()`"
            )

        async def begin() -> T:
            if self._pool is None:
                self._pool = Pool(DEFAULT_LIMITS, print_output)
            return await work(self._pool)

        future = asyncio.run_coroutine_threadsafe(begin(), loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # for KeyboardInterrupt
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="stepwell-testing", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """End the loop and the processes of functions. The next call starts another one."""
        with self._lock:
            loop, thread, pool = self._loop, self._thread, self._pool
            self._loop = self._thread = self._pool = None
        if loop is None or thread is None:
            return
        if pool is not None:
            asyncio.run_coroutine_threadsafe(pool.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


background: Final = Background()
"""That of this process."""
