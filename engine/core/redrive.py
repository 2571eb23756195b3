"""Redrive: a closed execution goes on where it failed, was stopped or ran out of time.

It starts from the frames as they stood before the end unwound them (Execution.kept): every state
that was entered and not left begins again, with fresh retriers and time limits, while finished
branches and iterations stay finished.

    Task, Parallel, Map      the work again, without entering the state again: what follows points
    to its ...StateEntered
    other types              entered again: what follows points to what the state was entered from
    around a failed frame    a Parallel or Map goes on waiting for its children; a Map Run has its
    failed children redriven States.DataLimitExceeded the state of the top level from its beginning,
    with all of its branches and iterations
"""

from __future__ import annotations

from typing import Final, Protocol

from stepwell.asl import messages
from stepwell.engine.core import map_run, model, states
from stepwell.engine.core.events import Redrive
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import ExecutionExtras, Frame, Phase
from stepwell.engine.core.run import Run

EXECUTION_REDRIVEN: Final = CODES["ExecutionRedriven"]


class _Redriven(Protocol):
    """An execution, or the row of one."""

    @property
    def extras(self) -> ExecutionExtras: ...


def count(x: _Redriven) -> int:
    """How often it was redriven."""
    return x.extras.get("redrives", 0)


def reopen(run: Run, event: Redrive) -> None:
    """Make the execution run again. Frames that are to be entered are ready, attempts are due
    now.
    """
    x, kept = run.x, run.x.kept or {}
    whole = event.whole or not kept
    afresh = x.status == model.FAILED and x.error == messages.DATA_LIMIT_EXCEEDED
    x.status, x.stopped, x.error, x.cause, x.kept, x.deadline = (
        model.RUNNING,
        None,
        None,
        None,
        None,
        event.deadline,
    )
    x.extras = {**x.extras, **event.extras, "redrives": count(x) + 1, "redriven": run.now}
    redriven = run.add((EXECUTION_REDRIVEN, run.base, count(x)))
    if whole:
        root = Frame(
            x.next_frame, 0, 0, run.program.blocks[x.block], x.input, model.NO_VARIABLES, redriven
        )
        run.spawn(root)
        run.ready.append(root)
        return
    for number in sorted(kept):
        frame = kept[number]
        around = x.frames.get(frame.parent)
        if frame.parent and (around is None or around.phase != Phase.CHILDREN):
            continue  # it is started anew with what is around it
        x.frames[number] = frame
        frame = run.touch(number)
        if afresh and not frame.parent:
            frame.phase = Phase.RETRY
        _again(run, frame)
    run.ready.reverse()


def _again(run: Run, frame: Frame) -> None:
    frame.retries, frame.due, frame.heartbeat_due = (), None, None
    if frame.phase in (Phase.CHILDREN, Phase.WRITE):
        if frame.in_map_run:
            map_run.redrive(run, frame)
    elif frame.phase == Phase.RUN:  # it had not been entered yet
        run.ready.append(frame)
    elif frame.state.type in states.ATTEMPT:
        frame.phase, frame.due, frame.prev = Phase.RETRY, run.now, frame.entered
        frame.attempt = frame.children = None
    else:
        frame.phase, frame.prev = Phase.RUN, frame.before or run.base + len(run.events)
        run.ready.append(frame)
