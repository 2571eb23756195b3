"""The SQL of AWS IoT's rules: text -> Statement, and templates with `${...}`. Pure: time and ids
come with the message.

    SELECT temperature, topic(2) AS device FROM 'sensors/+/climate' WHERE temperature > 30 AND NOT
    isNull(battery.level)

What is not there, and what makes no sense, is Undefined, as with the service: a comparison with it
is Undefined, WHERE takes only true, and SELECT leaves such a member out. Statements inside a FROM,
and functions that call other services, are refused.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from stepwell.asl.json_text import dumps
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.iot import messages
from stepwell.integrations.services.iot.message import Message
from stepwell.integrations.services.iot.sql_functions import (
    FUNCTIONS,
    UNDEFINED,
    as_bool,
    as_number,
    equal,
    number,
    to_text,
)

GRAMMAR: Final = r"""
statement: _SELECT selection [_FROM topic] [_WHERE either]
topic: STRING | QUOTED
?selection: VALUE (star | either) -> whole
          | item (_COMMA item)* -> members
item: star -> everything
    | either [_AS alias]
alias: NAME (_DOT NAME)*
star: "*"

?either: both (_OR both)* -> disjunction
?both: negated (_AND negated)* -> conjunction
?negated: _NOT negated -> negation
        | comparison
?comparison: sum
           | sum COMPARE sum -> compare
           | sum IN sum -> among
?sum: product
    | sum ADD product -> arithmetic
?product: unary
        | product (MULTIPLY | STAR) unary -> arithmetic
?unary: "-" unary -> minus
      | place
?place: atom
      | place _DOT NAME -> member
      | place "[" either "]" -> index
?atom: NUMBER -> literal_number
     | STRING -> literal_text
     | WORD -> literal_word
     | NAME "(" [argument (_COMMA argument)*] ")" -> call
     | CAST "(" either _AS NAME ")" -> cast
     | NAME -> top
     | "(" either ")"
     | "[" [either (_COMMA either)*] "]" -> array
     | "{" [pair (_COMMA pair)*] "}" -> object
     | _CASE either when+ [_ELSE either] _END -> case
when: _WHEN either _THEN either
pair: STRING ":" either
?argument: star | either

_SELECT.3: /select\b/i
_FROM.3: /from\b/i
_WHERE.3: /where\b/i
_AS.3: /as\b/i
_OR.3: /or\b/i
_AND.3: /and\b/i
_NOT.3: /not\b/i
IN.3: /in\b/i
_CASE.3: /case\b/i
_WHEN.3: /when\b/i
_THEN.3: /then\b/i
_ELSE.3: /else\b/i
_END.3: /end\b/i
CAST.3: /cast(?=\s*\()/i
VALUE.3: /value(?=\s+(?!(?:from|as|where|and|or|in)\b)(?:[\w'({]|\*\s*(?:from\b|where\b|$)))/i
WORD.3: /(?:true|false|null)\b/i
COMPARE: "<=" | ">=" | "<>" | "!=" | "<" | ">" | "="
ADD: "+" | "-"
MULTIPLY: "/" | "%"
STAR: "*"
_COMMA: ","
_DOT: "."
NUMBER: /[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/
STRING: /'(?:[^']|'')*'/
QUOTED: /"[^"]*"/
NAME: /[A-Za-z_$][A-Za-z0-9_$]*/
%ignore /\s+/
"""

_DEPTH: Final = 200  # of expressions within each other


class SqlFault(ValueError):
    """Why a text is no statement."""


Read = Callable[[Message], Any]


class Node(NamedTuple):
    """A compiled expression. name: what a member of SELECT is called by it, "" if it says
    nothing.
    """

    read: Read
    depth: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """filter: of topics; None if the statement has no FROM."""

    filter: str | None
    where: Read | None
    select: Read

    def apply(self, message: Message) -> bytes | None:
        """What the actions get: JSON, or a payload that is none as it was; None if WHERE does not
        let the message pass.
        """
        if self.where is not None and as_bool(self.where(message)) is not True:
            return None
        value = self.select(message)
        return (
            value
            if isinstance(value, bytes)
            else dumps(None if value is UNDEFINED else value).encode()
        )


def compile_sql(text: str) -> Statement:
    """Raises SqlFault."""
    found: Statement = _read(text, "statement")
    return found


def compile_template(text: str) -> Read:
    """A text in which each `${expression}` is replaced by its value, for a message. Raises
    SqlFault.
    """
    pieces = _SLOT.split(text)
    reads = [_read(piece, "either").read if at % 2 else piece for at, piece in enumerate(pieces)]
    if len(pieces) == 1:
        return lambda message: text
    return lambda message: "".join(
        each if isinstance(each, str) else _spelled(each(message)) for each in reads
    )


_SLOT: Final = re.compile(r"\$\{([^{}]*)\}")


def _spelled(value: Any) -> str:
    text = to_text(value)
    return text if isinstance(text, str) else ""


def _read(text: str, start: str) -> Any:
    if len(text) > DEFAULT_LIMITS.sql_chars:
        raise SqlFault(messages.SQL_TOO_LONG.format(limit=DEFAULT_LIMITS.sql_chars))
    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as fault:
        raise SqlFault(
            messages.SQL_SYNTAX.format(line=max(fault.line, 1), column=max(fault.column, 1))
        ) from None
    except VisitError as fault:
        raise fault.orig_exc from None


# --- operators ------------------------------------------------------------------------------------


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def test(left: Any, right: Any) -> Any:
        if not (isinstance(left, str) and isinstance(right, str)):
            left, right = as_number(left), as_number(right)
            if left is UNDEFINED or right is UNDEFINED:
                return UNDEFINED
        return compare(left, right)

    return test


def _unequal(left: Any, right: Any) -> Any:
    same = equal(left, right)
    return same if same is UNDEFINED else not same


_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": equal,
    "<>": _unequal,
    "!=": _unequal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}


def _plus(left: Any, right: Any) -> Any:
    """Numbers are added; with a text on one side both are joined."""
    if isinstance(left, str) or isinstance(right, str):
        left, right = to_text(left), to_text(right)
        fits = (
            left is not UNDEFINED
            and right is not UNDEFINED
            and len(left) + len(right) <= DEFAULT_LIMITS.sql_text_chars
        )
        return left + right if fits else UNDEFINED
    return _numeric(operator.add)(left, right)


def _numeric(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        left, right = as_number(left), as_number(right)
        if left is UNDEFINED or right is UNDEFINED:
            return UNDEFINED
        try:
            return number(compute(left, right))
        except (ZeroDivisionError, OverflowError, ValueError):
            return UNDEFINED

    return apply


def _divide(left: Any, right: Any) -> Any:
    """An integer if it comes out even."""
    return (
        left // right
        if type(left) is int and type(right) is int and left % right == 0
        else left / right
    )


def _remainder(left: Any, right: Any) -> Any:
    """With the sign of what is divided."""
    if type(left) is int and type(right) is int:
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return math.fmod(left, right)


_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": _plus,
    "-": _numeric(operator.sub),
    "*": _numeric(operator.mul),
    "/": _numeric(_divide),
    "%": _numeric(_remainder),
}


def _as_int(value: Any) -> Any:
    found = as_number(value)
    return found if found is UNDEFINED else int(found)


def _as_decimal(value: Any) -> Any:
    found = as_number(value)
    return found if found is UNDEFINED else float(found)


_CASTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("string", "varchar"), to_text),
    **dict.fromkeys(("boolean", "bool"), as_bool),
    **dict.fromkeys(("decimal", "double", "float"), _as_decimal),
    **dict.fromkeys(("int", "integer"), _as_int),
}


def _at(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return value.get(key, UNDEFINED) if isinstance(key, str) else UNDEFINED
    return (
        value[key]
        if isinstance(value, list) and type(key) is int and 0 <= key < len(value)
        else UNDEFINED
    )


# --- reading --------------------------------------------------------------------------------------


def _deeper(read: Read, *parts: Node, name: str = "") -> Node:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > _DEPTH:
        raise SqlFault(messages.SQL_TOO_DEEP)
    return Node(read, depth, name)


def _text(token: str) -> str:
    return token[1:-1].replace("''", "'") if token[0] == "'" else token[1:-1]


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """The action of each rule of the grammar, called while the text is read."""

    def statement(self, select: Read, filter: str | None, where: Node | None) -> Statement:
        return Statement(filter, where and where.read, select)

    def topic(self, token: Token) -> str:
        return _text(token)

    def whole(self, _: Token, node: Node) -> Read:
        return node.read

    def star(self) -> Node:
        return Node(lambda message: message.value)

    def everything(self, _: Node) -> None:
        return None

    def item(self, node: Node, alias: tuple[str, ...] | None) -> tuple[tuple[str, ...], Read]:
        if alias is None and not node.name:
            raise SqlFault(messages.SQL_ALIAS)
        return alias or (node.name,), node.read

    def alias(self, *names: Token) -> tuple[str, ...]:
        return tuple(map(str, names))

    def members(self, *items: tuple[tuple[str, ...], Read] | None) -> Read:
        if items == (None,):
            return lambda message: message.value

        def select(message: Message) -> Any:
            made: dict[str, Any] = {}
            for item in items:
                if item is None:
                    made |= message.value if isinstance(message.value, dict) else {}
                elif (value := item[1](message)) is not UNDEFINED:
                    _put(made, item[0], value)
            return made

        return select

    def disjunction(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else _logic(parts, any)

    def conjunction(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else _logic(parts, all)

    def negation(self, part: Node) -> Node:
        def read(message: Message) -> Any:
            value = as_bool(part.read(message))
            return value if value is UNDEFINED else not value

        return _deeper(read, part)

    def compare(self, left: Node, sign: Token, right: Node) -> Node:
        test = _COMPARE[sign]
        return _deeper(lambda message: test(left.read(message), right.read(message)), left, right)

    def among(self, left: Node, _: Token, right: Node) -> Node:
        def read(message: Message) -> Any:
            value, listed = left.read(message), right.read(message)
            if value is UNDEFINED or not isinstance(listed, list):
                return UNDEFINED
            return any(equal(value, each) is True for each in listed)

        return _deeper(read, left, right)

    def arithmetic(self, left: Node, sign: Token, right: Node) -> Node:
        compute = _ARITHMETIC[sign]
        return _deeper(
            lambda message: compute(left.read(message), right.read(message)), left, right
        )

    def minus(self, part: Node) -> Node:
        return _deeper(lambda message: _ARITHMETIC["-"](0, part.read(message)), part)

    def member(self, part: Node, name: Token) -> Node:
        key = str(name)
        return _deeper(lambda message: _at(part.read(message), key), part, name=key)

    def index(self, part: Node, index: Node) -> Node:
        return _deeper(lambda message: _at(part.read(message), index.read(message)), part, index)

    def top(self, name: Token) -> Node:
        key = str(name)
        return Node(lambda message: _at(message.value, key), name=key)

    def literal_number(self, token: Token) -> Node:
        value = number(int(token)) if token.isdigit() and len(token) < 20 else number(float(token))
        return Node(lambda message: value)

    def literal_text(self, token: Token) -> Node:
        value = _text(token)
        return Node(lambda message: value)

    def literal_word(self, token: Token) -> Node:
        value = {"true": True, "false": False, "null": None}[token.lower()]
        return Node(lambda message: value)

    def call(self, name: Token, *arguments: Node | None) -> Node:
        found, given = FUNCTIONS.get(name.lower()), [each for each in arguments if each is not None]
        if found is None:
            raise SqlFault(messages.SQL_FUNCTION.format(name=name))
        if not found.fewest <= len(given) <= found.most:
            raise SqlFault(messages.SQL_ARGUMENTS.format(name=name, count=len(given)))
        reads = [each.read for each in given]
        return _deeper(
            lambda message: found.call(message, *(read(message) for read in reads)),
            *given,
            name=str(name),
        )

    def cast(self, _: Token, part: Node, type: Token) -> Node:
        convert = _CASTS.get(type.lower())
        if convert is None:
            raise SqlFault(messages.SQL_TYPE.format(name=type))
        return _deeper(lambda message: convert(part.read(message)), part)

    def array(self, *items: Node | None) -> Node:
        given = [each for each in items if each is not None]
        return _deeper(
            lambda message: [
                value for each in given if (value := each.read(message)) is not UNDEFINED
            ],
            *given,
        )

    def object(self, *pairs: tuple[str, Node] | None) -> Node:
        given = [each for each in pairs if each is not None]

        def read(message: Message) -> Any:
            return {
                name: value
                for name, each in given
                if (value := each.read(message)) is not UNDEFINED
            }

        return _deeper(read, *(each for _, each in given))

    def pair(self, name: Token, node: Node) -> tuple[str, Node]:
        return _text(name), node

    def when(self, value: Node, result: Node) -> tuple[Node, Node]:
        return value, result

    def case(self, subject: Node, *rest: Any) -> Node:
        *cases, last = rest

        def read(message: Message) -> Any:
            value = subject.read(message)
            for wanted, result in cases:
                if equal(value, wanted.read(message)) is True:
                    return result.read(message)
            return last.read(message) if last is not None else UNDEFINED

        return _deeper(
            read, subject, *(part for case in cases for part in case), *([last] if last else [])
        )


def _logic(parts: tuple[Node, ...], decide: Callable[[Any], bool]) -> Node:
    """AND, OR of parts that are all true or false; Undefined if one is neither."""

    def read(message: Message) -> Any:
        values = [as_bool(part.read(message)) for part in parts]
        return UNDEFINED if UNDEFINED in values else decide(values)

    return _deeper(read, *parts)


def _put(made: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Copies what it changes: the payload is shared."""
    for name in path[:-1]:
        below = made.get(name)
        made[name] = made = dict(below) if isinstance(below, dict) else {}
    made[path[-1]] = value


@cache
def _parser() -> Lark:
    return Lark(
        GRAMMAR,
        parser="lalr",
        start=["statement", "either"],
        transformer=_Builder(),
        maybe_placeholders=True,
    )
