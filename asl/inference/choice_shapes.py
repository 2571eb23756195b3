"""The rules of a Choice, evaluated on Shapes: which results a rule may have.

A constant is compared by the interpreter's own operators (choice.py); otherwise only the type of
the value decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.choice import OPERATORS
from stepwell.asl.evaluation import MISSING, Json, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.field_shapes import (
    NO_ENV,
    WRONG_TYPE,
    FieldFailure,
    Scene,
    jsonata_shape,
    missing,
    path_shape,
)
from stepwell.asl.inference.shapes import Shape, has_hole
from stepwell.asl.json_text import item, member
from stepwell.asl.jsonata import is_expression
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.paths import compile_path

_OPERAND_KINDS: Final = {
    "String": s.STRING,
    "Numeric": s.NUMBER,
    "Boolean": s.BOOLEAN,
    "Timestamp": s.STRING,
    "IsNull": s.NULL,
    "IsString": s.STRING,
    "IsNumeric": s.NUMBER,
    "IsBoolean": s.BOOLEAN,
    "IsTimestamp": s.STRING,
}


class Results(NamedTuple):
    """What a rule may give. Both False: it always fails."""

    true: bool
    false: bool


YES: Final = Results(True, False)
NO: Final = Results(False, True)
EITHER: Final = Results(True, True)


def rule_results(rule: dict[str, Any], jsonata: bool, scene: Scene, location: str) -> Results:
    """What a rule of Choices may give. Raises FieldFailure if it always fails."""
    if jsonata:
        return _condition(rule.get("Condition"), scene, member(location, "Condition"))
    return _test(rule, scene, location)


def _condition(value: Json, scene: Scene, location: str) -> Results:
    if isinstance(value, bool):
        return YES if value else NO
    if not isinstance(value, str) or not is_expression(value):
        return EITHER
    shape = jsonata_shape(value, scene, location)
    if shape.never(s.BOOLEAN):
        raise FieldFailure(
            messages.QUERY_EVALUATION_ERROR,
            location,
            WRONG_TYPE,
            f"Condition always fails: {value[2:-2].strip()} is {s.described(shape)}, not a "
            "boolean. Compare it with a value",
        )
    return _constant(shape)


def _constant(shape: Shape) -> Results:
    if shape.kinds == {s.BOOLEAN} and shape.value is not MISSING:
        return YES if shape.value else NO
    return EITHER


def _test(rule: Json, scene: Scene, location: str) -> Results:
    if not isinstance(rule, dict):
        return EITHER
    for name, value in rule.items():
        where = member(location, name)
        if name == "Not":
            inner = _test(value, scene, where)
            return Results(inner.false, inner.true)
        if name in ("And", "Or") and isinstance(value, list):
            return _all_of(_parts(value, scene, where), stop=name == "Or")
        if name in OPERATORS:
            return _comparison(rule.get("Variable"), name, value, scene, location)
    return EITHER


def _parts(rules: list[Json], scene: Scene, location: str) -> Iterator[Results]:
    return (_test(rule, scene, item(location, i)) for i, rule in enumerate(rules))


def _all_of(parts: Iterator[Results], stop: bool) -> Results:
    """And, Or: the first part that gives `stop` decides; later parts may not be evaluated, so a
    part that always fails only counts if all earlier ones let it be evaluated.
    """
    decided, may_decide = (YES if stop else NO), False
    while True:
        try:
            part = next(parts, None)
        except FieldFailure:
            if may_decide:
                return decided
            raise
        if part is None:
            return EITHER if may_decide else NO if stop else YES
        if not (part.false if stop else part.true):
            return decided
        may_decide = may_decide or (part.true if stop else part.false)


def _comparison(variable: Json, name: str, operand: Json, scene: Scene, where: str) -> Results:
    if has_hole(variable) or has_hole(operand) or not isinstance(variable, str):
        return EITHER
    shape = path_shape(variable, scene)
    if name == "IsPresent":
        if shape.absent or s.LACK not in shape.kinds:
            return YES if shape.absent is (operand is False) else NO
        return EITHER
    if shape.absent:
        raise missing(variable, scene, member(where, "Variable"))
    if name.endswith("Path"):
        if path_shape(operand, scene).absent:
            raise missing(operand, scene, member(where, name))
        return EITHER
    shape = s.present(shape)
    if shape.value is not MISSING and len(shape.kinds) == 1:
        return _compared(name, operand, shape.value)
    wanted = _operand_kind(name)
    if shape.never(wanted):
        return YES if name.startswith("Is") and operand is False else NO
    if name.startswith("Is") and name != "IsTimestamp" and shape.only(wanted):
        return YES if operand is True else NO
    return EITHER


def mismatches(rule: Json, scene: Scene, location: str) -> Iterator[tuple[str, str]]:
    """(location, message) of the comparisons whose Variable always has another type than their
    operator compares: they are never true.
    """
    if not isinstance(rule, dict):
        return
    for name, value in rule.items():
        where, variable = member(location, name), rule.get("Variable")
        if name == "Not":
            yield from mismatches(value, scene, where)
        elif name in ("And", "Or") and isinstance(value, list):
            for index, each in enumerate(value):
                yield from mismatches(each, scene, item(where, index))
        elif name in OPERATORS and not name.startswith("Is") and isinstance(variable, str):
            shape = s.present(path_shape(variable, scene))
            wanted = _operand_kind(name)
            if shape.never(wanted, s.NULL):
                kind = s.described(Shape(frozenset({wanted})))
                yield (
                    where,
                    f"{name} is never true: {variable} is {s.described(shape)}, not {kind}. Use "
                    "the operator of that type",
                )


def _operand_kind(name: str) -> str:
    return next(kind for start, kind in _OPERAND_KINDS.items() if name.startswith(start))


def _compared(name: str, operand: Json, value: Json) -> Results:
    try:
        test = OPERATORS[name](compile_path("$"), operand, DEFAULT_LIMITS)
        return YES if test(value, NO_ENV) else NO
    except (ExpressionSyntaxError, StateError):
        return EITHER
