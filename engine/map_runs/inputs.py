"""The inputs of children that begin: those of Map Runs with an ItemReader are rows of the store, of
which only a few are in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from stepwell.engine.core.events import StartChild
from stepwell.engine.core.model import Payload
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import Store, StoreFormatError

_ROWS: Final = 8  # in memory; children begin in the order of their slots, one row after the other

Place = tuple[int, int, int]
"""execution id, frame, seq of a Map Run"""


class Inputs:
    def __init__(self, store: Store, worker: Worker) -> None:
        self._store, self._worker = store, worker
        self._rows: OrderedDict[Place, tuple[int, Sequence[Payload]]] = OrderedDict()

    def known(self, live: Live, command: StartChild) -> Payload | None:
        """The input of a child, if it is in memory."""
        if command.payload is not None:
            return command.payload
        first, inputs = self._rows.get((live.x.id, command.frame, command.seq), (0, ()))
        place = command.slot - first
        return inputs[place] if 0 <= place < len(inputs) else None

    async def read(self, live: Live, command: StartChild) -> Payload | None:
        """The input of a child; None: its Map Run has ended, or its execution is parked because the
        row cannot be read.
        """
        payload, place = self.known(live, command), (live.x.id, command.frame, command.seq)
        if payload is not None:
            return payload
        try:
            row = await self._store.child_inputs(*place, command.slot)
        except StoreFormatError as error:
            if live.broken is None and self._worker.executions.awaits(*place):
                self._worker.park(live, error, None)
            return None
        self._rows[place] = row
        self._rows.move_to_end(place)
        if len(self._rows) > _ROWS:
            self._rows.popitem(last=False)
        return self.known(live, command)
