"""Paths, payload templates, intrinsic calls and Choice rules that fit an example value, except for
a few that are meant to fail.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.values import (
    INSTANTS,
    SMALL,
    chance,
    kind_of,
    nodes,
    number,
    scalar,
    string,
    value,
)
from stepwell.conformance.oracle.values import ANY, Json, text

FAULTY: Final = 0.03  # share of paths to missing nodes, and of arguments of the wrong type
_CONTEXT: Final = ("$$.State.Name", "$$.Execution.Input", "$$.Execution.Name", "$$.StateMachine.Id")
# indefinite paths below an array or object
_MANY: Final = (
    "[*]",
    "[*].a",
    "[0:2]",
    "[-1:]",
    "[0,1]",
    "..a",
    "..n",
    "[?(@.a)]",
    "[?(@.n > 1)]",
    "[?(@.a == 'a')]",
)


def plain(name: str) -> bool:
    return name.isidentifier() and name.isascii()


def written(r: Random, keys: tuple[str | int, ...], root: str = "$") -> str:
    """A path to a node, in one of its spellings."""
    path = root
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif plain(key) and chance(r, 0.9):
            path += f".{key}"
        else:
            path += "['" + key.replace("\\", "\\\\").replace("'", "\\'") + "']"
    return path


class Source:
    """Draws expressions over what a state may read: its input (an example), variables, the item of
    the innermost Map.
    """

    def __init__(
        self, r: Random, data: Json, variables: dict[str, Json], in_map: bool, retried: bool = False
    ) -> None:
        self.r, self.data, self.variables = r, data, variables
        self.in_map, self.retried = in_map, retried

    def faulty(self) -> bool:
        return chance(self.r, FAULTY)

    # --- paths ------------------------------------------------------------------------------------

    def reference(self, wanted: str | None = None) -> str | None:
        """A reference path to a node of the wanted type; None if there is none."""
        r = self.r
        if self.faulty():
            return r.choice(("$.missing", "$.missing.deeper", "$.o.missing"))
        roots: list[tuple[str, Json]] = [
            ("$", self.data),
            *((f"${name}", each) for name, each in self.variables.items()),
        ]
        if self.variables and chance(r, 0.3):
            roots = roots[1:]
        found = [
            (root, keys)
            for root, data in roots
            for keys, each in nodes(data)
            if (wanted is None or kind_of(each) == wanted)
            and (keys or root != "$" or chance(r, 0.3))
        ]
        if not found:
            return None
        root, keys = r.choice(found)
        return written(r, keys, root)

    def path(self) -> str:
        """Any path."""
        r = self.r
        if chance(r, 0.08):
            return r.choice(_CONTEXT)
        if self.in_map and chance(r, 0.15):
            return r.choice(("$$.Map.Item.Index", "$$.Map.Item.Value"))
        if self.retried and chance(r, 0.1):
            return "$$.State.RetryCount"
        if chance(r, 0.12):
            wanted = self.reference("array")
            if wanted is not None:
                return wanted + r.choice(_MANY)
        return self.reference() or "$"

    # --- templates --------------------------------------------------------------------------------

    def template(self, depth: int = 2, calls: float = 0.3) -> dict[str, Json]:
        r = self.r
        fields: dict[str, Json] = {}
        for _ in range(r.randrange(1, 4)):
            name = r.choice(("a", "b", "c", "n", "s", "l", "o", "x y", "é"))
            if name in fields or name + ".$" in fields:
                continue
            if chance(r, calls):
                fields[name + ".$"] = self.call()
            elif chance(r, 0.6):
                fields[name + ".$"] = self.path()
            elif depth and chance(r, 0.4):
                inner = self.template(depth - 1, calls)
                fields[name] = [inner, scalar(r)] if chance(r, 0.3) else inner
            else:
                fields[name] = value(r, 1)
        return fields

    # --- intrinsic calls --------------------------------------------------------------------------

    def call(self, depth: int = 2) -> str:
        r = self.r
        name = r.choice(tuple(_CALLS))
        return _CALLS[name](self, depth)

    def argument(self, wanted: str, depth: int) -> str:
        """An argument of a type: a path, a literal or a call."""
        r = self.r
        if self.faulty():
            wanted = r.choice(("number", "string", "array", "object", "null"))
        if depth and chance(r, 0.2):
            return (
                r.choice(_GIVING[wanted])(self, depth - 1)
                if wanted in _GIVING
                else self.argument(wanted, 0)
            )
        if chance(r, 0.6):
            path = self.reference(wanted)
            if (
                path is not None
                and not any(letter in path for letter in "()\\")
                and "'" not in path.replace("['", "").replace("']", "")
            ):
                return path
        return literal(r, wanted)


def quoted(text: str) -> str:
    for letter in "\\'{}":
        text = text.replace(letter, "\\" + letter)
    return f"'{text}'"


def literal(r: Random, wanted: str) -> str:
    if wanted == "number":
        return text(r.choice(SMALL) if chance(r, 0.7) else r.choice((1.5, -1.5, 2.5, 10)))
    if wanted == "string":
        return quoted(string(r))
    if wanted == "array":
        return (
            "States.Array("
            + ", ".join(
                literal(r, r.choice(("number", "string", "null"))) for _ in range(r.randrange(4))
            )
            + ")"
        )
    if wanted == "object":
        return (
            "States.StringToJson(" + quoted(r.choice(("{}", '{"a":1}', '{"b":[],"a":null}'))) + ")"
        )
    return {"null": "null", "boolean": r.choice(("true", "false"))}[wanted]


def _format(source: Source, depth: int) -> str:
    r = source.r
    count = r.randrange(3)
    pieces = [
        r.choice(("", "a", "é ", "\\\\{", "\\\\}", "it\\'s ", "-")).replace("\\\\", "\\")
        for _ in range(count + 1)
    ]
    slots = count + (1 if source.faulty() else 0)
    template = "{}".join(pieces) + "{}" * (slots - count)
    arguments = [
        source.argument(r.choice(("string", "number", "object", "array", "null", "boolean")), depth)
        for _ in range(count)
    ]
    return "States.Format(" + ", ".join((f"'{template}'", *arguments)) + ")"


def _calling(name: str, *wanted: str) -> Callable[[Source, int], str]:
    def call(source: Source, depth: int) -> str:
        return f"States.{name}(" + ", ".join(source.argument(each, depth) for each in wanted) + ")"

    return call


def _range(source: Source, depth: int) -> str:
    r = source.r
    if chance(r, 0.1):
        return r.choice(
            (
                "States.ArrayRange(1, 1000, 1)",
                "States.ArrayRange(0, 1000, 1)",
                "States.ArrayRange(1, 5, 0)",
            )
        )
    return (
        f"States.ArrayRange({r.randrange(-3, 4)}, {r.randrange(-3, 8)}, "
        f"{r.choice((1, 2, 3, -1, -2))})"
    )


def _item(source: Source, depth: int) -> str:
    r = source.r
    return (
        f"States.ArrayGetItem(States.Array({', '.join(literal(r, 'number') for _ in range(3))}), "
        f"{r.choice((0, 1, 2, 2, 0, 3, -1))})"
    )


def _contains(source: Source, depth: int) -> str:
    return (
        f"States.ArrayContains({source.argument('array', depth)}, "
        f"{source.argument(source.r.choice(('number', 'string', 'null')), 0)})"
    )


def _partition(source: Source, depth: int) -> str:
    return (
        f"States.ArrayPartition({source.argument('array', depth)}, "
        f"{source.r.choice((1, 2, 3, 2, 1.5, 0))})"
    )


def _unique(source: Source, depth: int) -> str:
    if chance(source.r, 0.6):
        items = (source.r.choice(("1", "2", "null", quoted("a"))) for _ in range(5))
        return f"States.ArrayUnique(States.Array({', '.join(items)}))"
    return _calling("ArrayUnique", "array")(source, depth)


def _split(source: Source, depth: int) -> str:
    r = source.r
    text, delimiters = (
        r.choice(("a,b;c", ",,a,", "", ",,", "a b", "x.y-z")),
        r.choice((",", ",;", " ", ".-", ";")),
    )
    return f"States.StringSplit({quoted(text)}, {quoted(delimiters)})"


def _decode(source: Source, depth: int) -> str:
    texts = [quoted(text) for text in ("w6k=", "YQ==", "", "!?")]
    return f"States.Base64Decode({source.r.choice([*texts, 'States.Base64Encode($.s)'])})"


def _hash(source: Source, depth: int) -> str:
    r = source.r
    name = r.choice(("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA-512", "CRC"))
    return (
        f"States.Hash({source.argument(r.choice(('string', 'object', 'number')), depth)}, '{name}')"
    )


def _merge(source: Source, depth: int) -> str:
    deep = "true" if source.faulty() else "false"
    return (
        f"States.JsonMerge({source.argument('object', depth)}, "
        f"{source.argument('object', depth)}, {deep})"
    )


def _parse(source: Source, depth: int) -> str:
    texts = ("1", "null", "", " ", '{"a":[1,2]}', "[]", "tru", '"é"', "{", "-0.5", "[1,]")
    return f"States.StringToJson({quoted(source.r.choice(texts))})"


def _to_string(source: Source, depth: int) -> str:
    kind = source.r.choice(("object", "array", "string"))
    return f"States.JsonToString({source.argument(kind, depth)})"


def _array(source: Source, depth: int) -> str:
    items = [source.argument("number", depth) for _ in range(source.r.randrange(4))]
    return f"States.Array({', '.join(items)})"


_CALLS: Final[dict[str, Callable[[Source, int], str]]] = {
    "Format": _format,
    "StringToJson": _parse,
    "JsonToString": _to_string,
    "Array": _array,
    "ArrayPartition": _partition,
    "ArrayContains": _contains,
    "ArrayRange": _range,
    "ArrayGetItem": _item,
    "ArrayLength": _calling("ArrayLength", "array"),
    "ArrayUnique": _unique,
    "Base64Encode": _calling("Base64Encode", "string"),
    "Base64Decode": _decode,
    "Hash": _hash,
    "JsonMerge": _merge,
    "MathRandom": lambda source, depth: source.r.choice(
        ("States.MathRandom(3, 4)", "States.MathRandom(-1, 0, 7)")
    ),
    "MathAdd": _calling("MathAdd", "number", "number"),
    "StringSplit": _split,
    "UUID": lambda source, depth: "States.UUID()",
}
_GIVING: Final[dict[str, tuple[Callable[[Source, int], str], ...]]] = {
    "number": (_CALLS["MathAdd"], _CALLS["ArrayLength"]),
    "string": (_format, _CALLS["JsonToString"], _CALLS["Base64Encode"], _hash),
    "array": (_CALLS["Array"], _range, _CALLS["ArrayUnique"], _partition, _split),
    "object": (_merge,),
    "boolean": (_contains,),
}


# --- Choice ---------------------------------------------------------------------------------------
_ORDERS: Final = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
_IS: Final = ("IsNull", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp")
_PATTERNS: Final = ("*", "a*", "*b*", "foo\\*bar", "", "*é", "a\\\\*", "**", "x?y", "abc")


def near(r: Random, found: Json) -> Json:
    """A value to compare with: the same or a similar one."""
    if isinstance(found, bool):
        return r.choice((True, False))
    if isinstance(found, (int, float)):
        return found + r.choice((0, 0, 1, -1, 0.5)) if abs(found) < 2**40 else found
    if isinstance(found, str) and found in INSTANTS and chance(r, 0.7):
        return r.choice(INSTANTS)
    return found if chance(r, 0.5) else string(r)


def rule(source: Source, depth: int = 2) -> dict[str, Json]:
    """A Choice rule, without Next."""
    r = source.r
    if depth and chance(r, 0.25):
        name = r.choice(("And", "Or", "Not"))
        if name == "Not":
            return {"Not": rule(source, depth - 1)}
        return {name: [rule(source, depth - 1) for _ in range(r.randrange(1, 4))]}
    if chance(r, 0.12):
        there = source.reference(r.choice((None, "null"))) or "$"
        return {
            "Variable": r.choice((there, there, "$.missing", "$.o.missing.deeper")),
            "IsPresent": r.choice((True, False)),
        }
    kind = r.choice(("number", "string", "boolean", "timestamp", "any"))
    path = source.reference({"any": None, "timestamp": "string"}.get(kind, kind)) or "$"
    found = _value_at(source, path)
    if kind == "timestamp":
        instants = [
            keys for keys, each in nodes(source.data) if isinstance(each, str) and each in INSTANTS
        ]
        if instants:
            return _compared(
                source,
                written(r, r.choice(instants)),
                "Timestamp" + r.choice(_ORDERS),
                near_instant(r),
                "string",
            )
    if chance(r, 0.15):
        return {"Variable": path, r.choice(_IS): r.choice((True, True, False))}
    if isinstance(found, str) and found in INSTANTS and chance(r, 0.6):
        return _compared(source, path, "Timestamp" + r.choice(_ORDERS), near_instant(r), "string")
    if isinstance(found, str):
        if chance(r, 0.4):
            return {"Variable": path, "StringMatches": pattern(r, found)}
        other = near(r, found)
        return _compared(
            source,
            path,
            "String" + r.choice(_ORDERS),
            other if isinstance(other, str) else "a",
            "string",
        )
    if isinstance(found, bool):
        return _compared(source, path, "BooleanEquals", r.choice((True, False)), "boolean")
    if isinstance(found, (int, float)):
        return _compared(source, path, "Numeric" + r.choice(_ORDERS), near(r, found), "number")
    family: dict[str, Any] = {
        "StringEquals": "a",
        "NumericEquals": 0,
        "BooleanEquals": False,
        "TimestampLessThan": INSTANTS[0],
    }
    name = r.choice(tuple(family))
    return {"Variable": path, name: family[name]}


def pattern(r: Random, found: str) -> str:
    """For StringMatches: often one that matches, with a star for a part of the text."""
    if chance(r, 0.3):
        return r.choice(_PATTERNS)
    first = r.randrange(len(found) + 1)
    last = r.randrange(first, len(found) + 1)
    return _literally(found[:first]) + "*" + _literally(found[last:])


def _literally(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


def near_instant(r: Random) -> str:
    return r.choice(INSTANTS)


def _compared(source: Source, path: str, name: str, operand: Json, kind: str) -> dict[str, Json]:
    if chance(source.r, 0.25):
        other = source.reference(kind)
        if other is not None:
            return {"Variable": path, name + "Path": other}
    return {"Variable": path, name: operand}


def _value_at(source: Source, path: str) -> Json:
    from stepwell.conformance.oracle.paths import find, parse

    parsed = parse(path)
    data = source.data if parsed.root == "$" else source.variables.get(parsed.root[1:])
    found = find(parsed, data)
    return None if isinstance(found, str) and ANY in found else found


def constant(r: Random) -> Json:
    return number(r) if chance(r, 0.5) else value(r, 1)
