"""What the rules of a Choice compared, and comparisons that cannot be true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stepwell.asl.choice import OPERATORS, compile_rule
from stepwell.asl.evaluation import MISSING, Json, StateError
from stepwell.asl.explain.jsonata_chains import chains
from stepwell.asl.explain.readings import matching_rule, readings, value_of
from stepwell.asl.explain.subject import WARNING, Hint, Subject
from stepwell.asl.explain.values import attribute_type, described, shown, spelled
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError
from stepwell.asl.java_values import is_number
from stepwell.asl.jsonata import is_expression
from stepwell.asl.paths import compile_path

_ORDER: Final = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?")
_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?([eE][-+]?\d+)?\s*")
_NO_ZONE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?")
_LITERAL: Final = re.compile(
    r"""\s*(!?=|<=?|>=?)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|true|false|null)"""
)


class Comparison(NamedTuple):
    """One comparison of a rule: its place, path, value, operator and operand."""

    where: str
    path: str
    value: Json
    operator: str
    operand: Json

    def text(self) -> str:
        value, operand = (
            "absent" if each is MISSING else shown(each) for each in (self.value, self.operand)
        )
        return f"{self.path} is {value}, {self.operator} {operand}"


class Tested(NamedTuple):
    """One rule that was tested: true, or why not."""

    place: int
    matched: bool
    text: str


def tested(subject: Subject) -> list[Tested]:
    """The rules of a Choice in order, up to the one that matched or failed, with what they
    compared.
    """
    match, found = matching_rule(subject), []
    read = list(readings(subject)) if subject.jsonata else []
    for index, rule in enumerate(subject.fields.get("Choices", ())):
        if match is not None and index > match:
            break
        if subject.jsonata:
            values = [
                f"{each.text} is {'undefined' if each.found is MISSING else shown(each.found)}"
                for each in read
                if each.field == f"Choices[{index}]/Condition"
            ]
            text = ", ".join(dict.fromkeys(values))
        else:
            text = "; ".join(each.text() for each in comparisons(subject, index, rule))
        found.append(Tested(index, index == match, text))
    return found


def comparisons(subject: Subject, index: int, rule: Json) -> Iterator[Comparison]:
    """The comparisons of a rule, those of And, Or and Not one by one."""
    yield from _leaves(subject, f"Choices[{index}]", rule)


def _leaves(subject: Subject, where: str, rule: Json) -> Iterator[Comparison]:
    if not isinstance(rule, dict):
        return
    for name in ("And", "Or", "Not"):
        inner = rule.get(name, ())
        for place, each in enumerate(inner if isinstance(inner, list) else [inner]):
            yield from _leaves(subject, f"{where}/{name}[{place}]", each)
    operator = next((name for name in rule if name in OPERATORS), None)
    if operator is None or not isinstance(rule.get("Variable"), str):
        return
    operand = rule[operator]
    if operator.endswith("Path"):
        operand = _found(subject, operand)
    value = _found(subject, rule["Variable"])
    yield Comparison(where, rule["Variable"], value, operator, operand)


def _found(subject: Subject, path: str) -> Json:
    try:
        found = compile_path(path, subject.limits).find
        return found(subject.documents.get("selected"), subject.env())
    except (StateError, ExpressionSyntaxError):
        return MISSING


# --- comparisons that cannot be true --------------------------------------------------------------


def hints(subject: Subject) -> Iterator[Hint]:
    """Comparisons that are false because of a type, a zone or upper and lower case."""
    match = matching_rule(subject)
    for index, rule in enumerate(subject.fields.get("Choices", ())):
        if match is not None and index >= match:
            return
        found = (
            _conditions(subject, index, rule)
            if subject.jsonata
            else (
                (each.where, mistake)
                for each in comparisons(subject, index, rule)
                if not _guarded(rule, each.path)
                and not _holds(subject, each)
                and (mistake := _mistake(each))
            )
        )
        for where, (code, text) in found:
            yield Hint(code, WARNING, where, text)


def _guarded(rule: Json, path: str) -> bool:
    """Whether the rule tests the type of the path as well."""
    tests = [rule, *rule.get("And", ())] if isinstance(rule, dict) else []
    return any(
        each.get("Variable") == path and any(name.startswith("Is") for name in each)
        for each in tests
        if isinstance(each, dict)
    )


def _holds(subject: Subject, each: Comparison) -> bool:
    rule: dict[str, Any] = {"Variable": each.path, each.operator: each.operand}
    if each.operator.endswith("Path"):
        rule = {"Variable": each.path, each.operator.removesuffix("Path"): each.operand}
    try:
        return compile_rule(rule)(subject.documents.get("selected"), subject.env())
    except (StateError, ExpressionError):
        return True  # another hint is about it


def _mistake(each: Comparison) -> tuple[str, str] | None:
    """(code, sentence) if a comparison is false for another reason than its value."""
    match, value, path = _ORDER.fullmatch(each.operator), each.value, each.path
    if match is None or value is MISSING or value is None:
        return None
    family, false = match[1], f"{each.operator} is false: `{path}` is {described(value)}"
    if kind := attribute_type(value):
        return "attribute-value", (
            f"{false}, an attribute value of DynamoDB: write `{spelled(path, (kind,))}`"
            + (" (a string)." if kind in "SN" else ".")
        )
    if isinstance(value, list) and not compile_path(path).definite:
        return "list-of-matches", (
            f"{false}, because a filter or wildcard gives a list: pick an item before, with "
            f"`States.ArrayGetItem({path}, 0)`."
        )
    if family == "Numeric" and isinstance(value, str) and _NUMBER.fullmatch(value):
        return "number-as-text", (
            f"{false}, not a number: compare with a String operator, or convert it before with "
            f"`States.StringToJson({path})`."
        )
    if family == "String" and (is_number(value) or isinstance(value, bool)):
        other = "Boolean" if isinstance(value, bool) else "Numeric"
        use = f"{other}{match[2]}{match[3] or ''}"
        return "type", f"{false}: {f'use {use}' if use in OPERATORS else 'convert it before'}."
    if family == "Boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return "boolean-as-text", f"{false}, not a boolean: use StringEquals {shown(value)}."
    if family == "Timestamp" and isinstance(value, str) and _NO_ZONE.fullmatch(value):
        return "no-zone", f'{false}, without a time zone: a timestamp is "2024-01-31T12:00:00Z".'
    if family == "Timestamp" and is_number(value):
        return "epoch", f"{false}, not a timestamp in text: compare numbers with Numeric{match[2]}."
    if match[2] == "Equals" and _only_case(value, each.operand):
        return "case", f"{false}, not {shown(each.operand)}: {_counts(value, each.operand)}."
    return None


def _counts(left: str, right: str) -> str:
    blanks = left.strip() != left or right.strip() != right
    return "blanks count" if blanks else "comparisons are case-sensitive"


def _only_case(left: Json, right: Json) -> bool:
    """Whether two texts differ in case or blanks only."""
    if not (isinstance(left, str) and isinstance(right, str)) or left == right:
        return False
    return left.strip().lower() == right.strip().lower()


def _conditions(subject: Subject, index: int, rule: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """The `chain = literal` of a Condition whose types differ."""
    text = rule.get("Condition") if isinstance(rule, dict) else None
    if not isinstance(text, str) or not is_expression(text):
        return
    source, env = text[2:-2], subject.env()
    for chain in chains(source):
        literal = _LITERAL.match(source, chain.start + len(chain.text))
        if literal is None:
            continue
        left = value_of(chain.text, env, subject)
        right = value_of(literal[2], env, subject)
        if found := _unequal(chain.text, left, literal[1], right):
            yield f"Choices[{index}]/Condition", found


def _unequal(path: str, left: Json, operator: str, right: Json) -> tuple[str, str] | None:
    false = f"`{path} {operator} {shown(right)}` is false: `{path}` is {described(left)}"
    if operator != "=" or left is MISSING:
        return None
    if isinstance(left, str) and is_number(right) and _NUMBER.fullmatch(left):
        return "number-as-text", f"{false}, not a number: write `$number({path})`."
    if is_number(left) and isinstance(right, str):
        return "type", f"{false}, not a string: compare it with a number."
    if isinstance(left, str) and isinstance(right, bool):
        return "boolean-as-text", f"{false}, not a boolean: compare it with {shown(left)}."
    if _only_case(left, right):
        return "case", f"{false}: {_counts(left, right)}."
    if kind := attribute_type(left):
        return "attribute-value", (
            f"{false}, an attribute value of DynamoDB: write `{spelled(path, (kind,), True)}`."
        )
    if isinstance(left, list) and len(left) == 1 and not isinstance(right, list):
        return "list-of-one", f"{false}: compare its item, `{path}[0]`."
    return None
