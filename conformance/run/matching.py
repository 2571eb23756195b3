"""Compares an answer with the expectation of a vector. cases/README.md lists the matchers.

An actual object may have more members than the expected one; a list must have as many items.
Numbers are equal by value.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Json = Any

# members of the API whose value is JSON text: a vector has the JSON value instead
JSON_TEXTS: Final = frozenset(
    {"input", "output", "parameters", "definition", "variables", "context", "result"}
    | {
        "afterInputPath",
        "afterParameters",
        "afterArguments",
        "afterResultSelector",
        "afterResultPath",
    }
    | {"afterItemsPath", "afterItemSelector", "afterItemBatcher", "afterItemsPointer"}
)


def differences(wanted: Json, got: Json, where: str = "", exact: bool = False) -> Iterator[str]:
    """A line for each difference. `exact`: actual objects may have no further members."""
    matcher = next(iter(wanted)) if isinstance(wanted, Mapping) and len(wanted) == 1 else ""
    if matcher in _MATCHERS:
        if not _MATCHERS[matcher](wanted[matcher], got):
            yield f"{where or 'value'}: expected {matcher} {show(wanted[matcher])}, got {show(got)}"
    elif isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for name in wanted:
            yield from _member(name, wanted, got, f"{where}.{name}".lstrip("."), exact)
        if exact:
            yield from (
                f"{where}.{name}: unexpected {show(got[name])}".lstrip(".")
                for name in got
                if name not in wanted
            )
    elif isinstance(wanted, list) and isinstance(got, Sequence) and not isinstance(got, str):
        if len(wanted) != len(got):
            yield f"{where or 'value'}: expected {len(wanted)} items, got {len(got)}: {show(got)}"
        else:
            for index, (one, other) in enumerate(zip(wanted, got)):
                yield from differences(one, other, f"{where}[{index}]", exact)
    elif wanted != got or isinstance(wanted, bool) != isinstance(got, bool):
        yield f"{where or 'value'}: expected {show(wanted)}, got {show(got)}"


def _member(
    name: str, wanted: Mapping[str, Json], got: Mapping[str, Json], where: str, exact: bool
) -> Iterator[str]:
    if name not in got:
        if wanted[name] != {"$absent": True}:
            yield f"{where}: missing, expected {show(wanted[name])}"
    elif (
        name in JSON_TEXTS
        and isinstance(got[name], str)
        and got[name] != wanted[name]
        and not _raw(wanted[name])
    ):
        yield from differences(wanted[name], parsed(got[name]), where, True)
    elif name == "assignedVariables":
        values = {key: parsed(text) for key, text in got[name].items()}
        yield from differences(wanted[name], values, where, True)
    else:
        yield from differences(wanted[name], got[name], where, exact)


def _raw(wanted: Json) -> bool:
    return (
        isinstance(wanted, dict)
        and len(wanted) == 1
        and next(iter(wanted)) in ("$text", "$match", "$absent")
    )


def parsed(text: str | None) -> Json:
    """The value of a JSON text, or a note that the text is no JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return f"(no JSON: {text})"


def show(value: Json, longest: int = 300) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def _matches(pattern: Json, got: Json) -> bool:
    return isinstance(got, str) and re.fullmatch(pattern, got, re.DOTALL) is not None


def _has(items: Json, got: Json) -> bool:
    """$has: every expected item is somewhere in the list."""
    return isinstance(got, list) and all(
        any(not list(differences(item, each)) for each in got) for item in items
    )


def _any_order(items: Json, got: Json) -> bool:
    return isinstance(got, list) and len(got) == len(items) and _has(items, got)


def _between(bounds: Json, got: Json) -> bool:
    return (
        isinstance(got, int | float) and not isinstance(got, bool) and bounds[0] <= got <= bounds[1]
    )


_MATCHERS: Final[dict[str, Callable[[Json, Json], bool]]] = {
    "$any": lambda asked, got: got is not None,
    "$absent": lambda asked, got: got is None,
    "$match": _matches,
    "$has": _has,
    "$unordered": _any_order,
    "$between": _between,
    "$text": lambda asked, got: asked == got,
    "$length": lambda asked, got: isinstance(got, list | str) and len(got) == asked,
}
