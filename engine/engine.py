"""class Engine: the operations of the Step Functions API as async Python methods. What a library user imports.

    async with Engine("stepwell.db", tasks=Registry(functions={"charge": charge})) as engine:
        machine = await engine.create_state_machine("order", definition_text)
        started = await engine.start_execution(machine["stateMachineArn"], input='{"id": 1}')
        ended = await engine.wait(started["executionArn"])

Answers are dicts with the names of the API (boto3's), times are epoch seconds, JSON payloads are text. Refusals are ApiError with AWS's
code and text. An answer is given only after what it says is durable.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from os import PathLike
from typing import Any, Final

from stepwell.asl import jsontext, messages
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.program import Program, compile_machine
from stepwell.asl.resources import Resource
from stepwell.asl.validate import invalid_definition_text, validate
from stepwell.engine import arns, shapes
from stepwell.engine.activities import Activities
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.core import model
from stepwell.engine.core.history import to_aws
from stepwell.engine.core.model import ChildClosed, Execution, Payload, Start, StartChild
from stepwell.engine.core.states import read_token, token
from stepwell.engine.errors import ApiError, EngineError, StoreError
from stepwell.engine.store.base import ExecutionRow, MachineRow, Store, Unit
from stepwell.engine.store.codec import scrub
from stepwell.engine.store.sqlite import SqliteStore
from stepwell.engine.tasks import Tasks
from stepwell.engine.worker import Live, Worker

STANDARD: Final = "STANDARD"
EXPRESS: Final = "EXPRESS"


class NoTasks:
    """A registry that serves nothing."""

    def connect(self, engine: Engine) -> None: ...

    def resolve(self, resource: Resource) -> None:
        return None

    def known_text(self, text: str) -> None:
        return None

    async def close(self) -> None:
        return None


class Engine:
    """Runs state machines durably.

    db         a file's path, or ":memory:"
    tasks      resolves Task resources: stepwell.integrations.service.Registry(functions={"name": callable}); without it no Task can run
    store      in place of `db`: another Store
    new_uuid   where names and the seeds of executions come from
    """

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
        new_uuid: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        tasks = tasks or NoTasks()
        self.home, self.limits, self.tasks, self._new_uuid = Home(region, account), limits, tasks, new_uuid
        self.clock = clock or SystemClock()
        self.store: Store = store or SqliteStore(db, limits=limits)
        self.activities = Activities(self)
        self._programs: OrderedDict[int, Program] = OrderedDict()
        self._machines: OrderedDict[str, MachineRow] = OrderedDict()  # this process alone writes them
        self._machine_writes = 0
        self._creating = asyncio.Lock()
        self._names: dict[str, Execution] = {}  # execution ARN -> as started, until closed
        self._recent: OrderedDict[str, Execution] = OrderedDict()  # closed not long ago, as committed
        self._waiters: dict[int, list[asyncio.Future[Execution]]] = {}
        self._express: OrderedDict[str, Live] = OrderedDict()
        self._signals: dict[int, asyncio.Event] = {}
        self.worker = Worker(self.store, self.clock, tasks, self.program, self.activities, self._start_child, limits)
        self.worker.on_commit, self.worker.on_failure = self._committed, self._failed
        tasks.connect(self)

    # --- life --------------------------------------------------------------------------------------------------------------

    async def open(self) -> Engine:
        """Open the store and go on with everything that it holds."""
        await self.store.open()
        try:
            await self.activities.open()
            await self.worker.start()
        except BaseException:
            await self.store.close()
            raise
        return self

    async def close(self) -> None:
        """Stop: what was acknowledged is durable, effects in flight are sent again by the next open."""
        await self.worker.close()
        await self.tasks.close()
        await self.store.close()

    async def __aenter__(self) -> Engine:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- state machines ------------------------------------------------------------------------------------------------------

    def validate_state_machine_definition(self, definition: str, type: str = STANDARD) -> dict[str, Any]:
        """{"result": "OK" | "FAIL", "diagnostics": [{severity, code, message, location?}], "truncated": bool}"""
        return shapes.validation(validate(definition, type, self.limits, self.tasks.known_text), self.limits)

    def _compiled(self, definition: str, type: str) -> Program:
        validation = validate(definition, type, self.limits, self.tasks.known_text)
        if validation.definition is None or any(each.severity == "ERROR" for each in validation.diagnostics):
            raise ApiError("InvalidDefinition", invalid_definition_text(validation.diagnostics))
        return compile_machine(validation.definition, self.limits, Payload)

    async def create_state_machine(
        self, name: str, definition: str, *, type: str = STANDARD, role_arn: str | None = None, extras: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """{"stateMachineArn", "creationDate"}. Idempotent: the same name with the same definition, type and role gives the same machine."""
        arns.check_name(name, self.limits.name_chars)
        program = self._compiled(definition, type)
        arn, role = self.home.arn("stateMachine", name), role_arn or self.home.role
        async with self._creating:
            row = await self.store.machine(arn)
            if row is None:
                now = self.clock.now()
                row = MachineRow(arn, name, type, role, definition, 0, str(self._new_uuid()), now, now, "ACTIVE", dict(extras or {}))
                row = await self.store.put_machine(row)
                self._keep(row.definition_id, program)
        if (row.definition, row.type, row.role_arn) != (definition, type, role):
            raise ApiError("StateMachineAlreadyExists", messages.MACHINE_EXISTS.format(arn=arn))
        return {"stateMachineArn": arn, "creationDate": row.created / 1000}

    async def update_state_machine(
        self, arn: str, *, definition: str | None = None, role_arn: str | None = None, extras: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """{"updateDate"}. Running executions keep the definition that they started with."""
        row = await self._machine(arn)
        if definition is None and role_arn is None and extras is None:
            raise ApiError("MissingRequiredParameter", messages.NOTHING_TO_UPDATE)
        text = row.definition if definition is None else definition
        program = self._compiled(text, row.type)
        merged = row.extras if extras is None else dict(extras)
        row = row._replace(role_arn=role_arn or row.role_arn, definition=text, revision=str(self._new_uuid()), updated=self.clock.now())
        row = await self.store.put_machine(row._replace(extras=merged))
        self._forget_machine(arn)
        self._keep(row.definition_id, program)
        return {"updateDate": row.updated / 1000}

    async def describe_state_machine(self, arn: str) -> dict[str, Any]:
        return shapes.machine(await self._machine(arn))

    async def list_state_machines(self) -> dict[str, Any]:
        return {"stateMachines": [shapes.machine_item(row) for row in await self.store.machines(limit=self.limits.list_page)]}

    async def delete_state_machine(self, arn: str) -> dict[str, Any]:
        """Running executions go on; no new one can start. Deleting what does not exist is no error, as at AWS."""
        arns.kind(arn, "stateMachine")
        await self.store.delete_machine(arn)
        self._forget_machine(arn)
        return {}

    def _forget_machine(self, arn: str) -> None:
        self._machines.pop(arn, None)
        self._machine_writes += 1

    async def _machine(self, arn: str) -> MachineRow:
        row = self._machines.get(arn)
        if row is not None:
            return row
        arns.kind(arn, "stateMachine")
        writes = self._machine_writes
        row = await self.store.machine(arn)
        if row is None:
            raise ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
        if writes == self._machine_writes:  # else it may be the one that was replaced meanwhile
            self._machines[arn] = row
        while len(self._machines) > self.limits.programs:
            self._machines.popitem(last=False)
        return row

    def _keep(self, definition_id: int, program: Program) -> None:
        self._programs[definition_id] = program
        while len(self._programs) > self.limits.programs:
            self._programs.popitem(last=False)

    async def program(self, definition_id: int) -> Program:
        """The compiled definition that executions are pinned to."""
        program = self._programs.get(definition_id)
        if program is None:
            row = await self.store.definition(definition_id)
            assert row is not None, "a definition is kept as long as an execution is pinned to it"
            validation = validate(row.definition, row.type, self.limits, lambda resource: resource)
            assert validation.definition is not None, "stored definitions were valid"
            program = compile_machine(validation.definition, self.limits, Payload)
            self._keep(definition_id, program)
        return program

    # --- executions ------------------------------------------------------------------------------------------------------------

    async def start_execution(self, machine_arn: str, *, name: str | None = None, input: str = "{}") -> dict[str, Any]:
        """{"executionArn", "startDate"} once the start is durable. Idempotent while an execution of that name and input runs."""
        self.worker.check()
        row = await self._machine(machine_arn)
        payload = self._input(input)
        express = row.type == EXPRESS
        given = name is not None
        name = arns.check_name(name, self.limits.name_chars) if name is not None else str(self._new_uuid())
        arn = arns.execution_arn(machine_arn, name, str(self._new_uuid()) if express else None)
        program = await self.program(row.definition_id)
        await self.worker.room()
        if given and not express:  # nothing is awaited between the answer that nobody has this name and taking it
            known = self._names.get(arn) or await self.store.describe(arn)
            known = self._names.get(arn) or self._recent.get(arn) or known  # what was read may be older than what was published since
            if known is not None:
                return await self._started_before(known, payload)
        execution = self._new(row, arn, name, program, payload, row.definition_id)
        self._names[arn] = execution  # from here on it will be committed, even if this caller goes away
        try:
            await self._begin(execution, program)
        except Exception:
            self._names.pop(arn, None)
            raise
        return {"executionArn": arn, "startDate": execution.started / 1000}

    async def _started_before(self, known: Execution | ExecutionRow, payload: Payload) -> dict[str, Any]:
        data = known.input.data if isinstance(known.input, Payload) else known.input
        if known.status != model.RUNNING or data != payload.data:
            raise ApiError("ExecutionAlreadyExists", messages.EXECUTION_EXISTS.format(arn=known.arn))
        while True:
            signal = self._signals.setdefault(known.id, asyncio.Event())
            if await self.store.describe(known.arn) is not None:
                break
            if known.arn not in self._names and known.arn not in self._recent:
                raise EngineError(f"the start of {known.arn} failed")
            await self._changed(signal)  # its own start is not durable yet
        return {"executionArn": known.arn, "startDate": known.started / 1000}

    def _input(self, text: str) -> Payload:
        if len(text.encode()) > self.limits.payload_bytes:
            raise ApiError("ValidationException", messages.INPUT_TOO_LONG.format(limit=self.limits.payload_bytes))
        try:
            return Payload(jsontext.loads(text), text.encode())
        except jsontext.JsonFault as fault:
            raise ApiError("InvalidExecutionInput", messages.INVALID_INPUT.format(text=fault.message)) from None

    def _new(self, row: MachineRow, arn: str, name: str, program: Program, payload: Payload, definition_id: int) -> Execution:
        now, express = self.clock.now(), row.type == EXPRESS
        most = self.limits.express_seconds if express else self.limits.standard_seconds
        seconds = min(program.timeout or most, most)
        return Execution(
            id=self.store.next_id(),
            uuid=self._new_uuid().hex,
            arn=arn,
            name=name,
            machine_arn=row.arn,
            machine_name=row.name,
            role_arn=row.role_arn,
            express=express,
            input=payload,
            started=now,
            deadline=now + seconds * 1000,
            definition=definition_id,
        )

    async def _begin(self, execution: Execution, program: Program) -> Live:
        durable = asyncio.get_running_loop().create_future()
        live = self.worker.adopt(execution, program)
        if execution.express:
            self._express[execution.arn] = live
            while len(self._express) > self.limits.express_kept and next(iter(self._express.values())).x.status != model.RUNNING:
                self._express.popitem(last=False)
        self.worker.submit(live, Start(), durable)
        await durable
        return live

    async def start_sync_execution(self, machine_arn: str, *, name: str | None = None, input: str = "{}") -> dict[str, Any]:
        """Start an Express execution and answer with its end."""
        row = await self._machine(machine_arn)
        if row.type != EXPRESS:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        payload = self._input(input)
        name = arns.check_name(name, self.limits.name_chars) if name is not None else str(self._new_uuid())
        arn = arns.execution_arn(machine_arn, name, str(self._new_uuid()))
        program = await self.program(row.definition_id)
        await self.worker.room()
        execution = self._new(row, arn, name, program, payload, row.definition_id)
        execution.extras = {"sync": True}
        await self._begin(execution, program)
        ended = await self.wait(arn)
        return shapes.sync(ended)

    async def describe_execution(self, arn: str) -> dict[str, Any]:
        return shapes.execution(await self._row(arn))

    async def _row(self, arn: str) -> ExecutionRow | Execution:
        kind = arns.kind(arn, "execution", "express")
        found: ExecutionRow | Execution | None
        if kind == "express":
            live = self._express.get(arn)
            found = None if live is None else live.x
        else:
            found = self._recent.get(arn) or await self.store.describe(arn)
            found = self._recent.get(arn) or found  # what was read may be older than what was published since
        if found is None:
            raise ApiError("ExecutionDoesNotExist", messages.EXECUTION_UNKNOWN.format(arn=arn))
        return found

    async def list_executions(
        self, machine_arn: str | None = None, *, status: str | None = None, max_results: int = 100, next_token: str | None = None
    ) -> dict[str, Any]:
        """{"executions": [...], "nextToken"?}, newest first."""
        after = shapes.read_page(next_token, 2)
        rows = await self.store.list_executions(machine_arn, status, max_results, after)
        answer: dict[str, Any] = {"executions": [shapes.execution_item(row) for row in rows]}
        if len(rows) == max_results:
            answer["nextToken"] = shapes.page(rows[-1].started, rows[-1].id)
        return answer

    async def get_execution_history(
        self,
        arn: str,
        *,
        max_results: int = 1_000,
        reverse: bool = False,
        next_token: str | None = None,
        include_execution_data: bool = True,
    ) -> dict[str, Any]:
        """{"events": [...], "nextToken"?}: committed events only."""
        row = await self._row(arn)
        page = shapes.read_page(next_token, 1)
        events = await self._events(row, page[0] if page else 0, min(max_results, self.limits.history_page), reverse)
        answer: dict[str, Any] = {"events": [to_aws(event, number, at, include_execution_data) for number, at, event in events]}
        if events and (events[-1][0] > 1 if reverse else events[-1][0] < row.events):
            answer["nextToken"] = shapes.page(events[-1][0])
        return answer

    async def _events(self, row: ExecutionRow | Execution, after: int, limit: int, reverse: bool) -> list[Any]:
        if isinstance(row, ExecutionRow) or not row.express:
            return await self.store.history(row.id, after, limit, reverse)
        units = list(self._express[row.arn].ephemeral or ())
        flat = [(unit.first + place, unit.at, event) for unit in units for place, event in enumerate(unit.history)]
        if reverse:
            return [each for each in reversed(flat) if not after or each[0] < after][:limit]
        return [each for each in flat if each[0] > after][:limit]

    async def stop_execution(self, arn: str, *, error: str | None = None, cause: str | None = None) -> dict[str, Any]:
        """{"stopDate"}. Stopping a closed execution changes nothing."""
        arns.kind(arn, "execution")
        row = await self._row(arn)
        live = await self.worker.load(row.id)
        if live is not None:
            done = asyncio.get_running_loop().create_future()
            self.worker.submit(live, model.Stop(scrub(error), scrub(cause)), done)
            await done
        row = await self._row(arn)
        return {"stopDate": (row.stopped or self.clock.now()) / 1000}

    async def wait(self, arn: str, timeout: float | None = None) -> dict[str, Any]:
        """describe_execution's answer once the execution has closed. TimeoutError after `timeout` seconds."""
        if timeout is None:
            return await self._ended(arn)
        async with asyncio.timeout(timeout):
            return await self._ended(arn)

    async def _ended(self, arn: str) -> dict[str, Any]:
        row = self._names.get(arn) or await self._row(arn)
        self.worker.check()
        if row.status != model.RUNNING:
            return shapes.execution(row)
        live = self.worker.live.get(row.id)
        if live is not None and live.broken is not None:
            raise live.broken
        return shapes.execution(await self._closing(row.id))

    async def watch(self, arn: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Every history event as it is committed, from the one after `after`; ends after the last."""
        row = await self._row(arn)
        while True:
            signal = self._signals.setdefault(row.id, asyncio.Event())
            row = await self._row(arn)
            events = await self._events(row, after, self.limits.history_page, False)
            for number, at, event in events:
                yield to_aws(event, number, at)
                after = number
            if not events:
                if row.status != model.RUNNING and after >= row.events:
                    self._signal(row.id)  # others may wait for a commit that this one has already seen on the disk
                    return
                await self._changed(signal)

    async def _closing(self, execution_id: int) -> Execution:
        """The execution as its last commit left it. Raises StoreError if the store fails first."""
        future: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(execution_id, [])
        waiters.append(future)
        try:
            return await future
        finally:
            if not future.done() or future.cancelled():
                waiters.remove(future)

    async def _changed(self, signal: asyncio.Event) -> None:
        """The next commit of an execution, or the failure of the store. The signal is taken before one looks, so that none is missed."""
        self.worker.check()
        await signal.wait()
        self.worker.check()

    def _failed(self, error: BaseException, execution_id: int | None) -> None:
        """The store failed, or one execution is parked: nobody waits for what will not come."""
        for each in [execution_id] if execution_id is not None else list(self._waiters):
            for future in self._waiters.pop(each, ()):
                if not future.done():
                    future.set_exception(error)
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
            for future in self._waiters.pop(x.id, ()):
                if not future.done():
                    future.set_result(x)
        self._signal(x.id)

    def _signal(self, execution_id: int) -> None:
        signal = self._signals.pop(execution_id, None)
        if signal is not None:
            signal.set()

    # --- task tokens -------------------------------------------------------------------------------------------------------------

    async def send_task_success(self, task_token: str, output: str) -> dict[str, Any]:
        try:
            payload = Payload(jsontext.loads(output))
        except jsontext.JsonFault as fault:
            raise ApiError("InvalidOutput", messages.INVALID_OUTPUT.format(text=fault.message)) from None
        return await self._answer(task_token, lambda frame, seq: model.TaskSucceeded(frame, seq, payload))

    async def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> dict[str, Any]:
        return await self._answer(task_token, lambda frame, seq: model.TaskFailed(frame, seq, scrub(error), scrub(cause)))

    async def send_task_heartbeat(self, task_token: str) -> dict[str, Any]:
        return await self._answer(task_token, model.Heartbeat)

    async def _answer(self, task_token: str, event: Callable[[int, int], model.Event]) -> dict[str, Any]:
        """Hand a worker's report to its attempt, and answer once it is durable."""
        self.worker.check()
        parts = read_token(task_token)
        if parts is None:
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        execution_id, frame_id, seq = parts
        live = await self.worker.load(execution_id)
        if live is None:
            raise ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
        if token(live.x, frame_id, seq) != task_token:
            self.worker.settle(live)
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        frame = live.x.frames.get(frame_id)
        current = frame is not None and frame.seq == seq and frame.phase == model.Phase.TASK
        done = asyncio.get_running_loop().create_future()
        self.worker.submit(live, event(frame_id, seq), done)
        await done
        if not current:  # said only once what ended the task is durable: its worker will not report again
            raise ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
        return {}

    # --- activities ----------------------------------------------------------------------------------------------------------------

    async def create_activity(self, name: str) -> dict[str, Any]:
        """{"activityArn", "creationDate"}. Idempotent."""
        return await self.activities.create(name)

    async def delete_activity(self, arn: str) -> dict[str, Any]:
        return await self.activities.delete(arn)

    async def describe_activity(self, arn: str) -> dict[str, Any]:
        return self.activities.describe(arn)

    async def list_activities(self) -> dict[str, Any]:
        return self.activities.list()

    async def get_activity_task(self, arn: str, worker_name: str | None = None, timeout: float = 60) -> dict[str, Any]:
        """{"taskToken", "input"} of a task that this caller now owns; {} if none came within `timeout` seconds."""
        self.worker.check()
        return await self.activities.take(arn, worker_name, timeout)

    # --- Map Runs ------------------------------------------------------------------------------------------------------------------

    async def _start_child(self, parent: Execution, command: StartChild, program: Program) -> None:
        """Start child `slot` of a Map Run, or find the one that an earlier process started: its name says which it is."""
        await self.worker.room()
        name = f"{parent.uuid}-{command.frame}-{command.seq}-{command.slot}"
        machine_arn = f"{parent.machine_arn}/{command.label}"
        arn = arns.execution_arn(machine_arn, name)
        found = await self.store.describe(arn)
        if found is not None:
            if found.status != model.RUNNING:
                output = None if found.output is None else Payload(jsontext.loads(found.output), found.output)
                self.worker.send(parent.id, ChildClosed(command.frame, command.seq, command.slot, found.status, output))
            else:
                await self.worker.load(found.id)
            return
        family = (parent.id, command.frame, command.seq, command.slot)
        if not self.worker.awaited(family):
            return  # given up meanwhile
        now = self.clock.now()
        child = Execution(
            id=self.store.next_id(),
            uuid=self._new_uuid().hex,
            arn=arn,
            name=name,
            machine_arn=machine_arn,
            machine_name=f"{parent.machine_name}/{command.label}",
            role_arn=parent.role_arn,
            express=False,
            input=command.payload,
            started=now,
            deadline=now + (self.limits.express_seconds if command.express else self.limits.standard_seconds) * 1000,
            parent=family,
            definition=parent.definition,
            block=command.block.index,
        )
        try:
            await self._begin(child, program)
        except EngineError as error:
            if isinstance(error, StoreError):
                raise  # else the child is parked, as the log tells: its Map Run waits, and everything else goes on
