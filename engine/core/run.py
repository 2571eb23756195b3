"""Run: the working state of one decide(). The only mutable thing in the core, and it never leaves
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable
from heapq import heappop
from typing import Any, Final

from stepwell.asl.meter import Cancellation, Meter
from stepwell.asl.program import Program
from stepwell.engine.core import model
from stepwell.engine.core.events import CancelTask, Command, HistoryEvent
from stepwell.engine.core.history import CODES
from stepwell.engine.core.index import Index
from stepwell.engine.core.maps.rows import ChildRows
from stepwell.engine.core.model import (
    Execution,
    Frame,
    MapRun,
    Payload,
    Phase,
    copy_execution,
    copy_frame,
)
from stepwell.engine.limits import EXPRESS_HISTORY_EVENTS, Limits

CLOSING: Final = {
    model.SUCCEEDED: CODES["ExecutionSucceeded"],
    model.FAILED: CODES["ExecutionFailed"],
    model.ABORTED: CODES["ExecutionAborted"],
    model.TIMED_OUT: CODES["ExecutionTimedOut"],
}


class HistoryFullError(Exception):
    """The history has no room for another event before its last one."""


class Run:
    """What handlers of events read and change, until decide() makes the Decision of it.

    x            the new value of the execution
    base, room   id of the last event before this Run, and how many events may follow
    time, until  a clock in seconds, and when evaluations have taken as long as a unit may; until is
                 0 before the first evaluation
    mark         identifies the frames that this Run copied
    touched      ids of frames that were created, changed or dropped
    noted        how many of `touched` the index has seen
    ready        frames to run, the last one first
    older        a heap of ids: frames that the previous unit left ready; they run after `ready`
    later        iterations that were started when others ended; they run last
    snapshot     while a failure propagates: the frames before it, see snapshot_for_redrive()
    map_runs     those that changed, by the id of their MapRunStarted
    failure      (error, cause) of the last failure, even if it is caught
    size, rows   for Decision.size and Decision.rows
    """

    __slots__ = (
        "program", "x", "now", "limits", "in_thread", "activities", "mark", "events", "base",
        "room", "commands", "ready", "later", "older",
        "budget", "more", "failure", "snapshot", "map_runs", "touched", "noted", "index", "time",
        "until", "meter",
        "evaluated", "size", "rows",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        execution: Execution,
        now: int,
        limits: Limits,
        in_thread: bool | Cancellation,
        activities: Container[str],
        time: Callable[[], float] | None,
    ) -> None:
        self.program = program
        self.now = now
        self.limits = limits
        self.in_thread = in_thread
        self.activities = activities
        self.time = time
        self.until = 0.0
        self.meter: Meter | None = None
        self.evaluated = False
        self.size = 0
        self.x = copy_execution(execution)
        self.x.frames = execution.frames.copy()
        self.x.surveyed = None
        self.index: Index | None = execution.index
        execution.index = self.x.index = None
        self.touched: list[int] = []
        self.noted = 0
        self.mark = object()
        self.base = execution.events
        most = EXPRESS_HISTORY_EVENTS if execution.express else limits.history_events
        self.room = most - 1 - execution.events
        self.events: list[HistoryEvent] = []
        self.commands: list[Command] = []
        self.ready: list[Frame] = []
        self.later: deque[Frame] | None = None
        self.older: list[int] | None = None
        self.budget = limits.unit_transitions
        self.more = False
        self.failure: tuple[str | None, str | None] | None = None
        self.snapshot: dict[int, Frame] | None = None
        self.map_runs: dict[int, MapRun] | None = None
        self.rows: list[ChildRows] = []

    def begin_evaluation(self) -> Meter:
        """The meter of a new evaluation, which bounds the nodes that its paths visit. On the event
        loop, all evaluations of a unit share one meter, and the unit's time.
        """
        self.evaluated = True
        if self.time is not None and not self.until:
            self.until = self.time() + self.limits.unit_seconds
        if self.in_thread:
            cancellation = None if self.in_thread is True else self.in_thread
            return Meter(self.limits.jsonpath_nodes, cancellation)
        if self.meter is None:
            self.meter = Meter(self.limits.jsonpath_inline_nodes)
        return self.meter

    def late(self) -> bool:
        """Whether the evaluations of this unit have held the event loop as long as they may."""
        return self.time is not None and self.time() >= self.until

    def spent(self) -> bool:
        """Whether the unit's budget is used up, so that ready frames run in the next unit."""
        if self.budget <= 0:
            return True
        low = self.meter is not None and 2 * self.meter.left < self.limits.jsonpath_inline_nodes
        return low or (self.evaluated and self.late())

    def add(self, event: HistoryEvent) -> int:
        """Write a history event, and return its id. Raises HistoryFullError."""
        events = self.events
        if len(events) >= self.room:
            raise HistoryFullError
        events.append(event)
        return self.base + len(events)

    def next_id(self) -> int:
        """The id of the next history event."""
        return self.base + len(self.events) + 1

    def touch(self, frame_id: int) -> Frame:
        """The frame, safe to change: this Run copies it the first time."""
        self.touched.append(frame_id)
        frame = self.x.frames[frame_id]
        if frame.touched is not self.mark:
            frame = self.x.frames[frame_id] = copy_frame(frame)
            frame.touched = self.mark
        return frame

    def current(self, frame_id: int, seq: int, *phases: Phase) -> Frame | None:
        """The frame of a result; None if the result is late, repeated, or of an abandoned
        attempt.
        """
        frame = self.x.frames.get(frame_id)
        if frame is None or frame.seq != seq or frame.phase not in phases:
            return None
        return self.touch(frame_id)

    def spawn(self, frame: Frame) -> None:
        """Add a new frame to the tree."""
        frame.touched = self.mark
        self.x.frames[frame.id] = frame
        self.x.next_frame = frame.id + 1
        self.touched.append(frame.id)
        if self.index is not None:
            self.index.spawn(frame)

    def drop(self, frame: Frame) -> None:
        """Remove a frame from the tree."""
        del self.x.frames[frame.id]
        self.touched.append(frame.id)
        if self.index is not None:
            self.index.drop(frame)

    def indexed(self) -> Index:
        """The index, up to date."""
        if self.index is None:
            self.index = Index(self.x.frames)
        else:
            for frame_id in self.touched[self.noted :]:
                self.index.note(frame_id, self.x.frames.get(frame_id))
        self.noted = len(self.touched)
        return self.index

    def children(self, frame: Frame) -> list[Frame]:
        """The live branches or iterations, in the order in which they were started."""
        index = self.indexed() if self.index is None else self.index
        return [self.x.frames[each] for each in index.children.get(frame.id, ())]

    def cancel(self, frame: Frame) -> None:
        """Cancel the external work of a frame: its task's effect, or its Map Run's children."""
        self.commands.append(CancelTask(frame.id, frame.seq))
        if frame.in_map_run:
            self.note_map_run(frame, model.ABORTED)

    def note_map_run(self, frame: Frame, status: str = model.RUNNING) -> None:
        """Put a Map Run's new state into the Decision. ABORTED and FAILED abort its children."""
        state = frame.running_children.map_run
        if not state.uuid:
            return  # a state under test
        if status in (model.ABORTED, model.FAILED):
            state = state.moved(model.RUNNING, model.ABORTED, *state.counts(model.RUNNING))
        if self.map_runs is None:
            self.map_runs = {}
        stopped = None if status == model.RUNNING else self.now
        known = state._replace(closed=0, reader=None, writer=None)
        self.map_runs[state.event] = MapRun(frame.id, frame.seq, status, stopped, known)

    def close(
        self,
        status: str,
        prev: int,
        output: Payload | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        """End the execution: write the last event, cancel all effects, and drop the frames. A
        redrivable execution keeps a snapshot of them.
        """
        details: tuple[Any, ...] = (output,) if status == model.SUCCEEDED else (error, cause)
        self.events.append((CLOSING[status], prev, *details))
        for frame in self.x.frames.values():
            if frame.busy:
                self.cancel(frame)
        x = self.x
        if (
            status != model.SUCCEEDED
            and not x.express
            and self.base + len(self.events) < self.limits.history_events - 1
        ):
            x.snapshot = x.frames if self.snapshot is None else self.snapshot
        x.status, x.stopped, x.deadline = status, self.now, None
        x.output, x.error, x.cause = output, error, cause
        x.frames = {}
        self.index = self.later = self.older = None
        self.ready.clear()

    def postpone(self, frames: Iterable[Frame]) -> None:
        """Run these frames after all that are ready."""
        if self.later is None:
            self.later = deque()
        self.later.extend(frames)

    def next_postponed(self) -> Frame | None:
        """The frame to run when none of `ready` is left; None: there is none."""
        frames = self.x.frames
        while self.older:
            frame_id = heappop(self.older)
            if frame_id in frames and frames[frame_id].ready:
                return self.touch(frame_id)
        return self.later.popleft() if self.later else None
