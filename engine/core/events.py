"""The input of decide(), an Event, and its output: a Decision with Commands.

`frame` and `seq` name an attempt of a task, or a Map Run. An event of an older attempt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepwell.asl.program import Block, State
from stepwell.asl.resources import Resource
from stepwell.engine.core.maps.rows import ChildRows
from stepwell.engine.core.model import Execution, ExecutionExtras, MapRun, Payload

# --- events: what happens to an execution ---------------------------------------------------------


class Start(NamedTuple):
    """The first event of every execution.

    accept  True: write ExecutionStarted only; a Continue enters the first state
    """

    accept: bool = False


class Continue(NamedTuple):
    """Run the frames that the previous unit left ready when its budget was used up."""


class Step(NamedTuple):
    """Advance one frame alone, by one state: enter its state, or fire its timer. A replay chooses
    the order of frames by it.
    """

    frame: int


class Tick(NamedTuple):
    """Time has passed: fire the timers that are due."""


class Fire(NamedTuple):
    """A Wait state or the delay of a retrier ends now, although it is due at `due`, ms."""

    frame: int
    due: int


class TaskQueued(NamedTuple):
    """An attempt has not begun: it waits for a process, a thread or a connection."""

    frame: int
    seq: int


class TaskBegan(NamedTuple):
    """An attempt that waited, for a slot or as TaskQueued says, begins."""

    frame: int
    seq: int


class TaskStarted(NamedTuple):
    """An activity worker took the task."""

    frame: int
    seq: int
    worker: str | None


class TaskSubmitted(NamedTuple):
    """The service accepted the call of a .sync or .waitForTaskToken task; its answer."""

    frame: int
    seq: int
    output: Payload
    also: Any = None  # stored in the same transaction unless the event is stale; not for the core


class TaskSucceeded(NamedTuple):
    """An attempt, an ItemReader or a ResultWriter succeeded.

    mocked  nothing was called: the events that come before the end are written with it
    """

    frame: int
    seq: int
    output: Payload
    also: Any = None  # as in TaskSubmitted
    mocked: bool = False


class ItemsRead(NamedTuple):
    """A chunk of the dataset of an ItemReader.

    keys    of the items of an object; None: of an array
    cursor  where the next chunk begins; None: all is read
    source  as the Context object shows it
    """

    frame: int
    seq: int
    items: Sequence[Payload]
    keys: Sequence[str] | None
    cursor: Payload | None
    source: str


class TaskFailed(NamedTuple):
    """An attempt, an ItemReader or a ResultWriter failed."""

    frame: int
    seq: int
    error: str | None
    cause: str | None
    runtime: bool = False  # States.Runtime without a TaskFailed event, such as a deleted activity
    mocked: bool = False  # as in TaskSucceeded


class Heartbeat(NamedTuple):
    """The holder of the task token is alive."""

    frame: int
    seq: int


class ChildClosed(NamedTuple):
    """A child execution of a Map Run has ended."""

    frame: int
    seq: int
    slot: int
    status: str
    output: Payload | None
    round: int = 0  # of the Map Run when the child was started or redriven last


class ChildrenClosed(NamedTuple):
    """Some children of one Map Run have ended."""

    frame: int
    seq: int
    reports: Sequence[ChildClosed]


class UpdateMapRun(NamedTuple):
    """New limits of a running Map Run; None: unchanged."""

    frame: int
    seq: int
    concurrency: int | None
    tolerated_count: int | None
    tolerated_percentage: float | None


class ChildrenMocked(NamedTuple):
    """TestState: the mocked result of the branches or iterations of a state, none of which ran.

    output    None: the state fails with error and cause
    failures  how many iterations of a Map failed
    """

    frame: int
    seq: int
    output: Payload | None
    error: str | None = None
    cause: str | None = None
    failures: int = 0


class Stop(NamedTuple):
    """StopExecution, or the end of the parent's Map Run."""

    error: str | None
    cause: str | None


class Redrive(NamedTuple):
    """Resume a closed execution where it failed.

    deadline  ms: its new time limit
    extras    added to Execution.extras
    whole     begin again at the first state
    """

    deadline: int | None
    extras: ExecutionExtras
    whole: bool = False


Event = (
    Start
    | Continue
    | Step
    | Tick
    | Fire
    | TaskQueued
    | TaskBegan
    | TaskStarted
    | TaskSubmitted
    | TaskSucceeded
    | ItemsRead
    | TaskFailed
    | Heartbeat
    | ChildClosed
    | ChildrenClosed
    | ChildrenMocked
    | UpdateMapRun
    | Stop
    | Redrive
)

# --- commands: what the core asks for -------------------------------------------------------------


class RunTask(NamedTuple):
    """Start the effect of a Task, or of a Map Run's ItemReader or ResultWriter."""

    frame: int
    seq: int
    state: State
    resource: Resource
    payload: Payload
    timeout: int | None
    heartbeat: int | None
    role: str | None  # Credentials.RoleArn
    again: bool = False  # after a crash: the effect may have happened before
    queued: bool = False  # no slot was reserved for it


class CancelTask(NamedTuple):
    """Cancel the effect of an attempt, or stop the children of a Map Run."""

    frame: int
    seq: int


class StartChild(NamedTuple):
    """Start the child execution `slot` of a Map Run, unless one of its name exists: redrive that if
    it failed in an earlier round. payload: None: it is a row (see model.ChildInputs).
    """

    frame: int
    seq: int
    slot: int
    block: Block
    label: str  # of the Map Run, as its children's ARNs show it
    payload: Payload | None
    express: bool
    round: int = 0  # of the Map Run: how often it was redriven
    items: int = 1  # in the payload: more than one in a batch
    again: bool = False  # after a crash: it may have been started before


Command = RunTask | CancelTask | StartChild
HistoryEvent = tuple[Any, ...]  # (type, previousEventId, *details): see history.py


class Decision(NamedTuple):
    """One durable step. `history` is numbered from `first`; it becomes visible, and `commands`
    start, only after the commit.

    more      frames are ready: send Continue
    failure   (error, cause) of the last failure in it, even if it is caught
    map_runs  the Map Runs that it changed
    touched   ids of the frames that it created, changed or ended; some occur more than once
    size      approximate bytes that a commit of it encodes
    rows      inputs and outputs of children of Map Runs, to be stored in its commit
    """

    execution: Execution
    first: int
    history: list[HistoryEvent]
    commands: list[Command]
    more: bool
    failure: tuple[str | None, str | None] | None = None
    map_runs: Sequence[MapRun] = ()
    touched: Sequence[int] = ()
    size: int = 0
    rows: Sequence[ChildRows] = ()
