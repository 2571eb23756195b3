"""Choice rules in JSONPath: whether a rule holds for a value."""

import operator
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from stepwell.conformance.oracle.paths import find, parse
from stepwell.conformance.oracle.timestamps import instant
from stepwell.conformance.oracle.values import MISSING, FieldError, Json, is_number, known

Read = Callable[[str], Json]  # path -> its value, or MISSING

# value -> what the type's operators compare; None (the rule is false) for a value of another type
_TYPES: Final[dict[str, Callable[[Json], Any]]] = {
    "String": lambda value: known(value).encode("utf-16-be") if isinstance(value, str) else None,
    "Numeric": lambda value: float(value) if is_number(value) else None,
    "Boolean": lambda value: value if isinstance(value, bool) else None,
    "Timestamp": instant,
}
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_IS: Final[dict[str, Callable[[Json], bool]]] = {
    "IsNull": lambda value: value is None,
    "IsString": lambda value: isinstance(value, str),
    "IsNumeric": is_number,
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: instant(value) is not None,
}


class Comparison(NamedTuple):
    kind: Callable[[Json], Any]
    order: Callable[[Any, Any], bool]
    by_path: bool  # the operand is a path


COMPARISONS: Final = {
    f"{kind}{order}{suffix}": Comparison(read, compare, suffix == "Path")
    for kind, read in _TYPES.items()
    for order, compare in _ORDERS.items()
    for suffix in ("", "Path")
    if kind != "Boolean" or order == "Equals"
}


def holds(rule: dict[str, Json], read: Read) -> bool:
    """Whether a rule holds. FieldError if a path has no value, except for IsPresent."""
    if "Not" in rule:
        return not holds(rule["Not"], read)
    if "And" in rule:
        return all(holds(each, read) for each in rule["And"])
    if "Or" in rule:
        return any(holds(each, read) for each in rule["Or"])
    if "IsPresent" in rule:
        return (read(rule["Variable"]) is not MISSING) is rule["IsPresent"]
    value = _present(rule["Variable"], read)
    for name, wanted in rule.items():
        if name in _IS:
            return _IS[name](value) is wanted
        if name == "StringMatches":
            return (
                isinstance(value, str)
                and re.fullmatch(_pattern(wanted), known(value), re.DOTALL) is not None
            )
        if name in COMPARISONS:
            comparison = COMPARISONS[name]
            left = comparison.kind(value)
            right = comparison.kind(_present(wanted, read) if comparison.by_path else wanted)
            return left is not None and right is not None and comparison.order(left, right)
    raise ValueError(f"a rule without an operator: {rule}")


def _present(path: str, read: Read) -> Json:
    value = read(path)
    if value is MISSING:
        raise FieldError(
            "States.Runtime",
            (
                f"Invalid path '{path}': The choice state's condition path references an invalid "
                "value."
            ),
        )
    return value


def _pattern(text: str) -> str:
    """StringMatches as a regular expression: `*` is any text, a backslash escapes."""
    return "".join(
        ".*" if each == "*" else re.escape(each[-1])
        for each in re.findall(r"\\[*\\]|.", text, re.DOTALL)
    )


def reader(document: Json, roots: Callable[[str], Json]) -> Read:
    """`roots`: "$$" and "$name" -> the Context object, the variable."""

    def read(text: str) -> Json:
        path = parse(text)
        start = document if path.root == "$" else roots(path.root)
        return MISSING if start is MISSING else find(path, start)

    return read
