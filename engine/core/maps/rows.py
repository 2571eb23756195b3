"""The rows of the children of a Map Run, which a decision adds to the store or deletes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepwell.engine.core.model import Payload


class ChildInputs(NamedTuple):
    """Inputs of children of a Map Run, from slot `first` on, to be stored as rows."""

    frame: int
    seq: int
    first: int
    inputs: Sequence[Payload]


class ChildOutputs(NamedTuple):
    """(slot, output) of children of a Map Run, for its ResultWriter, to be stored as rows."""

    frame: int
    seq: int
    outputs: Sequence[tuple[int, Payload]]


class UsedInputs(NamedTuple):
    """All children before a slot have succeeded: the rows of their inputs are not needed any more,
    as far as they have no others.
    """

    frame: int
    seq: int
    end: int


ChildRows = ChildInputs | ChildOutputs | UsedInputs
