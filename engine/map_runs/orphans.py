"""Orphans: children of Map Runs that have ended. A crash came between the commit that ended the Map
Run and those that end its children.
"""

from __future__ import annotations

from contextlib import suppress

from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.errors import ExecutionParkedError
from stepwell.engine.runtime.worker import Worker


async def end_orphans(worker: Worker) -> None:
    """End the orphans that an earlier process left: those that wait would resume when they wake."""
    after = (0, 0, 0)
    while page := await worker.store.map_runs_with_children(
        after, limit=worker.limits.recovery_page
    ):
        for family in page:
            if not worker.executions.awaits(*family) and family[0] not in worker.parking.parked:
                await end_children(worker, *family)
        after = page[-1]


async def end_children(worker: Worker, execution_id: int, frame: int, seq: int) -> None:
    """End the children of a Map Run that has ended."""
    after = None
    while page := await worker.store.list_executions(
        None, model.RUNNING, after=after, parent=(execution_id, frame, seq)
    ):
        for row in page:
            await worker.room()
            with suppress(ExecutionParkedError):
                live = await worker.load(row.id)
                if live is not None:
                    # if it has closed since it was listed, this lets it leave memory
                    worker.submit(live, Stop(None, None))
        after = (page[-1].started, page[-1].id)
