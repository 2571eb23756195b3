"""The protocol of a store, and the shapes of its rows.

    Unit --commit--> execution + history (+ continuation while it runs)

An execution is one row for what Describe shows, one row of history for each unit, and, while it
runs, its continuation: the tree of frames that the next decision starts from. Reads return
committed rows. After a failed commit the memory of the process is ahead of the disk, so the worker
drops it, opens the store again and recovers.

    StoreError            of stepwell.engine.errors
    ├── StoreInUseError   another process, or another store of this process, owns the database
    ├── StoreLostError    this process no longer owns the database: another process has opened it,
    │                     or its file was deleted or replaced
    └── StoreFormatError  the database is another program's, a newer version's, or damaged
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.maps.rows import ChildRows
from stepwell.engine.core.model import (
    Execution,
    ExecutionExtras,
    MapRun,
    Payload,
)
from stepwell.engine.errors import StoreError
from stepwell.engine.search.attributes import Indexed, Stored
from stepwell.engine.search.wanted import Search
from stepwell.engine.sharding import Shard

if TYPE_CHECKING:
    from stepwell.asl.program import Program

LOADS_AT_ONCE: Final = 64  # executions that one read loads


class StoreInUseError(StoreError):
    """Another process or store has the database open for writing."""

    served = False  # by servers, which the text names


class StoreLostError(StoreError):
    """This process no longer owns the database."""


class StoreFormatError(StoreError):
    """The bytes are not what this version writes."""


NO_WRITES: Final[Mapping[str, bytes | None]] = {}


class Unit(NamedTuple):
    """One Decision, ready for the store.

    execution  as after the decision
    first      id of history[0]
    at         ms: the time of all its events
    created    the execution is new
    dropped    delete all rows of the execution: an asynchronous Express execution that has ended,
               of which only the start was stored
    passing    of an Express execution: only its writes are stored
    writes     records that its task stores with it: key -> bytes, None: delete
    size       about how many bytes are to be encoded
    rows       inputs and outputs of children of its Map Runs
    attributes by which searches find the execution
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
    rows: Sequence[ChildRows] = ()
    attributes: Sequence[Stored] = ()

    @property
    def stored(self) -> bool:
        """Whether the unit needs a commit."""
        return not self.passing or bool(self.writes)


class Writes(NamedTuple):
    """Records that are stored without a unit, in their order among the units.

    writes  key -> bytes, None: delete
    at      epoch ms of the engine's clock
    """

    writes: Mapping[str, bytes | None]
    at: int = 0

    @property
    def stored(self) -> bool:
        return True


def size_of(unit: Unit | Writes | None) -> int:
    """About how many bytes are to be encoded."""
    if unit is None:
        return 0
    size = unit.size if type(unit) is Unit else 0
    if unit.writes:  # few units have any
        size += sum(len(data) for data in unit.writes.values() if data is not None)
    return size


class ExecutionRow(NamedTuple):
    """The committed state of an execution, enough for DescribeExecution. Times are ms; input and
    output are JSON text as UTF-8.

    In lists `input` and `output` are None: they are read from the history.
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
    """A Map Run as of the last commit that changed it, and the execution that started it."""

    execution: int
    execution_arn: str
    machine_arn: str
    machine_name: str
    run: MapRun


class MachineRow(NamedTuple):
    """A state machine as of its last update.

    Executions use its revision: type, role, definition and configuration (a JSON object). The store
    assigns `definition_id`, a new one to each revision.
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
    configuration: dict[str, Json] = {}  # noqa: RUF012  # not mutated


class DefinitionRow(NamedTuple):
    """One revision of a state machine, kept while an execution or a machine uses it."""

    id: int
    machine_arn: str
    type: str
    role_arn: str
    revision: str
    created: int
    definition: str
    configuration: dict[str, Json] = {}  # noqa: RUF012  # not mutated


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
    """A continuation as read from the database.

    decode  takes the Program compiled from `definition` and marks the execution as live in the
            store; it may run in any thread, and takes about 10 us for each frame
    """

    id: int
    definition: int
    decode: Callable[[Program], Execution]
    frames: int = 0


class Health(NamedTuple):
    """Of the database itself, beyond what is stored. 0: it has no such thing.

    bytes             its size
    free_bytes        of it, what the next rows use before it grows
    dead_rows         versions of rows that nothing sees any more, until a vacuum frees their space
    snapshot_seconds  age of the oldest open transaction: no vacuum frees what died since
    standbys          synchronous standbys that are connected; None: not to be seen by this user
    """

    bytes: int
    free_bytes: int = 0
    dead_rows: int = 0
    snapshot_seconds: float = 0.0
    standbys: int | None = 0


class Store(Protocol):
    """Raises StoreError. It assigns ids; `after` is the key of the last row of the page before."""

    async def open(self) -> None:
        """Migrate, recover, lock. Raises StoreInUseError, StoreFormatError."""

    async def close(self) -> None: ...

    @property
    def shard(self) -> Shard:
        """What is written here: ids, names and the rows of executions, once the store is open.
        Reads by ARN or id, and lists, see all shards.
        """

    @property
    def folder(self) -> Path | None:
        """Where services may keep files that belong to this database, such as unpacked code; None
        for a database that ends with the process.
        """

    def give_up(self) -> None:
        """Stop waiting for another program's lock on the database: waiting calls fail."""

    @property
    def wal_bytes(self) -> int:
        """Size of the write-ahead log as of the last commit; 0 if there is none."""

    async def health(self) -> Health: ...

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

        Returns the executions that cannot be encoded, and why: none of their units was stored, and
        none may follow.

        Encodes before it first waits, or in a thread in the order of the calls, so two calls may
        overlap: they are applied in that order, and after a failure the later ones fail too. A
        cancelled call may have been applied.
        """

    async def load(self, execution_id: int) -> Loaded | None:
        """The continuation of an execution that runs, or is closed and may be redriven; else
        None.
        """

    async def load_all(self, execution_ids: Sequence[int]) -> list[Loaded | BaseException | None]:
        """load() of each, or its error: LOADS_AT_ONCE at most."""

    def forget(self, execution_id: int) -> None:
        """The execution has left the worker's memory; the worker loads it before its next unit."""

    async def parked(self) -> list[tuple[int, str, str]]:
        """(id, ARN, reason) of the running executions that are marked as parked."""

    async def park(self, execution_id: int, at: int, reason: str) -> None:
        """Mark an execution, if it exists."""

    async def unpark(self, execution_id: int) -> None: ...

    async def find(self, machine_arn: str, name: str) -> ExecutionRow | None:
        """The Standard execution of that name, open or closed. (Names of Express executions are not
        unique: the result is None.)
        """

    async def describe(self, execution_arn: str) -> ExecutionRow | None: ...

    async def describe_all(self, execution_arns: Sequence[str]) -> list[ExecutionRow | None]:
        """describe() of each, in one go."""

    async def taken(self, execution_arn: str) -> bool:
        """Whether a Standard execution with this ARN is stored, open or closed: as of a read that
        begins after the call.
        """

    async def row(self, execution_id: int) -> ExecutionRow | None:
        """The execution as lists show it, open or closed."""

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

    async def search(
        self, wanted: Search, limit: int = 100, after: tuple[int, int] | None = None
    ) -> tuple[list[ExecutionRow], tuple[int, int] | None]:
        """Up to `limit` executions without those of Map Runs, newest first; and where to go on,
        None at the end. It may find fewer before the end: it looks at `search_rows` at most.
        """

    async def index(self, entries: Sequence[Indexed]) -> set[int]:
        """Replace the attributes of executions, of any shard. Returns those that have ended or were
        redriven since they were read, and are left alone.
        """

    async def attributes(
        self, ids: Sequence[int], names: Sequence[str]
    ) -> Mapping[int, list[tuple[str, bytes]]]:
        """Those of executions, by their ids."""

    async def has_attribute(self, name: str) -> bool:
        """Whether any execution has it."""

    async def history(
        self, execution_id: int, after_event: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[tuple[int, int, HistoryEvent]]:
        """(event id, ms, event) of up to `limit` events after that id; reverse: before that id,
        newest first (0: from the end). Fewer where their payloads have more than
        `history_page_bytes`, but at least one.
        """

    async def waking(
        self, before: int, after: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> list[tuple[int, int]]:
        """(wake ms, execution id) with 0 < wake <= before, earliest first."""

    async def in_flight(self, after: int = 0, limit: int = 1000) -> list[int]:
        """Ids of executions that have effects in flight or work to do (wake = 0), in id order."""

    async def clock(self) -> int:
        """ms: the latest time of any committed unit, which time must not go back behind; 0 in a new
        database.
        """

    def secret(self) -> bytes:
        """A random key, created with the database."""

    async def map_run(self, uuid: str) -> MapRunRow | None: ...

    async def map_run_of(self, execution_id: int, frame: int, seq: int) -> MapRunRow | None: ...

    async def map_runs(
        self, execution_id: int, after: int = 0, limit: int = 100
    ) -> list[MapRunRow]:
        """The Map Runs of an execution, in the order of their starts; `after` is the MapRunStarted
        (state.event) of the last one seen.
        """

    async def child_inputs(
        self, execution_id: int, frame: int, seq: int, slot: int
    ) -> tuple[int, list[Payload]]:
        """(first slot, inputs) of the row that has the input of a child. Raises StoreFormatError
        if there is none.
        """

    async def child_outputs(
        self, execution_id: int, frame: int, seq: int, first: int, limit: int
    ) -> list[tuple[int, list[tuple[int, bytes]]]]:
        """(slot of the first, [(slot, JSON text), ...]) of up to `limit` rows of outputs that begin
        with slot `first` or a later one, in this order.
        """

    async def delete_child_rows(self, execution_id: int, frame: int, seq: int, limit: int) -> bool:
        """Delete up to `limit` rows of inputs and as many of outputs of a Map Run that has ended.
        Whether there were any.
        """

    async def map_runs_with_children(
        self, after: tuple[int, int, int] = (0, 0, 0), limit: int = 1000
    ) -> list[tuple[int, int, int]]:
        """(execution, frame, seq) of the Map Runs with running children, in this order."""

    # retention

    async def delete_closed(
        self, before: int, limit: int = 100, spare: Collection[int] = ()
    ) -> int:
        """Delete up to `limit` executions that stopped before that time, with all their rows.
        Returns how many were deleted.

        `spare` are the executions in the worker's memory, which may be about to be redriven. The
        others must not be redriven after this call.
        """

    async def definition_ids(self) -> list[int]: ...

    async def definitions_used(
        self, after: int = -1, limit: int = 1000
    ) -> tuple[set[int], int | None]:
        """The definitions that the next `limit` executions of all shards run, in the order of their
        ids; and the last id: None after the last execution.
        """

    async def delete_definitions(self, definition_ids: Collection[int]) -> None: ...

    async def first_closed(self) -> int | None:
        """ms: the earliest end of a closed execution."""

    # state machines and activities

    async def put_machine(
        self, row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None = None
    ) -> MachineRow:
        """Create or update a machine. Returns the row with its definition_id, a new one for a new
        revision.

        `complete`, a pure function that may run in another thread, maps that row to the row to
        store.
        """

    async def machine(self, arn: str) -> MachineRow | None: ...

    async def machines(
        self, after: str = "", limit: int = 100, status: str | None = None
    ) -> list[MachineRow]:
        """In the order of their ARNs."""

    async def count_machines(self) -> int: ...

    async def delete_machine(self, arn: str) -> bool:
        """Delete the machine; its executions and their definitions stay. False if there was
        none.
        """

    async def definition(self, definition_id: int) -> DefinitionRow | None: ...

    async def put_activity(self, row: ActivityRow) -> None: ...

    async def activity(self, arn: str) -> ActivityRow | None: ...

    async def activities(self, after: str = "", limit: int = 100) -> list[ActivityRow]:
        """In the order of their ARNs."""

    async def delete_activity(self, arn: str) -> bool: ...
