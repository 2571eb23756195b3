"""The rows of the children of Map Runs: inputs, and outputs for its ResultWriter.

    child_input    n: the first slot; blob: the JSON texts of up to ROW_CHILDREN inputs; deleted
                   when all children up to the next row have succeeded
    child_output   n: the first slot; slots: runs (first, how many); blob: [(slot, JSON text), ...]

All outputs of a row have slots of the same ROW_CHILDREN, so that reading by n comes close to the
order of slots: streams.py sorts what is left.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

import msgspec

from stepwell.engine.core.maps import bit_sets
from stepwell.engine.core.maps.rows import ChildInputs, ChildRows, UsedInputs
from stepwell.engine.core.model import Payload
from stepwell.engine.store.batch import (
    DELETE_USED_INPUTS,
    INSERT_CHILD_INPUTS,
    INSERT_CHILD_OUTPUTS,
    Batch,
)
from stepwell.engine.store.blobs import pack, unpack
from stepwell.engine.store.codec import StoredPayload

ROW_CHILDREN: Final = 1_000
# the rows of a Map Run of more children are not deleted by the commit that ends it, but after it
LARGE_RUN: Final = 10_000

_encode: Final = msgspec.msgpack.Encoder().encode
_texts: Final = msgspec.msgpack.Decoder(list[bytes]).decode
_pairs: Final = msgspec.msgpack.Decoder(list[tuple[int, int]]).decode
_outputs: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode


def add(batch: Batch, execution_id: int, rows: ChildRows) -> None:
    """Add what a decision adds to a Map Run."""
    place = (execution_id, rows.frame, rows.seq)
    if isinstance(rows, ChildInputs):
        for start in range(0, len(rows.inputs), ROW_CHILDREN):
            texts = [each.data for each in rows.inputs[start : start + ROW_CHILDREN]]
            batch.rows[INSERT_CHILD_INPUTS] += (*place, rows.first + start, pack(_encode(texts)))
        return
    if isinstance(rows, UsedInputs):
        batch.deletes.append((DELETE_USED_INPUTS, (*place, *place, rows.end)))
        return
    for _, some in groupby(rows.outputs, lambda pair: pair[0] // ROW_CHILDREN):
        outputs = [(slot, output.data) for slot, output in some]
        slots = bit_sets.runs(slot for slot, _ in outputs)
        batch.rows[INSERT_CHILD_OUTPUTS] += (
            *(*place, outputs[0][0], pack(_encode(slots)), pack(_encode(outputs))),
        )


def read_inputs(blob: bytes) -> list[Payload]:
    return [StoredPayload(text) for text in _texts(unpack(blob))]


def read_slots(blob: bytes) -> list[tuple[int, int]]:
    """Runs (first slot, how many)."""
    return _pairs(unpack(blob))


def read_outputs(blob: bytes) -> list[tuple[int, bytes]]:
    """(slot, JSON text) in the order of the slots."""
    return _outputs(unpack(blob))
