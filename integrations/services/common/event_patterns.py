"""Event patterns: the matcher of EventBridge's rules and SNS's filter policies.

    matches = compile_pattern({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    matches({"source": "shop", "detail": {"total": 120}})  # True

The conditions of a field are alternatives; the fields of an object must all match. Of a list in the
event one element must match, and of a list of objects one object must match a nested pattern.
Matching takes time in proportion to the event: no condition backtracks.

`Index` finds the matching ones of many patterns without trying all of them.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.common import messages

Test = Callable[[Any], bool]  # of one value that is not a list
Match = Callable[[Any], bool]  # of an object
Path = tuple[str, ...]

_ABSENT: Final = object()
_OR: Final = "$or"
_NUMBER_MOST: Final = 5e9
_SCALARS: Final = (str, int, float, bool, type(None))


class PatternError(ValueError):
    """A pattern is invalid; the text says why, in the words of AWS's matcher if they are known."""


def compile_pattern(pattern: Any, limits: Limits = DEFAULT_LIMITS) -> Match:
    """Raises PatternError."""
    if type(pattern) is not dict:
        raise PatternError(messages.PATTERN_NOT_OBJECT)
    if _combinations(pattern) > limits.pattern_combinations:
        raise PatternError(messages.PATTERN_TOO_COMPLEX.format(limit=limits.pattern_combinations))
    return _object(pattern, limits.pattern_depth)


def _object(pattern: Mapping[str, Any], depth: int) -> Match:
    if not pattern:
        raise PatternError(messages.PATTERN_EMPTY)
    if depth == 0:
        raise PatternError(messages.PATTERN_TOO_DEEP)
    fields: list[tuple[str, Callable[[Any], bool]]] = []
    choices: list[Match] = []
    for name, inner in pattern.items():
        if is_or(name, inner):
            choices.append(_any_of([_object(each, depth - 1) for each in inner]))
        elif type(inner) is dict:
            fields.append((name, _nested(_object(inner, depth - 1))))
        elif type(inner) is list:
            fields.append((name, _field(inner)))
        else:
            raise PatternError(messages.PATTERN_FIELD.format(name=name))
    if len(fields) == 1 and not choices:
        ((name, fits),) = fields
        return lambda value: fits(value.get(name, _ABSENT))

    def matches(value: Any) -> bool:
        for name, fits in fields:
            if not fits(value.get(name, _ABSENT)):
                return False
        return all(choice(value) for choice in choices)

    return matches


def is_or(name: str, inner: Any) -> bool:
    """Whether a field is an `$or` of alternatives: a list of two or more objects."""
    if name != _OR:
        return False
    return (
        type(inner) is list
        and len(inner) > 1
        and all(type(each) is dict and each.keys().isdisjoint(OPERATORS) for each in inner)
    )


def _any_of(matches: list[Match]) -> Match:
    return lambda value: any(each(value) for each in matches)


def _nested(inner: Match) -> Callable[[Any], bool]:
    """The match of a field that is an object or a list of objects. Without one, only
    `exists: false` can match.
    """
    without = inner({})

    def fits(value: Any) -> bool:
        if type(value) is dict:
            return inner(value)
        if type(value) is list:
            objects = [each for each in _flat(value) if type(each) is dict]
            return any(inner(each) for each in objects) if objects else without
        return without

    return fits


def _flat(values: list[Any]) -> list[Any]:
    """The elements of a list and of its nested lists."""
    if not any(type(each) is list for each in values):
        return values
    flat: list[Any] = []
    pending = [values]
    while pending:
        for each in pending.pop():
            pending.append(each) if type(each) is list else flat.append(each)
    return flat


# --- the conditions of one field ------------------------------------------------------------------


def _field(conditions: list[Any]) -> Callable[[Any], bool]:
    if not conditions:
        raise PatternError(messages.PATTERN_EMPTY_LIST)
    exact, tests, exists = set[tuple[bool, Any]](), list[Test](), set[bool]()
    for each in conditions:
        if type(each) in _SCALARS:
            exact.add(_exact(each))
        elif type(each) is not dict:
            raise PatternError(messages.PATTERN_VALUE)
        elif len(each) != 1:
            raise PatternError(messages.PATTERN_ONE_KEY)
        else:
            ((operator, operand),) = each.items()
            if operator == "exists":
                if type(operand) is not bool:
                    raise PatternError(messages.PATTERN_EXISTS)
                exists.add(operand)
            else:
                tests.append(_operator(operator, operand))
    return _leaf(_one(exact, tests), True in exists, False in exists)


def _exact(value: Any) -> tuple[bool, Any]:
    """A key that is equal for equal values: true is not 1, and 300 is 300.0."""
    return type(value) is bool, value


def _one(exact: set[tuple[bool, Any]], tests: list[Test]) -> Test:
    """The test of one value, with a faster one for strings only."""
    if not tests and all(type(value) is str for _, value in exact):
        texts = frozenset(value for _, value in exact)
        return lambda value: type(value) is str and value in texts
    if not exact and len(tests) == 1:
        return tests[0]

    def fits(value: Any) -> bool:
        return (type(value) is bool, value) in exact or any(test(value) for test in tests)

    return fits


def _leaf(test: Test, present: bool, absent: bool) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if type(value) is list:
            leaves = [each for each in _flat(value) if type(each) is not dict]
            return (present or any(map(test, leaves))) if leaves else absent
        if value is _ABSENT or type(value) is dict:  # `exists` is about leaves
            return absent
        return present or test(value)

    return fits


def _operator(name: str, operand: Any) -> Test:
    make = OPERATORS.get(name)
    if make is None:
        raise PatternError(messages.PATTERN_OPERATOR.format(name=name))
    return make(operand)


def _text(name: str, operand: Any) -> str:
    if type(operand) is not str:
        raise PatternError(messages.PATTERN_TEXT.format(name=name))
    return operand


def _equals_ignore_case(operand: Any) -> Test:
    wanted = _text("equals-ignore-case", operand).lower()
    return lambda value: type(value) is str and value.lower() == wanted


def _edge(name: str, test: Callable[[str, str], bool]) -> Callable[[Any], Test]:
    """prefix and suffix: a string, or {"equals-ignore-case": string}."""

    def make(operand: Any) -> Test:
        if type(operand) is dict and operand.keys() == {"equals-ignore-case"}:
            lowered = _text(name, operand["equals-ignore-case"]).lower()
            return lambda value: type(value) is str and test(value.lower(), lowered)
        edge = _text(name, operand)
        return lambda value: type(value) is str and test(value, edge)

    return make


def _wildcard(operand: Any) -> Test:
    pieces = _pieces(_text("wildcard", operand))
    if len(pieces) == 1:
        return lambda value: value == pieces[0]
    first, *middle, last = pieces
    least = sum(map(len, pieces))

    def fits(value: Any) -> bool:
        if (
            type(value) is not str
            or len(value) < least
            or not value.startswith(first)
            or not value.endswith(last)
        ):
            return False
        at, end = len(first), len(value) - len(last)
        for piece in middle:  # the first occurrence leaves the most room for the others
            at = value.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return fits


def _pieces(text: str) -> list[str]:
    """The texts between the stars; `\\*` and `\\\\` are a star and a backslash."""
    pieces, at = [""], 0
    while at < len(text):
        if text[at] == "\\":
            if text[at + 1 : at + 2] not in ("*", "\\"):
                raise PatternError(messages.PATTERN_ESCAPE.format(at=at))
            at += 1
            pieces[-1] += text[at]
        elif text[at] == "*":
            if text[at - 1 : at] == "*" and at and len(pieces) > 1 and pieces[-1] == "":
                raise PatternError(messages.PATTERN_STARS.format(at=at - 1))
            pieces.append("")
        else:
            pieces[-1] += text[at]
        at += 1
    return pieces


_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Any) -> Test:
    if type(operand) is not list:
        raise PatternError(messages.PATTERN_NUMERIC)
    if len(operand) not in (2, 4) or (
        len(operand) == 4 and not (operand[0] in (">", ">=") and operand[2] in ("<", "<="))
    ):
        raise PatternError(messages.PATTERN_NUMERIC_TERMS)
    bounds = []
    for sign, bound in zip(operand[::2], operand[1::2]):
        if type(sign) is not str or sign not in _COMPARE:
            raise PatternError(messages.PATTERN_NUMERIC_SIGN.format(sign=sign))
        if type(bound) not in (int, float) or abs(bound) > _NUMBER_MOST:
            raise PatternError(messages.PATTERN_NUMERIC_VALUE.format(most=_NUMBER_MOST))
        bounds.append((_COMPARE[sign], bound))
    if len(bounds) == 2 and bounds[0][1] >= bounds[1][1]:
        raise PatternError(messages.PATTERN_NUMERIC_RANGE)
    return lambda value: (
        type(value) in (int, float) and all(compare(value, bound) for compare, bound in bounds)
    )


def _cidr(operand: Any) -> Test:
    try:
        network = ipaddress.ip_network(_text("cidr", operand), strict=False)
    except ValueError:
        raise PatternError(messages.PATTERN_CIDR.format(value=operand)) from None

    def fits(value: Any) -> bool:
        try:
            return type(value) is str and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return fits


def _anything_but(operand: Any) -> Test:
    """operand: a value, a list of values, or a text operator with a string or a list of strings."""
    if type(operand) is dict:
        if len(operand) != 1:
            raise PatternError(messages.PATTERN_ONE_KEY)
        ((name, inner),) = operand.items()
        if name not in _NEGATED:
            raise PatternError(messages.PATTERN_OPERATOR.format(name=name))
        inners = inner if type(inner) is list else [inner]
        tests = [_operator(name, each) for each in inners]
        if not tests:
            raise PatternError(messages.PATTERN_EMPTY_LIST)
        return lambda value: not any(test(value) for test in tests)
    values = operand if type(operand) is list else [operand]
    if not values:
        raise PatternError(messages.PATTERN_EMPTY_LIST)
    if not all(type(each) in (str, int, float, bool, type(None)) for each in values):
        raise PatternError(messages.PATTERN_VALUE)
    excluded = {_exact(each) for each in values}
    return lambda value: (type(value) is bool, value) not in excluded


_NEGATED: Final = ("prefix", "suffix", "equals-ignore-case", "wildcard")
OPERATORS: Final[dict[str, Callable[[Any], Test]]] = {
    "prefix": _edge("prefix", str.startswith),
    "suffix": _edge("suffix", str.endswith),
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
}


def _combinations(pattern: Mapping[str, Any]) -> int:
    """The number of patterns without `$or` that a pattern is equivalent to."""
    total = 1
    for name, inner in pattern.items():
        if is_or(name, inner):
            total *= sum(map(_combinations, inner))
        elif type(inner) is dict:
            total *= _combinations(inner)
    return total


# --- many patterns --------------------------------------------------------------------------------

Key = TypeVar("Key", bound=Hashable)


class Index(Generic[Key]):
    """Patterns by key. Each is filed under its most selective field of strings, so few patterns are
    tried for an event. Patterns without such a field are tried for every event.

    patterns  (key, pattern as JSON, its Match)
    """

    def __init__(self, patterns: Iterable[tuple[Key, Mapping[str, Any], Match]]) -> None:
        self._always: list[tuple[Key, Match]] = []
        self._by: dict[Path, dict[Needle, list[tuple[Key, Match]]]] = {}
        listed = [(key, dict(_needles(pattern)), matches) for key, pattern, matches in patterns]
        self._size = len(listed)
        shared = Counter(
            (path, needle)
            for _, fields, _ in listed
            for path, needles in fields.items()
            for needle in needles
        )
        for key, fields, matches in listed:
            if not fields:
                self._always.append((key, matches))
                continue
            path = min(
                fields,
                key=lambda path: (sum(shared[path, needle] for needle in fields[path]), path),
            )
            for needle in fields[path]:
                self._by.setdefault(path, {}).setdefault(needle, []).append((key, matches))
        self._paths = [
            (path, sorted({length for length, _ in filed}), filed)
            for path, filed in self._by.items()
        ]

    def __len__(self) -> int:
        return self._size

    def find(self, event: Mapping[str, Any]) -> list[Key]:
        """The keys of the matching patterns."""
        found = [key for key, matches in self._always if matches(event)]
        for path, lengths, filed in self._paths:
            value: Any = event
            for name in path:
                if type(value) is not dict:
                    break
                value = value.get(name)
            texts = (
                (value,)
                if type(value) is str
                else _texts(event, path)
                if type(value) is list
                else ()
            )
            hits = [
                needle
                for text in texts
                for length in lengths
                if (needle := _cut(text, length)) in filed
            ]
            if len(hits) == 1:
                found += [key for key, matches in filed[hits[0]] if matches(event)]
            elif hits:  # a pattern may be filed under several needles
                candidates = {key: matches for needle in hits for key, matches in filed[needle]}
                found += [key for key, matches in candidates.items() if matches(event)]
        return found


Needle = tuple[int, str]  # (0, the whole text), (n, its first n letters) or (-n, its last n)


def _cut(text: str, length: int) -> Needle:
    return length, text[:length] if length > 0 else text[length:]


def _needles(pattern: Mapping[str, Any], above: Path = ()) -> Iterable[tuple[Path, list[Needle]]]:
    """The fields whose conditions are all strings, prefixes or suffixes."""
    for name, inner in pattern.items():
        if type(inner) is dict:
            yield from _needles(inner, (*above, name))
        elif type(inner) is list and None not in (found := [_needle(each) for each in inner]):
            yield (*above, name), list(dict.fromkeys(filter(None, found)))


def _needle(condition: Any) -> Needle | None:
    if type(condition) is str:
        return 0, condition
    if type(condition) is dict:
        for operator, sign in (("prefix", 1), ("suffix", -1)):
            text = condition.get(operator)
            if type(text) is str and text:
                return sign * len(text), text
    return None


def _texts(value: Any, path: Path) -> set[str]:
    """All strings at a path, through lists."""
    level = [value]
    for name in path:
        level = [each[name] for each in _flat(level) if type(each) is dict and name in each]
    return {each for each in _flat(level) if type(each) is str}
