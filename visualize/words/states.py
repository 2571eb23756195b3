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
from stepwell.visualize.words.labels import expression, task_label, wait_label
from stepwell.visualize.words.texts import count, printable


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
