"""The tasks of a test: mocks answer, then Python callables and the functions of a folder. Nothing
else is called: a task that none of them answers is an error of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
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
from stepwell.integrations.limits import Limits
from stepwell.integrations.mocks.answers import Answers
from stepwell.integrations.mocks.cases import TestCase
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.services.registry import Services
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.tasks.registry import Registry
from stepwell.integrations.testing.errors import UnansweredTaskError

FOLDER: Final = "functions"  # beside a definition
_INVOKE: Final = ("lambda", "invoke")


class TestTasks:
    """Tasks that are mocked, or call functions.

    case        the mocks
    activities  the states whose Task is an activity -> the Resource
    unanswered  the tasks that nothing could answer, in order
    """

    __test__ = False  # it is not a class of tests

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        folder: Path | None,
        case: TestCase,
        activities: Mapping[str, Resource],
        pool: Pool,
        limits: Limits,
    ) -> None:
        self._services = Services()  # none is opened with the engine
        self._registry = Registry(
            functions, folder, pool=pool, services=self._services, limits=limits
        )
        self.unanswered: list[UnansweredTaskError] = []
        answers = self._answers = Answers(case, Validation.PRESENT)
        self.mocks: Mocks = _CheckedMocks(answers, activities, self.refusal, self.unanswered)
        self.unused = answers.unused

    def connect(self, engine: Engine) -> None:
        self._registry.connect(engine)
        self._answers.clock = engine.clock
        self._services.connect(self._registry.host)

    def resolve(self, resource: Resource) -> Handler:
        return self._handle

    async def _handle(self, request: TaskRequest) -> TaskResult:
        handler = self._registry.resolve(request.resource) if self._has_function(request) else None
        if handler is None:
            raise self.refusal(request.state_name, request.resource, request.payload)
        return await handler(request)

    def _has_function(self, request: TaskRequest) -> bool:
        resource = request.resource
        if resource.kind in ("lambda", "local") or self._registry.functions.replaces(resource.text):
            return self._registry.known(resource)
        name = function_name(resource, request.payload)
        return name is not None and self._registry.functions.find(name) is not None

    def refusal(self, state: str, resource: Resource, payload: Json) -> TaskError:
        """Record that nothing answers a task. The error cannot be caught: the execution fails."""
        function = function_name(resource, payload)
        called = f"the function {function}" if function else resource.text
        problem = f"{state!r} calls {called}, which nothing answers"
        if resource.service == "s3":
            writes = resource.action == "putObject"
            part, result = (RESULT_WRITER, "RESULT") if writes else (ITEM_READER, "[ITEM, ...]")
            problem, key = f"the {part} of {problem}", part_key(state, part)
            error = UnansweredTaskError(key, problem, "", result)
        else:
            # a name with a ${Placeholder} is not one of a file
            name = (function or "") * ("$" not in called)
            error = UnansweredTaskError(state, f"the state {problem}", name)
        self.unanswered.append(error)
        return TaskError(asl_messages.RUNTIME, str(error), runtime=True)

    def use(self, state: str, attempts: int) -> None:
        """A Parallel or Map has got its results, for so many attempts of an execution."""
        problem = self._answers.use(state, attempts)
        if problem is not None:
            self.unanswered.append(UnansweredTaskError(state, problem))

    def known_text(self, resource: str) -> str | None:
        """A Resource that none of AWS's is valid: a mock may answer it."""
        return resource

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return self._registry.mock_fault(resource, result, strict)

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        return None

    async def results(self, request: StreamRequest) -> Results | None:
        return None

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return None

    async def close(self) -> None:
        await self._services.close()
        await self._registry.close()


class _CheckedMocks:
    """Mocks whose failures to answer are errors of the test, and not of the workflow. They answer
    for all activities, since no worker polls.
    """

    def __init__(
        self,
        answers: Answers,
        activities: Mapping[str, Resource],
        refusal: Callable[[str, Resource, Json], TaskError],
        unanswered: list[UnansweredTaskError],
    ) -> None:
        self._answers, self._activities = answers, activities
        self._refusal, self._unanswered = refusal, unanswered
        self.choose, self.passed_on = answers.choose, answers.passed_on
        self.whole = answers.whole

    def covers(self, machine: str, case: str, state: str) -> bool:
        return state in self._activities or self._answers.covers(machine, case, state)

    async def answer(self, attempt: MockedAttempt, request: TaskRequest) -> Json:
        state = attempt.key
        if not self._answers.covers(attempt.machine, attempt.case, state):
            raise self._refusal(state, self._activities[state], request.payload)
        try:
            return await self._answers.answer(attempt, request)
        except TaskError as error:
            if error.runtime:  # no response is left, or it does not fit the service's model
                self._unanswered.append(UnansweredTaskError(state, str(error.cause)))
            raise


def function_name(resource: Resource, payload: Json) -> str | None:
    """The name or ARN of the Lambda function that a task calls; None: it calls none."""
    if resource.kind in ("lambda", "local"):
        return resource.text.rpartition(":function:")[2]
    if (resource.service, resource.action) == _INVOKE and isinstance(payload, dict):
        name = payload.get("FunctionName")
        return name.rpartition(":function:")[2] if isinstance(name, str) else None
    return None
