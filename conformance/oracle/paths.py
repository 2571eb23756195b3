"""JSONPath: the values that a path of a definition selects.

    $.name  ['name']  ["name"]  [0]  [-1]  [0,2]  ['a','b']  [1:3]  .*  [*]  ..name  [?(@.x > 1)]

A path that can only lead to one node is definite: it selects that node, or nothing (MISSING). All
others select an array of nodes, empty below a missing member; but an index or slice of a node that
is no array, reached by definite steps, is an error (MISSING).
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from stepwell.conformance.oracle.values import (
    ANY,
    MISSING,
    FieldError,
    Json,
    UndeterminedError,
    below,
    is_number,
)

_TOKEN: Final = re.compile(
    r"""\.\.(?P<deep>\*|[^\W\d][\w-]*)
      | \.(?P<name>\*|[^\W][\w-]*)
      | \[\s*(?P<star>\*)\s*\]
      | \[\s*(?P<names>'(?:[^'\\]|\\.)*'(?:\s*,\s*'(?:[^'\\]|\\.)*')*)\s*\]
      | \[\s*(?P<quoted>"(?:[^"\\]|\\.)*")\s*\]
      | \[\s*(?P<indexes>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
      | \[\s*(?P<slice>(?:-?\d+)?\s*:\s*(?:-?\d+)?)\s*\]
      | \[\?\(\s*(?P<filter>@[^)]*)\)\]
    """,
    re.VERBOSE,
)
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'")
_FILTER: Final = re.compile(r"@((?:\.\w+)*)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*")


class Step(NamedTuple):
    """One step. `walk`: node -> the nodes it leads to; `key`: the name or index of a definite step;
    `arrays`: it applies to arrays only.
    """

    walk: Callable[[Json], Iterator[Json]]
    key: str | int | None
    arrays: bool = False


class Path(NamedTuple):
    root: str  # "$", "$$" or "$name"
    steps: tuple[Step, ...]
    text: str

    @property
    def definite(self) -> bool:
        return all(step.key is not None for step in self.steps)

    @property
    def keys(self) -> list[Any]:
        return [step.key for step in self.steps]


@lru_cache(4096)
def parse(text: str) -> Path:
    """Read a path. ValueError for other text."""
    match = re.match(r"\$(\$|[^\W\d]\w*)?", text)
    if match is None:
        raise ValueError(text)
    text = text.rstrip(" ")
    at, steps = match.end(), []
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"{text} at {at}")
        steps.append(_step(token))
        at = token.end()
    return Path(match[0], tuple(steps), text)


def _step(token: re.Match[str]) -> Step:
    kind, found = next(
        (kind, found) for kind, found in token.groupdict().items() if found is not None
    )
    if kind == "deep":
        return Step(lambda node: _deep(node, found), None)
    if kind == "star" or found == "*":
        return Step(below, None)
    if kind == "name":
        return _member(found)
    if kind == "quoted":
        return _spelled(found[1:-1])
    if kind == "names":
        written = _QUOTED.findall(found)
        names = [_unescaped(name) for name in written]
        if len(names) == 1:
            return _spelled(written[0])
        # several names: one object with the members that exist
        return Step(lambda node: _picked(node, names), None)
    if kind == "indexes":
        indexes = [int(index) for index in found.split(",")]
        single = indexes[0] if len(indexes) == 1 else None
        return Step(
            lambda node: (value for index in indexes for value in _at(node, index)), single, True
        )
    if kind == "slice":
        start, end = (int(edge) if edge.strip() else None for edge in found.split(":"))
        return Step(
            lambda node: iter(node[start:end]) if isinstance(node, list) else iter(()), None, True
        )
    test = _test(found)
    return Step(lambda node: (value for value in _array(node) if test(value)), None)


def _array(node: Json) -> list[Json]:
    if not isinstance(node, list):
        raise UndeterminedError  # a filter on anything else is not documented
    return node


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _member(name: str) -> Step:
    return Step(
        lambda node: iter([node[name]]) if isinstance(node, dict) and name in node else iter(()),
        name,
    )


def _spelled(written: str) -> Step:
    """A quoted name: a member named as written, backslashes included, has precedence over one named
    as the escapes say.
    """
    plain, escaped = _member(written), _member(_unescaped(written))
    return Step(
        lambda node: (
            plain.walk(node) if isinstance(node, dict) and written in node else escaped.walk(node)
        ),
        escaped.key,
    )


def _picked(node: Json, names: list[str]) -> Iterator[Json]:
    if isinstance(node, dict):
        yield {name: node[name] for name in names if name in node}


def _at(node: Json, index: int) -> Iterator[Json]:
    if isinstance(node, list) and -len(node) <= index < len(node):
        yield node[index]


def _deep(node: Json, name: str) -> Iterator[Json]:
    """`..name`: in the node itself first, then in everything below, in document order."""
    if name == "*":
        for each in below(node):
            yield each
        for each in below(node):
            yield from _deep(each, name)
        return
    if isinstance(node, dict) and name in node:
        yield node[name]
    for each in below(node):
        yield from _deep(each, name)


def _test(text: str) -> Callable[[Json], bool]:
    """A filter: `@.a` (it exists) or `@.a < 3`, `@ == 'x'`."""
    match = _FILTER.fullmatch(text)
    if match is None:
        raise UndeterminedError
    names, operator, literal = match[1].split(".")[1:], match[2], match[3]

    def read(node: Json) -> Json:
        for name in names:
            if not isinstance(node, dict) or name not in node:
                return MISSING
            node = node[name]
        return node

    if operator is None:
        return lambda node: read(node) is not MISSING
    words: dict[str, Json] = {"true": True, "false": False, "null": None}
    wanted = (
        literal[1:-1]
        if literal[0] in "'\""
        else words[literal]
        if literal in words
        else _unquoted(literal)
    )

    def compare(node: Json) -> bool:
        value = read(node)
        if value is MISSING:
            return False
        comparable = (is_number(value) and is_number(wanted)) or (
            isinstance(value, str) and isinstance(wanted, str)
        )
        if (
            not comparable
            and not (isinstance(value, bool) and isinstance(wanted, bool))
            and not (value is None and wanted is None)
        ):
            return operator == "!="
        match operator:
            case "==":
                return bool(value == wanted)
            case "!=":
                return bool(value != wanted)
            case "<":
                return bool(value < wanted)
            case ">":
                return bool(value > wanted)
            case "<=":
                return bool(value <= wanted)
        return bool(value >= wanted)

    return compare


def _unquoted(literal: str) -> Json:
    """A number; else a string without quotes."""
    try:
        return float(literal)
    except ValueError:
        return literal


def find(path: Path, document: Json) -> Json:
    """What a path selects in a document, or MISSING.

    As long as the path has led to a single node, an index or slice needs an array.
    """
    nodes, definite = [document], True
    for step in path.steps:
        if (
            definite
            and nodes
            and step.arrays
            and nodes[0] is not None
            and not isinstance(nodes[0], list)
        ):
            return MISSING
        nodes = [each for node in nodes for each in step.walk(node)]
        definite = definite and step.key is not None
    return nodes if not definite else nodes[0] if nodes else MISSING


def missed(path: Path, document: Json) -> str:
    """Why a definite path selects nothing, as AWS says it: its last member or one on the way to it
    is missing.
    """
    shown = "$"
    for place, step in enumerate(path.steps):
        following = list(step.walk(document))
        key = f"['{step.key}']" if isinstance(step.key, str) else f"[{step.key}]"
        shown += key
        if not following:
            if not isinstance(step.key, str) or not isinstance(document, dict):
                return ANY  # only texts about names in objects are recorded
            last = place == len(path.steps) - 1
            return f"No results for path: {shown}" if last else f"Missing property in path {shown}"
        document = following[0]
    return ANY


def put(path: Path, target: Json, value: Json) -> Json:
    """ResultPath: a copy of `target` with the value at a reference path. Missing objects are
    created, missing array items are not.
    """
    return _put(target, path.keys, value)


def _put(target: Json, keys: list[Any], value: Json) -> Json:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(key, str) and (target is MISSING or isinstance(target, dict)):
        members = target if isinstance(target, dict) else {}
        return {**members, key: _put(members.get(key, MISSING), rest, value)}
    if isinstance(key, int) and isinstance(target, list) and -len(target) <= key < len(target):
        place = key % len(target)
        return [*target[:place], _put(target[place], rest, value), *target[place + 1 :]]
    raise FieldError("States.ResultPathMatchFailure", ANY)
