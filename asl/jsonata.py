"""JSONata expressions, by an engine (jsonata_engines.py).

    source --compile_jsonata--> Jsonata --evaluate(env, field)--> JSON value, or
    StateError(States.QueryEvaluationError)

AWS adds to JSONata: $states and the variables replace the input document (`$` and `$$` are
undefined at the top level), six more functions, no $eval, and the texts of errors. stepwell adds: a
result depends only on the Env, and every evaluation ends within Limits.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, InlineBudgetError, Json, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.json_text import dumps, loads
from stepwell.asl.jsonata_engines import engine
from stepwell.asl.jsonata_functions import (
    HOSTS,
    METER,
    NEWER,
    OWN,
    PRELUDE,
    JsonataBudgetError,
    JsonataError,
    lists_functions,
    newer_operators,
    threw,
)
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.meter import Cancellation

if TYPE_CHECKING:
    from jlens import Expression, JlensError

_Run: TypeAlias = "Callable[[Expression], Json]"

_TIME_OVER: Final = "D1012"
_EXHAUSTED: Final = {"U1006", _TIME_OVER}  # of steps or time: a larger budget may suffice
_TRIES: Final = 3  # in a thread, if the machine does not let it work
# errors in whose messages jlens writes 1.0 and jsonata-js 1
_PRINTS_DOUBLES: Final = {"D2016", "D3060", "D3061", "D3100", "S0201", "S0202", "S0213"}
_INTEGRAL: Final = re.compile(r"(?<=\d)\.0(?!\d)")
_SHOWN_CHARS: Final = 1_000  # of a source in a syntax error
_CACHED_CHARS: Final = 4_096  # of a source; longer ones would make the cache too large
# members of $states
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
# the engine converts NaN, and functions in arrays, to null, and leaves out members that are
# functions; AWS rejects all of them
_HOLDS_OTHERS: Final = '$exists(%s.**[$type($)="function" or $type($)="object" and $!=$])'
_MAKES_NAN: Final = re.compile(r"[/%]|\$(?:round|parseInteger|toMillis)\b")
_ENTROPY: Final = "§entropy"
_NAMES: Final = re.compile(r"\$(\w+)")


def is_expression(text: str) -> bool:
    """Whether a string of a definition is a JSONata expression: it starts with `{%` and ends with
    `%}`, without blanks around them.
    """
    return len(text) >= 4 and text.startswith("{%") and text.endswith("%}")


def compile_jsonata(source: str, limits: Limits = DEFAULT_LIMITS) -> "Jsonata":
    """Compile a source, which is the text between `{%` and `%}`. Raises ExpressionSyntaxError."""
    source = source.strip()
    return _compiled(source, limits) if len(source) <= _CACHED_CHARS else Jsonata(source, limits)


class Jsonata:
    """A compiled expression; threads may share it.

    source     as shown in error messages
    variables  the names (without `$`) of variables that it reads but does not define
    functions  the names of functions, and of its own variables, in whose place variables of the
               state machine are read if there are any of these names
    members    the members of $states that it names: input, context, result, errorOutput
    document   what it reads of the input document, which is undefined: {"a": True} for `a` or `$.a`
    value_of   (env) -> JSON value; raises JsonataError
    """

    __slots__ = (
        "source", "variables", "functions", "members", "document", "value_of",
        "_reads", "_wanted", "_every", "_lazy", "_draws", "_makes_nan", "_lists_functions", "_main",
        "_frame", "_checks", "_inline", "_full", "_known", "_replaced", "_text",
    )  # fmt: skip

    def __init__(
        self,
        source: str,
        limits: Limits = DEFAULT_LIMITS,
        replaced: frozenset[str] = frozenset(),
    ) -> None:
        """replaced: the functions that are variables."""
        self.source, self._replaced = source, replaced
        plain = _engine(source, source)
        _check_operators(source)
        prelude = "".join(text for words, text in PRELUDE if any(word in source for word in words))
        prelude = prelude.replace("LIMIT", str(limits.jsonata_string_chars))
        alone = plain.reads()
        reads = _engine(f"({prelude}{source})", source).reads() if prelude else alone
        self._reads: dict[str, Any] = {
            name: read for name, read in reads["bindings"].items() if name not in HOSTS
        }
        self.document: Json = alone.get("input", {})
        states = self._reads.get("states", {})
        self.variables = frozenset(self._reads) - {"states", _ENTROPY}
        self.functions = frozenset(_NAMES.findall(source)) - {*self._reads, "states"}
        # variables in place of functions have other names outside the expression: the prelude and
        # the questions of _checked call these functions
        self._reads |= {f"§{name}": True for name in replaced}
        renamed = "".join(f"${name}:=$§{name};" for name in replaced)
        self._text = f"({renamed}{source})" if replaced else source
        self.members = frozenset() if states is True else frozenset(states) & _MEMBERS.keys()
        self._wanted = tuple(
            (name, member) for name, member in _MEMBERS.items() if states is True or name in states
        )
        # The engine converts a document only as far as the expression reads it, but converts
        # bindings completely. So the bindings are passed as the document, unless the expression
        # reads the document itself.
        self._lazy = "input" not in reads and not any("`" in name for name in self._reads)
        assigned = "".join(f"${name}:=$.`{name}`;" for name in self._reads) if self._lazy else ""
        self._frame = f"({assigned}{prelude}%s)"
        framed = assigned or prelude or replaced
        self._main = _engine(self._frame % self._text, source) if framed else plain
        self._checks: dict[str, Expression] = {}
        self._inline = _options(limits, in_thread=False)
        self._full = _options(limits, in_thread=True)
        self._draws = bool(_DRAWS.search(source))
        self._makes_nan = bool(_MAKES_NAN.search(source))
        self._lists_functions = lists_functions(source, self.functions)
        self._known: Json = MISSING
        self._every = "everyBinding" in reads
        constant = not (self._reads or self._every or _IMPURE.search(source))
        plain_value = self._once if constant else _walker(self, source) or self._run
        replaceable = self.functions and not replaced
        self.value_of: Callable[[Env], Json] = (
            _replacing(self, limits, plain_value) if replaceable else plain_value
        )

    def evaluate(self, env: Env, field: str) -> Json:
        """The JSON value. `field` is the name of the field in errors ("Output/total").

        Raises StateError(States.QueryEvaluationError), and InlineBudgetError if the inline budget
        is exceeded and `env.in_thread` is False.
        """
        try:
            return self.value_of(env)
        except JsonataError as failed:
            raise evaluation_error(self.source, field, failed.what) from None

    def evaluator(self, field: str) -> Evaluator:
        """`evaluate` as an Evaluator, which ignores its first argument."""
        value_of, source = self.value_of, self.source

        def evaluate(value: Json, env: Env) -> Json:
            try:
                return value_of(env)
            except JsonataError as failed:
                raise evaluation_error(source, field, failed.what) from None

        return evaluate

    def steps(self, env: Env) -> Iterator[Mapping[str, Any]]:
        """The parts of the expression as the engine evaluated them, outer ones first: nodes of
        jlens's audit, with kind, op, source, outcome, operands, input, output. None with
        jsonata-python, or if the expression needs a function of AWS's.
        """
        plain = _engine(self.source, self.source)
        audit = getattr(plain, "evaluate_with_audit", None)
        if audit is None or any(word in self.source for word in OWN):
            return
        METER.set(self._inline["max_steps"])
        now = round(env.now * 1000)
        try:
            found = audit(None, self._bound(env), level="full", now=now, seed=0, **self._inline)
        except (ValueError, RecursionError):  # a value is nested too deeply for the engine
            return
        waiting = [found["audit"]["root"]] if found["audit"] and found["audit"]["root"] else []
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.get("children", ()))

    def _once(self, env: Env) -> Json:
        """The value of a constant expression, which is evaluated once."""
        if self._known is MISSING:
            self._known = self._run(env)
        return self._known

    def _run(self, env: Env) -> Json:
        """The engine's value: first within the inline budget; if that is exceeded in a thread,
        within the full budget.
        """
        env.pause()
        bound, seed = self._bound(env), 0
        if self._draws:
            entropy = env.entropy()
            seed = int.from_bytes(entropy[:8], "big")
            if _ENTROPY in self._reads:
                bound[_ENTROPY] = entropy.hex()
        document, bindings = (bound, None) if self._lazy else (None, bound)
        now = round(env.now * 1000)
        METER.set(self._inline["max_steps"])
        try:
            try:
                return self._checked(
                    lambda each: each.evaluate(
                        document, bindings, now=now, seed=seed, **self._inline
                    )
                )
            except engine().JlensError as error:
                if error.code not in _EXHAUSTED:
                    raise
            except JsonataBudgetError:
                pass
            if not env.in_thread:
                raise InlineBudgetError
            # these two methods of the engine release Python's lock, so other threads can run
            if bindings is not None:
                return self._patiently(
                    env,
                    lambda each: _loads(
                        each.evaluate_json(None, bindings, now=now, seed=seed, **self._full)
                    ),
                )
            converted = engine().Document(_cut(bound, self._reads))
            return self._patiently(
                env,
                lambda each: each.evaluate_document(
                    converted, None, now=now, seed=seed, **self._full
                ),
            )
        except (engine().JlensError, ValueError, RecursionError) as error:
            # ValueError, RecursionError: a value is nested too deeply for the engine
            raise _failed(error) from None

    def _patiently(self, env: Env, run: _Run) -> Json:
        """_checked(), again if the time was over before the processor had worked for half of it.
        The engine measures by the wall clock, but a machine that stands still must not fail a
        workflow.
        """
        worked = env.in_thread.worked if isinstance(env.in_thread, Cancellation) else None

        def once() -> Json:
            METER.set(self._full["max_steps"])
            return self._checked(run)

        if worked is None:
            return once()
        for _ in range(_TRIES - 1):
            began = worked()
            try:
                return once()
            except engine().JlensError as error:
                if error.code != _TIME_OVER or worked() - began > self._full["timeout"] / 2:
                    raise
        return once()

    def _bound(self, env: Env) -> dict[str, Json]:
        """The values of the variables and of $states, without fields that the expression does not
        read.
        """
        bound: dict[str, Json] = {}
        if self._every:
            bound.update(env.variables)
        elif self.variables:
            bound = {name: env.variables[name] for name in self.variables if name in env.variables}
        bound |= {f"§{name}": env.variables[name] for name in self._replaced}
        if "states" in self._reads:
            bound["states"] = {
                name: value
                for name, member in self._wanted
                if (value := member(env)) is not MISSING
            }
        return bound if self._lazy or self._every else _cut(bound, self._reads)

    def _checked(self, run: _Run) -> Json:
        """The engine's value. The engine returns None for null, for undefined, and for values that
        JSON cannot represent; the latter two are a JsonataError, as in AWS.
        """
        value = run(self._main)
        if value is None:
            kind = run(self._check("$type(%s)"))
            if kind != "null":
                raise JsonataError(
                    messages.JSONATA_UNDEFINED if kind is None else messages.JSONATA_UNSUPPORTED
                )
        elif (
            type(value) in (dict, list)
            and (self._lists_functions or (self._makes_nan and "null" in dumps(value)))
            and run(self._check(_HOLDS_OTHERS))
        ):
            raise JsonataError(messages.JSONATA_UNSUPPORTED)
        return value

    def _check(self, question: str) -> "Expression":
        """An expression about this expression's value, compiled on first use."""
        if question not in self._checks:
            # "0;" because a regular expression must not come first within parentheses
            self._checks[question] = _engine(
                self._frame % (question % f"(0;{self._text})"), self.source
            )
        return self._checks[question]


_compiled = lru_cache(maxsize=2_048)(Jsonata)


def variables_read(source: str) -> frozenset[str]:
    """The names (without `$`) of the variables that an expression reads; unknown functions count as
    variables. Raises ExpressionSyntaxError.
    """
    return compile_jsonata(source).variables


def reads_states_member(source: str, member: str) -> bool:
    """Whether an expression names $states.MEMBER (input, context, result, errorOutput); False for
    $states as a whole. Raises ExpressionSyntaxError.
    """
    return member in compile_jsonata(source).members


def _replacing(
    expression: Jsonata, limits: Limits, plain: Callable[[Env], Json]
) -> Callable[[Env], Json]:
    """A variable replaces the function of its name, as a binding of JSONata does."""
    functions, variants = expression.functions, dict[frozenset[str], Jsonata]()

    def value_of(env: Env) -> Json:
        if functions.isdisjoint(env.variables):
            return plain(env)
        replaced = functions.intersection(env.variables)
        if replaced not in variants:
            variants[replaced] = Jsonata(expression.source, limits, replaced)
        return variants[replaced].value_of(env)

    return value_of


# --- paths without the engine ---------------------------------------------------------------------


def plain_path(source: str) -> tuple[str, tuple[str, ...]] | None:
    """(variable, names) of an expression that is only `$x.a.b`; None for others."""
    path = _PATH.fullmatch(source)
    if path is None:
        return None
    steps = [(quoted or bare, bool(quoted)) for quoted, bare in _STEP.findall(path[2])]
    if any(step in _RESERVED and not quoted for step, quoted in steps):
        return None
    return path[1], tuple(step for step, _ in steps)


def _walker(expression: Jsonata, source: str) -> Callable[[Env], Json] | None:
    """A closure for `$x.a.b` and `$states.input.a.b`, None for other expressions.

    It follows members of objects as the engine does. If a value is an array, which JSONata maps,
    the engine evaluates the path.
    """
    path = plain_path(source)
    if path is None:
        return None
    name, steps = path
    if name == "states":
        member = _MEMBERS.get(steps[0]) if steps else None
        return _walk(member, steps[1:], expression._run) if member else None
    if name not in expression.variables:  # a function
        return None
    return _walk(lambda env: env.variables.get(name, MISSING), steps, expression._run)


def _walk(
    root: Callable[[Env], Json], keys: tuple[str, ...], engine: Callable[[Env], Json]
) -> Callable[[Env], Json]:
    def walk(env: Env) -> Json:
        value = root(env)
        for key in keys:
            if type(value) is dict:
                value = value.get(key, MISSING)
            elif type(value) is list:
                return engine(env)
            else:
                raise JsonataError(messages.JSONATA_UNDEFINED)
        if value is MISSING:
            raise JsonataError(messages.JSONATA_UNDEFINED)
        return value

    return walk


# --- the engine -----------------------------------------------------------------------------------


def _engine(text: str, source: str) -> "Expression":
    """The engine's expression for `text`, which is `source` with or without the prelude, and the
    functions that it calls. Raises ExpressionSyntaxError about `source`.
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


def _check_operators(source: str) -> None:
    """Raise ExpressionSyntaxError for operators that the engine has and AWS has not, as JSONata
    2.0.6 does.
    """
    for offset, renamed in newer_operators(source):
        try:
            _engine(renamed, source)
        except ExpressionSyntaxError:
            operator = source[offset : offset + 2]
            message = messages.JSONATA_NEWER.format(
                symbol=operator[1], operator=operator, instead=NEWER[operator]
            )
            raise _fault(source, "S0211", message, offset) from None


def _fault(source: str, code: str, message: str, offset: int | None) -> ExpressionSyntaxError:
    shown = source if len(source) <= _SHOWN_CHARS else source[:_SHOWN_CHARS] + "..."
    return ExpressionSyntaxError(
        messages.JSONATA_SYNTAX.format(expression=shown, code=code, message=message),
        (offset or 0) + 1,
    )


def _options(limits: Limits, in_thread: bool) -> dict[str, Any]:
    return {
        "timeout": limits.jsonata_seconds if in_thread else limits.jsonata_inline_seconds,
        "max_steps": limits.jsonata_steps if in_thread else limits.jsonata_inline_steps,
        "max_depth": limits.jsonata_depth,
        "max_string_length": limits.jsonata_string_chars,
        "max_array_length": limits.jsonata_array_items,
        # more than a payload may have: the core reports results over the limit itself
        "max_result_size": 4 * limits.payload_bytes,
    }


def _cut(value: Json, read: Any) -> Json:
    """A value without the fields that an expression does not read; arrays stay complete."""
    if read is True or not isinstance(value, dict):
        return value
    return {key: _cut(value[key], below) for key, below in read.items() if key in value}


def _loads(text: str | None) -> Json:
    return None if text is None else loads(text)


def _failed(error: Exception) -> JsonataError:
    return (
        threw(error.code, _message(error))
        if isinstance(error, engine().JlensError)
        else threw("U1001", str(error))
    )


def _message(error: "JlensError") -> str:
    text = str(error).replace('function "§', 'function "')  # called by the prelude's of that name
    return _INTEGRAL.sub("", text) if error.code in _PRINTS_DOUBLES else text


def evaluation_error(source: str, field: str, what: str) -> StateError:
    """The error of an expression in a field. `what` completes the message messages.JSONATA."""
    cause = messages.JSONATA.format(expression=source, field=field, what=what)
    return StateError(messages.QUERY_EVALUATION_ERROR, cause, field)
