"""The operations that stop an execution or wait for its end."""

from __future__ import annotations

import asyncio

from stepwell.engine import arns
from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.errors import ExecutionParkedError
from stepwell.engine.observers.tracker import Started
from stepwell.engine.operations import payloads
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.results import DescribeExecutionOutput, StopExecutionOutput
from stepwell.engine.runtime.aborting import abort
from stepwell.engine.store.blobs import scrub


class Ends:
    """Stopping and awaiting executions. Raises ApiError InvalidArn, ExecutionDoesNotExist."""

    def __init__(self, base: Base) -> None:
        self._clock, self._limits = base.clock, base.limits
        self._worker, self._tracker = base.worker, base.tracker

    async def stop_execution(
        self, execution_arn: str, *, error: str | None = None, cause: str | None = None
    ) -> StopExecutionOutput:
        """{"stopDate"} once the end is durable. Stopping a closed execution changes nothing."""
        arns.kind(execution_arn, "execution")
        payloads.check_failure(error, cause, self._limits)
        row = await self._tracker.row(execution_arn)
        stop = Stop(scrub(error), scrub(cause))
        try:
            live = await self._worker.load(row.id)
            if live is not None:
                done = asyncio.get_running_loop().create_future()
                self._worker.submit(live, stop, done)
                await done
        except ExecutionParkedError:
            await abort(self._worker, row, stop)
        row = await self._tracker.row(execution_arn)
        return {"stopDate": (row.stopped or self._clock.now()) / 1000}

    async def wait(
        self, execution_arn: str, timeout: float | None = None
    ) -> DescribeExecutionOutput:
        """describe_execution's answer once the execution has closed. Raises TimeoutError after
        `timeout` seconds, ExecutionParkedError, StoreError.
        """
        if timeout is None:
            return await self._ended(execution_arn)
        async with asyncio.timeout(timeout):
            return await self._ended(execution_arn)

    async def _ended(self, execution_arn: str) -> DescribeExecutionOutput:
        known = self._tracker.open.get(execution_arn)
        row = known or await self._tracker.row(execution_arn)
        self._worker.check()
        if not isinstance(row, Started) and row.status != model.RUNNING:
            return shapes.execution(row, self._limits)
        self._worker.executions.check(row.id)
        with self._tracker.waiters.of(row.id) as ended:
            # it may have closed, and been forgotten, while its row was read
            if known is None:
                again = await self._tracker.row(execution_arn)
                if again.status != model.RUNNING:
                    return shapes.execution(again, self._limits)
            return shapes.execution(await ended, self._limits)
