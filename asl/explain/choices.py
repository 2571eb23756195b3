"""What the rules of a Choice compared, and comparisons that cannot be true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stepwell.asl.choice import OPERATORS, compile_rule
from stepwell.asl.evaluation import MISSING, Env, Json, StateError
from stepwell.asl.explain.jsonata.chains import chains
from stepwell.asl.explain.readings import matching_rule, readings, value_of
from stepwell.asl.explain.subject import NOTE, WARNING, Hint, Subject
from stepwell.asl.explain.values import attribute_type, described, shown, spelled
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError
from stepwell.asl.java_values import is_number
from stepwell.asl.jsonata import is_expression
from stepwell.asl.paths import compile_path
from stepwell.asl.timestamps import parse_timestamp

_ORDER: Final = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?")
_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?([eE][-+]?\d+)?\s*")
_TYPE_TEST: Final = re.compile(r"Is(Null|Numeric|Boolean|Timestamp)")
# in a pattern of StringMatches: what only regular expressions or SQL know
_REGEX: Final = re.compile(r"^\^|\$$|\\\\?[dws]|\[[^\]]+-[^\]]+\]|^\.\*|\.\+|\(.*\|.*\)")
_WANTED: Final = {"String": "a string", "Numeric": "a number", "Boolean": "a boolean",
                  "Timestamp": "a timestamp"}  # fmt: skip
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
        find = _conditions if subject.jsonata else _comparisons
        yield from find(subject, index, rule)


def _comparisons(subject: Subject, index: int, rule: Json) -> Iterator[Hint]:
    for each in comparisons(subject, index, rule):
        if _holds(subject, each):
            continue
        if not _guarded(rule, each.path) and (found := _mistake(each)):
            yield Hint(found[0], WARNING, each.where, found[1])
        elif found := _fact(each):
            yield Hint(found[0], NOTE, each.where, found[1])


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
    if isinstance(value, dict | list):
        return _composite(each, family, false)
    if isinstance(value, str):
        return _text(each, match, false)
    if family == "String":
        other = "Boolean" if isinstance(value, bool) else "Numeric"
        use = f"{other}{match[2]}{match[3] or ''}"
        return "type", f"{false}: {f'use {use}' if use in OPERATORS else 'convert it before'}."
    if family == "Timestamp":
        return "epoch", f"{false}, not a timestamp in text: compare numbers with Numeric{match[2]}."
    if family == "Boolean" and not isinstance(value, bool):
        return "type", f"{false}, not a boolean: use NumericEquals {shown(value)}."
    if family == "Numeric" and isinstance(value, bool):
        return "type", f"{false}, not a number: use BooleanEquals {shown(value)}."
    return None


def _composite(each: Comparison, family: str, false: str) -> tuple[str, str]:
    """An object or a list is compared with one value."""
    value, path, operand = each.value, each.path, each.operand
    if isinstance(value, list) and not compile_path(path).definite:
        return "list-of-matches", (
            f"{false}, because a filter or wildcard gives a list: pick an item before, with "
            f"`States.ArrayGetItem({path}, 0)`."
        )
    false = f"{false}, not {_WANTED[family]}"
    if isinstance(value, list):
        if operand in value:
            call = f"States.ArrayContains({path}, {_quoted(operand)})"
            return "list", f"{false}. {shown(operand)} is in the list: test `{call}` before."
        return "list", f"{false}: compare one of its items, such as `{path}[0]`."
    alike = [name for name, inner in value.items() if _fits(inner, operand)]
    meant = f": did you mean `{spelled(path, (alike[0],))}`?" if alike else "."
    return "object", f"{false}{meant}"


def _quoted(value: Json) -> str:
    return f"'{value}'" if isinstance(value, str) else shown(value)


def _fits(value: Json, operand: Json) -> bool:
    """Whether a value is of the type of an operand."""
    if isinstance(operand, bool) or isinstance(value, bool):
        return isinstance(operand, bool) and isinstance(value, bool)
    kinds = isinstance(value, str), isinstance(operand, str)
    return all(kinds) or (is_number(value) and is_number(operand))


def _text(each: Comparison, match: re.Match[str], false: str) -> tuple[str, str] | None:
    """A string is compared as something else, or with another string that means the same."""
    value, path, operand, family = each.value, each.path, each.operand, match[1]
    if family == "Numeric" and _NUMBER.fullmatch(value):
        return "number-as-text", (
            f"{false}, not a number: compare with a String operator, or convert it before with "
            f"`States.StringToJson({path})`."
        )
    if family == "Boolean" and value.lower() in ("true", "false"):
        return "boolean-as-text", f"{false}, not a boolean: use StringEquals {shown(value)}."
    if family in ("Numeric", "Boolean"):
        return "type", f"{false}, not {_WANTED[family]}."
    if family == "Timestamp" and _NO_ZONE.fullmatch(value):
        return "no-zone", f'{false}, without a time zone: a timestamp is "2024-01-31T12:00:00Z".'
    if family == "Timestamp" and parse_timestamp(value) is None:
        return "no-timestamp", (
            f'{false}, which is no timestamp of ISO 8601: one is "2024-01-31T12:00:00Z", or with '
            "+01:00 instead of Z."
        )
    if match[2] == "Matches":
        return _pattern(value, operand, false)
    if match[2] == "Equals" and _only_case(value, operand):
        return "case", f"{false}, not {shown(operand)}: {_counts(value, operand)}."
    if each.operator == "StringEquals" and "*" in operand and _matches(value, operand):
        return "wildcard", f"{false}: `*` stands for any text in StringMatches only. Use that."
    return None


def _pattern(value: str, pattern: Json, false: str) -> tuple[str, str] | None:
    """A regular expression, or another kind of pattern, in StringMatches."""
    if not isinstance(pattern, str):
        return None
    if as_regex(pattern):
        return "regex", (
            f"{false}, and {shown(pattern)} is a regular expression. StringMatches knows `*` "
            "only, for any text."
        )
    if "|" in pattern and any(_matches(value, part) for part in pattern.split("|")):
        return (
            "regex",
            f"{false}: `|` has no meaning in a pattern. Write a rule for each, in an Or.",
        )
    if "%" in pattern and _matches(value, pattern.replace("%", "*")):
        return "wildcard", f"{false}: the sign for any text is `*`, not `%`."
    if _matches(value.lower(), pattern.lower()):
        return "case", f"{false}: comparisons are case-sensitive."
    return None


def as_regex(pattern: str) -> bool:
    """Whether a pattern of StringMatches is probably meant as a regular expression."""
    return _REGEX.search(pattern) is not None


def _matches(value: str, pattern: str) -> bool:
    test = compile_rule({"Variable": "$", "StringMatches": pattern})
    return test(value, Env(None, {}, dict, bytes, 0))


def _fact(each: Comparison) -> tuple[str, str] | None:
    """A comparison that is false as it should be, for a reason that is easily overlooked."""
    value, is_ = each.value, _TYPE_TEST.fullmatch(each.operator)
    if value is MISSING:
        return None
    false = f"{each.operator} is false: `{each.path}` is {described(value)}"
    if value is None and _ORDER.fullmatch(each.operator) is not None:
        return "null-compared", f"{false}, which is never equal, less or greater."
    if is_ is None or each.operand is not True or not isinstance(value, str):
        return None
    kind = is_[1]
    if (
        (kind == "Null" and value == "")
        or (kind == "Numeric" and _NUMBER.fullmatch(value))
        or (kind == "Boolean" and value.lower() in ("true", "false"))
        or (kind == "Timestamp" and _NO_ZONE.fullmatch(value))
    ):
        what = " without a time zone" if kind == "Timestamp" else ""
        return "type-of-text", f"{false}{what}."
    return None


def _counts(left: str, right: str) -> str:
    blanks = left.strip() != left or right.strip() != right
    return "blanks count" if blanks else "comparisons are case-sensitive"


def _only_case(left: Json, right: Json) -> bool:
    """Whether two texts differ in case or blanks only."""
    if not (isinstance(left, str) and isinstance(right, str)) or left == right:
        return False
    return left.strip().lower() == right.strip().lower()


def _conditions(subject: Subject, index: int, rule: Any) -> Iterator[Hint]:
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
            yield Hint(found[0], WARNING, f"Choices[{index}]/Condition", found[1])


def _unequal(path: str, left: Json, operator: str, right: Json) -> tuple[str, str] | None:
    text = f"`{path} {operator} {shown(right)}` is false"
    if left is MISSING:
        return _absent(path, operator, right, text)
    false = f"{text}: `{path}` is {described(left)}"
    if operator != "=":
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
    if isinstance(left, list) and right in left:
        return "list", f"{false}. To find it in the list, write `{_quoted(right)} in {path}`."
    return None


def _absent(path: str, operator: str, right: Json, text: str) -> tuple[str, str] | None:
    """`absent = null` and `absent != ...` are false; `absent > 1` is an error."""
    if right is None:
        instead = "$not($exists({}))" if operator == "=" else "$exists({})"
        return "absent-is-not-null", (
            f"{text}: `{path}` is absent, which is not null: write `{instead.format(path)}`."
        )
    if operator == "!=":
        return "absent-compared", (
            f"{text}: `{path}` is absent, and `!=` is false then, too. Write "
            f"`$not({path} = {shown(right)})`."
        )
    return None
