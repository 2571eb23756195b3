"""Choice rules of JSONPath states: JSON -> (value, env) -> bool.

OPERATORS is the table of the 39 operators. If a value does not have the operator's type, the rule
is false; a path without a result is the error States.Runtime, except for IsPresent.
"""

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError, Fault
from stepwell.asl.java_values import collated, is_number
from stepwell.asl.json_text import item, member
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import Path, compile_path
from stepwell.asl.timestamps import parse_instant

__all__ = ["OPERATORS", "Fault", "ExpressionError", "Test", "compile_rule"]

Test: TypeAlias = Callable[[Json, Env], bool]


# --- types: JSON value -> the value to compare, None if it has another type -----------------------
def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> float | None:
    """AWS compares numbers in double precision."""
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _flag(value: Json) -> bool | None:
    return value if isinstance(value, bool) else None


class _Kind(NamedTuple):
    read: Callable[[Json], Any]
    fault: str  # the message for an operand of another type
    orders: Mapping[str, Callable[[Any, Any], bool]]  # "LessThan" -> comparison


_EQUALS: Final = {"Equals": eq}
_ORDERS: Final = {
    **_EQUALS,
    "LessThan": lt,
    "GreaterThan": gt,
    "LessThanEquals": le,
    "GreaterThanEquals": ge,
}


def _by_utf16(compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    return lambda left, right: compare(*collated(left, right))


_KINDS: Final[dict[str, _Kind]] = {
    "String": _Kind(
        _text,
        messages.EXPECTED_TYPE.format(type="String"),
        {name: _by_utf16(compare) for name, compare in _ORDERS.items()},
    ),
    "Numeric": _Kind(_number, messages.EXPECTED_TYPE.format(type="Number"), _ORDERS),
    "Boolean": _Kind(_flag, messages.EXPECTED_TYPE.format(type="Boolean"), _EQUALS),
    "Timestamp": _Kind(parse_instant, messages.NOT_RFC3339, _ORDERS),
}

_IS: Final[dict[str, Callable[[Json], bool]]] = {
    "IsNull": lambda value: value is None,
    "IsString": lambda value: isinstance(value, str),
    "IsNumeric": is_number,
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: parse_instant(value) is not None,
}


# --- tests: (path of Variable, operand) -> Test. Raise ExpressionSyntaxError for a bad operand ----
def _reader(path: Path) -> Evaluator:
    find = path.find

    def read(value: Json, env: Env) -> Json:
        found = find(value, env)
        if found is MISSING:
            raise StateError(messages.RUNTIME, messages.CHOICE_VARIABLE.format(path=path.text))
        return found

    return read


def _literal_test(kind: _Kind, compare: Callable[[Any, Any], bool]) -> "Build":
    read = kind.read

    def build(variable: Path, operand: Json, limits: Limits) -> Test:
        find, right = _reader(variable), read(operand)
        if right is None:
            raise ExpressionSyntaxError(kind.fault)

        def test(value: Json, env: Env) -> bool:
            left = read(find(value, env))
            return left is not None and compare(left, right)

        return test

    return build


def _path_test(kind: _Kind, compare: Callable[[Any, Any], bool]) -> "Build":
    read = kind.read

    def build(variable: Path, operand: Json, limits: Limits) -> Test:
        find, find_right = _reader(variable), _reader(_path(operand, limits))

        def test(value: Json, env: Env) -> bool:
            left, right = read(find(value, env)), read(find_right(value, env))
            return left is not None and right is not None and compare(left, right)

        return test

    return build


def _type_test(belongs: Callable[[Json], bool]) -> "Build":
    def build(variable: Path, operand: Json, limits: Limits) -> Test:
        find, wanted = _reader(variable), _wanted(operand)
        return lambda value, env: belongs(find(value, env)) is wanted

    return build


def _presence_test(variable: Path, operand: Json, limits: Limits) -> Test:
    find, wanted = variable.find, _wanted(operand)
    return lambda value, env: (find(value, env) is not MISSING) is wanted


def _pattern_test(variable: Path, operand: Json, limits: Limits) -> Test:
    if not isinstance(operand, str):
        raise ExpressionSyntaxError(messages.EXPECTED_TYPE.format(type="String"))
    find, matches = _reader(variable), _matcher(operand)

    def test(value: Json, env: Env) -> bool:
        text = find(value, env)
        return isinstance(text, str) and matches(text)

    return test


def _matcher(pattern: str) -> Callable[[str], bool]:
    """StringMatches: `*` matches any text, `\\*` and `\\\\` match the characters. It does not
    backtrack, so no pattern is slow.
    """
    parts = [""]  # the texts between the stars
    for letters in re.findall(r"\\[*\\]|.", pattern, re.DOTALL):
        if letters == "*":
            parts.append("")
        else:
            parts[-1] += letters[-1]
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return lambda text: text == first

    def matches(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for part in parts[1:-1]:  # the leftmost match leaves most text for the other parts
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches


def _wanted(operand: Json) -> bool:
    if not isinstance(operand, bool):
        raise ExpressionSyntaxError(messages.EXPECTED_TYPE.format(type="Boolean"))
    return operand


def _path(operand: Json, limits: Limits) -> Path:
    if not isinstance(operand, str):
        raise ExpressionSyntaxError(messages.EXPECTED_TYPE.format(type="String"))
    return compile_path(operand, limits)


Build: TypeAlias = Callable[[Path, Json, Limits], Test]

OPERATORS: Final[dict[str, Build]] = {
    **{
        name + order: _literal_test(kind, compare)
        for name, kind in _KINDS.items()
        for order, compare in kind.orders.items()
    },
    **{
        f"{name}{order}Path": _path_test(kind, compare)
        for name, kind in _KINDS.items()
        for order, compare in kind.orders.items()
    },
    "StringMatches": _pattern_test,
    **{name: _type_test(belongs) for name, belongs in _IS.items()},
    "IsPresent": _presence_test,
}

_BOOLEAN: Final = ("And", "Or", "Not")
_TOP_FIELDS: Final = ("Next", "Assign", "Comment")
_INNER_FIELDS: Final = ("Comment",)


# --- rules ----------------------------------------------------------------------------------------
def compile_rule(rule: Mapping[str, Json], limits: Limits = DEFAULT_LIMITS) -> Test:
    """Compile an entry of Choices: `{"Variable": ..., "<operator>": ...}`, or And, Or, Not of such
    entries. Next, Assign and Comment are optional here. Raises ExpressionError with all mistakes,
    located below the rule.

    The test raises StateError States.Runtime for a path without a result.
    """
    faults: list[Fault] = []
    test = _compiled(rule, _TOP_FIELDS, "", faults, limits)
    if faults:
        raise ExpressionError(faults)
    return test


def _compiled(
    rule: Json, others: tuple[str, ...], location: str, faults: list[Fault], limits: Limits
) -> Test:
    """The test of a rule. Appends the mistakes to `faults`; the test of a faulty rule is never
    run.
    """
    if not isinstance(rule, Mapping):
        faults.append(Fault(location, messages.EXPECTED_TYPE.format(type="Object")))
        return _never
    operators = [key for key in rule if key in OPERATORS or key in _BOOLEAN]
    known = {
        *operators,
        *others,
        *(() if operators and operators[0] in _BOOLEAN else ("Variable",)),
    }
    faults += [
        Fault(member(location, key), messages.FIELD_NOT_SUPPORTED)
        for key in rule
        if key not in known
    ]
    if len(operators) != 1:
        faults.append(Fault(location, messages.ONE_OPERATOR))
        return _never
    name = operators[0]
    if name in OPERATORS:
        return _comparison(rule, name, location, faults, limits)
    where, operand = member(location, name), rule[name]
    if name == "Not":
        negated = _compiled(operand, _INNER_FIELDS, where, faults, limits)
        return lambda value, env: not negated(value, env)
    if not isinstance(operand, list) or not operand:
        faults.append(
            Fault(
                where,
                messages.EMPTY_VALUE
                if operand == []
                else messages.EXPECTED_TYPE.format(type="Array"),
            )
        )
        return _never
    tests = [
        _compiled(each, _INNER_FIELDS, item(where, index), faults, limits)
        for index, each in enumerate(operand)
    ]
    decide = all if name == "And" else any
    return lambda value, env: decide(test(value, env) for test in tests)


def _comparison(
    rule: Mapping[str, Json], name: str, location: str, faults: list[Fault], limits: Limits
) -> Test:
    variable = None
    if "Variable" not in rule:
        faults.append(Fault(location, messages.REQUIRED_FIELD.format(field="Variable")))
    else:
        try:
            variable = _path(rule["Variable"], limits)
        except ExpressionSyntaxError as fault:
            faults.append(Fault(member(location, "Variable"), fault.message))
    try:
        # a faulty Variable is replaced, so that the operand is checked, too
        return OPERATORS[name](variable or compile_path("$"), rule[name], limits)
    except ExpressionSyntaxError as fault:
        faults.append(Fault(member(location, name), fault.message))
    return _never


def _never(value: Json, env: Env) -> bool:
    raise AssertionError("a rule with faults was run")
