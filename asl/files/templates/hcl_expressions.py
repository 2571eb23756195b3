"""Expressions of Terraform -> values: `var.stage == "prod" ? 60 * 60 : 10`, `concat(local.a, [1])`,
`[for each in var.topics : upper(each.name)]`.

    || && == != < <= > >= + - * / % ! -  ?:  a.b a["b"] a[0]  [..] {..}  for  "..${..}.."  f(..)

Source: the documentation of Terraform's language, "Expressions" and "Built-in Functions".
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import PLACEHOLDER, Known, as_text
from stepwell.asl.files.templates.hcl_functions import FUNCTIONS, LAZY

Find: TypeAlias = Callable[[str], Known | None]

_DIGITS: Final = re.compile(r"\d+")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_OPERATOR: Final = re.compile(r"=>|==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,=()\[\]{}]")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_WORDS: Final[Mapping[str, Json]] = {"true": True, "false": False, "null": None}
MOST_ITERATIONS: Final = 10_000  # of all loops of an expression or a template file
_DEPTH: Final = 50  # of expressions in expressions
_FAULTS: Final = (
    LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError,
)  # fmt: skip


class _UnknownError(Exception):
    """A name has no value here, although it may have one in a deployment."""


def _whole(value: float) -> Json:
    return int(value) if value == int(value) else value


def _flag(value: Json) -> bool:
    """Raises TypeError."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise TypeError
    return bool(value == "true")


def _same(left: Json, right: Json) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


# from the weakest to the strongest
_LEVELS: Final = (
    ("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
_DECIDING: Final[Mapping[str, bool]] = {"||": True, "&&": False}  # the left value that decides
_EQUALITY: Final[Mapping[str, Callable[[Json, Json], bool]]] = {
    "==": _same,
    "!=": lambda a, b: not _same(a, b),
}
_NUMERIC: Final[Mapping[str, Callable[[Any, Any], Json]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "+": operator.add, "-": operator.sub,
    "*": operator.mul, "/": lambda a, b: _whole(a / b), "%": operator.mod,
}  # fmt: skip


def _number(value: Json) -> int | float:
    """Raises TypeError, ValueError."""
    if isinstance(value, str):
        return _number(json_text.loads(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


class Scope(NamedTuple):
    """find: of names outside of the expression; variables: of loops around a part of it;
    iterations: those that its loops may still have.
    """

    find: Find
    variables: Mapping[str, Json]
    iterations: Iterator[int]

    @classmethod
    def of(cls, find: Find) -> "Scope":
        return cls(find, {}, iter(range(MOST_ITERATIONS)))

    def loop(self, collection: Json, names: list[str]) -> "Iterator[Scope]":
        """The scope of each iteration, whose variables are a value, or an index or key and a value.
        Raises TypeError, ValueError.
        """
        if isinstance(collection, dict):
            pairs: list[tuple[Json, Json]] = sorted(collection.items())
        elif isinstance(collection, list):
            pairs = list(enumerate(collection))
        else:
            raise TypeError
        for key, value in pairs:
            if next(self.iterations, None) is None:
                raise ValueError("too many iterations")
            yield self.with_variables(dict(zip(names, (key, value)[-len(names) :])))

    def with_variables(self, values: Mapping[str, Json]) -> "Scope":
        return self._replace(variables={**self.variables, **values})


Node: TypeAlias = Callable[[Scope], Json]


def evaluate(text: str, scope: Scope) -> Known | None:
    """The value of an expression. None: a name in it has no value, or it is not understood."""
    try:
        return Known(_parsed(text)(scope), fixed=False)
    except (_UnknownError, *_FAULTS):
        return None


@lru_cache(1000)
def _parsed(text: str) -> Node:
    """Raises ValueError."""
    parser = _Parser(text)
    node = parser.expression()
    if parser.next():
        raise ValueError(f"{parser.next()} is not expected")
    return node


def _filled(text: str, scope: Scope) -> str:
    """A text whose ${...} have their values."""

    def value(match: re.Match[str]) -> str:
        if match[1] or match[3] is None:
            return match[0][1:] if match[1] else match[0]
        found = _parsed(match[3])(scope)
        if isinstance(found, list | dict):
            raise TypeError
        return as_text(found)

    return PLACEHOLDER.sub(value, text)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def next(self) -> str:
        """The operator, name, digit or quote that is next; "" at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        for pattern in (_OPERATOR, _NAME):
            if match := pattern.match(self.text, self.at):
                return match[0]
        return self.text[self.at : self.at + 1]

    def take(self, *wanted: str) -> str:
        """The next token if it is one of these, else ""."""
        token = self.next()
        if token not in wanted or not token:
            return ""
        self.at += len(token)
        return token

    def expect(self, *wanted: str) -> str:
        token = self.take(*wanted)
        if not token:
            raise ValueError(f"{wanted[0]} is expected")
        return token

    def word(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at) if self.next() else None
        if match is None:
            raise ValueError(f"{self.next()} is not expected")
        self.at = match.end()
        return match[0]

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError("too deep")
        condition = self._binary(0)
        if self.take("?"):
            first = self.expression()
            self.expect(":")
            second = self.expression()
            node: Node = lambda scope: first(scope) if _flag(condition(scope)) else second(scope)
        else:
            node = condition
        self.depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while token := self.take(*_LEVELS[level]):
            left = _computed(token, left, self._binary(level + 1))
        return left

    def _unary(self) -> Node:
        if self.take("!"):
            inner = self._unary()
            return lambda scope: not _flag(inner(scope))
        if self.take("-"):
            inner = self._unary()
            return lambda scope: -_number(inner(scope))
        return self._postfix()

    def _postfix(self) -> Node:
        token = self.next()
        start = self.at
        if _NAME.fullmatch(token) and token not in _WORDS:
            self.at += len(token)
            if self.take("("):
                return self._members(self._call(token), self._steps(start))
            return _reference(token, self._steps(start))
        return self._members(self._primary(token), self._steps(start))

    def _steps(self, start: int) -> "list[tuple[str, Node]]":
        """(the text up to the member, its key) for each .b, ["b"] and [0]"""
        steps: list[tuple[str, Node]] = []
        while token := self.take(".", "["):
            if token == ".":
                digit = self.next().isdigit()
                key: Json = int(self.word(_DIGITS)) if digit else self.word(_NAME)
                steps.append((self.text[start : self.at], _constant(key)))
                continue
            node = self.expression()
            self.expect("]")
            steps.append((self.text[start : self.at], node))
        return steps

    def _members(self, node: Node, steps: "list[tuple[str, Node]]") -> Node:
        def value(scope: Scope) -> Json:
            found = node(scope)
            for _, key in steps:
                found = _member(found, key(scope))
            return found

        return value if steps else node

    def _primary(self, token: str) -> Node:
        if token in _WORDS:
            self.at += len(token)
            return _constant(_WORDS[token])
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            return _constant(json_text.loads(match[0]))
        if token == '"':
            return self._string()
        self.expect("(", "[", "{")
        if token == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        closer = "]" if token == "[" else "}"
        if self.next() == "for":
            return self._loop(closer)
        return self._list(closer) if token == "[" else self._object()

    def _list(self, closer: str) -> Node:
        items: list[Node] = []
        while not self.take(closer):
            items.append(self.expression())
            if not self.take(","):
                self.expect(closer)
                break
        return lambda scope: [item(scope) for item in items]

    def _object(self) -> Node:
        members: list[tuple[Node, Node]] = []
        while not self.take("}"):
            token = self.next()
            if _NAME.fullmatch(token):
                self.at += len(token)
                key = _constant(token)
            else:
                key = self._primary(token)
            self.expect("=", ":")
            members.append((key, self.expression()))
            self.take(",")
        return lambda scope: {as_text(key(scope)): value(scope) for key, value in members}

    def _loop(self, closer: str) -> Node:
        self.expect("for")
        names = [self.word(_NAME)]
        if self.take(","):
            names.append(self.word(_NAME))
        self.expect("in")
        collection = self.expression()
        self.expect(":")
        first = self.expression()
        second = self.expression() if closer == "}" and self.expect("=>") else None
        condition = self.expression() if self.take("if") else _constant(True)
        self.expect(closer)

        def scopes(scope: Scope) -> Iterator[Scope]:
            for inner in scope.loop(collection(scope), names):
                if _flag(condition(inner)):
                    yield inner

        if second is None:
            return lambda scope: [first(each) for each in scopes(scope)]
        return lambda scope: {as_text(first(each)): second(each) for each in scopes(scope)}

    def _call(self, name: str) -> Node:
        arguments: list[Node] = []
        while not self.take(")"):
            arguments.append(self.expression())
            if not self.take(","):
                self.expect(")")
                break
        if name in LAZY:
            return lambda scope: _first(arguments, scope, name == "can")
        function = FUNCTIONS[name]
        return lambda scope: function(*(each(scope) for each in arguments))

    def _string(self) -> Node:
        start = at = self.at + 1
        while (char := self.text[at : at + 1]) != '"':
            if not char:
                raise ValueError("the string is not closed")
            match = PLACEHOLDER.match(self.text, at) or _ESCAPE.match(self.text, at)
            at = match.end() if match else at + 1
        self.at = at + 1
        written = self.text[start:at]
        if "${" not in written:
            text = json_text.loads(f'"{written}"') if "\\" in written else written
            return _constant(text)
        whole = PLACEHOLDER.fullmatch(written)
        if whole and not whole[1] and whole[3]:
            return _parsed(whole[3])
        return lambda scope: _filled(written, scope)


def _constant(value: Json) -> Node:
    return lambda scope: value


def _computed(token: str, left: Node, right: Node) -> Node:
    if token in _DECIDING:
        decides = _DECIDING[token]
        return lambda scope: decides if _flag(left(scope)) == decides else _flag(right(scope))
    if token in _NUMERIC:
        number = _NUMERIC[token]
        return lambda scope: number(_number(left(scope)), _number(right(scope)))
    equality = _EQUALITY[token]
    return lambda scope: equality(left(scope), right(scope))


def _reference(name: str, steps: list[tuple[str, Node]]) -> Node:
    """var.a.b[0]: the longest part that has a value, and the members of this value."""
    texts = [name, *(text for text, _ in steps)]

    def value(scope: Scope) -> Json:
        if name in scope.variables:
            found, taken = scope.variables[name], 0
        else:
            for taken in reversed(range(len(texts))):
                if (known := scope.find(texts[taken])) is not None:
                    found = known.value
                    break
            else:
                raise _UnknownError(texts[-1])
        for _, key in steps[taken:]:
            found = _member(found, key(scope))
        return found

    return value


def _member(value: Json, key: Json) -> Json:
    """Raises LookupError, TypeError."""
    if isinstance(value, dict):
        return value[as_text(key)]
    if not isinstance(value, list):
        raise TypeError
    index = int(_number(key))
    if not 0 <= index < len(value):
        raise IndexError(index)
    return value[index]


def _first(arguments: list[Node], scope: Scope, can: bool) -> Json:
    """Of try(...), can(...): that a name has no value here is no failure."""
    for each in arguments:
        try:
            value = each(scope)
        except _FAULTS:
            continue
        return True if can else value
    if can:
        return False
    raise LookupError("try")
