"""What functions print, written by a thread: neither many lines nor a reader that is slow, or gone,
holds up the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from stepwell.integrations.limits import Limits

log: Final = logging.getLogger("stepwell.functions")

_CLOSE_SECONDS: Final = 5.0


class Printer:
    """Hands on (name of a function, text) in the order in which it came; what does not fit into the
    buffer is dropped, and counted.

    write  called in the thread, one call at a time; it may block
    """

    def __init__(self, write: Callable[[str, str], None], limits: Limits) -> None:
        self._write, self._most = write, limits.function_output_bytes
        self._waiting: deque[tuple[str, str]] = deque()
        self._changed = threading.Condition()
        self._bytes = self._dropped = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def __call__(self, name: str, text: str) -> None:
        with self._changed:
            if self._bytes >= self._most or self._closed:
                self._dropped += len(text)
                return
            self._waiting.append((name, text))
            self._bytes += len(text)
            if (
                self._thread is None
            ):  # a daemon: whoever cannot be written to does not hold up the end of the process
                self._thread = threading.Thread(
                    target=self._run, name="stepwell-output", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    async def close(self) -> None:
        """Once all is written, or that takes too long."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                name, text = self._waiting.popleft()
                dropped, self._dropped = self._dropped, 0
            try:
                self._write(name, text)
                if dropped:
                    self._write(
                        name, f"[{dropped} characters of the output of functions were dropped]\n"
                    )
            except Exception as error:
                log.error(
                    "what %s printed cannot be written: %s: %s", name, type(error).__name__, error
                )
            with self._changed:
                self._bytes -= len(text)
