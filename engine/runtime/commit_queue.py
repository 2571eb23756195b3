"""What is decided and waits to be committed."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from stepwell.engine.core.events import Command
from stepwell.engine.runtime.live import Live
from stepwell.engine.store.base import Unit, Writes, size_of
from stepwell.engine.tasks import Transaction
from stepwell.engine.turns import Turns


class Entry(NamedTuple):
    """What one transaction stores with others, and what follows it: commands to carry out, and a
    caller to answer.
    """

    live: Live | None
    unit: Unit | Writes | None
    commands: Sequence[Command | Transaction[Any]]
    answer: asyncio.Future[None] | None


class CommitQueue:
    """State machines take turns, so that one with thousands of units does not keep the others
    waiting.

    The units of an execution stay in order. What stores records overtakes nothing and is not
    overtaken: whoever wrote a record first, or noted what he saw in one, is committed first. count:
    as len(), without a call.
    """

    def __init__(self) -> None:
        self._parts: deque[Turns[Entry]] = deque()
        self._records = (
            False  # whether the last part has entries with records, which keep their order
        )
        self._new: deque[Entry] = (
            deque()
        )  # behind the parts, in order: no turns are needed when all fit into one transaction
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Entry]:
        for part in self._parts:
            yield from part
        yield from self._new

    def append(self, entry: Entry) -> None:
        self._new.append(entry)
        self.count += 1

    def take(self, most: int, size: int = sys.maxsize) -> list[Entry]:
        """The next ones: up to so many, and no more once they have that many bytes of payloads."""
        if (
            not self._parts
            and self.count <= most
            and sum([size_of(entry.unit) for entry in self._new]) <= size
        ):
            taken = list(self._new)
            self.clear()
            return taken
        while self._new:
            self._line_up(self._new.popleft())
        taken = []
        while self._parts and len(taken) < most and size > 0:
            part = self._parts[0]
            for _ in range(min(part.count, most - len(taken))):
                entry = part.take()
                taken.append(entry)
                size -= size_of(entry.unit)
                if size <= 0:
                    break
            if not part.count:
                self._parts.popleft()
        self.count -= len(taken)
        return taken

    def _line_up(self, entry: Entry) -> None:
        """Behind the others of its state machine."""
        records = entry.unit is not None and bool(entry.unit.writes)
        if not self._parts or records != self._records:
            self._parts.append(Turns())
            self._records = records
        self._parts[-1].put(
            "" if records or entry.live is None else entry.live.x.machine_arn, entry
        )

    def remove(self, live: Live) -> list[Entry]:
        """Take out all entries of an execution."""
        found: list[Entry] = []
        others: list[Entry] = []
        for entry in self:
            (found if entry.live is live else others).append(entry)
        self.clear()
        for entry in others:
            self.append(entry)
        return found

    def clear(self) -> None:
        self._parts.clear()
        self._new.clear()
        self.count = 0
