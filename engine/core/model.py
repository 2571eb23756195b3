"""The state of an execution.  Theory first:

    decide(program, execution, event, now) -> Decision(execution, history, commands)

An Execution is a small tree of Frames: frame 1 for the top level, one for each live Parallel branch
and inline Map iteration. The tree is the whole continuation: resuming needs no replay. Each durable
step is one Decision: the new Execution, the history written by the step, and the Commands (effects)
to start once both are committed.

Times are integers, epoch milliseconds. Ids are counters. Nothing here reads a clock or draws a
random number.

A Frame belongs to one Execution value and is copied before it is changed, so an Execution that was
handed out never changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Block, State
from stepwell.engine.core.index import Index, survey

encode_json: Final = msgspec.json.Encoder().encode


_Slotted = TypeVar("_Slotted")


def _copier(kind: type[_Slotted]) -> Callable[[_Slotted], _Slotted]:
    """A function that copies an object with __slots__, slot by slot: written out, as dataclasses
    do, it is ten times as fast as a loop.
    """
    lines = "".join(f"    new.{name} = old.{name}\n" for name in kind.__slots__)  # type: ignore[attr-defined]
    scope: dict[str, Any] = {"make": kind.__new__, "kind": kind}
    exec(f"def copy(old):\n    new = make(kind)\n{lines}    return new\n", scope)
    copy: Callable[[_Slotted], _Slotted] = scope["copy"]
    return copy


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
    """The variables that a block sees: its own and those of the blocks around it. Immutable; Assign
    makes a new one.
    """

    __slots__ = ("payloads", "values", "size")

    def __init__(self, payloads: dict[str, Payload]) -> None:
        self.payloads = payloads
        self.values = {name: payload.value for name, payload in payloads.items()}
        self.size = sum(len(payload.data) for payload in payloads.values())


NO_VARIABLES: Final = Scope({})


class Phase(IntEnum):
    """Why a frame is not running."""

    RUN = 0  # it is: `state` is to be entered (a unit ended at its budget)
    TASK = 1  # an effect is in flight, or a callback or worker is awaited
    TIMER = 2  # a Wait state sleeps until `due`
    CHILDREN = 3  # a Parallel or Map waits for its branches, iterations or Map Run
    RETRY = 4  # a retrier's delay ends at `due`
    ENDED = 5  # its block has ended, and its parent is to take its output (never stored)
    READ = 6  # a Map Run waits for what its ItemReader finds
    WRITE = 7  # the children of a Map Run have ended, its ResultWriter has not


SLEEPING: Final = (Phase.TIMER, Phase.RETRY)


class Bounds(NamedTuple):
    """What a Map state was started with, and how far its Map Run is; kept in Frame.extra.

    children, items  how many of them are in each of CHILD_STATES
    closed           a bit set: children that have ended in this round or well, so that a repeated
                     report changes nothing
    reader, writer   what is asked of the ItemReader (while it is) and of the ResultWriter; None:
                     there is none
    """

    concurrency: int
    most_failed: int | None  # ToleratedFailureCount
    most_failed_percent: float | None  # ToleratedFailurePercentage
    label: str = ""  # of the Map state: Label, or one made from its machine and name
    uuid: str = ""
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
        """(children, items) in one of CHILD_STATES."""
        place = CHILD_STATES.index(status)
        return self.children[place], self.items[place]

    def moved(self, before: str, after: str, children: int, items: int) -> Bounds:
        """The same after so many children, with so many items, changed their status."""
        counted, weighed = list(self.children), list(self.items)
        for counts, number in ((counted, children), (weighed, items)):
            counts[CHILD_STATES.index(before)] -= number
            counts[CHILD_STATES.index(after)] += number
        return self._replace(children=tuple(counted), items=tuple(weighed))


STATE_DATA: Final = "STATE_DATA"  # where a Map Run without an ItemReader has its items from
RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
TIMED_OUT: Final = "TIMED_OUT"
ABORTED: Final = "ABORTED"
PENDING: Final = "PENDING"  # of children of a Map Run alone
PENDING_REDRIVE: Final = "PENDING_REDRIVE"
CHILD_STATES: Final = (PENDING, RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE)


class MapRun(NamedTuple):
    """A Map Run as DescribeMapRun shows it: what a decision made of it. (frame, seq) names it among
    those of its execution.
    """

    frame: int
    seq: int
    status: str
    stopped: int | None  # ms
    bounds: Bounds  # without `closed` and what follows it


class Frame:
    """One thread of control: where it stands, and what it needs to go on."""

    __slots__ = (
        "id",
        "parent",  # frame id, 0 for the top level
        "slot",  # branch or iteration index in the parent
        "block",  # the States block that it runs in
        "state",  # the State it stands at
        "phase",
        "seq",  # counts the attempts of this frame; a result that carries another seq is stale
        "due",  # ms: timer, retry or task timeout; None: never
        "beat",  # ms: heartbeat deadline; None: none
        "prev",  # id of the last event of this thread
        "entered",  # id of the state's ...StateEntered event
        "before",  # the previousEventId of that event
        "entered_at",  # ms
        "raw",  # Payload: the state input
        "data",  # Payload: the effective input of the running Task, Parallel or Map
        "scope",  # Scope: variables as at state entry
        "retries",  # attempts used of each retrier of this visit, () before the first failure
        # (index, Payload, Payload of the key or None) of the innermost Map iteration, None outside
        "item",
        "items",  # Map: list of Payload still in use by index
        # Parallel, Map: [(slot, Payload)] in order of ending: only ever appended to, shared with
        # older values of the frame
        "results",
        # how many of `results` belong to this value of the frame; Task: 1 once TaskSubmitted is
        # written
        "done",
        "next_item",
        "live",  # children that have not ended
        "failures",  # Map Run: items whose child failed
        # TASK, CHILDREN: nothing is to be sent again after a crash (taken by a worker, or all in
        # this execution)
        "parked",
        "timeout",  # seconds or None: TimeoutSeconds of the running attempt
        "heartbeat",  # seconds or None
        "extra",  # Task: Payload of the credentials or None; Map: the Map's own limits as a tuple
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
    beat: int | None
    prev: int
    entered: int
    before: int
    entered_at: int
    raw: Payload
    data: Payload | None
    scope: Scope
    retries: tuple[int, ...]
    item: tuple[int, Payload, Payload | None] | None
    items: list[Payload] | None
    results: list[tuple[int, Payload]] | None
    done: int
    next_item: int
    live: int
    failures: int
    parked: bool
    timeout: int | None
    heartbeat: int | None
    extra: Any
    touched: object

    def __init__(
        self, id: int, parent: int, slot: int, block: Block, raw: Payload, scope: Scope, prev: int
    ) -> None:
        self.id, self.parent, self.slot, self.block, self.raw, self.scope, self.prev = (
            id,
            parent,
            slot,
            block,
            raw,
            scope,
            prev,
        )
        self.state = block.start
        self.phase = Phase.RUN
        self.seq = self.entered = self.before = self.entered_at = self.next_item = self.live = (
            self.failures
        ) = self.done = 0
        self.parked = False
        self.due = self.beat = self.timeout = self.heartbeat = None
        self.data = self.item = self.items = self.results = self.extra = self.touched = None
        self.retries = ()

    @property
    def ready(self) -> bool:
        """Its state is to be entered."""
        return self.phase == Phase.RUN

    @property
    def awake(self) -> bool:
        """It is ready, or something outside works for it that is to be begun again after a
        crash.
        """
        return self.phase == Phase.RUN or not (self.parked or self.phase in SLEEPING)

    @property
    def busy(self) -> bool:
        """Something outside works for it: the effect of a task, or a Map Run."""
        return self.phase == Phase.TASK or self.in_map_run

    @property
    def in_map_run(self) -> bool:
        """A Map Run goes on: it reads its items, has children, or writes its results."""
        return self.phase in (Phase.READ, Phase.WRITE) or (
            self.phase == Phase.CHILDREN and not self.parked
        )

    @property
    def queued(self) -> bool:
        """An attempt of a task waits for a slot, or for what it works with: its time limits have
        not begun.
        """
        if self.phase != Phase.TASK or self.parked:
            return False
        return (self.timeout is not None and self.due is None) or (
            self.heartbeat is not None and self.beat is None and self.calls_back
        )

    @property
    def timed(self) -> bool:
        """An attempt of a task has time limits, which run."""
        return (
            self.phase == Phase.TASK
            and not self.parked
            and not self.done
            and (self.due is not None or self.beat is not None)
        )

    @property
    def calls_back(self) -> bool:
        """It stands at a task that somebody answers by its token."""
        return self.state.resource is not None and self.state.resource.callback

    def put_result(self, slot: int, payload: Payload) -> None:
        """Note a child's output without changing older values of this frame, which share the
        list.
        """
        results = self.results or []
        if len(results) != self.done:
            results = results[: self.done]
        results.append((slot, payload))
        self.results, self.done = results, self.done + 1


copy_frame: Final = _copier(Frame)


@dataclass(slots=True)
class Execution:
    """A durable run of one Program. A value: decide() returns a new one.

    id         the store's key        arn, name, machine_arn, role_arn   as AWS shows them
    uuid       32 hex digits; the seed of everything random in the run
    started    ms                     deadline   ms: the execution's own time limit
    events     history events so far  transitions   states entered so far
    frames     live frames by id; empty once closed
    parent     (execution id, frame id, seq, index) of the Map Run or task that awaits the end, or
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
    block: int = (
        0  # index of the block that it runs: 0 = the machine, else the ItemProcessor of a Map Run
    )
    extras: dict[str, Json] = field(
        default_factory=dict
    )  # version, alias, redrives, ...: see the operations that set them
    kept: dict[int, Frame] | None = (
        None  # closed and redrivable: the frames as they stood before the end unwound them
    )
    index: Index | None = field(
        default=None, compare=False, repr=False
    )  # of many frames; decide() moves it to the next value
    surveyed: tuple[int | None, bool] | None = field(
        default=None, compare=False, repr=False
    )  # see survey(); None: not asked for yet

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
        """When it next needs attention by itself: 0 = work or effects in flight, ms = earliest
        deadline, None = a callback only.
        """
        return 0 if self._survey()[1] else self.wake_at()


copy_execution: Final = _copier(Execution)
