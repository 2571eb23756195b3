"""Intrinsic functions: `States.Format('Hello {}', $.name)` -> Evaluator.

FUNCTIONS is the table of the functions. Arguments are strings in single quotes, numbers, null,
true, false, paths and nested calls. messages.py marks the messages that no recording of AWS
confirms.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError, unparsed
from stepwell.asl.java_values import identity, is_number, java_text, rounded
from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import Path, compile_path

__all__ = ["FUNCTIONS", "TEXT_FUNCTIONS", "Function", "compile_intrinsic", "function_name"]


class IntrinsicError(Exception):
    """A function failed. Its argument is the reason; the caller adds the text of the call."""


# --- checks of arguments --------------------------------------------------------------------------
def _refuse(position: int, wanted: str) -> NoReturn:
    raise IntrinsicError(messages.INTRINSIC_ARGUMENT.format(number=position + 1, wanted=wanted))


def _array(arguments: list[Json], position: int) -> list[Json]:
    value = arguments[position]
    return value if isinstance(value, list) else _refuse(position, "an array")


def _object(arguments: list[Json], position: int) -> dict[str, Json]:
    value = arguments[position]
    return value if isinstance(value, dict) else _refuse(position, "an object")


def _string(arguments: list[Json], position: int, longest: int | None = None) -> str:
    value = arguments[position]
    if not isinstance(value, str):
        _refuse(position, "a string")
    if longest is not None and len(value) > longest:
        _refuse(position, f"a string of at most {longest} characters")
    return value


def _integer(arguments: list[Json], position: int) -> int:
    """A number within the range of Java's long, rounded as Java rounds."""
    value = arguments[position]
    if not is_number(value) or not -(2**63) <= value < 2**63:
        _refuse(position, "a number")
    return rounded(value)


# --- the functions: (arguments, env, limits) -> value ---------------------------------------------
_SLOT: Final = re.compile(r"\\([{}])|\{\}")
_LITERAL_SLOT: Final = re.compile(r"\\(.)|\{\}", re.DOTALL)
_HASHES: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


def _pieces(template: str, slot: re.Pattern[str]) -> tuple[str, ...]:
    """The texts around the {} of a template. Literal templates are split when the call is compiled:
    the tuple distinguishes them from JSON values.
    """
    pieces, text, end = [], "", 0
    for match in slot.finditer(template):
        text += template[end : match.start()]
        end = match.end()
        if match[1] is None:
            pieces.append(text)
            text = ""
        else:
            text += match[1]
    return *pieces, text + template[end:]


def _format(arguments: list[Json], env: Env, limits: Limits) -> Json:
    pieces = (
        arguments[0] if isinstance(arguments[0], tuple) else _pieces(_string(arguments, 0), _SLOT)
    )
    if len(pieces) != len(arguments):
        raise IntrinsicError(
            messages.INTRINSIC_TEMPLATE.format(slots=len(pieces) - 1, values=len(arguments) - 1)
        )
    return pieces[0] + "".join(
        java_text(value) + piece for value, piece in zip(arguments[1:], pieces[1:])
    )


def _string_dumps(arguments: list[Json], env: Env, limits: Limits) -> Json:
    text = _string(arguments, 0)
    if not text.strip(" \t\r\n"):
        return None
    try:
        return loads(text)
    except JsonError as fault:
        raise IntrinsicError(messages.INTRINSIC_JSON.format(reason=fault.message)) from None


def _array_partition(arguments: list[Json], env: Env, limits: Limits) -> Json:
    items, size = _array(arguments, 0), _integer(arguments, 1)
    if size <= 0:
        _refuse(1, "a positive number")
    return [items[start : start + size] for start in range(0, len(items), size)]


def _array_contains(arguments: list[Json], env: Env, limits: Limits) -> Json:
    wanted = identity(arguments[1])
    return any(identity(item) == wanted for item in _array(arguments, 0))


def _array_range(arguments: list[Json], env: Env, limits: Limits) -> Json:
    first, last, step = (_integer(arguments, position) for position in range(3))
    if step == 0:
        _refuse(2, "other than zero")
    if (last - first) // step >= limits.array_range_items:
        raise IntrinsicError(messages.INTRINSIC_RANGE.format(limit=limits.array_range_items))
    return list(range(first, last + (1 if step > 0 else -1), step))


def _array_get_item(arguments: list[Json], env: Env, limits: Limits) -> Json:
    items, index = _array(arguments, 0), _integer(arguments, 1)
    if not 0 <= index < len(items):
        raise IntrinsicError(messages.INTRINSIC_INDEX.format(index=index, length=len(items)))
    return items[index]


def _array_unique(arguments: list[Json], env: Env, limits: Limits) -> Json:
    first: dict[object, Json] = {}
    for item in _array(arguments, 0):
        first.setdefault(identity(item), item)
    return list(first.values())


def _base64_encode(arguments: list[Json], env: Env, limits: Limits) -> Json:
    return base64.b64encode(_string(arguments, 0, limits.intrinsic_string_chars).encode()).decode()


def _base64_decode(arguments: list[Json], env: Env, limits: Limits) -> Json:
    text = _string(arguments, 0, limits.intrinsic_string_chars)
    # Java's decoder accepts texts without any padding, but not with a part of it
    padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text + padding, validate=True).decode(errors="replace")
    except ValueError as error:
        raise IntrinsicError(messages.INTRINSIC_BASE64.format(reason=error)) from None


def _hash(arguments: list[Json], env: Env, limits: Limits) -> Json:
    data = arguments[0] if isinstance(arguments[0], str) else dumps(arguments[0])
    if len(data) > limits.intrinsic_string_chars:
        _refuse(0, f"of at most {limits.intrinsic_string_chars} characters")
    algorithm = _HASHES.get(_string(arguments, 1)) or _refuse(1, f"one of {', '.join(_HASHES)}")
    return hashlib.new(algorithm, data.encode(), usedforsecurity=False).hexdigest()


def _json_merge(arguments: list[Json], env: Env, limits: Limits) -> Json:
    if arguments[2] is not False:
        _refuse(2, "false: a deep merge is not supported")
    return {**_object(arguments, 0), **_object(arguments, 1)}


def _math_random(arguments: list[Json], env: Env, limits: Limits) -> Json:
    first, end = _integer(arguments, 0), _integer(arguments, 1)
    if first >= end:
        _refuse(1, "greater than argument 1")
    if len(arguments) == 3:
        return first + _seeded(_integer(arguments, 2), end - first)
    return first + int.from_bytes(env.entropy(), "big") % (end - first)


def _seeded(seed: int, bound: int) -> int:
    """The result of Java's `new java.util.Random(seed).nextInt(bound)`: the upper 31 bits of a
    linear congruential generator of 48 bits, drawn again where the remainder would not be uniform.
    For a bound of more than 31 bits: the remainder of two draws.
    """
    state = (seed ^ 0x5DEECE66D) & (2**48 - 1)

    def draw() -> int:
        nonlocal state
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        return state >> 17

    if bound >= 2**31:
        return ((draw() << 31) | draw()) % bound
    if bound & (bound - 1) == 0:
        return (bound * draw()) >> 31
    bits = draw()
    while bits - bits % bound + bound > 2**31:
        bits = draw()
    return bits % bound


def _string_split(arguments: list[Json], env: Env, limits: Limits) -> Json:
    text, delimiters = _string(arguments, 0), _string(arguments, 1)
    parts = re.split(f"[{re.escape(delimiters)}]+", text) if delimiters else [text]
    return [part for part in parts if part]


def _uuid(arguments: list[Json], env: Env, limits: Limits) -> Json:
    entropy = int.from_bytes(env.entropy(), "big")
    number = entropy & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62  # version 4, variant 1
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Function(NamedTuple):
    """One function.

    run          (arguments, env, limits) -> value; raises IntrinsicError
    least, most  number of arguments; most: None for any number
    doc          "(arguments): what it returns", for users
    """

    run: Callable[[list[Json], Env, Limits], Json]
    least: int
    most: int | None
    doc: str


FUNCTIONS: Final[dict[str, Function]] = {
    "States.Format": Function(
        _format,
        1,
        None,
        "(template, value ...): the template with each {} replaced; \\{ and \\} are braces",
    ),
    "States.StringToJson": Function(
        _string_dumps, 1, 1, "(text): the JSON value of a text; null for a blank one"
    ),
    "States.JsonToString": Function(
        lambda arguments, env, limits: dumps(arguments[0]), 1, 1, "(value): its compact JSON text"
    ),
    "States.Array": Function(
        lambda arguments, env, limits: arguments, 0, None, "(value ...): an array of them"
    ),
    "States.ArrayPartition": Function(
        _array_partition,
        2,
        2,
        "(array, size): an array of arrays of that size; the last may be shorter",
    ),
    "States.ArrayContains": Function(
        _array_contains, 2, 2, "(array, value): true if an item equals the value"
    ),
    "States.ArrayRange": Function(
        _array_range, 3, 3, "(first, last, step): the numbers from first to last, at most 1000"
    ),
    "States.ArrayGetItem": Function(
        _array_get_item, 2, 2, "(array, index): the item at an index, counted from 0"
    ),
    "States.ArrayLength": Function(
        lambda arguments, env, limits: len(_array(arguments, 0)),
        1,
        1,
        "(array): how many items it has",
    ),
    "States.ArrayUnique": Function(
        _array_unique, 1, 1, "(array): without the items that equal an earlier one"
    ),
    "States.Base64Encode": Function(
        _base64_encode, 1, 1, "(text): its UTF-8 bytes in Base64; at most 10000 characters"
    ),
    "States.Base64Decode": Function(
        _base64_decode, 1, 1, "(text): the reverse; at most 10000 characters"
    ),
    "States.Hash": Function(
        _hash,
        2,
        2,
        "(value, algorithm): its MD5, SHA-1, SHA-256, SHA-384 or SHA-512 in hexadecimal",
    ),
    "States.JsonMerge": Function(
        _json_merge, 3, 3, "(object, object, false): the members of both; the second wins"
    ),
    "States.MathRandom": Function(
        _math_random, 2, 3, "(first, end [, seed]): a number from first to below end, by the seed"
    ),
    "States.MathAdd": Function(
        lambda arguments, env, limits: _integer(arguments, 0) + _integer(arguments, 1),
        2,
        2,
        "(number, number): the sum of the rounded numbers",
    ),
    "States.StringSplit": Function(
        _string_split, 2, 2, "(text, delimiters): the parts between these characters, no empty ones"
    ),
    "States.UUID": Function(_uuid, 0, 0, "(): a random UUID, version 4"),
}

# The functions that return strings: ErrorPath and CausePath may call them.
TEXT_FUNCTIONS: Final = frozenset(
    f"States.{name}"
    for name in (
        "Format",
        "JsonToString",
        "ArrayGetItem",
        "Base64Encode",
        "Base64Decode",
        "Hash",
        "UUID",
    )
)


# --- the grammar ----------------------------------------------------------------------------------
def _path_pattern() -> str:
    """A path up to the comma or bracket that ends it, with pairs of quotes, and pairs of brackets
    up to four deep. Its quantifiers are possessive: it does not backtrack.
    """
    inner = r"""[^\[\]()'"]|'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
    nested = inner
    for _ in range(3):
        nested = rf"{inner}|\[(?:{nested})*+\]|\((?:{nested})*+\)"
    return rf"""\$(?:[^\s,()\[\]'"]|\[(?:{nested})*+\]|\((?:{nested})*+\))*+"""


GRAMMAR: Final = rf"""
call: NAME "(" [argument ("," argument)*] CLOSE
?argument: call | STRING -> string | NUMBER -> number | WORD -> word | PATH -> path
NAME: /States\.[A-Za-z0-9]+/
STRING: /'(?:[^'\\]|\\['\\{{}}])*'/
NUMBER: /-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/
WORD.2: /(?:true|false|null)(?![A-Za-z0-9])/
PATH: /{_path_pattern()}/
CLOSE: ")"
%ignore /[ \t\r\n]+/
"""


class Literal(NamedTuple):
    """A string as written between its quotes, with its escapes: States.Format distinguishes `\\{{`
    from `{{`.
    """

    raw: str


class Call(NamedTuple):
    """A call as written. start, end: its offsets in the text."""

    name: str
    arguments: "tuple[Argument, ...]"
    depth: int
    start: int
    end: int


class Constant(NamedTuple):
    """A number, true, false or null."""

    value: Json


Argument: TypeAlias = Literal | Constant | Call | Path


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """The action of each grammar rule, called during parsing: no tree is built."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def call(self, name: Token, *parts: Any) -> Call:
        *some, close = parts
        arguments = tuple(argument for argument in some if argument is not None)
        depth = 1 + max(
            (argument.depth for argument in arguments if isinstance(argument, Call)), default=0
        )
        if depth > self._limits.intrinsic_depth:
            raise ExpressionSyntaxError(messages.CALL_TOO_LONG, name.column or 1)
        return Call(str(name), arguments, depth, name.start_pos or 0, close.end_pos)

    def string(self, token: Token) -> Literal:
        return Literal(str(token)[1:-1])

    def number(self, token: Token) -> Constant:
        return Constant(int(token) if token.lstrip("-").isdigit() else float(token))

    def word(self, token: Token) -> Constant:
        return Constant({"true": True, "false": False, "null": None}[token])

    def path(self, token: Token) -> Path:
        return compile_path(str(token), self._limits)


@lru_cache(16)
def _parser(limits: Limits) -> Lark:
    builder = _Builder(limits)
    return Lark(GRAMMAR, start="call", parser="lalr", lexer="contextual", transformer=builder)


@lru_cache(8_192)
def parse_call(text: str, limits: Limits = DEFAULT_LIMITS) -> Call:
    """The function and the arguments of a call. Raises ExpressionSyntaxError."""
    if len(text) > limits.intrinsic_chars:
        raise ExpressionSyntaxError(messages.CALL_TOO_LONG)
    try:
        return cast(Call, _parser(limits).parse(text))
    except UnexpectedInput as error:
        raise unparsed(text, error) from None


def function_name(text: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """The name of the function that a text calls. Raises ExpressionSyntaxError."""
    return parse_call(text, limits).name


@lru_cache(8_192)
def compile_intrinsic(text: str, limits: Limits = DEFAULT_LIMITS) -> Evaluator:
    """Compile a call. Raises ExpressionSyntaxError for bad syntax, an unknown function or a wrong
    number of arguments.

    The evaluator raises StateError States.IntrinsicFailure, or States.Runtime if a path in it has
    no result.
    """
    return _compiled(parse_call(text, limits), text, limits)


def _compiled(call: Call, text: str, limits: Limits) -> Evaluator:
    function = FUNCTIONS.get(call.name)
    if function is None:
        raise ExpressionSyntaxError(messages.NO_INTRINSIC.format(name=call.name), call.start + 1)
    if len(call.arguments) < function.least or (
        function.most is not None and len(call.arguments) > function.most
    ):
        raise ExpressionSyntaxError(
            messages.INTRINSIC_ARITY.format(name=call.name, count=len(call.arguments)),
            call.start + 1,
        )
    run, shown = function.run, text[call.start : call.end]
    reads = tuple(
        _read(argument, text, shown, limits, run is _format and position == 0)
        for position, argument in enumerate(call.arguments)
    )

    def evaluate(value: Json, env: Env) -> Json:
        env.pause()
        arguments = [read(value, env) for read in reads]
        try:
            return run(arguments, env, limits)
        except IntrinsicError as failure:
            reason = str(failure)
        except (RecursionError, JsonError):  # JsonError: too deep to have a JSON text
            reason = messages.INTRINSIC_DEPTH
        raise StateError(
            messages.INTRINSIC_FAILURE, messages.INTRINSIC_FAILED.format(call=shown, reason=reason)
        )

    return evaluate


def _read(argument: Argument, text: str, shown: str, limits: Limits, template: bool) -> Evaluator:
    """The evaluator of one argument of the call `shown`."""
    if isinstance(argument, Call):
        return _compiled(argument, text, limits)
    if isinstance(argument, Path):
        return _read_path(argument, shown)
    if isinstance(argument, Constant):
        constant = argument.value
    else:
        constant = (
            _pieces(argument.raw, _LITERAL_SLOT)
            if template
            else re.sub(r"\\(.)", r"\1", argument.raw, flags=re.DOTALL)
        )
    return lambda value, env: constant


def _read_path(path: Path, shown: str) -> Evaluator:
    find = path.find

    def read(value: Json, env: Env) -> Json:
        found = find(value, env)
        if found is not MISSING:
            return found
        reason = messages.INTRINSIC_PATH.format(path=path.text, input=path.shown(value, env))
        raise StateError(
            messages.RUNTIME, messages.INTRINSIC_FAILED.format(call=shown, reason=reason)
        )

    return read
