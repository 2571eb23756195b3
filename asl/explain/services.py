"""What services take and return: parameters in a form that they do not take, results that lack what
a path reads (rules as in missing.py), the Error Output and the Context object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import upstream
from stepwell.asl.explain.readings import Ending, Reading
from stepwell.asl.explain.subject import WARNING, Hint, Subject, states
from stepwell.asl.explain.values import DYNAMODB, attribute_type, shown, spelled
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonpath_query import Key
from stepwell.asl.resources import ACTIONS, REQUEST_RESPONSE, SYNC, SYNC_2, Resource, parse_resource
from stepwell.asl.templates import DYNAMIC


def not_waited(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """The result of a request that starts a job, read for what the job returns at its end."""
    resource = _called(subject, reading, ending)
    if resource is None or resource.pattern != REQUEST_RESPONSE:
        return None
    patterns = ACTIONS.get((resource.service, resource.action), ())
    pattern = next((each for each in (SYNC_2, SYNC) if each in patterns), None)
    if pattern is None:
        return None
    what = f"{resource.service}:{resource.action}"
    return (
        f"`{what}` returns what it has started and does not wait for the end: to read the result, "
        f"use `{resource.text}{pattern}`."
    )


def left_out(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """GetItem found no item; other services leave out lists that are empty."""
    resource, key, value = _called(subject, reading, ending), ending.key, ending.value
    if resource is None or resource.kind != "service" or not isinstance(value, dict):
        return None
    if not isinstance(key, str) or not key[:1].isupper() or resource.service == "lambda":
        return None
    test = "$exists" if reading.jsonata else "IsPresent"
    path = spelled(ending.reached, (key,), reading.jsonata)
    if resource.action == "getItem" and key == "Item":
        return (
            f"getItem returns no `Item` if no item has the key: test `{path}` with {test} before."
        )
    return (
        f"`{resource.service}:{resource.action}` leaves out what it has no value for, such as an "
        f"empty list: if `{key}` is one of its names, test `{path}` with {test} before."
    )


def _called(subject: Subject, reading: Reading, ending: Ending) -> Resource | None:
    """The Resource that returned the object in which a name is missing."""
    if not isinstance(ending.value, dict):
        return None
    if reading.source == "result":
        whole = ending.value == subject.documents.get("result")
        return parse_resource(str(subject.fields.get("Resource", ""))) if whole else None
    for earlier in reversed(subject.earlier):
        if earlier.result is not MISSING and earlier.result == ending.value:
            return parse_resource(str(earlier.fields.get("Resource", "")))
    return _put_there(subject, reading, ending) if subject.alone else None


def _put_there(subject: Subject, reading: Reading, ending: Ending) -> Resource | None:
    """Without a history: the Resource of the state before that puts its result there."""
    for place, name in enumerate(upstream.predecessors(subject)):
        fields = states(subject.machine)[name]
        whole = place == 0 and ending.reached == reading.root and not reading.jsonata
        if upstream.result_at(fields, ending.reached, "" if whole else reading.root):
            known = "ResultSelector" not in fields
            return parse_resource(str(fields.get("Resource", ""))) if known else None
    return None


def error_output(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    value, key = ending.value, ending.key
    if not isinstance(value, dict) or value.keys() != {"Error", "Cause"} or key is None:
        return None
    cause = spelled(ending.reached, ("Cause",), reading.jsonata)
    error = spelled(ending.reached, ("Error",), reading.jsonata)
    return f"It is an Error Output: `{error}` is the name of the error, `{cause}` its text."


# names of the Context object that people expect: (object, name) -> path
_CONTEXT: Final = {
    **{("Execution", name): "Execution.Id" for name in ("Arn", "ARN", "ExecutionArn", "id")},
    **{("Execution", name): "Execution.StartTime" for name in ("StartDate", "Started", "Time")},
    **{("StateMachine", name): "StateMachine.Id" for name in ("Arn", "ARN", "StateMachineArn")},
    **{("Map", name): f"Map.Item.{name}" for name in ("Index", "Value", "Key", "Source")},
    **{("Task", name): "Task.Token" for name in ("TaskToken", "token", "Id")},
    **{("State", name): "State.EnteredTime" for name in ("StartTime", "EnteredDate", "Time")},
    **{("State", name): "State.RetryCount" for name in ("Retries", "Attempt", "RetryAttempt")},
}


def in_context(keys: tuple[Key, ...], jsonata: bool) -> str | None:
    """What was probably meant by keys that the Context object does not have."""
    if keys[:1] == ("TaskToken",):
        keys = ("Task", "TaskToken")
    meant = _CONTEXT.get((str(keys[0]), str(keys[1]))) if len(keys) > 1 else None
    root = "$states.context" if jsonata else "$$"
    return f"{root}.{meant}" if meant else None


# --- requests -------------------------------------------------------------------------------------

_DYNAMODB: Final = re.compile(r":states:::(aws-sdk:)?dynamodb:")
_ATTRIBUTES: Final = ("Key", "Item", "ExpressionAttributeValues", "ExclusiveStartKey")


def requests(subject: Subject) -> Iterator[Hint]:
    """Names of parameters that are not in PascalCase, and attributes of DynamoDB without a type."""
    resource, fields = str(subject.fields.get("Resource", "")), subject.fields
    field = "Arguments" if subject.jsonata else "Parameters"
    written = fields.get(field)
    if resource.endswith(".waitForTaskToken") and "Task.Token" not in dumps(written):
        yield Hint(
            "no-token",
            WARNING,
            field,
            "The state waits for its task token, and does not send it: "
            + (
                "`$states.context.Task.Token`."
                if subject.jsonata
                else '"TaskToken.$": "$$.Task.Token".'
            ),
        )
    if ":states:::" not in resource or not isinstance(written, dict):
        return
    for key in written:
        name = key.removesuffix(DYNAMIC)
        if name[:1].islower():
            right = name[:1].upper() + name[1:]
            instead = f"names of parameters begin with a capital letter, `{right}`."
            if ":states:::lambda:invoke" in resource:
                instead = "the function's event is in `Payload`."
            yield Hint(
                "pascal-case",
                WARNING,
                f"{field}/{key}",
                f"`{name}` is not a parameter of `{resource.partition(':::')[2]}`: {instead}",
            )
    if _DYNAMODB.search(resource):
        yield from _attributes(subject, field)


def _attributes(subject: Subject, field: str) -> Iterator[Hint]:
    sent = subject.documents.get("sent")
    for part in _ATTRIBUTES:
        inner = sent.get(part) if isinstance(sent, dict) else None
        for name, value in inner.items() if isinstance(inner, dict) else ():
            if text := _not_an_attribute(name, value):
                yield Hint("attribute-type", WARNING, f"{field}/{part}/{name}", text)


def _not_an_attribute(name: str, value: Json) -> str | None:
    type_ = attribute_type(value)
    if type_ is None:
        return (
            f"`{name}` is {shown(value)}: an attribute value of DynamoDB names its type, "
            f"{_typed(value)}."
        )
    content: Any = value[type_]
    if type_ == "N" and not isinstance(content, str):
        return f"`{name}` is {shown(value)}: DynamoDB takes numbers as text, {_typed(content)}."
    return None


def _typed(value: Json) -> str:
    if isinstance(value, bool):
        return f'{{"BOOL": {shown(value)}}}'
    if isinstance(value, int | float):
        return f'{{"N": "{shown(value)}"}}'
    return f'{{"S": {shown(value)}}}' if isinstance(value, str) else f"one of {', '.join(DYNAMODB)}"
