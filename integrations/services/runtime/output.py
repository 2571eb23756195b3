"""Writes the printed output of functions in a thread, so that no reader blocks the event loop."""

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
    """Writes texts in order. Texts that do not fit in the buffer are dropped, and counted.

    write  (name of a function, text); called in the thread, one call at a time; may block
    """

    def __init__(self, write: Callable[[str, str], None], limits: Limits) -> None:
        self._write, self._limit = write, limits.function_output_bytes
        self._waiting: deque[tuple[str, str]] = deque()
        self._changed = threading.Condition()
        self._bytes = self._dropped = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def __call__(self, name: str, text: str) -> None:
        with self._changed:
            if self._bytes >= self._limit or self._closed:
                self._dropped += len(text)
                return
            self._waiting.append((name, text))
            self._bytes += len(text)
            if self._thread is None:  # a daemon: a blocked write does not prevent the exit
                self._thread = threading.Thread(
                    target=self._run, name="stepwell-output", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    async def close(self) -> None:
        """Waits until all is written, for a limited time."""
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
                    "the output of %s cannot be written: %s: %s", name, type(error).__name__, error
                )
            with self._changed:
                self._bytes -= len(text)
