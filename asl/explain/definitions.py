"""The mends of mistakes that make a definition invalid: a table of AWS's messages and what to write
instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain.values import near, shown
from stepwell.asl.intrinsics import FUNCTIONS

# (match of the message, the last name of the location, its value) -> sentence
_Mend = Callable[[re.Match[str], str, Json], str | None]

_IN_JSONATA: Final = {
    "Parameters": "Arguments",
    "ItemsPath": "Items",
    "SecondsPath": "Seconds",
    "TimestampPath": "Timestamp",
    "InputPath": "`$states.input` in the expressions",
    "ResultSelector": "Output",
    "ResultPath": "Output",
    "OutputPath": "Output",
    "Variable": "Condition",
}
_IN_JSONPATH: Final = {
    "Arguments": "Parameters",
    "Items": "ItemsPath",
    "Output": "ResultSelector, ResultPath and OutputPath",
    "Condition": "Variable and an operator",
}
_OPERATORS: Final = (
    (re.compile(r"=="), "JSONata compares with one `=`"),
    (re.compile(r"&&"), "JSONata joins conditions with `and`"),
    (re.compile(r"\|\|"), "JSONata joins conditions with `or`"),
    (re.compile(r"(^|[^\w])!(?!=)"), "JSONata negates with `$not(...)`"),
    (re.compile(r"=>"), "a function is `function($x) {...}`"),
    (re.compile(r"\$\{"), "texts are joined with `&`"),
)


def mend(message: str, location: str, machine: Json) -> str | None:
    """What to write instead, for a diagnostic of the validator; None if nothing is known."""
    field = re.split(r"[/\]]", location)[-1]
    for pattern, sentence in _TABLE:
        if match := pattern.search(message):
            return sentence(match, field, _at(machine, location))
    return None


def _at(machine: Json, location: str) -> Json:
    value = machine
    for name, index in re.findall(r"/([^/\[]+)|\[(\d+)\]", location):
        try:
            value = (
                value[int(index)] if index else value[name.replace("~1", "/").replace("~0", "~")]
            )
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value


def _value_path(match: re.Match[str], field: str, value: Json) -> str | None:
    """A `name.$` whose value is neither a path nor a call."""
    name = match[1]
    text = _member(value, name)
    key = name.removesuffix(".$")
    if text is MISSING:
        return None
    if not isinstance(text, str):
        return f"`{name}` takes a path: write the value {shown(text)} under `{key}`."
    if text.startswith("{%"):
        return (
            f'`{name}` has a JSONata expression: set "QueryLanguage": "JSONata" for the state, or '
            "write a path."
        )
    if call := re.match(r"(States\.\w+)\(", text):
        if call[1] not in FUNCTIONS:
            meant = near(call[1], FUNCTIONS)
            return f"There is no function `{call[1]}`" + (
                f": did you mean `{meant}`?" if meant else "."
            )
        if '"' in text:
            return f"Texts in `{call[1]}(...)` are in single quotes."
        return f"`{call[1]}(...)` has a wrong argument, or a wrong number of them."
    if re.search(r"\$\.\w", text) and not text.startswith("$"):
        return f"Texts and paths are joined by a call: `{name}`: `States.Format('... {{}}', $.x)`."
    if text.startswith("$"):
        return f"The path {shown(text)} is not valid JSONPath."
    return f"`{name}` takes a path: write the text {shown(text)} under `{key}`."


def _member(value: Json, name: str) -> Json:
    return value.get(name, MISSING) if isinstance(value, dict) else MISSING


def _language(match: re.Match[str], field: str, value: Json) -> str | None:
    language = match[1]
    instead = (_IN_JSONATA if language == "JSONata" else _IN_JSONPATH).get(field)
    if instead is None and language == "JSONata" and re.match("String|Numeric|Boolean|Is", field):
        instead = "Condition"
    if instead is None:
        return None
    text = f"In {language}, {field} is {instead}"
    if language == "JSONata":  # a JSONata machine has no JSONPath states
        return f"{text}."
    return f'{text}; or set "QueryLanguage": "JSONata" for the state.'


def _states_member(match: re.Match[str], field: str, value: Json) -> str | None:
    if match[1] == "result":
        return (
            "`$states.result` exists in Output and Assign of a Task, Parallel or Map: read "
            "`$states.input` here."
        )
    return "`$states.errorOutput` exists in the Output and Assign of a Catch."


def _syntax(match: re.Match[str], field: str, value: Json) -> str | None:
    found = [text for pattern, text in _OPERATORS if pattern.search(match[1])]
    return f"{found[0][0].upper()}{found[0][1:]}." if found else None


def _expression(match: re.Match[str], field: str, value: Json) -> str | None:
    if not isinstance(value, str):
        return None
    inner = value
    if value.startswith("$."):
        inner = f"$states.input{value[1:]}"
    return f'Write "{{% {inner} %}}".'


def _type(match: re.Match[str], field: str, value: Json) -> str | None:
    if isinstance(value, str) and value.startswith("$"):
        return f'A path is in the field `{field}Path`: "{field}Path": {shown(value)}.'
    if isinstance(value, str) and match[1] in ("Number", "Integer", "Boolean"):
        return f"Write {value} without quotes."
    return None


def _root(match: re.Match[str], field: str, value: Json) -> str | None:
    if match[1].isdigit():
        return f"A number is in the field `{field.removesuffix('Path')}`."
    return f"A path begins with `$`: write `$.{match[1]}`."


def _plain(text: str) -> Any:
    return lambda match, field, value: text


_TABLE: Final[tuple[tuple[re.Pattern[str], _Mend], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), sentence)
    for pattern, sentence in (
        (r"value for the field '(.+?)' must be a valid JSONPath", _value_path),
        (r"not supported in a state whose 'QueryLanguage' is '(\w+)'", _language),
        (r"'\$states\.(result|errorOutput)' is not available", _states_member),
        (r"The JSONata expression '(.*)' could not be parsed", _syntax),
        (r"must be a JSONata expression", _expression),
        (r"Expected value of type \[(\w+)\]", _type),
        (r"'([^'$]+)' must start with \$", _root),
        (r"does not point to a single node", _plain("Name one place: `$.a.b` or `$.a[0]`.")),
        (
            r"does not start from the state input",
            _plain("It is put into the state input: the path begins with `$.`."),
        ),
        (r"RFC3339", _plain('A timestamp has a "T" and a zone: "2024-01-31T12:00:00Z".')),
    )
)
