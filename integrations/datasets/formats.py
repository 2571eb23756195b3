"""The parsers of datasets: bytes of a file -> its items, one by one, with the places to resume at.

    for key, value, end, size in parser(file, options, offset, state): ...

    key    of a member of a JSON object; None of all others
    end    where the next item begins: the `offset` of a parser that resumes after this one
    size   about the bytes of the item's JSON text
    state  `parser.state`, what resuming needs besides; the same for all items of a file

They read as far as the next item and block for it. `file` has the decoded bytes from `offset` on.
Raises StateError, JsonError, csv.Error, UnicodeDecodeError. asl/datasets.py reads the same from
a whole text; tests compare both.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from stepwell.asl.datasets import DELIMITERS, columns
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import loads
from stepwell.integrations.datasets import messages
from stepwell.integrations.datasets.files import failed
from stepwell.integrations.limits import Limits

Item = tuple[str | None, Json, int, int]
"""(key, value, end, size)"""

BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Options:
    """joined: the file is one of several, so that an object in it is an item."""

    config: ReaderConfig
    limits: Limits
    joined: bool = False


def _lines(file: io.BufferedReader, most: int) -> Iterator[bytes]:
    while line := file.readline(most + 1):
        if len(line) > most:
            raise failed(messages.ITEM_TOO_LARGE.format(limit=most))
        yield line


class JsonLines:
    state: Json = None

    def __init__(self, file: io.BufferedReader, options: Options, offset: int, state: Json) -> None:
        self._file, self._options, self._offset = file, options, offset

    def __iter__(self) -> Iterator[Item]:
        end = self._offset
        for line in _lines(self._file, self._options.limits.dataset_item_bytes):
            if not end:
                line, end = line.removeprefix(BOM), len(line) - len(line.removeprefix(BOM))
            end += len(line)
            if line.strip(_BLANK):
                yield None, loads(line), end, len(line)


class CsvRows:
    """state: the headers, once they are read."""

    def __init__(self, file: io.BufferedReader, options: Options, offset: int, state: Json) -> None:
        self._file, self._options = file, options
        self._begun = self._end = offset  # of the row that is read; so far
        self.state: Any = state

    def __iter__(self) -> Iterator[Item]:
        config, most = self._options.config, self._options.limits.dataset_item_bytes
        # of the process, and 128 KiB by default; AWS limits the item only
        csv.field_size_limit(max(csv.field_size_limit(), most))
        rows = csv.reader(
            self._texts(), delimiter=DELIMITERS[config.csv_delimiter], escapechar="\\", strict=True
        )
        if self.state is None:
            given = config.csv_headers
            self.state = next(rows, []) if given is None else list(given)
        named = columns(self.state)
        names, pick = [name for name, _ in named], itemgetter(*(place for _, place in named), 0)
        count = len(names)
        framing = sum(len(name) + 6 for name in names)  # quotes, colon and comma of a member
        self._begun = self._end
        for row in rows:
            if row:
                if len(row) < count:
                    row += [""] * (count - len(row))
                size = self._end - self._begun + framing
                yield None, dict(zip(names, pick(row), strict=False)), self._end, size
            self._begun = self._end

    def _texts(self) -> Iterator[str]:
        """The lines, which may end with a carriage return; a line is counted when it is taken."""
        most = self._options.limits.dataset_item_bytes
        for line in _lines(self._file, most):
            if self._end + len(line) - self._begun > most:
                raise failed(messages.ITEM_TOO_LARGE.format(limit=most))
            if not self._end and line.startswith(BOM):
                self._end, line = len(BOM), line[len(BOM) :]
            if b"\r" not in line.removesuffix(b"\r\n"):
                self._end += len(line)
                yield line.decode()
            else:
                for part in line.splitlines(keepends=True):
                    self._end += len(part)
                    yield part.decode()
