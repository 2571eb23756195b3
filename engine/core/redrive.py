"""Redrive: a closed execution resumes where it failed, was stopped or timed out.

It starts from Execution.snapshot, the frames before the end unwound them. Every state that was
entered and not left begins again, with unused retriers and new time limits. Finished branches and
iterations stay finished.

    Task, Parallel, Map       the work is repeated without entering the state again: the next event
                              points to its ...StateEntered
    other types               entered again: the event points to what the state was entered from
    around a failed frame     a Parallel or Map waits for its children again; a Map Run redrives its
                              failed children
    States.DataLimitExceeded  the state of the top level begins again, with all of its branches and
                              iterations
"""

from __future__ import annotations

from typing import Final

from stepwell.asl import messages
from stepwell.engine.core import model, states
from stepwell.engine.core.events import Redrive
from stepwell.engine.core.history import CODES
from stepwell.engine.core.maps import map_run
from stepwell.engine.core.model import Frame, Phase
from stepwell.engine.core.run import Run

EXECUTION_REDRIVEN: Final = CODES["ExecutionRedriven"]


def reopen(run: Run, event: Redrive) -> None:
    """Make the execution run again: frames whose state is to be entered are ready, attempts are due
    now.
    """
    x, snapshot = run.x, run.x.snapshot or {}
    whole = event.whole or not snapshot
    repeat_top = x.status == model.FAILED and x.error == messages.DATA_LIMIT_EXCEEDED
    x.status, x.deadline = model.RUNNING, event.deadline
    x.stopped = x.error = x.cause = x.snapshot = None
    count = x.extras.get("redrives", 0) + 1
    x.extras = {**x.extras, **event.extras, "redrives": count, "redriven": run.now}
    redriven = run.add((EXECUTION_REDRIVEN, run.base, count))
    if whole:
        root = Frame(
            x.next_frame, 0, 0, run.program.blocks[x.block], x.input, model.NO_VARIABLES, redriven
        )
        run.spawn(root)
        run.ready.append(root)
        return
    for number in sorted(snapshot):
        frame = snapshot[number]
        parent = x.frames.get(frame.parent)
        if frame.parent and (parent is None or parent.phase != Phase.CHILDREN):
            continue  # its parent begins again, and starts it
        x.frames[number] = frame
        frame = run.touch(number)
        if repeat_top and not frame.parent:
            frame.phase = Phase.RETRY
        _resume(run, frame)
    run.ready.reverse()


def _resume(run: Run, frame: Frame) -> None:
    frame.retries, frame.due, frame.heartbeat_due = (), None, None
    if frame.phase in (Phase.CHILDREN, Phase.WRITE):
        if frame.in_map_run:
            map_run.redrive(run, frame)
    elif frame.phase == Phase.RUN:  # its state was not entered yet
        run.ready.append(frame)
    elif frame.state.type in states.ATTEMPT:
        frame.phase, frame.due, frame.prev = Phase.RETRY, run.now, frame.entered
        frame.attempt = frame.children = None
    else:
        frame.phase, frame.prev = Phase.RUN, frame.before or run.base + len(run.events)
        run.ready.append(frame)
