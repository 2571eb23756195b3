"""The text of a search -> what it asks. Pure.

    customer=ada total>100 sku=lamp-* machine=order
    status=FAILED,TIMED_OUT error=BankBusy started>=2h

Words are joined by "and". `name=value` finds a value of a search attribute, `name=a,b` any of
several, `name=begin*` strings that begin so; <, <=, > and >= compare numbers, or strings if the
value is none; several comparisons with one attribute are for the same value. A value that can be a
number, a boolean or null is also found as a string: quotes ("42") ask for the string alone. Times
are ISO 8601, or how long ago: 90s, 15m, 2h, 7d.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.search_attributes import ERROR
from stepwell.engine.search import instants
from stepwell.engine.search.values import Range, Scalar, beginning, compared, equal
from stepwell.engine.search.wanted import STATUSES, Condition, Search

CONDITIONS: Final = 8  # of one search
ALTERNATIVES: Final = 16  # values of one condition

_WORD: Final = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w-]*)\s*(?P<operator>>=|<=|=|>|<)\s*"""
    r"""(?P<values>(?:"(?:[^"\\]|\\.)*"|[^\s,"]+)(?:,(?:"(?:[^"\\]|\\.)*"|[^\s,"]+))*)(?=\s|$)"""
)
_CONDITION: Final = re.compile(r"[A-Za-z_][\w-]*[<>=]")
_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^,]+')


def is_condition(word: str) -> bool:
    """Whether a word is one, and not a name."""
    return _CONDITION.match(word) is not None


class SearchError(ValueError):
    """A word of a query that cannot be read. column: where it begins, from 1. reason: what is wrong
    with it.
    """

    def __init__(self, word: str, column: int, reason: str) -> None:
        super().__init__(f"{word!r} at column {column}: {reason}")
        self.word, self.column, self.reason = word, column, reason


class Word(NamedTuple):
    """text: the whole word. at: its column"""

    name: str
    operator: str
    values: list[str]
    text: str
    at: int

    def error(self, reason: str) -> SearchError:
        return SearchError(self.text, self.at, reason)


def read(text: str, now: int, machine_arn: Callable[[str], str]) -> Search:
    """now: epoch ms. machine_arn: its name or ARN -> ARN. Raises SearchError."""
    wanted = Search()
    for word in _words(text):
        wanted = _FIELDS.get(word.name, _attribute)(wanted, word, now, machine_arn)
        if len(wanted.conditions) > CONDITIONS:
            raise word.error(f"more than {CONDITIONS} attributes in one search")
    return wanted


def _words(text: str) -> list[Word]:
    words, place = [], 0
    while text[place:].strip():
        found = _WORD.match(text, place)
        if found is None:
            rest = text[place:].split(maxsplit=1)[0]
            column = text.index(rest, place) + 1
            raise SearchError(
                rest,
                column,
                "not NAME=VALUE, NAME>VALUE or the like; quote a value with spaces or commas",
            )
        values = _VALUE.findall(found["values"])
        at = found.start("name")
        word = Word(found["name"], found["operator"], values, text[at : found.end()], at + 1)
        if any(value.startswith(("<", ">", "=")) for value in values):
            raise word.error("a value that begins with <, > or = needs quotes; or is it >= or <=?")
        if len(values) > ALTERNATIVES:
            raise word.error(f"more than {ALTERNATIVES} values")
        words.append(word)
        place = found.end()
    return words


def _plain(value: str) -> str:
    """Without its quotes."""
    if not value.startswith('"'):
        return value
    try:
        return str(json_text.loads(value))
    except json_text.JsonError:
        return value[1:-1]


def _only_equal(word: Word) -> None:
    if word.operator != "=":
        raise word.error(f"{word.name} can be compared with = only")


def _machine(wanted: Search, word: Word, now: int, machine_arn: Callable[[str], str]) -> Search:
    _only_equal(word)
    if len(word.values) > 1 or wanted.machine_arn is not None:
        raise word.error("a search names one machine, or none for all")
    return wanted._replace(machine_arn=machine_arn(_plain(word.values[0])))


def _status(wanted: Search, word: Word, now: int, machine_arn: Callable[[str], str]) -> Search:
    _only_equal(word)
    if wanted.statuses:
        raise word.error("a search has one status=...; name several as status=FAILED,TIMED_OUT")
    statuses = [_plain(each).upper() for each in word.values]
    unknown = [each for each in statuses if each not in STATUSES]
    if unknown:
        raise word.error(f"{unknown[0]} is not one of {', '.join(STATUSES)}")
    return wanted._replace(statuses=statuses)


def _time(wanted: Search, word: Word, now: int, machine_arn: Callable[[str], str]) -> Search:
    if word.operator == "=" or len(word.values) > 1:
        raise word.error(f"{word.name} can be compared with <, <=, > and >= only")
    at = _instant(word, now)
    known = wanted.started if word.name == "started" else wanted.stopped
    if word.operator.startswith(">"):
        start = at + (word.operator == ">")
        known = known._replace(start=max(start, known.start or start))
    else:
        stop = at + (word.operator == "<=")
        known = known._replace(stop=min(stop, known.stop or stop))
    if word.name == "started":
        return wanted._replace(started=known)
    return wanted._replace(stopped=known)


def _instant(word: Word, now: int) -> int:
    """Epoch ms; in UTC without a zone."""
    text = _plain(word.values[0])
    at = instants.seconds(text, now / 1000, UTC)
    if at is None:
        raise word.error(
            f"{text} is not a time such as 2026-03-01T12:00:00Z, nor how long ago, such as 2h"
        )
    return round(at * 1000)


def _attribute(wanted: Search, word: Word, now: int, machine_arn: Callable[[str], str]) -> Search:
    if word.operator == "=":
        ranges = [each for value in word.values for each in _equal(value)]
    elif len(word.values) > 1:
        raise word.error(f"{word.operator} takes one value")
    else:
        value = word.values[0]
        scalar = _scalar(value)
        if scalar is None or isinstance(scalar, bool | str):
            scalar = _plain(value)
        return _narrowed(wanted, word.name, compared(word.operator, scalar))
    return wanted._replace(conditions=[*wanted.conditions, Condition(word.name, ranges)])


def _narrowed(wanted: Search, name: str, range: Range) -> Search:
    """A value within all comparisons with the attribute: total>10 total<20."""
    kept = []
    for each in wanted.conditions:
        if each.compared and each.name == name:
            (known,) = each.ranges
            range = Range(max(range.low, known.low), min(range.high, known.high))
        else:
            kept.append(each)
    return wanted._replace(conditions=[*kept, Condition(name, [range], True)])


def _equal(value: str) -> list[Range]:
    plain = _plain(value)
    if value.endswith("*") and not value.startswith('"'):
        return [beginning(plain[:-1])]
    scalar = _scalar(value)
    return [equal(plain), *([] if isinstance(scalar, str) else [equal(scalar)])]


def _scalar(value: str) -> Scalar:
    """What an unquoted value can be besides a string."""
    if value.startswith('"'):
        return value
    try:
        found: Any = json_text.loads(value)
    except json_text.JsonError:
        return value
    return found if not isinstance(found, dict | list) else value


Reader = Callable[[Search, Word, int, Callable[[str], str]], Search]
_FIELDS: Final[Mapping[str, Reader]] = {
    "machine": _machine,
    "status": _status,
    "started": _time,
    "stopped": _time,
    ERROR: _attribute,
}
