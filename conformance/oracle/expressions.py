"""The two query languages: payload templates of JSONPath and expressions of JSONata.

JSONata itself is evaluated by stepwell.asl, which wraps a tested engine. This module finds the
expressions in a value, gives them their variables and checks their results.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from stepwell.asl.evaluation import MISSING as NOTHING
from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.jsonata import compile_jsonata
from stepwell.conformance.oracle import intrinsics, paths
from stepwell.conformance.oracle.values import ANY, MISSING, FieldError, Json, known, text

_KINDS: Final[list[tuple[type, str]]] = [
    (bool, "boolean"), (dict, "object"), (list, "array"), (str, "string"), (int, "number"),
    (float, "number"), (type(None), "null"),
]  # fmt: skip
_PATH: Final = re.compile(r"\$[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the expressions of a state may read. `input` is the raw state input; the value of
    JSONPath's `$` is an argument of each function.
    """

    input: Json
    variables: dict[str, Json]
    context: Json
    result: Json = field(default=MISSING)
    error_output: Json = field(default=MISSING)

    def root(self, name: str, value: Json) -> Json:
        if name == "$":
            return value
        return self.context if name == "$$" else self.variables.get(name[1:], MISSING)

    def read(self, value: Json) -> Callable[[str], Json]:
        """path -> its value, or MISSING."""

        def read(source: str) -> Json:
            path = paths.parse(source)
            root = self.root(path.root, value)
            return MISSING if root is MISSING else paths.find(path, root)

        return read


# --- JSONPath -------------------------------------------------------------------------------------
def selected(source: str | None, value: Json, scope: Scope) -> Json:
    """InputPath, OutputPath: null selects the empty object."""
    if source is None:
        return {}
    found = scope.read(value)(source)
    if found is MISSING:
        path = paths.parse(source)
        root = scope.root(path.root, value)
        reason = ANY if root is MISSING else paths.missed(path, root)
        raise FieldError("States.Runtime", f"Invalid path '{source}' : {reason}")
    return found


def dynamic(source: str, name: str, value: Json, scope: Scope) -> Json:
    """The value of a field `name` that holds a path or a call."""
    read = scope.read(value)
    if not source.startswith("$"):
        return intrinsics.call(source, lambda path: _argument(read(path)))
    found = read(source)
    if found is MISSING:
        shown = text(value) if paths.parse(source).root == "$" else ANY
        raise FieldError(
            "States.Runtime",
            (
                f"The JSONPath '{source}' specified for the field '{name}' could not be found in "
                f"the input '{shown}'"
            ),
        )
    return found


def _argument(found: Json) -> Json:
    """An argument of a call. The error of a path without result is documented, its text is not."""
    if found is MISSING:
        raise FieldError("States.Runtime", ANY)
    return found


def template(value: Json, data: Json, scope: Scope) -> Json:
    """A payload template: fields whose names end in `.$` are dynamic, all else is literal."""
    if isinstance(value, list):
        return [template(each, data, scope) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name.removesuffix(".$"): dynamic(each, name, data, scope)
        if name.endswith(".$")
        else template(each, data, scope)
        for name, each in value.items()
    }


# --- JSONata --------------------------------------------------------------------------------------
def is_expression(value: Json) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}")


def jsonata(value: Json, where: str, scope: Scope) -> Json:
    """A value with expressions in it; `where` is the field's name in errors."""
    if is_expression(value):
        return _evaluated(value[2:-2].strip(), where, scope)
    if isinstance(value, list):
        return [jsonata(each, f"{where}[{index}]", scope) for index, each in enumerate(value)]
    if isinstance(value, dict):
        return {name: jsonata(each, f"{where}/{name}", scope) for name, each in value.items()}
    return value


def typed(value: Json, where: str, wanted: str, scope: Scope) -> Json:
    """The value of a field that must have the type `wanted`."""
    found = jsonata(value, where, scope)
    if not is_expression(value) or kind(found) == wanted:
        return found
    what = (
        f"returned an unexpected result type. Expected '{wanted}', but was '{kind(found)}' for "
        f"value: {text(found)}"
    )
    cause = (
        f"The JSONata expression '{value[2:-2].strip()}' specified for the field '{where}' {what}"
    )
    raise FieldError("States.QueryEvaluationError", cause, where)


def kind(value: Json) -> str:
    return next(name for type_, name in _KINDS if isinstance(value, type_))


def _evaluated(source: str, where: str, scope: Scope) -> Json:
    env = Env(
        scope.input,
        scope.variables,
        lambda: scope.context,
        lambda: bytes(16),
        0.0,
        NOTHING if scope.result is MISSING else scope.result,
        NOTHING if scope.error_output is MISSING else scope.error_output,
    )
    if not _PATH.fullmatch(source):  # a path alone only passes its value on
        for match in _PATH.finditer(source):
            known(_read(match, scope))
    try:
        return compile_jsonata(source).evaluate(env, where)
    except StateError as error:
        raise FieldError(error.error, error.cause, error.location) from None


def _read(path: re.Match[str], scope: Scope) -> Json:
    """The value of a path in an expression, or that of its longest part through objects."""
    name, *names = path[0][1:].split(".")
    value: Json = scope.variables.get(name)
    if name == "states":
        members = {
            "input": scope.input,
            "context": scope.context,
            "result": scope.result,
            "errorOutput": scope.error_output,
        }
        value = {member: each for member, each in members.items() if each is not MISSING}
    for name in names:
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return value
