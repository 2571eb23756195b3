"""Labels of states and of Choice rules."""

import re
from collections.abc import Mapping
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.definition import (
    DISTRIBUTED,
    ChoiceRule,
    FailState,
    ItemProcessor,
    MapState,
    ParallelState,
    StateMachine,
    TaskState,
    WaitState,
)
from stepwell.asl.definition import State as StateModel
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import CALLBACK, SYNC, SYNC_2, Resource, parse_resource
from stepwell.visualize.service_names import service_name
from stepwell.visualize.words.texts import count, lasting, printable

_PATTERNS: Final = {CALLBACK: " (callback)", SYNC: " (sync)", SYNC_2: " (sync)"}

_PARTITION: Final = re.compile(r"^arn:\$\{[^}]*\}:")
_PART: Final = r"(?:\$\{[^}]*\}|[^:]*)"
_HOME: Final = re.compile(
    rf"^arn:{_PART}:(lambda|states):{_PART}:{_PART}:(function|activity):(?=[^$])"
)
_ANY_HOME: Final = r"arn:aws:\1:us-east-1:123456789012:\2:"


def parsed(resource: str) -> Resource | None:
    """The parts of a Resource, whose partition, region and account may be ${placeholders}."""
    return parse_resource(resource) or parse_resource(
        _HOME.sub(_ANY_HOME, _PARTITION.sub("arn:aws:", resource))
    )


def task_label(resource: str, arguments: Json = None) -> str:
    """What a Task calls: "Lambda: charge-card", "DynamoDB: GetItem", "Step Functions:
    StartExecution (sync)", "Activity: approve".

    arguments  its Parameters or Arguments: a literal FunctionName is shown instead of "Invoke"
    """
    about = parsed(resource)
    if about is None:
        return printable(resource, 40)
    if about.kind in ("lambda", "activity"):
        return f"{about.kind.capitalize()}: {printable(about.action, 40)}"
    suffix = _PATTERNS.get(about.pattern, "")
    function = (
        arguments.get("FunctionName")
        if about.service == "lambda" and isinstance(arguments, dict)
        else None
    )
    if isinstance(function, str) and not function.startswith(("{%", "${")):
        return f"Lambda: {printable(function.rpartition(':function:')[2], 40)}{suffix}"
    return f"{service_name(about.service)}: {about.action[:1].upper()}{about.action[1:]}{suffix}"


def wait_label(seconds: Json = None, timestamp: Json = None) -> str:
    """Wait 10 s, Wait 30 d, Wait $.delay s, Wait until 2030-01-01T00:00:00Z."""
    if timestamp is not None:
        return f"Wait until {printable(expression(str(timestamp)), 40)}"
    if isinstance(seconds, int | float):
        return f"Wait {lasting(seconds)}"
    return "Wait" if seconds is None else f"Wait {printable(expression(str(seconds)), 40)} s"


def expression(text: str) -> str:
    """The source between {% and %}, in one line; other text unchanged."""
    return " ".join(text[2:-2].split()) if text.startswith("{%") and text.endswith("%}") else text


def state_label(state: StateModel) -> str:
    """What a state does, in a few words: the line above its name."""
    match state:
        case TaskState():
            return task_label(
                state.resource,
                state.parameters if state.parameters is not None else state.arguments,
            )
        case WaitState():
            first = (each for each in (state.seconds, state.seconds_path) if each is not None)
            return wait_label(
                next(first, None),
                state.timestamp if state.timestamp is not None else state.timestamp_path,
            )
        case FailState():
            error = state.error if state.error is not None else state.error_path
            return "Fail" if error is None else f"Fail: {printable(expression(error), 40)}"
        case ParallelState():
            return f"Parallel · {count(len(state.branches), 'branch')}"
        case MapState():
            most = (
                state.max_concurrency_path
                if state.max_concurrency_path is not None
                else state.max_concurrency
            )
            return ("Map (distributed)" if is_distributed(state) else "Map") + (
                f" · max {printable(expression(str(most)), 20)}" if most else ""
            )
    return state.type


def processor(state: MapState) -> ItemProcessor | None:
    """The block that a Map runs for each item: ItemProcessor, or the deprecated Iterator."""
    return state.item_processor if state.item_processor is not None else state.iterator


def is_distributed(state: MapState) -> bool:
    inner = processor(state)
    return inner is not None and inner.processor_config.mode == DISTRIBUTED


def retries_label(state: StateModel) -> str:
    """ "retry ×3": the largest MaxAttempts of all retriers, "" without retriers."""
    most = max((retrier.max_attempts for retrier in getattr(state, "retry", ())), default=0)
    return f"retry ×{most:,}" if most else ""


def machine_label(definition: StateMachine, states: int) -> str:
    """14 states · JSONPath."""
    return f"{count(states, 'state')} · {definition.query_language}"


# --- Choice rules ---------------------------------------------------------------------------------

# the operators that compare: type, relation, whether the operand is a path
_OPERATOR: Final = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?")
_SIGNS: Final = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
}
_IS: Final = {
    "IsNull": "null",
    "IsString": "a string",
    "IsNumeric": "a number",
    "IsBoolean": "a boolean",
    "IsTimestamp": "a timestamp",
    "IsPresent": "present",
}


def rule_text(rule: ChoiceRule) -> str:
    """One rule of a Choice state, in one line of any length: `$.n > 5 and $.kind = "x"`,
    `not ($.total is present)`, `$.kind matches "gift-*"`.
    """
    if isinstance(rule.condition, bool):
        return "true" if rule.condition else "false"
    return _test(rule.test) if rule.condition is None else expression(rule.condition)


def condition_text(rule: Mapping[str, Json]) -> str:
    """The condition of a rule as JSON, as rule_text() writes it."""
    condition = rule.get("Condition")
    if isinstance(condition, bool):
        return "true" if condition else "false"
    return expression(condition) if isinstance(condition, str) else _test(rule)


def _test(test: Json, inner: bool = False) -> str:
    if not isinstance(test, Mapping):
        return "?"
    for word in ("And", "Or"):
        if isinstance(parts := test.get(word), list):
            text = f" {word.lower()} ".join(_test(part, len(parts) > 1) for part in parts)
            return f"({text})" if inner and len(parts) > 1 else text
    if "Not" in test:
        return f"not ({_test(test['Not'])})"
    variable = str(test.get("Variable", "?"))
    for name, operand in test.items():
        if name in _IS:
            return f"{variable} is {'not ' if operand is False else ''}{_IS[name]}"
        if name == "StringMatches":
            return f"{variable} matches {json_text.dumps(operand)}"
        match = _OPERATOR.fullmatch(name)
        if match and match[2] in _SIGNS:
            right = operand if match[3] else json_text.dumps(operand)
            return f"{variable} {_SIGNS[match[2]]} {right}"
    return variable
