"""decide(): the whole interpreter's one door. Pure and total: the same arguments give the same
Decision, and nothing outside changes.

    event --> HANDLERS --> frames become ready --> run() enters state after state until every frame
    waits or the unit's budget is used up

Where to look: what a state does states.py; what happens when something fails failure.py; Map Runs
map_run.py; going on after the end redrive.py; event shapes history.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from heapq import heappop
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.meter import Meter, Patience
from stepwell.asl.program import MAP, Program
from stepwell.engine import messages
from stepwell.engine.core import failure, map_run, model, redrive, states
from stepwell.engine.core.history import CODES
from stepwell.engine.core.index import FEW, Index
from stepwell.engine.core.model import (
    Command,
    Continue,
    Decision,
    Event,
    Execution,
    Frame,
    HistoryEvent,
    MapRun,
    Payload,
    Phase,
    RunTask,
    copy_execution,
    copy_frame,
)
from stepwell.engine.limits import DEFAULT_LIMITS, EXPRESS_HISTORY_EVENTS, Limits

EXECUTION_STARTED: Final = CODES["ExecutionStarted"]
CLOSING: Final = {
    model.SUCCEEDED: CODES["ExecutionSucceeded"],
    model.FAILED: CODES["ExecutionFailed"],
    model.ABORTED: CODES["ExecutionAborted"],
    model.TIMED_OUT: CODES["ExecutionTimedOut"],
}


ITEM_BYTES: Final = 64  # of an event or a frame, besides its payloads: as much work to encode


class HistoryFull(Exception):
    """The next event would be the last that a history may hold."""


class Run:
    """The working state of one decide(): the only mutable thing in the core, and it never leaves
    it.
    """

    __slots__ = (
        "program", "x", "now", "limits", "patient", "activities", "mark", "events", "base", "room",
        "commands", "ready", "later", "older",
        "budget", "more", "failure", "kept", "map_runs", "touched", "noted", "index", "time",
        "until", "meter",
        "evaluated", "size",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        execution: Execution,
        now: int,
        limits: Limits,
        patient: bool | Patience,
        activities: Container[str],
        time: Callable[[], float] | None,
    ) -> None:
        self.time, self.until = (
            time,
            0.0,
        )  # when the evaluations of this unit have taken long enough; 0: none has begun
        self.meter: Meter | None = None
        self.evaluated = False
        self.size = 0
        self.program, self.now, self.limits, self.patient, self.activities = (
            program,
            now,
            limits,
            patient,
            activities,
        )
        self.x = copy_execution(execution)
        self.x.frames = execution.frames.copy()
        self.x.surveyed = None
        self.index: Index | None = execution.index
        execution.index = self.x.index = None
        self.touched: list[int] = []
        self.noted = 0  # so many of them the index knows
        self.mark = object()
        self.base = execution.events
        self.room = (
            (EXPRESS_HISTORY_EVENTS if execution.express else limits.history_events)
            - 1
            - execution.events
        )
        self.events: list[HistoryEvent] = []
        self.commands: list[Command] = []
        self.ready: list[Frame] = []  # the last one goes first
        self.later: deque[Frame] | None = (
            None  # iterations that were started when others ended: after all that is ready
        )
        self.older: list[int] | None = (
            None  # a heap of ids: what was ready when the last unit ended, the lowest first
        )
        self.budget = limits.unit_transitions
        self.more = False
        self.failure: tuple[str | None, str | None] | None = None
        self.kept: dict[int, Frame] | None = (
            None  # while a failure goes upwards: the frames as they were before, see failure.keep
        )
        self.map_runs: dict[int, MapRun] | None = (
            None  # those that changed, by the id of their MapRunStarted
        )

    def begin(self) -> Meter:
        """An evaluation begins: what its paths may visit. On the event loop all evaluations of a
        unit share that, and its time.
        """
        self.evaluated = True
        if self.time is not None and not self.until:
            self.until = self.time() + self.limits.unit_seconds
        if self.patient:
            return Meter(self.limits.jsonpath_nodes, None if self.patient is True else self.patient)
        if self.meter is None:
            self.meter = Meter(self.limits.jsonpath_inline_nodes)
        return self.meter

    def late(self) -> bool:
        """Whether the evaluations of this unit have taken as long as they may hold the event
        loop.
        """
        return self.time is not None and self.time() >= self.until

    def spent(self) -> bool:
        """Whether what is ready is for the next unit."""
        if self.budget <= 0:
            return True
        low = self.meter is not None and 2 * self.meter.left < self.limits.jsonpath_inline_nodes
        return low or (self.evaluated and self.late())

    def add(self, event: HistoryEvent) -> int:
        """Write a history event; its id."""
        events = self.events
        if len(events) >= self.room:
            raise HistoryFull
        events.append(event)
        return self.base + len(events)

    def next_id(self) -> int:
        return self.base + len(self.events) + 1

    def touch(self, frame_id: int) -> Frame:
        """The frame, safe to change: copied the first time that this run asks for it."""
        self.touched.append(frame_id)
        frame = self.x.frames[frame_id]
        if frame.touched is not self.mark:
            frame = self.x.frames[frame_id] = copy_frame(frame)
            frame.touched = self.mark
        return frame

    def current(self, frame_id: int, seq: int, *phases: Phase) -> Frame | None:
        """The frame that a result is for, or None when the result is late, repeated or for an
        attempt given up.
        """
        frame = self.x.frames.get(frame_id)
        if frame is None or frame.seq != seq or frame.phase not in phases:
            return None
        return self.touch(frame_id)

    def spawn(self, frame: Frame) -> None:
        frame.touched = self.mark
        self.x.frames[frame.id] = frame
        self.x.next_frame = frame.id + 1
        self.touched.append(frame.id)
        if self.index is not None:
            self.index.spawn(frame)

    def drop(self, frame: Frame) -> None:
        """It is gone from the tree."""
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

    def give_up(self, frame: Frame) -> None:
        """Cancel what works for a frame: the effect of its task, or the children of its Map Run."""
        self.commands.append(model.CancelTask(frame.id, frame.seq))
        if frame.in_map_run:
            map_run.note(self, frame, model.ABORTED)

    def close(
        self,
        status: str,
        prev: int,
        output: Payload | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        """End the execution: the last event, no frames, every effect in flight cancelled; what a
        redrive needs is kept.
        """
        details: tuple[Any, ...] = (output,) if status == model.SUCCEEDED else (error, cause)
        self.events.append((CLOSING[status], prev, *details))
        for frame in self.x.frames.values():
            if frame.busy:
                self.give_up(frame)
        x = self.x
        if (
            status != model.SUCCEEDED
            and not x.express
            and self.base + len(self.events) < self.limits.history_events - 1
        ):
            x.kept = x.frames if self.kept is None else self.kept
        x.status, x.stopped, x.output, x.error, x.cause, x.frames, x.deadline = (
            status,
            self.now,
            output,
            error,
            cause,
            {},
            None,
        )
        self.index = self.later = self.older = None
        self.ready.clear()

    def postpone(self, frames: Iterable[Frame]) -> None:
        """Run them after all that is ready."""
        if self.later is None:
            self.later = deque()
        self.later.extend(frames)

    def _next(self) -> Frame | None:
        """The frame to run when no other is ready; None: there is none."""
        frames = self.x.frames
        while self.older:
            place = heappop(self.older)
            if place in frames and frames[place].ready:
                return self.touch(place)
        return self.later.popleft() if self.later else None

    def run(self) -> None:
        """Enter states, depth first, until nothing is ready or the budget is used up."""
        ready, frames, enter = self.ready, self.x.frames, states.ENTER
        while (frame := ready.pop() if ready else self._next()) is not None:
            if frames.get(frame.id) is not frame:  # it was aborted meanwhile
                continue
            while frame.phase == Phase.RUN:
                if self.budget <= 0 or (self.evaluated and self.spent()):
                    self.more = True
                    return
                self.budget -= 1
                self.x.transitions += 1
                enter[frame.state.type](self, frame)
                if not self.x.frames:
                    return


def _start(run: Run, event: model.Start) -> None:
    x = run.x
    run.size += len(x.input.data)
    run.add(
        (EXECUTION_STARTED, 0, x.input, x.role_arn, x.extras.get("version"), x.extras.get("alias"))
    )
    computed = Payload(x.input.value)
    root = Frame(
        x.next_frame,
        0,
        0,
        run.program.blocks[x.block],
        x.input if computed == x.input else computed,
        model.NO_VARIABLES,
        0,
    )
    run.spawn(root)
    if event.accept:
        run.more = True
        return
    run.ready.append(root)
    run.run()
    if (
        computed != x.input and len(run.events) > 1
    ):  # the first state shows the input as it was sent, white space too
        first = run.events[1]
        run.events[1] = (*first[:3], x.input)


def _continue(run: Run, event: Continue) -> None:
    run.older = run.indexed().ready
    run.run()


def _abort_map_runs(run: Run) -> None:
    """The execution is about to be ended from outside: its Map Runs end first, as far as the
    history has room.
    """
    for frame in run.x.frames.values():
        if frame.in_map_run and len(run.events) + 2 <= run.room:
            aborted = run.add((failure.MAP_RUN_ABORTED, frame.prev))
            run.add((failure.ABORTED[MAP], aborted))


def _tick(run: Run, event: model.Tick) -> None:
    """Fire everything due, the earliest first; the execution's own deadline ends it whatever else
    is due by then.
    """
    while run.x.frames:
        due = run.indexed().earliest(run.x.frames)
        deadline = run.x.deadline
        if deadline is not None and deadline <= run.now and (due is None or deadline <= due[0]):
            last = max((frame.prev for frame in run.x.frames.values()), default=0)
            _abort_map_runs(run)
            run.close(model.TIMED_OUT, last, error=asl_messages.TIMEOUT)
        elif due is not None and due[0] <= run.now and not run.spent():
            run.budget -= 1
            frame = run.touch(due[1])
            TIMERS[frame.phase](run, frame)
            run.ready.append(frame)
            run.run()
        else:
            return


def _stop(run: Run, event: model.Stop) -> None:
    _abort_map_runs(run)
    run.close(model.ABORTED, 0, error=event.error, cause=event.cause)


def _redrive(run: Run, event: model.Redrive) -> None:
    redrive.reopen(run, event)
    run.run()
    _tick(run, model.Tick())  # what is to be attempted again is due now


TIMERS: Final[dict[Phase, Callable[[Run, Frame], None]]] = {
    Phase.TIMER: states.wait_over,
    Phase.RETRY: states.try_again,
    Phase.TASK: failure.timed_out,
}


# what an effect that has ended was: an attempt of a Task, or a Map Run's reading or writing
SUCCEEDED: Final = {
    Phase.TASK: states.task_succeeded,
    Phase.READ: map_run.items_read,
    Phase.WRITE: map_run.results_written,
}
FAILED: Final = {
    Phase.TASK: failure.task_failed,
    Phase.READ: map_run.call_failed,
    Phase.WRITE: map_run.call_failed,
}


def _by_phase(
    table: Mapping[Phase, Callable[[Run, Frame, Any], None]],
) -> Callable[[Run, Frame, Any], None]:
    return lambda run, frame, event: table[frame.phase](run, frame, event)


def _on_task(
    handle: Callable[[Run, Frame, Any], None], *phases: Phase
) -> Callable[[Run, Any], None]:
    """A handler of an event that carries (frame, seq): stale ones fall through without a trace."""

    def handler(run: Run, event: Any) -> None:
        frame = run.current(event.frame, event.seq, *phases)
        if frame is not None:
            handle(run, frame, event)
            if run.x.frames:
                run.ready.append(frame)
                run.run()

    return handler


HANDLERS: Final[dict[type, Callable[[Run, Any], None]]] = {
    model.Start: _start,
    model.Continue: _continue,
    model.Tick: _tick,
    model.Stop: _stop,
    model.TaskQueued: _on_task(states.task_queued, Phase.TASK),
    model.TaskBegan: _on_task(states.task_began, Phase.TASK),
    model.TaskStarted: _on_task(states.task_started, Phase.TASK),
    model.TaskSubmitted: _on_task(states.task_submitted, Phase.TASK),
    model.TaskSucceeded: _on_task(_by_phase(SUCCEEDED), *SUCCEEDED),
    model.TaskFailed: _on_task(_by_phase(FAILED), *FAILED),
    model.Heartbeat: _on_task(states.heartbeat, Phase.TASK),
    model.ChildClosed: _on_task(map_run.child_closed, Phase.CHILDREN),
    model.UpdateMapRun: _on_task(map_run.update, Phase.CHILDREN, Phase.READ, Phase.WRITE),
    model.Redrive: _redrive,
    model.ChildrenMocked: _on_task(map_run.children_mocked, Phase.CHILDREN),
}


def decide(
    program: Program,
    execution: Execution,
    event: Event,
    now: int,
    limits: Limits = DEFAULT_LIMITS,
    patient: bool | Patience = True,
    activities: Container[str] = frozenset(),
    time: Callable[[], float] | None = None,
) -> Decision:
    """The next durable step of an execution.

    now         ms, never before the last one given
    patient     False: a long evaluation raises Impatient; call again with True or a Patience, off
                the event loop
    activities  the ARNs of the activities that exist
    time        seconds of any clock: evaluations that take long end the unit earlier. None: units
                are bounded by counts alone An event for a closed execution (but Redrive, if it is
                redrivable), or a stale one, changes nothing: history and commands are empty.
    """
    run = Run(program, execution, now, limits, patient, activities, time)
    if (
        execution.status == model.RUNNING
        if type(event) is not model.Redrive
        else execution.kept is not None
    ):
        try:
            HANDLERS[type(event)](run, event)
        except HistoryFull:
            cause = messages.HISTORY_LIMIT.format(limit=limits.history_events)
            run.close(
                model.FAILED, run.base + len(run.events), error=asl_messages.RUNTIME, cause=cause
            )
    run.x.events = run.base + len(run.events)
    map_runs = () if run.map_runs is None else tuple(run.map_runs.values())
    if len(run.x.frames) > FEW:
        index = run.x.index = run.indexed()
        earliest = index.earliest(run.x.frames)
        run.x.surveyed = (earliest and earliest[0], bool(index.awake))
    more = run.more and run.x.status == model.RUNNING
    size = run.size + ITEM_BYTES * (len(run.events) + len(run.touched))
    return Decision(
        run.x,
        run.base + 1,
        run.events,
        run.commands,
        more,
        run.failure,
        map_runs,
        run.touched,
        size,
    )


def hold(decision: Decision, late: Container[tuple[int, int]]) -> Decision:
    """The same decision where attempts, by (frame, seq), have to wait for a slot: their time limits
    begin with TaskBegan.

    So an attempt that never ran cannot time out, not even after a crash.
    """
    x = copy_execution(decision.execution)
    x.frames = x.frames.copy()
    commands: list[Command] = []
    for command in decision.commands:
        if isinstance(command, RunTask) and (command.frame, command.seq) in late:
            frame = x.frames.get(command.frame)
            if frame is not None and frame.seq == command.seq and frame.phase == Phase.TASK:
                frame = x.frames[frame.id] = copy_frame(frame)
                frame.due = frame.beat = None
            command = command._replace(queued=True)
        commands.append(command)
    return decision._replace(execution=x, commands=commands)


def recover(program: Program, execution: Execution) -> list[Command]:
    """The commands of a loaded execution that may not have been carried out: its effects in flight,
    marked as sent before.
    """
    commands: list[Command] = []
    for frame in execution.frames.values():
        if frame.phase == Phase.TASK and not frame.parked:
            commands.append(states.task_command(frame, again=True))
        elif frame.phase == Phase.CHILDREN and not frame.parked:
            commands.extend(map_run.commands(execution, frame))
        elif frame.phase in (Phase.READ, Phase.WRITE):
            commands.append(map_run.call_command(execution, frame, again=True))
    return commands
