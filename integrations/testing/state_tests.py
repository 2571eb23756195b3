"""One state as a unit test, by TestState: workflow(...).state("Charge").run({"orderId": 7})."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.results import TestStateOutput
from stepwell.integrations.mocks.cases import Responses, Return, Throw
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.testing import execution
from stepwell.integrations.testing.background import background
from stepwell.integrations.testing.errors import WorkflowTestError, is_expected
from stepwell.integrations.testing.plans import Plan
from stepwell.integrations.testing.results import shorten

__tracebackhide__: Final = is_expected
_NOT_SET: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class StateTestResult:
    """What a state did with its input.

    status      SUCCEEDED, FAILED, RETRIABLE (a retrier takes the error) or CAUGHT_ERROR
    output      of the state; None if it has none
    next_state  None at the end of the machine, and where there is none
    variables   after the state: those it saw and those it assigned
    arguments   the effective input: after Parameters or Arguments
    result      of its work, before ResultSelector
    inspection  every stage of the data flow, as TestState names it; JSON values
    """

    state: str
    status: str
    output: Json
    error: str | None
    cause: str | None
    next_state: str | None
    variables: Mapping[str, Json]
    arguments: Json
    result: Json
    inspection: Mapping[str, Json]

    def __repr__(self) -> str:
        if self.error is not None:
            ending = ": ".join(filter(None, (self.error, self.cause and shorten(self.cause))))
        else:
            ending = shorten(json_text.dumps(self.output))
        then = f" -> {self.next_state}" if self.next_state else ""
        return f"<{self.state} {self.status}: {ending}{then}>"


@dataclass(frozen=True, slots=True)
class StateTest:
    """A state of a machine. `Workflow.state()` makes one, with the mock of the Workflow."""

    plan: Plan
    name: str

    def run(self, input: Json = None, **options: Any) -> StateTestResult:
        """Run the state once.

        mock       in place of its work: a result. Without one, that of Workflow.mock(), else the
                   function that it calls
        error, cause  in place of its work: a failure
        variables  name -> value, that earlier states assigned
        retries    how often it was retried before
        context    the Context object, where a mock is used
        validation  of the mock against the service's model: STRICT, PRESENT or NONE
        Raises WorkflowTestError, UnansweredTaskError.
        """
        request = self._request(input, **options)
        try:
            answer = background.call(lambda pool: self._answer(request, pool))
        except WorkflowTestError as fault:
            raise fault.with_traceback(None) from None
        return _result(self.name, answer)

    async def run_async(self, input: Json = None, **options: Any) -> StateTestResult:
        """run() on the event loop of the caller."""
        return _result(self.name, await self._answer(self._request(input, **options), None))

    async def _answer(self, request: Mapping[str, Any], pool: Pool | None) -> TestStateOutput:
        try:
            return await execution.run_state(self.plan, self.name, request, pool)
        except ApiError as refused:
            raise WorkflowTestError(f"the state {self.name!r}: {refused.message}") from None

    def _request(
        self,
        input: Json = None,
        *,
        mock: Json = _NOT_SET,
        error: str | None = None,
        cause: str | None = None,
        variables: Mapping[str, Json] | None = None,
        retries: int = 0,
        context: Mapping[str, Json] | None = None,
        validation: str = "PRESENT",
    ) -> dict[str, Any]:
        """The members of a TestState request."""
        text = execution.text_of
        request: dict[str, Any] = {"input": text({} if input is None else input, "input")}
        if mock is not _NOT_SET and error is not None:
            raise WorkflowTestError("run() takes a mock or an error, not both")
        if mock is _NOT_SET and error is None:
            mock, error, cause, validation = self._planned_mock(retries, validation)
        if error is not None:
            output = {"error": error, **({} if cause is None else {"cause": cause})}
            request["mock"] = {"errorOutput": output}
        elif mock is not _NOT_SET:
            request["mock"] = {"result": text(mock, "mock"), "fieldValidationMode": validation}
        if variables:
            request["variables"] = text(dict(variables), "variables")
        if retries:
            request["state_configuration"] = {"retrierRetryCount": retries}
        if context is not None:
            request["context"] = text(dict(context), "context")
        return request

    def _planned_mock(
        self, attempt: int, validation: str
    ) -> tuple[Json, str | None, str | None, str]:
        """(result, error, cause, validation) of the mock of the Workflow."""
        planned = self.plan.mocks.get(self.name)
        step = planned.at(attempt) if isinstance(planned, Responses) else None
        match None if step is None else step.response:
            case Return(value):
                checked = step is None or step.checked
                return value, None, None, validation if checked else "NONE"
            case Throw(error, cause):
                return _NOT_SET, error, cause, validation
            case _:
                return _NOT_SET, None, None, validation


def _result(state: str, answer: TestStateOutput) -> StateTestResult:
    inspected: Mapping[str, Any] = answer.get("inspectionData", {})
    stages = {
        name: json_text.loads(value) if isinstance(value, str) else value
        for name, value in inspected.items()
    }
    output = answer.get("output")
    arguments = next(
        (
            stages[name]
            for name in ("afterArguments", "afterParameters", "afterInputPath", "input")
            if name in stages
        ),
        None,
    )
    variables = stages.pop("variables", {})
    return StateTestResult(
        state=state,
        status=answer["status"],
        output=None if output is None else json_text.loads(output),
        error=answer.get("error"),
        cause=answer.get("cause"),
        next_state=answer.get("nextState"),
        variables=variables if isinstance(variables, dict) else {},
        arguments=arguments,
        result=stages.get("result"),
        inspection=stages,
    )
