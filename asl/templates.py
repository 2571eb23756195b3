"""JSONPath payload templates (Parameters, ResultSelector, ItemSelector, Assign, ...): JSON ->
Evaluator.

A key that ends in `.$` holds a path or an intrinsic call, and loses the ending. All else is
literal, at any depth; a part without such keys is one constant, shared by every result.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.expression_errors import Fault, Faults, SyntaxFault
from stepwell.asl.intrinsics import FUNCTIONS, compile_intrinsic, function_name
from stepwell.asl.json_text import item as item_location
from stepwell.asl.json_text import member
from stepwell.asl.paths import Path, compile_path

__all__ = ["Fault", "Faults", "compile_template", "compile_value_path"]

DYNAMIC: Final = ".$"  # how the name of a dynamic field ends


def compile_value_path(text: str, field: str, functions: Collection[str] = FUNCTIONS) -> Evaluator:
    """Compile what a `name.$` field, ErrorPath or CausePath holds: a path of any root, or a call of
    one of `functions`.

    `field` is the name of the field in messages. Raises SyntaxFault. The evaluator raises
    StateError: States.Runtime if a path has no result, States.IntrinsicFailure if a call fails.
    """
    try:
        if text.startswith("$"):
            return _read(compile_path(text), field)
        if function_name(text) in functions:
            return compile_intrinsic(text)
        column = 1
    except SyntaxFault as fault:
        column = fault.column
    raise SyntaxFault(
        messages.BAD_PATH_OR_INTRINSIC.format(field=field), column
    )  # whatever is wrong with it


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


def compile_template(template: Json, field: str = "") -> Evaluator:
    """Compile a payload template of any JSON type. Raises Faults with every mistake, located below
    the template.

    `field` is not needed here, as messages name the field within; it makes the call the same as
    JSONata's compile_value.
    """
    faults: list[Fault] = []
    evaluate = _compiled(template, "", faults)
    if faults:
        raise Faults(faults)
    return (lambda value, env: template) if evaluate is None else evaluate


def _compiled(template: Json, location: str, faults: list[Fault]) -> Evaluator | None:
    """None stands for a constant: the template is its own value."""
    if isinstance(template, dict):
        return _object(template, location, faults)
    if isinstance(template, list):
        parts = [
            (index, _compiled(item, item_location(location, index), faults))
            for index, item in enumerate(template)
        ]
        return _filled(template.copy, parts)
    return None


def _object(template: dict[str, Json], location: str, faults: list[Fault]) -> Evaluator | None:
    literal: dict[
        str, Json
    ] = {}  # with the names of the dynamic fields too, to keep all names in their order
    parts: list[tuple[str, Evaluator | None]] = []
    for key, item in template.items():
        name = key.removesuffix(DYNAMIC)
        if name in literal:
            faults.append(Fault(location, messages.DUPLICATE_FIELD.format(field=name)))
        literal[name] = item
        parts.append(
            (
                name,
                _compiled(item, member(location, key), faults)
                if name == key
                else _field(key, item, location, faults),
            )
        )
    return _filled(literal.copy, parts)


def _field(key: str, text: Json, location: str, faults: list[Fault]) -> Evaluator | None:
    """A field whose name ends in `.$`."""
    try:
        return compile_value_path(text if isinstance(text, str) else "", key)
    except SyntaxFault as fault:
        faults.append(Fault(location, fault.message))
        return None


def _filled(copy: Callable[[], Any], parts: list[tuple[Any, Evaluator | None]]) -> Evaluator | None:
    """The evaluator that fills a copy of the container with what the dynamic parts come to."""
    dynamic = [(key, evaluate) for key, evaluate in parts if evaluate is not None]
    if not dynamic:
        return None

    def evaluate(value: Json, env: Env) -> Json:
        result = copy()
        for key, part in dynamic:
            result[key] = part(value, env)
        return result

    return evaluate
