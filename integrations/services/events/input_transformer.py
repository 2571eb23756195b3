"""The payload of a target for an event: the event, Input, InputPath or InputTransformer. Pure.

    transform = compile_transform(target)
    transform(event, Rule(arn, name), ingested) -> JSON text; ingested: ISO time

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.integrations.services.events import messages

Transform = Callable[[Mapping[str, Any], "Rule", str], str]

_PATH: Final = re.compile(r"\$(?:\.[A-Za-z0-9_*@:/ -]+|\['[^']*'\]|\[\d+\])*\Z")
_STEP: Final = re.compile(r"\.([A-Za-z0-9_*@:/ -]+)|\['([^']*)'\]|\[(\d+)\]")
_SLOT: Final = re.compile(r"<([A-Za-z0-9_.-]+)>")
_MISSING: Final = object()


class Rule(NamedTuple):
    arn: str
    name: str


class TransformError(ValueError):
    """A target whose payload cannot be created."""


def compile_transform(target: Mapping[str, Any]) -> Transform:
    """Raises TransformError."""
    members = [
        name for name in ("Input", "InputPath", "InputTransformer") if target.get(name) is not None
    ]
    if len(members) > 1:
        raise TransformError(messages.ONE_INPUT.format(id=target.get("Id")))
    if not members:
        return lambda event, rule, ingested: dumps(event)
    (member,) = members
    if member == "Input":
        return _input(target[member])
    if member == "InputPath":
        read = _path(target[member])
        return lambda event, rule, ingested: dumps(_or_null(read(event)))
    return _transformer(target[member])


def _input(text: str) -> Transform:
    try:
        loads(text)
    except JsonError as error:
        raise TransformError(messages.INPUT_NOT_JSON.format(text=error.message)) from None
    return lambda event, rule, ingested: text


def _path(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Reads a path of names and indexes; _MISSING if the event does not have it."""
    if not _PATH.match(text):
        raise TransformError(messages.INPUT_PATH.format(path=text))
    steps: list[str | int] = [
        int(index) if index else name or quoted for name, quoted, index in _STEP.findall(text)
    ]

    def read(event: Mapping[str, Any]) -> Any:
        value: Any = event
        for step in steps:
            if isinstance(step, int):
                value = value[step] if type(value) is list and step < len(value) else _MISSING
            else:
                value = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
        return value

    return read


def _or_null(value: Any) -> Any:
    return None if value is _MISSING else value


def _transformer(transformer: Mapping[str, Any]) -> Transform:
    paths = {name: _path(path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    template: str = transformer["InputTemplate"]
    reserved = next((name for name in paths if name.lower().startswith("aws")), None)
    if reserved is not None:
        raise TransformError(messages.TRANSFORMER_RESERVED.format(name=reserved))
    known = set(paths) | set(_PREDEFINED)
    slots = [
        (slot.start(), slot.end(), slot[1], _quoted(template, slot.start()))
        for slot in _SLOT.finditer(template)
    ]
    for _, _, name, _ in slots:
        if name not in known and (name.startswith("aws.") or not name.replace("-", "").isdigit()):
            raise TransformError(messages.TRANSFORMER_VARIABLE.format(name=name))
    slots = [slot for slot in slots if slot[2] in known]

    def transform(event: Mapping[str, Any], rule: Rule, ingested: str) -> str:
        pieces, at = [], 0
        for start, end, name, quoted in slots:
            value = (
                paths[name](event) if name in paths else _PREDEFINED[name](event, rule, ingested)
            )
            pieces += [template[at:start], _to_text(value, quoted)]
            at = end
        text = "".join([*pieces, template[at:]])
        return text if _is_json(text) else dumps(text)  # a template of plain text: a JSON string

    return transform


def _quoted(template: str, at: int) -> bool:
    """Whether a position is within a string of the template."""
    return len(re.findall(r'(?<!\\)(?:\\\\)*"', template[:at])) % 2 == 1


def _to_text(value: Any, quoted: bool) -> str:
    """The value as JSON. quoted: within a string, so strings are without quotes, and any other JSON
    is escaped.
    """
    if value is _MISSING:
        return "" if quoted else "null"
    if not quoted:
        return dumps(value)
    return dumps(value if type(value) is str else dumps(value))[1:-1]


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except JsonError:
        return False
    return True


_PREDEFINED: Final[dict[str, Callable[[Mapping[str, Any], Rule, str], Any]]] = {
    "aws.events.rule-arn": lambda event, rule, ingested: rule.arn,
    "aws.events.rule-name": lambda event, rule, ingested: rule.name,
    "aws.events.event.ingestion-time": lambda event, rule, ingested: ingested,
    "aws.events.event": lambda event, rule, ingested: {
        name: value for name, value in event.items() if name != "detail"
    },
    "aws.events.event.json": lambda event, rule, ingested: dict(event),
}
