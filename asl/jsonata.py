"""JSONata as AWS speaks it: the engine (jsonata_engines.py) behind one small adapter.

    "{% EXPR %}" --compile_jsonata--> Jsonata --evaluate(env, field)--> JSON value, or
    StateError(States.QueryEvaluationError)

AWS's are: $states and the variables in place of an input document (`$` and `$$` are undefined at
the top level), six functions more, no $eval, and the texts of failures. Ours: a result depends on
the Env alone, and every evaluation ends within Limits.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Impatient, Json, StateError
from stepwell.asl.expression_errors import Fault, Faults, SyntaxFault
from stepwell.asl.json_text import dumps, loads
from stepwell.asl.jsonata_engines import engine
from stepwell.asl.jsonata_functions import HOSTS, METER, PRELUDE, Exhausted, Failed, threw
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from jlens import Expression, JlensError

_Run: TypeAlias = "Callable[[Expression], Json]"

_EXHAUSTED: Final = {"U1006", "D1012"}  # steps, time: what a larger budget may cure
_PRINTS_DOUBLES: Final = {
    "D3060",
    "D3061",
    "D3100",
    "S0201",
    "S0213",
}  # texts in which jlens writes 1.0 where jsonata-js has 1
_INTEGRAL: Final = re.compile(r"(?<=\d)\.0(?!\d)")
_SHOWN_CHARS: Final = 1_000  # of a source in a fault
_CACHED_CHARS: Final = (
    4_096  # longer sources are not kept: the cache must not become a store of megabytes
)
_MEMBERS: Final[dict[str, Callable[[Env], Json]]] = {
    "input": attrgetter("input"),
    "context": methodcaller("context"),
    "result": attrgetter("result"),
    "errorOutput": attrgetter("error_output"),
}
_PATH: Final = re.compile(r"\$(\w+)((?:\.(?:[^\W\d]\w*|`[^`]+`))*)")
_STEP: Final = re.compile(r"\.(?:`([^`]+)`|(\w+))")
_RESERVED: Final = {"and", "or", "in", "function", "true", "false", "null"}
_IMPURE: Final = re.compile(r"\$(?:now|millis|random|shuffle|uuid)\b")
_DRAWS: Final = re.compile(r"\$(?:random|shuffle|uuid)\b")
_HOLDS_NAN: Final = (
    '$exists(%s.**[$type($)="object" and $!=$])'  # the engine makes null of it, AWS nothing
)
_ENTROPY: Final = "§entropy"
_TYPES: Final = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def is_expression(text: str) -> bool:
    """Whether a string of a definition is a JSONata expression: `{%` first, `%}` last, no blanks
    around them.
    """
    return len(text) >= 4 and text.startswith("{%") and text.endswith("%}")


def compile_jsonata(source: str, limits: Limits = DEFAULT_LIMITS) -> "Jsonata":
    """The expression of a source, which stands without its braces. Raises SyntaxFault."""
    source = source.strip()
    return _compiled(source, limits) if len(source) <= _CACHED_CHARS else Jsonata(source, limits)


class Jsonata:
    """A compiled expression; may be shared by threads.

    source     as error texts show it
    variables  the names (without `$`) that it reads and does not define itself
    members    the members of $states that it names: input, context, result, errorOutput
    """

    __slots__ = (
        "source", "variables", "members", "value_of",
        "_reads", "_wanted", "_every", "_lazy", "_draws", "_divides", "_main", "_frame", "_checks",
        "_inline", "_full", "_known",
    )  # fmt: skip

    def __init__(self, source: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.source = source
        plain = _engine(source, source)
        prelude = "".join(text for words, text in PRELUDE if any(word in source for word in words))
        prelude = prelude.replace("LIMIT", str(limits.jsonata_string_chars))
        reads = (_engine(f"({prelude}{source})", source) if prelude else plain).reads()
        self._reads: dict[str, Any] = {
            name: read for name, read in reads["bindings"].items() if name not in HOSTS
        }
        states = self._reads.get("states", {})
        self.variables = frozenset(self._reads) - {"states", _ENTROPY}
        self.members = frozenset() if states is True else frozenset(states) & _MEMBERS.keys()
        self._wanted = tuple(
            (name, member) for name, member in _MEMBERS.items() if states is True or name in states
        )
        # The engine reads an input document only as far as the expression goes, but converts
        # bindings whole. So the world is handed over as the document, wherever nothing can tell:
        # the expression must not read the document itself.
        self._lazy = "input" not in reads and not any("`" in name for name in self._reads)
        assigned = "".join(f"${name}:=$.`{name}`;" for name in self._reads) if self._lazy else ""
        self._frame = f"({assigned}{prelude}%s)"
        self._main = _engine(self._frame % source, source) if assigned or prelude else plain
        self._checks: dict[str, Expression] = {}
        self._inline, self._full = _options(limits, patient=False), _options(limits, patient=True)
        self._draws = bool(_DRAWS.search(source))
        self._divides = "/" in source or "%" in source
        self._known: Json = MISSING
        self._every = "everyBinding" in reads
        constant = not (self._reads or self._every or _IMPURE.search(source))
        self.value_of: Callable[[Env], Json] = (
            self._once if constant else _walker(self, source) or self._run
        )

    def evaluate(self, env: Env, field: str) -> Json:
        """The value, JSON. `field` is where the expression stands ("Output/total").

        Raises StateError(States.QueryEvaluationError), and Impatient if the inline budget is used
        up and `env.patient` is False.
        """
        try:
            return self.value_of(env)
        except Failed as failed:
            raise _error(self.source, field, failed.what) from None

    def evaluator(self, field: str) -> Evaluator:
        """`evaluate` as an Evaluator; its first argument does not matter."""
        value_of, source = self.value_of, self.source

        def evaluate(value: Json, env: Env) -> Json:
            try:
                return value_of(env)
            except Failed as failed:
                raise _error(source, field, failed.what) from None

        return evaluate

    def _once(self, env: Env) -> Json:
        """The value of an expression that reads nothing: the first one stands for all."""
        if self._known is MISSING:
            self._known = self._run(env)
        return self._known

    def _run(self, env: Env) -> Json:
        """The value by the engine: at first within the inline budget, then, if `env` is patient,
        within the full one.
        """
        env.pause()
        world, seed = self._world(env), 0
        if self._draws:
            entropy = env.entropy()
            seed = int.from_bytes(entropy[:8], "big")
            if _ENTROPY in self._reads:
                world[_ENTROPY] = entropy.hex()
        document, bindings = (world, None) if self._lazy else (None, world)
        now = round(env.now * 1000)
        METER.set(self._inline["max_steps"])
        try:
            try:
                return self._settled(
                    lambda each: each.evaluate(
                        document, bindings, now=now, seed=seed, **self._inline
                    )
                )
            except engine().JlensError as error:
                if error.code not in _EXHAUSTED:
                    raise
            except Exhausted:
                pass
            if not env.patient:
                raise Impatient
            METER.set(self._full["max_steps"])
            # for so long the engine should let other threads run, which it does in these two forms
            if bindings is not None:
                return self._settled(
                    lambda each: _loads(
                        each.evaluate_json(None, bindings, now=now, seed=seed, **self._full)
                    )
                )
            converted = engine().Document(_cut(world, self._reads))
            return self._settled(
                lambda each: each.evaluate_document(
                    converted, None, now=now, seed=seed, **self._full
                )
            )
        except (
            engine().JlensError,
            ValueError,
            RecursionError,
        ) as error:  # the last two: a value nested too deep to be handed over
            raise _failed(error) from None

    def _world(self, env: Env) -> dict[str, Json]:
        """What the expression reads: the variables and "states", both without what it surely does
        not look at.
        """
        world: dict[str, Json] = {}
        if self._every:
            world.update(env.variables)
        elif self.variables:
            world = {name: env.variables[name] for name in self.variables if name in env.variables}
        if "states" in self._reads:
            world["states"] = {
                name: value
                for name, member in self._wanted
                if (value := member(env)) is not MISSING
            }
        return world if self._lazy or self._every else _cut(world, self._reads)

    def _settled(self, run: _Run) -> Json:
        """What AWS makes of the engine's value, which is None for null, for undefined and for what
        JSON has no word for.
        """
        value = run(self._main)
        if value is None:
            kind = run(self._check("$type(%s)"))
            if kind != "null":
                raise Failed(
                    messages.JSONATA_UNDEFINED if kind is None else messages.JSONATA_UNSUPPORTED
                )
        elif (
            self._divides
            and type(value) in (dict, list)
            and "null" in dumps(value)
            and run(self._check(_HOLDS_NAN))
        ):
            raise Failed(messages.JSONATA_UNSUPPORTED)
        return value

    def _check(self, question: str) -> "Expression":
        """A question about the expression's value, compiled when it is asked for the first time."""
        if question not in self._checks:
            # "0;" since a pattern may not come first within parentheses
            self._checks[question] = _engine(
                self._frame % (question % f"(0;{self.source})"), self.source
            )
        return self._checks[question]


_compiled = lru_cache(maxsize=2_048)(Jsonata)


# --- values with expressions in them --------------------------------------------------------------


def compile_value(value: Json, field: str, limits: Limits = DEFAULT_LIMITS) -> Evaluator:
    """A JSON value whose strings may be expressions, at any depth. Raises Faults.

    An expression's field, as in events, is "Output/a/b" in an object and "Output[0]" in an array.
    What holds no expression is made once and shared by all results.
    """
    _refuse_faults(value, limits)
    return _evaluator(value, field, limits) or (lambda ignored, env: value)


def compile_typed(
    value: Json, field: str, expected: tuple[str, ...], limits: Limits = DEFAULT_LIMITS
) -> Evaluator:
    """`compile_value` for a field that takes some types only ('number', ...): the result of an
    expression must be one. Raises Faults.
    """
    evaluate = compile_value(value, field, limits)
    if not (isinstance(value, str) and is_expression(value)):
        return evaluate
    source = _source(value)

    def typed(ignored: Json, env: Env) -> Json:
        return expect(evaluate(ignored, env), expected, source, field)

    return typed


def expect(value: Json, types: tuple[str, ...], expression: str, field: str) -> Json:
    """`value` if its JSON type is one of `types`, of 'array', 'object', 'number', 'string',
    'boolean', 'null'; else StateError.
    """
    actual = _TYPES[type(value)]
    if actual in types:
        return value
    what = messages.JSONATA_TYPE.format(
        expected="' or '".join(types), actual=actual, value=dumps(value)
    )
    raise _error(expression, field, what)


def expressions(value: Json, location: str = "") -> Iterator[tuple[str, str]]:
    """(location below the value, source) of every expression in a JSON value: ("/a[0]",
    "$states.input").
    """
    return (
        (place, _source(text)) for place, text in _opened(value, location) if is_expression(text)
    )


def variables_read(source: str) -> frozenset[str]:
    """The names (without `$`) of the variables that an expression reads; unknown functions are
    among them. Raises SyntaxFault.
    """
    return compile_jsonata(source).variables


def reads_states_member(source: str, member: str) -> bool:
    """Whether an expression names $states.result (input, context, errorOutput); no for $states as a
    whole. Raises SyntaxFault.
    """
    return member in compile_jsonata(source).members


def _evaluator(value: Json, field: str, limits: Limits) -> Evaluator | None:
    """None for a value without expressions."""
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
        made = copy(value)  # keeps the order of the keys
        for key, part in parts:
            made[key] = part(ignored, env)
        return made

    return fill


def _items(value: Json, location: str) -> Iterator[tuple[Any, Json, str]]:
    """(key or index, member, its location) of an object or array."""
    if isinstance(value, dict):
        yield from ((key, item, f"{location}/{key}") for key, item in value.items())
    elif isinstance(value, list):
        yield from ((index, item, f"{location}[{index}]") for index, item in enumerate(value))


def _opened(value: Json, location: str) -> Iterator[tuple[str, str]]:
    """(location, text) of every string that begins like an expression."""
    if isinstance(value, str) and value.startswith("{%"):
        yield location, value
    for _, item, below in _items(value, location):
        yield from _opened(item, below)


def _refuse_faults(value: Json, limits: Limits) -> None:
    faults = []
    for location, text in _opened(value, ""):
        try:
            if not is_expression(text):
                raise SyntaxFault(messages.JSONATA_OPEN.format(text=text))
            compile_jsonata(_source(text), limits)
        except SyntaxFault as fault:
            faults.append(Fault(location, fault.message))
    if faults:
        raise Faults(faults)


def _source(text: str) -> str:
    return text[2:-2].strip()


# --- paths without the engine ---------------------------------------------------------------------


def _walker(expression: Jsonata, source: str) -> Callable[[Env], Json] | None:
    """A closure for `$x.a.b` and `$states.input.a.b`, None for other expressions.

    It goes from object to object as the engine would. Where a path leads through an array, which
    JSONata maps, the engine takes over.
    """
    path = _PATH.fullmatch(source)
    if path is None:
        return None
    name, steps = (
        path[1],
        [(quoted or bare, bool(quoted)) for quoted, bare in _STEP.findall(path[2])],
    )
    if any(step in _RESERVED and not quoted for step, quoted in steps):
        return None
    if name == "states":
        member = _MEMBERS.get(steps[0][0]) if steps else None
        return _walk(member, [step for step, _ in steps[1:]], expression._run) if member else None
    if name not in expression.variables:  # a function
        return None
    return _walk(
        lambda env: env.variables.get(name, MISSING), [step for step, _ in steps], expression._run
    )


def _walk(
    root: Callable[[Env], Json], steps: list[str], engine: Callable[[Env], Json]
) -> Callable[[Env], Json]:
    keys = tuple(steps)

    def walk(env: Env) -> Json:
        value = root(env)
        for key in keys:
            if type(value) is dict:
                value = value.get(key, MISSING)
            elif type(value) is list:
                return engine(env)
            else:
                raise Failed(messages.JSONATA_UNDEFINED)
        if value is MISSING:
            raise Failed(messages.JSONATA_UNDEFINED)
        return value

    return walk


# --- the engine -----------------------------------------------------------------------------------


def _engine(text: str, source: str) -> "Expression":
    """The engine's expression for `text`: a source, or ours around it; with the functions that it
    calls. Raises SyntaxFault.
    """
    try:
        expression: Expression = engine().Expression(text)
    except engine().JlensError as error:
        raise _fault(
            source,
            error.code,
            _message(error),
            error.position if error.start is None else error.start,
        ) from None
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise _fault(source, "S0104", error.reason, error.start) from None
    for name, (function, signature) in HOSTS.items():
        if f"${name}" in text:
            expression.register_function(name, function, signature)
    return expression


def _fault(source: str, code: str, message: str, offset: int | None) -> SyntaxFault:
    shown = source if len(source) <= _SHOWN_CHARS else source[:_SHOWN_CHARS] + "..."
    return SyntaxFault(
        messages.JSONATA_SYNTAX.format(expression=shown, code=code, message=message),
        (offset or 0) + 1,
    )


def _options(limits: Limits, patient: bool) -> dict[str, Any]:
    return {
        "timeout": limits.jsonata_seconds if patient else limits.jsonata_inline_seconds,
        "max_steps": limits.jsonata_steps if patient else limits.jsonata_inline_steps,
        "max_depth": limits.jsonata_depth,
        "max_string_length": limits.jsonata_string_chars,
        "max_array_length": limits.jsonata_array_items,
        "max_result_size": 4
        # larger than a payload may be, so that the core can tell that it is too large
        * limits.payload_bytes,
    }


def _cut(value: Json, read: Any) -> Json:
    """A value without the fields that an expression does not read; arrays stay whole."""
    if read is True or not isinstance(value, dict):
        return value
    return {key: _cut(value[key], below) for key, below in read.items() if key in value}


def _loads(text: str | None) -> Json:
    return None if text is None else loads(text)


def _failed(error: Exception) -> Failed:
    return (
        threw(error.code, _message(error))
        if isinstance(error, engine().JlensError)
        else threw("U1001", str(error))
    )


def _message(error: "JlensError") -> str:
    return _INTEGRAL.sub("", str(error)) if error.code in _PRINTS_DOUBLES else str(error)


def _error(source: str, field: str, what: str) -> StateError:
    cause = messages.JSONATA.format(expression=source, field=field, what=what)
    return StateError(messages.QUERY_EVALUATION_ERROR, cause, field)
