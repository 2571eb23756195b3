"""The SQL of AWS IoT's rules: compiles statements, and templates with `${...}`. Pure: time and ids
come with the message.

    SELECT temperature, topic(2) AS device FROM 'sensors/+/climate' WHERE temperature > 30 AND NOT
    isNull(battery.level)

https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-reference.html. A member that the
payload does not have, and an operation on values that it does not support, is Undefined, as on AWS:
a comparison with Undefined is Undefined, WHERE accepts only true, and SELECT omits such a member.
Subqueries in FROM, and functions that call other services, are rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
    equal,
    number,
    to_text,
)
from stepwell.integrations.services.iot.sql_operators import (
    ARITHMETIC,
    CASTS,
    COMPARISONS,
    member_of,
)

GRAMMAR: Final = r"""
statement: _SELECT selection [_FROM topic] [_WHERE expression]
topic: STRING | QUOTED
?selection: VALUE (star | expression) -> whole
          | item (_COMMA item)* -> members
item: star -> everything
    | expression [_AS alias]
alias: NAME (_DOT NAME)*
star: "*"

?expression: conjunct (_OR conjunct)* -> disjunction
?conjunct: condition (_AND condition)* -> conjunction
?condition: _NOT condition -> negation
          | comparison
?comparison: sum
           | sum COMPARE sum -> compare
           | sum IN sum -> among
?sum: product
    | sum ADD product -> arithmetic
?product: unary
        | product (MULTIPLY | STAR) unary -> arithmetic
?unary: "-" unary -> minus
      | path
?path: atom
     | path _DOT NAME -> member
     | path "[" expression "]" -> index
?atom: NUMBER -> literal_number
     | STRING -> literal_text
     | WORD -> literal_word
     | NAME "(" [argument (_COMMA argument)*] ")" -> call
     | CAST "(" expression _AS NAME ")" -> cast
     | NAME -> top
     | "(" expression ")"
     | "[" [expression (_COMMA expression)*] "]" -> array
     | "{" [pair (_COMMA pair)*] "}" -> object
     | _CASE expression when+ [_ELSE expression] _END -> case
when: _WHEN expression _THEN expression
pair: STRING ":" expression
?argument: star | expression

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


_MAX_DEPTH: Final = 200  # of nested expressions
_SLOT: Final = re.compile(r"\$\{([^{}]*)\}")


class SqlError(ValueError):
    """A text that is not a valid statement or expression; its message says why."""


Evaluate = Callable[[Message], Any]


class Expression(NamedTuple):
    """A compiled expression. depth: how deeply expressions are nested in it; name: the member of
    SELECT's result that has its value if there is no AS; "" if it needs an AS.
    """

    evaluate: Evaluate
    depth: int = 0
    name: str = ""


class Member(NamedTuple):
    """A member of SELECT's result. path: the names of its AS."""

    path: tuple[str, ...]
    evaluate: Evaluate


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled SELECT. topic_filter: of its FROM, None if it has none."""

    topic_filter: str | None
    where: Evaluate | None
    select: Evaluate

    def apply(self, message: Message) -> bytes | None:
        """The payload of the actions: JSON, or for SELECT * the bytes of a payload that is not
        JSON; None if WHERE is not true.
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
    """Raises SqlError."""
    statement: Statement = _parse(text, "statement")
    return statement


def compile_template(text: str) -> Evaluate:
    """A text whose `${expression}` parts are replaced by their values for a message. Raises
    SqlError.
    """
    pieces = _SLOT.split(text)
    parts = [
        _parse(piece, "expression").evaluate if at % 2 else piece for at, piece in enumerate(pieces)
    ]
    if len(pieces) == 1:
        return lambda message: text
    return lambda message: "".join(
        each if isinstance(each, str) else _text_or_empty(each(message)) for each in parts
    )


def _text_or_empty(value: Any) -> str:
    text = to_text(value)
    return text if isinstance(text, str) else ""


def _parse(text: str, start: str) -> Any:
    """start: a rule of the grammar. Raises SqlError."""
    if len(text) > DEFAULT_LIMITS.sql_chars:
        raise SqlError(messages.SQL_TOO_LONG.format(limit=DEFAULT_LIMITS.sql_chars))
    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as error:
        raise SqlError(
            messages.SQL_SYNTAX.format(line=max(error.line, 1), column=max(error.column, 1))
        ) from None
    except VisitError as error:
        raise error.orig_exc from None


def _unquoted(token: str) -> str:
    return token[1:-1].replace("''", "'") if token[0] == "'" else token[1:-1]


def _nested(evaluate: Evaluate, *parts: Expression, name: str = "") -> Expression:
    """An expression of parts. Raises SqlError if it is nested too deeply."""
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > _MAX_DEPTH:
        raise SqlError(messages.SQL_TOO_DEEP)
    return Expression(evaluate, depth, name)


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Compiles each rule of the grammar while the text is parsed: a method a rule."""

    def statement(
        self, select: Evaluate, topic_filter: str | None, where: Expression | None
    ) -> Statement:
        return Statement(topic_filter, where and where.evaluate, select)

    def topic(self, token: Token) -> str:
        return _unquoted(token)

    def whole(self, _: Token, expression: Expression) -> Evaluate:
        return expression.evaluate

    def star(self) -> Expression:
        return Expression(lambda message: message.value)

    def everything(self, _: Expression) -> None:
        return None

    def item(self, expression: Expression, alias: tuple[str, ...] | None) -> Member:
        if alias is None and not expression.name:
            raise SqlError(messages.SQL_ALIAS)
        return Member(alias or (expression.name,), expression.evaluate)

    def alias(self, *names: Token) -> tuple[str, ...]:
        return tuple(map(str, names))

    def members(self, *members: Member | None) -> Evaluate:
        if members == (None,):
            return lambda message: message.value

        def select(message: Message) -> Any:
            selected: dict[str, Any] = {}
            for member in members:
                if member is None:
                    selected |= message.value if isinstance(message.value, dict) else {}
                elif (value := member.evaluate(message)) is not UNDEFINED:
                    _set_member(selected, member.path, value)
            return selected

        return select

    def disjunction(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else _logic(parts, any)

    def conjunction(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else _logic(parts, all)

    def negation(self, part: Expression) -> Expression:
        def evaluate(message: Message) -> Any:
            value = as_bool(part.evaluate(message))
            return value if value is UNDEFINED else not value

        return _nested(evaluate, part)

    def compare(self, left: Expression, sign: Token, right: Expression) -> Expression:
        test = COMPARISONS[sign]
        return _nested(
            lambda message: test(left.evaluate(message), right.evaluate(message)), left, right
        )

    def among(self, left: Expression, _: Token, right: Expression) -> Expression:
        def evaluate(message: Message) -> Any:
            value, listed = left.evaluate(message), right.evaluate(message)
            if value is UNDEFINED or not isinstance(listed, list):
                return UNDEFINED
            return any(equal(value, each) is True for each in listed)

        return _nested(evaluate, left, right)

    def arithmetic(self, left: Expression, sign: Token, right: Expression) -> Expression:
        compute = ARITHMETIC[sign]
        return _nested(
            lambda message: compute(left.evaluate(message), right.evaluate(message)), left, right
        )

    def minus(self, part: Expression) -> Expression:
        return _nested(lambda message: ARITHMETIC["-"](0, part.evaluate(message)), part)

    def member(self, part: Expression, name: Token) -> Expression:
        key = str(name)
        return _nested(lambda message: member_of(part.evaluate(message), key), part, name=key)

    def index(self, part: Expression, index: Expression) -> Expression:
        return _nested(
            lambda message: member_of(part.evaluate(message), index.evaluate(message)), part, index
        )

    def top(self, name: Token) -> Expression:
        key = str(name)
        return Expression(lambda message: member_of(message.value, key), name=key)

    def literal_number(self, token: Token) -> Expression:
        value = number(int(token)) if token.isdigit() and len(token) < 20 else number(float(token))
        return Expression(lambda message: value)

    def literal_text(self, token: Token) -> Expression:
        value = _unquoted(token)
        return Expression(lambda message: value)

    def literal_word(self, token: Token) -> Expression:
        value = {"true": True, "false": False, "null": None}[token.lower()]
        return Expression(lambda message: value)

    def call(self, name: Token, *items: Expression | None) -> Expression:
        function = FUNCTIONS.get(name.lower())
        arguments = [each for each in items if each is not None]
        if function is None:
            raise SqlError(messages.SQL_FUNCTION.format(name=name))
        if not function.minimum <= len(arguments) <= function.maximum:
            raise SqlError(messages.SQL_ARGUMENTS.format(name=name, count=len(arguments)))
        return _nested(
            lambda message: function.call(message, *(each.evaluate(message) for each in arguments)),
            *arguments,
            name=str(name),
        )

    def cast(self, _: Token, part: Expression, type: Token) -> Expression:
        convert = CASTS.get(type.lower())
        if convert is None:
            raise SqlError(messages.SQL_TYPE.format(name=type))
        return _nested(lambda message: convert(part.evaluate(message)), part)

    def array(self, *items: Expression | None) -> Expression:
        parts = [each for each in items if each is not None]
        return _nested(
            lambda message: [
                value for part in parts if (value := part.evaluate(message)) is not UNDEFINED
            ],
            *parts,
        )

    def object(self, *pairs: tuple[str, Expression] | None) -> Expression:
        members = [each for each in pairs if each is not None]

        def evaluate(message: Message) -> Any:
            return {
                name: value
                for name, part in members
                if (value := part.evaluate(message)) is not UNDEFINED
            }

        return _nested(evaluate, *(part for _, part in members))

    def pair(self, name: Token, value: Expression) -> tuple[str, Expression]:
        return _unquoted(name), value

    def when(self, value: Expression, result: Expression) -> tuple[Expression, Expression]:
        return value, result

    def case(self, subject: Expression, *rest: Any) -> Expression:
        *cases, last = rest

        def evaluate(message: Message) -> Any:
            value = subject.evaluate(message)
            for wanted, result in cases:
                if equal(value, wanted.evaluate(message)) is True:
                    return result.evaluate(message)
            return last.evaluate(message) if last is not None else UNDEFINED

        return _nested(
            evaluate, subject, *(part for case in cases for part in case), *([last] if last else [])
        )


def _logic(parts: tuple[Expression, ...], combine: Callable[[Any], bool]) -> Expression:
    """AND or OR of Boolean parts; Undefined if one is not Boolean."""

    def evaluate(message: Message) -> Any:
        values = [as_bool(part.evaluate(message)) for part in parts]
        return UNDEFINED if UNDEFINED in values else combine(values)

    return _nested(evaluate, *parts)


def _set_member(result: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Copies the objects on the path: they may be part of the payload, which is shared."""
    for name in path[:-1]:
        below = result.get(name)
        result[name] = result = dict(below) if isinstance(below, dict) else {}
    result[path[-1]] = value


@cache
def _parser() -> Lark:
    return Lark(
        GRAMMAR,
        parser="lalr",
        start=["statement", "expression"],
        transformer=_Builder(),
        maybe_placeholders=True,
    )
