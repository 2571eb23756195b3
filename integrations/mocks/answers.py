"""The answers of test cases: what the engine asks instead of the services of tasks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Never

from stepwell.asl import messages as asl_messages
from stepwell.asl.datasets import first
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.arns import machine_name, read_machine, split_case
from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import ITEM_READER, MockedAttempt, TaskError, TaskRequest
from stepwell.integrations.mocks import checks, messages
from stepwell.integrations.mocks.cases import (
    Pending,
    Responses,
    Return,
    Step,
    TestCase,
    Throw,
    whole_results,
)
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile

log: Final = logging.getLogger("stepwell.mocks")
_NESTED: Final = (("states", "startExecution"), ("aws-sdk:sfn", "startExecution"))
_MACHINE: Final = "StateMachineArn"


_SHOWN_MOCKS: Final = 8


class Unused(NamedTuple):
    """A mock of a test case that answered no call.

    place    "file:line:column", or ""
    numbers  of the attempts that the response is for; "": the state was not run
    """

    place: str
    state: str
    case: str
    numbers: str = ""

    @property
    def text(self) -> str:
        text = messages.UNUSED_RESPONSE if self.numbers else messages.UNUSED_STATE
        return text.format(**{**self._asdict(), "place": _prefix(self.place)})

    @property
    def name(self) -> str:
        return repr(self.state) + f" response {self.numbers}" * bool(self.numbers)


def summary(unused: Sequence[Unused]) -> list[str]:
    """One line that names them, with the place of the first; none if there are none."""
    if not unused:
        return []
    more = len(unused) - _SHOWN_MOCKS
    names = [each.name for each in unused[:_SHOWN_MOCKS]] + [f"… {more} more"] * (more > 0)
    place = _prefix(unused[0].place)
    return [messages.UNUSED_MOCKS.format(place=place, mocks=", ".join(names))]


async def _at_once(request: TaskRequest) -> None:
    """The default of Answers: nothing has to be waited for."""


class Answers:
    """The answers of the test cases of a file, or of one test case for every execution: the Mocks
    of an engine.

    validation  of results, when they are used
    ready       awaited before each answer
    default     the test case of executions that name none, if their state machine has it. Its mocks
                are written in Python
    clock       of the engine, set before it starts
    """

    clock: Clock | None = None

    def __init__(
        self,
        mocks: MockFile | TestCase,
        validation: Validation = Validation.WARN,
        ready: Callable[[TaskRequest], Awaitable[None]] = _at_once,
        default: str | None = None,
    ) -> None:
        self._mocks, self._validation, self._ready = mocks, validation, ready
        self._default = default
        self._used: dict[TestCase, set[Step]] = {}  # by the test cases of executions
        self._warned: set[Step] = set()  # whose results do not fit

    def choose(self, machine: str, case: str | None) -> str | None:
        if isinstance(self._mocks, TestCase):
            if case not in (None, self._mocks.name):
                raise ApiError("InvalidName", _unknown(machine, case, self._mocks.name))
            self._used.setdefault(self._mocks, set())
            return self._mocks.name
        if case is None and self._default and self._mocks.find(machine, self._default):
            case = self._default
        if case is not None:
            self._used.setdefault(self._mocks.case(machine, case), set())
        return case

    def covers(self, machine: str, case: str, state: str) -> bool:
        """Of a case that is lost, every state: answer() says so."""
        found = self._find(machine, case)
        return found is None or state in found.states

    def whole(self, machine: str, case: str, state: str) -> list[dict[str, Json]] | None:
        """Of a test case in Python alone: in a mock file, Step Functions Local has tasks only."""
        if not (isinstance(self._mocks, TestCase) or case == self._default):
            return None
        found = self._find(machine, case)
        mock = found.states.get(state) if found else None
        return whole_results(mock) if isinstance(mock, Responses) else None

    def use(self, machine: str, state: str, attempts: int) -> str | None:
        """A Parallel or Map has got its results, for so many attempts of an execution. If they
        were not enough, the text that says so.
        """
        case = self._find(machine, self._default or "")
        assert case is not None
        mock = case.states[state]
        if not isinstance(mock, Responses):
            return None
        steps = [mock.at(number) for number in range(attempts)]
        self._used.setdefault(case, set()).update(filter(None, steps))
        return _none_left(case, state, mock, steps.index(None)) if None in steps else None

    async def answer(self, attempt: MockedAttempt, request: TaskRequest) -> Json:
        result = await self._answer(attempt, request)
        return _dataset(result, request) if attempt.part == ITEM_READER else result

    async def _answer(self, attempt: MockedAttempt, request: TaskRequest) -> Json:
        await self._ready(request)
        case = self._find(attempt.machine, attempt.case)
        if case is None:
            loaded = isinstance(self._mocks, TestCase) or self._mocks.loaded
            text = messages.CASE_LOST if loaded else messages.NO_FILE_NOW
            text = text.format(case=attempt.case, machine=attempt.machine)
            raise TaskError(asl_messages.RUNTIME, text, runtime=True)
        step, responses = case.step(attempt), case.responses(attempt)
        if step is None or responses is None:
            raise TaskError(asl_messages.RUNTIME, _exhausted(case, attempt), runtime=True)
        self._used.setdefault(case, set()).add(step)
        if step.after:
            await self._sleep(step.after, request)
        response = step.response
        if isinstance(response, Throw):
            raise TaskError(response.error, response.cause)
        if isinstance(response, Pending):
            return await _pending(request)
        if not isinstance(response, Return):
            result = response(request.payload)
            return await result if inspect.isawaitable(result) else result
        if step.checked and not attempt.part:
            shown = case.shown(attempt.state)
            self._check(request.resource, response.value, step, responses, shown)
        return response.value

    async def _sleep(self, seconds: float, request: TaskRequest) -> None:
        """It holds no slot, so a VirtualClock skips the time."""
        assert self.clock is not None
        over = asyncio.Event()
        alarm = self.clock.call_at(self.clock.now() + round(1000 * seconds), over.set)
        try:
            async with request.waiting():
                await over.wait()
        finally:
            alarm.cancel()

    def _check(
        self, resource: Resource, result: Json, step: Step, responses: Responses, state: str
    ) -> None:
        """Raises TaskError for a result that the model of its service does not allow; with WARN it
        is logged, once.
        """
        problem = checks.problem(resource, result, self._validation)
        if problem is None or step in self._warned:
            return
        text = checks.invalid(step, responses, state, problem)
        if self._validation != Validation.WARN:
            raise TaskError(asl_messages.RUNTIME, text, runtime=True)
        self._warned.add(step)
        log.warning(text)

    def passed_on(self, attempt: MockedAttempt, request: TaskRequest) -> TaskRequest:
        """A nested execution whose state machine has a test case of the same name runs with it."""
        resource, payload = request.resource, request.payload
        if (resource.service, resource.action) not in _NESTED or not isinstance(payload, dict):
            return request
        arn = payload.get(_MACHINE)
        if not isinstance(arn, str) or split_case(arn)[1] is not None:
            return request
        try:
            machine = machine_name(read_machine(arn).machine)
        except ApiError:
            return request  # its handler says what is wrong with it
        if isinstance(self._mocks, TestCase) or self._mocks.find(machine, attempt.case) is None:
            return request
        return replace(request, payload={**payload, _MACHINE: f"{arn}#{attempt.case}"})

    def unused(self) -> list[Unused]:
        """What executions did not use of the test cases that they had: each state that did not
        run, and each response.
        """
        found = []
        for case, used in self._used.items():
            ran = {state for state, each in case.all() if used.intersection(each.steps)}
            for state in (each for each in case.states if each not in ran):
                place = next(each.place for name, each in case.all() if name == state)
                found.append(Unused(place, case.shown(state), case.name))
            for state, each in case.all():
                for step in each.steps if state in ran else ():
                    if step not in used and step.last is not None:
                        shown = case.shown(state)
                        found.append(Unused(step.place, shown, case.name, step.numbers))
        return found

    def _find(self, machine: str, case: str) -> TestCase | None:
        if isinstance(self._mocks, TestCase):
            return self._mocks if case == self._mocks.name else None
        return self._mocks.find(machine, case)


def _dataset(items: Json, request: TaskRequest) -> Json:
    """The items of an ItemReader, as the engine wants them. Raises TaskError."""
    if not isinstance(items, list | dict):
        raise TaskError(asl_messages.RUNTIME, messages.NO_ITEMS, runtime=True)
    payload: dict[str, Any] = dict(request.payload)
    names = [str(payload[name]) for name in ("Bucket", "Key") if name in payload]
    return {"Items": first(items, payload.get("MaxItems")), "Source": f"S3://{'/'.join(names)}"}


async def _pending(request: TaskRequest) -> Never:
    """Until the attempt is cancelled. It holds no slot."""
    async with request.waiting():
        await asyncio.Event().wait()
    raise AssertionError("nothing sets the event")


def _unknown(machine: str, case: str | None, known: str) -> str:
    names = messages.KNOWN_CASES.format(cases=known)
    return messages.UNKNOWN_CASE.format(case=case, machine=machine, known=names)


def _prefix(place: str) -> str:
    return f"{place}: " if place else ""


def _exhausted(case: TestCase, attempt: MockedAttempt) -> str:
    found = case.responses(attempt)
    if found is None:
        return messages.NO_ITERATION.format(
            state=case.shown(attempt.state),
            case=case.name,
            iteration=".".join(str(index) for index, _ in attempt.iteration),
        )
    if found.undefined:
        return messages.UNDEFINED.format(
            state=case.shown(attempt.state), case=case.name, name=found.name, place=_placed(found)
        )
    return _none_left(case, attempt.state, found, attempt.number)


def _none_left(case: TestCase, state: str, found: Responses, number: int) -> str:
    return messages.EXHAUSTED.format(
        state=case.shown(state),
        attempt=f"attempt {number}",
        responses=checks.named(found),
        case=case.name,
        numbers=", ".join(step.numbers for step in found.steps) or "none",
        place=_placed(found),
    )


def _placed(found: Responses) -> str:
    return f" ({found.place})" if found.place else ""
