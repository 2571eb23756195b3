"""Choice rules as people read them: `$.n > 5 and $.kind = "x"`, `not ($.total is present)`, `$.kind
matches "gift-*"`.
"""

import re
from collections.abc import Mapping
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.definition import ChoiceRule
from stepwell.asl.evaluation import Json
from stepwell.visualize.words import expression

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
    """One rule of a Choice state, in one line of any length."""
    if rule.condition is not None:
        return _condition(rule.condition)
    return _test(rule.test)


def _condition(condition: str | bool) -> str:
    if isinstance(condition, bool):
        return "true" if condition else "false"
    return expression(condition)


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
            return (
                f"{variable} is {_IS[name]}"
                if operand is not False
                else f"{variable} is not {_IS[name]}"
            )
        if name == "StringMatches":
            return f"{variable} matches {_literal(operand)}"
        match = _OPERATOR.fullmatch(name)
        if match and match[2] in _SIGNS:
            return f"{variable} {_SIGNS[match[2]]} {operand if match[3] else _literal(operand)}"
    return variable


def _literal(value: Json) -> str:
    return json_text.dumps(value)
