"""The variables that the states of a definition read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stepwell.asl.evaluation import Json

# Texts in quotes, and names after a single `$`: `$$` is the Context object, `$.` and `$[` the
# input.
_NAMES: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?<!\$)\$([^\W\d]\w*)""")


def variable_references(definition: Json) -> dict[str, list[str]]:
    """{state: sorted names of the variables that it reads} of a valid definition, nested states
    included; states that read none are left out.
    """
    found: dict[str, list[str]] = {}
    language = (
        definition.get("QueryLanguage", "JSONPath") if isinstance(definition, dict) else "JSONPath"
    )
    for name, state, jsonata in _states(definition, language):
        names = set(_jsonata(state) if jsonata else _jsonpath(state))
        if names:
            found[name] = sorted(names)
    return found


def _states(block: Json, language: str) -> Iterator[tuple[str, dict[str, Json], bool]]:
    """(name, fields without inner blocks, whether it is JSONata) of every state, at any depth."""
    if not isinstance(block, dict) or not isinstance(states := block.get("States"), dict):
        return
    for name, state in states.items():
        if not isinstance(state, dict):
            continue
        inner = [state.get("ItemProcessor"), state.get("Iterator")]
        branches = state.get("Branches")
        own = {
            key: value
            for key, value in state.items()
            if key not in ("ItemProcessor", "Iterator", "Branches", "Comment", "Result")
        }
        yield name, own, state.get("QueryLanguage", language) == "JSONata"
        for each in inner + (branches if isinstance(branches, list) else []):
            yield from _states(each, language)


def _jsonata(value: Json) -> Iterator[str]:
    from stepwell.asl.jsonata import variables_read  # imported late: it has a parser
    from stepwell.asl.jsonata_values import expressions

    for _, source in expressions(value):
        yield from variables_read(source)


def _jsonpath(value: Json) -> Iterator[str]:
    """The names in the expressions of a state: paths, and the values of keys that end in `.$`."""
    if isinstance(value, list):
        for item in value:
            yield from _jsonpath(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(item, str):
                yield from _jsonpath(item)
            elif key.endswith((".$", "Path")) or key == "Variable":
                yield from names_read(item)


def names_read(text: str) -> Iterator[str]:
    """The names of the variables in a path or an intrinsic call."""
    return (name for name in _NAMES.findall(text) if name)
