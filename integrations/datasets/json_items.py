"""The items of a JSON text, found one by one: see formats.py.

A window of the text is in memory, as Latin-1: there its offsets are those of the bytes, and only
strings have other characters. Python's own scanner finds the end of a value, three times as fast as
it could be found here; json_text.py reads the value.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_scanner import KEY, VALUE, JsonDepthError, JsonError, scan
from stepwell.asl.json_text import loads
from stepwell.integrations.datasets import messages
from stepwell.integrations.datasets.files import failed
from stepwell.integrations.datasets.formats import BOM, Item, Options

_SKIP: Final = re.compile(r"[ \t\n\r]*").match
_SCAN: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).scan_once  # type: ignore[attr-defined]
_AFTER: Final = frozenset(",:]} \t\n\r")  # what may follow a value
_CLOSER: Final = {"[": "]", "{": "}"}
_BEFORE: Final = {"[": "[0", "{": '{"":0'}  # a text that makes the rest of a container complete
_CUT: Final = asl_messages.JSON_END.partition("{")[0]


class JsonItems:
    """The items of an array, or with an ItemsPointer of an object.

    state: the opener of the container, once it is found; "": there is only one item.
    """

    def __init__(self, file: io.BufferedReader, options: Options, offset: int, state: Json) -> None:
        self._window = _Window(file, options, offset)
        self._options, self._pointer = options, options.config.items_pointer or ""
        self.state: Any = state

    def __iter__(self) -> Iterator[Item]:
        window, begun = self._window, self.state is not None
        if not begun:
            self.state = self._entered()
        if not self.state:
            if not begun:
                yield None, *window.value()
            return
        closer, keyed = _CLOSER[self.state], self.state == "{"
        while True:
            window.begin(_BEFORE[self.state] if begun else self.state)
            char = window.next()
            if char == closer:
                break
            if begun:
                if char != ",":
                    window.fail()
                window.at += 1
                char = window.next()
            key = window.key() if keyed else None
            value, end, size = window.value()
            begun = True
            yield key, value, end, size
        window.at += 1
        window.begin("[]")
        if not self._pointer and window.next():
            window.fail()

    def _entered(self) -> str:
        """The opener of the container, which the window is in then."""
        window = self._window
        if self._pointer:
            window.seek(self._pointer)
        char = window.next()
        if char == "{" and self._pointer and self._options.joined:
            return ""
        if char == "[" or (char == "{" and self._pointer):
            window.at += 1
            return char
        if not self._pointer:
            window.check()
        raise failed(asl_messages.NOT_ITERABLE)


class _Window:
    """at: of the next character."""

    def __init__(self, file: io.BufferedReader, options: Options, offset: int) -> None:
        self._file, self._limits = file, options.limits
        self._base, self._text, self.at = offset, "", 0  # of the file, its text from there
        self._mark, self._before = 0, ""  # the text before the mark is needed for no item
        self._whole = False  # the file ends in the window
        self._start = 0
        if not offset:
            while len(self._text) < len(BOM) and self._more():
                pass
            if self._text.startswith(BOM.decode("latin-1")):
                self.at = self._start = len(BOM)

    def begin(self, before: str) -> None:
        """An item begins here. before: what stands for the text up to here in texts of errors."""
        self._mark, self._before = self.at, before

    def next(self) -> str:
        """The next character that is no white space; "": the text ends."""
        while True:
            self.at = _SKIP(self._text, self.at).end()  # type: ignore[union-attr]  # matches ""
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def value(self) -> tuple[Json, int, int]:
        """(the value that is next, where it ends in the file, its bytes)."""
        end = self._end_of_value()
        text, self.at = self._text[self.at : end], end
        if len(text) > self._limits.dataset_item_bytes:
            raise failed(messages.ITEM_TOO_LARGE.format(limit=self._limits.dataset_item_bytes))
        value = loads(text if text.isascii() else text.encode("latin-1"))
        return value, self._base + end, len(text)

    def key(self) -> str:
        """The key of the next member, up to its value."""
        if self._text[self.at : self.at + 1] != '"':
            self.fail()
        key, _, _ = self.value()
        if self.next() != ":":
            self.fail()
        self.at += 1
        self.next()
        return str(key)

    def seek(self, pointer: str) -> None:
        """Go to the value that a JSON Pointer points to."""
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        most = self._limits.pointer_bytes
        while True:
            fault: JsonError | None = None
            try:
                place = _located(self._text[self.at :], steps)
            except JsonDepthError:
                raise
            except JsonError as error:
                fault = error
            else:
                if place is None or self.at + place > most:
                    break
                self.at += place
                return
            size = len(self._text)
            while self._more(most) and len(self._text) < 2 * size:
                pass
            if len(self._text) == size:
                if self._whole:
                    raise fault
                break
        raise failed(asl_messages.POINTER_NOT_FOUND.format(pointer=pointer))

    def check(self) -> None:
        """Raises JsonError if this is no JSON text, as far as a window shows."""
        while self._more():
            pass
        if self._whole:
            loads(self._text[self._start :].encode("latin-1"))

    def fail(self) -> NoReturn:
        """Raises the error of the text here."""
        text = self._before + self._text[self._mark :] if self._base else self._text[self._start :]
        try:
            loads(text.encode("latin-1"))
        except JsonError as error:
            if self._whole or not error.message.startswith(_CUT):
                raise
        raise failed(messages.ITEM_TOO_LARGE.format(limit=self._limits.dataset_item_bytes))

    def _more(self, most: int | None = None) -> bool:
        """Read on. False: the file has no more, or the window is full."""
        limit = self._limits.dataset_item_bytes if most is None else most
        if self._whole or len(self._text) - self._mark > limit:
            return False
        data = self._file.read1(self._limits.dataset_block_bytes)
        if not data:
            self._whole = True
            return False
        self._text = self._text[self._mark :] + data.decode("latin-1")
        self._base, self.at, self._mark = self._base + self._mark, self.at - self._mark, 0
        return True

    def _end_of_value(self) -> int:
        while True:
            end = _end(self._text, self.at)
            # "1." is no number yet, but Python's scanner finds one in it
            if end is not None and (self._text[end : end + 1] in _AFTER or self._whole):
                return end
            size = len(self._text) - self.at  # doubled, as the value is scanned from its start
            while len(self._text) - self.at <= 2 * size and self._more():
                pass
            if len(self._text) - self.at == size and (not self._whole or end is None):
                self.fail()


def _end(text: str, start: int) -> int | None:
    """The end of the value at `start`; None: it is not complete, or wrong."""
    try:
        end: int = _SCAN(text, start)[1]
        return end
    except (StopIteration, ValueError):
        return None
    except RecursionError:
        pass
    level = 0
    try:
        for event, _, offset in scan(text[start:]):
            level += (event in "[{") - (event in "]}")
            if not level:
                return start + offset + 1
    except JsonDepthError:
        raise
    except JsonError:
        pass
    return None


def _located(text: str, steps: list[str]) -> int | None:
    """The place of the value that the steps of a pointer lead to; None: there is none. Raises
    JsonError if the text ends before.
    """
    entered = level = index = 0  # steps that were taken, containers that are open, items passed
    kind, hit = "", True
    for event, _, offset in scan(text):
        if event in ("}", "]"):
            level -= 1
            if level < entered:
                return None
        elif event == KEY:
            if level == entered:
                key = text[offset : _end(text, offset)]
                hit = loads(key.encode("latin-1")) == steps[entered - 1]
        else:
            if level == entered and kind == "[":
                step, index = steps[entered - 1], index + 1
                hit = step.isascii() and step.isdigit() and int(step) == index - 1
            if level == entered and hit:
                if entered == len(steps):
                    return offset
                if event == VALUE:
                    return None
                entered, kind, index = entered + 1, event, 0
            level += event != VALUE
    return None
