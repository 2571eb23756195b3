"""The rules about errors of JSONata expressions: what the values are instead of what the expression
needs. Each returns (field, sentence), None if it does not apply.
"""

from __future__ import annotations

import re
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain.jsonata import arguments
from stepwell.asl.explain.jsonata.chains import top_level
from stepwell.asl.explain.readings import Reading, matching_rule, readings, value_of
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import attribute_type, described, members, near, parsed, shown
from stepwell.asl.java_values import is_number
from stepwell.asl.jsonata import compile_jsonata, is_expression
from stepwell.asl.timestamps import parse_timestamp

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
            if isinstance(value, list) and "+" in found[1]:
                return found[0], f"{here}: `+` adds numbers, `$append(a, b)` joins lists."
            if isinstance(value, dict) and "+" in found[1]:
                return found[0], f"{here}: `+` adds numbers, `$merge([a, b])` joins objects."
            if isinstance(value, str) and parse_timestamp(value) is not None and not compares:
                return found[0], (
                    f"{here}: times are added in milliseconds, `$fromMillis($toMillis({text}) "
                    "+ 3600000)`."
                )
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
    """A comparison in a predicate that is false because a number is compared with text, or with a
    name that should be a text.
    """
    for node in compile_jsonata(source, subject.limits).steps(subject.env()):
        values = node.get("operands", ())
        if node["kind"] != "binary" or node.get("op") != "=" or len(values) != 2:
            continue
        sides = [each["source"] for each in node["children"]]
        for bare, value, other in ((sides[1], *values[::-1]), (sides[0], *values)):
            absent = value is None and re.fullmatch(r"[^\W\d]\w*", bare)
            if absent and bare != "null" and isinstance(other, str):
                return f"`{bare}` is a name, and finds nothing: a text is in quotes, `'{bare}'`."
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
            text = f"`{name}` finds nothing: the value has {members(value)}"
            return f"{text}. Did you mean `{meant}`?" if meant else f"{text}."
    return None


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
    if field == "Timestamp" and expected[2] == "number":
        return field, f"It is a number: write `$fromMillis({source})`."
    if expected[1] == "number" and expected[2] == "string":
        return field, f"It is text: write `$number({source})`."
    if expected[1] == "string":
        return field, f"It is {_article(expected[2])}: write `$string({source})`."
    return None


def seconds(subject: Subject) -> tuple[str, str] | None:
    """The Seconds of a JSONata Wait are negative, or too many."""
    cause, text = subject.cause or "", str(subject.fields.get("Seconds"))
    if "The Seconds field must be" not in cause or not is_expression(text):
        return None
    value = value_of(text[2:-2], subject.env(), subject)
    mend = f": write `$max([0, {text[2:-2].strip()}])`" if is_number(value) and value < 0 else ""
    return "Seconds", f"The value is {shown(value)}{mend}."


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}" if word != "null" else word


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
    if mistaken := arguments.undefined(subject, field, source):
        return field, mistaken
    call = re.match(r"\s*\$(\w+)\s*\(", source)
    if call and call[1] in ("filter", "single", "lookup", "match", "sift", "max", "min", "average"):
        return (
            field,
            f"`${call[1]}` found nothing: give a default, `$exists(...) ? ... : null`.",
        )
    if re.search(r"\[[^\]]*\]\s*$", source):
        return field, "No item passes the predicate: write `[...]` around it for an empty list."
    return field, "An expression must return a value: write `null` or `[]` where there is none."
