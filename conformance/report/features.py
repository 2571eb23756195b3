"""The features of the language and the API: fields, operators, functions, errors, events and
operations, and which of them a definition or history uses.

A feature is a short text: "Pass.Result" (a field), "Choice.StringEquals", "States.Format()",
"$partition()", "error:States.Timeout", "event:PassStateEntered", "api:StartExecution". Source:
states-language.net, the Step Functions Developer Guide and its service model.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final


def _words(*texts: str) -> tuple[str, ...]:
    return tuple(" ".join(texts).split())


# --- fields: the object that has them, and their names --------------------------------------------
_COMMON: Final = "Type Comment QueryLanguage"
_STEP: Final = "Next End InputPath OutputPath Output Assign"
_FAILING: Final = "Retry Catch"
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    owner: tuple(names.split())
    for owner, names in {
        "Machine": "StartAt States Comment Version TimeoutSeconds QueryLanguage",
        "Pass": f"{_COMMON} {_STEP} Result Parameters ResultPath",
        "Task": f"{_COMMON} {_STEP} {_FAILING} Resource Parameters Arguments ResultSelector "
        "ResultPath TimeoutSeconds TimeoutSecondsPath "
        "HeartbeatSeconds HeartbeatSecondsPath Credentials",
        "Choice": f"{_COMMON} InputPath OutputPath Output Assign Choices Default",
        "Wait": f"{_COMMON} {_STEP} Seconds SecondsPath Timestamp TimestampPath",
        "Succeed": f"{_COMMON} InputPath OutputPath Output",
        "Fail": f"{_COMMON} Error ErrorPath Cause CausePath",
        "Parallel": (
            f"{_COMMON} {_STEP} {_FAILING} Branches Parameters Arguments ResultSelector ResultPath"
        ),
        "Map": f"{_COMMON} {_STEP} {_FAILING} ItemProcessor Iterator ItemSelector Parameters "
        "ItemsPath Items MaxConcurrency "
        "MaxConcurrencyPath ToleratedFailureCount ToleratedFailureCountPath "
        "ToleratedFailurePercentage ToleratedFailurePercentagePath "
        "ItemReader ItemBatcher ResultWriter Label ResultSelector ResultPath",
        "Retry": (
            "ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy "
            "Comment"
        ),
        "Catch": "ErrorEquals Next ResultPath Output Assign Comment",
        "Choices": "Next Variable Condition And Or Not Output Assign Comment",
        "Branches": "StartAt States Comment",
        "ItemProcessor": "StartAt States Comment ProcessorConfig",
        "ProcessorConfig": "Mode ExecutionType",
        "Credentials": "RoleArn",
        "ItemReader": "Resource Parameters Arguments ReaderConfig",
        "ReaderConfig": "InputType Transformation ManifestType CSVHeaderLocation CSVHeaders "
        "CSVDelimiter MaxItems MaxItemsPath "
        "ItemsPointer",
        "ItemBatcher": (
            "MaxItemsPerBatch MaxItemsPerBatchPath MaxInputBytesPerBatch "
            "MaxInputBytesPerBatchPath BatchInput"
        ),
        "ResultWriter": "Resource Parameters Arguments WriterConfig",
        "WriterConfig": "Transformation OutputType",
    }.items()
}

_ORDERS: Final = _words("Equals LessThan GreaterThan LessThanEquals GreaterThanEquals")
OPERATORS: Final = (
    *(
        f"{kind}{order}{path}"
        for kind in ("String", "Numeric", "Timestamp")
        for order in _ORDERS
        for path in ("", "Path")
    ),
    *("BooleanEquals", "BooleanEqualsPath", "StringMatches"),
    *("IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"),
)
INTRINSICS: Final = tuple(
    f"States.{name}"
    for name in _words(
        (
            "Format StringToJson JsonToString Array ArrayPartition ArrayContains ArrayRange "
            "ArrayGetItem ArrayLength ArrayUnique"
        ),
        "Base64Encode Base64Decode Hash JsonMerge MathRandom MathAdd StringSplit UUID",
    )
)
# AWS's additions to JSONata, and its variable $states
JSONATA: Final = tuple(_words("$partition $range $hash $random $uuid $parse"))
STATES_MEMBERS: Final = tuple(
    f"$states.{name}" for name in _words("input context result errorOutput")
)
ERRORS: Final = tuple(
    f"States.{name}"
    for name in _words(
        (
            "ALL TaskFailed Timeout HeartbeatTimeout Permissions ResultPathMatchFailure "
            "ParameterPathFailure QueryEvaluationError"
        ),
        (
            "BranchFailed NoChoiceMatched IntrinsicFailure ExceedToleratedFailureThreshold "
            "ItemReaderFailed ResultWriterFailed Runtime"
        ),
        "DataLimitExceeded ReferencePathConflict Http.Socket Http.StatusCode.404",
    )
)
_ENTERED: Final = _words("Pass Task Choice Wait Succeed Fail Parallel Map")
EVENTS: Final = (
    *(f"Execution{what}" for what in _words("Started Succeeded Failed Aborted TimedOut Redriven")),
    *(
        f"Activity{what}"
        for what in _words("Scheduled ScheduleFailed Started Succeeded Failed TimedOut")
    ),
    *(
        f"LambdaFunction{what}"
        for what in _words("Scheduled ScheduleFailed Started StartFailed Succeeded Failed TimedOut")
    ),
    *(
        f"Task{what}"
        for what in _words(
            "Scheduled Started StartFailed Submitted SubmitFailed Succeeded Failed TimedOut"
        )
    ),
    *(f"{kind}StateEntered" for kind in _ENTERED),
    *(f"{kind}StateExited" for kind in _ENTERED if kind != "Fail"),
    *("TaskStateAborted", "WaitStateAborted"),
    *(f"ParallelState{what}" for what in _words("Started Succeeded Failed Aborted")),
    *(f"MapState{what}" for what in _words("Started Succeeded Failed Aborted")),
    *(f"MapIteration{what}" for what in _words("Started Succeeded Failed Aborted")),
    *(f"MapRun{what}" for what in _words("Started Succeeded Failed Aborted Redriven")),
    "EvaluationFailed",
)
OPERATIONS: Final = _words(
    (
        "CreateActivity CreateStateMachine CreateStateMachineAlias DeleteActivity "
        "DeleteStateMachine DeleteStateMachineAlias"
    ),
    (
        "DeleteStateMachineVersion DescribeActivity DescribeExecution DescribeMapRun "
        "DescribeStateMachine"
    ),
    (
        "DescribeStateMachineAlias DescribeStateMachineForExecution GetActivityTask "
        "GetExecutionHistory ListActivities"
    ),
    (
        "ListExecutions ListMapRuns ListStateMachineAliases ListStateMachineVersions "
        "ListStateMachines ListTagsForResource"
    ),
    (
        "PublishStateMachineVersion RedriveExecution SendTaskFailure SendTaskHeartbeat "
        "SendTaskSuccess StartExecution"
    ),
    (
        "StartSyncExecution StopExecution TagResource TestState UntagResource UpdateMapRun "
        "UpdateStateMachine"
    ),
    "UpdateStateMachineAlias ValidateStateMachineDefinition",
)

TABLE: Final = frozenset(
    [f"{owner}.{name}" for owner, names in FIELDS.items() for name in names]
    + [f"Choice.{name}" for name in OPERATORS]
    + [f"{name}()" for name in (*INTRINSICS, *JSONATA)]
    + list(STATES_MEMBERS)
    + [f"error:{name}" for name in ERRORS]
    + [f"event:{name}" for name in EVENTS]
    + [f"api:{name}" for name in OPERATIONS]
)
# No recording shows these, or only with a service that an endpoint need not have: no vector can say
# what is right.
UNSEEN: Final[dict[str, str]] = {
    "event:ActivityScheduleFailed": "no recording of AWS shows it",
    "event:LambdaFunctionScheduleFailed": "a missing function is a LambdaFunctionFailed",
    "event:LambdaFunctionStartFailed": "no recording of AWS shows it",
    "event:TaskStartFailed": "no recording of AWS shows it",
    "event:TaskSubmitFailed": "no recording of AWS shows it: a refused call is a TaskFailed",
}

# field -> the entry of FIELDS for the objects in it
_INSIDE: Final = {
    "Retry": "Retry",
    "Catch": "Catch",
    "Choices": "Choices",
    "Branches": "Branches",
    "Iterator": "ItemProcessor",
} | {
    name: name
    for name in _words(
        "ItemProcessor ProcessorConfig Credentials ItemReader ReaderConfig ItemBatcher "
        "ResultWriter WriterConfig"
    )
}
_LITERAL: Final = frozenset({"Result", "Comment"})
_CALL: Final = re.compile(r"States\.[A-Za-z0-9]+(?=\()")
_JSONATA_CALL: Final = re.compile(r"\$[a-zA-Z]+(?=\()")
_STATES_MEMBER: Final = re.compile(r"\$states\.(?:input|context|result|errorOutput)")


def features_of(definition: Any, history: Iterable[Mapping[str, Any]] = ()) -> set[str]:
    """The features of a definition (an object or its text); event types and errors of a history."""
    if isinstance(definition, str):
        try:
            definition = json.loads(definition)
        except ValueError:
            definition = None
    found = set(_machine(definition, "Machine")) if isinstance(definition, dict) else set()
    for event in history:
        found.add(f"event:{event.get('type')}")
        details = next(
            (
                value
                for key, value in event.items()
                if key.endswith("etails") and isinstance(value, dict)
            ),
            {},
        )
        found.add(f"error:{details.get('error')}")
    return found & TABLE


def _machine(block: Mapping[str, Any], owner: str) -> Iterator[str]:
    """A block of states: the machine, a branch or an item processor."""
    yield from _members(block, owner)
    states = block.get("States")
    for state in states.values() if isinstance(states, dict) else ():
        if isinstance(state, dict):
            yield from _members(state, str(state.get("Type")))


def _members(value: Mapping[str, Any], owner: str) -> Iterator[str]:
    for name, member in value.items():
        plain = name.removesuffix(".$")
        yield f"{owner}.{plain}"
        if plain in OPERATORS:
            yield f"Choice.{plain}"
        if plain == "ErrorEquals" and isinstance(member, list):
            yield from (f"error:{error}" for error in member)
        inside = _INSIDE.get(plain)
        if (
            plain not in _LITERAL
            and plain != "States"
            and inside not in ("Branches", "ItemProcessor")
        ):
            yield from _texts(member)
        if inside is None and owner == "Choices" and plain in ("And", "Or", "Not"):
            inside = "Choices"
        for each in member if isinstance(member, list) else [member]:
            if inside is not None and isinstance(each, dict):
                yield from (_machine if inside in ("Branches", "ItemProcessor") else _members)(
                    each, inside
                )


def _texts(value: Any) -> Iterator[str]:
    """The calls and members of $states in all strings of a value."""
    if isinstance(value, str):
        yield from (f"{name}()" for name in _CALL.findall(value))
        if value.startswith("{%"):
            yield from (f"{name}()" for name in _JSONATA_CALL.findall(value))
            yield from _STATES_MEMBER.findall(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
