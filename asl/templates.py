"""JSONPath payload templates (Parameters, ResultSelector, ItemSelector, Assign, ...): JSON ->
Evaluator.

The value of a key that ends in `.$` is a path or an intrinsic call; the result has the key without
the ending. Everything else is literal, at any depth; all results share the parts without such keys.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError, Fault
from stepwell.asl.intrinsics import FUNCTIONS, compile_intrinsic, function_name
from stepwell.asl.json_text import item as item_location
from stepwell.asl.json_text import member
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import Path, compile_path

__all__ = ["Fault", "ExpressionError", "compile_template", "compile_value_path"]

DYNAMIC: Final = ".$"  # the ending of the name of a dynamic field


def compile_value_path(
    text: str,
    field: str,
    functions: Collection[str] = FUNCTIONS,
    limits: Limits = DEFAULT_LIMITS,
) -> Evaluator:
    """Compile the value of a `name.$` field, ErrorPath or CausePath: a path with any root, or a
    call of one of `functions`.

    `field` is the name of the field in messages. Raises ExpressionSyntaxError. The evaluator raises
    StateError: States.Runtime if a path has no result, States.IntrinsicFailure if a call fails.
    """
    try:
        if text.startswith("$"):
            return _read(compile_path(text, limits), field)
        if function_name(text, limits) in functions:
            return compile_intrinsic(text, limits)
        column = 1
    except ExpressionSyntaxError as fault:
        column = fault.column
    # AWS has one message for all mistakes
    raise ExpressionSyntaxError(messages.BAD_PATH_OR_INTRINSIC.format(field=field), column)


def _read(path: Path, field: str) -> Evaluator:
    find = path.find

    def evaluate(value: Json, env: Env) -> Json:
        found = find(value, env)
        if found is not MISSING:
            return found
        text = messages.PATH_NOT_FOUND.format(
            path=path.text, field=field, input=path.shown(value, env)
        )
        raise StateError(messages.RUNTIME, text)

    return evaluate


def compile_template(template: Json, field: str = "", limits: Limits = DEFAULT_LIMITS) -> Evaluator:
    """Compile a payload template of any JSON type. Raises ExpressionError with all mistakes,
    located below the template.

    `field` is not used: it gives this function the signature of JSONata's compile_value.
    """
    faults: list[Fault] = []
    evaluate = _compiled(template, "", faults, limits)
    if faults:
        raise ExpressionError(faults)
    return (lambda value, env: template) if evaluate is None else evaluate


def _compiled(
    template: Json, location: str, faults: list[Fault], limits: Limits
) -> Evaluator | None:
    """The evaluator of a template, None if it is a constant."""
    if isinstance(template, dict):
        return _object(template, location, faults, limits)
    if isinstance(template, list):
        parts = [
            (index, _compiled(item, item_location(location, index), faults, limits))
            for index, item in enumerate(template)
        ]
        return _filled(template.copy, parts)
    return None


def _object(
    template: dict[str, Json], location: str, faults: list[Fault], limits: Limits
) -> Evaluator | None:
    literal: dict[str, Json] = {}  # includes the dynamic fields, to keep the order of the names
    parts: list[tuple[str, Evaluator | None]] = []
    for key, item in template.items():
        name = key.removesuffix(DYNAMIC)
        if name in literal:
            faults.append(Fault(location, messages.DUPLICATE_FIELD.format(field=name)))
        literal[name] = item
        parts.append(
            (
                name,
                _compiled(item, member(location, key), faults, limits)
                if name == key
                else _field(key, item, location, faults, limits),
            )
        )
    return _filled(literal.copy, parts)


def _field(
    key: str, text: Json, location: str, faults: list[Fault], limits: Limits
) -> Evaluator | None:
    """A field whose name ends in `.$`."""
    try:
        return compile_value_path(text if isinstance(text, str) else "", key, limits=limits)
    except ExpressionSyntaxError as fault:
        faults.append(Fault(location, fault.message))
        return None


def _filled(copy: Callable[[], Any], parts: list[tuple[Any, Evaluator | None]]) -> Evaluator | None:
    """The evaluator that puts the values of the dynamic parts into a copy of the container; None if
    there are no dynamic parts.
    """
    dynamic = [(key, evaluate) for key, evaluate in parts if evaluate is not None]
    if not dynamic:
        return None

    def evaluate(value: Json, env: Env) -> Json:
        result = copy()
        for key, part in dynamic:
            result[key] = part(value, env)
        return result

    return evaluate
