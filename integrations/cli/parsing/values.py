"""The types of the values of options and arguments."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

_LIKE: Final = 0.6  # how alike words must be to be proposed


def meant(word: str, known: Iterable[str]) -> str:
    """What follows a text about an unknown word: "; did you mean KNOWN?", or nothing."""
    import difflib  # imported late: most words are known

    by_key = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_key, 1, _LIKE)
    return f"; did you mean {by_key[found[0]]}?" if found else ""


def listed(names: Iterable[str]) -> str:
    """A, B or C."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def number_words(kind: type, low: float | None, high: float | None) -> str:
    """What a number must be, in words."""
    what = "a whole number" if kind is int else "a number"
    if low is not None and high is not None:
        return f"{what} from {low:g} to {high:g}"
    if low is not None:
        return f"{what} of at least {low:g}"
    return what if high is None else f"{what} of at most {high:g}"


class Choice(click.ParamType):  # type: ignore[type-arg]
    """A member of an enum, by its value in any case."""

    name = "choice"

    def __init__(self, members: type[Enum]) -> None:
        self._members = {str(each.value).lower(): each for each in members}

    def convert(self, value: Any, param: Any, ctx: Any) -> Enum:
        member = self._members.get(str(value).lower())
        if member is None:
            names = [str(each.value) for each in self._members.values()]
            like = meant(str(value), names)
            self.fail(f"{value}: not one of {listed(names)}{like}", param, ctx)
        return member

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(str(each.value))
            for key, each in self._members.items()
            if key.startswith(incomplete.lower())
        ]


class Number(click.ParamType):  # type: ignore[type-arg]
    """An int or a finite float between two bounds, which are inclusive."""

    name = "number"

    def __init__(self, kind: type[int] | type[float], low: float | None, high: float | None):
        self._kind, self._low, self._high = kind, low, high

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            number = self._kind(value)
        except ValueError:
            number = math.nan
        low, high = self._low, self._high
        good = math.isfinite(number) and (low is None or number >= low)
        if not good or (high is not None and number > high):
            self.fail(f"{value}: not {number_words(self._kind, low, high)}", param, ctx)
        return number


class File(click.ParamType):  # type: ignore[type-arg]
    """A path, or a text that may be one. It is not checked: the commands report problems."""

    name = "path"

    def __init__(self, kind: type, folder: bool = False) -> None:
        self._kind, self._folder = kind, folder

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return self._kind(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir" if self._folder else "file")]
