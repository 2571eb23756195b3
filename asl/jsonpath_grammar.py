"""The grammar of JSONPath in Jayway's dialect, which AWS speaks: text -> Query."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, NamedTuple, cast

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.expression_errors import ExpressionSyntaxError, unparsed
from stepwell.asl.jsonpath_filters import FUNCTIONS, OPERATORS, OperandError, Regex
from stepwell.asl.jsonpath_query import (
    Call,
    Escaped,
    Every,
    Items,
    Merge,
    Properties,
    Query,
    Read,
    Step,
    Test,
    Where,
    assemble,
)
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

# Blanks are allowed only where Jayway skips them, so they are parts of the tokens. A name without
# quotes ends earlier within a filter (LOCAL).
_WORD_OPERATORS: Final = "in|nin|contains|subsetof|anyof|noneof|all|size|empty"
GRAMMAR: Final = r"""
path: "$" step* [call]
?step: _DOT NAME -> name | _SCAN NAME -> scan_name | common
call: _DOT NAME arguments

local: ROOT local_step* [local_call]
?local_step: _DOT LOCAL -> name | _SCAN LOCAL -> scan_name | common
local_call: _DOT LOCAL arguments -> call

?common: bracket | _DOT bracket | _SCAN bracket -> scan
       | _DOT "*" -> every | _SCAN "*" -> scan_every
bracket: _LEFT STRING (_COMMA STRING)* _RIGHT -> names
       | _LEFT INDEX (_COMMA INDEX)* _RIGHT -> indices
       | _LEFT SLICE _RIGHT -> slice
       | _LEFT "*" _RIGHT -> every
       | _IF either _ENDIF -> where
arguments: _OPEN [value (_COMMA value)*] _CLOSE

?either: both (_OR both)*
?both: test (_AND test)*
?test: _NOT test -> negation
     | _OPEN either _CLOSE
     | operand OPERATOR operand -> comparison
     | local -> existence
?operand: value | REGEX -> regex
?value: local -> reading
      | STRING -> string
      | NUMBER -> number
      | BARE -> word
      | _LEFT [value (_COMMA value)*] _RIGHT -> array
      | _BEGIN [pair (_COMMA pair)*] _END -> object
pair: STRING _COLON value

ROOT: "$" | "@"
_DOT: "."
_SCAN: ".."
NAME: /[^ .\[(*][^ .\[(]*/
LOCAL: /[^ .\[(*<>=!~)&|,\]}][^ .\[(<>=!~)&|,\]}]*/
STRING: /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/s
INDEX: /-?[0-9]+/
SLICE.2: /(?:-?[0-9]+:(?:-?[0-9]+)?|:-?[0-9]+)(?::-?[0-9]*)?/
NUMBER: /-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.:\/-])/
BARE: /(?!-?[\d.]+(?:e[-+]?\d+)?(?![\w.:\/-]))\w[\w.:\/-]*(?: +(?!(?:WORDS) )\w[\w.:\/-]*)*/i
REGEX: /\/(?:[^\/\\]|\\.)*\/[dimsuxU]*/s
OPERATOR: / *(?:===|!==|==|!=|<=|>=|=~|<|>) */ | / +(?:WORDS) +/i
_LEFT: /\[ */
_RIGHT: / *\]/
_COMMA: / *, */
_COLON: / *: */
_BEGIN: /\{ */
_END: / *\}/
_OPEN: /\( */
_CLOSE: / *\)/
_IF.3: /\[ *\? *\( */
_ENDIF.3: / *\) *\]/
_OR: / *\|\| */
_AND: / *&& */
_NOT: /! */
"""


_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_WORDS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
_CONTROLS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _name(token: str) -> str:
    """The name in a bracket."""
    name = _unquoted(token)
    if "\\" not in token:
        return name
    escaped = Escaped(name)
    escaped.raw = token[1:-1]
    return escaped


def _unquoted(token: str) -> str:
    text = _ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else _CONTROLS.get(match[2], match[2]),
        token[1:-1],
    )
    # joins the two \u of a surrogate pair
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _picks(token: str) -> Callable[[int], Iterable[int]]:
    """The `pick` of a slice. Of two bounds, Jayway counts from the first to the second even if they
    have different signs; it accepts a step and ignores it.
    """
    start, stop = (int(bound) if bound else None for bound in token.split(":")[:2])
    if start is None and stop is not None:
        return lambda length: range(min(length, stop + length if stop < 0 else stop))
    if start is not None and stop is None:
        return lambda length: range(max(0, start + length if start < 0 else start), length)
    assert start is not None and stop is not None
    return lambda length: range(max(start, -length), min(stop, length))


class _Local(NamedTuple):
    """A path inside a filter: from the item (@) or from the root ($)."""

    relative: bool
    query: Query

    def read(self, item: Json, root: Json) -> Json:
        return self.query.find(item if self.relative else root, root, strict=True)

    def exists(self, item: Json, root: Json) -> bool:
        """Whether the path exists, as in Jayway: even a path from `$` is read from the item, and a
        path that may match several values exists without a match.
        """
        found = self.query.find(item, root, strict=True)
        names = (
            self.query.tail.names
            if isinstance(self.query.tail, Merge) and self.query.definite
            else ()
        )
        return found is not MISSING and (not names or len(found) == len(names))


def _constant(value: Json) -> Read:
    return lambda item, root: value


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """The action of each grammar rule, called during parsing: no tree is built."""

    def __init__(self, most_steps: int) -> None:
        super().__init__()
        self._most_steps = most_steps

    def path(self, *parts: Any) -> Query:
        *steps, call = parts
        if len(steps) > self._most_steps:
            raise ExpressionSyntaxError(messages.PATH_TOO_LONG)
        return assemble(tuple(steps), call)

    def local(self, root: Token, *parts: Any) -> _Local:
        return _Local(root == "@", self.path(*parts))

    def name(self, token: Token) -> Step:
        return self._named((str(token),))

    def names(self, *tokens: Token) -> Step:
        return self._named(tuple(map(_name, tokens)))

    def _named(self, names: tuple[str, ...]) -> Step:
        if len(names) == 1:
            return Step(f"['{names[0]}']", names[0], lambda last, scan: Properties(names), dict)
        label = "[" + ",".join(f"'{name}'" for name in names) + "]"
        return Step(
            label, None, lambda last, scan: Merge(names, scan) if last else Properties(names), dict
        )

    def indices(self, *tokens: Token) -> Step:
        positions = tuple(map(int, tokens))
        key = positions[0] if len(positions) == 1 else None
        return Step(
            f"[{','.join(map(str, positions))}]",
            key,
            lambda last, scan: Items(lambda length: positions),
            list,
        )

    def slice(self, token: Token) -> Step:
        pick = _picks(token)
        return Step(f"[{token}]", None, lambda last, scan: Items(pick), list)

    def every(self) -> Step:
        return Step("[*]", None, lambda last, scan: Every())

    def where(self, test: Test) -> Step:
        def accepts(item: Json, root: Json) -> bool:
            try:
                return test(item, root)
            except OperandError:
                return False

        return Step("[?]", None, lambda last, scan: Where(accepts, scan), (dict, list))

    def scan(self, step: Step) -> Step:
        return step._replace(scan=True)

    def scan_name(self, token: Token) -> Step:
        return self.scan(self.name(token))

    def scan_every(self) -> Step:
        return self.scan(self.every())

    def call(self, name: Token, arguments: tuple[Read, ...]) -> Call:
        if name not in FUNCTIONS:
            raise ExpressionSyntaxError(messages.NO_PATH_FUNCTION.format(name=name))
        return Call(str(name), arguments)

    def arguments(self, *values: Read | None) -> tuple[Read, ...]:
        return tuple(value for value in values if value is not None)

    def either(self, *tests: Test) -> Test:
        return lambda item, root: any(test(item, root) for test in tests)

    def both(self, *tests: Test) -> Test:
        return lambda item, root: all(test(item, root) for test in tests)

    def negation(self, test: Test) -> Test:
        return lambda item, root: not test(item, root)

    def comparison(self, left: Read, operator: Token, right: Read) -> Test:
        compare = OPERATORS[operator.strip().lower()]
        return lambda item, root: compare(left(item, root), right(item, root))

    def existence(self, local: _Local) -> Test:
        return local.exists

    def reading(self, local: _Local) -> Read:
        return local.read

    def regex(self, token: Token) -> Read:
        pattern, _, flags = token[1:].rpartition("/")
        return _constant(Regex(pattern, flags))

    def string(self, token: Token) -> Read:
        return _constant(_unquoted(token))

    def number(self, token: Token) -> Read:
        return _constant(int(token) if token.lstrip("-").isdigit() else float(token))

    def word(self, token: Token) -> Read:
        """true, false, null, or text without quotes: AWS's own examples have
        `[?(@.Name==Receipt)]`.
        """
        return _constant(_WORDS.get(token, str(token)))

    def array(self, *values: Read | None) -> Read:
        return lambda item, root: [value(item, root) for value in values if value is not None]

    def object(self, *pairs: tuple[str, Read] | None) -> Read:
        return lambda item, root: {name: value(item, root) for name, value in filter(None, pairs)}

    def pair(self, name: Token, value: Read) -> tuple[str, Read]:
        return _unquoted(name), value


@cache
def _parser(most_steps: int) -> Lark:
    return Lark(
        GRAMMAR.replace("WORDS", _WORD_OPERATORS),
        start="path",
        parser="lalr",
        lexer="contextual",
        transformer=_Builder(most_steps),
        maybe_placeholders=True,
    )


def parse(text: str, limits: Limits = DEFAULT_LIMITS) -> Query:
    """Compile a path that starts with `$`. Raises ExpressionSyntaxError."""
    most_steps = limits.jsonpath_steps
    if len(text) > limits.jsonpath_chars or sum(map(text.count, "([{!")) > most_steps:
        raise ExpressionSyntaxError(messages.PATH_TOO_LONG)
    try:
        return cast(Query, _parser(most_steps).parse(text))
    except UnexpectedInput as error:
        raise unparsed(text, error) from None
