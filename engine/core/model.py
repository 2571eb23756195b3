"""The state of an execution. Theory first:

    decide(program, execution, event, now) -> Decision(execution, history, commands)

An Execution is a small tree of Frames: frame 1 for the top level, one for each live Parallel branch
and inline Map iteration. The tree is the whole continuation: resuming needs no replay. Each durable
step is one Decision: the new Execution, the history written by the step, and the Commands (effects)
to start once both are committed.

Times are epoch milliseconds, ids are counters. Nothing here reads a clock or draws a random number.

A Frame belongs to one value of an Execution and is copied before it is changed: an Execution that
decide() has returned never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple, TypedDict

import msgspec

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Block, State
from stepwell.engine.core.copying import copier
from stepwell.engine.core.index import Index, survey

encode_json: Final = msgspec.json.Encoder().encode


class Payload:
    """A JSON value and its text as UTF-8 bytes, made once and shared by identity: an unchanged
    value costs nothing to pass on.

    Raises JsonError for a value without JSON text: nested too deeply, or with half of a surrogate
    pair.
    """

    __slots__ = ("value", "data")

    def __init__(self, value: Json, data: bytes | None = None) -> None:
        if data is None:
            try:
                data = encode_json(value)
            except (RecursionError, UnicodeEncodeError):
                data = json_text.encode(value)
        self.value, self.data = value, data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"Payload({self.data[:80]!r})"


class Scope:
    """The variables that a block sees: its own and those of the blocks around it. Immutable: Assign
    creates a new one.
    """

    __slots__ = ("payloads", "values", "size")

    def __init__(self, payloads: dict[str, Payload]) -> None:
        self.payloads = payloads
        self.values = {name: payload.value for name, payload in payloads.items()}
        self.size = sum(len(payload.data) for payload in payloads.values())


NO_VARIABLES: Final = Scope({})


class Phase(IntEnum):
    """What a frame waits for. The numbers are stored."""

    RUN = 0  # nothing: `state` is to be entered (stored if a unit ended at its budget)
    TASK = 1  # an effect, a callback, or an activity worker
    TIMER = 2  # `due`, in a Wait state
    CHILDREN = 3  # the branches, iterations or Map Run of a Parallel or Map
    RETRY = 4  # `due`, the end of a retrier's delay
    ENDED = 5  # its parent, which is to take its output (never stored)
    READ = 6  # the ItemReader of its Map Run
    WRITE = 7  # the ResultWriter of its Map Run, whose children have ended


SLEEPING: Final = (Phase.TIMER, Phase.RETRY)
WITH_CHILDREN: Final = (Phase.CHILDREN, Phase.READ, Phase.WRITE)


class TaskAttempt(NamedTuple):
    """A running attempt of a Task.

    handed_over  an activity worker has it, or the holder of its task token: after a crash, nothing
                 is sent again
    submitted    its TaskSubmitted event is written
    """

    timeout: int | None = None  # seconds: TimeoutSeconds
    heartbeat: int | None = None  # seconds: HeartbeatSeconds
    role: str | None = None  # Credentials.RoleArn
    handed_over: bool = False
    submitted: bool = False
    number: int = 0  # attempts of its state before it, for a test case
    iteration_number: int = 0  # the same in its Map iteration


STATE_DATA: Final = "STATE_DATA"  # the source of the items of a Map Run without an ItemReader
RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
TIMED_OUT: Final = "TIMED_OUT"
ABORTED: Final = "ABORTED"
PENDING: Final = "PENDING"  # of children of a Map Run alone
PENDING_REDRIVE: Final = "PENDING_REDRIVE"
CHILD_STATUSES: Final = (PENDING, RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE)


class MapRunState(NamedTuple):
    """The limits of a running Map state, and the progress of its Map Run.

    children, items  how many of them have each of CHILD_STATUSES
    closed           of older versions, which had here what is in Children.open and succeeded
    reader, writer   input of the ItemReader (until all is read) and of the ResultWriter; None:
                     there is none
    """

    concurrency: int
    tolerated_count: int | None  # ToleratedFailureCount
    tolerated_percentage: float | None  # ToleratedFailurePercentage
    label: str = ""  # Label of the Map state, or one derived from its machine and name
    uuid: str = ""  # empty: there is no Map Run
    event: int = 0  # id of its MapRunStarted
    started: int = 0  # ms
    round: int = 0  # how often it was redriven
    redriven: int | None = None  # ms
    begun: int = 0  # children started in earlier rounds: those before this slot
    children: tuple[int, ...] = ()
    items: tuple[int, ...] = ()
    closed: int = 0
    reader: Payload | None = None
    writer: Payload | None = None

    def arn(self, machine_arn: str) -> str:
        """Of the Map Run."""
        return f"{machine_arn.replace(':stateMachine:', ':mapRun:', 1)}/{self.label}:{self.uuid}"

    def counts(self, status: str) -> tuple[int, int]:
        """(children, items) of one of CHILD_STATUSES."""
        place = CHILD_STATUSES.index(status)
        return self.children[place], self.items[place]

    def added(self, status: str, children: int, items: int) -> MapRunState:
        """The same with so many more children, with so many items, of a status."""
        place = CHILD_STATUSES.index(status)
        counts = list(self.children), list(self.items)
        for each, number in zip(counts, (children, items)):
            each[place] += number
        return self._replace(children=tuple(counts[0]), items=tuple(counts[1]))

    def moved(self, before: str, after: str, children: int, items: int) -> MapRunState:
        """The same after so many children, with so many items, changed their status."""
        return self.added(before, -children, -items).added(after, children, items)


class MapRun(NamedTuple):
    """A Map Run as DescribeMapRun shows it, after a decision. (frame, seq) names it among those of
    its execution.
    """

    frame: int
    seq: int
    status: str
    stopped: int | None  # ms
    state: MapRunState  # without `closed`, `reader` and `writer`


NO_MAP_RUN: Final = MapRunState(0, None, None)


class Stream(NamedTuple):
    """How far the dataset of an ItemReader is read. The inputs of the children are rows of the
    store.

    source    of the items, as the Context object shows it
    cursor    where the next chunk begins; None: all is read
    read      items so far
    children  so far
    asked     a chunk is being read
    rest      items that wait for others of their batch
    size      items of a child, other than of those in `sizes`, which have not succeeded
    """

    source: str
    cursor: Payload | None
    read: int = 0
    children: int = 0
    asked: bool = False
    rest: tuple[Payload, ...] = ()
    size: int = 1
    sizes: Mapping[int, int] = MappingProxyType({})


class Children:
    """What a Parallel or Map waits for: branches, iterations, or the children of a Map Run.

    live       those that have not ended
    results    [(slot, output)] in order of ending; a list that older values share, so that it is
               only ever appended to
    ended      how many of `results` belong to this value
    items      Map: inputs of the iterations, by slot; empty if an ItemReader reads them
    next_item  Map: the first slot that has not been started
    failures   Map Run: items whose child failed
    size       bytes of `results`; not stored
    open       Map Run: slots of the children that have not ended
    succeeded  Map Run: a bit set of the slots whose outputs are results or rows; not stored
    rows       Map Run: it has ChildInputs or ChildOutputs
    stream     Map Run: the dataset of its ItemReader
    """

    __slots__ = (
        "live", "results", "ended", "items", "next_item", "failures", "map_run",
        "size", "open", "succeeded", "rows", "stream",
    )  # fmt: skip

    def __init__(
        self, live: int, items: list[Payload] | None = None, map_run: MapRunState = NO_MAP_RUN
    ) -> None:
        self.live = live
        self.results: list[tuple[int, Payload]] = []
        self.ended = 0
        self.items = items or []
        self.next_item = 0
        self.failures = 0
        self.map_run = map_run
        self.size = 0
        self.open: frozenset[int] = frozenset()
        self.succeeded = 0
        self.rows = False
        self.stream: Stream | None = None

    @property
    def count(self) -> int:
        """How many iterations or children there are, as far as is known."""
        return len(self.items) if self.stream is None else self.stream.children

    @property
    def all_known(self) -> bool:
        """Whether all items are read."""
        return self.stream is None or self.stream.cursor is None

    def put(self, slot: int, output: Payload) -> None:
        """Note a child's output without changing older values, which share the list."""
        if len(self.results) != self.ended:
            self.results = self.results[: self.ended]
        self.results.append((slot, output))
        self.ended += 1
        self.size += len(output.data) + 1  # a comma

    def outputs(self) -> list[Payload]:
        """In slot order."""
        ended = sorted(self.results[: self.ended], key=lambda pair: pair[0])
        return [output for _, output in ended]


class Frame:
    """One thread of control: where it stands, and what it needs to resume."""

    __slots__ = (
        "id",
        "parent",  # frame id, 0 for the top level
        "slot",  # branch or iteration index in the parent
        "block",  # the States block that it runs in
        "state",  # the State it stands at
        "phase",
        "seq",  # counts the attempts of this frame; a result that carries another seq is stale
        "due",  # ms: timer, retry or task timeout; None: never
        "heartbeat_due",  # ms; None: never
        "prev",  # id of the last event of this thread
        "entered",  # id of the state's ...StateEntered event
        "before",  # the previousEventId of that event
        "entered_at",  # ms
        "raw",  # Payload: the state input
        "data",  # Payload: the effective input of the running Task or Map
        "scope",  # Scope: variables as at state entry
        "retries",  # attempts used of each retrier of this visit, () before the first failure
        # (index, Payload, Payload of the key or None) of the innermost Map iteration, None outside
        "item",
        "attempt",  # TaskAttempt in phase TASK, else None
        "children",  # Children in phases CHILDREN, READ and WRITE, else None
        "attempts",  # of each state in the Map iteration that it is the first frame of, or None
        "touched",  # the mark of the Run that made this copy, not stored
    )

    id: int
    parent: int
    slot: int
    block: Block
    state: State
    phase: Phase
    seq: int
    due: int | None
    heartbeat_due: int | None
    prev: int
    entered: int
    before: int
    entered_at: int
    raw: Payload
    data: Payload | None
    scope: Scope
    retries: tuple[int, ...]
    item: tuple[int, Payload, Payload | None] | None
    attempt: TaskAttempt | None
    attempts: dict[str, int] | None
    children: Children | None
    touched: object

    def __init__(
        self, id: int, parent: int, slot: int, block: Block, raw: Payload, scope: Scope, prev: int
    ) -> None:
        self.id = id
        self.parent = parent
        self.slot = slot
        self.block = block
        self.raw = raw
        self.scope = scope
        self.prev = prev
        self.state = block.start
        self.phase = Phase.RUN
        self.seq = self.entered = self.before = self.entered_at = 0
        self.due = self.heartbeat_due = None
        self.data = self.item = self.attempt = self.attempts = self.children = self.touched = None
        self.retries = ()

    @property
    def ready(self) -> bool:
        """Its state is to be entered."""
        return self.phase == Phase.RUN

    @property
    def awake(self) -> bool:
        """It is ready, or has external work that a crash would have to restart."""
        if self.phase == Phase.TASK:
            return self.attempt is None or not self.attempt.handed_over
        return self.phase == Phase.RUN or self.in_map_run

    @property
    def busy(self) -> bool:
        """It has external work: the effect of a task, or a Map Run."""
        return self.phase == Phase.TASK or self.in_map_run

    @property
    def in_map_run(self) -> bool:
        """Its Map Run reads items, has children, or writes results."""
        return (
            self.phase in WITH_CHILDREN
            and self.state.map is not None
            and self.state.map.distributed
        )

    @property
    def queued(self) -> bool:
        """Its attempt waits for a slot or another resource: its time limits have not begun."""
        attempt = self.attempt
        if attempt is None or attempt.handed_over:
            return False
        return (attempt.timeout is not None and self.due is None) or (
            attempt.heartbeat is not None and self.heartbeat_due is None and self.calls_back
        )

    @property
    def timed(self) -> bool:
        """Its attempt has time limits, and they have begun."""
        attempt = self.attempt
        return (
            attempt is not None
            and not attempt.handed_over
            and not attempt.submitted
            and (self.due is not None or self.heartbeat_due is not None)
        )

    @property
    def running_attempt(self) -> TaskAttempt:
        """Its attempt, in phase TASK."""
        assert self.attempt is not None
        return self.attempt

    @property
    def running_children(self) -> Children:
        """Its children, in a phase that has some."""
        assert self.children is not None
        return self.children

    @property
    def calls_back(self) -> bool:
        """Its task is completed by the holder of its task token."""
        return self.state.resource is not None and self.state.resource.callback


copy_frame: Final = copier(Frame, children=copier(Children))


class ExecutionExtras(TypedDict, total=False):
    """What only some executions have; stored as JSON."""

    version: str  # ARN of the version that was started
    alias: str  # ARN of the alias that was started
    trace: str  # X-Ray trace header
    logging: dict[str, Json]  # loggingConfiguration of the machine at the start
    sync: bool  # its caller waits for the end: StartSyncExecution, or a state under test
    case: str  # the test case that answers its tasks
    mocked: dict[str, list[dict[str, Json]]]  # results of whole states: see mocked_attempts.py
    search: str  # search attributes that a tag of the machine names
    attempts: dict[str, int]  # of each state, for its test case
    iteration: list[list[int]]  # of a child of a Map Run, for its test case: see mocked_attempts.py
    redrives: int
    redriven: int  # ms: the last redrive
    tokens: list[list[Json]]  # [client token, ms] of the latest redrives
    # of a child of a Map Run
    round: int  # in which it was started or redriven last; absent: 0
    items: int  # of its batch; absent: 1
    whole: bool  # the ResultWriter writes its description, not its output alone
    retried: int  # of a state under test: attempts before this one
    context: dict[str, Json] | None  # and the Context object, if its caller gives one


@dataclass(slots=True)
class Execution:
    """A durable run of one Program. A value: decide() returns a new one.

    id           the store's key
    uuid         32 hex digits; the seed of everything random in the run
    started      ms
    deadline     ms: the execution's own time limit
    events       history events so far
    transitions  states entered so far
    frames       live frames by id; empty once closed
    parent       (execution id, frame id, seq, index) of the Map Run or task that awaits the end, or
                 None
    """

    id: int
    uuid: str
    arn: str
    name: str
    machine_arn: str
    machine_name: str
    role_arn: str
    express: bool
    input: Payload  # as sent, white space too
    started: int
    deadline: int | None
    status: str = RUNNING
    events: int = 0
    transitions: int = 0
    next_frame: int = 1
    frames: dict[int, Frame] = field(default_factory=dict)
    stopped: int | None = None
    output: Payload | None = None
    error: str | None = None
    cause: str | None = None
    parent: tuple[int, int, int, int] | None = None
    definition: int = 0  # the store's id of the definition that it is pinned to
    block: int = 0  # index of the block that it runs: 0 the machine, else a Map Run's ItemProcessor
    extras: ExecutionExtras = field(default_factory=ExecutionExtras)
    # closed and redrivable: the frames before the end unwound them
    snapshot: dict[int, Frame] | None = None
    # of many frames; decide() moves it to the next value
    index: Index | None = field(default=None, compare=False, repr=False)
    # the result of survey(); None: not computed
    surveyed: tuple[int | None, bool] | None = field(default=None, compare=False, repr=False)

    def _survey(self) -> tuple[int | None, bool]:
        if self.surveyed is None:
            self.surveyed = survey(self.frames)
        return self.surveyed

    def wake_at(self) -> int | None:
        """The earliest deadline, ms; None: there is none."""
        at, deadline = self._survey()[0], self.deadline
        return at if deadline is None or (at is not None and at < deadline) else deadline

    @property
    def queued(self) -> bool:
        """An attempt of a task waits for a slot."""
        return any(frame.queued for frame in self.frames.values())

    def wake(self) -> int | None:
        """When the engine must next act on it: 0 = now or after a restart (it has ready frames or
        effects), ms = its earliest deadline, None = only when an event arrives.
        """
        return 0 if self._survey()[1] else self.wake_at()


copy_execution: Final = copier(Execution)
