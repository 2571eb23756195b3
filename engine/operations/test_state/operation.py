"""TestState: one state, run by the same interpreter as an execution, with a mock in place of its
work or with its real task.

definition -> Program -> the state under a Probe -> decide() until it has ended -> the answer;
nothing is stored
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import datasets, field_evaluators
from stepwell.asl.compiler import compile_machine
from stepwell.asl.definition import MapState, ReaderConfig
from stepwell.asl.evaluation import Env, Evaluator, Json
from stepwell.asl.program import Program, State
from stepwell.asl.validate import invalid_definition_text, validate, validate_state
from stepwell.engine import arns, messages
from stepwell.engine.core.model import Execution, ExecutionExtras, Frame, Payload, Scope
from stepwell.engine.core.probe import Probe
from stepwell.engine.errors import ApiError
from stepwell.engine.operations import payloads
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.results import TestStateOutput
from stepwell.engine.operations.test_state import answers, checks
from stepwell.engine.operations.test_state.run import FRAME, Mock, StateRun
from stepwell.engine.runtime.records import Records
from stepwell.engine.tasks import Trace

INFO: Final = "INFO"
TRACE: Final = "TRACE"
SINGLE: Final = "StateName"  # the name of a state that comes without its machine


class TestStates:
    """The operation TestState."""

    def __init__(self, base: Base, records: Records) -> None:
        self._base, self._records = base, records
        self._clock, self._limits, self._home = base.clock, base.limits, base.home
        self._tasks, self._new_uuid, self._programs = base.tasks, base.new_uuid, base.programs

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
    ) -> TestStateOutput:
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
        mocked = None if mock is None else await self._mock(state, mock, configuration)
        own_context = checks.context(context, program, state)
        payload = payloads.execution_input(input, self._limits)
        values = checks.variables(variables)
        scope = Scope({name: Payload(value) for name, value in values.items()})
        retried = configuration.get("retrierRetryCount", 0)
        dataset = _dataset(program, state, configuration.get("mapItemReaderData"))
        probe = Probe(state, payload.value, retried, *dataset)
        trace = Trace(reveal_secrets) if inspection_level == TRACE else None
        extras: ExecutionExtras = {"context": own_context, "retried": retried}
        x = self._execution(probe.state, payload, scope, role_arn, extras)
        run = StateRun(self._base, self._records, program, probe, x, mocked, trace)
        await run.run()
        answer = answers.answer(run)
        if inspection_level != INFO:
            answer["inspectionData"] = answers.inspection(run, input)
        return answer

    async def _mock(
        self, state: State, mock: Mapping[str, Any], configuration: Mapping[str, Any]
    ) -> Mock:
        failures = configuration.get("mapIterationFailureCount", 0)
        if "result" not in mock:
            error = mock["errorOutput"] or {}
            return Mock(None, error.get("error"), error.get("cause"), failures)
        # in a thread: a service model may have to be read
        value = await asyncio.to_thread(checks.mocked_result, state, mock, self._tasks)
        # recorded: the text of a result is passed on unchanged
        return Mock(Payload(value, mock["result"].encode()), failures=failures)

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
        frame = Frame(FRAME, 0, 0, state.block, Payload(input.value), scope, 0)
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
            next_frame=FRAME + 1,
            frames={FRAME: frame},
            extras={"sync": True, **extras},
        )


def _dataset(program: Program, state: State, text: str | None) -> tuple[Evaluator | None, bool]:
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
