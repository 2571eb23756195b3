"""Parquet files, by row groups: see formats.py. pyarrow reads them (`stepwell[parquet]`).

Integers, floats, texts, booleans, lists, structs and nulls are JSON. Other values have a text:
times in ISO 8601, decimals with all digits, bytes as UTF-8 or else in Base64.
"""

from __future__ import annotations

import base64
import datetime
import io
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.integrations.datasets import messages
from stepwell.integrations.datasets.files import failed
from stepwell.integrations.datasets.formats import Item, Options

_BATCH: Final = 256  # rows in memory as Python objects


class ParquetRows:
    """Offsets are numbers of rows. `file` is not decompressed, and begins at its start."""

    state: Json = None

    def __init__(self, file: io.BufferedReader, options: Options, offset: int, state: Json) -> None:
        self._file, self._options, self._offset = file, options, offset

    def __iter__(self) -> Iterator[Item]:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise failed(messages.PARQUET_MISSING) from None
        try:
            rows = pyarrow.parquet.ParquetFile(self._file)
            yield from self._rows(rows)
        except pyarrow.ArrowException as error:
            raise OSError(str(error)) from None

    def _rows(self, file: Any) -> Iterator[Item]:
        most, number = self._options.limits.parquet_group_bytes, 0
        for group in range(file.metadata.num_row_groups):
            about = file.metadata.row_group(group)
            if about.total_byte_size > most:
                raise OSError(messages.PARQUET_GROUP.format(group=group, limit=most))
            if number + about.num_rows <= self._offset:
                number += about.num_rows
                continue
            size = about.total_byte_size // max(about.num_rows, 1)
            for batch in file.iter_batches(batch_size=_BATCH, row_groups=[group]):
                for row in batch.to_pylist():
                    number += 1
                    if number > self._offset:
                        yield None, _json(row), number, size


def _json(value: Any) -> Json:
    convert = _CONVERTED.get(type(value))
    return value if convert is None else convert(value)


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_CONVERTED: Final[dict[type, Callable[[Any], Json]]] = {
    dict: lambda value: {name: _json(each) for name, each in value.items()},
    list: lambda value: [_json(each) for each in value],
    tuple: lambda value: [_json(each) for each in value],  # an entry of a map
    float: lambda value: value if math.isfinite(value) else str(value),
    bytes: _bytes,
    Decimal: str,
    datetime.datetime: lambda value: value.isoformat().replace("+00:00", "Z"),
    datetime.date: lambda value: value.isoformat(),
    datetime.time: lambda value: value.isoformat(),
    datetime.timedelta: str,
}
