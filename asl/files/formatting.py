"""Definition text -> the same definition with fields in the order of field_order.py and an
indentation of two blanks.

Every string and number stays as it is written, and so do placeholders. The order of states and of
the user's data is kept.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from stepwell.asl.field_order import RANKS, SHAPES
from stepwell.asl.files.placeholders import MARK, MarkedJson, Placeholders
from stepwell.asl.json_scanner import KEY, VALUE, JsonError, scan
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

COLUMNS: Final = 100  # an array of plain values is on one line if it ends before
_FRAGMENT: Final = re.compile(rf'"({MARK.pattern})": "{MARK.pattern}"')
_BARE: Final = re.compile(rf'"((?:{MARK.pattern})+)"')
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[^\s,\]}]+', re.DOTALL)


@dataclass(slots=True)
class _Object:
    members: list[tuple[str, str, "_Node"]] = field(default_factory=list)  # name, as written, value


@dataclass(slots=True)
class _Array:
    items: list["_Node"] = field(default_factory=list)


_Node: TypeAlias = "_Object | _Array | str"


def formatted(text: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """The formatted text of a definition. It has the line ends of `text`. Raises JsonError; its
    place is in MarkedJson's text.
    """
    placeholders = Placeholders({}, text, escapes=False)
    try:
        root = _read(MarkedJson(text, placeholders).text, limits)
    except JsonError:
        placeholders = Placeholders({}, text, escapes=False, others=True)
        root = _read(MarkedJson(text, placeholders).text, limits)
    lines: list[str] = []
    _write(root, "", "", "machine", lines)
    pretty = _Written(placeholders).of("\n".join(lines)) + "\n"
    return pretty.replace("\n", "\r\n") if "\r\n" in text else pretty


class _Written:
    """Text with marks -> with placeholders as they were written."""

    def __init__(self, placeholders: Placeholders) -> None:
        self.found = placeholders.found

    def of(self, text: str) -> str:
        text = _FRAGMENT.sub(self._fragment, text)
        text = _BARE.sub(self._unquoted, text)
        return MARK.sub(lambda mark: self.found[int(mark[1])].written, text)

    def _fragment(self, match: re.Match[str]) -> str:
        """Members of an object: one placeholder, which was marked twice."""
        name, value = (self.found[int(number)] for number in MARK.findall(match[0]))
        same = name.bare and value.bare and name.offset == value.offset
        return match[1] if same else match[0]

    def _unquoted(self, match: re.Match[str]) -> str:
        bare = all(self.found[int(number)].bare for number in MARK.findall(match[0]))
        return match[1] if bare else match[0]


def _read(text: str, limits: Limits) -> _Node:
    root = _Array()
    holders: list[_Object | _Array] = [root]
    keys: list[tuple[str, str]] = []
    for event, value, offset in scan(text, limits.definition_depth):
        if event == KEY:
            keys.append((str(value), _raw(text, offset)))
            continue
        if event in ("}", "]"):
            holders.pop()
            continue
        node: _Node = _Object() if event == "{" else _Array() if event == "[" else ""
        if event == VALUE:
            node = _raw(text, offset)
        holder = holders[-1]
        if isinstance(holder, _Object):
            holder.members.append((*keys.pop(), node))
        else:
            holder.items.append(node)
        if not isinstance(node, str):
            holders.append(node)
    return root.items[0]


def _raw(text: str, offset: int) -> str:
    match = _TOKEN.match(text, offset)
    assert match is not None  # the scanner has accepted it
    return match[0]


def _write(node: _Node, indent: str, start: str, shape: str, lines: list[str]) -> None:
    """Append the lines of a value. start: what precedes it on its first line; shape: the name of
    its Shape, "" for data, with "[]" or "{}" for an array or object of such.
    """
    first = indent + start
    if isinstance(node, str):
        lines.append(first + node)
        return
    inner: Sequence[tuple[str, _Node, str]]
    if isinstance(node, _Array):
        inner = [("", each, shape.removesuffix("[]")) for each in node.items]
        opener, closer = "[", "]"
        plain = [each for each in node.items if isinstance(each, str)]
        line = f"{first}[{', '.join(plain)}]"
        if len(plain) == len(inner) and len(line) < COLUMNS:
            lines.append(line)
            return
    else:
        inner, (opener, closer) = _members(node, shape), "{}"
    if not inner:
        lines.append(first + opener + closer)
        return
    lines.append(first + opener)
    for name, each, below in inner:
        _write(each, f"{indent}  ", name, below, lines)
        lines[-1] += ","
    lines[-1] = lines[-1][:-1]
    lines.append(indent + closer)


def _members(node: _Object, shape: str) -> list[tuple[str, _Node, str]]:
    if shape.endswith("{}"):
        return [(f"{raw}: ", each, shape[:-2]) for _, raw, each in node.members]
    if shape not in SHAPES:
        return [(f"{raw}: ", each, "") for _, raw, each in node.members]
    ranks, inner = RANKS[shape], SHAPES[shape].inner
    members = sorted(node.members, key=lambda member: ranks.get(member[0], ranks["*"]))
    return [(f"{raw}: ", each, "".join(inner.get(name, ("", "")))) for name, raw, each in members]
