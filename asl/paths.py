"""JSONPath fields: text -> Path, whose `evaluate` is what a Program runs.

    $...      reads the value of the current stage of the data flow
    $$...     reads the Context object
    $name...  reads a variable

The path below its root is in Jayway's dialect (jsonpath_grammar.py). Without a result, `evaluate`
raises StateError States.Runtime in Jayway's words, and `find` returns MISSING.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, InlineBudgetError, Json, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonpath_filters import PathError
from stepwell.asl.jsonpath_grammar import parse
from stepwell.asl.jsonpath_query import Key, Query, spelling
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.meter import Meter, OutOfStepsError, measured

__all__ = [
    "Path",
    "ReferencePath",
    "ExpressionSyntaxError",
    "compile_path",
    "compile_reference",
    "compile_result_path",
]

Locate: TypeAlias = Callable[[Json, Env], Json]  # (value, env) -> the document of a path

_ROOT: Final = re.compile(r"\$(?:\$|\w*)")
_CACHED: Final = 8_192  # compiled paths of each kind


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A compiled path.

    text      as written
    root      "$", "$$" or "$name"
    definite  True: one result; False: an array, which may be empty
    evaluate  (value, env) -> result; raises StateError States.Runtime if there is none
    find      (value, env) -> result, MISSING if there is none
    document  (value, env) -> what the path reads; MISSING for a variable without a value
    query     the steps below the root
    """

    text: str
    root: str
    definite: bool
    evaluate: Evaluator
    find: Evaluator
    document: Locate
    query: Query

    def shown(self, value: Json, env: Env) -> str:
        """The JSON text of the document, for messages."""
        document = self.document(value, env)
        return dumps(dict(env.variables) if document is MISSING else document)


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePath(Path):
    """A path that can only point to one node, so a value can be put there."""

    keys: tuple[Key, ...]

    def put(self, target: Json, result: Json) -> Json:
        """A copy of `target` with `result` at this path, which shares all other parts. Missing
        objects are created, missing array items are not.

        Raises StateError States.ResultPathMatchFailure if the path cannot be applied to `target`.
        """
        passed: list[tuple[Json, Key]] = []
        value = target
        for key in self.keys:
            fits = (
                value is MISSING or isinstance(value, dict)
                if isinstance(key, str)
                else isinstance(value, list)
            )
            if not fits or (isinstance(key, int) and not -len(value) <= key < len(value)):
                text = messages.RESULT_PATH_MISMATCH.format(path=self.text, input=dumps(target))
                raise StateError(messages.RESULT_PATH_MATCH_FAILURE, text)
            key = spelling(value, key) if isinstance(key, str) and isinstance(value, dict) else key
            passed.append((value, key))
            value = (
                value[key]
                if isinstance(key, int)
                else MISSING
                if value is MISSING
                else value.get(key, MISSING)
            )
        for container, key in reversed(passed):
            copy = {} if container is MISSING else container.copy()
            copy[key] = result
            result = copy
        return result


@lru_cache(_CACHED)
def compile_path(text: str, limits: Limits = DEFAULT_LIMITS) -> Path:
    """Compile a path of any kind. Raises ExpressionSyntaxError."""
    root, query = _read(text, messages.NOT_A_PATH, limits)
    return Path(text, root, query.definite, *_closures(text, root, query, limits), query)


@lru_cache(_CACHED)
def compile_reference(text: str, limits: Limits = DEFAULT_LIMITS) -> ReferencePath:
    """Compile a Reference Path: names and single array positions only. Raises
    ExpressionSyntaxError.
    """
    root, query = _read(text, messages.NOT_A_REFERENCE_PATH, limits)
    if query.tail is not None or query.call is not None:
        raise ExpressionSyntaxError(
            messages.NOT_A_REFERENCE_PATH.format(reason=messages.PATH_MANY_NODES.format(path=text))
        )
    return ReferencePath(text, root, True, *_closures(text, root, query, limits), query, query.keys)


def compile_result_path(text: str, limits: Limits = DEFAULT_LIMITS) -> ReferencePath:
    """Compile a ResultPath, which is a Reference Path into the state input. Raises
    ExpressionSyntaxError.
    """
    path = compile_reference(text, limits)
    if path.root != "$":
        raise ExpressionSyntaxError(
            messages.NOT_A_REFERENCE_PATH.format(
                reason=messages.PATH_NOT_IN_INPUT.format(path=text)
            )
        )
    return path


def _read(text: str, message: str, limits: Limits) -> tuple[str, Query]:
    """(root, query below it). The query is parsed as if its root were `$`."""
    match = _ROOT.match(text)
    root = match[0] if match else ""
    if not (root in ("$", "$$") or root[1:].isidentifier()):
        raise ExpressionSyntaxError(message.format(reason=messages.PATH_ROOT.format(path=text)))
    try:
        return root, parse("$" + text[len(root) :].rstrip(" "), limits)
    except ExpressionSyntaxError as fault:
        raise ExpressionSyntaxError(
            message.format(reason=fault.message), fault.column + len(root) - 1
        ) from None


def _closures(
    text: str, root: str, query: Query, limits: Limits
) -> tuple[Evaluator, Evaluator, Locate]:
    """The `evaluate`, `find` and `document` of a Path."""
    document = _locator(root)
    find = _finder(text, root, query, document, limits)

    def explain(value: Json, env: Env) -> Json:
        source = document(value, env)
        return (
            messages.NO_SUCH_VARIABLE.format(name=root[1:])
            if source is MISSING
            else query.explain(source)
        )

    reason = _guarded(text, explain, limits)

    def evaluate(value: Json, env: Env) -> Json:
        found = find(value, env)
        if found is not MISSING:
            return found
        raise _invalid(text, reason(value, env))

    return evaluate, find, document


def _locator(root: str) -> Locate:
    if root == "$":
        return lambda value, env: value
    if root == "$$":
        return lambda value, env: env.context()
    name = root[1:]
    return lambda value, env: env.variables.get(name, MISSING)


def _finder(text: str, root: str, query: Query, document: Locate, limits: Limits) -> Evaluator:
    walk = query.walk
    if query.tail is None and query.call is None:
        if root == "$":
            return walk  # it ignores its second argument
        return lambda value, env: walk(document(value, env), env)

    def find(value: Json, env: Env) -> Json:
        source = document(value, env)
        return MISSING if source is MISSING else query.find(source, source)

    return _guarded(text, find, limits)


def _guarded(text: str, read: Evaluator, limits: Limits) -> Evaluator:
    """`read`, which counts its steps and raises StateError for failures other than a missing
    result.
    """

    def guarded(value: Json, env: Env) -> Json:
        env.pause()
        measured(env.meter or Meter(limits.jsonpath_nodes))
        try:
            return read(value, env)
        except OutOfStepsError:
            if not env.in_thread:
                raise InlineBudgetError from None
            raise _invalid(text, messages.PATH_TOO_MUCH) from None
        except PathError as error:
            raise _invalid(text, str(error)) from None
        except RecursionError:
            raise _invalid(text, messages.PATH_TOO_DEEP) from None

    return guarded


def _invalid(text: str, reason: str) -> StateError:
    return StateError(messages.RUNTIME, messages.INVALID_PATH.format(path=text, reason=reason))
