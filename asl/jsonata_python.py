"""jsonata-python with the interface of jlens, for platforms without a build of jlens (see
jsonata_engines.py).

The differences from jlens are in docs/explanation/decisions/0004: budgets count steps and depth,
not seconds, and a step takes 60 to 160 times as long.
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jsonata import jexception, jsonata, utils
from jsonata.functions import Functions
from jsonata.parser import Parser

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps, loads
from stepwell.asl.jsonata_functions import JsonataError

_Symbol = Parser.Symbol
_NULL: Final = utils.Utils.NULL_VALUE
_NOT_CHILDREN: Final = {"_outer_instance", "slot", "ancestor", "seeking_parent"}
_CODE: Final = re.compile("[A-Z][0-9]{4}")
_INTEGRAL_BELOW: Final = 1e21  # JavaScript writes smaller integral doubles without a fraction
_STEPS: Final = "The evaluation exceeded its budget of {limit} steps"
_DEPTH: Final = (
    "Stack overflow. Check for non-terminating recursive function.  Consider rewriting as "
    "tail-recursive"
)
_TOO_LARGE: Final = "{what} would exceed the size limit of {limit} {unit}"


class JlensError(Exception):
    """A JSONata error, with its code (S0201, T1006, ...) and its offset in the source."""

    def __init__(self, code: str, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.code, self.position, self.start = code, position, position


class Document:
    """A JSON value for evaluate_document(). jlens converts it; here it is not converted."""

    def __init__(self, value: Json) -> None:
        self.value = value


class _Run(jsonata.Jsonata):  # type: ignore[misc]
    """A compiled expression; a copy of it is one evaluation, with its budgets and its time."""

    now = steps = depth = most_steps = most_depth = most_chars = most_items = 0

    @property
    def timestamp(self) -> int:
        """Of $now() and $millis(); the library would read the system's clock."""
        return self.now

    @timestamp.setter
    def timestamp(self, ms: int) -> None: ...

    def eval(self, expr: Any, input: Any, environment: Any) -> Any:
        self.steps += 1
        if self.steps > self.most_steps:
            raise JlensError("U1006", _STEPS.format(limit=self.most_steps))
        self.depth += 1
        if self.depth > self.most_depth:
            raise JlensError("D1011", _DEPTH)
        try:
            result = self._eval(expr, input, environment)
        finally:
            self.depth -= 1
        if type(result) is str and len(result) > self.most_chars:
            raise JlensError(
                "U1001", _TOO_LARGE.format(what="A string", limit=self.most_chars, unit="bytes")
            )
        if isinstance(result, list) and len(result) > self.most_items:
            raise JlensError(
                "U1001", _TOO_LARGE.format(what="An array", limit=self.most_items, unit="items")
            )
        return result

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        if all(type(end) in (int, float) for end in (lhs, rhs)) and rhs - lhs >= self.most_items:
            raise JlensError(
                "U1001", _TOO_LARGE.format(what="An array", limit=self.most_items, unit="items")
            )
        return super().evaluate_range_expression(lhs, rhs)

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:
        if not _is_function(proc):  # the library would also print a message
            raise jexception.JException("T1006", 0)
        return super().apply_inner(proc, args, input, environment)


class Expression:
    """A compiled expression. Raises JlensError, and UnicodeEncodeError for unpaired surrogates."""

    def __init__(self, source: str) -> None:
        source.encode()
        self._functions: dict[str, Any] = {}
        try:
            self._compiled = _Run(source)
        except Exception as error:
            raise _failure(error, "S0201") from None

    def register_function(self, name: str, function: Callable[..., Json], signature: str) -> None:
        self._functions[name] = _Host(name, function, signature)

    def reads(self) -> dict[str, Any]:
        """What the expression reads: {"bindings": {name: True, or of `states` its members},
        "input": True}. It may contain more than the expression reads, never less.
        """
        found: dict[str, Any] = {}
        for name, member in _read(self._compiled.ast, frozenset()):
            if name != "states" or member is None or found.get(name) is True:
                found[name] = True
            else:
                found.setdefault(name, {})[member] = True
        return {"bindings": found, "input": True}

    def evaluate(
        self,
        input: Json = None,
        bindings: Mapping[str, Json] | None = None,
        *,
        now: int,
        seed: int,
        max_steps: int,
        max_depth: int,
        max_string_length: int,
        max_array_length: int,
        max_result_size: int | None,
        timeout: float,
    ) -> Json:
        """The value; None for null, for undefined, and for values that are not JSON. `timeout` is
        ignored: only steps count.
        """
        run = copy.copy(self._compiled)
        run.now, run.most_steps, run.most_depth = now, max_steps, max_depth
        run.most_chars, run.most_items = max_string_length, max_array_length
        run.output_convert_nulls = run.validate_input = False
        jsonata.Jsonata.CURRENT.jsonata = run  # the library uses the current instance of the thread
        frame = {**self._functions, **_drawing(seed), **(bindings or {})}
        try:
            value = _plain(
                run.evaluate(
                    input, {name: _NULL if each is None else each for name, each in frame.items()}
                )
            )
        except Exception as error:  # functions of the library raise many of Python's errors
            raise _failure(error, "U1001") from None
        if (
            max_result_size is not None
            and type(value) in (str, list, dict)
            and len(dumps(value).encode()) > max_result_size
        ):
            raise JlensError(
                "U1001", _TOO_LARGE.format(what="The result", limit=max_result_size, unit="bytes")
            )
        return value

    def evaluate_json(
        self, text: str | None, bindings: Mapping[str, Json] | None = None, **options: Any
    ) -> str | None:
        value = self.evaluate(None if text is None else loads(text), bindings, **options)
        return None if value is None else dumps(value)

    def evaluate_document(
        self, document: Document, bindings: Mapping[str, Json] | None = None, **options: Any
    ) -> Json:
        return self.evaluate(document.value, bindings, **options)


class _Host(jsonata.Jsonata.JFunction):  # type: ignore[misc]
    """A Python function with a JSONata signature."""

    def __init__(self, name: str, function: Callable[..., Json], signature: str) -> None:
        super().__init__(None, signature)
        self.signature.set_function_name(name)
        self._call = function
        self._most = len(signature.partition(":")[0]) - 1  # one letter per argument

    def call(self, input: Any, args: Any) -> Any:
        arguments = [_plain(each) for each in args or ()]
        return self._call(*arguments, *[None] * (self._most - len(arguments)))

    def get_number_of_args(self) -> int:
        return self._most


def _drawing(seed: int) -> dict[str, Any]:
    """$random and $shuffle of one evaluation: the same numbers for the same seed."""
    drawn = 0

    def draw() -> float:
        nonlocal drawn
        drawn += 1
        digest = hashlib.blake2b(f"{seed} {drawn}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) / 2**53

    def shuffle(items: list[Json] | None) -> list[Json] | None:
        return (
            None
            if items is None
            else [
                item
                for _, _, item in sorted((draw(), place, item) for place, item in enumerate(items))
            ]
        )

    return {"random": _Host("random", draw, "<:n>"), "shuffle": _Host("shuffle", shuffle, "<a:a>")}


def _plain(value: Any) -> Json:
    """A value of the library as JSON. Values that are not JSON become None; functions are removed
    from objects.
    """
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < _INTEGRAL_BELOW else value
    if kind in (str, bool, int):
        return value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if not _is_function(each)}
    return None


def _is_function(value: Any) -> bool:
    return bool(
        utils.Utils.is_function(value) or Functions.is_lambda(value) or Functions.is_regex(value)
    )


def _failure(error: Exception, otherwise: str) -> Exception:
    """The error that jlens would raise. otherwise: the code of an error that has none."""
    if isinstance(error, JlensError):
        return error
    if isinstance(error, jexception.JException) and _CODE.fullmatch(error.error):
        return JlensError(error.error, str(error).strip(), max(error.location, 0))
    if isinstance(error, RecursionError):
        return JlensError("D1011", _DEPTH)
    if isinstance(error, OverflowError | ZeroDivisionError):
        return JlensError("D1001", "Number out of range: null")
    return error if isinstance(error, JsonataError) else JlensError(otherwise, str(error))


# --- the variables that an expression reads -------------------------------------------------------


def _read(symbol: Any, bound: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    """(variable, member) of all variables that a part of an expression reads but does not define;
    member: None for the whole variable.
    """
    kind = symbol.type
    if kind == "variable":
        name = str(symbol.value)
        if (
            name not in bound
            and name not in ("", "$")
            and name not in jsonata.Jsonata.static_frame.bindings
        ):
            yield name, None
    elif kind == "block":
        yield from _in_order(symbol.expressions, bound)
        return
    elif kind == "bind":
        yield from _read(symbol.rhs, bound)
        return
    elif kind == "lambda":
        yield from _read(symbol.body, bound | {str(each.value) for each in symbol.arguments})
        return
    elif kind == "path":
        yield from _path(symbol, bound)
        return
    for each in _children(symbol, ()):
        yield from _read(each, bound)


def _in_order(symbols: list[Any], bound: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    for each in symbols:
        yield from _read(each, bound)
        if each.type == "bind":
            bound |= {str(each.lhs.value)}


def _path(symbol: Any, bound: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    first, *rest = symbol.steps
    whole = (
        first.type != "variable" or any(_children(first, ())) or not rest or rest[0].type != "name"
    )
    for name, _ in _read(first, bound):
        yield name, None if whole else str(rest[0].value)
    for step in symbol.steps:
        bound |= {str(name) for name in (step.focus, step.index) if name is not None}
        if step is not first:
            yield from _read(step, bound)
        bound |= {str(stage.value) for stage in step.stages or () if stage.type == "index"}
    for each in _children(symbol, ("steps",)):
        yield from _read(each, bound)


def _children(symbol: Any, but: tuple[str, ...]) -> Iterator[Any]:
    """The direct child symbols."""
    waiting = [
        value
        for name, value in vars(symbol).items()
        if name not in _NOT_CHILDREN and name not in but
    ]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _Symbol):
            yield each
        elif isinstance(each, list | tuple):
            waiting += each
