"""What the ItemReader and the ResultWriter of a recorded Map have returned, as far as its children
and its output show it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from stepwell.asl.evaluation import MISSING, Json
from stepwell.engine.replay.map_results import SHAPING

_ITEM: Final = re.compile(
    r"\$\$\.Map\.Item\.Value((?:\.\w+)*)|"
    r"\{%\s*\$states\.context\.Map\.Item\.Value((?:\.\w+)*)\s*%\}"
)
_MENTIONED: Final = re.compile(r"Map\.Item\.(Value|Key)")


def items(fields: Mapping[str, Any], inputs: Sequence[Json]) -> list[Json] | None:
    """The items of which children got these inputs, in order; None: they do not show them. Of an
    item of which the selector takes parts, it has these parts.

    fields  of the Map
    """
    if "ItemBatcher" in fields:
        batches = [each.get("Items") if isinstance(each, dict) else None for each in inputs]
        if not all(isinstance(each, list) for each in batches):
            return None
        inputs = list(chain.from_iterable(batches))  # type: ignore[arg-type]
    selector = fields.get("ItemSelector", fields.get("Parameters"))
    if selector is None:
        return list(inputs)
    taken = list(_taken(selector, ()))
    if not taken or any(path is None for _, path in taken):
        return None
    found = [_item(taken, each) for each in inputs]
    return None if any(each is MISSING for each in found) else found


def _taken(template: Json, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(place in the input, names within the item) of each value that the selector takes of it;
    None: of another expression.
    """
    if isinstance(template, dict):
        for name, each in template.items():
            yield from _taken(each, (*at, name.removesuffix(".$")))
    elif isinstance(template, list):
        for each in template:
            yield from ((at, None) for _ in _taken(each, ()))
    elif isinstance(template, str) and _MENTIONED.search(template):
        match = _ITEM.fullmatch(template)
        path = match and (match[1] or match[2] or "")
        yield at, None if path is None else tuple(path.split(".")[1:])


def _item(taken: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], input: Json) -> Json:
    """MISSING: the input is not one of the selector."""
    item: Json = {}
    for place, path in sorted(taken, key=lambda each: len(each[1])):
        value = _at(input, place)
        if value is MISSING:
            return MISSING
        if not path:
            return value
        inner: Any = item
        for name in path[:-1]:
            inner = inner.setdefault(name, {}) if isinstance(inner, dict) else {}
        if isinstance(inner, dict):
            inner[path[-1]] = value
    return item


def _at(value: Json, path: Sequence[str]) -> Json:
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def written(fields: Mapping[str, Any], output: Json) -> Json:
    """The result of a Map with a ResultWriter, whose state has this output; MISSING: it does not
    show it.
    """
    path = fields.get("ResultPath", "$")
    if SHAPING & fields.keys() or path is None:
        return MISSING
    return _at(output, str(path).split(".")[1:])
