"""TestState: one state, run by the same interpreter as an execution, with a mock in place of its
work or with its real task.

definition -> Program -> the state under a Probe -> decide() until it has ended -> the answer;
nothing is stored
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from stepwell.asl import datasets, field_evaluators, json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.definition import MapState, ReaderConfig
from stepwell.asl.evaluation import Env, Evaluator, InlineBudgetError, Json
from stepwell.asl.meter import Patience
from stepwell.asl.program import Catcher, Program, Retrier, State, compile_machine
from stepwell.asl.validate import invalid_definition_text, validate, validate_state
from stepwell.engine import arns, messages
from stepwell.engine.clock import Clock
from stepwell.engine.core import model, transitions
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import (
    ChildrenMocked,
    Continue,
    Event,
    HistoryEvent,
    RunTask,
    TaskFailed,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.history import ENTERED, EXITED
from stepwell.engine.core.model import Execution, ExecutionExtras, Frame, Payload, Phase, Scope
from stepwell.engine.core.probe import Probe
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import Limits
from stepwell.engine.operations import payloads
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.test_state import checks
from stepwell.engine.runtime.effects import perform
from stepwell.engine.runtime.records import Records
from stepwell.engine.tasks import Tasks, Trace

INFO: Final = "INFO"
TRACE: Final = "TRACE"
SINGLE: Final = "StateName"  # what a state is called that comes without its machine
_FRAME: Final = 1
_PLAIN: Final = (
    "toleratedFailureCount",
    "toleratedFailurePercentage",
    "maxConcurrency",
)  # the others are JSON texts


class _Every:
    """All activities: a mock answers for them."""

    def __contains__(self, arn: object) -> bool:
        return True


class TestStates:
    """The operation TestState."""

    def __init__(self, base: Base, records: Records) -> None:
        self._clock, self._limits, self._home, self._tasks = (
            base.clock,
            base.limits,
            base.home,
            base.tasks,
        )
        self._new_uuid, self._programs, self._records = base.new_uuid, base.programs, records

    async def test_state(
        self,
        definition: str,
        *,
        role_arn: str | None = None,
        input: str = "{}",
        inspection_level: str = INFO,
        reveal_secrets: bool = False,
        variables: str | None = None,
        state_name: str | None = None,
        mock: Mapping[str, Any] | None = None,
        context: str | None = None,
        state_configuration: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """{"status": SUCCEEDED | FAILED | RETRIABLE | CAUGHT_ERROR, "output"?, "error"?, "cause"?,
        "nextState"?, "inspectionData"?}.

        definition           a state, or with state_name a whole machine
        mock                 {"result": JSON text} or {"errorOutput": {"error"?, "cause"?}}, and
                             "fieldValidationMode"
        context, variables   JSON texts; a context is the whole of it
        state_configuration  TestStateConfiguration
        """
        if role_arn is not None:
            arns.check_role(role_arn)
        program, state = await self._programs.offload(
            definition, lambda: self._tested(definition, state_name)
        )
        configuration = state_configuration or {}
        checks.check(state, mock, configuration, role_arn, reveal_secrets, context)
        result = None
        if (
            mock is not None and "result" in mock
        ):  # in a thread: a service model may have to be read
            value = await asyncio.to_thread(checks.mocked_result, state, mock, self._tasks)
            result = Payload(
                value, mock["result"].encode()
            )  # recorded: its text is passed on as it came
        given = (
            checks.context(context, state, checks.in_map(program, state.block))
            if context is not None
            else None
        )
        payload, scope = (
            payloads.execution_input(input, self._limits),
            Scope({name: Payload(value) for name, value in checks.variables(variables).items()}),
        )
        used = configuration.get("retrierRetryCount", 0)
        probe = Probe(
            state,
            payload.value,
            used,
            *self._dataset(program, state, configuration.get("mapItemReaderData")),
        )
        trace = Trace(reveal_secrets) if inspection_level == TRACE else None
        x = self._execution(
            probe.state, payload, scope, role_arn, {"context": given, "retried": used}
        )
        run = _Run(
            self._clock,
            self._limits,
            self._tasks,
            self._records,
            program,
            probe,
            x,
            mock,
            result,
            configuration.get("mapIterationFailureCount", 0),
            trace,
        )
        await run.run()
        answer = run.answer()
        if inspection_level != INFO:
            answer["inspectionData"] = run.inspection(input)
        return answer

    def _tested(self, definition: str, name: str | None) -> tuple[Program, State]:
        if name is None:
            validation = validate_state(definition, SINGLE, self._limits, self._tasks.known_text)
        else:
            validation = validate(
                definition, limits=self._limits, known_resource=self._tasks.known_text
            )
        if validation.definition is None:
            raise ApiError(
                "InvalidDefinition", invalid_definition_text(validation.diagnostics, self._limits)
            )
        program = compile_machine(validation.definition, self._limits, Payload)
        state = program.states().get(name or SINGLE)
        if state is None:
            raise ApiError("ValidationException", messages.STATE_NOT_FOUND)
        return program, state

    def _execution(
        self,
        state: State,
        input: Payload,
        scope: Scope,
        role_arn: str | None,
        extras: ExecutionExtras,
    ) -> Execution:
        """An Express execution that is about to enter the state."""
        now, machine, name = self._clock.now(), self._new_uuid(), self._new_uuid()
        frame = Frame(_FRAME, 0, 0, state.block, Payload(input.value), scope, 0)
        frame.state = state
        return Execution(
            id=0,
            uuid=self._new_uuid().replace("-", ""),
            arn=self._home.arn("express", machine, name),
            name=name,
            machine_arn=self._home.arn("stateMachine", machine),
            machine_name=machine,
            role_arn=role_arn or "",
            express=True,
            input=input,
            started=now,
            deadline=now + self._limits.test_state_seconds * 1000,
            events=1,  # as if ExecutionStarted were written
            next_frame=_FRAME + 1,
            frames={_FRAME: frame},
            extras={"sync": True, **extras},
        )

    def _dataset(
        self, program: Program, state: State, text: str | None
    ) -> tuple[Evaluator | None, bool]:
        """(the items that the ItemReader of a Map would find in `text`, whether an ItemsPointer
        picks them).
        """
        found = _model(program.definition, state.name)
        if text is None or not isinstance(found, MapState) or found.item_reader is None:
            return None, False
        config = found.item_reader.reader_config or ReaderConfig()
        most = field_evaluators.number(
            field_evaluators.Language(state.jsonata), config, "max_items", "MaxItems", int
        )

        def items(value: Json, env: Env) -> Json:
            return datasets.first(datasets.read(text, config), most(value, env))

        return items, config.items_pointer is not None


def _model(block: Any, name: str) -> Any:
    """The state of that name as its author wrote it, at any depth."""
    if name in block.states:
        return block.states[name]
    for state in block.states.values():
        inner = [
            *getattr(state, "branches", ()),
            getattr(state, "item_processor", None),
            getattr(state, "iterator", None),
        ]
        for each in filter(None, inner):
            if (found := _model(each, name)) is not None:
                return found
    return None


class _Run:
    """One state from its entry to its end, or to the retry that would follow."""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        tasks: Tasks,
        records: Records,
        program: Program,
        probe: Probe,
        x: Execution,
        mock: Mapping[str, Any] | None,
        result: Payload | None,
        failures: int,
        trace: Trace | None,
    ) -> None:
        self.clock, self.limits, self.tasks, self.records = clock, limits, tasks, records
        self.program, self.probe, self.x = program, probe, x
        self.mock, self.result, self.failures, self.trace = mock, result, failures, trace
        self.before = x.frames[_FRAME].scope.payloads
        self.history: list[HistoryEvent] = []
        self.failure: tuple[str | None, str | None] | None = None
        self.effect: asyncio.Task[Event] | None = None
        self.now = x.started

    @property
    def frame(self) -> Frame | None:
        return self.x.frames.get(_FRAME)

    async def run(self) -> None:
        try:
            event: Event | None = Continue()
            while event is not None:
                await self._decide(event)
                event = await self._next()
        finally:
            if self.effect is not None:
                self.effect.cancel()
                await asyncio.gather(self.effect, return_exceptions=True)

    async def _decide(self, event: Event) -> None:
        self.now = self.clock.now()
        step = partial(
            decide, self.program, self.x, event, self.now, self.limits, activities=_Every()
        )
        patience = Patience()
        try:
            decision = step(patient=False, time=self.clock.elapsed)
        except InlineBudgetError:
            try:
                decision = await asyncio.to_thread(step, patient=patience)
            finally:
                patience.given_up = True  # it has ended, or the caller has gone
        self.x = decision.execution
        self.history += decision.history
        self.failure = decision.failure or self.failure
        for command in decision.commands:
            if isinstance(command, RunTask) and self.mock is None:
                self.effect = asyncio.create_task(
                    perform(self.tasks, self.x, command, _submitted, self.trace)
                )

    async def _next(self) -> Event | None:
        """What happens next to the state; None: it has ended, or waits for a retry."""
        frame = self.frame
        if frame is None or frame.phase == Phase.RETRY:
            return None
        if self.mock is not None:
            return self._mocked(frame)
        ring, due = asyncio.Event(), self.x.wake_at()
        assert due is not None
        alarm, rung = self.clock.call_at(due, ring.set), asyncio.ensure_future(ring.wait())
        try:
            await asyncio.wait(
                [rung] if self.effect is None else [rung, self.effect],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            alarm.cancel()
            rung.cancel()
        if self.effect is None or not self.effect.done():
            return Tick()
        event, self.effect = self.effect.result(), None
        also = getattr(event, "also", None)
        if also is not None and also.writes:  # a test does what the state does
            await self.records.write(also.writes, also.then)
        return self._noted(event)

    def _noted(self, event: Event) -> Event:
        if isinstance(event, TaskSucceeded):
            self.result = event.output
            self.probe.seen["result"] = event.output.value
        return event

    def _mocked(self, frame: Frame) -> Event:
        """What the mock says of the state's work."""
        mock = self.mock or {}
        fault = mock.get("errorOutput")
        output = self.result if fault is None else None
        error, cause = (fault or {}).get("error"), (fault or {}).get("cause")
        if frame.phase != Phase.TASK:
            if frame.state.map is not None and self._too_many(frame):
                raise ApiError("ValidationException", messages.ITERATION_FAILURES)
            return ChildrenMocked(_FRAME, frame.seq, output, error, cause, self.failures)
        if output is None:
            return TaskFailed(_FRAME, frame.seq, error, cause)
        return self._noted(TaskSucceeded(_FRAME, frame.seq, output))

    def _too_many(self, frame: Frame) -> bool:
        """More iterations are said to have failed than there are. How many an ItemReader would find
        is not known without its data.
        """
        assert frame.state.map is not None
        items = frame.running_children.items
        read = frame.state.map.reader is not None and not items
        return not read and self.failures > len(items)

    # --- the answer -------------------------------------------------------------------------------

    def answer(self) -> dict[str, Any]:
        x, retrying = self.x, self.frame is not None
        error, cause = self.failure or (None, None)
        if retrying:
            shown: dict[str, Any] = {"status": "RETRIABLE", "error": error, "cause": cause}
        elif x.status != model.SUCCEEDED or x.output is None:
            shown = {"status": "FAILED", "error": x.error, "cause": x.cause}
        else:
            following = [event for event in self.history if event[0] in ENTERED][1:]
            shown = {
                "status": "SUCCEEDED" if self.failure is None else "CAUGHT_ERROR",
                "output": x.output.data.decode(),
                "nextState": following[0][2] if following else None,
                "error": error,
                "cause": cause,
            }
        return {name: value for name, value in shown.items() if value is not None}

    def inspection(self, input: str) -> dict[str, Any]:
        seen = {
            name: value if name in _PLAIN else self._text(value)
            for name, value in self.probe.seen.items()
        }
        data: dict[str, Any] = {"input": input, **seen}
        variables = {**self.before, **self._assigned()}
        if variables:
            data["variables"] = json_text.dumps(
                {name: payload.value for name, payload in variables.items()}
            )
        if details := self._error_details():
            data["errorDetails"] = details
        if self.trace is not None:
            data |= {
                name: each
                for name, each in (
                    ("request", self.trace.request),
                    ("response", self.trace.response),
                )
                if each
            }
        return data

    def _text(self, value: Json) -> str:
        """JSON text; that of the result itself is as it came."""
        return (
            self.result.data.decode()
            if self.result is not None and self.result.value is value
            else json_text.dumps(value)
        )

    def _assigned(self) -> dict[str, Payload]:
        """The variables that the state itself assigned."""
        left = next(
            (event for event in self.history if event[0] == EXITED[self.probe.state.type]), None
        )
        scope = left[4] if left is not None else None
        return {} if scope is None else scope.payloads

    def _error_details(self) -> dict[str, int]:
        """Which Retry or Catch took the error. A retrier whose attempts are used up is named too,
        as recorded.
        """
        frame, state = self.frame, self.probe.state
        if frame is not None and frame.due is not None:
            return {
                "retryIndex": frame.retries.index(1),
                "retryBackoffIntervalSeconds": (frame.due - self.now) // 1000,
            }
        caught = self.x.status == model.SUCCEEDED
        if self.failure is None or self.x.error == asl_messages.RUNTIME:
            return {}
        error = (
            self.failure[0] if caught else self.x.error
        )  # that of what a catcher does with another
        found = {"retryIndex": _first(state.retriers, error)}
        if caught:
            found["catchIndex"] = _first(state.catchers, error)
        return {name: place for name, place in found.items() if place is not None}


def _first(handlers: Sequence[Retrier | Catcher], error: str | None) -> int | None:
    """The place of the first retrier or catcher that takes an error."""
    return next(
        (place for place, each in enumerate(handlers) if transitions.matches(each.errors, error)),
        None,
    )


async def _submitted(answer: Json) -> None:
    """Nobody waits for the answer of a call that is not a job."""
