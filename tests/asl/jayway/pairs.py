"""Random pairs of a path and a document, of the kinds that people write."""

import json
from random import Random
from typing import Any

NAMES = [
    "id",
    "name",
    "price",
    "tags",
    "items",
    "order",
    "lines",
    "status",
    "a",
    "b",
    "total",
    "x-y",
    "grün",
    "it's",
    'a"b',
    "a.b",
    "k_1",
    "Total Amount",
]
WORDS = ["red", "blue", "OK", "x", "", "Receipt", "12", "grün", "a b", "true"]


def document(r: Random, depth: int = 3) -> Any:
    """An object or array of small values, in which names come again."""
    kind = r.random()
    if depth and kind < 0.45:
        return {r.choice(NAMES): document(r, depth - 1) for _ in range(r.randint(0, 4))}
    if depth and kind < 0.75:
        if r.random() < 0.5:  # rows: objects of the same members
            names = r.sample(NAMES, r.randint(1, 3))
            return [
                {name: scalar(r) for name in names if r.random() < 0.9}
                for _ in range(r.randint(1, 4))
            ]
        return [document(r, depth - 1) for _ in range(r.randint(0, 4))]
    return scalar(r)


def scalar(r: Random) -> Any:
    return r.choice(
        [
            None,
            True,
            False,
            r.randint(-3, 20),
            r.randint(-3, 20),
            r.choice([0.5, 1.0, 2.25, 1e10]),
            r.choice(WORDS),
            r.choice(WORDS),
        ]
    )


def quoted(r: Random, name: str, mark: str = "") -> str:
    mark = mark or r.choice("''\"")
    return mark + name.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def member(r: Random, name: str) -> str:
    plain = name.replace("_", "").replace("-", "").isalnum()
    return f".{name}" if plain and r.random() < 0.8 else f"[{quoted(r, name)}]"


def path(r: Random, value: Any) -> str:
    """A path that mostly leads somewhere in the value."""
    text, at, steps = "$", value, r.randint(1, 4)
    for _ in range(steps):
        step, at = _step(r, at, value)
        text += step
    if r.random() < 0.12:
        text += r.choice(
            [
                ".length()",
                ".sum()",
                ".min()",
                ".max()",
                ".avg()",
                ".keys()",
                ".first()",
                ".last()",
                ".size()",
                ".index(0)",
            ]
        )
    return text + (" " if r.random() < 0.02 else "")


def _step(r: Random, at: Any, root: Any) -> tuple[str, Any]:
    kind = r.random()
    if kind < 0.1:
        name = r.choice(NAMES)
        named = f"..{name}" if name.isalnum() else f"..[{quoted(r, name)}]"
        return r.choices([named, "..*", "..[*]", "..[0]"], (12, 1, 1, 2))[0], _any(r, at)
    if isinstance(at, dict) and at and kind < 0.93:
        return _of_object(r, at, root)
    if isinstance(at, list) and at and kind < 0.93:
        return _of_array(r, at, root)
    guess = r.choice(
        [
            member(r, r.choice(NAMES)),
            f"[{r.randint(-2, 3)}]",
            "[*]",
            ".*",
            slice_(r),
            f"[?({test(r, at, root)})]",
        ]
    )
    return guess, None


def _of_object(r: Random, at: dict[str, Any], root: Any) -> tuple[str, Any]:
    kind = r.random()
    name = r.choice(list(at)) if r.random() < 0.85 else r.choice(NAMES)
    if kind < 0.75:
        return member(r, name), at.get(name)
    if kind < 0.85:
        return r.choice([".*", "[*]"]), _any(r, at)
    if kind < 0.95:
        names = [name, *r.sample(NAMES, r.randint(1, 2))]
        mark = r.choice("''\"")
        return "[" + r.choice([",", ", "]).join(
            quoted(r, each, mark) for each in names
        ) + "]", _any(r, at)
    return f"[?({test(r, at, root)})]", at


def _of_array(r: Random, at: list[Any], root: Any) -> tuple[str, Any]:
    kind, item = r.random(), r.choice(at)
    if kind < 0.3:
        index = r.randint(-len(at), len(at) - 1) if r.random() < 0.9 else r.randint(-6, 6)
        return f"[{index}]", at[index] if -len(at) <= index < len(at) else None
    if kind < 0.5:
        return r.choice(["[*]", "[*]", ".*"]), item
    if kind < 0.62:
        return slice_(r), item
    if kind < 0.7:
        return "[" + ",".join(str(r.randint(-2, 3)) for _ in range(r.randint(2, 3))) + "]", item
    return f"[?({test(r, item, root)})]", item


def slice_(r: Random) -> str:
    start, stop = r.choice(["", str(r.randint(-3, 3))]), r.choice(["", str(r.randint(-3, 4))])
    return f"[{start}:{stop}]" if start or stop else "[0:]"


def _any(r: Random, at: Any) -> Any:
    values = list(at.values()) if isinstance(at, dict) else at if isinstance(at, list) else [None]
    return r.choice(values) if values else None


def literal(r: Random, value: Any) -> str:
    if isinstance(value, str):
        return quoted(r, value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def operand(r: Random, item: Any) -> tuple[str, Any]:
    """(a path from the item under test, its value)"""
    if isinstance(item, dict) and item and r.random() < 0.9:
        name = r.choice(list(item))
        text, value = "@" + member(r, name), item[name]
        if isinstance(value, dict) and value and r.random() < 0.5:
            name = r.choice(list(value))
            return text + member(r, name), value[name]
        if isinstance(value, list) and r.random() < 0.3:
            return text + r.choice([".length()", "[0]", "[*]", ".size()"]), r.choice(
                [len(value), *value]
            )
        return text, value
    return r.choice(["@", "@" + member(r, r.choice(NAMES))]), item


def test(r: Random, item: Any, root: Any, depth: int = 2) -> str:
    kind = r.random()
    if depth and kind < 0.15:
        return f" {r.choice(['&&', '||'])} ".join(test(r, item, root, depth - 1) for _ in range(2))
    if depth and kind < 0.2:
        return f"!({test(r, item, root, depth - 1)})"
    left, value = operand(r, item)
    if kind < 0.32:
        return r.choice(["", "", "!"]) + left
    gap = r.choice([" ", " ", ""])
    other = value if r.random() < 0.5 else scalar(r)
    if kind < 0.8:
        right = literal(r, other)
        if isinstance(root, dict) and r.random() < 0.1:
            right = "$" + member(r, r.choice(list(root) or NAMES))
        return f"{left}{gap}{r.choice(['==', '==', '!=', '<', '<=', '>', '>='])}{gap}{right}"
    if kind < 0.85:
        return (
            f"{left} =~ "
            f"/{r.choice(['r.*', '.*e.*', '[a-z]+', 'ok', '[0-9]+'])}/{r.choice(['', 'i'])}"
        )
    if kind < 0.92:
        others = ", ".join(
            literal(r, each) for each in (other, scalar(r)) if not isinstance(each, (list, dict))
        )
        return f"{left} {r.choice(['in', 'nin', 'subsetof', 'anyof', 'noneof'])} [{others}]"
    tests = (
        f"contains {literal(r, r.choice(WORDS))}",
        f"size {r.randint(0, 3)}",
        f"empty {r.choice(['true', 'false'])}",
    )
    return f"{left} {r.choice(tests)}"


def pair(seed: int) -> tuple[str, Any]:
    r = Random(seed)
    value = document(r)
    while not isinstance(value, (dict, list)):
        value = document(r)
    return path(r, value), value
