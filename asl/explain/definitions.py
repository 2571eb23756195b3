"""The mends of mistakes that make a definition invalid: a table of AWS's messages and what to write
instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from stepwell.asl.choice import OPERATORS
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import resources
from stepwell.asl.explain.values import near, shown
from stepwell.asl.field_docs import FIELDS
from stepwell.asl.intrinsics import FUNCTIONS
from stepwell.asl.json_text import dumps
from stepwell.asl.templates import DYNAMIC


class Place(NamedTuple):
    """Where a diagnostic is. field: the last name of its location; value: what is there; outer: the
    object that has the field.
    """

    field: str
    value: Json
    outer: Json
    machine: Json
    location: str


_Mend = Callable[[re.Match[str], Place], str | None]  # (match of the message, place) -> sentence

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
    (re.compile(r"\?\."), "a path copes with absent values by itself: write `.` for `?.`"),
    (re.compile(r"^\s*if\b"), "a choice is `condition ? one : other`"),
)


def mend(message: str, location: str, machine: Json) -> str | None:
    """What to write instead, for a diagnostic of the validator; None if nothing is known."""
    field = re.split(r"[/\]]", location)[-1]
    place = Place(field, _at(machine, location), _at(machine, _outer(location)), machine, location)
    for pattern, sentence in _TABLE:
        if (match := pattern.search(message)) and (text := sentence(match, place)):
            return text
    return None


def _outer(location: str) -> str:
    return re.sub(r"(/[^/\[]+|\[\d+\])$", "", location)


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


def _value_path(match: re.Match[str], place: Place) -> str | None:
    """A `name.$` whose value is neither a path nor a call."""
    name = match[1]
    text = _member(place.value, name)
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
        return _call(call[1], text)
    if call := re.match(r"(\w+)\(", text):
        function = f"States.{call[1]}"
        meant = function if function in FUNCTIONS else near(function, FUNCTIONS)
        return f"Write `{meant}(...)`." if meant else f"There is no function `{call[1]}`."
    if re.search(r"\$\.\w", text) and not text.startswith("$"):
        return f"Texts and paths are joined by a call: `{name}`: `States.Format('... {{}}', $.x)`."
    if text.startswith("$"):
        return _path(text)
    return f"`{name}` takes a path: write the text {shown(text)} under `{key}`."


def _call(function: str, text: str) -> str:
    """What is wrong with a call of an intrinsic function that exists."""
    call = f"`{function}(...)`"
    if '"' in text:
        return f"Texts in {call} are in single quotes."
    if re.search(r"\)\s*\[-?\d+\]\s*$", text):
        return f"No index can follow a call: write `States.ArrayGetItem({function}(...), 0)`."
    if text.count("'") % 2:
        return f"A single quote within a text of {call} is written as `\\'`."
    least, most = FUNCTIONS[function].least, FUNCTIONS[function].most
    given = _arguments(text)
    if given is not None and not least <= given <= (given if most is None else most):
        wants = f"{least} argument{'s' * (least != 1)}" if least == most else f"at least {least}"
        return f"`{function}` takes {wants}, and has {given} here."
    return f"{call} has a wrong argument, or a wrong number of them."


def _arguments(text: str) -> int | None:
    """How many arguments a call has; None if that is hard to say."""
    inner = re.sub(r"'(?:\\.|[^'\\])*'", "''", text.strip())
    inner = inner[inner.index("(") + 1 : -1]
    if re.search(r"[()\[\]]", inner) or not text.rstrip().endswith(")"):
        return None
    return inner.count(",") + 1 if inner.strip() else 0


def _path(text: str) -> str:
    if re.search(r"\s[-+]\s", text):
        left, sign, right = re.split(r"\s([-+])\s", text, maxsplit=1)
        call = f"States.MathAdd({left.strip()}, {'-' if sign == '-' else ''}{right.strip()})"
        return f"A path does not compute: write `{call}`, or `States.Format('{{}}{{}}', ...)`."
    if re.search(r"\s(\|\||&&|\?\?)\s", text):
        return "A path has no operators: choose the value in a Choice state."
    if re.search(r"\?\([^)]*[^=!<>~]=[^=~]", text):
        return "A filter compares with two signs: `[?(@.id == 1)]`."
    return f"The path {shown(text)} is not valid JSONPath."


def _member(value: Json, name: str) -> Json:
    return value.get(name, MISSING) if isinstance(value, dict) else MISSING


def _language(match: re.Match[str], place: Place) -> str | None:
    language = match[1]
    instead = (_IN_JSONATA if language == "JSONata" else _IN_JSONPATH).get(place.field)
    tests = re.match("String|Numeric|Boolean|Timestamp|Is|And|Or|Not", place.field)
    if instead is None and language == "JSONata" and tests:
        instead = "Condition"
    if instead is None:
        return None
    text = f"In {language}, {place.field} is {instead}"
    if language == "JSONata":  # a JSONata machine has no JSONPath states
        return f"{text}."
    return f'{text}; or set "QueryLanguage": "JSONata" for the state.'


def _states_member(match: re.Match[str], place: Place) -> str | None:
    if match[1] == "result":
        return (
            "`$states.result` exists in Output and Assign of a Task, Parallel or Map: read "
            "`$states.input` here."
        )
    return "`$states.errorOutput` exists in the Output and Assign of a Catch."


def _syntax(match: re.Match[str], place: Place) -> str | None:
    found = [text for pattern, text in _OPERATORS if pattern.search(match[1])]
    if found:
        return f"{found[0][0].upper()}{found[0][1:]}."
    if re.search(r"S0201.*|S0202.*|S0203.*", match[2]) and match[1].count("'") % 2:
        return 'A single quote within a text: write the text in double quotes, `\\"...\\"`.'
    return None


def _digits(match: re.Match[str], place: Place) -> str | None:
    return "A name that begins with a digit is in backticks: $states.input.`2024`."


def _expression(match: re.Match[str], place: Place) -> str | None:
    if not isinstance(place.value, str):
        return None
    inner = place.value.strip()
    if re.fullmatch(r"\d+", inner):
        return f"Write {inner} without quotes."
    if inner.startswith("$."):
        inner = f"$states.input{inner[1:]}"
    return f'Write "{{% {inner} %}}".'


def _type(match: re.Match[str], place: Place) -> str | None:
    field, value, type_ = place.field, place.value, match[1]
    if isinstance(value, str) and value.startswith("$") and not value.startswith("${"):
        return f'A path is in the field `{field}Path`: "{field}Path": {shown(value)}.'
    if isinstance(value, str) and type_ in ("Number", "Integer", "Boolean"):
        return f"Write {value} without quotes."
    if type_ == "String" and isinstance(value, int | float):
        use = "Boolean" if isinstance(value, bool) else "Numeric"
        operator = f"{use}{field.removeprefix('String')}"
        return f'Write "{dumps(value)}" in quotes' + (
            f", or use {operator}." if operator in OPERATORS else "."
        )
    if type_ == "Array" and value is not MISSING:
        return f"Write it in a list: [{shown(value)}]."
    return None


def _root(match: re.Match[str], place: Place) -> str | None:
    if match[1].isdigit():
        return f"A number is in the field `{place.field.removesuffix('Path')}`."
    if match[1].startswith("States."):
        return "A call has its place in Parameters, ResultSelector, ItemSelector and Assign only."
    return f"A path begins with `$`: write `$.{match[1]}`."


def _end(match: re.Match[str], place: Place) -> str | None:
    text = str(place.value)
    return "Remove the dot at its end." if text.endswith(".") else "A bracket is not closed."


def _field(match: re.Match[str], place: Place) -> str | None:
    """A field that does not exist, or not there."""
    field, outer = place.field, place.outer
    type_ = outer.get("Type") if isinstance(outer, dict) else None
    if type_ == "Choice" and field in ("Next", "End"):
        return "The Next of its rules and Default lead on from a Choice: remove the field."
    if type_ in ("Succeed", "Fail") and field in ("Next", "End"):
        return f"A {type_} state is an end by itself: remove the field."
    if field.endswith(DYNAMIC) and f"{field.removesuffix(DYNAMIC)}Path" in FIELDS:
        path = f"{field.removesuffix(DYNAMIC)}Path"
        return f'A path is in the field `{path}`: "{path}": {shown(place.value)}.'
    if field in ("Next", "Default") and "/Choices[" in place.location:
        if field == "Default":
            return "Default is a field of the state, beside Choices."
        return "Only the whole rule has a Next, not a test within And, Or and Not."
    if field in _PARAMETERS and type_ == "Task":
        return f"It is a parameter of the service: write it in Parameters, {{{shown(field)}: ...}}."
    meant = near(field, (*FIELDS, *OPERATORS))
    return f"Did you mean `{meant}`?" if meant else None


_PARAMETERS: Final = ("Payload", "FunctionName", "Input", "Message", "TableName", "QueueUrl")


def _target(match: re.Match[str], place: Place) -> str | None:
    """A state that does not exist in the block."""
    wanted = match[1].strip("\"'")
    block = _at(place.machine, re.sub(r"/States/(?:(?!/States/).)*$", "", place.location))
    names = _names(block, deep=False)
    if meant := near(wanted, names):
        return f"Did you mean `{meant}`?"
    if wanted in _names(place.machine):
        return (
            f"`{wanted}` is in another block: the states of a branch or an ItemProcessor lead to "
            'each other only, and its last one has "End": true.'
        )
    return f"The states here are {', '.join(f'`{each}`' for each in names[:8])}." if names else None


def _names(value: Json, deep: bool = True) -> list[str]:
    """The states of a block, with those in it."""
    found: list[str] = []
    inner = value.get("States") if isinstance(value, dict) else None
    if isinstance(inner, dict):
        found += inner
    if deep:
        below = value.values() if isinstance(value, dict) else value
        for each in below if isinstance(value, dict | list) else ():
            found += _names(each)
    return found


def _unreachable(match: re.Match[str], place: Place) -> str | None:
    text, known = dumps(place.machine), _names(place.machine)
    for wanted in re.findall(r'"(?:Next|Default|StartAt)":"([^"]*)"', text):
        if wanted not in known and near(wanted, (match[1],)):
            return f"A field has `{wanted}`, which is probably meant to be `{match[1]}`."
    return "Lead to it by a Next, or remove it."


def _one_of(match: re.Match[str], place: Place) -> str | None:
    names = [name.strip() for name in match[1].split(",")]
    given = [name for name in names if isinstance(place.value, dict) and name in place.value]
    if len(given) > 1:
        return f"It has {' and '.join(given)}: remove one of them."
    if names == ["Next", "End"]:
        return 'Write "Next": "..." with the name of the state that follows, or "End": true.'
    return None


def _states_type(match: re.Match[str], place: Place) -> str | None:
    names = [name.strip() for name in match[1].split(",")]
    meant = near(place.value, names) if isinstance(place.value, str) else None
    return f"Did you mean `{meant}`?" if meant else None


def _operators(match: re.Match[str], place: Place) -> str | None:
    rule = place.value if isinstance(place.value, dict) else {}
    given = [name for name in rule if name in OPERATORS or name in ("And", "Or", "Not")]
    if len(given) > 1:
        return f"It has {' and '.join(given)}: write a rule for each in an And, or an Or."
    for name in rule:
        if name not in FIELDS and (meant := near(name, OPERATORS)):
            return f"Did you mean `{meant}` instead of `{name}`?"
    return None


def _alone(match: re.Match[str], place: Place) -> str | None:
    names = place.value if isinstance(place.value, list) else []
    if len(names) > 1:
        return 'It covers the other names: write ["States.ALL"] alone.'
    return "It takes every error, so that later entries are never reached: put it last."


def _resource(match: re.Match[str], place: Place) -> str | None:
    return resources.mend(match[1])


def _unclosed(match: re.Match[str], place: Place) -> str | None:
    return f'Remove what is behind %}}: "{match[1].rstrip()}".'


def _plain(text: str) -> Any:
    return lambda match, place: text


_TABLE: Final[tuple[tuple[re.Pattern[str], _Mend], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), sentence)
    for pattern, sentence in (
        (r"value for the field '(.+?)' must be a valid JSONPath", _value_path),
        (r"not supported in a state whose 'QueryLanguage' is '(\w+)'", _language),
        (r"'\$states\.(result|errorOutput)' is not available", _states_member),
        (r"The JSONata expression '(.*)' could not be parsed\. (S0213)", _digits),
        (r"The JSONata expression '(.*)' could not be parsed(.*)", _syntax),
        (r"The JSONata expression '(\{%.*%\}\s+)' is not closed", _unclosed),
        (r"must be a JSONata expression", _expression),
        (r"Field is not supported$", _field),
        (r"Missing '(?:Next|Default|StartAt)' target: (.*)", _target),
        (r'State "(.*)" is not reachable', _unreachable),
        (r"Exactly one of these fields is required: \[(.*)\]", _one_of),
        (r"'Type' should have one of these values: \[(.*)\]", _states_type),
        (r"exactly one comparison operator", _operators),
        (r"'States.ALL' must be the only entry", _alone),
        (r"The resource provided (\S+) is not recognized", _resource),
        (r"'(\$)\w+' is not a valid variable name", _plain("A name has no `$` where it is set.")),
        (r"Expected value of type \[(\w+)\]", _type),
        (r"'([^'$]+|States\..*)' must start with \$", _root),
        (r"not a valid JSONPath: Unexpected end", _end),
        (r"does not point to a single node", _plain("Name one place: `$.a.b` or `$.a[0]`.")),
        (
            r"does not start from the state input",
            _plain("It is put into the state input: the path begins with `$.`."),
        ),
        (r"RFC3339", _plain('A timestamp has a "T" and a zone: "2024-01-31T12:00:00Z".')),
    )
)
