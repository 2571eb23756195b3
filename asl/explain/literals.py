"""Text of a definition that looks like an expression and is not evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.explain.subject import WARNING, Hint, Subject
from stepwell.asl.explain.values import shown
from stepwell.asl.jsonata import is_expression
from stepwell.asl.templates import DYNAMIC

# JSON with expressions in it, by language
_TEMPLATES: Final = {
    False: ("Parameters", "ResultSelector", "ItemSelector", "Assign"),
    True: ("Arguments", "Output", "ItemSelector", "Assign"),
}
_PATH: Final = re.compile(r"\$\$?(\.\.?[^\W\d][\w.\[\]*'?@$-]*|\[.+\].*)")
_CALL: Final = re.compile(r"States\.[A-Z]\w*\(.*\)")
_STATES: Final = re.compile(r"\$states\.(input|result|context|errorOutput)\b[\w.\[\]]*")
# members that often get the whole input: elsewhere "$" may be a currency
_WHOLE: Final = ("payload", "input", "message", "messagebody", "detail", "body", "data", "event")
# names of members whose value is a path by purpose
MEANS_PATH: Final = re.compile(r"path|expression|pointer|query|template|filter", re.IGNORECASE)


def hints(subject: Subject) -> Iterator[Hint]:
    """The texts of the state's fields that look like expressions."""
    for code, where, _, text in mistakes(subject.fields, subject.jsonata):
        yield Hint(code, WARNING, where, text)


def mistakes(fields: Any, jsonata: bool) -> Iterator[tuple[str, str, Json, str]]:
    """(code, place in the state, value, what to write) of such texts; the linter reports them,
    too.
    """
    for where, key, value in _members(fields, jsonata):
        if key is not None and MEANS_PATH.search(key) and not key.endswith(DYNAMIC):
            continue
        found = _jsonata(key, value) if jsonata else _jsonpath(where, key, value)
        if found is not None:
            yield found[0], where, value, found[1]


def _jsonpath(where: str, key: str | None, value: Json) -> tuple[str, str] | None:
    if where.startswith("Result/"):
        if key is not None and key.endswith(DYNAMIC):
            return "static-result", (
                f"The Result of a Pass state is plain JSON, so `{key}` is not evaluated: use "
                "Parameters."
            )
        return None
    if not isinstance(value, str) or key is None or key.endswith(DYNAMIC):
        return None
    whole = value in ("$", "$$") and key.lower() in _WHOLE
    if whole or _PATH.fullmatch(value) or _CALL.fullmatch(value):
        return "literal-path", (
            f"`{key}` is the text {shown(value)}, not its value: name the key `{key}.$`."
        )
    if value.startswith("{%"):
        return "jsonata-in-jsonpath", (
            f"`{key}` is the text {shown(value)}: this state's QueryLanguage is JSONPath. Set "
            f'"QueryLanguage": "JSONata", or write `{key}.$` with a path.'
        )
    return None


def _jsonata(key: str | None, value: Json) -> tuple[str, str] | None:
    if key is not None and key.endswith(DYNAMIC) and isinstance(value, str):
        name = key.removesuffix(DYNAMIC)
        return "jsonpath-in-jsonata", (
            f"`{key}` is a plain name in a JSONata state, and its value is "
            f"{'text' if not is_expression(value) else 'that of the expression'}: write "
            f"`{name}` with {_as_expression(value)}."
        )
    if not isinstance(value, str) or is_expression(value):
        return None
    if _PATH.fullmatch(value) or _STATES.fullmatch(value) or _CALL.fullmatch(value):
        return "literal-path", (
            f"{_named(key)} is the text {shown(value)}, not its value: a JSONata expression is in "
            f"{{% %}}, write {_as_expression(value)}."
        )
    if ("{%" in value and "%}" in value) or _STATES.search(value):
        return "embedded-expression", (
            f"{_named(key)} is the text {shown(value)}: an expression must be the whole string, in "
            "{% %}. Join texts inside it, with `&`."
        )
    return None


def _named(key: str | None) -> str:
    return f"`{key}`" if key else "The value"


def _as_expression(value: str) -> str:
    if is_expression(value):
        return f"`{value}`"
    if value.startswith("$$."):
        return f"`{{% $states.context{value[2:]} %}}`"
    if value.startswith("$states"):
        return f"`{{% {value} %}}`"
    if value.startswith("$"):
        return f"`{{% $states.input{value[1:]} %}}`"
    return "a JSONata function"


def _members(fields: Any, jsonata: bool) -> Iterator[tuple[str, str | None, Json]]:
    """(place, key, value) of all members of the fields that may have expressions in them."""
    names = _TEMPLATES[jsonata] + (() if jsonata else ("Result",))
    roots = [(name, fields[name]) for name in names if name in fields]
    for part in ("Catch", "Choices"):
        for index, each in enumerate(fields.get(part, ())):
            roots += [
                (f"{part}[{index}]/{name}", each[name])
                for name in ("Assign", "Output")
                if isinstance(each, dict) and name in each and (jsonata or name == "Assign")
            ]
    for outer in ("ItemReader", "ResultWriter", "ItemBatcher"):
        inner = fields.get(outer)
        roots += [
            (f"{outer}/{name}", inner[name])
            for name in ("Parameters", "Arguments", "BatchInput")
            if isinstance(inner, dict) and name in inner
        ]
    if jsonata:
        roots += [
            (name, fields[name])
            for name in ("Items", "Seconds", "Timestamp", "Error", "Cause")
            if isinstance(fields.get(name), str)
        ]
    for where, value in roots:
        if isinstance(value, str):
            yield where, None, value
        yield from _inside(where, value)


def _inside(where: str, value: Json) -> Iterator[tuple[str, str | None, Json]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"{where}/{key}", key, each
            yield from _inside(f"{where}/{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield f"{where}[{index}]", None, each
            yield from _inside(f"{where}[{index}]", each)
