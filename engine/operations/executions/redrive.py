"""RedriveExecution: an execution that failed, was stopped or timed out resumes where it stopped."""

from __future__ import annotations

import asyncio

from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.events import Heartbeat, Redrive
from stepwell.engine.core.model import Execution, ExecutionExtras
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.reading.executions import Executions
from stepwell.engine.operations.results import RedriveExecutionOutput
from stepwell.engine.runtime.retention import Retention
from stepwell.engine.store.base import ExecutionRow


class Redrives:
    """Redriving executions."""

    def __init__(self, base: Base, executions: Executions, retention: Retention) -> None:
        self._clock, self._limits, self._executions = base.clock, base.limits, executions
        self._worker, self._tracker, self._retention = base.worker, base.tracker, retention

    async def redrive_execution(
        self, execution_arn: str, *, client_token: str | None = None
    ) -> RedriveExecutionOutput:
        """{"redriveDate"} once the redrive is durable. A repeated call with the same client token
        has the same answer and does nothing. Raises ApiError ExecutionNotRedrivable,
        ExecutionDoesNotExist.
        """
        arns.kind(execution_arn, "execution")
        self._worker.check()
        row = await self._tracker.row(execution_arn)
        if self._redriven_with(client_token, row) is None:
            reason = await self._executions.not_redrivable(row)
            if reason is not None:
                raise ApiError("ExecutionNotRedrivable", reason)
        await self._worker.admit(row.machine_arn)
        live = await self._worker.load(row.id)
        if live is None:
            status = (await self._tracker.row(execution_arn)).status
            raise ApiError("ExecutionNotRedrivable", messages.NOT_REDRIVABLE.format(status=status))
        x, again = live.x, self._redriven_with(client_token, live.x)
        if again is None and x.status == model.RUNNING:  # another caller was faster
            raise ApiError(
                "ExecutionNotRedrivable", messages.NOT_REDRIVABLE.format(status=x.status)
            )
        if again is None and self._retention.deletes(x):
            self._worker.settle(live)
            raise ApiError(
                "ExecutionDoesNotExist", messages.EXECUTION_UNKNOWN.format(arn=execution_arn)
            )
        done = asyncio.get_running_loop().create_future()
        if again is not None:
            # changes nothing, and is answered when all before it is durable
            self._worker.submit(live, Heartbeat(0, 0), done)
        else:
            seconds = min(
                live.program.timeout or self._limits.standard_seconds, self._limits.standard_seconds
            )
            event = Redrive(self._clock.now() + seconds * 1000, self._with_token(x, client_token))
            self._worker.submit(live, event, done)
            self._tracker.open[execution_arn] = live.x  # it has its name until it closes again
        await done
        at = live.x.extras["redriven"] if again is None else again
        return {"redriveDate": at / 1000}

    def _redriven_with(self, token: str | None, x: ExecutionRow | Execution) -> int | None:
        """ms: when this client token redrove the execution, if that was recently."""
        tokens = x.extras.get("tokens", ())
        latest = self._clock.now() - self._limits.redrive_token_seconds * 1000
        return next((at for known, at in tokens if known == token and at >= latest), None)

    def _with_token(self, x: Execution, token: str | None) -> ExecutionExtras:
        """The extras that remember the client tokens of redrives."""
        if token is None:
            return {}
        tokens = x.extras.get("tokens", [])
        return {"tokens": [*tokens, [token, self._clock.now()]][-self._limits.redrive_tokens :]}
