"""The Conditions of JSONata whose regions are known: comparisons of paths with literals, joined by
and, or and $not.

    read("$n > 5 and $kind = 'a'") -> Condition((("$n", ">", 5), ("$kind", "=", "a")), test)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from stepwell.asl.evaluation import MISSING, Env, Json
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.json_text import JsonError, loads
from stepwell.asl.jsonata import compile_jsonata
from stepwell.asl.jsonata_functions import JsonataError

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<path>\$(?:states\.(?:input|context|result)|(?!states\b)[a-z_]\w*)(?:\.[^\W\d]\w*)*(?![\w.\[(]))
    |(?P<literal>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|true\b|false\b)
    |(?P<operator>!=|<=|>=|=|<|>)
    |(?P<join>and\b|or\b|\(|\)|\$not\()
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_TURNED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Condition(NamedTuple):
    """comparisons: (path, operator, literal) of each; test: of {path: value}, None if it raises an
    error.
    """

    comparisons: tuple[tuple[str, str, Json], ...]
    test: Callable[[Mapping[str, Json]], bool | None]


def read(source: str) -> Condition | None:
    """A Condition, without {% %}; None if it has other parts."""
    tokens = _tokens(source)
    if tokens is None:
        return None
    found = []
    for place, (kind, text) in enumerate(tokens):
        if kind != "operator":
            continue
        sides = tokens[place - 1 : place + 2 : 2] if place else []
        kinds = [side for side, _ in sides]
        if kinds == ["path", "literal"]:
            found.append((sides[0][1], text, _value(sides[1][1])))
        elif kinds == ["literal", "path"]:
            found.append((sides[1][1], _TURNED.get(text, text), _value(sides[0][1])))
        else:
            return None
    paths = [text for kind, text in tokens if kind == "path"]
    if len(paths) != len(found) or any(value is MISSING for _, _, value in found):
        return None  # a path that is a condition by itself
    names = {path: f"v{index}" for index, path in enumerate(dict.fromkeys(paths))}
    renamed = " ".join(f"${names[text]}" if kind == "path" else text for kind, text in tokens)
    return Condition(tuple(found), _test(renamed, names)) if found else None


def _tokens(source: str) -> list[tuple[str, str]] | None:
    tokens, at, source = list[tuple[str, str]](), 0, source.strip()
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            return None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


def _value(literal: str) -> Json:
    if literal[0] == "'":
        literal = '"' + literal[1:-1].replace('"', '\\"') + '"'
    try:
        return loads(literal)
    except JsonError:
        return MISSING


def _test(source: str, names: Mapping[str, str]) -> Callable[[Mapping[str, Json]], bool | None]:
    try:
        expression = compile_jsonata(source)
    except ExpressionSyntaxError:
        return lambda values: None

    def test(values: Mapping[str, Json]) -> bool | None:
        bound = {name: values[path] for path, name in names.items() if values[path] is not MISSING}
        try:
            found = expression.value_of(Env(None, bound, dict, bytes, 0))
        except JsonataError:
            return None
        return found if isinstance(found, bool) else None

    return test
