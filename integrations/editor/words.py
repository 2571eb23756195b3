"""What the words in values of a definition mean, and which ones a value may be: resources, errors,
functions, members of the Context object, operators of Choice rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from stepwell.asl import messages
from stepwell.asl.intrinsics import FUNCTIONS
from stepwell.asl.resources import (
    ACTIONS,
    CALLBACK,
    REQUEST_RESPONSE,
    SYNC,
    SYNC_2,
    parse_resource,
)

_WORD: Final = re.compile(r"[\w.$:/-]+")
_PATTERNS: Final = {
    REQUEST_RESPONSE: "The task ends when the service has answered.",
    SYNC: "The task ends when the job has ended.",
    SYNC_2: "The task ends when the execution has ended; its output is JSON, not text.",
    CALLBACK: "The task ends when SendTaskSuccess or SendTaskFailure is called with its token.",
}
ERRORS: Final = {
    messages.ALL: "All errors but States.Runtime and States.DataLimitExceeded. Alone, in the last "
    "retrier or catcher.",
    messages.TASK_FAILED: "All errors of a task but States.Timeout.",
    messages.TIMEOUT: "The task exceeded TimeoutSeconds, or had no heartbeat for HeartbeatSeconds.",
    messages.HEARTBEAT_TIMEOUT: "The task had no heartbeat for HeartbeatSeconds.",
    messages.RUNTIME: "A path found nothing, or the like. It is never retried or caught.",
    messages.DATA_LIMIT_EXCEEDED: "A payload is larger than 256 KiB. States.ALL does not match it.",
    messages.QUERY_EVALUATION_ERROR: "An expression in JSONata failed.",
    messages.INTRINSIC_FAILURE: "An intrinsic function failed.",
    messages.RESULT_PATH_MATCH_FAILURE: "ResultPath cannot be applied to the input.",
    messages.TOLERATED_FAILURE: "More items of a Distributed Map failed than it tolerates.",
    messages.ITEM_READER_FAILED: "The ItemReader of a Distributed Map failed.",
    messages.RESULT_WRITER_FAILED: "The ResultWriter of a Distributed Map failed.",
    "Lambda.ServiceException": "Lambda failed for a moment: retry it.",
    "Lambda.AWSLambdaException": "Lambda failed for a moment: retry it.",
    "Lambda.SdkClientException": "Lambda was not reached for a moment: retry it.",
    "Lambda.TooManyRequestsException": "Lambda throttles the calls: retry it.",
    "Lambda.Unknown": "The function ended without an answer: out of memory, or killed.",
}
_CONTEXT: Final = {
    "Execution.Id": "The ARN of the execution.",
    "Execution.Input": "The input of the execution.",
    "Execution.Name": "The name of the execution.",
    "Execution.RoleArn": "The role of the execution.",
    "Execution.StartTime": "When the execution started, as text in ISO 8601.",
    "Execution.RedriveCount": "How often the execution was redriven.",
    "State.EnteredTime": "When the state was entered, as text in ISO 8601.",
    "State.Name": "The name of the state.",
    "State.RetryCount": "How often the state was retried.",
    "StateMachine.Id": "The ARN of the state machine.",
    "StateMachine.Name": "The name of the state machine.",
    "Task.Token": "The task token, for SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat.",
    "Map.Item.Index": "The index of the item, from 0.",
    "Map.Item.Value": "The item.",
}
_CONTEXT_ROOT: Final = re.compile(r"(?:\$\$|\$states\.context)\.")
_OPERATOR: Final = re.compile(
    r"(?P<type>String|Numeric|Boolean|Timestamp)(?P<how>Equals|(?:Less|Greater)Than(?:Equals)?)"
    r"(?P<path>Path)?"
)
_HOW: Final = {
    "Equals": "equal to",
    "LessThan": "less than",
    "GreaterThan": "greater than",
    "LessThanEquals": "less than or equal to",
    "GreaterThanEquals": "greater than or equal to",
}
_TYPES: Final = {
    "String": "a string",
    "Numeric": "a number",
    "Boolean": "a boolean",
    "Timestamp": "a timestamp such as 2030-01-01T00:00:00Z,",
}
_TESTS: Final = {
    "StringMatches": "True if Variable is a string of this pattern: * stands for any characters.",
    "IsNull": "True if Variable is null; with false, if it is not.",
    "IsPresent": "True if Variable finds something; with false, if it finds nothing.",
    "IsString": "True if Variable is a string; with false, if it is not.",
    "IsNumeric": "True if Variable is a number; with false, if it is not.",
    "IsBoolean": "True if Variable is a boolean; with false, if it is not.",
    "IsTimestamp": "True if Variable is a timestamp; with false, if it is not.",
}


def word_at(text: str, offset: int) -> tuple[str, tuple[int, int]] | None:
    """The word around an offset, and where it is."""
    for match in _WORD.finditer(text):
        if match.start() <= offset <= match.end():
            return match[0], match.span()
    return None


def meaning(word: str) -> str | None:
    """In Markdown."""
    if word in FUNCTIONS:
        return f"**{word}** {FUNCTIONS[word].doc}"
    if (root := _CONTEXT_ROOT.match(word)) is not None:
        docs = _CONTEXT.get(word[root.end() :])
    else:
        docs = ERRORS.get(word) or operator(word) or _resource(word)
    return f"**{word}**: {docs}" if docs else None


def operator(word: str) -> str | None:
    if (match := _OPERATOR.fullmatch(word)) is None:
        return _TESTS.get(word)
    other = "the value of this path" if match["path"] else "this value"
    return f"True if Variable is {_TYPES[match['type']]} {_HOW[match['how']]} {other}."


def _resource(word: str) -> str | None:
    resource = parse_resource(word) if word.startswith("arn:") else None
    if resource is None or resource.kind != "service":
        return None
    return f"Calls {resource.service}: {resource.action}. {_PATTERNS[resource.pattern]}"


@cache
def resources() -> dict[str, str]:
    """The Resources of the optimised integrations -> what they do."""
    return {
        name: _resource(name) or ""
        for (service, action), patterns in ACTIONS.items()
        for pattern in patterns
        for name in [f"arn:aws:states:::{service}:{action}{pattern}"]
    }


def proposals(field: str) -> Iterator[tuple[str, str]]:
    """(value, description) of what a field of a state, or an item of it, may be."""
    yield from {"Resource": resources(), "ErrorEquals": ERRORS}.get(field, {}).items()
