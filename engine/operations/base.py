"""What all operations of an engine share: its life, the programs and state machines in memory, who
waits for which commit.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, Final, NamedTuple, Self, TypeVar

from stepwell.asl.evaluation import Json
from stepwell.asl.program import Program, compile_machine
from stepwell.asl.resources import Resource
from stepwell.asl.validate import validate
from stepwell.engine import arns, messages
from stepwell.engine.arns import Home, MachineArn
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.core import model
from stepwell.engine.core.events import Start, StartChild
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.ids import uuids
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.once import Once
from stepwell.engine.operations.machine_parts import Target, target
from stepwell.engine.operations.paging import Pages
from stepwell.engine.runtime import execution_logs
from stepwell.engine.runtime.activity_queues import Activities
from stepwell.engine.runtime.deletions import Deletions
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.runtime.live import Live
from stepwell.engine.runtime.records import Records
from stepwell.engine.runtime.retention import Retention
from stepwell.engine.runtime.status_events import status_events
from stepwell.engine.runtime.waiters import Waiters
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import (
    DefinitionRow,
    ExecutionRow,
    MachineRow,
    Store,
    StoreFormat,
    Unit,
)
from stepwell.engine.store.opening import open_store
from stepwell.engine.supervisor import Supervisor
from stepwell.engine.tasks import Tasks, Transaction

T = TypeVar("T")

STANDARD: Final = "STANDARD"
EXPRESS: Final = "EXPRESS"


log: Final = logging.getLogger("stepwell.engine")


class NoTasks:
    """A registry that serves nothing."""

    on_status = None

    def connect(self, engine: Any) -> None: ...

    def resolve(self, resource: Resource) -> None:
        return None

    def known_text(self, text: str) -> None:
        return None

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> None:
        return None

    async def close(self) -> None:
        return None


class Started(NamedTuple):
    """What is kept of a running execution whose start is durable: without its payloads, since there
    may be many that sleep for long.
    """

    id: int
    machine_arn: str
    express: bool
    status: str = model.RUNNING


class Signal(asyncio.Event):
    """Set by the next commit of an execution."""

    watchers = 0


class Runtime(ABC):
    """The base of class Engine, and all that the topics of its operations need of each other."""

    def __init__(
        self,
        db: str | PathLike[str] = ":memory:",
        *,
        tasks: Tasks | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        limits: Limits = DEFAULT_LIMITS,
        region: str = "us-east-1",
        account: str = "123456789012",
        new_uuid: Callable[[], str] | None = None,
        log_sink: LogSink | None = None,
    ) -> None:
        tasks = tasks or NoTasks()
        self.home, self.limits, self.tasks, self._new_uuid = (
            Home(region, account),
            limits,
            tasks,
            new_uuid or uuids(),
        )
        self.clock, self.log_sink = clock or SystemClock(limits), log_sink
        self.store: Store = store or open_store(db, limits=limits)
        self.pages = Pages(self.store.secret, self.clock)
        self.activities = Activities(self)
        self._programs: OrderedDict[int, Program] = OrderedDict()
        self._stored_program = Once(self._compile_stored)
        self._compilers = asyncio.Semaphore(limits.compilers)
        self._machines: OrderedDict[str, MachineRow] = (
            OrderedDict()
        )  # this process alone writes them
        self._targets: dict[str, Target] = {}  # of those that are started by their own ARN
        self._machine_writes = 0
        self._stored_machine = Once(self._read_machine)
        self.machine_lock = asyncio.Lock()  # held while a state machine is read and written
        self.deletions = Deletions(self)
        self.supervisor = Supervisor(self.clock, limits, self._loops_end)
        self.retention = Retention(self)
        self._names: dict[
            str, Execution | Started
        ] = {}  # execution ARN -> as started, until closed
        self._recent: OrderedDict[str, Execution] = (
            OrderedDict()
        )  # closed not long ago, as committed
        self._waiters = Waiters()
        self._expected: dict[
            str, bool
        ] = {}  # names of synchronous Express executions that somebody will watch
        self._express: OrderedDict[str, Live] = OrderedDict()  # those that are watched
        self._signals: dict[int, Signal] = {}
        self.worker = Worker(
            self.store, self.clock, tasks, self.program, self.activities, self._start_child, limits
        )
        self.records = Records(self.store, self.worker)
        self.worker.on_commit, self.worker.on_failure = self._committed, self._failed
        self.worker.tells = self._status_changes
        self.on_open: list[
            Callable[[], Awaitable[object]]
        ] = []  # called when the store is open and nothing runs yet
        tasks.connect(self)

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open the store and go on with everything that it holds."""
        await self.store.open()
        try:
            await self.activities.open()
            await self.deletions.open()
            self.clock.raise_to(await self.store.clock())
            for each in self.on_open:
                await each()
            await self.worker.start()
            for arn in list(self.deletions.arns):
                await self.deletions.finish(arn)
            await self.retention.open()
        except BaseException:
            await self.store.close()
            raise
        return self

    async def close(self) -> None:
        """Stop: what was acknowledged is durable, effects in flight are sent again by the next
        open.
        """
        self.retention.close()
        await self.worker.close()
        await self.tasks.close()
        if self.log_sink is not None:
            await self.log_sink.close()
        await self.supervisor.close()
        await self.store.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- programs and state machines --------------------------------------------------------------

    def forget_machine(self, arn: str) -> None:
        """It was written: read it again."""
        self._machines.pop(arn, None)
        self._targets.pop(arn, None)
        self._machine_writes += 1

    async def _machine(self, arn: str) -> MachineRow:
        """A state machine by its own ARN; one with a version or alias is not found."""
        row = self._machines.get(arn)
        if row is not None:
            return row
        arns.read_machine(arn)
        return await self._stored_machine((arn, self._machine_writes))

    async def _read_machine(self, key: tuple[str, int]) -> MachineRow:
        arn, writes = key
        row = await self.store.machine(arn)
        if row is None:
            raise ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
        if writes == self._machine_writes:  # else it may be the one that was replaced meanwhile
            self._machines[arn] = row
        while len(self._machines) > self.limits.programs:
            self._targets.pop(self._machines.popitem(last=False)[0], None)
        return row

    async def _active(self, arn: str) -> MachineRow:
        row = await self._machine(arn)
        self._check_active(row.arn)
        return row

    def _check_active(self, arn: str) -> None:
        if arn in self.deletions.arns:
            raise ApiError("StateMachineDeleting", messages.MACHINE_DELETING.format(arn=arn))

    async def _target(self, arn: str) -> Target:
        """What a start by the ARN of a machine, a version or an alias leads to."""
        row = self._machines.get(arn)
        parts = MachineArn(arn) if row is not None else arns.read_machine(arn)
        if row is None:
            try:
                row = await self._machine(parts.machine)
            except ApiError:
                raise ApiError(
                    "StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn)
                ) from None
        self._check_active(row.arn)
        draw = 0 if parts.alias is None else int(self._new_uuid()[-12:], 16)
        found = target(row, parts.qualifier, draw)
        if found is None:
            raise ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
        if self._machines.get(arn) is row:
            self._targets[arn] = found
        return found

    def _keep(self, definition_id: int, program: Program) -> None:
        self._programs[definition_id] = program
        while len(self._programs) > self.limits.programs:
            self._programs.popitem(last=False)

    async def program(self, definition_id: int) -> Program:
        """The compiled definition that executions are pinned to."""
        program = self._programs.get(definition_id)
        if program is not None:
            return program
        return await self._stored_program(definition_id)

    async def _compile_stored(self, definition_id: int) -> Program:
        row = await self.store.definition(definition_id)
        assert row is not None, "a definition is kept as long as an execution is pinned to it"

        def work() -> Program:
            validation = validate(row.definition, row.type, self.limits, lambda resource: resource)
            if validation.definition is None:  # it was valid for the version that stored it
                faults = "; ".join(each.message for each in validation.errors)
                raise StoreFormat(
                    f"a definition of {row.machine_arn} is refused by this version: {faults}"
                )
            return compile_machine(validation.definition, self.limits, Payload)

        program = await self.apart(row.definition, work)
        self._keep(definition_id, program)
        return program

    async def apart(self, definition: str, work: Callable[[], T]) -> T:
        """What validates or compiles a definition: in a thread if it is long, so that the event
        loop is not held.
        """
        if len(definition) <= self.limits.definition_inline_chars:
            return work()
        async with self._compilers:
            return await asyncio.to_thread(work)

    # --- executions -------------------------------------------------------------------------------

    async def _begin(self, execution: Execution, program: Program) -> None:
        """Start it. Returns once that is durable, which the start of a synchronous Express
        execution never is.
        """
        durable = asyncio.get_running_loop().create_future()
        self.worker.submit(
            self.worker.adopt(execution, program), Start(accept=execution.express), durable
        )
        await durable

    def _begin_express(self, execution: Execution, program: Program, watched: bool = False) -> None:
        """Start a synchronous Express execution, of which nothing is stored. What is watched can be
        looked at by this process.
        """
        self.worker.check()
        execution.extras["sync"] = True
        live = self.worker.adopt(execution, program)
        if watched:
            live.kept, self._express[execution.arn] = deque(), live
            while len(self._express) > self.limits.express_kept:
                self._express.popitem(last=False)
        self.worker.submit(live, Start())

    def started(self) -> Iterable[Execution | Started]:
        """Those that this process started, and that have not closed."""
        return self._names.values()

    async def _row(self, arn: str) -> ExecutionRow | Execution:
        """Of an Express execution: if it is watched, or has closed just now."""
        found: ExecutionRow | Execution | None
        if arns.kind(arn, "execution", "express") == "express":
            live = self._express.get(arn)
            found = self._recent.get(arn) if live is None else live.shown
        else:
            found = self._recent.get(arn) or await self.store.describe(arn)
            found = (
                self._recent.get(arn) or found
            )  # what was read may be older than what was published since
        if found is None:
            raise ApiError("ExecutionDoesNotExist", messages.EXECUTION_UNKNOWN.format(arn=arn))
        return found

    async def _events(
        self, row: ExecutionRow | Execution, after: int, limit: int, reverse: bool
    ) -> list[Any]:
        if isinstance(row, ExecutionRow) or not row.express:
            return await self.store.history(row.id, after, limit, reverse)
        units = list(self._express[row.arn].kept or ()) if row.arn in self._express else []
        flat = [
            (unit.first + place, unit.at, event)
            for unit in units
            for place, event in enumerate(unit.history)
        ]
        if reverse:
            return [each for each in reversed(flat) if not after or each[0] < after][:limit]
        return [each for each in flat if each[0] > after][:limit]

    @abstractmethod
    async def _described(self, row: ExecutionRow | Execution) -> dict[str, Any]:
        """DescribeExecution's answer, with what the row alone does not tell: whether it can be
        redriven now, its Map Run.
        """

    @abstractmethod
    async def _start_child(self, parent: Execution, command: StartChild, program: Program) -> None:
        """Start a child of a Map Run, or find it started."""

    @abstractmethod
    async def _map_run_of(
        self, row: ExecutionRow | Execution, pinned: DefinitionRow
    ) -> dict[str, Any]:
        """What DescribeStateMachineForExecution says of the child of a Map Run beyond what it says
        of others; {} of those.
        """

    @abstractmethod
    async def _list_children(
        self,
        map_run_arn: str,
        status_filter: str | None,
        redrive_filter: str | None,
        max_results: int,
        next_token: str | None,
    ) -> dict[str, Any]:
        """list_executions' answer for a Map Run."""

    def _check_failure(self, error: str | None, cause: str | None) -> None:
        """Raises ApiError ValidationException if one of the two is too long."""
        for member, text, limit in (
            ("error", error, self.limits.error_chars),
            ("cause", cause, self.limits.cause_chars),
        ):
            if text is not None and len(text) > limit:
                raise ApiError(
                    "ValidationException",
                    messages.MEMBER_TOO_LONG.format(member=member, limit=limit),
                )

    # --- commits ----------------------------------------------------------------------------------

    @contextmanager
    def _watching(self, execution_id: int) -> Iterator[Signal]:
        """The signal of an execution's next commit, to be taken before one looks, so that none is
        missed.

        It is forgotten when the last of its watchers leaves.
        """
        signal = self._signals.get(execution_id)
        if signal is None:
            signal = self._signals[execution_id] = Signal()
        signal.watchers += 1
        try:
            yield signal
        finally:
            signal.watchers -= 1
            if not signal.watchers and self._signals.get(execution_id) is signal:
                del self._signals[execution_id]

    async def _changed(self, signal: Signal) -> None:
        """The next commit of an execution, or the failure of the store."""
        self.worker.check()
        await signal.wait()
        self.worker.check()

    def _loops_end(self, error: Exception) -> bool:
        """Whether background loops end: the engine is being closed, or the store has failed, which
        a loop may notice first.
        """
        try:
            self.worker.check()
        except StoreError:
            return True
        try:
            self.store.check()
        except StoreError as failure:
            self.worker.fail(failure)
            return True
        return False

    def _failed(self, error: BaseException, execution_id: int | None) -> None:
        """The store failed, or one execution is parked: nobody waits for what will not come."""
        self._waiters.fail(error, execution_id)
        for signal in self._signals.values():
            signal.set()
        self._signals.clear()
        if execution_id is None:
            self.activities.fail(error)

    def _committed(self, live: Live, unit: Unit) -> None:
        x = unit.execution
        if x.status != model.RUNNING:
            self._names.pop(x.arn, None)
            self._recent[x.arn] = x
            if len(self._recent) > self.limits.recent_executions:
                self._recent.popitem(last=False)
            self._waiters.ended(x)
        else:
            if x.extras and "redrives" in x.extras:
                self._recent.pop(x.arn, None)
            if type(self._names.get(x.arn)) is Execution:
                self._names[x.arn] = Started(x.id, x.machine_arn, x.express)
        self._signal(x.id)
        if self.deletions.arns:
            self.deletions.committed(live, unit)
        if x.extras and self.log_sink is not None and "logging" in x.extras:
            configuration: Any = x.extras["logging"]
            self._tell(
                self.log_sink.write, execution_logs.log_events(unit, configuration, self.limits)
            )

    def _status_changes(self, unit: Unit) -> Transaction[Any] | None:
        """What those who want to know of status changes store with them."""
        if (on_status := self.tasks.on_status) is None or not (
            events := status_events(unit, self.home, self.limits)
        ):
            return None
        try:
            return on_status(events)
        except Exception:
            log.exception("%r failed; the engine goes on", on_status)
            return None

    def forget_closed(self, before: int) -> None:
        """Those that stopped before that time are not to be had any more."""
        for arn in [
            arn for arn, x in self._recent.items() if x.stopped is not None and x.stopped < before
        ]:
            del self._recent[arn]

    def _tell(self, take: Callable[[Any], None], what: Any) -> None:
        """Hand something on to who must not hold up the engine: what he raises is his own."""
        try:
            take(what)
        except Exception:
            log.exception("%r failed; the engine goes on", take)

    def _signal(self, execution_id: int) -> None:
        signal = self._signals.pop(execution_id, None)
        if signal is not None:
            signal.set()
