"""ONE table of the history events, from the core's tuples to AWS's shape.

An event is `(code, previousEventId, *fields)`. Its id is the first id of its unit plus its place.
Fields are Payloads (shown as JSON text, with `inputDetails` or `outputDetails` beside `input` or
`output`), strings, integers, or None, which omits the member.

Source: reference recordings of the service; the details member and its fields are those of the Step
Functions API model.
"""

from typing import Any, Final

from stepwell.asl.program import TYPES
from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.model import Payload, Scope

STATE_TYPES: Final = tuple(TYPES)  # in the order of their codes

_ENTERED = ("stateEnteredEventDetails", "name", "input")
_EXITED = ("stateExitedEventDetails", "name", "output", "assignedVariables")
_FAILURE = ("error", "cause")
_SERVICE = ("resourceType", "resource")

# (type, details member, *fields). The place of a row is its stored code: only append
TABLE: Final[tuple[tuple[str, ...], ...]] = (
    (
        "ExecutionStarted",
        "executionStartedEventDetails",
        "input",
        "roleArn",
        "stateMachineVersionArn",
        "stateMachineAliasArn",
    ),
    ("ExecutionSucceeded", "executionSucceededEventDetails", "output"),
    ("ExecutionFailed", "executionFailedEventDetails", *_FAILURE),
    ("ExecutionAborted", "executionAbortedEventDetails", *_FAILURE),
    ("ExecutionTimedOut", "executionTimedOutEventDetails", *_FAILURE),
    ("ExecutionRedriven", "executionRedrivenEventDetails", "redriveCount"),
    *((f"{state}StateEntered", *_ENTERED) for state in STATE_TYPES),
    *((f"{state}StateExited", *_EXITED) for state in STATE_TYPES if state != "Fail"),
    ("TaskStateAborted",),
    ("WaitStateAborted",),
    ("ParallelStateAborted",),
    ("MapStateAborted",),
    ("ParallelStateStarted",),
    ("ParallelStateSucceeded",),
    ("ParallelStateFailed",),
    ("MapStateStarted", "mapStateStartedEventDetails", "length"),
    ("MapStateSucceeded",),
    ("MapStateFailed",),
    ("MapIterationStarted", "mapIterationStartedEventDetails", "name", "index"),
    ("MapIterationSucceeded", "mapIterationSucceededEventDetails", "name", "index"),
    ("MapIterationFailed", "mapIterationFailedEventDetails", "name", "index"),
    ("MapIterationAborted", "mapIterationAbortedEventDetails", "name", "index"),
    ("MapRunStarted", "mapRunStartedEventDetails", "mapRunArn"),
    ("MapRunSucceeded",),
    ("MapRunFailed", "mapRunFailedEventDetails", *_FAILURE),
    ("MapRunAborted",),
    ("MapRunRedriven", "mapRunRedrivenEventDetails", "mapRunArn", "redriveCount"),
    ("EvaluationFailed", "evaluationFailedEventDetails", *_FAILURE, "location", "state"),
    (
        "LambdaFunctionScheduled",
        "lambdaFunctionScheduledEventDetails",
        "resource",
        "input",
        "timeoutInSeconds",
        "taskCredentials",
    ),
    ("LambdaFunctionScheduleFailed", "lambdaFunctionScheduleFailedEventDetails", *_FAILURE),
    ("LambdaFunctionStarted",),
    ("LambdaFunctionStartFailed", "lambdaFunctionStartFailedEventDetails", *_FAILURE),
    ("LambdaFunctionSucceeded", "lambdaFunctionSucceededEventDetails", "output"),
    ("LambdaFunctionFailed", "lambdaFunctionFailedEventDetails", *_FAILURE),
    ("LambdaFunctionTimedOut", "lambdaFunctionTimedOutEventDetails", *_FAILURE),
    (
        "ActivityScheduled",
        "activityScheduledEventDetails",
        "resource",
        "input",
        "timeoutInSeconds",
        "heartbeatInSeconds",
    ),
    ("ActivityScheduleFailed", "activityScheduleFailedEventDetails", *_FAILURE),
    ("ActivityStarted", "activityStartedEventDetails", "workerName"),
    ("ActivitySucceeded", "activitySucceededEventDetails", "output"),
    ("ActivityFailed", "activityFailedEventDetails", *_FAILURE),
    ("ActivityTimedOut", "activityTimedOutEventDetails", *_FAILURE),
    (
        "TaskScheduled",
        "taskScheduledEventDetails",
        *_SERVICE,
        "region",
        "parameters",
        "timeoutInSeconds",
        "heartbeatInSeconds",
        "taskCredentials",
    ),
    ("TaskStarted", "taskStartedEventDetails", *_SERVICE),
    ("TaskStartFailed", "taskStartFailedEventDetails", *_SERVICE, *_FAILURE),
    ("TaskSubmitted", "taskSubmittedEventDetails", *_SERVICE, "output"),
    ("TaskSubmitFailed", "taskSubmitFailedEventDetails", *_SERVICE, *_FAILURE),
    ("TaskSucceeded", "taskSucceededEventDetails", *_SERVICE, "output"),
    ("TaskFailed", "taskFailedEventDetails", *_SERVICE, *_FAILURE),
    ("TaskTimedOut", "taskTimedOutEventDetails", *_SERVICE, *_FAILURE),
)
CODES: Final = {row[0]: code for code, row in enumerate(TABLE)}
ENTERED: Final = tuple(CODES[f"{state}StateEntered"] for state in STATE_TYPES)
EXITED: Final = tuple(CODES.get(f"{state}StateExited", -1) for state in STATE_TYPES)


def to_aws(
    event: HistoryEvent, event_id: int, timestamp_ms: int, include_data: bool = True
) -> dict[str, Any]:
    """One event of GetExecutionHistory: {id, previousEventId, timestamp (epoch seconds), type,
    <one details member>?}.

    include_data  False: without input, output and parameters and their details objects; error and
                  cause stay
    """
    row = TABLE[event[0]]
    shown: dict[str, Any] = {
        "timestamp": timestamp_ms / 1000,
        "type": row[0],
        "id": event_id,
        "previousEventId": event[1],
    }
    if len(row) > 1:
        details: dict[str, Any] = {}
        for name, value in zip(row[2:], event[2:], strict=False):
            if value is None:
                continue
            if isinstance(value, Payload):
                if include_data:
                    details[name] = value.data.decode()
                    if name != "parameters":
                        details[name + "Details"] = {"truncated": False}
            elif isinstance(value, Scope):
                if include_data:
                    details[name] = {
                        variable: payload.data.decode()
                        for variable, payload in value.payloads.items()
                    }
                    details[name + "Details"] = {"truncated": False}
            elif name == "taskCredentials":
                details[name] = {"roleArn": value}
            else:
                details[name] = value
        shown[row[1]] = details
    return shown


def payload_bytes(event: HistoryEvent) -> int:
    """The JSON text that an event shows."""
    size = 0
    for field in event[2:]:
        if isinstance(field, Payload):
            size += len(field.data)
        elif isinstance(field, Scope):
            size += field.size
    return size
