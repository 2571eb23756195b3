"""Functions of Terraform's expressions. What they refuse is a LookupError, TypeError or ValueError.

Source: the documentation of Terraform's language, "Built-in Functions".
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import as_text

LAZY: Final = ("try", "can")  # their arguments may fail
_VERB: Final = re.compile(r"%(%|[-+ 0]?\d{0,3}(?:\.\d{1,3})?[sdvqfgt])")
_MOST_ITEMS: Final = 1024  # of range(): Terraform's limit


def _format(text: str, *values: Json) -> str:
    rest = list(values)

    def value(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        each, verb = rest.pop(0), match[1]
        if verb[-1] in "dfg":
            return str(f"%{verb}" % each)
        word = json_text.dumps(as_text(each)) if verb[-1] == "q" else as_text(each)
        return str(f"%{verb[:-1]}s" % word)

    return _VERB.sub(value, text)


def _replace(text: str, old: str, new: str) -> str:
    if len(old) > 1 and old[0] == old[-1] == "/":
        raise ValueError("a regular expression of another language")
    return text.replace(old, new)


def _range(*limits: int) -> Json:
    items = range(*limits)
    if len(items) > _MOST_ITEMS:
        raise ValueError("too many")
    return list(items)


def _merged(*values: dict[str, Json]) -> Json:
    return {key: each for value in values if value is not None for key, each in value.items()}


def _flat(value: Json) -> list[Json]:
    if not isinstance(value, list):
        return [value]
    return [each for item in value for each in _flat(item)]


def _distinct(items: list[Json]) -> list[Json]:
    found: list[Json] = []
    for each in items:
        if each not in found:
            found.append(each)
    return found


def _lookup(value: dict[str, Json], key: str, *default: Json) -> Json:
    return value[key] if key in value or not default else default[0]


def _number(value: Json) -> Json:
    return json_text.loads(value) if isinstance(value, str) else value


def _flag(value: Json) -> Json:
    flags: Mapping[Json, bool] = {"true": True, "false": False, True: True, False: False}
    return flags[value]


def _coalesce(*values: Json) -> Json:
    found, *_ = (each for each in values if each not in (None, ""))
    return found


def _title(text: str) -> str:
    return re.sub(r"\b\w", lambda match: match[0].upper(), text)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "base64encode": lambda text: base64.b64encode(text.encode()).decode(),
    "ceil": math.ceil,
    "coalesce": _coalesce,
    "compact": lambda items: [each for each in items if each not in (None, "")],
    "concat": lambda *lists: [each for items in lists for each in list(items)],
    "contains": lambda items, value: value in items,
    "distinct": _distinct,
    "element": lambda items, index: items[index % len(items)],
    "endswith": lambda text, suffix: text.endswith(suffix),
    "flatten": _flat,
    "floor": math.floor,
    "format": _format,
    "index": lambda items, value: items.index(value),
    "join": lambda separator, *lists: separator.join(as_text(each) for each in _flat(list(lists))),
    "jsondecode": json_text.loads,
    "jsonencode": json_text.dumps,
    "keys": sorted,
    "length": len,
    "lookup": _lookup,
    "lower": str.lower,
    "max": max,
    "merge": _merged,
    "min": min,
    "range": _range,
    "replace": _replace,
    "reverse": lambda items: items[::-1],
    "slice": lambda items, start, end: items[start:end],
    "sort": sorted,
    "split": lambda separator, text: text.split(separator),
    "startswith": lambda text, prefix: text.startswith(prefix),
    "substr": lambda text, at, size: text[at : at + size if size >= 0 else None],
    "title": _title,
    "tobool": _flag,
    "tolist": list,
    "tomap": dict,
    "tonumber": _number,
    "toset": lambda items: sorted(_distinct(items)),
    "tostring": as_text,
    "trim": str.strip,
    "trimprefix": str.removeprefix,
    "trimspace": str.strip,
    "trimsuffix": str.removesuffix,
    "upper": str.upper,
    "values": lambda value: [value[key] for key in sorted(value)],
    "yamlencode": json_text.dumps,
    "zipmap": lambda keys, values: dict(zip(keys, values)),
}
