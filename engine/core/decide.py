"""decide(): the entry point of the interpreter. Pure and total: the same arguments give the same
Decision, and nothing outside changes.

    event --> HANDLERS --> frames become ready --> state after state is entered until every frame
    waits or the unit's budget is used up

    run.py          the working state of one decide()
    states.py       what each type of state does; tasks.py, maps/: Task and Map
    transitions.py  how a state is entered, left, retried, caught or failed
    redrive.py      redrive
    events.py       Events, Commands    history.py  history events as AWS shows them
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.meter import Cancellation
from stepwell.asl.program import MAP, Program
from stepwell.engine import messages
from stepwell.engine.core import (
    events,
    model,
    redrive,
    states,
    tasks,
    transitions,
)
from stepwell.engine.core.events import Command, Decision, Event, RunTask
from stepwell.engine.core.history import CODES
from stepwell.engine.core.index import FEW
from stepwell.engine.core.maps import map_run, map_state
from stepwell.engine.core.model import Execution, Frame, Payload, Phase, copy_execution, copy_frame
from stepwell.engine.core.run import HistoryFullError, Run
from stepwell.engine.limits import DEFAULT_LIMITS, Limits

EXECUTION_STARTED: Final = CODES["ExecutionStarted"]
# an event or a frame takes as long to encode as so many bytes, besides its payloads
ITEM_BYTES: Final = 64


def _advance(run: Run) -> None:
    """Enter states, depth first, until nothing is ready or the budget is used up."""
    ready, frames, enter = run.ready, run.x.frames, states.ENTER
    running, ended = Phase.RUN, Phase.ENDED
    while (frame := ready.pop() if ready else run.next_postponed()) is not None:
        if frames.get(frame.id) is not frame:  # it was aborted in the meantime
            continue
        while frame.phase == running:
            if run.budget <= 0 or (run.evaluated and run.spent()):
                run.more = True
                return
            run.budget -= 1
            run.x.transitions += 1
            enter[frame.state.type](run, frame)
            if not run.x.frames:
                return
        if frame.phase == ended:
            states.join(run, frame)


def _start(run: Run, event: events.Start) -> None:
    x = run.x
    run.size += len(x.input.data)
    run.add(
        (EXECUTION_STARTED, 0, x.input, x.role_arn, x.extras.get("version"), x.extras.get("alias"))
    )
    computed = Payload(x.input.value)
    as_sent = computed.data == x.input.data
    raw, block = x.input if as_sent else computed, run.program.blocks[x.block]
    root = Frame(x.next_frame, 0, 0, block, raw, model.NO_VARIABLES, 0)
    run.spawn(root)
    if event.accept:
        run.more = True
        return
    run.ready.append(root)
    _advance(run)
    # the first state shows the input as it was sent, white space too
    if not as_sent and len(run.events) > 1:
        first = run.events[1]
        run.events[1] = (*first[:3], x.input)


def _continue(run: Run, event: events.Continue) -> None:
    run.older = run.indexed().ready
    _advance(run)


def _step(run: Run, event: events.Step) -> None:
    if event.frame not in run.x.frames:
        return
    frame = run.touch(event.frame)
    run.budget = int(frame.phase == Phase.RUN)
    if frame.phase in TIMERS:
        TIMERS[frame.phase](run, frame)
    if run.x.frames:
        run.ready.append(frame)
        _advance(run)


def _abort_map_runs(run: Run) -> None:
    """Before the execution is ended from outside, its Map Runs end, as far as the history has
    room.
    """
    for frame in run.x.frames.values():
        if frame.in_map_run and len(run.events) + 2 <= run.room:
            aborted = run.add((transitions.MAP_RUN_ABORTED, frame.prev))
            run.add((transitions.ABORTED[MAP], aborted))


def _tick(run: Run, event: events.Tick) -> None:
    """Fire all timers that are due, the earliest first. The execution's own deadline goes before
    others of the same time.
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
            _advance(run)
        else:
            return


def _fire(run: Run, event: events.Fire) -> None:
    frame = run.x.frames.get(event.frame)
    if frame is not None and frame.phase in model.SLEEPING and frame.due == event.due:
        frame = run.touch(event.frame)
        TIMERS[frame.phase](run, frame)
        run.ready.append(frame)
        _advance(run)


def _stop(run: Run, event: events.Stop) -> None:
    _abort_map_runs(run)
    run.close(model.ABORTED, 0, error=event.error, cause=event.cause)


def _redrive(run: Run, event: events.Redrive) -> None:
    redrive.reopen(run, event)
    _advance(run)
    _tick(run, events.Tick())  # attempts to repeat are due now


TIMERS: Final[dict[Phase, Callable[[Run, Frame], None]]] = {
    Phase.TIMER: states.wait_over,
    Phase.RETRY: states.retry_due,
    Phase.TASK: tasks.timed_out,
}


# by what the effect was: an attempt of a Task, or the reading or writing of a Map Run
EFFECT_SUCCEEDED: Final = {
    Phase.TASK: tasks.task_succeeded,
    Phase.READ: map_run.items_read,
    Phase.WRITE: map_run.results_written,
}
EFFECT_FAILED: Final = {
    Phase.TASK: tasks.task_failed,
    Phase.READ: map_run.call_failed,
    Phase.CHILDREN: map_run.call_failed,  # of a Map Run that reads on
    Phase.WRITE: map_run.call_failed,
}


def _by_phase(
    table: Mapping[Phase, Callable[[Run, Frame, Any], None]],
) -> Callable[[Run, Frame, Any], None]:
    return lambda run, frame, event: table[frame.phase](run, frame, event)


def _on_task(
    handle: Callable[[Run, Frame, Any], None], *phases: Phase
) -> Callable[[Run, Any], None]:
    """A handler of an event with (frame, seq), which ignores stale events."""

    def handler(run: Run, event: Any) -> None:
        frame = run.current(event.frame, event.seq, *phases)
        if frame is not None:
            handle(run, frame, event)
            if run.x.frames:
                run.ready.append(frame)
                _advance(run)

    return handler


HANDLERS: Final[dict[type, Callable[[Run, Any], None]]] = {
    events.Start: _start,
    events.Continue: _continue,
    events.Step: _step,
    events.Tick: _tick,
    events.Fire: _fire,
    events.Stop: _stop,
    events.TaskQueued: _on_task(tasks.task_queued, Phase.TASK),
    events.TaskBegan: _on_task(tasks.task_began, Phase.TASK),
    events.TaskStarted: _on_task(tasks.task_started, Phase.TASK),
    events.TaskSubmitted: _on_task(tasks.task_submitted, Phase.TASK),
    events.TaskSucceeded: _on_task(_by_phase(EFFECT_SUCCEEDED), *EFFECT_SUCCEEDED),
    events.TaskFailed: _on_task(_by_phase(EFFECT_FAILED), *EFFECT_FAILED),
    events.ItemsRead: _on_task(map_run.chunk_read, Phase.READ, Phase.CHILDREN),
    events.Heartbeat: _on_task(tasks.heartbeat, Phase.TASK),
    events.ChildClosed: _on_task(map_run.child_closed, Phase.CHILDREN),
    events.ChildrenClosed: _on_task(map_run.children_closed, Phase.CHILDREN),
    events.UpdateMapRun: _on_task(map_run.update, Phase.CHILDREN, Phase.READ, Phase.WRITE),
    events.Redrive: _redrive,
    events.ChildrenMocked: _on_task(map_state.children_mocked, Phase.CHILDREN),
}


def decide(
    program: Program,
    execution: Execution,
    event: Event,
    now: int,
    limits: Limits = DEFAULT_LIMITS,
    in_thread: bool | Cancellation = True,
    activities: Container[str] = frozenset(),
    time: Callable[[], float] | None = None,
) -> Decision:
    """The next durable step of an execution.

    now         ms, not before the one of the previous call
    in_thread   False: a long evaluation raises InlineBudgetError; call again in a thread, with True
                or a Cancellation
    activities  the ARNs of the activities that exist
    time        a clock in seconds: slow evaluations end the unit earlier. None: only counts bound
                units

    A stale event changes nothing, nor does one of a closed execution, except for a Redrive of a
    redrivable one: history and commands are empty.
    """
    run = Run(program, execution, now, limits, in_thread, activities, time)
    if (
        execution.status == model.RUNNING
        if type(event) is not events.Redrive
        else execution.snapshot is not None
    ):
        try:
            HANDLERS[type(event)](run, event)
        except HistoryFullError:
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
    first = run.base + 1
    return Decision(
        *(run.x, first, run.events, run.commands, more, run.failure, map_runs, run.touched, size),
        run.rows,
    )


def hold(decision: Decision, waiting: Container[tuple[int, int]]) -> Decision:
    """The same decision if some attempts, by (frame, seq), wait for a slot: their time limits begin
    with TaskBegan. So an attempt that never ran cannot time out, not even after a crash.
    """
    x = copy_execution(decision.execution)
    x.frames = x.frames.copy()
    commands: list[Command] = []
    for command in decision.commands:
        if isinstance(command, RunTask) and (command.frame, command.seq) in waiting:
            frame = x.frames.get(command.frame)
            if frame is not None and frame.seq == command.seq and frame.phase == Phase.TASK:
                frame = x.frames[frame.id] = copy_frame(frame)
                frame.due = frame.heartbeat_due = None
            command = command._replace(queued=True)
        commands.append(command)
    return decision._replace(execution=x, commands=commands)


def recover(execution: Execution) -> list[Command]:
    """The commands of a loaded execution whose outcome is unknown after a crash: its effects in
    flight, marked as `again`.
    """
    commands: list[Command] = []
    for frame in execution.frames.values():
        if frame.attempt is not None and not frame.attempt.handed_over:
            commands.append(tasks.task_command(frame, again=True))
        elif frame.in_map_run:
            commands.extend(map_run.recover(execution, frame))
    return commands
