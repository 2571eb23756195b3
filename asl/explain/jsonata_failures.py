"""The rules about errors of JSONata expressions: what the values are instead of what the expression
needs. Each returns (field, sentence), None if it does not apply.
"""

from __future__ import annotations

import re
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain.jsonata_chains import top_level
from stepwell.asl.explain.readings import Reading, matching_rule, readings, value_of
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import attribute_type, described, names, near, parsed
from stepwell.asl.java_values import is_number
from stepwell.asl.jsonata import compile_jsonata
from stepwell.asl.jsonata_functions import HOSTS

_FIELD: Final = re.compile(
    r"The JSONata expression '(.*)' specified for the field '([^']*)' ", re.S
)
_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")


def field_of(subject: Subject) -> tuple[str, str] | None:
    """(field, expression) of the JSONata expression that failed."""
    match = _FIELD.search(subject.cause or "")
    if match is None:
        return None
    field = match[2]
    if field == "Condition" and (index := matching_rule(subject)) is not None:
        field = f"Choices[{index}]/Condition"
    return field, match[1]


def _in_field(subject: Subject, field: str) -> list[Reading]:
    return [each for each in readings(subject) if each.field == field]


def lists_of(value: Json) -> list[str]:
    """The members of an object that are lists."""
    members = value.items() if isinstance(value, dict) else ()
    return [name for name, each in members if isinstance(each, list)]


_ARITHMETIC: Final = ("T2001", "T2002")


def operands(subject: Subject) -> tuple[str, str] | None:
    """`+` on a string; a comparison of different types."""
    found, cause = field_of(subject), subject.cause or ""
    if found is None or not any(f"{code}:" in cause for code in (*_ARITHMETIC, "T2009", "T2010")):
        return None
    compares = "T2009:" in cause or "T2010:" in cause
    for text, value in _operands(subject, *found):
        if not isinstance(value, int | float) or isinstance(value, bool):
            here = f"`{text}` is {described(value)}"
            if attribute_type(value):
                return found[0], f"{here}, an attribute value of DynamoDB."
            if isinstance(value, str) and _NUMBER.fullmatch(value):
                return found[0], f"{here}, not a number: write `$number({text})`."
            if "+" in found[1] and isinstance(value, str) and not compares:
                return found[0], f"{here}: `+` adds numbers, `&` joins strings."
            if compares:
                return found[0], f"{here}: `<` and `>` compare numbers, or strings."
            return found[0], f"{here}, not a number."
    if "+" in found[1] and not compares:
        return found[0], "`+` adds numbers: join strings with `&`."
    return None


def _operands(subject: Subject, field: str, source: str) -> list[tuple[str, Json]]:
    """(text, value) of both sides of the operator that failed; without the engine's audit, of the
    paths of the expression.
    """
    for node in compile_jsonata(source, subject.limits).steps(subject.env(field)):
        sides = node.get("children", ())
        failed = node["kind"] == "binary" and node["outcome"] == "error"
        if failed and not any(each["outcome"] == "error" for each in sides):
            values = node.get("operands") or [each.get("output", MISSING) for each in sides]
            return [
                (each["source"], value)
                for each, value in zip(sides, values, strict=False)
                if value is not MISSING
            ]
    return [
        (each.text, each.found) for each in _in_field(subject, field) if each.found is not MISSING
    ]


def unequal(subject: Subject, source: str) -> str | None:
    """A comparison in a predicate that is false because a number is compared with text."""
    for node in compile_jsonata(source, subject.limits).steps(subject.env()):
        values = node.get("operands", ())
        if node["kind"] != "binary" or node.get("op") != "=" or len(values) != 2:
            continue
        sides = [each["source"] for each in node["children"]]
        for text, value, other in ((sides[0], *values), (sides[1], *values[::-1])):
            if isinstance(value, str) and is_number(other) and _NUMBER.fullmatch(value):
                return (
                    f"`{node['source']}` is false: `{text}` is {described(value)}, not a number: "
                    f"write `$number({text})`."
                )
    return None


def _undefined_name(subject: Subject, field: str, source: str) -> str | None:
    """A name in a function or predicate that its value does not have."""
    for node in compile_jsonata(source, subject.limits).steps(subject.env(field)):
        name, value = node.get("op"), node.get("input")
        if node["kind"] == "name" and node["outcome"] == "undefined" and isinstance(value, dict):
            meant = near(str(name), value)
            text = f"`{name}` finds nothing: the value has {names(value)}"
            return f"{text}. Did you mean `{meant}`?" if meant else f"{text}."
    return None


def function(subject: Subject) -> tuple[str, str] | None:
    found, cause = field_of(subject), subject.cause or ""
    if found is None:
        return None
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
        meant = near(name, _FUNCTIONS)
        return found[0], f"There is no function `${name}`" + (
            f": did you mean `${meant}`?" if meant else "."
        )
    bare = re.search(r"(?<![$\w.])([a-z]\w*)\s*\(", found[1])
    if bare and bare[1] in _FUNCTIONS:
        return found[0], f"A function has a `$` before its name: write `${bare[1]}(...)`."
    return None


_NAMES: Final = """
    string length substring substringBefore substringAfter uppercase lowercase trim pad
    contains split join match replace base64encode base64decode encodeUrl decodeUrl number
    abs floor ceil round power sqrt random formatNumber formatBase formatInteger
    parseInteger sum max min average boolean not exists count append sort reverse shuffle
    distinct zip keys lookup spread merge sift each error assert type map filter single
    reduce now millis fromMillis toMillis partition range hash uuid parse
"""
_FUNCTIONS: Final = tuple(_NAMES.split())  # of JSONata, and those that AWS adds


def value_type(subject: Subject) -> tuple[str, str] | None:
    """An expression has a value of another type than its field needs."""
    found, cause = field_of(subject), subject.cause or ""
    expected = re.search(r"Expected '(.*)', but was '(\w+)' for value", cause)
    if found is None or expected is None:
        return None
    field, source = found
    if "array" in expected[1]:
        if "[" in source or "$filter" in source or "$map" in source:
            return field, (
                "JSONata returns a single match without a list around it: write "
                f"`[{source}]`, or append `[]` to the path."
            )
        value = value_of(source, subject.env(), subject)
        if isinstance(parsed(value), list):
            return field, f"The value is a list as JSON text: write `$parse({source})`."
        if lists := lists_of(value):
            return field, f"It is {described(value)}: did you mean `{source}.{lists[0]}`?"
        return field, f"It is {described(value)}: write `[{source}]` for a list of one."
    if expected[1] == "boolean":
        return field, f"A Condition must be true or false: compare, or write `$boolean({source})`."
    if expected[1] == "number" and expected[2] == "string":
        return field, f"It is text: write `$number({source})`."
    if expected[1] == "string":
        return field, f"It is {_article(expected[2])}: write `$string({source})`."
    return None


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}" if word != "null" else word


def argument(subject: Subject) -> tuple[str, str] | None:
    """A function got a value of another type."""
    found, cause = field_of(subject), subject.cause or ""
    if found is None or not re.search(r"\b(T0410|T0411|T0412|D3030|D3110|D3120):", cause):
        return None
    code = re.search(r"\b([TD]\d{4}):", cause)
    for each in _in_field(subject, found[0]):
        if each.found is MISSING or isinstance(each.found, int | float):
            continue
        here = f"`{each.text}` is {described(each.found)}"
        inner = parsed(each.found)
        if inner is not MISSING and "$parse" not in found[1]:
            return found[0], f"{here}, JSON as text: write `$parse({each.text})`."
        if attribute_type(each.found):
            return found[0], f"{here}, an attribute value of DynamoDB."
        if code and code[1] == "D3030":
            return found[0], f"{here}, which is not a number."
        if code and code[1] == "D3120":
            return found[0], f"{here}, which is not JSON."
        if code and code[1] == "D3110":
            return found[0], f"{here}, which is not a timestamp of ISO 8601."
        if isinstance(each.found, list) and any(isinstance(item, str) for item in each.found):
            return found[0], f"{here} with texts in it: convert them with `$number`."
        return found[0], f"{here}: the function needs another type."
    return None


def nothing(subject: Subject) -> tuple[str, str] | None:
    """The expression is undefined though its paths lead to values."""
    found = field_of(subject)
    if found is None or messages.JSONATA_UNDEFINED not in (subject.cause or ""):
        return None
    field, source = found
    text = top_level(source)
    if bare := re.search(r"(?<![$\w.`\"'])states\.(input|result|context)\b", source):
        return field, f"`$states` begins with a `$`: write `${bare[0]}`."
    if bare := re.match(r"[^\W\d]\w*(?=$|[.\[ ])", source):
        root = f"${source}" if bare[0] in subject.variables else f"$states.input.{source}"
        return field, f"`{bare[0]}` is read from nothing: write `{root}`."
    if "?" in text and ":" not in text.partition("?")[2]:
        condition = source[: source.index("?")].strip()
        return field, (
            f"`{condition}` is false and there is no else: write `... : null` behind it. An "
            "expression must return a value."
        )
    if undefined := _undefined_name(subject, field, source):
        return field, undefined
    call = re.match(r"\s*\$(\w+)\s*\(", source)
    if call and call[1] in ("filter", "single", "lookup", "match", "sift", "max", "min", "average"):
        return (
            field,
            f"`${call[1]}` found nothing: give a default, `$exists(...) ? ... : null`.",
        )
    if re.search(r"\[[^\]]*\]\s*$", source):
        return field, "No item passes the predicate: write `[...]` around it for an empty list."
    return field, "An expression must return a value: write `null` or `[]` where there is none."
