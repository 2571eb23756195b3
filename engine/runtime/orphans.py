"""Children of Map Runs that are over: a crash came between the commit that ended the Map Run and
those that were to end them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.errors import ExecutionParked

if TYPE_CHECKING:
    from stepwell.engine.runtime.worker import Worker


async def end_orphans(worker: Worker) -> None:
    """Those that an earlier process left: the ones that sleep would go on when they wake."""
    after = (0, 0, 0)
    while page := await worker.store.map_runs_with_children(
        after, limit=worker.limits.recovery_page
    ):
        for family in page:
            if not worker.awaits(*family) and family[0] not in worker.parking.found:
                await end_children(worker, *family)
        after = page[-1]


async def end_children(worker: Worker, execution_id: int, frame: int, seq: int) -> None:
    """Of a Map Run that is over."""
    after = None
    while page := await worker.store.list_executions(
        None, model.RUNNING, after=after, parent=(execution_id, frame, seq)
    ):
        for row in page:
            await worker.room()
            with suppress(ExecutionParked):
                live = await worker.load(row.id)
                if (
                    live is not None
                ):  # it may have closed since it was listed: then this lets it leave memory
                    worker.submit(live, Stop(None, None))
        after = (page[-1].started, page[-1].id)
