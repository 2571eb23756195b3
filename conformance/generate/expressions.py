"""JSONata expressions that fit an example value. They test the flow of data, not all of JSONata."""

from random import Random
from typing import Final

from stepwell.conformance.generate.jsonpath import FAULTY, plain
from stepwell.conformance.generate.values import chance, kind_of, nodes, value
from stepwell.conformance.oracle.values import Json

_RESERVED: Final = frozenset({"and", "or", "in", "true", "false", "null", "function"})
_CONSTANT: Final = {
    "number": ("1", "0", "1.5", "-2"),
    "string": ("'a'", "'é'", "''", "'x y'"),
    "boolean": ("true", "false"),
    "array": ("[]", "[1,2]", "[[1],2]", "['a']", "$range(1,5,2)", "$partition([1,2,3],2)"),
    "object": ("{}", "{'a':1}", "{'a':{'b':null}}"),
    "null": ("null",),
}
_MADE: Final = {
    "number": (
        "{n} + 1",
        "{n} * 2 - 1",
        "$count({l})",
        "$length({s})",
        "$abs({n})",
        "$length($uuid())",
        "$floor($random())",
        "({b} ? 1 : 2)",
        "$floor({n} / 2)",
    ),
    "string": (
        "{s} & 'z'",
        "$string({n})",
        "$uppercase({s})",
        "$join(['a','b'], ',')",
        "$substring({s}, 0, 1)",
        "$hash({s}, 'SHA-256')",
    ),
    "boolean": (
        "{n} > 1",
        "{b} and true",
        "$not({b})",
        "$exists({n})",
        "{s} = 'a'",
        "{n} in [1,2,3]",
    ),
    "array": (
        "$append({l}, [1])",
        "[{n}, {s}]",
        "$reverse({l})",
        "[1..3]",
        "[$map([1,2], function($v) {{ $v + 1 }})]",
        "[{n}]",
    ),
    "object": (
        "{{'k': {n}}}",
        "$merge([{o}, {{'m': 1}}])",
        "$parse('{{\"p\":[1]}}')",
        "{{'s': {s}, 'l': {l}}}",
    ),
    "null": ("null",),
}
_BROKEN: Final = (
    "$states.input.missing",
    "$undefined_name",
    "1 + 'a'",
    "$eval('1')",
    "$error('no')",
    "(function($x) { $x })",
)


class Expressions:
    """Draws expressions over what a state may read: its input, its variables, its result."""

    def __init__(self, r: Random, data: Json, variables: dict[str, Json], in_map: bool) -> None:
        self.r, self.data, self.variables, self.in_map = r, data, variables, in_map
        self.roots: list[tuple[str, Json]] = [
            ("$states.input", data),
            *((f"${name}", each) for name, each in variables.items()),
        ]

    def with_result(self, name: str, result: Json) -> "Expressions":
        """Also over $states.result or $states.errorOutput."""
        other = Expressions(self.r, self.data, self.variables, self.in_map)
        other.roots = [*self.roots, (f"$states.{name}", result), (f"$states.{name}", result)]
        return other

    def path(self, wanted: str | None = None) -> str | None:
        found = []
        for root, data in self.roots:
            for keys, each in nodes(data):
                if (wanted is None or kind_of(each) == wanted) and all(
                    isinstance(key, str) and plain(key) and key not in _RESERVED for key in keys
                ):
                    found.append(".".join((root, *map(str, keys))))
        return self.r.choice(found) if found else None

    def source(self, wanted: str | None = None, depth: int = 1) -> str:
        r = self.r
        if chance(r, FAULTY):
            return r.choice(_BROKEN)
        kind = wanted or r.choice(("number", "string", "boolean", "array", "object", "null"))
        if wanted is None and self.in_map and chance(r, 0.15):
            return r.choice(("$states.context.Map.Item.Index", "$states.context.Map.Item.Value"))
        if wanted is None and chance(r, 0.05):
            return r.choice(
                ("$states.context.State.Name", "$states.context.Execution.Input", "$states.input")
            )
        if depth and chance(r, 0.4):
            shape = r.choice(_MADE[kind])
            return shape.format(
                **{
                    name[0]: self.source(name, 0)
                    for name in ("number", "string", "boolean", "object")
                },
                l=self.source("array", 0),
            )
        if chance(r, 0.7):
            path = self.path(kind)
            if path is not None:
                return path
        return r.choice(_CONSTANT[kind])

    def expression(self, wanted: str | None = None) -> str:
        return "{% " + self.source(wanted) + " %}"

    def value(self, depth: int = 2) -> Json:
        """A JSON value with expressions in it."""
        r = self.r
        kind = r.randrange(6)
        if kind < 2 or not depth:
            return self.expression()
        if kind == 2:
            return value(r, 1)
        if kind == 3:
            return [self.value(depth - 1) for _ in range(r.randrange(3))]
        return {
            r.choice(("a", "b", "n", "s", "l", "x y", "é")): self.value(depth - 1)
            for _ in range(r.randrange(1, 4))
        }

    def members(self) -> dict[str, Json]:
        r = self.r
        return {name: self.value(1) for name in ("a", "n", "l", "s")[: r.randrange(1, 5)]}
