"""Destinations of execution logs: sinks for Engine(log_sink=...).

    StandardOutput()     each record as a line of JSON on standard output
    LogFile(path)        the same in a file, which is rotated by size (path.1, path.2 ...)
    LogGroups(folder)    one such file for each log group; a line is {"logStreamName", "timestamp",
                         "message"}, as in CloudWatch Logs' GetLogEvents
    parse(text)          the sink of an option: "-", a file, or a folder with a slash at its end

A sink buffers records on the event loop and writes them in a thread, all buffered ones at once. The
buffer is bounded: records that do not fit are dropped, and so are those that cannot be written.
Dropped records are counted and logged. Delivery is best effort: a crash loses the buffer.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from stepwell.asl.json_text import encode
from stepwell.engine.runtime.execution_logs import LogEvent
from stepwell.engine.supervisor import SetbackError, Supervisor
from stepwell.integrations import private_files
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

log: Final = logging.getLogger("stepwell.logs")

_NAME_CHARS: Final = 200


class Sink(ABC):
    """A bounded buffer, and the thread that writes it.

    written, dropped  number of records so far
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits, self.supervisor = limits, Supervisor(limits=limits)
        self.written = self.dropped = 0
        self._reported, self._failing = 0, False  # dropped records that were logged
        self._waiting: list[LogEvent] = []
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None

    def write(self, events: Sequence[LogEvent]) -> None:
        for event in events:
            if self._bytes >= self.limits.log_buffer_bytes:
                self.dropped += 1
            else:
                self._bytes += len(event.message)
                self._waiting.append(event)
        if self._waiting and self._writing is None:
            self._writing = self.supervisor.start("execution_logs", self._write)

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self.put, batch)
                self.written += len(batch)
                self._failing = False
            except Exception as error:  # the disk is full, or standard output is closed
                self.dropped += len(batch)
                if not self._failing:
                    self.supervisor.report(
                        "execution_logs",
                        SetbackError(f"{type(error).__name__}: {error}"),
                        "log records cannot be written",
                    )
                self._failing = True
            self._bytes = sum(len(event.message) for event in self._waiting)
        if self.dropped > self._reported:
            log.warning("%d log records were dropped so far", self.dropped)
            self._reported = self.dropped
        self._writing = None

    @abstractmethod
    def put(self, events: Sequence[LogEvent]) -> None:
        """Write events. Called in a thread, one call at a time. Raises OSError."""


class StandardOutput(Sink):
    def put(self, events: Sequence[LogEvent]) -> None:
        sys.stdout.buffer.write(b"".join(event.message + b"\n" for event in events))
        sys.stdout.buffer.flush()


class LogFile(Sink):
    def __init__(self, path: Path | str, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self.path = Path(path)

    def put(self, events: Sequence[LogEvent]) -> None:
        append(self.path, b"".join(event.message + b"\n" for event in events), self.limits)


class LogGroups(Sink):
    """The file of a log group is FOLDER/NAME.ndjson, with %2F for each slash of its name."""

    def __init__(self, folder: Path | str, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self.folder = Path(folder)

    def path(self, group: str) -> Path:
        name = quote(group, safe=" ")
        if len(name) > _NAME_CHARS:  # too long for the name of a file
            digest = hashlib.blake2b(group.encode(), digest_size=8).hexdigest()
            name = f"{name[:_NAME_CHARS]}-{digest}"
        return self.folder / f"{name}.ndjson"

    def put(self, events: Sequence[LogEvent]) -> None:
        groups: dict[str, list[bytes]] = {}
        for event in events:
            line = {
                "logStreamName": event.stream,
                "timestamp": event.timestamp,
                "message": event.message.decode(),
            }
            groups.setdefault(event.group, []).append(encode(line) + b"\n")
        for group, lines in groups.items():
            append(self.path(group), b"".join(lines), self.limits)


def append(path: Path, data: bytes, limits: Limits) -> None:
    """Append whole lines to a file. A file that would become too large is rotated first; the oldest
    of the rotated files is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size + len(data) > limits.log_file_bytes:
        for number in range(limits.log_files, 0, -1):
            older = path if number == 1 else Path(f"{path}.{number - 1}")
            if older.exists():
                private_files.restrict(str(older))
                os.replace(older, f"{path}.{number}")
    with open(path, "ab", opener=private_files.opener) as file:
        file.write(data)


def parse(text: str, limits: Limits = DEFAULT_LIMITS) -> Sink:
    """The sink of an option: "-" standard output, "FOLDER/" a file for each group, else a file."""
    if text == "-":
        return StandardOutput(limits)
    return LogGroups(text, limits) if text.endswith("/") else LogFile(text, limits)
