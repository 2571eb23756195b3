"""The parsers of datasets: they read what asl/datasets.py reads from the whole text, in any blocks,
and resume after any item.
"""

import csv
import dataclasses
import gzip
import io
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl import datasets
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json, StateError
from stepwell.asl.json_text import JsonError
from stepwell.integrations.datasets.files import unpacked
from stepwell.integrations.datasets.formats import CsvRows, JsonLines, Options
from stepwell.integrations.datasets.json_items import JsonItems
from stepwell.integrations.limits import DEFAULT_LIMITS

PARSERS: dict[str, Any] = {"CSV": CsvRows, "JSONL": JsonLines, "JSON": JsonItems}
CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}


class Blocks(io.RawIOBase):
    """A file whose reads end where `sizes` say, again and again."""

    def __init__(self, data: bytes, sizes: Sequence[int]) -> None:
        self._data, self._sizes, self._at, self._turn = data, sizes, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._sizes[self._turn % len(self._sizes)])
        self._turn += 1
        part = self._data[self._at : self._at + size]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def parser(
    data: bytes,
    fields: dict[str, Any],
    sizes: Sequence[int] = (7,),
    offset: int = 0,
    state: Json = None,
    **limits: int,
) -> Any:
    file = io.BufferedReader(Blocks(data[offset:], sizes), 64)
    options = Options(
        ReaderConfig.model_validate(fields), dataclasses.replace(DEFAULT_LIMITS, **limits)
    )
    return PARSERS[fields.get("InputType", "JSON")](file, options, offset, state)


def read(data: bytes, fields: dict[str, Any], sizes: Sequence[int] = (7,), **limits: int) -> Json:
    found = list(parser(data, fields, sizes, **limits))
    if found and found[0][0] is not None:
        return {key: value for key, value, _, _ in found}
    return [value for _, value, _, _ in found]


def check(data: bytes, fields: dict[str, Any], sizes: Sequence[int]) -> None:
    """What is read is what the whole text holds, and resuming after each item reads the rest."""
    whole = datasets.read(data.decode(), ReaderConfig.model_validate(fields))
    items = list(whole.items()) if isinstance(whole, dict) else [(None, item) for item in whole]
    reading = parser(data, fields, sizes)
    found = list(reading)
    assert [each[:2] for each in found] == items
    for place, (_, _, end, _) in enumerate(found, 1):
        rest = parser(data, fields, sizes, end, json.loads(json.dumps(reading.state)))
        assert [each[:2] for each in rest] == items[place:]


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
STYLES = st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}, {"separators": (",", ":")}])


@given(st.lists(VALUES), STYLES, SIZES, st.booleans())
def test_arrays(items: list[Any], style: dict[str, Any], sizes: list[int], marked: bool) -> None:
    data = ("\ufeff" * marked + json.dumps(items, **style)).encode()
    check(data, {}, sizes)


@given(st.dictionaries(TEXTS, VALUES), VALUES, STYLES, SIZES)
def test_objects(items: dict[str, Any], other: Any, style: Any, sizes: list[int]) -> None:
    text = json.dumps({"a": other, "é/": [other, [], items], "z": other}, **style)
    check(text.encode(), {"ItemsPointer": "/é~1/2"}, sizes)


@given(st.lists(VALUES), st.sampled_from(["\n", "\r\n", "\n \n"]), SIZES)
def test_lines(items: list[Any], end: str, sizes: list[int]) -> None:
    data = end.join(json.dumps(item) for item in items).encode()
    check(data, {"InputType": "JSONL"}, sizes)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\\\0"), max_size=8)


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4)),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([("COMMA", ","), ("PIPE", "|"), ("TAB", "\t")]),
    st.booleans(),
    SIZES,
)
def test_rows(
    rows: list[list[str]], end: str, delimiter: tuple[str, str], given: bool, sizes: list[int]
) -> None:
    file, name = io.StringIO(), delimiter[0]
    writer = csv.writer(file, lineterminator=end, delimiter=delimiter[1])
    writer.writerows(rows if given else [["é", "b", "c"], *rows])
    fields = {**CSV, "CSVDelimiter": name}
    if given:
        fields |= {"CSVHeaderLocation": "GIVEN", "CSVHeaders": ["x", "y"]}
    check(file.getvalue().encode(), fields, sizes)


@given(st.text('ab,\\"\n\r|', max_size=30), SIZES)
def test_any_text_as_rows(text: str, sizes: list[int]) -> None:
    """Also what is wrong is as wrong in blocks."""
    fields = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["x", "y"]}
    try:
        check(text.encode(), fields, sizes)
    except StateError as error:
        with pytest.raises(csv.Error) as found:
            read(text.encode(), fields, sizes)
        assert str(error.cause).endswith(str(found.value))


@given(st.text('[]{},:"01e \\é', max_size=14), st.sampled_from(["", "/0", "/1/1"]), SIZES)
def test_any_text_as_json(text: str, pointer: str, sizes: list[int]) -> None:
    fields = {"ItemsPointer": pointer} if pointer else {}
    try:
        check(text.encode(), fields, sizes)
    except StateError as error:
        if pointer:  # what follows the items is not read
            return
        with pytest.raises((JsonError, StateError)) as found:
            read(text.encode(), fields, [1000])
        reason = getattr(found.value, "cause", None) or str(found.value)
        assert str(error.cause).endswith(reason)
        with pytest.raises((JsonError, StateError)):
            read(text.encode(), fields, sizes)


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=3), SIZES)
def test_packed_files(data: bytes, cuts: list[int], sizes: list[int]) -> None:
    """Several members or frames, in any blocks; a file that was cut off does not pass for one."""
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [data[start:end] for start, end in pairwise(ends)] or [b""]
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        packed = b"".join(map(pack, parts))
        for content in (packed, packed[:-1]):
            blocks = io.BufferedReader(Blocks(content, sizes), 64)
            file = unpacked(blocks, encoding, "b/k", DEFAULT_LIMITS)
            if content is packed:
                assert file.read() == data
            else:
                with pytest.raises(EOFError):
                    file.read()
