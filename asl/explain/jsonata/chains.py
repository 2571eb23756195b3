"""The chains of a JSONata expression: `$states.input.order.items[sku="a"].price`, each with the
prefixes that evaluate by themselves. Chains that begin at a name, as in a predicate, have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SKIPPED: Final = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|/\*.*?\*/|`[^`]*`|(?<=[(,~=])\s*/(?:[^/\\\n]|\\.)+/[im]*""",
    re.DOTALL,
)
_ROOT: Final = re.compile(r"\$\$?\w*")
_STEP: Final = re.compile(r"\s*\.\s*(?:(\w+)|`([^`]+)`|\"([^\"\\]+)\"|(\*\*?))(?!\w*\()")
_INDEX: Final = re.compile(r"\[\s*(-?\d+)\s*\]")
_TEXT_IN_BRACKETS: Final = re.compile(r"""\[\s*(["'])([^"'\\]+)\1\s*\]""")
_OPENERS: Final = {"[": "]", "(": ")", "{": "}"}


class Link(NamedTuple):
    """One step of a chain. prefix: the text up to and with it; key: the name or index, None for a
    predicate or a wildcard; text: as written.
    """

    prefix: str
    key: str | int | None
    text: str


class Chain(NamedTuple):
    """root: "$states", "$name", "$" or "$$"; start: its place in the source."""

    root: str
    links: tuple[Link, ...]
    start: int
    text: str


def chains(source: str) -> Iterator[Chain]:
    """The chains of an expression, in order. Calls are not chains, their arguments are searched."""
    at = 0
    while at < len(source):
        if skipped := _SKIPPED.match(source, at):
            at = skipped.end()
        elif root := _ROOT.match(source, at):
            at = root.end()
            if not re.match(r"\s*(\(|:=)", source[at:]):  # a call, an assignment
                links, end = _links(source, root.start(), at)
                yield Chain(root[0], links, root.start(), source[root.start() : end])
        else:
            at += 1


def name_in_brackets(source: str) -> tuple[str, str] | None:
    """(path, what is probably meant) of the first path with a text in brackets: `order['id']` has a
    predicate that is true for every value.
    """
    for chain in chains(source):
        for link in chain.links:
            if match := _TEXT_IN_BRACKETS.fullmatch(link.text):
                plain = match[2] if re.fullmatch(r"[^\W\d]\w*", match[2]) else f"`{match[2]}`"
                return link.prefix, f"{link.prefix[: -len(link.text)]}.{plain}"
    return None


def _links(source: str, start: int, at: int) -> tuple[tuple[Link, ...], int]:
    links: list[Link] = []
    while True:
        if step := _STEP.match(source, at):
            key, end = step[1] or step[2] or step[3], step.end()
        elif index := _INDEX.match(source, at):
            key, end = int(index[1]), index.end()
        elif at < len(source) and source[at] == "[" and (closed := closing(source, at)):
            key, end = None, closed
        else:
            return tuple(links), at
        links.append(Link(source[start:end], key, source[at:end].strip()))
        at = end


def closing(source: str, at: int) -> int | None:
    """The place behind the bracket that closes the one at `at`; None if there is none."""
    open_: list[str] = []
    while at < len(source):
        if skipped := _SKIPPED.match(source, at):
            at = skipped.end()
            continue
        letter = source[at]
        if letter in _OPENERS:
            open_.append(_OPENERS[letter])
        elif open_ and letter == open_[-1]:
            open_.pop()
            if not open_:
                return at + 1
        at += 1
    return None


def top_level(source: str) -> str:
    """The source without what is in brackets, strings and comments."""
    text, at = "", 0
    while at < len(source):
        if skipped := _SKIPPED.match(source, at):
            text, at = text + " ", skipped.end()
        elif source[at] in _OPENERS and (closed := closing(source, at)):
            text, at = text + source[at], closed
        else:
            text, at = text + source[at], at + 1
    return text
