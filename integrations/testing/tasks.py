"""The tasks of a test: mocks answer, then Python callables and the functions of a folder. The
executions that they start run, if the definition of the state machine is at hand. Nothing else is
called: a task that none of them answers is an error of the test.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource, parse_resource
from stepwell.engine.arns import machine_name
from stepwell.engine.engine import Engine
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest
from stepwell.engine.tasks import (
    ITEM_READER,
    RESULT_WRITER,
    Handler,
    MockedAttempt,
    Mocks,
    TaskError,
    TaskRequest,
    TaskResult,
    Transaction,
    part_key,
)
from stepwell.integrations import requests
from stepwell.integrations.definitions import other_machines
from stepwell.integrations.definitions.other_machines import plain
from stepwell.integrations.mocks.answers import Answers, Unused
from stepwell.integrations.mocks.cases import Items, Responses, TestCase
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile
from stepwell.integrations.services.registry import Services
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.tasks.registry import Registry
from stepwell.integrations.testing.errors import UnansweredTaskError, WorkflowTestError
from stepwell.integrations.testing.plans import Plan

FOLDER: Final = "functions"  # beside a definition
ROLE: Final = "arn:aws:iam::123456789012:role/stepwell-test"
_INVOKE: Final = ("lambda", "invoke")
_STEP_FUNCTIONS: Final = ("states", "aws-sdk:sfn")
_STARTS: Final = ("startExecution", "startSyncExecution")
_MACHINE: Final = "StateMachineArn"
_EXECUTION: Final = "ExecutionArn"


@dataclass(slots=True)
class Machine:
    """A state machine that runs in a test.

    shown       what texts write before the names of its states
    activities  the states whose Task is an activity -> the Resource
    arn         "" before it is created
    """

    plan: Plan
    registry: Registry
    shown: str
    activities: Mapping[str, Resource]
    arn: str = ""


def _activities(text: str) -> dict[str, Resource]:
    found = {}
    for name, state in every_state(json_text.loads(text)):
        resource = parse_resource(state["Resource"]) if state["Type"] == "Task" else None
        if resource is not None and resource.kind == "activity":
            found[name] = resource
    return found


class TestTasks:
    """Tasks that are mocked, call functions, or start executions.

    plan        of the state machine under test
    machines    by name; that of the plan is the first
    started     ARN of each execution that a task has started, in order -> its machine
    faults      why the test cannot go on, such as a task that nothing could answer; in order
    """

    __test__ = False  # it is not a class of tests

    def __init__(self, plan: Plan, pool: Pool) -> None:
        self.plan, self._pool = plan, pool
        self._engine: Engine | None = None
        self._services = Services()  # none is opened with the engine
        self.machines: dict[str, Machine] = {}
        self.started: dict[str, Machine] = {}
        self._creation = asyncio.Lock()
        self.faults: list[WorkflowTestError] = []
        self._cases: dict[str, dict[str, TestCase]] = {}
        mocks = MockFile(self._cases, "the mock file")
        answers = self._answers = Answers(mocks, Validation.PRESENT, default=plan.case)
        self.mocks: Mocks = _CheckedMocks(answers, self)
        self._add(plan.name, plan)

    def _add(self, name: str, plan: Plan) -> Machine:
        registry = Registry(
            plan.functions,
            plan.folder,
            pool=self._pool,
            services=self._services,
            limits=plan.limits,
            sources=plan.sources,
        )
        if self._engine is not None:
            registry.connect(self._engine)
        shown = name if self.machines else ""
        case = TestCase(plan.mocks, self.plan.case, machine=shown)
        self._cases[name] = {**plan.cases, self.plan.case: case}
        found = Machine(plan, registry, shown, _activities(plan.text))
        self.machines[name] = found
        return found

    def connect(self, engine: Engine) -> None:
        self._engine = engine
        for each in self.machines.values():
            each.registry.connect(engine)
        self._answers.clock = engine.clock
        self._services.connect(self.machines[self.plan.name].registry.host)

    async def create(self, name: str) -> str:
        """The ARN of a machine, which is created once."""
        machine = self.machines[name]
        async with self._creation:  # in turn, so that executions start in the order of their tasks
            if not machine.arn:
                assert self._engine is not None
                created = await self._engine.create_state_machine(
                    name, machine.plan.text, ROLE, type=machine.plan.type
                )
                machine.arn = created["stateMachineArn"]
        return machine.arn

    def resolve(self, resource: Resource) -> Handler:
        return self._handle

    async def _handle(self, request: TaskRequest) -> TaskResult:
        name = machine_name(request.machine_arn).partition("/")[0]  # of a Map Run: NAME/LABEL
        if name not in self.machines:  # of TestState, which has no machine
            name = self.plan.name
        machine = self.machines[name]
        if request.resource.service in _STEP_FUNCTIONS and not machine.registry.functions.replaces(
            request.resource.text
        ):
            return await self._step_functions(name, machine.registry, request)
        if not self._has_function(machine.registry, request):
            raise self.refusal(machine, request.state_name, request.resource, request.payload)
        return await self._call(machine.registry, request)

    async def _call(self, registry: Registry, request: TaskRequest) -> TaskResult:
        handler = registry.resolve(request.resource)
        assert handler is not None
        return await handler(request)

    def _has_function(self, registry: Registry, request: TaskRequest) -> bool:
        resource = request.resource
        if resource.kind in ("lambda", "local") or registry.functions.replaces(resource.text):
            return registry.known(resource)
        name = function_name(resource, request.payload)
        return name is not None and registry.functions.find(name) is not None

    # --- other state machines ---------------------------------------------------------------------

    def _other(self, by: str, reference: str) -> str | None:
        """The name of the machine that a task of the machine `by` starts; None: it is not known."""
        name = other_machines.valid_name(reference)
        known = next((each for each in self.machines if plain(each) == plain(name)), None)
        if known is None and (plan := self.machines[by].plan.find(reference)) is not None:
            self._add(name, replace(plan, name=name))
            return name
        return known

    def unused(self) -> list[Unused]:
        """The mocks that answered no call, also of machines that were not started."""
        for each in self.plan.mocked:
            if (name := self._other(self.plan.name, each)) is not None:
                self._answers.choose(name, None)
        return self._answers.unused()

    async def _step_functions(
        self, name: str, registry: Registry, request: TaskRequest
    ) -> TaskResult:
        """A task that starts an execution, or does something with one that another has started."""
        action, payload = request.resource.action, request.payload
        reference = payload.get(_MACHINE) if isinstance(payload, dict) else None
        if action not in _STARTS or not isinstance(reference, str):
            if len(self.machines) == 1 and action not in _STARTS:
                machine = self.machines[name]
                raise self.refusal(machine, request.state_name, request.resource, payload)
            return await self._call(registry, request)  # says what is missing
        called, case = other_machines.started(reference)
        try:
            other = self._other(name, called)
        except WorkflowTestError as fault:
            self.faults.append(fault)
            raise TaskError(asl_messages.RUNTIME, str(fault), runtime=True) from None
        if other is None:
            raise self._unknown_machine(self.machines[name], request.state_name, called)
        assert self._engine is not None
        with self._engine.activity.held():
            target = await self.create(other) + (f"#{case}" if case else "")
        return await self._start(self.machines[other], registry, request, target)

    async def _start(
        self, machine: Machine, registry: Registry, request: TaskRequest, target: str
    ) -> TaskResult:
        assert self._engine is not None
        payload: dict[str, Any] = {**request.payload, _MACHINE: target}
        if machine.plan.type == "EXPRESS":  # its history is kept if its name is known
            payload.setdefault("Name", requests.request_id(request.token))
            self._engine.expect_express(payload["Name"])

        def note(answer: Json) -> None:
            if isinstance(answer, dict) and _EXECUTION in answer:
                self.started.setdefault(str(answer[_EXECUTION]), machine)

        async def submitted(answer: Json) -> None:
            starting.close()
            note(answer)
            await request.submitted(answer)

        sent = replace(request, payload=payload, submitted=submitted)
        with ExitStack() as starting:
            if request.resource.action == _STARTS[0]:  # the other one waits for the end
                starting.enter_context(self._engine.activity.held())
            result = await self._call(registry, sent)
        note(result)
        return result

    # --- what nothing answers ---------------------------------------------------------------------

    def refusal(self, machine: Machine, state: str, resource: Resource, payload: Json) -> TaskError:
        """Record that nothing answers a task. The error cannot be caught: the execution fails."""
        state = self.shown(machine, state)
        function = function_name(resource, payload)
        called = f"the function {function}" if function else resource.text
        problem = f"{state!r} calls {called}, which nothing answers"
        if resource.service == "s3":
            writes = resource.action == "putObject"
            part, result = (RESULT_WRITER, "RESULT") if writes else (ITEM_READER, "[ITEM, ...]")
            problem, key = f"the {part} of {problem}", part_key(state, part)
            return self._refused(UnansweredTaskError(key, problem, "", result))
        # a name with a ${Placeholder} is not one of a file
        name = (function or "") * ("$" not in called)
        return self._refused(UnansweredTaskError(state, f"the state {problem}", name))

    def _unknown_machine(self, machine: Machine, state: str, called: str) -> TaskError:
        state = self.shown(machine, state)
        problem = f"the state {state!r} starts the state machine {called!r}, which is not at hand"
        return self._refused(UnansweredTaskError(state, problem, "", machine=called))

    def _refused(self, fault: UnansweredTaskError) -> TaskError:
        self.faults.append(fault)
        return TaskError(asl_messages.RUNTIME, str(fault), runtime=True)

    def shown(self, machine: Machine, state: str) -> str:
        return f"{machine.shown}/{state}" if machine.shown else state

    def mock(self, attempt: MockedAttempt) -> Responses | Items:
        return self._cases[attempt.machine][attempt.case].states[attempt.key]

    def use(self, name: str, state: str, attempts: int) -> None:
        """A Parallel or Map has got its results, for so many attempts of an execution."""
        problem = self._answers.use(name, state, attempts)
        if problem is not None:
            shown = self.shown(self.machines[name], state)
            self.faults.append(UnansweredTaskError(shown, problem))

    # --- what the engine asks ---------------------------------------------------------------------

    def known_text(self, resource: str) -> str | None:
        """A Resource that none of AWS's is valid: a mock may answer it."""
        return resource

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return self.machines[self.plan.name].registry.mock_fault(resource, result, strict)

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        return None

    async def results(self, request: StreamRequest) -> Results | None:
        return None

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return None

    async def close(self) -> None:
        await self._services.close()
        for each in self.machines.values():
            await each.registry.close()


class _CheckedMocks:
    """Mocks whose failures to answer are errors of the test, and not of the workflow. They answer
    for all activities, since no worker polls.
    """

    def __init__(self, answers: Answers, tasks: TestTasks) -> None:
        self._answers, self._tasks = answers, tasks
        self._calls: Counter[tuple[str, str]] = Counter()  # by machine and state
        self.choose, self.passed_on = answers.choose, answers.passed_on
        self.whole = answers.whole

    def covers(self, machine: str, case: str, state: str) -> bool:
        activities = self._tasks.machines[machine].activities
        return state in activities or self._answers.covers(machine, case, state)

    async def answer(self, attempt: MockedAttempt, request: TaskRequest) -> Json:
        state, machine = attempt.key, self._tasks.machines[attempt.machine]
        if not self._answers.covers(attempt.machine, attempt.case, state):
            resource = machine.activities[state]
            raise self._tasks.refusal(machine, state, resource, request.payload)
        try:
            return await self._answers.answer(self._counted(machine, attempt), request)
        except TaskError as error:
            if error.runtime:  # no response is left, or it does not fit the service's model
                shown = self._tasks.shown(machine, state)
                self._tasks.faults.append(UnansweredTaskError(shown, str(error.cause)))
            raise

    def _counted(self, machine: Machine, attempt: MockedAttempt) -> MockedAttempt:
        """The calls of all executions of another machine take the responses of a test in turn; in a
        mock file, those of each execution, as on a server. So they do where none is left.
        """
        mock = self._tasks.mock(attempt)
        if not machine.shown or not isinstance(mock, Responses) or mock.name:
            return attempt
        number = self._calls[attempt.machine, attempt.key]
        self._calls[attempt.machine, attempt.key] += 1
        return attempt if mock.at(number) is None else attempt._replace(number=number)


def function_name(resource: Resource, payload: Json) -> str | None:
    """The name or ARN of the Lambda function that a task calls; None: it calls none."""
    if resource.kind in ("lambda", "local"):
        return resource.text.rpartition(":function:")[2]
    if (resource.service, resource.action) == _INVOKE and isinstance(payload, dict):
        name = payload.get("FunctionName")
        return name.rpartition(":function:")[2] if isinstance(name, str) else None
    return None
