"""What the engine asks of a store, and the shapes of its rows.

    Unit --commit--> execution + history (+ continuation while it runs)

An execution is one row for what Describe shows, one row of history for each unit, and, while it
runs, its continuation: the tree of frames that the next decision starts from. Everything is read
back as of the last commit. A store that failed to commit is finished:
the memory of the process is ahead of the disk, so the worker drops it, opens the store again and
recovers.

    StoreError         of stepwell.engine.errors
    ├── StoreInUse     another process, or another store of this one, has the database open
    ├── StoreLost      the database is not ours any more: another owner has opened it, or its file
                       was deleted or replaced
    └── StoreFormat    the database is not ours, was written by a newer version, or is damaged
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.model import (
    ABORTED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TIMED_OUT,
    Execution,
    ExecutionExtras,
    MapRun,
)
from stepwell.engine.errors import StoreError

if TYPE_CHECKING:
    from stepwell.asl.program import Program

STATUSES = (RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED)
"""The place of a status is its stored code: append only."""


class StoreInUse(StoreError):
    """Somebody else has the database open for writing."""


class StoreLost(StoreError):
    """The database is not ours any more."""


class StoreFormat(StoreError):
    """The bytes are not what this version writes."""


NO_WRITES: Final[Mapping[str, bytes | None]] = {}


class Unit(NamedTuple):
    """One Decision, ready for the store.

    execution  as after the decision          first    id of history[0]
    at         ms: the time of all its events  created  the execution is new
    dropped    the execution is over and nothing is to be left of it: an asynchronous Express one,
               of which only the start was stored
    passing    of an Express execution: nothing of it is stored but its writes
    writes     records that its task stores with it: key -> bytes, None: deleted
    size       bytes that are to be encoded, about
    """

    execution: Execution
    first: int
    history: list[HistoryEvent]
    at: int
    created: bool
    dropped: bool = False
    map_runs: Sequence[MapRun] = ()
    writes: Mapping[str, bytes | None] = NO_WRITES
    passing: bool = False
    size: int = 0

    @property
    def stored(self) -> bool:
        """Whether it needs a commit."""
        return not self.passing or bool(self.writes)


class Writes(NamedTuple):
    """Records that are stored by themselves, in their place among the units. at: when, epoch ms of
    the engine's clock.
    """

    writes: Mapping[str, bytes | None]
    at: int = 0

    @property
    def stored(self) -> bool:
        return True


def size_of(unit: Unit | Writes | None) -> int:
    """Bytes that have to be encoded for it, about."""
    if unit is None:
        return 0
    size = unit.size if type(unit) is Unit else 0
    if unit.writes:  # few units have any
        size += sum(len(data) for data in unit.writes.values() if data is not None)
    return size


class ExecutionRow(NamedTuple):
    """The committed state of an execution, enough for DescribeExecution. Times are ms; input and
    output are JSON text as UTF-8.

    Lists leave out what is read from the history: there `input` and `output` are None.
    parent is (execution id, frame id, seq, index), as in Execution.
    """

    id: int
    uuid: str
    arn: str
    name: str
    machine_arn: str
    machine_name: str
    role_arn: str
    express: bool
    definition: int
    block: int
    status: str
    started: int
    stopped: int | None
    events: int
    error: str | None
    cause: str | None
    parent: tuple[int, int, int, int] | None
    extras: ExecutionExtras
    input: bytes | None = None
    output: bytes | None = None


class MapRunRow(NamedTuple):
    """A Map Run as of the last commit that changed it, and the execution that it is part of."""

    execution: int
    execution_arn: str
    machine_arn: str
    machine_name: str
    run: MapRun


class MachineRow(NamedTuple):
    """A state machine as of its last update.

    The revision is all that executions take from it: type, role, definition and configuration (a
    JSON object). `definition_id` is the store's and changes with the revision.
    """

    arn: str
    name: str
    type: str
    role_arn: str
    definition: str
    definition_id: int
    revision: str
    created: int
    updated: int
    status: str
    extras: dict[str, Json]
    configuration: dict[str, Json] = {}  # noqa: RUF012  # never changed


class DefinitionRow(NamedTuple):
    """One revision of a state machine, as long as the store knows an execution or a machine that
    uses it.
    """

    id: int
    machine_arn: str
    type: str
    role_arn: str
    revision: str
    created: int
    definition: str
    configuration: dict[str, Json] = {}  # noqa: RUF012  # never changed


class ActivityRow(NamedTuple):
    arn: str
    name: str
    created: int
    extras: dict[str, Json]


class Finding(NamedTuple):
    """A damaged value: the table and key of its row, what it belongs to, what is wrong with it, and
    what to do about it.
    """

    row: str
    owner: str
    fault: str
    advice: str


class Loaded(NamedTuple):
    """A continuation as read. `decode` needs the Program compiled from `definition`, and tells the
    store that the execution is live.

    It takes 10 us for each frame, and may run in any thread.
    """

    id: int
    definition: int
    decode: Callable[[Program], Execution]
    frames: int = 0


class Store(Protocol):
    """Every method raises StoreError. Ids and keys are the store's; `after` is the key of the last
    row of the page before.
    """

    async def open(self) -> None:
        """Migrate, recover, lock. Raises StoreInUse, StoreFormat."""

    async def close(self) -> None: ...

    @property
    def folder(self) -> Path | None:
        """Where services may keep files that belong to this database, such as unpacked code; None:
        nothing of it outlives the process.
        """

    def give_up(self) -> None:
        """Wait no longer for another program that has locked the database: what waits fails."""

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log as of the last commit; 0 if there is none."""

    def check(self) -> None:
        """Raises StoreError if nothing can be written any more."""

    def damage(
        self, record: Callable[[str, bytes], object] = lambda key, blob: None
    ) -> AsyncIterator[Finding]:
        """Reads every stored value once and yields the damaged ones. `record` is called with each
        record (key, bytes) and raises ValueError if the service that owns it cannot read it.
        """

    # executions

    def next_id(self) -> int:
        """An id for a new execution; ids grow and are not used again once committed, whatever is
        deleted.
        """

    async def records(
        self, prefix: str, after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]:
        """(key, bytes) of the records whose keys begin with a prefix and come after a key, in the
        order of the keys.
        """

    async def commit(self, units: Sequence[Unit | Writes]) -> Mapping[int, StoreError]:
        """All of the units in ONE durable transaction, or none. Units of one execution are in
        order.

        Answers with the executions that cannot be encoded, and why: nothing of their units was
        stored, and none may follow.

        Encodes before it first waits, or in a thread in the order of the calls, so two calls may
        overlap: they are applied in that order, and after a failure the later ones fail too. A
        cancelled call may have been applied.
        """

    async def load(self, execution_id: int) -> Loaded | None:
        """What an execution goes on from: one that runs, or a closed one that may be redriven. None
        if closed for good or unknown.
        """

    def forget(self, execution_id: int) -> None:
        """The worker keeps this execution in memory no longer: it will load it before its next
        unit.
        """

    async def parked(self) -> list[tuple[int, str, str]]:
        """(id, ARN, reason) of the running executions that are marked as parked."""

    async def park(self, execution_id: int, at: int, reason: str) -> None:
        """Mark an execution, if it exists."""

    async def unpark(self, execution_id: int) -> None: ...

    async def find(self, machine_arn: str, name: str) -> ExecutionRow | None:
        """The Standard execution of that name, open or closed. (Names of Express executions are not
        unique: they are never found.)
        """

    async def describe(self, execution_arn: str) -> ExecutionRow | None: ...

    async def row(self, execution_id: int) -> ExecutionRow | None:
        """What lists show of an execution, open or closed."""

    async def list_executions(
        self,
        machine_arn: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: tuple[int, int] | None = None,
        parent: tuple[int, int, int] | None = None,
        qualifier: str | None = None,
    ) -> list[ExecutionRow]:
        """Newest first. `after` is (started, id) of the last row seen.

        One of: machine_arn; parent (execution, frame, seq), which names a Map Run; qualifier, the
        ARN of a version or alias; or none.
        """

    async def history(
        self, execution_id: int, after_event: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[tuple[int, int, HistoryEvent]]:
        """(event id, ms, event) of up to `limit` events after that id; reverse: before that id,
        newest first (0: from the end).
        """

    async def waking(
        self, before: int, after: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> list[tuple[int, int]]:
        """(wake ms, execution id) with 0 < wake <= before, earliest first."""

    async def in_flight(self, after: int = 0, limit: int = 1000) -> list[int]:
        """Ids of executions that have effects in flight or work to do (wake = 0), in id order."""

    async def clock(self) -> int:
        """ms: the latest time of any committed unit; time must not go back behind it. 0 at
        first.
        """

    def secret(self) -> bytes:
        """A key of this database alone: made with it, and the same each time that it is opened."""

    async def map_run(self, uuid: str) -> MapRunRow | None: ...

    async def map_run_of(self, execution_id: int, frame: int, seq: int) -> MapRunRow | None: ...

    async def map_runs(
        self, execution_id: int, after: int = 0, limit: int = 100
    ) -> list[MapRunRow]:
        """The Map Runs of an execution, in the order of their starts; `after` is the MapRunStarted
        (state.event) of the last one seen.
        """

    async def map_runs_with_children(
        self, after: tuple[int, int, int] = (0, 0, 0), limit: int = 1000
    ) -> list[tuple[int, int, int]]:
        """(execution, frame, seq) of the Map Runs of which children run, in this order."""

    # retention

    async def delete_closed(
        self, before: int, limit: int = 100, spare: Collection[int] = ()
    ) -> int:
        """Delete up to `limit` executions that stopped before that time, with all that belongs to
        them. How many were deleted.

        `spare` are those that the worker has in memory: they may be about to be redriven. A unit
        handed to commit() later than this call finds them deleted: such an execution must not be
        redriven any more.
        """

    async def definition_ids(self) -> list[int]: ...

    async def definitions_used(self, first: int, end: int) -> set[int]:
        """Those that executions with first <= id < end are pinned to."""

    async def delete_definitions(self, definition_ids: Collection[int]) -> None: ...

    async def first_closed(self) -> int | None:
        """ms: when the execution stopped that is the longest closed."""

    # state machines and activities

    async def put_machine(
        self, row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None = None
    ) -> MachineRow:
        """Create or update. Gives the row back with its definition_id: a new one if its revision is
        new.

        `complete`, a pure function that may run in another thread, is given that row and makes the
        one to keep.
        """

    async def machine(self, arn: str) -> MachineRow | None: ...

    async def machines(
        self, after: str = "", limit: int = 100, status: str | None = None
    ) -> list[MachineRow]:
        """In the order of their ARNs."""

    async def count_machines(self) -> int: ...

    async def delete_machine(self, arn: str) -> bool:
        """Forget the machine; its executions and the definitions they are pinned to stay. False:
        there was none.
        """

    async def definition(self, definition_id: int) -> DefinitionRow | None: ...

    async def put_activity(self, row: ActivityRow) -> None: ...

    async def activity(self, arn: str) -> ActivityRow | None: ...

    async def activities(self, after: str = "", limit: int = 100) -> list[ActivityRow]:
        """In the order of their ARNs."""

    async def delete_activity(self, arn: str) -> bool: ...
