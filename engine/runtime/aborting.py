"""Stopping a parked execution (see parking.py), whatever can be read of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

from stepwell.asl.program import Program
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import CancelTask, Decision, Stop
from stepwell.engine.core.model import Execution, MapRun, Payload
from stepwell.engine.errors import ExecutionParkedError
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs.orphans import end_children
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import ExecutionRow

log: Final = logging.getLogger("stepwell.worker")

_NO_PROGRAM: Final = cast(Program, None)  # nothing of the execution is evaluated any more


async def abort(worker: Worker, row: ExecutionRow | Execution, stop: Stop) -> None:
    """Close a parked execution: durable when this returns. It can be redriven if its frames can be
    read.
    """
    known = worker.live.get(row.id)
    running = [
        each.run for each in await worker.store.map_runs(row.id) if each.run.status == model.RUNNING
    ]
    live = worker.live.get(row.id) or worker.adopt(_without_frames(row), _NO_PROGRAM)
    if known is not live and known is not None:
        return  # another caller was faster
    parked = live.broken = (
        live.broken
        or worker.parking.parked.get(row.id)
        or ExecutionParkedError(f"execution {row.arn} is parked")
    )
    if live.x.status != model.RUNNING:
        return
    decision = _last(live, stop, running, worker.clock.now(), worker.limits)
    live.backlog = live.cancellation = None
    live.more = False
    done = asyncio.get_running_loop().create_future()
    worker.close_parked(live, decision, done)
    await done
    log.warning("execution %s was stopped; it was parked: %s", row.arn, parked.__cause__ or parked)
    worker.parking.resumed(row.id)
    for run in running:
        worker.spawn(end_children(worker, row.id, run.frame, run.seq))


def _last(live: Live, stop: Stop, runs: list[MapRun], now: int, limits: Limits) -> Decision:
    """The last decision: that of any stop or, if that fails, one event."""
    if live.program is not _NO_PROGRAM:
        try:
            return decide(live.program, live.x, stop, now, limits, False)
        except Exception:
            log.exception("execution %s cannot be stopped in order", live.x.arn)
    commands = [CancelTask(frame.id, frame.seq) for frame in live.x.frames.values()]
    bare = model.copy_execution(live.x)
    bare.frames, bare.index, bare.surveyed = {}, None, None
    ended = [run._replace(status=model.ABORTED, stopped=now) for run in runs]
    return decide(_NO_PROGRAM, bare, stop, now, limits, False)._replace(
        commands=[*commands], map_runs=ended
    )


def _without_frames(row: ExecutionRow | Execution) -> Execution:
    """The execution as its row describes it, which is enough for its last event."""
    if isinstance(row, Execution):
        return row
    return Execution(
        row.id,
        row.uuid,
        row.arn,
        row.name,
        row.machine_arn,
        row.machine_name,
        row.role_arn,
        row.express,
        input=Payload({}),  # not stored again
        started=row.started,
        deadline=None,
        events=max(1, row.events),
        parent=row.parent,
        definition=row.definition,
        block=row.block,
        extras=row.extras.copy(),
    )
