"""JSON values whose strings may be JSONata expressions: the fields of JSONata states.

{"total": "{% $sum($states.input.prices) %}"} --compile_value--> Evaluator
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Env, Evaluator, Json
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError, Fault
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonata import compile_jsonata, evaluation_error, is_expression
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

_TYPES: Final = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def compile_value(value: Json, field: str, limits: Limits = DEFAULT_LIMITS) -> Evaluator:
    """A JSON value whose strings may be expressions, at any depth. Raises ExpressionError.

    `field` is the value's name in errors; an expression within it is "Output/a/b" or "Output[0]".
    Parts without expressions are shared by all results.
    """
    _check(value, limits)
    return _evaluator(value, field, limits) or (lambda ignored, env: value)


def compile_typed(
    value: Json, field: str, expected: tuple[str, ...], limits: Limits = DEFAULT_LIMITS
) -> Evaluator:
    """`compile_value`, where the result of an expression must have one of the `expected` types.
    Raises ExpressionError.
    """
    evaluate = compile_value(value, field, limits)
    if not (isinstance(value, str) and is_expression(value)):
        return evaluate
    source = _source(value)

    def typed(ignored: Json, env: Env) -> Json:
        return expect(evaluate(ignored, env), expected, source, field)

    return typed


def expect(value: Json, types: tuple[str, ...], expression: str, field: str) -> Json:
    """Returns the value if its type is one of `types`: 'array', 'object', 'number', 'string',
    'boolean', 'null'. Raises StateError States.QueryEvaluationError.
    """
    actual = _TYPES[type(value)]
    if actual in types:
        return value
    what = messages.JSONATA_TYPE.format(
        expected="' or '".join(types), actual=actual, value=dumps(value)
    )
    raise evaluation_error(expression, field, what)


def expressions(value: Json, location: str = "") -> Iterator[tuple[str, str]]:
    """(location, source) of every expression in a JSON value: ("/a[0]", "$states.input")."""
    return (
        (place, _source(text))
        for place, text in _candidates(value, location)
        if is_expression(text)
    )


def _evaluator(value: Json, field: str, limits: Limits) -> Evaluator | None:
    """The evaluator of a value, None if it contains no expression."""
    if isinstance(value, str):
        return (
            compile_jsonata(_source(value), limits).evaluator(field)
            if is_expression(value)
            else None
        )
    parts = [
        (key, part)
        for key, item, below in _items(value, field)
        if (part := _evaluator(item, below, limits))
    ]
    if not parts:
        return None
    copy: Callable[[Json], Json] = type(value)

    def fill(ignored: Json, env: Env) -> Json:
        result = copy(value)  # keeps the order of the keys
        for key, part in parts:
            result[key] = part(ignored, env)
        return result

    return fill


def _items(value: Json, location: str) -> Iterator[tuple[Any, Json, str]]:
    """(key or index, member, its location) of an object or array."""
    if isinstance(value, dict):
        yield from ((key, item, f"{location}/{key}") for key, item in value.items())
    elif isinstance(value, list):
        yield from ((index, item, f"{location}[{index}]") for index, item in enumerate(value))


def _candidates(value: Json, location: str) -> Iterator[tuple[str, str]]:
    """(location, text) of every string that starts like an expression."""
    if isinstance(value, str) and value.startswith("{%"):
        yield location, value
    for _, item, below in _items(value, location):
        yield from _candidates(item, below)


def _check(value: Json, limits: Limits) -> None:
    """Raises ExpressionError."""
    faults = []
    for location, text in _candidates(value, ""):
        try:
            if not is_expression(text):
                raise ExpressionSyntaxError(messages.JSONATA_OPEN.format(text=text))
            compile_jsonata(_source(text), limits)
        except ExpressionSyntaxError as fault:
            faults.append(Fault(location, fault.message))
    if faults:
        raise ExpressionError(faults)


def _source(text: str) -> str:
    return text[2:-2].strip()
