"""The text of a definition -> a tree of its values with their offsets, also of a text that is not
complete yet.

JSON is read by a parser that skips what it does not expect. YAML that cannot be read is read up to
the line of the mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

OBJECT, ARRAY, SCALAR = "object", "array", "scalar"
_DEPTH: Final = 200  # of nested values; deeper ones are left out
_TOKEN: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*"?|[$#]\{[^}\n]*\}|[{}\[\],:]|//[^\n]*|[^\s{}\[\],:"]+', re.DOTALL
)


@dataclass(slots=True, eq=False)
class Node:
    """A value.

    start, end      offsets
    text            of a scalar: its value as text
    members         of an object, in the order of the text
    items           of an array
    """

    kind: str
    start: int
    end: int
    text: str = ""
    quoted: bool = False
    members: list[Member] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def get(self, name: str) -> Node | None:
        return next((each.value for each in self.members if each.name == name), None)

    def word(self, name: str) -> str:
        """The text of a member, "" if it is no scalar."""
        value = self.get(name)
        return value.text if value is not None and value.kind == SCALAR else ""


@dataclass(slots=True, eq=False)
class Member:
    """A member of an object. value: None while it is being written."""

    name: str
    key: Node
    value: Node | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an offset is.

    parents   from the root inwards: (object or array, member or None of an item)
    node      the key or scalar at the offset; None between them
    is_key    whether it is a key, or where a key would be
    """

    parents: tuple[tuple[Node, Member | None], ...]
    node: Node | None
    is_key: bool


def parse(text: str, is_yaml: bool) -> Node:
    return _parse_yaml(text) if is_yaml else _parse_json(text)


def walk(node: Node) -> Iterator[Node]:
    yield node
    for each in (*node.items, *(member.value for member in node.members)):
        if each is not None:
            yield from walk(each)


def spot(root: Node, offset: int) -> Spot:
    parents: list[tuple[Node, Member | None]] = []
    node = root
    while node.kind != SCALAR:
        member = None
        inner = next((each for each in node.items if each.start <= offset <= each.end), None)
        for each in node.members:
            if each.key.start <= offset <= each.key.end:
                return Spot((*parents, (node, each)), each.key, True)
            if each.value is not None and each.value.start <= offset <= each.value.end:
                member, inner = each, each.value
            elif each.value is None and each.key.end < offset:
                member = each
        parents.append((node, member))
        if inner is None:
            unfinished = member is not None and member.value is None
            return Spot(tuple(parents), None, node.kind == OBJECT and not unfinished)
        node = inner
    return Spot(tuple(parents), node, False)


# --- JSON -----------------------------------------------------------------------------------------


def _parse_json(text: str) -> Node:
    root: Node | None = None
    open_: list[Node] = []
    pending: Member | None = None  # a key whose value comes next
    for token in _TOKEN.finditer(text):
        word, start, end = token[0], token.start(), token.end()
        if word.startswith("//"):
            continue
        if word in ("}", "]"):
            kind = OBJECT if word == "}" else ARRAY
            if any(each.kind == kind for each in open_):
                while open_:
                    closed = open_.pop()
                    closed.end = end
                    if closed.kind == kind:
                        break
            pending = None
        elif word == ",":
            pending = None
        elif word == ":":
            if open_ and open_[-1].kind == OBJECT and open_[-1].members:
                pending = open_[-1].members[-1]
        elif len(open_) < _DEPTH:
            kind = {"{": OBJECT, "[": ARRAY}.get(word, SCALAR)
            node = Node(kind, start, end if kind == SCALAR else len(text))
            if kind == SCALAR:
                node.text, node.quoted = _unquoted(word), word.startswith('"')
            if not open_:
                root = root or node
            elif open_[-1].kind == ARRAY:
                open_[-1].items.append(node)
            elif pending is not None:
                pending.value, pending = node, None
            elif kind == SCALAR:
                open_[-1].members.append(Member(node.text, node))
            if kind != SCALAR:
                open_.append(node)
    return root or Node(OBJECT, 0, len(text))


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        return word.strip('"')


# --- YAML -----------------------------------------------------------------------------------------


def _parse_yaml(text: str) -> Node:
    for _ in range(2):
        try:
            composed = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as fault:
            mark: Any = getattr(fault, "problem_mark", None)
            if mark is None:
                break
            text = "".join(text.splitlines(keepends=True)[: mark.line])
        else:
            return _of_yaml(composed, 0) if composed is not None else Node(OBJECT, 0, len(text))
    return Node(OBJECT, 0, len(text))


def _of_yaml(node: yaml.Node, depth: int) -> Node:
    start, end = node.start_mark.index, node.end_mark.index
    if depth > _DEPTH or isinstance(node, yaml.ScalarNode):
        return Node(SCALAR, start, end, str(node.value), getattr(node, "style", None) is not None)
    if isinstance(node, yaml.SequenceNode):
        return Node(ARRAY, start, end, items=[_of_yaml(each, depth + 1) for each in node.value])
    members = [
        Member(str(key.value), _of_yaml(key, depth + 1), _of_yaml(value, depth + 1))
        for key, value in node.value
    ]
    return Node(OBJECT, start, end, members=members)
