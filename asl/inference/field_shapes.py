"""Fields of states, evaluated on Shapes: what field_evaluators.py computes from a value, computed
from what is known about it.

A field that fails for every value raises FieldFailure; one that may fail does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Env, Json, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.shapes import ABSENT, ANY, MAYBE, Shape, has_hole
from stepwell.asl.intrinsics import (
    FUNCTIONS,
    Call,
    Constant,
    IntrinsicError,
    Literal,
    compile_intrinsic,
    parse_call,
)
from stepwell.asl.json_text import item, member
from stepwell.asl.jsonata import is_expression, plain_path, variables_read
from stepwell.asl.jsonpath_query import Escaped
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.paths import Path, ReferencePath, compile_path, compile_reference
from stepwell.asl.templates import DYNAMIC

NO_ENV: Final = Env(None, {}, dict, bytes, 0)
"""For evaluations that read only their value."""


class FieldFailure(Exception):
    """A field fails whenever it is evaluated.

    error     the States.* error that the state fails with
    location  of the field in the definition
    code      of the finding: see data_flow.py
    """

    def __init__(self, error: str, location: str, code: str, message: str) -> None:
        super().__init__(error, location, code, message)
        self.error, self.location, self.code, self.message = error, location, code, message


NOT_FOUND: Final = "E101"
WRONG_TYPE: Final = "E102"
RESULT_PATH: Final = "E103"
INTRINSIC: Final = "E104"
UNDEFINED: Final = "E105"
UNASSIGNED: Final = "E402"

# function -> (kinds of its arguments, the last one for all others; kind of its result). "any": all
_SIGNATURES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "States.Format": (("string", "any"), "string"),
    "States.StringToJson": (("string",), "any"),
    "States.JsonToString": (("any",), "string"),
    "States.Array": (("any",), "array"),
    "States.ArrayPartition": (("array", "number"), "array"),
    "States.ArrayContains": (("array", "any"), "boolean"),
    "States.ArrayRange": (("number",), "array"),
    "States.ArrayGetItem": (("array", "number"), "any"),
    "States.ArrayLength": (("array",), "number"),
    "States.ArrayUnique": (("array",), "array"),
    "States.Base64Encode": (("string",), "string"),
    "States.Base64Decode": (("string",), "string"),
    "States.Hash": (("any", "string"), "string"),
    "States.JsonMerge": (("object", "object", "boolean"), "object"),
    "States.MathRandom": (("number",), "number"),
    "States.MathAdd": (("number",), "number"),
    "States.StringSplit": (("string",), "array"),
    "States.UUID": ((), "string"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the expressions of one field can read.

    root       `$` of JSONPath at this stage
    input      $states.input
    variables  of the state's scope; a name that is not there has no value
    context    the Context object
    result, error_output  of $states, None in fields that have none
    """

    root: Shape
    input: Shape
    variables: Mapping[str, Shape]
    context: Shape
    result: Shape | None = None
    error_output: Shape | None = None

    def at(self, root: Shape) -> Scene:
        return replace(self, root=root)

    def variable(self, name: str) -> Shape:
        return self.variables.get(name, ABSENT)


def signature(function: str) -> tuple[tuple[str, ...], str]:
    return _SIGNATURES.get(function, (("any",), "any"))


# --- JSONPath -------------------------------------------------------------------------------------


@lru_cache(4_096)
def compiled(text: str) -> Path | None:
    """A ReferencePath if it is one, any other Path, or None for what is not a path."""
    try:
        return compile_reference(text)
    except ExpressionSyntaxError:
        pass
    try:
        return compile_path(text)
    except ExpressionSyntaxError:
        return None


def path_shape(text: Json, scene: Scene) -> Shape:
    """What a path may find; ABSENT if it finds nothing in any execution."""
    path = None if has_hole(text) or not isinstance(text, str) else compiled(text)
    if not isinstance(path, ReferencePath) or any(isinstance(key, Escaped) for key in path.keys):
        return MAYBE
    return s.read_all(_document(path.root, scene), path.keys)


def _document(root: str, scene: Scene) -> Shape:
    if root == "$":
        return scene.root
    return scene.context if root == "$$" else scene.variable(root[1:])


def required(text: Json, scene: Scene, location: str, error: str = messages.RUNTIME) -> Shape:
    """What a path finds. Raises FieldFailure if it finds nothing."""
    found = path_shape(text, scene)
    if found.absent:
        raise missing(text, scene, location, error)
    return s.present(found)


def missing(text: str, scene: Scene, location: str, error: str = messages.RUNTIME) -> FieldFailure:
    """The failure of a path that finds nothing."""
    path = compiled(text)
    assert isinstance(path, ReferencePath)
    document, name = _document(path.root, scene), path.root[1:]
    if document.absent and path.root not in ("$", "$$"):
        return _unassigned(name, location, error)
    why = s.reason(document, path.keys)
    if path.root == "$$":
        why = why.replace("the value has", "the Context object has here")
    return FieldFailure(
        error, location, NOT_FOUND, f"{text} always fails: {why}. Correct the path or its source"
    )


def _unassigned(name: str, location: str, error: str) -> FieldFailure:
    return FieldFailure(
        error,
        location,
        UNASSIGNED,
        f"${name} has no value here: no state before this one assigns it. Assign it in a state "
        "that comes before",
    )


def template_shape(value: Json, scene: Scene, location: str) -> Shape:
    """A payload template: Parameters, ResultSelector, ItemSelector, Assign."""
    if isinstance(value, list):
        parts = [template_shape(each, scene, item(location, i)) for i, each in enumerate(value)]
        return s.array(s.join_all(parts), len(parts))
    if not isinstance(value, dict):
        return s.of(value)
    members: dict[str, Shape] = {}
    open = False
    for key, each in value.items():
        where = member(location, key)
        if has_hole(key):
            open = True
        elif key.endswith(DYNAMIC):
            members[key.removesuffix(DYNAMIC)] = dynamic_shape(each, scene, where)
        else:
            members[key] = template_shape(each, scene, where)
    return s.record(members, open)


def dynamic_shape(text: Json, scene: Scene, location: str) -> Shape:
    """The value of a `name.$` field: a path or an intrinsic call."""
    if not isinstance(text, str) or has_hole(text):
        return ANY
    if text.startswith("$"):
        return required(text, scene, location)
    try:
        call = parse_call(text)
    except ExpressionSyntaxError:
        return ANY
    shape = _call_shape(call, text, scene, location)
    return s.of(_constant(text, location)) if _is_constant(call) else shape


def _is_constant(argument: Call | Constant | Literal | Path) -> bool:
    """Whether a call reads nothing and is not random."""
    if isinstance(argument, Call):
        drawn = argument.name in ("States.UUID", "States.MathRandom")
        return not drawn and all(map(_is_constant, argument.arguments))
    return not isinstance(argument, Path)


def _constant(text: str, location: str) -> Json:
    """The value of a call without paths, which the interpreter computes."""
    try:
        return compile_intrinsic(text)(None, NO_ENV)
    except StateError as failure:
        message = f"{text} always fails: {failure.cause}. Correct its arguments"
        raise FieldFailure(messages.INTRINSIC_FAILURE, location, INTRINSIC, message) from None


def _call_shape(call: Call, text: str, scene: Scene, location: str) -> Shape:
    wanted, gives = signature(call.name)
    for position, argument in enumerate(call.arguments):
        shape = _argument_shape(argument, text, scene, location)
        kind = wanted[min(position, len(wanted) - 1)] if wanted else "any"
        if kind != "any" and shape.never(kind):
            raise FieldFailure(
                messages.INTRINSIC_FAILURE,
                location,
                INTRINSIC,
                f"{text[call.start : call.end]} always fails: argument {position + 1} is "
                f"{s.described(shape)}, not {s.described(Shape(frozenset({kind})))}. Pass a value "
                "of that type",
            )
    if call.name == "States.Format":
        _check_slots(call, text, location)
    return ANY if gives == "any" else Shape(frozenset({gives}))


def _check_slots(call: Call, text: str, location: str) -> None:
    """As many {} as values, whatever these are."""
    template, *values = call.arguments
    if isinstance(template, Literal):
        arguments: list[Json] = [template.raw, *("" for _ in values)]
        try:
            FUNCTIONS[call.name].run(arguments, NO_ENV, DEFAULT_LIMITS)
        except IntrinsicError as failure:
            raise FieldFailure(
                messages.INTRINSIC_FAILURE,
                location,
                INTRINSIC,
                f"{text[call.start : call.end]} always fails: {failure}. Write a {{}} for each "
                "value",
            ) from None


def _argument_shape(
    argument: Call | Constant | Literal | Path, text: str, scene: Scene, location: str
) -> Shape:
    if isinstance(argument, Call):
        return _call_shape(argument, text, scene, location)
    if isinstance(argument, Constant):
        return s.of(argument.value)
    if isinstance(argument, Literal):
        return s.TEXT
    return required(argument.text, scene, location)


# --- JSONata --------------------------------------------------------------------------------------


def jsonata_shape(value: Json, scene: Scene, location: str) -> Shape:
    """A JSON value whose strings may be expressions: Arguments, Output, Assign, Items ..."""
    if isinstance(value, list):
        parts = [jsonata_shape(each, scene, item(location, i)) for i, each in enumerate(value)]
        return s.array(s.join_all(parts), len(parts))
    if isinstance(value, dict):
        members = {
            key: jsonata_shape(each, scene, member(location, key)) for key, each in value.items()
        }
        known = {key: each for key, each in members.items() if not has_hole(key)}
        return s.record(known, open=len(known) < len(members))
    if not isinstance(value, str) or not is_expression(value):
        return s.of(value)
    return ANY if has_hole(value) else _expression_shape(value[2:-2].strip(), scene, location)


def _expression_shape(source: str, scene: Scene, location: str) -> Shape:
    path = plain_path(source)
    if path is None:
        return ANY
    name, keys = path
    if name != "states":
        shape = scene.variable(name)
        if shape.absent:
            if _is_function(source):
                return ANY
            raise _unassigned(name, location, messages.QUERY_EVALUATION_ERROR)
    else:
        members = {
            "input": scene.input,
            "context": scene.context,
            "result": scene.result,
            "errorOutput": scene.error_output,
        }
        if keys and keys[0] not in members:
            raise FieldFailure(
                messages.QUERY_EVALUATION_ERROR, location, UNDEFINED, unknown_member(keys[0])
            )
        known = members[keys[0]] if keys else None
        if known is None:
            return ANY  # checks.py reports members that a field does not have
        shape, keys = known, keys[1:]
    found = _walked(shape, keys)
    if found.absent:
        raise FieldFailure(
            messages.QUERY_EVALUATION_ERROR,
            location,
            UNDEFINED,
            f"{source} is always undefined: {s.reason(shape, keys)}. Correct the path or its "
            "source",
        )
    return s.present(found)


def unknown_member(name: str) -> str:
    return (
        f"$states has the members input, context, result and errorOutput, and no '{name}'. "
        "Correct the name"
    )


def _is_function(source: str) -> bool:
    """Whether `$name` is a function of JSONata's, which is a value, too."""
    return not variables_read(source)


def _walked(shape: Shape, keys: Iterable[str]) -> Shape:
    """JSONata's `.name`, which maps arrays: what it finds in them is not followed."""
    for key in keys:
        if s.ARRAY in shape.kinds:
            return MAYBE
        shape = s.read(shape, key)
    return shape


# --- both -----------------------------------------------------------------------------------------


def value_shape(jsonata: bool, value: Json, scene: Scene, location: str) -> Shape:
    return (jsonata_shape if jsonata else template_shape)(value, scene, location)
