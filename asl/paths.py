"""JSONPath fields: text -> Path, whose `evaluate` is what a Program runs.

    $...      over the value that the stage of the data flow hands in
    $$...     over the Context object
    $name...  over a variable

A path with one result at most is followed by a plain loop over its keys. Anything richer is
Jayway's dialect (jayway.py).
A missing result is the StateError States.Runtime with Jayway's words, or MISSING to those who ask
with `find`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Impatient, Json, StateError
from stepwell.asl.expression_errors import SyntaxFault
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonpath_filters import Unreadable
from stepwell.asl.jsonpath_grammar import Key, Query, held, parse
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.meter import Exhausted, Meter, measured

__all__ = [
    "Path",
    "ReferencePath",
    "SyntaxFault",
    "compile_path",
    "compile_reference",
    "compile_result_path",
]

Locate: TypeAlias = Callable[[Json, Env], Json]

_ROOT: Final = re.compile(r"\$(?:\$|\w*)")
_CACHED: Final = 8_192  # compiled paths kept of each kind


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A compiled path.

    text      as written
    root      "$", "$$" or "$name"
    definite  True: one result; False: an array, perhaps empty
    evaluate  (value, env) -> result. Raises StateError States.Runtime if there is none.
    find      the same, but MISSING if there is none
    document  (value, env) -> what the path is read from; MISSING for a variable without value
    """

    text: str
    root: str
    definite: bool
    evaluate: Evaluator
    find: Evaluator
    document: Locate

    def shown(self, value: Json, env: Env) -> str:
        """The JSON text that a message shows as what this path was looked for in."""
        document = self.document(value, env)
        return dumps(dict(env.variables) if document is MISSING else document)


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePath(Path):
    """A path that can only point to one node, and so can also be written to."""

    keys: tuple[Key, ...]

    def put(self, target: Json, result: Json) -> Json:
        """`target` with `result` at this path: a copy that shares all other parts. Missing objects
        are made, array items are not.

        Raises StateError States.ResultPathMatchFailure where the path cannot be applied to
        `target`.
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
            key = held(value, key) if isinstance(key, str) and isinstance(value, dict) else key
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
def compile_path(text: str) -> Path:
    """Compile a path of any kind. Raises SyntaxFault."""
    root, query = _read(text, messages.NOT_A_PATH)
    return Path(text, root, query.definite, *_closures(text, root, query))


@lru_cache(_CACHED)
def compile_reference(text: str) -> ReferencePath:
    """Compile a Reference Path: names and single array positions only. Raises SyntaxFault."""
    root, query = _read(text, messages.NOT_A_REFERENCE_PATH)
    if query.tail is not None or query.call is not None:
        raise SyntaxFault(
            messages.NOT_A_REFERENCE_PATH.format(reason=messages.PATH_MANY_NODES.format(path=text))
        )
    return ReferencePath(text, root, True, *_closures(text, root, query), query.keys)


def compile_result_path(text: str) -> ReferencePath:
    """A Reference Path into the state input, as ResultPath must be. Raises SyntaxFault."""
    path = compile_reference(text)
    if path.root != "$":
        raise SyntaxFault(
            messages.NOT_A_REFERENCE_PATH.format(
                reason=messages.PATH_NOT_IN_INPUT.format(path=text)
            )
        )
    return path


def _read(text: str, message: str) -> tuple[str, Query]:
    """The root and the query below it, which is parsed as if its root were `$`."""
    match = _ROOT.match(text)
    root = match[0] if match else ""
    if not (root in ("$", "$$") or root[1:].isidentifier()):
        raise SyntaxFault(message.format(reason=messages.PATH_ROOT.format(path=text)))
    try:
        return root, parse("$" + text[len(root) :].rstrip(" "))
    except SyntaxFault as fault:
        raise SyntaxFault(
            message.format(reason=fault.message), fault.column + len(root) - 1
        ) from None


def _closures(text: str, root: str, query: Query) -> tuple[Evaluator, Evaluator, Locate]:
    """The `evaluate`, `find` and `document` of a Path."""
    document = _locator(root)
    find = _finder(text, root, query, document)

    def explain(value: Json, env: Env) -> Json:
        source = document(value, env)
        return (
            messages.NO_SUCH_VARIABLE.format(name=root[1:])
            if source is MISSING
            else query.explain(source)
        )

    reason = _guarded(text, explain)

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


def _finder(text: str, root: str, query: Query, document: Locate) -> Evaluator:
    walk = query.walk
    if query.tail is None and query.call is None:
        if root == "$":
            return walk  # it looks at its first argument only
        return lambda value, env: walk(document(value, env), env)

    def find(value: Json, env: Env) -> Json:
        source = document(value, env)
        return MISSING if source is MISSING else query.find(source, source)

    return _guarded(text, find)


def _guarded(text: str, read: Evaluator) -> Evaluator:
    """`read`, with the failures that are no missing result as errors of the state."""

    def guarded(value: Json, env: Env) -> Json:
        env.pause()
        measured(env.meter or Meter(DEFAULT_LIMITS.jsonpath_nodes))
        try:
            return read(value, env)
        except Exhausted:
            if not env.patient:
                raise Impatient from None
            raise _invalid(text, messages.PATH_TOO_MUCH) from None
        except Unreadable as error:
            raise _invalid(text, str(error)) from None
        except RecursionError:
            raise _invalid(text, messages.PATH_TOO_DEEP) from None

    return guarded


def _invalid(text: str, reason: str) -> StateError:
    return StateError(messages.RUNTIME, messages.INVALID_PATH.format(path=text, reason=reason))
