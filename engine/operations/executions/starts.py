"""The operations that start executions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from stepwell.asl.program import MAP, PARALLEL, Program
from stepwell.engine import arns, messages
from stepwell.engine.arns import split_case
from stepwell.engine.core import model
from stepwell.engine.core.events import Start
from stepwell.engine.core.model import Execution, ExecutionExtras, Payload
from stepwell.engine.errors import ApiError, EngineError
from stepwell.engine.inputs import JsonInput
from stepwell.engine.machines import configuration
from stepwell.engine.machines.machine_parts import Target
from stepwell.engine.observers.trace_context import current_trace
from stepwell.engine.observers.tracker import Started
from stepwell.engine.operations import payloads
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.reading.base import EXPRESS, pinned
from stepwell.engine.operations.results import StartExecutionOutput, StartSyncExecutionOutput
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.store.blobs import scrub


class Starts:
    """Starting executions. Every operation raises ApiError: StateMachineDoesNotExist,
    StateMachineDeleting, InvalidName, InvalidExecutionInput, ThrottlingException ... A start by a
    name that belongs to another shard raises WrongShardError.

    time_held  a context in which a clock that skips time does not
    """

    def __init__(self, base: Base, time_held: Callable[[], AbstractContextManager[None]]) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._machines, self._programs, self._new_uuid = base.machines, base.programs, base.new_uuid
        self._worker, self._tracker = base.worker, base.tracker
        self._tasks, self._time_held = base.tasks, time_held

    async def start_execution(
        self,
        state_machine_arn: str,
        *,
        name: str | None = None,
        input: JsonInput = "{}",
        trace_header: str | None = None,
    ) -> StartExecutionOutput:
        """{"executionArn", "startDate"} once the start is durable. Idempotent while an execution of
        that name and input runs.

        name   a UUID if None
        input  JSON text, or a value
        """
        return await self._start(state_machine_arn, name, input, trace_header, self._worker.admit)

    async def start_nested_execution(
        self, state_machine_arn: str, *, name: str, input: str
    ) -> StartExecutionOutput:
        """start_execution() for a task: never throttled, since the slots of tasks already bound how
        many wait.
        """
        context = current_trace.get()
        trace_header = context.xray if context else None
        return await self._start(state_machine_arn, name, input, trace_header, self._worker.room)

    async def _start(
        self,
        state_machine_arn: str,
        name: str | None,
        input: JsonInput,
        trace_header: str | None,
        admitted: Callable[[str], Awaitable[None]],
    ) -> StartExecutionOutput:
        self._worker.check()
        target, case = await self._target(state_machine_arn)
        machines = self._machines
        payload = payloads.execution_input(input, self._limits)
        express = target.machine.type == EXPRESS
        named = name is not None
        name, arn = self._named_arn(target.machine.arn, name, express)
        program = self._programs.kept(target.definition)
        if program is None:
            program = await self._programs.program(target.definition)
        await admitted(target.machine.arn)
        if named and not express:
            # nothing is awaited between the answer that the name is free and taking it
            known = await self._named(arn)
            if known is not None:
                return await self._started_before(known, payload, target, case)
            self._store.shard.check(arn)
        if len(self._tracker.open) >= self._limits.open_executions:
            raise ApiError(
                "ExecutionLimitExceeded",
                messages.EXECUTION_LIMIT.format(limit=self._limits.open_executions),
            )
        if machines.deleting:  # since it was looked up
            machines.check_active(target.machine.arn)
        execution = self._new(target, arn, name, program, payload, trace_header, case)
        # from here on it will be committed, even if this caller is cancelled
        self._tracker.open[arn] = execution
        watched = express and self._expected(name)
        try:
            adopted = self._tracker.watch_express if watched else None
            await self._worker.begin(execution, program, adopted)
        except Exception:
            self._tracker.open.pop(arn, None)
            raise
        return {"executionArn": arn, "startDate": execution.started / 1000}

    async def _target(self, arn: str) -> tuple[Target, str | None]:
        """Of MACHINE_ARN or MACHINE_ARN#CASE: what is started, and the test case that answers its
        tasks. Raises ApiError.
        """
        machines, mocks, case = self._machines, self._tasks.mocks, None
        found = machines.targets.get(arn)
        if found is None:
            plain, case = split_case(arn)
            found = machines.targets.get(plain) or await machines.target(plain)
        if mocks is not None:
            case = mocks.choose(found.machine.name, case)
        elif case is not None:
            raise ApiError("InvalidArn", messages.CASE_WITHOUT_MOCKS.format(arn=arn))
        return found, case

    def _named_arn(self, machine_arn: str, name: str | None, express: bool) -> tuple[str, str]:
        """The name and the ARN of a new execution. Raises ApiError InvalidName."""
        if name is None and not express:
            return self._store.shard.draw(
                lambda name: arns.execution_arn(machine_arn, name), self._new_uuid
            )
        name = self._name(name)
        return name, arns.execution_arn(machine_arn, name, self._new_uuid() if express else None)

    def _name(self, name: str | None) -> str:
        """Raises ApiError InvalidName."""
        if name is None:
            return self._new_uuid()
        return arns.check_name(name, self._limits.name_chars)

    async def _named(self, arn: str) -> Execution | ExecutionRow | None:
        """The execution that has this name: as it was started while that is not durable, else as it
        is now; None if the name is free.
        """
        while True:
            held = self._tracker.open.get(arn)
            if isinstance(held, Execution):
                return held
            found = await self._store.describe(arn) if await self._store.taken(arn) else None
            # the row may be older than a unit that was published since it was read
            held = self._tracker.open.get(arn)
            if held is None:
                return self._tracker.recent.get(arn) or found
            if isinstance(held, Started) and found is not None and found.status == model.RUNNING:
                return found

    async def _started_before(
        self,
        known: Execution | ExecutionRow,
        payload: Payload,
        target: Target,
        case: str | None,
    ) -> StartExecutionOutput:
        """The answer to a start that is repeated by the same ARN, whatever version an alias led
        to. Raises ApiError ExecutionAlreadyExists if it is not the same start.
        """
        data = known.input.data if isinstance(known.input, Payload) else known.input
        alias, version = (known.extras.get(name) for name in ("alias", "version"))
        same = alias == target.alias and (alias is not None or version == target.version)
        same = same and known.extras.get("case") == case
        if known.status != model.RUNNING or data != payload.data or not same:
            raise ApiError(
                "ExecutionAlreadyExists", messages.EXECUTION_EXISTS.format(arn=known.arn)
            )
        while True:
            with self._tracker.watching(known.id) as signal:
                # asked first: it may end, and be forgotten, while its row is read
                pending = known.arn in self._tracker.open
                if await self._store.describe(known.arn) is not None:
                    break
                if not pending:
                    self._worker.check()
                    raise EngineError(f"the start of {known.arn} failed")
                await self._tracker.changed(signal)  # its own start is not durable yet
        return {"executionArn": known.arn, "startDate": known.started / 1000}

    def _new(
        self,
        target: Target,
        arn: str,
        name: str,
        program: Program,
        payload: Payload,
        trace_header: str | None,
        case: str | None,
    ) -> Execution:
        row, extras = target.machine, target.extras.copy()
        if (trace := scrub(trace_header)) is not None:
            extras["trace"] = trace
        if case is not None:
            extras |= self._mocked(row.name, program, case)
        now, express = self._clock.now(), row.type == EXPRESS
        most = self._limits.express_seconds if express else self._limits.standard_seconds
        seconds = min(program.timeout or most, most)
        return Execution(
            id=self._store.next_id(),
            uuid=self._new_uuid().replace("-", ""),
            arn=arn,
            name=name,
            machine_arn=row.arn,
            machine_name=row.name,
            role_arn=target.role,
            express=express,
            input=payload,
            started=now,
            deadline=now + seconds * 1000,
            definition=target.definition,
            extras=extras,
        )

    def _mocked(self, machine: str, program: Program, case: str) -> ExecutionExtras:
        """The extras of an execution with a test case."""
        mocks = self._tasks.mocks
        if mocks is None:
            return {}
        whole = {
            name: results
            for name, state in program.states().items()
            if state.type in (PARALLEL, MAP)
            and (results := mocks.whole(machine, case, name)) is not None
        }
        return {"case": case, "mocked": whole} if whole else {"case": case}

    async def start_sync_execution(
        self,
        state_machine_arn: str,
        *,
        name: str | None = None,
        input: str = "{}",
        trace_header: str | None = None,
        included_data: str = "ALL_DATA",
    ) -> StartSyncExecutionOutput:
        """Run an Express execution and answer with its end: {"executionArn", "name", "status",
        "startDate", "stopDate", "output"? "error"?, "cause"?, "billingDetails" ...}. At most once:
        it ends with this process.
        """
        with self._time_held():  # of a task that holds no slot
            execution, program = await self._express_execution(
                state_machine_arn, name, input, trace_header
            )
        with self._tracker.waiters.of(execution.id) as ended:
            self._begin_express(execution, program, watched=self._expected(name))
            answer = shapes.sync(await ended)
        if included_data != "ALL_DATA" and configuration.hides(
            (await pinned(self._store, execution)).configuration, included_data
        ):
            return shapes.without_data(answer)
        return answer

    def expect_express(self, name: str) -> None:
        """Watch the next Express execution of this name: watch(), inspect_execution() and others
        can follow it in this process. Not an operation of AWS.
        """
        self._tracker.expect(name)

    def _expected(self, name: str | None) -> bool:
        expected = self._tracker.expected
        return bool(expected) and expected.pop(name or "", False)

    async def watch_express_execution(
        self, state_machine_arn: str, *, name: str | None = None, input: JsonInput = "{}"
    ) -> StartExecutionOutput:
        """{"executionArn", "startDate"} of a synchronous Express execution that watch(), wait() and
        inspect_execution() can follow in this process. Not an operation of AWS, which shows nothing
        of an Express execution.
        """
        execution, program = await self._express_execution(state_machine_arn, name, input, None)
        self._begin_express(execution, program, watched=True)
        return {"executionArn": execution.arn, "startDate": execution.started / 1000}

    def _begin_express(self, execution: Execution, program: Program, watched: bool = False) -> None:
        """Start a synchronous Express execution, of which nothing is stored."""
        self._worker.check()
        execution.extras["sync"] = True
        live = self._worker.adopt(execution, program)
        if watched:
            self._tracker.watch_express(live)
        self._worker.submit(live, Start())

    async def _express_execution(
        self, state_machine_arn: str, name: str | None, input: JsonInput, trace_header: str | None
    ) -> tuple[Execution, Program]:
        target, case = await self._target(state_machine_arn)
        machines = self._machines
        if target.machine.type != EXPRESS:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        payload = payloads.execution_input(input, self._limits)
        name = self._name(name)
        arn = arns.execution_arn(target.machine.arn, name, self._new_uuid())
        program = self._programs.kept(target.definition)
        if program is None:
            program = await self._programs.program(target.definition)
        await self._worker.admit(target.machine.arn)
        machines.check_active(target.machine.arn)  # since it was looked up
        return self._new(target, arn, name, program, payload, trace_header, case), program
