"""The operation that changes a Map Run."""

from __future__ import annotations

import asyncio

from stepwell.engine import messages
from stepwell.engine.core.events import UpdateMapRun
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.reading.map_runs import MapRuns
from stepwell.engine.operations.results import EmptyOutput


class MapRunUpdates:
    """Changing the limits of a Map Run that runs."""

    def __init__(self, base: Base, map_runs: MapRuns) -> None:
        self._worker, self._limits, self._map_runs = base.worker, base.limits, map_runs

    async def update_map_run(
        self,
        map_run_arn: str,
        *,
        max_concurrency: int | None = None,
        tolerated_failure_percentage: float | None = None,
        tolerated_failure_count: int | None = None,
    ) -> EmptyOutput:
        """{} once it is durable. A lower concurrency stops no child; a lower tolerance may fail the
        Map Run. Raises ApiError ValidationException if the Map Run has ended.
        """
        row = await self._map_runs.row(map_run_arn)
        live = await self._worker.load(row.execution)
        frame = None if live is None else live.x.frames.get(row.run.frame)
        if live is None or frame is None or not frame.in_map_run or frame.seq != row.run.seq:
            if live is not None:
                self._worker.settle(live)
            completed = messages.MAP_RUN_COMPLETED.format(arn=map_run_arn)
            raise ApiError("ValidationException", completed, "CANNOT_UPDATE_COMPLETED_MAP_RUN")
        most = self._limits.map_run_concurrency
        concurrency = None if max_concurrency is None else min(max_concurrency or most, most)
        done = asyncio.get_running_loop().create_future()
        event = UpdateMapRun(
            frame.id, frame.seq, concurrency, tolerated_failure_count, tolerated_failure_percentage
        )
        self._worker.submit(live, event, done)
        await done
        return {}
