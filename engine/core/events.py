"""What goes into decide(), Events, and what comes out: a Decision with its Commands.

`frame` and `seq` name an attempt of a task, or a Map Run: an event of an older attempt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepwell.asl.program import Block, State
from stepwell.asl.resources import Resource
from stepwell.engine.core.model import Execution, ExecutionExtras, MapRun, Payload

# --- events: what happens to an execution ---------------------------------------------------------


class Start(NamedTuple):
    """The first event of every execution.

    accept  True: only note that it has started; the first state is entered by Continue
    """

    accept: bool = False


class Continue(NamedTuple):
    """A unit ended at its budget: go on."""


class Tick(NamedTuple):
    """Time has passed: fire what is due."""


class TaskQueued(NamedTuple):
    """The attempt of a task has not begun: it waits for a process, a thread or a connection."""

    frame: int
    seq: int


class TaskBegan(NamedTuple):
    """The attempt of a task has waited, for a slot or for one of those, and runs now."""

    frame: int
    seq: int


class TaskStarted(NamedTuple):
    """A worker took the activity task."""

    frame: int
    seq: int
    worker: str | None


class TaskSubmitted(NamedTuple):
    """The call behind a .sync or .waitForTaskToken task was accepted; its answer."""

    frame: int
    seq: int
    output: Payload
    # what is stored in the same transaction, if this counts: nothing for the core to look at
    also: Any = None


class TaskSucceeded(NamedTuple):
    frame: int
    seq: int
    output: Payload
    also: Any = None  # as above


class TaskFailed(NamedTuple):
    frame: int
    seq: int
    error: str | None
    cause: str | None
    runtime: bool = False  # States.Runtime without a TaskFailed event, such as a deleted activity


class Heartbeat(NamedTuple):
    frame: int
    seq: int


class ChildClosed(NamedTuple):
    """A child execution of a Map Run has ended."""

    frame: int
    seq: int
    slot: int
    status: str
    output: Payload | None
    round: int = 0  # of the Map Run, in which the child was started or redriven last


class UpdateMapRun(NamedTuple):
    """Other limits for a Map Run that goes on; None: as before."""

    frame: int
    seq: int
    concurrency: int | None
    tolerated_count: int | None
    tolerated_percentage: float | None


class ChildrenMocked(NamedTuple):
    """TestState: what the branches or iterations of a state, none of which was started, are said to
    have come to.

    output None: the state fails with error and cause       failures: how many of a Map's iterations
    failed
    """

    frame: int
    seq: int
    output: Payload | None
    error: str | None = None
    cause: str | None = None
    failures: int = 0


class Stop(NamedTuple):
    error: str | None
    cause: str | None


class Redrive(NamedTuple):
    """A closed execution goes on where it failed.

    deadline  ms: its new time limit      extras  what to note in Execution.extras
    whole     from the start, with nothing kept of what it did
    """

    deadline: int | None
    extras: ExecutionExtras
    whole: bool = False


Event = (
    Start
    | Continue
    | Tick
    | TaskQueued
    | TaskBegan
    | TaskStarted
    | TaskSubmitted
    | TaskSucceeded
    | TaskFailed
    | Heartbeat
    | ChildClosed
    | ChildrenMocked
    | UpdateMapRun
    | Stop
    | Redrive
)

# --- commands: what the core asks for -------------------------------------------------------------


class RunTask(NamedTuple):
    """Start the effect of a Task, or of a Map Run's ItemReader or ResultWriter.

    (frame, seq) names the attempt: a result that carries another seq is dropped.
    """

    frame: int
    seq: int
    state: State
    resource: Resource
    payload: Payload
    timeout: int | None
    heartbeat: int | None
    role: str | None  # Credentials.RoleArn
    again: bool = False  # after a crash: the effect may have happened
    queued: bool = False  # no slot was reserved for it


class CancelTask(NamedTuple):
    frame: int
    seq: int


class StartChild(NamedTuple):
    """Start (or find again, by its name) the child execution `slot` of a Map Run; redrive it if it
    failed in an earlier round.
    """

    frame: int
    seq: int
    slot: int
    block: Block
    label: str  # of the Map Run, as its children's ARNs show it
    payload: Payload
    express: bool
    round: int = 0  # of the Map Run: how often it was redriven
    items: int = 1  # that the payload holds: more than one in a batch
    again: bool = False  # after a crash: it may have been started before


Command = RunTask | CancelTask | StartChild
HistoryEvent = tuple[Any, ...]  # (type, previousEventId, *details): see history.py


class Decision(NamedTuple):
    """One durable step. `history` is numbered from `first`; it becomes visible, and `commands`
    start, only after the commit.

    map_runs  the Map Runs that it changed
    touched   ids of the frames that it made, changed or ended, some of them more than once
    size      bytes that are to be encoded for it, about
    """

    execution: Execution
    first: int
    history: list[HistoryEvent]
    commands: list[Command]
    more: bool  # frames are ready to run: send Continue
    failure: tuple[str | None, str | None] | None = (
        None  # error and cause of the last failure in it, whatever became of that
    )
    map_runs: Sequence[MapRun] = ()
    touched: Sequence[int] = ()
    size: int = 0
