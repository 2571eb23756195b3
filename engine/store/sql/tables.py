"""The tables that every database has, for those that read or write all rows."""

from __future__ import annotations

from typing import Final

PAGE: Final = 1_000  # rows that are read or written at a time
META: Final = "meta"  # one row, which each database has
TABLES: Final[dict[str, str]] = {
    META: "clock next_execution secret",
    "machine": "arn name definition created updated status extras",
    "definition": "id machine type role revision created text configuration",
    "activity": "arn name created extras",
    "series": "id prefix machine machine_name express",
    "pin": "id definition block role",
    "qualifier": "id arn",
    "execution": "id series tail uuid pin started parent parent_frame parent_seq parent_index"
    " version alias extras status stopped events error cause",
    "attribute": "name value execution closing",
    "map_run": "execution event frame seq uuid blob",
    "continuation": "id wake events blob",
    "frame": "key blob",
    "map_item": "execution frame n blob",
    "map_result": "execution frame n blob",
    "child_input": "execution frame seq n blob",
    "child_output": "execution frame seq n slots blob",
    "history": "key blob",
    "long_history": "execution event blob",
    "payload": "key blob",
    "record": "key blob",
    "parked": "id at reason",
}
"""table -> its columns, in every database."""
