"""The rules about functions of JSONata: one that does not exist, and arguments of another type than
it takes.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain.readings import readings, value_of
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import attribute_type, described, near, parsed
from stepwell.asl.java_values import is_number
from stepwell.asl.jsonata import compile_jsonata
from stepwell.asl.jsonata_functions import HOSTS, uncalled

_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")
_ERRORS: Final = re.compile(r"\b(T0410|T0411|T0412|D3030|D3110|D3120):")


def function(subject: Subject, found: tuple[str, str]) -> tuple[str, str] | None:
    cause = subject.cause or ""
    if re.search(r"\bStates\.\w+\s*\(", found[1]):
        return found[0], (
            "`States.*` functions exist in JSONPath only: JSONata has functions of its own."
        )
    if "T1005:" not in cause and "T1006:" not in cause:
        return None
    env = subject.env()
    for name in re.findall(r"\$(\w+)\s*\(", found[1]):
        if value_of(f"$type(${name})", env, subject) == "function" or name in HOSTS:
            continue
        if name == "eval":
            return found[0], "Step Functions has no `$eval`: `$parse` reads JSON from text."
        meant = _meant(name)
        return found[0], f"There is no function `${name}`" + (
            f": did you mean `${meant}`?" if meant else "."
        )
    method = re.search(r"([$\w.`\[\]]+)\.(\w+)\s*\(", found[1])
    if method and (name := _meant(method[2])):
        return found[0], (
            f"JSONata has no methods such as `.{method[2]}()`: write `${name}({method[1]})`."
        )
    bare = re.search(r"(?<![$\w.])([a-z]\w*)\s*\(", found[1])
    if bare and bare[1] in _FUNCTIONS:
        return found[0], f"A function has a `$` before its name: write `${bare[1]}(...)`."
    return None


def not_called(subject: Subject, found: tuple[str, str]) -> tuple[str, str] | None:
    """A result that is, or contains, a function: its call lacks the parentheses."""
    if messages.JSONATA_UNSUPPORTED not in (subject.cause or ""):
        return None
    functions = compile_jsonata(found[1], subject.limits).functions - subject.variables.keys()
    # else of a condition, or of a block
    named = sorted(uncalled(found[1], functions)) or re.findall(r"\$(\w+)\b(?!\s*\()", found[1])
    for name in named:
        if name in _FUNCTIONS and name in functions:
            call = f"${name}()" if name in _WITHOUT_ARGUMENTS else f"${name}(...)"
            return found[0], f"`${name}` is the function itself: call it, `{call}`."
    return None


def _meant(name: str) -> str | None:
    if name in _FUNCTIONS:
        return name
    return near(name, _FUNCTIONS) or _ELSEWHERE.get(name.lower())


_NAMES: Final = """
    string length substring substringBefore substringAfter uppercase lowercase trim pad
    contains split join match replace base64encode base64decode encodeUrl decodeUrl number
    abs floor ceil round power sqrt random formatNumber formatBase formatInteger
    parseInteger sum max min average boolean not exists count append sort reverse shuffle
    distinct zip keys lookup spread merge sift each error assert type map filter single
    reduce now millis fromMillis toMillis partition range hash uuid parse
"""
# names of other languages
_ELSEWHERE: Final = {
    "toupper": "uppercase", "touppercase": "uppercase", "upper": "uppercase",
    "tolower": "lowercase", "tolowercase": "lowercase", "lower": "lowercase",
    "len": "count", "size": "count", "tostring": "string", "str": "string",
    "tonumber": "number", "parseint": "number", "parsefloat": "number", "int": "number",
    "includes": "contains", "concat": "append", "push": "append", "tojson": "string",
    "stringify": "string", "fromjson": "parse", "jsonparse": "parse", "avg": "average",
    "date": "now", "uuidv4": "uuid", "foreach": "map", "find": "single", "isempty": "exists",
}  # fmt: skip
_WITHOUT_ARGUMENTS: Final = ("uuid", "now", "millis", "random")
_FUNCTIONS: Final = tuple(_NAMES.split())  # of JSONata, and those that AWS adds


# --- arguments ------------------------------------------------------------------------------------

_OF_TEXT: Final = re.compile(
    r"length|substring(Before|After)?|(upper|lower)case|trim|pad|contains|split|match|replace"
    r"|base64(en|de)code|(en|de)codeUrl|toMillis|parse|hash"
)
_OF_NUMBERS: Final = re.compile(
    r"abs|floor|ceil|round|power|sqrt|format(Number|Base|Integer)|fromMillis|sum|max|min|average"
)


class _Argument(NamedTuple):
    """One argument of a call: its function without `$`, its text and value."""

    function: str
    text: str
    value: Json


def argument(subject: Subject, found: tuple[str, str]) -> tuple[str, str] | None:
    """A function got a value of another type."""
    cause = subject.cause or ""
    if _ERRORS.search(cause) is None:
        return None
    for each in _arguments(subject, *found, outcome="error"):
        if text := _mistaken(each):
            return found[0], text
    if re.search(r"Argument 2 of function .?merge\b", cause):
        return found[0], "`$merge` takes one list of objects: write `$merge([a, b])`."
    return None


def undefined(subject: Subject, field: str, source: str) -> str | None:
    """A function returned nothing for an argument of another type."""
    found = _arguments(subject, field, source, outcome="undefined")
    return next((text for each in found if (text := _mistaken(each))), None)


def _arguments(subject: Subject, field: str, source: str, outcome: str) -> list[_Argument]:
    """Of the innermost call with such an outcome; the one that its message names, else all."""
    innermost: list[_Argument] = []
    called = re.search(r"function \W*(\w+)", subject.cause or "")
    if called and outcome == "error":  # without the engine's audit: the paths of the expression
        innermost = [
            _Argument(called[1], each.text, each.found)
            for each in readings(subject)
            if each.field == field
        ]
    for node in compile_jsonata(source, subject.limits).steps(subject.env(field)):
        if node["kind"] != "function" or node["outcome"] != outcome:
            continue
        given = node.get("children", ())[1:]
        place = re.search(r"Argument (\d+)", node.get("error", {}).get("message", ""))
        if place and int(place[1]) <= len(given):
            given = given[int(place[1]) - 1 : int(place[1])]
        name = str(node.get("op", "")).removeprefix("$")
        innermost = [_Argument(name, each["source"], each.get("output", MISSING)) for each in given]
    return innermost


def _mistaken(each: _Argument) -> str | None:
    """What is wrong with an argument, and the mend."""
    function, text, value = each
    if value is MISSING:
        return None
    here = f"`{text}` is {described(value)}"
    if attribute_type(value):
        return f"{here}, an attribute value of DynamoDB."
    if function == "merge" and isinstance(value, dict):
        return "`$merge` takes one list of objects: write `$merge([a, b])`."
    inner = parsed(value)
    if inner is not MISSING and not _OF_TEXT.fullmatch(function):
        return f"{here}, JSON as text: write `$parse({text})`."
    if function == "join" and isinstance(value, list):
        odd = next((item for item in value if not isinstance(item, str)), MISSING)
        if odd is not MISSING:
            return f"{here}, with {described(odd)} in it: write `$join({text}.$string(), ...)`."
    if _OF_NUMBERS.fullmatch(function):
        return _number(function, text, value, here)
    if function == "number" and isinstance(value, str):
        return f"{here}, which is not a number: take the digits out before, with `$replace`."
    if function == "parse" and isinstance(value, str):
        return f"{here}, which is not JSON."
    if _OF_TEXT.fullmatch(function):
        return _text(function, text, value, here)
    return None


def _number(function: str, text: str, value: Json, here: str) -> str | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"{here}, not a number: write `${function}($number({text}))`."
    if isinstance(value, list) and any(isinstance(item, str) for item in value):
        return f"{here} with texts in it: convert them with `$number`."
    if isinstance(value, list) and (odd := [item for item in value if not is_number(item)]):
        return f"{here}, with {described(odd[0])} in it: `${function}` takes numbers."
    return None if is_number(value) or isinstance(value, list) else f"{here}, not a number."


def _text(function: str, text: str, value: Any, here: str) -> str | None:
    if isinstance(value, str):
        if function == "toMillis":
            return f"{here}, which is not a timestamp of ISO 8601: give its format, `'[Y0001]...'`."
        return None
    if function == "length" and isinstance(value, list | dict):
        return f"{here}: `$length` is of strings, `$count({text})` of lists."
    if function == "toMillis" and is_number(value):
        return f"{here}, milliseconds already."
    if function == "parse":
        return f"{here}, parsed already: use the value itself."
    if isinstance(value, list):
        return f"{here}, not a string: take an item, or apply `${function}` to each with `$map`."
    return f"{here}, not a string: write `$string({text})`."
