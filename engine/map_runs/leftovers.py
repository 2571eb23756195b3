"""The rows of children of large Map Runs that have ended: deleted a few at a time, since to free a
gigabyte in one transaction would hold up all others for seconds. (What a crash leaves of them is
deleted with its execution.)
"""

from __future__ import annotations

import asyncio
from collections import deque

from stepwell.engine.core.model import RUNNING
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs.inputs import Place
from stepwell.engine.store.base import Store, Unit
from stepwell.engine.store.child_rows import LARGE_RUN
from stepwell.engine.store.continuations import has_visit
from stepwell.engine.supervisor import Supervisor


class Leftovers:
    def __init__(self, store: Store, limits: Limits, supervisor: Supervisor) -> None:
        self._store, self._limits, self._supervisor = store, limits, supervisor
        self._places: deque[Place] = deque()

    def committed(self, unit: Unit) -> None:
        """A unit is durable."""
        x = unit.execution
        for run in unit.map_runs:
            if (
                run.status != RUNNING
                and sum(run.state.children) > LARGE_RUN
                and not has_visit(x, run.frame, run.seq)  # else a redrive needs them
            ):
                self._places.append((x.id, run.frame, run.seq))
                if len(self._places) == 1:
                    self._supervisor.start("child rows", self._delete)

    async def _delete(self) -> None:
        while self._places:
            if await self._store.delete_child_rows(*self._places[0], self._limits.child_rows):
                await asyncio.sleep(self._limits.child_rows_pause_seconds)
            else:
                self._places.popleft()
