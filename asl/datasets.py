"""The text of a whole file -> the items of a Map, for TestState. Executions read files in parts:
see integrations/datasets/.

read(text, config) -> array, or with an ItemsPointer an object whose members are the items
columns(headers) -> the columns of a CSV file, in the order of the members of an item
pick(dataset, pointer) -> the value that an ItemsPointer points to
"""

import csv
import io
from typing import Final

from stepwell.asl import messages
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json, StateError
from stepwell.asl.java_maps import hash_order
from stepwell.asl.json_text import JsonError, loads

DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_BLANK: Final = " \t\r\n"


def read(text: str, config: ReaderConfig) -> Json:
    """The items in a file's text. Raises StateError States.ItemReaderFailed."""
    kind, text = config.input_type or "JSON", text.removeprefix("\ufeff")
    try:
        if kind == "JSON":
            return pick(loads(text), config.items_pointer or "")
        if kind == "JSONL":
            # not splitlines: its other line ends may be within strings
            return [loads(line) for line in text.split("\n") if line.strip(_BLANK)]
        if kind == "CSV":
            return _rows(text, config)
    except (JsonError, csv.Error) as fault:
        raise _failed(messages.BAD_DATASET.format(kind=kind, reason=fault)) from None
    raise _failed(messages.DATASET_IS_BINARY.format(kind=kind))


def pick(dataset: Json, pointer: str) -> Json:
    """The array or object that a JSON Pointer (RFC 6901) points to. Without a pointer the file must
    be an array, as recorded on AWS.
    """
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(dataset, dict) and name in dataset:
            dataset = dataset[name]
        elif (
            isinstance(dataset, list)
            and name.isascii()
            and name.isdigit()
            and int(name) < len(dataset)
        ):
            dataset = dataset[int(name)]
        else:
            raise _failed(messages.POINTER_NOT_FOUND.format(pointer=pointer))
    if not isinstance(dataset, list | dict if pointer else list):
        raise _failed(messages.NOT_ITERABLE)
    return dataset


def first(dataset: Json, most: int | None) -> Json:
    """The first `most` items, which is MaxItems; None or 0: all."""
    if most is not None and most < 0:
        raise _failed(messages.MAX_ITEMS_NEGATIVE)
    if not most:
        return dataset
    return dict(list(dataset.items())[:most]) if isinstance(dataset, dict) else dataset[:most]


def _rows(text: str, config: ReaderConfig) -> list[Json]:
    """Each row as an object of strings, with the member order of Java's HashMap, as recorded on
    AWS. Missing columns are "", columns without a header are dropped.
    """
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=DELIMITERS[config.csv_delimiter],
        escapechar="\\",
        strict=True,
    )
    headers = list(config.csv_headers) if config.csv_headers is not None else next(rows, [])
    named = columns(headers)
    return [
        {header: row[column] if column < len(row) else "" for header, column in named}
        for row in rows
        if row
    ]


def columns(headers: list[str]) -> list[tuple[str, int]]:
    """(header, its place in a row), in the order of the members of an item. Raises StateError."""
    if len(set(headers)) < len(headers):
        raise _failed(messages.CSV_DUPLICATES)
    return [(header, headers.index(header)) for header in hash_order(headers)]


def _failed(cause: str) -> StateError:
    return StateError(messages.ITEM_READER_FAILED, cause, bare=True)
