"""What a Task sends to a service, in a form that the service does not take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.explain.subject import WARNING, Hint, Subject
from stepwell.asl.explain.values import DYNAMODB, attribute_type, shown
from stepwell.asl.json_text import dumps
from stepwell.asl.templates import DYNAMIC

_DYNAMODB: Final = re.compile(r":states:::(aws-sdk:)?dynamodb:")
_ATTRIBUTES: Final = ("Key", "Item", "ExpressionAttributeValues", "ExclusiveStartKey")


def hints(subject: Subject) -> Iterator[Hint]:
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
