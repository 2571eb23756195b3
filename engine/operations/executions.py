"""The operations on executions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Program
from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.events import Stop
from stepwell.engine.core.history import TABLE, to_aws
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.errors import ApiError, EngineError, ExecutionParked
from stepwell.engine.inputs import JsonInput, json_text_of
from stepwell.engine.operations import configuration, machine_parts, paging, shapes
from stepwell.engine.operations.base import EXPRESS, Runtime, Started
from stepwell.engine.operations.machine_parts import Target
from stepwell.engine.runtime import execution_logs
from stepwell.engine.store.base import DefinitionRow, ExecutionRow
from stepwell.engine.store.blobs import scrub


class Executions(Runtime):
    """Executions: starting, showing, stopping and awaiting them."""

    async def start_execution(
        self,
        state_machine_arn: str,
        *,
        name: str | None = None,
        input: JsonInput = "{}",
        trace_header: str | None = None,
    ) -> dict[str, Any]:
        """{"executionArn", "startDate"} once the start is durable. Idempotent while an execution of
        that name and input runs.
        """
        return await self._start(state_machine_arn, name, input, trace_header, self.worker.admit)

    async def start_nested_execution(
        self, state_machine_arn: str, *, name: str, input: str
    ) -> dict[str, Any]:
        """The same for a task: never refused because many starts wait already, since only so many
        tasks start one at a time.
        """
        return await self._start(state_machine_arn, name, input, None, self.worker.room)

    async def _start(
        self,
        state_machine_arn: str,
        name: str | None,
        input: JsonInput,
        trace_header: str | None,
        admitted: Callable[[str], Awaitable[None]],
    ) -> dict[str, Any]:
        self.worker.check()
        target = self._targets.get(state_machine_arn) or await self._target(state_machine_arn)
        payload = self._input(input)
        express = target.machine.type == EXPRESS
        given = name is not None
        name = (
            arns.check_name(name, self.limits.name_chars) if name is not None else self._new_uuid()
        )
        arn = arns.execution_arn(target.machine.arn, name, self._new_uuid() if express else None)
        program = await self.program(target.definition)
        await admitted(target.machine.arn)
        if (
            given and not express
        ):  # nothing is awaited between the answer that nobody has this name and taking it
            known = await self._named(arn)
            if known is not None:
                return await self._started_before(known, payload, target)
        if len(self._names) >= self.limits.open_executions:
            raise ApiError(
                "ExecutionLimitExceeded",
                messages.EXECUTION_LIMIT.format(limit=self.limits.open_executions),
            )
        if self.deletions.arns:  # since it was looked up
            self._check_active(target.machine.arn)
        execution = self._new(target, arn, name, program, payload, trace_header)
        self._names[arn] = (
            execution  # from here on it will be committed, even if this caller goes away
        )
        try:
            await self._begin(execution, program)
        except Exception:
            self._names.pop(arn, None)
            raise
        return {"executionArn": arn, "startDate": execution.started / 1000}

    async def _named(self, arn: str) -> Execution | ExecutionRow | None:
        """The execution that has this name: as it was started while that is not durable, else as it
        is now.
        """
        while True:
            held = self._names.get(arn)
            if isinstance(held, Execution):
                return held
            found = await self.store.describe(arn)
            held = self._names.get(arn)  # what was read may be older than what was published since
            if held is None:
                return self._recent.get(arn) or found
            if isinstance(held, Started) and found is not None and found.status == model.RUNNING:
                return found

    async def _started_before(
        self, known: Execution | ExecutionRow, payload: Payload, target: Target
    ) -> dict[str, Any]:
        """The answer to the same start again: by the same ARN, whatever version an alias led to."""
        data = known.input.data if isinstance(known.input, Payload) else known.input
        alias, version = (known.extras.get(name) for name in ("alias", "version"))
        same = alias == target.alias and (alias is not None or version == target.version)
        if known.status != model.RUNNING or data != payload.data or not same:
            raise ApiError(
                "ExecutionAlreadyExists", messages.EXECUTION_EXISTS.format(arn=known.arn)
            )
        while True:
            with self._watching(known.id) as signal:
                if await self.store.describe(known.arn) is not None:
                    break
                if known.arn not in self._names and known.arn not in self._recent:
                    raise EngineError(f"the start of {known.arn} failed")
                await self._changed(signal)  # its own start is not durable yet
        return {"executionArn": known.arn, "startDate": known.started / 1000}

    def _input(self, given: JsonInput) -> Payload:
        text = given if isinstance(given, str) else json_text_of(given, "input")
        if not text.strip():
            raise ApiError(
                "InvalidExecutionInput", messages.INVALID_INPUT.format(text=messages.NO_INPUT)
            )
        try:
            payload = Payload(json_text.loads(text), text.encode())
        except json_text.JsonError as fault:
            raise ApiError(
                "InvalidExecutionInput", messages.INVALID_INPUT.format(text=fault.message)
            ) from None
        if len(payload.data) > self.limits.payload_bytes:
            raise ApiError(
                "ValidationException",
                messages.INPUT_TOO_LONG.format(limit=self.limits.payload_bytes),
            )
        return payload

    def _new(
        self,
        target: Target,
        arn: str,
        name: str,
        program: Program,
        payload: Payload,
        trace_header: str | None,
    ) -> Execution:
        row = target.machine
        now, express = self.clock.now(), row.type == EXPRESS
        most = self.limits.express_seconds if express else self.limits.standard_seconds
        seconds = min(program.timeout or most, most)
        return Execution(
            id=self.store.next_id(),
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
            extras=_extras(target, trace_header),
        )

    async def start_sync_execution(
        self,
        state_machine_arn: str,
        *,
        name: str | None = None,
        input: str = "{}",
        trace_header: str | None = None,
        included_data: str = "ALL_DATA",
    ) -> dict[str, Any]:
        """Start an Express execution and answer with its end. At most once: it dies with this
        process.
        """
        execution, program = await self._express_execution(
            state_machine_arn, name, input, trace_header
        )
        with self._waiters.of(execution.id) as ended:
            self._begin_express(
                execution,
                program,
                watched=bool(self._expected) and self._expected.pop(name or "", False),
            )
            answer = shapes.sync(await ended)
        if included_data != "ALL_DATA" and configuration.hides(
            (await self._pinned(execution)).configuration, included_data
        ):
            return shapes.without_data(answer)
        return answer

    def expect_express(self, name: str) -> None:
        """The next synchronous Express execution of this name will be watched: watch(), look() and
        others can follow it in this process.

        Ours. Of those that were announced and did not come, the oldest are forgotten.
        """
        self._expected[name] = True
        while len(self._expected) > self.limits.express_expected:
            del self._expected[next(iter(self._expected))]

    async def watch_express_execution(
        self, state_machine_arn: str, *, name: str | None = None, input: JsonInput = "{}"
    ) -> dict[str, Any]:
        """{"executionArn", "startDate"} of an Express execution that watch(), wait() and look() can
        follow in this process.

        Otherwise as synchronous ones are. Ours: AWS shows nothing of an Express execution.
        """
        execution, program = await self._express_execution(state_machine_arn, name, input, None)
        self._begin_express(execution, program, watched=True)
        return {"executionArn": execution.arn, "startDate": execution.started / 1000}

    async def _express_execution(
        self, state_machine_arn: str, name: str | None, input: JsonInput, trace_header: str | None
    ) -> tuple[Execution, Program]:
        target = self._targets.get(state_machine_arn) or await self._target(state_machine_arn)
        if target.machine.type != EXPRESS:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        payload = self._input(input)
        name = (
            arns.check_name(name, self.limits.name_chars) if name is not None else self._new_uuid()
        )
        arn = arns.execution_arn(target.machine.arn, name, self._new_uuid())
        program = await self.program(target.definition)
        await self.worker.admit(target.machine.arn)
        self._check_active(target.machine.arn)  # since it was looked up
        return self._new(target, arn, name, program, payload, trace_header), program

    async def describe_execution(
        self, execution_arn: str, *, included_data: str = "ALL_DATA"
    ) -> dict[str, Any]:
        """{"executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate"?, "input",
        "output"?, "error"?, "cause"? ...}
        """
        arns.kind(execution_arn, "execution")
        row = await self._row(execution_arn)
        if included_data != "ALL_DATA" and configuration.hides(
            (await self._pinned(row)).configuration, included_data
        ):
            return shapes.without_data(await self._described(row))
        return await self._described(row)

    async def look(self, execution_arn: str) -> dict[str, Any]:
        """describe_execution's answer, also for an Express execution that is watched."""
        return shapes.execution(await self._row(execution_arn))

    async def _pinned(self, row: ExecutionRow | Execution) -> DefinitionRow:
        """The revision that an execution runs."""
        pinned = await self.store.definition(row.definition)
        assert pinned is not None, "a definition is kept as long as an execution is pinned to it"
        return pinned

    async def describe_state_machine_for_execution(
        self, execution_arn: str, *, included_data: str = "ALL_DATA"
    ) -> dict[str, Any]:
        """The revision that the execution started with, whatever became of its state machine."""
        arns.kind(execution_arn, "execution")
        row = await self._row(execution_arn)
        pinned = await self._pinned(row)
        answer = shapes.machine_of_execution(row, pinned) | await self._map_run_of(row, pinned)
        return (
            shapes.without_texts(answer)
            if configuration.hides(pinned.configuration, included_data)
            else answer
        )

    async def look_machine(self, execution_arn: str) -> tuple[dict[str, Any], Program]:
        """describe_state_machine_for_execution's answer and the Program, also for an Express
        execution that is watched.
        """
        row = await self._row(execution_arn)
        pinned = await self._pinned(row)
        answer = shapes.machine_of_execution(row, pinned) | await self._map_run_of(row, pinned)
        return answer, await self.program(row.definition)

    async def list_executions(
        self,
        state_machine_arn: str | None = None,
        *,
        status_filter: str | None = None,
        max_results: int = 0,
        next_token: str | None = None,
        map_run_arn: str | None = None,
        redrive_filter: str | None = None,
    ) -> dict[str, Any]:
        """{"executions": [...], "nextToken"?}, newest first: those of a state machine, a version,
        an alias or a Map Run.
        """
        if (state_machine_arn is None) == (map_run_arn is None):
            raise ApiError("ValidationException", messages.ONE_OF_MACHINE_AND_MAP_RUN)
        if map_run_arn is not None:
            return await self._list_children(
                map_run_arn, status_filter, redrive_filter, max_results, next_token
            )
        assert state_machine_arn is not None
        for unfit, member in (
            (status_filter == "PENDING_REDRIVE", "PENDING_REDRIVE"),
            (redrive_filter is not None, "redriveFilter"),
        ):
            if unfit:
                raise ApiError(
                    "ValidationException", messages.FILTER_OF_MAP_RUN.format(filter=member)
                )
        machine_arn, qualifier = await self._listed(state_machine_arn)
        qualified = {} if qualifier is None else {"qualifier": qualifier}
        return await self._list(
            (state_machine_arn, status_filter),
            max_results,
            next_token,
            machine_arn=machine_arn,
            **qualified,
        )

    async def list_all_executions(
        self,
        *,
        status_filter: str | None = None,
        max_results: int = 0,
        next_token: str | None = None,
    ) -> dict[str, Any]:
        """list_executions' answer for all state machines, those of Map Runs too. Ours: AWS lists
        one at a time.
        """
        return await self._list((None, status_filter), max_results, next_token)

    async def _listed(self, arn: str) -> tuple[str, str | None]:
        """The machine whose executions are asked for, and the ARN of the version or alias if it is
        one. Children's machines are ours.
        """
        parts = arns.read_machine(arn.partition("/")[0])
        row = await self._machine(
            arn if parts.qualifier is None and "/" not in arn else parts.machine
        )
        known = {**machine_parts.part(row, "versions"), **machine_parts.part(row, "aliases")}
        if parts.qualifier is not None and parts.qualifier not in known:
            raise ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
        if row.type == EXPRESS:
            raise ApiError("StateMachineTypeNotSupported", messages.TYPE_NOT_SUPPORTED)
        return (arn, None) if parts.qualifier is None else (parts.machine, arn)

    async def _list(
        self, asked: Sequence[str | None], max_results: int, next_token: str | None, **filters: Any
    ) -> dict[str, Any]:
        question, size = (
            ["ListExecutions", *asked],
            paging.size(max_results, self.limits.list_page, self.limits),
        )
        after = self.pages.read(question, next_token)
        rows = await self.store.list_executions(
            status=asked[1], limit=size + 1, after=after, **filters
        )
        answer: dict[str, Any] = {"executions": [shapes.execution_item(row) for row in rows[:size]]}
        if len(rows) > size:
            answer["nextToken"] = self.pages.token(
                question, rows[size - 1].started, rows[size - 1].id
            )
        return answer

    async def get_execution_history(
        self,
        execution_arn: str,
        *,
        max_results: int = 0,
        reverse_order: bool = False,
        next_token: str | None = None,
        include_execution_data: bool = True,
    ) -> dict[str, Any]:
        """{"events": [...], "nextToken"?}: committed events only."""
        arns.kind(execution_arn, "execution")
        row = await self._row(execution_arn)
        question = ["GetExecutionHistory", execution_arn, reverse_order]
        size = paging.size(max_results, self.limits.history_page, self.limits)
        (after,) = self.pages.read(question, next_token) or (0,)
        events = await self._events(row, after, size, reverse_order)
        answer: dict[str, Any] = {
            "events": [
                to_aws(event, number, at, include_execution_data) for number, at, event in events
            ]
        }
        if events and (events[-1][0] > 1 if reverse_order else events[-1][0] < row.events):
            answer["nextToken"] = self.pages.token(question, events[-1][0])
        return answer

    async def stop_execution(
        self, execution_arn: str, *, error: str | None = None, cause: str | None = None
    ) -> dict[str, Any]:
        """{"stopDate"}. Stopping a closed execution changes nothing."""
        arns.kind(execution_arn, "execution")
        self._check_failure(error, cause)
        row = await self._row(execution_arn)
        stop = Stop(scrub(error), scrub(cause))
        try:
            live = await self.worker.load(row.id)
            if live is not None:
                done = asyncio.get_running_loop().create_future()
                self.worker.submit(live, stop, done)
                await done
        except ExecutionParked:
            await self.worker.parking.abort(row, stop)
        row = await self._row(execution_arn)
        return {"stopDate": (row.stopped or self.clock.now()) / 1000}

    async def parked(self) -> dict[str, str]:
        """ARN -> why: the running executions that cannot go on (see parking.py). They can be
        stopped. Ours: AWS has no such thing.
        """
        return {arn: reason for _, arn, reason in await self.store.parked()}

    async def wait(self, execution_arn: str, timeout: float | None = None) -> dict[str, Any]:
        """describe_execution's answer once the execution has closed. TimeoutError after `timeout`
        seconds.
        """
        if timeout is None:
            return await self._ended(execution_arn)
        async with asyncio.timeout(timeout):
            return await self._ended(execution_arn)

    async def _ended(self, execution_arn: str) -> dict[str, Any]:
        known = self._names.get(execution_arn)
        row = known or await self._row(execution_arn)
        self.worker.check()
        if not isinstance(row, Started) and row.status != model.RUNNING:
            return shapes.execution(row)
        self.worker.parking.check(row.id)
        with self._waiters.of(row.id) as ended:
            # it may have closed, and been forgotten, while its row was read and nobody waited yet
            if known is None:
                again = await self._row(execution_arn)
                if again.status != model.RUNNING:
                    return shapes.execution(again)
            return shapes.execution(await ended)

    async def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Every history event as it is committed, from the one after `after`; ends after the
        last.
        """
        async for page in self.watch_pages(execution_arn, after):
            for event in page:
                yield event

    async def look_history(self, execution_arn: str) -> AsyncIterator[dict[str, Any]]:
        """Every event that is committed by now, also of an Express execution that is watched."""
        row, after = await self._row(execution_arn), 0
        while events := await self._events(row, after, self.limits.history_page, False):
            for number, at, event in events:
                yield to_aws(event, number, at)
            after = events[-1][0]

    async def watch_pages(
        self, execution_arn: str, after: int = 0, data_of: Callable[[str], bool] = lambda type: True
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The same in lists: all that is committed when the next one is asked for, up to a page.
        Who asks seldom gets longer ones.

        data_of  of which types the events come with their input, output and parameters
        """
        row = await self._row(execution_arn)
        while True:
            with self._watching(row.id) as signal:
                row = await self._row(execution_arn)
                events = await self._events(row, after, self.limits.history_page, False)
                if not events:
                    if row.status != model.RUNNING and after >= row.events:
                        self._signal(
                            row.id
                        )  # others may wait for a commit that this one has already seen on the disk
                        return
                    await self._changed(signal)
                    continue
            yield [
                to_aws(event, number, at, data_of(TABLE[event[0]][0]))
                for number, at, event in events
            ]
            after = events[-1][0]

    async def event(self, execution_arn: str, event_id: int) -> dict[str, Any] | None:
        """One committed event of the history; None if there is none of that id. Ours: AWS gives
        pages only.
        """
        found = await self._events(await self._row(execution_arn), event_id - 1, 1, False)
        return next(
            (to_aws(event, number, at) for number, at, event in found if number == event_id), None
        )


def _extras(target: Target, trace_header: str | None) -> dict[str, Json]:
    """What an execution keeps from its start on, beside what every one has."""
    extras: dict[str, Json] = {} if trace_header is None else {"trace": scrub(trace_header)}
    if target.version is not None:
        extras["version"] = target.version
    if target.alias is not None:
        extras["alias"] = target.alias
    if target.configuration:
        logging = target.configuration.get("loggingConfiguration")
        if execution_logs.wanted(logging):
            extras["logging"] = logging
    return extras
