"""Jayway's dialect of JSONPath, which AWS speaks: text -> Query.

A query is a definite prefix (`$.a[0]`: a tuple of keys, walked in a plain loop) and, for what can
match many values, a chain of jsonpath-ng nodes for the rest (`[*].b`, `..c`, `[?(@.d > 1)]`), with
Jayway's own slices, merges and filters among them.
It follows what json-path 2.9 was seen to do, but for its accidents: `$..[*].b` finds what it says.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

from jsonpath_ng.jsonpath import Child, DatumInContext, JSONPath
from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.expression_errors import SyntaxFault, unparsed
from stepwell.asl.java_values import java_class, java_text
from stepwell.asl.jsonpath_filters import FUNCTIONS, OPERATORS, Regex, Unfit
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.asl.meter import meter, spend

# A blank is only allowed where Jayway skips it, so the tokens carry their own. A bare name ends
# earlier in a filter (LOCAL).
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


class Escaped(str):
    """A name that was written with escapes, `raw` as it was written. An object may have it under
    either spelling.
    """

    __slots__ = ("raw",)
    raw: str


def held(value: dict[str, Json], name: str) -> str:
    """The spelling of a name under which an object has it, if it has it."""
    return name if not isinstance(name, Escaped) else name.raw if name.raw in value else str(name)


Key: TypeAlias = str | int
Read: TypeAlias = Callable[[Json, Json], Json]  # (the item under test, the root document)
Test: TypeAlias = Callable[[Json, Json], bool]
Types: TypeAlias = type | tuple[type, ...]


# --- nodes: a chain of jsonpath-ng's, and Jayway's own. Each counts what it visits ----------------
class Every(JSONPath):
    """`[*]`: all items or members."""

    def find(self, datum: Any) -> list[DatumInContext]:
        items = _items(datum.value)
        spend(len(items))
        return [DatumInContext(item, self, datum) for item in items]


class Scan(JSONPath):
    """`..`: the step is taken from the value itself and from all that is below it, the outer ones
    first.
    """

    def __init__(self, step: JSONPath) -> None:
        self.step = step

    def find(self, datum: Any) -> list[DatumInContext]:
        left, find, found = meter(), self.step.find, list[DatumInContext]()
        below: list[Json] = [datum.value]
        while below:
            value = below.pop()
            items = _items(value)
            left.spend(1 + len(items))
            found += find(DatumInContext(value, self, datum))
            below += reversed(items)
        return found


def _items(value: Json) -> Sequence[Json]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else ()


class Properties(JSONPath):
    """`.a`, `['a']`, and `['a','b']` before another step: each member that is there."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        spend(len(self.names))
        names = self.held(value) if isinstance(value, dict) else []
        return [DatumInContext(value[name], self, datum) for name in names]

    def held(self, value: dict[str, Json]) -> list[str]:
        """The names of those members that are there."""
        return [name for name in (held(value, name) for name in self.names) if name in value]


class Merge(Properties):
    """`['a','b']` at the end: one object with those members. After `..`, only of objects that have
    them all.
    """

    def __init__(self, names: tuple[str, ...], scan: bool) -> None:
        super().__init__(names)
        self.complete = scan

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        names = self.held(value) if isinstance(value, dict) else None
        if names is None or (self.complete and len(names) < len(self.names)):
            return []
        return [DatumInContext({name: value[name] for name in names}, self, datum)]


class Items(JSONPath):
    """`[0,2]` and `[1:3]`: `pick` gives the wanted positions for a length; negative ones count from
    the end, others may not be there.
    """

    def __init__(self, pick: Callable[[int], Iterable[int]]) -> None:
        self.pick = pick

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        if not isinstance(value, list):
            return []
        length = len(value)
        positions = [position for position in self.pick(length) if -length <= position < length]
        spend(1 + len(positions))
        return [DatumInContext(value[position], self, datum) for position in positions]


class Where(JSONPath):
    """`[?(...)]`: the items of an array that pass, or the object itself.

    After `..` an array must pass too; the objects in it are tried by themselves.
    """

    def __init__(self, test: Test, scan: bool) -> None:
        self.test, self.scan = test, scan

    def find(self, datum: Any) -> list[DatumInContext]:
        value, top = datum.value, datum
        while top.context is not None:
            top = top.context
        if isinstance(value, dict):
            return [datum] if self.test(value, top.value) else []
        if not isinstance(value, list) or (self.scan and not self.test(value, top.value)):
            return []
        spend(len(value))
        return [DatumInContext(item, self, datum) for item in value if self.test(item, top.value)]


# --- queries --------------------------------------------------------------------------------------
class Step(NamedTuple):
    """One step of a path as it was read. `label` is what Jayway's messages call it."""

    label: str
    key: Key | None  # of a step that has one result at most
    node: Callable[[bool, bool], JSONPath]  # (is it the last step, does it follow ..)
    wants: Types = object  # what a definite path must have come to
    scan: bool = False


class Call(NamedTuple):
    name: str
    arguments: tuple[Read, ...]


def walker(keys: tuple[Key, ...]) -> Read:
    """A closure that follows keys through a document; MISSING where they end nowhere."""
    if all(isinstance(key, str) and not isinstance(key, Escaped) for key in keys):

        def names(value: Json, _: object) -> Json:
            try:
                for key in keys:
                    value = value[key]
            except (KeyError, TypeError):
                return MISSING
            return value

        return names

    def mixed(value: Json, _: object) -> Json:
        try:
            for key in keys:
                if type(key) is int and type(value) is not list:
                    return MISSING  # Python would index a string
                value = value[
                    held(value, key)
                    if isinstance(key, Escaped) and isinstance(value, dict)
                    else key
                ]
        except (KeyError, TypeError, IndexError):
            return MISSING
        return value

    return mixed


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled path below its root.

    keys      the definite prefix
    tail      the nodes for the rest, None if there is none
    wants     what the tail can start from
    definite  True: one result or none; False: a list
    labels    all of the path, step by step, in the spelling of Jayway's messages
    """

    keys: tuple[Key, ...]
    tail: JSONPath | None
    wants: Types
    call: Call | None
    definite: bool
    labels: tuple[str, ...]
    walk: Read

    def find(self, document: Json, root: Json, strict: bool = False) -> Json:
        """The result for `document`, MISSING if there is none. `root` is what `$` means in a
        filter.

        Raises Unreadable if a function at its end fails. See `explain` for `strict`.
        """
        value = self.walk(document, root)
        if value is MISSING or (self.tail is not None and not isinstance(value, self.wants)):
            return MISSING if self.explain(document, strict) else []
        if self.tail is not None:
            found = [
                match.value
                for match in self.tail.find(DatumInContext(value, context=DatumInContext(root)))
            ]
            if self.call is None:
                return found[0] if self.definite else found
            if not self.definite:
                return [self._apply(item, root) for item in found]
            value = found
            if self.call.name in ("length", "size"):  # Jayway counts what the matches hold
                value = [
                    item for match in found if isinstance(match, (list, dict)) for item in match
                ]
        return value if self.call is None else self._apply(value, root)

    def _apply(self, value: Json, root: Json) -> Json:
        assert self.call is not None
        arguments = [argument(value, root) for argument in self.call.arguments]
        return FUNCTIONS[self.call.name](
            value, [argument for argument in arguments if argument is not MISSING]
        )

    def explain(self, document: Json, strict: bool = False) -> str | None:
        """Jayway's reason why `find` gave MISSING; None if it did not.

        What a path that can match many values goes through may be missing: AWS then finds none.
        Jayway itself does not (`strict`).
        """
        strict = strict or self.definite
        value: Any = document
        for position, key in enumerate(self.keys):
            wants: Any = dict if isinstance(key, str) else list
            if not isinstance(value, wants):
                return self._obstacle(value, position, wants, strict)
            if isinstance(key, int) and not -len(value) <= key < len(value):
                return (
                    messages.NO_RESULTS.format(normalized=self._spelled(None))
                    if self.definite
                    else None
                )
            if isinstance(key, str) and (key := held(value, key)) not in value:
                text = (
                    messages.NO_RESULTS
                    if position == len(self.labels) - 1
                    else messages.MISSING_PROPERTY
                )
                return text.format(normalized=self._spelled(position + 1)) if strict else None
            value = value[key]
        return (
            None
            if self.tail is None or isinstance(value, self.wants)
            else self._obstacle(value, len(self.keys), self.wants, strict)
        )

    def _obstacle(self, value: Json, position: int, wants: Types, strict: bool) -> str | None:
        """Why the step at `position` cannot be taken from the value."""
        if not strict and (wants is dict or (wants is list and value is None)):
            return None
        if wants is dict:
            return messages.OBJECT_EXPECTED.format(
                property=self.labels[position],
                path=self._spelled(position),
                found=java_class(value),
            )
        if wants is list and value is None:
            return messages.PATH_IS_NULL.format(path=self._spelled(position))
        text = messages.ARRAYS_ONLY if wants is list else messages.NO_PRIMITIVES
        return text.format(filter="".join(self.labels[position:]), value=java_text(value))

    def _spelled(self, stop: int | None) -> str:
        return "$" + "".join(self.labels[:stop])


def assemble(steps: tuple[Step, ...], call: Call | None) -> Query:
    """Steps -> the definite prefix and the nodes of the rest."""
    prefix = next(
        (number for number, step in enumerate(steps) if step.key is None or step.scan), len(steps)
    )
    keys = tuple(step.key for step in steps[:prefix] if step.key is not None)
    rest, tail = steps[prefix:], None
    for number, step in enumerate(rest, 1):
        node = step.node(number == len(rest) and call is None, step.scan)
        if step.scan:
            node = Scan(node)
        tail = node if tail is None else Child(tail, node)
    gathers = bool(steps) and steps[0].scan  # a function after $.. gets all matches at once
    merged = len(rest) == 1 and isinstance(tail, Merge)
    definite = tail is None or (gathers if call else merged)
    wants = object if not rest or rest[0].scan else rest[0].wants  # .. looks anywhere
    labels = [f"..{step.label}" if step.scan else step.label for step in steps] + (
        [f".{call.name}()"] if call else []
    )
    return Query(keys, tail, wants, call, definite, tuple(labels), walker(keys))


# --- reading --------------------------------------------------------------------------------------
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
    return text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # joins what two \u made of one letter


def _picks(token: str) -> Callable[[int], Iterable[int]]:
    """A slice. Between two bounds Jayway counts from the first to the second, wherever they lie; it
    reads a step and ignores it.
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
        """As Jayway has it: the item is asked, even by a path from `$`; no match is enough where
        there may be many.
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
    """The action of each grammar rule. Called while the text is read, so no tree is made and none
    is walked.
    """

    def path(self, *parts: Any) -> Query:
        *steps, call = parts
        if len(steps) > DEFAULT_LIMITS.jsonpath_steps:
            raise SyntaxFault(messages.PATH_TOO_LONG)
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
            except Unfit:
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
            raise SyntaxFault(messages.NO_PATH_FUNCTION.format(name=name))
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
        """What is not quoted, and none of JSON's words, is text: AWS's own examples have
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
def _parser() -> Lark:
    return Lark(
        GRAMMAR.replace("WORDS", _WORD_OPERATORS),
        start="path",
        parser="lalr",
        lexer="contextual",
        transformer=_Builder(),
        maybe_placeholders=True,
    )


def parse(text: str) -> Query:
    """Compile a path that starts with `$`. Raises SyntaxFault."""
    if (
        len(text) > DEFAULT_LIMITS.jsonpath_chars
        or sum(map(text.count, "([{!")) > DEFAULT_LIMITS.jsonpath_steps
    ):
        raise SyntaxFault(messages.PATH_TOO_LONG)
    try:
        return cast(Query, _parser().parse(text))
    except UnexpectedInput as error:
        raise unparsed(text, error) from None
