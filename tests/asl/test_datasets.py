"""Datasets: from the text of a file to the items of a Map."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.datasets import first, read
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import StateError
from stepwell.asl.java_maps import hash_order


def config(**fields: Any) -> ReaderConfig:
    return ReaderConfig.model_validate(fields)


CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}


@pytest.mark.parametrize(
    ("fields", "text", "items"),
    [
        ({}, "[1, 2]", [1, 2]),
        (
            {"InputType": "JSON", "ItemsPointer": "/o"},
            '\ufeff{"o": {"a": 1, "b": 2}}',
            {"a": 1, "b": 2},
        ),
        ({"ItemsPointer": "/x~1y/1/~0"}, '{"x/y": [0, {"~": [7]}]}', [7]),
        ({"InputType": "JSONL"}, '{"a":1}\n\n[2]\r\n"x"', [{"a": 1}, [2], "x"]),
        (CSV, "a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        (CSV, "a,b\n1\n1,2,3\n\n", [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]),
        (CSV, 'a\n"x, ""y""\nz"\n', [{"a": 'x, "y"\nz'}]),
        ({**CSV, "CSVDelimiter": "PIPE"}, "a|b\n1\\|2|3", [{"a": "1|2", "b": "3"}]),
        (
            {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["n"]},
            "1\n2",
            [{"n": "1"}, {"n": "2"}],
        ),
        (CSV, "", []),
    ],
)
def test_datasets(fields: dict[str, Any], text: str, items: Any) -> None:
    assert read(text, config(**fields)) == items


@pytest.mark.parametrize(
    ("fields", "text", "cause"),
    [
        ({}, '{"a": [1]}', "Attempting to map over non-iterable node."),
        ({"InputType": "JSON"}, "{}", "Attempting to map over non-iterable node."),
        ({}, "7", "Attempting to map over non-iterable node."),
        ({"ItemsPointer": "/a"}, '{"a": "text"}', "Attempting to map over non-iterable node."),
        (
            {"ItemsPointer": "/a/2"},
            '{"a": [1]}',
            "The ItemsPointer '/a/2' does not exist in the dataset",
        ),
        (CSV, "a,a\n", "CSV headers cannot contain duplicates."),
        (CSV, 'a\n"open', "The dataset is not valid CSV: unexpected end of data"),
        (
            {"InputType": "PARQUET"},
            "PAR1",
            "A dataset of type PARQUET cannot be read from a text",
        ),
    ],
)
def test_invalid_datasets(fields: dict[str, Any], text: str, cause: str) -> None:
    with pytest.raises(StateError) as error:
        read(text, config(**fields))
    assert (error.value.error, error.value.cause) == ("States.ItemReaderFailed", cause)


COLUMNS = [
    "id", "name", "price", "customer", "order date", "Total Amount", "é", "😀",
    "x_1", "x_2", "x_3", "col10", "col11", "Aa", "BB", "status", "zip",
]  # fmt: skip
ORDERED = [
    "Aa", "BB", "zip", "col11", "é", "x_2", "x_1", "x_3",
    "price", "order date", "name", "😀", "col10", "Total Amount", "id", "customer", "status",
]  # fmt: skip
ONE_BUCKET = [
    "AaAaAaAa",
    "AaAaAaBB",
    "AaAaBBAa",
    "AaAaBBBB",
    "AaBBAaAa",
    "AaBBAaBB",
    "AaBBBBAa",
    "AaBBBBBB",
]  # equal hash codes


def test_members_of_rows_come_in_the_order_of_a_hash_map() -> None:
    """Recorded on AWS for these columns; from Java 17 for the others."""
    assert [list(row) for row in read("0,True,{}\n1,2,3\n4\n", config(**CSV))] == [
        ["0", "{}", "True"]
    ] * 2
    assert read("0,True,{}\n1,2,3", config(**CSV)) == [{"0": "1", "True": "2", "{}": "3"}]
    assert hash_order(COLUMNS) == ORDERED
    assert hash_order([*ONE_BUCKET, "z"]) == [*ONE_BUCKET, "z"]


def test_bad_json() -> None:
    for fields, text in (({}, "{"), ({"InputType": "JSONL"}, "1\n{")):
        with pytest.raises(StateError, match="The dataset is not valid JSON"):
            read(text, config(**fields))


def test_max_items() -> None:
    assert first([1, 2, 3], 2) == [1, 2] and first({"a": 1, "b": 2}, 1) == {"a": 1}
    assert first([1, 2], 0) == first([1, 2], None) == [1, 2]
    with pytest.raises(StateError, match="field MaxItems must be positive"):
        first([], -1)


CELLS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\\\ufeff"
    ),
    min_size=1,
)


@given(st.lists(st.tuples(CELLS, CELLS)))
def test_round_trip_of_csv(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("a", "b"), *rows])
    assert read(file.getvalue(), config(**CSV)) == [{"a": a, "b": b} for a, b in rows]
    lines = "\n".join(json.dumps(row) for row in rows)
    assert read(lines, config(InputType="JSONL")) == [list(row) for row in rows]
