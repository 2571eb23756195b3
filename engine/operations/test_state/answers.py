"""The answer to TestState: from a run that has ended, or waits for a retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Catcher, Retrier
from stepwell.engine.core import model
from stepwell.engine.core.history import ENTERED, EXITED
from stepwell.engine.core.model import Payload
from stepwell.engine.operations.results import (
    InspectionData,
    InspectionDataRequest,
    InspectionDataResponse,
    InspectionErrorDetails,
    TestStateOutput,
)
from stepwell.engine.operations.test_state.run import StateRun

# members of InspectionData that are numbers; the others are JSON texts
_NUMBERS: Final = ("toleratedFailureCount", "toleratedFailurePercentage", "maxConcurrency")


def answer(run: StateRun) -> TestStateOutput:
    """All but the inspectionData."""
    x, (error, cause) = run.x, run.failure or (None, None)
    shown: dict[str, str | None]
    if run.frame is not None:
        shown = {"status": "RETRIABLE", "error": error, "cause": cause}
    elif x.status != model.SUCCEEDED or x.output is None:
        shown = {"status": "FAILED", "error": x.error, "cause": x.cause}
    else:
        following = [event for event in run.history if event[0] in ENTERED][1:]
        shown = {
            "status": "SUCCEEDED" if run.failure is None else "CAUGHT_ERROR",
            "output": x.output.data.decode(),
            "nextState": following[0][2] if following else None,
            "error": error,
            "cause": cause,
        }
    present = {name: value for name, value in shown.items() if value is not None}
    return cast(TestStateOutput, present)


def inspection(run: StateRun, input: str) -> InspectionData:
    """The data flow of the state, up to where it stopped."""
    seen = {
        name: value if name in _NUMBERS else _text(run, value)
        for name, value in run.probe.seen.items()
    }
    data = cast(InspectionData, {"input": input, **seen})
    variables = {**run.before, **_assigned(run)}
    if variables:
        data["variables"] = json_text.dumps(
            {name: payload.value for name, payload in variables.items()}
        )
    if details := _error_details(run):
        data["errorDetails"] = details
    if run.trace is not None and run.trace.request:
        data["request"] = cast(InspectionDataRequest, run.trace.request)
    if run.trace is not None and run.trace.response:
        data["response"] = cast(InspectionDataResponse, run.trace.response)
    return data


def _text(run: StateRun, value: Json) -> str:
    """JSON text; the text of the result itself is unchanged."""
    if run.result is not None and run.result.value is value:
        return run.result.data.decode()
    return json_text.dumps(value)


def _assigned(run: StateRun) -> dict[str, Payload]:
    """The variables that the state itself assigned."""
    left = EXITED[run.probe.state.type]
    scope = next((event[4] for event in run.history if event[0] == left), None)
    return {} if scope is None else scope.payloads


def _error_details(run: StateRun) -> InspectionErrorDetails:
    """Which Retry or Catch handled the error. A retrier without attempts left is named too, as
    recorded.
    """
    frame, state = run.frame, run.probe.state
    if frame is not None and frame.due is not None:
        return {
            "retryIndex": frame.retries.index(1),
            "retryBackoffIntervalSeconds": (frame.due - run.now) // 1000,
        }
    if run.failure is None or run.x.error == asl_messages.RUNTIME:
        return {}
    caught = run.x.status == model.SUCCEEDED
    # if a catcher's own evaluation failed, the error of that
    error = run.failure[0] if caught else run.x.error
    details: InspectionErrorDetails = {}
    if (place := _first(state.retriers, error)) is not None:
        details["retryIndex"] = place
    if caught and (place := _first(state.catchers, error)) is not None:
        details["catchIndex"] = place
    return details


def _first(handlers: Sequence[Retrier | Catcher], error: str | None) -> int | None:
    """The index of the first retrier or catcher that handles an error."""
    return next(
        (place for place, each in enumerate(handlers) if matches(each.errors, error)),
        None,
    )
